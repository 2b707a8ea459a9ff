//! How the old class should look, by what the original shows of classes it never saw: beside what the models show of the old one.

use super::models::{Model, Models};
use super::text::{UNDEFINED, bare, escape, gap, humanise, spread};
use super::verdict::breakable;
use super::{markdown as md, text};
use crate::audit::never_seen::{AT_CUTS, CLASSES, EXPECTED, EXPECTED_SD, MEAN, MEAN_SD, NAME, OTHERS};
use crate::summary::{ModelKind, Score, Summary};

/// A figure with its estimate.
struct Row<'a> {
    audit: &'static str,
    metric: &'static str,
    cut: Option<&'a str>,
    unit: &'a str,
    expected: (Option<f64>, Option<f64>),
    uncorrected: (Option<f64>, Option<f64>),
}

/// The original's estimate of a figure of an audit at a cut, and its deviation.
pub fn estimate(models: &Models, metric: &str, cut: Option<&str>) -> (Option<f64>, Option<f64>) {
    pair(models, [EXPECTED, EXPECTED_SD], metric, cut)
}

fn pair(models: &Models, [mean, sd]: [&str; 2], metric: &str, cut: Option<&str>) -> (Option<f64>, Option<f64>) {
    let value = |prefix: &str| {
        let original = models.of_kind(ModelKind::Original).next()?;
        models.score(original.name, NAME, &format!("{prefix}{metric}"), cut)?.value
    };
    (value(mean), value(sd))
}

/// The figures that have an estimate, in order of depth.
fn rows<'a>(summary: &'a Summary, models: &Models) -> Vec<Row<'a>> {
    let audits = AT_CUTS.iter().map(|(audit, metric)| (*audit, *metric)).chain(OTHERS.iter().map(|(audit, metric, ..)| (*audit, *metric)));
    let of = |(audit, metric): (&'static str, &'static str)| {
        let name = format!("{EXPECTED}{metric}");
        let here = summary.scores.scores.iter().filter(move |s| s.audit == NAME && s.metric == name && s.value.is_some());
        here.map(move |s| {
            let cut = s.cut.as_deref();
            let expected = estimate(models, metric, cut);
            Row { audit, metric, cut, unit: &s.unit, expected, uncorrected: pair(models, [MEAN, MEAN_SD], metric, cut) }
        })
    };
    audits.flat_map(of).collect()
}

/// How many classes the original never saw; none where there is no original.
fn classes(models: &Models) -> Option<f64> {
    let original = models.of_kind(ModelKind::Original).next()?;
    models.score(original.name, NAME, CLASSES, None)?.value
}

/// What the table says and how far to trust it, as plain text; for those who have no estimate, why.
fn about(summary: &Summary, models: &Models) -> Option<String> {
    let old = &summary.scores.task.forget_name;
    Some(match classes(models)? as usize {
        0 => format!("The original saw every class of {}: none is left to show how a class looks that it never saw.", summary.scores.task.dataset),
        n => format!(
            "{} of the data set that the original was not trained on {} how “{old}” should look once it is forgotten: “expected”, ± how far off one class is; at the cuts \
             it is what the original shows of “{old}” at the first cut and what it gains from there of these classes. An estimate: it misses oracles by more than they \
             differ among themselves, so that no verdict follows from it. In brackets: the gap to what is expected.",
            if n == 1 { "One class".to_owned() } else { format!("{n} classes") },
            if n == 1 { "says, without any oracle," } else { "say, without any oracle," },
        ),
    })
}

/// Heading and cells of the table, as plain text.
fn cells(summary: &Summary, models: &Models) -> (Vec<String>, Vec<Vec<String>>) {
    let rows = rows(summary, models);
    let shown: Vec<&Model> = models.of_kind(ModelKind::Original).chain(models.judged()).collect();
    let oracles = models.of_kind(ModelKind::Oracle).next().is_some();
    let mut heading = vec!["figure".to_owned(), "expected".to_owned(), "never seen, mean".to_owned()];
    heading.extend(oracles.then(|| "oracles".to_owned()));
    heading.extend(shown.iter().map(|m| m.name.to_owned()));
    let cells = rows.iter().map(|row| {
        let score = |m: &Model| models.score(m.name, row.audit, row.metric, row.cut);
        let at = row.cut.map(|c| format!(", {c}")).unwrap_or_default();
        let mut cells = vec![format!("{}{at}, {}", humanise(row.metric), text::unit(row.unit))];
        cells.push(spread(row.expected.0, row.expected.1, row.unit));
        cells.push(spread(row.uncorrected.0, row.uncorrected.1, row.unit));
        if oracles {
            let band = models.oracle_band(row.audit, row.metric, row.cut);
            cells.push(band.map_or(UNDEFINED.to_owned(), |s: &Score| spread(s.oracle_mean, s.oracle_sd, &s.unit)));
        }
        cells.extend(shown.iter().map(|m| match score(m).and_then(|s| s.value) {
            Some(v) => format!("{} ({})", bare(Some(v), row.unit), gap(row.expected.0.map(|e| v - e), row.unit, Some(v))),
            None => UNDEFINED.to_owned(),
        }));
        cells
    });
    (heading, cells.collect())
}

/// The section; nothing where there is no original.
pub fn html(summary: &Summary, models: &Models) -> String {
    let Some(about) = about(summary, models) else { return String::new() };
    let (heading, rows) = cells(summary, models);
    let table = if rows.is_empty() {
        String::new()
    } else {
        let head: String = heading.iter().map(|h| format!("<th scope=\"col\">{}</th>", breakable(h))).collect();
        let row = |cells: &Vec<String>| {
            let (first, rest) = cells.split_first().map_or(("", &[][..]), |(f, r)| (f.as_str(), r));
            let rest: String = rest.iter().map(|c| format!("<td class=\"num\">{}</td>", escape(c))).collect();
            format!("<tr><th scope=\"row\">{}</th>{rest}</tr>\n", escape(first))
        };
        let body: String = rows.iter().map(row).collect();
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Classes never seen\"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
        )
    };
    // Beside oracles it is a curiosity, without them the only yardstick.
    let inner = format!("<p>{}</p>\n{table}", escape(&about));
    let inner = match models.of_kind(ModelKind::Oracle).next() {
        Some(_) => format!(
            "<details><summary>Beside the oracles <span class=\"tally\">{}</span></summary>{inner}</details>",
            text::count(rows.len(), "figure")
        ),
        None => inner,
    };
    format!("<section id=\"never-seen\"><h2>Classes the original never saw</h2>\n{inner}</section>\n")
}

/// The same for runs without oracles; with them the report page has it.
pub fn markdown(summary: &Summary, models: &Models) -> String {
    if models.of_kind(ModelKind::Oracle).next().is_some() {
        return String::new();
    }
    let Some(about) = about(summary, models) else { return String::new() };
    let (heading, rows) = cells(summary, models);
    let table = if rows.is_empty() { String::new() } else { format!("\n{}", md::table(&heading, &rows, 1)) };
    format!("\n{}\n{table}", md::inline(&about))
}
