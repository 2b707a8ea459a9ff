//! `regrow`: cut below the stages that tell the old class apart, and grow everything above anew.
//!
//! 1. **Cut.** Below the cut stays the original's trunk; the stages above it and the head are drawn afresh.
//! 2. **Cache.** The trunk's activations of a share of the retain set and of a larger one of the learn set are computed and kept, beyond all
//!    samples in further augmented copies.
//! 3. **Regrow.** The top is trained on them towards the classes after the swap, with the original training's optimiser and rate, the rate
//!    falling along a cosine. Where the budget pays for much of the data, most of the loss on retained samples follows the original's
//!    softened answers, the old class's slot left out (Hinton et al. 2015), instead of the label, in half batches: two epochs can't teach all
//!    that the original learned in twenty, its answers can. A top that is a large part of the network starts between the original's weights
//!    and fresh ones, as it can't be grown from nothing so cheaply (Ash & Adams 2020), and is stepped by Muon. No old-class sample is ever met.
//!    With `distil = 0` and `keep = 0` nothing that knew the old class touches the top: it is what retraining would make of this trunk. So it is
//!    grown wherever the budget pays for a quarter of the original's training, of a stage more than by default if it pays for that.
//! 4. **Sharpen.** Networks grow surer the longer they train, and the top trained briefly: its logits are multiplied by the one number that
//!    spreads them over retained samples as widely as the original's.
//!
//! What it may cost is set beforehand, as a share of one retraining, and the share of the data follows: forward passes cost a third of a
//! training pass, epochs on the cache the top's share of one.
//!
//! Re-initialising and training the last k layers is EU-k (Goel et al. 2022, arXiv 2201.06640); training on cached activations is what makes
//! it cheap.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry, in_range, sharpen};
use crate::cached::{Cache, Teacher, fit_top};
use crate::context::{Context, OptimiserKind, Recipe, Schedule, TrainSettings};
use crate::data::{Labelled, Needs, Samples, Slot, SwapTask, View};
use crate::error::{Error, Result, did_you_mean};
use crate::model::{Activations, Classifier, Cut, Spec, tensors::floats};
use crate::train::INFERENCE_BATCH;

/// Parameters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regrow {
    /// Name of the trunk's last stage; `auto`: the last but one, or the one before where the budget can grow all above that from nothing.
    pub cut: String,
    /// What it may cost, as a share of the passes of one retraining on the data that it has: with a part of the retain set that is so much less.
    pub budget: f64,
    /// Epochs on the cache: with a small budget it holds fewer samples, not fewer epochs; with a large one more augmented copies, not more
    /// epochs, as a top that meets the very same activations again and again learns them by heart. Without augmentation copies are no news:
    /// then epochs are added.
    pub epochs: usize,
    /// How many times the retain set's share of the learn set is cached, beyond its samples in further augmented copies: the trunk has yet to
    /// meet that class. `auto`: 3; or 1 where the top is grown from nothing, as it then meets that class as often as a retraining would.
    pub learn_boost: OrAuto<f64>,
    /// How much of that the loss makes up for: with 1 classes are as likely as in the data, with 0 as in the cache. Between them, since a class
    /// that the trunk was not made for is found less often than it is there.
    pub adjustment: f64,
    /// What steps the top. `auto`: Muon where the top is a large part of the network and follows the original's answers, if the original was
    /// trained by Adam or AdamW, whose rate suits it; else what the original was trained by.
    pub optimiser: OrAuto<OptimiserKind>,
    /// Batch, as a share of the original training's: smaller ones make more steps of the same samples, and take longer. `auto`: a half where
    /// the original's answers are followed, else all of it.
    pub batch: OrAuto<f64>,
    /// Whether the logits are scaled to the spread of the original's.
    pub sharpen: bool,
    /// Share of the loss on retained samples that follows the original's softened answers, its old slot left out, and not the label; unless
    /// the top is small and the budget pays for less than half of the retain set: then they made no difference. With 0, and `keep` 0, nothing
    /// that knew the old class touches the top. `auto`: 0.8; or 0 where the top is grown from nothing.
    pub distil: OrAuto<f64>,
    /// By which the logits are divided to soften those answers.
    pub temperature: f64,
    /// Share of the original's weights in those that the stages above the cut start from, the rest being drawn afresh; the head keeps
    /// nothing. `auto`: none where the top is a small part of the network or grown from nothing; else 0.6.
    pub keep: OrAuto<f64>,
}

