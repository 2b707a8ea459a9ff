use super::*;
use burn::backend::Flex;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, AdjustLrFn, ModuleOptimizer, MuonConfig, SgdConfig};
use burn::tensor::Distribution;

use crate::model::{Classifier, tensors::floats};
use crate::train::cross_entropy;

const KINDS: [OptimiserKind; 3] = [OptimiserKind::Adam, OptimiserKind::AdamW, OptimiserKind::Sgd];

/// An odd-sized layer with known values.
fn layer() -> Linear {
    let mut layer = LinearConfig::new(13, 7).with_initializer(Initializer::Zeros).init(&Device::flex().autodiff());
    let values = |n: usize| (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 60.0).collect::<Vec<f32>>();
    layer.weight = layer.weight.map(|w| Tensor::from_data(TensorData::new(values(91), w.shape()), &w.device()).require_grad());
    layer
}

/// The gradient of step `t` at element `i`: changes sign and size, some are 0.
fn gradient(i: usize, t: usize) -> f32 {
    ((i * 29 + t * 53) % 97) as f32 / 50.0 * (0.1 + t as f32) - if i.is_multiple_of(5) { 1.0 } else { 0.0 }
}

/// Gradients of the weight only, once as they lie in memory and once as a transposed view.
fn gradients(layer: &Linear, t: usize, transposed: bool) -> GradientsParams {
    let mut grads = GradientsParams::new();
    let at = |i: usize| if transposed { gradient(i % 13 * 7 + i / 13, t) } else { gradient(i, t) };
    let values: Vec<f32> = (0..91).map(at).collect();
    let grad = if transposed {
        Tensor::<2>::from_data(TensorData::new(values, [7, 13]), &Device::flex()).transpose()
    } else {
        Tensor::from_data(TensorData::new(values, [13, 7]), &Device::flex())
    };
    grads.register(layer.weight.id, grad);
    grads
}

/// The weight after `steps` steps of a rate that changes.
fn after(mut step: impl FnMut(f64, Linear, GradientsParams) -> Linear, steps: usize, transposed: bool) -> Vec<f32> {
    let mut layer = layer();
    for t in 0..steps {
        let grads = gradients(&layer, t, transposed);
        layer = step(0.01 / (1.0 + t as f64), layer, grads);
    }
    floats(layer.weight.val())
}

fn ours(kind: OptimiserKind, decay: f64, steps: usize, transposed: bool) -> Vec<f32> {
    let mut optimiser = Optimiser::new(kind, decay);
    after(|lr, layer, grads| optimiser.step(lr, layer, grads), steps, transposed)
}

#[track_caller]
fn assert_close(a: &[f32], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((f64::from(*a) - b).abs() <= tolerance * b.abs().max(0.1), "{i}: {a}, expected {b}");
    }
}

/// torch's documented algorithms (`torch.optim.Adam`, `AdamW`, `SGD`), one element at a time.
fn by_hand(kind: OptimiserKind, decay: f64, steps: usize) -> Vec<f64> {
    let one = |i: usize, mut p: f64| {
        let (mut m, mut v, mut b) = (0.0, 0.0, 0.0);
        for t in 0..steps {
            let (lr, g) = (0.01 / (1.0 + t as f64), f64::from(gradient(i, t)));
            let l2 = g + decay * p;
            match kind {
                OptimiserKind::Sgd => {
                    b = if t == 0 { l2 } else { 0.9 * b + l2 };
                    p -= lr * b;
                }
                _ => {
                    let adamw = kind == OptimiserKind::AdamW;
                    let g = if adamw { g } else { l2 };
                    if adamw {
                        p -= lr * decay * p;
                    }
                    m = 0.9 * m + 0.1 * g;
                    v = 0.999 * v + 0.001 * g * g;
                    let (m, v) = (m / (1.0 - 0.9f64.powi(t as i32 + 1)), v / (1.0 - 0.999f64.powi(t as i32 + 1)));
                    p -= lr * m / (v.sqrt() + 1e-8);
                }
            }
        }
        p
    };
    floats(layer().weight.val()).into_iter().enumerate().map(|(i, p)| one(i, f64::from(p))).collect()
}

