//! That methods move a network the way they are to: a wrong sign or an inverted share would leave every other test as it is.

mod common;

use common::{blobs, context, task, trained};
use unlearn::data::{Dataset, Labelled, Samples, SwapTask};
use unlearn::method;
use unlearn::model::Classifier;
use unlearn::stats;
use unlearn::train;

struct Bench {
    dataset: Dataset,
    task: SwapTask,
    original: Classifier,
}

impl Bench {
    /// With an original that was trained for so many epochs.
    fn new(epochs: usize) -> Self {
        let dataset = blobs();
        let task = task(&dataset, true);
        let original = trained("original", "mlp", &dataset, &task.before, epochs);
        Self { dataset, task, original }
    }

    fn made(&self, name: &str, parameters: &str) -> Classifier {
        let mut ctx = context(name, &self.dataset, 20);
        method::apply(name, &parameters.parse().unwrap(), self.original.clone(), &self.task, &mut ctx).unwrap()
    }

    /// Cross-entropy of `samples` towards the slot that their class has before the swap (the old class) or after it (all others), nats.
    fn loss(&self, net: &Classifier, samples: &Samples, before: bool) -> f64 {
        let data = Labelled::new(samples.clone(), if before { &self.task.before } else { &self.task.after });
        let logits = train::predict(net, &data, &context("loss", &self.dataset, 1)).unwrap();
        let losses = logits.rows().zip(&data.slots).map(|(row, slot)| {
            let top = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            top + row.iter().map(|z| (f64::from(*z) - top).exp()).sum::<f64>().ln() - f64::from(row[slot.unwrap().0])
        });
        stats::mean(&losses.collect::<Vec<_>>())
    }

    fn of_old(&self, net: &Classifier) -> f64 {
        self.loss(net, self.task.forget.train.samples().unwrap(), true)
    }

    fn of_new(&self, net: &Classifier) -> f64 {
        self.loss(net, self.task.learn.as_ref().unwrap().train.samples().unwrap(), false)
    }

    fn of_retained(&self, net: &Classifier) -> f64 {
        self.loss(net, self.task.retain.train.samples().unwrap(), false)
    }

    /// Shares of the new class's test images that get its slot, and of the retained classes' that get it.
    fn answered_as_new(&self, net: &Classifier) -> [f64; 2] {
        let new = self.task.new_slots()[0];
        [&self.task.learn.as_ref().unwrap().test, &self.task.retain.test].map(|view| {
            let data = Labelled::new(view.samples().unwrap().clone(), &self.task.after);
            let answers = train::predict(net, &data, &context("answers", &self.dataset, 1)).unwrap().argmax();
            answers.iter().filter(|a| **a == new.0).count() as f64 / data.len() as f64
        })
    }
}

#[test]
fn an_ascent_takes_the_old_class_away_and_learns_the_new() {
    // What is fitted to the last has no gradient to ascend by.
    let swap = Bench::new(4);
    let plain = Bench { task: task(&blobs(), false), ..Bench::new(4) };
    for (name, more, weight) in [("gradient-ascent", "epochs = 20\nlr = 1e-3", "ascent"), ("masked-weights", "share = 0.5\nepochs = 10", "penalty")] {
        // Alone it takes the class away, with its slot still there; where it weighs nothing, nothing is done.
        let entry = method::find(name).unwrap();
        let made = |weight: f64, parameter: &str| {
            let table = format!("{more}\n{parameter} = {weight:?}").parse().unwrap();
            let method = (entry.build)(&table).unwrap();
            let mut ctx = context(name, &plain.dataset, 20);
            method.apply(plain.original.clone(), &plain.task.for_method(name, entry.needs), &mut ctx).unwrap()
        };
        let [none, some] = [0.0, 0.5].map(|w| plain.of_old(&made(w, weight)));
        assert!(some > 10.0 * none && some > 1.0, "{name}: {none} {some}");
        // In a swap the new class is learned.
        let (before, after) = (swap.of_new(&swap.original), swap.of_new(&swap.made(name, more)));
        assert!(after < 0.2 * before, "{name}: {before} {after}");
    }
    let bench = swap;
    // The retain set, where it is asked for, keeps what it holds.
    let [without, with] = ["false", "true"].map(|on| bench.made("masked-weights", &format!("share = 0.5\nepochs = 10\nuse_retain = {on}")));
    assert!(bench.of_retained(&with) < 0.5 * bench.of_retained(&without), "{} {}", bench.of_retained(&with), bench.of_retained(&without));
}

#[test]
fn whoever_has_the_new_class_finds_it() {
    let bench = Bench::new(20);
    for (name, parameters) in [("retrain", ""), ("finetune", "epochs = 10"), ("random-layers", ""), ("regrow", "budget = 1.0"), ("head-distil", "")] {
        let [new, retained] = bench.answered_as_new(&bench.made(name, parameters));
        assert!(new > 0.8 && retained < 0.1, "{name}: {new} of the new class, {retained} of the others");
    }
}

#[test]
fn what_the_cache_has_more_of_is_made_up_for() {
    let bench = Bench::new(20);
    let logits = |adjustment: f64| {
        let net = bench.made("regrow", &format!("budget = 0.2\nlearn_boost = 3.0\nsharpen = false\ndistil = 0.0\nadjustment = {adjustment:?}"));
        let data = Labelled::new(bench.task.retain.test.samples().unwrap().clone(), &bench.task.after);
        let softmax = train::predict(&net, &data, &context("softmax", &bench.dataset, 1)).unwrap().softmax();
        let new = bench.task.new_slots()[0];
        stats::mean(&softmax.iter().map(|row| row[new.0]).collect::<Vec<_>>())
    };
    let [not, half, whole] = [0.0, 0.5, 1.0].map(logits);
    assert!(not > half && half > whole, "mass for the new class on others' images: {not} {half} {whole}");
}

#[test]
fn sharpening_brings_the_originals_spread() {
    for learn in [true, false] {
        let bench = Bench { task: task(&blobs(), learn), ..Bench::new(20) };
        let spread = |net: &Classifier, gone: Option<usize>| {
            let data = Labelled::new(bench.task.retain.train.samples().unwrap().clone(), &bench.task.before);
            let logits = train::predict(net, &data, &context("spread", &bench.dataset, 1)).unwrap();
            let kept = |row: &[f32]| row.iter().enumerate().filter(|(s, _)| Some(*s) != gone).map(|(_, z)| *z).collect::<Vec<_>>();
            stats::mean(&logits.rows().map(|row| stats::confidence(&kept(row))).collect::<Vec<_>>())
        };
        // Without a new class the old slot is taken away: of the original it is left out here.
        let gone = (!learn).then(|| bench.task.old_slots()[0].0);
        let wanted = spread(&bench.original, gone);
        for (name, budget) in [("regrow", 1.0), ("short-retrain", 0.5)] {
            let [not, sharpened] = ["false", "true"].map(|on| spread(&bench.made(name, &format!("budget = {budget:?}\nsharpen = {on}")), None));
            let (left, before) = ((sharpened / wanted - 1.0).abs(), (not / wanted - 1.0).abs());
            assert!(left < 1e-3 && before > 1e-2, "{name}, {learn}: {wanted}, {not} sharpened {sharpened}");
        }
    }
}
