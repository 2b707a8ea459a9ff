//! From a read-out's scores to probabilities, and from those to the information that features hold.

use std::f64::consts::LN_2;

/// Steps of Newton's method, which converges in about ten.
const STEPS: usize = 100;

/// P(old | score) = 1/(1 + exp(−(`slope`·score + `level`))), old class and rest being equally likely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Platt {
    slope: f64,
    level: f64,
}

/// ln(1 + eᶻ), stable on both sides.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

impl Platt {
    /// Platt scaling (Platt 1999): logistic regression of the side on the score of samples that the read-out was not fitted on, both sides
    /// weighing a half. Targets are (n+1)/(n+2) for the old class's n samples and 1/(n+2) for the n others, Platt's prior, which keeps the slope
    /// finite where the sides are separable. Both sides must have a sample.
    pub fn fit(scores: &[f64], old: &[bool]) -> Self {
        let olds = old.iter().filter(|o| **o).count() as f64;
        let rest = old.len() as f64 - olds;
        // In units of the scores' size, so that one start and one floor suit every read-out.
        let size = scores.iter().map(|s| s.abs()).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let samples: Vec<(f64, f64, f64)> = scores
            .iter()
            .zip(old)
            .map(|(s, o)| (s / size, if *o { (olds + 1.0) / (olds + 2.0) } else { 1.0 / (rest + 2.0) }, 0.5 / if *o { olds } else { rest }))
            .collect();
        let loss = |[a, b]: [f64; 2]| samples.iter().map(|(s, t, w)| w * (softplus(a * s + b) - t * (a * s + b))).sum::<f64>();
        let mut at = [0.0, 0.0];
        let mut here = loss(at);
        for _ in 0..STEPS {
            let (mut g, mut h) = ([0.0; 2], [1e-12, 0.0, 1e-12]);
            for (s, t, w) in &samples {
                let p = 1.0 / (1.0 + (-(at[0] * s + at[1])).exp());
                let (e, c) = (w * (p - t), w * p * (1.0 - p));
                g = [g[0] + e * s, g[1] + e];
                h = [h[0] + c * s * s, h[1] + c * s, h[2] + c];
            }
            let det = h[0] * h[2] - h[1] * h[1];
            let step = [(h[2] * g[0] - h[1] * g[1]) / det, (h[0] * g[1] - h[1] * g[0]) / det];
            // The loss is convex: a step that overshoots is halved until it helps.
            let tries = (0..40).map(|k| 0.5f64.powi(k)).map(|k| [at[0] - k * step[0], at[1] - k * step[1]]);
            let Some((next, below)) = tries.map(|t| (t, loss(t))).find(|(_, l)| *l < here) else { break };
            let gain = here - below;
            (at, here) = (next, below);
            if gain < 1e-14 {
                break;
            }
        }
        Self { slope: at[0] / size, level: at[1] }
    }

