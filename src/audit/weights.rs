//! `weights`: how far the model's weights are from the original's, and whether a hill lies between.

use std::collections::BTreeMap;

use super::training;
use super::{Audit, Findings, Measured, PartName, Subject};
use crate::context::Context;
use crate::data::{Batches, Labelled, Role};
use crate::error::Result;
use crate::model::Classifier;
use crate::stats::Logits;
use crate::summary::Family;
use crate::train::{self, INFERENCE_BATCH};

/// Interior points of the line.
const POINTS: usize = 5;
/// Retain test images that the loss is taken on, at most.
const TESTED: usize = 500;
/// Retain training images that running statistics are taken of, at most.
const STATISTICS: usize = 512;

/// Against the original's weights θₒ:
/// * `distance` in total (all stages) and at every stage: ‖θ − θₒ‖₂/‖θₒ‖₂ over parameters; running statistics are none. `distance_head` likewise,
///   undefined where the heads have other shapes, as after plain unlearning.
/// * `barrier`: on the line between both, at 5 interior points, the largest excess of the loss over the line between the ends' losses (nats; cross-entropy
///   on at most 500 test images of retained classes). Around 0 both lie in one valley; two independent trainings are usually separated. Where the original
///   has a row more, it is taken out. Running statistics are taken anew at every point, ends included, from 512 retain training images without
///   augmentation: interpolated ones fit no interpolated weights (Jordan et al. 2023, arXiv 2211.08403). Below 0 where the loss sags between the ends.
///
/// Shown, not judged: nearness to the original is no fault by itself, but it predicts how easily a class revives. Undefined without an original, for the
/// original itself, and where architectures differ.
#[derive(Debug)]
pub struct Weights;

impl Audit for Weights {
    fn name(&self) -> &'static str {
        "weights"
    }

    fn summary(&self) -> &'static str {
        "distance of the weights to the original's, and the loss barrier on the line between"
    }

    fn source(&self) -> &'static str {
        "as predictors of revival: arXiv 2505.22310; linear mode connectivity: Frankle et al., ICML 2020, arXiv 1912.05671"
    }

    fn family(&self) -> Family {
        Family::Relearning
    }

    fn measure(&self, subject: &Subject<'_>, ctx: &mut Context) -> Result<Findings> {
        let me = subject.me.model;
        let original = subject.original.filter(|o| o.name != subject.me.name && o.model.spec().architecture == me.spec().architecture);
        let distances = original.map(|o| distances(o.model, me));
        let at = |stage: &str| distances.as_ref().and_then(|d| d.get(stage).copied()).flatten();
        let barrier = match original {
            Some(o) if o.map.len() == subject.me.map.len() => barrier(o.model, subject, ctx)?,
            Some(o) => match o.map.slot(subject.data.old()).filter(|_| o.map.len() == subject.me.map.len() + 1) {
                Some(slot) => barrier(&o.model.clone().without_slot(slot)?, subject, ctx)?,
                None => None,
            },
            None => None,
        };
        let distance = |value| Measured::new("distance", value, "relative", 0.0).descriptive();
        let mut figures = vec![
            distance(at("")),
            Measured::new("distance_head", at("head"), "relative", 0.0).descriptive(),
            Measured::new("barrier", barrier, "nats", 0.0).descriptive(),
        ];
        figures.extend(me.spec().stage_names.iter().map(|stage| distance(at(stage)).at(stage)));
        Ok(figures.into())
    }
}

/// ‖b − a‖₂/‖a‖₂ over the parameters of every stage, of `head`, and under an empty name of all stages; none where shapes differ or ‖a‖ is 0.
fn distances(a: &Classifier, b: &Classifier) -> BTreeMap<String, Option<f64>> {
    let mut sums: BTreeMap<String, Option<[f64; 2]>> = BTreeMap::new();
    for (a, b) in a.parameters().iter().zip(b.parameters()) {
        let stage = a.name.split('.').next().unwrap_or_default().to_string();
        let total = (stage != "head").then(String::new);
        let square = |v: f64| v * v;
        let here = (a.name == b.name && a.shape == b.shape).then(|| {
            a.values.iter().zip(&b.values).fold([0.0; 2], |[d, n], (a, b)| [d + square(f64::from(*b) - f64::from(*a)), n + square(f64::from(*a))])
        });
        for key in [Some(stage), total].into_iter().flatten() {
            let sum = sums.entry(key).or_insert(Some([0.0; 2]));
            *sum = sum.zip(here).map(|(s, h)| [s[0] + h[0], s[1] + h[1]]);
        }
    }
    sums.into_iter().map(|(name, sum)| (name, sum.filter(|s| s[1] != 0.0).map(|[d, n]| (d / n).sqrt()))).collect()
}

