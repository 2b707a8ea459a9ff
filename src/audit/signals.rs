//! Signals: logits on every set and activations at every cut, computed once a model and shared by all audits.
//!
//! Logits stay in memory. Features, of which a deep network has gigabytes, lie in unnamed temporary files, one a cut, so that memory holds
//! those of one cut at a time.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::{Mutex, PoisonError};

use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool2d;

use super::ProbeSamples;
use crate::context::Context;
use crate::data::{ClassId, ClassMap, Labelled, Role, Samples, SwapTask};
use crate::error::{Error, Result};
use crate::model::{Activations, Classifier, Cut, tensors::floats};
use crate::stats::Logits;
use crate::train::INFERENCE_BATCH;

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

/// One set of the task and which of its samples' features read-outs use.
#[derive(Debug)]
struct Set {
    role: Role,
    part: PartName,
    samples: Samples,
    /// One entry a sample: are its features kept?
    keep: Vec<bool>,
}

/// What every model of a run is measured on.
#[derive(Debug)]
pub struct AuditData {
    /// The swap, all sets open.
    pub task: SwapTask,
    /// Seed of the choices that all models of a run share: which samples, which random labels.
    pub seed: u64,
    /// For each of some classes that the original never saw, what shows how it takes them ([`super::never_seen`]). Empty where there are none.
    pub never_seen: Vec<AuditData>,
    sets: Vec<Set>,
}

impl AuditData {
    /// The sets of `task`, which must be open (see [`crate::data::Needs::ALL`]).
    ///
    /// Read-outs are fitted on `probe` of the training samples, evenly spread, and tested on all test samples.
    pub fn new(task: SwapTask, probe: ProbeSamples, seed: u64) -> Result<Self> {
        let mut sets = Vec::new();
        let splits = [(Role::Retain, Some(&task.retain)), (Role::Forget, Some(&task.forget)), (Role::Learn, task.learn.as_ref())];
        for (role, split) in splits.into_iter().filter_map(|(r, s)| s.map(|s| (r, s))) {
            for (part, view) in [(PartName::Train, &split.train), (PartName::Test, &split.test)] {
                let samples = view.samples()?.clone();
                sets.push(Set { role, part, keep: vec![part == PartName::Test; samples.len()], samples });
            }
        }
        for old in [true, false] {
            let group = |s: &&mut Set| s.part == PartName::Train && (s.role == Role::Forget) == old;
            let total: usize = sets.iter_mut().filter(group).map(|s| s.samples.len()).sum();
            let most = probe.most(old);
            let mut seen = 0;
            for set in sets.iter_mut().filter(group) {
                for keep in &mut set.keep {
                    // Sample number `seen` of `total` is kept where the count of kept ones has to grow: `most` of them, evenly spread.
                    *keep = total <= most || (seen + 1) * most / total > seen * most / total;
                    seen += 1;
                }
            }
        }
        Ok(Self { task, seed, never_seen: vec![], sets })
    }

    /// Without the samples that no read-out is fitted on or tested with: to run a model over all others would be in vain.
    pub fn of_read_outs(mut self) -> Self {
        for set in &mut self.sets {
            set.samples = set.samples.pick((0..set.keep.len()).filter(|i| set.keep[*i]));
            set.keep = vec![true; set.samples.len()];
        }
        self
    }

    /// Classes of the rows of [`CutFeatures::train`] or [`CutFeatures::test`], in order.
    pub fn feature_classes(&self, part: PartName) -> Vec<ClassId> {
        let of = |s: &Set| -> Vec<ClassId> { (0..s.samples.len()).filter(|i| s.keep[*i]).map(|i| s.samples.class(i)).collect() };
        self.sets.iter().filter(|s| s.part == part).flat_map(of).collect()
    }

