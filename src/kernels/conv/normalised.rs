//! Convolution, batch normalisation, an addition and ReLU as one operation: the unit that residual nets are made of.
//!
//! In one operation the convolution's output is summed while it is in the cache, and the gradient of the normalisation is made as the
//! convolution's backward pass reads it; neither goes through memory on its own.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;

use super::algorithm::Algorithm;
use super::backward::{self, Given, Needs, SavedBatch};
use super::forward::{self, Behind};
use super::geometry::{Geometry, Sizes};
use super::{Tail, dims};
use crate::kernels::images::Images;
use crate::kernels::norm::{self, Masked, Normalised, Parameters, Settings, Statistics};
use crate::kernels::simd::Isa;
use crate::kernels::{dense, floats};

/// The gradient that goes around the body of a residual block: its last unit leaves it here, its first one adds its own to it. Through
/// the graph the two would be added in a pass of their own.
#[derive(Debug, Clone, Default)]
pub struct Shortcut(Arc<Mutex<Option<Vec<f32>>>>);

impl Shortcut {
    fn put(&self, gradient: Vec<f32>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient);
    }

    fn take(&self) -> Option<Vec<f32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The unit's place in a residual block with an identity shortcut.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// It is the first of the body: its input is what goes around.
    pub first: Option<Shortcut>,
    /// It is the last: what it adds is what went around, and gets its gradient by this shortcut, not through the graph.
    pub last: Option<Shortcut>,
}

/// The operation as burn routes it.
#[backend_extension(Flex, Autodiff)]
pub trait ConvNormTail: Backend {
    /// See [`conv_norm_tail`].
    #[allow(clippy::too_many_arguments)] // an extension takes its tensors one by one
    fn conv_norm_tail(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        added: FloatTensor<Self>,
        unit: Unit,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// What a unit does.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Of the convolution.
    pub geometry: Geometry,
    /// Of the normalisation and what follows it.
    pub settings: Settings,
    /// In a residual block.
    pub place: Place,
}

/// Convolution (see [`super::conv_tail`]) without bias, then normalisation (see [`norm::norm_tail`]). Only for tensors on the CPU.
///
/// # Panics
/// Shapes that do not belong together; tensors of another device.
pub fn conv_norm_tail(x: Tensor<4>, weights: Tensor<4>, parameters: Parameters, added: Option<Tensor<4>>, unit: Unit) -> Normalised {
    let unit = Unit { settings: Settings { add: added.is_some(), ..unit.settings }, ..unit };
    // As in `norm_tail`.
    let added = added.unwrap_or_else(|| Tensor::zeros([1, 1, 1, 1], &x.device()));
    let Parameters { gamma, beta, mean, variance } = parameters;
    let (images, mean, variance) = Dispatch::conv_norm_tail(
        x.into_dispatch(),
        weights.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        added.into_dispatch(),
        unit,
    );
    Normalised { images: Tensor::from_dispatch(images), mean: Tensor::from_dispatch(mean), variance: Tensor::from_dispatch(variance) }
}

/// Inputs of a unit off the graph, dense.
struct Inputs {
    sizes: Sizes,
    x: Images,
    weights: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    mean: FlexTensor,
    variance: FlexTensor,
    added: Option<Images>,
}

impl Inputs {
    fn new(x: FlexTensor, weights: FlexTensor, [gamma, beta, mean, variance]: [FlexTensor; 4], added: FlexTensor, unit: &Unit) -> Self {
        let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(|t| t.to_contiguous());
        let added = unit.settings.add.then(|| Images::new(added).channels_last());
        let sizes = Sizes::new(dims(&x), dims(&weights), unit.geometry);
        Self { sizes, x: Images::new(x), weights: weights.to_contiguous(), gamma, beta, mean, variance, added }
    }

    fn given_statistics(&self, epsilon: f64) -> Statistics {
        Statistics::new(floats(&self.mean).to_vec(), floats(&self.variance).to_vec(), epsilon)
    }

    /// With given statistics and no gradient: the normalisation goes into the weights.
    fn folded(&self, isa: Isa, settings: Settings) -> FlexTensor {
        let [scale, shift] = self.given_statistics(settings.epsilon).affine(floats(&self.gamma), floats(&self.beta));
        let per_channel = self.sizes.weights() / self.sizes.output[2];
        let mut weights = floats(&self.weights).to_vec();
        weights.chunks_mut(per_channel).zip(&scale).for_each(|(channel, s)| channel.iter_mut().for_each(|w| *w *= s));
        let tail = if settings.relu { Tail::Relu } else { Tail::None };
        let behind =
            Behind { algorithm: Algorithm::of(&self.sizes), tail, add: self.added.as_ref().map(Images::floats), places: false, moments: false };
        let made = forward::forward(isa, &self.sizes, &self.x, &weights, &shift, behind);
        Images::tensor(made.floats, self.sizes.n, self.sizes.output)
    }

