//! The weight gradient: for every weight, Σ over output pixels of the input it met times that pixel's output gradient.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::blocks::{Block, blocks, split};
use super::geometry::Sizes;
use super::runs::Runs;
use crate::kernels::padded::Padded;
use crate::kernels::simd::{Isa, load, load_some, mul_add, store};

/// Accumulates weight gradients in packed order.
#[derive(Debug)]
pub struct WeightGradient {
    sizes: Sizes,
    runs: Runs,
    blocks: Vec<Block>,
    len: usize,
    lanes: usize,
}

impl WeightGradient {
    /// For inputs padded as `input` says.
    pub fn new(isa: Isa, sizes: &Sizes, input: &Padded) -> Self {
        let runs = Runs::forward(sizes, input);
        let (blocks, len) = blocks(isa, sizes.channels(), runs.offsets.len() * runs.len);
        Self { sizes: *sizes, runs, blocks, len, lanes: isa.lanes() }
    }

    /// Floats of a packed gradient.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds the gradient of `images` images to `packed`. `x` holds the inputs, padded as `input` says, one after the other; `dy` the output
    /// gradients, padded as `output` says, with [`WeightGradient::spare`] floats after the last.
    ///
    /// # Panics
    /// Slices that are too short.
    pub fn add(&self, isa: Isa, images: usize, x: (&[f32], &Padded), dy: (&[f32], &Padded), packed: &mut [f32]) {
        assert_eq!((self.lanes, self.len), (isa.lanes(), packed.len()), "packed for another instruction set");
        let rows = self.rows(images, x, dy);
        isa.dispatch(Add { gradient: self, blocks: &self.blocks, rows: &rows, x: x.0, dy: dy.0, packed: packed.as_mut_ptr() });
    }

    /// The packed gradient of `images` images (see [`WeightGradient::add`]), one task a block: for weights so large that a copy a task
    /// would cost more than the sums.
    pub fn by_blocks(&self, isa: Isa, images: usize, x: (&[f32], &Padded), dy: (&[f32], &Padded)) -> Vec<f32> {
        assert_eq!(self.lanes, isa.lanes(), "packed for another instruction set");
        let rows = self.rows(images, x, dy);
        let mut packed = vec![0f32; self.len];
        let parts = split(&self.blocks, self.lanes, self.runs.offsets.len() * self.runs.len, &mut packed);
        self.blocks.par_iter().zip(parts).for_each(|(block, part)| {
            let block = [Block { packed: 0, ..*block }];
            isa.dispatch(Add { gradient: self, blocks: &block, rows: &rows, x: x.0, dy: dy.0, packed: part.as_mut_ptr() });
        });
        packed
    }

    /// Floats that must follow the last output gradient: a block's vectors may read beyond a pixel's channels.
    pub fn spare(&self) -> usize {
        self.blocks.iter().map(|b| b.vectors * self.lanes).max().unwrap_or(0)
    }

    /// Every row of output pixels, after a check that it lies in the slices.
    fn rows(&self, images: usize, (x, input): (&[f32], &Padded), (dy, output): (&[f32], &Padded)) -> Vec<Row> {
        assert!(x.len() >= images * input.len() && dy.len() >= images * output.len() + self.spare(), "images outside of the scratch");
        assert!(output.size == self.sizes.output && *input == self.sizes.padded_input(), "other images");
        let height = self.sizes.output[0];
        let stride = self.sizes.geometry.stride;
        let row = |image: usize, y: usize| Row { x: image * input.len() + y * stride * input.row(), dy: image * output.len() + output.at(y, 0) };
        (0..images).flat_map(|image| (0..height).map(move |y| row(image, y))).collect()
    }

    /// Weights in torch's order, O×(C/groups)×Kh×Kw, from packed ones.
    pub fn unpack(&self, packed: &[f32]) -> Vec<f32> {
        let mut weights = vec![0f32; self.sizes.weights()];
        let channel = self.sizes.weights() / self.sizes.output[2];
        let mut parts = Vec::with_capacity(self.blocks.len());
        let mut rest = &mut weights[..];
        for block in &self.blocks {
            let (part, more) = rest.split_at_mut(block.channels * channel);
            parts.push(part);
            rest = more;
        }
        let unpack = |(block, part): (&Block, &mut [f32])| {
            let (width, len, seen) = (block.vectors * self.lanes, self.runs.len, self.sizes.channels().input);
            // Channel by channel as in `Product::new`.
            for input in 0..seen {
                for (run, t) in (0..self.runs.offsets.len()).flat_map(|run| (input..len).step_by(seen).map(move |t| (run, t))) {
                    let (at, step) = self.runs.weight(&self.sizes, block.channel, run, t);
                    let row = &packed[block.packed + (run * len + t) * width..][..block.channels];
                    part[at - block.channel * channel..].iter_mut().step_by(step).zip(row).for_each(|(w, v)| *w = *v);
                }
            }
        };
        if self.len < 1 << 16 {
            self.blocks.iter().zip(parts).for_each(unpack);
        } else {
            self.blocks.par_iter().zip(parts).for_each(unpack);
        }
        weights
    }
}

