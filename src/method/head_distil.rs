//! `head-distil`: freeze the encoder and train a new head on its features: on retain samples towards the original's outputs without
//! the old class, on learn samples towards the new one. A negative control: every feature of the old class is still there, and
//! so are the encoder's running statistics.
//!
//! Head distillation as in Jeon et al., AAAI 2026 (arXiv 2405.17878), which passes every black-box metric with nothing erased.

use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry, in_range};
use crate::cached::{Cache, gather};
use crate::context::Context;
use crate::data::{Labelled, Needs, Slot, SwapTask};
use crate::error::Result;
use crate::model::{Activations, Classifier, Cut, tensors::floats};
use crate::optimiser::Optimiser;
use crate::stats;
use crate::train::{self, EpochMeter};

/// Parameters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadDistil {
    /// Passes over the cached features; they cost next to nothing.
    pub epochs: usize,
    /// Adam's learning rate.
    pub lr: f64,
}

impl Default for HeadDistil {
    fn default() -> Self {
        Self { epochs: 10, lr: 1e-3 }
    }
}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "head-distil",
    summary: "negative control: retrain the head alone on frozen features; hides well",
    paper: Some("Jeon et al., AAAI 2026, arXiv 2405.17878"),
    needs: Needs { retain: true, forget: false, learn: true },
    control: true,
    defaults: super::defaults::<HeadDistil>,
    build: |t| super::build::<HeadDistil>("head-distil", t),
};

impl Method for HeadDistil {
    fn check(&self) -> Result<()> {
        in_range("head-distil", "epochs", self.epochs as f64, 1.0..=1e4)?;
        in_range("head-distil", "lr", self.lr, 1e-9..=1.0)
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let data = Labelled::new(task.retain_and_learn()?, task.working());
        let old = task.old_slots();
        let last = Cut(original.cuts().len() - 1);
        let slots = original.spec().slots;
        // One pass: features and soft targets.
        let mut features: Vec<f32> = Vec::new();
        let mut targets: Vec<f32> = Vec::new();
        for batch in ctx.plain_batches(&data, train::INFERENCE_BATCH) {
            ctx.check_interrupt()?;
            let x = original.activations(batch.images, last);
            let logits = floats(original.resume(Activations(x.0.clone()), last));
            features.extend(floats(x.0));
            for ((row, slot), class) in logits.chunks(slots).zip(&batch.slots).zip(&batch.classes) {
                if task.is_new(*class) {
                    targets.extend((0..slots).map(|k| f32::from(u8::from(Some(Slot(k)) == *slot))));
                } else {
                    let mut masked = row.to_vec();
                    old.iter().for_each(|Slot(s)| masked[*s] = f32::NEG_INFINITY);
                    targets.extend(stats::log_softmax(&masked).into_iter().map(|l| l.exp() as f32));
                }
            }
        }
        ctx.cost.forwarded(data.len());
        let cache = Cache::new(features, original.spec().cut_shapes[last.0], data.slots.clone(), &ctx.device);
        let share = original.spec().share_above(last);
        let device = ctx.device.clone().autodiff();
        let in_head = |name: &str| name.starts_with("head.");
        let mut net = original.reset(ctx.seed, in_head).trainable(in_head, true);
        let mut optimiser = Optimiser::adam();
        let size = ctx.settings.batch;
        let bar = ctx.bar(self.epochs, data.len().div_ceil(size));
        for epoch in 0..self.epochs {
            let mut meter = EpochMeter::new(epoch);
            for picked in cache.order(ctx.seed, epoch).chunks(size) {
                ctx.check_interrupt()?;
                let logits = net.resume(Activations(cache.rows(picked, &device)), last); // [N, K]
                let wanted = Tensor::from_data(TensorData::new(gather(&targets, slots, picked), [picked.len(), slots]), &device);
                let loss = train::soft_cross_entropy(logits.clone(), wanted, picked.len());
                meter.add(&ctx.model, &loss, logits, &cache.slots(picked))?;
                let grads = GradientsParams::from_grads(loss.backward(), &net);
                net = optimiser.step(self.lr, net, grads);
                bar.batch(epoch);
            }
            ctx.cost.trained_part(data.len(), share);
            ctx.show_epoch(&bar, &meter.row())?;
        }
        Ok(net.finished())
    }
}
