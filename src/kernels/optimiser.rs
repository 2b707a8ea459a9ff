//! Optimiser steps: a parameter and its moments updated in place, in one pass over memory.
//!
//! Element by element, so that neither the number of threads nor the split into chunks changes a result. On other devices
//! [`crate::optimiser`] does the same with tensor operations.

use burn::backend::{Backend, Flex, backend_extension, tensor::FloatTensor};
use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::simd::{Isa, mul_add};

/// Elements that a thread takes at a time: four arrays of them fit into a core's second-level cache.
const CHUNK: usize = 16 * 1024;
/// Lanes of the widest instruction set.
const MOST_LANES: usize = 16;

/// The constants of one step of Adam or AdamW. With g the gradient plus `l2`·p:
/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − `decay`·p − `rate` · m / (√v · `second_scale` + `eps`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// β₁ and 1−β₁.
    pub first: [f32; 2],
    /// β₂ and 1−β₂.
    pub second: [f32; 2],
    /// Adam's weight decay, an L2 penalty.
    pub l2: f32,
    /// AdamW's decoupled weight decay times the learning rate.
    pub decay: f32,
    /// Learning rate over 1−β₁ᵗ.
    pub rate: f32,
    /// 1/√(1−β₂ᵗ).
    pub second_scale: f32,
    /// Added to the root.
    pub eps: f32,
}

/// The constants of one step of SGD. With g the gradient plus `l2`·p: u ← `momentum`·u + g, p ← p − `rate`·u.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// Share of the last step that is kept.
    pub momentum: f32,
    /// Weight decay, an L2 penalty.
    pub l2: f32,
    /// Learning rate.
    pub rate: f32,
}

/// In-place steps on the CPU back end. All tensors of a call have the same number of f32 elements; parameter and moments come back in the
/// buffers they came in, unless somebody else holds them too. `free` has one entry an element: where it is false the parameter stays as
/// it is, bit for bit.
#[backend_extension(Flex)]
pub trait OptimiserStep: Backend {
    /// Adam or AdamW: (parameter, gradient, m, v) → (parameter, m, v).
    fn adam_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
        free: Option<&[bool]>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// SGD with momentum: (parameter, gradient, u) → (parameter, u).
    fn sgd_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: SgdStep,
        free: Option<&[bool]>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl OptimiserStep for Flex {
    fn adam_step(
        parameter: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        step: AdamStep,
        free: Option<&[bool]>,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [mut parameter, gradient, mut first, mut second] = [parameter, gradient, first, second].map(packed);
        let (p, g) = (parameter.storage_mut::<f32>(), gradient.storage::<f32>());
        adam(Isa::current(), step, p, g, first.storage_mut(), second.storage_mut(), free);
        (parameter, first, second)
    }

    fn sgd_step(parameter: FlexTensor, gradient: FlexTensor, velocity: FlexTensor, step: SgdStep, free: Option<&[bool]>) -> (FlexTensor, FlexTensor) {
        let [mut parameter, gradient, mut velocity] = [parameter, gradient, velocity].map(packed);
        sgd(Isa::current(), step, parameter.storage_mut(), gradient.storage(), velocity.storage_mut(), free);
        (parameter, velocity)
    }
}

/// `tensor` with its elements, row-major, as its whole buffer. The handle that came in is dropped: a second one on the same buffer would
/// make the coming write copy it.
fn packed(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

/// The part of `free` that belongs to chunk `i`.
fn chunk_of(free: Option<&[bool]>, i: usize, len: usize) -> Option<&[bool]> {
    free.map(|f| &f[i * CHUNK..][..len])
}

/// Adam or AdamW on plain memory: parameter `p`, its gradient, its moments `m` and `v`, all of one length.
pub fn adam_in_place(step: AdamStep, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    adam(Isa::current(), step, p, g, m, v, None);
}

fn adam(isa: Isa, step: AdamStep, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], free: Option<&[bool]>) {
    let n = p.len();
    assert!([g.len(), m.len(), v.len(), free.map_or(n, <[bool]>::len)] == [n; 4], "gradient, moments and mask are the parameter's size");
    let chunks = p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK)));
    chunks.enumerate().for_each(|(i, ((p, g), (m, v)))| {
        let free = chunk_of(free, i, p.len());
        isa.dispatch(AdamChunk { step, p, g, m, v, free });
    });
}

fn sgd(isa: Isa, step: SgdStep, p: &mut [f32], g: &[f32], u: &mut [f32], free: Option<&[bool]>) {
    let n = p.len();
    assert!([g.len(), u.len(), free.map_or(n, <[bool]>::len)] == [n; 3], "gradient, velocity and mask are the parameter's size");
    let chunks = p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(u.par_chunks_mut(CHUNK));
    chunks.enumerate().for_each(|(i, ((p, g), u))| {
        let free = chunk_of(free, i, p.len());
        isa.dispatch(SgdChunk { step, p, g, u, free });
    });
}

