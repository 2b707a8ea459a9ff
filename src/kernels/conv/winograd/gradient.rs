//! The weight gradient by tiles: dG = Gᵀ[Σ (A y Aᵀ) ⊙ (Bᵀ d B)]G, y the gradient of a tile's outputs and d its inputs; the transpose of
//! the forward pass, term by term.

use pulp::{Simd, WithSimd};

use super::transforms::{inputs, kernel_gradient, output_gradients};
use super::{POINTS, STRIP, Scratch, TILE, block, plane, suits};
use crate::kernels::conv::geometry::Sizes;
use crate::kernels::padded::Padded;
use crate::kernels::simd::{Isa, load, mul_add, store};

/// Accumulates weight gradients at the points.
#[derive(Debug)]
pub struct Gradient {
    sizes: Sizes,
    block: usize,
    lanes: usize,
}

impl Gradient {
    /// Of a convolution that suits.
    ///
    /// # Panics
    /// One that does not.
    pub fn new(isa: Isa, sizes: &Sizes) -> Self {
        assert!(suits(sizes), "whole tiles and vectors");
        Self { sizes: *sizes, block: block(isa, sizes.output[2]), lanes: isa.lanes() }
    }

    /// Floats of a gradient at the points.
    pub fn len(&self) -> usize {
        POINTS * self.sizes.input[2] * self.sizes.output[2]
    }

    /// Adds the gradient of `images` images to `points`. `x` holds the inputs, padded as `input` says, one after the other; `dy` the output
    /// gradients, padded as `output` says.
    ///
    /// # Panics
    /// Slices that are too short.
    pub fn add(&self, isa: Isa, images: usize, x: (&[f32], &Padded), dy: (&[f32], &Padded), points: &mut [f32], scratch: &mut Scratch) {
        let ((x, input), (dy, output)) = (x, dy);
        assert_eq!((self.lanes, self.len()), (isa.lanes(), points.len()), "points for another instruction set");
        assert!(x.len() >= images * input.len() && dy.len() >= images * output.len(), "images outside of the scratch");
        assert!(output.size == self.sizes.output && *input == self.sizes.padded_input(), "other images");
        let [h, w, to] = self.sizes.output;
        let from = self.sizes.input[2];
        let tiles = (0..images).flat_map(|i| (0..h).step_by(TILE).flat_map(move |y| (0..w).step_by(TILE).map(move |x| (i, y, x))));
        // The tile of outputs at y, x is made of the padded inputs from y, x on.
        let tiles = tiles.map(|(i, y, x)| [i * input.len() + y * input.row() + x * from, i * output.len() + output.at(y, x)]).collect();
        let room = scratch.room([from, to]);
        isa.dispatch(Add { gradient: self, tiles, x, dy, rows: [input.row(), output.row()], points, room });
    }

    /// The weights' gradients in torch's order.
    pub fn unpack(&self, points: &[f32]) -> Vec<f32> {
        let (from, to) = (self.sizes.input[2], self.sizes.output[2]);
        let mut weights = Vec::with_capacity(self.sizes.weights());
        for k in 0..to {
            for c in 0..from {
                let at = (k / self.block * from + c) * self.block + k % self.block;
                weights.extend(kernel_gradient(std::array::from_fn(|p| points[p * from * to + at])));
            }
        }
        weights
    }
}

