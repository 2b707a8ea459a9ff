//! The gradients of a convolution with its tail: of input, weights and bias in one pass over the images.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::algorithm::{Algorithm, Pass, Weights};
use super::geometry::Sizes;
use super::group;
use super::product::Finish;
use super::runs::backward_padding;
use super::tail::{self, Saved};
use super::weight_gradient::WeightGradient;
use super::winograd::Scratch;
use crate::kernels::images::{Images, Order};
use crate::kernels::memory::{as_uninit, filled, into_uninit, uninit};
use crate::kernels::norm::{Masked, Repeated, combine};
use crate::kernels::padded::{Padded, copy_padded};
use crate::kernels::simd::Isa;

/// Which gradients to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Of the input.
    pub input: bool,
    /// Of the weights.
    pub weights: bool,
    /// Of the bias.
    pub bias: bool,
    /// Of what was added behind the normalisation.
    pub added: bool,
}

/// The gradients that were asked for.
#[derive(Debug)]
pub struct Gradients {
    /// N×H×W×C.
    pub input: Option<Vec<f32>>,
    /// In torch's order.
    pub weights: Option<Vec<f32>>,
    /// One value an output channel.
    pub bias: Option<Vec<f32>>,
    /// Of what was added behind the normalisation, N×H×W×C.
    pub added: Option<Vec<f32>>,
}

/// Forward values that a gradient needs.
#[derive(Debug, Clone)]
pub enum SavedBatch {
    /// Without a tail.
    None,
    /// The output of [`super::tail::Tail::Relu`], channels last.
    Relu(Images),
    /// The places of [`super::tail::Tail::ReluMaxPool`].
    ReluMaxPool(std::sync::Arc<Vec<u8>>),
    /// Behind a normalisation.
    Norm(Normalised),
}

/// What the gradient of a normalisation behind the convolution needs.
#[derive(Debug, Clone)]
pub struct Normalised {
    /// The convolution's output.
    pub y: Images,
    /// The output, where there is a ReLU.
    pub out: Option<Images>,
    /// See [`crate::kernels::norm::Statistics::gradients`].
    pub coefficients: [Repeated; 3],
}

impl Normalised {
    /// Takes image `i`'s gradient `dy` back through the normalisation, into the interior of `to`; what was added gets `added`.
    fn backward(&self, isa: Isa, i: usize, dy: &[f32], padded: &Padded, to: &mut [f32], added: Option<&mut [MaybeUninit<f32>]>) {
        let row = padded.size[1] * padded.size[2];
        let mut added = added.map(|a| a.chunks_exact_mut(row));
        for (y, (x, dy)) in self.y.image(i).chunks_exact(row).zip(dy.chunks_exact(row)).enumerate() {
            let gradient = Masked { dy, out: self.out.as_ref().map(|o| &o.image(i)[y * row..][..row]) };
            // SAFETY: `combine` writes numbers.
            let to = unsafe { as_uninit(&mut to[padded.at(y, 0)..][..row]) };
            combine(isa, x, gradient, &self.coefficients, to, added.as_mut().and_then(Iterator::next));
        }
    }
}

/// Partial weight gradients: sums over as many parts of the batch, whatever the number of threads, added in order.
const PARTS: usize = 8;

/// What a backward pass is given.
#[derive(Debug)]
pub struct Given<'a> {
    /// The way to convolve.
    pub algorithm: Algorithm,
    /// The forward pass's.
    pub sizes: &'a Sizes,
    /// The input.
    pub x: &'a Images,
    /// The weights, in torch's order.
    pub weights: &'a [f32],
    /// Forward values.
    pub saved: &'a SavedBatch,
    /// The gradient of the output.
    pub dy: &'a Images,
    /// What to compute.
    pub needs: Needs,
    /// Gradients that the input's are added to, N×H×W×C.
    pub onto: Option<Vec<f32>>,
}

