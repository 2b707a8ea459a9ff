//! `retrain`: train from scratch on retain ∪ learn. The reference for cost, and what every other method tries to match.

use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry};
use crate::context::Context;
use crate::data::{Labelled, Needs, SwapTask};
use crate::error::Result;
use crate::model::Classifier;
use crate::train;

/// It has no parameters: everything is as the original was trained, but for the seed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrain {}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "retrain",
    summary: "train from scratch on retain and learn set; exact, and the full price",
    paper: None,
    needs: Needs { retain: true, forget: false, learn: true },
    control: false,
    defaults: super::defaults::<Retrain>,
    build: |t| super::build::<Retrain>("retrain", t),
};

impl Method for Retrain {
    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let spec = original.spec();
        let fresh = Classifier::new(&spec.architecture, spec.input, task.after.len(), ctx.seed, &ctx.device)?;
        let data = Labelled::new(task.retain_and_learn()?, &task.after);
        let settings = ctx.settings.clone();
        train::fit(fresh, &data, &settings, ctx)
    }
}
