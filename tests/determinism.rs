//! The same seed gives the same bytes: checkpoints, figures and verdicts depend on the configuration alone, not on the run, the number of
//! threads or the order in which units finish.

mod common;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use common::{Bench, SWAP, blobs, context, map, without_cost};
use rand::RngExt;
use unlearn::context::{OptimiserKind, Schedule, TrainSettings};
use unlearn::data::{Labelled, Samples, Slot};
use unlearn::model::Classifier;
use unlearn::{rng, train};

/// Every checkpoint of a run (file name and bytes), and its scores without the cost.
type Left = (Vec<(String, Vec<u8>)>, unlearn::summary::Scores);

/// Runs a swap with each of `runs` (a folder's name, more arguments) and gives what they left.
fn checkpoints_and_scores(settings: &str, runs: &[(&str, &str)]) -> Vec<Left> {
    let bench = Bench::new();
    runs.iter()
        .map(|(name, more)| {
            bench.unlearn(&format!("swap --data blobs {settings} {SWAP} --quiet --out {name} {more}")).ok();
            (bench.checkpoints(name), without_cost(&bench.scores(name)))
        })
        .collect()
}

/// The same architecture twice with one seed (two threads, then one) and once with another seed.
fn same_seed_same_bytes(settings: &str) {
    let made =
        checkpoints_and_scores(settings, &[("two", "--threads 2 --seed 1"), ("one", "--threads 1 --seed 1"), ("other", "--threads 2 --seed 2")]);
    let [(models, scores), (same_models, same_scores), (other_models, other_scores)] = &made[..] else { unreachable!("three runs") };
    assert!(models.len() >= 4, "{} models", models.len());
    for ((name, bytes), (same_name, same_bytes)) in models.iter().zip(same_models) {
        assert_eq!(name, same_name);
        assert!(bytes == same_bytes, "{settings}: {name} is another one on another number of threads");
    }
    assert_eq!(models.len(), same_models.len());
    assert_eq!(scores, same_scores, "{settings}");
    // The seed matters to every model, and to what is said of them.
    for ((name, bytes), (_, other)) in models.iter().zip(other_models) {
        assert!(bytes != other, "{settings}: {name} does not depend on the seed");
    }
    assert_ne!(scores.scores, other_scores.scores);
}

#[test]
fn the_same_command_again() {
    let made = checkpoints_and_scores("--arch mlp --epochs 2 --threads 2", &[("one", ""), ("again", "")]);
    assert!(made[0].0 == made[1].0, "other checkpoints");
    assert_eq!(made[0].1, made[1].1);
}

#[test]
fn mlp_by_every_method() {
    same_seed_same_bytes("--arch mlp --epochs 2");
}

#[test]
fn convolutions() {
    same_seed_same_bytes(
        "--arch cnn-s --epochs 1 --oracles 3 --methods finetune,masked-weights,random-layers,head-distil --set random-layers.epochs=2",
    );
}

#[test]
fn residual_nets_and_running_statistics() {
    same_seed_same_bytes("--arch resnet20 --classes 0,2 --epochs 1 --oracles 2 --methods random-layers --set random-layers.epochs=1");
}

