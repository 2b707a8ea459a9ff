//! A convolution as an implicit matrix product, channels last: every output pixel is Σ over *runs* of contiguous input floats times packed
//! weights, with no copy of the input in another order (no im2col).
//!
//! A dense 3×3 convolution has three runs of 3·C floats a pixel, one for each kernel row; the data gradient of a strided convolution is
//! one product for each phase of the stride (Dumoulin & Visin 2016, §4), whose runs are the output gradients that reach those pixels.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::blocks::{Block, Channels, blocks, split};
use super::pixels::{Pixel, Pixels, Places, Row};
use crate::kernels::fits;
use crate::kernels::simd::{Isa, MAX_LANES, load, load_some, mul_add, relu as relu_of, store, store_some};

/// The right-hand side of the product: packed weights of every block.
#[derive(Debug)]
pub struct Product {
    /// Input offset of every run from the pixel's.
    runs: Vec<usize>,
    /// Floats of a run.
    len: usize,
    blocks: Vec<Block>,
    /// A block: its bias, then for each run and each float of it the block's output channels, zero-padded to whole vectors.
    packed: Vec<f32>,
    lanes: usize,
    /// Vectors of weights meet vectors of inputs, channel by channel.
    depthwise: bool,
    /// There is one image: threads share out its pixels or its channels.
    alone: bool,
    /// Floats after a pixel's first that its runs and its output channels reach.
    reach: [usize; 2],
}

impl Product {
    /// `runs` and `len` as in the module's description. Of the weights in `from`, `place(channel, run, float)` says where an output
    /// channel's lies and how far on the next channel's of its group; `bias` has one value an output channel.
    pub fn new(
        isa: Isa,
        (runs, len): (Vec<usize>, usize),
        seen: Channels,
        from: &[f32],
        bias: Option<&[f32]>,
        place: impl Fn(usize, usize, usize) -> (usize, usize) + Sync,
    ) -> Self {
        let lanes = isa.lanes();
        let rows = 1 + runs.len() * len;
        let (blocks, weights) = blocks(isa, seen, rows);
        let mut packed = vec![0f32; weights];
        let parts = split(&blocks, lanes, rows, &mut packed);
        let pack = |(block, part): (&Block, &mut [f32])| {
            let (first, rows) = part.split_at_mut(block.vectors * lanes);
            if let Some(bias) = bias {
                first[..block.channels].copy_from_slice(&bias[block.channel..][..block.channels]);
            }
            // Channel by channel, not row by row: the kernel elements of a pair of channels lie side by side.
            for channel in 0..seen.input {
                for (run, t) in (0..runs.len()).flat_map(|run| (channel..len).step_by(seen.input).map(move |t| (run, t))) {
                    let (at, step) = place(block.channel, run, t);
                    let row = &mut rows[(run * len + t) * block.vectors * lanes..][..block.channels];
                    row.iter_mut().zip(from[at..].iter().step_by(step)).for_each(|(to, w)| *to = *w);
                }
            }
        };
        // Small weights are packed before a second thread has woken up.
        if weights < 1 << 16 {
            blocks.iter().zip(parts).for_each(pack);
        } else {
            blocks.par_iter().zip(parts).for_each(pack);
        }
        let run_end = runs.iter().max().map_or(0, |r| r + len);
        let depthwise = seen.are_depthwise();
        // A depthwise run is a float of every channel of the block.
        let block_end = blocks.iter().map(|b| b.input + if depthwise { b.channels - 1 } else { 0 }).max().unwrap_or(0);
        let reach = [run_end + block_end, seen.groups * seen.output];
        Self { runs, len, blocks, packed, lanes, depthwise, alone: false, reach }
    }

    /// The same for a batch of one image, if so.
    pub fn alone(self, alone: bool) -> Self {
        Self { alone, ..self }
    }

    /// Writes `out[pixel.output + channel]` for every pixel of the first `images` images and every output channel.
    ///
    /// # Panics
    /// A pixel whose runs or channels lie outside of `x`, `out` or what is added; a product packed for another instruction set.
    pub fn apply(&self, isa: Isa, x: &[f32], pixels: (&Pixels, usize), finish: Finish, out: &mut [MaybeUninit<f32>]) {
        self.check(isa, x.len(), pixels, out.len());
        assert!(finish.add.is_none_or(|add| add.len() == out.len()), "what is added has the output's length");
        self.run(isa, x, pixels, finish.relu, Shared { add: finish.add.map(<[f32]>::as_ptr), out: out.as_mut_ptr().cast() });
    }

    /// Adds to `out[pixel.output + channel]` instead.
    ///
    /// # Panics
    /// As [`Product::apply`].
    pub fn accumulate(&self, isa: Isa, x: &[f32], pixels: (&Pixels, usize), out: &mut [f32]) {
        self.check(isa, x.len(), pixels, out.len());
        let out = out.as_mut_ptr();
        self.run(isa, x, pixels, false, Shared { add: Some(out.cast_const()), out });
    }

