//! `profile`: how the model answers on the old class, beside how models answer that never saw it.

use super::{Audit, Findings, Measured, PartName, Peer, Reference, Subject};
use crate::context::Context;
use crate::data::{Labelled, Role};
use crate::error::Result;
use crate::model::Classifier;
use crate::stats::divergence::{euclidean, jensen_shannon, kl, mean_over_rows};
use crate::stats::{self, Logits};
use crate::summary::Family;
use crate::{rng, train};

/// On old-class test images; for an oracle, "the oracles" are the others.
///
/// - `tv_to_oracles`: total variation ½Σ|p̄ᵢ − q̄ᵢ| (0 to 1) between the model's mean softmax output p̄ and the oracles' mean q̄.
/// - `kl_to_oracles`: KL(p̄‖q̄), nats. This way round, since a masked slot has p̄ᵢ = 0.
/// - `js_to_oracles`: Jensen–Shannon divergence of the outputs on a sample, mean over samples, then over oracles; nats, at most ln 2.
/// - `activation_distance`: ‖p − q‖₂ of the outputs on a sample, mean over samples, then over oracles; 0 to √2.
/// - `agreement_old`, and `agreement_retain` on retain test images: share of samples whose arg-max is the oracle's, mean over oracles.
/// - `entropy_old`: mean Shannon entropy of single outputs; `max_probability_old`: mean of their largest probability.
/// - `zrf`, from 1 − ln 2 = 0.307 to 1: 1 − mean Jensen–Shannon divergence in nats to a network of the same architecture that was never trained (one a run). Shown, not
///   judged: it rewards random answers, and retrained models don't answer at random.
///
/// Undefined without oracles or with other slots than theirs.
#[derive(Debug)]
pub struct Profile;

/// Two points of probability mass; means over several hundred samples tell less apart only by luck.
const SHARE: f64 = 0.02;
/// In nats. By Pinsker's inequality KL ≥ 2·TV²: a tolerance of .02 is a TV of a tenth, as far as oracles of small sets are apart.
const KL: f64 = 0.02;
/// In nats, 3 % of the range ln 2.
const JS: f64 = 0.02;
/// Of a range √2.
const DISTANCE: f64 = 0.03;

impl Audit for Profile {
    fn name(&self) -> &'static str {
        "profile"
    }

    fn summary(&self) -> &'static str {
        "the old class's output profile: mean outputs, single outputs and answers beside the oracles', entropy, largest probability"
    }

    fn source(&self) -> &'static str {
        "after TREW, ICML 2026, arXiv 2506.20893, and CoUn, NeurIPS 2025, table 1; activation distance: Golatkar et al. 2020; \
         agreement: Cao & Yang 2015; Jensen-Shannon: Lin 1991; ZRF: Chundawat et al. 2023, arXiv 2205.08096"
    }

    fn family(&self) -> Family {
        Family::Output
    }

    fn measure(&self, subject: &Subject<'_>, ctx: &mut Context) -> Result<Findings> {
        let Some(old) = logits(&subject.me, Role::Forget) else { return Ok(Findings::default()) };
        let softmax = old.softmax();
        let theirs: Vec<&Logits> = subject.oracles.iter().filter_map(|o| logits(o, Role::Forget)).collect();
        let comparable = !old.is_empty() && !theirs.is_empty() && theirs.iter().all(|t| t.slots == old.slots && t.len() == old.len());
        let profiles: Vec<Vec<f64>> = theirs.iter().map(|t| t.profile()).collect();
        let mean_profile = |divergence: fn(&[f64], &[f64]) -> f64| comparable.then(|| divergence(&old.profile(), &stats::column_means(&profiles)));
        let samples = |divergence: fn(&[f64], &[f64]) -> f64| {
            let each: Vec<f64> = theirs.iter().filter_map(|t| mean_over_rows(&softmax, &t.softmax(), divergence)).collect();
            comparable.then(|| stats::mean(&each))
        };
        let (entropy, max_probability) = certainty(&softmax);
        let agreement = |role| agreement(subject, role);
        Ok(vec![
            Measured::new("tv_to_oracles", mean_profile(stats::total_variation), "fraction", SHARE).against(Reference::OraclesMean).lower_is_better(),
            Measured::new("entropy_old", entropy, "nats", 0.05),
            Measured::new("max_probability_old", max_probability, "fraction", SHARE),
            Measured::new("kl_to_oracles", mean_profile(kl), "nats", KL).against(Reference::OraclesMean).lower_is_better(),
            Measured::new("js_to_oracles", samples(jensen_shannon), "nats", JS).against(Reference::EachOracle).lower_is_better(),
            Measured::new("activation_distance", samples(euclidean), "distance", DISTANCE).against(Reference::EachOracle).lower_is_better(),
            Measured::new("agreement_old", agreement(Role::Forget), "fraction", SHARE).against(Reference::EachOracle).higher_is_better(),
            Measured::new("agreement_retain", agreement(Role::Retain), "fraction", 0.01)
                .against(Reference::EachOracle)
                .higher_is_better()
                .in_family(Family::Utility),
            Measured::new("zrf", zrf(subject, &softmax, ctx)?, "index", JS).descriptive(),
        ]
        .into())
    }
}

