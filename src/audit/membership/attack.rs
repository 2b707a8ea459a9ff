//! Attacks on membership and the figures that say how good they are; shared by the audits of this family.

use rand::seq::SliceRandom;

use crate::audit::Measured;
use crate::rng;
use crate::stats::logistic;
use crate::stats::roc::{Auc, Roc, Z95};
use crate::summary::{Axis, Content, Exhibit};

/// Parts of cross-fitting.
pub const FOLDS: usize = 5;
/// Areas closer than this to the oracles' don't matter. It is what eight retrained models differ by among themselves (mnist-mini: sd 0.02 to 0.03; three
/// oracles alone often show less by luck), and a fifth of what sets the original apart there.
pub const AUC_TOLERANCE: f64 = 0.03;
/// The same for true-positive rates at low false-positive rates, which are a few percent themselves.
const TPR_TOLERANCE: f64 = 0.02;
/// False positives that a level must allow for its true-positive rate to be judged: with fewer, one sample more or less moves the threshold too far.
const JUDGED_FALSE_POSITIVES: f64 = 10.0;
/// False-positive rates and their names.
const LEVELS: [(f64, &str); 2] = [(0.01, "1pct"), (0.001, "01pct")];
/// Most points of a drawn curve.
const DRAWN: usize = 200;

/// How an attack did.
#[derive(Debug, Clone)]
pub struct Attack {
    /// Area under the curve.
    pub auc: Auc,
    /// The curve over all samples.
    pub roc: Roc,
    /// Mean of the shares of both sides that are on the right side of even odds; none for thresholds, which have no natural place.
    pub balanced_accuracy: Option<f64>,
}

/// What came of an attack.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It could be made.
    Done(Attack),
    /// There is too little to make it with.
    Undefined,
    /// The model's answers hold NaN or infinity.
    Diverged,
}

impl Outcome {
    /// A figure of the attack; NaN, which a figure takes for diverged, where the model's answers are.
    pub fn value(&self, of: impl Fn(&Attack) -> Option<f64>) -> Option<f64> {
        match self {
            Self::Done(attack) => of(attack),
            Self::Undefined => None,
            Self::Diverged => Some(f64::NAN),
        }
    }

    /// The area under the curve.
    pub fn auc(&self) -> Option<f64> {
        self.value(|a| Some(a.auc.value))
    }
}

/// An attack that accepts samples whose score is above a threshold.
pub fn threshold(members: &[f64], others: &[f64]) -> Outcome {
    if members.iter().chain(others).any(|s| !s.is_finite()) {
        return Outcome::Diverged;
    }
    Roc::of(members, others).map_or(Outcome::Undefined, |roc| Outcome::Done(Attack { auc: roc.auc(), roc, balanced_accuracy: None }))
}

/// Parts for cross-fitting: the two sides are shuffled and dealt out one by one, so that every part has its share of both. Members first.
/// All models of a run with the same seed get the same parts.
pub fn folds(members: usize, others: usize, seed: u64) -> Vec<usize> {
    let side = |count: usize, index: u64| {
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut rng::stream(seed, "membership folds", index));
        let mut fold = vec![0; count];
        order.into_iter().enumerate().for_each(|(turn, i)| fold[i] = turn % FOLDS);
        fold
    };
    [side(members, 0), side(others, 1)].concat()
}

/// An attack by logistic regression on rows of D signals, fitted on four fifths of both sides and scoring the last fifth, in turn. The two sides
/// weigh a half each however many samples they have. Undefined with fewer than [`FOLDS`] samples on a side.
pub fn regression(members: &[Vec<f64>], others: &[Vec<f64>], seed: u64) -> Outcome {
    let rows = [members, others].concat();
    let is_member: Vec<bool> = (0..rows.len()).map(|i| i < members.len()).collect();
    cross_fitted(&rows, &is_member, &folds(members.len(), others.len(), seed))
}

