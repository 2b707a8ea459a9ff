//! Oracles: models trained from scratch on retain ∪ learn, each with its own seed, that every figure is judged by.

use crate::data::{Labelled, SwapTask};
use crate::error::Result;
use crate::model::Classifier;
use crate::schedule::Job;
use crate::summary::ModelKind;
use crate::train;
use crate::unit::{Made, Order, Workshop};

/// The training data of every oracle.
pub fn data(task: &SwapTask) -> Result<Labelled> {
    Ok(Labelled::new(task.retain_and_learn()?, &task.after))
}

/// As many oracles as the configuration says, to be made side by side.
pub fn jobs<'a>(workshop: &'a Workshop<'a>, task: &'a SwapTask, data: &'a Labelled) -> Vec<Job<'a, Made>> {
    (1..=workshop.config.oracles).map(|i| Box::new(move || retrained(workshop, task, data, i)) as Job<'a, Made>).collect()
}

/// Oracle number `i`, from 1.
fn retrained(workshop: &Workshop<'_>, task: &SwapTask, data: &Labelled, i: usize) -> Result<Made> {
    let order =
        Order { name: format!("oracle-{i}"), kind: ModelKind::Oracle, made_by: "oracle", map: task.after.clone(), parameters: None, parents: vec![] };
    workshop.make(order, |ctx| {
        let fresh = Classifier::new(&workshop.config.arch, workshop.dataset.shape(), task.after.len(), ctx.seed, &ctx.device)?;
        train::fit(fresh, data, &workshop.config.train, ctx)
    })
}
