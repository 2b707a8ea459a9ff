//! `mlp`: two hidden layers, for tests and for images too small to convolve.

use super::{ArchitectureEntry, Stages};
use crate::model::layers::LayerSpec::{Flatten, Linear, Relu};

pub const ENTRY: ArchitectureEntry =
    ArchitectureEntry { name: "mlp", summary: "multi-layer perceptron, hidden layers of 128 and 64", min_side: 1, stages };

fn stages(_input: [usize; 3]) -> Stages {
    vec![("fc1", vec![Flatten, Linear(128), Relu]), ("fc2", vec![Linear(64), Relu])]
}
