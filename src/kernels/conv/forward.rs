//! The forward pass of a convolution with its tail.

use std::mem::MaybeUninit;

use super::algorithm::{Algorithm, Pass};
use super::geometry::Sizes;
use super::group;
use super::product::Finish;
use super::tail::{Floor, Tail, max_pool_image};
use super::winograd;
use crate::kernels::images::{Images, Order};
use crate::kernels::memory::{filled, uninit};
use crate::kernels::moments::Moments;
use crate::kernels::padded::{Padded, copy_padded};
use crate::kernels::simd::Isa;

/// What a forward pass leaves.
#[derive(Debug)]
pub struct Output {
    /// N×H×W×C after the tail.
    pub floats: Vec<f32>,
    /// For [`Tail::ReluMaxPool`], if asked for: where each maximum came from.
    pub places: Option<Vec<u8>>,
    /// If asked for: mean and biased variance of every output channel.
    pub moments: Option<Moments>,
}

/// How to convolve, what is done behind it, and what is kept of it.
#[derive(Debug, Clone, Copy)]
pub struct Behind<'a> {
    /// The way to convolve; the gradient's may be another.
    pub algorithm: Algorithm,
    /// The fused layers.
    pub tail: Tail,
    /// Added before the tail: N×H×W×C like the convolution's own output.
    pub add: Option<&'a [f32]>,
    /// Keep the places of maxima.
    pub places: bool,
    /// Compute the outputs' moments.
    pub moments: bool,
}

/// Convolves `x` with `weights` (torch's order) and adds `bias`, one value an output channel.
///
/// # Panics
/// Slices and sizes that do not belong together.
pub fn forward(isa: Isa, sizes: &Sizes, x: &Images, weights: &[f32], bias: &[f32], behind: Behind) -> Output {
    assert_eq!((x.len(), x.size(), weights.len()), (sizes.n, sizes.input, sizes.weights()), "a batch and weights of these sizes");
    assert_eq!(bias.len(), sizes.output[2], "a bias for every output channel");
    assert!(behind.add.is_none_or(|a| a.len() == sizes.n * sizes.output_len()), "images of the output's size are added");
    let padded = sizes.padded_input();
    let job = Job { isa, sizes, x, padded, pass: Pass::forward(behind.algorithm, isa, sizes, &padded, weights, bias), behind };
    let size: usize = behind.tail.output(sizes.output).iter().product();
    let chunk = (group::images(sizes) * size).max(1);
    let mut floats = uninit::<f32>(sizes.n * size);
    let mut places = uninit::<u8>(if behind.places && behind.tail == Tail::ReluMaxPool { floats.len() } else { 0 });
    let keep = !places.is_empty();
    let mut moments = vec![Moments::default(); floats.len().div_ceil(chunk)];
    let mut place_chunks = places.chunks_mut(chunk);
    let chunks: Vec<Chunk> = floats
        .chunks_mut(chunk)
        .zip(&mut moments)
        .map(|(floats, moments)| Chunk { floats, places: if keep { place_chunks.next() } else { None }, moments })
        .collect();
    group::for_each(sizes, chunks, || Scratch::new(&job), |scratch, first, chunk| job.run(scratch, first, chunk));
    let moments = behind.moments.then(|| moments.into_iter().fold(Moments::default(), Moments::merge));
    // SAFETY: every chunk was handed to `Job::run`, which writes all of its floats and places.
    unsafe { Output { floats: filled(floats), places: keep.then(|| filled(places)), moments } }
}

/// A group's part of the output.
struct Chunk<'a> {
    floats: &'a mut [MaybeUninit<f32>],
    places: Option<&'a mut [MaybeUninit<u8>]>,
    moments: &'a mut Moments,
}

struct Job<'a> {
    isa: Isa,
    sizes: &'a Sizes,
    x: &'a Images,
    padded: Padded,
    pass: Pass,
    behind: Behind<'a>,
}

/// One thread's room.
struct Scratch {
    input: Vec<f32>,
    full: Vec<MaybeUninit<f32>>,
    tiles: winograd::Scratch,
}

impl Scratch {
    fn new(job: &Job) -> Self {
        let images = group::images(job.sizes);
        let input = if job.reads_in_place() { 0 } else { images * job.padded.len() };
        let full = if job.behind.tail == Tail::ReluMaxPool { images * job.sizes.output_len() } else { 0 };
        Self { input: vec![0.0; input], full: uninit(full), tiles: winograd::Scratch::default() }
    }
}

impl Job<'_> {
    /// True if the input needs neither zeros around it nor another order.
    fn reads_in_place(&self) -> bool {
        self.padded.is_tight() && self.x.order() == Order::ChannelsLast
    }

    /// The images from `first` on that the chunk has room for.
    fn run(&self, scratch: &mut Scratch, first: usize, chunk: Chunk) {
        let Chunk { floats, places, moments } = chunk;
        let Behind { tail, add, .. } = self.behind;
        let (full_len, output) = (self.sizes.output_len(), tail.output(self.sizes.output).iter().product::<usize>());
        let images = floats.len() / output.max(1);
        let x = if self.reads_in_place() {
            &self.x.floats()[first * self.sizes.input_len()..][..images * self.sizes.input_len()]
        } else {
            for (i, to) in scratch.input.chunks_exact_mut(self.padded.len()).take(images).enumerate() {
                copy_padded(self.x.image(first + i), self.x.order(), &self.padded, to);
            }
            &scratch.input[..]
        };
        let finish = Finish { add: add.map(|a| &a[first * full_len..][..images * full_len]), relu: tail != Tail::None };
        if tail != Tail::ReluMaxPool {
            self.pass.apply(self.isa, x, images, finish, floats, &mut scratch.tiles);
            if self.behind.moments {
                // SAFETY: `apply` writes every channel of every pixel, and these are all of the images' pixels.
                let written: &[f32] = unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), floats.len()) };
                *moments = Moments::of(self.isa, written, self.sizes.output[2]);
            }
            return;
        }
        let full = &mut scratch.full[..images * full_len];
        self.pass.apply(self.isa, x, images, finish, full, &mut scratch.tiles);
        // SAFETY: as above.
        let full: &[f32] = unsafe { std::slice::from_raw_parts(full.as_ptr().cast(), full.len()) };
        let mut places = places.map(|p| p.chunks_exact_mut(output));
        for (full, to) in full.chunks_exact(full_len).zip(floats.chunks_exact_mut(output)) {
            max_pool_image(self.isa, self.sizes.output, full, Floor::Zero, to, places.as_mut().and_then(Iterator::next));
        }
    }
}
