//! Convolution with a fused tail, channels last, forward and backward; a backend extension of flex.
//!
//! | file | holds |
//! |---|---|
//! | `geometry` | sizes, zeros around an image |
//! | `runs` | which contiguous floats an output pixel is made of |
//! | `pixels` | where the pixels of a pass lie |
//! | `blocks` | output channels in registers, order of packed weights |
//! | `product` | the implicit matrix product that forward pass and data gradient are |
//! | `weight_gradient` | the weight gradient |
//! | `winograd` | all three by tiles, with fewer multiplications, where the sizes suit |
//! | `algorithm` | which of the two ways |
//! | `pointwise` | 1×1 over few pixels, by burn's matrix product |
//! | `tail` | ReLU and maximum |
//! | `group` | which images a task computes at a time |
//! | `forward`, `backward` | whole passes |
//! | `normalised` | with a batch normalisation behind it, as one operation |

mod algorithm;
mod backward;
mod blocks;
mod forward;
mod geometry;
mod group;
mod normalised;
mod pixels;
mod pointwise;
mod product;
mod runs;
mod tail;
#[cfg(test)]
mod tests;
mod weight_gradient;
mod winograd;

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;

pub use geometry::{Geometry, Sizes};
pub use normalised::{Place, Shortcut, Unit, conv_norm_tail};
pub use tail::Tail;
pub(super) use tail::{Floor, max_pool_image, unpool_image};

use super::images::Images;
use super::simd::Isa;
use super::{dense, floats};
use algorithm::Algorithm;
use backward::{Given, Needs, SavedBatch};
use forward::Behind;

/// The operation as burn routes it.
#[backend_extension(Flex, Autodiff)]
pub trait ConvTail: Backend {
    /// See [`conv_tail`].
    fn conv_tail(x: FloatTensor<Self>, weights: FloatTensor<Self>, bias: FloatTensor<Self>, geometry: Geometry, tail: Tail) -> FloatTensor<Self>;
}

/// Convolution of `x`, N×C×H×W, with `weights`, O×(C/groups)×Kh×Kw, plus `bias`, O, followed by `tail`: N×O×H'×W', channels last in memory.
/// The cross-correlation of Goodfellow et al. 2016, eq. 9.6, as in torch's `conv2d`. Only for tensors on the CPU.
///
/// # Panics
/// Shapes that do not belong together; tensors of another device.
pub fn conv_tail(x: Tensor<4>, weights: Tensor<4>, bias: Option<Tensor<1>>, geometry: Geometry, tail: Tail) -> Tensor<4> {
    // An extension's inputs can't be optional; zeros are off the graph, so no gradient is computed for them.
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weights.dims()[0]], &weights.device()));
    Tensor::from_dispatch(Dispatch::conv_tail(x.into_dispatch(), weights.into_dispatch(), bias.into_dispatch(), geometry, tail))
}

fn dims(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

struct Forward {
    sizes: Sizes,
    x: Images,
    weights: FlexTensor,
    out: FlexTensor,
    places: Option<Vec<u8>>,
}

fn run(x: FlexTensor, weights: FlexTensor, bias: FlexTensor, geometry: Geometry, tail: Tail, keep_places: bool) -> Forward {
    let sizes = Sizes::new(dims(&x), dims(&weights), geometry);
    let x = Images::new(x);
    let (weights, bias) = (weights.to_contiguous(), bias.to_contiguous());
    if pointwise::suits(&sizes, &x, tail) {
        let out = pointwise::forward(&sizes, &x, &weights, &bias, tail);
        return Forward { sizes, x, weights, out, places: None };
    }
    let behind = Behind { algorithm: Algorithm::of(&sizes), tail, add: None, places: keep_places, moments: false };
    let made = forward::forward(Isa::current(), &sizes, &x, floats(&weights), floats(&bias), behind);
    Forward { out: Images::tensor(made.floats, sizes.n, tail.output(sizes.output)), places: made.places, sizes, x, weights }
}

impl ConvTail for Flex {
    fn conv_tail(x: FlexTensor, weights: FlexTensor, bias: FlexTensor, geometry: Geometry, tail: Tail) -> FlexTensor {
        run(x, weights, bias, geometry, tail, false).out
    }
}

/// What the backward pass keeps.
#[derive(Debug, Clone)]
struct State {
    sizes: Sizes,
    x: Images,
    weights: FlexTensor,
    saved: SavedBatch,
}

/// The backward pass; its parents are input, weights and bias.
#[derive(Debug)]
struct ConvTailBackward;

impl Backward<Flex, 3> for ConvTailBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = Images::new(grads.consume::<Flex>(&ops.node));
        let State { sizes, x, weights, saved } = ops.state;
        let [input, weight, bias] = ops.parents;
        let needs = Needs { input: input.is_some(), weights: weight.is_some(), bias: bias.is_some(), added: false };
        let given =
            Given { algorithm: Algorithm::of(&sizes), sizes: &sizes, x: &x, weights: floats(&weights), saved: &saved, dy: &dy, needs, onto: None };
        let made = backward::backward(Isa::current(), given);
        if let (Some(node), Some(dx)) = (input, made.input) {
            grads.register::<Flex>(node.id, Images::tensor(dx, sizes.n, sizes.input));
        }
        if let (Some(node), Some(dw)) = (weight, made.weights) {
            grads.register::<Flex>(node.id, dense(dw, &dims(&weights)));
        }
        if let (Some(node), Some(db)) = (bias, made.bias) {
            grads.register::<Flex>(node.id, dense(db, &[sizes.output[2]]));
        }
    }
}

impl<C: CheckpointStrategy> ConvTail for Autodiff<Flex, C> {
    fn conv_tail(x: FloatTensor<Self>, weights: FloatTensor<Self>, bias: FloatTensor<Self>, geometry: Geometry, tail: Tail) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (weights, weights_node) = weights.into_parts();
        let (bias, bias_node) = bias.into_parts();
        match ConvTailBackward.prepare::<C>([x_node, weights_node, bias_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let Forward { sizes, x, weights, out, places } = run(x, weights, bias, geometry, tail, true);
                let saved = match (tail, places) {
                    (Tail::None, _) => SavedBatch::None,
                    (Tail::Relu, _) => SavedBatch::Relu(Images::new(out.clone())),
                    (Tail::ReluMaxPool, places) => SavedBatch::ReluMaxPool(Arc::new(places.unwrap_or_default())),
                };
                prepared.finish(State { sizes, x, weights, saved }, out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(run(x, weights, bias, geometry, tail, false).out),
        }
    }
}
