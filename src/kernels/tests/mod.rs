//! Whole operations as a model calls them, through burn's graph, on every instruction set that this machine has: against burn's own
//! operations, and their gradients against finite differences. Passes on their own are tested beside their files.

mod burns;
mod differences;

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rand::RngExt;

use super::conv::{Geometry, Tail, conv_tail};
use super::simd::Isa;
use crate::model::tensors::floats as values;
use crate::rng;

/// Even draws from −1 to 1, the same for the same shape and name.
fn random<const D: usize>(shape: [usize; D], name: &str) -> Tensor<D> {
    let mut rng = rng::stream(shape.iter().fold(0, |h, d| 31 * h + *d as u64), name, 0);
    let floats = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
    tensor(floats, shape)
}

fn tensor<const D: usize>(floats: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(floats, shape), &Device::flex().autodiff())
}

/// The same images with channels last in memory, on the same graph.
fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1]).mul_scalar(1.0).permute([0, 3, 1, 2])
}

/// A convolution's shapes: input, weights, how it moves.
type Shapes = ([usize; 4], [usize; 4], Geometry);

/// The size of its output along a side.
fn side((x, w, geometry): &Shapes, k: usize) -> usize {
    (x[2 + k] + 2 * geometry.padding - w[2 + k]) / geometry.stride + 1
}

/// Images up to `largest` a side and channels up to `channels` a group, of any size.
fn shapes(largest: usize, channels: usize) -> impl Strategy<Value = Shapes> {
    let kernel = prop::sample::select(vec![1usize, 2, 3, 5, 7]);
    let moves = (kernel, 1usize..4, 0usize..4, 1usize..4);
    (1usize..4, 1..largest, 1..largest, moves, 1..channels, 1..channels, any::<bool>()).prop_filter_map(
        "a kernel larger than the padded image",
        |(n, h, w, (kernel, stride, padding, groups), ci, co, depthwise)| {
            let (groups, ci, co) = if depthwise { (ci, ci, ci * (co % 2 + 1)) } else { (groups, ci * groups, co * groups) };
            let fits = h + 2 * padding >= kernel && w + 2 * padding >= kernel;
            fits.then_some(([n, ci, h, w], [co, ci / groups, kernel, kernel], Geometry { stride, padding, groups }))
        },
    )
}

/// Sizes that go by tiles, and enough of them.
fn tiled_shapes() -> impl Strategy<Value = Shapes> {
    let channels = || prop::sample::select(vec![16usize, 32, 48]);
    (4usize..7, 8usize..11, 8usize..11, channels(), channels()).prop_map(|(n, h, w, ci, co)| {
        ([n, ci, 2 * h, 2 * w], [co, ci, 3, 3], Geometry { stride: 1, padding: 1, groups: 1 }) // 4·8·8 tiles are enough
    })
}

#[test]
fn nan_comes_through_every_tail_on_every_instruction_set() {
    // By tiles and directly; the pixel (3, 3) of every output channel sees the one NaN, and so does the square (1, 1) of a pool.
    for (channels, out) in [(16, 16), (5, 7), (5, 40)] {
        let mut x = values(random([1, channels, 6, 6], "x"));
        x[3 * 6 + 3] = f32::NAN;
        let (x, weights) = (tensor(x, [1, channels, 6, 6]), random([out, channels, 3, 3], "weights"));
        for (tail, side, at) in [(Tail::None, 6, 3), (Tail::Relu, 6, 3), (Tail::ReluMaxPool, 3, 1)] {
            for isa in Isa::available() {
                let y = isa.forced(|| values(conv_tail(x.clone(), weights.clone(), None, Geometry { stride: 1, padding: 1, groups: 1 }, tail)));
                let there = (0..out).map(|c| y[(c * side + at) * side + at]).collect::<Vec<f32>>();
                assert!(there.iter().all(|v| v.is_nan()), "{} {tail:?}, {channels} to {out} channels: {there:?}", isa.name());
            }
        }
    }
}

#[test]
fn a_forced_instruction_set_is_the_one_that_runs() {
    // Sums of products with and without fused rounding differ in some last bit, forward and backward.
    let on = |isa: Isa| {
        isa.forced(|| {
            let (x, weights) = (random([2, 40, 6, 6], "x").require_grad(), random([24, 40, 3, 3], "weights").require_grad());
            let y = conv_tail(x.clone(), weights.clone(), None, Geometry { stride: 1, padding: 1, groups: 1 }, Tail::None);
            let gradients = (y.clone() * random([2, 24, 6, 6], "dy")).sum().backward();
            [values(y), values(x.grad(&gradients).expect("tracked")), values(weights.grad(&gradients).expect("tracked"))]
        })
    };
    let portable = on(Isa::Portable);
    for isa in Isa::available() {
        let made = on(isa);
        for (a, b) in made.iter().zip(&portable) {
            assert_eq!(a == b, isa == Isa::Portable, "{}", isa.name());
            // 1e-5 of what is summed: at least the weight gradient's 2·36 terms of a quarter each, in the mean.
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * 72.0 * 0.25), "{} is not {}", isa.name(), Isa::Portable.name());
        }
    }
    assert_ne!(Isa::available().next(), None);
}
