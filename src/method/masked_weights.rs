//! `masked-weights`: the founding task statement's baseline. Find the weights most involved in predicting the old class, freeze
//! all the rest, train with a loss that favours the new class and penalises the old:
//! CE(learn [∪ retain]) − penalty · CE(forget), the old class's samples labelled with the slot that it had.
//!
//! Its pitfalls, which `docs/baseline.md` measures: without the retain set nothing defends the retained classes, the penalty is
//! unbounded, and the frozen weights still hold the old class. Normalisation layers keep their statistics: a frozen network stays frozen.

use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry, in_range};
use crate::context::Context;
use crate::data::{Labelled, Needs, SwapTask};
use crate::error::Result;
use crate::model::Classifier;
use crate::optimiser::Optimiser;
use crate::saliency::{self, Score};
use crate::train::{self, EpochMeter};

/// Parameters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskedWeights {
    /// Share of all weights that train, by score. The statement says "the weights most involved"; a tenth.
    pub share: f64,
    /// `gradient` (SalUn's) or `taylor`.
    pub score: Score,
    /// Passes over the training samples. Enough for the loss to flatten on MNIST.
    pub epochs: usize,
    /// Adam's learning rate: its default.
    pub lr: f64,
    /// Weight of −CE on the old class. Small, as the term is unbounded.
    pub penalty: f64,
    /// Whether the retain set is trained on too. The statement speaks of the new and the old class only.
    pub use_retain: bool,
}

impl Default for MaskedWeights {
    fn default() -> Self {
        Self { share: 0.1, score: Score::Gradient, epochs: 3, lr: 1e-3, penalty: 0.1, use_retain: false }
    }
}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "masked-weights",
    summary: "the task statement's baseline: train only the weights most involved in the old class",
    paper: Some("founding task statement; mask as in Fan et al., ICLR 2024, arXiv 2310.12508"),
    needs: Needs { retain: true, forget: true, learn: true },
    control: false,
    defaults: super::defaults::<MaskedWeights>,
    build: |t| super::build::<MaskedWeights>("masked-weights", t),
};

impl Method for MaskedWeights {
    fn check(&self) -> Result<()> {
        in_range("masked-weights", "share", self.share, 1e-6..=1.0)?;
        in_range("masked-weights", "epochs", self.epochs as f64, 1.0..=1e4)?;
        in_range("masked-weights", "lr", self.lr, 1e-9..=1.0)?;
        in_range("masked-weights", "penalty", self.penalty, 0.0..=1e3)
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let forget = task.forget.train.samples()?;
        let mask = saliency::mask(&original, &Labelled::new(forget.clone(), &task.before), self.score, self.share, ctx)?;
        let mut parts = vec![];
        if let Some(learn) = &task.learn {
            parts.push(learn.train.samples()?);
        }
        if self.use_retain {
            parts.push(task.retain.train.samples()?);
        }
        let data = Labelled::new(forget.union(parts), task.working());
        // A tensor without a single free weight needs no gradient.
        let mut net = original.trainable(|name| mask.get(name).is_some_and(|m| m.contains(&true)), true);
        // The optimiser's own mask: momentum would leak through one on the gradient.
        let free = net.parameters().into_iter().filter_map(|p| Some((p.id, mask.get(&p.name)?.clone())));
        let mut optimiser = Optimiser::adam().with_free(free);
        let batch_size = ctx.settings.batch;
        let bar = ctx.bar(self.epochs, data.len().div_ceil(batch_size));
        for epoch in 0..self.epochs {
            let mut meter = EpochMeter::new(epoch);
            for batch in ctx.training_batches(&data, batch_size, epoch) {
                ctx.check_interrupt()?;
                let favoured = batch.slots_of(task.working(), |c| !task.is_old(c));
                let penalised = batch.slots_of(&task.before, |c| task.is_old(c));
                let logits = net.logits(batch.images); // [N, K]
                let loss =
                    train::cross_entropy(logits.clone(), &favoured) - train::cross_entropy(logits.clone(), &penalised).mul_scalar(self.penalty);
                meter.add(&ctx.model, &loss, logits, &favoured)?;
                let grads = GradientsParams::from_grads(loss.backward(), &net);
                net = optimiser.step(self.lr, net, grads);
                bar.batch(epoch);
            }
            ctx.end_epoch(&bar, data.len(), &meter.row())?;
        }
        Ok(net.finished())
    }
}
