//! `cnn-s`: the fast default, about 0.16 M parameters on 28×28 images. Strides instead of pooling: a quarter of the activations to write.

use super::{ArchitectureEntry, Stages};
use crate::model::layers::LayerSpec::{self, Conv, Flatten, Linear, Relu};

pub const ENTRY: ArchitectureEntry = ArchitectureEntry {
    name: "cnn-s",
    summary: "small fast CNN: 3×3 convolutions of stride 2 to 16, 32 and 64 channels, fc 128; the default",
    min_side: 4,
    stages,
};

fn strided(out: usize) -> Vec<LayerSpec> {
    vec![Conv { out, kernel: 3, stride: 2, bias: true }, Relu]
}

fn stages(_input: [usize; 3]) -> Stages {
    vec![("conv1", strided(16)), ("conv2", strided(32)), ("conv3", strided(64)), ("fc", vec![Flatten, Linear(128), Relu])]
}
