//! `finetune`: continue training on retain ∪ learn, and trust that what is not rehearsed is forgotten.
//!
//! Running statistics follow the batches of retain ∪ learn. Warnecke et al. 2023 and most comparisons since; known to need a large enough rate or many epochs.

use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry, in_range};
use crate::context::{Context, TrainSettings};
use crate::data::{Labelled, Needs, SwapTask};
use crate::error::Result;
use crate::model::Classifier;
use crate::train;

/// Parameters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finetune {
    /// Passes over retain ∪ learn. Papers use 10–50, a fifth to a third of the retraining (CoUn, NeurIPS 2025, table 8); two are that share of
    /// trainings of six to ten epochs, half of shorter ones, a tenth of longer.
    pub epochs: usize,
    /// Learning rate as a multiple of the original training's, on its schedule. 1: the rate at which the network learned once is enough to learn
    /// again.
    pub lr_factor: f64,
}

impl Default for Finetune {
    fn default() -> Self {
        Self { epochs: 2, lr_factor: 1.0 }
    }
}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "finetune",
    summary: "continue training all weights on retain and learn set",
    paper: Some("Warnecke et al., NDSS 2023, arXiv 2108.11577; as baseline in Fan et al., ICLR 2024, arXiv 2310.12508"),
    needs: Needs { retain: true, forget: false, learn: true },
    control: false,
    defaults: super::defaults::<Finetune>,
    build: |t| super::build::<Finetune>("finetune", t),
};

impl Method for Finetune {
    fn check(&self) -> Result<()> {
        in_range("finetune", "epochs", self.epochs as f64, 1.0..=1e4)?;
        in_range("finetune", "lr_factor", self.lr_factor, 1e-6..=1e3)
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let data = Labelled::new(task.retain_and_learn()?, task.working());
        let settings = TrainSettings { epochs: self.epochs, lr: ctx.settings.lr * self.lr_factor, ..ctx.settings.clone() };
        train::fit(original, &data, &settings, ctx)
    }
}
