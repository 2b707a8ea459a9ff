//! Batch normalisation (Ioffe & Szegedy 2015, alg. 1) with what follows it fused: an addition (the shortcut of a residual block) and ReLU.
//! Channels last, statistics summed in 64 bits, in an order that does not depend on the number of threads.

mod passes;
mod statistics;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::images::Images;
use super::memory::{filled, uninit};
use super::moments::Moments;
use super::simd::Isa;
use super::{dense, floats};
pub(super) use passes::{Masked, Repeated, add_sums, combine};
pub(super) use statistics::Statistics;

/// What a normalisation does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Normalise with the batch's statistics; else with the given ones, which are constants.
    pub batch_statistics: bool,
    /// Added to the variance.
    pub epsilon: f64,
    /// Add the other images before the ReLU.
    pub add: bool,
    /// max(·, 0) at the end.
    pub relu: bool,
}

/// The operation as burn routes it.
#[backend_extension(Flex, Autodiff)]
pub trait NormTail: Backend {
    /// See [`norm_tail`].
    #[allow(clippy::too_many_arguments)] // an extension's tensors can't be in a struct of ours without a derive of its own
    fn norm_tail(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        added: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// What a normalisation is given beside its images; all of length C.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// γ.
    pub gamma: Tensor<1>,
    /// β.
    pub beta: Tensor<1>,
    /// Mean, used where the batch's is not.
    pub mean: Tensor<1>,
    /// Variance, likewise.
    pub variance: Tensor<1>,
}

/// What a normalisation makes.
#[derive(Debug)]
pub struct Normalised {
    /// N×C×H×W, channels last in memory.
    pub images: Tensor<4>,
    /// The mean that was subtracted, C; off the graph.
    pub mean: Tensor<1>,
    /// The variance (biased where it is the batch's), C; off the graph.
    pub variance: Tensor<1>,
}

/// (x − mean)/√(variance + ε)·γ + β (+ `added`, N×C×H×W), then max(·, 0) where the settings say so. Only for tensors on the CPU.
///
/// # Panics
/// Shapes that do not belong together; tensors of another device.
pub fn norm_tail(x: Tensor<4>, parameters: Parameters, added: Option<Tensor<4>>, settings: Settings) -> Normalised {
    let settings = Settings { add: added.is_some(), ..settings };
    // An extension's inputs can't be optional: without an addition any tensor takes its place, and gets no gradient.
    let added = added.unwrap_or_else(|| Tensor::zeros([1, 1, 1, 1], &x.device()));
    let Parameters { gamma, beta, mean, variance } = parameters;
    let (images, mean, variance) = Dispatch::norm_tail(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        added.into_dispatch(),
        settings,
    );
    Normalised { images: Tensor::from_dispatch(images), mean: Tensor::from_dispatch(mean), variance: Tensor::from_dispatch(variance) }
}

/// Parts of the batch whose sums are added in order, whatever the number of threads.
const PARTS: usize = 8;
/// Floats below which a second thread costs more than it does.
const SMALL: usize = 1 << 15;

/// Consecutive parts of a batch of `n` images of `len` floats.
fn parts(n: usize, len: usize) -> usize {
    n.div_ceil(PARTS).max(1) * len.max(1)
}

/// Per-channel sums of a gradient (see [`passes::add_sums`]) over the batch.
fn sums(isa: Isa, x: &Images, centre: &[f32], gradient: Masked) -> Vec<[f64; 2]> {
    let all = x.floats();
    let part = parts(x.len(), all.len() / x.len().max(1));
    let sum = |(i, x): (usize, &[f32])| {
        let range = i * part..i * part + x.len();
        let gradient = Masked { dy: &gradient.dy[range.clone()], out: gradient.out.map(|o| &o[range]) };
        let mut sums = vec![[0f64; 2]; centre.len()];
        passes::add_sums(isa, x, centre, Some(gradient), &mut sums);
        sums
    };
    let partial: Vec<Vec<[f64; 2]>> =
        if all.len() < SMALL { all.chunks(part).enumerate().map(sum).collect() } else { all.par_chunks(part).enumerate().map(sum).collect() };
    let mut total = vec![[0f64; 2]; centre.len()];
    for sums in partial {
        for (t, s) in total.iter_mut().zip(sums) {
            t[0] += s[0];
            t[1] += s[1];
        }
    }
    total
}

/// Mean and biased variance of the batch.
fn batch_statistics(isa: Isa, x: &Images) -> (Vec<f32>, Vec<f32>) {
    let c = x.size()[2];
    let part = parts(x.len(), x.floats().len() / x.len().max(1));
    let moments: Vec<Moments> = if x.floats().len() < SMALL {
        x.floats().chunks(part).map(|pixels| Moments::of(isa, pixels, c)).collect()
    } else {
        x.floats().par_chunks(part).map(|pixels| Moments::of(isa, pixels, c)).collect()
    };
    moments.into_iter().fold(Moments::default(), Moments::merge).mean_and_variance()
}

struct Forward {
    x: Images,
    gamma: FlexTensor,
    statistics: Statistics,
    out: FlexTensor,
}

fn run(x: FlexTensor, gamma: FlexTensor, [beta, mean, variance]: [FlexTensor; 3], added: FlexTensor, settings: Settings) -> Forward {
    let isa = Isa::current();
    let x = Images::new(x).channels_last();
    let (gamma, beta) = (gamma.to_contiguous(), beta.to_contiguous());
    let (mean, variance) = if settings.batch_statistics {
        batch_statistics(isa, &x)
    } else {
        (floats(&mean.to_contiguous()).to_vec(), floats(&variance.to_contiguous()).to_vec())
    };
    let statistics = Statistics::new(mean, variance, settings.epsilon);
    let added = settings.add.then(|| Images::new(added).channels_last());
    let out = apply(isa, &x, &statistics.affine(floats(&gamma), floats(&beta)), added.as_ref(), settings.relu);
    Forward { x, gamma, statistics, out }
}

/// x·scale + shift (+ `added`), after max(·, 0) where `relu`; `affine` is scale and shift.
pub(super) fn apply(isa: Isa, x: &Images, affine: &[Vec<f32>; 2], added: Option<&Images>, relu: bool) -> FlexTensor {
    assert!(added.is_none_or(|a| (a.len(), a.size(), a.order()) == (x.len(), x.size(), x.order())), "images of the same shape are added");
    let affine = affine.each_ref().map(|v| Repeated::new(v));
    let from = x.floats();
    let mut out = uninit::<f32>(from.len());
    let part = parts(x.len(), from.len() / x.len().max(1));
    let work = |(i, to): (usize, &mut [MaybeUninit<f32>])| {
        let range = i * part..(i * part + part).min(from.len());
        let add = added.map(|a| &a.floats()[range.clone()]);
        passes::affine(isa, &from[range], &affine, add, relu, to);
    };
    if from.len() < SMALL {
        out.chunks_mut(part).enumerate().for_each(work);
    } else {
        out.par_chunks_mut(part).enumerate().for_each(work);
    }
    // SAFETY: the parts cover everything, and `affine` writes all of its part.
    Images::tensor(unsafe { filled(out) }, x.len(), x.size())
}

impl NormTail for Flex {
    fn norm_tail(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        added: FlexTensor,
        settings: Settings,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let Forward { statistics, out, .. } = run(x, gamma, [beta, mean, variance], added, settings);
        let c = statistics.mean.len();
        (out, dense(statistics.mean, &[c]), dense(statistics.variance, &[c]))
    }
}

/// What the backward pass keeps.
#[derive(Debug, Clone)]
struct State {
    settings: Settings,
    x: Images,
    gamma: FlexTensor,
    statistics: Statistics,
    /// The output, where there is a ReLU.
    out: Option<Images>,
}

/// Gradients of the input, of what was added (where asked for), of γ and of β.
fn backward(isa: Isa, state: &State, dy: &Images, added: bool) -> (Vec<f32>, Option<Vec<f32>>, Vec<f32>, Vec<f32>) {
    let State { settings, x, gamma, statistics, out } = state;
    let gradient = Masked { dy: dy.floats(), out: out.as_ref().map(Images::floats) };
    let made = statistics.gradients(isa, x, gradient, floats(gamma), settings.batch_statistics);
    let from = x.floats();
    let mut dx = uninit::<f32>(from.len());
    let mut passed = uninit::<f32>(if added { from.len() } else { 0 });
    let part = parts(x.len(), from.len() / x.len().max(1));
    let mut passed_chunks = passed.chunks_mut(part);
    let chunks: Vec<_> = dx.chunks_mut(part).map(|dx| (dx, passed_chunks.next())).collect();
    type Chunk<'a> = (&'a mut [MaybeUninit<f32>], Option<&'a mut [MaybeUninit<f32>]>);
    let work = |(i, (dx, passed)): (usize, Chunk)| {
        let range = i * part..i * part + dx.len();
        let gradient = Masked { dy: &gradient.dy[range.clone()], out: gradient.out.map(|o| &o[range.clone()]) };
        passes::combine(isa, &from[range], gradient, &made.input, dx, passed);
    };
    if from.len() < SMALL {
        chunks.into_iter().enumerate().for_each(work);
    } else {
        chunks.into_par_iter().enumerate().for_each(work);
    }
    // SAFETY: the parts cover everything, and `combine` writes all of its part.
    unsafe { (filled(dx), added.then(|| filled(passed)), made.gamma, made.beta) }
}

/// The backward pass; its parents are input, γ, β and what was added.
#[derive(Debug)]
struct NormTailBackward;

impl Backward<Flex, 4> for NormTailBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 4>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = Images::new(grads.consume::<Flex>(&ops.node)).channels_last();
        let state = ops.state;
        let [input, gamma, beta, added] = ops.parents;
        let (n, size) = (state.x.len(), state.x.size());
        let (dx, passed, d_gamma, d_beta) = backward(Isa::current(), &state, &dy, added.is_some());
        if let Some(node) = input {
            grads.register::<Flex>(node.id, Images::tensor(dx, n, size));
        }
        if let Some(node) = gamma {
            grads.register::<Flex>(node.id, dense(d_gamma, &[size[2]]));
        }
        if let Some(node) = beta {
            grads.register::<Flex>(node.id, dense(d_beta, &[size[2]]));
        }
        if let (Some(node), Some(passed)) = (added, passed) {
            grads.register::<Flex>(node.id, Images::tensor(passed, n, size));
        }
    }
}

impl<C: CheckpointStrategy> NormTail for Autodiff<Flex, C> {
    fn norm_tail(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        added: FloatTensor<Self>,
        settings: Settings,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, x_node) = x.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();
        let (added, added_node) = added.into_parts();
        let constants = [beta, mean.into_primitive(), variance.into_primitive()];
        let Forward { x, gamma, statistics, out } = run(x, gamma, constants, added, settings);
        let c = statistics.mean.len();
        let [mean, variance] = [&statistics.mean, &statistics.variance].map(|v| <Self as AutodiffBackend>::from_inner(dense(v.clone(), &[c])));
        let out = match NormTailBackward.prepare::<C>([x_node, gamma_node, beta_node, added_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let kept = settings.relu.then(|| Images::new(out.clone()));
                prepared.finish(State { settings, x, gamma, statistics, out: kept }, out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        };
        (out, mean, variance)
    }
}
