//! Devices by name; the only file that knows which back ends were compiled in.

use burn::backend::DispatchDevice;
use burn::tensor::Device;

use crate::error::{Error, Result};

/// The device that `name` means: `cpu`, `cuda:N` (feature `cuda`), `wgpu` (feature `wgpu`).
///
/// # Errors
/// An unknown name, a back end that this binary was built without, or a device that this machine does not have.
pub fn open(name: &str) -> Result<Device> {
    let index = name.split_once(':').map(|(_, i)| i);
    match name.split(':').next().unwrap_or_default() {
        "cpu" if index.is_none() => Ok(Device::flex()),
        "cuda" => cuda(name, index.unwrap_or("0")),
        "wgpu" if index.is_none() => wgpu(),
        _ => Err(Error::input(format!("--device {name}"), "no such device", "use cpu, cuda:0 or wgpu")),
    }
}

#[cfg(feature = "cuda")]
fn cuda(name: &str, index: &str) -> Result<Device> {
    let index: usize = index.parse().map_err(|_| Error::input(format!("--device {name}"), "no such device", "write cuda:0, cuda:1, …"))?;
    match found(burn::tensor::DeviceType::Cuda) {
        0 => Err(missing(name, "no CUDA device was found", "see whether `nvidia-smi` lists one")),
        n if index >= n => Err(missing(name, format!("the last CUDA device of this machine is cuda:{}", n - 1), "name one that is there")),
        _ => Ok(Device::cuda(index)),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _index: &str) -> Result<Device> {
    Err(without(name, "cuda"))
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device> {
    match found(burn::tensor::DeviceType::Wgpu) {
        0 => Err(missing(
            "wgpu",
            "no GPU with a Vulkan, Metal, DirectX or OpenGL driver was found",
            "install its driver (`vulkaninfo` should list it)",
        )),
        _ => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
    }
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device> {
    Err(without("wgpu", "wgpu"))
}

/// How many devices of a back end there are: opening one that is not there panics at its first use.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn found(kind: burn::tensor::DeviceType) -> usize {
    Device::enumerate(kind).len()
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn missing(name: &str, what: impl Into<String>, remedy: &str) -> Error {
    Error::input(format!("--device {name}"), what, format!("{remedy}, or use --device cpu"))
}

#[cfg(any(not(feature = "cuda"), not(feature = "wgpu")))]
fn without(name: &str, feature: &str) -> Error {
    Error::input(
        format!("--device {name}"),
        "this binary was built for the CPU only",
        format!("build with `cargo build --release --features {feature}`, or use --device cpu"),
    )
}

/// True for the CPU back end's device, with autodiff or without.
pub fn is_cpu(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(inner) => matches!(**inner, DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns)] // the GPU back ends, where compiled in
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_opens_or_says_what_to_do() {
        assert!(open("cpu").is_ok());
        for name in ["cpu:1", "gpu", "", "wgpu:1", "cuda:x"] {
            assert_eq!(open(name).expect_err(name).exit_code(), 2, "{name}");
        }
        // More than any machine has: an error whatever this binary was built with and whatever this machine has.
        let error = open("cuda:60000").expect_err("no machine has it").to_string();
        assert!(error.starts_with("--device cuda:60000: ") && error.contains("remedy: ") && error.contains("use --device cpu"), "{error}");
        // There or not, no panic.
        if let Err(error) = open("wgpu") {
            assert!(error.to_string().contains("use --device cpu"), "{error}");
        }
    }
}
