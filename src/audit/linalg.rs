//! Closed-form read-outs of features: balanced ridge regression.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, Par, Side};

use super::signals::Features;
use crate::error::{Error, Result};

/// Regularisations tried, as multiples of the mean diagonal of the weighted covariance.
const LAMBDAS: [f64; 4] = [1e-3, 1e-2, 1e-1, 1.0];

/// A linear read-out: old class where `w·x + b > 0`.
#[derive(Debug, Clone, PartialEq)]
pub struct Readout {
    w: Vec<f64>,
    b: f64,
}

impl Readout {
    /// Does it take feature row `x` for the old class?
    fn says_old(&self, x: &[f32]) -> bool {
        x.iter().zip(&self.w).map(|(x, w)| f64::from(*x) * w).sum::<f64>() + self.b > 0.0
    }
}

/// Sums over some rows of one class, of features shifted by a common point: n, Σx, Σxxᵀ (lower triangle).
struct Sums {
    n: f64,
    first: Vec<f64>,
    second: Mat<f64>,
}

impl Sums {
    fn of(x: &Features, rows: &[usize], shift: &[f64]) -> Self {
        let d = x.width;
        let shifted = Mat::from_fn(rows.len(), d, |r, c| f64::from(x.values[rows[r] * d + c]) - shift[c]);
        let first = (0..d).map(|c| shifted.col(c).iter().sum()).collect();
        let mut second = Mat::zeros(d, d);
        // Half the work of a full product, and Cholesky reads no more.
        triangular::matmul(
            second.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Replace,
            shifted.transpose(),
            BlockStructure::Rectangular,
            shifted.as_ref(),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
        Self { n: rows.len() as f64, first, second }
    }

    fn and(&self, other: &Self) -> Self {
        Self { n: self.n + other.n, first: self.first.iter().zip(&other.first).map(|(a, b)| a + b).collect(), second: &self.second + &other.second }
    }
}

/// Moments in which old class and rest weigh a half each: with y = ±1 its mean is 0, the mean of x is m = ½(x̄_old + x̄_rest), the covariance
/// C = ½E_old[xxᵀ] + ½E_rest[xxᵀ] − mmᵀ (lower triangle) and the cross moment E[xy] = ½(x̄_old − x̄_rest).
struct Moments {
    mean: Vec<f64>,
    covariance: Mat<f64>,
    cross: Vec<f64>,
}

impl Moments {
    fn balanced(old: &Sums, rest: &Sums) -> Self {
        let d = old.first.len();
        let pairs = || old.first.iter().zip(&rest.first).map(|(o, r)| (o / old.n, r / rest.n));
        let mean: Vec<f64> = pairs().map(|(o, r)| (o + r) / 2.0).collect();
        let cross = pairs().map(|(o, r)| (o - r) / 2.0).collect();
        let covariance = Mat::from_fn(d, d, |i, j| (old.second[(i, j)] / old.n + rest.second[(i, j)] / rest.n) / 2.0 - mean[i] * mean[j]);
        Self { mean, covariance, cross }
    }

    /// The read-out with regularisation `lambda`, for features shifted by `shift`.
    fn solve(&self, lambda: f64, shift: &[f64]) -> Result<Readout> {
        let d = self.mean.len();
        let diagonal = (0..d).map(|i| self.covariance[(i, i)]).sum::<f64>() / d as f64;
        let mut a = self.covariance.clone();
        // A layer whose features are all constant has no covariance; the floor keeps the factorisation defined and the read-out at chance.
        let ridge = (lambda * diagonal).max(1e-12);
        for i in 0..d {
            a[(i, i)] += ridge;
        }
        let cholesky = a
            .llt(Side::Lower)
            .map_err(|e| Error::failed("ridge probe", format!("{e:?}"), "the features hold NaN or infinity: the model diverged"))?;
        let w = cholesky.solve(Mat::from_fn(d, 1, |i, _| self.cross[i]));
        let w: Vec<f64> = (0..d).map(|i| w[(i, 0)]).collect();
        let b = -w.iter().zip(self.mean.iter().zip(shift)).map(|(w, (m, s))| w * (m + s)).sum::<f64>();
        Ok(Readout { w, b })
    }
}

/// Fits a balanced ridge regression of y = ±1 (old class or not) on N×D features: argmin Σω(w·x + b − y)² + λ·tr(C)/D·‖w‖².
///
/// λ is the one of [`LAMBDAS`] with the best balanced accuracy on every fifth training row, fitted on the others; the largest of equals.
/// The result is fitted on all rows.
pub fn fit(x: &Features, old: &[bool]) -> Result<Readout> {
    // Every fifth row of each class is held out, so that both classes are in both parts. Indexed by class, then by part.
    let mut rows: [[Vec<usize>; 2]; 2] = Default::default();
    let mut seen = [0usize; 2];
    for (i, o) in old.iter().enumerate() {
        let class = usize::from(*o);
        rows[class][usize::from(seen[class] % 5 == 4)].push(i);
        seen[class] += 1;
    }
    if seen.iter().any(|n| *n < 5) {
        return Err(Error::failed("ridge probe", format!("{} old and {} other training samples", seen[1], seen[0]), "give at least five of each"));
    }
    let d = x.width;
    // Near the data, so that second moments do not cancel.
    let mut shift = vec![0.0; d];
    for row in x.values.chunks_exact(d) {
        shift.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) / old.len() as f64);
    }
    let [rest, old_rows] = &rows;
    let fit = [Sums::of(x, &rest[0], &shift), Sums::of(x, &old_rows[0], &shift)];
    let held = [Sums::of(x, &rest[1], &shift), Sums::of(x, &old_rows[1], &shift)];
    let part = Moments::balanced(&fit[1], &fit[0]);
    let held_rows: Vec<usize> = rest[1].iter().chain(&old_rows[1]).copied().collect();
    let mut best = (f64::NEG_INFINITY, LAMBDAS[0]);
    for lambda in LAMBDAS {
        let readout = part.solve(lambda, &shift)?;
        let accuracy = balanced(&held_rows, old, |i| readout.says_old(&x.values[i * d..(i + 1) * d]));
        if accuracy >= best.0 {
            best = (accuracy, lambda);
        }
    }
    Moments::balanced(&fit[1].and(&held[1]), &fit[0].and(&held[0])).solve(best.1, &shift)
}

