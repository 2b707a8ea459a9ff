//! What takes tiles, kernels and sums to the points and back: Bᵀ d B, G g Gᵀ, Aᵀ m A, and their transposes for the weight gradient. All
//! over vectors of channels.

use pulp::Simd;

use super::POINTS;
use crate::kernels::simd::{load, relu as relu_of, store};

/// G g Gᵀ of one kernel, row by row.
pub fn kernel_points(g: [f32; 9]) -> [f32; POINTS] {
    let along = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns: [[f32; 4]; 3] = std::array::from_fn(|x| along([g[x], g[3 + x], g[6 + x]]));
    let mut points = [0f32; POINTS];
    for (y, row) in points.chunks_exact_mut(4).enumerate() {
        row.copy_from_slice(&along([columns[0][y], columns[1][y], columns[2][y]]));
    }
    points
}

/// Gᵀ u G: the gradient of [`kernel_points`].
pub fn kernel_gradient(u: [f32; POINTS]) -> [f32; 9] {
    let along = |[a, b, c, d]: [f32; 4]| [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d];
    let columns: [[f32; 3]; 4] = std::array::from_fn(|x| along([u[x], u[4 + x], u[8 + x], u[12 + x]]));
    let mut g = [0f32; 9];
    for (y, row) in g.chunks_exact_mut(3).enumerate() {
        row.copy_from_slice(&along(columns.map(|c| c[y])));
    }
    g
}

/// Bᵀ d B of the tile whose first pixel is at `d`, its rows `row` floats apart; the points go to `to`, `plane` floats apart.
///
/// # Safety
/// Four rows of four pixels of `channels` floats must be readable at `d`, the points writable, `channels` whole vectors.
#[inline(always)]
pub unsafe fn inputs<S: Simd>(simd: S, d: *const f32, row: usize, channels: usize, to: *mut f32, plane: usize) {
    for c in (0..channels).step_by(S::F32_LANES) {
        // SAFETY: the caller's.
        unsafe {
            let at = |y: usize, x: usize| load(d.add(y * row + x * channels + c), simd);
            let write = |y: usize, t: [S::f32s; 4]| {
                let to = to.add(4 * y * plane + c);
                store(to, simd.sub_f32s(t[0], t[2]));
                store(to.add(plane), simd.add_f32s(t[1], t[2]));
                store(to.add(2 * plane), simd.sub_f32s(t[2], t[1]));
                store(to.add(3 * plane), simd.sub_f32s(t[1], t[3]));
            };
            // A row of points at a time: all 16 inputs would not fit the registers, and are in the first-level cache.
            write(0, std::array::from_fn(|x| simd.sub_f32s(at(0, x), at(2, x))));
            write(1, std::array::from_fn(|x| simd.add_f32s(at(1, x), at(2, x))));
            write(2, std::array::from_fn(|x| simd.sub_f32s(at(2, x), at(1, x))));
            write(3, std::array::from_fn(|x| simd.sub_f32s(at(1, x), at(3, x))));
        }
    }
}

/// Aᵀ m A of the points at `m`, `plane` floats apart, plus `bias` and what lies at the second of `at`, after max(·, 0) where `relu`:
/// the 2×2 pixels at the first of `at`, of `channels` floats, their rows `row` floats apart.
///
/// # Safety
/// The points and what is added must be readable, the pixels writable, `channels` whole vectors.
#[inline(always)]
pub unsafe fn outputs<S: Simd>(
    simd: S,
    m: *const f32,
    plane: usize,
    (channels, row): (usize, usize),
    bias: Option<*const f32>,
    relu: bool,
    at: (*mut f32, Option<*const f32>),
) {
    let zero = simd.splat_f32s(0.0);
    for c in (0..channels).step_by(S::F32_LANES) {
        // SAFETY: the caller's.
        unsafe {
            let point = |y: usize, x: usize| load(m.add((4 * y + x) * plane + c), simd);
            let bias = bias.map_or(zero, |b| load(b.add(c), simd));
            let columns: [[S::f32s; 2]; 4] = std::array::from_fn(|x| {
                let (middle, lower) = (point(1, x), point(2, x));
                let both = simd.add_f32s(middle, lower);
                [simd.add_f32s(point(0, x), both), simd.sub_f32s(simd.sub_f32s(middle, lower), point(3, x))]
            });
            for y in 0..2 {
                let [a, b, c2, d] = columns.map(|column| column[y]);
                let both = simd.add_f32s(b, c2);
                let sums = [simd.add_f32s(a, both), simd.sub_f32s(simd.sub_f32s(b, c2), d)];
                for (x, sum) in sums.into_iter().enumerate() {
                    let place = y * row + x * channels + c;
                    let mut value = simd.add_f32s(sum, bias);
                    if let Some(add) = at.1 {
                        value = simd.add_f32s(value, load(add.add(place), simd));
                    }
                    if relu {
                        value = relu_of(simd, value);
                    }
                    store(at.0.add(place), value);
                }
            }
        }
    }
}

/// A y Aᵀ, the gradient of [`outputs`], of the 2×2 pixels at `y`, their rows `row` floats apart.
///
/// # Safety
/// The pixels must be readable, the points at `to` writable, `channels` whole vectors.
#[inline(always)]
pub unsafe fn output_gradients<S: Simd>(simd: S, y: *const f32, row: usize, channels: usize, to: *mut f32, plane: usize) {
    for c in (0..channels).step_by(S::F32_LANES) {
        // SAFETY: the caller's.
        unsafe {
            let at = |py: usize, px: usize| load(y.add(py * row + px * channels + c), simd);
            let write = |i: usize, [a, b]: [S::f32s; 2]| {
                let to = to.add(4 * i * plane + c);
                store(to, a);
                store(to.add(plane), simd.add_f32s(a, b));
                store(to.add(2 * plane), simd.sub_f32s(a, b));
                store(to.add(3 * plane), simd.neg_f32s(b));
            };
            let (upper, lower) = ([at(0, 0), at(0, 1)], [at(1, 0), at(1, 1)]);
            write(0, upper);
            write(1, std::array::from_fn(|x| simd.add_f32s(upper[x], lower[x])));
            write(2, std::array::from_fn(|x| simd.sub_f32s(upper[x], lower[x])));
            write(3, lower.map(|v| simd.neg_f32s(v)));
        }
    }
}
