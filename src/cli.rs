//! Command-line arguments. No work is done here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use unlearn::audit::ProbeSamples;
use unlearn::config::Settings;
use unlearn::study::StudySettings;
use unlearn::summary::ModelKind;

/// Make a trained classifier forget one class and learn another in its place, and show whether the old class was erased or only hidden.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true, after_help = "Start with: unlearn demo")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// No progress, results and warnings only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Tables as JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything on an embedded piece of MNIST in about two minutes: train, swap 6 for 3 by every method, audit, report
    Demo(DemoArgs),
    /// Train a classifier and test it
    Train(TrainArgs),
    /// Train (or take) an original, swap a class by each method, retrain oracles, audit, report
    Swap(SwapArgs),
    /// Train retrained models (oracles) into the store, for every later swap with the same task
    Oracle(OracleArgs),
    /// Swap random pairs of classes with default settings and say how often the result matches retraining, and at what cost
    Study(StudyArgs),
    /// Audit checkpoints from files, or the models of a finished run again
    Audit(AuditArgs),
    /// Draw a run's report again
    Report(ReportArgs),
    /// Set several runs side by side
    Compare(CompareArgs),
    /// List methods, audits, models or data sets
    List(ListArgs),
    /// Show what a checkpoint says about itself
    Inspect(InspectArgs),
    /// List, show or fetch data sets
    Data(DataArgs),
}

/// `unlearn demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Run directory [default: the first free of runs/demo, runs/demo-2, …]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// CPU threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Where originals and oracles are kept for later runs; `none` for nowhere [default: `store` in the platform's cache directory]
    #[arg(long, env = "UNLEARN_STORE", value_parser = unlearn::config::folder(), hide_env_values = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Go on with an interrupted demo
    #[arg(long)]
    pub resume: bool,
}

