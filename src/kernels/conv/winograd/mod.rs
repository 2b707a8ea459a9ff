//! Convolutions of 3×3 and stride 1 with a third to a half of the multiplications: minimal filtering in tiles of 2×2 outputs (Winograd
//! 1980; Lavin & Gray 2016, arXiv 1509.09308, §4.1, F(2×2, 3×3)).
//!
//! A tile of 4×4 inputs d and a kernel g are taken to 16 *points* each, where the convolution is a product point by point; the sum over
//! input channels is a matrix product for every point:
//!
//! Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, 16 multiplications a tile and pair of channels instead of 36.
//!
//! The data gradient is the same with turned kernels; the weight gradient takes the sums' gradients to the points instead
//! (see `gradient`). Sums are of other terms than the direct ones, rounding is of a similar size: the tests hold both to sums in f64,
//! tiles with 3 % of the largest sum's terms beside a sum's own.

mod gradient;
mod transforms;

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use super::geometry::Sizes;
use super::pixels::{List, Pixel};
use super::product::Finish;
use crate::kernels::fits;
use crate::kernels::padded::Padded;
use crate::kernels::simd::{Isa, load, mul_add, store};
pub use gradient::Gradient;
use transforms::{inputs, kernel_points, outputs};

/// Points of a tile.
const POINTS: usize = 16;
/// Outputs of a tile along each side.
pub const TILE: usize = 2;
/// Channels come in multiples of this, so that vectors of every instruction set are whole.
const CHANNELS: usize = 16;
/// Pairs of channels up to which the kernels' points stay in the second-level cache (1 MiB).
const MOST_PAIRS: usize = 1 << 14;
/// Tiles that are taken through all steps together: a multiple of every tile of registers; their points share the second-level cache
/// with the kernels'.
const STRIP: usize = 24;

/// True if a convolution can go by tiles, forward and backward.
pub fn suits(sizes: &Sizes) -> bool {
    let ([h, w, from], [ho, wo, to]) = (sizes.input, sizes.output);
    let whole = [h, w, ho, wo].iter().all(|size| size.is_multiple_of(TILE)) && from.is_multiple_of(CHANNELS) && to.is_multiple_of(CHANNELS);
    let g = sizes.geometry;
    whole && sizes.kernel == [3, 3] && g.stride == 1 && g.groups == 1 && g.padding <= 2 && from * to <= MOST_PAIRS
}

/// Output channels that registers hold at a time.
fn block(isa: Isa, channels: usize) -> usize {
    // Two vectors, one where there are not as many channels; four of the short ones.
    if isa.lanes() == 16 && channels.is_multiple_of(2 * CHANNELS) { 2 * CHANNELS } else { CHANNELS }
}

/// Floats from one point of a strip to the next: not a multiple of a power of two, or a tile's points would crowd a few lines of the cache.
fn plane(channels: usize) -> usize {
    STRIP * channels + 16
}

/// A convolution by tiles: the kernels at their points.
#[derive(Debug)]
pub struct Winograd {
    /// Channels in and out.
    from: usize,
    to: usize,
    /// Floats of a row of the padded inputs and of the outputs.
    rows: [usize; 2],
    bias: Option<Vec<f32>>,
    /// Point by point, block by block of output channels: input channel × output channel of the block.
    points: Vec<f32>,
    block: usize,
    lanes: usize,
}

impl Winograd {
    /// The forward pass over inputs padded as `padded` says; `weights` in torch's order, `bias` one value an output channel.
    ///
    /// # Panics
    /// A convolution that does not suit; slices of other sizes.
    pub fn forward(isa: Isa, sizes: &Sizes, padded: &Padded, weights: &[f32], bias: Option<&[f32]>) -> Self {
        assert!(suits(sizes) && bias.is_none_or(|b| b.len() == sizes.output[2]), "whole tiles and vectors, and a bias for every output channel");
        let [from, to] = [sizes.input[2], sizes.output[2]];
        let rows = [padded.row(), sizes.output[1] * to];
        Self::new(isa, [from, to], rows, bias, |c, k| kernel(weights, (k * from + c) * 9, false))
    }