/// `new` where the first lanes of `free` are true, `old` where they are false or missing.
#[inline(always)]
fn where_free<S: Simd>(simd: S, free: Option<&[bool]>, new: S::f32s, old: S::f32s) -> S::f32s {
    let Some(free) = free else { return new };
    let mut lanes = [0f32; MOST_LANES];
    let lanes = &mut lanes[..S::F32_LANES];
    lanes.iter_mut().zip(free).for_each(|(l, f)| *l = f32::from(u8::from(*f)));
    simd.select_f32s(simd.greater_than_f32s(simd.partial_load_f32s(lanes), simd.splat_f32s(0.5)), new, old)
}

impl AdamStep {
    /// New p, m and v.
    #[inline(always)]
    fn lanes<S: Simd>(self, simd: S, [p, g, m, v]: [S::f32s; 4], free: Option<&[bool]>) -> [S::f32s; 3] {
        let all = |x| simd.splat_f32s(x);
        let g = mul_add(simd, p, all(self.l2), g);
        let m = mul_add(simd, m, all(self.first[0]), simd.mul_f32s(g, all(self.first[1])));
        let v = mul_add(simd, v, all(self.second[0]), simd.mul_f32s(simd.mul_f32s(g, g), all(self.second[1])));
        let root = mul_add(simd, simd.sqrt_f32s(v), all(self.second_scale), all(self.eps));
        let decayed = mul_add(simd, p, all(-self.decay), p);
        let new = mul_add(simd, simd.div_f32s(m, root), all(-self.rate), decayed);
        [where_free(simd, free, new, p), m, v]
    }
}

impl SgdStep {
    /// New p and u.
    #[inline(always)]
    fn lanes<S: Simd>(self, simd: S, [p, g, u]: [S::f32s; 3], free: Option<&[bool]>) -> [S::f32s; 2] {
        let all = |x| simd.splat_f32s(x);
        let g = mul_add(simd, p, all(self.l2), g);
        let u = mul_add(simd, u, all(self.momentum), g);
        [where_free(simd, free, mul_add(simd, u, all(-self.rate), p), p), u]
    }
}

struct AdamChunk<'a> {
    step: AdamStep,
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    free: Option<&'a [bool]>,
}

impl WithSimd for AdamChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { step, p, g, m, v, free } = self;
        let (ps, p) = S::as_mut_simd_f32s(p);
        let (gs, g) = S::as_simd_f32s(g);
        let (ms, m) = S::as_mut_simd_f32s(m);
        let (vs, v) = S::as_mut_simd_f32s(v);
        let whole = ps.len() * S::F32_LANES;
        for (i, ((p, g), (m, v))) in ps.iter_mut().zip(gs).zip(ms.iter_mut().zip(vs)).enumerate() {
            [*p, *m, *v] = step.lanes(simd, [*p, *g, *m, *v], free.map(|f| &f[i * S::F32_LANES..]));
        }
        let rest = [simd.partial_load_f32s(p), simd.partial_load_f32s(g), simd.partial_load_f32s(m), simd.partial_load_f32s(v)];
        let [new, first, second] = step.lanes(simd, rest, free.map(|f| &f[whole..]));
        simd.partial_store_f32s(p, new);
        simd.partial_store_f32s(m, first);
        simd.partial_store_f32s(v, second);
    }
}

struct SgdChunk<'a> {
    step: SgdStep,
    p: &'a mut [f32],
    g: &'a [f32],
    u: &'a mut [f32],
    free: Option<&'a [bool]>,
}

impl WithSimd for SgdChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { step, p, g, u, free } = self;
        let (ps, p) = S::as_mut_simd_f32s(p);
        let (gs, g) = S::as_simd_f32s(g);
        let (us, u) = S::as_mut_simd_f32s(u);
        let whole = ps.len() * S::F32_LANES;
        for (i, ((p, g), u)) in ps.iter_mut().zip(gs).zip(us).enumerate() {
            [*p, *u] = step.lanes(simd, [*p, *g, *u], free.map(|f| &f[i * S::F32_LANES..]));
        }
        let rest = [simd.partial_load_f32s(p), simd.partial_load_f32s(g), simd.partial_load_f32s(u)];
        let [new, velocity] = step.lanes(simd, rest, free.map(|f| &f[whole..]));
        simd.partial_store_f32s(p, new);
        simd.partial_store_f32s(u, velocity);
    }
}

#[cfg(test)]
mod tests;
