//! `head-distil`: freeze the encoder and train a new head on its features: on retain samples towards the original's outputs without
//! the old class, on learn samples towards the new one. A negative control: every feature of the old class is still there, and
//! so are the encoder's running statistics.
//!
//! Head distillation as in Jeon et al., AAAI 2026 (arXiv 2405.17878), which passes every black-box metric with nothing erased.

use burn::nn::{Initializer, Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Method, MethodEntry, in_range};
use crate::context::Context;
use crate::data::{Labelled, Needs, Slot, SwapTask};
use crate::error::Result;
use crate::model::{Activations, Classifier, Cut, tensors::floats};
use crate::optimiser::Optimiser;
use crate::rng;
use crate::stats;
use crate::train;

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
        let old = task.before.slot(task.swap.forget);
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
                if Some(*class) == task.swap.learn {
                    targets.extend((0..slots).map(|k| f32::from(u8::from(Some(Slot(k)) == *slot))));
                } else {
                    let mut masked = row.to_vec();
                    if let Some(Slot(old)) = old {
                        masked[old] = f32::NEG_INFINITY;
                    }
                    targets.extend(stats::log_softmax(&masked).into_iter().map(|l| l.exp() as f32));
                }
            }
        }
        ctx.cost.forwarded(data.len());
        let width = features.len() / data.len();
        let device = ctx.device.clone().autodiff();
        let fresh = original.clone().reset(ctx.seed, |name| name.starts_with("head."));
        let head_tensors: BTreeMap<String, Vec<f32>> =
            fresh.tensors().into_iter().filter(|t| t.name.starts_with("head.")).map(|t| (t.name, t.values)).collect();
        let mut head: Linear = LinearConfig::new(width, slots).with_initializer(Initializer::Zeros).init(&device);
        head.weight = head.weight.map(|w| Tensor::from_data(TensorData::new(head_tensors["head.weight"].clone(), w.dims()), &device).require_grad());
        head.bias =
            head.bias.map(|b| b.map(|b| Tensor::from_data(TensorData::new(head_tensors["head.bias"].clone(), b.dims()), &device).require_grad()));
        let mut optimiser = Optimiser::adam();
        let size = ctx.settings.batch;
        let bar = ctx.bar(self.epochs, data.len().div_ceil(size));
        for epoch in 0..self.epochs {
            let mut order: Vec<usize> = (0..data.len()).collect();
            order.shuffle(&mut rng::stream(ctx.seed, "shuffle", epoch as u64));
            for picked in order.chunks(size) {
                ctx.check_interrupt()?;
                let gather = |from: &[f32], n: usize| {
                    let values: Vec<f32> = picked.iter().flat_map(|i| from[i * n..(i + 1) * n].iter().copied()).collect();
                    Tensor::<2>::from_data(TensorData::new(values, [picked.len(), n]), &device)
                };
                let logp = log_softmax(head.forward(gather(&features, width)), 1); // [N, K]
                let loss = (logp * gather(&targets, slots)).sum().mul_scalar(-1.0 / picked.len() as f64);
                let grads = GradientsParams::from_grads(loss.backward(), &head);
                head = optimiser.step(self.lr, head, grads);
                bar.batch(epoch);
            }
            ctx.cost.trained_part(data.len(), original.spec().share_above(last));
        }
        let mut new = BTreeMap::from([("head.weight".to_string(), floats(head.weight.val()))]);
        if let Some(bias) = &head.bias {
            new.insert("head.bias".into(), floats(bias.val()));
        }
        Ok(original.with_tensors(&new))
    }
}
