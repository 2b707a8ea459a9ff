//! Any folder of four IDX files, and the mapping file that may stand beside them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Images, read_images, read_labels};
use crate::data::augment::Augmentation;
use crate::data::{ClassId, Dataset, Normalisation, Part};
use crate::error::{Error, Result};

const NAMES: &str = "name the files as MNIST does: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte \
                     (each may end in .gz)";
const REMAKE: &str = "write the file again as IDX (unsigned bytes)";
const MAPPING_BYTES: u64 = 1 << 20;

/// Which characters each label of an IDX set stands for: the content of EMNIST's `*-mapping.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Ascending, no label twice.
    labels: Vec<u16>,
    names: Vec<String>,
}

impl Mapping {
    /// Reads lines `LABEL CODE [CODE…]`: a class's name is the characters of its codes (`1 65 97` is `Aa`).
    ///
    /// # Errors
    /// A missing file (ending in `remedy`), a line that is no list of numbers, a code that is no printable character, a label
    /// twice, fewer than two classes.
    pub fn read(path: &Path, remedy: &str) -> Result<Self> {
        let at = path.display().to_string();
        let bad = |what: String| Error::input(&at, what, remedy);
        let file = match File::open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(bad("no such file".into())),
            opened => opened.map_err(Error::io(path))?,
        };
        let mut bytes = Vec::new();
        file.take(MAPPING_BYTES).read_to_end(&mut bytes).map_err(Error::io(path))?;
        let text = String::from_utf8(bytes).map_err(|_| bad("not a text file of `LABEL CODE` lines".into()))?;
        let mut classes = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let class =
                parse_line(line).ok_or_else(|| bad(format!("line {}: `{line}` is not LABEL CODE [CODE…] with printable codes", number + 1)))?;
            classes.push(class);
        }
        classes.sort();
        if let Some(twice) = classes.windows(2).find(|w| w[0].0 == w[1].0) {
            return Err(bad(format!("label {} appears twice", twice[0].0)));
        }
        if classes.len() < 2 {
            return Err(bad(format!("{} class(es) in the mapping, a set needs two", classes.len())));
        }
        let (labels, names) = classes.into_iter().unzip();
        Ok(Self { labels, names })
    }

    /// Class names in the order of their labels; index = [`ClassId`].
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Class of each label: its place in the mapping, which is the label itself except in EMNIST Letters, whose labels begin at 1.
    ///
    /// # Errors
    /// A label that the mapping lacks; `at` names the file.
    pub fn classes(&self, at: &str, labels: &[u8]) -> Result<Vec<ClassId>> {
        let class = |label: &u8| match self.labels.binary_search(&u16::from(*label)) {
            Ok(place) => Ok(ClassId(place as u16)),
            Err(_) => Err(Error::input(at, format!("label {label} is not in the mapping file"), "use images, labels and mapping of the same set")),
        };
        labels.iter().map(class).collect()
    }
}

fn parse_line(line: &str) -> Option<(u16, String)> {
    let mut numbers = line.split_whitespace().map(|n| n.parse::<u32>().ok());
    let label = numbers.next()??.try_into().ok()?;
    let name = numbers.map(|n| n.and_then(char::from_u32).filter(|c| !c.is_control() && !c.is_whitespace())).collect::<Option<String>>()?;
    (!name.is_empty()).then_some((label, name))
}

/// Loads any folder of IDX files: `*train-images*idx3*`, `*train-labels*idx1*`, and the same with `t10k` or `test`; images as
/// they are stored. Classes are the labels 0 to the largest, or what a `*mapping.txt` beside the files says.
/// No augmentation, no normalisation.
///
/// # Errors
/// A folder without exactly one file of each kind; malformed files; parts whose images differ in size.
pub fn load_folder(folder: &Path) -> Result<Dataset> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        names.push(entry.map_err(Error::io(folder))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let find = |parts: &[&str], kind: &str| one_file(folder, &names, parts, kind);
    let mapping = names.iter().find(|n| n.ends_with("mapping.txt")).map(|n| Mapping::read(&folder.join(n), REMAKE)).transpose()?;
    let train = read_pair(find(&["train"], "images-idx3")?, find(&["train"], "labels-idx1")?)?;
    let test = read_pair(find(&["t10k", "test"], "images-idx3")?, find(&["t10k", "test"], "labels-idx1")?)?;
    let at = folder.display().to_string();
    if (train.images.rows, train.images.cols) != (test.images.rows, test.images.cols) {
        let what = format!(
            "training images of {}×{} pixels, test images of {}×{}",
            train.images.rows, train.images.cols, test.images.rows, test.images.cols
        );
        return Err(Error::input(at, what, "make both parts the same size"));
    }
    let class_names = match &mapping {
        Some(mapping) => mapping.names().to_vec(),
        None => {
            let largest = train.labels.iter().chain(&test.labels).max().copied().unwrap_or(0);
            (0..=largest).map(|l| l.to_string()).collect()
        }
    };
    let part = |pair: Pair| -> Result<Arc<Part>> {
        let labels = match &mapping {
            Some(mapping) => mapping.classes(&pair.at, &pair.labels)?,
            None => pair.labels.iter().map(|l| ClassId(u16::from(*l))).collect(),
        };
        let Images { rows, cols, pixels, .. } = pair.images;
        Ok(Arc::new(Part::new(&pair.at, [1, rows, cols], pixels, labels, class_names.len())?))
    };
    let (train, test) = (part(train)?, part(test)?);
    let name = format!("idx:{}", folder.display());
    Ok(Dataset { name, class_names, train, test, augmentation: Augmentation::none(), normalisation: Normalisation::none() })
}

struct Pair {
    /// The label file, for messages.
    at: String,
    images: Images,
    labels: Vec<u8>,
}

fn read_pair(images: PathBuf, labels: PathBuf) -> Result<Pair> {
    Ok(Pair { at: labels.display().to_string(), images: read_images(&images, REMAKE)?, labels: read_labels(&labels, REMAKE)? })
}

/// The one file whose name holds one of `parts` and both words of `kind`; where `X` and `X.gz` are there, `X`.
fn one_file(folder: &Path, names: &[String], parts: &[&str], kind: &str) -> Result<PathBuf> {
    let at = || folder.display().to_string();
    let (what, format) = kind.split_once('-').unwrap_or((kind, ""));
    let wanted = |name: &str| {
        parts.iter().any(|p| name.contains(&format!("{p}-{what}"))) && name.contains(format) && !name.ends_with(".part") && !name.ends_with(".zip")
    };
    let mut stems: Vec<&str> = names.iter().filter(|n| wanted(n)).map(|n| n.strip_suffix(".gz").unwrap_or(n)).collect();
    stems.dedup();
    match stems[..] {
        [one] => Ok(folder.join(one)),
        [] => Err(Error::input(at(), format!("no {}-{kind} file", parts.join("- or ")), NAMES)),
        _ => Err(Error::input(at(), format!("more than one {}-{kind} file: {}", parts[0], stems.join(", ")), "keep one set in a folder")),
    }
}
