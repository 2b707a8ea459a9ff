//! `short-retrain`: train from scratch on retain ∪ learn, and stop when the budget is spent. What any method must beat that costs as much: this one
//! has nothing to hide, and is merely unfinished. It would be told from a retraining by how unsure it is, so its logits are scaled as `regrow`'s are.

use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry, in_range, sharpen};
use crate::context::{Context, TrainSettings};
use crate::data::{Labelled, Needs, Slot, SwapTask};
use crate::error::Result;
use crate::model::Classifier;
use crate::train;

/// Parameters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortRetrain {
    /// What it may cost, as a share of the passes of one retraining. The schedule is the original training's, over what there is of it; where the
    /// epochs are no whole number, each has equally many fewer samples of every class.
    pub budget: f64,
    /// Whether the logits are scaled to the spread of the original's, over at most 1,024 retained samples as they are, out of the same budget. The
    /// audit `confidence` then meets its retained figure by construction, which is no evidence of anything.
    pub sharpen: bool,
}

impl Default for ShortRetrain {
    fn default() -> Self {
        Self { budget: 0.3, sharpen: true }
    }
}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "short-retrain",
    summary: "train from scratch on retain and learn set, for a share of the passes; what cheap methods must beat",
    paper: None,
    needs: Needs { retain: true, forget: false, learn: true },
    control: false,
    defaults: super::defaults::<ShortRetrain>,
    build: |t| super::build::<ShortRetrain>("short-retrain", t),
};

impl Method for ShortRetrain {
    fn check(&self) -> Result<()> {
        in_range("short-retrain", "budget", self.budget, 1e-6..=1.0)
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let spec = original.spec();
        let fresh = Classifier::new(&spec.architecture, spec.input, task.after.len(), ctx.seed, &ctx.device)?;
        let all = task.retain_and_learn()?;
        let image_passes = self.budget * (ctx.settings.epochs * all.len()) as f64;
        let (measured, cost) = if self.sharpen { sharpen::affordable(image_passes, 1.0) } else { (0, 0.0) };
        let (epochs, share) = whole_epochs((image_passes - cost) / all.len().max(1) as f64);
        let data = Labelled::new(all.share_of_each_class(share, ctx.seed), &task.after);
        let short = train::fit(fresh, &data, &TrainSettings { epochs, ..ctx.settings.clone() }, ctx)?;
        if measured == 0 {
            return Ok(short);
        }
        let retained = Labelled::new(task.retain.train.samples()?.spread(measured), &task.after);
        ctx.cost.forwarded(2 * retained.len());
        let spread = |model: &Classifier, gone: &[Slot]| {
            train::predict(model, &retained, ctx).map(|logits| sharpen::spread(&logits.values, logits.slots, gone))
        };
        // In plain unlearning it has no slot for the old class.
        let gone = if task.learn.is_none() { task.old_slots() } else { vec![] };
        let (wanted, has) = (spread(&original, &gone)?, spread(&short, &[])?);
        Ok(sharpen::sharpened(short, wanted, has))
    }
}

/// `passes` passes over the data as epochs on a share of it.
fn whole_epochs(passes: f64) -> (usize, f64) {
    // What a share times a number of epochs came to may lie just above a whole number.
    let epochs = ((passes * (1.0 - 1e-9)).ceil() as usize).max(1);
    (epochs, (passes / epochs as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::whole_epochs;

    #[test]
    fn a_budget_is_epochs_on_a_share_of_the_data() {
        assert_eq!(whole_epochs(6.0), (6, 1.0));
        assert_eq!(whole_epochs(0.1 * 30.0), (3, 1.0));
        assert_eq!(whole_epochs(0.25), (1, 0.25));
        let (epochs, share) = whole_epochs(1.8);
        assert!(epochs == 2 && (share - 0.9).abs() < 1e-12, "{epochs} {share}");
    }
}