    /// The convolution's output, the statistics, the unit's output.
    fn run(&self, isa: Isa, settings: Settings) -> (Images, Statistics, FlexTensor) {
        let behind = Behind { algorithm: Algorithm::of(&self.sizes), tail: Tail::None, add: None, places: false, moments: settings.batch_statistics };
        let no_bias = vec![0f32; self.sizes.output[2]];
        let made = forward::forward(isa, &self.sizes, &self.x, floats(&self.weights), &no_bias, behind);
        let statistics = match made.moments {
            Some(moments) => {
                let (mean, variance) = moments.mean_and_variance();
                Statistics::new(mean, variance, settings.epsilon)
            }
            None => self.given_statistics(settings.epsilon),
        };
        let y = Images::new(Images::tensor(made.floats, self.sizes.n, self.sizes.output));
        let affine = statistics.affine(floats(&self.gamma), floats(&self.beta));
        let out = norm::apply(isa, &y, &affine, self.added.as_ref(), settings.relu);
        (y, statistics, out)
    }
}

impl ConvNormTail for Flex {
    fn conv_norm_tail(
        x: FlexTensor,
        weights: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        added: FlexTensor,
        unit: Unit,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let inputs = Inputs::new(x, weights, [gamma, beta, mean, variance], added, &unit);
        if !unit.settings.batch_statistics {
            return (inputs.folded(Isa::current(), unit.settings), inputs.mean, inputs.variance);
        }
        let (_, statistics, out) = inputs.run(Isa::current(), unit.settings);
        let c = inputs.sizes.output[2];
        (out, dense(statistics.mean, &[c]), dense(statistics.variance, &[c]))
    }
}

/// What the backward pass keeps.
#[derive(Debug, Clone)]
struct State {
    unit: Unit,
    sizes: Sizes,
    x: Images,
    weights: FlexTensor,
    gamma: FlexTensor,
    y: Images,
    statistics: Statistics,
    /// The output, where there is a ReLU.
    out: Option<Images>,
}

/// The backward pass; its parents are input, weights, γ, β and what was added.
#[derive(Debug)]
struct ConvNormTailBackward;

impl Backward<Flex, 5> for ConvNormTailBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 5>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let isa = Isa::current();
        let dy = Images::new(grads.consume::<Flex>(&ops.node)).channels_last();
        let State { unit, sizes, x, weights, gamma, y, statistics, out } = ops.state;
        let [input, weight, gamma_node, beta, added] = ops.parents;
        let masked = Masked { dy: dy.floats(), out: out.as_ref().map(Images::floats) };
        let made = statistics.gradients(isa, &y, masked, floats(&gamma), unit.settings.batch_statistics);
        let around = unit.place.last.is_some();
        let needs = Needs { input: input.is_some(), weights: weight.is_some(), bias: false, added: added.is_some() || around };
        let saved = SavedBatch::Norm(backward::Normalised { y, out, coefficients: made.input });
        let onto = unit.place.first.as_ref().and_then(Shortcut::take).filter(|_| needs.input);
        let given = Given { algorithm: Algorithm::of(&sizes), sizes: &sizes, x: &x, weights: floats(&weights), saved: &saved, dy: &dy, needs, onto };
        let gradients = backward::backward(isa, given);
        if let (Some(node), Some(dx)) = (input, gradients.input) {
            grads.register::<Flex>(node.id, Images::tensor(dx, sizes.n, sizes.input));
        }
        if let (Some(node), Some(dw)) = (weight, gradients.weights) {
            grads.register::<Flex>(node.id, dense(dw, &dims(&weights)));
        }
        if let Some(node) = gamma_node {
            grads.register::<Flex>(node.id, dense(made.gamma, &[sizes.output[2]]));
        }
        if let Some(node) = beta {
            grads.register::<Flex>(node.id, dense(made.beta, &[sizes.output[2]]));
        }
        match (added, unit.place.last, gradients.added) {
            (_, Some(shortcut), Some(passed)) => shortcut.put(passed),
            (Some(node), None, Some(passed)) => grads.register::<Flex>(node.id, Images::tensor(passed, sizes.n, sizes.output)),
            _ => {}
        }
    }
}

impl<C: CheckpointStrategy> ConvNormTail for Autodiff<Flex, C> {
    fn conv_norm_tail(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        added: FloatTensor<Self>,
        unit: Unit,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, x_node) = x.into_parts();
        let (weights, weights_node) = weights.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();
        let (added, added_node) = added.into_parts();
        let rest = [gamma, beta, mean.into_primitive(), variance.into_primitive()];
        let inputs = Inputs::new(x, weights, rest, added, &unit);
        let (y, statistics, out) = inputs.run(Isa::current(), unit.settings);
        let c = inputs.sizes.output[2];
        let [mean, variance] = [&statistics.mean, &statistics.variance].map(|v| <Self as AutodiffBackend>::from_inner(dense(v.clone(), &[c])));
        let nodes = [x_node, weights_node, gamma_node, beta_node, added_node];
        let out = match ConvNormTailBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let kept = unit.settings.relu.then(|| Images::new(out.clone()));
                let Inputs { sizes, x, weights, gamma, .. } = inputs;
                prepared.finish(State { unit, sizes, x, weights, gamma, y, statistics, out: kept }, out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        };
        (out, mean, variance)
    }
}