struct Add<'a> {
    gradient: &'a Gradient,
    /// Where a tile's inputs and its output gradients begin.
    tiles: Vec<[usize; 2]>,
    x: &'a [f32],
    dy: &'a [f32],
    /// Floats of a row of each.
    rows: [usize; 2],
    points: &'a mut [f32],
    room: [&'a mut [f32]; 2],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gradient, tiles, x, dy, rows, points, room: [seen, wanted] } = self;
        let (from, to) = (gradient.sizes.input[2], gradient.sizes.output[2]);
        let planes = [plane(from), plane(to)];
        for strip in tiles.chunks(STRIP) {
            // SAFETY: `Gradient::add` has checked the images' lengths, in which every tile lies; `Scratch::room` has room for all points
            // of a strip, `points` for all pairs of channels, and channels are whole vectors.
            unsafe {
                for (t, [input, output]) in strip.iter().enumerate() {
                    inputs(simd, x.as_ptr().add(*input), rows[0], from, seen.as_mut_ptr().add(t * from), planes[0]);
                    output_gradients(simd, dy.as_ptr().add(*output), rows[1], to, wanted.as_mut_ptr().add(t * to), planes[1]);
                }
                for p in 0..POINTS {
                    let strip =
                        Strip { from, to, tiles: strip.len(), seen: seen.as_ptr().add(p * planes[0]), wanted: wanted.as_ptr().add(p * planes[1]) };
                    let sums = points.as_mut_ptr().add(p * from * to);
                    match gradient.block / S::F32_LANES {
                        1 => pairs::<S, 1>(simd, strip, sums),
                        2 => pairs::<S, 2>(simd, strip, sums),
                        _ => pairs::<S, 4>(simd, strip, sums),
                    }
                }
            }
        }
    }
}

/// One point of a strip.
#[derive(Clone, Copy)]
struct Strip {
    from: usize,
    to: usize,
    tiles: usize,
    /// Tiles × channels of the inputs.
    seen: *const f32,
    /// Tiles × channels of the output gradients.
    wanted: *const f32,
}

/// Adds every pair of channels' sum over the strip.
///
/// # Safety
/// The strip's floats must be readable, `sums` hold `from` × `to` of them in blocks of V vectors.
#[inline(always)]
unsafe fn pairs<S: Simd, const V: usize>(simd: S, strip: Strip, sums: *mut f32) {
    for first in (0..strip.to).step_by(V * S::F32_LANES) {
        let mut c = 0;
        while c < strip.from {
            // Accumulators fill the registers; input channels are multiples of 16, which 12, 6 and 4 make up.
            let left = strip.from - c;
            // SAFETY: the caller's; as many channels are left.
            c += unsafe {
                match left {
                    12 | 16.. if S::F32_LANES == 16 => some_pairs::<S, 12, V>(simd, strip, c, first, sums),
                    6 | 10.. if S::F32_LANES != 16 => some_pairs::<S, 6, V>(simd, strip, c, first, sums),
                    _ => some_pairs::<S, 4, V>(simd, strip, c, first, sums),
                }
            };
        }
    }
}

/// C input channels from `c` on × V vectors of output channels from `first` on; gives C.
///
/// # Safety
/// As for [`pairs`].
#[inline(always)]
unsafe fn some_pairs<S: Simd, const C: usize, const V: usize>(simd: S, strip: Strip, c: usize, first: usize, sums: *mut f32) -> usize {
    // SAFETY: the caller's.
    unsafe {
        let sums = sums.add(first * strip.from + c * V * S::F32_LANES);
        let mut acc: [[S::f32s; V]; C] = std::array::from_fn(|i| std::array::from_fn(|v| load(sums.add((i * V + v) * S::F32_LANES), simd)));
        let (mut seen, mut wanted) = (strip.seen.add(c), strip.wanted.add(first));
        for _ in 0..strip.tiles {
            let gradient: [S::f32s; V] = std::array::from_fn(|v| load(wanted.add(v * S::F32_LANES), simd));
            for i in 0..C {
                let value = simd.splat_f32s(*seen.add(i));
                for v in 0..V {
                    acc[i][v] = mul_add(simd, value, gradient[v], acc[i][v]);
                }
            }
            seen = seen.wrapping_add(strip.from);
            wanted = wanted.wrapping_add(strip.to);
        }
        for i in 0..C {
            for v in 0..V {
                store(sums.add((i * V + v) * S::F32_LANES), acc[i][v]);
            }
        }
    }
    C
}
