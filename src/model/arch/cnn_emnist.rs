//! `cnn-emnist`: the founding EMNIST experiment's size. The notebook prints 4,089,940 parameters without showing the layers; these
//! stages have 4,034,932 at 20 classes on 1×32×32.

use super::{ArchitectureEntry, Stages};
use crate::model::layers::{
    LayerSpec::{Flatten, Linear, MaxPool, Relu},
    conv3,
};

pub const ENTRY: ArchitectureEntry = ArchitectureEntry {
    name: "cnn-emnist",
    summary: "conv 32, conv 64, pool, conv 128, pool, fc 480: about 4 M parameters on 1×32×32",
    min_side: 4,
    stages,
};

fn stages(_input: [usize; 3]) -> Stages {
    vec![
        ("conv1", vec![conv3(32), Relu]),
        ("conv2", vec![conv3(64), Relu, MaxPool]),
        ("conv3", vec![conv3(128), Relu, MaxPool]),
        ("fc", vec![Flatten, Linear(480), Relu]),
    ]
}
