//! `lira`: the offline likelihood-ratio attack, with the oracles as the models that never saw the sample.

use super::membership::{attack, finite, sides, signals::top_confidence};
use super::{Audit, Findings, Reference, Subject};
use crate::context::Context;
use crate::error::Result;
use crate::stats::{self, Logits};
use crate::summary::Family;

/// Offline LiRA: a sample's score is how far the model's confidence φ on it lies above what models that never saw it show, (φ − μ(x)) / σ with μ(x) the
/// mean over the oracles on that very sample: easy samples, of which every model is sure, no longer pass for members. The paper's score
/// 1 − P(N(μ, σ²) > φ) is an increasing function of it that saturates at 1; the curve is the same.
///
/// φ = ln(p/(1−p)) of the model's largest probability p: the paper takes the true class's, for which models after a swap have no slot. σ² is the
/// oracles' variance pooled over all samples, as the paper does with few shadow models; from [`OWN_VARIANCE`] oracles on it is each sample's own.
/// An oracle is attacked with the others; undefined with fewer than two of them. Oracles that diverged don't count.
///
/// Members are the old class's training images, non-members its test images: `auc` with its standard error, and true-positive rates
/// (see [`attack::figures`]).
#[derive(Debug)]
pub struct Lira;

/// Shadow models from which on a sample's own variance is the better estimate (Carlini et al. 2022, §VI-C).
const OWN_VARIANCE: usize = 64;

impl Audit for Lira {
    fn name(&self) -> &'static str {
        "lira"
    }

    fn summary(&self) -> &'static str {
        "likelihood-ratio attack on the old class's training images, calibrated by the oracles sample by sample"
    }

    fn source(&self) -> &'static str {
        "offline LiRA: Carlini et al., S&P 2022, arXiv 2112.03570, eq. 4; label-free confidence"
    }

    fn family(&self) -> Family {
        Family::Membership
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let Some((members, others)) = sides(subject.me.signals) else { return Ok(Findings::default()) };
        let of = |sides: (&Logits, &Logits)| -> Vec<f64> { sides.0.rows().chain(sides.1.rows()).map(top_confidence).collect() };
        let mine = of((members, others));
        let theirs: Vec<Vec<f64>> = subject.oracles.iter().filter_map(|o| sides(o.signals)).map(of).filter(|t| finite(t)).collect();
        let outcome = match scores(&mine, &theirs) {
            Some(scores) => attack::threshold(&scores[..members.len()], &scores[members.len()..]),
            None => attack::Outcome::Undefined,
        };
        let exhibit = attack::exhibit(
            self.name(),
            "Likelihood-ratio attack (LiRA) on the old class: ROC",
            "How far the confidence lies above the oracles’ on the same image. Members are training images of the old class, non-members its test \
             images; an oracle is attacked with the others, and its curve is what there is to reach.",
            &outcome,
        );
        let figures =
            attack::figures("", &outcome, others.len()).into_iter().map(|m| m.showing_old_class().against(Reference::OraclesMeanSigned)).collect();
        Ok(Findings { figures, exhibits: exhibit.into_iter().collect() })
    }
}

/// The score of each of N samples, from its confidence in the model under attack and in each of the models that never saw it (rows of N). None with
/// fewer than two of those, or where they agree to the bit and there is no scale.
pub fn scores(mine: &[f64], theirs: &[Vec<f64>]) -> Option<Vec<f64>> {
    if theirs.len() < 2 {
        return None;
    }
    let samples: Vec<Vec<f64>> = (0..mine.len()).map(|i| theirs.iter().map(|t| t[i]).collect()).collect();
    let variances: Vec<f64> = samples.iter().map(|s| stats::variance(s, 1)).collect();
    let pooled = stats::mean(&variances);
    let sd = |i: usize| if theirs.len() < OWN_VARIANCE { pooled } else { variances[i] }.sqrt();
    if (0..mine.len()).any(|i| sd(i) == 0.0) {
        return None;
    }
    Some((0..mine.len()).map(|i| (mine[i] - stats::mean(&samples[i])) / sd(i)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::roc::Roc;

    #[test]
    fn scores_of_a_worked_case() {
        // Means 2 and 5; variances 2 and 8, pooled 5.
        let got = scores(&[4.0, 4.0], &[vec![1.0, 3.0], vec![3.0, 7.0]]).expect("defined");
        assert!((got[0] - 2.0 / 5f64.sqrt()).abs() < 1e-12 && (got[1] + 1.0 / 5f64.sqrt()).abs() < 1e-12, "{got:?}");
    }

    #[test]
    fn many_models_give_every_sample_its_own_variance() {
        // 64 models at ±1 and ±3 around 0: sample variances 64/63 and 9·64/63.
        let theirs: Vec<Vec<f64>> = (0..64).map(|i| if i % 2 == 0 { vec![1.0, 3.0] } else { vec![-1.0, -3.0] }).collect();
        let got = scores(&[1.0, 3.0], &theirs).expect("defined");
        let expected = (63.0 / 64f64).sqrt();
        assert!(got.iter().all(|s| (s - expected).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn it_finds_members_that_differ_in_difficulty() {
        // Difficulty spreads over 100, membership adds 1: a threshold on the plain confidence sees nearly nothing, the calibrated one everything.
        let difficulty: Vec<f64> = (0..200).map(|i| f64::from((i * 37) % 100)).collect();
        let mine: Vec<f64> = difficulty.iter().enumerate().map(|(i, d)| d + if i < 100 { 1.0 } else { 0.0 }).collect();
        let theirs: Vec<Vec<f64>> = [-0.1, 0.1].iter().map(|e| difficulty.iter().map(|d| d + e).collect()).collect();
        let area = |s: &[f64]| Roc::of(&s[..100], &s[100..]).expect("defined").auc().value;
        assert!(area(&mine) < 0.53);
        assert_eq!(area(&scores(&mine, &theirs).expect("defined")), 1.0);
    }

    #[test]
    fn without_two_models_or_spread_it_is_undefined() {
        assert_eq!(scores(&[1.0], &[]), None);
        assert_eq!(scores(&[1.0], &[vec![1.0]]), None);
        assert_eq!(scores(&[1.0], &[vec![1.0], vec![1.0]]), None);
    }
}
