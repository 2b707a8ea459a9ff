//! Read-outs from 1 %, 10 % and 100 % of the training activations: how little data still finds the old class.
//!
//! Of the training activations that are read, that is: all where [`ProbeSamples::All`] was asked for, by default, of classes with more, an even
//! spread of 1,000 old-class and 4,000 other samples ([`AuditData::new`]). All of MNIST's 54,000 take eleven times the time and room, for every
//! model and cut.
//!
//! [`ProbeSamples::All`]: super::ProbeSamples::All

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::SliceRandom;

use super::{AuditData, CutFeatures, Measured, PartName};
use crate::data::ClassId;
use crate::error::Result;
use crate::rng;

/// A share of the training activations.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// What a metric's name ends in.
    suffix: &'static str,
    /// Of all.
    share: f64,
    /// Draws whose accuracies are averaged.
    draws: u64,
    /// Gaps that do not matter: a point; from a handful of samples the mean over the draws itself is no surer than two.
    tolerance: f64,
}

const SHARES: [Share; 3] = [
    Share { suffix: "", share: 1.0, draws: 1, tolerance: 0.01 },
    Share { suffix: "_10pct", share: 0.1, draws: 2, tolerance: 0.01 },
    Share { suffix: "_1pct", share: 0.01, draws: 5, tolerance: 0.02 },
];

/// Fewest old-class samples, and fewest others, that a read-out is fitted on.
pub const FEWEST: usize = 5;

/// A random order of the training rows in which every beginning has all classes of a side in proportion, so that the subsets that are its
/// beginnings are nested and drawn by class.
#[derive(Debug)]
struct Order {
    /// Rows of the old class, and all others.
    sides: [Vec<usize>; 2],
}

impl Order {
    /// Draw number `draw`, the same for every model of a run.
    fn drawn(classes: &[ClassId], old: ClassId, seed: u64, draw: u64) -> Self {
        let mut rng = rng::stream(seed, "shares of the training activations", draw);
        let mut by_class = BTreeMap::<ClassId, Vec<usize>>::new();
        classes.iter().enumerate().for_each(|(row, class)| by_class.entry(*class).or_default().push(row));
        let mut ranked: [Vec<(f64, usize)>; 2] = Default::default();
        for (class, mut rows) in by_class {
            rows.shuffle(&mut rng);
            // Systematic sampling: the t-th of a class's n rows comes when (t + u)/n of everything has, u drawn once a class.
            let u: f64 = rng.random_range(0.0..1.0);
            let n = rows.len() as f64;
            ranked[usize::from(class != old)].extend(rows.into_iter().enumerate().map(|(t, row)| ((t as f64 + u) / n, row)));
        }
        let sides = ranked.map(|mut side| {
            side.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            side.into_iter().map(|(_, row)| row).collect()
        });
        Self { sides }
    }

    /// The first `share` of both sides, in file order; none with fewer than [`FEWEST`] of either.
    fn rows(&self, share: f64) -> Option<Vec<usize>> {
        let counts = self.sides.each_ref().map(|s| (share * s.len() as f64).round() as usize);
        if counts.iter().any(|n| *n < FEWEST) {
            return None;
        }
        let mut rows: Vec<usize> = self.sides.iter().zip(counts).flat_map(|(s, n)| s[..n].iter().copied()).collect();
        rows.sort_unstable();
        Some(rows)
    }
}

/// `NAME` (all training activations), `NAME_10pct` and `NAME_1pct` at a cut: the mean over the draws of `accuracy`, which is given the training
/// rows to fit on and the number of the draw. Undefined where a share leaves fewer than [`FEWEST`] of the old class or of the others;
/// diverged where the model's features are.
pub fn accuracies(name: &str, data: &AuditData, cut: &CutFeatures, mut accuracy: impl FnMut(&[usize], u64) -> Result<f64>) -> Result<Vec<Measured>> {
    let classes = data.feature_classes(PartName::Train);
    let most = SHARES.iter().map(|s| s.draws).max().unwrap_or(0);
    let orders: Vec<Order> = (0..most).map(|draw| Order::drawn(&classes, data.old(), data.seed, draw)).collect();
    let finite = cut.is_finite();
    let old = data.is_old(PartName::Test);
    let olds = old.iter().filter(|old| **old).count();
    let images = 2 * olds.min(old.len() - olds);
    let mut out = Vec::new();
    for Share { suffix, share, draws, tolerance } in SHARES {
        let mut sum = Some(0.0);
        for (draw, order) in (0..draws).zip(&orders) {
            let value = match order.rows(share) {
                None => None,
                Some(_) if !finite => Some(f64::NAN),
                Some(rows) => Some(accuracy(&rows, draw)?),
            };
            sum = sum.zip(value).map(|(a, b)| a + b);
        }
        let mean = sum.map(|s| s / draws as f64);
        out.push(Measured::new(format!("{name}{suffix}"), mean, "fraction", tolerance).counted_on(images).showing_old_class().at(&cut.name));
    }
    Ok(out)
}

