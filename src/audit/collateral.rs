//! `collateral`: what the swap did to what it was to leave alone.

use super::accuracy::hits;
use super::{Audit, Findings, Measured, PartName, Reference, Subject};
use crate::context::Context;
use crate::data::{ClassId, Role, Slot};
use crate::error::Result;
use crate::stats;
use crate::stats::divergence::{expected_calibration_error, reliability};
use crate::summary::{Axis, Content, Exhibit, Family};

/// All on test images.
///
/// - `worst_class_accuracy`: the smallest accuracy of a retain class; `class_accuracy_spread`: largest less smallest.
/// - `worst_class_change`: the smallest, over retain classes, of the accuracy less the oracles' mean accuracy on the class (for an oracle: the
///   others'); at most 0 where any class suffers. `largest_class_change`: the largest of their absolute values. `class_change_LABEL`: each of them, by
///   the class's number, not judged: a class has few test images.
/// - `calibration_error`: expected calibration error of retain ∪ learn over 15 equally wide bins of the largest probability; its
///   reliability diagram is an exhibit.
/// - `near_old_accuracy`: accuracy on the tenth of the retain samples that the original gives the most old-class probability, those that lie
///   nearest to its decision boundary to the old class; the same samples for every model. Undefined without an original.
#[derive(Debug)]
pub struct Collateral;

/// Two points: a class has a tenth or less of the samples, so that its accuracy is at least three times as uncertain as the mean's.
const CLASS: f64 = 0.02;
/// A point, as for accuracies, whose scale it has.
const CALIBRATION: f64 = 0.01;
/// Samples that a bin of the reliability diagram must have to be drawn: fewer zigzag.
const DRAWN: usize = 10;
/// Share of the retain test samples that count as near the old class.
const NEAR: f64 = 0.1;

impl Audit for Collateral {
    fn name(&self) -> &'static str {
        "collateral"
    }

    fn summary(&self) -> &'static str {
        "damage to what was to stay: retain classes one by one, calibration, samples near the old class"
    }

    fn source(&self) -> &'static str {
        "per-class accuracies; expected calibration error: Guo et al. 2017, arXiv 1706.04599, eq. 3; damage near the boundary: after \
         over-unlearning in Spotter, arXiv 2506.01318"
    }

    fn family(&self) -> Family {
        Family::Utility
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let classes = retain_classes(subject);
        let accuracies: Vec<f64> = classes.iter().map(|(_, a)| *a).collect();
        let fewest = hits(subject, Role::Retain, PartName::Test).iter().map(|(_, _, n)| *n).min().unwrap_or(0);
        let near = near_old(subject);
        let changes = changes(subject, &classes);
        let (confidence, right) = answers(subject);
        let bins = reliability(&confidence, &right);
        let mut figures = vec![
            Measured::new("worst_class_accuracy", least(&accuracies), "fraction", CLASS).counted_on(fewest),
            Measured::new("class_accuracy_spread", least(&accuracies).zip(most(&accuracies)).map(|(lo, hi)| hi - lo), "fraction", CLASS)
                .counted_on(fewest),
            Measured::new("worst_class_change", least(&changes.iter().map(|(_, c)| *c).collect::<Vec<f64>>()), "fraction", CLASS)
                .against(Reference::OraclesMeanSigned)
                .counted_on(fewest),
            Measured::new("largest_class_change", most(&changes.iter().map(|(_, c)| c.abs()).collect::<Vec<f64>>()), "fraction", CLASS)
                .against(Reference::OraclesMean)
                .counted_on(fewest)
                .lower_is_better(),
            // Confidences that are NaN make the sum of their bin one.
            Measured::new("calibration_error", expected_calibration_error(&bins), "fraction", CALIBRATION),
            Measured::new("near_old_accuracy", near.map(|(share, _)| share), "fraction", CLASS).counted_on(near.map_or(0, |(_, images)| images)),
        ];
        let of_class =
            |(class, change): &(ClassId, f64)| Measured::new(format!("class_change_{}", class.0), Some(*change), "fraction", CLASS).descriptive();
        figures.extend(changes.iter().map(of_class));
        let axis = |label: &str| Axis { label: label.to_string(), log: false };
        let drawn = bins.iter().filter(|(confidence, _, n)| confidence.is_finite() && *n >= DRAWN);
        let points: Vec<(f64, f64)> = drawn.map(|(confidence, right, _)| (*confidence, *right)).collect();
        let exhibits = (!points.is_empty()).then(|| Exhibit {
            audit: self.name().to_string(),
            title: "Reliability diagram".to_string(),
            note: "Share of right answers by how sure the model is, on retain and new-class test images. On the diagonal it is as sure as it \
                   should be, below it too sure. Bins of ten samples or more."
                .to_string(),
            content: Content::Curve { x: axis("largest probability"), y: axis("share right"), points },
        });
        Ok(Findings { figures, exhibits: exhibits.into_iter().collect() })
    }
}

fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

fn most(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

/// Accuracy of each retain class with test samples.
fn retain_classes(subject: &Subject<'_>) -> Vec<(ClassId, f64)> {
    let classes = subject.me.map.classes();
    hits(subject, Role::Retain, PartName::Test).into_iter().map(|(Slot(s), hits, n)| (classes[s], hits as f64 / n as f64)).collect()
}

/// Class by class, the accuracy less the oracles' mean; empty without oracles.
fn changes(subject: &Subject<'_>, classes: &[(ClassId, f64)]) -> Vec<(ClassId, f64)> {
    let theirs: Vec<Vec<(ClassId, f64)>> = subject
        .oracles
        .iter()
        .map(|oracle| retain_classes(&Subject { me: *oracle, data: subject.data, original: subject.original, oracles: vec![] }))
        .collect();
    let change = |(class, accuracy): &(ClassId, f64)| {
        let of: Vec<f64> = theirs.iter().flatten().filter(|(c, _)| c == class).map(|(_, a)| *a).collect();
        (!of.is_empty()).then(|| (*class, accuracy - stats::mean(&of)))
    };
    classes.iter().filter_map(change).collect()
}

/// Of the retain ∪ learn test samples whose class has a slot: the largest probability, and whether the answer is right.
fn answers(subject: &Subject<'_>) -> (Vec<f64>, Vec<bool>) {
    let (mut confidence, mut right) = (Vec::new(), Vec::new());
    for role in [Role::Retain, Role::Learn] {
        let (Some(logits), Some(samples)) = (subject.me.signals.logits(role, PartName::Test), subject.data.set(role, PartName::Test)) else {
            continue;
        };
        for (i, (p, answer)) in logits.softmax().iter().zip(logits.argmax()).enumerate() {
            if let Some(Slot(slot)) = subject.me.map.slot(samples.class(i)) {
                // Not a fold with max, which passes over NaN.
                confidence.push(p.get(answer).copied().unwrap_or(f64::NAN));
                right.push(answer == slot);
            }
        }
    }
    (confidence, right)
}

/// Indices of the retain test samples with the most old-class probability in the original, most first, ties in order; none without one.
fn nearest_to_old(subject: &Subject<'_>) -> Option<Vec<usize>> {
    let original = subject.original?;
    let Slot(old) = original.map.slot(subject.data.old())?;
    let logits = original.signals.logits(Role::Retain, PartName::Test)?;
    // Ranked by log-probability: probabilities themselves underflow to ties.
    let scores: Vec<f64> = logits.log_softmax().iter().map(|l| l[old]).collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.truncate((NEAR * scores.len() as f64).ceil() as usize);
    Some(order)
}

fn near_old(subject: &Subject<'_>) -> Option<(f64, usize)> {
    let near = nearest_to_old(subject).filter(|near| !near.is_empty())?;
    let answers = subject.me.signals.logits(Role::Retain, PartName::Test)?.argmax();
    let samples = subject.data.set(Role::Retain, PartName::Test)?;
    let right = near.iter().filter(|i| subject.me.map.slot(samples.class(**i)) == Some(Slot(answers[**i]))).count();
    Some((right as f64 / near.len() as f64, near.len()))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Answers, Fixture, peaked};
    use super::*;
    use crate::summary::ModelKind;

    fn slot(class: u16) -> usize {
        if class == 5 { 2 } else { class as usize }
    }

    fn right(fixture: &Fixture, name: &'static str, kind: ModelKind) -> Answers {
        fixture.model(name, kind, |class, _, _| peaked(slot(class), 0.96))
    }

    fn value(findings: &Findings, metric: &str) -> Option<f64> {
        findings.figures.iter().find(|m| m.metric == metric).expect("there").value
    }

    #[test]
    fn a_class_that_suffers_is_found() {
        let fixture = Fixture::new();
        let oracles = [right(&fixture, "oracle-1", ModelKind::Oracle), right(&fixture, "oracle-2", ModelKind::Oracle)];
        // Class 3 is answered with slot 0, all else is right; sure to .96 of everything.
        let me = fixture.model("me", ModelKind::Method, |class, _, _| peaked(if class == 3 { 0 } else { slot(class) }, 0.96));
        let found = Collateral.measure(&fixture.subject(&me, None, &oracles), &mut fixture.context()).expect("measured");
        let of = |metric: &str| value(&found, metric).expect("defined");
        assert_eq!((of("worst_class_accuracy"), of("class_accuracy_spread")), (0.0, 1.0));
        assert_eq!((of("worst_class_change"), of("largest_class_change")), (-1.0, 1.0));
        assert_eq!(["class_change_0", "class_change_1", "class_change_3", "class_change_4"].map(of), [0.0, 0.0, -1.0, 0.0], "by the class's number");
        // The made-up set has as many test images of each class: 4 of 5 are right.
        assert!((of("calibration_error") - 0.16).abs() < 1e-6, "{}", of("calibration_error"));
        assert_eq!(value(&found, "near_old_accuracy"), None, "no original");
        let Content::Curve { points, .. } = &found.exhibits[0].content else { panic!("a curve") };
        assert!((points[0].0 - 0.96).abs() < 1e-6 && (points[0].1 - 0.8).abs() < 1e-12, "{points:?}");
    }

    #[test]
    fn samples_near_the_old_class_are_the_originals_choice() {
        let fixture = Fixture::new();
        // The original gives the first retain samples the most of the old class's slot.
        let near = |i: usize, of: usize| i < of / 10;
        let original = fixture.model("original", ModelKind::Original, |class, i, of| {
            let mut p = peaked(class as usize, 0.6);
            if near(i, of) && class < 5 && class != 2 {
                (p[class as usize], p[2]) = (0.5, 0.2);
            }
            p
        });
        let oracles = [right(&fixture, "oracle-1", ModelKind::Oracle), right(&fixture, "oracle-2", ModelKind::Oracle)];
        // Wrong on just those.
        let me = fixture.model("me", ModelKind::Method, |class, i, of| peaked(if near(i, of) { (slot(class) + 1) % 5 } else { slot(class) }, 0.96));
        let measured = |me| {
            let found = Collateral.measure(&fixture.subject(me, Some(&original), &oracles), &mut fixture.context()).expect("measured");
            value(&found, "near_old_accuracy").expect("defined")
        };
        assert_eq!(measured(&me), 0.0);
        assert_eq!(measured(&oracles[0]), 1.0);
    }

    #[test]
    fn nothing_is_made_up_without_oracles_or_for_a_model_that_diverged() {
        let fixture = Fixture::new();
        let me = fixture.model("me", ModelKind::Subject, |_, _, _| [f64::NAN; 5]);
        let found = Collateral.measure(&fixture.subject(&me, None, &[]), &mut fixture.context()).expect("measured");
        assert_eq!(value(&found, "worst_class_change"), None);
        let calibration = found.figures.iter().find(|m| m.metric == "calibration_error").expect("there");
        assert!(calibration.value.is_none() && calibration.diverged);
        assert!(found.exhibits.is_empty());
    }
}
