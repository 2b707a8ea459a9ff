//! What a unit of work (a training, a method, an audit) is given beside its data: seed, device, settings, reporting, a cost meter.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::data::augment::Augmentation;
use crate::data::{Batches, Dataset, Labelled, Normalisation};
use crate::error::{Error, Result};
use crate::optimiser::Optimiser;
use crate::output::Output;
use crate::summary::EpochRow;

pub use crate::optimiser::OptimiserKind;

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Passes over the training set.
    pub epochs: usize,
    /// Images a step.
    pub batch: usize,
    /// Learning rate of the first step.
    pub lr: f64,
    /// The optimiser.
    pub optimiser: OptimiserKind,
    /// How the learning rate changes over the training.
    pub schedule: Schedule,
    /// Weight decay: an L2 penalty added to the gradient, decoupled from it for AdamW.
    pub weight_decay: f64,
}

/// How a network was, or is to be, trained: the settings, and whether its images were augmented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The settings.
    #[serde(flatten)]
    pub settings: TrainSettings,
    /// Whether training images were augmented.
    pub augment: bool,
}

impl Recipe {
    /// Every setting as a flag of the command line.
    pub fn flags(&self) -> Vec<String> {
        self.values().iter().map(|(flag, value)| format!("{flag} {value}")).collect()
    }

    /// The flags in which `other` is another, with this one's value and in brackets the other's.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = self.values().into_iter().zip(other.values());
        pairs.filter(|((_, mine), (_, theirs))| mine != theirs).map(|((flag, mine), (_, theirs))| format!("{flag} {mine} ({theirs})")).collect()
    }

    fn values(&self) -> [(&'static str, String); 7] {
        let TrainSettings { epochs, batch, lr, optimiser, schedule, weight_decay } = &self.settings;
        let name = |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| v.get_name().to_string());
        [
            ("--epochs", epochs.to_string()),
            ("--batch", batch.to_string()),
            ("--lr", lr.to_string()),
            ("--optimiser", name(optimiser.to_possible_value())),
            ("--schedule", name(schedule.to_possible_value())),
            ("--weight-decay", weight_decay.to_string()),
            ("--augment", self.augment.to_string()),
        ]
    }
}

/// Learning-rate schedules by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same at every step (the notebook's).
    Constant,
    /// Half a cosine from the first rate to 0 (Loshchilov & Hutter 2017, eq. 5, one period).
    Cosine,
}

impl TrainSettings {
    /// Refuses what can't train.
    pub fn check(&self) -> Result<()> {
        if self.epochs == 0 {
            return Err(Error::input("epochs", "0: nothing would be trained", "use 1 or more"));
        }
        if self.batch < 2 {
            return Err(Error::input("batch", format!("{}: normalisation needs two images a batch", self.batch), "use 2 or more"));
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return Err(Error::input("lr", format!("{} is no learning rate", self.lr), "use a positive number, 1e-3 for Adam"));
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(Error::input("weight-decay", format!("{} is no weight decay", self.weight_decay), "use 0 or a small positive number"));
        }
        Ok(())
    }

    /// A fresh optimiser.
    pub fn optimiser(&self) -> Optimiser {
        Optimiser::new(self.optimiser, self.weight_decay)
    }

    /// Learning rate at step `step` of `steps`.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        match self.schedule {
            Schedule::Constant => self.lr,
            Schedule::Cosine => self.lr * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps.max(1) as f64).cos()),
        }
    }
}

/// How images become tensors.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Applied to training batches; none to train on images as they are.
    pub augmentation: Augmentation,
    /// Applied to every batch.
    pub normalisation: Normalisation,
}

impl Pipeline {
    /// The pipeline of `dataset`, with its augmentation where `augment`.
    pub fn of(dataset: &Dataset, augment: bool) -> Self {
        let augmentation = if augment { dataset.augmentation.clone() } else { Augmentation::none() };
        Self { augmentation, normalisation: dataset.normalisation.clone() }
    }
}

/// Counts passes: a training step on an image is one, a forward pass alone a third (the backward pass costs two forward ones).
#[derive(Debug, Clone, Default)]
pub struct CostMeter {
    image_passes: f64,
}

impl CostMeter {
    /// `images` went forward and backward.
    pub fn trained(&mut self, images: usize) {
        self.image_passes += images as f64;
    }

    /// `images` went forward and backward through `share` of the network's arithmetic only.
    pub fn trained_part(&mut self, images: usize, share: f64) {
        self.image_passes += images as f64 * share;
    }

