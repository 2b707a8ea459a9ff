//! The verdict: every figure beside the oracles' band, and what follows for a model.
//!
//! A figure is *within* if |value − mean| ≤ max(tolerance, 2·sd·√(1+1/n)) over n oracles: the band in which a further oracle is expected.
//! An oracle is judged by the others, so that its row shows what an exactly retrained model gets.
//!
//! With few oracles the deviation itself is uncertain: if figures are normal, the gap of a further oracle over sd·√(1+1/n) follows
//! Student's t with n−1 degrees of freedom, and it is outside a band of half-width b with probability pᵢ = P(|t| > b/(sd·√(1+1/n))): 18 % for
//! three oracles and 12 % for five where the deviation sets the band, next to nothing where the tolerance does.
//! A model is *matched* if no more of its figures are outside than an exactly retrained model's are in [`CONFIDENCE`] of cases (the quantile of
//! the sum of independent hits with these pᵢ), and none is far outside: farther than [`FAR_TOLERANCES`] tolerances and than the t that such a
//! model reaches with one of its figures in 1 − [`CONFIDENCE`] of cases (Bonferroni). Figures are correlated, so the rate is a guide, not a guarantee.
//! Otherwise it is *under-erased* or *over-erased* by the farthest outside figure that shows the old class (above or below the oracles), or
//! *off-target* where no such figure is outside: the old class looks as it should, something else does not.

use crate::stats;
use crate::summary::{ModelKind, Score, Verdict};

use super::Measured;

/// Fewest oracles for a verdict.
pub const MIN_ORACLES: usize = 3;
/// Share of exactly retrained models that are to pass.
pub const CONFIDENCE: f64 = 0.95;
/// However wide the deviations, a gap below this many tolerances is not called far.
pub const FAR_TOLERANCES: f64 = 3.0;

/// One model's figures.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Name of the model.
    pub model: String,
    /// What it is.
    pub kind: ModelKind,
    /// (audit, figure).
    pub figures: Vec<(&'static str, Measured)>,
}

impl Figures {
    fn find(&self, audit: &str, like: &Measured) -> Option<&Measured> {
        self.figures.iter().find(|(a, m)| *a == audit && m.metric == like.metric && m.cut == like.cut).map(|(_, m)| m)
    }
}

/// Half-width of the band: max(tolerance, 2·sd·√(1+1/n)).
fn band(tolerance: f64, sd: f64, n: usize) -> f64 {
    tolerance.max(2.0 * sd * (1.0 + 1.0 / n as f64).sqrt())
}

/// Every model's scores and verdict, in the order given.
pub fn judge(models: &[Figures]) -> (Vec<Score>, Vec<Verdict>) {
    let oracles: Vec<&Figures> = models.iter().filter(|m| m.kind == ModelKind::Oracle).collect();
    let mut scores = Vec::new();
    let mut verdicts = Vec::new();
    for model in models {
        let judges: Vec<&Figures> = oracles.iter().copied().filter(|o| o.model != model.model).collect();
        let rows: Vec<(Score, &Measured)> = model.figures.iter().map(|(audit, m)| (score(model, audit, m, &judges), m)).collect();
        verdicts.push(verdict(model, &rows, judges.len(), oracles.len()));
        scores.extend(rows.into_iter().map(|(s, _)| s));
    }
    (scores, verdicts)
}

fn score(model: &Figures, audit: &'static str, m: &Measured, judges: &[&Figures]) -> Score {
    let theirs: Vec<f64> = judges.iter().filter_map(|o| o.find(audit, m)?.value).collect();
    let mean = (!theirs.is_empty()).then(|| stats::mean(&theirs));
    let sd = stats::sd(&theirs);
    let gap = m.value.zip(mean).map(|(v, m)| v - m);
    let within = match (gap, sd, m.tolerance) {
        (Some(gap), Some(sd), Some(tolerance)) => Some(gap.abs() <= band(tolerance, sd, theirs.len())),
        (None, Some(_), Some(_)) if m.diverged => Some(false),
        _ => None,
    };
    Score {
        model: model.model.clone(),
        audit: audit.to_string(),
        metric: m.metric.clone(),
        cut: m.cut.clone(),
        value: m.value,
        unit: m.unit.to_string(),
        better: m.better,
        oracle_mean: mean,
        oracle_sd: sd,
        oracles: theirs.len(),
        gap,
        z: gap.zip(sd).and_then(|(g, sd)| (sd > 0.0).then(|| g / sd)),
        within,
        tolerance: m.tolerance,
        family: m.family,
    }
}

