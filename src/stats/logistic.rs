//! Logistic regression on standardised features, both sides weighing a half: the attacker that combines several signals.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

/// Inverse strength of the L2 penalty, scikit-learn's `C`; its default, on standardised features the usual choice.
const C: f64 = 1.0;
/// Newton steps; a dozen do for anything that converges.
const MOST_STEPS: usize = 100;
/// Largest entry of the gradient, per sample, at which the fit is done.
const FLAT: f64 = 1e-10;

/// A fitted regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    mean: Vec<f64>,
    scale: Vec<f64>,
    w: Vec<f64>,
    b: f64,
}

/// log(1 + eᵗ) without overflow.
fn softplus(t: f64) -> f64 {
    t.max(0.0) + (-t.abs()).exp().ln_1p()
}

/// 1 / (1 + e⁻ᵗ) without overflow.
fn sigmoid(t: f64) -> f64 {
    if t >= 0.0 { 1.0 / (1.0 + (-t).exp()) } else { t.exp() / (1.0 + t.exp()) }
}

/// ⟨w, x⟩ + b.
fn affine(w: &[f64], b: f64, x: &[f64]) -> f64 {
    w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b
}

impl Logistic {
    /// Fits on N `rows` of D features: argmin Σᵢ cᵢ log(1 + exp(−sᵢ(w·xᵢ + b))) + ‖w‖²/2C with s = ±1 (`positive` or not), cᵢ = N / 2N_side and
    /// features standardised to mean 0 and (population) deviation 1; a constant feature counts nothing. By Newton's method with
    /// backtracking: the objective is strictly convex, so the answer does not depend on where it starts.
    ///
    /// None where one side is empty or a feature is NaN or infinite.
    pub fn fit(rows: &[&[f64]], positive: &[bool]) -> Option<Self> {
        let n = rows.len() as f64;
        let d = rows.first()?.len();
        let sides = [false, true].map(|side| positive.iter().filter(|p| **p == side).count() as f64);
        if sides.contains(&0.0) || rows.iter().any(|r| r.iter().any(|v| !v.is_finite())) {
            return None;
        }
        let mut mean = vec![0.0; d];
        let mut scale = vec![0.0; d];
        for r in rows {
            mean.iter_mut().zip(*r).for_each(|(m, v)| *m += v / n);
        }
        for r in rows {
            scale.iter_mut().zip(r.iter().zip(&mean)).for_each(|(s, (v, m))| *s += (v - m).powi(2) / n);
        }
        // A deviation that is rounding of the mean is none.
        scale.iter_mut().zip(&mean).for_each(|(s, m)| *s = if s.sqrt() > 1e-12 * m.abs() { s.sqrt() } else { f64::INFINITY });
        let mut fit = Self { mean, scale, w: vec![0.0; d], b: 0.0 };
        let x: Vec<Vec<f64>> = rows.iter().map(|r| fit.standardised(r)).collect();
        let weight = |p: bool| n / (2.0 * sides[usize::from(p)]);
        let loss = |w: &[f64], b: f64| -> f64 {
            let data: f64 = x.iter().zip(positive).map(|(x, p)| weight(*p) * softplus(if *p { -affine(w, b, x) } else { affine(w, b, x) })).sum();
            data + w.iter().map(|w| w * w).sum::<f64>() / (2.0 * C)
        };
        let mut now = loss(&fit.w, fit.b);
        for _ in 0..MOST_STEPS {
            let (gradient, hessian) = fit.derivatives(&x, positive, weight);
            if gradient.iter().all(|g| g.abs() <= FLAT * n) {
                break;
            }
            let step = hessian.llt(Side::Lower).ok()?.solve(Mat::from_fn(d + 1, 1, |i, _| gradient[i]));
            let slope: f64 = gradient.iter().enumerate().map(|(i, g)| g * step[(i, 0)]).sum();
            let mut size = 1.0;
            // Halved until the loss falls by a share of what its slope promises; where rounding hides the fall, this is the minimum.
            let better = (0..40).find_map(|_| {
                let w: Vec<f64> = fit.w.iter().enumerate().map(|(i, w)| w - size * step[(i, 0)]).collect();
                let b = fit.b - size * step[(d, 0)];
                let there = loss(&w, b);
                let falls = there <= now - 1e-4 * size * slope;
                size /= 2.0;
                falls.then_some((w, b, there))
            });
            let Some((w, b, there)) = better else { break };
            (fit.w, fit.b, now) = (w, b, there);
        }
        Some(fit)
    }

    /// Gradient and Hessian (lower triangle) of the objective by (w, b).
    fn derivatives(&self, x: &[Vec<f64>], positive: &[bool], weight: impl Fn(bool) -> f64) -> (Vec<f64>, Mat<f64>) {
        let d = self.w.len();
        let mut gradient: Vec<f64> = self.w.iter().map(|w| w / C).chain([0.0]).collect();
        let mut hessian = vec![vec![0.0; d + 1]; d + 1];
        for (x, p) in x.iter().zip(positive) {
            let q = sigmoid(affine(&self.w, self.b, x));
            let (slope, curve) = (weight(*p) * (q - f64::from(u8::from(*p))), weight(*p) * q * (1.0 - q));
            for (i, v) in x.iter().chain([&1.0]).enumerate() {
                gradient[i] += slope * v;
                let row = &mut hessian[i][..=i];
                row.iter_mut().zip(x.iter().chain([&1.0])).for_each(|(h, u)| *h += curve * v * u);
            }
        }
        let hessian = Mat::from_fn(d + 1, d + 1, |i, j| {
            let h = if i >= j { hessian[i][j] } else { hessian[j][i] };
            // The floor on b's curvature keeps the factorisation defined where every sample is classified beyond doubt.
            h + if i != j {
                0.0
            } else if i < d {
                1.0 / C
            } else {
                1e-12
            }
        });
        (gradient, hessian)
    }

