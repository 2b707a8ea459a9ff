//! Audits: what a model shows about the old class, the new one and the rest; one file each, listed in [`AUDITS`].
//!
//! An audit is a pure function of a model's [`Signals`], computed once a model and shared by all of them. It knows nothing of bands and
//! verdicts: [`verdict`] puts its figures beside the oracles'.
//!
//! To add one: a file with a unit struct, its `impl Audit`; one `mod` line and one line in [`AUDITS`] here.

mod accuracy;
mod confidence;
mod confusion;
mod hiding;
pub mod linalg;
mod nearest_mean;
mod probe;
mod profile;
pub mod signals;
pub mod verdict;

use std::fmt::Debug;

use crate::data::{ClassMap, Slot, SwapTask};
use crate::error::Result;
use crate::summary::Better;

pub use confusion::output as model_output;
pub use signals::{AuditData, PartName, Signals};

/// A model under audit.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// The classes its slots stand for.
    pub map: &'a ClassMap,
    /// What it shows.
    pub signals: &'a Signals,
    /// What all models are measured on.
    pub data: &'a AuditData,
    /// The oracles' signals, without the subject where it is one of them. Empty where there are none.
    pub oracles: Vec<&'a Signals>,
}

impl Subject<'_> {
    /// The swap.
    pub fn task(&self) -> &SwapTask {
        &self.data.task
    }

    /// The slot that the old class has or had: its own in the original, the new class's after a swap, none once its row is gone.
    pub fn old_slot(&self) -> Option<Slot> {
        let swap = self.task().swap;
        self.map.slot(swap.forget).or_else(|| swap.learn.and_then(|new| self.map.slot(new)))
    }

    /// The slot of the new class, where the model has one.
    pub fn new_slot(&self) -> Option<Slot> {
        self.task().swap.learn.and_then(|new| self.map.slot(new))
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
    /// Whether it came out as NaN or infinity, which is not the same as undefined.
    pub diverged: bool,
    /// Whether more of it means that more of the old class is left; such figures tell under- from over-erasure.
    pub shows_old_class: bool,
}

impl Measured {
    /// A figure that is best where the oracles' is.
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
            diverged,
            shows_old_class: false,
        }
    }

    /// More of it means more of the old class left.
    pub fn showing_old_class(self) -> Self {
        Self { shows_old_class: true, ..self }
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
pub trait Audit: Debug + Send + Sync {
    /// Name on the command line and in `scores.json`.
    fn name(&self) -> &'static str;
    /// One line.
    fn summary(&self) -> &'static str;
    /// Where its definition comes from.
    fn source(&self) -> &'static str;
    /// The figures of one model.
    fn measure(&self, subject: &Subject<'_>) -> Result<Vec<Measured>>;
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
