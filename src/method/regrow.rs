//! `regrow`: cut below the stages that tell the old class apart, and grow everything above anew.
//!
//! 1. **Cut.** Below the cut stays the original's trunk; the stages above it and the head are drawn afresh.
//! 2. **Cache.** The trunk's activations of a share of the retain and the learn set, augmented once, are computed and kept.
//! 3. **Regrow.** The top is trained on them with cross-entropy towards the classes after the swap, with the original training's optimiser,
//!    rate and batch, the rate falling along a cosine. It never meets an old-class sample, nor a soft label from a model that did: above the
//!    cut the result is what retraining would make of this trunk.
//!
//! What it may cost is set beforehand, as a share of one retraining, and the share of the data follows: forward passes through the trunk cost
//! a third of a training pass, epochs on the cache the top's share of one. Where the budget allows for more than all data, epochs are added.
//!
//! Re-initialising and training the last k layers is EU-k (Goel et al. 2022, arXiv 2201.06640); training on cached activations is what makes
//! it cheap.

use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry, in_range};
use crate::cached::{Cache, fit_top};
use crate::context::{Context, Schedule, TrainSettings};
use crate::data::{Labelled, Needs, SwapTask};
use crate::error::{Error, Result, did_you_mean};
use crate::model::{Classifier, Cut, Spec};

/// Parameters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regrow {
    /// Name of the trunk's last stage; `auto`: the last but one.
    pub cut: String,
    /// What it may cost, as a share of the passes of one retraining.
    pub budget: f64,
    /// Fewest epochs on the cache: with a small budget it holds fewer samples, not fewer epochs.
    pub epochs: usize,
}

impl Default for Regrow {
    fn default() -> Self {
        Self { cut: "auto".into(), budget: 0.045, epochs: 4 }
    }
}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "regrow",
    summary: "draw the top of the network afresh and train it on cached activations of its trunk, within a budget",
    paper: Some("this project; re-initialising the top is EU-k, Goel et al. 2022, arXiv 2201.06640"),
    needs: Needs { retain: true, forget: false, learn: true },
    control: false,
    defaults: super::defaults::<Regrow>,
    build: |t| super::build::<Regrow>("regrow", t),
};

/// How the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Plan {
    /// Share of every class's training samples.
    share: f64,
    /// Passes over the cache.
    epochs: usize,
}

impl Plan {
    /// For `passes` passes over the retain ∪ learn training set, a top with `above` of the arithmetic, and at least `epochs` epochs.
    fn new(passes: f64, above: f64, epochs: usize) -> Self {
        let fill = (1.0 - above) / 3.0;
        let share = passes / (fill + epochs as f64 * above);
        if share <= 1.0 {
            return Self { share, epochs };
        }
        Self { share: 1.0, epochs: epochs.max(((passes - fill) / above).floor() as usize) }
    }
}

impl Regrow {
    fn cut_of(&self, spec: &Spec) -> Result<Cut> {
        let names = &spec.stage_names;
        if self.cut == "auto" {
            return Ok(Cut(names.len() - 1));
        }
        let at = names.iter().position(|n| *n == self.cut);
        at.map(|i| Cut(i + 1)).ok_or_else(|| {
            let valid = names.iter().map(String::as_str).chain(["auto"]);
            Error::input("[method.regrow] cut", format!("no stage `{}` in {}", self.cut, spec.architecture), did_you_mean(&self.cut, valid))
        })
    }
}

impl Method for Regrow {
    fn check(&self) -> Result<()> {
        in_range("regrow", "budget", self.budget, 1e-6..=10.0)?;
        in_range("regrow", "epochs", self.epochs as f64, 1.0..=1e4)
    }

    fn check_for(&self, model: &Classifier) -> Result<()> {
        self.cut_of(model.spec()).map(|_| ())
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let cut = self.cut_of(original.spec())?;
        let plan = Plan::new(self.budget * ctx.settings.epochs as f64, original.spec().share_above(cut), self.epochs);
        let samples = task.retain_and_learn()?.share_of_each_class(plan.share, ctx.seed);
        let data = Labelled::new(samples, task.working());
        let cache = Cache::fill(&original, cut, &data, 1, ctx)?;
        let trunk: Vec<String> = original.spec().stage_names[..cut.0].iter().map(|n| format!("{n}.")).collect();
        let above = |name: &str| !trunk.iter().any(|t| name.starts_with(t));
        let settings = TrainSettings { epochs: plan.epochs, schedule: Schedule::Cosine, ..ctx.settings.clone() };
        fit_top(original.reset(ctx.seed, above), cut, &cache, &settings, ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_spends_its_budget_and_no_more() {
        for (passes, above, epochs) in [(0.2, 0.2, 4), (0.9, 0.19, 4), (3.0, 0.1, 4), (0.05, 0.9, 1), (40.0, 0.5, 3)] {
            let plan = Plan::new(passes, above, epochs);
            let spent = plan.share * ((1.0 - above) / 3.0 + plan.epochs as f64 * above);
            assert!(spent <= passes * (1.0 + 1e-12) && plan.share <= 1.0 && plan.epochs >= epochs, "{plan:?} spends {spent} of {passes}");
            // Nothing is left that another epoch could use.
            assert!(plan.share < 1.0 || spent > passes - above, "{plan:?} spends {spent} of {passes}");
        }
    }
}
