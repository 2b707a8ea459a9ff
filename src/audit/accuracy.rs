//! `accuracy`: retain, new and old class, train and test.

use super::{Audit, Findings, Measured, PartName, Subject};
use crate::context::Context;
use crate::data::{Role, Slot};
use crate::error::Result;
use crate::stats;
use crate::summary::Family;

/// Accuracies in fractions. `retain_*`: share of retain samples answered with their slot. `new_*`: share of learn samples answered with
/// the new class's slot. `old_in_old_slot_*`: share of old-class samples answered with the slot that the old class had: its accuracy in the
/// original; after a swap, how many old-class samples are taken for the new class. `test_mean_over_classes`: the notebook's test accuracy;
/// of swaps made at once it leaves out the other swaps' new classes.
#[derive(Debug)]
pub struct Accuracy;

/// One point, DESIGN's tolerance for accuracies.
const TOLERANCE: f64 = 0.01;

impl Audit for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn summary(&self) -> &'static str {
        "retain, new-class and old-class accuracy on training and test images"
    }

    fn source(&self) -> &'static str {
        "arg-max accuracy; test_mean_over_classes as in the founding notebook"
    }

    fn family(&self) -> Family {
        Family::Utility
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let mut out = Vec::new();
        let count = |role, part| subject.data.set(role, part).map_or(0, |samples| samples.len());
        for (part, name) in [(PartName::Train, "train"), (PartName::Test, "test")] {
            out.push(Measured::new(format!("retain_{name}"), retain(subject, part), "fraction", TOLERANCE).counted_on(count(Role::Retain, part)));
            if subject.task().learn.is_some() {
                let new = subject.new_slot().and_then(|s| share(subject, Role::Learn, part, s));
                out.push(Measured::new(format!("new_{name}"), new, "fraction", TOLERANCE).counted_on(count(Role::Learn, part)));
            }
            let old = subject.old_slot().and_then(|s| share(subject, Role::Forget, part, s));
            let old = Measured::new(format!("old_in_old_slot_{name}"), old, "fraction", TOLERANCE).counted_on(count(Role::Forget, part));
            out.push(old.showing_old_class().in_family(Family::Output));
        }
        out.push(Measured::new("test_mean_over_classes", mean_over_classes(subject), "fraction", TOLERANCE));
        Ok(out.into())
    }
}

fn share(subject: &Subject<'_>, role: Role, part: PartName, Slot(slot): Slot) -> Option<f64> {
    subject.me.signals.logits(role, part)?.share_of(slot)
}

/// Hits by class of `role`'s samples: (slot, hits, samples) for each class that has a slot.
pub fn hits(subject: &Subject<'_>, role: Role, part: PartName) -> Vec<(Slot, usize, usize)> {
    let (Some(logits), Some(samples)) = (subject.me.signals.logits(role, part), subject.data.set(role, part)) else { return vec![] };
    let mut by_slot = std::collections::BTreeMap::<Slot, (usize, usize)>::new();
    for (i, answer) in logits.argmax().into_iter().enumerate() {
        if let Some(slot) = subject.me.map.slot(samples.class(i)) {
            let entry = by_slot.entry(slot).or_default();
            entry.0 += usize::from(answer == slot.0);
            entry.1 += 1;
        }
    }
    by_slot.into_iter().map(|(s, (h, n))| (s, h, n)).collect()
}

fn retain(subject: &Subject<'_>, part: PartName) -> Option<f64> {
    let all = hits(subject, Role::Retain, part);
    let (h, n) = all.iter().fold((0, 0), |(h, n), x| (h + x.1, n + x.2));
    (n > 0).then(|| h as f64 / n as f64)
}

/// Mean over the model's classes of the per-class test accuracy.
fn mean_over_classes(subject: &Subject<'_>) -> Option<f64> {
    let rates: Vec<f64> = [Role::Retain, Role::Learn, Role::Forget]
        .into_iter()
        .flat_map(|r| hits(subject, r, PartName::Test))
        .map(|(_, h, n)| h as f64 / n as f64)
        .collect();
    (!rates.is_empty()).then(|| stats::mean(&rates))
}