    fn run(&self, isa: Isa, x: &[f32], (pixels, images): (&Pixels, usize), relu: bool, shared: Shared) {
        match pixels {
            Pixels::Listed(list) => self.run_over(isa, x, list.of(images).0, relu, shared),
            Pixels::Even { per_image, step } => self.run_over(isa, x, Row::new(images * per_image, *step), relu, shared),
        }
    }

    /// Every pixel by every block; by several threads where the image is alone. A sum is one thread's, so that makes no difference to it.
    fn run_over<Q: Places>(&self, isa: Isa, x: &[f32], pixels: Q, relu: bool, shared: Shared) {
        let tasks = if self.alone && pixels.len() * self.packed.len() >= SHARED_OUT { rayon::current_num_threads() } else { 1 };
        let apply = |pixels, blocks| isa.dispatch(Apply { product: self, x, pixels, blocks, relu, shared });
        if tasks == 1 {
            apply(pixels, &self.blocks);
        } else if self.blocks.len() >= tasks {
            self.blocks.par_chunks(self.blocks.len().div_ceil(tasks)).for_each(|blocks| apply(pixels, blocks));
        } else {
            let each = pixels.len().div_ceil(tasks).next_multiple_of(STRIP / 2);
            pixels.chunks(each).collect::<Vec<_>>().into_par_iter().for_each(|pixels| apply(pixels, &self.blocks));
        }
    }

    /// That the runs and channels of the first `images` images' pixels lie inside of inputs and outputs of these lengths.
    fn check(&self, isa: Isa, inputs: usize, (pixels, images): (&Pixels, usize), outputs: usize) {
        assert_eq!(self.lanes, isa.lanes(), "packed for another instruction set");
        let (count, [input, output]) = match pixels {
            Pixels::Listed(list) => (list.of(images).0.len(), list.of(images).1),
            Pixels::Even { per_image, step } => {
                let count = images.checked_mul(*per_image).expect("as many pixels as memory holds");
                (count, step.map(|s| s.saturating_mul(count.saturating_sub(1))))
            }
        };
        assert!(count == 0 || (fits(input, self.reach[0], inputs) && fits(output, self.reach[1], outputs)), "pixels outside of the images");
    }
}

/// What is done with a sum before it is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finish<'a> {
    /// Images like the output, added.
    pub add: Option<&'a [f32]>,
    /// Then max(·, 0).
    pub relu: bool,
}

/// Multiply-adds from which one image is worth several threads.
const SHARED_OUT: usize = 1 << 21;

/// Pixels whose runs stay in the first-level cache while every block of output channels goes over them.
const STRIP: usize = 48;

/// What all tasks of a pass read and write.
#[derive(Debug, Clone, Copy)]
struct Shared {
    /// As long as the output, or the output itself.
    add: Option<*const f32>,
    /// The caller's output, exclusively the pass's until it returns.
    out: *mut f32,
}

// SAFETY: tasks have other pixels or other blocks of channels than each other, so no float is written, or read at `add` where that is the
// output itself, by two of them; the pass outlives them all.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

struct Apply<'a, Q> {
    product: &'a Product,
    x: &'a [f32],
    pixels: Q,
    blocks: &'a [Block],
    relu: bool,
    shared: Shared,
}

impl<Q: Places> WithSimd for Apply<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for strip in self.pixels.chunks(STRIP) {
            for block in self.blocks {
                match (self.product.depthwise, block.vectors) {
                    (false, 1) => tiles::<S, Q, 1>(simd, &self, strip, block),
                    (false, 2) => tiles::<S, Q, 2>(simd, &self, strip, block),
                    (false, _) => tiles::<S, Q, 4>(simd, &self, strip, block),
                    (true, 1) => depthwise::<S, Q, 1>(simd, &self, strip, block),
                    (true, 2) => depthwise::<S, Q, 2>(simd, &self, strip, block),
                    (true, _) => depthwise::<S, Q, 4>(simd, &self, strip, block),
                }
            }
        }
    }
}

/// One block over a strip. A tile's pixels × vectors accumulators, its weights and a broadcast input fill the registers: 16 of them with
/// 8 lanes (6×2, 8×1), 32 with 16 (8×2, 12×1) or 4 (6×4).
#[inline(always)]
fn tiles<S: Simd, Q: Places, const V: usize>(simd: S, apply: &Apply<Q>, strip: Q, block: &Block) {
    let mut rest = strip;
    if S::F32_LANES == 16 && V == 1 {
        rest = tiles_of::<S, Q, 12, V, false>(simd, apply, rest, block);
    }
    if S::F32_LANES == 16 || V == 1 {
        rest = tiles_of::<S, Q, 8, V, false>(simd, apply, rest, block);
    } else {
        rest = tiles_of::<S, Q, 6, V, false>(simd, apply, rest, block);
    }
    rest = tiles_of::<S, Q, 4, V, false>(simd, apply, rest, block);
    rest = tiles_of::<S, Q, 2, V, false>(simd, apply, rest, block);
    tiles_of::<S, Q, 1, V, false>(simd, apply, rest, block);
}

