//! The founding notebooks' augmentations, with torchvision's meaning of every parameter.
//!
//! | file | holds |
//! |---|---|
//! | `augment` | [`Augmentation`]: the steps, what is drawn for each, in the notebooks' order |
//! | `geometry` | affine map, crop and resize, flip: no randomness |
//! | `colour` | brightness, contrast, saturation, hue: no randomness |
//! | `tensors` | the same for a batch at once by tensor operations, where images stay on a GPU |
//!
//! Images are 0–1 floats throughout. torchvision does the same to EMNIST; CIFAR-10's steps it applies to 8-bit pictures,
//! rounding after each, which is not imitated: the difference is below one grey level a step.
//! The notebooks augment EMNIST's images as stored, transposed; here they are upright (see `emnist`).

mod colour;
mod geometry;
mod tensors;

use burn::tensor::Tensor;
use rand::RngExt;
use rand::seq::SliceRandom;

use crate::rng::Stream;
use geometry::{Affine, Crop};

/// torchvision's default bounds of a crop's width over height.
const CROP_RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
/// Draws of a crop before torchvision takes the middle of the image instead.
const CROP_ATTEMPTS: usize = 10;

/// One random change of an image. Bounds are inclusive, every number between them equally likely.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `RandomAffine`: rotation, shift, scale and shear about the centre; nearest pixel, black where nothing was.
    Affine {
        /// Rotation within ± this many degrees.
        degrees: f64,
        /// Shift within ± this share of width and height, rounded to whole pixels.
        translate: f64,
        /// Bounds of the enlargement.
        scale: (f64, f64),
        /// Shear along x within ± this many degrees.
        shear: f64,
    },
    /// `RandomResizedCrop` to the image's own size: a rectangle of random area and ratio, bilinear.
    ResizedCrop {
        /// Bounds of the rectangle's share of the image's area.
        scale: (f64, f64),
        /// Bounds of width over height, drawn evenly on a logarithmic scale.
        ratio: (f64, f64),
    },
    /// `ColorJitter`: four changes in random order. (1, 1), for hue (0, 0), means none.
    ColourJitter {
        /// Bounds of the factor on every value.
        brightness: (f64, f64),
        /// Bounds of the factor on the distance from the image's mean grey.
        contrast: (f64, f64),
        /// Bounds of the factor on the distance from a pixel's own grey; none on images of one channel.
        saturation: (f64, f64),
        /// Bounds of the shift of the hue, 1 being the full circle; none on images of one channel.
        hue: (f64, f64),
    },
    /// `RandomHorizontalFlip`.
    FlipHorizontally {
        /// How often.
        probability: f64,
    },
}

/// The steps that training images go through, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    /// First to last.
    pub steps: Vec<Step>,
}

impl Augmentation {
    /// Leaves images as they are.
    pub fn none() -> Self {
        Self { steps: Vec::new() }
    }

    /// What the EMNIST notebook does to 1×32×32 images.
    pub fn emnist() -> Self {
        Self {
            steps: vec![
                Step::Affine { degrees: 5.0, translate: 0.1, scale: (0.9, 1.1), shear: 10.0 },
                Step::ColourJitter { brightness: (1.0, 1.0), contrast: (0.9, 1.5), saturation: (1.0, 1.0), hue: (0.0, 0.0) },
            ],
        }
    }

    /// What the CIFAR-10 notebook does to 3×32×32 images.
    pub fn cifar10() -> Self {
        Self {
            steps: vec![
                Step::ResizedCrop { scale: (0.8, 1.0), ratio: CROP_RATIO },
                Step::Affine { degrees: 0.0, translate: 0.0, scale: (1.0, 1.1), shear: 0.0 },
                Step::ColourJitter { brightness: (0.9, 1.3), contrast: (0.9, 1.5), saturation: (0.9, 1.3), hue: (-0.05, 0.05) },
                Step::FlipHorizontally { probability: 0.5 },
            ],
        }
    }

    /// True if images stay as they are.
    pub fn is_none(&self) -> bool {
        self.steps.is_empty()
    }

    /// One line a step, for people.
    pub fn describe(&self) -> Vec<String> {
        self.steps.iter().map(Step::describe).collect()
    }

    /// Writes an augmented copy of one image to `out` as 0–1 floats.
    ///
    /// `bytes` and `out` are C·H·W long, CHW, `shape` = C, H, W. What is done depends on `rng`'s numbers only.
    pub fn apply(&self, bytes: &[u8], shape: [usize; 3], rng: &mut Stream, out: &mut [f32]) {
        assert_eq!((bytes.len(), out.len()), (shape.iter().product(), shape.iter().product()), "an image of {shape:?}");
        out.iter_mut().zip(bytes).for_each(|(o, b)| *o = f32::from(*b) / 255.0);
        let mut scratch = vec![0f32; out.len()];
        for step in &self.steps {
            step.draw(shape, rng).apply(shape, out, &mut scratch);
        }
    }

    /// Augmented copies of N×C×H×W `images` of 0–1 floats, made where they are; one stream an image. The numbers drawn are those that
    /// [`Augmentation::apply`] draws. So are the images, to rounding: where a nearest pixel is a matter of rounding, to the pixel next to it.
    pub fn apply_to_batch(&self, images: Tensor<4>, streams: &mut [Stream]) -> Tensor<4> {
        let [_, c, h, w] = images.dims();
        self.steps.iter().fold(images, |images, step| {
            let changes: Vec<Change> = streams.iter_mut().map(|stream| step.draw([c, h, w], stream)).collect();
            tensors::apply(images, &changes)
        })
    }
}

