//! Devices by name; the only file that knows which back ends were compiled in.

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The device that `name` means: `cpu`, `cuda:N` (feature `cuda`), `wgpu` (feature `wgpu`).
///
/// # Errors
/// An unknown name, or a back end that this binary was built without.
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
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _index: &str) -> Result<Device> {
    Err(without(name, "cuda"))
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device> {
    Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device> {
    Err(without("wgpu", "wgpu"))
}

#[cfg(any(not(feature = "cuda"), not(feature = "wgpu")))]
fn without(name: &str, feature: &str) -> Error {
    Error::input(
        format!("--device {name}"),
        "this binary was built for the CPU only",
        format!("build with `cargo build --release --features {feature}`, or use --device cpu"),
    )
}
