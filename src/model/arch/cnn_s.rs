//! `cnn-s`: the fast default, about 0.1 M parameters on 28×28 images.

use super::{ArchitectureEntry, Stages};
use crate::model::layers::{
    LayerSpec::{Flatten, Linear, MaxPool, Relu},
    conv3,
};

pub const ENTRY: ArchitectureEntry = ArchitectureEntry {
    name: "cnn-s",
    summary: "small fast CNN: conv 8, pool, conv 16, pool, fc 96; the default",
    min_side: 4,
    stages,
};

fn stages(_input: [usize; 3]) -> Stages {
    vec![("conv1", vec![conv3(8), Relu, MaxPool]), ("conv2", vec![conv3(16), Relu, MaxPool]), ("fc", vec![Flatten, Linear(96), Relu])]
}
