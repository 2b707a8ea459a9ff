//! The stable formats of a run's results: `scores.json` (format 1) and `outputs/MODEL.json`, and the [`Summary`] that the report is drawn from.
//!
//! These types are read by other programs: a field may be added, none renamed or removed without a new format number.

mod judgement;

use serde::{Deserialize, Serialize};

use crate::audit::ProbeSamples;

pub use judgement::{AuditAgreement, Calibration, Control, ControlKind, FamilyVerdict, Score, Verdict};

/// Version of `scores.json`.
pub const SCORES_FORMAT: u32 = 1;

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Higher is better, whatever retrained models show.
    Higher,
    /// Lower is better.
    Lower,
    /// The closer to what retrained models (oracles) show, the better.
    CloserToOracle,
}

impl Better {
    /// For table headings: `higher`, `lower`, `closer to the oracles`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::CloserToOracle => "closer to the oracles",
        }
    }
}

/// What a figure speaks of; a verdict names the worst family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Whether the model is still good at what it is for: retain and new classes.
    Utility,
    /// What the model answers on the old class.
    Output,
    /// What its activations hold of the old class.
    Features,
    /// Whether old-class training samples can be told from unseen ones.
    Membership,
    /// How fast the old class comes back.
    Relearning,
}

impl Family {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 5] = [Self::Utility, Self::Output, Self::Features, Self::Membership, Self::Relearning];

    /// As in `scores.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utility => "utility",
            Self::Output => "output",
            Self::Features => "features",
            Self::Membership => "membership",
            Self::Relearning => "relearning",
        }
    }
}

/// What kind of model a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Trained on the classes before the swap.
    Original,
    /// Trained from scratch on retain ∪ learn, to judge others by.
    Oracle,
    /// A method's result.
    Method,
    /// A method's result that is known to only hide the old class: a negative control.
    Control,
    /// Somebody's model, audited from a file.
    Subject,
}

/// The swap, for readers of `scores.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Name of the data set.
    pub dataset: String,
    /// Labels by slot before the swap.
    pub classes_before: Vec<u16>,
    /// Labels by slot after it.
    pub classes_after: Vec<u16>,
    /// The old class.
    pub forget: u16,
    /// The new class; null for plain unlearning.
    pub learn: Option<u16>,
    /// Names of `classes_before`.
    pub names_before: Vec<String>,
    /// Names of `classes_after`.
    pub names_after: Vec<String>,
    /// Name of the old class.
    pub forget_name: String,
    /// Name of the new class.
    pub learn_name: Option<String>,
    /// Name of the old and of the new class of each swap that was made at once with this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<(String, Option<String>)>,
    /// Training samples of each new class, for methods and oracles alike; absent for all that the data set has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_samples: Option<usize>,
    /// Share of every retained class's training samples that methods had, original and oracles having all; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_share: Option<f64>,
    /// Training images that read-outs were fitted on; absent for the default.
    #[serde(default, skip_serializing_if = "ProbeSamples::is_default")]
    pub probe_samples: ProbeSamples,
}

/// What a model cost to make, everything included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Name of the model.
    pub model: String,
    /// Seconds of wall time, everything the method does included.
    pub wall_s: f64,
    /// `wall_s` over one retraining's; null where no retraining was timed.
    pub share_of_retrain: Option<f64>,
    /// Threads it had.
    #[serde(default)]
    pub threads: usize,
    /// Forward+backward passes over the retain ∪ learn training set; a forward pass alone counts a third.
    pub train_passes: f64,
}

/// `scores.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// [`SCORES_FORMAT`].
    pub format: u32,
    /// The swap.
    pub task: TaskInfo,
    /// One entry a model.
    pub cost: Vec<Cost>,
    /// One entry a model, audit, metric and cut.
    pub scores: Vec<Score>,
    /// One entry a model.
    pub verdict: Vec<Verdict>,
    /// Mean share of equal arg-max between pairs of oracles on the test images of retain ∪ learn; null with fewer than two.
    pub oracle_agreement: Option<f64>,
    /// How the verdicts' limits were set; null without verdicts.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// The models whose verdict is known before they are judged; absent in files of earlier versions.
    #[serde(default)]
    pub controls: Vec<Control>,
    /// Which audits say the same; null with fewer than four models beside the oracles.
    #[serde(default)]
    pub audit_agreement: Option<AuditAgreement>,
    /// What a reader must know before believing anything: too few oracles, a control that passed, …
    pub warnings: Vec<String>,
}

