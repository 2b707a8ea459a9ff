//! `mia-nn`: can the model's answers on the old class be told from a retrained model's on the same images?

use rand::seq::SliceRandom;

use super::membership::attack::{self, FOLDS, Outcome};
use super::membership::finite;
use super::{Audit, Findings, Measured, PartName, Peer, Reference, Subject};
use crate::context::Context;
use crate::data::Role;
use crate::error::Result;
use crate::rng;
use crate::stats::{self, Logits};
use crate::summary::{Family, ModelKind};

/// A two-sample test on the answers to old-class test images, which neither the model nor the oracles have seen. A logistic regression on the K
/// probabilities and K log-probabilities, slot by slot, is fitted to tell the model's answers from the oracles', the two sides weighing a half each,
/// cross-fitted by image so that no image's answers are on both sides.
///
/// `auc`: P(an answer of the model scores above one of an oracle's); `balanced_accuracy`: mean of the shares of the model's and of the oracles' answers given to
/// the right side. 0.5 means no difference; but networks differ by themselves, the fewer oracles the more it shows, and an oracle's figures (against the other
/// oracles) are the level to reach. So that numbers match, every other model is set beside the oracles without one, each left out in turn, and figures are
/// means; what tells a model from several at once is its distance from what they have in common. Undefined without oracles (that have not diverged), and
/// where the model has another number of slots (the original, for plain unlearning); the original's own slot of the old class is set beside the new
/// class's.
///
/// It reads how probability spreads over the neighbours of the old class, as the attack of the source does; a model whose mean output is right (see
/// `profile`) may still be too sure, too unsure or too regular. At most [`MOST_IMAGES`] images, evenly spread.
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
        let answers = |p: &Peer<'_>| -> Option<Vec<Vec<f64>>> { p.signals.logits(Role::Forget, PartName::Test).map(features) };
        let Some(mine) = answers(&subject.me) else { return Ok(Findings::default()) };
        let theirs: Vec<Vec<Vec<f64>>> = subject.oracles.iter().filter_map(answers).filter(|rows| rows.iter().all(|r| finite(r))).collect();
        let folds = by_image(mine.len(), subject.data.seed);
        let mut found = Vec::new();
        for left_out in 0..theirs.len() {
            ctx.check_interrupt()?;
            // An oracle has lost itself from the judges already; a single judge can't be done without.
            let all = subject.me.kind == ModelKind::Oracle || theirs.len() == 1;
            let judges: Vec<&[Vec<f64>]> = (0..theirs.len()).filter(|i| all || *i != left_out).map(|i| theirs[i].as_slice()).collect();
            found.push(told_apart(&mine, &judges, &folds));
            if all {
                break;
            }
        }
        let mean = |of: fn(&Outcome) -> Option<f64>| {
            let values: Option<Vec<f64>> = found.iter().map(of).collect();
            values.filter(|v| !v.is_empty()).map(|v| stats::mean(&v))
        };
        let auc = mean(Outcome::auc);
        let accuracy = mean(|outcome| outcome.value(|a| a.balanced_accuracy));
        Ok(vec![
            Measured::new("auc", auc, "fraction", TOLERANCE).against(Reference::OraclesMean).lower_is_better(),
            Measured::new("balanced_accuracy", accuracy, "fraction", TOLERANCE).descriptive(),
        ]
        .into())
    }
}

/// What retrained models differ by among themselves (mnist-mini with eight: sd 0.06 around 0.78); models that only hide the old class are at 0.95 and above.
const TOLERANCE: f64 = 0.05;
/// Least probability told from zero: that of a slot which any softmax in f32 still has. Below it logarithms measure nothing but scale.
const FLOOR: f64 = 1e-9;

/// Images read, at most: enough for an area to a point or two, and the cost stays bounded.
const MOST_IMAGES: usize = 500;