    /// The data gradient over output gradients padded as `padded` says.
    ///
    /// # Panics
    /// As [`Winograd::forward`].
    pub fn backward(isa: Isa, sizes: &Sizes, padded: &Padded, weights: &[f32]) -> Self {
        assert!(suits(sizes), "whole tiles and vectors");
        let [from, to] = [sizes.output[2], sizes.input[2]];
        let rows = [padded.row(), sizes.input[1] * to];
        Self::new(isa, [from, to], rows, None, |c, k| kernel(weights, (c * to + k) * 9, true))
    }

    fn new(isa: Isa, [from, to]: [usize; 2], rows: [usize; 2], bias: Option<&[f32]>, kernel: impl Fn(usize, usize) -> [f32; 9]) -> Self {
        let block = block(isa, to);
        let mut points = vec![0f32; POINTS * from * to];
        for k in 0..to {
            for c in 0..from {
                let at = (k / block * from + c) * block + k % block;
                for (p, value) in kernel_points(kernel(c, k)).into_iter().enumerate() {
                    points[p * from * to + at] = value;
                }
            }
        }
        Self { from, to, rows, bias: bias.map(<[f32]>::to_vec), points, block, lanes: isa.lanes() }
    }

    /// Writes the tile of every pixel of the first `images` images, which are the tiles' upper left ones.
    ///
    /// # Panics
    /// A tile outside of `x` or `out`; points made for another instruction set.
    pub fn apply(&self, isa: Isa, x: &[f32], tiles: (&List, usize), finish: Finish, out: &mut [MaybeUninit<f32>], scratch: &mut Scratch) {
        assert!(finish.add.is_none_or(|add| add.len() == out.len()), "what is added has the output's length");
        let tiles = self.checked(isa, x.len(), tiles, out.len());
        let room = scratch.room([self.from, self.to]);
        let add = finish.add.map(<[f32]>::as_ptr);
        isa.dispatch(Apply { kernels: self, x, tiles, relu: finish.relu, add, out: out.as_mut_ptr().cast(), room });
    }

    /// Adds to the tiles instead.
    ///
    /// # Panics
    /// As [`Winograd::apply`].
    pub fn accumulate(&self, isa: Isa, x: &[f32], tiles: (&List, usize), out: &mut [f32], scratch: &mut Scratch) {
        let tiles = self.checked(isa, x.len(), tiles, out.len());
        let room = scratch.room([self.from, self.to]);
        let out = out.as_mut_ptr();
        isa.dispatch(Apply { kernels: self, x, tiles, relu: false, add: Some(out.cast_const()), out, room });
    }

    fn checked<'p>(&self, isa: Isa, inputs: usize, (tiles, images): (&'p List, usize), outputs: usize) -> &'p [Pixel] {
        assert_eq!(self.lanes, isa.lanes(), "points for another instruction set");
        let (tiles, [input, output]) = tiles.of(images);
        let reach = [3 * self.rows[0] + 4 * self.from, self.rows[1] + 2 * self.to];
        assert!(tiles.is_empty() || (fits(input, reach[0], inputs) && fits(output, reach[1], outputs)), "tiles outside of the images");
        tiles
    }
}

/// The kernel of nine weights at `at`; turned by half a turn for a data gradient.
fn kernel(weights: &[f32], at: usize, turned: bool) -> [f32; 9] {
    std::array::from_fn(|i| weights[at + if turned { 8 - i } else { i }])
}

/// Room for a strip's points; kept between calls.
#[derive(Debug, Default)]
pub struct Scratch(Vec<f32>);

impl Scratch {
    /// Two planes a point, of as many channels each.
    fn room(&mut self, channels: [usize; 2]) -> [&mut [f32]; 2] {
        let [first, second] = channels.map(|c| POINTS * plane(c));
        if self.0.len() < first + second {
            self.0.resize(first + second, 0.0);
        }
        let (a, b) = self.0.split_at_mut(first);
        [a, &mut b[..second]]
    }
}

