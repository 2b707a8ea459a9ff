//! `probe`: can a linear read-out still find the old class, at every cut?

use super::{Audit, CutFeatures, Findings, Measured, PartName, Subject, linalg};
use crate::context::Context;
use crate::error::Result;
use crate::summary::Family;

/// `ridge_accuracy_old` at every cut: balanced accuracy (mean of the hit rates on old-class test images and on all others; 0.5 is chance) of a ridge
/// regression fitted on training activations, old class against the rest, each weighing a half (see [`linalg::fit`]).
///
/// A model that never saw a class still tells it apart from its features; what counts is the gap to the oracles.
#[derive(Debug)]
pub struct Probe;

impl Audit for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn summary(&self) -> &'static str {
        "ridge probe of the old class at every cut, balanced accuracy"
    }

    fn source(&self) -> &'static str {
        "linear probes as in Alain & Bengio 2017, arXiv 1610.01644; as unlearning audit in ESC, CVPR 2025"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, _ctx: &mut Context) -> Result<Findings> {
        let old = |part| -> Vec<bool> { subject.data.feature_classes(part).iter().map(|c| *c == subject.data.old()).collect() };
        let readout = linalg::fit(&cut.train, &old(PartName::Train))?;
        let value = linalg::balanced_accuracy(&readout, &cut.test, &old(PartName::Test));
        Ok(vec![Measured::new("ridge_accuracy_old", Some(value), "fraction", 0.01).showing_old_class().at(&cut.name)].into())
    }
}
