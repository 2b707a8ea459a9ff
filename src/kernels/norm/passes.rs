//! The loops of normalisation over pixels, channels last. Each goes once over memory; the compiler makes vectors of the blocks of channels.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use crate::kernels::simd::Isa;

/// Pixels that are summed in 32 bits before they go into 64.
const STRIP: usize = 64;

/// A gradient, and the output where only positive ones let it through.
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a> {
    /// The gradient of the output.
    pub dy: &'a [f32],
    /// The output of a ReLU.
    pub out: Option<&'a [f32]>,
}

/// Adds to `sums`, per channel over the pixels of `x`: Σ b and Σ b² with b = x − `centre`; with a gradient d, Σ d and Σ d·b.
///
/// # Panics
/// Slices of other lengths.
pub fn add_sums(isa: Isa, x: &[f32], centre: &[f32], gradient: Option<Masked>, sums: &mut [[f64; 2]]) {
    let c = centre.len();
    assert!(x.len().is_multiple_of(c) && sums.len() == c, "whole pixels of {c} channels");
    isa.dispatch(Sums { x, centre, gradient, sums });
}

struct Sums<'a> {
    x: &'a [f32],
    centre: &'a [f32],
    gradient: Option<Masked<'a>>,
    sums: &'a mut [[f64; 2]],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let c = self.centre.len();
        let step = STRIP * c;
        for (i, x) in self.x.chunks(step).enumerate() {
            let gradient = self.gradient.map(|g| Masked { dy: &g.dy[i * step..][..x.len()], out: g.out.map(|o| &o[i * step..][..x.len()]) });
            let mut first = 0;
            while first < c {
                first += match c - first {
                    32.. => strip::<32>(x, self.centre, gradient, first, self.sums),
                    16.. => strip::<16>(x, self.centre, gradient, first, self.sums),
                    8.. => strip::<8>(x, self.centre, gradient, first, self.sums),
                    _ => strip::<1>(x, self.centre, gradient, first, self.sums),
                };
            }
        }
    }
}

/// K channels from `first` on over the pixels of a strip; gives K.
#[inline(always)]
fn strip<const K: usize>(x: &[f32], centre: &[f32], gradient: Option<Masked>, first: usize, sums: &mut [[f64; 2]]) -> usize {
    let c = centre.len();
    let centre = channels::<K>(centre, first);
    let (mut plain, mut product) = ([0f32; K], [0f32; K]);
    match gradient {
        None => {
            for x in x.chunks_exact(c) {
                let x = channels::<K>(x, first);
                for k in 0..K {
                    let b = x[k] - centre[k];
                    plain[k] += b;
                    product[k] += b * b;
                }
            }
        }
        Some(Masked { dy, out: None }) => {
            for (x, d) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
                let (x, d) = (channels::<K>(x, first), channels::<K>(d, first));
                for k in 0..K {
                    plain[k] += d[k];
                    product[k] += d[k] * (x[k] - centre[k]);
                }
            }
        }
        Some(Masked { dy, out: Some(out) }) => {
            for ((x, d), out) in x.chunks_exact(c).zip(dy.chunks_exact(c)).zip(out.chunks_exact(c)) {
                let (x, d, out) = (channels::<K>(x, first), channels::<K>(d, first), channels::<K>(out, first));
                for k in 0..K {
                    let d = if out[k] > 0.0 { d[k] } else { 0.0 };
                    plain[k] += d;
                    product[k] += d * (x[k] - centre[k]);
                }
            }
        }
    }
    for k in 0..K {
        sums[first + k][0] += f64::from(plain[k]);
        sums[first + k][1] += f64::from(product[k]);
    }
    K
}

/// K channels of a pixel; as a fixed length, so that vectors are made of them.
#[inline(always)]
fn channels<const K: usize>(pixel: &[f32], first: usize) -> &[f32; K] {
    // A slice of K floats is an array of K.
    pixel[first..].first_chunk().expect("a pixel has the channels that its statistics have")
}

/// Channel values repeated over neighbouring pixels, so that short pixels make long loops.
#[derive(Debug, Clone)]
pub struct Repeated(Vec<f32>);

