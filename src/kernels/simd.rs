//! Instruction sets: detection at run time, and dispatch of a kernel to the one in use.

use std::any::TypeId;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use pulp::{Scalar256b, Simd, WithSimd};

use crate::error::{Error, Result};

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512: 16 lanes, 32 registers.
    Avx512,
    /// x86-64 with AVX2 and FMA: 8 lanes, 16 registers.
    Avx2,
    /// AArch64: 4 lanes, 32 registers.
    Neon,
    /// Arrays of 8, left to the compiler; no fused multiply-add.
    Portable,
}

impl Isa {
    /// Every instruction set, fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Name as in `UNLEARN_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// Floats in a vector.
    pub fn lanes(self) -> usize {
        match self {
            Self::Avx512 => 16,
            Self::Avx2 | Self::Portable => 8,
            Self::Neon => 4,
        }
    }

    /// True if this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().is_some(),
            Self::Portable => true,
            #[allow(unreachable_patterns)] // the sets of other architectures
            _ => false,
        }
    }

    /// Those that this machine has, fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The one that the environment variable `UNLEARN_ISA` names, to compare them; none where it is not set.
    ///
    /// # Errors
    /// A name of none that this machine has.
    pub fn named() -> Result<Option<Self>> {
        let Some(name) = std::env::var_os("UNLEARN_ISA") else { return Ok(None) };
        let found = Self::available().find(|isa| name == isa.name());
        let names: Vec<&str> = Self::available().map(Self::name).collect();
        let refused = || {
            let at = format!("UNLEARN_ISA={}", name.to_string_lossy());
            Error::input(at, "no instruction set of this machine", format!("use {}, or leave the variable out", names.join(" or ")))
        };
        found.map(Some).ok_or_else(refused)
    }

    /// The one that `UNLEARN_ISA` names (see [`Isa::named`]; the program refuses wrong names before any work), else the fastest that this
    /// machine has; found once.
    pub fn current() -> Self {
        #[cfg(test)]
        if let Some(isa) = FORCED.get() {
            return isa;
        }
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| Self::named().ok().flatten().or_else(|| Self::available().next()).unwrap_or(Self::Portable))
    }

    /// Runs `op` compiled for this instruction set.
    ///
    /// # Panics
    /// On a machine that lacks it: blocks packed for its lanes would be met with others.
    #[inline]
    pub fn dispatch<Op: WithSimd>(self, op: Op) -> Op::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                if let Some(simd) = pulp::x86::V4::try_new() {
                    return Simd::vectorize(simd, op);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                if let Some(simd) = pulp::x86::V3::try_new() {
                    return Simd::vectorize(simd, op);
                }
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => {
                if let Some(simd) = pulp::aarch64::Neon::try_new() {
                    return Simd::vectorize(simd, op);
                }
            }
            _ => {}
        }
        assert!(self == Self::Portable, "this machine has no {self:?}");
        Simd::vectorize(Scalar256b, op)
    }
}

/// max(v, 0), NaN staying NaN.
#[inline(always)]
pub fn relu<S: Simd>(simd: S, v: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    if TypeId::of::<S>() == TypeId::of::<Scalar256b>() {
        // Its maximum is f32::max, which drops NaN. The instructions of the others give their second operand where either is, or NaN.
        return simd.select_f32s(simd.less_than_f32s(v, zero), zero, v);
    }
    simd.max_f32s(zero, v)
}

#[cfg(test)]
thread_local! {
    /// What [`Isa::current`] gives on this thread instead. Kernels ask on the thread that calls them, and tell the threads that they use.
    static FORCED: std::cell::Cell<Option<Isa>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
impl Isa {
    /// Runs `work` with this one as the current one: how tests of whole operations try every instruction set.
    pub fn forced<T>(self, work: impl FnOnce() -> T) -> T {
        /// A failed case must not leave its instruction set to the next one.
        struct Before(Option<Isa>);
        impl Drop for Before {
            fn drop(&mut self) {
                FORCED.set(self.0);
            }
        }
        let _before = Before(FORCED.replace(Some(self)));
        work()
    }
}

/// Lanes of the widest vector.
pub const MAX_LANES: usize = 16;

/// a·b + c: fused where the instruction set has it (the portable set would call a library function for it).
#[inline(always)]
pub fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if std::any::TypeId::of::<S>() == std::any::TypeId::of::<Scalar256b>() {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_f32s(a, b, c)
    }
}

