//! CIFAR-10 (Krizhevsky 2009), the official binary batches: records of one label byte and 3·32·32 pixel bytes, CHW.
//!
//! Format: <https://www.cs.toronto.edu/~kriz/cifar.html>, "Binary version".

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;

use super::augment::Augmentation;
use super::{ClassId, Dataset, DatasetEntry, Normalisation, Part, RemoteFile};
use crate::error::{Error, Result};
use crate::files::write_whole;

const NAMES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const TRAIN: [&str; 5] = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: [&str; 1] = ["test_batch.bin"];
const META: &str = "batches.meta.txt";
const FOLDER: &str = "cifar-10-batches-bin";
const ARCHIVE: &str = "cifar-10-binary.tar.gz";
const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;
/// Images in each official batch. Parts of them are read, too.
const RECORDS: usize = 10_000;
const REMEDY: &str = "run `unlearn data fetch cifar10`, or point --data-dir at the folder that holds cifar10/cifar-10-batches-bin/";

/// CIFAR-10: 10 classes, 50,000 + 10,000 images, in `DATA_DIR/cifar10/cifar-10-batches-bin`.
pub const ENTRY: DatasetEntry = DatasetEntry {
    name: "cifar10",
    summary: "small colour photographs, 10 classes, 50,000 + 10,000 images, 3×32×32",
    licence: "none stated; cite Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    files: &[RemoteFile {
        name: ARCHIVE,
        urls: &["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
        bytes: Some(170_052_171),
    }],
    marker: "cifar10/cifar-10-batches-bin/test_batch.bin",
    unpack: Some(unpack),
    load: |data_dir| load(&data_dir.join("cifar10")),
};

fn load(dir: &Path) -> Result<Dataset> {
    let part = |files: &[&str]| -> Result<Arc<Part>> {
        let paths = || files.iter().map(|file| dir.join(FOLDER).join(file));
        // Room for all at once: memory that grows is copied, and fresh pages cost more than the reading.
        let bytes: u64 = paths().filter_map(|path| Some(path.metadata().ok()?.len())).sum();
        let mut pixels = Vec::with_capacity((bytes as usize).min(TRAIN.len() * RECORDS * RECORD));
        let mut labels = Vec::new();
        for path in paths() {
            read_batch(&path, &mut pixels, &mut labels)?;
        }
        Ok(Arc::new(Part::new(&dir.display().to_string(), SHAPE, pixels, labels, NAMES.len())?))
    };
    Ok(Dataset {
        name: ENTRY.name.to_string(),
        class_names: NAMES.iter().map(ToString::to_string).collect(),
        train: part(&TRAIN)?,
        test: part(&TEST)?,
        augmentation: Augmentation::cifar10(),
        // Mean as usual; the deviation is the notebooks' (and many others'), which is smaller than the set's true one.
        normalisation: Normalisation { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2023, 0.1994, 0.2010] },
    })
}

/// Appends the images of one batch.
fn read_batch(path: &Path, pixels: &mut Vec<u8>, labels: &mut Vec<ClassId>) -> Result<()> {
    let at = path.display().to_string();
    if !path.is_file() {
        return Err(Error::input(at, "no such file", REMEDY));
    }
    let file = File::open(path).map_err(Error::io(path))?;
    let bytes = file.metadata().map_err(Error::io(path))?.len();
    if bytes == 0 || bytes % RECORD as u64 != 0 {
        return Err(Error::input(at, format!("{bytes} bytes, not some whole records of {RECORD}"), REMEDY));
    }
    let mut file = BufReader::with_capacity(32 * RECORD, file);
    for i in 0..bytes / RECORD as u64 {
        let mut label = [0];
        let start = pixels.len();
        pixels.resize(start + PIXELS, 0);
        file.read_exact(&mut label).and_then(|()| file.read_exact(&mut pixels[start..])).map_err(Error::io(path))?;
        if usize::from(label[0]) >= NAMES.len() {
            return Err(Error::input(at, format!("record {i} has label {}, CIFAR-10 has {} classes", label[0], NAMES.len()), REMEDY));
        }
        labels.push(ClassId(u16::from(label[0])));
    }
    Ok(())
}

