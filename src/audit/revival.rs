//! `revival`: does the old class come back by itself, when the model goes on learning everything else?

use super::training::{self, BATCH, Rows, Trainee};
use super::{Audit, CutFeatures, Features, Findings, Measured, PartName, Subject, nearest_mean, signals};
use crate::context::Context;
use crate::data::ClassId;
use crate::error::Result;
use crate::model::{Cut, tensors::floats};
use crate::stats::{self, Logits};
use crate::summary::Family;

/// Steps of fine-tuning.
const STEPS: usize = 60;
/// Adam's rate, its default.
const RATE: f64 = 1e-3;
/// Training images that class means are taken of: of the old class and of the others, at most.
const MEANS: [usize; 2] = [300, 1000];
/// Test images, likewise.
const TESTED: [usize; 2] = [300, 500];

/// A copy of the model is fine-tuned on retain ∪ learn alone, 60 steps of 32 images by Adam of rate 1e-3 without augmentation, the same images in
/// the same order for every model; running statistics follow. Nothing in it teaches the old class: what shows more of it than in oracles treated
/// the same was hidden, not erased. On at most 300 old-class and 500 other test images (class means on as many training images, 1,000 of the others):
/// * `nearest_mean_old_after`: balanced accuracy of the nearest-class-mean read-out of the old class at the last cut, afterwards;
/// * `nearest_mean_old_change`: the same less what it was before on the same images;
/// * `output_shift_old`: total variation between the mean softmax output on old-class images before and after, from 0 to 1; shown, not judged,
///   since an answer may move for good reasons or bad;
/// * `old_slot_after`: share of old-class images answered by the slot that the class has or had (the new class's after a swap); undefined once its
///   row is gone, as after plain unlearning, where the class can't be answered any more and the read-outs have to show it.
#[derive(Debug)]
pub struct Revival;

impl Audit for Revival {
    fn name(&self) -> &'static str {
        "revival"
    }

    fn summary(&self) -> &'static str {
        "whether the old class comes back when the model is fine-tuned on retain and learn set alone"
    }

    fn source(&self) -> &'static str {
        "fine-tuning on retained data revives forgotten samples: arXiv 2505.22310"
    }

    fn family(&self) -> Family {
        Family::Relearning
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, ctx: &mut Context) -> Result<Findings> {
        if cut.index + 1 < subject.me.signals.cut_count() {
            return Ok(Findings::default());
        }
        let data = subject.data;
        let head = subject.me.map.classes();
        let rest = Rows::of(data, "revival").rest;
        if rest.is_empty() {
            return Ok(Findings::default());
        }
        let diet = (0..STEPS * BATCH).map(|i| rest[i % rest.len()]);
        let images = training::labelled(data.feature_samples(PartName::Train).pick(diet), head);
        let tuned = training::on_images(Trainee::of(subject.me.model, |_| true, false, RATE), &images, ctx, |_, _| Ok(()))?.now();

        let [train, test] = [(PartName::Train, MEANS), (PartName::Test, TESTED)].map(|(part, most)| Chosen::of(subject, part, most));
        let before = [pick(&cut.train, &train.rows), pick(&cut.test, &test.rows)];
        let read = |part, chosen: &Chosen| signals::read(&tuned, data.feature_samples(part).pick(chosen.rows.iter().copied()), ctx);
        let (after_train, _) = read(PartName::Train, &train)?;
        let (after_test, answers) = read(PartName::Test, &test)?;
        let accuracy = |[x, y]: [&Features; 2]| {
            let finite = [x, y].iter().all(|f| f.values.iter().all(|v| v.is_finite()));
            if finite { nearest_mean::balanced_accuracy((x, &train.classes), (y, &test.classes), data.old()) } else { f64::NAN }
        };
        let (before, after) = (accuracy(before.each_ref()), accuracy([&after_train, &after_test]));

        let old: Vec<usize> = (0..test.rows.len()).filter(|i| test.classes[*i] == data.old()).collect();
        let now =
            Logits { values: old.iter().flat_map(|i| answers.values[i * head.len()..][..head.len()].iter().copied()).collect(), slots: head.len() };
        let then = {
            let x = training::gather(&cut.test, &old.iter().map(|i| test.rows[*i]).collect::<Vec<_>>(), &ctx.device);
            Logits { values: floats(subject.me.model.resume(x, Cut(subject.me.model.cuts().len() - 1))), slots: head.len() }
        };
        let some = |value: f64| (!old.is_empty()).then_some(value);
        let shift = some(stats::total_variation(&then.profile(), &now.profile()));
        let finite = now.values.iter().all(|v| v.is_finite());
        let slot = subject.old_slot().and_then(|slot| now.share_of(slot.0)).map(|share| if finite { share } else { f64::NAN });
        Ok(vec![
            Measured::new("nearest_mean_old_after", some(after), "fraction", 0.02).showing_old_class(),
            Measured::new("nearest_mean_old_change", some(after - before), "fraction", 0.02).showing_old_class(),
            Measured::new("output_shift_old", shift, "fraction", 0.0).descriptive(),
            Measured::new("old_slot_after", slot, "fraction", 0.02).showing_old_class(),
        ]
        .into())
    }
}

/// Rows of features that are read again, old class first, with their classes.
struct Chosen {
    rows: Vec<usize>,
    classes: Vec<ClassId>,
}

impl Chosen {
    /// At most `most` of the old class and of the others, evenly spread.
    fn of(subject: &Subject<'_>, part: PartName, most: [usize; 2]) -> Self {
        let classes = subject.data.feature_classes(part);
        let group = |old: bool| -> Vec<usize> { (0..classes.len()).filter(|i| (classes[*i] == subject.data.old()) == old).collect() };
        let rows: Vec<usize> = [training::spread(&group(true), most[0]), training::spread(&group(false), most[1])].concat();
        Self { classes: rows.iter().map(|i| classes[*i]).collect(), rows }
    }
}

/// `rows` of `features`.
fn pick(features: &Features, rows: &[usize]) -> Features {
    Features { values: rows.iter().flat_map(|i| features.row(*i).iter().copied()).collect(), width: features.width }
}
