//! Several seeds of one swap: does what their models have in common differ from the oracles that judged them all?
//!
//! A figure's mean over the seeds stands beside the band for a single model. Its own scatter is √seeds smaller than a model's, so that a
//! mean outside is a bias of the method, where a single model outside may be chance; a mean within says that the bias, if there is one, is
//! smaller than what the oracles differ by.

use std::collections::BTreeMap;

use super::limits::{ByFamily, Pair};
use super::verdict;
use crate::stats;
use crate::summary::{Cost, Family, Score, Scores, Verdict};

/// The mean of `runs` of one task, each from a seed of its own and judged by the same oracles; none without runs. Figures, bands, costs and
/// limits are means; a figure is judged where every run judged it. What speaks of one run alone (oracles' agreement, calibration, controls, agreement
/// of audits) is left out; the warnings of each run are kept, with its name.
pub fn mean(runs: &[(&str, &Scores)]) -> Option<Scores> {
    let (_, first) = runs.first()?;
    let scores: Vec<Score> = first.scores.iter().map(|like| score(like, runs)).collect();
    let verdict = |v: &Verdict| {
        let mine: Vec<Score> = scores.iter().filter(|s| s.model == v.model).cloned().collect();
        verdict(&v.model, v.kind, &mine, &limits(&v.model, runs))
    };
    Some(Scores {
        format: first.format,
        task: first.task.clone(),
        cost: first.cost.iter().map(|like| cost(like, runs)).collect(),
        verdict: first.verdict.iter().map(verdict).collect(),
        oracle_agreement: None,
        calibration: None,
        controls: vec![],
        audit_agreement: None,
        warnings: runs.iter().flat_map(|(run, s)| s.warnings.iter().map(move |w| format!("{run}: {w}"))).collect(),
        scores,
    })
}

/// Mean over the values; none where there is none.
fn mean_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| stats::mean(&values))
}

/// The mean of the figure that is `like` this one, over the runs that have it.
fn score(like: &Score, runs: &[(&str, &Scores)]) -> Score {
    let same = |s: &&Score| s.model == like.model && s.audit == like.audit && s.metric == like.metric && s.cut == like.cut;
    let rows: Vec<&Score> = runs.iter().filter_map(|(_, s)| s.scores.iter().find(same)).collect();
    let judged = rows.len() == runs.len() && rows.iter().all(|s| s.within.is_some());
    // One seed that diverged is no mean at all.
    let all = |of: fn(&Score) -> Option<f64>| mean_of(rows.iter().filter_map(|s| of(s))).filter(|_| rows.iter().all(|s| of(s).is_some()));
    let (gap, oracle_sd) = (all(|s| s.gap), all(|s| s.oracle_sd));
    let mut mean = Score {
        value: all(|s| s.value),
        oracle_mean: all(|s| s.oracle_mean),
        oracle_sd,
        oracles: rows.iter().map(|s| s.oracles).min().unwrap_or(0),
        at_least: rows.iter().any(|s| s.at_least),
        oracles_at_least: rows.iter().map(|s| s.oracles_at_least).max().unwrap_or(0),
        gap,
        z: gap.zip(oracle_sd.map(|sd| sd * like.oracle_sd_factor)).and_then(|(g, sd)| (sd > 0.0).then(|| g / sd)),
        within: None,
        ..like.clone()
    };
    mean.within = judged.then(|| mean.miss().is_some_and(|miss| miss <= mean.half_band()));
    mean
}

/// Mean over the runs of each family's limits for `model`.
fn limits(model: &str, runs: &[(&str, &Scores)]) -> ByFamily {
    let mut found: BTreeMap<Family, Vec<Pair>> = BTreeMap::new();
    for family in runs.iter().flat_map(|(_, s)| &s.verdict).filter(|v| v.model == model).flat_map(|v| &v.families) {
        found.entry(family.family).or_default().push(Pair { excess: family.excess_limit, farthest: family.farthest_limit });
    }
    let mean = |pairs: &[Pair], of: fn(&Pair) -> f64| stats::mean(&pairs.iter().map(of).collect::<Vec<_>>());
    found.into_iter().map(|(f, pairs)| (f, Pair { excess: mean(&pairs, |p| p.excess), farthest: mean(&pairs, |p| p.farthest) })).collect()
}