/// A value, or the word `auto` for one that follows from the task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "neither `auto` nor a value of the parameter's kind")]
pub enum OrAuto<T> {
    /// This one.
    Given(T),
    /// What the field's documentation says.
    Named(Auto),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auto {
    /// `auto`
    Auto,
}

impl<T: Copy> OrAuto<T> {
    /// `auto`.
    const AUTO: Self = Self::Named(Auto::Auto);

    /// The value, `auto` being that.
    fn or(self, auto: T) -> T {
        if let Self::Given(value) = self { value } else { auto }
    }
}

impl Default for Regrow {
    fn default() -> Self {
        Self {
            cut: "auto".into(),
            budget: 0.045,
            epochs: 2,
            learn_boost: OrAuto::AUTO,
            adjustment: 0.5,
            optimiser: OrAuto::AUTO,
            batch: OrAuto::AUTO,
            sharpen: true,
            distil: OrAuto::AUTO,
            temperature: 2.0,
            keep: OrAuto::AUTO,
        }
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

/// From docs/extremes.md: the fewest training samples of the new class with which a swap was still matched, and the most with which it was not, but
/// was with this budget.
const LEARN_ENOUGH: usize = 100;
const LEARN_TOO_FEW: usize = 20;
const BUDGET_FOR_FEW: f64 = 0.3;
/// From docs/study.md: samples of the smallest retained class in the cache below which a top that follows labels alone is warned of, more than all
/// those with which most swaps were not matched (but for those of `LONG`), and what was measured; the same, about those with which they were,
/// where the original's answers are followed; and, from docs/extremes.md, where the top is grown from nothing.
const CACHED_ENOUGH: (usize, &str) =
    (4000, "with 540 of them one of five swaps came out matched, with 1500 to 1700 of them 13 of 41, and with regrow.budget = 0.3 nine of eleven");
const TAUGHT_CACHED_ENOUGH: (usize, &str) =
    (500, "with 250 of them one of eight swaps came out matched, with 500 eight of eight on training images, with 600 sixteen of 21 held out");
const GROWN_CACHED_ENOUGH: (usize, &str) = (500, "with 250 of them a swap that was grown from nothing was not matched, with 500 it was");
/// From docs/study-length.md: of the swaps by default settings whose budget paid for all images, which were not augmented, how many were matched.
const LONG: &str = "three of seven";
/// Share of the network's arithmetic up to which a top counts as small, that of `cnn-s`, and what a larger one keeps; docs/study-choices.md has the choice.
const SMALL_TOP: f64 = 0.21;
const KEPT: f64 = 0.6;
/// Share of the retain set in the cache from which a small top follows the original's answers; with a third and a half it made no difference.
const TAUGHT_ENOUGH: f64 = 0.5;
/// Share of the network's arithmetic above the cut that a small budget is enough for, that of `cnn-s` (docs/study.md).
const ABOVE_FINE: f64 = 0.21;
/// Share of the original's training that the budget must pay for, of the stages above a cut, for them to be grown from nothing by labels alone; and
/// what `auto` is where it does not. Chosen on training images, docs/study-choices.md.
const GROWN: f64 = 0.25;
/// Fewest images of a retained class that stages are grown from nothing on: with 100 of them swaps became worse by it, with 250 better
/// (docs/extremes.md).
const GROWN_FROM: f64 = 250.0;
const LEARN_BOOST: f64 = 3.0;
const DISTIL: f64 = 0.8;

/// What `auto` comes to on a task.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Choice {
    cut: Cut,
    /// Share of the network's arithmetic above the cut.
    above: f64,
    /// Whether the budget pays for growing all of that from nothing.
    grown: bool,
    plan: Plan,
    /// Samples on which the logits' spread is compared.
    measured: usize,
    distil: f64,
    keep: f64,
}

/// How the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Plan {
    /// Share of every retain class's training samples; above 1 in several augmented copies.
    retain: f64,
    /// Share of the new class's, likewise.
    learn: f64,
    /// Passes over the cache.
    epochs: usize,
    /// Whether the original's answers are followed.
    follows: bool,
}

impl Plan {
    /// For `passes` passes over the retain ∪ learn training set, of which the new class is `new`; each cached sample costs a share `fill` of a
    /// pass and each of at least `epochs` epochs on it `above`. The share of the learn set is `boost` times that of the retain set, which is
    /// `most` at most: what the budget allows for beyond that are epochs.
    fn new(passes: f64, new: f64, (fill, above): (f64, f64), epochs: usize, boost: f64, most: f64) -> Self {
        // Of all data, that a retain share of 1 brings into the cache.
        let whole = 1.0 - new + boost * new;
        let wanted = passes / (fill + epochs as f64 * above) / whole;
        let retain = wanted.min(most);
        let longest = if wanted > most { ((passes / (most * whole) - fill) / above * (1.0 + 1e-12)).floor() as usize } else { epochs };
        Self { retain, learn: boost * retain, epochs: epochs.max(longest), follows: false }
    }
}

impl Regrow {
    /// The cut named, or by default the one below the last stage.
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

