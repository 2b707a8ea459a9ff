//! What follows a convolution in the same pass over memory: ReLU, and a 2×2 maximum of stride 2.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use crate::kernels::images::{Order, Size};
use crate::kernels::padded::{Padded, copy_padded};
use crate::kernels::simd::Isa;

/// What is fused behind a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    None,
    /// max(x, 0).
    Relu,
    /// max(x, 0), then the maximum of every 2×2 square; an odd last row or column is left out, as in torch.
    ReluMaxPool,
}

impl Tail {
    /// Size after the tail of an image that is H×W×C before it.
    pub fn output(self, [h, w, c]: Size) -> Size {
        match self {
            Self::None | Self::Relu => [h, w, c],
            Self::ReluMaxPool => [h / 2, w / 2, c],
        }
    }
}

/// The place in its square that a maximum came from (row by row); the first of equal ones.
const SQUARE: [[usize; 2]; 4] = [[0, 0], [0, 1], [1, 0], [1, 1]];
/// Instead of a place, where the maximum is 0: ReLU lets no gradient through.
const NOWHERE: u8 = 4;

/// Which maxima have a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Floor {
    /// All.
    None,
    /// Those above 0.
    Zero,
}

/// The 2×2 maxima of an image H×W×C; with `places` also where each came from.
///
/// # Panics
/// Slices of other lengths.
pub fn max_pool_image(isa: Isa, [h, w, c]: Size, from: &[f32], floor: Floor, to: &mut [MaybeUninit<f32>], places: Option<&mut [MaybeUninit<u8>]>) {
    let (ph, pw) = (h / 2, w / 2);
    assert!(from.len() == h * w * c && to.len() == ph * pw * c, "an image of {h}×{w}×{c}");
    assert!(places.as_ref().is_none_or(|p| p.len() == to.len()), "a place for each maximum");
    let mut places = places.map(|p| p.chunks_exact_mut(pw * c));
    for (y, to) in to.chunks_exact_mut(pw * c).enumerate() {
        let rows = [&from[2 * y * w * c..][..w * c], &from[(2 * y + 1) * w * c..][..w * c]];
        let above = if floor == Floor::Zero { 0.0 } else { f32::NEG_INFINITY };
        isa.dispatch(MaxRow { c, rows, above, to, places: places.as_mut().and_then(Iterator::next) });
    }
}

struct MaxRow<'a> {
    c: usize,
    rows: [&'a [f32]; 2],
    above: f32,
    to: &'a mut [MaybeUninit<f32>],
    places: Option<&'a mut [MaybeUninit<u8>]>,
}

impl WithSimd for MaxRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) {
        let c = self.c;
        for (x, to) in self.to.chunks_exact_mut(c).enumerate() {
            let at = |place: [usize; 2]| &self.rows[place[0]][(2 * x + place[1]) * c..][..c];
            let [p, q, r, s] = SQUARE.map(at);
            let to = &mut to[..c];
            for i in 0..c {
                let (upper, lower) = (larger(p[i], q[i]), larger(r[i], s[i]));
                to[i].write(larger(upper, lower));
            }
            if let Some(places) = &mut self.places {
                let places = &mut places[x * c..][..c];
                for i in 0..c {
                    let largest = larger(larger(p[i], q[i]), larger(r[i], s[i]));
                    let mut place = 3;
                    place = if r[i] == largest { 2 } else { place };
                    place = if q[i] == largest { 1 } else { place };
                    place = if p[i] == largest { 0 } else { place };
                    places[i].write(if largest > self.above { place } else { NOWHERE });
                }
            }
        }
    }
}

