//! Membership of forgotten samples as a Markdown table: a row a figure, a column a model.

use super::markdown::{inline, table};
use super::text::{UNDEFINED, bare, spread};
use crate::summary::{ModelKind, SampleScores, Score};

/// The question, the warnings, and a table of the attacks with their intervals.
pub fn forgotten_samples(found: &SampleScores) -> String {
    let of_kind = |kind| found.verdict.iter().filter(move |v| v.kind == kind).map(|v| v.model.as_str());
    let models: Vec<&str> = of_kind(ModelKind::Original).chain(of_kind(ModelKind::Subject)).collect();
    let score = |model: &str, metric: &str| found.scores.iter().find(|s| s.model == model && s.metric == metric);
    let mut out = format!(
        "**{}: can attacks tell {} training samples that were to be forgotten from {} unseen ones of the same classes?**\n\n",
        inline(&found.dataset),
        found.forget_samples,
        found.unseen_samples
    );
    for warning in &found.warnings {
        out += &format!("> **Warning:** {}\n\n", inline(warning));
    }
    let like = found.scores.first().map_or("", |s| s.model.as_str());
    let metrics: Vec<&str> = found.scores.iter().filter(|s| s.model == like && is_row(&s.metric)).map(|s| s.metric.as_str()).collect();
    let mut heading = vec!["attack, %".to_owned(), "oracles".to_owned()];
    heading.extend(models.iter().map(|m| (*m).to_owned()));
    let mut reasons: Vec<&str> = Vec::new();
    let mut rows = vec![[vec!["verdict".to_owned(), String::new()], models.iter().map(|m| verdict(found, m)).collect()].concat()];
    for metric in metrics {
        let band = models.iter().find_map(|m| score(m, metric));
        let oracles = band.filter(|s| s.oracle_mean.is_some()).map_or(UNDEFINED.to_owned(), |s| spread(s.oracle_mean, s.oracle_sd, &s.unit));
        let mut row = vec![metric.to_owned(), oracles];
        for model in &models {
            let (value, low, high) = (score(model, metric), score(model, &format!("{metric}_low")), score(model, &format!("{metric}_high")));
            row.push(value.map_or(UNDEFINED.to_owned(), |v| cell(v, low, high)));
            if let Some(why) = value.and_then(|v| v.reason.as_deref()).filter(|why| !reasons.contains(why)) {
                reasons.push(why);
            }
        }
        rows.push(row);
    }
    out += &table(&heading, &rows, 1);
    for why in reasons {
        out += &format!("\n{UNDEFINED}: {}.\n", inline(why));
    }
    if let Some(controls) = super::verdict::controls(&found.controls) {
        out += &format!("\n{}\n", inline(&controls));
    }
    if let Some(calibration) = &found.calibration {
        out += &format!("\n{}\n", inline(&super::verdict::calibration(calibration)));
    }
    out += "\nIn brackets the 95 % interval. An area of 50 is chance where both sides were drawn alike; what counts is the gap to the oracles, models \
            retrained without these samples: ✓ within their band, ▲ above it, ▼ below it. This is evidence, not a certificate.\n";
    out
}

/// Areas and rates have rows; their intervals stand in the cells.
fn is_row(metric: &str) -> bool {
    metric.ends_with("auc") || metric.ends_with("_fpr")
}

fn verdict(found: &SampleScores, model: &str) -> String {
    found.verdict.iter().find(|v| v.model == model).map_or(String::new(), |v| v.verdict.clone())
}

/// `62.0 (58.1 to 65.9) ▲`.
fn cell(score: &Score, low: Option<&Score>, high: Option<&Score>) -> String {
    let ends = low.zip(high).filter(|(l, h)| l.value.is_some() && h.value.is_some());
    let ends = ends.map(|(l, h)| format!(" ({} to {})", bare(l.value, &l.unit), bare(h.value, &h.unit))).unwrap_or_default();
    let (sign, ..) = super::headline::mark(score);
    format!("{}{ends} {sign}", bare(score.value, &score.unit)).trim_end().to_owned()
}
