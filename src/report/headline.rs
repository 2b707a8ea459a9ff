//! The few figures that come first: which scores they are, and the table of them.
//!
//! Audits name their own metrics, so the headline picks by the words in a name; a figure that a run has not measured has no column.

use super::models::{Model, Models};
use super::text::{AT_LEAST, UNDEFINED, bare, deviation, escape, figure, gap, humanise, share, spread, unit};
use crate::summary::{Better, ModelKind, Score, Summary};

/// A figure worth a column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Its heading where there is little room.
    pub short: String,
    /// Audit it comes from.
    pub audit: String,
    /// Metric.
    pub metric: String,
    /// Cut, for figures by depth: the last one.
    pub cut: Option<String>,
    /// Unit.
    pub unit: String,
    /// Direction.
    pub better: Better,
}

/// How a column is found: words that a figure's `audit/metric` must all, must partly and must not have.
struct Wanted {
    /// Title and short title; none to use the metric's own name.
    title: Option<(&'static str, &'static str)>,
    all: &'static [&'static str],
    any: &'static [&'static str],
    none: &'static [&'static str],
    by_cut: bool,
    most: usize,
}

const WANTED: &[Wanted] = &[
    Wanted {
        title: Some(("Retain accuracy, test", "retain acc.")),
        all: &["retain", "accuracy"],
        any: &[],
        none: &["train", "probe", "relearn"],
        by_cut: false,
        most: 1,
    },
    Wanted {
        title: Some(("New-class accuracy, test", "new acc.")),
        all: &["accuracy"],
        any: &["new", "learn"],
        none: &["train", "probe", "relearn"],
        by_cut: false,
        most: 1,
    },
    // No common name fits what audits say of the old class's output, so such a column keeps its metric's own.
    Wanted {
        title: None,
        all: &[],
        any: &["old", "forget"],
        none: &["train", "probe", "relearn", "tv", "mia", "auc", "profile", "prototype", "confidence"],
        by_cut: false,
        most: 1,
    },
    Wanted {
        title: Some(("Old-class probe, last cut", "old probe, last cut")),
        all: &["old"],
        any: &["probe"],
        none: &["train"],
        by_cut: true,
        most: 1,
    },
    Wanted {
        title: Some(("Old-class nearest mean, last cut", "old nearest mean, last cut")),
        all: &["old", "nearest"],
        any: &[],
        none: &["train"],
        by_cut: true,
        most: 1,
    },
    Wanted { title: Some(("Old-class output profile, TV", "old profile TV")), all: &["tv"], any: &[], none: &["train"], by_cut: false, most: 1 },
];

impl Wanted {
    fn fits(&self, score: &Score) -> bool {
        let name = format!("{}/{}", score.audit, score.metric).to_lowercase();
        let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
        let has = |w: &&str| words.contains(w);
        score.cut.is_some() == self.by_cut
            && self.all.iter().all(has)
            && (self.any.is_empty() || self.any.iter().any(has))
            && !self.none.iter().any(has)
    }
}

/// The headline's columns for this run.
pub fn columns(summary: &Summary) -> Vec<Column> {
    let scores = &summary.scores.scores;
    let mut columns: Vec<Column> = Vec::new();
    for wanted in WANTED {
        let mut taken = 0;
        for score in scores.iter().filter(|s| wanted.fits(s)) {
            if taken == wanted.most {
                break;
            }
            if columns.iter().any(|c| c.audit == score.audit && c.metric == score.metric) {
                continue;
            }
            let last = scores.iter().rfind(|s| s.audit == score.audit && s.metric == score.metric && s.cut.is_some());
            columns.push(Column {
                title: wanted.title.map_or_else(|| sentence_case(&humanise(&score.metric)), |(title, _)| title.to_owned()),
                short: wanted.title.map_or_else(|| humanise(&score.metric), |(_, short)| short.to_owned()),
                audit: score.audit.clone(),
                metric: score.metric.clone(),
                cut: last.filter(|_| wanted.by_cut).and_then(|s| s.cut.clone()),
                unit: score.unit.clone(),
                better: score.better,
            });
            taken += 1;
        }
    }
    columns
}

