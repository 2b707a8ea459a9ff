//! EMNIST: handwritten letters and digits (Cohen, Afshar, Tapson, van Schaik 2017, arXiv:1702.05373), any of its splits.
//!
//! The files hold every image transposed; they are turned upright here, which the founding notebooks did not do (to a
//! network that makes no difference, to a reader of the report it does), and padded by 2 to 1×32×32, as the notebooks did.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::augment::Augmentation;
use super::idx::{self, Images, Mapping};
use super::{Dataset, DatasetEntry, Normalisation, Part, RemoteFile};
use crate::error::{Error, Result};
use crate::files::write_whole;

/// Edge of an image in the files.
const STORED: usize = 28;
/// Black pixels added on each side.
const PAD: usize = 2;
/// Edge of an image in memory.
const EDGE: usize = STORED + 2 * PAD;
/// The split that the notebooks use and that is loaded under the plain name.
const BALANCED: &str = "balanced";
const ARCHIVE: &str = "gzip.zip";
/// Upper bound of one unpacked member; the largest of the balanced split has 30 MB.
const MEMBER_BYTES: u64 = 256 << 20;

/// EMNIST Balanced: 47 classes, 112,800 + 18,800 images, in `DATA_DIR/emnist`.
pub const ENTRY: DatasetEntry = DatasetEntry {
    name: "emnist",
    summary: "handwritten digits and letters (EMNIST Balanced), 47 classes, 112,800 + 18,800 images, 1×32×32; other splits: emnist-SPLIT",
    licence: "US government work (NIST Special Database 19); cite Cohen et al. 2017, arXiv:1702.05373",
    files: &[RemoteFile {
        name: ARCHIVE,
        urls: &["https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"],
        md5: "58c8d27c78d21e728a6bc7b3cc06412e",
        bytes: Some(561_753_746),
    }],
    marker: "emnist/emnist-balanced-train-images-idx3-ubyte",
    unpack: Some(unpack),
    load: |data_dir| load(&data_dir.join("emnist"), BALANCED),
};

/// Loads `split` (`balanced`, `digits`, `letters`, `byclass`, …) from `dir`, which holds
/// `emnist-SPLIT-{train,test}-{images-idx3,labels-idx1}-ubyte`, each plain or `.gz`, and `emnist-SPLIT-mapping.txt`.
/// The set is called `emnist` for the balanced split, `emnist-SPLIT` for others.
///
/// # Errors
/// Missing or malformed files, a label that the mapping lacks, images that are not 28×28.
pub fn load(dir: &Path, split: &str) -> Result<Dataset> {
    // The split becomes part of a path.
    if split.is_empty() || !split.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Error::input(
            format!("--data emnist-{split}"),
            "a split's name is letters and digits",
            "valid: balanced, byclass, bymerge, digits, letters, mnist",
        ));
    }
    let remedy = if split == BALANCED {
        "run `unlearn data fetch emnist`, or point --data-dir at the folder that holds emnist/".to_string()
    } else {
        format!("put emnist-{split}-* there; the official splits are in {ARCHIVE}, which `unlearn data fetch emnist` brings into that folder")
    };
    let mapping = Mapping::read(&dir.join(format!("emnist-{split}-mapping.txt")), &remedy)?;
    let part = |which: &str| -> Result<Arc<Part>> {
        let file = |kind: &str| dir.join(format!("emnist-{split}-{which}-{kind}-ubyte"));
        let (images, labels) = (file("images-idx3"), file("labels-idx1"));
        let (image_file, label_file) = (images.display().to_string(), labels.display().to_string());
        let pixels = upright(&image_file, &idx::read_images(&images, &remedy)?, &remedy)?;
        let labels = mapping.classes(&label_file, &idx::read_labels(&labels, &remedy)?)?;
        Ok(Arc::new(Part::new(&label_file, [1, EDGE, EDGE], pixels, labels, mapping.names().len())?))
    };
    Ok(Dataset {
        name: if split == BALANCED { "emnist".into() } else { format!("emnist-{split}") },
        class_names: mapping.names().to_vec(),
        train: part("train")?,
        test: part("test")?,
        augmentation: Augmentation::emnist(),
        normalisation: Normalisation::none(),
    })
}

/// Transposes and pads: N·28·28 bytes → N·32·32.
fn upright(at: &str, images: &Images, remedy: &str) -> Result<Vec<u8>> {
    if (images.rows, images.cols) != (STORED, STORED) {
        return Err(Error::input(at, format!("images of {}×{} pixels, EMNIST's are {STORED}×{STORED}", images.rows, images.cols), remedy));
    }
    let mut out = vec![0; images.count * EDGE * EDGE];
    for (stored, image) in images.pixels.chunks_exact(STORED * STORED).zip(out.chunks_exact_mut(EDGE * EDGE)) {
        for row in 0..STORED {
            for col in 0..STORED {
                image[(row + PAD) * EDGE + col + PAD] = stored[col * STORED + row];
            }
        }
    }
    Ok(out)
}

/// Takes the balanced split's files out of the archive, which stays for the other splits.
fn unpack(dir: &Path) -> Result<()> {
    let path = dir.join(ARCHIVE);
    let at = path.display().to_string();
    let bad = |what: String| Error::failed(&at, what, "delete the archive and run `unlearn data fetch emnist` again");
    let mut archive = zip::ZipArchive::new(File::open(&path).map_err(Error::io(&path))?).map_err(|e| bad(format!("not a zip archive: {e}")))?;
    let mut found = 0;
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).map_err(|e| bad(e.to_string()))?;
        // Only the last part of a member's path is used, and only if it is one of the names below: no way out of `dir`.
        let name = String::from_utf8_lossy(member.name_raw()).rsplit('/').next().unwrap_or_default().to_string();
        if !wanted(&name) {
            continue;
        }
        if member.size() > MEMBER_BYTES {
            return Err(bad(format!("{name} claims {} bytes", member.size())));
        }
        write_whole(&dir.join(&name), |out| std::io::copy(&mut (&mut member).take(MEMBER_BYTES), out).map(|_| ()))?;
        found += 1;
    }
    if found < 5 {
        return Err(bad(format!("holds {found} of the 5 files of the balanced split")));
    }
    Ok(())
}

