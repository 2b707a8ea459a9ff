//! Several runs side by side: a row a judged model of each run.

use super::guide;
use super::headline::{columns, share_of};
use super::markdown::{COST, SIGNS, cell, table, verdict_cells};
use super::models::Models;
use super::text::{UNDEFINED, share};
use crate::summary::{ModelKind, Summary};

/// A Markdown table of `runs`, each with the name it goes by. Columns are the union of the runs' headlines, a figure that a run lacks is a dash.
pub fn compare(runs: &[(String, Summary)]) -> String {
    let headings = union(runs);
    let mut heading: Vec<String> = ["run", "model", "task", "verdict", "within"].map(str::to_owned).to_vec();
    heading.extend(headings.iter().cloned());
    heading.push(COST.to_owned());

    let mut rows = Vec::new();
    let mut warnings = String::new();
    for (run, summary) in runs {
        let models = Models::of(summary);
        let columns = columns(summary);
        for model in models.judged() {
            let name = if model.kind == ModelKind::Control { format!("{} (negative control)", model.name) } else { model.name.to_owned() };
            let mut cells = vec![run.clone(), name, task(summary)];
            cells.extend(verdict_cells(&models, model.name));
            for heading in &headings {
                let column = columns.iter().find(|c| c.brief() == *heading);
                cells.push(column.map_or_else(|| UNDEFINED.to_owned(), |c| cell(c.of(&models, model.name))));
            }
            cells.push(share(share_of(summary, model.name)));
            rows.push(cells);
        }
        match summary.scores.warnings.len() {
            0 => {}
            1 => warnings += &format!("Warning of {run}: its scores carry 1 warning.\n"),
            n => warnings += &format!("Warning of {run}: its scores carry {n} warnings.\n"),
        }
    }
    let mut out = table(&heading, &rows, 4);
    out += &format!("\n{SIGNS}\n");
    if !warnings.is_empty() {
        out += &format!("\n{warnings}");
    }
    out
}

/// Headings of all runs' headlines, in order of first appearance.
fn union(runs: &[(String, Summary)]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for heading in runs.iter().flat_map(|(_, s)| columns(s)).map(|c| c.brief()) {
        if !all.contains(&heading) {
            all.push(heading);
        }
    }
    all
}

/// `mnist 6 → 3`; `mnist 6 → ∅` for plain unlearning.
fn task(summary: &Summary) -> String {
    let task = &summary.scores.task;
    let swap = format!("{} {} → {}", task.dataset, task.forget_name, task.learn_name.as_deref().unwrap_or("∅"));
    [vec![swap], guide::circumstances(summary)].concat().join(", ")
}
