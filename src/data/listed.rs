//! Lists of single training samples, by number.

use std::collections::HashSet;
use std::path::Path;

use super::{Dataset, Samples};
use crate::error::{Error, Result};

/// The training samples of `dataset` whose numbers the file lists: one a line, from 0; empty lines and what follows a `#` are skipped.
///
/// # Errors
/// A file that can't be read or lists nothing; a line that is no number, one twice, or one that the set has no sample for.
pub fn read(path: &Path, dataset: &Dataset) -> Result<Samples> {
    let at = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Error::input(&at, "no text", "list numbers of training samples, one a line"),
        _ => Error::io(path)(e),
    })?;
    let count = dataset.train.len();
    let mut numbers = Vec::new();
    let mut seen = HashSet::new();
    for (line, text) in text.lines().enumerate() {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let bad = |what: String, remedy: &str| Error::input(format!("{at}, line {}", line + 1), what, remedy);
        let number: usize = text.parse().map_err(|_| bad(format!("`{text}` is no number"), "list numbers of training samples, one a line"))?;
        if number >= count {
            let what = format!("sample {number}, and {} has {count} training samples", dataset.name);
            return Err(bad(what, "count from 0; check that these are the numbers of this set"));
        }
        if !seen.insert(number) {
            return Err(bad(format!("sample {number} again"), "list every sample once"));
        }
        numbers.push(number);
    }
    if numbers.is_empty() {
        return Err(Error::input(at, "lists no sample", "list numbers of training samples, one a line"));
    }
    Ok(Samples::of_numbers(&dataset.train, numbers))
}
