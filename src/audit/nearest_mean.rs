//! `nearest-mean`: is the old class still a cluster of its own, at every cut?

use super::{Audit, CutFeatures, Features, Findings, Measured, PartName, Subject, linalg};
use crate::context::Context;
use crate::data::ClassId;
use crate::error::Result;
use crate::summary::Family;

/// `nearest_mean_accuracy_old` at every cut: test images are given to the nearest class mean (Euclidean, means of training activations of every
/// class, old and new ones included); balanced accuracy of "nearest is the old class's" against "is of the old class".
#[derive(Debug)]
pub struct NearestMean;

impl Audit for NearestMean {
    fn name(&self) -> &'static str {
        "nearest-mean"
    }

    fn summary(&self) -> &'static str {
        "nearest-class-mean read-out of the old class at every cut, balanced accuracy"
    }

    fn source(&self) -> &'static str {
        "nearest class centre (NCC) as unlearning audit: CMF, AISTATS 2026, arXiv 2604.08271"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, _ctx: &mut Context) -> Result<Findings> {
        let classes = |part| subject.data.feature_classes(part);
        let value = balanced_accuracy((&cut.train, &classes(PartName::Train)), (&cut.test, &classes(PartName::Test)), subject.data.old());
        Ok(vec![Measured::new("nearest_mean_accuracy_old", Some(value), "fraction", 0.01).showing_old_class().at(&cut.name)].into())
    }
}

/// Balanced accuracy of "the nearest of the training rows' class means is `old`'s" against "is of class `old`" on the test rows; each N×D features
/// with the N rows' classes.
pub(super) fn balanced_accuracy((train, of_train): (&Features, &[ClassId]), (test, of_test): (&Features, &[ClassId]), old: ClassId) -> f64 {
    let is_old: Vec<bool> = of_test.iter().map(|c| *c == old).collect();
    let rows: Vec<usize> = (0..of_test.len()).collect();
    let d = train.width;
    let mut means = std::collections::BTreeMap::<ClassId, (Vec<f64>, f64)>::new();
    for (class, x) in of_train.iter().zip(train.values.chunks_exact(d)) {
        let (sum, n) = means.entry(*class).or_insert_with(|| (vec![0.0; d], 0.0));
        sum.iter_mut().zip(x).for_each(|(s, v)| *s += f64::from(*v));
        *n += 1.0;
    }
    let means: Vec<(ClassId, Vec<f64>)> = means.into_iter().map(|(c, (sum, n))| (c, sum.into_iter().map(|s| s / n).collect())).collect();
    let nearest = |x: &[f32]| -> Option<ClassId> {
        let distance = |m: &[f64]| x.iter().zip(m).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
        means.iter().map(|(c, m)| (distance(m), *c)).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, c)| c)
    };
    linalg::balanced(&rows, &is_old, |i| nearest(test.row(i)) == Some(old))
}
