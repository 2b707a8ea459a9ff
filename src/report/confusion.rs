//! Confusion matrices as pictures: a row a true class, a column a slot, the mean softmax output as shade.

use super::models::Models;
use super::text::{escape, figure, shorten};
use crate::summary::{ModelOutput, Summary};

/// Up to this many slots a cell has room for its number.
const NUMBERED: usize = 12;

/// A picture for the original, one oracle and each judged model.
pub fn html(summary: &Summary, models: &Models) -> String {
    let outputs =
        models.pictured().filter_map(|m| summary.outputs.iter().find(|o| o.model == m.name && !o.confusion_softmax.is_empty()).map(|o| (m, o)));
    let pictures: String = outputs
        .map(|(model, output)| {
            let note = Some(model.note()).filter(|n| !n.is_empty()).map(|n| format!(" <small>{n}</small>")).unwrap_or_default();
            format!("<figure>{}<figcaption>{}{note}</figcaption></figure>\n", matrix(summary, output), model.label())
        })
        .collect();
    if pictures.is_empty() {
        return String::new();
    }
    let task = &summary.scores.task;
    let old = escape(&task.forget_name);
    let new = task.learn_name.as_ref().map(|n| format!(", the new one, “{}”, has taken its slot", escape(n))).unwrap_or_default();
    format!(
        "<section id=\"confusion\"><h2>Where each class goes</h2>\n<p>Mean softmax output in percent on test images: a row is a true class and sums to 100, a column is what \
         the model answers, and the darker a cell, the more. The old class, “{old}”, is the row set apart{new}. A model that never saw “{old}” spreads it over the classes \
         that look like it; one that was made to answer evenly, or always the same, gives itself away.</p>\n<div class=\"plots\">{pictures}</div></section>\n"
    )
}

fn matrix(summary: &Summary, output: &ModelOutput) -> String {
    let task = &summary.scores.task;
    let slots = output.slots.len().max(1);
    let numbered = slots <= NUMBERED;
    // Every picture is about as wide as the plots, so that one type size suits all; dozens of classes get small type and short, upright names.
    let (letter, most, angle) = if numbered { (6.6, 14, 50) } else { (4.4, 10, 90) };
    let longest = |names: &[String]| names.iter().map(|n| n.chars().count()).max().unwrap_or(0).min(most) as f64;
    let left = 14.0 + letter * longest(&output.rows).max(3.0);
    let cell = ((super::svg::WIDTH - left - 6.0) / slots as f64).min(46.0);
    let height = if numbered { cell.min(26.0) } else { cell };
    let slanted = letter * longest(&output.slots) > cell - 3.0;
    let top = if slanted { 12.0 + if numbered { 0.8 } else { 1.0 } * letter * longest(&output.slots) } else { 20.0 };
    // A baseline lies under its letters: half their height sets them amid the cell.
    let amid = if numbered { 4.0 } else { 2.4 };

    let mut body = String::new();
    for (j, slot) in output.slots.iter().enumerate() {
        let x = left + (j as f64 + 0.5) * cell + if slanted { amid } else { 0.0 };
        let class = role(task, slot);
        let text = format!("{}<title>{}</title>", escape(&shorten(slot, most)), escape(slot));
        body += &if slanted {
            format!(r#"<text class="tick{class}" x="{x:.1}" y="{:.1}" transform="rotate(-{angle} {x:.1} {:.1})">{text}</text>"#, top - 5.0, top - 5.0)
        } else {
            format!(r#"<text class="tick middle{class}" x="{x:.1}" y="{:.1}">{text}</text>"#, top - 6.0)
        };
    }
    let mut y = top;
    for (i, row) in output.confusion_softmax.iter().enumerate() {
        let name = output.rows.get(i).map_or("?", String::as_str);
        let class = role(task, name);
        if !class.is_empty() && class == " old" {
            y += 6.0;
        }
        body += &format!(
            r#"<text class="tick end{class}" x="{:.1}" y="{:.1}">{}<title>{}</title></text>"#,
            left - 6.0,
            y + height / 2.0 + amid,
            escape(&shorten(name, most)),
            escape(name)
        );
        body += &format!(r#"<rect class="cell" x="{left:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}"/>"#, slots as f64 * cell);
        for (j, value) in row.iter().take(slots).enumerate() {
            body += &shade(output, (i, j), name, *value, (left + j as f64 * cell, y, cell, height), numbered);
        }
        if class == " old" {
            body += &format!(r#"<rect class="frame" x="{left:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}"/>"#, slots as f64 * cell);
            y += 6.0;
        }
        y += height;
    }
    let description = escape(&format!(
        "Confusion matrix of {}: mean softmax output over {slots} slots for each of {} classes",
        output.model,
        output.confusion_softmax.len()
    ));
    let small = if numbered { "" } else { " small" };
    format!(
        r#"<svg class="plot heat{small}" viewBox="0 0 {:.0} {:.0}" role="img" aria-label="{description}">{body}</svg>"#,
        super::svg::WIDTH,
        y + 6.0
    )
}

/// One cell. Those that round to nothing stay empty: with dozens of classes nearly all do, and the page would be megabytes of zeros.
fn shade(
    output: &ModelOutput,
    (i, j): (usize, usize),
    name: &str,
    value: f64,
    (x, y, width, height): (f64, f64, f64, f64),
    numbered: bool,
) -> String {
    if !value.is_finite() || value < 0.005 {
        return String::new();
    }
    let slot = output.slots.get(j).map_or("?", String::as_str);
    let arg_max = output.confusion_argmax.get(i).and_then(|r| Some((r.get(j)?, r.iter().sum::<u32>())));
    let arg_max = arg_max.map(|(n, of)| format!("; arg-max {n} of {of}")).unwrap_or_default();
    let title = escape(&format!("{name} → {slot}: {}{arg_max}", figure(Some(value), "fraction")));
    let opacity = value.clamp(0.0, 1.0).powf(0.8); // lifts the small outputs, which the question is about
    let mut out = format!(
        r#"<rect class="heat" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill-opacity="{opacity:.2}"><title>{title}</title></rect>"#
    );
    if numbered {
        let contrast = if opacity > 0.5 { "on" } else { "off" };
        out += &format!(r#"<text class="value {contrast}" x="{:.1}" y="{:.1}">{:.0}</text>"#, x + width / 2.0, y + height / 2.0 + 4.0, 100.0 * value);
    }
    out
}

/// CSS class for the names that the question is about.
fn role(task: &crate::summary::TaskInfo, name: &str) -> &'static str {
    if name == task.forget_name {
        " old"
    } else if task.learn_name.as_deref() == Some(name) {
        " new"
    } else {
        ""
    }
}