fn wanted(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("emnist-balanced-") else { return false };
    let kinds = ["images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"];
    rest == "mapping.txt" || rest.split_once('-').is_some_and(|(part, kind)| ["train", "test"].contains(&part) && kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Two training and two test images of one white pixel each at stored row 3, column 20.
    fn folder(mapping: &str, labels: [u8; 2]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut pixels = vec![0; 2 * STORED * STORED];
        pixels[3 * STORED + 20] = 255;
        pixels[STORED * STORED + 3 * STORED + 20] = 255;
        for part in ["train", "test"] {
            idx::write_images(&dir.path().join(format!("emnist-digits-{part}-images-idx3-ubyte.gz")), STORED, STORED, &pixels).unwrap();
            idx::write_labels(&dir.path().join(format!("emnist-digits-{part}-labels-idx1-ubyte")), &labels).unwrap();
        }
        std::fs::write(dir.path().join("emnist-digits-mapping.txt"), mapping).unwrap();
        dir
    }

    #[test]
    fn images_are_turned_upright_and_padded() {
        let dir = folder("0 48\n1 49\n", [1, 0]);
        let set = load(dir.path(), "digits").unwrap();
        assert_eq!((set.name.as_str(), set.shape()), ("emnist-digits", [1, 32, 32]));
        assert_eq!(set.class_names, ["0", "1"]);
        assert_eq!(set.train.labels.iter().map(|l| l.0).collect::<Vec<_>>(), [1, 0]);
        let white: Vec<usize> = set.test.image(1).iter().enumerate().filter(|(_, v)| **v > 0).map(|(i, _)| i).collect();
        // Stored row 3, column 20 is upright row 20, column 3; two pixels of padding before each.
        assert_eq!(white, [22 * 32 + 5]);
    }

    #[test]
    fn letters_begin_at_one_and_name_both_cases() {
        let dir = folder("1 65 97\n2 66 98\n", [2, 1]);
        let set = load(dir.path(), "digits").unwrap();
        assert_eq!(set.class_names, ["Aa", "Bb"]);
        assert_eq!(set.train.labels.iter().map(|l| l.0).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn bad_input_is_named_with_its_remedy() {
        let message = |dir: &Path, split: &str| load(dir, split).unwrap_err().to_string();
        let empty = tempfile::tempdir().unwrap();
        let missing = message(empty.path(), "balanced");
        assert!(missing.contains("emnist-balanced-mapping.txt: no such file") && missing.contains("`unlearn data fetch emnist`"), "{missing}");
        assert!(message(empty.path(), "letters").contains("gzip.zip"));
        assert!(message(empty.path(), "../x").contains("letters and digits"));

        let dir = folder("0 48\n1 49\n", [0, 7]);
        assert!(message(dir.path(), "digits").contains("label 7 is not in the mapping"));
        for (mapping, what) in [
            ("0 48\n0 49\n", "label 0 appears twice"),
            ("0 48\n", "1 class(es)"),
            ("", "0 class(es)"),
            ("0 48\nx 49\n", "line 2: `x 49`"),
            ("0 48\n1\n", "line 2: `1`"),
            ("0 48\n1 7\n", "line 2: `1 7`"),
        ] {
            std::fs::write(dir.path().join("emnist-digits-mapping.txt"), mapping).unwrap();
            let found = message(dir.path(), "digits");
            assert!(found.contains(what), "{found}");
        }
        let dir = folder("0 48\n1 49\n", [0, 1]);
        idx::write_images(&dir.path().join("emnist-digits-test-images-idx3-ubyte.gz"), 14, 56, &[0; 2 * 784]).unwrap();
        assert!(message(dir.path(), "digits").contains("images of 14×56 pixels, EMNIST's are 28×28"));
    }

    fn archive(dir: &Path, members: &[&str]) {
        let mut zip = zip::ZipWriter::new(File::create(dir.join(ARCHIVE)).unwrap());
        for name in members {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
    }

    #[test]
    fn unpacking_takes_the_balanced_split_and_nothing_else() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("emnist");
        std::fs::create_dir(&dir).unwrap();
        let mut members = vec![
            "gzip/emnist-balanced-train-images-idx3-ubyte.gz",
            "gzip/emnist-balanced-train-labels-idx1-ubyte.gz",
            "gzip/emnist-balanced-test-images-idx3-ubyte.gz",
            "gzip/emnist-balanced-test-labels-idx1-ubyte.gz",
            "../emnist-balanced-mapping.txt",
            "gzip/emnist-letters-mapping.txt",
            "../evil.txt",
        ];
        archive(&dir, &members);
        unpack(&dir).unwrap();
        let names = |dir: &Path| std::fs::read_dir(dir).unwrap().count();
        // The archive and five files; beside the folder, nothing.
        assert_eq!((names(&dir), names(outer.path())), (6, 1));
        assert_eq!(std::fs::read_to_string(dir.join("emnist-balanced-mapping.txt")).unwrap(), members[4]);

        members.truncate(2);
        archive(&dir, &members);
        assert!(unpack(&dir).unwrap_err().to_string().contains("2 of the 5 files"));
        std::fs::write(dir.join(ARCHIVE), "no archive").unwrap();
        assert!(unpack(&dir).unwrap_err().to_string().contains("not a zip archive"));
    }
}