/// A vector from unaligned memory.
///
/// # Safety
/// As many floats as the vector has lanes must be readable at `from`.
#[inline(always)]
pub unsafe fn load<S: Simd>(from: *const f32, _simd: S) -> S::f32s {
    // SAFETY: the caller's; any bits are a vector of floats.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// A vector of up to `left` floats and zeros.
///
/// # Safety
/// `left` floats, or as many as a vector has lanes, must be readable at `from`.
#[inline(always)]
pub unsafe fn load_some<S: Simd>(from: *const f32, left: usize, simd: S) -> S::f32s {
    // SAFETY: the caller's.
    unsafe { if left >= S::F32_LANES { load(from, simd) } else { simd.partial_load_f32s(std::slice::from_raw_parts(from, left)) } }
}

/// A vector to unaligned memory.
///
/// # Safety
/// As many floats as the vector has lanes must be writable at `to`.
#[inline(always)]
pub unsafe fn store<V: Copy>(to: *mut f32, value: V) {
    // SAFETY: the caller's.
    unsafe { to.cast::<V>().write_unaligned(value) }
}

/// The first `left` floats of a vector, or all of them, to unaligned memory.
///
/// # Safety
/// `left` floats, or as many as a vector has lanes, must be writable at `to`.
#[inline(always)]
pub unsafe fn store_some<S: Simd>(to: *mut f32, left: usize, value: S::f32s, simd: S) {
    if left >= S::F32_LANES {
        // SAFETY: the caller's.
        return unsafe { store(to, value) };
    }
    if S::F32_LANES == MAX_LANES {
        // SAFETY: lanes from `left` on are not written; the rest is the caller's.
        return unsafe { simd.mask_store_ptr_f32s(simd.mask_between_m32s(0, left as u32), to, value) };
    }
    // AVX2's masked store is a call in pulp and slow on AMD's cores: fours, twos and ones by way of memory take a third of the time.
    let mut floats = [MaybeUninit::<f32>::uninit(); MAX_LANES];
    // SAFETY: a vector has at most that many floats; what is copied lies below `left` on both sides.
    unsafe {
        store(floats.as_mut_ptr().cast(), value);
        let mut done = 0;
        if left & 4 != 0 {
            to.cast::<[f32; 4]>().write_unaligned(floats.as_ptr().cast::<[f32; 4]>().read());
            done = 4;
        }
        if left & 2 != 0 {
            to.add(done).cast::<[f32; 2]>().write_unaligned(floats.as_ptr().add(done).cast::<[f32; 2]>().read());
            done += 2;
        }
        if left & 1 != 0 {
            to.add(done).write(floats[done].assume_init());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stored(usize);

    impl WithSimd for Stored {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let from: Vec<f32> = (1..=MAX_LANES).map(|v| v as f32).collect();
            let mut to = vec![-1.0; MAX_LANES + 1];
            // SAFETY: either holds a whole vector.
            unsafe { store_some(to.as_mut_ptr(), self.0, load(from.as_ptr(), simd), simd) };
            to
        }
    }

    #[test]
    fn a_part_of_a_vector_is_stored_and_nothing_behind_it() {
        for isa in Isa::available() {
            for left in 1..=isa.lanes() + 1 {
                let wanted = |i: usize| if i < left.min(isa.lanes()) { (i + 1) as f32 } else { -1.0 };
                let made = isa.dispatch(Stored(left));
                assert!(made.iter().enumerate().all(|(i, v)| *v == wanted(i)), "{left} on {}: {made:?}", isa.name());
            }
        }
    }
}