/// `NAME`, the accuracy on all training activations less that on control labels, shown beside both: the selectivity of
/// Hewitt & Liang 2019, 0.5 at most. Their control labels are fixed by the word, so that a probe can learn them by heart and be right on words that come
/// again; images do not come again, so that labels drawn image by image are right half the time on test images, whatever a read-out's freedom to fit.
/// What it shows is chance on as many samples, and how far from 0.5 that comes out.
pub fn selectivity(name: &str, accuracies: &[Measured], control: Option<f64>, cut: &CutFeatures) -> Measured {
    let difference = accuracies.first().and_then(|all| all.value).zip(control).map(|(accuracy, control)| accuracy - control);
    Measured::new(name, difference, "fraction", 0.01).descriptive().at(&cut.name)
}

/// All training rows, where they are enough and finite to fit a read-out on.
pub fn all_rows(data: &AuditData, cut: &CutFeatures) -> Option<Vec<usize>> {
    let old = data.is_old(PartName::Train);
    let olds = old.iter().filter(|o| **o).count();
    (olds >= FEWEST && old.len() - olds >= FEWEST && cut.is_finite()).then(|| (0..old.len()).collect())
}

/// Labels that say nothing of a sample, the control task of Hewitt & Liang 2019: of the old-class rows half, drawn, are called `true`, and of
/// the others half. Weights by side leave these labels balanced, and the share of `true` is known: a read-out of them is right half the time.
pub fn control_labels(old: &[bool], part: PartName, seed: u64, draw: u64) -> Vec<bool> {
    let mut rng = rng::stream(seed, if part == PartName::Train { "control labels, train" } else { "control labels, test" }, draw);
    let mut labels = vec![false; old.len()];
    for side in [true, false] {
        let mut rows: Vec<usize> = (0..old.len()).filter(|i| old[*i] == side).collect();
        rows.shuffle(&mut rng);
        rows.iter().take(rows.len() / 2).for_each(|i| labels[*i] = true);
    }
    labels
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn subsets_are_nested_and_drawn_by_class(sizes in prop::collection::vec(1usize..300, 2..8), seed in 0u64..100) {
            let classes: Vec<ClassId> = sizes.iter().enumerate().flat_map(|(c, n)| vec![ClassId(c as u16); *n]).collect();
            let order = Order::drawn(&classes, ClassId(0), seed, 0);
            let subsets: Vec<Option<BTreeSet<usize>>> = [0.01, 0.1, 1.0].map(|s| order.rows(s).map(BTreeSet::from_iter)).to_vec();
            for pair in subsets.windows(2) {
                if let [Some(small), Some(large)] = pair {
                    prop_assert!(small.is_subset(large));
                }
            }
            if let Some(tenth) = &subsets[1] {
                let rest: usize = sizes[1..].iter().sum();
                for (c, n) in sizes.iter().enumerate().skip(1) {
                    let here = tenth.iter().filter(|i| classes[**i] == ClassId(c as u16)).count() as f64;
                    // In proportion up to a sample of the class itself and what the others' rounding takes or leaves.
                    let due = *n as f64 * (rest as f64 * 0.1).round() / rest as f64;
                    prop_assert!((here - due).abs() <= 1.0 + sizes.len() as f64 * *n as f64 / rest as f64, "{here} of {due}");
                }
            }
            let fewest = (sizes[0] as f64 * 0.01).round();
            prop_assert_eq!(subsets[0].is_some(), fewest >= 5.0 && (sizes[1..].iter().sum::<usize>() as f64 * 0.01).round() >= 5.0);
        }

        #[test]
        fn control_labels_are_halves_of_both_sides(olds in 5usize..80, rest in 5usize..80, seed in 0u64..100) {
            let old: Vec<bool> = (0..olds + rest).map(|i| i < olds).collect();
            let labels = control_labels(&old, PartName::Train, seed, 0);
            prop_assert_eq!(labels[..olds].iter().filter(|l| **l).count(), olds / 2);
            prop_assert_eq!(labels[olds..].iter().filter(|l| **l).count(), rest / 2);
            prop_assert_eq!(labels, control_labels(&old, PartName::Train, seed, 0));
        }
    }
}
