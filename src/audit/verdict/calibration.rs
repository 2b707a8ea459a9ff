//! Held-out oracles: are the limits wide enough for models that are known to be exactly retrained?
//!
//! The limits of [`super::limits`] stand on a model, figures that are normal; the oracles at hand tell whether it fits. Each is judged by the
//! others with limits for one oracle fewer. Where more than 1 − [`CONFIDENCE`] of these trials fail, the limits of every family in which they do
//! are multiplied by the least number with which they pass; the others, in which the model fits, stay as sharp as they are.
//! With fewer than twenty oracles that means that every one of them passes: n trials can't show a rate finer than 1/n,
//! so n oracles alone could never bring a rule to 95 %; the model does that, the trials only guard against its being too narrow. How many passed before the widening is kept, for there it can be seen whether the model fits. Leave-two-out trials, with
//! limits for two oracles fewer, are counted, not used: they tell how the rule in force does with less.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::limits::{ByFamily, CONFIDENCE, CORRELATIONS, DRAWS, Judged, Pair, Pivots, limits, statistics};
use super::{Figures, judged_figures};
use crate::summary::{Calibration, Family};

/// Limits for any model of a run.
#[derive(Debug)]
pub struct Limits {
    /// By number of judging oracles.
    pivots: BTreeMap<usize, Pivots>,
    /// What a family's limits are multiplied by; nothing for a family that is not there.
    widening: ByFamily,
}

impl Limits {
    /// Set for and tried on `oracles`, at least three; models have at most `columns` judged figures.
    pub fn calibrated(oracles: &[&Figures], columns: usize) -> (Self, Calibration) {
        let n = oracles.len();
        let judges = (2..=n).filter(|k| k + 2 >= n).collect::<Vec<_>>();
        let pivots: BTreeMap<usize, Pivots> = judges.into_par_iter().map(|k| (k, Pivots::draw(k, columns))).collect();
        let mut limits = Self { pivots, widening: ByFamily::new() };

        let without = |left_out: &[usize]| -> Vec<&Figures> { (0..n).filter(|i| !left_out.contains(i)).map(|i| oracles[i]).collect() };
        let trial = |limits: &Self, i: usize, j: usize| {
            let figures = judged_figures(oracles[i], &without(&[i, j]));
            (statistics(&figures), limits.of(&figures, if i == j { n - 1 } else { n - 2 }))
        };
        // One figure may be as far as it likes where it came out as NaN: no limit is widened for it.
        let trials: Vec<(ByFamily, ByFamily)> = (0..n).into_par_iter().map(|i| trial(&limits, i, i)).collect();
        let matched_unwidened = trials.iter().filter(|(found, limit)| worst(found, limit) <= 1.0).count();
        limits.widening = widening(&trials);
        let matched = trials.iter().filter(|(found, limit)| worst(found, &widened(limit, &limits.widening)) <= 1.0).count();
        let pairs: Vec<(usize, usize)> =
            if n < 4 { vec![] } else { (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j).collect() };
        let pair_matched = pairs.par_iter().map(|(i, j)| trial(&limits, *i, *j)).filter(|(found, limit)| worst(found, limit) <= 1.0).count();
        let calibration = Calibration {
            confidence: CONFIDENCE,
            trials: n,
            matched_unwidened,
            matched,
            pair_trials: pairs.len(),
            pair_matched,
            widened_excess: limits.widening.values().map(|w| w.excess).fold(1.0, f64::max),
            widened_farthest: limits.widening.values().map(|w| w.farthest).fold(1.0, f64::max),
            widened: limits.widening.keys().copied().collect(),
            draws: DRAWS,
            correlations: CORRELATIONS.to_vec(),
        };
        (limits, calibration)
    }

    /// The limits for a model with these figures, judged by `judges` oracles.
    pub fn of(&self, figures: &[Judged], judges: usize) -> ByFamily {
        self.pivots.get(&judges).map_or_else(ByFamily::new, |pivots| widened(&limits(figures, pivots), &self.widening))
    }
}

/// `limits` times `by`, family by family.
fn widened(limits: &ByFamily, by: &ByFamily) -> ByFamily {
    let wider = |(f, l): (&Family, &Pair)| {
        let by = by.get(f).copied().unwrap_or(Pair { excess: 1.0, farthest: 1.0 });
        (*f, Pair { excess: l.excess * by.excess, farthest: l.farthest * by.farthest })
    };
    limits.iter().map(wider).collect()
}

