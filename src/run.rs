//! The run directory: everything needed to redraw the report, nothing hidden.
//!
//! ```text
//! RUN/config.toml            the resolved configuration
//! RUN/events.jsonl           append-only log
//! RUN/models/*.safetensors   original, oracle-N, one a method
//! RUN/outputs/*.json         what the report draws of each model; samples.json: a few test images
//! RUN/scores.json            every figure and verdict
//! RUN/report.html            drawn from this directory alone
//! ```
//!
//! Of several swaps made at once each has a run directory of its own below, `RUN/swap-6-3`, with everything but the models; `RUN` itself then has
//! no outputs, scores and report.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use crate::assess::UNTRAINED;
use crate::audit::AUDITS;
use crate::config::RunConfig;
use crate::data::Swap;
use crate::error::{Error, Result};
use crate::events;
use crate::files::{Lock, write_bytes};
use crate::method::{self, METHODS};
use crate::summary::{SCORES_FORMAT, Scores, Summary};

/// Name under `outputs/` of what is no model's: a few test images. No model has it.
pub const SAMPLES: &str = "samples";

/// An open run directory.
#[derive(Debug)]
pub struct Run {
    dir: PathBuf,
    /// What is being written is this process's alone.
    _alone: Option<Lock>,
}

impl Run {
    /// Makes `dir` for `config`, for this process alone. An existing directory is refused unless `resume`, which needs it to hold the same
    /// configuration (or nothing).
    pub fn create(dir: &Path, config: &RunConfig, resume: bool) -> Result<Self> {
        let file = dir.join("config.toml");
        suits(dir, config, resume)?; // before anything is made
        std::fs::create_dir_all(dir.parent().unwrap_or(dir)).map_err(Error::io(dir))?;
        match std::fs::create_dir(dir) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && resume => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(exists(dir)),
            made => made.map_err(Error::io(dir))?,
        }
        let alone = Lock::of(dir)?;
        // Between the first look and now another process may have begun.
        if resume {
            suits(dir, config, resume)?;
        }
        // First, as a folder with anything else in it is no run that could be gone on with.
        if !file.exists() {
            write_bytes(&file, config.to_toml()?.as_bytes())?;
        }
        for folder in ["models", "outputs"] {
            std::fs::create_dir_all(dir.join(folder)).map_err(Error::io(dir))?;
        }
        Ok(Self { dir: dir.to_path_buf(), _alone: Some(alone) })
    }

    /// Opens a finished or interrupted run, to read it.
    pub fn open(dir: &Path) -> Result<Self> {
        if !dir.join("config.toml").is_file() {
            return Err(Error::input(
                dir.display().to_string(),
                "not a run directory: it has no config.toml",
                "give a directory that `unlearn demo` or `unlearn swap` made",
            ));
        }
        Ok(Self { dir: dir.to_path_buf(), _alone: None })
    }

    /// The same, to write it.
    ///
    /// # Errors
    /// As [`Run::open`]; another process is at work on it.
    pub fn open_alone(dir: &Path) -> Result<Self> {
        let run = Self::open(dir)?;
        Ok(Self { _alone: Some(Lock::of(dir)?), ..run })
    }

    /// The directory in this one of `swap`, one of several of the run `config`, with this one's log so far.
    ///
    /// # Errors
    /// A directory of that name with another configuration; whatever keeps it from being written.
    pub fn below(&self, config: &RunConfig, swap: Swap) -> Result<Self> {
        let below = Self::create(&self.place(swap), &config.led_by(swap), true)?;
        // An audit of somebody's files has none.
        if self.events().is_file() {
            write_bytes(&below.events(), &std::fs::read(self.events()).map_err(Error::io(&self.events()))?)?;
        }
        Ok(below)
    }

    fn place(&self, swap: Swap) -> PathBuf {
        self.dir.join(format!("swap-{}", swap.label()))
    }

    /// Opens what [`Run::below`] made, making nothing.
    ///
    /// # Errors
    /// There is none yet.
    pub fn open_below(&self, swap: Swap) -> Result<Self> {
        let place = self.place(swap);
        if !place.is_dir() {
            let what = format!("the run is not finished: it has no {}", place.display());
            return Err(Error::input(self.dir.display().to_string(), what, "finish it with the same command and --resume"));
        }
        Self::open(&place)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its configuration.
    pub fn config(&self) -> Result<RunConfig> {
        RunConfig::read(&self.dir.join("config.toml"))
    }

    /// Its event log.
    pub fn events(&self) -> PathBuf {
        self.dir.join("events.jsonl")
    }

    /// The checkpoint of `model`.
    pub fn model(&self, model: &str) -> PathBuf {
        self.dir.join("models").join(format!("{model}.safetensors"))
    }

    /// Its report.
    pub fn report(&self) -> PathBuf {
        self.dir.join("report.html")
    }

    /// Its scores.
    pub fn scores(&self) -> PathBuf {
        self.dir.join("scores.json")
    }

    /// Writes `outputs/NAME.json`.
    pub fn write_output(&self, name: &str, value: &impl Serialize) -> Result<()> {
        write_json(&self.dir.join("outputs").join(format!("{name}.json")), value)
    }

    /// Writes `scores.json`.
    pub fn write_scores(&self, scores: &Scores) -> Result<()> {
        write_json(&self.scores(), scores)
    }

    /// Everything the report shows, from the directory alone.
    ///
    /// # Errors
    /// A run without scores yet, a file that is not what it should be, another format version.
    pub fn summary(&self) -> Result<Summary> {
        let at = self.dir.display().to_string();
        if !self.scores().is_file() {
            if let [first, ..] = self.config()?.swaps().collect::<Vec<_>>()[..]
                && !self.config()?.also.is_empty()
            {
                let what = "a run of several swaps at once: each has its own scores below it, once it is finished";
                return Err(Error::input(&at, what, format!("give one of them, such as {at}/swap-{}", first.label())));
            }
            return Err(Error::input(at, "the run is not finished: it has no scores.json", "finish it with the same command and --resume"));
        }
        let scores: Scores = read_json(&self.scores())?;
        if scores.format != SCORES_FORMAT {
            return Err(Error::input(
                at,
                format!("scores format {}, this version reads {SCORES_FORMAT}", scores.format),
                "use the version of unlearn that wrote it",
            ));
        }
        let outputs = scores.verdict.iter().map(|v| read_json(&self.dir.join("outputs").join(format!("{}.json", v.model)))).collect::<Result<_>>()?;
        let config = self.dir.join("config.toml");
        let mut variants = Vec::new();
        if scores.verdict.iter().any(|v| v.model.contains('@')) {
            for (name, parameters) in self.config()?.method.iter().filter(|(name, _)| name.contains('@')) {
                variants.push((name.clone(), method::variant_summary(name, parameters)?));
            }
        }
        let legend = METHODS
            .iter()
            .map(|m| (m.name.to_string(), m.summary.to_string()))
            .chain([(UNTRAINED.to_string(), "the architecture as it is before any training: knows nothing of any class".to_string())])
            .chain(variants)
            .chain(AUDITS.iter().map(|a| (a.name().to_string(), a.summary().to_string())))
            .collect();
        Ok(Summary {
            config: std::fs::read_to_string(&config).map_err(Error::io(&config))?,
            scores,
            curves: if self.events().is_file() { events::curves(&self.events())? } else { Vec::new() },
            outputs,
            samples: read_json(&self.dir.join("outputs").join(format!("{SAMPLES}.json")))?,
            legend,
        })
    }
}

