//! How far a family of figures may be from the oracles: the limits of an exactly retrained model.
//!
//! Figures of one model are one draw of a correlated vector, and there are more of them than oracles, so nothing can be learnt of their
//! correlation, and no rank among n+1 models is rarer than 1/(n+1). What can be said needs a model: figures are normal, a retrained model's
//! gap of figure j is t·sⱼ√(1+1/n) with t of n−1 degrees of freedom (the predictive distribution of one more oracle), and the t of all figures
//! come from n+1 vectors of normal figures with one common correlation. [`DRAWS`] such models are drawn for each of [`CORRELATIONS`], their
//! statistics computed as a subject's are, and the limits set where [`CONFIDENCE`] of them are within all limits at once (every limit the same
//! quantile of its statistic); over the correlations the largest limit counts. How the rate holds, for more strongly correlated figures too, the
//! tests measure.

use std::collections::BTreeMap;

use rand::Rng;
use rayon::prelude::*;

use crate::stats;
use crate::summary::Family;

/// Share of exactly retrained models that are to pass.
pub const CONFIDENCE: f64 = 0.95;
/// A figure counts at most this many bands in a family's excess, so that a single one can't outvote the rest; that is what farthest is for.
pub const MOST_BANDS: f64 = 5.0;
/// However small the deviations, a gap below this many tolerances is not called far.
pub const FAR_TOLERANCES: f64 = 3.0;
/// Oracles that agree to less than this share of the tolerance do so by luck or by rounding (accuracies on a few hundred samples do).
const SURE: f64 = 0.1;
/// Variance of what is rounded to whole steps, of one step: that of a uniform number between −½ and ½. Shares of few images come in steps of an image,
/// on which oracles agree without being alike.
const ROUNDED: f64 = 1.0 / 12.0;
/// Models drawn for each correlation.
pub const DRAWS: usize = 1000;
/// Correlations between the figures of a drawn model. Of models whose figures are correlated by 0.8, 94 % or more are still matched (before
/// any widening); drawing such models too would nearly double the limits for three oracles, and let a third of the shifts of two bands pass
/// that are found now.
pub const CORRELATIONS: [f64; 3] = [0.0, 0.25, 0.5];
/// An excess below that of one figure at this many bands is never beyond: figures are not quite normal.
const LEAST_BANDS: f64 = 2.0;

/// A judged figure: how far it is and how far it may be.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// What it speaks of.
    pub family: Family,
    /// By how much it misses the oracles' mean ([`crate::summary::Score::miss`]); infinite for a figure that came out as NaN or infinity.
    pub miss: f64,
    /// Whether only one side of the oracles is a miss.
    pub one_sided: bool,
    /// sd·√(1+1/n) over the oracles.
    pub spread: f64,
    /// Half-width of the band.
    pub band: f64,
    /// Its tolerance.
    pub tolerance: f64,
    /// The step that it comes in, 0 where it is no share of images.
    pub grain: f64,
    /// Oracles behind it.
    pub oracles: usize,
}

/// Statistics of one family, or their limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Mean over figures of min(miss/band, [`MOST_BANDS`]) where that is above 1, else 0: the share outside, weighed by distance.
    pub excess: f64,
    /// Largest miss over max([`FAR_TOLERANCES`] tolerances, t·spread), t what one of all the model's figures exceeds in 1 − [`CONFIDENCE`]
    /// of cases (Bonferroni).
    pub farthest: f64,
}

impl Pair {
    /// The larger of both over their limits; 1 is on the limit.
    pub fn over(self, limit: Pair) -> f64 {
        (self.excess / limit.excess).max(self.farthest / limit.farthest)
    }
}

/// A pair a family, for the families with judged figures.
pub type ByFamily = BTreeMap<Family, Pair>;

/// t of drawn models' figures.
#[derive(Debug)]
pub struct Pivots {
    columns: usize,
    /// A matrix of [`DRAWS`] × `columns` for each correlation.
    by_correlation: Vec<Vec<f32>>,
}

impl Pivots {
    /// For a model of at most `columns` judged figures beside `oracles` oracles, at least two. The same numbers in every run: limits are
    /// constants of the oracles, not a matter of luck.
    pub fn draw(oracles: usize, columns: usize) -> Self {
        let draws: Vec<Vec<f32>> = (0..DRAWS as u64).into_par_iter().map(|i| draw(oracles, columns, i)).collect();
        let by_correlation =
            (0..CORRELATIONS.len()).map(|c| draws.iter().flat_map(|d| &d[c * columns..(c + 1) * columns]).copied().collect()).collect();
        Self { columns, by_correlation }
    }
}

