//! Membership of forgotten samples, as Markdown and as a page: a row an attack, a column a model, and on the page the attacks' ROC curves.

use super::markdown::{inline, table};
use super::models::{self, Model};
use super::text::{UNDEFINED, bare, escape, spread};
use super::verdict::{breakable, look};
use super::{exhibits, guide};
use crate::summary::{ModelKind, SampleScores, Score};

/// What both forms have at their foot.
const ABOUT: &str = "In brackets the 95 % interval. An area of 50 is chance where both sides were drawn alike; what counts is the gap to the oracles, models \
                     retrained without these samples: ✓ within their band, ▲ above it, ▼ below it.";

/// The question, the warnings, and a table of the attacks with their intervals.
pub fn forgotten_samples(found: &SampleScores) -> String {
    let attacks = Attacks::of(found);
    let mut out = format!("**{}: {}**\n\n", inline(&found.dataset), question(found));
    for warning in &found.warnings {
        out += &format!("> **Warning:** {}\n\n", inline(warning));
    }
    out += &table(&attacks.heading, &attacks.rows, 1);
    for why in attacks.undefined {
        out += &format!("\n{UNDEFINED}: {}.\n", inline(why));
    }
    for line in judged_by(found) {
        out += &format!("\n{}\n", inline(&line));
    }
    out += &format!("\n{ABOUT} This is evidence, not a certificate.\n");
    out
}

/// The same as a page that needs no other file.
pub fn forgotten_samples_page(found: &SampleScores) -> String {
    let title = format!("{}: {} forgotten samples", found.dataset, found.forget_samples);
    let drawn = models::styled(found.verdict.iter().map(|v| (v.model.as_str(), v.kind)).collect());
    let sections = [header(found, &title, &drawn), guide::warnings(&found.warnings), attacks(found, &drawn), curves(found, &drawn), guide::footer()];
    super::page(&format!("{title} – unlearning report"), &sections.concat())
}

fn question(found: &SampleScores) -> String {
    format!(
        "can attacks tell {} training samples that were to be forgotten from {} unseen ones of the same classes?",
        found.forget_samples, found.unseen_samples
    )
}

/// How controls and held-out oracles fare, as plain text; nothing without verdicts.
fn judged_by(found: &SampleScores) -> impl Iterator<Item = String> {
    super::verdict::controls(&found.controls).into_iter().chain(found.calibration.as_ref().map(super::verdict::calibration))
}

/// The table: its first row are the verdicts.
struct Attacks<'a> {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Why figures are undefined, each reason once.
    undefined: Vec<&'a str>,
}

impl<'a> Attacks<'a> {
    fn of(found: &'a SampleScores) -> Self {
        let models = judged(found);
        let score = |model: &str, metric: &str| found.scores.iter().find(|s| s.model == model && s.metric == metric);
        let like = found.scores.first().map_or("", |s| s.model.as_str());
        let metrics = found.scores.iter().filter(|s| s.model == like && is_row(&s.metric)).map(|s| s.metric.as_str());
        let mut heading = vec!["attack, %".to_owned(), "oracles".to_owned()];
        heading.extend(models.iter().map(|m| (*m).to_owned()));
        let mut undefined: Vec<&str> = Vec::new();
        let mut rows = vec![[vec!["verdict".to_owned(), String::new()], models.iter().map(|m| verdict(found, m).to_owned()).collect()].concat()];
        for metric in metrics {
            let band = models.iter().find_map(|m| score(m, metric));
            let oracles = band.filter(|s| s.oracle_mean.is_some()).map_or(UNDEFINED.to_owned(), |s| spread(s.oracle_mean, s.oracle_sd, &s.unit));
            let mut row = vec![metric.to_owned(), oracles];
            for model in &models {
                let (value, low, high) = (score(model, metric), score(model, &format!("{metric}_low")), score(model, &format!("{metric}_high")));
                row.push(value.map_or(UNDEFINED.to_owned(), |v| cell(v, low, high)));
                undefined.extend(value.and_then(|v| v.reason.as_deref()).filter(|why| !undefined.contains(why)));
            }
            rows.push(row);
        }
        Self { heading, rows, undefined }
    }
}

