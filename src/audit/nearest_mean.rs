//! `nearest-mean`: is the old class still a cluster of its own, at every cut?

use std::collections::BTreeMap;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::{Audit, AuditData, CutFeatures, Features, Findings, Measured, PartName, Subject, linalg, shares};
use crate::context::Context;
use crate::data::ClassId;
use crate::error::Result;
use crate::summary::Family;

/// `nearest_mean_accuracy_old`, `_10pct`, `_1pct` at every cut: test images are given to the nearest class mean (Euclidean, means of training
/// activations of every class, old and new ones included; of all that are read, by default at most 1,000 of the old class and 4,000 others, of a tenth or a hundredth
/// of them, see [`shares::accuracies`]); balanced accuracy of "nearest is the old class's" against "is of the old class".
///
/// `nearest_mean_control_accuracy`: the same between the two means of labels that say nothing (see [`shares::control_labels`]), mean over [`CONTROLS`] draws, 0.5 up
/// to sampling; `nearest_mean_selectivity_old`: the accuracy less it ([`shares::selectivity`]). Not judged.
#[derive(Debug)]
pub struct NearestMean;

/// Draws of control labels whose accuracies are averaged.
const CONTROLS: u64 = 3;

impl Audit for NearestMean {
    fn name(&self) -> &'static str {
        "nearest-mean"
    }

    fn summary(&self) -> &'static str {
        "nearest-class-mean read-out of the old class at every cut: balanced accuracy from 100, 10 and 1 % of the data"
    }

    fn source(&self) -> &'static str {
        "nearest class centre (NCC) as unlearning audit: CMF, AISTATS 2026, arXiv 2604.08271"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, _ctx: &mut Context) -> Result<Findings> {
        let data = subject.data;
        let (train, test_old) = (data.feature_classes(PartName::Train), data.is_old(PartName::Test));
        let mut figures = shares::accuracies("nearest_mean_accuracy_old", data, cut, |rows, _| {
            let means = class_means(&cut.train, rows, &train);
            let nearest = nearest(&cut.test, &means.iter().map(|(_, m)| m.as_slice()).collect::<Vec<_>>());
            Ok(linalg::balanced(&test_old, |i| means[nearest[i]].0 == data.old()))
        })?;
        let control = shares::all_rows(data, cut).map(|_| control(data, cut));
        let selectivity = shares::selectivity("nearest_mean_selectivity_old", &figures, control, cut);
        figures.push(Measured::new("nearest_mean_control_accuracy", control, "fraction", 0.01).descriptive().at(&cut.name));
        figures.push(selectivity);
        Ok(figures.into())
    }
}

/// Mean accuracy on control labels: a class of `true` rows and one of the others.
fn control(data: &AuditData, cut: &CutFeatures) -> f64 {
    let labels = |part, draw| -> Vec<ClassId> {
        shares::control_labels(&data.is_old(part), part, data.seed, draw).iter().map(|l| ClassId(u16::from(*l))).collect()
    };
    let accuracy = |draw| {
        let [train, test] = [PartName::Train, PartName::Test].map(|part| labels(part, draw));
        balanced_accuracy((&cut.train, &train), (&cut.test, &test), ClassId(1))
    };
    (0..CONTROLS).map(accuracy).sum::<f64>() / CONTROLS as f64
}

/// `nearest_mean_accuracy_old` alone; none where the old class or the others are too few, or the model diverged.
pub(super) fn accuracy_old(data: &AuditData, cut: &CutFeatures) -> Option<f64> {
    shares::all_rows(data, cut)?;
    let [train, test] = [PartName::Train, PartName::Test].map(|part| data.feature_classes(part));
    Some(balanced_accuracy((&cut.train, &train), (&cut.test, &test), data.old()))
}

/// Mean over the given rows of each class that they have.
pub fn class_means(x: &Features, rows: &[usize], classes: &[ClassId]) -> Vec<(ClassId, Vec<f64>)> {
    let mut sums = BTreeMap::<ClassId, (Vec<f64>, f64)>::new();
    for &i in rows {
        let (sum, n) = sums.entry(classes[i]).or_insert_with(|| (vec![0.0; x.width], 0.0));
        sum.iter_mut().zip(x.row(i)).for_each(|(s, v)| *s += f64::from(*v));
        *n += 1.0;
    }
    sums.into_iter().map(|(c, (sum, n))| (c, sum.into_iter().map(|s| s / n).collect())).collect()
}

/// Row by row of `x`: index of the nearest of the points, which must not be empty; the first of equals.
///
/// ‖x − p‖² is least where x·(p − c) − ½(‖p‖² − ‖c‖²) is largest, whatever c; with the points' centre for it the products are small numbers
/// that f32 holds well.
fn nearest(x: &Features, points: &[&[f64]]) -> Vec<usize> {
    let d = x.width;
    let centre: Vec<f64> = (0..d).map(|c| points.iter().map(|p| p[c]).sum::<f64>() / points.len() as f64).collect();
    let from_centre = Mat::from_fn(d, points.len(), |c, k| (points[k][c] - centre[c]) as f32);
    // ½(‖p‖² − ‖c‖²) = (p − c)·(p + c)/2
    let offsets: Vec<f32> = points.iter().map(|p| (p.iter().zip(&centre).map(|(p, c)| (p - c) * (p + c)).sum::<f64>() / 2.0) as f32).collect();
    let mut products = Mat::<f32>::zeros(x.len(), points.len());
    let rows = MatRef::from_row_major_slice(&x.values, x.len(), d);
    matmul(products.as_mut(), Accum::Replace, rows, from_centre.as_ref(), 1.0, Par::Seq);
    let better = |i: usize, best: usize, k: usize| products[(i, k)] - offsets[k] > products[(i, best)] - offsets[best];
    (0..x.len()).map(|i| (1..points.len()).fold(0, |best, k| if better(i, best, k) { k } else { best })).collect()
}

/// Balanced accuracy of "the nearest of the training rows' class means is `old`'s" against "is of class `old`" on the test rows; each N×D features
/// with the N rows' classes.
pub(super) fn balanced_accuracy((train, of_train): (&Features, &[ClassId]), (test, of_test): (&Features, &[ClassId]), old: ClassId) -> f64 {
    let is_old: Vec<bool> = of_test.iter().map(|c| *c == old).collect();
    let means = class_means(train, &(0..of_train.len()).collect::<Vec<_>>(), of_train);
    let nearest = nearest(test, &means.iter().map(|(_, m)| m.as_slice()).collect::<Vec<_>>());
    linalg::balanced(&is_old, |i| means[nearest[i]].0 == old)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nearest_is_least_distance(values in prop::collection::vec(-5.0f32..5.0, 30), points in prop::collection::vec(-5.0f64..5.0, 12)) {
            let x = Features { values, width: 3 };
            let points: Vec<&[f64]> = points.chunks_exact(3).collect();
            for (row, found) in x.values.chunks_exact(3).zip(nearest(&x, &points)) {
                let distance = |p: &[f64]| row.iter().zip(p).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
                let least = points.iter().map(|p| distance(p)).fold(f64::INFINITY, f64::min);
                prop_assert!(distance(points[found]) <= least + 1e-4);
            }
        }
    }
}