struct Apply<'a> {
    kernels: &'a Winograd,
    x: &'a [f32],
    tiles: &'a [Pixel],
    relu: bool,
    /// As long as the output, or the output itself.
    add: Option<*const f32>,
    /// The caller's output, exclusively ours until this is done.
    out: *mut f32,
    room: [&'a mut [f32]; 2],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { kernels: Winograd { from, to, rows, bias, points, block, .. }, x, tiles, relu, add, out, room: [made, sums] } = self;
        let planes = [plane(*from), plane(*to)];
        let bias = bias.as_ref().map(|b| b.as_ptr());
        for strip in tiles.chunks(STRIP) {
            // SAFETY: `Winograd::checked` has seen that every tile's inputs and outputs lie in `x` and `out`, `Scratch::room` has room for
            // all points of a strip, and channels are whole vectors.
            unsafe {
                for (t, tile) in strip.iter().enumerate() {
                    inputs(simd, x.as_ptr().add(tile.input), rows[0], *from, made.as_mut_ptr().add(t * from), planes[0]);
                }
                for p in 0..POINTS {
                    let shape = Shape { from: *from, to: *to, tiles: strip.len() };
                    let (v, u, m) = (made.as_ptr().add(p * planes[0]), points.as_ptr().add(p * from * to), sums.as_mut_ptr().add(p * planes[1]));
                    match block / S::F32_LANES {
                        1 => multiply::<S, 1>(simd, shape, v, u, m),
                        2 => multiply::<S, 2>(simd, shape, v, u, m),
                        _ => multiply::<S, 4>(simd, shape, v, u, m),
                    }
                }
                for (t, tile) in strip.iter().enumerate() {
                    let at = (out.add(tile.output), add.map(|add| add.add(tile.output)));
                    outputs(simd, sums.as_ptr().add(t * to), planes[1], (*to, rows[1]), bias, relu, at);
                }
            }
        }
    }
}

/// Of a point's product.
#[derive(Clone, Copy)]
struct Shape {
    from: usize,
    to: usize,
    tiles: usize,
}

/// Tiles × output channels of one point, m = v·u; of the last rows of a strip more than asked for, all in its room.
///
/// # Safety
/// `v` and `m` must have room for [`STRIP`] tiles of `from` and `to` channels, `u` hold the point's kernels in blocks of V vectors.
#[inline(always)]
unsafe fn multiply<S: Simd, const V: usize>(simd: S, shape: Shape, v: *const f32, u: *const f32, m: *mut f32) {
    let Shape { from, to, tiles } = shape;
    // As in the direct product, accumulators fill the registers.
    let rows = if S::F32_LANES == 16 { 12 } else { 6 };
    for first in (0..to).step_by(V * S::F32_LANES) {
        for t in (0..tiles).step_by(rows) {
            // SAFETY: the caller's; a strip is whole tiles of registers.
            unsafe {
                let (v, u, m) = (v.add(t * from), u.add(first * from), m.add(t * to + first));
                if S::F32_LANES == 16 { some_tiles::<S, 12, V>(simd, [from, to], v, u, m) } else { some_tiles::<S, 6, V>(simd, [from, to], v, u, m) }
            }
        }
    }
}

/// T tiles × V vectors of output channels of one point.
///
/// # Safety
/// As for [`multiply`].
#[inline(always)]
unsafe fn some_tiles<S: Simd, const T: usize, const V: usize>(simd: S, [from, to]: [usize; 2], v: *const f32, mut u: *const f32, m: *mut f32) {
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [[simd.splat_f32s(0.0); V]; T];
        for c in 0..from {
            let kernels: [S::f32s; V] = std::array::from_fn(|i| load(u.add(i * S::F32_LANES), simd));
            for t in 0..T {
                let value = simd.splat_f32s(*v.add(t * from + c));
                for i in 0..V {
                    acc[t][i] = mul_add(simd, value, kernels[i], acc[t][i]);
                }
            }
            u = u.add(V * S::F32_LANES);
        }
        for t in 0..T {
            for i in 0..V {
                store(m.add(t * to + i * S::F32_LANES), acc[t][i]);
            }
        }
    }
}
