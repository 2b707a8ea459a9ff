//! `probe`: can a linear read-out still find the old class, at every cut?

use rayon::prelude::*;

use super::{Audit, Measured, PartName, Subject, linalg};
use crate::error::Result;

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

    fn measure(&self, subject: &Subject<'_>) -> Result<Vec<Measured>> {
        let old = |part| -> Vec<bool> { subject.data.feature_classes(part).iter().map(|c| *c == subject.data.old()).collect() };
        let (train, test) = (old(PartName::Train), old(PartName::Test));
        let values: Vec<f64> = subject
            .signals
            .cuts
            .par_iter()
            .map(|cut| Ok(linalg::balanced_accuracy(&linalg::fit(&cut.train, &train)?, &cut.test, &test)))
            .collect::<Result<_>>()?;
        let cuts = subject.signals.cuts.iter().zip(values);
        Ok(cuts.map(|(cut, v)| Measured::new("ridge_accuracy_old", Some(v), "fraction", 0.01).showing_old_class().at(&cut.name)).collect())
    }
}
