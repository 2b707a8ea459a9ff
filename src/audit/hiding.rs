//! `hiding`: the notebook's test-time hiding figures. Kept for comparison: a model may hide perfectly and still hold the old class.

use super::{Audit, Findings, Measured, PartName, Subject, confusion};
use crate::context::Context;
use crate::data::Role;
use crate::error::Result;
use crate::stats::{self, Logits};
use crate::summary::Family;

/// Old-class test samples are grouped by their arg-max slot; group i holds those predicted as slot i.
///
/// `distribution`: KL(g‖t)/K in nats, g the groups' shares, t the classes' shares of the K classes' test samples (the notebook's library
/// call averages over K). `covariance_mean`: mean over the defined slots of ‖cov(log-softmax of group i) − cov(log-softmax of class i)‖_F / K²
/// with divisor N+1; `covariance_SLOT`: each of them, undefined (null) for an empty group.
#[derive(Debug)]
pub struct Hiding;

/// Of swaps made at once each is judged without the others' classes.
const WITHOUT_IMAGES: &str = "a class of the model has no test image at hand: it is another swap's new one, in that swap's report";

impl Audit for Hiding {
    fn name(&self) -> &'static str {
        "hiding"
    }

    fn summary(&self) -> &'static str {
        "the notebook's hiding figures: how evenly old-class images spread, how alike their outputs are to the slots'"
    }

    fn source(&self) -> &'static str {
        "founding notebook, `test`"
    }

    fn family(&self) -> Family {
        Family::Output
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let Some(old) = subject.me.signals.logits(Role::Forget, PartName::Test) else { return Ok(Findings::default()) };
        let classes: Vec<Logits> = confusion::by_class(subject).into_iter().map(|(_, l)| l).collect();
        let each = covariances(old, &classes);
        let defined: Vec<f64> = each.iter().flatten().copied().collect();
        let mut out = vec![
            Measured::new("distribution", distribution(old, &classes), "nats", 0.01).undefined_because(|| WITHOUT_IMAGES.into()),
            Measured::new("covariance_mean", (!defined.is_empty()).then(|| stats::mean(&defined)), "nats²", 0.1)
                .undefined_because(|| "no old-class image is taken for a class whose test images are at hand".into()),
        ];
        // A single slot's group may hold a handful of samples: for reading, not for judging by.
        out.extend(each.into_iter().enumerate().map(|(i, v)| Measured::new(format!("covariance_{i}"), v, "nats²", 0.1).descriptive()));
        Ok(out.into())
    }
}

/// (1/K) Σ gᵢ (ln gᵢ − ln tᵢ), a term with gᵢ = 0 counting 0. None without old-class samples or where a class has none.
pub fn distribution(old: &Logits, classes: &[Logits]) -> Option<f64> {
    let all: usize = classes.iter().map(Logits::len).sum();
    if old.is_empty() || classes.iter().any(Logits::is_empty) {
        return None;
    }
    let mut groups = vec![0usize; classes.len()];
    old.argmax().into_iter().for_each(|k| groups[k] += 1);
    let sum: f64 = groups
        .iter()
        .zip(classes)
        .filter(|(g, _)| **g > 0)
        .map(|(g, class)| {
            let g = *g as f64 / old.len() as f64;
            g * (g.ln() - (class.len() as f64 / all as f64).ln())
        })
        .sum();
    Some(sum / classes.len() as f64)
}

/// Slot by slot, ‖cov(group) − cov(class)‖_F / K² of log-softmax with divisor N+1; none for an empty group or class.
pub fn covariances(old: &Logits, classes: &[Logits]) -> Vec<Option<f64>> {
    let answers = old.argmax();
    let rows = old.log_softmax();
    let k = classes.len() as f64;
    classes
        .iter()
        .enumerate()
        .map(|(slot, class)| {
            let group: Vec<Vec<f64>> = rows.iter().zip(&answers).filter(|(_, a)| **a == slot).map(|(r, _)| r.clone()).collect();
            if group.is_empty() || class.is_empty() {
                return None;
            }
            Some(stats::frobenius_distance(&stats::covariance(&group, 1), &stats::covariance(&class.log_softmax(), 1)) / (k * k))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_probabilities(rows: &[[f64; 2]]) -> Logits {
        Logits { values: rows.iter().flatten().map(|p| p.ln() as f32).collect(), slots: 2 }
    }

    #[test]
    fn distribution_of_a_worked_case() {
        // three of four old samples go to slot 0: g = (3/4, 1/4); classes of 2 and 6 samples: t = (1/4, 3/4)
        // KL = .75·ln 3 + .25·ln(1/3) = .5·ln 3 = .549306; / K = .274653
        let old = from_probabilities(&[[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8]]);
        let classes = [from_probabilities(&[[0.9, 0.1]; 2]), from_probabilities(&[[0.1, 0.9]; 6])];
        let kl = distribution(&old, &classes).expect("defined");
        assert!((kl - 0.274_653).abs() < 1e-6, "{kl}");
    }

    #[test]
    fn an_empty_slot_counts_nothing_in_the_distribution_and_is_undefined_in_the_covariance() {
        let old = from_probabilities(&[[0.9, 0.1], [0.8, 0.2]]);
        let classes = [from_probabilities(&[[0.9, 0.1]; 3]), from_probabilities(&[[0.1, 0.9]; 3])];
        // g = (1, 0), t = (½, ½): KL = ln 2
        let kl = distribution(&old, &classes).expect("defined");
        assert!((kl - 2f64.ln() / 2.0).abs() < 1e-12);
        assert_eq!(covariances(&old, &classes)[1], None);
    }

    #[test]
    fn covariance_of_a_worked_case() {
        // The group: log-softmax rows (ln .8, ln .2) and (ln .6, ln .4): differences δ₁ = ln .8 − ln .6 = .287682, δ₂ = ln .2 − ln .4 = −.693147.
        // Σ over two rows of centred products: δᵢδⱼ/2; divisor N+1 = 3: δᵢδⱼ/6 = .0137935, −.0332341, .0800755.
        // The class is constant: covariance 0. Frobenius √(.0137935² + 2·.0332341² + .0800755²) = .0938690; / K² = .0234673.
        let old = from_probabilities(&[[0.8, 0.2], [0.6, 0.4]]);
        let classes = [from_probabilities(&[[0.9, 0.1]; 3]), from_probabilities(&[[0.1, 0.9]; 3])];
        let c = covariances(&old, &classes)[0].expect("defined");
        assert!((c - 0.023_467_3).abs() < 1e-6, "{c}");
    }
}
