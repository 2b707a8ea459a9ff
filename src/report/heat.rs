//! Tables whose cells are shaded by their values: answers on the old class, retain classes one by one, audits against audits.

use super::models::{Model, Models};
use super::text::{UNDEFINED, bare, count, escape, gap, humanise, significant};
use crate::stats;
use crate::summary::{ModelKind, ModelOutput, Summary};

/// Up to this many classes are columns; with more, the pictures of the confusion matrices must do.
const COLUMNS: usize = 30;

/// A cell's text, how dark it is (0 to 1) and of which colour.
struct Cell {
    text: String,
    shade: f64,
    class: &'static str,
}

impl Cell {
    fn html(&self) -> String {
        let shade = if self.shade.is_finite() { (60.0 * self.shade.clamp(0.0, 1.0)).round() } else { 0.0 };
        let style = if shade > 0.0 { format!(" style=\"--v:{shade}%\"") } else { String::new() };
        format!("<td class=\"num shade {}\"{style}>{}</td>", self.class, self.text)
    }
}

fn table(label: &str, corner: &str, headings: &[String], rows: &[(String, Vec<Cell>)]) -> String {
    let head: String = headings.iter().map(|h| format!("<th scope=\"col\">{h}</th>")).collect();
    let body: String = rows
        .iter()
        .map(|(name, cells)| format!("<tr><th scope=\"row\">{name}</th>{}</tr>\n", cells.iter().map(Cell::html).collect::<String>()))
        .collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table class=\"heat\"><thead><tr><th scope=\"col\">{corner}</th>{head}</tr></thead>\n\
         <tbody>{body}</tbody></table></div>\n"
    )
}

/// The row of class `name` of a model's confusion matrix: mean softmax outputs, and arg-max counts.
fn row_of<'a>(output: &'a ModelOutput, name: &str) -> Option<(&'a [f64], &'a [u32])> {
    let i = output.rows.iter().position(|r| r == name)?;
    Some((output.confusion_softmax.get(i)?, output.confusion_argmax.get(i)?))
}

/// The models with their outputs: the original, the oracles, the judged ones.
fn shown<'a>(summary: &'a Summary, models: &'a Models<'a>) -> Vec<(&'a Model<'a>, &'a ModelOutput)> {
    let order = models.of_kind(ModelKind::Original).chain(models.of_kind(ModelKind::Oracle)).chain(models.judged());
    order.filter_map(|m| summary.outputs.iter().find(|o| o.model == m.name).map(|o| (m, o))).collect()
}

/// Mean softmax output on old-class test images, slot by slot, all models under each other.
pub fn profile(summary: &Summary, models: &Models) -> String {
    let task = &summary.scores.task;
    let after: Vec<&String> = task.names_after.iter().collect();
    let shown = shown(summary, models);
    let rows: Vec<(String, Vec<Cell>)> = shown
        .iter()
        .filter_map(|(model, output)| {
            let (row, _) = row_of(output, &task.forget_name)?;
            let cell = |slot: &&String| {
                // The old class's own slot is the new class's after the swap.
                let own = output.slots.iter().position(|s| s == *slot).or_else(|| {
                    let old = output.slots.iter().position(|s| *s == task.forget_name)?;
                    (Some(*slot) == task.learn_name.as_ref()).then_some(old)
                });
                let value = own.and_then(|i| row.get(i)).copied();
                Cell { text: bare(value, "fraction"), shade: value.unwrap_or(0.0).powf(0.7), class: "" }
            };
            Some((model.label(), after.iter().map(cell).collect()))
        })
        .collect();
    if rows.is_empty() || after.len() > COLUMNS || shown.iter().all(|(_, o)| o.slots.is_empty()) {
        return String::new();
    }
    let headings: Vec<String> = after.iter().map(|n| escape(n)).collect();
    let old = escape(&task.forget_name);
    let own = match &task.learn_name {
        Some(new) => format!(" The slot of “{}” was that of “{old}” in the original.", escape(new)),
        None => String::new(),
    };
    format!(
        "<section id=\"profile\"><h2>What “{old}” is taken for</h2>\n<p>Mean softmax output on test images of “{old}”, in percent: a row that looks like the oracles’ answers as models \
         do that never saw it.{own}</p>\n{}</section>\n",
        table("Answers on the old class", "Model", &headings, &rows)
    )
}

