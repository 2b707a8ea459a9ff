//! Images that stay on a GPU: a part goes there once, a byte a pixel, and batches are picked, augmented and normalised there.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{Normalisation, Part};
use crate::pages::{PAGE, Pages};

/// The images of one part on one device, once they were asked for.
#[derive(Debug, Default)]
pub(super) struct Resident(Mutex<Option<(Device, Pages<Int>)>>);

impl Resident {
    /// The words of `part`'s images on `device`, put there at the first call.
    fn words(&self, part: &Part, device: &Device) -> Pages<Int> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner); // set whole or not at all
        match held.as_ref() {
            Some((at, words)) if at == device => words.clone(),
            _ => {
                let words = packed(part, PAGE, device);
                *held = Some((device.clone(), words.clone()));
                words
            }
        }
    }
}

/// Four pixels a word, N×⌈C·H·W/4⌉: byte k of word i is pixel k·⌈C·H·W/4⌉ + i, so that each of the four is a run of the image. (Not every GPU
/// has tensors of bytes.)
fn packed(part: &Part, limit: usize, device: &Device) -> Pages<Int> {
    let size: usize = part.shape.iter().product();
    let width = size.div_ceil(4);
    let mut pages = Pages::new();
    // Not all words at once: they would be a second copy of the images.
    for images in part.pixels.chunks((limit / (4 * width)).max(1) * size) {
        let words: Vec<i32> = images
            .chunks_exact(size)
            .flat_map(|image| {
                let byte = move |k: usize, i: usize| image.get(k * width + i).copied().unwrap_or(0);
                (0..width).map(move |i| i32::from_le_bytes([byte(0, i), byte(1, i), byte(2, i), byte(3, i)]))
            })
            .collect();
        pages.push(Tensor::from_data(TensorData::new(words, [images.len() / size, width]), device));
    }
    pages
}

/// The images of `part` with these numbers, N×C×H×W floats from 0 to 1 on `device` (no autodiff device).
pub(super) fn pick(part: &Part, numbers: &[u32], device: &Device) -> Tensor<4> {
    let [c, h, w] = part.shape;
    let n = numbers.len();
    let numbers: Vec<usize> = numbers.iter().map(|i| *i as usize).collect();
    let words = part.resident.words(part, device).pick(&numbers, device); // [N, ⌈CHW/4⌉]
    let bytes: Vec<Tensor<2, Int>> = (0..4).map(|k| words.clone().bitwise_right_shift_scalar(8 * k).bitwise_and_scalar(255)).collect();
    Tensor::cat(bytes, 1).narrow(1, 0, c * h * w).float().div_scalar(255.0).reshape([n, c, h, w])
}

/// N×C×H×W `images` less the mean, over the standard deviation, channel by channel.
pub(super) fn normalised(images: Tensor<4>, normalisation: &Normalisation) -> Tensor<4> {
    let device = images.device();
    let channels = |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, values.len(), 1, 1]), &device);
    (images - channels(&normalisation.mean)) / channels(&normalisation.std)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ClassId;
    use crate::model::tensors::floats;

    #[test]
    fn bytes_come_back_whatever_pages_they_lie_in() {
        let device = Device::flex();
        let pixels: Vec<u8> = (0..20 * 30).map(|i| (i * 89 % 256) as u8).collect();
        let part = Part::new("made up", [2, 3, 5], pixels, vec![ClassId(0); 20], 1).expect("sizes fit"); // 30 bytes, 8 words
        let numbers = [19, 0, 7, 7, 3];
        let wanted: Vec<f32> = numbers.iter().flat_map(|i| part.image(*i as usize).iter().map(|b| f32::from(*b) / 255.0)).collect();
        for limit in [1, 100, 1 << 20] {
            *part.resident.0.lock().expect("nobody panicked") = Some((device.clone(), packed(&part, limit, &device)));
            let found = pick(&part, &numbers, &device);
            assert_eq!(found.dims(), [5, 2, 3, 5]);
            assert!(floats(found).iter().zip(&wanted).all(|(f, w)| (f - w).abs() < 1e-7), "pages of {limit} bytes");
        }
    }
}