/// t of one drawn model: `columns` of them for each correlation in turn.
fn draw(oracles: usize, columns: usize, index: u64) -> Vec<f32> {
    let mut normal = Normal { rng: crate::rng::stream(oracles as u64, "verdict limits", index), spare: None };
    let n = oracles as f64;
    // Row 0 is the model's, the others the oracles'.
    let common: Vec<f64> = (0..=oracles).map(|_| normal.next()).collect();
    let own: Vec<f64> = (0..columns * (oracles + 1)).map(|_| normal.next()).collect();
    let t = |correlation: f64, own: &[f64]| {
        let (a, b) = (correlation.sqrt(), (1.0 - correlation).sqrt());
        let value = |i: usize| a * common[i] + b * own[i];
        let mean = (1..=oracles).map(value).sum::<f64>() / n;
        let variance = (1..=oracles).map(|i| (value(i) - mean).powi(2)).sum::<f64>() / (n - 1.0);
        ((value(0) - mean) / (variance * (1.0 + 1.0 / n)).sqrt()) as f32
    };
    CORRELATIONS.iter().flat_map(|c| own.chunks_exact(oracles + 1).map(|own| t(*c, own))).collect()
}

/// Standard normal numbers by the method of Box and Muller (1958).
struct Normal {
    rng: crate::rng::Stream,
    spare: Option<f64>,
}

