//! What a method promises to leave alone stays as it was, bit for bit.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{blobs, context, task, trained};
use unlearn::data::{Dataset, Labelled, Slot, SwapTask};
use unlearn::method;
use unlearn::model::{Classifier, tensors::is_statistic};
use unlearn::saliency::{self, Mask, Score};

/// Bits of every tensor by name: unlike values, bits tell −0 from 0.
fn bits(model: &Classifier) -> BTreeMap<String, Vec<u32>> {
    model.tensors().into_iter().map(|t| (t.name, t.values.iter().map(|v| v.to_bits()).collect())).collect()
}

/// Names of the tensors in which two models differ.
fn differing(a: &Classifier, b: &Classifier) -> BTreeSet<String> {
    let (a, b) = (bits(a), bits(b));
    assert!(a.keys().eq(b.keys()));
    a.into_iter().filter(|(name, values)| *values != b[name]).map(|(name, _)| name).collect()
}

/// `name` with `parameters` (TOML) on `original`, seeded by `seed`.
fn apply(name: &str, parameters: &str, original: &Classifier, dataset: &Dataset, task: &SwapTask, seed: u64) -> Classifier {
    let mut table = (method::find(name).unwrap().defaults)();
    table.extend(parameters.parse::<toml::Table>().unwrap());
    let mut ctx = context(name, dataset, 1);
    ctx.seed = seed;
    ctx.settings.weight_decay = 1e-2; // would leak through a mask, if a method let it
    method::apply(name, &table, original.clone(), task, &mut ctx).unwrap()
}

/// The mask that `masked-weights` computes for itself.
fn mask(original: &Classifier, score: Score, share: f64, dataset: &Dataset, task: &SwapTask) -> Mask {
    let old = Labelled::new(task.forget.train.samples().unwrap().clone(), &task.before);
    saliency::mask(original, &old, score, share, &mut context("masked-weights", dataset, 1)).unwrap()
}

fn count_free(mask: &Mask) -> usize {
    mask.values().flatten().filter(|free| **free).count()
}

#[test]
fn a_mask_frees_exactly_the_share_it_is_asked_for() {
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", "mlp", &dataset, &task.before, 1);
    let total: usize = original.parameters().iter().map(|p| p.values.len()).sum();
    for score in [Score::Gradient, Score::Taylor] {
        for share in [1e-6, 0.001, 0.1, 0.3333, 0.9999, 1.0] {
            let mask = mask(&original, score, share, &dataset, &task);
            // Weights behind dead units all score 0, so this is also about ties.
            let expected = ((share * total as f64).round() as usize).max(1);
            assert_eq!(count_free(&mask), expected, "{score:?}, share {share} of {total}");
            assert!(mask.keys().all(|name| !is_statistic(name)));
        }
    }
    // A smaller share is part of a larger one: the mask keeps the highest scores.
    let (small, large) = (mask(&original, Score::Gradient, 0.05, &dataset, &task), mask(&original, Score::Gradient, 0.2, &dataset, &task));
    for (name, small) in &small {
        assert!(small.iter().zip(&large[name]).all(|(s, l)| !s || *l), "{name}");
    }
}

/// Frozen weights and all statistics keep their bits; some of the free weights move.
fn masked_weights_hold(arch: &str, share: f64, use_retain: bool) {
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", arch, &dataset, &task.before, 1);
    let mask = mask(&original, Score::Gradient, share, &dataset, &task);
    let parameters = format!("share = {share}\nepochs = 2\nuse_retain = {use_retain}");
    let made = apply("masked-weights", &parameters, &original, &dataset, &task, 5);
    let (before, after) = (bits(&original), bits(&made));
    let mut moved = 0;
    for (name, old) in &before {
        for (i, (old, new)) in old.iter().zip(&after[name]).enumerate() {
            let free = mask.get(name).is_some_and(|m| m[i]);
            assert!(free || old == new, "{arch}: frozen {name}[{i}] went from {:08x} to {new:08x}", old);
            moved += usize::from(old != new);
        }
    }
    let free = count_free(&mask);
    assert!(moved > free / 2, "{arch}: {moved} of {free} free weights moved");
    let statistics: Vec<&String> = before.keys().filter(|n| is_statistic(n)).collect();
    assert_eq!(statistics.is_empty(), arch == "mlp");
    assert!(statistics.iter().all(|n| before[*n] == after[*n]), "{arch}: running statistics are state of frozen layers");
}