fn verdict(model: &Figures, rows: &[(Score, &Measured)], judges: usize, oracles: usize) -> Verdict {
    let judged: Vec<&(Score, &Measured)> = rows.iter().filter(|(s, _)| s.within.is_some()).collect();
    // How many bands a figure is away.
    let distance = |s: &Score| match (s.gap, s.oracle_sd, s.tolerance) {
        (Some(gap), Some(sd), Some(tolerance)) => gap.abs() / band(tolerance, sd, s.oracles).max(f64::MIN_POSITIVE),
        // A figure that came out as NaN or infinity is as far away as can be.
        _ => f64::INFINITY,
    };
    let mut outside: Vec<&(Score, &Measured)> = judged.iter().copied().filter(|(s, _)| s.within == Some(false)).collect();
    outside.sort_by(|a, b| distance(&b.0).total_cmp(&distance(&a.0)));
    let dof = judges.saturating_sub(1).max(1);
    let spread = |s: &Score| s.oracle_sd.unwrap_or(0.0) * (1.0 + 1.0 / s.oracles.max(1) as f64).sqrt();
    let chances: Vec<f64> = judged
        .iter()
        .map(|(s, _)| match spread(s) {
            0.0 => 0.0,
            spread => stats::student_two_sided(band(s.tolerance.unwrap_or(0.0), s.oracle_sd.unwrap_or(0.0), s.oracles) / spread, dof),
        })
        .collect();
    let by_chance = stats::hits_quantile(&chances, CONFIDENCE);
    let rare = stats::student_quantile((1.0 - CONFIDENCE) / judged.len().max(1) as f64, dof);
    let far = |s: &Score| s.gap.is_none_or(|gap| gap.abs() > (FAR_TOLERANCES * s.tolerance.unwrap_or(0.0)).max(rare * spread(s)));
    let enough = oracles >= MIN_ORACLES && judges >= 2 && !judged.is_empty();
    // The first of them that shows the old class tells the direction.
    let direction = outside.iter().find(|(_, m)| m.shows_old_class).and_then(|(s, _)| s.gap);
    let word = if !enough {
        "no verdict"
    } else if outside.len() <= by_chance && !outside.iter().any(|(s, _)| far(s)) {
        "matched"
    } else {
        match direction {
            Some(gap) if gap > 0.0 => "under-erased",
            Some(_) => "over-erased",
            None => "off-target",
        }
    };
    Verdict {
        model: model.model.clone(),
        kind: model.kind,
        audits_within: judged.len() - outside.len(),
        audits_total: judged.len(),
        verdict: word.to_string(),
        failing: outside.iter().map(|(s, _)| s.label()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, kind: ModelKind, values: &[f64]) -> Figures {
        let figures = values
            .iter()
            .enumerate()
            .map(|(i, v)| {
                let m = Measured::new(format!("m{i}"), Some(*v), "fraction", 0.01);
                ("test", if i == 0 { m.showing_old_class() } else { m })
            })
            .collect();
        Figures { model: name.into(), kind, figures }
    }

    fn oracles() -> Vec<Figures> {
        [0.50, 0.52, 0.54].iter().enumerate().map(|(i, v)| model(&format!("oracle-{i}"), ModelKind::Oracle, &[*v, 0.9])).collect()
    }

    #[test]
    fn the_band_is_the_formula_of_the_format() {
        let mut all = oracles();
        // mean .52, sd .02, n 3: band 2·.02·√(4/3) = .0461880
        all.push(model("inside", ModelKind::Method, &[0.566, 0.905]));
        all.push(model("outside", ModelKind::Method, &[0.567, 0.905]));
        let (scores, _) = judge(&all);
        let of = |name: &str| scores.iter().find(|s| s.model == name && s.metric == "m0").expect("scored").clone();
        assert_eq!(of("inside").within, Some(true));
        assert_eq!(of("outside").within, Some(false));
        assert!((of("outside").z.expect("defined") - 2.35).abs() < 1e-9);
        // an oracle is judged by the other two: mean .53, sd .0141421
        let held_out = of("oracle-0");
        assert_eq!(held_out.oracles, 2);
        assert!((held_out.oracle_mean.expect("defined") - 0.53).abs() < 1e-12);
    }

    #[test]
    fn directions_have_their_names() {
        let mut all = oracles();
        all.push(model("above", ModelKind::Method, &[0.9, 0.9]));
        all.push(model("below", ModelKind::Method, &[0.1, 0.9]));
        all.push(model("beside", ModelKind::Method, &[0.52, 0.5]));
        all.push(model("same", ModelKind::Method, &[0.52, 0.9]));
        let (_, verdicts) = judge(&all);
        let words: Vec<&str> = verdicts[3..].iter().map(|v| v.verdict.as_str()).collect();
        assert_eq!(words, ["under-erased", "over-erased", "off-target", "matched"]);
        assert_eq!(verdicts[3].failing, ["test/m0"]);
    }

    #[test]
    fn many_small_misses_or_one_large_one_are_no_match() {
        // Twelve figures whose band is the tolerance of one point: a retrained model has none outside.
        let oracles: Vec<Figures> = (0..3).map(|i| model(&format!("oracle-{i}"), ModelKind::Oracle, &[0.9 + 0.001 * f64::from(i); 12])).collect();
        let verdict_of = |values: &[f64]| {
            let mut all = oracles.clone();
            all.push(model("method", ModelKind::Method, values));
            judge(&all).1[3].verdict.clone()
        };
        assert_eq!(verdict_of(&[0.901; 12]), "matched");
        assert_eq!(verdict_of(&[[0.901; 9].as_slice(), &[0.88; 3]].concat()), "off-target", "three of twelve are two tolerances off");
        assert_eq!(verdict_of(&[[0.901; 11].as_slice(), &[0.8]].concat()), "off-target", "one is ten tolerances off");
    }

    #[test]
    fn a_figure_that_diverged_counts_as_outside() {
        let mut all = oracles();
        let mut broken = model("method", ModelKind::Method, &[0.52, 0.9]);
        broken.figures[1].1 = Measured::new("m1", Some(f64::NAN), "fraction", 0.01);
        all.push(broken);
        let (scores, verdicts) = judge(&all);
        assert_eq!(scores.last().map(|s| (s.value, s.within)), Some((None, Some(false))));
        assert_eq!(verdicts[3].verdict, "off-target");
        assert_eq!((verdicts[3].audits_within, verdicts[3].audits_total), (1, 2));
    }

    #[test]
    fn fewer_than_three_oracles_give_no_verdict() {
        let mut all = oracles();
        all.pop();
        all.push(model("method", ModelKind::Method, &[0.51, 0.9]));
        assert!(judge(&all).1.iter().all(|v| v.verdict == "no verdict"));
        let alone = judge(&[model("method", ModelKind::Method, &[0.51, 0.9])]);
        assert_eq!(alone.0[0].within, None);
        assert_eq!(alone.1[0].audits_total, 0);
    }
}
