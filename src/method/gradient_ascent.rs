//! `gradient-ascent`: descend on the learn set while ascending on the forget set, CE(learn) − w·CE(forget).
//!
//! Ascent alone (NegGrad: Golatkar et al. 2020, §5; Thudi et al. 2022, §2) knows no learn set; the swap adds its cross-entropy, since
//! old and new class share a slot. The ascent is unbounded and sees no retained class: that it collapses them is its known flaw.
//! Running statistics follow the batches, which hold no retained class either.

use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry, in_range};
use crate::context::Context;
use crate::data::{Labelled, Needs, SwapTask};
use crate::error::Result;
use crate::model::Classifier;
use crate::optimiser::Optimiser;
use crate::train::{self, EpochMeter};

/// Parameters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientAscent {
    /// Passes over forget ∪ learn. Usual: 5–10 (Fan et al. 2024, appendix C.2).
    pub epochs: usize,
    /// Adam's learning rate; published ones are SGD's and say nothing of it. Ours: a tenth of Adam's default, as the ascent is unbounded. (Adam makes
    /// full steps of the tiny gradients with which an ascent begins, SGD hardly moves then.)
    pub lr: f64,
    /// Weight w of the ascent. 1: the method as published, balanced only by the learn set.
    pub ascent: f64,
}

impl Default for GradientAscent {
    fn default() -> Self {
        Self { epochs: 5, lr: 1e-4, ascent: 1.0 }
    }
}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "gradient-ascent",
    summary: "descend on the learn set, ascend on the forget set, without the retain set",
    paper: Some("Golatkar et al., CVPR 2020, arXiv 1911.04933; Thudi et al., EuroS&P 2022, arXiv 2109.13398"),
    needs: Needs { retain: false, forget: true, learn: true },
    control: false,
    defaults: super::defaults::<GradientAscent>,
    build: |t| super::build::<GradientAscent>("gradient-ascent", t),
};

impl Method for GradientAscent {
    fn check(&self) -> Result<()> {
        in_range("gradient-ascent", "epochs", self.epochs as f64, 1.0..=1e4)?;
        in_range("gradient-ascent", "lr", self.lr, 1e-9..=1.0)?;
        in_range("gradient-ascent", "ascent", self.ascent, 0.0..=1e3)
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let forget = task.forget.train.samples()?;
        let samples = match &task.learn {
            Some(learn) => forget.union([learn.train.samples()?]),
            None => forget.clone(),
        };
        let data = Labelled::new(samples, task.working());
        let mut net = original.trainable(|_| true, false);
        let mut optimiser = Optimiser::adam();
        let batch_size = ctx.settings.batch;
        let bar = ctx.bar(self.epochs, data.len().div_ceil(batch_size));
        for epoch in 0..self.epochs {
            let mut meter = EpochMeter::new(epoch);
            for batch in ctx.training_batches(&data, batch_size, epoch) {
                ctx.check_interrupt()?;
                let forget = batch.slots_of(&task.before, |c| task.is_old(c));
                let learn = batch.slots_of(task.working(), |c| !task.is_old(c));
                let logits = net.logits(batch.images); // [N, K]
                let loss = train::cross_entropy(logits.clone(), &learn) - train::cross_entropy(logits.clone(), &forget).mul_scalar(self.ascent);
                meter.add(&ctx.model, &loss, logits, &learn)?;
                let grads = GradientsParams::from_grads(loss.backward(), &net);
                net = optimiser.step(self.lr, net, grads);
                bar.batch(epoch);
            }
            ctx.end_epoch(&bar, data.len(), &meter.row())?;
        }
        Ok(net.finished())
    }
}