/// K probabilities and their logarithms, row by row, of at most [`MOST_IMAGES`] rows.
fn features(logits: &Logits) -> Vec<Vec<f64>> {
    let (n, kept) = (logits.len(), logits.len().min(MOST_IMAGES));
    let row = |z: &[f32]| {
        let l = stats::log_softmax(z);
        // f64::max would take the floor for NaN and hide a model that diverged.
        let floored = |l: &f64| if *l < FLOOR.ln() { FLOOR.ln() } else { *l };
        l.iter().map(|l| l.exp()).chain(l.iter().map(floored)).collect()
    };
    // Row i is kept where the count of kept ones grows with it.
    logits.rows().enumerate().filter(|(i, _)| (i + 1) * kept / n > i * kept / n).map(|(_, z)| row(z)).collect()
}

/// A part for each of N images.
fn by_image(n: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut rng::stream(seed, "mia-nn folds", 0));
    let mut fold = vec![0; n];
    order.into_iter().enumerate().for_each(|(turn, i)| fold[i] = turn % FOLDS);
    fold
}

/// How well rows of `mine` are told from those of `judges`, row i of all being of one image.
fn told_apart(mine: &[Vec<f64>], judges: &[&[Vec<f64>]], folds: &[usize]) -> Outcome {
    let width = |rows: &[Vec<f64>]| rows.first().map(Vec::len);
    if judges.iter().any(|j| j.len() != mine.len() || width(j) != width(mine)) {
        return Outcome::Undefined;
    }
    let rows: Vec<Vec<f64>> = mine.iter().chain(judges.iter().copied().flatten()).cloned().collect();
    let is_mine: Vec<bool> = (0..rows.len()).map(|i| i < mine.len()).collect();
    attack::cross_fitted(&rows, &is_mine, &folds.repeat(1 + judges.len()))
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

    fn auc(mine: &[Vec<f64>], judges: &[&[Vec<f64>]]) -> f64 {
        let Outcome::Done(found) = told_apart(mine, judges, &by_image(mine.len(), 3)) else { panic!("defined") };
        let accuracy = found.balanced_accuracy.expect("a regression's");
        assert!((accuracy - 0.5).abs() <= (found.auc.value - 0.5).abs() + 0.1, "{accuracy} {}", found.auc.value);
        found.auc.value
    }

    #[test]
    fn another_profile_is_told_apart_and_the_same_is_not() {
        // se ≈ √(1/(6·400)) = 0.02
        let same = auc(&answers(400, 0.0, 0), &[&answers(400, 0.0, 1), &answers(400, 0.0, 2)]);
        assert!((same - 0.5).abs() < 0.08, "{same}");
        assert!(auc(&answers(400, 1.0, 0), &[&answers(400, 0.0, 1), &answers(400, 0.0, 2)]) > 0.75);
        assert!(auc(&answers(400, 9.0, 0), &[&answers(400, 0.0, 1), &answers(400, 0.0, 2)]) > 0.999);
    }

    #[test]
    fn the_same_answers_are_at_chance() {
        // Every image's two rows are equal and in one part: no score can tell them apart.
        let rows = answers(50, 0.5, 0);
        assert_eq!(auc(&rows, &[&rows]), 0.5);
    }

    #[test]
    fn what_cannot_be_compared_is_undefined_and_nan_is_not_hidden() {
        let rows = answers(20, 0.0, 0);
        assert!(matches!(told_apart(&rows, &[&rows, &rows[..19]], &by_image(20, 0)), Outcome::Undefined));
        let narrow = features(&Logits { values: vec![0.0; 60], slots: 3 });
        assert!(matches!(told_apart(&rows, &[&narrow], &by_image(20, 0)), Outcome::Undefined));
        assert!(matches!(told_apart(&rows[..3], &[&rows[..3]], &by_image(3, 0)), Outcome::Undefined), "three images for five parts");
        let broken = features(&Logits { values: vec![f32::NAN; 80], slots: 4 });
        assert!(matches!(told_apart(&broken, &[&rows], &by_image(20, 0)), Outcome::Diverged));
    }

    #[test]
    fn images_are_capped_evenly() {
        let n = 1200;
        let values = (0..n).flat_map(|i| [i as f32 / 100.0, 0.0]).collect();
        let rows = features(&Logits { values, slots: 2 });
        assert_eq!(rows.len(), MOST_IMAGES);
        assert!(rows.windows(2).all(|w| w[0][0] < w[1][0]), "in order, none twice");
        assert_eq!(features(&Logits { values: vec![], slots: 2 }).len(), 0);
    }
}
