//! `mia-nn`: can the model's answers on the old class be told from a retrained model's on the same images?

use rand::seq::SliceRandom;

use super::membership::attack::{self, AUC_TOLERANCE, FOLDS, Outcome};
use super::membership::finite;
use super::{Audit, Findings, Measured, PartName, Peer, Subject};
use crate::context::Context;
use crate::data::Role;
use crate::error::Result;
use crate::rng;
use crate::stats::{self, Logits, logistic};
use crate::summary::Family;

/// A two-sample test on the answers to old-class test images, which neither the model nor the oracle has seen (of the original: not these images). For one
/// oracle at a time: a logistic regression on the K probabilities and K log-probabilities, slot by slot, is fitted to tell the model's answers from
/// the oracle's, cross-fitted by image so that no image is on both sides.
///
/// `auc`: P(an answer of the model scores above one of the oracle's), mean over the oracles; `balanced_accuracy`: the share of answers given to the
/// right model, likewise. 0.5 means no difference; but networks differ by themselves, and an oracle's figures (against the other oracles) are the level to
/// reach. As every comparison is with one oracle, the figures do not depend on how many there are. Undefined without oracles (that have not diverged), and where the model has
/// another number of slots (the original, for plain unlearning); the original's own slot of the old class is set beside the new class's.
///
/// It reads how probability spreads over the neighbours of the old class, as the attack of the source does; a model whose mean output is right (see
/// `profile`) may still be too sure, too unsure or too regular.
#[derive(Debug)]
pub struct MiaNn;

impl Audit for MiaNn {
    fn name(&self) -> &'static str {
        "mia-nn"
    }

    fn summary(&self) -> &'static str {
        "classifier that tells the model's answers on the old class from an oracle's; what counts is the oracles' own level"
    }

    fn source(&self) -> &'static str {
        "after MIA-NN of TREW, ICML 2026, arXiv 2506.20893, as a two-sample test: Lopez-Paz & Oquab 2017, arXiv 1610.06545"
    }

    fn family(&self) -> Family {
        Family::Membership
    }

    fn measure(&self, subject: &Subject<'_>, ctx: &mut Context) -> Result<Findings> {
        let logits = |p: &Peer<'_>| -> Option<Vec<Vec<f64>>> { p.signals.logits(Role::Forget, PartName::Test).map(features) };
        let Some(mine) = logits(&subject.me) else { return Ok(Findings::default()) };
        let folds = by_image(mine.len(), subject.data.seed);
        let mut found = Vec::new();
        for oracle in &subject.oracles {
            ctx.check_interrupt()?;
            let theirs = logits(oracle).filter(|rows| rows.iter().all(|r| finite(r)));
            found.extend(theirs.map(|theirs| told_apart(&mine, &theirs, &folds)));
        }
        let mean = |values: Option<Vec<f64>>| values.filter(|v| !v.is_empty()).map(|v| stats::mean(&v));
        let auc = mean(found.iter().map(|(outcome, _)| outcome.auc()).collect());
        let accuracy = mean(found.iter().map(|(outcome, accuracy)| outcome.value(|_| *accuracy)).collect());
        Ok(vec![
            Measured::new("auc", auc, "fraction", AUC_TOLERANCE),
            Measured::new("balanced_accuracy", accuracy, "fraction", AUC_TOLERANCE).descriptive(),
        ]
        .into())
    }
}

/// Least probability told from zero: that of a slot which any softmax in f32 still has. Below it logarithms measure nothing but scale.
const FLOOR: f64 = 1e-9;

/// K probabilities and their logarithms, row by row.
fn features(logits: &Logits) -> Vec<Vec<f64>> {
    let row = |l: Vec<f64>| {
        // f64::max would take the floor for NaN and hide a model that diverged.
        let floored = |l: &f64| if *l < FLOOR.ln() { FLOOR.ln() } else { *l };
        l.iter().map(|l| l.exp()).chain(l.iter().map(floored)).collect()
    };
    logits.log_softmax().into_iter().map(row).collect()
}