#[test]
fn steps_are_torchs_formulas() {
    for kind in KINDS {
        for decay in [0.0, 0.3] {
            for steps in [1, 2, 7] {
                assert_close(&ours(kind, decay, steps, false), &by_hand(kind, decay, steps), 2e-6);
            }
        }
    }
}

#[test]
fn steps_are_burns() {
    let decay = Some(WeightDecayConfig::new(0.3));
    let momentum = Some(MomentumConfig::new().with_momentum(0.9).with_dampening(0.0));
    let burns: [ModuleOptimizer; 3] = [
        AdamConfig::new().with_epsilon(1e-8).with_weight_decay(decay.clone()).init(),
        AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.3).init(),
        SgdConfig::new().with_weight_decay(decay).with_momentum(momentum).init(),
    ];
    for (kind, mut burns) in KINDS.into_iter().zip(burns) {
        let theirs = after(|lr, layer, grads| burns.step(lr, layer, grads), 6, false);
        let theirs: Vec<f64> = theirs.into_iter().map(f64::from).collect();
        // burn computes 1 − β₂ in f32: 5e-5 off, half of it in a step.
        assert_close(&ours(kind, 0.3, 6, false), &theirs, 1e-5);
    }
}

#[test]
fn muons_steps_are_burns() {
    for transposed in [false, true] {
        let mut burns = MuonConfig::new().with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW).with_weight_decay(Some(WeightDecayConfig::new(0.3))).init();
        let theirs = after(|lr, layer, grads| burns.step(lr, layer, grads), 4, transposed);
        let theirs: Vec<f64> = theirs.into_iter().map(f64::from).collect();
        assert_close(&ours(OptimiserKind::Muon, 0.3, 4, transposed), &theirs, 1e-4);
    }
}

#[test]
fn gradients_may_lie_in_any_order() {
    for kind in KINDS {
        assert_eq!(ours(kind, 0.1, 3, true), ours(kind, 0.1, 3, false));
    }
}

#[test]
fn other_devices_compute_the_same() {
    let fill =
        |k: usize| Tensor::<1>::from_data(TensorData::new((0..91).map(|i| gradient(i, k).abs() - 0.3).collect::<Vec<f32>>(), [91]), &Device::flex());
    let free: Vec<bool> = (0..91).map(|i| i % 3 != 0).collect();
    let mut mask = Free { host: free.clone(), device: None };
    let [p, g, m, v] = [fill(0), fill(1), fill(2), fill(3).abs()];
    let on_device = mask.on(&p.device());
    let close = |a: Tensor<1>, b: burn::backend::DispatchTensor| {
        let b: Vec<f64> = floats(Tensor::<1>::from_dispatch(b)).into_iter().map(f64::from).collect();
        assert_close(&floats(a), &b, 1e-6);
    };
    for kind in [OptimiserKind::Adam, OptimiserKind::AdamW] {
        let step = adam_step(kind, 0.3, 0.01, 3);
        let (a, b, c) = adam_by_tensors(step, [p.clone(), g.clone(), m.clone(), v.clone()], Some(on_device.clone()));
        let [p, g, m, v] = [&p, &g, &m, &v].map(|t| t.clone().into_dispatch());
        let (x, y, z) = Dispatch::adam_step(p, g, m, v, step, Some(&free));
        for (a, x) in [(a, x), (b, y), (c, z)] {
            close(a, x);
        }
    }
    let step = SgdStep { momentum: 0.9, l2: 0.3, rate: 0.01 };
    let (a, b) = sgd_by_tensors(step, [p.clone(), g.clone(), m.clone()], Some(on_device));
    let [p, g, m] = [p, g, m].map(Tensor::into_dispatch);
    let (x, y) = Dispatch::sgd_step(p, g, m, step, Some(&free));
    for (a, x) in [(a, x), (b, y)] {
        close(a, x);
    }
}

