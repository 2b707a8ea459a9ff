//! The layers that stages are made of. Every activation is N×C×H×W; after a flatten it is N×F×1×1.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d, Relu};
use burn::tensor::{Device, Tensor, activation::relu};

/// What an architecture asks for; [`LayerSpec::init`] turns it into a [`Layer`].
#[derive(Debug, Clone, PartialEq)]
pub enum LayerSpec {
    /// Square convolution with padding `kernel/2`.
    Conv {
        /// Output channels.
        out: usize,
        /// Kernel height and width, odd.
        kernel: usize,
        /// Stride.
        stride: usize,
        /// Whether it has a bias (not needed before a normalisation).
        bias: bool,
    },
    /// Batch normalisation over the channels.
    Norm,
    /// max(x, 0).
    Relu,
    /// 2×2 maximum, stride 2.
    MaxPool,
    /// Mean over height and width: N×C×1×1.
    GlobalAvgPool,
    /// N×(C·H·W)×1×1.
    Flatten,
    /// Fully connected, on flattened input.
    Linear(usize),
    /// relu(body(x) + shortcut(x)); an empty shortcut is the identity.
    Residual(Vec<LayerSpec>, Vec<LayerSpec>),
}

/// Share of the last batch in a normalisation's running statistics (torch's default).
pub const NORM_MOMENTUM: f64 = 0.1;

/// A 3×3 convolution of stride 1 with bias.
pub const fn conv3(out: usize) -> LayerSpec {
    LayerSpec::Conv { out, kernel: 3, stride: 1, bias: true }
}

/// max(x, 0) has no parameters, a flatten neither.
#[derive(Module, Debug, Default)]
pub struct Flatten {}

/// A residual block.
#[derive(Module, Debug)]
pub struct Residual {
    pub(super) body: Vec<Layer>,
    pub(super) shortcut: Vec<Layer>,
}

/// One layer with its parameters.
#[derive(Module, Debug)]
pub enum Layer {
    /// See [`LayerSpec::Conv`].
    Conv(Conv2d),
    /// See [`LayerSpec::Norm`].
    Norm(BatchNorm),
    /// See [`LayerSpec::Relu`].
    Relu(Relu),
    /// See [`LayerSpec::MaxPool`].
    MaxPool(MaxPool2d),
    /// See [`LayerSpec::GlobalAvgPool`].
    GlobalAvgPool(AdaptiveAvgPool2d),
    /// See [`LayerSpec::Flatten`].
    Flatten(Flatten),
    /// See [`LayerSpec::Linear`].
    Linear(Linear),
    /// See [`LayerSpec::Residual`].
    Residual(Residual),
}

impl LayerSpec {
    /// Output shape for an input of `[c, h, w]`.
    pub fn output(&self, [c, h, w]: [usize; 3]) -> [usize; 3] {
        match self {
            Self::Conv { out, stride, .. } => [*out, h.div_ceil(*stride), w.div_ceil(*stride)],
            Self::Norm | Self::Relu => [c, h, w],
            Self::MaxPool => [c, h / 2, w / 2],
            Self::GlobalAvgPool => [c, 1, 1],
            Self::Flatten => [c * h * w, 1, 1],
            Self::Linear(out) => [*out, 1, 1],
            Self::Residual(body, _) => body.iter().fold([c, h, w], |s, l| l.output(s)),
        }
    }

    /// Multiply-adds of one image's forward pass, for cost shares; what is not a convolution or a matrix counts nothing.
    pub fn macs(&self, input: [usize; 3]) -> u64 {
        let [out, h, w] = self.output(input).map(|d| d as u64);
        match self {
            Self::Conv { kernel, .. } => out * h * w * (input[0] * kernel * kernel) as u64,
            Self::Linear(_) => out * input.iter().product::<usize>() as u64,
            Self::Residual(body, shortcut) => macs_all(body, input) + macs_all(shortcut, input),
            _ => 0,
        }
    }

    /// Number of weights and running statistics.
    pub fn weights(&self, input: [usize; 3]) -> usize {
        match self {
            Self::Conv { out, kernel, bias, .. } => out * (input[0] * kernel * kernel + usize::from(*bias)),
            Self::Norm => 4 * input[0],
            Self::Linear(out) => out * (input.iter().product::<usize>() + 1),
            Self::Residual(body, shortcut) => weights_all(body, input) + weights_all(shortcut, input),
            _ => 0,
        }
    }

