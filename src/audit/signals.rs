//! Signals: logits on every set and activations at every cut, computed once a model and shared by all audits.

use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool2d;

use crate::context::Context;
use crate::data::{ClassId, ClassMap, Labelled, Role, Samples, SwapTask};
use crate::error::Result;
use crate::model::{Activations, Classifier, Cut, tensors::floats};
use crate::stats::Logits;
use crate::train::{self, INFERENCE_BATCH};

/// Train or test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartName {
    /// From the training part.
    Train,
    /// From the test part.
    Test,
}

/// Most features a cut is read with; wider activations are averaged over space down to it, which keeps the closed-form probe to a
/// fraction of a second and treats every model alike.
pub const MAX_FEATURES: usize = 1024;
/// Old-class training samples that read-outs are fitted on, at most.
const PROBE_OLD: usize = 1000;
/// Training samples of all other classes, at most.
const PROBE_REST: usize = 4000;

/// What every model of a run is measured on.
#[derive(Debug)]
pub struct AuditData {
    /// The swap, all sets open.
    pub task: SwapTask,
    sets: Vec<(Role, PartName, Samples)>,
    /// Training samples that read-outs are fitted on: old class and others, evenly spread.
    pub probe_train: Samples,
    /// Test samples of every class, old and new ones included.
    pub probe_test: Samples,
}

impl AuditData {
    /// The sets of `task`, which must be open (see [`crate::data::Needs::ALL`]).
    pub fn new(task: SwapTask) -> Result<Self> {
        let mut sets = Vec::new();
        let splits = [(Role::Retain, Some(&task.retain)), (Role::Forget, Some(&task.forget)), (Role::Learn, task.learn.as_ref())];
        for (role, split) in splits.into_iter().filter_map(|(r, s)| s.map(|s| (r, s))) {
            sets.push((role, PartName::Train, split.train.samples()?.clone()));
            sets.push((role, PartName::Test, split.test.samples()?.clone()));
        }
        let of = |wanted: PartName, old: bool| -> Vec<&Samples> {
            sets.iter().filter(|(r, p, _)| *p == wanted && (*r == Role::Forget) == old).map(|(_, _, s)| s).collect()
        };
        let rest_train = of(PartName::Train, false);
        let old_train = of(PartName::Train, true)[0].spread(PROBE_OLD);
        let rest_train = rest_train[0].union(rest_train[1..].iter().copied()).spread(PROBE_REST);
        let probe_train = old_train.union([&rest_train]);
        let rest_test = of(PartName::Test, false);
        let probe_test = of(PartName::Test, true)[0].union(rest_test);
        Ok(Self { task, sets, probe_train, probe_test })
    }

    /// The samples of a set, where the task has it.
    pub fn set(&self, role: Role, part: PartName) -> Option<&Samples> {
        self.sets.iter().find(|(r, p, _)| *r == role && *p == part).map(|(_, _, s)| s)
    }

    /// The old class.
    pub fn old(&self) -> ClassId {
        self.task.swap.forget
    }
}

/// N×D features at one cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// N·D values, row-major.
    pub values: Vec<f32>,
    /// D.
    pub width: usize,
}

/// Features of the probing samples at one cut.
#[derive(Debug, Clone, PartialEq)]
pub struct CutFeatures {
    /// Name of the cut.
    pub name: String,
    /// Of [`AuditData::probe_train`].
    pub train: Features,
    /// Of [`AuditData::probe_test`].
    pub test: Features,
}

/// Everything that audits read of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Signals {
    logits: Vec<(Role, PartName, Logits)>,
    /// Every cut behind the first stage; the input is the same for every model and says nothing of it.
    pub cuts: Vec<CutFeatures>,
}

impl Signals {
    /// Runs `model` on all sets; progress under `ctx.model`.
    pub fn of(model: &Classifier, map: &ClassMap, data: &AuditData, ctx: &Context) -> Result<Self> {
        let mut logits = Vec::new();
        for (role, part, samples) in &data.sets {
            logits.push((*role, *part, train::predict(model, &Labelled::new(samples.clone(), map), ctx)?));
        }
        let train = features(model, &data.probe_train, map, ctx)?;
        let test = features(model, &data.probe_test, map, ctx)?;
        let cuts = model.cuts()[1..]
            .iter()
            .zip(train.into_iter().zip(test))
            .map(|(cut, (train, test))| CutFeatures { name: model.cut_name(*cut).to_string(), train, test })
            .collect();
        Ok(Self { logits, cuts })
    }

    /// Logits on a set, in the set's order; none where the task has no such set.
    pub fn logits(&self, role: Role, part: PartName) -> Option<&Logits> {
        self.logits.iter().find(|(r, p, _)| *r == role && *p == part).map(|(_, _, l)| l)
    }
}

/// Features of `samples` at every cut behind the first stage, in one pass.
fn features(model: &Classifier, samples: &Samples, map: &ClassMap, ctx: &Context) -> Result<Vec<Features>> {
    let cuts = model.cuts();
    let mut out: Vec<Features> = cuts[1..].iter().map(|_| Features { values: Vec::new(), width: 0 }).collect();
    let data = Labelled::new(samples.clone(), map);
    for batch in ctx.plain_batches(&data, INFERENCE_BATCH) {
        ctx.check_interrupt()?;
        let mut x = Activations(batch.images);
        for (k, features) in out.iter_mut().enumerate() {
            x = model.advance(x, Cut(k), Cut(k + 1));
            let pooled = pooled(x.0.clone()); // [N, C, s, s]
            features.width = pooled.dims()[1..].iter().product();
            features.values.extend(floats(pooled));
        }
    }
    Ok(out)
}

/// Activations averaged over space to the largest square with at most [`MAX_FEATURES`] values, where they are wider.
fn pooled(x: Tensor<4>) -> Tensor<4> {
    let [_, c, h, w] = x.dims();
    if c * h * w <= MAX_FEATURES || h * w == 1 {
        return x;
    }
    let side = (1..=h.min(w)).rev().find(|s| c * s * s <= MAX_FEATURES).unwrap_or(1);
    adaptive_avg_pool2d(x, [side, side])
}