#[test]
fn frozen_weights_stay_and_the_rest_steps_as_without_a_mask() {
    for kind in KINDS {
        let id = layer().weight.id;
        let free: Vec<bool> = (0..91).map(|i| i % 4 == 1).collect();
        let mut start = layer();
        start.weight = Param::initialized(id, start.weight.val());
        let (before, mut net) = (floats(start.weight.val()), start);
        let mut optimiser = Optimiser::new(kind, 0.3).with_free([(id, free.clone())]);
        for t in 0..4 {
            let grads = gradients(&net, t, false);
            net = optimiser.step(0.01 / (1.0 + t as f64), net, grads);
        }
        let whole = ours(kind, 0.3, 4, false);
        for (i, after) in floats(net.weight.val()).into_iter().enumerate() {
            assert_eq!(after.to_bits(), if free[i] { whole[i] } else { before[i] }.to_bits(), "{kind:?}, weight {i}");
        }
        assert!(whole.iter().zip(&before).all(|(a, b)| a != b), "the mask had something to do");
    }
}

/// Where the parameters' and the moments' buffers lie, by parameter.
fn buffers(net: &Classifier, optimiser: &Optimiser) -> Vec<(String, *const u8)> {
    fn at<const D: usize>(tensor: Tensor<D>) -> *const u8 {
        tensor.inner().try_into_primitive::<Flex>().expect("on the CPU").bytes().as_ptr()
    }
    struct Look(HashMap<ParamId, *const u8>);
    impl burn::module::ModuleVisitor for Look {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.insert(param.id, at(param.val()));
        }
    }
    let mut look = Look(HashMap::new());
    net.visit(&mut look);
    let mut all = Vec::new();
    for p in net.parameters() {
        all.push((p.name.clone(), look.0[&p.id]));
        match &optimiser.states[&p.id] {
            State::Adam { first, second, .. } => {
                all.extend([(format!("m of {}", p.name), at(first.clone())), (format!("v of {}", p.name), at(second.clone()))])
            }
            State::Sgd { velocity } => all.push((format!("u of {}", p.name), at(velocity.clone()))),
            State::Muon { .. } => unreachable!("not asked for"),
        }
    }
    all
}

#[test]
fn a_training_step_copies_no_parameter() {
    let device = Device::flex();
    for arch in ["cnn-s", "resnet20"] {
        for kind in [OptimiserKind::Adam, OptimiserKind::Sgd] {
            let mut net = Classifier::new(arch, [1, 8, 8], 3, 1, &device).expect("known").trainable(|_| true, false);
            let mut optimiser = Optimiser::new(kind, 0.0);
            let mut lie = vec![];
            for _ in 0..3 {
                let images = Tensor::random([4, 1, 8, 8], Distribution::Default, &device.clone().autodiff());
                let slots: Vec<_> = (0..4).map(|i| Some(crate::data::Slot(i % 3))).collect();
                let loss = cross_entropy(net.logits(images), &slots);
                let grads = GradientsParams::from_grads(loss.backward(), &net);
                net = optimiser.step(1e-3, net, grads);
                lie.push(buffers(&net, &optimiser));
            }
            // The first step may copy: the network it started from may still be somebody's.
            assert_eq!(lie[1], lie[2], "{arch}, {kind:?}: a buffer was copied");
        }
    }
}

/// G·(GᵀG)^(−1/2) of a 2×2 matrix is (G + cof G)/‖·‖ for det G > 0: the rotation next to G.
fn next_rotation([a, b, c, d]: [f64; 4]) -> [f64; 4] {
    let (p, q) = (a + d, b - c);
    let norm = (p * p + q * q).sqrt();
    [p / norm, q / norm, -q / norm, p / norm]
}

