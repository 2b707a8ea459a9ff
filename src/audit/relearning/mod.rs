//! `relearning`: how fast the old class comes back.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the audit: its settings, figures and curves |
//! | `protocol` | where every model starts, what it is shown, what is measured |

mod protocol;

use super::training::{self, Rows, Trainee};
use super::{Audit, CutFeatures, Findings, Measured, PartName, Subject, signals};
use crate::context::Context;
use crate::data::{Batches, Slot};
use crate::error::Result;
use crate::model::{Classifier, Cut};
use crate::rng;
use crate::stats::Logits;
use crate::summary::{Axis, Content, Exhibit, Family, ModelKind};
use crate::train;
use protocol::{Progress, Shots, Start};

/// Steps of the head alone; a step costs next to nothing.
const HEAD_STEPS: usize = 128;
/// Adam's rate for the head alone.
const HEAD_RATE: f64 = 1e-2;
/// Steps of all weights.
const FULL_STEPS: usize = 32;
/// Adam's rate for all weights, its default.
const FULL_RATE: f64 = 1e-3;
/// Images that a random network takes its running statistics of.
const STATISTICS: usize = 512;

/// The model's stages get a new head, all zeros, for the classes after the swap and the old one, and are trained on k ∈ {1, 10, 100, all} old-class
/// training images (all: those that read-outs are fitted on, at most 1,000) and as many draws from retain ∪ learn in every batch of 32, by Adam without
/// augmentation: `head`, only the head on fixed features, 128 steps of rate 1e-2; `full`, all weights, 32 steps of rate 1e-3. A step shows 16 images of
/// the class, so that "all" is 512 at most in `full`, each once, whatever the class has; in `head` it is all of them, over again. Samples, their
/// order and the start are the same for every model, the original included. Running statistics stay fixed: those of a batch that is half copies of one
/// image are no test image's.
///
/// Measured at steps 1, 2, 4, … on at most 200 old-class and 300 other test images: informedness, the share of old-class images answered as such less
/// the share of others answered so. 0 at the start, and for always answering the old class; 1 for perfect.
/// * `auc_head_K`, `auc_full_K`: its mean over those steps. Above the oracles: the class comes back faster than it comes to a model that never saw it.
/// * `t50_…`, `t80_…`: steps to 0.5 and 0.8 (balanced accuracy 75 % and 90 %), interpolated; a step shows 16 old-class images. Where it is not
///   reached, "at least" the last step, 128 or 32. Shown, not judged: a scale that ends. Of steps 1, 2, 4, … the first counts from which on the level
///   is held. The first step of `full` is the head's alone: behind a head of zeros no other weight has a gradient.
/// * `auc_random_start_head_K`, `auc_random_start_full_K`, `t50_…`, `t80_…`: the same of a freshly drawn network (running statistics of retain and
///   learn images), what there is to learn in so many steps without having learned anything; shown with the original, not judged.
///
/// Undefined where the class has fewer than K training images.
#[derive(Debug)]
pub struct Relearning;

/// What is trained.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// The head, on the features of the last cut.
    Head,
    /// All weights.
    Full,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Full => "full",
        }
    }

    fn steps(self) -> usize {
        match self {
            Self::Head => HEAD_STEPS,
            Self::Full => FULL_STEPS,
        }
    }
}

impl Audit for Relearning {
    fn name(&self) -> &'static str {
        "relearning"
    }

    fn summary(&self) -> &'static str {
        "how fast the old class comes back, from 1, 10, 100 and all images, head alone and all weights"
    }

    fn source(&self) -> &'static str {
        "relearn time: Golatkar et al., CVPR 2020, arXiv 1911.04933; Anamnesis index: Chundawat et al., TIFS 2023, arXiv 2201.05629"
    }

    fn family(&self) -> Family {
        Family::Relearning
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, ctx: &mut Context) -> Result<Findings> {
        if cut.index + 1 < subject.me.signals.cut_count() {
            return Ok(Findings::default());
        }
        let mut found = relearned(&Start::of(subject.me.model, subject.data)?, cut, subject, ctx)?;
        if subject.me.kind == ModelKind::Original {
            let drawn = random_start(subject, ctx)?;
            found.figures.extend(drawn.figures);
            found.exhibits.extend(drawn.exhibits);
        }
        Ok(found)
    }
}

/// The figures of a freshly drawn network, and its curve from all images.
fn random_start(subject: &Subject<'_>, ctx: &Context) -> Result<Findings> {
    let net = random(subject, ctx)?;
    let last = net.cuts().len() - 1;
    let read = |part| signals::read(&net, subject.data.feature_samples(part), ctx).map(|(features, _)| features);
    let cut = CutFeatures { index: last - 1, name: net.cut_name(Cut(last)).to_string(), train: read(PartName::Train)?, test: read(PartName::Test)? };
    let Findings { figures, exhibits } = relearned(&Start::of(&net, subject.data)?, &cut, subject, ctx)?;
    let named = |f: Measured| Measured { metric: f.metric.replacen('_', "_random_start_", 1), ..f }.descriptive();
    let of_all_images = Shots::TRIED.len() - 1; // those of all weights come first
    let title = "Learning the old class from all images, all weights, from a random start";
    let curve = exhibits.into_iter().nth(of_all_images).map(|e| Exhibit { title: title.into(), ..e });
    Ok(Findings { figures: figures.into_iter().map(named).collect(), exhibits: curve.into_iter().collect() })
}

/// `auc_head_100` alone, from the features of the last cut; none where the class has fewer than a hundred training images.
pub(super) fn auc_head_100(subject: &Subject<'_>, last: &CutFeatures, ctx: &Context) -> Result<Option<f64>> {
    let start = Start::of(subject.me.model, subject.data)?;
    Ok(progress(&start, Part::Head, last, Shots::Few(100), subject, ctx)?.map(|p| p.mean()))
}