    /// Estimate, in nats, of the information that features hold on "is it the old class?" when both answers are equally likely:
    /// ln 2 − ½E_old[−ln p] − ½E_rest[−ln(1 − p)] over samples that neither read-out nor calibration has seen.
    ///
    /// Its expectation is a lower bound of I(Z;Y) = H(Y) − H(Y|Z), since the cross-entropy of any p is at least H(Y|Z) (Barber & Agakov 2003; as
    /// "V-information" Xu et al. 2020). At most ln 2; below 0 where the read-out is worse than no read-out. None without samples of a side.
    pub fn information(&self, scores: &[f64], old: &[bool]) -> Option<f64> {
        let side = |side: bool| -> Option<f64> {
            let logits = scores.iter().zip(old).filter(|(_, o)| **o == side).map(|(s, _)| self.slope * s + self.level);
            let losses: Vec<f64> = logits.map(|z| softplus(if side { -z } else { z })).collect();
            (!losses.is_empty()).then(|| crate::stats::mean(&losses))
        };
        Some(LN_2 - (side(true)? + side(false)?) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Features;
    use crate::audit::linalg::{Factored, signs};
    use crate::rng;
    use rand::RngExt;

    /// Every third of `n` samples is old. One feature, normal by Box and Muller: mean `mean` and deviation `sd` for the old class, 0 and 1 else.
    fn normals(n: usize, mean: f64, sd: f64, seed: u64) -> (Features, Vec<bool>) {
        let mut rng = rng::stream(seed, "test", 0);
        let old: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
        let mut normal =
            || (-2.0 * rng.random_range(f64::MIN_POSITIVE..1.0).ln()).sqrt() * (std::f64::consts::TAU * rng.random_range(0.0..1.0f64)).cos();
        let values = old.iter().map(|o| if *o { mean + sd * normal() } else { normal() } as f32).collect();
        (Features { values, width: 1 }, old)
    }

    /// I(X;Y) in nats by the trapezoid rule, Y even.
    fn exact(mean: f64, sd: f64) -> f64 {
        let density = |x: f64, m: f64, s: f64| (-((x - m) / s).powi(2) / 2.0).exp() / (s * std::f64::consts::TAU.sqrt());
        let step = 1e-3;
        (-20_000..20_000)
            .map(|i| {
                let x = f64::from(i) * step;
                let (p, q) = (density(x, mean, sd), density(x, 0.0, 1.0));
                let term = |a: f64| if a > 0.0 { 0.5 * a * (2.0 * a / (p + q)).ln() } else { 0.0 };
                (term(p) + term(q)) * step
            })
            .sum()
    }

    fn estimate(mean: f64, sd: f64) -> f64 {
        let (train, old) = normals(30_000, mean, sd, 1);
        let (test, test_old) = normals(60_000, mean, sd, 2);
        let rows: Vec<usize> = (0..old.len()).collect();
        let fit = Factored::of(&train, &rows, &old).expect("finite").fit(&signs(&rows, &old));
        Platt::fit(&fit.left_out, &old).information(&fit.readout.scores(&test), &test_old).expect("both sides")
    }

    #[test]
    fn the_information_between_two_normals_is_approached_from_below() {
        // Equal deviations: the posterior is a logistic function of x, so the bound is reached up to the sample's noise (0.003 here).
        for mean in [0.5, 1.0, 2.0, 3.0] {
            let (estimate, exact) = (estimate(mean, 1.0), exact(mean, 1.0));
            assert!((estimate - exact).abs() < 0.01, "{mean}: {estimate}, exactly {exact}");
        }
        // Unequal ones: a linear read-out sees only part of it.
        let (estimate, exact) = (estimate(0.5, 3.0), exact(0.5, 3.0));
        assert!(estimate > 0.0 && estimate < exact - 0.05, "{estimate}, exactly {exact}");
    }

    #[test]
    fn separable_scores_give_nearly_all_and_useless_ones_nothing() {
        let old: Vec<bool> = (0..400).map(|i| i % 2 == 0).collect();
        let clear: Vec<f64> = old.iter().map(|o| if *o { 1.0 } else { -1.0 }).collect();
        let information = Platt::fit(&clear, &old).information(&clear, &old).expect("both sides");
        // Platt's prior: probabilities of 201/202 give ln 2 + ln(201/202)
        assert!((information - (LN_2 + (201.0f64 / 202.0).ln())).abs() < 1e-6, "{information}");
        let constant = vec![0.3; 400];
        assert!(Platt::fit(&constant, &old).information(&constant, &old).expect("both sides").abs() < 1e-9);
        assert_eq!(Platt::fit(&clear, &old).information(&[1.0], &[true]), None);
    }

    #[test]
    fn a_huge_scale_does_no_harm() {
        let (x, old) = normals(2000, 1.0, 1.0, 3);
        let scores: Vec<f64> = x.values.iter().map(|v| f64::from(*v)).collect();
        let scaled: Vec<f64> = scores.iter().map(|s| s * 1e9).collect();
        let [a, b] = [&scores, &scaled].map(|s| Platt::fit(s, &old).information(s, &old).expect("both sides"));
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
}