#[test]
fn muon_steps_along_the_nearest_orthogonal_matrix() {
    let device = Device::flex().autodiff();
    let (gradient, rate) = ([0.3, -1.2, 0.9, 0.4], 0.01);
    let mut layer = LinearConfig::new(2, 2).with_bias(true).with_initializer(Initializer::Zeros).init(&device);
    let mut grads = GradientsParams::new();
    grads.register(layer.weight.id, Tensor::<2>::from_data(TensorData::new(gradient.map(|g| g as f32).to_vec(), [2, 2]), &Device::flex()));
    let bias = layer.bias.as_ref().expect("asked for").id;
    grads.register(bias, Tensor::<1>::from_data(TensorData::new(vec![5f32, -0.1], [2]), &Device::flex()));
    layer = Optimiser::new(OptimiserKind::Muon, 0.0).step(rate, layer, grads);
    // Five Newton-Schulz steps with Jordan's coefficients bring singular values to between 0.68 and 1.13, not to 1.
    let moved = floats(layer.weight.val());
    let scale = -rate * 0.2 * 2f64.sqrt();
    let along: f64 = moved.iter().zip(next_rotation(gradient)).map(|(m, r)| f64::from(*m) / scale * r).sum::<f64>() / 2.0;
    let length = moved.iter().map(|m| (f64::from(*m) / scale).powi(2)).sum::<f64>().sqrt() / 2f64.sqrt();
    assert!((0.6..1.2).contains(&length) && along > 0.97 * length, "{moved:?}: length {length}, along {along}");
    // A vector steps as Adam's, by the rate whatever its size.
    let bias = floats(layer.bias.expect("asked for").val());
    assert!((bias[0] + 0.01).abs() < 1e-6 && (bias[1] - 0.01).abs() < 1e-6, "{bias:?}");
}

#[test]
fn muon_leaves_the_head_to_adamw_and_frozen_weights_alone() {
    let device = Device::flex();
    let start = Classifier::new("cnn-s", [1, 8, 8], 3, 1, &device).expect("known");
    let step = |kind, free: Vec<(ParamId, Vec<bool>)>, net: Classifier| {
        let images =
            Tensor::from_data(TensorData::new((0..256).map(|i| gradient(i, 1)).collect::<Vec<f32>>(), [4, 1, 8, 8]), &device.clone().autodiff());
        let slots: Vec<_> = (0..4).map(|i| Some(crate::data::Slot(i % 3))).collect();
        let grads = GradientsParams::from_grads(cross_entropy(net.logits(images), &slots).backward(), &net);
        Optimiser::new(kind, 0.1).with_free(free).step(1e-3, net, grads).finished().tensors()
    };
    let trainable = || start.clone().trainable(|_| true, false);
    let [muon, adamw] = [OptimiserKind::Muon, OptimiserKind::AdamW].map(|kind| step(kind, vec![], trainable()));
    for (a, b) in muon.iter().zip(&adamw) {
        let by_adamw = a.name.starts_with("head.") || a.name.ends_with("bias");
        assert_eq!(a.values == b.values, by_adamw, "{}", a.name);
    }
    let net = trainable();
    let frozen = net.parameters().into_iter().find(|p| p.name.starts_with("conv2") && p.name.ends_with("weight")).expect("a kernel");
    let before = start.tensors().into_iter().find(|t| t.name == frozen.name).expect("there").values;
    let free: Vec<bool> = (0..before.len()).map(|i| i % 3 == 0).collect();
    let after = step(OptimiserKind::Muon, vec![(frozen.id, free.clone())], net).into_iter().find(|t| t.name == frozen.name).expect("there").values;
    let whole = muon.iter().find(|t| t.name == frozen.name).expect("there");
    for (i, free) in free.into_iter().enumerate() {
        assert_eq!(after[i].to_bits(), if free { whole.values[i] } else { before[i] }.to_bits(), "{i}");
    }
}

#[test]
fn threads_change_no_bit_of_muons_step() {
    // So large that burn would sum it by several threads, and that products of it are taken by several.
    let values = |k: usize| TensorData::new((0..64 * 70_000).map(|i| gradient(i, k)).collect::<Vec<f32>>(), [70_000, 64]);
    let after = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut layer = LinearConfig::new(70_000, 64).with_bias(false).with_initializer(Initializer::Zeros).init(&Device::flex().autodiff());
            let mut optimiser = Optimiser::new(OptimiserKind::Muon, 0.1);
            for t in 0..2 {
                let mut grads = GradientsParams::new();
                grads.register(layer.weight.id, Tensor::<2>::from_data(values(t), &Device::flex()));
                layer = optimiser.step(0.01, layer, grads);
            }
            floats(layer.weight.val())
        })
    };
    let alone = after(1);
    assert!(alone.iter().any(|w| *w != 0.0));
    for threads in [2, 3, 5] {
        assert!(after(threads).iter().zip(&alone).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} threads");
    }
}