/// A part for each of N images.
fn by_image(n: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut rng::stream(seed, "mia-nn folds", 0));
    let mut fold = vec![0; n];
    order.into_iter().enumerate().for_each(|(turn, i)| fold[i] = turn % FOLDS);
    fold
}

/// How well rows of `mine` are told from rows of `theirs`, row i of both being the same image, and the share given to the right side.
fn told_apart(mine: &[Vec<f64>], theirs: &[Vec<f64>], folds: &[usize]) -> (Outcome, Option<f64>) {
    let width = |rows: &[Vec<f64>]| rows.first().map(Vec::len);
    if mine.len() != theirs.len() || width(mine) != width(theirs) {
        return (Outcome::Undefined, None);
    }
    let rows = [mine, theirs].concat();
    let is_mine: Vec<bool> = (0..rows.len()).map(|i| i < mine.len()).collect();
    let parts = [folds, folds].concat();
    let outcome = attack::cross_fitted(&rows, &is_mine, &parts);
    let accuracy = logistic::cross_fitted(&rows, &is_mine, &parts).map(|scores| {
        // Both sides have the same number of rows. A score of exactly 0 says nothing, so it is half right.
        let right = |(score, mine): (&f64, &bool)| if *score == 0.0 { 0.5 } else { f64::from(u8::from((*score > 0.0) == *mine)) };
        stats::mean(&scores.iter().zip(&is_mine).map(right).collect::<Vec<_>>())
    });
    (outcome, accuracy)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// `n` answers of 4 slots, `lead` for slot 0.
    fn answers(n: usize, lead: f32, index: u64) -> Vec<Vec<f64>> {
        let mut rng = rng::stream(9, "test", index);
        let values = (0..4 * n).map(|i| rng.random_range(-1.0f32..1.0) + if i % 4 == 0 { lead } else { 0.0 }).collect();
        features(&Logits { values, slots: 4 })
    }

    fn auc(mine: &[Vec<f64>], theirs: &[Vec<f64>]) -> f64 {
        let (outcome, accuracy) = told_apart(mine, theirs, &by_image(mine.len(), 3));
        let auc = outcome.auc().expect("defined");
        assert!(accuracy.is_some_and(|a| (a - 0.5).abs() <= (auc - 0.5).abs() + 0.1), "{accuracy:?} {auc}");
        auc
    }

    #[test]
    fn another_profile_is_told_apart_and_the_same_is_not() {
        // se ≈ √(1/(6·400)) = 0.02
        let same = auc(&answers(400, 0.0, 0), &answers(400, 0.0, 1));
        assert!((same - 0.5).abs() < 0.08, "{same}");
        assert!(auc(&answers(400, 1.0, 0), &answers(400, 0.0, 1)) > 0.75);
        assert!(auc(&answers(400, 9.0, 0), &answers(400, 0.0, 1)) > 0.999);
    }

    #[test]
    fn the_same_answers_are_at_chance() {
        // Every image's two rows are equal and in one part: no score can tell them apart.
        let rows = answers(50, 0.5, 0);
        assert_eq!(auc(&rows, &rows), 0.5);
    }

    #[test]
    fn what_cannot_be_compared_is_undefined_and_nan_is_not_hidden() {
        let rows = answers(20, 0.0, 0);
        assert!(matches!(told_apart(&rows, &rows[..19], &by_image(20, 0)).0, Outcome::Undefined));
        let narrow = features(&Logits { values: vec![0.0; 60], slots: 3 });
        assert!(matches!(told_apart(&rows, &narrow, &by_image(20, 0)).0, Outcome::Undefined));
        assert!(matches!(told_apart(&rows[..3], &rows[..3], &by_image(3, 0)).0, Outcome::Undefined), "three images for five parts");
        let broken = features(&Logits { values: vec![f32::NAN; 80], slots: 4 });
        assert!(matches!(told_apart(&broken, &rows, &by_image(20, 0)).0, Outcome::Diverged));
    }
}
