//! The verdict: every figure beside the oracles' band, and what follows for a model.
//!
//! A figure is *within* if |value − mean| ≤ max(tolerance, 2·sd·√(1+1/n)) over n oracles: the band in which a further oracle is expected. What
//! measures a distance or a likeness to the oracles is judged on one side: to be closer to them than they are to each other is no fault.
//! An oracle is judged by the others, so that its row shows what an exactly retrained model gets. With few oracles the deviation itself is
//! uncertain, and an exactly retrained model has figures outside: 18 % of those whose band the deviation sets with three oracles, 12 % with
//! five, next to none of those whose band is the tolerance.
//!
//! So a model is judged by families of figures ([`Family`]), each by two statistics with a limit each: its *excess*, the share of figures
//! outside weighed by how many bands they are away, and its *farthest* figure. The model is *matched* if no family is beyond a limit. Limits are
//! such that an exactly retrained model is matched in [`CONFIDENCE`] of cases ([`limits`] says under which assumptions), and wide enough
//! for the oracles at hand, each held out in turn ([`calibration`]).
//! Otherwise each family that is beyond a limit has a direction: where its outside figures that show the old class lie, taken together. The model
//! is *under-erased* if one lies above the oracles, whatever the others do: what one family shows no other takes back (a mask silences the answers
//! and leaves the features). It is *over-erased* if some lie below and none above, and *off-target* where none has such figures outside: the old
//! class looks as it should, something else does not.

mod calibration;
mod limits;
mod mean;
#[cfg(test)]
mod tests;

use crate::stats;
use crate::summary::{Better, Calibration, Family, FamilyVerdict, ModelKind, Score, Verdict};

use super::Measured;
use calibration::Limits;
use limits::{ByFamily, Judged, Pair};

pub use limits::CONFIDENCE;
pub use mean::mean;

/// Fewest oracles for a verdict.
pub const MIN_ORACLES: usize = 3;

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

/// Every model's scores and verdict, in the order given, and how the verdicts' limits were set.
pub fn judge(models: &[Figures]) -> (Vec<Score>, Vec<Verdict>, Option<Calibration>) {
    let oracles: Vec<&Figures> = models.iter().filter(|m| m.kind == ModelKind::Oracle).collect();
    let judges = |model: &Figures| -> Vec<&Figures> { oracles.iter().copied().filter(|o| o.model != model.model).collect() };
    let rows: Vec<(&Figures, usize, Vec<Score>)> = models
        .iter()
        .map(|model| {
            let judges = judges(model);
            (model, judges.len(), rows(model, &judges))
        })
        .collect();
    let columns = rows.iter().map(|(_, _, rows)| judged(rows).len()).max().unwrap_or(0);
    let calibrated = (oracles.len() >= MIN_ORACLES && columns > 0).then(|| Limits::calibrated(&oracles, columns));
    let limits = calibrated.as_ref().map(|(limits, _)| limits);
    let allowed = |rows: &[Score], judges| limits.map(|l| l.of(&judged(rows), judges)).unwrap_or_default();
    let verdicts = rows.iter().map(|(model, judges, rows)| verdict(&model.model, model.kind, rows, &allowed(rows, *judges))).collect();
    (rows.into_iter().flat_map(|(_, _, rows)| rows).collect(), verdicts, calibrated.map(|(_, c)| c))
}

/// `model`'s figures beside those of `judges`.
fn rows(model: &Figures, judges: &[&Figures]) -> Vec<Score> {
    model.figures.iter().map(|(audit, m)| score(model, audit, m, judges)).collect()
}

/// The judged ones of `model`'s figures beside those of `judges`.
fn judged_figures(model: &Figures, judges: &[&Figures]) -> Vec<Judged> {
    judged(&rows(model, judges))
}

fn judged(rows: &[Score]) -> Vec<Judged> {
    let judged = rows.iter().filter(|s| s.within.is_some());
    judged
        .map(|s| Judged {
            family: family(s),
            miss: s.miss().unwrap_or(f64::INFINITY),
            one_sided: s.better != Better::CloserToOracle,
            spread: s.judging_sd().unwrap_or(0.0) * (1.0 + 1.0 / s.oracles.max(1) as f64).sqrt(),
            band: s.half_band(),
            tolerance: s.tolerance.unwrap_or(0.0),
            grain: s.images.map_or(0.0, |n| 1.0 / n.max(1) as f64),
            oracles: s.oracles,
        })
        .collect()
}

/// Whether `family` of `model` would be within its limits without the figures `metric` of `audit`; `scores` are all of a run.
pub fn matched_without(model: &str, family: &FamilyVerdict, scores: &[Score], audit: &str, metric: &str) -> bool {
    let kept = scores.iter().filter(|s| s.model == model && !(s.audit == audit && s.metric == metric)).cloned().collect::<Vec<_>>();
    let limit = Pair { excess: family.excess_limit, farthest: family.farthest_limit };
    limits::statistics(&judged(&kept)).get(&family.family).is_some_and(|found| found.over(limit) <= 1.0)
}

/// What a figure speaks of; every audit says so.
fn family(score: &Score) -> Family {
    score.family.unwrap_or(Family::Output)
}

