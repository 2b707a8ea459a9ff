//! Sizes of a convolution.

use super::blocks::Channels;
use crate::kernels::padded::Padded;

/// How a convolution moves over its input; the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Step between neighbouring output pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// Every size of one convolution. Weights are `co × ci/groups × kh × kw`, as in torch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Images.
    pub n: usize,
    /// Input height, width, channels.
    pub input: [usize; 3],
    /// Output height, width, channels.
    pub output: [usize; 3],
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Stride, padding, groups.
    pub geometry: Geometry,
}

impl Sizes {
    /// Of an input N×C×H×W and weights O×(C/groups)×Kh×Kw.
    ///
    /// # Panics
    /// Shapes that do not belong together: a bug in the caller, never a user's.
    pub fn new([n, ci, h, w]: [usize; 4], [co, per_group, kh, kw]: [usize; 4], geometry: Geometry) -> Self {
        let Geometry { stride, padding, groups } = geometry;
        assert!(groups > 0 && stride > 0 && ci == per_group * groups && co.is_multiple_of(groups), "{ci} → {co} channels in {groups} groups");
        assert!(h + 2 * padding >= kh && w + 2 * padding >= kw, "a kernel of {kh}×{kw} on {h}×{w} padded by {padding}");
        let out = |size: usize, k: usize| (size + 2 * padding - k) / stride + 1;
        Self { n, input: [h, w, ci], output: [out(h, kh), out(w, kw), co], kernel: [kh, kw], geometry }
    }

    /// The input as forward pass and weight gradient read it.
    pub fn padded_input(&self) -> Padded {
        let p = self.geometry.padding;
        Padded { size: self.input, before: [p, p], after: [p, p] }
    }

    /// How output channels see input channels.
    pub fn channels(&self) -> Channels {
        let groups = self.geometry.groups;
        Channels { groups, input: self.input[2] / groups, output: self.output[2] / groups }
    }

    /// The same for the data gradient, which goes the other way.
    pub fn channels_back(&self) -> Channels {
        let Channels { groups, input, output } = self.channels();
        Channels { groups, input: output, output: input }
    }

    /// Floats of an input image.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Floats of an output image.
    pub fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        let [_, _, ci] = self.input;
        self.output[2] * ci / self.geometry.groups * self.kernel[0] * self.kernel[1]
    }

    /// Multiply-adds of one pass over one image.
    pub fn macs(&self) -> usize {
        self.weights() * self.output[0] * self.output[1]
    }
}