    /// Of each row of [`CutFeatures::train`] or [`CutFeatures::test`]: is it of the old class?
    pub fn is_old(&self, part: PartName) -> Vec<bool> {
        self.feature_classes(part).iter().map(|c| *c == self.old()).collect()
    }

    /// Of the samples of a set, those whose features are kept, in order: the rows that the set adds to [`CutFeatures`].
    pub fn kept(&self, role: Role, part: PartName) -> Vec<usize> {
        let set = self.sets.iter().find(|s| s.role == role && s.part == part);
        set.map_or(vec![], |s| (0..s.keep.len()).filter(|i| s.keep[*i]).collect())
    }

    /// The samples behind the rows of [`CutFeatures::train`] or [`CutFeatures::test`], in order.
    pub fn feature_samples(&self, part: PartName) -> Samples {
        let kept = self.sets.iter().filter(|s| s.part == part).map(|s| s.samples.pick((0..s.keep.len()).filter(|i| s.keep[*i])));
        // A task has a retain and a forget set.
        kept.reduce(|all, next| all.followed_by(&next)).unwrap_or_else(|| unreachable!("no set"))
    }

    /// The samples of a set, where the task has it.
    pub fn set(&self, role: Role, part: PartName) -> Option<&Samples> {
        self.sets.iter().find(|s| s.role == role && s.part == part).map(|s| &s.samples)
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

impl Features {
    /// N.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row `i`, D values.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..][..self.width]
    }
}

/// Features of the probing samples at one cut.
#[derive(Debug, Clone, PartialEq)]
pub struct CutFeatures {
    /// Which cut, from 0 for the one behind the first stage.
    pub index: usize,
    /// Name of the cut.
    pub name: String,
    /// Of the training samples that read-outs are fitted on; their classes are [`AuditData::feature_classes`].
    pub train: Features,
    /// Of all test samples.
    pub test: Features,
}

impl CutFeatures {
    /// False where the model diverged: no read-out can be fitted on NaN or infinity.
    pub fn is_finite(&self) -> bool {
        self.train.values.iter().chain(&self.test.values).all(|v| v.is_finite())
    }
}

/// Where the features of one cut lie: rows of the training samples, then of the test samples.
#[derive(Debug)]
struct Stored {
    name: String,
    width: usize,
    train: Mutex<File>,
    test: Mutex<File>,
}

/// Everything that audits read of one model.
#[derive(Debug)]
pub struct Signals {
    logits: Vec<(Role, PartName, Logits)>,
    /// Every cut behind the first stage; the input is the same for every model and says nothing of it.
    cuts: Vec<Stored>,
}

/// For failures of the temporary files.
fn storing(e: std::io::Error) -> Error {
    let at = std::env::temp_dir().display().to_string();
    Error::failed("features", format!("{at}: {e}"), "make room there, or point TMPDIR at a larger disk")
}

impl Signals {
    /// Runs `model` once over all sets; progress under `ctx.model`.
    pub fn of(model: &Classifier, map: &ClassMap, data: &AuditData, ctx: &Context) -> Result<Self> {
        let file = || tempfile::tempfile().map(Mutex::new).map_err(storing);
        let stored = |cut: &Cut| Ok(Stored { name: model.cut_name(*cut).to_string(), width: 0, train: file()?, test: file()? });
        let mut cuts: Vec<Stored> = model.cuts()[1..].iter().map(stored).collect::<Result<_>>()?;
        let mut logits = Vec::new();
        for set in &data.sets {
            logits.push((set.role, set.part, pass(model, map, set, &mut cuts, ctx)?));
        }
        Ok(Self { logits, cuts })
    }

    /// A model of which nothing but logits is known.
    #[cfg(test)]
    pub fn of_logits(logits: Vec<(Role, PartName, Logits)>) -> Self {
        Self { logits, cuts: vec![] }
    }

    /// Logits on a set, in the set's order; none where the task has no such set.
    pub fn logits(&self, role: Role, part: PartName) -> Option<&Logits> {
        self.logits.iter().find(|(r, p, _)| *r == role && *p == part).map(|(_, _, l)| l)
    }