/// Every tensor's bits after two steps from the same weights on the same batch, on `threads` threads.
fn after_two_steps(arch: &str, input: [usize; 3], batch: usize, threads: usize) -> Vec<(String, Vec<u32>)> {
    let steps = || {
        let mut rng = rng::stream(1, "determinism", 0);
        let pixels: Vec<f32> = (0..batch * input.iter().product::<usize>()).map(|_| rng.random_range(0.0..1.0)).collect();
        let [c, h, w] = input;
        let images = Tensor::<4>::from_data(TensorData::new(pixels, [batch, c, h, w]), &Device::flex().autodiff());
        let slots: Vec<Option<Slot>> = (0..batch).map(|i| Some(Slot(i % 10))).collect();
        let (optimiser, schedule) = (OptimiserKind::Adam, Schedule::Constant);
        let settings = TrainSettings { epochs: 1, batch, lr: 1e-3, optimiser, schedule, weight_decay: 0.0 };
        let (mut optimiser, fresh) = (settings.optimiser(), Classifier::new(arch, input, 20, 1, &Device::flex()).unwrap());
        let mut net = fresh.trainable(|_| true, false);
        for _ in 0..2 {
            let grads = GradientsParams::from_grads(train::cross_entropy(net.logits(images.clone()), &slots).backward(), &net);
            net = optimiser.step(settings.lr, net, grads);
        }
        net.finished().tensors().into_iter().map(|t| (t.name, t.values.into_iter().map(f32::to_bits).collect())).collect()
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(steps)
}

/// At sizes where every kernel and matrix product shares its work out: small batches would be done by one thread.
#[test]
fn whole_networks_at_real_sizes() {
    for (arch, input) in [("cnn-emnist", [1, 32, 32]), ("resnet20", [3, 32, 32])] {
        let one = after_two_steps(arch, input, 64, 1);
        for threads in [2, 3] {
            for ((name, bits), (_, wanted)) in after_two_steps(arch, input, 64, threads).iter().zip(&one) {
                assert!(bits == wanted, "{arch}: {name} has other bits on {threads} threads");
            }
        }
    }
}

#[test]
fn a_models_name_seeds_it_whatever_else_is_made() {
    // With fewer oracles and other methods around it, each model stays the same: no draw of one shifts another's.
    let runs = [("all", "--oracles 3 --methods all"), ("few", "--oracles 1 --methods random-layers")];
    let made = checkpoints_and_scores("--arch mlp --epochs 1 --threads 2", &runs);
    let (all, few) = (&made[0].0, &made[1].0);
    let names: Vec<&str> = few.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["head-distil", "logit-mask", "oracle-1", "original", "random-init", "random-layers"].map(|n| format!("{n}.safetensors")));
    for one in few {
        assert!(all.contains(one), "{} is another one in company", one.0);
    }
}

#[test]
fn trained_checkpoints_too() {
    let bench = Bench::new();
    for (name, more) in [("a", "--threads 1"), ("b", "--threads 2"), ("c", "--threads 1 --seed 1")] {
        bench.unlearn(&format!("train --data blobs --arch cnn-s --epochs 1 --quiet --out {name} {more}")).ok();
    }
    assert!(bench.read("a") == bench.read("b"));
    assert!(bench.read("a") != bench.read("c"));
}

#[test]
fn measuring_on_held_out_samples_changes_nothing() {
    let dataset = blobs();
    let map = map(&[0, 1, 2]);
    let (rest, held_out) = Samples::of_classes(&dataset.train, map.classes()).hold_out(0.3, 0).unwrap();
    let (rest, held_out) = (Labelled::new(rest, &map), Labelled::new(held_out, &map));
    let hash = |held_out: Option<&Labelled>| {
        // Running statistics, too, could leak from one into the other.
        let mut ctx = context("m", &dataset, 2);
        let fresh = Classifier::new("resnet20", dataset.shape(), map.len(), ctx.seed, &ctx.device).unwrap();
        let settings = ctx.settings.clone();
        train::fit_and_validate(fresh, &rest, held_out, &settings, &mut ctx).unwrap().hash()
    };
    assert_eq!(hash(Some(&held_out)), hash(None));
}

#[test]
fn a_variant_differs_from_its_method_by_its_parameters_alone() {
    let methods = "--methods regrow,regrow@same,regrow@more,regrow@drawn,regrow@zero \
        --set regrow@more.budget=0.5 --set regrow@drawn.seed=1 --set regrow@zero.seed=0 --seed 1";
    let bench = Bench::new();
    bench.unlearn(&format!("swap --data blobs --epochs 2 {SWAP} {methods} --oracles 0 --quiet --out run")).ok();
    let weights = |name: &str| {
        let device = unlearn::device::open("cpu").unwrap();
        let (model, ..) = unlearn::model::checkpoint::load(&bench.path(&format!("run/models/{name}.safetensors")), &device).unwrap();
        model.tensors().into_iter().map(|t| (t.name, t.values)).collect::<Vec<_>>()
    };
    assert_eq!(weights("regrow@same"), weights("regrow"));
    assert_eq!(weights("regrow@zero"), weights("regrow"));
    assert_ne!(weights("regrow@more"), weights("regrow"));
    assert_ne!(weights("regrow@drawn"), weights("regrow"));
    let page = String::from_utf8(bench.read("run/report.html")).unwrap();
    assert!(page.contains("regrow as it is") && page.contains("regrow with budget = 0.5"), "each card says what it is");
}
