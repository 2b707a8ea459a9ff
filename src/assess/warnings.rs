//! What a reader must know before believing a verdict: do models whose verdict is known get it?

use crate::audit::cka;
use crate::audit::verdict::{CONFIDENCE, MIN_ORACLES, matched_without};
use crate::stats;
use crate::summary::{Calibration, ControlKind, Family, FamilyVerdict, ModelKind, Score, Verdict};

use super::controls;

/// By which factor the limits may be wider than drawn models need them before the reader is told.
const MUCH_WIDER: f64 = 1.5;

/// Warnings on too few oracles, controls and the original that pass, and the method `retrain`, where it is an `exact` retraining, that doesn't.
pub fn on_verdicts(verdicts: &[Verdict], scores: &[Score], calibration: Option<&Calibration>, exact: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let oracles = verdicts.iter().filter(|v| v.kind == ModelKind::Oracle).count();
    if oracles < MIN_ORACLES {
        warnings.push(format!("{oracles} oracle(s): no verdict without at least {MIN_ORACLES}. Values are shown, judge them with care."));
    }
    if oracles == 0 && verdicts.iter().all(|v| v.kind != ModelKind::Original) {
        warnings.push(
            "Nothing here says how a model that forgot should look. Give --oracle, or --original for an estimate by classes it never saw.".into(),
        );
    }
    let controls = controls::checked(verdicts);
    for control in controls.iter().filter(|c| c.behaves == Some(false)) {
        let what = match control.what {
            ControlKind::Untrained => "was never trained: the audits can't tell a network that works from one that doesn't",
            ControlKind::Hiding => "only hides the old class: the audits can't tell hiding from erasing here",
            ControlKind::Original => "was trained on the old class: the audits can't tell it from models that never saw it",
            ControlKind::HeldOutOracle => continue, // the calibration speaks of these, which knows how many may fail by chance
        };
        warnings.push(format!(
            "“{}” is judged matched, though it {what}. Believe no verdict of this run; with more --oracles the audits tell more.",
            control.model
        ));
    }
    let by_answers_alone: Vec<String> = verdicts.iter().filter(|v| hides_from_features(v, scores)).map(|v| format!("“{}”", v.model)).collect();
    if !by_answers_alone.is_empty() {
        warnings.push(format!(
            "{}: the old class is still in the network, and here neither a read-out of features nor relearning tells it from the oracles, only answers, \
             accuracy, membership, or that its features are the original's own. A model that hides the class better than that would not be found out.",
            by_answers_alone.join(", ")
        ));
    }
    if oracles >= MIN_ORACLES && verdicts.iter().any(|v| matches!(v.kind, ModelKind::Method | ModelKind::Subject)) {
        let has = |kind| controls.iter().any(|c| c.what == kind);
        let (hides, untrained, original) = (has(ControlKind::Hiding), has(ControlKind::Untrained), has(ControlKind::Original));
        if !original && !hides {
            warnings.push(
                "No model here must fail but one that was never trained: nothing shows whether these audits tell hiding from erasing. Give --original: \
                 the models that only hide are made of it."
                    .into(),
            );
        } else if !hides || !untrained {
            warnings.push(
                "The negative controls were left out (`controls` is false): nothing shows whether these audits tell hiding from erasing. Leave that \
                 setting out."
                    .into(),
            );
        }
    }
    let retrained = |v: &&Verdict| exact && v.kind == ModelKind::Method && v.model == "retrain";
    for v in verdicts.iter().filter(retrained).filter(|v| v.verdict != "matched" && v.verdict != "no verdict") {
        warnings.push(format!(
            "“retrain”, an exactly retrained model, is judged {}: the oracle band is too narrow here. Use more --oracles before blaming a method.",
            v.verdict
        ));
    }
    warnings.extend(calibration.and_then(on_calibration));
    warnings
}

