//! `cka`: how alike two models' representations are, at every cut.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, Par};

use super::signals::Features;
use super::{Audit, CutFeatures, Findings, Measured, PartName, Peer, Reference, Subject};
use crate::context::Context;
use crate::error::Result;
use crate::stats;
use crate::summary::Family;

/// At every cut, on the old class's test images (`_old`) and on the others (`_rest`), of which at most [`OLD`] and [`REST`] are taken, evenly spread:
///
/// - `cka_to_oracles_*`, `cka_to_original_*`: linear centred kernel alignment with the mean over the oracles, and with the original: 1 for
///   representations that differ by a rotation, a shift and a scale, 0 in expectation for unrelated ones;
/// - `neighbours_to_oracles_old`, `neighbours_to_original_old`: share of a sample's [`NEIGHBOURS`] nearest others that are the same ones in both
///   models.
///
/// CKA is led by the few directions of largest variance and can be moved without a change of function (Davari et al. 2023), so the second
/// figure looks at small distances instead. What is judged is the old class's likeness to oracles, beside that of oracles to each other; and at
/// the last cut how many neighbours its images have in common with the original. Which of them resemble each other there is what learning that
/// class made of them, and models that never learned it agree on a third to a half. A model that agrees on all has kept it, whether or not
/// a read-out finds the class more easily than in oracles. (For classes that many others resemble it does not: a new head on the original's
/// features passed every other audit in 11 of 50 runs on emnist-derived47.) Further likeness to the original is not judged: below the last cut
/// a method may keep what every model of the data learns, and whoever starts from the original stays near it in what the classes share.
#[derive(Debug)]
pub struct Cka;

/// Its name.
pub const AUDIT: &str = "cka";
/// The figure that says whether features are the original's own.
pub const KEPT: &str = "neighbours_to_original_old";

/// Old-class test images at most.
const OLD: usize = 400;
/// Other test images at most.
const REST: usize = 600;
/// Nearest neighbours, as in Huh et al. 2024.
const NEIGHBOURS: usize = 10;
/// Half of what the demo's original lies below its oracles before the head. Any two oracles' means share a pair of oracles, so that their deviation
/// understates how far a further one may lie, most of all with three of them; a tolerance of a point or two would fail exactly retrained models.
const TOLERANCE: f64 = 0.05;

impl Audit for Cka {
    fn name(&self) -> &'static str {
        AUDIT
    }

    fn summary(&self) -> &'static str {
        "likeness of representations to the oracles' and the original's at every cut: debiased linear CKA, common neighbours"
    }

    fn source(&self) -> &'static str {
        "Kornblith et al. 2019, debiased as in Nguyen et al. 2021; mutual neighbours: Huh et al. 2024, arXiv 2405.07987"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, ctx: &mut Context) -> Result<Findings> {
        let is_old = subject.data.is_old(PartName::Test);
        let rows = [true, false].map(|side| {
            let all: Vec<usize> = (0..is_old.len()).filter(|i| is_old[*i] == side).collect();
            let most = if side { OLD } else { REST };
            if all.len() <= most { all } else { (0..most).map(|i| all[i * all.len() / most]).collect::<Vec<_>>() }
        });
        let mine = rows.each_ref().map(|rows| Kernel::of(&cut.test, rows));
        // Old and rest: CKA and common neighbours with one other model.
        let with = |peer: Peer<'_>| -> Result<[[Option<f64>; 2]; 2]> {
            ctx.check_interrupt()?;
            if peer.name == subject.me.name {
                return Ok(mine.each_ref().map(|k| [k.cka(k), k.common_neighbours(k)]));
            }
            if peer.signals.cut_count() <= cut.index || peer.signals.cut_name(cut.index) != cut.name {
                return Ok([[None; 2]; 2]); // another architecture has no such cut
            }
            let theirs = peer.signals.part(cut.index, PartName::Test)?;
            let [old, rest] = [0, 1].map(|side| {
                let kernel = Kernel::of(&theirs, &rows[side]);
                [mine[side].cka(&kernel), mine[side].common_neighbours(&kernel)]
            });
            Ok([old, rest])
        };
        let oracles = subject.oracles.iter().map(|o| with(*o)).collect::<Result<Vec<_>>>()?;
        let original = subject.original.map(with).transpose()?.unwrap_or_default();
        let mean = |side: usize, figure: usize| -> Option<f64> {
            let values: Vec<f64> = oracles.iter().map(|o| o[side][figure]).collect::<Option<_>>()?;
            (!values.is_empty()).then(|| stats::mean(&values))
        };
        let figure = |name: &str, value| Measured::new(name, value, "index", TOLERANCE).at(&cut.name);
        let kept = figure(KEPT, original[0][1]);
        let is_last = cut.index + 1 == subject.me.signals.cut_count();
        Ok(vec![
            figure("cka_to_oracles_old", mean(0, 0)).against(Reference::EachOracle).higher_is_better(),
            figure("cka_to_oracles_rest", mean(1, 0)).descriptive(),
            figure("cka_to_original_old", original[0][0]).descriptive(),
            figure("cka_to_original_rest", original[1][0]).descriptive(),
            figure("neighbours_to_oracles_old", mean(0, 1)).against(Reference::EachOracle).higher_is_better(),
            if is_last { kept.showing_old_class() } else { kept.descriptive() },
        ]
        .into())
    }
}