#[test]
fn masked_weights_moves_nothing_outside_its_mask() {
    masked_weights_hold("mlp", 0.1, false);
    masked_weights_hold("mlp", 0.01, true);
}

#[test]
fn masked_weights_leaves_running_statistics_alone() {
    masked_weights_hold("resnet20", 0.1, false);
}

#[test]
fn random_layers_moves_the_drawn_tensors_only() {
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", "mlp", &dataset, &task.before, 1);
    let run = |parameters: &str, seed| apply("random-layers", parameters, &original, &dataset, &task, seed);
    for seed in 0..4 {
        let made = run("epochs = 1", seed);
        let changed = differing(&original, &made);
        assert_eq!(changed.len(), 2, "seed {seed}: the notebook's n_layers = 2, but {changed:?} changed");
        // The draw is the documented stream's, and the whole is reproducible.
        let names: Vec<String> = original.parameters().into_iter().map(|p| p.name).collect();
        let drawn = rand::seq::index::sample(&mut unlearn::rng::stream(seed, "random-layers", 0), names.len(), 2);
        assert_eq!(changed, drawn.into_iter().map(|i| names[i].clone()).collect());
        assert_eq!(run("epochs = 1", seed).hash(), made.hash(), "seed {seed}");
    }
    assert_eq!(differing(&original, &run("epochs = 1\nn_layers = 5", 0)).len(), 5);
    // Each epoch draws anew: more tensors than one epoch's change, the first epoch's among them.
    let first = differing(&original, &run("epochs = 1", 0));
    let more = differing(&original, &run("epochs = 6", 0));
    assert!(more.len() > 2 && more.is_superset(&first), "{more:?}");
    // Another seed, another draw.
    let draws: BTreeSet<BTreeSet<String>> = (0..4).map(|seed| differing(&original, &run("epochs = 1", seed))).collect();
    assert!(draws.len() > 1);
}

#[test]
fn random_layers_lets_running_statistics_follow_the_batches() {
    // As in the notebook, whose network is in training mode throughout; frozen parameters stay bit-identical all the same.
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", "resnet20", &dataset, &task.before, 1);
    let changed = differing(&original, &apply("random-layers", "epochs = 1", &original, &dataset, &task, 1));
    let (statistics, parameters): (BTreeSet<_>, BTreeSet<_>) = changed.into_iter().partition(|n| is_statistic(n));
    assert_eq!(parameters.len(), 2, "{parameters:?}");
    let all = original.tensors().iter().filter(|t| is_statistic(&t.name)).count();
    assert_eq!(statistics.len(), all, "every layer's statistics moved");
}

#[test]
fn random_layers_refuses_more_layers_than_there_are() {
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", "mlp", &dataset, &task.before, 1);
    let table: toml::Table = "n_layers = 7".parse().unwrap();
    let error = method::apply("random-layers", &table, original, &task, &mut context("random-layers", &dataset, 1)).unwrap_err();
    assert!(error.to_string().contains("7 of 6 parameter tensors"), "{error}");
}

#[test]
fn the_negative_controls_touch_the_head_only() {
    let dataset = blobs();
    for learn in [true, false] {
        let task = task(&dataset, learn);
        let original = trained("original", "cnn-s", &dataset, &task.before, 1);
        for name in ["logit-mask", "head-distil"] {
            // Straight from the method: for plain unlearning the old row is still there.
            let built = (method::find(name).unwrap().build)(&toml::Table::new()).unwrap();
            let made = built.apply(original.clone(), &task, &mut context(name, &dataset, 1)).unwrap();
            let expected = BTreeSet::from(["head.bias".to_string(), "head.weight".to_string()]);
            assert_eq!(differing(&original, &made), expected, "{name}, learn: {learn}");
        }
    }
}

