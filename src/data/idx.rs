//! IDX files, plain or gzip: the format of MNIST, Fashion-MNIST and EMNIST, and of any folder that a user brings (`idx:FOLDER`).
//!
//! A file is a big-endian header (magic number `00 00 08 DIMS`, then one 32-bit size a dimension) and the bytes. Nothing is
//! allocated on the header's word: reading stops one byte after what the header claims, so that neither a false header nor a
//! compression bomb can take more memory than the file's true content.
//! Format: <https://yann.lecun.org/exdb/mnist/> (section "File formats").

mod folder;
mod sets;

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{ClassId, Part};
use crate::error::{Error, Result};
use crate::files::write_whole;

pub use folder::{Mapping, load_folder};
pub use sets::{FASHION_MNIST, MNIST};

const IMAGES: u32 = 0x803;
const LABELS: u32 = 0x801;
/// EMNIST ByClass, the largest set of this format that we know, has 0.5 GiB; beyond this is a false header or a bomb.
const MAX_BYTES: u64 = 4 << 30;

/// The content of an `idx3` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Number of images, N.
    pub count: usize,
    /// Pixels in a column, H.
    pub rows: usize,
    /// Pixels in a row, W.
    pub cols: usize,
    /// N·H·W bytes, row after row.
    pub pixels: Vec<u8>,
}

/// Reads the images of `path`, or of `path.gz` where only that exists. `remedy` ends every message about a bad file.
///
/// # Errors
/// A missing, damaged or foreign file; a header that does not fit the file's length.
pub fn read_images(path: &Path, remedy: &str) -> Result<Images> {
    let (at, reader) = open(path, remedy)?;
    images_from(&at, reader, remedy)
}

/// Reads the labels of `path`, or of `path.gz` where only that exists. Errors as [`read_images`].
pub fn read_labels(path: &Path, remedy: &str) -> Result<Vec<u8>> {
    let (at, reader) = open(path, remedy)?;
    labels_from(&at, reader, remedy)
}

/// Images from decompressed IDX bytes; `at` names them in messages.
pub fn images_from(at: &str, reader: impl Read, remedy: &str) -> Result<Images> {
    let ([count, rows, cols], pixels) = decode::<3>(at, reader, IMAGES, remedy)?;
    if rows * cols == 0 {
        return Err(Error::input(at, format!("images of {rows}×{cols} pixels"), remedy));
    }
    Ok(Images { count, rows, cols, pixels })
}

/// Labels from decompressed IDX bytes; `at` names them in messages.
pub fn labels_from(at: &str, reader: impl Read, remedy: &str) -> Result<Vec<u8>> {
    Ok(decode::<1>(at, reader, LABELS, remedy)?.1)
}

fn decode<const DIMS: usize>(at: &str, mut reader: impl Read, magic: u32, remedy: &str) -> Result<([usize; DIMS], Vec<u8>)> {
    let bad = |what: String| Error::input(at, what, remedy);
    let mut word = || -> Result<u32> {
        let mut bytes = [0u8; 4];
        reader.read_exact(&mut bytes).map_err(|e| damaged(at, e, "too short for an IDX header", remedy))?;
        Ok(u32::from_be_bytes(bytes))
    };
    let found = word()?;
    if found != magic {
        let kind = if magic == IMAGES { "images" } else { "labels" };
        return Err(bad(format!("magic number 0x{found:08x}, IDX {kind} have 0x{magic:08x}")));
    }
    let mut dims = [0usize; DIMS];
    for dim in &mut dims {
        *dim = word()? as usize;
    }
    // Three 32-bit sizes overflow 64 bits: count in 128.
    let claimed: u128 = dims.iter().map(|d| *d as u128).product();
    let sizes = dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
    if claimed > u128::from(MAX_BYTES) {
        return Err(bad(format!("the header claims {sizes} = {claimed} bytes, more than any set of this format holds")));
    }
    let claimed = claimed as u64;
    let mut bytes = Vec::new();
    reader
        .take(claimed + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| damaged(at, e, &format!("ends before the {claimed} bytes of its header"), remedy))?;
    match bytes.len() as u64 {
        found if found < claimed => Err(bad(format!("the header claims {sizes} = {claimed} bytes, the file holds {found}"))),
        found if found > claimed => Err(bad(format!("the header claims {sizes} = {claimed} bytes, the file holds more"))),
        _ => Ok((dims, bytes)),
    }
}

/// A malformed stream is the file's fault, everything else the operating system's.
fn damaged(at: &str, error: std::io::Error, early: &str, remedy: &str) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::input(at, early, remedy),
        ErrorKind::InvalidData | ErrorKind::InvalidInput => Error::input(at, format!("damaged gzip data: {error}"), remedy),
        _ => Error::Io { at: at.to_string(), source: error },
    }
}

/// `path`, else `path.gz`, whichever is there.
fn existing(path: &Path) -> Option<PathBuf> {
    let mut gz = path.as_os_str().to_owned();
    gz.push(".gz");
    [path.to_path_buf(), PathBuf::from(gz)].into_iter().find(|p| p.is_file())
}

fn open(path: &Path, remedy: &str) -> Result<(String, Box<dyn Read>)> {
    let Some(path) = existing(path) else {
        return Err(Error::input(path.display().to_string(), "no such file (nor with .gz)", remedy));
    };
    let file = BufReader::new(File::open(&path).map_err(Error::io(&path))?);
    let at = path.display().to_string();
    Ok(if at.ends_with(".gz") { (at, Box::new(MultiGzDecoder::new(file))) } else { (at, Box::new(file)) })
}

/// Writes an `idx3` file, gzip where the name ends in `.gz`; `pixels` are N·`rows`·`cols` bytes.
///
/// # Errors
/// What the operating system refuses; nothing half-written stays behind.
pub fn write_images(path: &Path, rows: usize, cols: usize, pixels: &[u8]) -> Result<()> {
    let count = pixels.len().checked_div(rows * cols).unwrap_or(0);
    assert_eq!(count * rows * cols, pixels.len(), "whole images");
    write(path, IMAGES, &[count, rows, cols], pixels)
}

/// Writes an `idx1` file, gzip where the name ends in `.gz`. Errors as [`write_images`].
pub fn write_labels(path: &Path, labels: &[u8]) -> Result<()> {
    write(path, LABELS, &[labels.len()], labels)
}

fn write(path: &Path, magic: u32, dims: &[usize], bytes: &[u8]) -> Result<()> {
    let mut content = magic.to_be_bytes().to_vec();
    dims.iter().for_each(|d| content.extend((*d as u32).to_be_bytes()));
    content.extend(bytes);
    write_whole(path, |file| {
        if path.extension().is_some_and(|e| e == "gz") {
            let mut gz = GzEncoder::new(file, Compression::best());
            gz.write_all(&content)?;
            gz.finish().map(|_| ())
        } else {
            file.write_all(&content)
        }
    })
}

/// One part from its two files, labels being class numbers below `classes`.
///
/// # Errors
/// As [`read_images`], and where images and labels disagree.
pub fn read_part(images: &Path, labels: &Path, classes: usize, remedy: &str) -> Result<Part> {
    let Images { rows, cols, pixels, .. } = read_images(images, remedy)?;
    let labels_read = read_labels(labels, remedy)?.into_iter().map(|l| ClassId(u16::from(l))).collect();
    Part::new(&labels.display().to_string(), [1, rows, cols], pixels, labels_read, classes)
}

#[cfg(test)]
mod tests;
