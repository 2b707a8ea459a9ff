//! Writing files whole or not at all.

use std::fs::{File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file as a whole or not at all: to a temporary file in the same folder, renamed when `content` is done.
///
/// # Errors
/// What the operating system or `content` refuses; the old file, if any, is then untouched.
pub fn write_whole(path: &Path, content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; these are to be as readable as any file the user makes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temp = builder.tempfile_in(folder).map_err(Error::io(path))?;
    let mut buffered = BufWriter::new(temp.as_file_mut());
    content(&mut buffered).and_then(|()| buffered.flush()).map_err(Error::io(path))?;
    drop(buffered);
    temp.persist(path).map_err(|e| Error::io(path)(e.error)).map(|_| ())
}

/// A folder that one process alone is at work on, for as long as this lives. Where folders can't be locked (some file systems, Windows) it
/// is a promise that nobody keeps.
#[derive(Debug)]
pub struct Lock(Option<File>);

impl Lock {
    /// Takes the folder.
    ///
    /// # Errors
    /// Another process has it.
    pub fn of(folder: &Path) -> Result<Self> {
        let Ok(opened) = File::open(folder) else { return Ok(Self(None)) };
        match opened.try_lock() {
            Ok(()) => Ok(Self(Some(opened))),
            Err(TryLockError::WouldBlock) => Err(Error::input(
                folder.display().to_string(),
                "another process is at work on this run",
                "wait until it has ended, or choose another directory",
            )),
            Err(TryLockError::Error(_)) => Ok(Self(None)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A child process may still hold the file open; it does not hold the folder. That there is nothing to give back is no error.
        if let Some(folder) = &self.0 {
            let _ = folder.unlock();
        }
    }
}

/// Whether [`write_bytes`] to `path` has a chance, found out before the work whose result is to go there.
///
/// # Errors
/// A path that ends as a folder's; the folder, or the nearest one above it that there is, takes no file.
pub fn can_be_written(path: &Path) -> Result<()> {
    if path.to_string_lossy().ends_with(std::path::is_separator) {
        return Err(Error::input(path.display().to_string(), "a folder, and no file in it", "name the file, too"));
    }
    let above = path.ancestors().skip(1).map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let folder = above.into_iter().find(|p| p.exists()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).map_err(Error::io(path)).map(|_| ())
}

/// [`write_whole`] for bytes at hand; makes the folder where it is missing.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    write_whole(path, |out| out.write_all(bytes))
}