#[test]
fn logit_mask_touches_the_old_slot_only() {
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", "mlp", &dataset, &task.before, 1);
    let made = apply("logit-mask", "", &original, &dataset, &task, 0);
    let Slot(old) = task.before.slot(task.swap.forget).unwrap();
    let slots = task.before.len();
    for (a, b) in original.tensors().iter().zip(made.tensors()) {
        for (i, (x, y)) in a.values.iter().zip(&b.values).enumerate() {
            let of_old = a.name.starts_with("head.") && i % slots == old;
            assert!(of_old || x.to_bits() == y.to_bits(), "{}[{i}]", a.name);
        }
    }
}

#[test]
fn regrow_keeps_its_trunk_and_nothing_of_what_was_above() {
    let dataset = blobs();
    let task = task(&dataset, true);
    for (arch, cut, trunk) in [
        ("cnn-s", "auto", &["conv1.", "conv2.", "conv3."][..]),
        ("cnn-s", "conv2", &["conv1.", "conv2."]),
        ("resnet20", "group1", &["stem.", "group1."]),
    ] {
        let original = trained("original", arch, &dataset, &task.before, 1);
        let below = |name: &str| trunk.iter().any(|t| name.starts_with(t));
        let regrow = |original: &Classifier, budget: f64, distil: f64| {
            apply("regrow", &format!("cut = \"{cut}\"\nbudget = {budget:?}\ndistil = {distil:?}\nkeep = 0.0"), original, &dataset, &task, 3)
        };
        let regrown = |original: &Classifier| regrow(original, 0.5, 0.0);
        let result = regrown(&original);
        // Running statistics included, which no gradient mask reaches.
        let changed = differing(&original, &result);
        assert!(changed.iter().all(|name| !below(name)), "{arch}: {changed:?}");
        assert!(original.parameters().iter().all(|p| below(&p.name) || changed.contains(&p.name)), "{arch}: only {changed:?}");
        // Following the original's answers changes the top, and only that.
        let taught = differing(&regrow(&original, 4.0, 0.0), &regrow(&original, 4.0, 0.5));
        assert!(!taught.is_empty() && taught.iter().all(|name| !below(name)), "{arch}: {taught:?}");
        // Whatever the original knew above the cut: without following it and keeping none of its weights the result is the same, up to one factor of the logits.
        let other = regrown(&original.reset(99, |name| !below(name)));
        let (head, rest): (Vec<_>, Vec<_>) = other.tensors().into_iter().zip(result.tensors()).partition(|(t, _)| t.name.starts_with("head."));
        assert!(rest.iter().all(|(a, b)| a.values == b.values), "{arch}");
        let ratios = head.iter().flat_map(|(a, b)| a.values.iter().zip(&b.values)).filter(|(a, _)| a.abs() > 1e-3).map(|(a, b)| b / a);
        let (low, high) = ratios.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), r| (low.min(r), high.max(r)));
        assert!(low > 0.0 && high - low < 1e-4 * high && (high - 1.0).abs() > 1e-3, "{arch}: {low} to {high}");
    }
}

#[test]
fn methods_with_a_budget_keep_it() {
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", "cnn-s", &dataset, &task.before, 1);
    let images = task.retain_and_learn().unwrap().len();
    // Of two epochs; the least share of its budget that a method spends: `regrow` keeps some of it back for sharpening.
    for (name, least, budgets, more) in [
        ("regrow", 0.5, [0.2, 0.45, 2.0], ""),
        ("short-retrain", 0.95, [0.2, 0.6, 1.0], ""),
        ("short-retrain", 0.95, [0.2, 0.6, 1.0], "sharpen = false"),
    ] {
        for budget in budgets {
            let mut ctx = context(name, &dataset, 2);
            let table = format!("budget = {budget:?}\n{more}").parse::<toml::Table>().unwrap();
            method::apply(name, &table, original.clone(), &task, &mut ctx).unwrap();
            let (spent, allowed) = (ctx.cost.passes_over(images), budget * 2.0);
            // Samples are whole: half a sample a class and pass too many at most.
            let rounding = 2.5 * 5.0 / images as f64;
            assert!(spent > least * allowed && spent <= allowed + rounding, "{name} {more}: {spent} of {allowed}");
        }
    }
}