/// Figures and curves of both parts, all weights first; `last` holds the features of the last cut.
fn relearned(start: &Start, last: &CutFeatures, subject: &Subject<'_>, ctx: &Context) -> Result<Findings> {
    let mut found = relearn(start, Part::Full, last, subject, ctx)?;
    let head = relearn(start, Part::Head, last, subject, ctx)?;
    found.figures.extend(head.figures);
    found.exhibits.extend(head.exhibits);
    Ok(found)
}

/// Figures and curves of one part.
fn relearn(start: &Start, part: Part, last: &CutFeatures, subject: &Subject<'_>, ctx: &Context) -> Result<Findings> {
    let mut found = Findings::default();
    for shots in Shots::TRIED {
        let progress = progress(start, part, last, shots, subject, ctx)?;
        let name = |figure: &str| format!("{figure}_{}_{}", part.name(), shots.name());
        let area = progress.as_ref().map(Progress::mean);
        // About a tenth of what lies between oracles and original in `unlearn demo`.
        found.figures.push(Measured::new(name("auc"), area, "fraction", 0.03).showing_old_class());
        for (figure, level) in [("t50", 0.5), ("t80", 0.8)] {
            let (steps, end) = progress.as_ref().map(|p| p.steps_to(level)).unzip();
            found.figures.push(Measured::new(name(figure), steps, "steps", 0.0).descriptive().at_least(end == Some(true)));
        }
        found.exhibits.extend(progress.map(|p| curve(&p, part, shots)));
    }
    Ok(found)
}

fn curve(progress: &Progress, part: Part, shots: Shots) -> Exhibit {
    let images = match shots {
        Shots::Few(1) => "one image".to_string(),
        Shots::Few(k) => format!("{k} images"),
        Shots::All => "all images".to_string(),
    };
    let what = match part {
        Part::Head => "head alone",
        Part::Full => "all weights",
    };
    Exhibit {
        audit: Relearning.name().into(),
        title: format!("Relearning the old class from {images}, {what}"),
        note: "Old-class test images answered as such, less others answered so. A curve above the oracles’ shows what is left of the class.".into(),
        content: Content::Curve {
            x: Axis { label: "step".into(), log: true },
            y: Axis { label: "informedness".into(), log: false },
            points: progress.0.iter().filter(|(_, v)| v.is_finite()).map(|(s, v)| (*s as f64, *v)).collect(),
        },
    }
}

/// Trains a copy of `start` and measures it on the grid; none where there are too few samples.
fn progress(start: &Start, part: Part, last: &CutFeatures, shots: Shots, subject: &Subject<'_>, ctx: &Context) -> Result<Option<Progress>> {
    let data = subject.data;
    let Some(diet) = protocol::diet(data, shots, part.steps()) else { return Ok(None) };
    let (old, rest) = protocol::test_rows(data);
    let (count, slot) = (old.len(), Slot(start.head.len() - 1));
    let tested: Vec<usize> = old.into_iter().chain(rest).collect();
    let grid = Progress::grid(part.steps());
    let unit = training::scale(&last.train, &Rows::of(data, "relearning").rest);
    let mut progress = Progress::default();
    match part {
        Part::Head => {
            let before_head = Cut(start.model.cuts().len() - 1);
            let x = training::gather(&last.test, &tested, &ctx.device);
            let classes = data.feature_classes(PartName::Train);
            let classes: Vec<_> = diet.iter().map(|i| classes[*i]).collect();
            let slots = training::slots(&classes, &start.head);
            let copy = Trainee::of(&start.model, |name| name.starts_with("head."), true, HEAD_RATE).on_features_of(unit);
            training::on_features(copy, &last.train, (&diet, &slots), ctx, |step, copy| {
                if grid.contains(&step) {
                    let values = crate::model::tensors::floats(copy.now().resume(x.clone(), before_head));
                    progress.0.push((step, protocol::informedness(&Logits { values, slots: start.head.len() }, count, slot)));
                }
                Ok(())
            })?;
        }
        Part::Full => {
            let images = training::labelled(data.feature_samples(PartName::Train).pick(diet), &start.head);
            let test = training::labelled(data.feature_samples(PartName::Test).pick(tested), &start.head);
            let copy = Trainee::of(&start.model, |_| true, true, FULL_RATE).on_features_of(unit);
            training::on_images(copy, &images, ctx, |step, copy| {
                if grid.contains(&step) {
                    progress.0.push((step, protocol::informedness(&train::predict(&copy.now(), &test, ctx)?, count, slot)));
                }
                Ok(())
            })?;
        }
    }
    Ok(Some(progress))
}

/// A network of the subject's shape that knows nothing, with the running statistics that it has on images of retain ∪ learn.
fn random(subject: &Subject<'_>, ctx: &Context) -> Result<Classifier> {
    let spec = subject.me.model.spec();
    let seed = rng::derive_seed(subject.data.seed, "relearning random start", 0);
    let net = Classifier::new(&spec.architecture, spec.input, spec.slots, seed, &ctx.device)?;
    let rows = Rows::of(subject.data, "relearning").rest;
    let samples = subject.data.feature_samples(PartName::Train).pick(rows.into_iter().take(STATISTICS));
    let images = training::labelled(samples, &[]);
    let device = ctx.device.clone().autodiff();
    Ok(net.with_statistics_of(Batches::in_order(&images, train::INFERENCE_BATCH, &ctx.pipeline.normalisation, &device).map(|b| b.images)))
}
