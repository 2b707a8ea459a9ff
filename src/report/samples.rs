//! Sample images of the old and the new class, with what each model answers.

use super::models::{Model, Models};
use super::text::{escape, figure};
use crate::summary::{ModelOutput, Summary};

/// Images of each class: enough to see a habit, few enough to keep the page small.
const IMAGES: usize = 4;
/// Answers shown of each model, the likeliest first.
const ANSWERS: usize = 3;

/// The images, each with a small bar chart a model.
pub fn html(summary: &Summary, models: &Models) -> String {
    let task = &summary.scores.task;
    let old = group(summary, models, &format!("Old class: “{}”", escape(&task.forget_name)), &summary.samples.old, |o| &o.old_samples);
    let new = task
        .learn_name
        .as_ref()
        .map(|n| group(summary, models, &format!("New class: “{}”", escape(n)), &summary.samples.new, |o| &o.new_samples));
    let groups = old + &new.unwrap_or_default();
    if groups.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"samples\"><h2>Image by image</h2>\n<p>Test images and the likeliest answers of each model: the original first, then one oracle, \
         then what the methods made of the original.</p>\n{groups}</section>\n"
    )
}

fn group(summary: &Summary, models: &Models, title: &str, images: &[String], answers: fn(&ModelOutput) -> &Vec<Vec<f64>>) -> String {
    let shown: String = images
        .iter()
        .take(IMAGES)
        .enumerate()
        .map(|(i, image)| {
            let charts: String = models
                .pictured()
                .filter_map(|m| {
                    let output = summary.outputs.iter().find(|o| o.model == m.name)?;
                    Some(chart(m, output, answers(output).get(i)?))
                })
                .collect();
            let alt = format!("test image {} of {}", i + 1, title.replace(['“', '”'], ""));
            format!("<div class=\"sample\"><img src=\"data:image/png;base64,{}\" alt=\"{alt}\" width=\"84\" height=\"84\"><div class=\"charts\">{charts}</div></div>\n", escape(image))
        })
        .collect();
    if shown.is_empty() { String::new() } else { format!("<h3>{title}</h3>\n{shown}") }
}

fn chart(model: &Model, output: &ModelOutput, answer: &[f64]) -> String {
    let mut order: Vec<(usize, f64)> = answer.iter().copied().enumerate().filter(|(_, p)| p.is_finite()).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable: ties stay in slot order
    let bars: String = order
        .iter()
        .take(ANSWERS)
        .map(|(slot, p)| {
            let name = escape(output.slots.get(*slot).map_or("?", String::as_str));
            let width = 100.0 * p.clamp(0.0, 1.0);
            format!(
                "<li><span class=\"slot\" title=\"{name}\">{name}</span><span class=\"track\"><span class=\"bar\" style=\"width:{width:.1}%\"></span></span>\
                 <span class=\"p\">{}</span></li>",
                figure(Some(*p), "fraction")
            )
        })
        .collect();
    format!("<div class=\"chart {}\"><p>{}</p><ol>{bars}</ol></div>", model.class, model.label())
}
