//! `cargo bench --bench kernels`: every kernel against burn's own operations: convolutions of the sizes that our networks have, and of some
//! that they do not, forward and backward, alone and with what stands in a row with them; normalisation, pools and cross-entropy with their gradients; steps of the optimisers.
//!
//! Throughput of convolutions counts multiply-adds as "elements", half the floating-point operations; that of the others the numbers
//! that they are given.

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::nn::pool::{AdaptiveAvgPool2dConfig, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, SgdConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::module::{batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use common::conv::Conv;
use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use unlearn::context::OptimiserKind;
use unlearn::kernels::conv::{Geometry, Place, Tail, Unit, conv_norm_tail, conv_tail};
use unlearn::kernels::cross_entropy::cross_entropy;
use unlearn::kernels::memory::keep_freed;
use unlearn::kernels::norm::{Parameters, Settings, norm_tail};
use unlearn::kernels::pool::{global_average, max_pool};
use unlearn::optimiser::Optimiser;

// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batch, channels in and out, height and width, kernel, stride, groups.
const CONVS: [(usize, [usize; 2], usize, usize, usize, usize); 12] = [
    (256, [32, 64], 32, 3, 1, 1),
    (256, [64, 128], 16, 3, 1, 1),
    (128, [16, 16], 32, 3, 1, 1),
    (128, [64, 64], 8, 3, 1, 1),
    (128, [16, 32], 32, 3, 2, 1),
    (128, [16, 32], 32, 1, 2, 1),
    (32, [1, 16], 28, 3, 2, 1),
    (32, [512, 512], 4, 3, 1, 1),
    (32, [16, 32], 28, 5, 1, 1),
    (32, [3, 16], 32, 7, 2, 1),
    (32, [32, 32], 16, 3, 1, 32),
    (1, [16, 16], 32, 3, 1, 1),
];

fn name(conv: &Conv) -> String {
    let Conv { batch, channels: [from, to], side, kernel, stride, groups } = conv;
    format!("{batch}x{from}x{side}x{side} to {to}, {kernel}x{kernel} stride {stride} groups {groups}")
}

fn multiply_adds(conv: &Conv) -> u64 {
    let ([from, to], output) = (conv.channels, (conv.side - 1) / conv.stride + 1);
    (conv.batch * to * from / conv.groups * conv.kernel.pow(2) * output.pow(2)) as u64
}

/// A group of our kernel and burn's own, on `elements` numbers.
fn both<T>(c: &mut Criterion, name: &str, elements: usize, mut run: impl FnMut(bool) -> T) {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(elements as u64));
    for (name, ours) in [("ours", true), ("burn", false)] {
        group.bench_function(name, |b| b.iter(|| black_box(run(ours))));
    }
    group.finish();
}

fn convolutions(c: &mut Criterion) {
    keep_freed(); // as the program does
    for (batch, channels, side, kernel, stride, groups) in CONVS {
        let conv = Conv { batch, channels, side, kernel, stride, groups };
        // Each side's own layout, as it stands within a network.
        let (x, weights) = ([false, true].map(|last| conv.images(last)), conv.weights());
        let mut group = c.benchmark_group(name(&conv));
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        for (name, ours) in [("ours", true), ("burn", false)] {
            group.throughput(Throughput::Elements(multiply_adds(&conv)));
            group.bench_function(format!("forward {name}"), |b| b.iter(|| black_box(conv.run(&x[usize::from(ours)], &weights, ours))));
            group.throughput(Throughput::Elements(2 * multiply_adds(&conv)));
            group.bench_function(format!("backward {name}"), |b| {
                b.iter_batched(|| conv.run(&x[usize::from(ours)], &weights, ours).sum(), |y| black_box(y.backward()), BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

/// What stands in a row as one pass: a convolution with bias, ReLU and maximum; one with normalisation, shortcut and ReLU.
fn rows(c: &mut Criterion) {
    let on = Device::flex().autodiff();
    let row = |channels: usize, value: f32| Tensor::<1>::full([channels], value, &on);
    let conv = Conv { batch: 256, channels: [32, 64], side: 32, kernel: 3, stride: 1, groups: 1 };
    let (x, weights, bias) = ([false, true].map(|last| conv.images(last)), conv.weights(), row(64, 0.1).require_grad());
    let geometry = Geometry { stride: 1, padding: 1, groups: 1 };
    let max = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
    both(c, "3x3, bias, ReLU, maximum 256x32-64x32x32", multiply_adds(&conv) as usize, |ours| {
        let (x, w, b) = (x[usize::from(ours)].clone(), weights.clone(), Some(bias.clone()));
        let y = if ours {
            conv_tail(x, w, b, geometry, Tail::ReluMaxPool)
        } else {
            max.forward(relu(conv2d(x, w, b, ConvOptions::new([1, 1], [1, 1], [1, 1], 1))))
        };
        y.sum().backward()
    });
    let conv = Conv { batch: 128, channels: [16, 16], side: 32, kernel: 3, stride: 1, groups: 1 };
    let (x, weights) = ([false, true].map(|last| conv.images(last)), conv.weights());
    let parameters = Parameters { gamma: row(16, 1.0).require_grad(), beta: row(16, 0.0).require_grad(), mean: row(16, 0.0), variance: row(16, 1.0) };
    both(c, "3x3, normalisation, shortcut, ReLU 128x16x32x32", multiply_adds(&conv) as usize, |ours| {
        let (x, w, p) = (x[usize::from(ours)].clone(), weights.clone(), parameters.clone());
        let y = if ours {
            let settings = Settings { batch_statistics: true, epsilon: 1e-5, add: true, relu: true };
            conv_norm_tail(x.clone(), w, p, Some(x), Unit { geometry, settings, place: Place::default() }).images
        } else {
            let made = conv2d(x.clone(), w, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
            relu(batch_norm_train(made, p.gamma, p.beta, 1e-5).output + x)
        };
        y.sum().backward()
    });
}

/// Images N×C×H×W that want their gradient, in each side's own layout: burn's with channels first, ours last.
fn images(shape: [usize; 4]) -> [Tensor<4>; 2] {
    let conv = Conv { batch: shape[0], channels: [shape[1]; 2], side: shape[2], kernel: 1, stride: 1, groups: 1 };
    [false, true].map(|last| conv.images(last))
}

/// Batch normalisation with the batch's statistics and ReLU, pools; forward and backward, as training runs them.
fn norms_and_pools(c: &mut Criterion) {
    let shape @ [n, channels, side, _] = [128, 16, 32, 32];
    let elements = n * channels * side * side;
    let x = images(shape);
    let row = |value: f32| Tensor::<1>::full([channels], value, &Device::flex().autodiff());
    let parameters = Parameters { gamma: row(1.0).require_grad(), beta: row(0.0).require_grad(), mean: row(0.0), variance: row(1.0) };
    both(c, "normalisation and ReLU 128x16x32x32", elements, |ours| {
        let (x, p) = (x[usize::from(ours)].clone(), parameters.clone());
        let y = if ours {
            norm_tail(x, p, None, Settings { batch_statistics: true, epsilon: 1e-5, add: false, relu: true }).images
        } else {
            relu(batch_norm_train(x, p.gamma, p.beta, 1e-5).output)
        };
        y.sum().backward()
    });
    let max = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
    both(c, "2x2 maximum 128x16x32x32", elements, |ours| {
        let x = x[usize::from(ours)].clone();
        if ours { max_pool(x) } else { max.forward(x) }.sum().backward()
    });
    let average = AdaptiveAvgPool2dConfig::new([1, 1]).init();
    let small = images([128, 64, 8, 8]);
    both(c, "global average 128x64x8x8", 128 * 64 * 8 * 8, |ours| {
        let x = small[usize::from(ours)].clone();
        if ours { global_average(x) } else { average.forward(x) }.sum().backward()
    });
}

/// Cross-entropy with its gradient.
fn losses(c: &mut Criterion) {
    for [n, k] in [[256, 20], [128, 10]] {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data(TensorData::new(common::numbers(n * k, 0), [n, k]), &device).require_grad();
        let hot = (0..n * k).map(|i| if i % k == i / k % k { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
        let targets = Tensor::<2>::from_data(TensorData::new(hot, [n, k]), &device);
        let scale = 1.0 / n as f32;
        both(c, &format!("cross-entropy {n}x{k}"), n * k, |ours| {
            let (logits, targets) = (logits.clone(), targets.clone());
            let loss = if ours { cross_entropy(logits, targets, scale) } else { (log_softmax(logits, 1) * targets).sum().mul_scalar(-scale) };
            loss.backward()
        });
    }
}

/// Steps on the linear layer of `cnn-emnist`, gradients being there.
fn optimisers(c: &mut Criterion) {
    let device = Device::flex().autodiff();
    let layer: Linear = LinearConfig::new(8192, 480).init(&device);
    let x = Tensor::<2>::from_data(TensorData::new(common::numbers(2 * 8192, 0), [2, 8192]), &device);
    let momentum = Some(MomentumConfig::new().with_momentum(0.9).with_dampening(0.0));
    let kinds = [
        ("Adam", OptimiserKind::Adam, AdamConfig::new().with_epsilon(1e-8).init()),
        ("AdamW", OptimiserKind::AdamW, AdamWConfig::new().with_epsilon(1e-8).init()),
        ("SGD", OptimiserKind::Sgd, SgdConfig::new().with_momentum(momentum).init()),
    ];
    for (name, kind, mut burns) in kinds {
        let mut ours = Optimiser::new(kind, 0.0);
        let mut group = c.benchmark_group(format!("{name} 8192x480"));
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        group.throughput(Throughput::Elements(8192 * 480));
        for (side, is_ours) in [("ours", true), ("burn", false)] {
            let mut now = Some(layer.clone());
            group.bench_function(side, |b| {
                b.iter_custom(|steps| {
                    let mut taken = Duration::ZERO;
                    for _ in 0..steps {
                        let before = now.take().expect("put back below");
                        let grads = GradientsParams::from_grads(before.forward(x.clone()).sum().backward(), &before);
                        let begin = Instant::now();
                        now = Some(if is_ours { ours.step(1e-3, before, grads) } else { burns.step(1e-3, before, grads) });
                        taken += begin.elapsed();
                    }
                    taken
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, convolutions, rows, norms_and_pools, losses, optimisers);
criterion_main!(benches);
