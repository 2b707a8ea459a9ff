//! Data: labelled 8-bit images, the classes chosen from them, and the swap's retain, forget and learn sets.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | [`Dataset`], [`Part`] and the registry [`DATASETS`] |
//! | `classes` | [`ClassId`], [`Slot`], [`ClassMap`], [`Swap`], class lists on the command line |
//! | `view` | [`View`]: samples of one part that a method may or may not open |
//! | `task` | [`SwapTask`]: retain, forget and learn, train and test, disjoint by construction |
//! | `listed` | lists of single training samples |
//! | `scarcity` | [`Scarcity`]: a swap with less data than the set has |
//! | `batch` | [`Batches`]: shuffled, augmented, normalised tensors |
//! | `ahead` | work done ahead of need |
//! | `resident` | images that stay on a GPU |
//! | `augment` | the notebooks' augmentations |
//! | `idx`, `emnist`, `cifar10`, `embedded`, `synthetic` | one format or set a file |
//! | `download` | fetch with mirrors, resume, checksum |
//! | `sheet` | contact sheets |

mod ahead;
pub mod augment;
pub mod batch;
pub mod cifar10;
pub mod classes;
pub mod download;
pub mod embedded;
pub mod emnist;
pub mod idx;
pub mod listed;
mod resident;
pub mod scarcity;
pub mod sheet;
pub mod synthetic;
pub mod task;
pub mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result, did_you_mean};
use augment::Augmentation;

pub use batch::{Batch, Batches, Labelled};
pub use classes::{ClassId, ClassMap, Slot, Swap};
pub use scarcity::Scarcity;
pub use task::{Split, SwapTask};
pub use view::{Needs, Role, Samples, View};

/// One part (train or test) of a data set: N images of C×H×W bytes and a label each.
#[derive(Debug)]
pub struct Part {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// N·C·H·W bytes, image after image, each channel-major (CHW).
    pub pixels: Vec<u8>,
    /// N labels.
    pub labels: Vec<ClassId>,
    /// The images on a GPU, where one trains on them.
    resident: resident::Resident,
}

impl Part {
    /// Checks sizes and label range, so that nothing downstream has to.
    ///
    /// # Errors
    /// `at` (a file) is named when pixels and labels disagree or a label is not below `classes`.
    pub fn new(at: &str, shape: [usize; 3], pixels: Vec<u8>, labels: Vec<ClassId>, classes: usize) -> Result<Self> {
        let size: usize = shape.iter().product();
        if size == 0 || pixels.len() != labels.len() * size {
            return Err(Error::input(
                at,
                format!("{} labels need {} pixel bytes of {shape:?} images, found {}", labels.len(), labels.len() * size, pixels.len()),
                "download the set again: images and labels do not belong together",
            ));
        }
        if let Some(bad) = labels.iter().find(|l| l.0 as usize >= classes) {
            return Err(Error::input(at, format!("label {} in a set of {classes} classes", bad.0), "check that this is the set its name says"));
        }
        Ok(Self { shape, pixels, labels, resident: resident::Resident::default() })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of image `i`, CHW.
    pub fn image(&self, i: usize) -> &[u8] {
        let size: usize = self.shape.iter().product();
        &self.pixels[i * size..(i + 1) * size]
    }
}

/// Per-channel mean and standard deviation that images (scaled to 0–1) are normalised with; length 1 or C.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// Subtracted.
    pub mean: Vec<f32>,
    /// Divided by.
    pub std: Vec<f32>,
}

impl Normalisation {
    /// Leaves 0–1 images as they are.
    pub fn none() -> Self {
        Self { mean: vec![0.0], std: vec![1.0] }
    }
}

/// A labelled image set with its official train and test parts.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name as on the command line, `mnist`.
    pub name: String,
    /// Name of each class; index = [`ClassId`].
    pub class_names: Vec<String>,
    /// Training part.
    pub train: Arc<Part>,
    /// Test part.
    pub test: Arc<Part>,
    /// What the founding notebooks do to training images of this set.
    pub augmentation: Augmentation,
    /// What the founding notebooks normalise this set with.
    pub normalisation: Normalisation,
}

