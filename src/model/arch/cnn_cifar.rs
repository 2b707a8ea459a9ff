//! `cnn-cifar`: the founding CIFAR-10 experiment's size. The notebook prints 26,702,760 parameters without showing the layers; these
//! stages (VGG-like, with batch normalisation) have about 26.7 M at 8 classes on 3×32×32.

use super::{ArchitectureEntry, Stages};
use crate::model::layers::LayerSpec::{self, Conv, Flatten, Linear, MaxPool, Norm, Relu};

pub const ENTRY: ArchitectureEntry = ArchitectureEntry {
    name: "cnn-cifar",
    summary: "VGG-like with batch normalisation, fc 2688: about 26.7 M parameters on 3×32×32",
    min_side: 8,
    stages,
};

fn block(out: usize, pool: bool) -> Vec<LayerSpec> {
    let mut layers = Vec::new();
    for _ in 0..2 {
        layers.extend([Conv { out, kernel: 3, stride: 1, bias: false }, Norm, Relu]);
    }
    if pool {
        layers.push(MaxPool);
    }
    layers
}

fn stages(_input: [usize; 3]) -> Stages {
    vec![
        ("block1", block(64, true)),
        ("block2", block(128, true)),
        ("block3", block(256, true)),
        ("block4", block(512, false)),
        ("fc", vec![Flatten, Linear(2688), Relu]),
    ]
}
