//! `blobs`: a small made-up set, for tests and for trying the tool without any file.
//!
//! Each class is a pattern of soft spots on 8×8 pixels, every image its class's pattern shifted a little, dimmed a little and
//! under noise, so that a tiny network is right on nearly all of it, but classes do overlap. Only additions, multiplications
//! and divisions are used: the bytes are the same on every platform.

use std::sync::Arc;

use rand::RngExt;

use super::augment::Augmentation;
use super::{ClassId, Dataset, DatasetEntry, Normalisation, Part};
use crate::error::Result;
use crate::rng::{self, Stream};

const EDGE: usize = 8;
const TRAIN_PER_CLASS: usize = 60;
const TEST_PER_CLASS: usize = 30;
/// Greatest shift of a pattern, in pixels.
const SHIFT: f64 = 1.0;
/// Spread of the noise, as a share of white: the sum of four uniform draws from ±NOISE.
const NOISE: f64 = 0.15;
/// Radius of a spot at which it is half as bright, squared, in pixels².
const RADIUS2: f64 = 4.0;

/// Centres of each class's spots (row, column).
const SPOTS: [&[(f64, f64)]; 6] = [&[(1.5, 1.5)], &[(1.5, 5.5)], &[(5.5, 1.5)], &[(5.5, 5.5)], &[(3.5, 3.5)], &[(3.5, 0.5), (3.5, 6.5)]];

/// 6 classes, 60 training and 30 test images each, 1×8×8, made on the spot.
pub const ENTRY: DatasetEntry = DatasetEntry {
    name: "blobs",
    summary: "made-up soft spots for tests, 6 classes, 360 + 180 images, 1×8×8",
    licence: "part of this program",
    files: &[],
    marker: "",
    unpack: None,
    load: |_| blobs(),
};

/// The set; always the same.
pub fn blobs() -> Result<Dataset> {
    Ok(Dataset {
        name: ENTRY.name.to_string(),
        class_names: ["north-west", "north-east", "south-west", "south-east", "centre", "sides"].map(String::from).to_vec(),
        train: Arc::new(part(TRAIN_PER_CLASS, 0)?),
        test: Arc::new(part(TEST_PER_CLASS, 1)?),
        augmentation: Augmentation::none(),
        normalisation: Normalisation::none(),
    })
}

/// `per_class` images of each class, classes in turn, from stream `blobs` number `index`.
fn part(per_class: usize, index: u64) -> Result<Part> {
    let mut rng = rng::stream(0, "blobs", index);
    let labels: Vec<ClassId> = (0..per_class * SPOTS.len()).map(|i| ClassId((i % SPOTS.len()) as u16)).collect();
    let pixels = labels.iter().flat_map(|l| image(SPOTS[usize::from(l.0)], &mut rng)).collect();
    Part::new("blobs", [1, EDGE, EDGE], pixels, labels, SPOTS.len())
}

fn image(spots: &[(f64, f64)], rng: &mut Stream) -> [u8; EDGE * EDGE] {
    let mut uniform = |reach: f64| reach * (2.0 * rng.random::<f64>() - 1.0);
    let (down, right, light) = (uniform(SHIFT), uniform(SHIFT), 0.75 + uniform(0.25));
    std::array::from_fn(|i| {
        let (row, col) = ((i / EDGE) as f64, (i % EDGE) as f64);
        let mut value = 0.0;
        for (y, x) in spots {
            let (dy, dx) = (row - y - down, col - x - right);
            let closeness = 1.0 / (1.0 + (dy * dy + dx * dx) / RADIUS2);
            value += light * closeness * closeness;
        }
        let noise: f64 = (0..4).map(|_| uniform(NOISE)).sum();
        // A float becomes a byte by saturating: nothing to clamp.
        ((value + noise) * 255.0) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Class whose mean training image is nearest, for each test image.
    fn nearest_mean_accuracy(set: &Dataset) -> f64 {
        let mut means = vec![[0f64; EDGE * EDGE]; SPOTS.len()];
        for i in 0..set.train.len() {
            let mean = &mut means[usize::from(set.train.labels[i].0)];
            mean.iter_mut().zip(set.train.image(i)).for_each(|(m, v)| *m += f64::from(*v) / TRAIN_PER_CLASS as f64);
        }
        let distance = |mean: &[f64], image: &[u8]| -> f64 { mean.iter().zip(image).map(|(m, v)| (m - f64::from(*v)).powi(2)).sum() };
        let right = (0..set.test.len()).filter(|i| {
            let image = set.test.image(*i);
            let nearest = (0..means.len()).min_by(|a, b| distance(&means[*a], image).total_cmp(&distance(&means[*b], image)));
            nearest == Some(usize::from(set.test.labels[*i].0))
        });
        right.count() as f64 / set.test.len() as f64
    }

    #[test]
    fn classes_can_be_told_apart_but_overlap() {
        let accuracy = nearest_mean_accuracy(&blobs().unwrap());
        assert!((0.95..1.0).contains(&accuracy), "{accuracy}");
    }

    #[test]
    fn the_set_is_always_the_same() {
        let set = blobs().unwrap();
        assert_eq!((set.train.len(), set.test.len(), set.shape(), set.class_names.len()), (360, 180, [1, 8, 8], 6));
        // On every platform, too.
        assert_eq!(set.fingerprint(), "2a4258c85153b8367fa2529800117151ad1e492b403beceecef47a71a6c07ceb");
    }
}
