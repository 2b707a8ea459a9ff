//! Escaping, and how figures are written: one place, so that the page, the Markdown and the comparison agree digit by digit.

/// What stands for a figure that is undefined.
pub const UNDEFINED: &str = "–";

/// `text` made safe between tags and inside quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // HTML 5 has no NUL, and a parser may end the page there.
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// `text` cut to `most` characters, the last one an ellipsis where something was lost.
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// `ridge_balanced_accuracy_old` → `ridge balanced accuracy old`.
pub fn humanise(name: &str) -> String {
    name.replace(['_', '-'], " ")
}

/// `1 method`, `2 methods`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("{n} {noun}") } else { format!("{n} {noun}s") }
}

/// What stands in a column heading for `unit`: fractions are shown as percent.
pub fn unit(unit: &str) -> &str {
    if unit == "fraction" { "%" } else { unit }
}

/// A value in its unit: fractions as percent with one decimal, everything else with three significant digits.
pub fn figure(value: Option<f64>, unit: &str) -> String {
    match value.filter(|v| v.is_finite()) {
        None => UNDEFINED.to_owned(),
        Some(v) if unit == "fraction" => format!("{} %", fixed(100.0 * v, 1)),
        Some(v) => significant(v),
    }
}

/// As [`figure`], without the percent sign: for cells whose heading names the unit.
pub fn bare(value: Option<f64>, unit: &str) -> String {
    figure(value, unit).trim_end_matches(" %").to_owned()
}

/// Before a value that is the least it can be.
pub const AT_LEAST: &str = "≥ ";

/// A signed difference, of fractions in percentage points; of anything else with the decimals of `beside`, the value it stands next to.
pub fn gap(value: Option<f64>, unit: &str, beside: Option<f64>) -> String {
    let text = with_decimals_of(value, beside, unit);
    let nonzero = text.chars().any(|c| c.is_ascii_digit() && c != '0');
    if value.is_some_and(|v| v > 0.0) && nonzero { format!("+{text}") } else { text }
}

/// A deviation, with the decimals of its mean.
pub fn deviation(sd: Option<f64>, unit: &str, mean: Option<f64>) -> String {
    with_decimals_of(sd, mean, unit)
}

/// `98.1 ± 0.2`; without a deviation, the mean alone.
pub fn spread(mean: Option<f64>, sd: Option<f64>, unit: &str) -> String {
    match sd.filter(|sd| sd.is_finite()) {
        Some(_) => format!("{} ± {}", bare(mean, unit), deviation(sd, unit, mean)),
        None => bare(mean, unit),
    }
}

fn with_decimals_of(value: Option<f64>, beside: Option<f64>, unit: &str) -> String {
    let beside = bare(beside, unit);
    match value.filter(|v| v.is_finite()) {
        Some(v) if unit != "fraction" && beside != UNDEFINED && !beside.contains('e') => fixed(v, beside.split_once('.').map_or(0, |(_, d)| d.len())),
        _ => bare(value, unit),
    }
}

/// A share of one retraining: one decimal, and below one percent two significant digits, because there the differences between methods lie.
pub fn share(value: Option<f64>) -> String {
    match value.filter(|v| v.is_finite()) {
        None => UNDEFINED.to_owned(),
        Some(v) if v == 0.0 || v.abs() >= 0.01 => format!("{} %", fixed(100.0 * v, 1)),
        Some(v) => format!("{} %", digits(100.0 * v, 2)),
    }
}

/// Wall time for people: `0.420 s`, `12.3 s`, `3 min 20 s`, `1 h 05 min`.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return UNDEFINED.to_owned();
    }
    let whole = value.round() as u64;
    match whole {
        0..120 => format!("{} s", significant(value)),
        120..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Three significant digits.
pub fn significant(value: f64) -> String {
    digits(value, 3)
}

fn digits(value: f64, wanted: i32) -> String {
    if !value.is_finite() {
        return UNDEFINED.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..=6).contains(&magnitude) {
        return format!("{value:.*e}", (wanted - 1) as usize).replace('-', "−");
    }
    fixed(value, (wanted - 1 - magnitude).max(0) as usize)
}

/// Fixed decimals with a true minus sign (as wide as a plus, so that columns align) and no negative zero.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("<a b=\"c\" d='e'>&\0"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;\u{fffd}");
    }

    #[test]
    fn figures_keep_to_the_rules() {
        assert_eq!(figure(Some(0.7104), "fraction"), "71.0 %");
        assert_eq!(figure(Some(-0.0001), "fraction"), "0.0 %");
        assert_eq!(figure(Some(f64::NAN), "nats"), "–");
        assert_eq!(figure(None, "fraction"), "–");
        assert_eq!(figure(Some(0.058_96), "nats"), "0.0590");
        assert_eq!(figure(Some(1234.4), "steps"), "1234");
        assert_eq!(figure(Some(-1.5e-7), "nats"), "−1.50e−7");
        assert_eq!(gap(Some(0.01), "fraction", Some(0.9)), "+1.0");
        assert_eq!(gap(Some(0.0001), "fraction", None), "0.0");
        assert_eq!(gap(Some(-0.25), "nats", None), "−0.250");
        assert_eq!(gap(Some(-0.008), "nats", Some(0.803)), "−0.008");
        assert_eq!(gap(Some(2.0), "nats", Some(0.0)), "+2");
        assert_eq!(spread(Some(41.0), Some(5.5), "steps"), "41.0 ± 5.5");
        assert_eq!(spread(Some(0.7), Some(0.02), "fraction"), "70.0 ± 2.0");
        assert_eq!(spread(Some(0.7), None, "fraction"), "70.0");
    }

    #[test]
    fn shares_and_times_suit_their_size() {
        assert_eq!(share(Some(0.031)), "3.1 %");
        assert_eq!(share(Some(0.0006)), "0.060 %");
        assert_eq!(share(Some(f64::INFINITY)), "–");
        assert_eq!(seconds(0.42), "0.420 s");
        assert_eq!(seconds(200.0), "3 min 20 s");
        assert_eq!(seconds(3900.0), "1 h 05 min");
        assert_eq!(seconds(f64::NAN), "–");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(shorten("größere", 4), "grö…");
        assert_eq!(shorten("ab", 4), "ab");
    }
}