/// Original, then the audited models.
fn judged(found: &SampleScores) -> Vec<&str> {
    let of_kind = |kind| found.verdict.iter().filter(move |v| v.kind == kind).map(|v| v.model.as_str());
    of_kind(ModelKind::Original).chain(of_kind(ModelKind::Subject)).collect()
}

/// Areas and rates have rows; their intervals stand in the cells.
fn is_row(metric: &str) -> bool {
    metric.ends_with("auc") || metric.ends_with("_fpr")
}

fn verdict<'a>(found: &'a SampleScores, model: &str) -> &'a str {
    found.verdict.iter().find(|v| v.model == model).map_or("", |v| v.verdict.as_str())
}

/// `62.0 (58.1 to 65.9) ▲`.
fn cell(score: &Score, low: Option<&Score>, high: Option<&Score>) -> String {
    let ends = low.zip(high).filter(|(l, h)| l.value.is_some() && h.value.is_some());
    let ends = ends.map(|(l, h)| format!(" ({} to {})", bare(l.value, &l.unit), bare(h.value, &h.unit))).unwrap_or_default();
    let (sign, ..) = super::headline::mark(score);
    format!("{}{ends} {sign}", bare(score.value, &score.unit)).trim_end().to_owned()
}

fn header(found: &SampleScores, title: &str, drawn: &[Model]) -> String {
    let oracles = drawn.iter().filter(|m| m.kind == ModelKind::Oracle).count();
    format!(
        "<header><p class=\"kicker\">Unlearning report: forgotten samples</p><h1>{}</h1>\n<p class=\"question\">{}</p>\n\
         <ul class=\"meta\"><li>data set <strong>{}</strong></li><li>{}</li><li>{}</li></ul></header>\n",
        escape(title),
        escape(&question(found).replacen('c', "C", 1)),
        escape(&found.dataset),
        if found.classes.len() == 1 { "1 class".to_owned() } else { format!("{} classes", found.classes.len()) },
        super::text::count(oracles, "oracle"),
    )
}

fn attacks(found: &SampleScores, drawn: &[Model]) -> String {
    let Attacks { heading, rows, undefined } = Attacks::of(found);
    let label = |name: &String| drawn.iter().find(|m| m.name == name).map_or_else(|| escape(name), Model::label);
    let heads: String = heading.iter().map(|h| format!("<th scope=\"col\">{}</th>", label(h))).collect();
    let pill = |word: &String| match word.as_str() {
        "" => "<td></td>".to_owned(),
        word => {
            let look = look(word);
            let (class, sign, word) = (look.class, look.sign, escape(word));
            format!("<td><span class=\"pill {class}\"><span aria-hidden=\"true\">{sign}</span> {word}</span></td>")
        }
    };
    let mut body = String::new();
    for (i, row) in rows.iter().enumerate() {
        let cells: String = if i == 0 {
            row[1..].iter().map(pill).collect()
        } else {
            row[1..].iter().map(|c| format!("<td class=\"num\">{}</td>", escape(c))).collect()
        };
        body += &format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", breakable(&row[0]));
    }
    let notes: String = undefined
        .iter()
        .map(|why| format!("{UNDEFINED}: {why}."))
        .chain(judged_by(found))
        .chain([ABOUT.to_owned()])
        .map(|line| format!("<p>{}</p>\n", escape(&line)))
        .collect();
    format!(
        "<section id=\"attacks\"><h2>Membership attacks</h2>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Membership attacks\"><table><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table></div>\n\
         {notes}</section>\n"
    )
}

/// The attacks' ROC curves, a plot an attack.
fn curves(found: &SampleScores, drawn: &[Model]) -> String {
    let own = |m: &Model| found.curves.iter().filter(|(name, _)| name == m.name).flat_map(|(_, exhibits)| exhibits).collect::<Vec<_>>();
    let plots = exhibits::plots(&exhibits::grouped(drawn.iter().flat_map(|m| own(m).into_iter().map(move |e| (m, e)))));
    if plots.is_empty() {
        return plots;
    }
    format!("<section id=\"curves\"><h2>ROC curves</h2>\n<p>Every oracle is a thin grey line.</p>\n{plots}</section>\n")
}