    /// How many cuts there are behind the input.
    pub fn cut_count(&self) -> usize {
        self.cuts.len()
    }

    /// The features at cut `index`, read from where they lie.
    pub fn cut(&self, index: usize) -> Result<CutFeatures> {
        let (train, test) = (self.part(index, PartName::Train)?, self.part(index, PartName::Test)?);
        Ok(CutFeatures { index, name: self.cut_name(index).to_string(), train, test })
    }

    /// Name of cut `index`.
    pub fn cut_name(&self, index: usize) -> &str {
        &self.cuts[index].name
    }

    /// One half of the features at cut `index`, for those who compare models and need no more.
    pub fn part(&self, index: usize, part: PartName) -> Result<Features> {
        let Stored { width, train, test, .. } = &self.cuts[index];
        let mut file = if part == PartName::Train { train } else { test }.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(storing)?;
        Ok(Features { values: bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(), width: *width })
    }
}

/// Logits of all samples of `set`; the kept samples' features are added to `cuts`.
fn pass(model: &Classifier, map: &ClassMap, set: &Set, cuts: &mut [Stored], ctx: &Context) -> Result<Logits> {
    let data = Labelled::new(set.samples.clone(), map);
    let mut values = Vec::with_capacity(data.len() * map.len());
    let mut at = 0;
    for batch in ctx.plain_batches(&data, INFERENCE_BATCH) {
        ctx.check_interrupt()?;
        let keep = &set.keep[at..at + batch.slots.len()];
        at += keep.len();
        let mut x = Activations(batch.images);
        for (k, cut) in cuts.iter_mut().enumerate() {
            x = model.advance(x, Cut(k), Cut(k + 1));
            if !keep.contains(&true) {
                continue;
            }
            let pooled = pooled(x.0.clone()); // [N, C, s, s]
            cut.width = pooled.dims()[1..].iter().product();
            let rows = floats(pooled);
            let kept = rows.chunks_exact(cut.width).zip(keep).filter(|(_, keep)| **keep);
            let bytes: Vec<u8> = kept.flat_map(|(row, _)| row.iter().flat_map(|v| v.to_le_bytes())).collect();
            let file = if set.part == PartName::Train { &cut.train } else { &cut.test };
            file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes).map_err(storing)?;
        }
        values.extend(floats(model.resume(x, Cut(cuts.len()))));
    }
    Ok(Logits { values, slots: model.spec().slots })
}

/// Features at the last cut, as [`Signals`] keep them, and logits of `model` on `samples`, in their order: of models that audits make.
pub(super) fn read(model: &Classifier, samples: Samples, ctx: &Context) -> Result<(Features, Logits)> {
    let last = Cut(model.cuts().len() - 1);
    let images = super::training::labelled(samples, &[]);
    let (mut values, mut logits) = (Vec::new(), Vec::new());
    for batch in ctx.plain_batches(&images, INFERENCE_BATCH) {
        ctx.check_interrupt()?;
        let x = model.activations(batch.images, last);
        values.extend(floats(pooled(x.0.clone())));
        logits.extend(floats(model.resume(x, last)));
    }
    let width = values.len() / images.len().max(1);
    Ok((Features { values, width }, Logits { values: logits, slots: model.spec().slots }))
}

/// Activations averaged over space to the largest square with at most [`MAX_FEATURES`] values, where they are wider.
pub(super) fn pooled(x: Tensor<4>) -> Tensor<4> {
    let [_, c, h, w] = x.dims();
    if c * h * w <= MAX_FEATURES || h * w == 1 {
        return x;
    }
    let side = (1..=h.min(w)).rev().find(|s| c * s * s <= MAX_FEATURES).unwrap_or(1);
    adaptive_avg_pool2d(x, [side, side])
}