/// The gradients of [`super::forward::forward`].
///
/// # Panics
/// Slices and sizes that do not belong together.
pub fn backward(isa: Isa, given: Given) -> Gradients {
    let Given { algorithm, sizes, x, weights, saved, dy, needs, onto } = given;
    assert_eq!((x.len(), x.size(), weights.len()), (sizes.n, sizes.input, sizes.weights()), "a batch and weights of these sizes");
    let [h, w, c] = sizes.output;
    let tail = if matches!(saved, SavedBatch::ReluMaxPool(_)) { [h / 2, w / 2, c] } else { [h, w, c] };
    assert_eq!((dy.len(), dy.size()), (sizes.n, tail), "a gradient of these sizes");
    assert!(!needs.added || matches!(saved, SavedBatch::Norm(_)), "only normalisation adds");
    let input = sizes.padded_input();
    let gradient = Weights::new(algorithm, isa, sizes, &input);
    let output = if needs.input { backward_padding(sizes) } else { Padded { size: sizes.output, before: [0, 0], after: [0, 0] } };
    let passes = if needs.input { Pass::backward(algorithm, isa, sizes, &output, weights) } else { Vec::new() };
    let accumulate = onto.is_some();
    let mut dx = match onto {
        Some(onto) => {
            assert_eq!(onto.len(), sizes.n * sizes.input_len(), "gradients of the input");
            into_uninit(onto)
        }
        None => uninit(if needs.input { sizes.n * sizes.input_len() } else { 0 }),
    };
    let mut added = uninit::<f32>(if needs.added { sizes.n * sizes.output_len() } else { 0 });
    let job = Job { isa, sizes, x, dy, saved, needs, accumulate, input, output, gradient, passes };
    let large = job.gradient.large().filter(|_| needs.weights);
    let per_part = if large.is_some() { group::images(sizes) } else { sizes.n.div_ceil(PARTS).max(1) };
    let mut dx_chunks = dx.chunks_mut((per_part * sizes.input_len()).max(1));
    let mut added_chunks = added.chunks_mut((per_part * sizes.output_len()).max(1));
    let work: Vec<Part> = (0..sizes.n)
        .step_by(per_part)
        .map(|first| Part { images: first..(first + per_part).min(sizes.n), dx: dx_chunks.next(), added: added_chunks.next() })
        .collect();
    let (weights, bias) = if let Some(gradient) = large {
        let (weights, bias) = job.run_large(gradient, work);
        (Some(weights), needs.bias.then_some(bias))
    } else {
        let run = |part: Part| job.run(part);
        let sums: Vec<Sums> = if group::is_small(sizes) { work.into_iter().map(run).collect() } else { work.into_par_iter().map(run).collect() };
        let weights = needs.weights.then(|| job.gradient.unpack(&total(sums.iter().map(|s| &s.weights[..]).collect())));
        (weights, needs.bias.then(|| total(sums.iter().map(|s| &s.bias[..]).collect())))
    };
    Gradients {
        // SAFETY: every image's part of `dx` was handed to `Job::run` or `Job::run_large`, which write all of it where it is asked for.
        input: needs.input.then(|| unsafe { filled(dx) }),
        weights,
        bias,
        // SAFETY: likewise.
        added: needs.added.then(|| unsafe { filled(added) }),
    }
}

/// Consecutive images, and their parts of the gradients.
struct Part<'a> {
    images: std::ops::Range<usize>,
    dx: Option<&'a mut [MaybeUninit<f32>]>,
    added: Option<&'a mut [MaybeUninit<f32>]>,
}

/// Sums of equally long slices, in their order.
fn total(parts: Vec<&[f32]>) -> Vec<f32> {
    let mut sum = parts[0].to_vec();
    let chunk = 1 << 14;
    let add = |(i, sum): (usize, &mut [f32])| {
        for part in &parts[1..] {
            sum.iter_mut().zip(&part[i * chunk..]).for_each(|(s, v)| *s += v);
        }
    };
    if sum.len() <= 2 * chunk {
        sum.chunks_mut(chunk).enumerate().for_each(add);
    } else {
        sum.par_chunks_mut(chunk).enumerate().for_each(add);
    }
    sum
}

struct Job<'a> {
    isa: Isa,
    sizes: &'a Sizes,
    x: &'a Images,
    dy: &'a Images,
    saved: &'a SavedBatch,
    needs: Needs,
    /// `dx` holds gradients already.
    accumulate: bool,
    input: Padded,
    output: Padded,
    gradient: Weights,
    passes: Vec<Pass>,
}

/// Sums over a part of the batch.
struct Sums {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Job<'_> {
    /// True if the inputs are read where they are.
    fn reads_in_place(&self) -> bool {
        self.input.is_tight() && self.x.order() == Order::ChannelsLast
    }