fn score(model: &Figures, audit: &'static str, m: &Measured, judges: &[&Figures]) -> Score {
    let found: Vec<(f64, bool)> = judges.iter().filter_map(|o| o.find(audit, m)).filter_map(|m| Some((m.value?, m.at_least))).collect();
    let theirs: Vec<f64> = found.iter().map(|(value, _)| *value).collect();
    let oracles_at_least = found.iter().filter(|(_, at_least)| *at_least).count();
    let mean = (!theirs.is_empty()).then(|| stats::mean(&theirs));
    // An oracle's gap is as much too small as the deviation of those that judge it.
    let correction = if model.kind == ModelKind::Oracle { Some(1.0) } else { m.reference.correction(theirs.len()) };
    let sd = stats::sd(&theirs).filter(|_| correction.is_some());
    let judging = sd.zip(correction).map(|(sd, factor)| sd * factor);
    let gap = m.value.zip(mean).filter(|_| !m.at_least && oracles_at_least == 0).map(|(v, m)| v - m);
    let mut score = Score {
        model: model.model.clone(),
        audit: audit.to_string(),
        metric: m.metric.clone(),
        cut: m.cut.clone(),
        value: m.value,
        reason: m.reason.clone(),
        at_least: m.at_least,
        unit: m.unit.to_string(),
        better: m.better,
        oracle_mean: mean,
        oracle_sd: sd,
        oracle_sd_factor: correction.unwrap_or(1.0),
        oracles: theirs.len(),
        oracles_at_least,
        gap,
        z: gap.zip(judging).and_then(|(g, sd)| (sd > 0.0).then(|| g / sd)),
        within: None,
        tolerance: m.tolerance,
        images: m.images,
        family: m.family,
        shows_old_class: m.shows_old_class,
    };
    // Where every oracle has a figure and nothing says why this model has none, having none is no way to pass. (The original has another map.)
    let missing = m.value.is_none() && !m.diverged && m.reason.is_none() && theirs.len() == judges.len() && model.kind != ModelKind::Original;
    score.within = match (score.miss(), sd, m.tolerance) {
        (Some(miss), Some(_), Some(_)) => Some(miss <= score.half_band()),
        (None, Some(_), Some(_)) if m.diverged || missing => Some(false),
        _ => None,
    };
    if missing && score.within == Some(false) {
        score.reason = Some("undefined here, though every oracle has it".into());
    }
    score
}

/// What `rows`, the figures of `model`, say of it; families without `allowed` limits say nothing.
fn verdict(model: &str, kind: ModelKind, rows: &[Score], allowed: &ByFamily) -> Verdict {
    let judged_rows: Vec<&Score> = rows.iter().filter(|s| s.within.is_some()).collect();
    let distance = |s: &Score| s.distance().unwrap_or(0.0);
    let mut outside: Vec<&Score> = judged_rows.iter().copied().filter(|s| s.within == Some(false)).collect();
    outside.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    let found = limits::statistics(&judged(rows));
    let mut families = Vec::new();
    // Whether one of the families that are beyond a limit shows more of the old class than the oracles, and whether one shows less.
    let (mut above, mut below) = (false, false);
    let mut worst_family: Option<(Family, f64)> = None;
    for (of, limit) in allowed {
        let Some(found) = found.get(of) else { continue };
        let over = found.over(*limit);
        let mine: Vec<&Score> = judged_rows.iter().copied().filter(|s| family(s) == *of).collect();
        let showing: Vec<f64> = outside.iter().filter(|s| family(s) == *of && s.shows_old_class).filter_map(|s| signed(s)).collect();
        let direction = (!showing.is_empty()).then(|| if showing.iter().sum::<f64>() > 0.0 { Direction::Above } else { Direction::Below });
        if over > 1.0 {
            above |= direction == Some(Direction::Above);
            below |= direction == Some(Direction::Below);
        }
        if worst_family.is_none_or(|(_, most)| over > most) {
            worst_family = Some((*of, over));
        }
        families.push(family_verdict(*of, &mine, *found, *limit, direction));
    }
    let word = match worst_family {
        None => "no verdict",
        Some((_, over)) if over <= 1.0 => "matched",
        _ if above => "under-erased",
        _ if below => "over-erased",
        _ => "off-target",
    };
    Verdict {
        model: model.to_string(),
        kind,
        audits_within: judged_rows.len() - outside.len(),
        audits_total: judged_rows.len(),
        verdict: word.to_string(),
        failing: outside.iter().map(|s| s.label()).collect(),
        families,
        worst_family: worst_family.map(|(f, _)| f),
    }
}

/// Where the figures of a family that show the old class and are outside lie, taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Direction {
    Above,
    Below,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

/// Bands above the oracles, negative below; at most [`limits::MOST_BANDS`] either way.
fn signed(score: &Score) -> Option<f64> {
    let bands = score.distance()?.min(limits::MOST_BANDS);
    score.gap.map(|gap| bands * gap.signum())
}

fn family_verdict(family: Family, rows: &[&Score], found: Pair, limit: Pair, direction: Option<Direction>) -> FamilyVerdict {
    let worst = rows.iter().filter_map(|s| Some((*s, s.distance()?))).fold(None, |worst: Option<(&Score, f64)>, (s, d)| match worst {
        Some((_, most)) if most >= d => worst,
        _ => Some((s, d)),
    });
    FamilyVerdict {
        family,
        within: rows.iter().filter(|s| s.within == Some(true)).count(),
        total: rows.len(),
        matched: found.over(limit) <= 1.0,
        excess: found.excess,
        excess_limit: limit.excess,
        farthest: Some(found.farthest).filter(|v| v.is_finite()),
        farthest_limit: limit.farthest,
        worst: worst.map(|(s, _)| s.label()),
        worst_bands: worst.map(|(_, d)| d).filter(|d| d.is_finite()),
        direction: direction.map(|d| d.name().to_string()),
    }
}
