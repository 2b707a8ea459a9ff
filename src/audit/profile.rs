//! `profile`: how the model answers on the old class, beside how models answer that never saw it.

use super::{Audit, Findings, Measured, PartName, Subject};
use crate::context::Context;
use crate::data::Role;
use crate::error::Result;
use crate::stats::{self, Logits};
use crate::summary::Family;

/// On old-class test images: `tv_to_oracles`, the total variation ½Σ|p̄ᵢ − q̄ᵢ| (0 to 1) between the model's mean softmax output p̄ and the
/// mean q̄ of the oracles' (for an oracle: of the others'); `entropy_old`, the mean Shannon entropy of single outputs; `max_probability_old`,
/// the mean of the largest probability.
#[derive(Debug)]
pub struct Profile;

impl Audit for Profile {
    fn name(&self) -> &'static str {
        "profile"
    }

    fn summary(&self) -> &'static str {
        "the old class's output profile: total variation to the oracles' mean profile, entropy, largest probability"
    }

    fn source(&self) -> &'static str {
        "after TREW, ICML 2026, arXiv 2506.20893, and CoUn, NeurIPS 2025, table 1"
    }

    fn family(&self) -> Family {
        Family::Output
    }

    fn measure(&self, subject: &Subject<'_>, _ctx: &mut Context) -> Result<Findings> {
        let Some(old) = subject.me.signals.logits(Role::Forget, PartName::Test) else { return Ok(Findings::default()) };
        let theirs: Vec<Vec<f64>> =
            subject.oracles.iter().filter_map(|o| o.signals.logits(Role::Forget, PartName::Test)).map(Logits::profile).collect();
        let mine = old.profile();
        let comparable = !theirs.is_empty() && theirs.iter().all(|t| t.len() == mine.len());
        let tv = comparable.then(|| stats::total_variation(&mine, &stats::column_means(&theirs)));
        let softmax = old.softmax();
        let entropy: Vec<f64> = softmax.iter().map(|p| -p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>()).collect();
        let top: Vec<f64> = softmax.iter().map(|p| p.iter().copied().fold(0.0, f64::max)).collect();
        let some = |values: Vec<f64>| (!values.is_empty()).then(|| stats::mean(&values));
        Ok(vec![
            Measured::new("tv_to_oracles", tv, "fraction", 0.02),
            Measured::new("entropy_old", some(entropy), "nats", 0.05),
            Measured::new("max_probability_old", some(top), "fraction", 0.02),
        ]
        .into())
    }
}
