//! `mnist-mini`: the first 1,000 training and 200 test images of each digit of MNIST, inside the program.
//!
//! So that the tool shows something real a minute after it is installed, without a network. `assets/README.md` says how the
//! files were made.

use std::sync::Arc;

use flate2::read::GzDecoder;

use super::augment::Augmentation;
use super::idx::{self, Images};
use super::{ClassId, Dataset, DatasetEntry, Normalisation, Part};
use crate::error::Result;

const CLASSES: usize = 10;

/// 10 classes, 10,000 + 2,000 images, 1×28×28; nothing to fetch.
pub const ENTRY: DatasetEntry = DatasetEntry {
    name: "mnist-mini",
    summary: "the first 1,000 + 200 images of each MNIST digit, built in: 10 classes, 1×28×28",
    licence: "no formal licence, commonly stated CC BY-SA 3.0; cite LeCun, Cortes, Burges: The MNIST database of handwritten digits",
    files: &[],
    marker: "",
    unpack: None,
    load: |_| mnist_mini(),
};

/// The set.
///
/// # Errors
/// Only if the program itself is damaged.
pub fn mnist_mini() -> Result<Dataset> {
    let train = part(
        "built-in mnist-mini-train",
        include_bytes!("../../assets/mnist-mini-train-images-idx3-ubyte.gz"),
        include_bytes!("../../assets/mnist-mini-train-labels-idx1-ubyte.gz"),
    )?;
    let test = part(
        "built-in mnist-mini-test",
        include_bytes!("../../assets/mnist-mini-test-images-idx3-ubyte.gz"),
        include_bytes!("../../assets/mnist-mini-test-labels-idx1-ubyte.gz"),
    )?;
    Ok(Dataset {
        name: ENTRY.name.to_string(),
        class_names: (0..CLASSES).map(|d| d.to_string()).collect(),
        train: Arc::new(train),
        test: Arc::new(test),
        augmentation: Augmentation::none(),
        normalisation: Normalisation::none(),
    })
}

fn part(at: &str, images: &[u8], labels: &[u8]) -> Result<Part> {
    let remedy = "install the program again";
    let Images { rows, cols, pixels, .. } = idx::images_from(at, GzDecoder::new(images), remedy)?;
    let labels = idx::labels_from(at, GzDecoder::new(labels), remedy)?.into_iter().map(|l| ClassId(u16::from(l))).collect();
    Part::new(at, [1, rows, cols], pixels, labels, CLASSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_its_images() {
        let set = mnist_mini().unwrap();
        assert_eq!(set.shape(), [1, 28, 28]);
        for (part, each) in [(&set.train, 1000), (&set.test, 200)] {
            for digit in 0..10 {
                assert_eq!(part.labels.iter().filter(|l| l.0 == digit).count(), each, "digit {digit}");
            }
        }
        // The first training image of MNIST is a 5, the first test image a 7.
        assert_eq!((set.train.labels[0].0, set.test.labels[0].0), (5, 7));
    }
}
