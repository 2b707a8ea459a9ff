//! Oracles: models trained from scratch on retain ∪ learn, each with its own seed, that every figure is judged by.

use std::sync::Mutex;

use crate::data::{Labelled, SwapTask};
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::summary::ModelKind;
use crate::train;
use crate::unit::{Made, Order, Workshop};

/// Trains `count` oracles, `oracle-1` to `oracle-count`, several at a time: each on a share of the threads, which fills small machines
/// better than one small step at a time on all of them. Results do not depend on it.
pub fn retrained(workshop: &Workshop<'_>, task: &SwapTask, count: usize) -> Result<Vec<Made>> {
    let data = Labelled::new(task.retain_and_learn()?, &task.after);
    let threads = rayon::current_num_threads();
    let workers = threads.min(count).max(1);
    let queue = Mutex::new((1..=count).collect::<std::collections::VecDeque<_>>());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
    let work = || -> Result<Vec<(usize, Made)>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads((threads / workers).max(1))
            .build()
            .map_err(|e| Error::failed("oracles", e.to_string(), "give --threads 1"))?;
        let mut made = Vec::new();
        while let Some(i) = next() {
            made.push((i, pool.install(|| one(workshop, task, &data, i))?));
        }
        Ok(made)
    };
    let results: Vec<Result<Vec<(usize, Made)>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles
            .into_iter()
            .map(|h| h.join().unwrap_or_else(|_| Err(Error::failed("oracles", "a training thread panicked", "report this as a bug"))))
            .collect()
    });
    let mut all: Vec<(usize, Made)> = results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    all.sort_by_key(|(i, _)| *i);
    Ok(all.into_iter().map(|(_, m)| m).collect())
}

fn one(workshop: &Workshop<'_>, task: &SwapTask, data: &Labelled, i: usize) -> Result<Made> {
    let order = Order {
        name: format!("oracle-{i}"),
        kind: ModelKind::Oracle,
        made_by: "oracle",
        map: task.after.clone(),
        parameters: None,
        parents: vec![],
    };
    workshop.make(order, |ctx| {
        let fresh = Classifier::new(&workshop.config.arch, workshop.dataset.shape(), task.after.len(), ctx.seed, &ctx.device)?;
        train::fit(fresh, data, &workshop.config.train, ctx)
    })
}