impl Column {
    /// This figure of a model.
    pub fn of<'a>(&self, models: &Models<'a>, model: &str) -> Option<&'a Score> {
        models.score(model, &self.audit, &self.metric, self.cut.as_deref())
    }

    /// `retain acc. % ↑`: heading, unit and direction in Markdown, whose columns can't be wide.
    pub fn brief(&self) -> String {
        let arrow = match self.better {
            Better::Higher => "↑",
            Better::Lower => "↓",
            Better::CloserToOracle => "≈",
        };
        [&self.short, unit(&self.unit), arrow].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// `%, higher is better`: what its heading says below the name.
    pub fn direction(&self) -> String {
        direction(&self.unit, self.better)
    }
}

/// Unit and direction in words.
pub fn direction(of_unit: &str, better: Better) -> String {
    let words = match better {
        Better::CloserToOracle => better.words().to_owned(),
        _ => format!("{} is better", better.words()),
    };
    [unit(of_unit), &words].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Unit and direction of a figure, or that it is not judged.
pub fn direction_of(score: &Score) -> String {
    match score.tolerance {
        Some(_) => direction(&score.unit, score.better),
        None => [unit(&score.unit), "shown, not judged"].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(", "),
    }
}

/// A figure inside its band, above it, below it, or not judged: a sign that needs no colour, and its words.
pub fn mark(score: &Score) -> (&'static str, &'static str, &'static str) {
    match (score.within, score.gap) {
        (Some(true), _) => ("✓", "in", "within the band"),
        (Some(false), Some(gap)) if gap < 0.0 => ("▼", "out", "below the band"),
        (Some(false), Some(_)) => ("▲", "out", "above the band"),
        (Some(false), None) => ("✗", "out", "outside the band"),
        (None, _) => ("", "", "not judged"),
    }
}

/// A table cell: the value, and small beneath it the gap to the oracles' mean with its mark.
pub fn cell(score: Option<&Score>) -> String {
    let Some(score) = score else {
        return r#"<td class="num"><span class="undefined" title="not measured"></span></td>"#.to_owned();
    };
    let value = match bare(score.value, &score.unit) {
        dash if dash == UNDEFINED => {
            let why = score.reason.as_deref().map_or("undefined".into(), |why| format!("undefined: {}", escape(why)));
            format!(r#"<span class="undefined" title="{why}">{UNDEFINED}</span>"#)
        }
        value if score.at_least => format!(r#"<span title="not reached: it takes this many at least">{AT_LEAST}{value}</span>"#),
        value => value,
    };
    let (sign, class, words) = mark(score);
    if score.oracle_mean.is_none() || score.gap.is_none() {
        return format!(r#"<td class="num">{value}</td>"#);
    }
    let z = score.z.filter(|z| z.is_finite()).map(|z| format!(", z {}", super::text::significant(z))).unwrap_or_default();
    let title = format!(
        "{}: {} {words}; oracles {}, gap {}{z}, tolerance {}",
        score.model,
        figure(score.value, &score.unit),
        spread(score.oracle_mean, score.oracle_sd, &score.unit),
        gap(score.gap, &score.unit, score.value),
        bare(score.tolerance, &score.unit)
    );
    let sign = if sign.is_empty() { String::new() } else { format!(r#" <span class="{class}" role="img" aria-label="{words}">{sign}</span>"#) };
    format!(r#"<td class="num" title="{}">{value}<small>{}{sign}</small></td>"#, escape(&title), gap(score.gap, &score.unit, score.value))
}

/// The headline table.
pub fn html(summary: &Summary, models: &Models) -> String {
    let columns = columns(summary);
    if columns.is_empty() && models.judged().next().is_none() {
        return String::new();
    }
    let headings: String =
        columns.iter().map(|c| format!("<th scope=\"col\">{}<small>{}</small></th>", escape(&c.title), escape(&c.direction()))).collect();
    let row = |model: &Model| {
        let cells: String = columns.iter().map(|c| cell(c.of(models, model.name))).collect();
        let note = Some(model.note()).filter(|n| !n.is_empty()).map(|n| format!("<small>{n}</small>")).unwrap_or_default();
        format!("<tr><th scope=\"row\">{}{note}</th>{cells}{}{}</tr>", model.label(), cost_cell(summary, model.name), within_cell(models, model.name))
    };
    let mut rows: String = models.of_kind(ModelKind::Original).map(row).collect();
    rows += &oracle_row(summary, models, &columns);
    rows.extend(models.judged().map(row));
    format!(
        "<section id=\"headline\"><h2>Headline figures</h2>\n\
         <p>The figure, and small beneath it the gap to the oracles’ mean: <span class=\"in\">✓</span> within the band, <span class=\"out\">▲</span> above it, \
         <span class=\"out\">▼</span> below it. Gaps of percentages are in points.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Headline figures\"><table class=\"headline\"><thead><tr><th scope=\"col\">Model</th>{headings}\
         <th scope=\"col\">Cost<small>% of one retraining, lower is better</small></th><th scope=\"col\">Within<small>figures in the band, higher is better</small></th>\
         </tr></thead>\n<tbody>{rows}</tbody></table></div></section>\n"
    )
}

fn oracle_row(summary: &Summary, models: &Models, columns: &[Column]) -> String {
    let oracles = models.of_kind(ModelKind::Oracle).count();
    let bands: Vec<_> = columns.iter().map(|c| models.oracle_band(&c.audit, &c.metric, c.cut.as_deref())).collect();
    let n = bands.iter().flatten().map(|s| s.oracles).max().unwrap_or(oracles);
    if n == 0 {
        return String::new();
    }
    let cells: String = bands
        .iter()
        .map(|band| match band {
            Some(s) => {
                let sd = s.oracle_sd.map(|sd| format!("<small>± {}</small>", deviation(Some(sd), &s.unit, s.oracle_mean))).unwrap_or_default();
                format!("<td class=\"num\">{}{sd}</td>", bare(s.oracle_mean, &s.unit))
            }
            None => format!(r#"<td class="num"><span class="undefined" title="undefined">{UNDEFINED}</span></td>"#),
        })
        .collect();
    let key = models.of_kind(ModelKind::Oracle).next().map(Model::key).unwrap_or_default();
    let shares: Vec<f64> = models.of_kind(ModelKind::Oracle).filter_map(|m| share_of(summary, m.name)).collect();
    let cost = share((!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64));
    format!(
        "<tr class=\"oracles\"><th scope=\"row\"><span class=\"model\">{key}oracles</span><small>mean ± sd of {n}</small></th>{cells}\
         <td class=\"num\">{cost}</td><td class=\"num\"></td></tr>"
    )
}

fn cost_cell(summary: &Summary, model: &str) -> String {
    match share_of(summary, model) {
        Some(part) => format!("<td class=\"num\">{}</td>", share(Some(part))),
        None => format!(r#"<td class="num"><span class="undefined" title="undefined">{UNDEFINED}</span></td>"#),
    }
}

/// What a model cost as a share of one retraining.
pub fn share_of(summary: &Summary, model: &str) -> Option<f64> {
    summary.scores.cost.iter().find(|c| c.model == model).and_then(|c| c.share_of_retrain).filter(|s| s.is_finite())
}

fn within_cell(models: &Models, model: &str) -> String {
    match models.verdict(model).filter(|v| v.audits_total > 0) {
        Some(v) => format!("<td class=\"num\">{} of {}</td>", v.audits_within, v.audits_total),
        None => "<td class=\"num\">no verdict</td>".to_owned(),
    }
}

fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