/// A warning where held-out oracles failed more often than the limits allow for, or made them much wider.
pub fn on_calibration(c: &Calibration) -> Option<String> {
    let failed = c.trials - c.matched_unwidened;
    let allowed = stats::hits_quantile(&vec![1.0 - c.confidence; c.trials], CONFIDENCE);
    let wider = c.widened_excess.max(c.widened_farthest);
    if c.matched < c.trials && (c.matched as f64) < c.confidence * c.trials as f64 {
        return Some(format!(
            "{} of {} oracles, held out and judged by the others, are not matched whatever the limits: an oracle diverged, or lacks a figure that the others have. Train them anew.",
            c.trials - c.matched,
            c.trials
        ));
    }
    (failed > allowed || wider > MUCH_WIDER).then(|| {
        format!(
            "{failed} of {} oracles, held out and judged by the others, are beyond the limits of a retrained model; for them to pass, {} made {wider:.1} times \
             as wide. The oracles differ more than their number can tell: use more of them.",
            c.trials,
            c.widened_limits()
        )
    })
}

/// Retain accuracy by which oracles may fall behind the original before their band is doubted.
const ORACLE_LAG: f64 = 0.05;
/// Share of the way from guessing to all right that an original must have gone for its swap to mean anything.
const BEYOND_GUESSING: f64 = 0.1;

/// Warnings on an original of `classes` classes that guesses, and on oracles that are worse than it on what is retained: an under-trained
/// oracle makes every method look erased.
pub fn on_accuracy(verdicts: &[Verdict], scores: &[Score], classes: usize) -> Vec<String> {
    let is_original = |s: &Score| verdicts.iter().any(|v| v.kind == ModelKind::Original && v.model == s.model);
    let row = |metric| scores.iter().find(|s| s.audit == "accuracy" && s.metric == metric && is_original(s));
    let guesses = row("test_mean_over_classes").and_then(|s| guesses(s.value?, classes));
    let Some((original, oracles)) = row("retain_test").and_then(|r| Some((r.value?, r.oracle_mean))) else {
        return guesses.into_iter().collect();
    };
    let lag = oracles.filter(|o| *o < original - ORACLE_LAG).map(|oracles| {
        format!(
            "the oracles' retain accuracy is {:.1} %, the original's {:.1} %: they are under-trained and no measure. Train them as the original was.",
            100.0 * oracles,
            100.0 * original
        )
    });
    guesses.into_iter().chain(lag).collect()
}

/// A warning where an original of `classes` classes with this `accuracy` on its own test images hardly does better than guessing.
pub fn guesses(accuracy: f64, classes: usize) -> Option<String> {
    let chance = 1.0 / classes.max(1) as f64;
    (accuracy < chance + BEYOND_GUESSING * (1.0 - chance)).then(|| {
        format!(
            "the original hardly does better than guessing: it answers {:.1} % of its own test images right, guessing {:.1} %. There is little to \
             forget in it. Train it longer or with another --lr; of a model of your own check the order of its classes and how its images are \
             prepared.",
            100.0 * accuracy,
            100.0 * chance
        )
    })
}

/// Whether a model of this kind and name is known to hold the old class, hidden or not.
fn hides(kind: ModelKind, name: &str) -> bool {
    kind == ModelKind::Original || kind == ModelKind::Control && !controls::is_untrained(name)
}

/// Whether it is known to hide the old class, and neither features nor relearning show that.
pub fn hides_from_features(v: &Verdict, scores: &[Score]) -> bool {
    hides(v.kind, &v.model) && fails_by_answers_alone(v, scores)
}