/// The same with given parts. Undefined where a part lacks a side.
///
/// The area is the mean over the parts, by number of pairs: only scores of one and the same regression are compared. (Over all samples at once it
/// would be biased, see Forman & Scholz, SIGKDD Explorations 12, 2010.) Its standard error takes the regressions as given. The curve has to
/// put all parts together, since one part alone can't resolve low rates; weighing the sides equally keeps the parts' scores comparable.
pub fn cross_fitted(rows: &[Vec<f64>], positive: &[bool], parts: &[usize]) -> Outcome {
    if rows.iter().flatten().any(|v| !v.is_finite()) {
        return Outcome::Diverged;
    }
    let both = |part| [false, true].iter().all(|side| (0..rows.len()).any(|i| parts[i] == part && positive[i] == *side));
    if !(0..FOLDS).all(both) {
        return Outcome::Undefined;
    }
    let Some(scores) = logistic::cross_fitted(rows, positive, parts) else { return Outcome::Undefined };
    let pick = |side: bool, part: Option<usize>| -> Vec<f64> {
        (0..rows.len()).filter(|i| positive[*i] == side && part.is_none_or(|p| parts[*i] == p)).map(|i| scores[i]).collect()
    };
    let Some(roc) = Roc::of(&pick(true, None), &pick(false, None)) else { return Outcome::Undefined };
    let (mut pairs, mut sum, mut variance) = (0.0, 0.0, Some(0.0));
    for part in 0..FOLDS {
        let (members, others) = (pick(true, Some(part)), pick(false, Some(part)));
        let weight = (members.len() * others.len()) as f64;
        let Some(auc) = Roc::of(&members, &others).map(|r| r.auc()) else { return Outcome::Undefined };
        pairs += weight;
        sum += weight * auc.value;
        variance = variance.zip(auc.se).map(|(v, se)| v + (weight * se).powi(2));
    }
    // A score of exactly 0 says nothing, so it is half right.
    let right = |side: bool| {
        let scores = pick(side, None);
        let hits = scores.iter().map(|s| if *s == 0.0 { 0.5 } else { f64::from(u8::from((*s > 0.0) == side)) }).sum::<f64>();
        hits / scores.len() as f64
    };
    let balanced_accuracy = Some((right(true) + right(false)) / 2.0);
    Outcome::Done(Attack { balanced_accuracy, auc: Auc { value: sum / pairs, se: variance.map(|v| v.sqrt() / pairs) }, roc })
}

/// `NAMEauc` with its standard error `_se` and the ends of the 95 % interval (`_low`, `_high`: 1.96 standard errors to either side, within 0 and 1), and
/// `NAMEtpr_at_1pct_fpr`, `NAMEtpr_at_01pct_fpr` with the ends of their 95 % Wilson intervals. Intervals and standard errors are shown, not
/// judged; so are true-positive rates at levels that allow fewer than ten false positives. At levels that allow less than one they are undefined, and
/// say so.
pub fn figures(name: &str, outcome: &Outcome, non_members: usize) -> Vec<Measured> {
    let auc = |suffix: &str, value| {
        let why = "too few samples, or oracles, for this attack";
        Measured::new(format!("{name}auc{suffix}"), value, "fraction", AUC_TOLERANCE).undefined_because(|| why.into())
    };
    let end = |side: f64| outcome.value(|a| Some((a.auc.value + side * Z95 * a.auc.se?).clamp(0.0, 1.0)));
    let mut out = vec![
        auc("", outcome.auc()),
        auc("_se", outcome.value(|a| a.auc.se)).descriptive(),
        auc("_low", end(-1.0)).descriptive(),
        auc("_high", end(1.0)).descriptive(),
    ];
    for (level, percent) in LEVELS {
        let figure = |suffix: &str, value| {
            let why = || match outcome {
                Outcome::Undefined => "too few samples, or oracles, for this attack".into(),
                _ => format!(
                    "a false-positive rate of {} % takes {} unseen samples to be told from 0, here are {non_members}",
                    100.0 * level,
                    1.0 / level
                ),
            };
            Measured::new(format!("{name}tpr_at_{percent}_fpr{suffix}"), value, "fraction", TPR_TOLERANCE).undefined_because(why)
        };
        let rate = figure("", outcome.value(|a| Some(a.roc.tpr_at(level)?.value)));
        let judged = level * non_members as f64 >= JUDGED_FALSE_POSITIVES - 1e-9;
        out.push(if judged { rate } else { rate.descriptive() });
        out.push(figure("_low", outcome.value(|a| Some(a.roc.tpr_at(level)?.low))).descriptive());
        out.push(figure("_high", outcome.value(|a| Some(a.roc.tpr_at(level)?.high))).descriptive());
    }
    out
}

