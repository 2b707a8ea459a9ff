//! What keeps [`CODE`] honest: a training that no longer comes to what is written beside it.
//!
//! Two guards, for no single one holds everywhere. Our kernels with the portable instruction set add and multiply in one order on every machine, so
//! what they compute is written down bit for bit (four processors, three of them emulated, from one without AVX to one with AVX-512, agree); that finds a
//! changed order of sums, which no tolerance tells from rounding. What else a
//! training does goes through burn's matrix products and the C library's exponential, whose last bits are the machine's own; there figures are
//! compared up to rounding, which finds a changed algorithm (initial weights, shuffling, augmentation, loss, optimiser, schedule) and can't find
//! a changed order of sums in burn's own operations, nor what methods do with the training loop: for those it is for people to think of
//! [`CODE`].

use std::process::Command;

use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;

use super::*;
use crate::context::{OptimiserKind, Schedule, TrainSettings};
use crate::data::{Labelled, Samples, synthetic};
use crate::model::Cut;
use crate::optimiser::Optimiser;
use crate::output::Output;
use crate::{device, kernels, train};

/// What to do when a guard fails, in the words of the failure.
const REMEDY: &str = "units no longer compute what they did: raise CODE in src/unit.rs, so that old results are not taken for new ones, and put the \
     new figure beside it. (If you changed no training code on purpose, look for what did.)";

/// Set for the child that computes [`BITS`].
const CHILD: &str = "UNLEARN_GUARD_CHILD";

#[test]
fn portable_kernels_compute_the_same_bits() {
    let own = std::env::current_exe().expect("the test's own program");
    let run = Command::new(own)
        .args(["--exact", "unit::tests::bits_of_the_child", "--ignored", "--nocapture"])
        .env("UNLEARN_ISA", "portable")
        .env_remove("UNLEARN_KERNELS")
        .env(CHILD, "1")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&run.stdout);
    let bits = text.split_whitespace().skip_while(|w| *w != "bits").nth(1);
    assert_eq!(bits, Some(BITS), "{REMEDY}\n{text}");
}

/// Two steps of both kinds through every kernel of a residual network (convolutions by tiles and directly, with their normalisations, shortcuts,
/// three strides), with a loss that takes nothing from elsewhere: products and sums.
#[test]
#[ignore = "a part of portable_kernels_compute_the_same_bits, which runs it under an instruction set of its own"]
fn bits_of_the_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    assert_eq!(kernels::simd::Isa::current().name(), "portable");
    let device = device::open("cpu").expect("there is a processor").autodiff();
    let mut hash = Sha256::new();
    for (kind, arch, cut) in [(OptimiserKind::Adam, "resnet20", 4), (OptimiserKind::Sgd, "cnn-cifar", 2)] {
        let fresh = Classifier::new(arch, [3, 16, 16], 4, 7, &device::open("cpu").expect("as before")).expect("builds");
        let mut net = fresh.trainable(|_| true, false);
        let mut optimiser = Optimiser::new(kind, 1e-2);
        for step in 0..2 {
            let mut rng = rng::stream(step, "guard", 0);
            let mut random = |n: usize| (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect::<Vec<f32>>();
            let images = Tensor::<4>::from_data(TensorData::new(random(16 * 3 * 16 * 16), [16, 3, 16, 16]), &device);
            let out = net.activations(images, Cut(cut)).0;
            let towards = Tensor::<4>::from_data(TensorData::new(random(out.shape().num_elements()), out.dims()), &device);
            let grads = GradientsParams::from_grads((out * towards).sum().backward(), &net);
            net = optimiser.step(1e-2, net, grads);
        }
        let made = net.finished();
        assert_ne!(made.hash(), Classifier::new(arch, [3, 16, 16], 4, 7, &device::open("cpu").expect("as before")).expect("builds").hash());
        made.tensors().iter().flat_map(|t| &t.values).for_each(|v| hash.update(v.to_bits().to_le_bytes()));
    }
    #[allow(clippy::print_stdout, reason = "it is how a child tells its parent")]
    {
        println!("\nbits {}", crate::hex(&hash.finalize()));
    }
}

/// By what a figure may miss. Portable code, AVX2, AVX-512 and a processor without AVX (emulated) agree to 1e-4; another seed is about 1 away.
const SLACK: f64 = 1e-3;

#[test]
fn trainings_come_to_the_same_weights_up_to_rounding() {
    let dataset = synthetic::blobs().expect("made up");
    let map = ClassMap::new((0..4).map(ClassId).collect()).expect("four classes");
    let data = Labelled::new(Samples::of_classes(&dataset.train, map.classes()), &map);
    let mut ctx = Context {
        model: "guard".into(),
        seed: 5,
        device: device::open("cpu").expect("there is a processor"),
        settings: TrainSettings { epochs: 1, batch: 32, lr: 2e-3, optimiser: OptimiserKind::AdamW, schedule: Schedule::Cosine, weight_decay: 1e-2 },
        pipeline: Pipeline::of(&dataset, true),
        reporter: Reporter::new(Output::new(true)),
        cost: Default::default(),
    };
    let fresh = Classifier::new("cnn-s", dataset.shape(), map.len(), ctx.seed, &ctx.device).expect("builds");
    let settings = ctx.settings.clone();
    let made = train::fit(fresh, &data, &settings, &mut ctx).expect("trains");
    // Of every tensor its direction's share of a random one.
    let found: Vec<f64> = made
        .tensors()
        .iter()
        .map(|t| {
            let mut rng = rng::stream(1, &t.name, 0);
            let along: f64 = t.values.iter().map(|v| f64::from(*v) * if rng.random_range(0.0..1.0) < 0.5 { 1.0 } else { -1.0 }).sum();
            along / t.values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt().max(1e-12)
        })
        .collect();
    let same = found.len() == FIGURES.len() && found.iter().zip(&FIGURES).all(|(a, b)| (a - b).abs() < SLACK);
    let rounded: Vec<String> = found.iter().map(|f| format!("{f:.4}")).collect();
    assert!(same, "{REMEDY}\nFIGURES: [{}]", rounded.join(", "));
}
