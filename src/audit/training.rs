//! What audits share that train a copy of a model: which samples it sees in which step, the same ones for every model, and the step.
//!
//! Copies come from [`Classifier::trainable`] or are built anew, never from a plain clone: that would share running statistics.

use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use rand::seq::SliceRandom;

use super::{AuditData, Features, PartName};
use crate::cached;
use crate::context::Context;
use crate::data::{Batches, ClassId, Labelled, Samples, Slot};
use crate::error::Result;
use crate::model::{Activations, Classifier, Cut};
use crate::optimiser::Optimiser;
use crate::rng;
use crate::train::cross_entropy;

/// Images a step.
pub const BATCH: usize = 32;

/// The training rows (of [`super::CutFeatures::train`]) of the old class and of the others, each in a random order that all models share.
#[derive(Debug)]
pub struct Rows {
    /// Of the old class.
    pub old: Vec<usize>,
    /// Of retain ∪ learn.
    pub rest: Vec<usize>,
}

impl Rows {
    /// Shuffled by the streams `PURPOSE old` and `PURPOSE rest` of the data's seed.
    pub fn of(data: &AuditData, purpose: &str) -> Self {
        let classes = data.feature_classes(PartName::Train);
        let group = |old: bool| {
            let mut rows: Vec<usize> = (0..classes.len()).filter(|i| (classes[*i] == data.old()) == old).collect();
            rows.shuffle(&mut rng::stream(data.seed, &format!("{purpose} {}", if old { "old" } else { "rest" }), 0));
            rows
        };
        Self { old: group(true), rest: group(false) }
    }
}

/// At most `count` of `rows`, evenly spread over them.
pub fn spread(rows: &[usize], count: usize) -> Vec<usize> {
    if rows.len() <= count { rows.to_vec() } else { (0..count).map(|i| rows[i * rows.len() / count]).collect() }
}

/// The slot of each class in a head that stands for `classes`; none for a class that it has no row for.
pub fn slots(classes: &[ClassId], head: &[ClassId]) -> Vec<Option<Slot>> {
    classes.iter().map(|class| head.iter().position(|c| c == class).map(Slot)).collect()
}

/// A copy in training with its optimiser: Adam, constant rate, no weight decay.
#[derive(Debug)]
pub struct Trainee {
    net: Classifier,
    optimiser: Optimiser,
    rate: f64,
}

impl Trainee {
    /// A copy of `model`; `trains` and `freeze_statistics` as in [`Classifier::trainable`].
    pub fn of(model: &Classifier, trains: impl Fn(&str) -> bool, freeze_statistics: bool, rate: f64) -> Self {
        Self { net: model.clone().trainable(trains, freeze_statistics), optimiser: Optimiser::adam(), rate }
    }

    /// The head's weights step as if features were divided by `scale`: for Adam, a rate divided by it.
    pub fn on_features_of(mut self, scale: f64) -> Self {
        let weights = self.net.tensors().into_iter().filter(|t| t.name.starts_with("head.") && t.shape.len() > 1);
        self.optimiser = self.optimiser.with_rates(weights.map(|t| (t.id, 1.0 / scale)).collect::<Vec<_>>());
        self
    }

    /// One step of cross-entropy on what `logits` gives (N×K); samples without a slot count nothing.
    pub fn step(mut self, logits: impl FnOnce(&Classifier) -> Tensor<2>, slots: &[Option<Slot>]) -> Self {
        let loss = cross_entropy(logits(&self.net), slots);
        let grads = GradientsParams::from_grads(loss.backward(), &self.net);
        Self { net: self.optimiser.step(self.rate, self.net, grads), ..self }
    }

    /// The model as it is now, in inference mode.
    pub fn now(&self) -> Classifier {
        self.net.clone().finished()
    }
}

/// Trains `copy` on `data` in its order, [`BATCH`] images a step; `after` gets the number of steps done and the copy.
///
/// # Errors
/// Ctrl-C; those of `after`.
pub fn on_images(mut copy: Trainee, data: &Labelled, ctx: &Context, mut after: impl FnMut(usize, &Trainee) -> Result<()>) -> Result<Trainee> {
    let device = ctx.device.clone().autodiff();
    for (i, batch) in Batches::in_order(data, BATCH, &ctx.pipeline.normalisation, &device).enumerate() {
        ctx.check_interrupt()?;
        copy = copy.step(|net| net.logits(batch.images), &batch.slots);
        after(i + 1, &copy)?;
    }
    Ok(copy)
}

/// The same for a head on `features` before it, `rows` of them in this order with their `slots`.
///
/// # Errors
/// As [`on_images`].
pub fn on_features(
    mut copy: Trainee,
    features: &Features,
    (rows, slots): (&[usize], &[Option<Slot>]),
    ctx: &Context,
    mut after: impl FnMut(usize, &Trainee) -> Result<()>,
) -> Result<Trainee> {
    let device = ctx.device.clone().autodiff();
    for (i, (rows, slots)) in rows.chunks(BATCH).zip(slots.chunks(BATCH)).enumerate() {
        ctx.check_interrupt()?;
        let x = gather(features, rows, &device);
        copy = copy.step(|net| net.resume(x, Cut(net.cuts().len() - 1)), slots);
        after(i + 1, &copy)?;
    }
    Ok(copy)
}

/// Root of the mean square of what `rows` of `features` hold: their unit. 1 where they hold zeros or no numbers.
pub fn scale(features: &Features, rows: &[usize]) -> f64 {
    let values = cached::gather(&features.values, features.width, rows);
    let mean = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len().max(1) as f64;
    Some(mean.sqrt()).filter(|s| s.is_finite() && *s > 0.0).unwrap_or(1.0)
}

/// `rows` of `features` as N×D×1×1.
pub fn gather(features: &Features, rows: &[usize], device: &burn::tensor::Device) -> Activations {
    let values = cached::gather(&features.values, features.width, rows);
    Activations(Tensor::from_data(TensorData::new(values, [rows.len(), features.width, 1, 1]), device))
}

/// `samples` with their slots in a head that stands for `head`.
pub fn labelled(samples: Samples, head: &[ClassId]) -> Labelled {
    let classes: Vec<ClassId> = (0..samples.len()).map(|i| samples.class(i)).collect();
    Labelled { slots: slots(&classes, head), samples }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::arch::ARCHITECTURES;

    #[test]
    fn features_of_the_last_cut_are_what_the_head_takes() {
        // A last cut that has a height would be averaged over it for the audits, and a head could not be trained on that.
        for entry in ARCHITECTURES {
            let side = entry.min_side.max(16);
            let net = Classifier::zeros(entry.name, [3, side, side], 2, &burn::tensor::Device::flex()).expect("a valid architecture");
            let last = net.spec().cut_shapes.last().expect("a cut");
            assert_eq!(last[1..], [1, 1], "{}", entry.name);
        }
    }

    #[test]
    fn a_spread_is_even_and_whole_where_there_is_little() {
        assert_eq!(spread(&[3, 5, 7], 3), [3, 5, 7]);
        assert_eq!(spread(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4), [0, 2, 5, 7]);
    }
}