/// Whether it is beyond limits, but neither by relearning nor by features, though they are judged. That features are the original's own does not
/// count: it is so of every model that hides without touching them, whatever can be read in them.
fn fails_by_answers_alone(v: &Verdict, scores: &[Score]) -> bool {
    let deep = || v.families.iter().filter(|f| matches!(f.family, Family::Features | Family::Relearning));
    let within = |f: &FamilyVerdict| f.matched || matched_without(&v.model, f, scores, cka::AUDIT, cka::KEPT);
    v.families.iter().any(|f| !f.matched) && deep().next().is_some() && deep().all(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Measured;
    use crate::audit::verdict::{Figures, judge};

    use controls::UNTRAINED;

    fn verdict(model: &str, kind: ModelKind, word: &str) -> Verdict {
        Verdict {
            model: model.into(),
            kind,
            audits_within: 1,
            audits_total: 1,
            verdict: word.into(),
            failing: vec![],
            families: vec![],
            worst_family: None,
        }
    }

    #[test]
    fn a_run_without_controls_says_so() {
        let all = zoo("under-erased", "off-target", "under-erased", "matched");
        let without = |kinds: &[&str]| -> Vec<Verdict> { all.iter().filter(|v| !kinds.contains(&v.model.as_str())).cloned().collect() };
        let warnings = on_verdicts(&without(&[UNTRAINED, "logit-mask"]), &[], None, true);
        assert!(warnings.len() == 1 && warnings[0].contains("`controls` is false"), "{warnings:?}");
        let warnings = on_verdicts(&without(&["original", "logit-mask"]), &[], None, true);
        assert!(warnings.len() == 1 && warnings[0].contains("Give --original"), "{warnings:?}");
        assert_eq!(on_verdicts(&without(&["original", "logit-mask", "retrain"]), &[], None, true), Vec::<String>::new(), "nothing to be wrong about");
    }

    #[test]
    fn a_control_by_another_name_is_known() {
        let mut all = zoo("under-erased", "off-target", "under-erased", "matched");
        all.push(verdict("control-random-init", ModelKind::Control, "matched"));
        all.push(verdict("random-init", ModelKind::Subject, "matched"));
        let warnings = on_verdicts(&all, &[], None, true);
        assert!(warnings.len() == 1 && warnings[0].contains("control-random-init") && warnings[0].contains("never trained"), "{warnings:?}");
    }

    fn zoo(original: &str, untrained: &str, hiding: &str, retrain: &str) -> Vec<Verdict> {
        let mut all: Vec<Verdict> = (1..=3).map(|i| verdict(&format!("oracle-{i}"), ModelKind::Oracle, "matched")).collect();
        all.push(verdict("original", ModelKind::Original, original));
        all.push(verdict(UNTRAINED, ModelKind::Control, untrained));
        all.push(verdict("logit-mask", ModelKind::Control, hiding));
        all.push(verdict("retrain", ModelKind::Method, retrain));
        all
    }

    fn calibration(matched_unwidened: usize, matched: usize, wider: f64) -> Calibration {
        Calibration {
            confidence: 0.95,
            trials: 5,
            matched_unwidened,
            matched,
            pair_trials: 20,
            pair_matched: 20,
            widened_excess: wider,
            widened_farthest: 1.0,
            widened: vec![],
            draws: 1,
            correlations: vec![],
        }
    }

    #[test]
    fn a_run_whose_controls_behave_has_no_warning() {
        let all = zoo("under-erased", "off-target", "under-erased", "matched");
        assert_eq!(on_verdicts(&all, &[], Some(&calibration(5, 5, 1.0)), true), Vec::<String>::new());
        assert_eq!(on_verdicts(&all, &[], Some(&calibration(4, 5, 1.1)), true), Vec::<String>::new(), "one of five fails by chance often enough");
    }

    #[test]
    fn hiding_that_only_answers_betray_is_named() {
        let family = |family, matched| crate::summary::FamilyVerdict {
            family,
            within: 1,
            total: 2,
            matched,
            excess: 1.0,
            excess_limit: 1.0,
            farthest: None,
            farthest_limit: 1.0,
            worst: None,
            worst_bands: None,
            direction: None,
        };
        let named = |features, output| {
            let mut all = zoo("under-erased", "off-target", "under-erased", "matched");
            all[5].families = vec![family(Family::Output, output), family(Family::Features, features), family(Family::Relearning, true)];
            on_verdicts(&all, &[], None, true)
        };
        let warnings = named(true, false);
        assert!(warnings.len() == 1 && warnings[0].starts_with("“logit-mask”: the old class is still in the network"), "{warnings:?}");
        assert_eq!(named(false, false), Vec::<String>::new());
        assert_eq!(named(false, true), Vec::<String>::new());
    }

    #[test]
    fn features_that_are_only_the_originals_own_tell_nothing() {
        // Of four oracles and a model that hides: a read-out at `read_out`, neighbours kept as far as `kept`, answers far off.
        let warned = |read_out: f64, kept: f64| {
            let model = |name: String, kind, values: [f64; 3]| Figures {
                model: name,
                kind,
                figures: vec![
                    ("probe", Measured::new("ridge", Some(values[0]), "fraction", 0.01).in_family(Family::Features).showing_old_class()),
                    (cka::AUDIT, Measured::new(cka::KEPT, Some(values[1]), "index", 0.05).in_family(Family::Features).showing_old_class()),
                    ("profile", Measured::new("tv", Some(values[2]), "fraction", 0.01).in_family(Family::Output)),
                ],
            };
            let mut all: Vec<Figures> = (1..=4)
                .map(|i| model(format!("oracle-{i}"), ModelKind::Oracle, [0.9 + 0.001 * f64::from(i), 0.4 + 0.01 * f64::from(i), 0.1]))
                .collect();
            all.push(model("logit-mask".into(), ModelKind::Control, [read_out, kept, 0.9]));
            let (scores, verdicts, _) = judge(&all);
            assert!(!verdicts[4].families.iter().any(|f| f.family == Family::Features && f.matched) || kept < 0.5, "{:?}", verdicts[4]);
            on_verdicts(&verdicts, &scores, None, true).iter().any(|w| w.contains("“logit-mask”: the old class is still in the network"))
        };
        assert!(warned(0.9, 1.0), "nothing but that its features are the original's own");
        assert!(warned(0.9, 0.42), "nothing at all");
        assert!(!warned(0.99, 1.0), "it can be read there");
    }

    #[test]
    fn every_model_with_the_wrong_verdict_is_named() {
        let all = zoo("matched", "matched", "matched", "off-target");
        let warnings = on_verdicts(&all, &[], None, true);
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        for (warning, word) in warnings.iter().zip(["trained on the old class", "never trained", "hiding from erasing", "exactly retrained"]) {
            assert!(warning.contains(word), "{warning}");
        }
        assert_eq!(on_verdicts(&all, &[], None, false), warnings[..3], "on part of the retain set it is no exact retraining");
        assert!(on_verdicts(&zoo("matched", "off-target", "off-target", "matched")[1..], &[], None, true)[0].starts_with("2 oracle(s)"));
    }

    #[test]
    fn undertrained_oracles_are_named() {
        let figures = |name: &str, kind, value| Figures {
            model: name.into(),
            kind,
            figures: ["retain_test", "test_mean_over_classes"].map(|m| ("accuracy", Measured::new(m, Some(value), "fraction", 0.01))).to_vec(),
        };
        // Whatever the original's file is called.
        let of = |original: f64, oracles: f64| {
            let oracles = (1..=3).map(|i| figures(&format!("oracle-{i}"), ModelKind::Oracle, oracles));
            let (scores, verdicts, _) = judge(&[figures("mine", ModelKind::Original, original)].into_iter().chain(oracles).collect::<Vec<_>>());
            on_accuracy(&verdicts, &scores, 10)
        };
        let with_oracles_at = |value| of(0.98, value);
        assert_eq!(with_oracles_at(0.97), Vec::<String>::new());
        let warnings = with_oracles_at(0.80); // 18 points behind
        assert!(warnings.len() == 1 && warnings[0].contains("80.0 %") && warnings[0].contains("98.0 %"), "{warnings:?}");
        let warnings = of(0.15, 0.15);
        assert!(warnings.len() == 1 && warnings[0].contains("answers 15.0 % of its own test images right"), "{warnings:?}");
    }

    #[test]
    fn an_original_that_guesses_is_named() {
        for (accuracy, classes, named) in [(0.1, 10, true), (0.18, 10, true), (0.2, 10, false), (0.54, 2, true), (0.56, 2, false), (0.3, 100, false)]
        {
            assert_eq!(guesses(accuracy, classes).is_some(), named, "{accuracy} of {classes} classes");
        }
    }

    #[test]
    fn held_out_oracles_that_fail_are_named() {
        assert!(on_calibration(&calibration(3, 5, 1.2)).expect("two of five").contains("2 of 5"));
        assert!(on_calibration(&calibration(4, 5, 3.0)).expect("much wider").contains("3.0 times"));
        assert!(on_calibration(&calibration(4, 4, 1.0)).expect("one diverged").contains("diverged"));
    }
}
