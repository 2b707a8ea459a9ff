//! One convolution, by our kernels or by burn's own operation.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use unlearn::kernels::conv::{Geometry, Tail, conv_tail};

/// A convolution without bias whose padding is half its kernel.
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    /// Images.
    pub batch: usize,
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Height and width.
    pub side: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Groups.
    pub groups: usize,
}

impl Conv {
    /// Images, N×C×H×W, that want their gradient, as tensors made by [`super::numbers`]; `last`: channels last in memory.
    pub fn images(&self, last: bool) -> Tensor<4> {
        let (n, c, side) = (self.batch, self.channels[0], self.side);
        if last { tensor([n, side, side, c]).permute([0, 3, 1, 2]) } else { tensor([n, c, side, side]) }.require_grad()
    }

    /// Weights, C'×C/groups×K×K, that want their gradient.
    pub fn weights(&self) -> Tensor<4> {
        tensor([self.channels[1], self.channels[0] / self.groups, self.kernel, self.kernel]).require_grad()
    }

    /// The convolution by our kernels or by burn's operation.
    pub fn run(&self, x: &Tensor<4>, weights: &Tensor<4>, ours: bool) -> Tensor<4> {
        let (x, weights, padding) = (x.clone(), weights.clone(), self.kernel / 2);
        if ours {
            conv_tail(x, weights, None, Geometry { stride: self.stride, padding, groups: self.groups }, Tail::None)
        } else {
            conv2d(x, weights, None, ConvOptions::new([self.stride; 2], [padding; 2], [1, 1], self.groups))
        }
    }
}

fn tensor(shape: [usize; 4]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(super::numbers(shape.iter().product(), 0), shape), &Device::flex().autodiff())
}
