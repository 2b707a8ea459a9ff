//! `resnet20` (He et al. 2016, §4.2, n = 3), with 1×1 projections where the shape changes.

use super::{ArchitectureEntry, Stages, resnet_blocks::*};
use crate::model::layers::LayerSpec::GlobalAvgPool;

pub const ENTRY: ArchitectureEntry =
    ArchitectureEntry { name: "resnet20", summary: "residual net of 20 layers, 16/32/64 channels: about 0.27 M parameters", min_side: 4, stages };

fn stages(_input: [usize; 3]) -> Stages {
    let mut last = blocks(3, 64, 2);
    last.push(GlobalAvgPool);
    vec![("stem", stem(16)), ("group1", blocks(3, 16, 1)), ("group2", blocks(3, 32, 2)), ("group3", last)]
}
