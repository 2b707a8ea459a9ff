//! `pair-leak`: does whoever has the model from before the swap and the one from after it learn who was in the forget set?

use super::membership::{
    attack::{self, Outcome},
    sides,
};
use super::{Audit, Findings, Measured, Subject};
use crate::context::Context;
use crate::data::Slot;
use crate::error::Result;
use crate::stats::{self, Logits};
use crate::summary::{Family, ModelKind};

/// An attacker who asks both models about the same image and compares: a cross-fitted logistic regression on, per image, the [`TOP`] largest
/// log-probabilities of the original and of the model, each in their own descending order; the change of probability of the original's [`TOP`] largest
/// slots (the paper's sorted difference; a slot that the model no longer has is skipped); and the Euclidean distance of the two outputs over the
/// slots that both have.
///
/// Members are the old class's training images, non-members its test images. `auc` with its standard error, and true-positive rates (see
/// [`attack::figures`]); `gain_over_original`: `auc` less that of the same attack on the original alone, what the pair tells beyond what the original told
/// already. Retraining leaks here too: the original knows its members. So the oracles' figure is the level to reach, and one above it says that the
/// method treats training images unlike others of their class. Undefined without the original, beside one that diverged, and
/// for the original itself, which is no pair.
#[derive(Debug)]
pub struct PairLeak;

/// Probabilities kept of each output; as many as the paper's attack is fed by services that return the top answers only.
const TOP: usize = 5;

impl Audit for PairLeak {
    fn name(&self) -> &'static str {
        "pair-leak"
    }

    fn summary(&self) -> &'static str {
        "attack on the old class's training images by the answers of original and model together"
    }

    fn source(&self) -> &'static str {
        "Chen et al., CCS 2021, When Machine Unlearning Jeopardizes Privacy, arXiv 2005.02205"
    }

    fn family(&self) -> Family {
        Family::Membership
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let Some(((members, others), original)) = sides(subject.me.signals).zip(subject.original) else { return Ok(Findings::default()) };
        let Some((before_members, before_others)) = sides(original.signals) else { return Ok(Findings::default()) };
        let diverged = [before_members, before_others].iter().any(|l| l.values.iter().any(|v| !v.is_finite()));
        let is_pair = subject.me.kind != ModelKind::Original && !diverged;
        // For each of the original's slots the one of the model that carries on with it: the same class's, or the new class's in the old one's place.
        let slots: Vec<Option<usize>> = original
            .map
            .classes()
            .iter()
            .map(|c| if *c == subject.data.old() { subject.old_slot() } else { subject.me.map.slot(*c) }.map(|Slot(at)| at))
            .collect();
        let seed = subject.data.seed;
        let pair = |before: &Logits, after: &Logits| -> Vec<Vec<f64>> {
            before.rows().zip(after.rows()).map(|(before, after)| features(before, after, &slots)).collect()
        };
        let alone = |before: &Logits| -> Vec<Vec<f64>> { before.rows().map(|z| sorted(&stats::log_softmax(z))).collect() };
        let (both, original) = if is_pair {
            let both = attack::regression(&pair(before_members, members), &pair(before_others, others), seed);
            (both, attack::regression(&alone(before_members), &alone(before_others), seed))
        } else {
            (Outcome::Undefined, Outcome::Undefined)
        };
        let gain = both.auc().zip(original.auc()).map(|(both, one)| both - one);
        let mut figures = attack::figures("", &both, others.len());
        figures.push(Measured::new("gain_over_original", gain, "fraction", attack::AUC_TOLERANCE).descriptive());
        let exhibit = attack::exhibit(
            self.name(),
            "Attack on the old class by original and model together: ROC",
            "Logistic regression on the answers of both. Members are training images of the old class, non-members its test images; the original \
             knows its members, so a retrained model’s curve is what there is to reach.",
            &both,
        );
        Ok(Findings { figures, exhibits: exhibit.into_iter().collect() })
    }
}

/// The [`TOP`] largest, descending.
fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| b.total_cmp(a));
    values.truncate(TOP);
    values
}

/// What the attacker sees of one image; `slots` has the model's slot for each of the original's.
fn features(before: &[f32], after: &[f32], slots: &[Option<usize>]) -> Vec<f64> {
    let (before, after) = (stats::log_softmax(before), stats::log_softmax(after));
    // By the original's probability; the first of equals first.
    let mut shared: Vec<(f64, f64)> = slots.iter().zip(&before).filter_map(|(at, b)| Some((b.exp(), after[(*at)?].exp()))).collect();
    shared.sort_by(|a, b| b.0.total_cmp(&a.0));
    let distance = shared.iter().map(|(b, a)| (b - a).powi(2)).sum::<f64>().sqrt();
    let change = shared.iter().take(TOP).map(|(b, a)| a - b);
    sorted(&before).into_iter().chain(sorted(&after)).chain(change).chain([distance]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(p: &[f32]) -> Vec<f32> {
        p.iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn features_of_a_worked_case() {
        let (before, after) = (logs(&[0.1, 0.7, 0.2]), logs(&[0.5, 0.25, 0.25]));
        let got = features(&before, &after, &[Some(0), Some(1), Some(2)]);
        let p = [0.7f64, 0.2, 0.1, 0.5, 0.25, 0.25].map(f64::ln);
        // In the original's order: .7 → .25, .2 → .25, .1 → .5; distance √(.2025 + .0025 + .16)
        let expected: Vec<f64> = p.into_iter().chain([-0.45, 0.05, 0.4, 0.365f64.sqrt()]).collect();
        assert!(got.len() == expected.len() && got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
    }

    #[test]
    fn a_slot_that_is_gone_is_skipped() {
        let (before, after) = (logs(&[0.7, 0.2, 0.1]), logs(&[0.5, 0.5]));
        let got = features(&before, &after, &[None, Some(0), Some(1)]);
        assert_eq!(got.len(), 3 + 2 + 2 + 1);
        assert!((got[5] - 0.3).abs() < 1e-6 && (got[6] - 0.4).abs() < 1e-6 && (got[7] - 0.5).abs() < 1e-6, "{got:?}");
    }
}