impl Dataset {
    /// Channels, height, width of every image.
    pub fn shape(&self) -> [usize; 3] {
        self.train.shape
    }

    /// SHA-256 over both parts' pixels and labels, in hex: what provenance and cache keys name the data by.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for part in [&self.train, &self.test] {
            hash.update(&part.pixels);
            part.labels.iter().for_each(|l| hash.update(l.0.to_le_bytes()));
        }
        crate::hex(&hash.finalize())
    }

    /// Name of a class, for people.
    pub fn class_name(&self, class: ClassId) -> &str {
        self.class_names.get(class.0 as usize).map_or("?", String::as_str)
    }

    /// The classes that can be learned and tested: those with training and test images. A folder's labels need not be 0, 1, 2, …
    pub fn usable_classes(&self) -> Vec<ClassId> {
        let mut found = [vec![false; self.class_names.len()], vec![false; self.class_names.len()]];
        for (found, part) in found.iter_mut().zip([&self.train, &self.test]) {
            part.labels.iter().for_each(|class| found[usize::from(class.0)] = true);
        }
        let [train, test] = found;
        (0..self.class_names.len() as u16).map(ClassId).filter(|c| train[usize::from(c.0)] && test[usize::from(c.0)]).collect()
    }

    /// Loads the set that `name` means: a name of [`DATASETS`], `emnist-SPLIT`, or `idx:FOLDER`.
    ///
    /// # Errors
    /// An unknown name (with the nearest valid one), missing files (with the command that fetches them), malformed files.
    pub fn load(name: &str, data_dir: &Path) -> Result<Self> {
        if let Some(folder) = name.strip_prefix("idx:") {
            return idx::load_folder(Path::new(folder));
        }
        if let Some(split) = name.strip_prefix("emnist-") {
            return emnist::load(&data_dir.join("emnist"), split);
        }
        (find(name)?.load)(data_dir)
    }
}

/// A file that `unlearn data fetch` brings.
#[derive(Debug)]
pub struct RemoteFile {
    /// Name under the set's folder.
    pub name: &'static str,
    /// Where to get it; tried in this order.
    pub urls: &'static [&'static str],
    /// MD5 as published, in hex.
    pub md5: &'static str,
    /// Size in bytes where published.
    pub bytes: Option<u64>,
}

/// A set that the tool knows by name.
#[derive(Debug)]
pub struct DatasetEntry {
    /// Name on the command line.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Licence and citation.
    pub licence: &'static str,
    /// What `fetch` downloads into `DATA_DIR/NAME/`; empty if nothing is needed.
    pub files: &'static [RemoteFile],
    /// A file under the data directory that is there (as it is or with `.gz`) once the set is; empty if nothing is needed.
    pub marker: &'static str,
    /// After the download: unpack archives in this folder.
    pub unpack: Option<fn(&Path) -> Result<()>>,
    /// Reads the set from the data directory.
    pub load: fn(&Path) -> Result<Dataset>,
}

/// Every named set. `data list`, `data show`, `data fetch`, help and docs read this slice.
pub const DATASETS: &[&DatasetEntry] = &[&embedded::ENTRY, &idx::MNIST, &idx::FASHION_MNIST, &emnist::ENTRY, &cifar10::ENTRY, &synthetic::ENTRY];

/// The registry entry called `name`.
pub fn find(name: &str) -> Result<&'static DatasetEntry> {
    DATASETS.iter().find(|e| e.name == name).copied().ok_or_else(|| {
        Error::input(
            format!("--data {name}"),
            "no such data set",
            format!("{}, emnist-SPLIT, idx:FOLDER", did_you_mean(name, DATASETS.iter().map(|e| e.name))),
        )
    })
}

/// `--data-dir`, else `UNLEARN_DATA` (clap reads it), else the platform's cache directory.
pub fn data_dir(flag: Option<&Path>) -> PathBuf {
    flag.map(Path::to_path_buf)
        .unwrap_or_else(|| directories::ProjectDirs::from("", "", "unlearn").map_or_else(|| PathBuf::from("data"), |d| d.cache_dir().to_path_buf()))
}
