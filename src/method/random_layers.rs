//! `random-layers`: the founding notebook's procedure. Each epoch a few parameter tensors, drawn at random, train with a fresh Adam;
//! the loss is CE over the samples that have a slot plus w times the imitation loss, which makes outputs on the old class look like
//! outputs on everything else.
//!
//! The epoch's accuracy counts samples, not batches: the notebook's mean over batches gives a partial last one too much weight. The
//! confusion matrix by arg-max over the whole training goes to the event log (`confusion`: rows are the slots' classes, then the old class).
//!
//! As in the notebook the network is in training mode throughout, so running statistics follow the batches whatever is drawn.
//! Its target is one that no retrained model has (a retrained model sends an unseen class to its neighbours), see `docs/baseline.md`.

use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry, in_range};
use crate::context::Context;
use crate::data::{Labelled, Needs, SwapTask};
use crate::error::{Error, Result};
use crate::imitation;
use crate::model::{Classifier, tensors::floats};
use crate::optimiser::Optimiser;
use crate::rng;
use crate::stats::Logits;
use crate::train::{self, EpochMeter};

/// Parameters; all defaults are the notebook's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomLayers {
    /// Passes over retain ∪ learn ∪ forget.
    pub epochs: usize,
    /// Parameter tensors (a weight or a bias counts as one) that train in an epoch.
    pub n_layers: usize,
    /// Weight of the imitation loss.
    pub w: f64,
    /// Adam's learning rate.
    pub lr: f64,
    /// Images a step.
    pub batch: usize,
}

impl Default for RandomLayers {
    fn default() -> Self {
        Self { epochs: 10, n_layers: 2, w: 0.1, lr: 1e-3, batch: 256 }
    }
}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "random-layers",
    summary: "the notebook's procedure: a few random tensors an epoch, cross-entropy plus imitation",
    paper: Some("founding notebook; its schedule resembles the NeurIPS 2023 challenge's 7th place"),
    needs: Needs { retain: true, forget: true, learn: true },
    control: false,
    defaults: super::defaults::<RandomLayers>,
    build: |t| super::build::<RandomLayers>("random-layers", t),
};

impl Method for RandomLayers {
    fn check(&self) -> Result<()> {
        in_range("random-layers", "epochs", self.epochs as f64, 1.0..=1e4)?;
        in_range("random-layers", "n_layers", self.n_layers as f64, 1.0..=1e4)?;
        in_range("random-layers", "w", self.w, 0.0..=1e3)?;
        in_range("random-layers", "lr", self.lr, 1e-9..=1.0)?;
        in_range("random-layers", "batch", self.batch as f64, 2.0..=1e5)
    }

    fn check_for(&self, model: &Classifier) -> Result<()> {
        let tensors = model.parameters().len();
        if self.n_layers > tensors {
            let what = format!("{} of {tensors} parameter tensors", self.n_layers);
            return Err(Error::input("[method.random-layers] n_layers", what, format!("use 1 to {tensors}")));
        }
        Ok(())
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let samples = task.retain_and_learn()?.union([task.forget.train.samples()?]);
        let data = Labelled::new(samples, task.working());
        self.check_for(&original)?;
        let names: Vec<String> = original.parameters().into_iter().map(|p| p.name).collect();
        let mut model = original;
        let slots = task.working().len();
        let mut confusion = vec![vec![0u64; slots]; slots + 1];
        let bar = ctx.bar(self.epochs, data.len().div_ceil(self.batch));
        for epoch in 0..self.epochs {
            let mut draw = rng::stream(ctx.seed, "random-layers", epoch as u64);
            let drawn: Vec<&String> = rand::seq::index::sample(&mut draw, names.len(), self.n_layers).into_iter().map(|i| &names[i]).collect();
            let mut net = model.trainable(|name| drawn.iter().any(|d| *d == name), false);
            let mut optimiser = Optimiser::adam();
            let mut meter = EpochMeter::new(epoch);
            for batch in ctx.training_batches(&data, self.batch, epoch) {
                ctx.check_interrupt()?;
                let is_old: Vec<bool> = batch.classes.iter().map(|c| task.is_old(*c)).collect();
                let batch_slots = batch.slots_of(task.working(), |c| !task.is_old(c));
                let logits = net.logits(batch.images); // [N, K]
                let loss = train::cross_entropy(logits.clone(), &batch_slots) + imitation::loss(&logits, &is_old).mul_scalar(self.w);
                let outputs = Logits { values: floats(logits.clone()), slots };
                for (slot, answer) in batch_slots.iter().zip(outputs.argmax()) {
                    confusion[slot.map_or(slots, |s| s.0)][answer] += 1;
                }
                meter.add_hiding(imitation::training_hiding(&outputs, &is_old));
                meter.add(&ctx.model, &loss, logits, &batch_slots)?;
                let grads = GradientsParams::from_grads(loss.backward(), &net);
                net = optimiser.step(self.lr, net, grads);
                bar.batch(epoch);
            }
            model = net.finished();
            ctx.end_epoch(&bar, data.len(), &meter.row())?;
        }
        ctx.reporter.event("confusion", &ctx.model, serde_json::json!({ "argmax": confusion }))?;
        Ok(model)
    }
}