/// Accuracy on each retain class, beside the oracles' mean.
pub fn classes(summary: &Summary, models: &Models) -> String {
    let task = &summary.scores.task;
    let names: Vec<&String> = task.names_after.iter().filter(|n| Some(*n) != task.learn_name.as_ref()).collect();
    let accuracy = |output: &ModelOutput, name: &str| -> Option<f64> {
        let slot = output.slots.iter().position(|s| s == name)?;
        let (_, counts) = row_of(output, name)?;
        let all: u32 = counts.iter().sum();
        (all > 0).then(|| counts.get(slot).map(|n| f64::from(*n) / f64::from(all)))?
    };
    let shown = shown(summary, models);
    let means: Vec<Option<f64>> = names
        .iter()
        .map(|name| {
            let of: Vec<f64> = shown.iter().filter(|(m, _)| m.kind == ModelKind::Oracle).filter_map(|(_, o)| accuracy(o, name)).collect();
            (!of.is_empty()).then(|| stats::mean(&of))
        })
        .collect();
    if names.is_empty() || names.len() > COLUMNS || means.iter().all(Option::is_none) {
        return String::new();
    }
    let percent = |mean: &Option<f64>| Cell { text: bare(*mean, "fraction"), shade: 0.0, class: "" };
    let mut rows: Vec<(String, Vec<Cell>)> = vec![("oracles, mean".to_owned(), means.iter().map(percent).collect())];
    rows.extend(shown.iter().filter(|(m, _)| m.kind != ModelKind::Oracle).map(|(model, output)| {
        let changes: Vec<Option<f64>> = names.iter().zip(&means).map(|(name, mean)| Some(accuracy(output, name)? - (*mean)?)).collect();
        let worst = (0..changes.len())
            .filter(|i| changes[*i].is_some_and(|c| c < 0.0))
            .min_by(|a, b| changes[*a].partial_cmp(&changes[*b]).unwrap_or(std::cmp::Ordering::Equal));
        let note = worst.map(|i| format!("<small>worst: {}</small>", escape(names[i]))).unwrap_or_default();
        // Ten points are as dark as can be.
        let cell = |change: &Option<f64>| Cell {
            text: gap(*change, "fraction", None),
            shade: change.unwrap_or(0.0).abs() / 0.1,
            class: if change.is_some_and(|c| c < 0.0) { "less" } else { "more" },
        };
        (format!("{}{note}", model.label()), changes.iter().map(cell).collect())
    }));
    let headings: Vec<String> = names.iter().map(|n| escape(n)).collect();
    format!(
        "<section id=\"classes\"><h2>Retained classes one by one</h2>\n<p>Accuracy on test images of each retained class: the oracles’ mean in percent, and how many points above or below it \
         a model is. A mean over classes hides the one that suffers.</p>\n{}</section>\n",
        table("Retained classes", "Model", &headings, &rows)
    )
}

/// Kendall's τ-b between the audits.
pub fn agreement(summary: &Summary) -> String {
    let Some(agreement) = summary.scores.audit_agreement.as_ref().filter(|a| a.audits.len() > 1) else { return String::new() };
    let names: Vec<String> = agreement.audits.iter().map(|a| escape(&humanise(a))).collect();
    let rows: Vec<(String, Vec<Cell>)> = names
        .iter()
        .zip(&agreement.tau_b)
        .map(|(name, row)| {
            let cell = |tau: &Option<f64>| {
                let value = tau.filter(|t| t.is_finite());
                let text = value.map_or_else(|| UNDEFINED.to_owned(), |t| format!("{:.2}", if t.abs() < 0.005 { 0.0 } else { t }).replace('-', "−"));
                Cell { text, shade: value.unwrap_or(0.0).abs(), class: if value.is_some_and(|t| t < 0.0) { "less" } else { "more" } }
            };
            (name.clone(), row.iter().map(cell).collect())
        })
        .collect();
    // The pair that agrees least says most about what a single score would miss.
    let pairs = (0..names.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let least = pairs
        .filter_map(|(i, j)| Some((i, j, agreement.tau_b.get(i)?.get(j).copied()??)))
        .filter(|(_, _, t)| t.is_finite())
        .min_by(|a, b| a.2.total_cmp(&b.2));
    let least = least.map(|(i, j, t)| format!(" Least alike: {} and {}, {}.", names[i], names[j], significant(t))).unwrap_or_default();
    format!(
        "<section id=\"agreement\"><h2>Which audits say the same</h2>\n<p>Each audit ranks {} by the mean distance of its figures to the oracles; the number is Kendall’s τ-b between two such \
         rankings: 1 the same order, 0 none in common, −1 the reverse. Audits that agree with all others add little; one that agrees with none sees what they don’t.{least}</p>\n\
         <details><summary>Rank correlation of the audits <span class=\"tally\">{}</span></summary>\n{}</details></section>\n",
        count(agreement.models.len(), "model"),
        count(names.len(), "audit"),
        table("Rank correlation of the audits", "Audit", &names, &rows)
    )
}