    fn standardised(&self, row: &[f64]) -> Vec<f64> {
        row.iter().zip(self.mean.iter().zip(&self.scale)).map(|(v, (m, s))| (v - m) / s).collect()
    }

    /// Log-odds of the positive side for one row of D features; positive where it is the more likely.
    pub fn log_odds(&self, row: &[f64]) -> f64 {
        affine(&self.w, self.b, &self.standardised(row))
    }
}

/// Log-odds of each row from the regression that was fitted without the row's fold. None where one of them can't be fitted, see
/// [`Logistic::fit`]; folds need not be of one size.
pub fn cross_fitted(rows: &[Vec<f64>], positive: &[bool], folds: &[usize]) -> Option<Vec<f64>> {
    let count = folds.iter().max()? + 1;
    let mut scores = vec![0.0; rows.len()];
    for fold in 0..count {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for i in (0..rows.len()).filter(|i| folds[*i] != fold) {
            x.push(rows[i].as_slice());
            y.push(positive[i]);
        }
        let fit = Logistic::fit(&x, &y)?;
        for i in (0..rows.len()).filter(|i| folds[*i] == fold) {
            scores[i] = fit.log_odds(&rows[i]);
        }
    }
    Some(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        logistic: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        x: Vec<Vec<f64>>,
        y: Vec<bool>,
        log_odds: Vec<f64>,
    }

    #[test]
    fn log_odds_match_scikit_learn() {
        let golden: Golden = serde_json::from_str(include_str!("../../tests/golden/membership.json")).expect("golden values");
        assert!(golden.logistic.len() >= 3);
        for case in golden.logistic {
            let rows: Vec<&[f64]> = case.x.iter().map(Vec::as_slice).collect();
            let fit = Logistic::fit(&rows, &case.y).expect("fits");
            for (x, expected) in case.x.iter().zip(&case.log_odds) {
                let got = fit.log_odds(x);
                assert!((got - expected).abs() < 1e-6 * expected.abs().max(1.0), "{got} {expected}");
            }
        }
    }

    #[test]
    fn of_a_worked_case() {
        // x = ±1 separates the sides: b = 0 by symmetry and w is the root of w = N·C·σ(−w) = 4/(1 + eʷ), 1.0425969140 (SciPy's brentq:
        // tests/golden/distributions.py).
        let rows: [&[f64]; 4] = [&[1.0], &[1.0], &[-1.0], &[-1.0]];
        let fit = Logistic::fit(&rows, &[true, true, false, false]).expect("fits");
        let w = fit.w[0];
        assert!((w - 1.042_596_914_0).abs() < 1e-9 && fit.b.abs() < 1e-9, "{fit:?}");
    }

    #[test]
    fn what_has_no_fit_is_none() {
        assert_eq!(Logistic::fit(&[&[1.0], &[2.0]], &[true, true]), None, "one side");
        assert_eq!(Logistic::fit(&[&[1.0], &[f64::NAN]], &[true, false]), None, "NaN");
        assert_eq!(Logistic::fit(&[&[1.0], &[f64::INFINITY]], &[true, false]), None, "infinity");
        assert_eq!(Logistic::fit(&[], &[]), None);
        assert_eq!(cross_fitted(&[], &[], &[]), None);
    }

    #[test]
    fn a_constant_feature_counts_nothing() {
        let rows: [&[f64]; 4] = [&[1.0, 0.1], &[0.5, 0.1], &[-1.0, 0.1], &[0.6, 0.1]];
        let y = [true, true, false, false];
        let with = Logistic::fit(&rows, &y).expect("fits");
        let alone: Vec<&[f64]> = rows.iter().map(|r| &r[..1]).collect();
        let without = Logistic::fit(&alone, &y).expect("fits");
        assert!((with.log_odds(rows[1]) - without.log_odds(alone[1])).abs() < 1e-9);
        let constant: [&[f64]; 2] = [&[3.0], &[3.0]];
        assert_eq!(Logistic::fit(&constant, &[true, false]).map(|f| f.log_odds(&[3.0])), Some(0.0));
    }

    #[test]
    fn no_row_is_scored_by_a_fit_that_saw_it() {
        // Pure noise with one label turned: only the scores of the other fold may change.
        let rows: Vec<Vec<f64>> = (0..12).map(|i| vec![f64::from((i * 7) % 12)]).collect();
        let folds: Vec<usize> = (0..12).map(|i| i / 6).collect();
        let mut y: Vec<bool> = (0..12).map(|i| i % 2 == 0).collect();
        let before = cross_fitted(&rows, &y, &folds).expect("fits");
        y[0] = false;
        let after = cross_fitted(&rows, &y, &folds).expect("fits");
        assert_eq!(before[..6], after[..6]);
        assert_ne!(before[6..], after[6..]);
    }
}