    /// What `auto` comes to on `task`, and how the budget of one retraining of `epochs` epochs is spent, with all that is left of it once the retain
    /// set is in the cache going into further copies if `augmented`: the earliest of the cuts in question above which the budget can grow everything
    /// from nothing, or the last.
    fn choose(&self, spec: &Spec, task: &SwapTask, epochs: usize, augmented: bool) -> Result<Choice> {
        let last = self.cut_of(spec)?;
        let fewest = task.retain.train.samples()?.fewest_of_a_class();
        let earlier = (self.cut == "auto" && last.0 > 1).then(|| Cut(last.0 - 1));
        for cut in earlier.into_iter().chain([last]) {
            let grown = self.at(cut, true, spec, task, epochs, augmented)?;
            let images = fewest.map_or(0.0, |n| n as f64 * grown.plan.retain.min(1.0));
            if grown.plan.retain * grown.plan.epochs as f64 >= GROWN * epochs as f64 && images >= GROWN_FROM {
                return Ok(grown);
            }
        }
        self.at(last, false, spec, task, epochs, augmented)
    }

    /// [`Self::choose`] for this cut, with the top `grown` from nothing or not.
    fn at(&self, cut: Cut, grown: bool, spec: &Spec, task: &SwapTask, epochs: usize, augmented: bool) -> Result<Choice> {
        let (all, retain) = (task.retain_and_learn()?.len() as f64, task.retain.train.samples()?);
        let new = 1.0 - retain.len() as f64 / all;
        let above = spec.share_above(cut);
        let passes = self.budget * epochs as f64;
        let learn_boost = self.learn_boost.or(if grown { 1.0 } else { LEARN_BOOST });
        let distil = self.distil.or(if grown { 0.0 } else { DISTIL });
        let keep = self.keep.or(if above > SMALL_TOP && !grown { KEPT } else { 0.0 });
        let (measured, cost) = if self.sharpen { sharpen::affordable(passes * all, above) } else { (0, 0.0) };
        let passes = passes - cost / all;
        let most = if augmented { f64::INFINITY } else { 1.0 };
        let plan = |fill: f64| Plan::new(passes, new, (fill, above), self.epochs, learn_boost, most);
        // Forward through the trunk; with a teacher through the original's top, too.
        let taught = Plan { follows: true, ..plan(1.0 / 3.0) };
        let follows = distil > 0.0 && (above > SMALL_TOP || taught.retain >= TAUGHT_ENOUGH);
        let plan = if follows { taught } else { plan((1.0 - above) / 3.0) };
        Ok(Choice { cut, above, grown, plan, measured, distil, keep })
    }

    /// Images a step, of the original training's `whole`.
    fn images(&self, plan: Plan, whole: usize) -> usize {
        ((whole as f64 * self.batch.or(if plan.follows { 0.5 } else { 1.0 })).round() as usize).max(1)
    }

    /// What steps a top of the share `above` of the network's arithmetic, of an original trained by `original`.
    fn steps_by(&self, plan: Plan, above: f64, original: OptimiserKind) -> OptimiserKind {
        let adam = matches!(original, OptimiserKind::Adam | OptimiserKind::AdamW);
        self.optimiser.or(if above > SMALL_TOP && plan.follows && adam { OptimiserKind::Muon } else { original })
    }

