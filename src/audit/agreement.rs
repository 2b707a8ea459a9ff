//! Which audits say the same? Metrics of unlearning disagree (rank correlations of .16 between published ones, arXiv 2605.02206), and what
//! only one audit sees must not be outvoted by five that see the same thing.

use crate::stats::rank::kendall_tau_b;
use crate::stats::{self};
use crate::summary::{AuditAgreement, ModelKind, Score};

/// Fewest models that say anything of an order: three have six orders, and two audits agree by chance too often.
const MIN_MODELS: usize = 4;

/// Rank correlations of the audits over all models but the oracles: every audit ranks them by the mean distance of its judged figures to the
/// oracles' mean, in half-bands. None with fewer than [`MIN_MODELS`] of them or fewer than two audits that judge.
pub fn of(scores: &[Score], models: &[(&str, ModelKind)]) -> Option<AuditAgreement> {
    let models: Vec<&str> = models.iter().filter(|(_, kind)| *kind != ModelKind::Oracle).map(|(name, _)| *name).collect();
    let mut audits: Vec<&str> = Vec::new();
    for score in scores.iter().filter(|s| s.within.is_some() && models.contains(&s.model.as_str())) {
        if !audits.contains(&score.audit.as_str()) {
            audits.push(&score.audit);
        }
    }
    if models.len() < MIN_MODELS || audits.len() < 2 {
        return None;
    }
    let mean = |audit: &str, model: &str| -> Option<f64> {
        let all: Vec<f64> = scores.iter().filter(|s| s.audit == audit && s.model == model).filter_map(Score::distance).collect();
        (!all.is_empty()).then(|| stats::mean(&all))
    };
    let distances: Vec<Vec<Option<f64>>> = audits.iter().map(|a| models.iter().map(|m| mean(a, m)).collect()).collect();
    let tau = |a: &[Option<f64>], b: &[Option<f64>]| {
        let (x, y): (Vec<f64>, Vec<f64>) = a.iter().zip(b).filter_map(|(a, b)| a.zip(*b)).unzip();
        if x.len() < MIN_MODELS { None } else { kendall_tau_b(&x, &y) }
    };
    Some(AuditAgreement {
        tau_b: distances.iter().map(|a| distances.iter().map(|b| tau(a, b)).collect()).collect(),
        distances: distances.iter().map(|row| row.iter().map(|d| d.filter(|d| d.is_finite())).collect()).collect(),
        audits: audits.into_iter().map(String::from).collect(),
        models: models.into_iter().map(String::from).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Measured;
    use crate::audit::verdict::{Figures, judge};

    /// Three oracles at 0 and methods whose figures of three audits are these.
    fn agreement(methods: &[[f64; 3]]) -> Option<AuditAgreement> {
        let model = |name: String, kind, values: [f64; 3]| Figures {
            model: name,
            kind,
            figures: ["a", "b", "c"].into_iter().zip(values).map(|(audit, v)| (audit, Measured::new("m", Some(v), "bands", 1.0))).collect(),
        };
        let oracles = (0..3).map(|i| model(format!("oracle-{i}"), ModelKind::Oracle, [0.0; 3]));
        let all: Vec<Figures> = oracles.chain(methods.iter().enumerate().map(|(i, v)| model(format!("method-{i}"), ModelKind::Method, *v))).collect();
        let kinds: Vec<(&str, ModelKind)> = all.iter().map(|f| (f.model.as_str(), f.kind)).collect();
        of(&judge(&all).0, &kinds)
    }

    #[test]
    fn ranks_are_compared_whatever_the_sign_and_scale() {
        // Audit b sees the same order in other units and on the other side of the oracles, c the reverse.
        let found = agreement(&[[1.0, -10.0, 4.0], [2.0, -20.0, 3.0], [3.0, -30.0, 2.0], [4.0, -40.0, 1.0]]).expect("four models");
        assert_eq!(found.audits, ["a", "b", "c"]);
        assert_eq!(found.models.len(), 4);
        assert_eq!(found.tau_b[0], [Some(1.0), Some(1.0), Some(-1.0)]);
        assert_eq!(found.distances[1], [Some(10.0), Some(20.0), Some(30.0), Some(40.0)]);
    }

    #[test]
    fn what_diverged_ranks_last_and_is_no_number() {
        let found = agreement(&[[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [3.0, 3.0, 0.0], [f64::NAN, 4.0, 0.0]]).expect("four models");
        assert_eq!(found.tau_b[0], [Some(1.0), Some(1.0), None], "and an audit that puts all models level has no order");
        assert_eq!(found.distances[0][3], None);
    }

    #[test]
    fn three_models_have_too_few_orders() {
        assert_eq!(agreement(&[[1.0; 3], [2.0; 3], [3.0; 3]]), None);
    }
}
