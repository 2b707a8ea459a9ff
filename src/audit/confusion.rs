//! `confusion`: the confusion matrix of mean softmax outputs, as figures and as the picture's data.

use super::{Audit, Findings, Measured, PartName, Subject};
use crate::context::Context;
use crate::data::{ClassId, Role, Slot};
use crate::error::Result;
use crate::stats::{self, Logits};
use crate::summary::{Family, ModelOutput};

/// `mean_diagonal`: mean over classes of the mean softmax in the own slot, test images; `new_in_own_slot`: the new class's own.
#[derive(Debug)]
pub struct Confusion;

impl Audit for Confusion {
    fn name(&self) -> &'static str {
        "confusion"
    }

    fn summary(&self) -> &'static str {
        "confusion matrix of mean softmax outputs on test images"
    }

    fn source(&self) -> &'static str {
        "founding notebook, `test`: row i is the mean softmax output over the test images of class i"
    }

    fn family(&self) -> Family {
        Family::Utility
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let own: Vec<(ClassId, f64)> = by_class(subject)
            .iter()
            .filter_map(|(class, logits)| subject.me.map.slot(*class).and_then(|Slot(s)| logits.profile().get(s).map(|p| (*class, *p))))
            .collect();
        let diagonal: Vec<f64> = own.iter().map(|(_, p)| *p).collect();
        let mut out = vec![Measured::new("mean_diagonal", (!diagonal.is_empty()).then(|| stats::mean(&diagonal)), "fraction", 0.01)];
        if let Some(new) = subject.task().swap.learn {
            out.push(Measured::new("new_in_own_slot", own.iter().find(|(c, _)| *c == new).map(|(_, p)| *p), "fraction", 0.01));
        }
        Ok(out.into())
    }
}

/// Test logits of each of the model's classes, in slot order.
pub fn by_class(subject: &Subject<'_>) -> Vec<(ClassId, Logits)> {
    subject.me.map.classes().iter().map(|class| (*class, of_class(subject, *class))).collect()
}

/// Test logits of one class's images, whichever set they are in.
pub fn of_class(subject: &Subject<'_>, class: ClassId) -> Logits {
    let mut values = Vec::new();
    let mut slots = subject.me.map.len();
    for role in [Role::Retain, Role::Forget, Role::Learn] {
        let (Some(logits), Some(samples)) = (subject.me.signals.logits(role, PartName::Test), subject.data.set(role, PartName::Test)) else {
            continue;
        };
        slots = logits.slots;
        for (i, row) in logits.rows().enumerate() {
            if samples.class(i) == class {
                values.extend_from_slice(row);
            }
        }
    }
    Logits { values, slots }
}

/// What the report draws of the subject; `name` gives a class's name, `samples` old- and new-class test images are shown.
pub fn output(subject: &Subject<'_>, name: impl Fn(ClassId) -> String, samples: usize) -> ModelOutput {
    let mut classes = subject.me.map.classes().to_vec();
    let slots: Vec<String> = classes.iter().map(|c| name(*c)).collect();
    if subject.me.map.slot(subject.data.old()).is_none() {
        classes.push(subject.data.old());
    }
    let rows: Vec<Logits> = classes.iter().map(|c| of_class(subject, *c)).collect();
    let first = |role| subject.me.signals.logits(role, PartName::Test).map_or(vec![], |l: &Logits| l.softmax().into_iter().take(samples).collect());
    ModelOutput {
        model: subject.me.name.to_string(),
        kind: subject.me.kind,
        rows: classes.iter().map(|c| name(*c)).collect(),
        confusion_softmax: rows.iter().map(Logits::profile).collect(),
        confusion_argmax: rows
            .iter()
            .map(|l| {
                let mut counts = vec![0u32; slots.len()];
                l.argmax().into_iter().for_each(|k| counts[k] += 1);
                counts
            })
            .collect(),
        slots,
        old_samples: first(Role::Forget),
        new_samples: first(Role::Learn),
        exhibits: vec![],
    }
}