/// The larger one; NaN where either is, as in torch's.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// What the gradient of a tail needs of the forward pass, for one image.
#[derive(Debug, Clone, Copy)]
pub enum Saved<'a> {
    /// Nothing.
    None,
    /// The output, H×W×C.
    Relu(&'a [f32]),
    /// Where each maximum came from.
    ReluMaxPool(&'a [u8]),
}

/// Takes the gradient of an image's output back through the tail, into the interior of `to`.
///
/// # Panics
/// Slices of other lengths.
pub fn backward(isa: Isa, dy: &[f32], order: Order, saved: Saved, padded: &Padded, to: &mut [f32]) {
    let [h, w, c] = padded.size;
    match saved {
        Saved::None => copy_padded(dy, order, padded, to),
        Saved::Relu(out) => {
            assert_eq!(out.len(), h * w * c, "the output of the same pass");
            if order == Order::ChannelsFirst {
                copy_padded(dy, order, padded, to);
            }
            for (y, out) in out.chunks_exact(w * c).enumerate() {
                let row = &mut to[padded.at(y, 0)..][..w * c];
                if order == Order::ChannelsLast {
                    row.copy_from_slice(&dy[y * w * c..][..w * c]);
                }
                isa.dispatch(Mask { out, row });
            }
        }
        Saved::ReluMaxPool(places) => {
            let mut reordered = Vec::new();
            let dy = if order == Order::ChannelsLast {
                dy
            } else {
                let tight = Padded { size: [h / 2, w / 2, c], before: [0, 0], after: [0, 0] };
                reordered.resize(dy.len(), 0.0);
                copy_padded(dy, order, &tight, &mut reordered);
                &reordered[..]
            };
            unpool(isa, dy, places, padded, to);
        }
    }
}

/// The gradient of [`max_pool_image`] for an image of `size`: `dy` where the maxima came from, 0 elsewhere.
///
/// # Panics
/// Slices of other lengths.
pub fn unpool_image(isa: Isa, size: Size, dy: &[f32], places: &[u8], to: &mut [f32]) {
    unpool(isa, dy, places, &Padded { size, before: [0, 0], after: [0, 0] }, to);
}

fn unpool(isa: Isa, dy: &[f32], places: &[u8], padded: &Padded, to: &mut [f32]) {
    let [h, w, c] = padded.size;
    let (ph, pw) = (h / 2, w / 2);
    assert!(places.len() == ph * pw * c && dy.len() == ph * pw * c, "the output of the same pass");
    // An odd last row or column has no square.
    if h % 2 == 1 {
        to[padded.at(h - 1, 0)..][..w * c].fill(0.0);
    }
    for (y, (dy, places)) in dy.chunks_exact((pw * c).max(1)).zip(places.chunks_exact((pw * c).max(1))).enumerate() {
        let (upper, lower) = to.split_at_mut(padded.at(2 * y + 1, 0));
        let rows = [&mut upper[padded.at(2 * y, 0)..][..w * c], &mut lower[..w * c]];
        isa.dispatch(UnpoolRow { c, dy, places, rows });
    }
}

struct Mask<'a> {
    out: &'a [f32],
    row: &'a mut [f32],
}

impl WithSimd for Mask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (d, out) in self.row.iter_mut().zip(self.out) {
            *d = if *out > 0.0 { *d } else { 0.0 };
        }
    }
}

struct UnpoolRow<'a> {
    c: usize,
    dy: &'a [f32],
    places: &'a [u8],
    rows: [&'a mut [f32]; 2],
}

impl WithSimd for UnpoolRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let c = self.c;
        for (row, squares) in self.rows.into_iter().zip(SQUARE.chunks(2)) {
            let width = self.places.len() * 2;
            for (x, (dy, places)) in self.dy.chunks_exact(c).zip(self.places.chunks_exact(c)).enumerate() {
                for place in squares {
                    let to = &mut row[(2 * x + place[1]) * c..][..c];
                    let this = (2 * place[0] + place[1]) as u8;
                    let (dy, places) = (&dy[..c], &places[..c]);
                    for i in 0..c {
                        to[i] = if places[i] == this { dy[i] } else { 0.0 };
                    }
                }
            }
            if row.len() > width {
                row[width..].fill(0.0);
            }
        }
    }
}

/// Adds every pixel's channels of the interior of `from` to `sums`.
pub fn add_channels(isa: Isa, from: &[f32], padded: &Padded, sums: &mut [f32]) {
    let [h, w, c] = padded.size;
    assert_eq!(sums.len(), c, "one sum a channel");
    for y in 0..h {
        isa.dispatch(AddChannels { row: &from[padded.at(y, 0)..][..w * c], sums });
    }
}

struct AddChannels<'a> {
    row: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for AddChannels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for pixel in self.row.chunks_exact(self.sums.len()) {
            for (sum, v) in self.sums.iter_mut().zip(pixel) {
                *sum += v;
            }
        }
    }
}
