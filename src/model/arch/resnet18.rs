//! `resnet18` with the CIFAR stem (3×3, stride 1, no pooling), as unlearning papers use it.

use super::{ArchitectureEntry, Stages, resnet_blocks::*};
use crate::model::layers::LayerSpec::GlobalAvgPool;

pub const ENTRY: ArchitectureEntry =
    ArchitectureEntry { name: "resnet18", summary: "residual net of 18 layers with the CIFAR stem: about 11.2 M parameters", min_side: 8, stages };

fn stages(_input: [usize; 3]) -> Stages {
    let mut last = blocks(2, 512, 2);
    last.push(GlobalAvgPool);
    vec![("stem", stem(64)), ("group1", blocks(2, 64, 1)), ("group2", blocks(2, 128, 2)), ("group3", blocks(2, 256, 2)), ("group4", last)]
}
