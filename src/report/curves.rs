//! Training curves: accuracy and loss by epoch, models trained from scratch apart from methods, whose epochs are fewer and mean something else.

use super::models::{Model, Models};
use super::svg::{Plot, fractions, range};
use super::text::{count, escape, figure, significant};
use crate::summary::{Curve, EpochRow, ModelKind, Summary};

/// A figure of an epoch.
type Value = fn(&EpochRow) -> Option<f64>;

/// The plots, and every epoch's row folded beneath them.
pub fn html(summary: &Summary, models: &Models) -> String {
    let curves: Vec<(&Model, &Curve)> =
        models.all().filter_map(|m| summary.curves.iter().find(|c| c.model == m.name && !c.rows.is_empty()).map(|c| (m, c))).collect();
    if curves.is_empty() {
        return String::new();
    }
    let scratch = |m: &Model| matches!(m.kind, ModelKind::Original | ModelKind::Oracle);
    let (from_scratch, methods): (Vec<_>, Vec<_>) = curves.iter().copied().partition(|(m, _)| scratch(m));
    let mut figures = String::new();
    for (group, who) in [(&from_scratch, "trained from scratch"), (&methods, "methods")] {
        figures += &plot(group, "Accuracy", who, true, |r| Some(r.accuracy));
        figures += &plot(group, "Loss", who, false, |r| Some(r.loss));
        figures += &plot(group, "Hiding while training", who, false, |r| r.hiding);
    }
    format!(
        "<section id=\"curves\"><h2>Training</h2>\n<p>By epoch, on training batches. Every oracle is a thin grey line.</p>\n<div class=\"plots\">{figures}</div>\n{}</section>\n",
        rows(&curves)
    )
}

fn plot(group: &[(&Model, &Curve)], title: &str, who: &str, percent: bool, value: Value) -> String {
    let defined = |c: &Curve| c.rows.iter().filter_map(value).any(f64::is_finite);
    let group: Vec<_> = group.iter().filter(|(_, c)| defined(c)).collect();
    if group.is_empty() {
        return String::new();
    }
    let last = group.iter().flat_map(|(_, c)| &c.rows).map(|r| r.epoch + 1).max().unwrap_or(1) as f64;
    let values = range(group.iter().flat_map(|(_, c)| c.rows.iter().filter_map(value)));
    let y_range = if percent { fractions(values) } else { values };
    let mut plot = Plot::new((1.0, last.max(2.0)), y_range, 250.0, 44.0);
    plot.y_axis(percent);
    plot.x_numbers("epoch");
    let mut named_oracle = false;
    for (model, curve) in group.iter().rev() {
        let points: Vec<(f64, Option<f64>)> = curve.rows.iter().map(|r| ((r.epoch + 1) as f64, value(r))).collect();
        if model.kind == ModelKind::Oracle {
            let label = if named_oracle { None } else { Some("oracles") };
            named_oracle = true;
            plot.line(&points, &model.class, None, label);
        } else {
            // Markers on many epochs would blur into a thick line.
            let shape = if points.len() > 24 { None } else { Some(model.marker) };
            plot.line(&points, &model.class, shape, Some(model.name));
        }
    }
    let names: Vec<&str> = group.iter().map(|(m, _)| m.name).collect();
    let svg = plot.finish(&format!("{title} by epoch, {who}: {}", names.join(", ")));
    let unit = if percent { "%, higher is better" } else { "lower is better" };
    format!("<figure>{svg}<figcaption><strong>{title}, {who}</strong> <small>{unit}</small></figcaption></figure>\n")
}

/// The epoch table of the training log.
fn rows(curves: &[(&Model, &Curve)]) -> String {
    let hiding = curves.iter().any(|(_, c)| c.rows.iter().any(|r| r.hiding.is_some()));
    let number = |v: f64| format!("<td class=\"num\">{}</td>", significant(v));
    let mut body = String::new();
    for (model, curve) in curves {
        for row in &curve.rows {
            let hidden = if hiding { format!("<td class=\"num\">{}</td>", figure(row.hiding, "")) } else { String::new() };
            body += &format!(
                "<tr><th scope=\"row\">{}</th><td class=\"num\">{}</td><td class=\"num\">{}</td>{}{}{}{}{}{hidden}</tr>\n",
                escape(model.name),
                row.epoch + 1,
                figure(Some(row.accuracy), "fraction"),
                number(row.confidence),
                number(row.loss),
                number(row.l_var),
                number(row.l_min),
                number(row.l_max)
            );
        }
    }
    let hiding = if hiding { "<th scope=\"col\">Hiding</th>" } else { "" };
    let epochs: usize = curves.iter().map(|(_, c)| c.rows.len()).sum();
    format!(
        "<details><summary>Every epoch <span class=\"tally\">{}</span></summary>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Every epoch\">\
         <table><thead><tr><th scope=\"col\">Model</th><th scope=\"col\">Epoch</th><th scope=\"col\">Accuracy<small>higher is better</small></th>\
         <th scope=\"col\">Confidence<small>variance of log-softmax</small></th><th scope=\"col\">Loss<small>mean, lower is better</small></th>\
         <th scope=\"col\">l_var<small>variance of batch losses</small></th><th scope=\"col\">l_min<small>smallest</small></th>\
         <th scope=\"col\">l_max<small>largest</small></th>{hiding}</tr></thead>\n<tbody>{body}</tbody></table></div></details>\n",
        count(epochs, "row")
    )
}