/// `samples.json`: how well membership attacks find samples that were to be forgotten, their classes staying.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleScores {
    /// [`SCORES_FORMAT`].
    pub format: u32,
    /// Name of the data set.
    pub dataset: String,
    /// Labels of the models' slots.
    pub classes: Vec<u16>,
    /// Training samples that were to be forgotten.
    pub forget_samples: usize,
    /// Unseen samples beside them: test samples of the same classes in the same shares.
    pub unseen_samples: usize,
    /// One entry a model and figure.
    pub scores: Vec<Score>,
    /// One entry a model.
    pub verdict: Vec<Verdict>,
    /// How the verdicts' limits were set; null without verdicts.
    pub calibration: Option<Calibration>,
    /// The models whose verdict is known before they are judged.
    pub controls: Vec<Control>,
    /// ROC curves by model.
    pub curves: Vec<(String, Vec<Exhibit>)>,
    /// What a reader must know before believing anything.
    pub warnings: Vec<String>,
}

/// `outputs/MODEL.json`: what the report draws of one model. Rows and profiles are means over test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelOutput {
    /// Name of the model.
    pub model: String,
    /// What it is.
    pub kind: ModelKind,
    /// Name of the class of each slot (columns).
    pub slots: Vec<String>,
    /// Name of the class of each row: the slots' classes, then (after a swap) the old class, whose row has no slot of its own.
    pub rows: Vec<String>,
    /// Mean softmax output by row and slot, the notebook's confusion matrix.
    pub confusion_softmax: Vec<Vec<f64>>,
    /// Counts of arg-max by row and slot.
    pub confusion_argmax: Vec<Vec<u32>>,
    /// Softmax outputs on the sample images of the old class, in the order of [`SampleImages::old`].
    pub old_samples: Vec<Vec<f64>>,
    /// Softmax outputs on the sample images of the new class.
    pub new_samples: Vec<Vec<f64>>,
    /// Curves and pictures of the audits.
    #[serde(default)]
    pub exhibits: Vec<Exhibit>,
}

/// What the report draws of one model beside its figures: a line in a plot that it shares with the other models, or pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exhibit {
    /// The audit it comes from.
    pub audit: String,
    /// Title; exhibits of several models with the same audit and title are drawn together.
    pub title: String,
    /// A sentence or two on how to read it.
    pub note: String,
    /// What is drawn.
    pub content: Content,
}

/// Kinds of exhibits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A line through points.
    Curve {
        /// Horizontal axis.
        x: Axis,
        /// Vertical axis.
        y: Axis,
        /// (x, y) in order of x.
        points: Vec<(f64, f64)>,
    },
    /// PNG files, base64.
    Pictures(Vec<Picture>),
}

/// An axis of a plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Name and unit.
    pub label: String,
    /// Whether it is logarithmic; points that are not positive are then left out.
    pub log: bool,
}

/// A captioned picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// What it shows, in a few words.
    pub caption: String,
    /// PNG file, base64.
    pub png: String,
}

/// `outputs/samples.json`: a few test images of the old and the new class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleImages {
    /// PNG files of old-class test images, base64.
    pub old: Vec<String>,
    /// PNG files of new-class test images, base64; empty for plain unlearning.
    pub new: Vec<String>,
}

/// One epoch of one model's training, the founding notebook's table row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// From 0.
    pub epoch: usize,
    /// Share of samples (of classes with a slot) whose arg-max is their slot, over the epoch's batches, in training mode.
    pub accuracy: f64,
    /// Mean over samples of the variance (divisor K−1) over classes of log-softmax.
    pub confidence: f64,
    /// Mean of the batch losses.
    pub loss: f64,
    /// Population variance of the batch losses.
    pub l_var: f64,
    /// Smallest batch loss.
    pub l_min: f64,
    /// Largest batch loss.
    pub l_max: f64,
    /// The notebook's training-time hiding, for the methods that train with old-class samples.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hiding: Option<f64>,
    /// Share of held-out samples whose arg-max is their slot, after the epoch, in inference mode; only where samples were held out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validation: Option<f64>,
}

/// Training curve of one model, from `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Name of the model.
    pub model: String,
    /// One row an epoch.
    pub rows: Vec<EpochRow>,
}

/// Everything the report shows; read from a run directory alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// `config.toml` as written.
    pub config: String,
    /// `scores.json`.
    pub scores: Scores,
    /// Training curves.
    pub curves: Vec<Curve>,
    /// Original first, then oracles, then methods in the run's order.
    pub outputs: Vec<ModelOutput>,
    /// Sample images.
    pub samples: SampleImages,
    /// Method name → one-line summary, for the legend.
    pub legend: Vec<(String, String)>,
}