/// Where a row of output pixels lies.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// The first input of its first pixel.
    x: usize,
    /// Its first output gradient.
    dy: usize,
}

struct Add<'a> {
    gradient: &'a WeightGradient,
    blocks: &'a [Block],
    rows: &'a [Row],
    x: &'a [f32],
    dy: &'a [f32],
    /// The blocks' packed gradients, exclusively ours until this is done.
    packed: *mut f32,
}

/// Output pixels whose gradients stay in the first-level cache while all weights go over them.
const BAND: usize = 256;

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for band in self.rows.chunks((BAND / self.gradient.sizes.output[1]).max(1)) {
            for block in self.blocks {
                match (self.gradient.sizes.channels().are_depthwise(), block.vectors) {
                    (false, 1) => taps::<S, 1>(simd, &self, band, block),
                    (false, 2) => taps::<S, 2>(simd, &self, band, block),
                    (false, _) => taps::<S, 4>(simd, &self, band, block),
                    (true, 1) => depthwise::<S, 1>(simd, &self, band, block),
                    (true, 2) => depthwise::<S, 2>(simd, &self, band, block),
                    (true, _) => depthwise::<S, 4>(simd, &self, band, block),
                }
            }
        }
    }
}

/// All weights of one block. Accumulators fill the registers: 16 of them with 8 lanes (6×2, 12×1), 32 with 16 (12×2) or 4 (6×4).
#[inline(always)]
fn taps<S: Simd, const V: usize>(simd: S, add: &Add, band: &[Row], block: &Block) {
    let runs = &add.gradient.runs;
    for (r, offset) in runs.offsets.iter().enumerate() {
        let mut t = 0;
        while t < runs.len {
            let place = Place { offset: *offset + block.input + t, row: r * runs.len + t };
            let left = runs.len - t;
            // SAFETY: `place` lies in the run, `WeightGradient::add` has checked the slices' lengths.
            t += unsafe {
                match left {
                    12.. if S::F32_LANES == 16 || V == 1 => some_taps::<S, 12, V, false>(simd, add, place, band, block),
                    6.. => some_taps::<S, 6, V, false>(simd, add, place, band, block),
                    3.. => some_taps::<S, 3, V, false>(simd, add, place, band, block),
                    _ => some_taps::<S, 1, V, false>(simd, add, place, band, block),
                }
            };
        }
    }
}

/// The same where every channel sees itself alone: one weight of every channel of the block at a time.
#[inline(always)]
fn depthwise<S: Simd, const V: usize>(simd: S, add: &Add, band: &[Row], block: &Block) {
    for (row, offset) in add.gradient.runs.offsets.iter().enumerate() {
        let place = Place { offset: *offset + block.input, row };
        // SAFETY: `place` is a run of one float, `WeightGradient::add` has checked the slices' lengths.
        unsafe { some_taps::<S, 1, V, true>(simd, add, place, band, block) };
    }
}

/// Where some neighbouring weights lie.
#[derive(Clone, Copy)]
struct Place {
    /// Their input's offset from a pixel's.
    offset: usize,
    /// Their packed row.
    row: usize,
}

/// T neighbouring weights × V vectors of output channels over a band of pixels; gives T.
///
/// # Safety
/// The T inputs of every output pixel must lie in `add.x`, a block of channels of every pixel in `add.dy`, T packed rows in `add.packed`.
#[inline(always)]
unsafe fn some_taps<S: Simd, const T: usize, const V: usize, const DEPTHWISE: bool>(
    simd: S,
    add: &Add,
    place: Place,
    band: &[Row],
    block: &Block,
) -> usize {
    let sizes = &add.gradient.sizes;
    let (step_x, step_dy) = (sizes.geometry.stride * sizes.input[2], sizes.output[2]);
    // SAFETY: the caller's.
    unsafe {
        let packed = add.packed.add(block.packed + place.row * V * S::F32_LANES);
        let mut acc: [[S::f32s; V]; T] = std::array::from_fn(|t| std::array::from_fn(|v| load(packed.add((t * V + v) * S::F32_LANES), simd)));
        for row in band {
            let mut x = add.x.as_ptr().add(row.x + place.offset);
            let mut dy = add.dy.as_ptr().add(row.dy + block.channel);
            for _ in 0..sizes.output[1] {
                let gradient: [S::f32s; V] = std::array::from_fn(|v| load(dy.add(v * S::F32_LANES), simd));
                for t in 0..T {
                    if DEPTHWISE {
                        for v in 0..V {
                            let left = block.channels - v * S::F32_LANES;
                            acc[t][v] = mul_add(simd, load_some(x.add(v * S::F32_LANES), left, simd), gradient[v], acc[t][v]);
                        }
                        continue;
                    }
                    let value = simd.splat_f32s(*x.add(t));
                    for v in 0..V {
                        acc[t][v] = mul_add(simd, value, gradient[v], acc[t][v]);
                    }
                }
                x = x.wrapping_add(step_x);
                dy = dy.wrapping_add(step_dy);
            }
        }
        for t in 0..T {
            for v in 0..V {
                store(packed.add((t * V + v) * S::F32_LANES), acc[t][v]);
            }
        }
    }
    T
}
