//! Runs: the contiguous input floats that a convolution's output pixel is made of.

use super::geometry::Sizes;
use super::pixels::{List, Pixel, Pixels};
use crate::kernels::padded::Padded;

/// Runs of a forward pass (and of a weight gradient), or of one phase of a data gradient.
#[derive(Debug, Clone)]
pub struct Runs {
    /// Offset of each from the pixel's first input.
    pub offsets: Vec<usize>,
    /// Floats of each.
    pub len: usize,
    /// Kernel row and column of the first float of each run.
    first: Vec<[usize; 2]>,
    /// Kernel columns between neighbouring pixels of a run: 1 forward; minus the stride for a data gradient.
    step: isize,
    /// Channels of a pixel that belong to one group.
    channels: usize,
}

impl Runs {
    /// Of the forward pass over inputs padded as `input` says. Where channels are in one group, a kernel row is one run; else every kernel
    /// element has its own.
    pub fn forward(sizes: &Sizes, input: &Padded) -> Self {
        let [kh, kw] = sizes.kernel;
        let groups = sizes.geometry.groups;
        let channels = sizes.input[2] / groups;
        let taps = if groups == 1 { 1 } else { kw };
        let first: Vec<[usize; 2]> = (0..kh).flat_map(|y| (0..taps).map(move |x| [y, x])).collect();
        let offsets = first.iter().map(|[y, x]| y * input.row() + x * sizes.input[2]).collect();
        Self { offsets, len: kw / taps * channels, first, step: 1, channels }
    }

    /// Of the pixels of phase `phase` of the data gradient, over output gradients padded as `output` says; their kernel rows are
    /// phase, phase + stride, … from bottom to top, and their columns likewise.
    pub fn backward(sizes: &Sizes, output: &Padded, phase: [usize; 2]) -> Self {
        let stride = sizes.geometry.stride;
        let groups = sizes.geometry.groups;
        let channels = sizes.output[2] / groups;
        let taps = |k: usize, phase: usize| k.saturating_sub(phase).div_ceil(stride);
        let (rows, columns) = (taps(sizes.kernel[0], phase[0]), taps(sizes.kernel[1], phase[1]));
        let separate = if groups == 1 { columns.min(1) } else { columns };
        let kernel = |phase: usize, count: usize, u: usize| phase + (count - 1 - u) * stride;
        let places: Vec<[usize; 2]> = (0..rows).flat_map(|y| (0..separate).map(move |x| [y, x])).collect();
        let first = places.iter().map(|[y, x]| [kernel(phase[0], rows, *y), kernel(phase[1], columns, *x)]).collect();
        let offsets = places.iter().map(|[y, x]| y * output.row() + x * sizes.output[2]).collect();
        Self { offsets, len: columns.checked_div(separate).unwrap_or(0) * channels, first, step: -(stride as isize), channels }
    }

    /// Kernel row, kernel column and channel within the group of float `t` of run `run`.
    fn element(&self, run: usize, t: usize) -> [usize; 3] {
        let [y, x] = self.first[run];
        [y, x.wrapping_add_signed((t / self.channels) as isize * self.step), t % self.channels]
    }

    /// Where the weight lies in torch's order that output channel `channel` has for float `t` of run `run`, and the distance to the next
    /// channel's of the same group; for forward runs.
    pub fn weight(&self, sizes: &Sizes, channel: usize, run: usize, t: usize) -> (usize, usize) {
        let [y, x, c] = self.element(run, t);
        let kernel = sizes.kernel[0] * sizes.kernel[1];
        ((channel * self.channels + c) * kernel + y * sizes.kernel[1] + x, self.channels * kernel)
    }

