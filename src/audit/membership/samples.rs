//! The same attacks where samples, not a class, were unlearned: their classes stay, so that every sample has a slot and a loss.

use std::collections::BTreeSet;

use super::signals::{LABEL_FREE, LABELLED, confidence_in};
use super::{all_attacks, attack, finite};
use crate::audit::{Findings, Reference, lira, rmia};
use crate::error::{Error, Result};
use crate::stats::Logits;

/// A model's answers on N samples.
#[derive(Debug, Clone, Copy)]
pub struct Answers<'a> {
    /// N×K logits.
    pub logits: &'a Logits,
    /// The slot of each sample's class, N values below K.
    pub slots: &'a [usize],
}

/// Threshold attacks whose areas are judged. Correctness is one bit, the others are much like these.
const JUDGED: [&str; 3] = ["loss", "modified_entropy", "energy"];

/// Attacks on `forget`, training samples that the model was made to forget, beside `unseen`, samples of the same classes that it never trained on.
///
/// Gives what [`super::Membership`] gives of a class – `SIGNAL_auc` for each of [`LABEL_FREE`] and `logistic_*` – with the signals that need the true
/// slot ([`LABELLED`]: `loss`, `correctness`, `modified_entropy`, `true_confidence`) among them. A retrained model's figures are the ones to
/// compare with, 0.5 being their expectation where both sides were drawn alike. `seed` says how samples are dealt out for cross-fitting; use one for
/// all models.
///
/// # Errors
/// Numbers of samples and slots that differ, models of different K or with one slot, a slot that is none of the K, and sides that are not of
/// the same classes: then the attack would tell classes apart, not members.
///
/// ```
/// use unlearn::audit::membership::samples::{Answers, sample_unlearning};
/// use unlearn::stats::Logits;
/// # fn main() -> unlearn::error::Result<()> {
/// // A model that is sure of what it was to forget, and of nothing else.
/// let sure = Logits { values: [4.0, 0.0, 0.0, 5.0].repeat(10), slots: 2 };
/// let unsure = Logits { values: [0.5, 0.0, 0.0, 0.1].repeat(10), slots: 2 };
/// let slots = [0, 1].repeat(10);
/// let found = sample_unlearning(Answers { logits: &sure, slots: &slots }, Answers { logits: &unsure, slots: &slots }, 0)?;
/// let loss = found.figures.iter().find(|f| f.metric == "loss_auc").and_then(|f| f.value);
/// assert_eq!(loss, Some(1.0));
/// # Ok(())
/// # }
/// ```
pub fn sample_unlearning(forget: Answers<'_>, unseen: Answers<'_>, seed: u64) -> Result<Findings> {
    check(&forget, &unseen)?;
    let rows = |a: &Answers<'_>| -> Vec<Vec<f64>> {
        let row = |(z, y): (&[f32], &usize)| LABELLED.iter().map(|s| (s.of)(z, *y)).chain(LABEL_FREE.iter().map(|s| (s.of)(z))).collect();
        a.logits.rows().zip(a.slots).map(row).collect()
    };
    let names: Vec<&str> = LABELLED.iter().map(|s| s.name).chain(LABEL_FREE.iter().map(|s| s.name)).collect();
    let (figures, regression) = all_attacks(&names, &JUDGED, &rows(&forget), &rows(&unseen), seed);
    let exhibit = attack::exhibit(
        "membership",
        "Membership attack on unlearned samples: ROC",
        "Logistic regression on all signals, those of the true class included. Members are the samples to forget, non-members unseen samples of \
         the same classes; a retrained model's curve is what there is to reach.",
        &regression,
    );
    Ok(Findings { figures, exhibits: exhibit.into_iter().collect() })
}

/// The attacks that models which never saw the samples to forget calibrate sample by sample, offline LiRA and RMIA, on (forget, unseen) samples of the model
/// under attack, with `references` the same of at least two such models: `lira_*` and `rmia_*`, each what [`attack::figures`] says. Unlike
/// [`crate::audit`]'s of a class they read the true class's confidence and probability, as the papers do: these classes have slots. Unseen samples are RMIA's
/// population. References that diverged don't count.
///
/// # Errors
/// As [`sample_unlearning`], for the references too; a reference with other samples or slots.
pub fn calibrated(mine: (Answers<'_>, Answers<'_>), references: &[(Answers<'_>, Answers<'_>)]) -> Result<Findings> {
    for (forget, unseen) in std::iter::once(&mine).chain(references) {
        check(forget, unseen)?;
        if forget.slots != mine.0.slots || unseen.slots != mine.1.slots || forget.logits.slots != mine.0.logits.slots {
            let what = "a reference's samples or slots are not the model's";
            return Err(Error::input("sample unlearning", what, "give all models' answers on the same samples, in the same order"));
        }
    }
    let members = mine.0.logits.len();
    let confidence = |(forget, unseen): &(Answers<'_>, Answers<'_>)| -> Vec<f64> {
        [forget, unseen].iter().flat_map(|a| a.logits.rows().zip(a.slots).map(|(z, y)| confidence_in(z, *y))).collect()
    };
    let own = confidence(&mine);
    let theirs: Vec<Vec<f64>> = references.iter().map(confidence).filter(|t| finite(t)).collect();
    let by_ratio = match lira::scores(&own, &theirs) {
        Some(scores) => attack::threshold(&scores[..members], &scores[members..]),
        None => attack::Outcome::Undefined,
    };
    let probability = |c: &Vec<f64>| -> Vec<f64> { c.iter().map(|c| 1.0 / (1.0 + (-c).exp())).collect() };
    let by_rank = if theirs.len() < 2 {
        attack::Outcome::Undefined
    } else {
        rmia::attack(&probability(&own), &theirs.iter().map(probability).collect::<Vec<_>>(), members)
    };
    let (mut figures, mut exhibits) = (Vec::new(), Vec::new());
    for (name, title, outcome) in [("lira_", "Likelihood-ratio attack (LiRA)", &by_ratio), ("rmia_", "Robust membership attack (RMIA)", &by_rank)] {
        figures.extend(
            attack::figures(name, outcome, mine.1.logits.len()).into_iter().map(|f| f.showing_old_class().against(Reference::OraclesMeanSigned)),
        );
        let note = "Calibrated sample by sample by models that never saw the samples to forget. Members are these, non-members unseen samples of the \
                    same classes.";
        exhibits.extend(attack::exhibit("membership", &format!("{title} on unlearned samples: ROC"), note, outcome));
    }
    Ok(Findings { figures, exhibits })
}