/// `unlearn train`
#[derive(Debug, Args)]
#[command(mut_arg("store", |a| a.hide(true)), mut_arg("learn_samples", |a| a.hide(true)), mut_arg("probe_samples", |a| a.hide(true)), mut_arg("retain_share", |a| a.hide(true)))]
pub struct TrainArgs {
    /// Settings from a TOML file; flags win over it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The checkpoint to write
    #[arg(long)]
    pub out: PathBuf,
    /// Leave out single training images: a file of their numbers, from 0, one a line. So trained with several seeds, networks are what `unlearn audit
    /// --forget-samples` takes for --oracle
    #[arg(long, value_name = "FILE")]
    pub without: Option<PathBuf>,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

/// `unlearn swap`
#[derive(Debug, Args)]
pub struct SwapArgs {
    /// Settings from a TOML file; flags win over it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Run directory
    #[arg(long)]
    pub out: PathBuf,
    /// Go on with an interrupted run
    #[arg(long)]
    pub resume: bool,
    /// An original to start from, instead of training one
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

/// `unlearn oracle`
#[derive(Debug, Args)]
// What else a swap can be told changes no oracle; it may stand in the file.
#[command(mut_arg("oracles", |a| a.hide(true)), mut_arg("methods", |a| a.hide(true)), mut_arg("controls", |a| a.hide(true)), mut_arg("probe_samples", |a| a.hide(true)), mut_arg("set", |a| a.hide(true)), mut_arg("validation", |a| a.hide(true)), mut_arg("retain_share", |a| a.hide(true)))]
pub struct OracleArgs {
    /// Settings from a TOML file; flags win over it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// How many there are to be in the store; fewer than three give a swap no verdict. Same as `oracles` in the file [default: 5]
    #[arg(long, conflicts_with = "oracles")]
    pub count: Option<usize>,
    /// An original whose classes and architecture the oracles are to have
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

/// `unlearn study`
#[derive(Debug, Args)]
pub struct StudyArgs {
    /// Settings from a TOML file; flags win over it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Directory to write: a run directory a pair and seed, study.html, study.json, study.md
    #[arg(long)]
    pub out: PathBuf,
    /// Go on with an interrupted study
    #[arg(long)]
    pub resume: bool,
    /// Everything else.
    #[command(flatten)]
    pub settings: StudySettings,
}

/// `unlearn audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Checkpoints to audit, or one finished run directory
    #[arg(required = true)]
    pub subjects: Vec<PathBuf>,
    /// The model before the swap
    #[arg(long)]
    pub original: Option<PathBuf>,
    /// A model retrained without the old class; may be repeated. Without at least three there is no verdict
    #[arg(long)]
    pub oracle: Vec<PathBuf>,
    /// The old class; of several swaps made at once all, `6,7`
    #[arg(long)]
    pub forget: Option<String>,
    /// The new class, several in the order of the old ones
    #[arg(long)]
    pub learn: Option<String>,
    /// No class but samples were to be forgotten: a file of their numbers among the training images, from 0, one a line. Membership attacks set them
    /// beside test images of the same classes; oracles are models retrained without these samples. --out is optional then
    #[arg(long, value_name = "FILE", conflicts_with_all = ["forget", "learn", "controls"])]
    pub forget_samples: Option<PathBuf>,
    /// Make negative controls, models that must fail, and audit them beside: a network that was never trained and, with --original, it with its old
    /// logit silenced and it with a new head. Only where there are oracles enough for a verdict [default: true]
    #[arg(long)]
    pub controls: Option<bool>,
    /// Training images whose activations read-outs are fitted on, a fifth of them of the old class, or `all` [default: 5000, or what the run had]
    #[arg(long, value_name = "N", conflicts_with = "forget_samples")]
    pub probe_samples: Option<ProbeSamples>,
    /// Data set [default: the one that the original names, else an oracle, else the first checkpoint]; for a run, where its own lies now
    #[arg(long)]
    pub data: Option<String>,
    /// Where downloaded sets lie
    #[arg(long, env = "UNLEARN_DATA", value_parser = unlearn::config::folder())]
    pub data_dir: Option<PathBuf>,
    /// CPU threads; results do not depend on it [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Run directory to write; needed for checkpoints and a class to forget. A run is audited again where it is
    #[arg(long)]
    pub out: Option<PathBuf>,
}

impl AuditArgs {
    /// The checkpoints that were given, with what each is, the original first.
    pub fn files(&self) -> impl Iterator<Item = (&PathBuf, ModelKind)> {
        let original = self.original.iter().map(|path| (path, ModelKind::Original));
        let oracles = self.oracle.iter().map(|path| (path, ModelKind::Oracle));
        original.chain(oracles).chain(self.subjects.iter().map(|path| (path, ModelKind::Subject)))
    }
}

/// `unlearn report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A finished run directory
    pub run: PathBuf,
    /// Where to write the page [default: RUN/report.html]
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// `unlearn compare`
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Finished run directories
    #[arg(required = true, num_args = 2..)]
    pub runs: Vec<PathBuf>,
}

/// `unlearn list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    #[arg(value_enum)]
    pub what: What,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Unlearning methods with their parameters
    Methods,
    /// Audits
    Audits,
    /// Architectures
    Models,
    /// Data sets
    Data,
}

/// `unlearn inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A checkpoint
    pub file: PathBuf,
}

/// `unlearn data`
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What to do with data.
    #[command(subcommand)]
    pub command: DataCommand,
    /// Where downloaded sets lie [default: the platform's cache directory]
    #[arg(long, env = "UNLEARN_DATA", value_parser = unlearn::config::folder(), global = true)]
    pub data_dir: Option<PathBuf>,
}

/// `unlearn data …`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the known sets and whether they are there
    List,
    /// Show a set's classes, sizes and augmentations
    Show {
        /// A set
        name: String,
        /// Write a contact sheet, a PNG with a row a class
        #[arg(long)]
        out: Option<PathBuf>,
        /// Augmented copies on the sheet instead of the images as they are
        #[arg(long)]
        augmented: bool,
        /// Seed of the augmentation
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Download a set from its official addresses
    Fetch {
        /// A set
        name: String,
    },
}