/// Refuses what [`Run::create`] does.
fn suits(dir: &Path, config: &RunConfig, resume: bool) -> Result<()> {
    let at = dir.display().to_string();
    let file = dir.join("config.toml");
    if dir.exists() && !resume {
        return Err(exists(dir));
    }
    if dir.is_file() {
        return Err(Error::input(format!("--resume {at}"), "a file, not a run directory", "choose another directory"));
    }
    if file.exists() {
        if let Some(difference) = RunConfig::read(&file)?.difference(config) {
            return Err(Error::input(
                format!("--resume {at}"),
                format!("it was begun with another configuration: {difference}"),
                "give the settings it was begun with, or choose another directory",
            ));
        }
    } else if dir.exists() && dir.read_dir().map_err(Error::io(dir))?.next().is_some() {
        return Err(Error::input(format!("--resume {at}"), "not a run directory: it has no config.toml", "choose another directory"));
    }
    Ok(())
}

fn exists(dir: &Path) -> Error {
    Error::input(
        format!("--out {}", dir.display()),
        "exists already; nothing in it was touched",
        "choose another directory, or --resume to go on with it",
    )
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|e| Error::failed(path.display().to_string(), e.to_string(), "report this as a bug"))?;
    text.push('\n');
    write_bytes(path, text.as_bytes())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::input(path.display().to_string(), e.to_string(), "the file was edited or cut short; run again with --resume"))
}
