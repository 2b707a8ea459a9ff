//! The store: trained originals and oracles, each under the hash of everything that determines it, for every later run with the same task.
//!
//! ```text
//! STORE/HASH.safetensors   the checkpoint, byte for byte what a run's models/ holds
//! STORE/HASH.json          its sidecar, see [`Sidecar`]
//! ```
//! A plain folder: copy it, share it, delete from it. A unit is there once both files are; each is written whole, the checkpoint first. No
//! file is trusted for its name: the checkpoint's bytes must have the SHA-256 that the sidecar says, and its metadata the hash in its name.
//! Who writes a unit that is there already leaves it alone. Should two processes write one at the very same time, and their bytes differ
//! (other instruction sets), one's sidecar may stand beside the other's checkpoint; that fails the check, and the unit is made again.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::data::data_dir;
use crate::error::{Error, Result};
use crate::files::write_bytes;
use crate::model::Classifier;
use crate::model::checkpoint::{self, Metadata};
use crate::output::Output;
use crate::summary::EpochRow;
use crate::timing::Conditions;

/// Version of the sidecar.
pub const FORMAT: u32 = 1;

/// What `--store` takes for "no store".
pub const NONE: &str = "none";

/// `HASH.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// [`FORMAT`].
    pub format: u32,
    /// SHA-256 of the checkpoint's bytes, in hex.
    pub sha256: String,
    /// What was hashed to the unit's name, to be read by people.
    pub spec: serde_json::Value,
    /// Seconds of wall time that it took.
    pub wall_s: f64,
    /// Images that went forward and backward; one that only went forward counts a third.
    pub image_passes: f64,
    /// How it was timed.
    pub timed: Conditions,
    /// Its training curve.
    pub epochs: Vec<EpochRow>,
}

/// A unit as it was found.
#[derive(Debug)]
pub struct Found {
    /// The model, in inference mode.
    pub model: Classifier,
    /// What its checkpoint says.
    pub metadata: Metadata,
    /// Its checkpoint's bytes.
    pub bytes: Vec<u8>,
    /// The rest.
    pub sidecar: Sidecar,
}

/// A folder of units.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    writable: bool,
}

impl Store {
    /// The store that a run is to use: at `--store` (or `UNLEARN_STORE`, which clap reads), else at `store` in the platform's cache
    /// directory, beside the data. None for `none`, and, with a warning, where the default can't be had.
    ///
    /// # Errors
    /// A folder asked for that is none or can't be made.
    pub fn of(flag: Option<&Path>, output: &Output) -> Result<Option<Self>> {
        let opened = match flag {
            Some(path) if path == Path::new(NONE) => return Ok(None),
            Some(path) => Self::open(path)?,
            None => match Self::open(&data_dir(None).join("store")) {
                Ok(store) => store,
                Err(e) => {
                    output.warn(&format!("trained models are not kept for later runs: {e}"));
                    return Ok(None);
                }
            },
        };
        if !opened.writable {
            output.warn(&format!("{}: can't be written to; models that it lacks are trained and not kept there", opened.dir.display()));
        }
        Ok(Some(opened))
    }

    /// Opens the folder `dir`, which is made where it is missing. One that can only be read is a store, too.
    ///
    /// # Errors
    /// A file of that name, a folder that can't be made.
    pub fn open(dir: &Path) -> Result<Self> {
        let remedy = format!("name a folder with --store, or --store {NONE} to keep nothing");
        std::fs::create_dir_all(dir)
            .map_err(|e| Error::input(format!("--store {}", dir.display()), format!("no folder can be made there: {e}"), remedy))?;
        Ok(Self { dir: dir.to_path_buf(), writable: tempfile::tempfile_in(dir).is_ok() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether units can be put into it.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// The checkpoint of the unit `hash`.
    pub fn checkpoint(&self, hash: &str) -> PathBuf {
        self.dir.join(format!("{hash}.safetensors"))
    }

    fn sidecar(&self, hash: &str) -> PathBuf {
        self.dir.join(format!("{hash}.json"))
    }

    /// The unit `hash`; none if it isn't there.
    ///
    /// # Errors
    /// A file that can't be read, is damaged, or is another unit's.
    pub fn find(&self, hash: &str, device: &Device) -> Result<Option<Found>> {
        let Some((bytes, sidecar)) = self.files(hash)? else { return Ok(None) };
        let (model, metadata) = checkpoint::read(&self.checkpoint(hash).display().to_string(), &bytes, device)?;
        Ok(Some(Found { model, metadata, bytes, sidecar }))
    }

    /// Puts the unit `hash` there, with the checkpoint in the file `from`. One that is there already stays as it is.
    ///
    /// # Errors
    /// Files that can't be read or written. Nothing half-written is left.
    pub fn put(&self, hash: &str, from: &Path, sidecar: &Sidecar) -> Result<()> {
        // A damaged one is replaced.
        if matches!(self.files(hash), Ok(Some(_))) {
            return Ok(());
        }
        let bytes = std::fs::read(from).map_err(Error::io(from))?;
        let mut text = serde_json::to_string_pretty(sidecar).map_err(|e| Error::failed("the store", e.to_string(), "report this as a bug"))?;
        text.push('\n');
        write_bytes(&self.checkpoint(hash), &bytes)?;
        write_bytes(&self.sidecar(hash), text.as_bytes())
    }

    /// Both files of a unit that belong together; none if one is missing.
    fn files(&self, hash: &str) -> Result<Option<(Vec<u8>, Sidecar)>> {
        let (checkpoint, sidecar) = (self.checkpoint(hash), self.sidecar(hash));
        let (Some(bytes), Some(text)) = (read(&checkpoint)?, read(&sidecar)?) else { return Ok(None) };
        let at = sidecar.display().to_string();
        let sidecar: Sidecar = serde_json::from_slice(&text).map_err(|e| Error::input(&at, format!("no sidecar of a unit: {e}"), "delete it"))?;
        if sidecar.format != FORMAT {
            return Err(Error::input(
                at,
                format!("sidecar format {}, this version reads {FORMAT}", sidecar.format),
                "name another folder with --store",
            ));
        }
        let at = checkpoint.display().to_string();
        let sha256 = checkpoint::sha256(&bytes);
        if sidecar.sha256 != sha256 {
            let what = format!("damaged, or another file: its SHA-256 is {sha256}, the sidecar says {}", sidecar.sha256);
            return Err(Error::input(at, what, "delete it"));
        }
        let says = checkpoint::metadata(&at, &bytes)?.config_hash;
        if says != hash {
            return Err(Error::input(at, format!("another unit's checkpoint: it says that it is {says}"), "delete it"));
        }
        Ok(Some((bytes, sidecar)))
    }
}

/// A file's bytes; none if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path)(e)),
    }
}
