//! `membership`: can the old class's training samples be told from samples of that class that no model has seen?

pub mod attack;
pub mod samples;
pub mod signals;

use super::{Audit, Findings, Measured, PartName, Subject};
use crate::context::Context;
use crate::data::Role;
use crate::error::Result;
use crate::stats::Logits;
use crate::summary::Family;

use attack::Outcome;
use signals::LABEL_FREE;

/// Members are the old class's training images, non-members its test images. (Images of other classes as non-members would make the attack a
/// classifier of classes, which succeeds against retrained models too.)
///
/// `SIGNAL_auc`: P(member's signal > non-member's) + ½ P(equal) for each of [`LABEL_FREE`], a larger signal meaning "member": 0.5 is chance. Below it
/// members stand out as *less* sure than unseen images, as methods leave them that train against the forget set. `logistic_*`: the attack by
/// cross-fitted logistic regression on all signals, which finds either ([`attack::regression`]). Each with standard error and interval, and with
/// true-positive rates at false-positive rates of 1 % and 0.1 % and their intervals ([`attack::figures`]).
///
/// What counts is the gap to the oracles, not to chance: training and test images of a class may differ by themselves, in MNIST they were written by
/// different people. The signals are strongly correlated, so only the entropy's and the energy's areas are judged beside the regression's.
#[derive(Debug)]
pub struct Membership;

/// Signals whose areas are judged: the attack of the literature, and the one signal that sees what softmax divides out.
const JUDGED: [&str; 2] = ["entropy", "energy"];

impl Audit for Membership {
    fn name(&self) -> &'static str {
        "membership"
    }

    fn summary(&self) -> &'static str {
        "attacks that tell the old class's training images from unseen ones by the model's answers"
    }

    fn source(&self) -> &'static str {
        "threshold and regression attacks: Song & Mittal 2021, NeurIPS 2023 unlearning challenge; low rates: Carlini et al. 2022, arXiv 2112.03570"
    }

    fn family(&self) -> Family {
        Family::Membership
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let Some((members, others)) = sides(subject.me.signals) else { return Ok(Findings::default()) };
        let rows = |l: &Logits| -> Vec<Vec<f64>> { l.rows().map(|z| LABEL_FREE.iter().map(|s| (s.of)(z)).collect()).collect() };
        let names: Vec<&str> = LABEL_FREE.iter().map(|s| s.name).collect();
        let (figures, regression) = all_attacks(&names, &JUDGED, &rows(members), &rows(others), subject.data.seed);
        let exhibit = attack::exhibit(
            self.name(),
            "Membership attack on the old class: ROC",
            "Logistic regression on label-free signals. Members are training images of the old class, non-members its test images; \
             retrained models have seen neither, so their curves are what there is to reach.",
            &regression,
        );
        Ok(Findings { figures, exhibits: exhibit.into_iter().collect() })
    }
}

/// A model's logits on the old class's training images and on its test images.
pub fn sides(signals: &super::Signals) -> Option<(&Logits, &Logits)> {
    signals.logits(Role::Forget, PartName::Train).zip(signals.logits(Role::Forget, PartName::Test))
}

/// No NaN and no infinity among them?
pub fn finite(values: &[f64]) -> bool {
    values.iter().all(|v| v.is_finite())
}

/// The figures of a threshold attack on each of D signals, of which the area is judged where its name is in `judged`; then those of the regression
/// on all, and the regression itself. `members` and `others` are rows of D signals.
pub fn all_attacks(names: &[&str], judged: &[&str], members: &[Vec<f64>], others: &[Vec<f64>], seed: u64) -> (Vec<Measured>, Outcome) {
    let column = |rows: &[Vec<f64>], c: usize| -> Vec<f64> { rows.iter().map(|r| r[c]).collect() };
    let diverged = members.iter().chain(others).flatten().any(|v| !v.is_finite());
    let mut out: Vec<Measured> = Vec::new();
    for (c, name) in names.iter().enumerate() {
        let outcome = if diverged { Outcome::Diverged } else { attack::threshold(&column(members, c), &column(others, c)) };
        let mut figures = attack::figures(&format!("{name}_"), &outcome, others.len()).into_iter();
        if let Some(area) = figures.next().map(Measured::showing_old_class) {
            out.push(if judged.contains(name) { area } else { area.descriptive() });
        }
        out.extend(figures.map(Measured::descriptive));
    }
    let regression = attack::regression(members, others, seed);
    // Members that a regression can find are known to the model, whichever way they stand out.
    out.extend(attack::figures("logistic_", &regression, others.len()).into_iter().map(Measured::showing_old_class));
    (out, regression)
}