    /// `images` went forward only.
    pub fn forwarded(&mut self, images: usize) {
        self.forwarded_part(images, 1.0);
    }

    /// `images` went forward only, through `share` of the network's arithmetic.
    pub fn forwarded_part(&mut self, images: usize, share: f64) {
        self.image_passes += images as f64 * share / 3.0;
    }

    /// Passes of single images.
    pub fn image_passes(&self) -> f64 {
        self.image_passes
    }

    /// Passes over a training set of `images`.
    pub fn passes_over(&self, images: usize) -> f64 {
        self.image_passes / images.max(1) as f64
    }
}

/// Where a unit reports to: the terminal and the run's event log. Units may run at the same time.
#[derive(Debug, Clone)]
pub struct Reporter {
    output: Output,
    events: Option<Arc<Mutex<crate::events::EventLog>>>,
}

impl Reporter {
    /// To the terminal only.
    pub fn new(output: Output) -> Self {
        Self { output, events: None }
    }

    /// To the terminal and to the log at `path`, which is appended to.
    pub fn with_events(output: Output, path: PathBuf) -> Result<Self> {
        Ok(Self { output, events: Some(Arc::new(Mutex::new(crate::events::EventLog::open(path)?))) })
    }

    /// The terminal.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Appends an event; `fields` is a JSON object.
    pub fn event(&self, stage: &str, model: &str, fields: serde_json::Value) -> Result<()> {
        match &self.events {
            Some(log) => log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(stage, model, fields),
            None => Ok(()),
        }
    }

    /// The training curve of `model` in the log; empty without a log.
    pub fn curve(&self, model: &str) -> Result<Vec<EpochRow>> {
        let Some(log) = &self.events else { return Ok(Vec::new()) };
        let log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner); // no line is half-written while it is held
        Ok(crate::events::curves(log.path())?.into_iter().find(|c| c.model == model).map_or(Vec::new(), |c| c.rows))
    }
}

/// Given to every training, method and audit.
#[derive(Debug)]
pub struct Context {
    /// Name of the model being made or audited, for progress and events.
    pub model: String,
    /// The unit's own seed.
    pub seed: u64,
    /// The device, without autodiff.
    pub device: Device,
    /// How the original was trained.
    pub settings: TrainSettings,
    /// How images become tensors.
    pub pipeline: Pipeline,
    /// Where to report.
    pub reporter: Reporter,
    /// What was spent.
    pub cost: CostMeter,
}

impl Context {
    /// Shuffled, augmented training batches of epoch `epoch`, on the autodiff device.
    pub fn training_batches<'a>(&'a self, data: &'a Labelled, batch: usize, epoch: usize) -> Batches<'a> {
        let device = self.device.clone().autodiff();
        Batches::shuffled(data, batch, &self.pipeline.normalisation, Some(&self.pipeline.augmentation), (self.seed, epoch as u64), &device)
    }

    /// Batches in order, not augmented, off the graph.
    pub fn plain_batches<'a>(&'a self, data: &'a Labelled, batch: usize) -> Batches<'a> {
        Batches::in_order(data, batch, &self.pipeline.normalisation, &self.device)
    }

    /// A progress bar for `epochs` epochs of `batches` batches.
    pub fn bar(&self, epochs: usize, batches: usize) -> crate::output::Bar {
        self.reporter.output().bar(&self.model, epochs, batches)
    }

    /// A finished epoch of `images` that went forward and backward: counted, shown, logged.
    pub fn end_epoch(&mut self, bar: &crate::output::Bar, images: usize, row: &EpochRow) -> Result<()> {
        self.cost.trained(images);
        self.show_epoch(bar, row)
    }

    /// A finished epoch, shown and logged.
    pub fn show_epoch(&self, bar: &crate::output::Bar, row: &EpochRow) -> Result<()> {
        let held_out = row.validation.map(|v| format!(", held out {:.1} %", 100.0 * v)).unwrap_or_default();
        bar.epoch(row.epoch, &format!("accuracy {:.1} %, loss {:.4}{held_out}", 100.0 * row.accuracy, row.loss));
        let fields = serde_json::to_value(row).map_err(|e| Error::failed("events", e.to_string(), "report this as a bug"))?;
        self.reporter.event("epoch", &self.model, fields)
    }

    /// Fails once Ctrl-C was pressed; called between batches.
    pub fn check_interrupt(&self) -> Result<()> {
        self.reporter.output().check_interrupt()
    }
}