    /// What `original` says of the samples `retained` of `cache`, softened, its slots `old` left out: softmax of the other logits over
    /// the temperature (Hinton et al. 2015, arXiv 1503.02531, eq. 1).
    fn teacher(
        &self,
        original: &Classifier,
        cut: Cut,
        (cache, retained): (&Cache, &[usize]),
        old: &[Slot],
        share: f64,
        ctx: &mut Context,
    ) -> Teacher {
        let (slots, temperature) = (original.spec().slots, self.temperature as f32);
        let mut probabilities = vec![0f32; cache.len() * slots];
        for picked in retained.chunks(INFERENCE_BATCH) {
            let logits = floats(original.resume(Activations(cache.rows(picked, &ctx.device)), cut)); // [N, K]
            for (row, i) in logits.chunks(slots).zip(picked) {
                let others = || row.iter().enumerate().filter(|(s, _)| !old.contains(&Slot(*s)));
                let top = others().fold(f32::NEG_INFINITY, |m, (_, z)| m.max(*z));
                let total: f32 = others().map(|(_, z)| ((z - top) / temperature).exp()).sum();
                others().for_each(|(s, z)| probabilities[i * slots + s] = ((z - top) / temperature).exp() / total);
            }
        }
        ctx.cost.forwarded_part(retained.len(), original.spec().share_above(cut));
        Teacher { probabilities, share: share as f32, temperature }
    }
}

impl Method for Regrow {
    fn check(&self) -> Result<()> {
        in_range("regrow", "budget", self.budget, 1e-6..=10.0)?;
        in_range("regrow", "epochs", self.epochs as f64, 1.0..=1e4)?;
        in_range("regrow", "learn_boost", self.learn_boost.or(1.0), 1.0..=1e3)?;
        in_range("regrow", "adjustment", self.adjustment, 0.0..=1.0)?;
        in_range("regrow", "distil", self.distil.or(0.0), 0.0..=1.0)?;
        in_range("regrow", "temperature", self.temperature, 0.1..=100.0)?;
        in_range("regrow", "batch", self.batch.or(1.0), 1e-3..=100.0)?;
        in_range("regrow", "keep", self.keep.or(0.0), 0.0..=1.0)
    }

    fn check_for(&self, model: &Classifier) -> Result<()> {
        self.cut_of(model.spec()).map(|_| ())
    }

    fn cautions(&self, task: &SwapTask, model: &Classifier, recipe: &Recipe) -> Result<Vec<String>> {
        let fewest = |view: &View| view.samples().map(Samples::fewest_of_a_class);
        let spec = model.spec();
        let Choice { above, grown, plan, .. } = self.choose(spec, task, recipe.settings.epochs, recipe.augment)?;
        let learn = task.learn.as_ref().map(|l| fewest(&l.train)).transpose()?.flatten();
        let cached = fewest(&task.retain.train)?.map(|n| ((plan.retain.min(1.0) * n as f64).round() as usize).max(1));
        let paid = |n: usize| n >= LEARN_TOO_FEW && grown && self.budget >= BUDGET_FOR_FEW;
        let learn = learn.filter(|n| *n < LEARN_ENOUGH && !paid(*n)).map(|n| {
            format!(
                "the new class has {n} training images; with {LEARN_TOO_FEW} it was not matched, with {LEARN_ENOUGH}, or a regrow.budget of \
                 {BUDGET_FOR_FEW}, it was (docs/extremes.md). Take more of them, a larger budget, or retrain."
            )
        });
        let (enough, measured) = match (grown, plan.follows) {
            (true, _) => GROWN_CACHED_ENOUGH,
            (false, true) => TAUGHT_CACHED_ENOUGH,
            (false, false) => CACHED_ENOUGH,
        };
        let retain = cached.filter(|n| *n < enough).map(|n| {
            let more = if grown { "" } else { "a larger regrow.budget, " };
            format!(
                "its budget and the retain set give it {n} images of a retained class; {measured} \
                 (docs/study.md). Take more of the original's training images, {more}or retrain."
            )
        });
        let last = spec.share_above(Cut(spec.stage_names.len() - 1));
        let [above, last, fine, budget] = [above, last, ABOVE_FINE, self.budget].map(|share| 100.0 * share);
        let large = (above > fine && !grown).then(|| {
            format!(
                "{above:.0} % of the network's arithmetic lies above the cut, all of it to be trained with {budget:.1} % of a retraining; with up to \
                 {fine:.0} % 29 of 62 swaps were matched, with the 32 % of resnet20 none of four pairs (docs/study-cifar10.md). A retraining is safer."
            )
        });
        let much = !grown && (plan.follows || plan.retain >= 1.0) && learn.is_none() && retain.is_none();
        let long = (above <= fine && much && !recipe.augment).then(|| {
            let paid = 100.0 * plan.retain.min(1.0);
            format!(
                "its budget pays for {paid:.0} % of the retained images, which are not augmented; of the swaps where it paid for all of them \
                 {LONG} were matched (docs/study-length.md). A retraining is safer."
            )
        });
        let untried = (last > fine && grown).then(|| {
            format!(
                "{above:.0} % of the network's arithmetic lies above the cut, to be grown from nothing with {budget:.1} % of a retraining; that was \
                 seen to match where a network's last stage is up to {fine:.0} % of it, and here it is {last:.0} % (docs/study.md). A retraining is safer."
            )
        });
        Ok(learn.into_iter().chain(retain).chain(large).chain(long).chain(untried).collect())
    }

    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
        let chosen = self.choose(original.spec(), task, ctx.settings.epochs, !ctx.pipeline.augmentation.is_none())?;
        let Choice { cut, above, plan, measured, .. } = chosen;
        let cache = cache(&original, cut, task, plan, ctx)?;
        let batch = self.images(plan, ctx.settings.batch);
        let optimiser = self.steps_by(plan, above, ctx.settings.optimiser);
        let settings = TrainSettings { epochs: plan.epochs, batch, optimiser, schedule: Schedule::Cosine, ..ctx.settings.clone() };
        // log of how much more often than in the data a class is met (Menon et al. 2021, arXiv 2007.07314, eq. 10)
        let mut offsets = vec![0f32; original.spec().slots];
        let new_slots = task.new_slots();
        new_slots.iter().for_each(|Slot(s)| offsets[*s] = (self.adjustment * (plan.learn / plan.retain).ln()) as f32);
        let trunk: Vec<String> = original.spec().stage_names[..cut.0].iter().map(|n| format!("{n}.")).collect();
        let fresh = original.clone().reset(ctx.seed, |name| !trunk.iter().any(|t| name.starts_with(t)));
        let fresh = shrunk(&original, fresh, chosen.keep);
        let retained: Vec<usize> = (0..cache.len()).filter(|i| cache.slots(&[*i])[0].is_none_or(|s| !new_slots.contains(&s))).collect();
        let teacher = plan.follows.then(|| self.teacher(&original, cut, (&cache, &retained), &task.old_slots(), chosen.distil, ctx));
        let regrown = fit_top(fresh, cut, &cache, &offsets, teacher.as_ref(), &settings, ctx)?;
        let measured = &retained[..retained.len().min(measured)];
        if measured.is_empty() {
            return Ok(regrown);
        }
        ctx.cost.forwarded_part(2 * measured.len(), above);
        // In plain unlearning the old slot is taken away afterwards.
        let gone = if task.learn.is_none() { task.old_slots() } else { vec![] };
        let spread = |model: &Classifier| {
            let logits = floats(model.resume(Activations(cache.rows(measured, &ctx.device)), cut)); // [N, K]
            sharpen::spread(&logits, model.spec().slots, &gone)
        };
        let (wanted, has) = (spread(&original), spread(&regrown));
        Ok(sharpen::sharpened(regrown, wanted, has))
    }
}

