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
use crate::data::{Labelled, Needs, Slot, SwapTask};
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
    /// How many times the retain set's share of the learn set is cached, as far as there are samples: the trunk has yet to meet that class.
    /// The loss makes up for it, so that the classes stay as likely as they are.
    pub learn_boost: f64,
}

impl Default for Regrow {
    fn default() -> Self {
        Self { cut: "auto".into(), budget: 0.045, epochs: 2, learn_boost: 6.0 }
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
    /// Share of every retain class's training samples.
    retain: f64,
    /// Share of the new class's.
    learn: f64,
    /// Passes over the cache.
    epochs: usize,
}

impl Plan {
    /// For `passes` passes over the retain ∪ learn training set, of which the new class is `new`, a top with `above` of the arithmetic, at
    /// least `epochs` epochs and a share of the learn set `boost` times that of the retain set.
    fn new(passes: f64, new: f64, above: f64, epochs: usize, boost: f64) -> Self {
        let fill = (1.0 - above) / 3.0;
        // In passes over all data. The learn set's share grows with the retain set's until it is whole.
        let data = passes / (fill + epochs as f64 * above);
        let both = data / (1.0 - new + boost * new);
        let retain = if boost * both <= 1.0 { both } else { (data - new) / (1.0 - new) };
        if retain <= 1.0 {
            return Self { retain, learn: (boost * retain).min(1.0), epochs };
        }
        Self { retain: 1.0, learn: 1.0, epochs: epochs.max(((passes - fill) / above).floor() as usize) }
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
        in_range("regrow", "epochs", self.epochs as f64, 1.0..=1e4)?;
        in_range("regrow", "learn_boost", self.learn_boost, 1.0..=1e3)
    }

    fn check_for(&self, model: &Classifier) -> Result<()> {
        self.cut_of(model.spec()).map(|_| ())
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let cut = self.cut_of(original.spec())?;
        let (all, retain) = (task.retain_and_learn()?, task.retain.train.samples()?);
        let new = 1.0 - retain.len() as f64 / all.len() as f64;
        let passes = self.budget * ctx.settings.epochs as f64;
        let plan = Plan::new(passes, new, original.spec().share_above(cut), self.epochs, self.learn_boost);
        let retain = retain.share_of_each_class(plan.retain, ctx.seed);
        let samples = match &task.learn {
            Some(learn) => retain.union([&learn.train.samples()?.share_of_each_class(plan.learn, ctx.seed)]),
            None => retain,
        };
        let data = Labelled::new(samples, task.working());
        let cache = Cache::fill(&original, cut, &data, ctx)?;
        let trunk: Vec<String> = original.spec().stage_names[..cut.0].iter().map(|n| format!("{n}.")).collect();
        let above = |name: &str| !trunk.iter().any(|t| name.starts_with(t));
        let settings = TrainSettings { epochs: plan.epochs, schedule: Schedule::Cosine, ..ctx.settings.clone() };
        // log of how much more often than in the data a class is met (Menon et al. 2021, arXiv 2007.07314, eq. 10)
        let mut offsets = vec![0f32; original.spec().slots];
        if let Some(Slot(s)) = task.swap.learn.and_then(|c| task.working().slot(c)) {
            offsets[s] = (plan.learn / plan.retain).ln() as f32;
        }
        fit_top(original.reset(ctx.seed, above), cut, &cache, &offsets, &settings, ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_spends_its_budget_and_no_more() {
        for (passes, above, epochs) in [(0.2, 0.2, 4), (0.9, 0.19, 4), (3.0, 0.1, 4), (0.05, 0.9, 1), (40.0, 0.5, 3)] {
            for (new, boost) in [(0.1, 1.0), (0.05, 3.0), (0.3, 10.0), (0.0, 3.0)] {
                let plan = Plan::new(passes, new, above, epochs, boost);
                let data = (1.0 - new) * plan.retain + new * plan.learn;
                let spent = data * ((1.0 - above) / 3.0 + plan.epochs as f64 * above);
                let at = format!("{plan:?} spends {spent} of {passes}");
                assert!(spent <= passes * (1.0 + 1e-12) && plan.retain <= 1.0 && plan.learn <= 1.0 && plan.epochs >= epochs, "{at}");
                assert!(plan.learn >= plan.retain && plan.learn <= boost * plan.retain * (1.0 + 1e-12), "{at}");
                // Nothing is left that another epoch could use.
                assert!(plan.retain < 1.0 && spent > passes * (1.0 - 1e-12) || spent > passes - above, "{at}");
            }
        }
    }
}