/// What making the model cost on average.
fn cost(like: &Cost, runs: &[(&str, &Scores)]) -> Cost {
    let rows: Vec<&Cost> = runs.iter().flat_map(|(_, s)| &s.cost).filter(|c| c.model == like.model).collect();
    Cost {
        wall_s: stats::mean(&rows.iter().map(|c| c.wall_s).collect::<Vec<_>>()),
        share_of_retrain: mean_of(rows.iter().filter_map(|c| c.share_of_retrain)),
        train_passes: stats::mean(&rows.iter().map(|c| c.train_passes).collect::<Vec<_>>()),
        ..like.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Figures, Measured, judge};
    use super::*;
    use crate::summary::{ModelKind, TaskInfo};

    /// Scores of four oracles around 0.52 and 0.9, and of a method with `values`; the first figure shows the old class.
    fn run(values: [f64; 2]) -> Scores {
        let model = |name: &str, kind, values: [f64; 2]| Figures {
            model: name.into(),
            kind,
            figures: vec![
                ("test", Measured::new("old", Some(values[0]), "fraction", 0.01).showing_old_class()),
                ("test", Measured::new("rest", Some(values[1]), "fraction", 0.01)),
            ],
        };
        let mut all: Vec<Figures> =
            [0.49, 0.51, 0.53, 0.55].into_iter().enumerate().map(|(i, v)| model(&format!("oracle-{i}"), ModelKind::Oracle, [v, 0.9])).collect();
        all.push(model("method", ModelKind::Method, values));
        let (scores, verdict, calibration) = judge(&all);
        let cost = Cost { model: "method".into(), wall_s: values[0], share_of_retrain: Some(values[0]), threads: 1, train_passes: 0.2 };
        Scores {
            format: 1,
            task: TaskInfo {
                dataset: "blobs".into(),
                classes_before: vec![0, 1],
                classes_after: vec![2, 1],
                forget: 0,
                learn: Some(2),
                names_before: vec![],
                names_after: vec![],
                forget_name: "a".into(),
                learn_name: None,
                also: vec![],
                learn_samples: None,
                retain_share: None,
                probe_samples: Default::default(),
            },
            cost: vec![cost],
            scores,
            verdict,
            oracle_agreement: None,
            calibration,
            controls: vec![],
            audit_agreement: None,
            warnings: vec!["beware".into()],
        }
    }

    fn mean_over(values: &[[f64; 2]]) -> Scores {
        let runs: Vec<Scores> = values.iter().map(|v| run(*v)).collect();
        mean(&runs.iter().map(|r| ("seed", r)).collect::<Vec<_>>()).expect("runs")
    }

    fn word(scores: &Scores) -> &str {
        &scores.verdict.iter().find(|v| v.model == "method").expect("judged").verdict
    }

    #[test]
    fn misses_on_either_side_cancel_and_a_bias_does_not() {
        // The band is 0.52 ± 2·.0258·√(5/4) = .0577; a single figure may be two bands off.
        let (above, below) = ([0.72, 0.9], [0.32, 0.9]);
        assert_eq!((word(&run(above)), word(&run(below))), ("under-erased", "over-erased"));
        assert_eq!(word(&mean_over(&[above, below])), "matched");
        let biased = mean_over(&[above, above, [0.76, 0.9]]);
        assert_eq!(word(&biased), "under-erased");
        let figure = biased.scores.iter().find(|s| s.model == "method" && s.metric == "old").expect("scored");
        assert!((figure.value.expect("defined") - 2.2 / 3.0).abs() < 1e-12 && figure.within == Some(false), "{figure:?}");
        assert!((biased.cost[0].share_of_retrain.expect("timed") - 2.2 / 3.0).abs() < 1e-12);
        assert_eq!(biased.warnings, ["seed: beware"; 3]);
    }

    #[test]
    fn the_mean_of_one_run_is_that_run() {
        let (alone, of_one) = (run([0.60, 0.93]), mean_over(&[[0.60, 0.93]]));
        assert_eq!((&alone.scores, &alone.verdict, &alone.cost), (&of_one.scores, &of_one.verdict, &of_one.cost));
    }

    #[test]
    fn a_seed_that_diverged_is_no_mean() {
        let found = mean_over(&[[0.52, 0.9], [0.52, f64::NAN]]);
        let figure = found.scores.iter().find(|s| s.model == "method" && s.metric == "rest").expect("scored");
        assert_eq!((figure.value, figure.within), (None, Some(false)));
        assert_eq!(word(&found), "off-target");
        assert!(mean(&[]).is_none());
    }
}
