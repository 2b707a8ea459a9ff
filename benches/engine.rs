//! `cargo bench`: steps of training and inference of every architecture, and an epoch with its input pipeline.
//!
//! | group | measures |
//! |---|---|
//! | `train` | forward, cross-entropy, backward, Adam, images in memory |
//! | `infer` | forward |
//! | `epoch` | a whole epoch of `cnn-s` on `mnist-mini`: decode, shuffle, steps, meter |
//!
//! Single kernels are in `kernels.rs`. How we do against PyTorch is another question: `peers/run`.

mod common;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use unlearn::kernels::memory::keep_freed;
use unlearn::model::tensors::floats;

use common::{Load, Training};

// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Every architecture at a batch that keeps a step below a second.
fn loads() -> Vec<Load> {
    let load = |arch: &str, input, slots, batch| Load { arch: arch.into(), input, slots, batch, pool: 4 };
    vec![
        load("mlp", [1, 28, 28], 10, 128),
        load("cnn-s", [1, 28, 28], 10, 32),
        load("cnn-emnist", [1, 32, 32], 20, 256),
        load("resnet20", [3, 32, 32], 10, 128),
        load("resnet18", [3, 32, 32], 10, 8),
        load("cnn-cifar", [3, 32, 32], 8, 8),
    ]
}

fn steps(c: &mut Criterion, group: &str, make: impl Fn(&Load) -> common::Step) {
    let mut group = c.benchmark_group(group);
    // Some steps take long: few of them, none repeated within a sample more than another.
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    for load in loads() {
        group.throughput(Throughput::Elements(load.batch as u64));
        group.bench_function(format!("{} batch {}", load.arch, load.batch), |b| {
            let (mut step, mut i) = (make(&load), 0);
            b.iter(|| {
                i += 1;
                black_box(floats(step(i)))
            });
        });
    }
    group.finish();
}

fn train(c: &mut Criterion) {
    keep_freed(); // as the program does
    steps(c, "train", |load| common::trainer(load.network().expect("an architecture of ours"), load));
}

fn infer(c: &mut Criterion) {
    steps(c, "infer", |load| common::predictor(load.network().expect("an architecture of ours"), load));
}

fn epoch(c: &mut Criterion) {
    let mut group = c.benchmark_group("epoch");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("cnn-s on mnist-mini", |b| {
        let (mut training, mut i) = (Training::of_digits("cnn-s", 32).expect("built in"), 0);
        b.iter(|| {
            i += 1;
            black_box(training.epoch(i, || ()).expect("it does not diverge"))
        });
    });
    group.finish();
}

criterion_group!(engine, train, infer, epoch);
criterion_main!(engine);