/// Takes the six batches and the list of class names out of the archive.
fn unpack(dir: &Path) -> Result<()> {
    let path = dir.join(ARCHIVE);
    let at = path.display().to_string();
    let bad = |what: String| Error::failed(&at, what, "delete the archive and run `unlearn data fetch cifar10` again");
    let target = dir.join(FOLDER);
    std::fs::create_dir_all(&target).map_err(Error::io(&target))?;
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(&path).map_err(Error::io(&path))?));
    let unreadable = |e: std::io::Error| bad(format!("not a tar.gz archive: {e}"));
    let limit = (RECORDS * RECORD) as u64;
    let mut found = 0;
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        // The archive's own paths are compared, never used: no way out of `dir`.
        let member = entry.path_bytes().into_owned();
        let Some(name) = TRAIN.iter().chain(&TEST).chain([&META]).find(|n| format!("{FOLDER}/{n}").as_bytes() == &member[..]) else {
            continue;
        };
        if !entry.header().entry_type().is_file() || entry.size() > limit {
            return Err(bad(format!("{name} is no file of at most {limit} bytes")));
        }
        write_whole(&target.join(name), |out| std::io::copy(&mut entry, out).map(|_| ()))?;
        found += usize::from(*name != META);
    }
    if found < TRAIN.len() + TEST.len() {
        return Err(bad(format!("holds {found} of the batches")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of two records; record i of every batch has label i and the pixel value 10·i, its first pixel 255.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(FOLDER)).unwrap();
        for name in TRAIN.iter().chain(&TEST) {
            std::fs::write(dir.path().join(FOLDER).join(name), batch([0, 1])).unwrap();
        }
        dir
    }

    fn batch(labels: [u8; 2]) -> Vec<u8> {
        labels.iter().flat_map(|l| [*l, 255].into_iter().chain(std::iter::repeat_n(l.wrapping_mul(10), PIXELS - 1))).collect()
    }

    #[test]
    fn five_batches_are_read_in_order() {
        let dir = folder();
        let set = load(dir.path()).unwrap();
        assert_eq!((set.train.len(), set.test.len(), set.shape()), (10, 2, [3, 32, 32]));
        assert_eq!(set.train.labels.iter().map(|l| l.0).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!((set.train.image(3)[0], set.train.image(3)[PIXELS - 1]), (255, 10));
    }

    #[test]
    fn bad_input_is_named_with_its_remedy() {
        let dir = folder();
        let third = dir.path().join(FOLDER).join(TRAIN[2]);
        let message = || load(dir.path()).unwrap_err().to_string();
        for (bytes, what) in [
            (Vec::new(), "0 bytes, not some whole records of 3073"),
            (batch([0, 1])[..6145].to_vec(), "6145 bytes, not some whole records of 3073"),
            (batch([0, 10]), "record 1 has label 10, CIFAR-10 has 10 classes"),
        ] {
            std::fs::write(&third, bytes).unwrap();
            let found = message();
            assert!(found.contains("data_batch_3.bin") && found.contains(what) && found.contains("`unlearn data fetch cifar10`"), "{found}");
        }
        std::fs::remove_file(&third).unwrap();
        assert!(message().contains("data_batch_3.bin: no such file"));
    }

    fn archive(dir: &Path, members: &[String]) {
        let gz = flate2::write::GzEncoder::new(File::create(dir.join(ARCHIVE)).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        for name in members {
            let mut header = tar::Header::new_gnu();
            // `set_path` refuses `..`; a forger does not.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(4);
            header.set_cksum();
            tar.append(&header, &b"data"[..]).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }

    #[test]
    fn unpacking_takes_the_batches_and_nothing_else() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("cifar10");
        std::fs::create_dir(&dir).unwrap();
        let mut members: Vec<String> = TRAIN.iter().chain(&TEST).map(|n| format!("{FOLDER}/{n}")).collect();
        members.extend(["../evil.bin".into(), format!("{FOLDER}/../../{}", TRAIN[0]), format!("{FOLDER}/readme.html")]);
        archive(&dir, &members);
        unpack(&dir).unwrap();
        let names = |dir: &Path| std::fs::read_dir(dir).unwrap().count();
        assert_eq!((names(&dir.join(FOLDER)), names(&dir), names(outer.path())), (6, 2, 1));

        members.truncate(1);
        archive(&dir, &members);
        assert!(unpack(&dir).unwrap_err().to_string().contains("holds 1 of the batches"));
        std::fs::write(dir.join(ARCHIVE), "no archive").unwrap();
        assert!(unpack(&dir).unwrap_err().to_string().contains("not a tar.gz archive"));
    }
}
