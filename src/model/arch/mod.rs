//! The registry of architectures, one a file.

mod cnn_cifar;
mod cnn_emnist;
mod cnn_s;
mod mlp;
mod resnet18;
mod resnet20;
mod resnet_blocks;

use super::layers::LayerSpec;
use crate::error::{Error, Result, did_you_mean};

/// Named stages, each a list of layers.
pub type Stages = Vec<(&'static str, Vec<LayerSpec>)>;

/// An architecture.
#[derive(Debug)]
pub struct ArchitectureEntry {
    /// Name on the command line and in checkpoints.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Smallest height and width that leaves no stage empty.
    pub min_side: usize,
    /// The stages for an input of `[c, h, w]`; the linear head is added behind them.
    pub stages: fn([usize; 3]) -> Stages,
}

/// Every architecture; help, `list models`, checkpoints and the test sweep read it.
pub const ARCHITECTURES: &[&ArchitectureEntry] =
    &[&mlp::ENTRY, &cnn_s::ENTRY, &cnn_emnist::ENTRY, &resnet20::ENTRY, &resnet18::ENTRY, &cnn_cifar::ENTRY];

/// Stages of the architecture called `name`.
pub fn stages(name: &str, input: [usize; 3]) -> Result<Stages> {
    let entry = ARCHITECTURES
        .iter()
        .find(|e| e.name == name)
        .ok_or_else(|| Error::input(format!("--arch {name}"), "no such architecture", did_you_mean(name, ARCHITECTURES.iter().map(|e| e.name))))?;
    if input[1].min(input[2]) < entry.min_side {
        return Err(Error::input(
            format!("--arch {name}"),
            format!("images of {}×{} are too small for it", input[1], input[2]),
            format!("it needs at least {0}×{0}; use `mlp`", entry.min_side),
        ));
    }
    Ok((entry.stages)(input))
}
