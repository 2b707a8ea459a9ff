//! Closed-form read-outs of features: balanced ridge regression.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::signals::Features;
use crate::error::{Error, Result};

/// Regularisations tried, as multiples of the mean diagonal of the weighted covariance.
const LAMBDAS: [f64; 5] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0];

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

/// Weighted moments of a set of rows: Σω, Σωx, Σωxxᵀ, Σωxy, with y = ±1 and weights ω that give old class and rest half each.
struct Moments {
    mean: Vec<f64>,
    covariance: Mat<f64>,
    cross: Vec<f64>,
    y_mean: f64,
}

fn moments(x: &Features, old: &[bool], rows: &[usize]) -> Moments {
    let d = x.width;
    let count_old = rows.iter().filter(|i| old[**i]).count() as f64;
    let weight = |i: usize| 0.5 / if old[i] { count_old } else { rows.len() as f64 - count_old };
    let mut mean = vec![0.0; d];
    for &i in rows {
        for (m, v) in mean.iter_mut().zip(&x.values[i * d..(i + 1) * d]) {
            *m += weight(i) * f64::from(*v);
        }
    }
    // Both classes weigh a half, so the mean of y = ±1 is 0.
    let y_mean = 0.0;
    let centred = Mat::from_fn(rows.len(), d, |r, c| (f64::from(x.values[rows[r] * d + c]) - mean[c]) * weight(rows[r]).sqrt());
    let covariance = centred.transpose() * &centred;
    let mut cross = vec![0.0; d];
    for (r, &i) in rows.iter().enumerate() {
        let y = if old[i] { 1.0 } else { -1.0 };
        let root = weight(i).sqrt();
        for (c, sum) in cross.iter_mut().enumerate() {
            *sum += centred[(r, c)] * root * (y - y_mean);
        }
    }
    Moments { mean, covariance, cross, y_mean }
}

fn solve(m: &Moments, lambda: f64) -> Result<Readout> {
    let d = m.mean.len();
    let diagonal = (0..d).map(|i| m.covariance[(i, i)]).sum::<f64>() / d as f64;
    let mut a = m.covariance.clone();
    // A layer whose features are all constant has no covariance; the floor keeps the factorisation defined and the read-out at chance.
    let ridge = (lambda * diagonal).max(1e-12);
    for i in 0..d {
        a[(i, i)] += ridge;
    }
    let cholesky =
        a.llt(Side::Lower).map_err(|e| Error::failed("ridge probe", format!("{e:?}"), "the features hold NaN or infinity: the model diverged"))?;
    let w = cholesky.solve(Mat::from_fn(d, 1, |i, _| m.cross[i]));
    let w: Vec<f64> = (0..d).map(|i| w[(i, 0)]).collect();
    let b = m.y_mean - w.iter().zip(&m.mean).map(|(w, m)| w * m).sum::<f64>();
    Ok(Readout { w, b })
}

/// Fits a balanced ridge regression of y = ±1 (old class or not) on N×D features: argmin Σω(w·x + b − y)² + λ·tr(C)/D·‖w‖².
///
/// λ is the one of [`LAMBDAS`] with the best balanced accuracy on every fifth training row, fitted on the others; the largest of equals.
/// The result is fitted on all rows.
pub fn fit(x: &Features, old: &[bool]) -> Result<Readout> {
    // Every fifth row of each class, so that both are in both parts.
    let (mut fit, mut held) = (vec![], vec![]);
    let mut seen = [0usize; 2];
    for (i, o) in old.iter().enumerate() {
        let n = &mut seen[usize::from(*o)];
        if *n % 5 == 4 {
            held.push(i)
        } else {
            fit.push(i)
        }
        *n += 1;
    }
    if seen.iter().any(|n| *n < 5) {
        return Err(Error::failed("ridge probe", format!("{} old and {} other training samples", seen[1], seen[0]), "give at least five of each"));
    }
    let part = moments(x, old, &fit);
    let mut best = (f64::NEG_INFINITY, LAMBDAS[0]);
    for lambda in LAMBDAS {
        let readout = solve(&part, lambda)?;
        let accuracy = balanced(&held, old, |i| readout.says_old(&x.values[i * x.width..(i + 1) * x.width]));
        if accuracy >= best.0 {
            best = (accuracy, lambda);
        }
    }
    let all: Vec<usize> = (0..old.len()).collect();
    solve(&moments(x, old, &all), best.1)
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