fn check(forget: &Answers<'_>, unseen: &Answers<'_>) -> Result<()> {
    let wrong = |what: String, remedy: &str| Err(Error::input("sample unlearning", what, remedy));
    for (name, side) in [("forget", forget), ("unseen", unseen)] {
        let (n, k) = (side.logits.len(), side.logits.slots);
        if k < 2 || side.logits.values.len() != n * k {
            return wrong(
                format!("{} logits of {name} samples are no rows of {k}", side.logits.values.len()),
                "give N×K logits with K of at least 2",
            );
        }
        if side.slots.len() != n {
            return wrong(format!("{n} rows of logits and {} slots of {name} samples", side.slots.len()), "give one slot a row");
        }
        if let Some(slot) = side.slots.iter().find(|s| **s >= k) {
            return wrong(format!("slot {slot} of a {name} sample, and logits have {k}"), "count slots from 0");
        }
    }
    if forget.logits.slots != unseen.logits.slots {
        let what = format!("{} slots for forget and {} for unseen samples", forget.logits.slots, unseen.logits.slots);
        return wrong(what, "take both from one model");
    }
    let classes = |a: &Answers<'_>| -> BTreeSet<usize> { a.slots.iter().copied().collect() };
    if let Some(slot) = classes(forget).symmetric_difference(&classes(unseen)).next() {
        let what = format!("samples of slot {slot} are on one side only: the attack would tell classes apart, not members");
        return wrong(what, "give forget and unseen samples of the same classes, best in the same shares");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::rng;

    /// `n` answers of 3 slots; the true slot's logit is `lead` above noise.
    fn answers(n: usize, lead: f32, index: u64) -> (Logits, Vec<usize>) {
        let mut rng = rng::stream(5, "test", index);
        let slots: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let values = slots.iter().flat_map(|y| [0, 1, 2].map(|i| rng.random_range(-1.0f32..1.0) + if i == *y { lead } else { 0.0 })).collect();
        (Logits { values, slots: 3 }, slots)
    }

    /// Logits and slots.
    type Answered = (Logits, Vec<usize>);

    /// Of the samples to forget and of the unseen ones.
    type Sides = (Answered, Answered);

    fn lent((forget, unseen): &Sides) -> (Answers<'_>, Answers<'_>) {
        (Answers { logits: &forget.0, slots: &forget.1 }, Answers { logits: &unseen.0, slots: &unseen.1 })
    }

    fn value(found: &Findings, metric: &str) -> Option<f64> {
        found.figures.iter().find(|f| f.metric == metric).expect("measured").value
    }

    fn attacked(forget: &(Logits, Vec<usize>), unseen: &(Logits, Vec<usize>)) -> Result<Findings> {
        sample_unlearning(Answers { logits: &forget.0, slots: &forget.1 }, Answers { logits: &unseen.0, slots: &unseen.1 }, 1)
    }

    #[test]
    fn what_is_remembered_is_found_and_what_is_not_is_not() {
        let found = attacked(&answers(300, 1.5, 0), &answers(300, 0.0, 1)).expect("sound");
        for metric in ["loss_auc", "modified_entropy_auc", "true_confidence_auc", "logistic_auc"] {
            assert!(value(&found, metric).is_some_and(|v| v > 0.85), "{metric} {:?}", value(&found, metric));
        }
        assert!(value(&found, "correctness_auc").is_some_and(|v| v > 0.7));
        assert!(value(&found, "logistic_tpr_at_1pct_fpr").is_some_and(|v| v > 0.05));
        // Every signal has its rates and intervals, and none of them is judged.
        assert!(value(&found, "loss_tpr_at_1pct_fpr").is_some_and(|v| v > 0.05) && value(&found, "margin_tpr_at_1pct_fpr_high").is_some());
        assert!(value(&found, "loss_auc_low") < value(&found, "loss_auc") && value(&found, "loss_auc") < value(&found, "loss_auc_high"));
        let judged: Vec<&str> = found.figures.iter().filter(|f| f.tolerance.is_some()).map(|f| f.metric.as_str()).collect();
        assert_eq!(judged, ["loss_auc", "modified_entropy_auc", "energy_auc", "logistic_auc"]);
        assert_eq!(value(&found, "logistic_tpr_at_01pct_fpr"), None, "300 unseen samples do not resolve 0.1 %");
        assert_eq!(found.exhibits.len(), 1);
        let same = attacked(&answers(300, 0.5, 0), &answers(300, 0.5, 1)).expect("sound");
        for f in same.figures.iter().filter(|f| f.metric.ends_with("_auc")) {
            // se ≈ √(1/(6·300)) = 0.024
            assert!(f.value.is_some_and(|v| (v - 0.5).abs() < 0.08), "{f:?}");
        }
    }

    #[test]
    fn labels_see_what_confidence_cannot() {
        // Sure on both sides, but right only on one.
        let (sure, slots) = answers(90, 6.0, 0);
        let (other, _) = answers(90, 6.0, 1);
        let wrong: Vec<usize> = slots.iter().map(|y| (y + 1) % 3).collect();
        let found = attacked(&(sure, slots), &(other, wrong)).expect("sound");
        for metric in ["loss_auc", "correctness_auc", "modified_entropy_auc", "logistic_auc"] {
            assert_eq!(value(&found, metric), Some(1.0), "{metric}");
        }
        assert!(value(&found, "entropy_auc").is_some_and(|v| (v - 0.5).abs() < 0.15));
    }

    #[test]
    fn references_find_what_a_threshold_does_not() {
        // Difficulty spreads far wider than membership adds; the references show the difficulty of every sample.
        let side = |n: usize, gain: f32, noise: f32| {
            let logits =
                Logits { values: (0..n).flat_map(|i| [(i * 37 % 100) as f32 / 10.0 - 3.0 + gain + noise * (i % 3) as f32, 0.0]).collect(), slots: 2 };
            (logits, vec![0; n])
        };
        let model = (side(100, 0.5, 0.0), side(100, 0.0, 0.0));
        let references: Vec<_> = [-0.02f32, 0.03, 0.01].iter().map(|e| (side(100, 0.0, *e), side(100, 0.0, *e))).collect();
        let of = |m: &Sides, references: &[Sides]| calibrated(lent(m), &references.iter().map(lent).collect::<Vec<_>>());
        let found = of(&model, &references).expect("sound");
        assert!(value(&found, "lira_auc").is_some_and(|v| v > 0.99), "{:?}", value(&found, "lira_auc"));
        assert!(value(&found, "rmia_auc").is_some_and(|v| v > 0.7), "{:?}", value(&found, "rmia_auc"));
        let plain = attacked(&model.0, &model.1).expect("sound");
        assert!(value(&plain, "loss_auc").is_some_and(|v| v < 0.6));
        assert_eq!(found.exhibits.len(), 2);
        // One is no scale.
        let alone = of(&model, &references[..1]).expect("sound");
        assert!(alone.figures.iter().all(|f| f.value.is_none() && f.reason.is_some()) && alone.exhibits.is_empty());
        let error = of(&model, &[(side(99, 0.0, 0.0), side(100, 0.0, 0.0))]).expect_err("another number of samples");
        assert!(error.to_string().contains("same samples"), "{error}");
    }

    #[test]
    fn bad_input_is_named() {
        let (logits, slots) = answers(9, 0.0, 0);
        let good = (logits.clone(), slots.clone());
        let says = |forget: &(Logits, Vec<usize>), word: &str| {
            let error = attacked(forget, &good).expect_err("bad input");
            assert!(error.to_string().contains(word) && error.exit_code() == 2, "{error}");
        };
        says(&(logits.clone(), vec![0]), "one slot a row");
        says(&(logits.clone(), vec![3; 9]), "slot 3");
        says(&(logits.clone(), vec![1; 9]), "on one side only");
        says(&(Logits { values: vec![0.0; 9], slots: 1 }, vec![0; 9]), "at least 2");
        says(&(Logits { values: vec![0.0; 18], slots: 2 }, vec![0, 1, 0, 1, 0, 1, 0, 1, 0]), "one model");
    }

    #[test]
    fn too_few_samples_and_diverged_models_give_no_numbers() {
        let few = attacked(&answers(3, 0.0, 0), &answers(3, 0.0, 1)).expect("sound");
        assert_eq!(value(&few, "logistic_auc"), None);
        assert!(few.exhibits.is_empty() && few.figures.iter().all(|f| !f.diverged));
        let mut broken = answers(30, 0.0, 0);
        broken.0.values[4] = f32::NAN;
        let found = attacked(&broken, &answers(30, 0.0, 1)).expect("sound");
        assert!(found.figures.iter().all(|f| f.diverged && f.value.is_none()), "{:?}", found.figures);
    }
}
