//! `cargo bench --bench kernels`: convolutions of the sizes that our networks have, and of some that they do not, forward and backward,
//! by our kernels and by burn's own operations.
//!
//! Throughput counts multiply-adds as "elements": half the floating-point operations.

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use unlearn::kernels::conv::{Geometry, Tail, conv_tail};
use unlearn::kernels::memory::keep_freed;

// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Conv {
    batch: usize,
    channels: [usize; 2],
    side: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

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

impl Conv {
    fn name(&self) -> String {
        let Self { batch, channels: [from, to], side, kernel, stride, groups } = self;
        format!("{batch}x{from}x{side}x{side} to {to}, {kernel}x{kernel} stride {stride} groups {groups}")
    }

    fn output(&self) -> usize {
        (self.side - 1) / self.stride + 1
    }

    fn multiply_adds(&self) -> u64 {
        let [from, to] = self.channels;
        (self.batch * to * from / self.groups * self.kernel.pow(2) * self.output().pow(2)) as u64
    }

    fn run(&self, x: &Tensor<4>, weights: &Tensor<4>, ours: bool) -> Tensor<4> {
        let (x, weights, padding) = (x.clone(), weights.clone(), self.kernel / 2);
        if ours {
            conv_tail(x, weights, None, Geometry { stride: self.stride, padding, groups: self.groups }, Tail::None)
        } else {
            conv2d(x, weights, None, ConvOptions::new([self.stride; 2], [padding; 2], [1, 1], self.groups))
        }
    }
}

fn numbers(shape: [usize; 4]) -> Tensor<4> {
    let values: Vec<f32> = (0..shape.iter().product::<usize>() as u64).map(|i| (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

fn convolutions(c: &mut Criterion) {
    keep_freed(); // as the program does
    for (batch, channels, side, kernel, stride, groups) in CONVS {
        let conv = Conv { batch, channels, side, kernel, stride, groups };
        let x = numbers([batch, channels[0], side, side]).require_grad();
        let weights = numbers([channels[1], channels[0] / groups, kernel, kernel]).require_grad();
        let mut group = c.benchmark_group(conv.name());
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        for (name, ours) in [("ours", true), ("burn", false)] {
            group.throughput(Throughput::Elements(conv.multiply_adds()));
            group.bench_function(format!("forward {name}"), |b| b.iter(|| black_box(conv.run(&x, &weights, ours))));
            group.throughput(Throughput::Elements(2 * conv.multiply_adds()));
            group.bench_function(format!("backward {name}"), |b| {
                b.iter_batched(|| conv.run(&x, &weights, ours).sum(), |y| black_box(y.backward()), BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, convolutions);
criterion_main!(benches);