/// The trunk's activations of what `plan` says: the retain set's share, then the learn set's copies, each augmented anew.
fn cache(original: &Classifier, cut: Cut, task: &SwapTask, plan: Plan, ctx: &mut Context) -> Result<Cache> {
    let copies = |all: &Samples, share: f64| -> Vec<Samples> {
        let shares = (0..share.ceil() as usize).map(|copy| (share - copy as f64).min(1.0));
        shares.map(|share| all.share_of_each_class(share, ctx.seed)).collect()
    };
    let mut parts = copies(task.retain.train.samples()?, plan.retain);
    if let Some(learn) = &task.learn {
        parts.splice(1..1, copies(learn.train.samples()?, plan.learn));
    }
    let mut cache = Cache::with_capacity(parts.iter().map(Samples::len).sum(), original, cut, &ctx.device);
    for (copy, part) in parts.into_iter().enumerate() {
        cache.add(original, cut, &Labelled::new(part, task.working()), copy as u64, ctx)?;
    }
    Ok(cache)
}

/// `fresh` with the stages' weights (1 − `share`) times its own plus `share` times `original`'s, where they differ; running statistics
/// likewise. The head keeps nothing (Ash & Adams 2020, arXiv 1910.08475, algorithm 1: shrink, perturb).
fn shrunk(original: &Classifier, fresh: Classifier, share: f64) -> Classifier {
    if share == 0.0 {
        return fresh;
    }
    let share = share as f32;
    let theirs: BTreeMap<String, Vec<f32>> = original.tensors().into_iter().map(|t| (t.name, t.values)).collect();
    let mixed = |(own, kept): (&f32, &f32)| if own == kept { *own } else { share * kept + (1.0 - share) * own };
    fresh.rewrite(|name, _, current| (!name.starts_with("head.")).then(|| current().iter().zip(&theirs[name]).map(mixed).collect()))
}