/// The barrier between `original`, whose head has the subject's number of rows, and the subject; none without retain images.
fn barrier(original: &Classifier, subject: &Subject<'_>, ctx: &Context) -> Result<Option<f64>> {
    let set = |part, most| subject.data.set(Role::Retain, part).map(|s| s.spread(most)).filter(|s| !s.is_empty());
    let (Some(train), Some(test)) = (set(PartName::Train, STATISTICS), set(PartName::Test, TESTED)) else { return Ok(None) };
    let test = training::labelled(test, subject.me.map.classes());
    let train = training::labelled(train, &[]);
    let device = ctx.device.clone().autodiff();
    let theirs: BTreeMap<String, Vec<f32>> = original.tensors().into_iter().map(|t| (t.name, t.values)).collect();
    let mut losses = Vec::with_capacity(POINTS + 2);
    for i in 0..=POINTS + 1 {
        ctx.check_interrupt()?;
        let share = i as f32 / (POINTS + 1) as f32;
        let mixed = subject.me.model.copy_with(|name, mine| match theirs.get(name) {
            Some(theirs) => theirs.iter().zip(&mine).map(|(a, b)| (1.0 - share) * a + share * b).collect(),
            None => mine,
        })?;
        let batches = Batches::in_order(&train, INFERENCE_BATCH, &ctx.pipeline.normalisation, &device).map(|b| b.images);
        losses.push(loss(&train::predict(&mixed.with_statistics_of(batches), &test, ctx)?, &test));
    }
    Ok(Some(excess(&losses)))
}

/// Mean cross-entropy in nats.
fn loss(logits: &Logits, data: &Labelled) -> f64 {
    let rows = logits.log_softmax();
    let each: Vec<f64> = rows.iter().zip(&data.slots).filter_map(|(row, slot)| slot.map(|s| -row[s.0])).collect();
    crate::stats::mean(&each)
}

/// The most by which interior values of an evenly spaced line exceed the straight line between its ends; NaN if one is.
fn excess(values: &[f64]) -> f64 {
    let last = values.len() - 1;
    let line = |i: usize| values[0] + (values[last] - values[0]) * i as f64 / last as f64;
    (1..last).map(|i| values[i] - line(i)).fold(f64::NEG_INFINITY, |m, v| if v.is_nan() || m.is_nan() { f64::NAN } else { m.max(v) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tensors::is_statistic;
    use burn::tensor::Device;

    #[test]
    fn excess_of_worked_cases() {
        assert_eq!(excess(&[0.0, 1.0, 2.0]), 0.0);
        assert_eq!(excess(&[1.0, 3.0, 2.0]), 1.5);
        assert_eq!(excess(&[1.0, 0.0, 1.0, 4.0]), -2.0);
        assert!(excess(&[1.0, f64::NAN, 5.0, 1.0]).is_nan());
    }

    #[test]
    fn distances_of_scaled_and_of_changed_weights() {
        let a = Classifier::new("resnet20", [1, 8, 8], 3, 1, &Device::flex()).expect("a valid architecture");
        // Everything a quarter larger: a quarter everywhere. Running statistics do not count.
        let b = a.copy_with(|name, v| v.iter().map(|x| if is_statistic(name) { 9.0 } else { 1.25 * x }).collect()).expect("the same shape");
        let same = distances(&a, &b);
        assert_eq!(same.keys().map(String::as_str).collect::<Vec<_>>(), ["", "group1", "group2", "group3", "head", "stem"]);
        assert!(same.values().all(|d| d.is_some_and(|d| (d - 0.25).abs() < 1e-6)), "{same:?}");
        // One stage alone, and a head with a row more.
        let c = a.copy_with(|name, v| if name.starts_with("stem") { v.iter().map(|x| -x).collect() } else { v }).expect("the same shape");
        let one = distances(&a, &c.with_blank_head(4).expect("a larger head"));
        assert_eq!((one["stem"], one["group1"], one["head"]), (Some(2.0), Some(0.0), None));
        assert!(one[""].is_some_and(|d| d > 0.0 && d < 2.0));
    }
}
