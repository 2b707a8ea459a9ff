//! CPU kernels behind burn's backend extension: the operations that training spends its time in, on burn's flex back end with autodiff.
//! Other devices use burn's own operations; the callers choose by [`on_cpu`].
//!
//! | file | holds |
//! |---|---|
//! | `simd` | run-time detection of the instruction set, dispatch |
//! | `images`, `padded` | image tensors, channels last in memory; with zeros around them |
//! | `memory` | memory that a kernel fills itself; keeping what was freed |
//! | `moments` | means and variances of channels |
//! | `conv/` | convolution with a fused ReLU and maximum |
//! | `norm/` | batch normalisation with a fused addition and ReLU |
//! | `pool` | maximum and global average |
//! | `cross_entropy` | the loss with its gradient |
//! | `optimiser` | steps of Adam, AdamW and SGD, in place |
//! | `tests/` | whole operations against burn's own and against finite differences |
//!
//! This is the only module with `unsafe`. Every kernel checks its bounds at its entry, in safe code, and each `unsafe` block says why it is sound.
#![allow(unsafe_code)]
// Arrays of registers go by index, several by the same.
#![allow(clippy::needless_range_loop)]

pub mod conv;
pub mod cross_entropy;
mod images;
pub mod memory;
mod moments;
pub mod norm;
pub mod optimiser;
mod padded;
pub mod pool;
pub mod simd;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use burn::tensor::{Bytes, DType, Device, Shape};
use burn_flex::{FlexTensor, Layout};

use crate::error::{Error, Result};

/// Whether the kernels here are used where they can be: not with `UNLEARN_KERNELS=burn`, which leaves every operation to burn, to check ours
/// against it.
///
/// # Errors
/// Another value of the variable.
pub fn ours() -> Result<bool> {
    match std::env::var_os("UNLEARN_KERNELS") {
        None => Ok(true),
        Some(name) if name == "burn" => Ok(false),
        Some(name) => {
            let at = format!("UNLEARN_KERNELS={}", name.to_string_lossy());
            Err(Error::input(at, "no such kernels", "use burn for burn's own operations, or leave the variable out for ours"))
        }
    }
}

/// [`ours`], looked up once; the program refuses wrong names before any work.
pub fn in_use() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    *OURS.get_or_init(|| ours().unwrap_or(true))
}

/// True if the kernels here are to be used for tensors on `device`: they are the CPU back end's, and the kernels are [`in_use`].
pub fn on_cpu(device: &Device) -> bool {
    in_use() && crate::device::is_cpu(device)
}

/// A dense tensor of `shape` from its floats.
fn dense(floats: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(floats), Layout::contiguous(Shape::from(shape.to_vec())), DType::F32)
}

/// The floats of a dense tensor.
fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("made contiguous, 32 bit")
}

/// Whether `reach` floats from `first` on are among `len`; a sum that wraps, as sums do in a release build, is not.
fn fits(first: usize, reach: usize, len: usize) -> bool {
    first.checked_add(reach).is_some_and(|end| end <= len)
}

/// At most `cases` random cases; fewer where `PROPTEST_CASES` says so (under valgrind).
#[cfg(test)]
fn cases(cases: u32) -> proptest::prelude::ProptestConfig {
    let default = proptest::prelude::ProptestConfig::default();
    proptest::prelude::ProptestConfig { cases: cases.min(default.cases), failure_persistence: None, ..default }
}
