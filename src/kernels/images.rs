//! Image tensors of the CPU back end: N×C×H×W to everyone, channels last in memory wherever a kernel made them.
//!
//! As in torch's `channels_last`, the order lies in the strides: shape and meaning stay, and operations that know nothing of it still work.

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use super::padded::{Padded, copy_padded};

/// Order of an image's floats in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// H×W×C.
    ChannelsLast,
    /// C×H×W.
    ChannelsFirst,
}

/// A batch of images, dense in one of the two orders.
#[derive(Debug, Clone)]
pub struct Images {
    tensor: FlexTensor,
    order: Order,
}

/// Height, width, channels, the order of memory.
pub type Size = [usize; 3];

impl Images {
    /// Of an N×C×H×W tensor of 32-bit floats; copied if its memory has neither order.
    pub fn new(tensor: FlexTensor) -> Self {
        match order(tensor.layout()) {
            Some(order) => Self { tensor, order },
            None => Self { tensor: tensor.to_contiguous(), order: Order::ChannelsFirst },
        }
    }

    /// The same images with channels last; copied if they are not.
    pub fn channels_last(self) -> Self {
        if self.order == Order::ChannelsLast {
            return self;
        }
        let size: Size = self.size();
        let tight = Padded { size, before: [0, 0], after: [0, 0] };
        let mut floats = vec![0f32; self.floats().len()];
        floats.par_chunks_mut(tight.len().max(1)).enumerate().for_each(|(i, to)| copy_padded(self.image(i), self.order, &tight, to));
        Self { tensor: Self::tensor(floats, self.len(), size), order: Order::ChannelsLast }
    }

    /// A tensor of `n` images from floats in N×H×W×C order.
    pub fn tensor(floats: Vec<f32>, n: usize, [h, w, c]: Size) -> FlexTensor {
        assert_eq!(floats.len(), n * h * w * c, "{n} images of {h}×{w}×{c}");
        let strides = [h * w * c, 1, w * c, c].map(|s| s as isize).to_vec();
        FlexTensor::new(Bytes::from_elems(floats), Layout::new(Shape::from(vec![n, c, h, w]), strides, 0), DType::F32)
    }

    /// Every pixel a row of its channels.
    ///
    /// # Panics
    /// Images that are not channels last.
    pub fn pixels(&self) -> FlexTensor {
        assert_eq!(self.order, Order::ChannelsLast);
        let [h, w, c] = self.size();
        let layout = Layout::new(Shape::from(vec![self.len() * h * w, c]), vec![c as isize, 1], self.tensor.layout().start_offset());
        self.tensor.clone().with_layout(layout)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.tensor.layout().shape()[0]
    }

    /// Height, width, channels.
    pub fn size(&self) -> Size {
        let shape = self.tensor.layout().shape();
        [shape[2], shape[3], shape[1]]
    }

    /// Order of their floats.
    pub fn order(&self) -> Order {
        self.order
    }

    /// All floats, image by image.
    pub fn floats(&self) -> &[f32] {
        let len = self.tensor.layout().num_elements();
        &self.tensor.storage::<f32>()[self.tensor.layout().start_offset()..][..len]
    }

    /// Floats of image `i`.
    pub fn image(&self, i: usize) -> &[f32] {
        let len: usize = self.size().iter().product();
        &self.floats()[i * len..][..len]
    }
}

/// The order of a dense layout; none if it is neither.
fn order(layout: &Layout) -> Option<Order> {
    let shape = layout.shape();
    let [n, c, h, w] = [shape[0], shape[1], shape[2], shape[3]];
    let has = |wanted: [usize; 4]| {
        // The stride of a dimension of one element says nothing.
        [n, c, h, w].iter().zip(layout.strides()).zip(wanted).all(|((dim, stride), wanted)| *dim == 1 || *stride == wanted as isize)
    };
    if has([c * h * w, 1, w * c, c]) {
        Some(Order::ChannelsLast)
    } else if has([c * h * w, h * w, w, 1]) {
        Some(Order::ChannelsFirst)
    } else {
        None
    }
}
