//! CPU kernels behind burn's backend extension: the operations that training spends its time in, on burn's flex back end with autodiff.
//! Other devices use burn's own operations; the callers choose by [`on_cpu`].
//!
//! | file | holds |
//! |---|---|
//! | `optimiser` | steps of Adam, AdamW and SGD, in place |
//! | `simd` | run-time detection of the instruction set, dispatch |
//!
//! This is the only module with `unsafe`. Every kernel checks its bounds at its entry, in safe code, and each `unsafe` block says why it is sound.
#![allow(unsafe_code)]

pub mod optimiser;
pub mod simd;

use burn::backend::DispatchDevice;
use burn::tensor::Device;

/// True if tensors on `device` are the CPU back end's, which the kernels here work on.
pub fn on_cpu(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(inner) => matches!(**inner, DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns)] // the GPU back ends, where compiled in
        _ => false,
    }
}
