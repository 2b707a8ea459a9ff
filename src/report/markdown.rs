//! A run as a Markdown table, for terminals and READMEs: the headline and the verdicts.

use super::headline::{Column, columns, mark, share_of};
use super::models::{Model, Models};
use super::text::{UNDEFINED, bare, gap, share, spread};
use super::{cost, families, guide, never_seen, verdict};
use crate::summary::{ModelKind, Score, Summary};

/// Heading of the cost column.
pub const COST: &str = "cost, % of a retraining ↓";

/// What the signs in a table mean.
pub const SIGNS: &str = "↑ higher is better, ↓ lower is better, ≈ closer to the oracles is better. \
    In brackets: the gap to the mean of the run’s oracles; ✓ within their band, ▲ above it, ▼ below it.";

/// The same where there are no oracles.
const DIRECTIONS: &str = "↑ higher is better, ↓ lower is better, ≈ closer to what oracles show is better.";

/// The question, the warnings and a table with a row a model. Aligned, so that it reads well unrendered too.
pub fn markdown(summary: &Summary) -> String {
    let models = Models::of(summary);
    let columns = columns(summary);
    let mut heading = vec!["model".to_owned(), "verdict".to_owned(), "within".to_owned()];
    heading.extend(columns.iter().map(Column::brief));
    heading.push(COST.to_owned());

    let mut rows: Vec<Vec<String>> = models.of_kind(ModelKind::Original).map(|m| row(summary, &models, &columns, m)).collect();
    rows.extend(oracle_row(&models, &columns));
    rows.extend(models.judged().map(|m| row(summary, &models, &columns, m)));

    let mut out = format!("**{}**\n\n", inline(&guide::question(summary, &models)));
    let not_as_usual = guide::circumstances(summary);
    if !not_as_usual.is_empty() {
        out += &format!("In this run: {}.\n\n", inline(&not_as_usual.join("; ")));
    }
    for warning in &summary.scores.warnings {
        out += &format!("> **Warning:** {}\n\n", inline(warning));
    }
    out += &table(&heading, &rows, 2);
    out += &by_family(&models);
    out += &never_seen::markdown(summary, &models);
    if let Some(agreement) = guide::agreement(summary) {
        out += &format!("\nOn average {agreement}.\n");
    }
    if let Some(controls) = verdict::controls(&summary.scores.controls) {
        out += &format!("\n{}\n", inline(&controls));
    }
    if let Some(calibration) = &summary.scores.calibration {
        out += &format!("\n{}\n", inline(&verdict::calibration(calibration)));
    }
    if let Some(why) = cost::why_no_share(summary, &models) {
        out += &format!("\n{}\n", inline(&why));
    }
    let signs = if models.of_kind(ModelKind::Oracle).next().is_some() { SIGNS } else { DIRECTIONS };
    out += &format!("\n{signs} This is evidence, not a certificate.\n");
    out
}

fn row(summary: &Summary, models: &Models, columns: &[Column], model: &Model) -> Vec<String> {
    let name = match model.kind {
        ModelKind::Control => format!("{} (negative control)", model.name),
        _ => model.name.to_owned(),
    };
    let mut cells = vec![name];
    cells.extend(verdict_cells(models, model.name));
    cells.extend(columns.iter().map(|c| cell(c.of(models, model.name))));
    cells.push(share(share_of(summary, model.name)));
    cells
}

/// A row a model, a column a family of figures: its sign, and how many figures are within.
fn by_family(models: &Models) -> String {
    let families = families::judged(models);
    if families.is_empty() {
        return String::new();
    }
    let mut heading = vec!["model".to_owned()];
    heading.extend(families.iter().map(|f| f.name().to_owned()));
    heading.push("worst figure".to_owned());
    let rows: Vec<Vec<String>> = models
        .all()
        .filter_map(|m| Some((m, models.verdict(m.name).filter(|v| !v.families.is_empty())?)))
        .map(|(model, verdict)| {
            let mut cells = vec![model.name.to_owned()];
            cells.extend(families.iter().map(|f| match families::of(Some(verdict), *f) {
                Some(f) => format!("{} {} of {}", families::mark(f).0, f.within, f.total),
                None => UNDEFINED.to_owned(),
            }));
            let worst = verdict.worst_family.and_then(|f| families::of(Some(verdict), f));
            let worst = worst.and_then(|f| Some(format!("{} ({})", f.worst.as_ref()?, families::bands(f))));
            cells.push(worst.unwrap_or_else(|| UNDEFINED.to_owned()));
            cells
        })
        .collect();
    format!("\n{}", table(&heading, &rows, heading.len()))
}

/// Verdict word with its sign, and `x of y`.
pub fn verdict_cells(models: &Models, model: &str) -> [String; 2] {
    match models.verdict(model).filter(|v| v.audits_total > 0) {
        Some(v) => [format!("{} {}", verdict::look(&v.verdict).sign, v.verdict), format!("{} of {}", v.audits_within, v.audits_total)],
        None if models.of_kind(ModelKind::Oracle).next().is_none() => ["no verdict: no oracles".to_owned(), UNDEFINED.to_owned()],
        None => ["no verdict".to_owned(), UNDEFINED.to_owned()],
    }
}

/// `98.4 (+0.3 ✓)`.
pub fn cell(score: Option<&Score>) -> String {
    match score {
        None => UNDEFINED.to_owned(),
        Some(s) if s.gap.is_none() => bare(s.value, &s.unit),
        Some(s) => format!("{} ({} {})", bare(s.value, &s.unit), gap(s.gap, &s.unit, s.value), mark(s).0).replace(" )", ")"),
    }
}

fn oracle_row(models: &Models, columns: &[Column]) -> Option<Vec<String>> {
    let bands: Vec<_> = columns.iter().map(|c| models.oracle_band(&c.audit, &c.metric, c.cut.as_deref())).collect();
    let n = bands.iter().flatten().map(|s| s.oracles).max()?;
    let mut cells = vec![format!("oracles (mean ± sd of {n})"), UNDEFINED.to_owned(), UNDEFINED.to_owned()];
    cells.extend(bands.iter().map(|b| b.map_or_else(|| UNDEFINED.to_owned(), |s| spread(s.oracle_mean, s.oracle_sd, &s.unit))));
    cells.push(UNDEFINED.to_owned());
    Some(cells)
}

/// A Markdown table, padded so that its columns align in a fixed-width font; all but the first `words` columns to the right.
pub fn table(heading: &[String], rows: &[Vec<String>], words: usize) -> String {
    let heading: Vec<String> = heading.iter().map(|h| inline(h)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|c| inline(c)).collect()).collect();
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).chain([&heading[i]]).map(|c| c.chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = widths.iter().enumerate().map(|(i, w)| {
            let cell = cells.get(i).map_or("", String::as_str);
            if i < words { format!("{cell:<w$}") } else { format!("{cell:>w$}") }
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = widths.iter().enumerate().map(|(i, w)| if i < words { "-".repeat(*w) } else { "-".repeat(w - 1) + ":" }).collect();
    let mut out = line(&heading) + &line(&rule);
    rows.iter().for_each(|r| out += &line(r));
    out
}

/// `text` on one line, with what Markdown or HTML would take for markup disarmed.
pub fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '|' | '*' | '`' | '[' | '\\' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            // Other control characters could drive a terminal.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_not_break_a_table() {
        let table = table(&["a|b".to_owned()], &[vec!["<b>\nc\u{1b}".to_owned()]], 1);
        assert_eq!(table, "| a\\|b      |\n| --------- |\n| &lt;b> c\u{fffd} |\n");
    }
}
