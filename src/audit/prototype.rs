//! `prototype`: how far a handful of old-class samples brings the class back, without any training.

use rand::seq::index;

use super::nearest_mean::class_means;
use super::{Audit, CutFeatures, Findings, Measured, PartName, Subject};
use crate::context::Context;
use crate::data::ClassId;
use crate::error::Result;
use crate::rng;
use crate::summary::Family;

/// Before the head: the mean feature of k old-class training samples becomes a row beside the other classes' rows;
/// `prototype_accuracy_old_k1`, `_k10`: share of old-class test images that this row wins, mean over [`DRAWS`] draws of the samples (the same for
/// every model).
///
/// The other rows are the class means of training features, not the model's own: heads differ in scale and bias, and may be masked, so that no
/// scale of the new row would suit all of them. All rows are compared by cosine, from the middle of the other classes' means: features behind
/// a ReLU otherwise all point the same way. A class mean of few samples is a worse one, alike for every model. Undefined with fewer than k
/// old-class training samples or without other classes.
#[derive(Debug)]
pub struct Prototype;

/// Draws of the prototype's samples.
const DRAWS: u64 = 20;
/// Samples in a prototype.
const SAMPLES: [usize; 2] = [1, 10];
/// Two points: four images of a class with 200 of them.
const TOLERANCE: f64 = 0.02;

impl Audit for Prototype {
    fn name(&self) -> &'static str {
        "prototype"
    }

    fn summary(&self) -> &'static str {
        "prototypical relearning: old-class accuracy of a row made of 1 or 10 old-class samples, before the head"
    }

    fn source(&self) -> &'static str {
        "prototypical relearning attack: Spotter, ICML 2026; rows from samples: Snell et al. 2017, Qi et al. 2018"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, _ctx: &mut Context) -> Result<Findings> {
        if cut.index + 1 != subject.me.signals.cut_count() {
            return Ok(Findings::default());
        }
        let data = subject.data;
        let rows = Rows::of(cut, &data.feature_classes(PartName::Train), &data.feature_classes(PartName::Test), data.old());
        let figure = |k: usize| {
            let value = if cut.is_finite() { rows.accuracy(cut, k, data.seed) } else { Some(f64::NAN) };
            Measured::new(format!("prototype_accuracy_old_k{k}"), value, "fraction", TOLERANCE).showing_old_class()
        };
        Ok(SAMPLES.map(figure).to_vec().into())
    }
}

/// What does not change from draw to draw.
struct Rows {
    /// Middle of the other classes' means.
    middle: Vec<f64>,
    /// Old-class training rows.
    old: Vec<usize>,
    /// Old-class test rows from the middle, and the largest cosine of each with another class's mean.
    tests: Vec<(Vec<f64>, f64)>,
}

/// From the middle, at length 1; 0 stays 0.
fn direction(x: impl Iterator<Item = f64>, middle: &[f64]) -> Vec<f64> {
    let away: Vec<f64> = x.zip(middle).map(|(x, m)| x - m).collect();
    let length = away.iter().map(|v| v * v).sum::<f64>().sqrt();
    away.into_iter().map(|v| if length > 0.0 { v / length } else { 0.0 }).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Rows {
    fn of(cut: &CutFeatures, train: &[ClassId], test: &[ClassId], old: ClassId) -> Self {
        let rows = |of: &[ClassId], is_old: bool| -> Vec<usize> { (0..of.len()).filter(|i| (of[*i] == old) == is_old).collect() };
        let means = class_means(&cut.train, &rows(train, false), train);
        let middle: Vec<f64> = (0..cut.train.width).map(|c| means.iter().map(|(_, m)| m[c]).sum::<f64>() / means.len().max(1) as f64).collect();
        let others: Vec<Vec<f64>> = means.iter().map(|(_, m)| direction(m.iter().copied(), &middle)).collect();
        let test_row = |i: usize| {
            let x = direction(cut.test.row(i).iter().map(|v| f64::from(*v)), &middle);
            let best = others.iter().map(|o| dot(&x, o)).fold(f64::NEG_INFINITY, f64::max);
            (x, best)
        };
        let tests = if others.is_empty() { vec![] } else { rows(test, true).into_iter().map(test_row).collect() };
        Self { middle, old: rows(train, true), tests }
    }

    fn accuracy(&self, cut: &CutFeatures, k: usize, seed: u64) -> Option<f64> {
        if self.old.len() < k || self.tests.is_empty() {
            return None;
        }
        let won = |draw| {
            let mut rng = rng::stream(seed, "prototype", draw);
            let drawn: Vec<&[f32]> = index::sample(&mut rng, self.old.len(), k).into_iter().map(|i| cut.train.row(self.old[i])).collect();
            let mean = (0..cut.train.width).map(|c| drawn.iter().map(|x| f64::from(x[c])).sum::<f64>() / k as f64);
            let row = direction(mean, &self.middle);
            self.tests.iter().filter(|(x, best)| dot(x, &row) > *best).count()
        };
        let wins: usize = (0..DRAWS).map(won).sum();
        Some(wins as f64 / (DRAWS as usize * self.tests.len()) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Features;

    /// Classes 0 and 1 to the east and north of the middle, the old class 2 to the south-west: at `at`, or where class 0 is.
    fn cut(apart: bool) -> (CutFeatures, Vec<ClassId>) {
        let at = if apart { [-10.0f32, -10.0] } else { [10.0, 0.0] };
        let points = [[10.0f32, 0.0], [0.0, 10.0], at];
        let classes: Vec<ClassId> = (0..36).map(|i| ClassId(i % 3)).collect();
        let values: Vec<f32> = classes.iter().enumerate().flat_map(|(i, c)| points[c.0 as usize].map(|v| v + 0.01 * (i as f32).sin())).collect();
        let features = Features { values, width: 2 };
        (CutFeatures { index: 0, name: "fc".into(), train: features.clone(), test: features }, classes)
    }

    #[test]
    fn a_class_apart_comes_back_and_one_inside_another_does_not() {
        for (apart, expected) in [(true, 1.0), (false, 0.5)] {
            let (cut, classes) = cut(apart);
            let rows = Rows::of(&cut, &classes, &classes, ClassId(2));
            for k in SAMPLES {
                let accuracy = rows.accuracy(&cut, k, 7).expect("defined");
                assert!(if apart { accuracy == expected } else { accuracy < 0.9 }, "{apart} {k}: {accuracy}");
            }
            assert_eq!(rows.accuracy(&cut, 13, 7), None, "there are twelve old-class samples");
        }
    }

    #[test]
    fn a_worked_case() {
        // Middle (5, 5) of class means (10, 0) and (0, 10); the one old sample at (5, 8) points north, its test images north-north-east and west:
        // cosines with north .98 and 0, with class 1 (north-west, (−1, 1)/√2) .57 and .71, so one of two is won.
        let train = Features { values: vec![10.0, 0.0, 0.0, 10.0, 5.0, 8.0], width: 2 };
        let test = Features { values: vec![6.0, 10.0, 4.0, 5.0], width: 2 };
        let cut = CutFeatures { index: 0, name: "fc".into(), train, test };
        let rows = Rows::of(&cut, &[ClassId(0), ClassId(1), ClassId(2)], &[ClassId(2), ClassId(2)], ClassId(2));
        assert_eq!(rows.accuracy(&cut, 1, 0), Some(0.5));
    }
}