/// Balanced accuracy of `readout` on N×D features: mean of the hit rates on old-class rows and on the others; 0.5 is chance.
pub fn balanced_accuracy(readout: &Readout, x: &Features, old: &[bool]) -> f64 {
    let all: Vec<usize> = (0..old.len()).collect();
    balanced(&all, old, |i| readout.says_old(&x.values[i * x.width..(i + 1) * x.width]))
}

/// Mean of the hit rates of `says_old` on old-class `rows` and on the others.
pub fn balanced(rows: &[usize], old: &[bool], says_old: impl Fn(usize) -> bool) -> f64 {
    let (mut hits, mut counts) = ([0usize; 2], [0usize; 2]);
    for &i in rows {
        let side = usize::from(old[i]);
        counts[side] += 1;
        hits[side] += usize::from(says_old(i) == old[i]);
    }
    (0..2).map(|s| hits[s] as f64 / counts[s].max(1) as f64).sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use rand::RngExt;

    fn cloud(n: usize, shift: f32, seed: u64) -> (Features, Vec<bool>) {
        let mut rng = rng::stream(seed, "test", 0);
        let old: Vec<bool> = (0..n).map(|i| i % 4 == 0).collect();
        let values = old.iter().flat_map(|o| [rng.random_range(-1.0..1.0) + if *o { shift } else { 0.0 }, rng.random_range(-1.0f32..1.0)]).collect();
        (Features { values, width: 2 }, old)
    }

    #[test]
    fn separable_classes_are_read_and_equal_ones_are_not() {
        let (x, old) = cloud(400, 2.5, 1);
        let readout = fit(&x, &old).expect("fits");
        assert!(balanced_accuracy(&readout, &x, &old) > 0.99);
        let (x, old) = cloud(4000, 0.0, 2);
        let (test, test_old) = cloud(4000, 0.0, 3);
        let chance = balanced_accuracy(&fit(&x, &old).expect("fits"), &test, &test_old);
        // 1000 old test rows: sd of the mean of two rates ≈ √(.25/1000 + .25/3000)/2 ≈ 0.009
        assert!((chance - 0.5).abs() < 0.04, "{chance}");
    }

    #[test]
    fn ridge_of_a_worked_case() {
        // x: old at 1 and 3, rest at −1 and −3 (repeated to allow the split); weights equal; mean 0, covariance 5, cross 2.
        // With λ = 1 (relative to the covariance): w = 2/(5+5) = 0.2, b = 0.
        let xs = [1.0, 3.0, -1.0, -3.0];
        let values: Vec<f32> = xs.iter().cycle().take(40).copied().collect();
        let old: Vec<bool> = values.iter().map(|v| *v > 0.0).collect();
        let x = Features { values, width: 1 };
        let readout = fit(&x, &old).expect("fits");
        assert!((readout.w[0] - 0.2).abs() < 1e-12 && readout.b.abs() < 1e-12, "{readout:?}");
    }

    #[test]
    fn constant_features_are_at_chance() {
        let x = Features { values: vec![0.0; 40], width: 1 };
        let old: Vec<bool> = (0..40).map(|i| i % 2 == 0).collect();
        assert_eq!(balanced_accuracy(&fit(&x, &old).expect("fits"), &x, &old), 0.5);
    }
}