    /// The layer with zero weights (the crate's own streams fill them) and its output shape.
    pub fn init(&self, input: [usize; 3], device: &Device) -> (Layer, [usize; 3]) {
        let zeros = Initializer::Zeros;
        let layer = match self {
            Self::Conv { out, kernel, stride, bias } => Layer::Conv(
                Conv2dConfig::new([input[0], *out], [*kernel, *kernel])
                    .with_stride([*stride, *stride])
                    .with_padding(PaddingConfig2d::Explicit(kernel / 2, kernel / 2, kernel / 2, kernel / 2))
                    .with_bias(*bias)
                    .with_initializer(zeros)
                    .init(device),
            ),
            Self::Norm => Layer::Norm(BatchNormConfig::new(input[0]).with_momentum(NORM_MOMENTUM).init(device)),
            Self::Relu => Layer::Relu(Relu::new()),
            Self::MaxPool => Layer::MaxPool(MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()),
            Self::GlobalAvgPool => Layer::GlobalAvgPool(AdaptiveAvgPool2dConfig::new([1, 1]).init()),
            Self::Flatten => Layer::Flatten(Flatten {}),
            Self::Linear(out) => Layer::Linear(LinearConfig::new(input.iter().product(), *out).with_initializer(zeros).init(device)),
            Self::Residual(body, shortcut) => {
                Layer::Residual(Residual { body: init_all(body, input, device).0, shortcut: init_all(shortcut, input, device).0 })
            }
        };
        (layer, self.output(input))
    }
}

/// Multiply-adds of `specs` one after the other.
pub fn macs_all(specs: &[LayerSpec], mut shape: [usize; 3]) -> u64 {
    specs
        .iter()
        .map(|spec| {
            let macs = spec.macs(shape);
            shape = spec.output(shape);
            macs
        })
        .sum()
}

/// Weights and running statistics of `specs` one after the other.
pub fn weights_all(specs: &[LayerSpec], mut shape: [usize; 3]) -> usize {
    specs
        .iter()
        .map(|spec| {
            let weights = spec.weights(shape);
            shape = spec.output(shape);
            weights
        })
        .sum()
}

/// Layers of `specs` one after the other, and their output shape.
pub fn init_all(specs: &[LayerSpec], mut shape: [usize; 3], device: &Device) -> (Vec<Layer>, [usize; 3]) {
    let layers = specs
        .iter()
        .map(|spec| {
            let (layer, out) = spec.init(shape, device);
            shape = out;
            layer
        })
        .collect();
    (layers, shape)
}

/// `x` through `layers`: by fused kernels on the CPU, by burn's own operations elsewhere.
pub fn forward_all(layers: &[Layer], x: Tensor<4>) -> Tensor<4> {
    if crate::kernels::on_cpu(&x.device()) { super::fused::forward(layers, x) } else { forward_plain(layers, x) }
}

/// `x` through `layers` by burn's own operations.
pub fn forward_plain(layers: &[Layer], x: Tensor<4>) -> Tensor<4> {
    layers.iter().fold(x, |x, layer| layer.forward(x))
}

impl Layer {
    /// N×C×H×W → N×C'×H'×W', by burn's own operations.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Norm(norm) => norm.forward(x),
            Self::Relu(_) => relu(x),
            Self::MaxPool(pool) => pool.forward(x),
            Self::GlobalAvgPool(pool) => pool.forward(x),
            Self::Flatten(_) => {
                let [n, c, h, w] = x.dims();
                x.reshape([n, c * h * w, 1, 1])
            }
            Self::Linear(linear) => {
                let n = x.dims()[0];
                let y = linear.forward(x.flatten::<2>(1, 3)); // [N, F]
                let out = y.dims()[1];
                y.reshape([n, out, 1, 1])
            }
            Self::Residual(block) => {
                let side = forward_plain(&block.shortcut, x.clone());
                relu(forward_plain(&block.body, x) + side)
            }
        }
    }
}
