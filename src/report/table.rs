//! Every score of the run: a table an audit, a row a figure, a column a model.

use super::headline::{cell, direction_of};
use super::models::Models;
use super::text::{AT_LEAST, UNDEFINED, bare, count, deviation, escape, humanise};
use super::verdict::breakable;
use crate::summary::{ModelKind, Score, Summary};

/// One figure, whoever it is measured on.
type Figure<'a> = (&'a str, Option<&'a str>);

/// The tables, folded: they are for looking things up.
pub fn html(summary: &Summary, models: &Models) -> String {
    let scores = &summary.scores.scores;
    let mut audits: Vec<&str> = Vec::new();
    for score in scores {
        if !audits.contains(&score.audit.as_str()) {
            audits.push(&score.audit);
        }
    }
    if audits.is_empty() {
        return String::new();
    }
    let tables: String = audits.iter().map(|audit| table(scores, models, audit)).collect();
    format!(
        "<section id=\"scores\"><h2>Every score</h2>\n<p>One table an audit. In a cell: the value, and small beneath it the gap to the oracles’ mean, with ✓ within \
         the band, ▲ above it, ▼ below it. Each oracle is compared with the other oracles.</p>\n{tables}</section>\n"
    )
}

fn table(scores: &[Score], models: &Models, audit: &str) -> String {
    let mut figures: Vec<Figure> = Vec::new();
    for score in scores.iter().filter(|s| s.audit == audit) {
        let figure = (score.metric.as_str(), score.cut.as_deref());
        if !figures.contains(&figure) {
            figures.push(figure);
        }
    }
    let columns: Vec<_> = models.all().filter(|m| scores.iter().any(|s| s.audit == audit && s.model == m.name)).collect();
    let headings: String = columns.iter().map(|m| format!("<th scope=\"col\">{}{}</th>", m.label(), kind_note(m.kind))).collect();
    let rows: String = figures
        .iter()
        .map(|(metric, cut)| {
            let about = scores.iter().find(|s| s.audit == audit && s.metric == *metric);
            let about = about.map(direction_of).unwrap_or_default();
            let at = cut.map(|c| format!(" <span class=\"cut\">at {}</span>", escape(c))).unwrap_or_default();
            let oracles = oracle_cell(models.oracle_band(audit, metric, *cut));
            let cells: String = columns.iter().map(|m| cell(models.score(m.name, audit, metric, *cut))).collect();
            format!("<tr><th scope=\"row\">{}{at}<small>{}</small></th>{oracles}{cells}</tr>\n", breakable(metric), escape(&about))
        })
        .collect();
    let reasons = reasons(scores.iter().filter(|s| s.audit == audit));
    let judged =
        |within| scores.iter().filter(|s| s.audit == audit && s.within == Some(within) && models.judged().any(|m| m.name == s.model)).count();
    let (inside, outside) = (judged(true), judged(false));
    let tally = if inside + outside > 0 { format!(", {inside} of {} within the band", inside + outside) } else { String::new() };
    format!(
        "<details class=\"audit\"><summary><strong>{}</strong> <span class=\"tally\">{}{tally}</span></summary>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Scores of the audit {}\"><table class=\"scores\"><thead><tr><th scope=\"col\">Figure</th>\
         <th scope=\"col\">Oracles<small>mean ± sd</small></th>{headings}</tr></thead>\n<tbody>{rows}</tbody></table></div>{reasons}</details>\n",
        escape(&humanise(audit)),
        count(figures.len(), "figure"),
        escape(audit)
    )
}

/// Why figures of `scores` are undefined, a line a reason with the figures that it holds for; nothing where none is known.
fn reasons<'a>(scores: impl Iterator<Item = &'a Score>) -> String {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for score in scores {
        let Some(why) = score.reason.as_deref() else { continue };
        match found.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, metrics)) if metrics.contains(&score.metric.as_str()) => {}
            Some((_, metrics)) => metrics.push(&score.metric),
            None => found.push((why, vec![&score.metric])),
        }
    }
    if found.is_empty() {
        return String::new();
    }
    let line = |(why, metrics): &(&str, Vec<&str>)| {
        let metrics: Vec<String> = metrics.iter().map(|m| format!("<code>{}</code>", breakable(m))).collect();
        format!("<li>{} – {}</li>", escape(why), metrics.join(", "))
    };
    format!("\n<p>Undefined:</p><ul class=\"plain\">{}</ul>", found.iter().map(line).collect::<String>())
}

fn oracle_cell(band: Option<&Score>) -> String {
    match band {
        Some(s) => {
            let sd = s.oracle_sd.map(|sd| format!("<small>± {}</small>", deviation(Some(sd), &s.unit, s.oracle_mean))).unwrap_or_default();
            let (title, sign) = match s.oracles_at_least {
                0 => (String::new(), ""),
                n => (format!(" title=\"not reached by {n} of {}: it takes this many at least\"", count(s.oracles, "oracle")), AT_LEAST),
            };
            format!("<td class=\"num ref\"{title}>{sign}{}{sd}</td>", bare(s.oracle_mean, &s.unit))
        }
        None => format!("<td class=\"num ref\"><span class=\"undefined\" title=\"undefined\">{UNDEFINED}</span></td>"),
    }
}

fn kind_note(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Control => "<small>should fail</small>",
        _ => "",
    }
}
