//! Which way a convolution goes: directly, or by tiles.

use std::mem::MaybeUninit;

use super::geometry::Sizes;
use super::group;
use super::pixels::{List, Pixels};
use super::product::{Finish, Product};
use super::runs::{Runs, backward_pixels, even_pixels, forward_pixels};
use super::weight_gradient::WeightGradient;
use super::winograd::{self, Gradient, Scratch, TILE, Winograd};
use crate::kernels::padded::Padded;
use crate::kernels::simd::Isa;

/// A way to convolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Every output pixel for itself.
    Direct,
    /// In tiles; for sizes that suit (see [`winograd::suits`]).
    Tiles,
}

/// Tiles from which it pays to take the kernels to their points: some 100 cycles a pair of channels, as a tile saves about one.
const ENOUGH: usize = 256;

impl Algorithm {
    /// The faster one; depends on the sizes alone.
    pub fn of(sizes: &Sizes) -> Self {
        let tiles = sizes.n * sizes.output[0] * sizes.output[1] / (TILE * TILE);
        if winograd::suits(sizes) && tiles >= ENOUGH { Self::Tiles } else { Self::Direct }
    }
}

/// What a group of images is multiplied with, and their pixels.
#[derive(Debug)]
pub enum Pass {
    /// Directly.
    Direct(Product, Pixels),
    /// By tiles, of which the list has the upper left pixels.
    Tiles(Winograd, List),
}

impl Pass {
    /// The forward pass over inputs padded as `padded` says.
    pub fn forward(algorithm: Algorithm, isa: Isa, sizes: &Sizes, padded: &Padded, weights: &[f32], bias: &[f32]) -> Self {
        let images = group::images(sizes);
        if algorithm == Algorithm::Tiles {
            return Self::Tiles(Winograd::forward(isa, sizes, padded, weights, Some(bias)), forward_pixels(sizes, padded, images, TILE));
        }
        let runs = Runs::forward(sizes, padded);
        let place = |channel, run, t| runs.weight(sizes, channel, run, t);
        let product = Product::new(isa, (runs.offsets.clone(), runs.len), sizes.channels(), weights, Some(bias), place).alone(sizes.n == 1);
        let pixels = even_pixels(sizes, padded).unwrap_or_else(|| Pixels::Listed(forward_pixels(sizes, padded, images, 1)));
        Self::Direct(product, pixels)
    }

    /// The data gradient over output gradients padded as `output` says: one pass for each phase of the stride.
    pub fn backward(algorithm: Algorithm, isa: Isa, sizes: &Sizes, output: &Padded, weights: &[f32]) -> Vec<Self> {
        let images = group::images(sizes);
        if algorithm == Algorithm::Tiles {
            return vec![Self::Tiles(Winograd::backward(isa, sizes, output, weights), backward_pixels(sizes, output, [0, 0], images, TILE))];
        }
        let stride = sizes.geometry.stride;
        let phases = (0..stride).flat_map(|y| (0..stride).map(move |x| [y, x]));
        let pass = |phase| {
            let runs = Runs::backward(sizes, output, phase);
            let place = |channel, run, t| runs.transposed_weight(sizes, channel, run, t);
            let product = Product::new(isa, (runs.offsets.clone(), runs.len), sizes.channels_back(), weights, None, place).alone(sizes.n == 1);
            Self::Direct(product, Pixels::Listed(backward_pixels(sizes, output, phase, images, 1)))
        };
        phases.map(pass).collect()
    }

    /// Writes the pass's pixels of `images` images.
    ///
    /// # Panics
    /// Pixels outside of `x` or `out`; another instruction set than the pass was made for.
    pub fn apply(&self, isa: Isa, x: &[f32], images: usize, finish: Finish, out: &mut [MaybeUninit<f32>], scratch: &mut Scratch) {
        match self {
            Self::Direct(product, pixels) => product.apply(isa, x, (pixels, images), finish, out),
            Self::Tiles(tiles, list) => tiles.apply(isa, x, (list, images), finish, out, scratch),
        }
    }

    /// Adds to them instead.
    ///
    /// # Panics
    /// As [`Pass::apply`].
    pub fn accumulate(&self, isa: Isa, x: &[f32], images: usize, out: &mut [f32], scratch: &mut Scratch) {
        match self {
            Self::Direct(product, pixels) => product.accumulate(isa, x, (pixels, images), out),
            Self::Tiles(tiles, list) => tiles.accumulate(isa, x, (list, images), out, scratch),
        }
    }
}

/// Weights of which no partial gradients are made.
const LARGE: usize = 1 << 18;

/// The weight gradient.
#[derive(Debug)]
pub enum Weights {
    /// For every output pixel.
    Direct(WeightGradient),
    /// For every tile.
    Tiles(Gradient),
}

impl Weights {
    /// Over inputs padded as `input` says.
    pub fn new(algorithm: Algorithm, isa: Isa, sizes: &Sizes, input: &Padded) -> Self {
        if algorithm == Algorithm::Tiles {
            return Self::Tiles(Gradient::new(isa, sizes));
        }
        Self::Direct(WeightGradient::new(isa, sizes, input))
    }

    /// The direct one of weights so large that tasks share them out, not the images.
    pub fn large(&self) -> Option<&WeightGradient> {
        match self {
            Self::Direct(gradient) if gradient.len() >= LARGE => Some(gradient),
            _ => None,
        }
    }

    /// Floats of a gradient on the way.
    pub fn len(&self) -> usize {
        match self {
            Self::Direct(gradient) => gradient.len(),
            Self::Tiles(gradient) => gradient.len(),
        }
    }

    /// Floats that must follow the last output gradient.
    pub fn spare(&self) -> usize {
        match self {
            Self::Direct(gradient) => gradient.spare(),
            Self::Tiles(_) => 0,
        }
    }

    /// Adds the gradient of `images` images (see [`WeightGradient::add`]).
    ///
    /// # Panics
    /// Slices that are too short.
    pub fn add(&self, isa: Isa, images: usize, x: (&[f32], &Padded), dy: (&[f32], &Padded), sums: &mut [f32], scratch: &mut Scratch) {
        match self {
            Self::Direct(gradient) => gradient.add(isa, images, x, dy, sums),
            Self::Tiles(gradient) => gradient.add(isa, images, x, dy, sums, scratch),
        }
    }

    /// The gradient in torch's order.
    pub fn unpack(&self, sums: &[f32]) -> Vec<f32> {
        match self {
            Self::Direct(gradient) => gradient.unpack(sums),
            Self::Tiles(gradient) => gradient.unpack(sums),
        }
    }
}
