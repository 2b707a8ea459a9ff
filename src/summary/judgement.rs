//! Figures beside the oracles', and what follows from them: the rows of `scores.json`.

use serde::{Deserialize, Serialize};

use super::{Better, Family, ModelKind};

/// One figure of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name of the model.
    pub model: String,
    /// Name of the audit.
    pub audit: String,
    /// Name of the figure.
    pub metric: String,
    /// The cut it was measured at, for figures by depth.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cut: Option<String>,
    /// The value; null where it is undefined (an empty group), never a made-up number.
    pub value: Option<f64>,
    /// Why it is undefined; absent where it is defined, or nothing more is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Whether the true value is this one or more: what was counted (steps to a level) had not come when the counting ended.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub at_least: bool,
    /// `fraction`, `nats`, `bits`, …
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// Mean over the oracles (without the model itself where it is one); null without oracles.
    pub oracle_mean: Option<f64>,
    /// Sample standard deviation over the oracles (n−1); null with fewer than two, or, of figures that compare a model with the oracles, with fewer
    /// than three.
    pub oracle_sd: Option<f64>,
    /// What the deviation is multiplied by before a model that is not an oracle is judged by it: figures that compare a model with the oracles differ
    /// more, or less, between oracles than from oracles to another model ([`crate::audit::Reference`]). Absent where it is 1.
    #[serde(skip_serializing_if = "is_one", default = "one")]
    pub oracle_sd_factor: f64,
    /// Number of oracles behind mean and deviation.
    pub oracles: usize,
    /// Of these, how many have a value that is one "at least": then the mean is one, too.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub oracles_at_least: usize,
    /// value − oracle_mean; null where either is one "at least".
    pub gap: Option<f64>,
    /// gap / (oracle_sd · oracle_sd_factor).
    pub z: Option<f64>,
    /// [`Self::miss`] ≤ max(tolerance, 2·sd·√(1+1/oracles)), sd = oracle_sd · oracle_sd_factor; null where that can't be said.
    pub within: Option<bool>,
    /// The metric's tolerance, in its unit; null for figures that are shown but not judged.
    pub tolerance: Option<f64>,
    /// Images that a share is counted on; of a mean over old and other ones twice the fewer. Absent of what is no share.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub images: Option<usize>,
    /// What it speaks of; absent in files of versions before 0.2.
    #[serde(default)]
    pub family: Option<Family>,
    /// Whether more of it shows more of the old class: such figures tell under-erased from over-erased.
    #[serde(default)]
    pub shows_old_class: bool,
}

/// For fields that are left out where they say nothing.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn one() -> f64 {
    1.0
}

fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

impl Score {
    /// The deviation that it is judged by, the oracles' times the factor.
    pub fn judging_sd(&self) -> Option<f64> {
        self.oracle_sd.map(|sd| sd * self.oracle_sd_factor)
    }

    /// `probe/ridge_accuracy_old@stage2`: how tables and `failing` lists call it.
    pub fn label(&self) -> String {
        match &self.cut {
            Some(cut) => format!("{}/{}@{cut}", self.audit, self.metric),
            None => format!("{}/{}", self.audit, self.metric),
        }
    }

    /// Half-width of the oracles' band, max(tolerance, 2·sd·√(1+1/oracles)), in the unit; 0 where there is neither.
    pub fn half_band(&self) -> f64 {
        let n = self.oracles.max(1) as f64;
        self.judging_sd().map_or(0.0, |sd| 2.0 * sd * (1.0 + 1.0 / n).sqrt()).max(self.tolerance.unwrap_or(0.0))
    }

    /// By how much it misses the oracles' mean on the side that is worse, in the unit: |gap| where the best is to be close to them, else the gap upwards
    /// (of a distance) or downwards (of a likeness), at least 0; none without a gap.
    pub fn miss(&self) -> Option<f64> {
        self.gap.map(|gap| match self.better {
            Better::CloserToOracle => gap.abs(),
            Better::Lower => gap.max(0.0),
            Better::Higher => (-gap).max(0.0),
        })
    }

    /// How many half-bands it misses the oracles' mean by ([`Self::miss`]); infinite where it came out as NaN or infinity, none where the figure is
    /// not judged.
    pub fn distance(&self) -> Option<f64> {
        self.within?;
        Some(self.miss().map_or(f64::INFINITY, |miss| if miss == 0.0 { 0.0 } else { miss / self.half_band().max(f64::MIN_POSITIVE) }))
    }
}

