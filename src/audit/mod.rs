//! Audits: what a model shows about the old class, the new one and the rest; one file each, listed in [`AUDITS`].
//!
//! An audit knows nothing of bands and verdicts: [`verdict`] puts its figures beside the oracles'. What several audits read – logits on every
//! set, features at every cut – are a model's [`Signals`], computed once and shared.
//!
//! To add one: a file with a unit struct, its `impl Audit`; one `mod` line and one line in [`AUDITS`] here.

mod accuracy;
pub mod agreement;
pub mod cka;
mod collateral;
mod confidence;
mod confusion;
#[cfg(test)]
pub(crate) mod fixture;
mod hiding;
mod idi;
pub mod linalg;
mod lira;
pub mod membership;
mod mia_nn;
mod mlp_probe;
mod nearest_mean;
pub mod network;
pub mod never_seen;
mod pair_leak;
pub mod platt;
mod probe;
mod probe_samples;
mod profile;
mod prototype;
mod reconstruction;
mod relearning;
mod revival;
mod rmia;
pub mod shares;
pub mod signals;
mod training;
pub mod verdict;
mod weights;

use std::fmt::Debug;

use crate::context::Context;
use crate::data::{ClassMap, Slot, SwapTask};
use crate::error::Result;
use crate::model::Classifier;
use crate::summary::{Better, Exhibit, Family, ModelKind};
use verdict::Figures;

pub use confusion::output as model_output;
pub use probe_samples::ProbeSamples;
pub use signals::{AuditData, CutFeatures, Features, PartName, Signals};

/// A model with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub kind: ModelKind,
    /// The model, in inference mode. Audits that train work on a copy.
    pub model: &'a Classifier,
    /// The classes its slots stand for.
    pub map: &'a ClassMap,
    /// What it shows.
    pub signals: &'a Signals,
}

/// A model under audit, beside the others of its run.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The model under audit.
    pub me: Peer<'a>,
    /// What all models are measured on.
    pub data: &'a AuditData,
    /// The original, where there is one; the subject itself where it is the original.
    pub original: Option<Peer<'a>>,
    /// The oracles, without the subject where it is one of them. Empty where there are none.
    pub oracles: Vec<Peer<'a>>,
}

impl Subject<'_> {
    /// The swap.
    pub fn task(&self) -> &SwapTask {
        &self.data.task
    }

    /// The slot that the old class has or had: its own in the original, the new class's after a swap, none once its row is gone.
    pub fn old_slot(&self) -> Option<Slot> {
        let swap = self.task().swap;
        self.me.map.slot(swap.forget).or_else(|| swap.learn.and_then(|new| self.me.map.slot(new)))
    }

    /// The slot of the new class, where the model has one.
    pub fn new_slot(&self) -> Option<Slot> {
        self.task().swap.learn.and_then(|new| self.me.map.slot(new))
    }
}

/// What an audit found: figures, and what the report draws of them.
#[derive(Debug, Default)]
pub struct Findings {
    /// Figures.
    pub figures: Vec<Measured>,
    /// Curves and pictures.
    pub exhibits: Vec<Exhibit>,
}

impl From<Vec<Measured>> for Findings {
    fn from(figures: Vec<Measured>) -> Self {
        Self { figures, exhibits: vec![] }
    }
}

/// Whether a figure is a comparison with the oracles. Then an oracle is compared with the others, and since these are compared with it in turn,
/// oracles' figures share terms and differ less (or more) from each other than a further model's would: their deviation is too small (or too large) to
/// judge by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reference {
    /// The figure is the model's own.
    #[default]
    Itself,
    /// A mean over the oracles of a comparison with each of them. With dᵢⱼ = μ + aᵢ + aⱼ the means over j of two of n oracles differ by
    /// (aᵢ − aₖ)(n−2)/(n−1), a further model's from theirs by a − ā.
    EachOracle,
    /// A comparison with the oracles' mean. With independent deviations vᵢ from their common mean, ‖vᵢ − v̄‖² over the others' v̄ has
    /// ‖vᵢ‖² once and every other ‖vⱼ‖² by 1/(n−1)², so that the squares of two oracles differ by (‖vᵢ‖² − ‖vₖ‖²)(1 − 1/(n−1)²).
    OraclesMean,
    /// A signed comparison with the oracles' mean, such as a difference. With vᵢ as above, vᵢ − v̄ over the n−1 others is n/(n−1) times the difference
    /// to the mean of all, a further model's v − v̄ is just that: two oracles differ by n/(n−1) times too much.
    OraclesMeanSigned,
}

impl Reference {
    /// What the deviation over `n` oracles is multiplied by to judge a model that is not one of them; none where they are too few. (The gap
    /// of an oracle held out is off by the same factor as the deviation of the others, so there it is 1.)
    pub fn correction(self, n: usize) -> Option<f64> {
        let n = n as f64;
        match self {
            Self::Itself => Some(1.0),
            _ if n < 3.0 => None,
            Self::EachOracle => Some((n - 1.0) / (n - 2.0)),
            Self::OraclesMean => Some((n - 1.0).powi(2) / (n * (n - 2.0))),
            Self::OraclesMeanSigned => Some((n - 1.0) / n),
        }
    }
}

