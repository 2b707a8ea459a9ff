//! `confidence`: the notebook's variance over classes of log-softmax.

use super::{Audit, Findings, Measured, PartName, Subject, confusion};
use crate::context::Context;
use crate::data::Role;
use crate::error::Result;
use crate::stats;
use crate::summary::Family;

/// `test`: mean over the model's classes of the per-class mean of the variance (divisor K−1) over classes of log-softmax; `old`: the same
/// over old-class test images. Unit nats².
#[derive(Debug)]
pub struct Confidence;

/// A few percent of the values seen (6 to 13 in the notebooks).
const TOLERANCE: f64 = 0.25;

impl Audit for Confidence {
    fn name(&self) -> &'static str {
        "confidence"
    }

    fn summary(&self) -> &'static str {
        "the notebook's confidence: variance over classes of log-softmax"
    }

    fn source(&self) -> &'static str {
        "founding notebook, `test`"
    }

    fn family(&self) -> Family {
        Family::Output
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let means: Vec<f64> = confusion::by_class(subject).iter().filter_map(|(_, l)| l.confidence()).collect();
        let test = (!means.is_empty()).then(|| stats::mean(&means));
        let old = subject.me.signals.logits(Role::Forget, PartName::Test).and_then(|l| l.confidence());
        let test = Measured::new("test", test, "nats²", TOLERANCE).in_family(Family::Utility);
        Ok(vec![test, Measured::new("old", old, "nats²", TOLERANCE)].into())
    }
}