impl Normal {
    fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // In (0, 1), never 0.
        let mut uniform = || ((self.rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let radius = (-2.0 * uniform().ln()).sqrt();
        let (sin, cos) = (2.0 * std::f64::consts::PI * uniform()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }
}

/// What a gap is divided by to tell whether it is far, figure by figure.
fn far(figures: &[Judged]) -> Vec<f64> {
    let mut quantiles = BTreeMap::<usize, f64>::new();
    let rare = (1.0 - CONFIDENCE) / figures.len().max(1) as f64;
    figures
        .iter()
        .map(|f| {
            let dof = f.oracles.saturating_sub(1).max(1);
            let t = *quantiles.entry(dof).or_insert_with(|| stats::student_quantile(rare, dof));
            let rounding = f.grain * (ROUNDED * (1.0 + 1.0 / f.oracles.max(1) as f64)).sqrt();
            (FAR_TOLERANCES * f.tolerance).max(t * f.spread.hypot(rounding.max(SURE * f.tolerance))).max(f64::MIN_POSITIVE)
        })
        .collect()
}

/// The families of `figures`, each with the indices of its own.
fn members(figures: &[Judged]) -> Vec<(Family, Vec<usize>)> {
    let of = |family| -> Vec<usize> { (0..figures.len()).filter(|i| figures[*i].family == family).collect() };
    Family::ALL.into_iter().map(|f| (f, of(f))).filter(|(_, indices)| !indices.is_empty()).collect()
}

/// Excess and farthest of the figures at `indices`, `of` giving for each its miss over its band and over what is far.
fn pair(indices: &[usize], of: impl Fn(usize) -> (f64, f64)) -> Pair {
    let mut sum = 0.0;
    let mut farthest = 0.0f64;
    for i in indices {
        let (bands, far) = of(*i);
        sum += if bands > 1.0 { bands.min(MOST_BANDS) } else { 0.0 };
        farthest = farthest.max(far);
    }
    Pair { excess: sum / indices.len() as f64, farthest }
}

/// A miss over its `unit`, 0 of 0.
pub fn ratio(miss: f64, unit: f64) -> f64 {
    if miss == 0.0 { 0.0 } else { miss / unit.max(f64::MIN_POSITIVE) }
}

/// A model's statistics by family.
pub fn statistics(figures: &[Judged]) -> ByFamily {
    let far = far(figures);
    let of = |i: usize| (ratio(figures[i].miss, figures[i].band), ratio(figures[i].miss, far[i]));
    members(figures).into_iter().map(|(family, indices)| (family, pair(&indices, of))).collect()
}

/// The limits for a model with these figures (whose misses are not read).
pub fn limits(figures: &[Judged], pivots: &Pivots) -> ByFamily {
    let members = members(figures);
    let far = far(figures);
    let scales: Vec<(f64, f64)> = figures.iter().zip(&far).map(|(f, far)| (ratio(f.spread, f.band), f.spread / far)).collect();
    let mut out: ByFamily =
        members.iter().map(|(family, indices)| (*family, Pair { excess: LEAST_BANDS / indices.len() as f64, farthest: 1.0 })).collect();
    for pivots_here in &pivots.by_correlation {
        // Draw by draw, excess and farthest of every family.
        let drawn: Vec<Vec<Pair>> = pivots_here
            .chunks_exact(pivots.columns.max(1))
            .map(|t| {
                let of = |i: usize| {
                    let t = f64::from(if figures[i].one_sided { t[i].max(0.0) } else { t[i].abs() });
                    (t * scales[i].0, t * scales[i].1)
                };
                members.iter().map(|(_, indices)| pair(indices, of)).collect()
            })
            .collect();
        let columns: Vec<Vec<f64>> = (0..members.len())
            .flat_map(|f| [drawn.iter().map(|d| d[f].excess).collect::<Vec<f64>>(), drawn.iter().map(|d| d[f].farthest).collect()])
            .collect();
        for ((family, _), limit) in members.iter().zip(joint_quantiles(&columns, CONFIDENCE).chunks_exact(2)) {
            let entry = out.entry(*family).or_insert(Pair { excess: 0.0, farthest: 0.0 });
            entry.excess = entry.excess.max(limit[0]);
            entry.farthest = entry.farthest.max(limit[1]);
        }
    }
    out
}

/// One limit a statistic, each the same quantile of its own, such that `confidence` of the draws are within all of them.
fn joint_quantiles(statistics: &[Vec<f64>], confidence: f64) -> Vec<f64> {
    let sorted: Vec<Vec<f64>> = statistics
        .iter()
        .map(|s| {
            let mut s = s.clone();
            s.sort_by(f64::total_cmp);
            s
        })
        .collect();
    let draws = statistics.first().map_or(0, Vec::len);
    // The rank at which a draw is within all limits: the worst of its ranks.
    let mut needed: Vec<usize> =
        (0..draws).map(|d| statistics.iter().zip(&sorted).map(|(s, sorted)| sorted.partition_point(|v| *v < s[d])).max().unwrap_or(0)).collect();
    needed.sort_unstable();
    let at = needed.get(((confidence * draws as f64).ceil() as usize).saturating_sub(1)).copied().unwrap_or(0);
    sorted.iter().map(|s| s.get(at).copied().unwrap_or(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_t_follow_students_distribution() {
        let pivots = Pivots::draw(4, 50);
        for matrix in &pivots.by_correlation {
            // P(|t₃| > 2) = .13933 (tests/golden/distributions.json); figures of a draw are correlated, so a thousand draws count, not fifty thousand.
            let beyond = matrix.iter().filter(|t| t.abs() > 2.0).count() as f64 / matrix.len() as f64;
            assert!((beyond - 0.139_33).abs() < 0.03, "{beyond}");
        }
    }

    #[test]
    fn joint_quantiles_hold_together() {
        // Two statistics of 20 draws in opposite order: 19 must be within both, so one draw may be beyond either, and both limits rise.
        let up: Vec<f64> = (0..20).map(f64::from).collect();
        let down: Vec<f64> = up.iter().rev().copied().collect();
        assert_eq!(joint_quantiles(std::slice::from_ref(&up), 0.95), [18.0]);
        assert_eq!(joint_quantiles(&[up, down], 0.95), [19.0, 19.0]);
    }

    #[test]
    fn statistics_of_a_worked_family() {
        // Bands of 1: distances .5, 2 and 40 count 0, 2 and 5, over 3 figures 7/3.
        let figure = |miss| Judged { family: Family::Output, miss, one_sided: false, spread: 0.0, band: 1.0, tolerance: 1.0, grain: 0.0, oracles: 3 };
        let found = statistics(&[figure(0.5), figure(2.0), figure(40.0)])[&Family::Output];
        assert!((found.excess - 7.0 / 3.0).abs() < 1e-12);
        // P(|t₂| > 7.6488) = .05/3 (tests/golden/distributions.json): the unit is .76488, below three tolerances.
        assert!((found.farthest - 40.0 / 3.0).abs() < 1e-9, "{found:?}");
        assert_eq!(statistics(&[figure(f64::INFINITY)])[&Family::Output].farthest, f64::INFINITY);
    }

    #[test]
    fn without_deviation_the_limits_are_the_least() {
        let figure = Judged { family: Family::Utility, miss: 0.0, one_sided: false, spread: 0.0, band: 1.0, tolerance: 1.0, grain: 0.0, oracles: 3 };
        let limits = limits(&[figure; 8], &Pivots::draw(3, 8));
        assert_eq!(limits[&Family::Utility], Pair { excess: 0.25, farthest: 1.0 });
    }
}