    /// The same for backward runs, whose floats are output channels: the weight that input channel `channel` has for it.
    pub fn transposed_weight(&self, sizes: &Sizes, channel: usize, run: usize, t: usize) -> (usize, usize) {
        let [y, x, c] = self.element(run, t);
        let per_group = sizes.input[2] / sizes.geometry.groups;
        let kernel = sizes.kernel[0] * sizes.kernel[1];
        let out = channel / per_group * self.channels + c;
        ((out * per_group + channel % per_group) * kernel + y * sizes.kernel[1] + x, kernel)
    }
}

/// Output pixels of the forward pass over `images` inputs that lie one after the other.
pub fn forward_pixels(sizes: &Sizes, input: &Padded, images: usize, every: usize) -> List {
    let [h, w, c] = sizes.output;
    let stride = sizes.geometry.stride;
    let place = |y: usize, x: usize| Pixel { input: y * stride * input.row() + x * stride * sizes.input[2], output: (y * w + x) * c };
    let mut first = Vec::with_capacity(h.div_ceil(every) * w.div_ceil(every) * images);
    for y in (0..h).step_by(every) {
        first.extend((0..w).step_by(every).map(|x| place(y, x)));
    }
    List::new(first, images, [input.len(), h * w * c])
}

/// The same where they lie evenly: 1×1, stride 1, nothing around the input.
pub fn even_pixels(sizes: &Sizes, input: &Padded) -> Option<Pixels> {
    let [h, w, c] = sizes.output;
    let even = sizes.kernel == [1, 1] && sizes.geometry.stride == 1 && input.is_tight();
    even.then(|| Pixels::Even { per_image: h * w, step: [sizes.input[2], c] })
}

/// Zeros that the data gradient needs around an output gradient.
pub fn backward_padding(sizes: &Sizes) -> Padded {
    let (stride, padding) = (sizes.geometry.stride, sizes.geometry.padding);
    let around = |size: usize, out: usize, k: usize| {
        let mut before = 0;
        for phase in 0..stride.min(size + padding) {
            let taps = k.saturating_sub(phase).div_ceil(stride);
            let first = padding.saturating_sub(phase).div_ceil(stride); // of the first pixel with this phase
            before = before.max(taps.saturating_sub(1 + first));
        }
        (before, ((size - 1 + padding) / stride).saturating_sub(out - 1))
    };
    let (top, bottom) = around(sizes.input[0], sizes.output[0], sizes.kernel[0]);
    let (left, right) = around(sizes.input[1], sizes.output[1], sizes.kernel[1]);
    Padded { size: sizes.output, before: [top, left], after: [bottom, right] }
}

/// Input pixels of one phase of the data gradient: those whose place plus the padding is `phase` modulo the stride.
pub fn backward_pixels(sizes: &Sizes, output: &Padded, phase: [usize; 2], images: usize, every: usize) -> List {
    let [h, w, c] = sizes.input;
    let (stride, padding) = (sizes.geometry.stride, sizes.geometry.padding);
    // (place, first output gradient it needs, in padded coordinates)
    let along = |size: usize, k: usize, phase: usize, before: usize| -> Vec<(usize, usize)> {
        let taps = k.saturating_sub(phase).div_ceil(stride);
        (0..size)
            .filter(|i| (i + padding) % stride == phase)
            .step_by(every)
            // Without taps nothing is read: any place will do.
            .map(|i| (i, if taps == 0 { 0 } else { (i + padding - phase) / stride + before + 1 - taps }))
            .collect()
    };
    let rows = along(h, sizes.kernel[0], phase[0], output.before[0]);
    let columns = along(w, sizes.kernel[1], phase[1], output.before[1]);
    let place = |(y, from_y): (usize, usize), (x, from_x): (usize, usize)| Pixel {
        input: from_y * output.row() + from_x * output.size[2],
        output: (y * w + x) * c,
    };
    let mut first = Vec::with_capacity(rows.len() * columns.len() * images);
    for row in &rows {
        first.extend(columns.iter().map(|column| place(*row, *column)));
    }
    List::new(first, images, [output.len(), h * w * c])
}