    /// Writes all of the part's gradients that are asked for.
    fn run(&self, part: Part) -> Sums {
        let Part { images: part, mut dx, mut added } = part;
        let group = group::images(self.sizes);
        let mut x_scratch = vec![0f32; if self.reads_in_place() || !self.needs.weights { 0 } else { group * self.input.len() }];
        let mut dy_scratch = vec![0f32; group * self.output.len() + self.gradient.spare()];
        let mut tiles = Scratch::default();
        let mut sums = Sums {
            weights: vec![0f32; if self.needs.weights { self.gradient.len() } else { 0 }],
            bias: vec![0f32; if self.needs.bias { self.sizes.output[2] } else { 0 }],
        };
        for first in part.clone().step_by(group) {
            let images = group.min(part.end - first);
            for (i, to) in dy_scratch.chunks_exact_mut(self.output.len()).take(images).enumerate() {
                let len = self.sizes.output_len();
                let added = added.as_mut().map(|a| &mut a[(first + i - part.start) * len..][..len]);
                self.before_tail(first + i, to, added);
                if self.needs.bias {
                    tail::add_channels(self.isa, to, &self.output, &mut sums.bias);
                }
            }
            if self.needs.weights {
                let x = if self.reads_in_place() {
                    &self.x.floats()[first * self.input.len()..][..images * self.input.len()]
                } else {
                    for (i, to) in x_scratch.chunks_exact_mut(self.input.len()).take(images).enumerate() {
                        copy_padded(self.x.image(first + i), self.x.order(), &self.input, to);
                    }
                    &x_scratch[..]
                };
                self.gradient.add(self.isa, images, (x, &self.input), (&dy_scratch, &self.output), &mut sums.weights, &mut tiles);
            }
            if let (true, Some(dx)) = (self.needs.input, &mut dx) {
                let len = self.sizes.input_len();
                self.input_gradient(&dy_scratch, images, &mut dx[(first - part.start) * len..][..images * len], &mut tiles);
            }
        }
        sums
    }

    /// The same for weights so large that tasks share them out, not the images; parts of one group each. Gives the gradients of weights and
    /// bias, in torch's order.
    fn run_large(&self, gradient: &WeightGradient, parts: Vec<Part>) -> (Vec<f32>, Vec<f32>) {
        let (n, group) = (self.sizes.n, group::images(self.sizes));
        let mut x_all = vec![0f32; if self.reads_in_place() { 0 } else { n * self.input.len() }];
        x_all.par_chunks_mut(self.input.len()).enumerate().for_each(|(i, to)| copy_padded(self.x.image(i), self.x.order(), &self.input, to));
        let mut dy_all = vec![0f32; n * self.output.len() + gradient.spare()];
        let gather = |(part, dy): (Part, &mut [f32])| {
            let Part { images, dx, mut added } = part;
            let len = self.sizes.output_len();
            let mut bias = vec![0f32; self.sizes.output[2]];
            for (i, to) in dy.chunks_exact_mut(self.output.len()).take(images.len()).enumerate() {
                self.before_tail(images.start + i, to, added.as_mut().map(|a| &mut a[i * len..][..len]));
                tail::add_channels(self.isa, to, &self.output, &mut bias);
            }
            if let (true, Some(dx)) = (self.needs.input, dx) {
                self.input_gradient(dy, images.len(), dx, &mut Scratch::default());
            }
            bias
        };
        let bias: Vec<Vec<f32>> = parts.into_par_iter().zip(dy_all.par_chunks_mut(group * self.output.len())).map(gather).collect();
        let x = if self.reads_in_place() { self.x.floats() } else { &x_all };
        let packed = gradient.by_blocks(self.isa, n, (x, &self.input), (&dy_all, &self.output));
        (gradient.unpack(&packed), total(bias.iter().map(|b| &b[..]).collect()))
    }

    /// The input's gradient for some images, from the gradients before the tail.
    fn input_gradient(&self, dy: &[f32], images: usize, dx: &mut [MaybeUninit<f32>], tiles: &mut Scratch) {
        for pass in &self.passes {
            if self.accumulate {
                // SAFETY: what gradients are added to came in as floats.
                let dx: &mut [f32] = unsafe { std::slice::from_raw_parts_mut(dx.as_mut_ptr().cast(), dx.len()) };
                pass.accumulate(self.isa, dy, images, dx, tiles);
            } else {
                pass.apply(self.isa, dy, images, Finish::default(), dx, tiles);
            }
        }
    }

    /// The gradient of image `i` before the tail, into the interior of `to`.
    fn before_tail(&self, i: usize, to: &mut [f32], added: Option<&mut [MaybeUninit<f32>]>) {
        let dy = self.dy.image(i);
        let saved = match self.saved {
            SavedBatch::Norm(norm) => return norm.backward(self.isa, i, dy, &self.output, to, added),
            SavedBatch::None => Saved::None,
            SavedBatch::Relu(out) => Saved::Relu(out.image(i)),
            SavedBatch::ReluMaxPool(places) => {
                let len = places.len() / self.sizes.n;
                Saved::ReluMaxPool(&places[i * len..][..len])
            }
        };
        tail::backward(self.isa, dy, self.dy.order(), saved, &self.output, to);
    }
}
