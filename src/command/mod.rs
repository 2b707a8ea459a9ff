//! One sub-command a file.

pub mod audit;
pub mod data;
pub mod inspect;
pub mod list;
pub mod report;
pub mod swap;
pub mod train;

use std::path::Path;

use serde::Serialize;
use unlearn::config::Settings;
use unlearn::error::{Error, Result};
use unlearn::output::Output;

/// Flags over the file, where there is one.
fn resolve(settings: Settings, file: Option<&Path>) -> Result<Settings> {
    match file {
        Some(path) => Ok(settings.or(Settings::read(path)?)),
        None => Ok(settings),
    }
}

/// Sets the number of threads for the whole process.
fn use_threads(threads: Option<usize>) -> Result<()> {
    let Some(n) = threads else { return Ok(()) };
    if n == 0 {
        return Err(Error::input("--threads 0", "no thread would do any work", "use 1 or more"));
    }
    rayon::ThreadPoolBuilder::new().num_threads(n).build_global().map_err(|e| Error::failed("--threads", e.to_string(), "leave it out"))
}

/// A value as JSON on standard output.
fn print_json(value: &impl Serialize, output: &Output) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::failed("--json", e.to_string(), "report this as a bug"))?;
    output.result(&text);
    Ok(())
}
