//! `rmia`: the robust membership attack, with the oracles as reference models and unseen images of the class as the population.

use super::membership::{attack, finite, sides, signals::top_confidence};
use super::{Audit, Findings, Reference, Subject};
use crate::context::Context;
use crate::error::Result;
use crate::stats::Logits;
use crate::summary::Family;

/// Offline RMIA: a sample's score is the share of the population z for which (p(x|θ)/p(x)) / (p(z|θ)/p(z)) ≥ γ: of the samples of its kind that the model did
/// not see, how many has it gained on more than on this one? p(x) = ½((1+a)·p̄(x) + 1 − a), p̄ the mean over the oracles: the paper's estimate where no
/// model trained on x; a = [`A`], γ = [`GAMMA`].
///
/// p(x|θ) is the model's largest probability: the paper takes the true class's, for which models after a swap have no slot. The population are the old
/// class's test images, each of them attacked with the others. An oracle is attacked with the other oracles; undefined with fewer than two of
/// them. Oracles that diverged don't count.
///
/// Members are the old class's training images, non-members its test images: `auc` with its standard error, and true-positive rates
/// (see [`attack::figures`]).
#[derive(Debug)]
pub struct Rmia;

/// The paper's value for CIFAR-10; 1 would take p̄ for p.
const A: f64 = 0.3;
/// With 1 the score is the rank of a sample's ratio in the population. Larger values ask for gains that probabilities near 1 can't show.
const GAMMA: f64 = 1.0;

impl Audit for Rmia {
    fn name(&self) -> &'static str {
        "rmia"
    }

    fn summary(&self) -> &'static str {
        "robust membership attack on the old class's training images, calibrated by oracles and by unseen images"
    }

    fn source(&self) -> &'static str {
        "offline RMIA: Zarifzadeh et al., ICML 2024, arXiv 2312.03262; label-free probability"
    }

    fn family(&self) -> Family {
        Family::Membership
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let Some((members, others)) = sides(subject.me.signals) else { return Ok(Findings::default()) };
        // 1/(1 + e^−φ) of the confidence, which is the largest probability.
        let top = |z: &[f32]| 1.0 / (1.0 + (-top_confidence(z)).exp());
        let of = |sides: (&Logits, &Logits)| -> Vec<f64> { sides.0.rows().chain(sides.1.rows()).map(top).collect() };
        let theirs: Vec<Vec<f64>> = subject.oracles.iter().filter_map(|o| sides(o.signals)).map(of).filter(|t| finite(t)).collect();
        let outcome = if theirs.len() < 2 { attack::Outcome::Undefined } else { attack(&of((members, others)), &theirs, members.len()) };
        let exhibit = attack::exhibit(
            self.name(),
            "Robust membership attack (RMIA) on the old class: ROC",
            "On how many unseen images of the class the model gained less, over the oracles, than on this one. Members are training images of the \
             old class, non-members its test images; an oracle is attacked with the others, and its curve is what there is to reach.",
            &outcome,
        );
        let figures =
            attack::figures("", &outcome, others.len()).into_iter().map(|m| m.showing_old_class().against(Reference::OraclesMeanSigned)).collect();
        Ok(Findings { figures, exhibits: exhibit.into_iter().collect() })
    }
}

/// The attack on the first `members` of N samples, the rest being the population, from their probability in the model under attack and in each of
/// the models that never saw them (rows of N, at least one).
pub fn attack(mine: &[f64], theirs: &[Vec<f64>], members: usize) -> attack::Outcome {
    let ratios = ratios(mine, theirs);
    if !finite(&ratios) {
        return attack::Outcome::Diverged;
    }
    let (in_members, in_others) = ratios.split_at(members);
    attack::threshold(&shares(in_members, in_others, false), &shares(in_others, in_others, true))
}

/// p(x|θ)/p(x) of each of N samples, from its probability in the model under attack and in each of the models that never saw it (rows of N).
pub fn ratios(mine: &[f64], theirs: &[Vec<f64>]) -> Vec<f64> {
    let out = |i: usize| theirs.iter().map(|t| t[i]).sum::<f64>() / theirs.len() as f64;
    mine.iter().enumerate().map(|(i, p)| p / (0.5 * ((1.0 + A) * out(i) + 1.0 - A))).collect()
}

/// For each ratio the share of the population's ratios that it is at least γ times as large as; `among` says that the samples are of the population
/// themselves, and are not compared with themselves.
pub fn shares(ratios: &[f64], population: &[f64], among: bool) -> Vec<f64> {
    let mut sorted = population.to_vec();
    sorted.sort_by(f64::total_cmp);
    let itself = usize::from(among);
    let of = |r: &f64| {
        let below = sorted.partition_point(|z| GAMMA * z <= *r);
        // A ratio that does not count itself (γ above 1) has nothing to take off.
        let own = if GAMMA * r <= *r { itself } else { 0 };
        (below - own) as f64 / (sorted.len() - itself).max(1) as f64
    };
    ratios.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_of_a_worked_case() {
        // p̄ = .5: p(x) = ½(1.3·.5 + .7) = .675; p̄ = 1: p(x) = 1.
        let got = ratios(&[0.9, 0.9], &[vec![0.4, 1.0], vec![0.6, 1.0]]);
        assert!((got[0] - 0.9 / 0.675).abs() < 1e-12 && (got[1] - 0.9).abs() < 1e-12, "{got:?}");
    }

    #[test]
    fn shares_of_a_worked_case() {
        let population = [1.0, 2.0, 2.0, 4.0];
        assert_eq!(shares(&[0.5, 1.0, 3.0, 9.0], &population, false), [0.0, 0.25, 0.75, 1.0]);
        // Each against the three others: 1 beats none, the 2s beat 1 and tie with each other, 4 beats all.
        assert_eq!(shares(&population, &population, true), [0.0, 2.0 / 3.0, 2.0 / 3.0, 1.0]);
        assert_eq!(shares(&[1.0], &[1.0], true), [0.0], "one alone has nobody to beat");
    }

    #[test]
    fn exchangeable_samples_are_at_chance() {
        use crate::stats::roc::Roc;
        // Members between the non-members, in turn: ratios 0..200, even ones members.
        let (members, others): (Vec<f64>, Vec<f64>) =
            ((0..100).map(|i| f64::from(2 * i) + 1.0).collect(), (0..101).map(|i| f64::from(2 * i)).collect());
        let area = Roc::of(&shares(&members, &others, false), &shares(&others, &others, true)).expect("defined").auc().value;
        assert!((area - 0.5).abs() < 0.01, "{area}");
    }
}