/// What a [`Step`] does to one image, its random numbers drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Affine(Affine),
    ResizedCrop(Crop),
    ColourJitter(Jitter),
    /// Or not.
    FlipHorizontally(bool),
}

/// Four changes of colour: by how much, none for not at all, and in which order.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Jitter {
    /// Brightness, contrast, saturation, hue.
    factors: [Option<f32>; 4],
    order: [usize; 4],
}

impl Step {
    fn describe(&self) -> String {
        let factor = |name: &str, bounds: (f64, f64)| (bounds != (1.0, 1.0)).then(|| format!("{name} ×{}–{}", bounds.0, bounds.1));
        match *self {
            Self::Affine { degrees, translate, scale, shear } => {
                let within = |name: &str, reach: f64, unit: &str| (reach != 0.0).then(|| format!("{name} ±{reach}{unit}"));
                let parts =
                    [within("rotate", degrees, "°"), within("shift", translate * 100.0, " %"), factor("scale", scale), within("shear", shear, "°")];
                format!("affine: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
            }
            Self::ResizedCrop { scale, ratio } => {
                let percent = |share: f64| (share * 100.0).round();
                format!("crop {}–{} % of the area, ratio {:.2}–{:.2}, resized", percent(scale.0), percent(scale.1), ratio.0, ratio.1)
            }
            Self::ColourJitter { brightness, contrast, saturation, hue } => {
                let shift = (hue != (0.0, 0.0)).then(|| format!("hue {:+}–{:+}", hue.0, hue.1));
                let parts = [factor("brightness", brightness), factor("contrast", contrast), factor("saturation", saturation), shift];
                format!("colour jitter: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
            }
            Self::FlipHorizontally { probability } => format!("flip horizontally, probability {probability}"),
        }
    }

    /// What is done to the next image of `shape` = C, H, W.
    fn draw(&self, [channels, height, width]: [usize; 3], rng: &mut Stream) -> Change {
        match *self {
            Self::Affine { degrees, translate, scale, shear } => Change::Affine(Affine {
                degrees: uniform(rng, (-degrees, degrees)),
                // As Python's `round`, which torchvision uses: half to even.
                right: (width as f64 * uniform(rng, (-translate, translate))).round_ties_even(),
                down: (height as f64 * uniform(rng, (-translate, translate))).round_ties_even(),
                scale: uniform(rng, scale),
                shear: uniform(rng, (-shear, shear)),
            }),
            Self::ResizedCrop { scale, ratio } => Change::ResizedCrop(draw_crop(rng, [height, width], scale, ratio)),
            Self::ColourJitter { brightness, contrast, saturation, hue } => {
                let drawn = [brightness, contrast, saturation, hue].map(|bounds| uniform(rng, bounds) as f32);
                let happens =
                    [brightness != (1.0, 1.0), contrast != (1.0, 1.0), saturation != (1.0, 1.0) && channels == 3, hue != (0.0, 0.0) && channels == 3];
                let mut order = [0, 1, 2, 3];
                order.shuffle(rng);
                Change::ColourJitter(Jitter { factors: std::array::from_fn(|i| happens[i].then_some(drawn[i])), order })
            }
            Self::FlipHorizontally { probability } => Change::FlipHorizontally(rng.random::<f64>() < probability),
        }
    }
}

impl Change {
    fn apply(self, [channels, height, width]: [usize; 3], image: &mut [f32], scratch: &mut [f32]) {
        match self {
            Self::Affine(map) => {
                scratch.copy_from_slice(image);
                geometry::affine(scratch, [height, width], map, image);
            }
            Self::ResizedCrop(crop) => {
                scratch.copy_from_slice(image);
                geometry::resized_crop(scratch, [height, width], crop, image);
            }
            Self::ColourJitter(Jitter { factors, order }) => {
                for change in order {
                    match (change, factors[change]) {
                        (0, Some(factor)) => colour::brightness(image, factor),
                        (1, Some(factor)) => colour::contrast(image, channels, factor),
                        (2, Some(factor)) => colour::saturation(image, factor),
                        (3, Some(shift)) => colour::hue(image, shift),
                        _ => {}
                    }
                }
            }
            Self::FlipHorizontally(true) => geometry::flip_horizontally(image, width),
            Self::FlipHorizontally(false) => {}
        }
    }
}

/// Evenly from `low` to `high`; also where the two are equal, which `random_range` refuses.
fn uniform(rng: &mut Stream, (low, high): (f64, f64)) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// torchvision's `RandomResizedCrop.get_params`.
fn draw_crop(rng: &mut Stream, [height, width]: [usize; 2], scale: (f64, f64), ratio: (f64, f64)) -> Crop {
    let area = (height * width) as f64;
    for _ in 0..CROP_ATTEMPTS {
        let target = area * uniform(rng, scale);
        let aspect = uniform(rng, (ratio.0.ln(), ratio.1.ln())).exp();
        let w = (target * aspect).sqrt().round_ties_even() as usize;
        let h = (target / aspect).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            return Crop { top: rng.random_range(0..=height - h), left: rng.random_range(0..=width - w), height: h, width: w };
        }
    }
    let own = width as f64 / height as f64;
    let (h, w) = if own < ratio.0 {
        ((width as f64 / ratio.0).round_ties_even() as usize, width)
    } else if own > ratio.1 {
        (height, (height as f64 * ratio.1).round_ties_even() as usize)
    } else {
        (height, width)
    };
    Crop { top: (height - h) / 2, left: (width - w) / 2, height: h, width: w }
}

#[cfg(test)]
mod tests;