/// One family of figures of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FamilyVerdict {
    /// Which family.
    pub family: Family,
    /// Figures within the oracle band.
    pub within: usize,
    /// Figures judged.
    pub total: usize,
    /// Whether it is within its calibrated limits.
    pub matched: bool,
    /// Mean over the figures of how many bands each outside one is away, counted up to five; figures within count 0.
    pub excess: f64,
    /// The largest excess that still passes.
    pub excess_limit: f64,
    /// The farthest single figure, over what an exactly retrained model reaches with any of its figures in 5 % of cases; null where a figure
    /// came out as NaN or infinity.
    pub farthest: Option<f64>,
    /// The largest of them that still passes.
    pub farthest_limit: f64,
    /// Label of the figure that is most bands away.
    pub worst: Option<String>,
    /// How many bands; null as for `farthest`.
    pub worst_bands: Option<f64>,
    /// `above` or `below`: where its outside figures that show the old class lie, taken together; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
}

impl FamilyVerdict {
    /// How much of its limits it takes up, by the statistic that takes more: up to 1 it is matched; infinite where a figure came out as NaN or
    /// infinity.
    pub fn of_limits(&self) -> f64 {
        (self.excess / self.excess_limit).max(self.farthest.map_or(f64::INFINITY, |f| f / self.farthest_limit))
    }
}

/// How the limits of the verdicts were set, and how they do on oracles held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Share of exactly retrained models that are to be matched.
    pub confidence: f64,
    /// Leave-one-out trials: each oracle judged by the others.
    pub trials: usize,
    /// Trials matched by the model-based limits, before any widening.
    pub matched_unwidened: usize,
    /// Trials matched by the limits in force.
    pub matched: usize,
    /// Leave-two-out trials: each oracle judged by the others without one; 0 with fewer than four oracles.
    pub pair_trials: usize,
    /// Of these, matched by the limits in force.
    pub pair_matched: usize,
    /// What the limits on `excess` were multiplied by at most, at least 1, so that held-out oracles pass.
    pub widened_excess: f64,
    /// What the limits on `farthest` were multiplied by at most.
    pub widened_farthest: f64,
    /// The families whose limits were; absent in files of earlier versions, which widened all of them alike.
    #[serde(default)]
    pub widened: Vec<Family>,
    /// Models drawn to set the limits.
    pub draws: usize,
    /// Correlations between a drawn model's figures; the limits are the largest over them.
    pub correlations: Vec<f64>,
}

impl Calibration {
    /// `the limits of output were`: those that were widened, in words.
    pub fn widened_limits(&self) -> String {
        match self.widened.iter().map(|f| f.name()).collect::<Vec<_>>().join(" and ") {
            all if all.is_empty() => "the limits were".into(),
            some => format!("the limits of {some} were"),
        }
    }
}

/// A model whose verdict is known before it is judged, and whether it got that one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Name of the model.
    pub model: String,
    /// Why its verdict is known.
    pub what: ControlKind,
    /// Whether it must be `matched`; else it must not.
    pub must_match: bool,
    /// What it was judged.
    pub verdict: String,
    /// Whether that is as it must be; null without a verdict.
    pub behaves: Option<bool>,
}

/// Why a model's verdict is known before it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlKind {
    /// An exactly retrained model, judged by the other oracles.
    HeldOutOracle,
    /// It was trained on the old class.
    Original,
    /// It only hides the old class.
    Hiding,
    /// It was never trained.
    Untrained,
}

/// Which audits say the same: rank correlations over the models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditAgreement {
    /// Audits, in the order of rows and columns.
    pub audits: Vec<String>,
    /// The models ranked: all but the oracles.
    pub models: Vec<String>,
    /// For each audit and model the mean distance of its judged figures to the oracles, in bands; null where none is judged, or one is
    /// infinitely far.
    pub distances: Vec<Vec<Option<f64>>>,
    /// Kendall's τ-b between the audits' distances; null where an audit gives all models the same rank.
    pub tau_b: Vec<Vec<Option<f64>>>,
}

/// The verdict on one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Name of the model.
    pub model: String,
    /// What it is.
    pub kind: ModelKind,
    /// Figures within the oracle band.
    pub audits_within: usize,
    /// Figures judged.
    pub audits_total: usize,
    /// `matched`, `under-erased`, `over-erased`, `off-target` or `no verdict`.
    pub verdict: String,
    /// Labels of the figures outside the band, farthest first.
    pub failing: Vec<String>,
    /// Its families with judged figures; empty without a verdict.
    #[serde(default)]
    pub families: Vec<FamilyVerdict>,
    /// The family farthest beyond, or nearest to, its limits.
    #[serde(default)]
    pub worst_family: Option<Family>,
}

impl Verdict {
    /// The family that [`Verdict::worst_family`] names.
    pub fn worst(&self) -> Option<&FamilyVerdict> {
        self.families.iter().find(|f| Some(f.family) == self.worst_family)
    }
}
