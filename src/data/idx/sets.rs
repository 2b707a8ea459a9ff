//! The two sets that are plain IDX files: MNIST and Fashion-MNIST.

use std::path::Path;
use std::sync::Arc;

use super::read_part;
use crate::data::augment::Augmentation;
use crate::data::{Dataset, DatasetEntry, Normalisation, RemoteFile};
use crate::error::Result;

/// The official file names, train before test, images before labels.
const FILES: [&str; 4] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const CLOTHES: [&str; 10] = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

macro_rules! remote {
    ($name:literal, $md5:literal, $bytes:expr, [$($folder:literal),+]) => {
        RemoteFile { name: $name, urls: &[$(concat!($folder, $name)),+], md5: $md5, bytes: $bytes }
    };
}

macro_rules! mnist {
    ($name:literal, $md5:literal, $bytes:literal) => {
        remote!($name, $md5, Some($bytes), ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"])
    };
}

// The first address has no TLS: the checksum decides.
macro_rules! fashion {
    ($name:literal, $md5:literal) => {
        remote!(
            $name,
            $md5,
            None,
            [
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
            ]
        )
    };
}

/// MNIST: 60,000 + 10,000 handwritten digits, 1×28×28, in `DATA_DIR/mnist`.
pub const MNIST: DatasetEntry = DatasetEntry {
    name: "mnist",
    summary: "handwritten digits, 10 classes, 60,000 + 10,000 images, 1×28×28",
    licence: "no formal licence, commonly stated CC BY-SA 3.0; cite LeCun, Cortes, Burges: The MNIST database of handwritten digits",
    files: &[
        mnist!("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
        mnist!("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
        mnist!("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
        mnist!("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
    ],
    marker: "mnist/train-images-idx3-ubyte",
    unpack: None,
    load: |data_dir| load("mnist", &DIGITS, data_dir),
};

/// Fashion-MNIST: 60,000 + 10,000 articles of clothing, 1×28×28, in `DATA_DIR/fashion-mnist`.
pub const FASHION_MNIST: DatasetEntry = DatasetEntry {
    name: "fashion-mnist",
    summary: "articles of clothing, 10 classes, 60,000 + 10,000 images, 1×28×28",
    licence: "MIT, Zalando SE; cite Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
    files: &[
        fashion!("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        fashion!("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        fashion!("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        fashion!("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ],
    marker: "fashion-mnist/train-images-idx3-ubyte",
    unpack: None,
    load: |data_dir| load("fashion-mnist", &CLOTHES, data_dir),
};

fn load(name: &str, classes: &[&str], data_dir: &Path) -> Result<Dataset> {
    let remedy = format!("run `unlearn data fetch {name}`, or point --data-dir at the folder that holds {name}/");
    let [train, train_labels, test, test_labels] = FILES.map(|f| data_dir.join(name).join(f));
    Ok(Dataset {
        name: name.to_string(),
        class_names: classes.iter().map(ToString::to_string).collect(),
        train: Arc::new(read_part(&train, &train_labels, classes.len(), &remedy)?),
        test: Arc::new(read_part(&test, &test_labels, classes.len(), &remedy)?),
        // The notebooks list none for these sets.
        augmentation: Augmentation::none(),
        normalisation: Normalisation::none(),
    })
}
