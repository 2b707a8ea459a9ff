//! Figures by depth: what is left of the old class at each cut, against the band of models that never saw it.

use super::headline::direction;
use super::models::Models;
use super::never_seen;
use super::svg::{Plot, fit, fractions, range};
use super::text::{escape, humanise};
use super::verdict::breakable;
use crate::audit::never_seen::{AT_CUTS, EXPECTED, NAME};
use crate::summary::{ModelKind, Score, Summary};

/// One plot for each figure that is measured at cuts.
pub fn html(summary: &Summary, models: &Models) -> String {
    let scores = &summary.scores.scores;
    let mut figures: Vec<(&str, &str)> = Vec::new();
    // What is expected of the old class is drawn with what is found of it; of what is undefined there is nothing to draw.
    for score in scores.iter().filter(|s| s.cut.is_some() && s.value.is_some() && s.audit != NAME) {
        let figure = (score.audit.as_str(), score.metric.as_str());
        if !figures.contains(&figure) {
            figures.push(figure);
        }
    }
    if figures.is_empty() {
        return String::new();
    }
    // First what is judged and fitted on all data; what repeats it on less, and what is not judged, can be folded out.
    let judged = |(audit, metric): &(&str, &str)| scores.iter().any(|s| s.audit == *audit && s.metric == *metric && s.tolerance.is_some());
    let (first, more): (Vec<_>, Vec<_>) = figures.into_iter().partition(|f| judged(f) && !f.1.ends_with("pct"));
    let drawn = |figures: &[(&str, &str)]| -> String { figures.iter().map(|(audit, metric)| plot(scores, models, audit, metric)).collect() };
    let plots = drawn(&first);
    let more = match more.len() {
        0 => String::new(),
        n => format!("<details><summary><strong>{n} more by depth</strong></summary>\n<div class=\"plots\">{}</div></details>\n", drawn(&more)),
    };
    let oracles = match models.of_kind(ModelKind::Oracle).next() {
        Some(_) => {
            " The grey band is where retrained models lie, as wide as the rule for ✓ makes it. A line above it holds more than a model that never saw the old class: \
             hidden, not erased (of what compares with the oracles, though, only a line below it is outside: there higher is closer to them)."
        }
        None => "",
    };
    let expected = match expects(scores) {
        true => {
            " The dotted line is what the original’s read-outs of classes it never saw let expect of a forgotten one, the tinted band how far off one class is."
        }
        false => "",
    };
    format!(
        "<section id=\"depth\"><h2>Old class by depth</h2>\n\
         <p>What a read-out finds of the old class at each cut through the model, from the first stage (left) to just before the head (right).{oracles}{expected}</p>\n\
         {}<div class=\"plots\">{plots}</div>\n{more}</section>\n",
        legend(models, !expected.is_empty())
    )
}

/// Whether the original says what to expect.
fn expects(scores: &[Score]) -> bool {
    scores.iter().any(|s| s.audit == NAME && s.cut.is_some() && s.metric.starts_with(EXPECTED) && s.value.is_some())
}

/// Line samples of all models.
fn legend(models: &Models, expects: bool) -> String {
    let mut items: Vec<String> = models.of_kind(ModelKind::Original).chain(models.judged()).map(|m| format!("<li>{}</li>", m.label())).collect();
    if let Some(oracle) = models.of_kind(ModelKind::Oracle).next() {
        items.push(format!("<li><span class=\"model\">{}oracles</span></li>", oracle.key()));
    }
    if expects {
        let key = r#"<svg class="key expected" viewBox="0 0 28 12" aria-hidden="true"><path class="line" d="M0 6H28"/></svg>"#;
        items.push(format!("<li><span class=\"model\">{key}expected of a class never seen</span></li>"));
    }
    format!("<ul class=\"legend\">{}</ul>\n", items.concat())
}

fn plot(scores: &[Score], models: &Models, audit: &str, metric: &str) -> String {
    let here: Vec<&Score> = scores.iter().filter(|s| s.audit == audit && s.metric == metric).collect();
    let mut cuts: Vec<&str> = Vec::new();
    for cut in here.iter().filter_map(|s| s.cut.as_deref()) {
        if !cuts.contains(&cut) {
            cuts.push(cut);
        }
    }
    let Some(first) = here.first() else {
        return String::new();
    };
    let percent = first.unit == "fraction";

    let mut band = Vec::new();
    let mut mean = Vec::new();
    for (x, cut) in cuts.iter().enumerate() {
        let score = models.oracle_band(audit, metric, Some(cut));
        mean.push((x as f64, score.and_then(|s| s.oracle_mean)));
        if let Some((score, mean)) = score.and_then(|s| Some((s, s.oracle_mean?))) {
            band.push((x as f64, mean - score.half_band(), mean + score.half_band()));
        }
    }
    let mut expected = Vec::new();
    let mut expected_band = Vec::new();
    if AT_CUTS.contains(&(audit, metric)) {
        for (x, cut) in cuts.iter().enumerate() {
            let (mean, sd) = never_seen::estimate(models, metric, Some(cut));
            expected.push((x as f64, mean));
            expected_band.extend(mean.zip(sd).map(|(mean, sd)| (x as f64, mean - sd, mean + sd)));
        }
    }
    // Without a band there may still be oracles' own values; nothing is drawn from those: they are in the table.
    let lines: Vec<_> = models
        .all()
        .filter(|m| m.kind != ModelKind::Oracle)
        .map(|m| {
            (
                m,
                cuts.iter()
                    .enumerate()
                    .map(|(x, cut)| (x as f64, models.score(m.name, audit, metric, Some(cut)).and_then(|s| s.value)))
                    .collect::<Vec<_>>(),
            )
        })
        .filter(|(_, points)| points.iter().any(|(_, y)| y.is_some()))
        .collect();

    let values =
        lines.iter().flat_map(|(_, p)| p.iter().filter_map(|(_, y)| *y)).chain(band.iter().chain(&expected_band).flat_map(|(_, lo, hi)| [*lo, *hi]));
    let values = values.chain(expected.iter().filter_map(|(_, y)| *y));
    let y_range = if percent { fractions(range(values)) } else { range(values) };
    let last = cuts.len().saturating_sub(1) as f64;
    let foot = if fit(&cuts) { 26.0 } else { 66.0 };
    let mut plot = Plot::new((0.0, last.max(1.0)), y_range, 240.0 + foot, foot);
    plot.y_axis(percent);
    plot.x_names(&cuts);
    plot.band(&band, "");
    plot.band(&expected_band, "expected");
    let label = if band.is_empty() { None } else { Some("oracles") };
    plot.line(&mean, "oracle", None, label);
    plot.line(&expected, "expected", None, Some("never seen"));
    for (model, points) in lines.iter().rev() {
        plot.line(points, &model.class, Some(model.marker), Some(model.name)); // reversed: the original, first of all, lies on top
    }
    let title = humanise(metric);
    let names: Vec<&str> = lines.iter().map(|(m, _)| m.name).collect();
    let description = format!("{title} by depth, over the cuts {}, for {} and the band of the oracles", cuts.join(", "), names.join(", "));
    format!(
        "<figure>{}<figcaption><strong>{}</strong> <small>{}, {}</small></figcaption></figure>\n",
        plot.finish(&description),
        breakable(&title),
        escape(audit),
        escape(&direction(&first.unit, first.better))
    )
}
