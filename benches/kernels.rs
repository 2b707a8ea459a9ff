//! `cargo bench --bench kernels`: convolutions of the sizes that our networks have, and of some that they do not, forward and backward,
//! by our kernels and by burn's own operations.
//!
//! Throughput counts multiply-adds as "elements": half the floating-point operations.

mod common;

use std::hint::black_box;
use std::time::Duration;

use common::conv::Conv;
use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use unlearn::kernels::memory::keep_freed;

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

criterion_group!(benches, convolutions);
criterion_main!(benches);
