//! The basic block that both residual nets are made of (He et al. 2016, fig. 2).

use crate::model::layers::LayerSpec::{self, Conv, Norm, Relu, Residual};

fn conv(out: usize, kernel: usize, stride: usize) -> LayerSpec {
    Conv { out, kernel, stride, bias: false }
}

/// The first layers: 3×3 convolution, normalisation, ReLU (the stem for 32×32 images).
pub fn stem(out: usize) -> Vec<LayerSpec> {
    vec![conv(out, 3, 1), Norm, Relu]
}

/// `count` basic blocks to `out` channels, the first with `stride` and, where the shape changes, a 1×1 projection (option B).
pub fn blocks(count: usize, out: usize, stride: usize) -> Vec<LayerSpec> {
    (0..count)
        .map(|i| {
            let stride = if i == 0 { stride } else { 1 };
            let shortcut = if stride == 1 { vec![] } else { vec![conv(out, 1, stride), Norm] };
            Residual(vec![conv(out, 3, stride), Norm, Relu, conv(out, 3, 1), Norm], shortcut)
        })
        .collect()
}
