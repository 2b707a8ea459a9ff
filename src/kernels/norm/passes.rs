//! The loops of normalisation over pixels, channels last. Each goes once over memory.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use crate::kernels::simd::{Isa, MAX_LANES, load, mul_add, store};

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

impl Masked<'_> {
    /// Whether it is of `len` values.
    fn fits(&self, len: usize) -> bool {
        self.dy.len() == len && self.out.is_none_or(|out| out.len() == len)
    }
}

/// Adds to `sums`, per channel over the pixels of `x`: Σ b and Σ b² with b = x − `centre`; with a gradient d, Σ d and Σ d·b.
///
/// # Panics
/// Slices of other lengths.
pub fn add_sums(isa: Isa, x: &[f32], centre: &[f32], gradient: Option<Masked>, sums: &mut [[f64; 2]]) {
    let c = centre.len();
    assert!(x.len().is_multiple_of(c) && sums.len() == c, "whole pixels of {c} channels");
    assert!(gradient.is_none_or(|g| g.fits(x.len())), "a gradient for each value");
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
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, centre, gradient, sums } = self;
        let c = centre.len();
        let step = STRIP * c;
        for (i, x) in x.chunks(step).enumerate() {
            let part = |floats: &'_ [f32]| floats[i * step..][..x.len()].as_ptr();
            let strip = Strip { x, centre, dy: gradient.map(|g| part(g.dy)), out: gradient.and_then(|g| g.out.map(part)) };
            let mut first = 0;
            while first < c {
                // SAFETY: the slices are of one length, whole pixels of `c` channels, of which as many vectors are left.
                first += unsafe {
                    match (c - first) / S::F32_LANES {
                        4.. => strip.vectors::<S, 4>(simd, first, sums),
                        2.. => strip.vectors::<S, 2>(simd, first, sums),
                        1 => strip.vectors::<S, 1>(simd, first, sums),
                        _ => strip.channel(first, sums),
                    }
                };
            }
        }
    }
}

/// Some pixels, few enough to be summed in 32 bits.
struct Strip<'a> {
    x: &'a [f32],
    centre: &'a [f32],
    /// As long as `x`.
    dy: Option<*const f32>,
    /// Likewise.
    out: Option<*const f32>,
}

impl Strip<'_> {
    /// V vectors of channels from `first` on; gives how many channels these are.
    ///
    /// # Safety
    /// As many channels must be left.
    #[inline(always)]
    unsafe fn vectors<S: Simd, const V: usize>(&self, simd: S, first: usize, sums: &mut [[f64; 2]]) -> usize {
        let (c, zero) = (self.centre.len(), simd.splat_f32s(0.0));
        let (mut plain, mut product) = ([zero; V], [zero; V]);
        // SAFETY: the caller's; every pixel has `c` channels.
        unsafe {
            let read = |from: *const f32| -> [S::f32s; V] { std::array::from_fn(|v| load(from.add(first + v * S::F32_LANES), simd)) };
            let centre = read(self.centre.as_ptr());
            for at in (0..self.x.len()).step_by(c) {
                let x = read(self.x.as_ptr().add(at));
                let off: [S::f32s; V] = std::array::from_fn(|v| simd.sub_f32s(x[v], centre[v]));
                let d = match (self.dy, self.out) {
                    (None, _) => off,
                    (Some(dy), None) => read(dy.add(at)),
                    (Some(dy), Some(out)) => {
                        let (dy, out) = (read(dy.add(at)), read(out.add(at)));
                        std::array::from_fn(|v| simd.select_f32s(simd.greater_than_f32s(out[v], zero), dy[v], zero))
                    }
                };
                for v in 0..V {
                    plain[v] = simd.add_f32s(plain[v], d[v]);
                    product[v] = mul_add(simd, d[v], off[v], product[v]);
                }
            }
            let mut lanes = [[[0f32; MAX_LANES]; 2]; V];
            for v in 0..V {
                store(lanes[v][0].as_mut_ptr(), plain[v]);
                store(lanes[v][1].as_mut_ptr(), product[v]);
                for (k, sums) in sums[first + v * S::F32_LANES..][..S::F32_LANES].iter_mut().enumerate() {
                    *sums = [sums[0] + f64::from(lanes[v][0][k]), sums[1] + f64::from(lanes[v][1][k])];
                }
            }
        }
        V * S::F32_LANES
    }

    /// One of the channels that make up no vector.
    ///
    /// # Safety
    /// There must be such a channel.
    #[inline(always)]
    unsafe fn channel(&self, k: usize, sums: &mut [[f64; 2]]) -> usize {
        let (mut plain, mut product) = (0f32, 0f32);
        for at in (k..self.x.len()).step_by(self.centre.len()) {
            let off = self.x[at] - self.centre[k];
            // SAFETY: the gradient and the output are as long as `x`.
            let d = unsafe {
                match (self.dy, self.out) {
                    (None, _) => off,
                    (Some(dy), None) => *dy.add(at),
                    (Some(dy), Some(out)) => {
                        if *out.add(at) > 0.0 {
                            *dy.add(at)
                        } else {
                            0.0
                        }
                    }
                }
            };
            plain += d;
            product += d * off;
        }
        sums[k] = [sums[k][0] + f64::from(plain), sums[k][1] + f64::from(product)];
        1
    }
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
    assert!(x.len() == dx.len() && gradient.fits(x.len()) && passed.as_ref().is_none_or(|p| p.len() == x.len()), "a gradient for each value");
    let [a, b, e] = coefficients;
    assert!(a.0.len() == b.0.len() && a.0.len() == e.0.len(), "one value a channel");
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