/// Mean entropy of single outputs, in nats, and mean of their largest probability; none without outputs.
pub(super) fn certainty(softmax: &[Vec<f64>]) -> (Option<f64>, Option<f64>) {
    let entropy: Vec<f64> = softmax.iter().map(|p| -p.iter().filter(|p| **p != 0.0).map(|p| p * p.ln()).sum::<f64>()).collect();
    // `f64::max` passes over NaN, which must come out as what it is.
    let top: Vec<f64> = softmax.iter().map(|p| p.iter().fold(0.0, |top, p| if *p > top || p.is_nan() { *p } else { top })).collect();
    let some = |values: Vec<f64>| (!values.is_empty()).then(|| stats::mean(&values));
    (some(entropy), some(top))
}

fn logits<'a>(peer: &Peer<'a>, role: Role) -> Option<&'a Logits> {
    peer.signals.logits(role, PartName::Test)
}

/// Mean over the oracles of the share of a set's test samples that the subject answers as the oracle does.
fn agreement(subject: &Subject<'_>, role: Role) -> Option<f64> {
    let mine = logits(&subject.me, role).filter(|l| !l.is_empty())?;
    let answers = mine.argmax();
    let same = |theirs: &Logits| answers.iter().zip(theirs.argmax()).filter(|(a, b)| **a == *b).count() as f64 / answers.len() as f64;
    let shares: Vec<f64> =
        subject.oracles.iter().filter_map(|o| logits(o, role)).filter(|t| t.slots == mine.slots && t.len() == mine.len()).map(same).collect();
    (!shares.is_empty()).then(|| stats::mean(&shares))
}

/// 1 − mean JS of the subject's outputs on old-class test images and those of an untrained network, the same for every model with as many slots (made
/// anew for each: it takes no training).
fn zrf(subject: &Subject<'_>, mine: &[Vec<f64>], ctx: &Context) -> Result<Option<f64>> {
    let Some(samples) = subject.data.set(Role::Forget, PartName::Test) else { return Ok(None) };
    let spec = subject.me.model.spec();
    let seed = rng::derive_seed(subject.data.seed, "untrained network", 0);
    let untrained = Classifier::new(&spec.architecture, spec.input, spec.slots, seed, &ctx.device)?;
    let theirs = train::predict(&untrained, &Labelled::new(samples.clone(), subject.me.map), ctx)?;
    Ok(mean_over_rows(mine, &theirs.softmax(), jensen_shannon).map(|js| 1.0 - js))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, peaked};
    use super::*;
    use crate::summary::ModelKind;

    /// The oracles take the old class for slot 0 (probability .6) or, the second, slot 1; all know the other classes.
    fn figures(old: [f64; 5]) -> Vec<Measured> {
        let fixture = Fixture::new();
        let slot = |class: u16| if class == 5 { 2 } else { class as usize };
        let oracle = |name, to: usize| {
            fixture.model(name, ModelKind::Oracle, move |class, _, _| if class == 2 { peaked(to, 0.6) } else { peaked(slot(class), 0.96) })
        };
        let oracles = [oracle("oracle-1", 0), oracle("oracle-2", 1)];
        let me = fixture.model("me", ModelKind::Method, |class, _, _| if class == 2 { old } else { peaked(slot(class), 0.96) });
        Profile.measure(&fixture.subject(&me, None, &oracles), &mut fixture.context()).expect("measured").figures
    }

    fn value(figures: &[Measured], metric: &str) -> f64 {
        figures.iter().find(|m| m.metric == metric).and_then(|m| m.value).unwrap_or_else(|| panic!("{metric} is undefined"))
    }

    #[test]
    fn figures_of_a_worked_case() {
        let all = figures(peaked(0, 0.6));
        let near = |metric: &str, expected: f64| assert!((value(&all, metric) - expected).abs() < 1e-6, "{metric}: {}", value(&all, metric));
        // Oracles' mean profile (.35, .35, .1, .1, .1), mine (.6, .1, .1, .1, .1): TV .25; KL = .6 ln(.6/.35) + .1 ln(.1/.35) = .198125
        near("tv_to_oracles", 0.25);
        near("kl_to_oracles", 0.6 * (0.6f64 / 0.35).ln() + 0.1 * (0.1f64 / 0.35).ln());
        // To the first oracle 0, to the second √(.5² + .5²); JS with m = .35 in both slots: .6 ln(.6/.35) + .1 ln(.1/.35). Halved by the mean.
        near("activation_distance", 0.5f64.sqrt() / 2.0);
        near("js_to_oracles", (0.6 * (0.6f64 / 0.35).ln() + 0.1 * (0.1f64 / 0.35).ln()) / 2.0);
        near("agreement_old", 0.5);
        near("agreement_retain", 1.0);
        // The untrained network answers something, and JS is at most ln 2.
        assert!((1.0 - 2f64.ln()..1.0).contains(&value(&all, "zrf")));
    }

    #[test]
    fn what_can_not_be_compared_is_undefined_and_what_diverged_says_so() {
        let fixture = Fixture::new();
        let me = fixture.model("me", ModelKind::Subject, |_, _, _| [f64::NAN; 5]);
        let alone = Profile.measure(&fixture.subject(&me, None, &[]), &mut fixture.context()).expect("measured").figures;
        let of = |figures: &[Measured], metric: &str| figures.iter().find(|m| m.metric == metric).expect("there").clone();
        for metric in ["tv_to_oracles", "kl_to_oracles", "js_to_oracles", "activation_distance", "agreement_old"] {
            let figure = of(&alone, metric);
            assert!(figure.value.is_none() && !figure.diverged, "{metric}");
        }
        for metric in ["tv_to_oracles", "kl_to_oracles", "js_to_oracles", "activation_distance", "entropy_old", "max_probability_old", "zrf"] {
            let figure = of(&figures([f64::NAN; 5]), metric);
            assert!(figure.value.is_none() && figure.diverged, "{metric}");
        }
    }
}