/// Products between n samples' centred features: symmetric, both halves filled.
#[derive(Debug)]
struct Kernel(Mat<f64>);

impl Kernel {
    fn of(x: &Features, rows: &[usize]) -> Self {
        let d = x.width;
        let mut mean = vec![0.0; d];
        for i in rows {
            mean.iter_mut().zip(x.row(*i)).for_each(|(m, v)| *m += f64::from(*v) / rows.len() as f64);
        }
        // Neither figure depends on a shift; without one, f32 would be spent on what all samples share.
        let centred = Mat::from_fn(d, rows.len(), |c, i| (f64::from(x.row(rows[i])[c]) - mean[c]) as f32);
        let mut products = Mat::<f32>::zeros(rows.len(), rows.len());
        triangular::matmul(
            products.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Replace,
            centred.transpose(),
            BlockStructure::Rectangular,
            centred.as_ref(),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
        Self(Mat::from_fn(rows.len(), rows.len(), |i, j| f64::from(products[(i.max(j), i.min(j))])))
    }

    /// Debiased HSIC (Song et al. 2012, eq. 5; Nguyen et al. 2021, eq. 3), with K and L without their diagonals:
    /// [tr KL + (1ᵀK1)(1ᵀL1)/((n−1)(n−2)) − 2·1ᵀKL1/(n−2)] / (n(n−3)). At least four samples.
    fn hsic(&self, other: &Self) -> f64 {
        let n = self.0.nrows();
        let (mut trace, mut sums) = (0.0, [vec![0.0; n], vec![0.0; n]]);
        for j in 0..n {
            let (k, l) = (self.0.col_as_slice(j), other.0.col_as_slice(j));
            let off = |c: &[f64]| c.iter().sum::<f64>() - c[j];
            trace += k.iter().zip(l).map(|(a, b)| a * b).sum::<f64>() - k[j] * l[j];
            (sums[0][j], sums[1][j]) = (off(k), off(l));
        }
        let [a, b] = sums.each_ref().map(|s| s.iter().sum::<f64>());
        let cross: f64 = sums[0].iter().zip(&sums[1]).map(|(a, b)| a * b).sum();
        let n = n as f64;
        (trace + a * b / ((n - 1.0) * (n - 2.0)) - 2.0 * cross / (n - 2.0)) / (n * (n - 3.0))
    }

    /// HSIC(K, L)/√(HSIC(K, K)·HSIC(L, L)); none for fewer than four samples or features without spread.
    fn cka(&self, other: &Self) -> Option<f64> {
        if self.0.nrows() < 4 {
            return None;
        }
        let (own, theirs) = (self.hsic(self), other.hsic(other));
        // A model that diverged has NaN here, which is no missing value.
        if own <= 0.0 || theirs <= 0.0 { None } else { Some(self.hsic(other) / (own * theirs).sqrt()) }
    }

    /// Each sample's nearest others, in order of their numbers; equals are taken in that order too.
    fn neighbours(&self) -> Vec<Vec<usize>> {
        let n = self.0.nrows();
        (0..n)
            .map(|i| {
                let row = self.0.col_as_slice(i);
                let mut others: Vec<(f64, usize)> = (0..n).filter(|j| *j != i).map(|j| (self.0[(j, j)] - 2.0 * row[j], j)).collect();
                others.select_nth_unstable_by(NEIGHBOURS - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                let mut nearest: Vec<usize> = others[..NEIGHBOURS].iter().map(|(_, j)| *j).collect();
                nearest.sort_unstable();
                nearest
            })
            .collect()
    }

    /// Mean share of common nearest neighbours; none with too few samples to choose them from.
    fn common_neighbours(&self, other: &Self) -> Option<f64> {
        let n = self.0.nrows();
        if n < 2 * NEIGHBOURS {
            return None;
        }
        if [self, other].iter().any(|k| (0..n).any(|i| k.0[(i, i)].is_nan())) {
            return Some(f64::NAN);
        }
        let pairs = self.neighbours().into_iter().zip(other.neighbours());
        let common: usize = pairs.map(|(a, b)| a.iter().filter(|j| b.binary_search(j).is_ok()).count()).sum();
        Some(common as f64 / (n * NEIGHBOURS) as f64)
    }
}

#[cfg(test)]
mod tests;
