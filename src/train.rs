//! The plain training loop, and the pieces that methods build their own loops from.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::context::{Context, TrainSettings};
use crate::data::{Labelled, Slot};
use crate::error::{Error, Result};
use crate::kernels::{self, on_cpu};
use crate::model::{Classifier, tensors::floats};
use crate::stats::{self, Logits};
use crate::summary::EpochRow;

/// Trains every parameter of `model` on `data` with cross-entropy, as `settings` say. Running statistics follow the batches.
///
/// # Errors
/// Ctrl-C; a loss that is not finite.
pub fn fit(model: Classifier, data: &Labelled, settings: &TrainSettings, ctx: &mut Context) -> Result<Classifier> {
    fit_and_validate(model, data, None, settings, ctx)
}

/// [`fit`] that also measures the accuracy on `held_out` after every epoch. The model is the same with and without.
///
/// # Errors
/// As [`fit`].
pub fn fit_and_validate(
    model: Classifier,
    data: &Labelled,
    held_out: Option<&Labelled>,
    settings: &TrainSettings,
    ctx: &mut Context,
) -> Result<Classifier> {
    let mut net = model.trainable(|_| true, false);
    let mut optimiser = settings.optimiser();
    let batches = data.len().div_ceil(settings.batch);
    let bar = ctx.bar(settings.epochs, batches);
    for epoch in 0..settings.epochs {
        let mut meter = EpochMeter::new(epoch);
        for (i, batch) in ctx.training_batches(data, settings.batch, epoch).enumerate() {
            ctx.check_interrupt()?;
            let logits = net.logits(batch.images); // [N, K]
            let loss = cross_entropy(logits.clone(), &batch.slots);
            meter.add(&ctx.model, &loss, logits, &batch.slots)?;
            let grads = GradientsParams::from_grads(loss.backward(), &net);
            net = optimiser.step(settings.rate(epoch * batches + i, settings.epochs * batches), net, grads);
            bar.batch(epoch);
        }
        let mut row = meter.row();
        if let Some(held_out) = held_out {
            row.validation = accuracy(&predict(&net.clone().finished(), held_out, ctx)?, &held_out.slots);
            ctx.cost.forwarded(held_out.len());
        }
        ctx.end_epoch(&bar, data.len(), &row)?;
    }
    Ok(net.finished())
}

/// Share of the samples with a slot whose arg-max is that slot; none where none has one.
pub fn accuracy(logits: &Logits, slots: &[Option<Slot>]) -> Option<f64> {
    let counted = slots.iter().flatten().count();
    let hits = logits.rows().zip(slots).filter(|(row, slot)| Some(Slot(stats::argmax(row))) == **slot).count();
    (counted > 0).then(|| hits as f64 / counted as f64)
}

/// One-hot targets, N×K; a row of zeros where there is no slot.
fn one_hot(slots: &[Option<Slot>], classes: usize, device: &Device) -> Tensor<2> {
    let mut hot = vec![0f32; slots.len() * classes];
    for (row, slot) in hot.chunks_mut(classes).zip(slots) {
        if let Some(Slot(s)) = slot {
            row[*s] = 1.0;
        }
    }
    Tensor::from_data(TensorData::new(hot, [slots.len(), classes]), device)
}

/// Mean cross-entropy in nats of N×K logits over the samples that have a slot; 0 where none has.
pub fn cross_entropy(logits: Tensor<2>, slots: &[Option<Slot>]) -> Tensor<1> {
    let counted = slots.iter().flatten().count().max(1);
    let targets = one_hot(slots, logits.dims()[1], &logits.device());
    soft_cross_entropy(logits, targets, counted)
}

/// −Σ t·log softmax(z) / `count` over the rows z of N×K logits and t of N×K targets, nats.
pub fn soft_cross_entropy(logits: Tensor<2>, targets: Tensor<2>, count: usize) -> Tensor<1> {
    let scale = 1.0 / count as f32;
    if on_cpu(&logits.device()) {
        return kernels::cross_entropy::cross_entropy(logits, targets, scale);
    }
    (log_softmax(logits, 1) * targets).sum().mul_scalar(-scale)
}

/// Gathers the founding notebook's table row over the batches of an epoch.
#[derive(Debug)]
pub struct EpochMeter {
    epoch: usize,
    losses: Vec<f64>,
    correct: usize,
    counted: usize,
    confidence: f64,
    samples: usize,
    hiding: Vec<f64>,
}

impl EpochMeter {
    /// For epoch `epoch`, from 0.
    pub fn new(epoch: usize) -> Self {
        Self { epoch, losses: vec![], correct: 0, counted: 0, confidence: 0.0, samples: 0, hiding: vec![] }
    }

    /// A batch: its loss, N×K logits and slots. Accuracy counts hits over samples, so a partial last batch weighs what it holds
    /// (the notebook divided it by the full batch size).
    ///
    /// # Errors
    /// A loss that is not finite: the training diverged.
    pub fn add(&mut self, model: &str, loss: &Tensor<1>, logits: Tensor<2>, slots: &[Option<Slot>]) -> Result<()> {
        let loss = f64::from(floats(loss.clone())[0]);
        if !loss.is_finite() {
            return Err(Error::Diverged { model: model.to_string(), what: format!("the loss is {loss} in epoch {}", self.epoch + 1) });
        }
        self.losses.push(loss);
        let classes = logits.dims()[1];
        let logits = Logits { values: floats(logits), slots: classes };
        for (row, slot) in logits.rows().zip(slots) {
            if let Some(Slot(s)) = slot {
                self.counted += 1;
                self.correct += usize::from(stats::argmax(row) == *s);
            }
            self.confidence += stats::confidence(row);
            self.samples += 1;
        }
        Ok(())
    }

    /// The notebook's training-time hiding of one batch, where defined.
    pub fn add_hiding(&mut self, hiding: Option<f64>) {
        self.hiding.extend(hiding);
    }

    /// The row.
    pub fn row(&self) -> EpochRow {
        EpochRow {
            epoch: self.epoch,
            accuracy: self.correct as f64 / self.counted.max(1) as f64,
            confidence: self.confidence / self.samples.max(1) as f64,
            loss: stats::mean(&self.losses),
            l_var: stats::variance(&self.losses, 0),
            l_min: self.losses.iter().copied().fold(f64::INFINITY, f64::min),
            l_max: self.losses.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            hiding: (!self.hiding.is_empty()).then(|| stats::mean(&self.hiding)),
            validation: None,
        }
    }
}

/// N×K logits of `model` on `data`, in its order, in inference mode.
pub fn predict(model: &Classifier, data: &Labelled, ctx: &Context) -> Result<Logits> {
    let mut values = Vec::with_capacity(data.len() * model.spec().slots);
    for batch in ctx.plain_batches(data, INFERENCE_BATCH) {
        ctx.check_interrupt()?;
        values.extend(floats(model.logits(batch.images)));
    }
    Ok(Logits { values, slots: model.spec().slots })
}

/// Images a forward pass where no gradient is needed; big enough to fill two cores, small enough to stay in cache.
pub const INFERENCE_BATCH: usize = 256;

/// Number of parameters, running statistics left out.
pub fn parameter_count(model: &Classifier) -> usize {
    model.num_params() - model.tensors().iter().filter(|t| crate::model::tensors::is_statistic(&t.name)).map(|t| t.values.len()).sum::<usize>()
}