impl Repeated {
    /// Of one value a channel.
    pub fn new(values: &[f32]) -> Self {
        Self(values.repeat((64 / values.len()).max(1)))
    }
}

/// Writes x·`scale` + `shift` (+ `add`), after max(·, 0) where `relu`.
///
/// # Panics
/// Slices of other lengths.
pub fn affine(isa: Isa, x: &[f32], [scale, shift]: &[Repeated; 2], add: Option<&[f32]>, relu: bool, to: &mut [MaybeUninit<f32>]) {
    assert!(x.len() == to.len() && scale.0.len() == shift.0.len() && add.is_none_or(|a| a.len() == x.len()), "one value a channel");
    isa.dispatch(Affine { x, scale: &scale.0, shift: &shift.0, add, relu, to });
}

struct Affine<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    add: Option<&'a [f32]>,
    relu: bool,
    to: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let step = self.scale.len();
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        for (i, (x, to)) in self.x.chunks(step).zip(self.to.chunks_mut(step)).enumerate() {
            // Of one length for all to see, or every access is checked.
            let n = x.len();
            let (scale, shift, to) = (&self.scale[..n], &self.shift[..n], &mut to[..n]);
            match self.add {
                None => {
                    for k in 0..n {
                        to[k].write(at_least(x[k] * scale[k] + shift[k], floor));
                    }
                }
                Some(add) => {
                    let add = &add[i * step..][..n];
                    for k in 0..n {
                        to[k].write(at_least(x[k] * scale[k] + shift[k] + add[k], floor));
                    }
                }
            }
        }
    }
}

/// max(v, floor), NaN staying NaN.
#[inline(always)]
fn at_least(v: f32, floor: f32) -> f32 {
    if v < floor { floor } else { v }
}

/// Writes d·`a` + x·`b` + `e` to `dx`, where d is the masked gradient, and d itself to `passed`, if given.
///
/// # Panics
/// Slices of other lengths.
pub fn combine(
    isa: Isa,
    x: &[f32],
    gradient: Masked,
    coefficients: &[Repeated; 3],
    dx: &mut [MaybeUninit<f32>],
    passed: Option<&mut [MaybeUninit<f32>]>,
) {
    assert!(x.len() == dx.len() && gradient.dy.len() == x.len(), "one value a channel");
    let [a, b, e] = coefficients;
    isa.dispatch(Combine { x, gradient, a: &a.0, b: &b.0, e: &e.0, dx, passed });
}

struct Combine<'a> {
    x: &'a [f32],
    gradient: Masked<'a>,
    a: &'a [f32],
    b: &'a [f32],
    e: &'a [f32],
    dx: &'a mut [MaybeUninit<f32>],
    passed: Option<&'a mut [MaybeUninit<f32>]>,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) {
        let step = self.a.len();
        for (i, (x, dx)) in self.x.chunks(step).zip(self.dx.chunks_mut(step)).enumerate() {
            let n = x.len();
            // As above.
            let (a, b, e, dx) = (&self.a[..n], &self.b[..n], &self.e[..n], &mut dx[..n]);
            let dy = &self.gradient.dy[i * step..][..n];
            // Without a ReLU everything passes.
            let out = self.gradient.out.map(|o| &o[i * step..][..n]);
            let passed = self.passed.as_mut().map(|p| &mut p[i * step..][..n]);
            match (out, passed) {
                (None, None) => {
                    for k in 0..n {
                        dx[k].write(dy[k] * a[k] + x[k] * b[k] + e[k]);
                    }
                }
                (Some(out), None) => {
                    for k in 0..n {
                        let d = if out[k] > 0.0 { dy[k] } else { 0.0 };
                        dx[k].write(d * a[k] + x[k] * b[k] + e[k]);
                    }
                }
                (None, Some(passed)) => {
                    for k in 0..n {
                        dx[k].write(dy[k] * a[k] + x[k] * b[k] + e[k]);
                        passed[k].write(dy[k]);
                    }
                }
                (Some(out), Some(passed)) => {
                    for k in 0..n {
                        let d = if out[k] > 0.0 { dy[k] } else { 0.0 };
                        dx[k].write(d * a[k] + x[k] * b[k] + e[k]);
                        passed[k].write(d);
                    }
                }
            }
        }
    }
}