/// How far the worst family is beyond its limits: up to 1 it is within all of them.
pub fn worst(found: &ByFamily, limits: &ByFamily) -> f64 {
    found.iter().filter_map(|(family, pair)| Some(pair.over(*limits.get(family)?))).fold(0.0, f64::max)
}

/// The least factors, none below 1, with which all but 1 − [`CONFIDENCE`] of the trials are within their limits, for the families that need any; what
/// is infinitely far does not count.
fn widening(trials: &[(ByFamily, ByFamily)]) -> ByFamily {
    let factors = |(found, limits): &(ByFamily, ByFamily)| -> ByFamily {
        let ratio = |found: f64, limit: f64| Some(found / limit).filter(|r| r.is_finite()).map_or(1.0, |r| r.max(1.0));
        let of = |family, pair: &Pair| {
            let limit = limits.get(family)?;
            Some((*family, Pair { excess: ratio(pair.excess, limit.excess), farthest: ratio(pair.farthest, limit.farthest) }))
        };
        found.iter().filter_map(|(family, pair)| of(family, pair)).collect()
    };
    let most = |factors: &ByFamily| factors.values().map(|p| p.excess.max(p.farthest)).fold(1.0, f64::max);
    let mut all: Vec<ByFamily> = trials.iter().map(factors).collect();
    all.sort_by(|a, b| most(a).total_cmp(&most(b)));
    let may_fail = ((1.0 - CONFIDENCE) * trials.len() as f64 + 1e-9).floor() as usize;
    let mut needed = ByFamily::new();
    for (family, pair) in all[..all.len() - may_fail].iter().flatten() {
        let at = needed.entry(*family).or_insert(Pair { excess: 1.0, farthest: 1.0 });
        (at.excess, at.farthest) = (at.excess.max(pair.excess), at.farthest.max(pair.farthest));
    }
    // A hair more, so that the trial that set a limit is within it after rounding.
    let hair = |factor: f64| if factor > 1.0 { factor * (1.0 + 1e-9) } else { 1.0 };
    needed.retain(|_, p| p.excess.max(p.farthest) > 1.0);
    needed.into_iter().map(|(f, p)| (f, Pair { excess: hair(p.excess), farthest: hair(p.farthest) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(excess: f64, farthest: f64) -> (ByFamily, ByFamily) {
        let found = ByFamily::from([(Family::Output, Pair { excess, farthest })]);
        (found, ByFamily::from([(Family::Output, Pair { excess: 2.0, farthest: 1.0 })]))
    }

    #[test]
    fn limits_widen_until_held_out_oracles_pass() {
        assert_eq!(widening(&[trial(1.0, 0.5), trial(2.0, 1.0), trial(0.0, 0.0)]), ByFamily::new());
        let wider = widening(&[trial(3.0, 0.5), trial(1.0, 1.2), trial(0.0, 0.0)]);
        let output = wider[&Family::Output];
        assert!((output.excess - 1.5).abs() < 1e-6 && (output.farthest - 1.2).abs() < 1e-6, "{wider:?}");
        for (found, limits) in [trial(3.0, 0.5), trial(1.0, 1.2)] {
            assert!(worst(&found, &widened(&limits, &wider)) <= 1.0);
        }
        // Only the families in which an oracle was beyond a limit.
        let with_features = |excess: f64, of: (ByFamily, ByFamily)| {
            let with = |mut all: ByFamily, pair| all.insert(Family::Features, pair).map_or(all.clone(), |_| all);
            (with(of.0, Pair { excess, farthest: 0.1 }), with(of.1, Pair { excess: 1.0, farthest: 1.0 }))
        };
        let wider = widening(&[with_features(0.9, trial(3.0, 0.5)), with_features(0.2, trial(0.1, 0.1))]);
        assert_eq!(wider.keys().collect::<Vec<_>>(), [&Family::Output]);
        let limits = with_features(0.0, trial(0.0, 0.0)).1;
        assert_eq!(widened(&limits, &wider)[&Family::Features], limits[&Family::Features]);
        // One in twenty may fail, and an oracle whose figures are NaN widens nothing.
        let mut twenty = vec![trial(0.0, 0.0); 19];
        twenty.push(trial(9.0, 0.0));
        assert_eq!(widening(&twenty), ByFamily::new());
        assert_eq!(widening(&[]), ByFamily::new());
        assert_eq!(widening(&[trial(1.0, f64::INFINITY)]), ByFamily::new());
    }
}
