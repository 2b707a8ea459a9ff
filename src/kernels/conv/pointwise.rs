//! A convolution of 1×1 over few pixels as burn's own matrix product: to pack the weights takes as long as to multiply.

use burn::tensor::Shape;
use burn_flex::ops::matmul::matmul;
use burn_flex::{FlexTensor, Layout};

use super::geometry::{Geometry, Sizes};
use super::tail::Tail;
use crate::kernels::floats;
use crate::kernels::images::{Images, Order};

/// Most pixels; with more, packed weights are used often enough.
const FEW: usize = 64;

/// True if a convolution goes this way; depends on sizes and layout alone.
pub fn suits(sizes: &Sizes, x: &Images, tail: Tail) -> bool {
    let one_to_one = sizes.kernel == [1, 1] && sizes.geometry == Geometry { stride: 1, padding: 0, groups: 1 };
    one_to_one && tail != Tail::ReluMaxPool && x.order() == Order::ChannelsLast && sizes.n * sizes.output[0] * sizes.output[1] <= FEW
}

/// `x` times `weights`, plus `bias`, then the tail: N×C×H×W, channels last in memory.
///
/// # Panics
/// A convolution that does not suit.
pub fn forward(sizes: &Sizes, x: &Images, weights: &FlexTensor, bias: &FlexTensor, tail: Tail) -> FlexTensor {
    assert!(suits(sizes, x, tail), "a convolution of 1×1 over few pixels");
    let [h, w, co] = sizes.output;
    let mut out = matmul(x.pixels(), weights.reshape(Shape::from(vec![co, sizes.input[2]])).transpose(0, 1));
    let (bias, floor) = (floats(bias), if tail == Tail::Relu { 0.0 } else { f32::NEG_INFINITY });
    for pixel in out.storage_mut::<f32>().chunks_exact_mut(co) {
        // NaN stays NaN.
        pixel.iter_mut().zip(bias).for_each(|(y, b)| *y = if *y + b < floor { floor } else { *y + b });
    }
    let strides = [h * w * co, 1, w * co, co].map(|s| s as isize).to_vec();
    out.with_layout(Layout::new(Shape::from(vec![sizes.n, co, h, w]), strides, 0))
}