/// The curve with logarithmic axes, where low false-positive rates can be seen (Carlini et al. 2022); none where there is no attack.
pub fn exhibit(audit: &str, title: &str, note: &str, outcome: &Outcome) -> Option<Exhibit> {
    let Outcome::Done(attack) = outcome else { return None };
    let axis = |label: &str| Axis { label: label.to_string(), log: true };
    let content = Content::Curve { x: axis("false-positive rate"), y: axis("true-positive rate"), points: thinned(&attack.roc.points()) };
    Some(Exhibit { audit: audit.to_string(), title: title.to_string(), note: note.to_string(), content })
}

/// Of the points with positive rates, the highest at each false-positive rate; at most about [`DRAWN`], spread evenly by the rate's logarithm.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut best: Vec<(f64, f64)> = Vec::new();
    for p in points.iter().filter(|p| p.0 > 0.0 && p.1 > 0.0) {
        match best.last_mut().filter(|last| last.0 == p.0) {
            Some(last) => *last = *p,
            None => best.push(*p),
        }
    }
    let Some(first) = best.first().map(|p| p.0) else { return best };
    // Each gets the number of its place; the first of every place stays, and the end.
    let places = |x: f64| if first < 1.0 { ((x / first).ln() / (1.0 / first).ln() * (DRAWN - 1) as f64) as usize } else { 0 };
    let end = best.len() - 1;
    let keep: Vec<bool> = (0..best.len()).map(|i| i == 0 || i == end || places(best[i].0) != places(best[i - 1].0)).collect();
    best.into_iter().zip(keep).filter(|(_, k)| *k).map(|(p, _)| p).collect()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    fn noise(n: usize, shift: f64, index: u64) -> Vec<Vec<f64>> {
        let mut rng = rng::stream(11, "test", index);
        (0..n).map(|_| vec![rng.random_range(-1.0..1.0) + shift, rng.random_range(-1.0..1.0)]).collect()
    }

    #[test]
    fn a_level_that_cannot_be_told_from_zero_is_undefined_and_says_so() {
        let scores = |n: usize, lead: f64| (0..n).map(|i| i as f64 + lead).collect::<Vec<f64>>();
        // 1 of n at 0.1 % takes n = 1000.
        for (unseen, defined) in [(300, false), (999, false), (1000, true)] {
            let outcome = threshold(&scores(400, 0.5), &scores(unseen, 0.0));
            for f in figures("x_", &outcome, unseen).iter().filter(|f| f.metric.starts_with("x_tpr_at_01pct_fpr")) {
                assert_eq!((f.value.is_some(), f.reason.is_none(), f.diverged), (defined, defined, false), "{unseen}: {f:?}");
                assert!(
                    defined || f.reason.as_ref().is_some_and(|r| r.contains("takes 1000 unseen") && r.contains(&format!("here are {unseen}"))),
                    "{f:?}"
                );
            }
        }
        let none = figures("", &Outcome::Undefined, 2000);
        assert!(none.iter().all(|f| f.value.is_none() && f.reason.as_ref().is_some_and(|r| r.contains("too few"))), "{none:?}");
        assert!(figures("", &Outcome::Diverged, 2000).iter().all(|f| f.diverged && f.reason.is_none()));
    }

    #[test]
    fn the_area_has_an_interval() {
        // Members 1 and 3, others 0 and 2: placements .5 and 1, 1 and .5; area .75, variance .125/2 + .125/2, se .35355.
        let found = figures("", &threshold(&[1.0, 3.0], &[0.0, 2.0]), 2);
        let value = |metric: &str| found.iter().find(|f| f.metric == metric).and_then(|f| f.value).expect("defined");
        assert!((value("auc") - 0.75).abs() < 1e-12 && (value("auc_se") - 0.125f64.sqrt()).abs() < 1e-12);
        assert!((value("auc_low") - (0.75 - 1.959_963_985 * 0.125f64.sqrt())).abs() < 1e-9);
        assert_eq!(value("auc_high"), 1.0, "1.44 is no area");
        assert!(
            found.iter().filter(|f| f.metric != "auc" && f.metric != "tpr_at_1pct_fpr").all(|f| f.tolerance.is_none()),
            "only the area is judged"
        );
    }

    #[test]
    fn each_part_has_its_share_of_both_sides_and_models_share_parts() {
        let parts = folds(23, 11, 4);
        assert_eq!(parts.len(), 34);
        for part in 0..FOLDS {
            let count = |range: std::ops::Range<usize>| parts[range].iter().filter(|p| **p == part).count();
            assert!((4..=5).contains(&count(0..23)) && (2..=3).contains(&count(23..34)));
        }
        assert_eq!(parts, folds(23, 11, 4));
        assert_ne!(parts, folds(23, 11, 5));
    }

    #[test]
    fn a_regression_on_nothing_is_at_chance_and_on_something_is_not() {
        // Twenty small samples: a biased area would show in their mean, whose standard deviation is about √((30+20)/(12·30·20))/√20 = 0.02.
        let chance: Vec<f64> = (0..20).map(|i| regression(&noise(30, 0.0, 2 * i), &noise(20, 0.0, 2 * i + 1), i).auc().expect("defined")).collect();
        let mean = crate::stats::mean(&chance);
        assert!((mean - 0.5).abs() < 0.06, "{mean}");
        // Uniform of width 2 shifted by 1: P(X + 1 > Y) = 1 − ½·½² = 7/8.
        let Outcome::Done(attack) = regression(&noise(600, 1.0, 0), &noise(400, 0.0, 1), 0) else { panic!("defined") };
        let se = attack.auc.se.expect("defined");
        assert!((attack.auc.value - 0.875).abs() < 4.0 * se && se < 0.02, "{:?}", attack.auc);
        assert!((attack.auc.value - attack.roc.auc().value).abs() < 0.01, "parts compared and parts pooled agree");
    }

    #[test]
    fn members_that_stand_out_downwards_are_found_too() {
        let found = regression(&noise(200, -2.0, 0), &noise(200, 0.0, 1), 0).auc().expect("defined");
        assert!(found > 0.99, "{found}");
    }

    #[test]
    fn low_rates_are_judged_only_where_ten_false_positives_are_allowed() {
        let judged = |others: usize| -> Vec<String> {
            let outcome = threshold(&[1.0; 20], &vec![0.0; others]);
            figures("", &outcome, others).into_iter().filter(|f| f.tolerance.is_some()).map(|f| f.metric).collect()
        };
        assert_eq!(judged(999), ["auc"]);
        assert_eq!(judged(1000), ["auc", "tpr_at_1pct_fpr"]);
        assert_eq!(judged(10_000), ["auc", "tpr_at_1pct_fpr", "tpr_at_01pct_fpr"]);
    }

    #[test]
    fn the_drawn_curve_keeps_its_ends_and_is_short() {
        let score = |n: usize| (0..n).map(|i| ((i * 7919) % n) as f64).collect::<Vec<f64>>();
        let outcome = threshold(&score(6000).iter().map(|s| s / 5.0).collect::<Vec<_>>(), &score(1000));
        let Some(Exhibit { content: Content::Curve { points, .. }, .. }) = exhibit("a", "t", "n", &outcome) else { panic!("a curve") };
        assert!(points.len() > 50 && points.len() <= DRAWN + 1, "{}", points.len());
        assert_eq!((points[0].0, points.last().copied()), (0.001, Some((1.0, 1.0))));
        assert!(points.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1));
        assert!(exhibit("a", "t", "n", &Outcome::Undefined).is_none());
        // One non-member: its only rate is 1.
        let one = threshold(&[1.0], &[0.0]);
        let Some(Exhibit { content: Content::Curve { points, .. }, .. }) = exhibit("a", "t", "n", &one) else { panic!("a curve") };
        assert_eq!(points, [(1.0, 1.0)]);
    }
}