/// One figure, before it is put beside the oracles'.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Name of the figure.
    pub metric: String,
    /// The cut, for figures by depth.
    pub cut: Option<String>,
    /// None where undefined.
    pub value: Option<f64>,
    /// Unit.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Half-width of the band below which a gap does not matter, in the unit; none for figures that are shown but not judged.
    pub tolerance: Option<f64>,
    /// Why it is undefined, where that is known.
    pub reason: Option<String>,
    /// Whether it came out as NaN or infinity, which is not the same as undefined.
    pub diverged: bool,
    /// Whether the true value is this one or more: what was counted had not come when the counting ended.
    pub at_least: bool,
    /// Whether more of it means that more of the old class is left; such figures tell under- from over-erasure.
    pub shows_old_class: bool,
    /// What it speaks of, where that is not what its audit as a whole does.
    pub family: Option<Family>,
    /// Whether it is a comparison with the oracles.
    pub reference: Reference,
    /// Images that a share is counted on.
    pub images: Option<usize>,
}

impl Measured {
    /// A figure that is best where the oracles' is, and outside on either side of their band.
    pub fn new(metric: impl Into<String>, value: Option<f64>, unit: &'static str, tolerance: f64) -> Self {
        let diverged = value.is_some_and(|v| !v.is_finite());
        let value = value.filter(|v| v.is_finite());
        Self {
            metric: metric.into(),
            cut: None,
            value,
            unit,
            better: Better::CloserToOracle,
            tolerance: Some(tolerance),
            reason: None,
            diverged,
            at_least: false,
            shows_old_class: false,
            family: None,
            reference: Reference::Itself,
            images: None,
        }
    }

    /// Is a share counted on so many images, or the mean of two of which one is counted on half as many.
    pub fn counted_on(self, images: usize) -> Self {
        Self { images: Some(images), ..self }
    }

    /// The less of it the better, such as a distance to the oracles: only above the band it is outside.
    pub fn lower_is_better(self) -> Self {
        Self { better: Better::Lower, ..self }
    }

    /// The more of it the better, such as likeness to the oracles: only below the band it is outside.
    pub fn higher_is_better(self) -> Self {
        Self { better: Better::Higher, ..self }
    }

    /// Is a mean over the oracles of a comparison with each, or a comparison with their mean.
    pub fn against(self, reference: Reference) -> Self {
        Self { reference, ..self }
    }

    /// More of it means more of the old class left.
    pub fn showing_old_class(self) -> Self {
        Self { shows_old_class: true, ..self }
    }

    /// Belongs to `family`, unlike the rest of its audit.
    pub fn in_family(self, family: Family) -> Self {
        Self { family: Some(family), ..self }
    }

    /// Says why, where it is undefined.
    pub fn undefined_because(mut self, why: impl FnOnce() -> String) -> Self {
        self.reason = (self.value.is_none() && !self.diverged).then(why);
        self
    }

    /// The true value is this one or more, if `end` says so. Such figures can't be judged: a difference of two of them says nothing.
    pub fn at_least(self, end: bool) -> Self {
        Self { at_least: end, ..self }
    }

    /// Shown, but not judged.
    pub fn descriptive(self) -> Self {
        Self { tolerance: None, ..self }
    }

    /// Measured at a cut.
    pub fn at(self, cut: &str) -> Self {
        Self { cut: Some(cut.to_string()), ..self }
    }
}

/// A set of figures.
///
/// An audit is a pure function of the subject: the same model and data give the same figures, bit by bit, whatever the number of threads.
/// Random choices come from [`crate::rng::stream`] of [`AuditData::seed`], so that every model of a run meets the same ones.
pub trait Audit: Debug + Send + Sync {
    /// Name on the command line and in `scores.json`.
    fn name(&self) -> &'static str;
    /// One line.
    fn summary(&self) -> &'static str;
    /// Where its definition comes from.
    fn source(&self) -> &'static str;
    /// What its figures speak of, where a figure doesn't say otherwise.
    fn family(&self) -> Family;

    /// The figures that read outputs or the model itself.
    fn measure(&self, _subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        Ok(Findings::default())
    }

    /// The figures at one cut, whose features are read once for all audits; called for every cut from the first stage on.
    fn measure_cut(&self, _subject: &Subject<'_>, _cut: &CutFeatures, _ctx: &mut Context) -> Result<Findings> {
        Ok(Findings::default())
    }

    /// The figures that follow from what has been measured of all models, for those that need the others' figures and not their features:
    /// called once for every model `me` when every audit has measured every model, and before anything is judged. `all` are all models of the run
    /// with all their measured figures, `me` among them; figures that other audits derive are not there yet.
    fn derive(&self, _me: &Figures, _all: &[Figures]) -> Vec<Measured> {
        vec![]
    }
}

/// Every audit.
pub const AUDITS: &[&dyn Audit] = &[
    &accuracy::Accuracy,
    &confusion::Confusion,
    &confidence::Confidence,
    &hiding::Hiding,
    &profile::Profile,
    &probe::Probe,
    &nearest_mean::NearestMean,
    &collateral::Collateral,
    &relearning::Relearning,
    &revival::Revival,
    &reconstruction::Reconstruction,
    &weights::Weights,
    &membership::Membership,
    &lira::Lira,
    &rmia::Rmia,
    &mia_nn::MiaNn,
    &pair_leak::PairLeak,
    &mlp_probe::MlpProbe,
    &idi::Idi,
    &cka::Cka,
    &prototype::Prototype,
    &never_seen::NeverSeen,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sound() {
        let names: std::collections::BTreeSet<&str> = AUDITS.iter().map(|a| a.name()).collect();
        assert_eq!(names.len(), AUDITS.len(), "names are unique");
        for a in AUDITS {
            assert!(!a.summary().is_empty() && !a.summary().contains('\n'), "{}: a one-line summary", a.name());
            assert!(!a.source().is_empty(), "{}: a source", a.name());
        }
    }
}