/// The same where every channel sees itself alone: a tile's pixels × vectors stay in registers, there is nothing to broadcast.
#[inline(always)]
fn depthwise<S: Simd, Q: Places, const V: usize>(simd: S, apply: &Apply<Q>, strip: Q, block: &Block) {
    let rest = tiles_of::<S, Q, 4, V, true>(simd, apply, strip, block);
    tiles_of::<S, Q, 1, V, true>(simd, apply, rest, block);
}

/// As many tiles of P pixels as there are; gives the rest.
#[inline(always)]
fn tiles_of<S: Simd, Q: Places, const P: usize, const V: usize, const DEPTHWISE: bool>(simd: S, apply: &Apply<Q>, mut pixels: Q, block: &Block) -> Q {
    while let Some((tile, rest)) = pixels.split_first::<P>() {
        // SAFETY: `Product::check` has seen that the runs and channels of every pixel lie inside of `x` and `out`.
        unsafe { one_tile::<S, Q, P, V, DEPTHWISE>(simd, apply, &tile, block) };
        pixels = rest;
    }
    pixels
}

/// P pixels × V vectors of output channels.
///
/// # Safety
/// For every pixel, all runs (with the block's shift) must lie in `apply.x` and the block's channels in the shared output and what is added.
#[inline(always)]
unsafe fn one_tile<S: Simd, Q, const P: usize, const V: usize, const DEPTHWISE: bool>(simd: S, apply: &Apply<Q>, tile: &[Pixel; P], block: &Block) {
    let Apply { product, x, relu, shared: Shared { add, out }, .. } = apply;
    // SAFETY: `packed` holds the block's bias and, for each run and float, V vectors (see `Product::new`); the rest is the caller's.
    unsafe {
        let mut w = product.packed.as_ptr().add(block.packed);
        let bias: [S::f32s; V] = std::array::from_fn(|v| load(w.add(v * S::F32_LANES), simd));
        w = w.add(V * S::F32_LANES);
        let mut acc: [[S::f32s; V]; P] = [bias; P];
        let base: [*const f32; P] = std::array::from_fn(|p| x.as_ptr().add(tile[p].input + block.input));
        for run in &product.runs {
            let at: [*const f32; P] = std::array::from_fn(|p| base[p].add(*run));
            for t in 0..product.len {
                let weights: [S::f32s; V] = std::array::from_fn(|v| load(w.add(v * S::F32_LANES), simd));
                for p in 0..P {
                    if DEPTHWISE {
                        for v in 0..V {
                            let left = block.channels - v * S::F32_LANES;
                            acc[p][v] = mul_add(simd, load_some(at[p].add(t + v * S::F32_LANES), left, simd), weights[v], acc[p][v]);
                        }
                        continue;
                    }
                    let value = simd.splat_f32s(*at[p].add(t));
                    for v in 0..V {
                        acc[p][v] = mul_add(simd, value, weights[v], acc[p][v]);
                    }
                }
                w = w.add(V * S::F32_LANES);
            }
        }
        if add.is_none() && block.channels == V * S::F32_LANES {
            for p in 0..P {
                let to = out.add(tile[p].output + block.channel);
                for v in 0..V {
                    store(to.add(v * S::F32_LANES), if *relu { relu_of(simd, acc[p][v]) } else { acc[p][v] });
                }
            }
            return;
        }
        if add.is_none() && block.channels < S::F32_LANES {
            for p in 0..P {
                let value = if *relu { relu_of(simd, acc[p][0]) } else { acc[p][0] };
                store_some(out.add(tile[p].output + block.channel), block.channels, value, simd);
            }
            return;
        }
        // By way of memory: with more to do for each sum the compiler would keep the sums there in the loop above, too.
        let mut sums = [[[MaybeUninit::<f32>::uninit(); MAX_LANES]; V]; P];
        for p in 0..P {
            for v in 0..V {
                store(sums[p][v].as_mut_ptr().cast(), acc[p][v]);
            }
        }
        for p in 0..P {
            for v in 0..V {
                let at = tile[p].output + block.channel + v * S::F32_LANES;
                let mut value = load(sums[p][v].as_ptr().cast(), simd);
                let left = (block.channels - v * S::F32_LANES).min(S::F32_LANES);
                if let Some(add) = add {
                    value = simd.add_f32s(value, load_some(add.add(at), left, simd));
                }
                if *relu {
                    value = relu_of(simd, value);
                }
                store_some(out.add(at), left, value, simd);
            }
        }
    }
}
