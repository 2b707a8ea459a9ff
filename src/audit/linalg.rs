//! Closed-form read-outs of features: balanced ridge regression whose regularisation is chosen by leave-one-out.
//!
//! One factorisation serves every regularisation and every labelling. It is an eigendecomposition: with A the centred rows, each times the
//! root of its weight, and A = USVᵀ, the ridge solution is V(S² + λ)⁻¹SUᵀy and the leverages are Σₖ (us)ᵢₖ²/(sₖ² + λ), so that a further λ
//! costs a product with a vector, where a Cholesky factor would have to be made, and solved for every row, again. The eigenvectors are those
//! of AᵀA or of AAᵀ, whichever is smaller. AᵀA squares the condition number: directions below 10⁻⁶ of the largest deviation are lost, but the
//! smallest λ tried stands above them.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par, Side};

use super::signals::Features;
use crate::error::{Error, Result};

/// Regularisations tried, as multiples of the mean diagonal of the weighted covariance.
pub const LAMBDAS: [f64; 13] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0];
/// Eigenvalues below this share of the largest are rounding.
const NOTHING: f64 = 1e-12;
/// Rows whose sums over all eigenvectors stay in the cache together.
const BLOCK: usize = 128;

/// A linear read-out: old class where `w·x + b > 0`.
#[derive(Debug, Clone, PartialEq)]
pub struct Readout {
    w: Vec<f64>,
    b: f64,
}

impl Readout {
    /// w·x + b of every row.
    pub fn scores(&self, x: &Features) -> Vec<f64> {
        x.values.chunks_exact(x.width.max(1)).map(|row| row.iter().zip(&self.w).map(|(x, w)| f64::from(*x) * w).sum::<f64>() + self.b).collect()
    }
}

/// A read-out and how it was come by.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Fitted on all rows.
    pub readout: Readout,
    /// Of every row: the score that a read-out fitted on the others gives it.
    pub left_out: Vec<f64>,
    /// The regularisation, an entry of [`LAMBDAS`].
    pub lambda: f64,
}

/// N rows of features, ready for a balanced ridge regression on any labels: argmin Σωᵢ(w·xᵢ + b − yᵢ)² + λ·tr(C)/D·‖w‖², where the rows of the
/// old class share a weight of ½ equally and so do the others, C is the covariance with these weights, and b is not penalised.
#[derive(Debug)]
pub struct Factored {
    weights: Vec<f64>,
    mean: Vec<f64>,
    /// Centred rows, each times the root of its weight, D×N.
    rows: Mat<f64>,
    /// Eigenvalues of C that are not 0, and their eigenvectors, D×r.
    values: Vec<f64>,
    vectors: Mat<f64>,
    /// The rows in the eigenvectors' coordinates, N×r.
    turned: Mat<f64>,
    /// λ·tr(C)/D by λ.
    penalties: Vec<f64>,
    /// Share of its own label in a row's fitted value, by λ and row: the hat matrix's diagonal.
    leverages: Vec<Vec<f64>>,
}

impl Factored {
    /// Factorises the given rows of `x`; `old` says of every row of `x` which side it weighs with. Both sides must have a row.
    ///
    /// # Errors
    /// Features that are not finite.
    pub fn of(x: &Features, rows: &[usize], old: &[bool]) -> Result<Self> {
        let (n, d) = (rows.len(), x.width);
        let olds = rows.iter().filter(|i| old[**i]).count();
        let weights: Vec<f64> = rows.iter().map(|i| 0.5 / if old[*i] { olds } else { n - olds } as f64).collect();
        let mut mean = vec![0.0; d];
        for (i, w) in rows.iter().zip(&weights) {
            mean.iter_mut().zip(x.row(*i)).for_each(|(m, v)| *m += w * f64::from(*v));
        }
        let mut a = Mat::<f64>::zeros(d, n); // Aᵀ: a sample is a column, as in memory
        for (k, (i, w)) in rows.iter().zip(&weights).enumerate() {
            let root = w.sqrt();
            a.col_as_slice_mut(k).iter_mut().zip(x.row(*i).iter().zip(&mean)).for_each(|(a, (v, m))| *a = root * (f64::from(*v) - m));
        }
        let trace: f64 = (0..n).map(|k| a.col_as_slice(k).iter().map(|v| v * v).sum::<f64>()).sum();
        // A layer whose features are all constant has no covariance; the floor keeps the read-out defined, and at chance.
        let penalties: Vec<f64> = LAMBDAS.iter().map(|l| (l * trace / d as f64).max(1e-300)).collect();
        let wide = n < d;
        let gram = if wide { gram(a.transpose(), a.as_ref()) } else { gram(a.as_ref(), a.transpose()) };
        let eigen = gram
            .self_adjoint_eigen(Side::Lower)
            .map_err(|e| Error::failed("ridge probe", format!("{e:?}"), "the features hold NaN or infinity: the model diverged"))?;
        let values = eigen.S().column_vector(); // ascending
        let size = gram.nrows();
        let least = NOTHING * values[size - 1];
        let first = (0..size).find(|k| values[*k] > least && values[*k] > 0.0).unwrap_or(size);
        let values: Vec<f64> = (first..size).map(|k| values[k]).collect();
        let kept = eigen.U().subcols(first, size - first);
        let (turned, vectors) = if wide {
            // AAᵀ = US²Uᵀ: the rows are US, and V = AᵀUS⁻¹.
            let (mut turned, mut vectors) = (kept.to_owned(), product(a.as_ref(), kept));
            for (k, value) in values.iter().enumerate() {
                vectors.col_as_slice_mut(k).iter_mut().for_each(|v| *v /= value.sqrt());
                turned.col_as_slice_mut(k).iter_mut().for_each(|v| *v *= value.sqrt());
            }
            (turned, vectors)
        } else {
            let turned = if n < 2 * d { product(a.transpose(), kept) } else { product_in_single(a.transpose(), kept) };
            (turned, kept.to_owned())
        };
        let leverages = leverages(&turned, &values, &weights, &penalties);
        Ok(Self { weights, mean, rows: a, values, vectors, turned, penalties, leverages })
    }

    /// The read-out of labels `y`, one a row, with the λ of the least weighted squared leave-one-out error (PRESS; the largest of equals).
    ///
    /// A row's leave-one-out error is its residual over 1 − its leverage: exactly that of a fit on the other rows with their weights and the
    /// penalty as they are (Allen 1974; Hastie, Tibshirani & Friedman 2009, eq. 7.64).
    pub fn fit(&self, y: &[f64]) -> Fit {
        let level: f64 = self.weights.iter().zip(y).map(|(w, y)| w * y).sum();
        let labels: Vec<f64> = self.weights.iter().zip(y).map(|(w, y)| w.sqrt() * (y - level)).collect();
        let r = self.values.len();
        let mut moment = vec![0.0; self.mean.len()];
        for (i, label) in labels.iter().enumerate() {
            moment.iter_mut().zip(self.rows.col_as_slice(i)).for_each(|(m, a)| *m += a * label);
        }
        let cross: Vec<f64> = (0..r).map(|k| self.vectors.col_as_slice(k).iter().zip(&moment).map(|(v, m)| v * m).sum()).collect();
        let weights = Mat::from_fn(r, LAMBDAS.len(), |k, l| cross[k] / (self.values[k] + self.penalties[l]));
        let mut fitted = Mat::zeros(labels.len(), LAMBDAS.len());
        matmul(fitted.as_mut(), Accum::Replace, self.turned.as_ref(), weights.as_ref(), 1.0, Par::Seq);
        // An error times the root of its row's weight, as the fitted values come.
        let error = |l: usize, i: usize| (labels[i] - fitted[(i, l)]) / (1.0 - self.leverages[l][i]);
        let press = |l: usize| (0..labels.len()).map(|i| error(l, i).powi(2)).sum::<f64>();
        let best = (1..LAMBDAS.len()).fold((0, press(0)), |best, l| {
            let here = press(l);
            if here <= best.1 || best.1.is_nan() { (l, here) } else { best }
        });
        let mut w = vec![0.0; self.mean.len()];
        for k in 0..r {
            w.iter_mut().zip(self.vectors.col_as_slice(k)).for_each(|(w, v)| *w += v * weights[(k, best.0)]);
        }
        let b = level - w.iter().zip(&self.mean).map(|(w, m)| w * m).sum::<f64>();
        let left_out = y.iter().enumerate().map(|(i, y)| y - error(best.0, i) / self.weights[i].sqrt()).collect();
        Fit { readout: Readout { w, b }, left_out, lambda: LAMBDAS[best.0] }
    }
}

/// Lower triangle of the product of a matrix with its transpose: half the work, and the eigendecomposition reads no more.
fn gram(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), left.nrows());
    let whole = BlockStructure::Rectangular;
    triangular::matmul(out.as_mut(), BlockStructure::TriangularLower, Accum::Replace, left, whole, right, whole, 1.0, Par::Seq);
    out
}

fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
    out
}

/// The same in single precision, in half the time: for the largest product of all, which only leave-one-out reads and not the solution, where
/// there are rows enough for leverages to stay clear of 1.
fn product_in_single(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let narrow = |m: MatRef<'_, f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] as f32);
    let (a, b) = (narrow(a.transpose()), narrow(b)); // a's columns lie together the other way round
    let mut out = Mat::<f32>::zeros(a.ncols(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a.transpose(), b.as_ref(), 1.0, Par::Seq);
    Mat::from_fn(out.nrows(), out.ncols(), |i, j| f64::from(out[(i, j)]))
}

/// ωᵢ (the level's share) + Σₖ zᵢₖ²/(sₖ + λ), by λ and row.
fn leverages(turned: &Mat<f64>, values: &[f64], weights: &[f64], penalties: &[f64]) -> Vec<Vec<f64>> {
    let mut out = vec![weights.to_vec(); penalties.len()];
    for start in (0..weights.len()).step_by(BLOCK) {
        let end = (start + BLOCK).min(weights.len());
        for (k, value) in values.iter().enumerate() {
            let mut squares = [0.0; BLOCK];
            squares.iter_mut().zip(&turned.col_as_slice(k)[start..end]).for_each(|(s, z)| *s = z * z);
            for (out, penalty) in out.iter_mut().zip(penalties) {
                let share = 1.0 / (value + penalty);
                out[start..end].iter_mut().zip(&squares).for_each(|(o, s)| *o += s * share);
            }
        }
    }
    out
}

/// Balanced accuracy of "old class where the score is above 0": mean of the hit rates on old-class rows and on the others; 0.5 is chance.
/// NaN where a score is: a model that diverged has no accuracy.
pub fn balanced_accuracy(scores: &[f64], old: &[bool]) -> f64 {
    if scores.iter().any(|s| s.is_nan()) {
        return f64::NAN;
    }
    balanced(old, |i| scores[i] > 0.0)
}

/// Mean of the hit rates of `says_old` on old-class rows and on the others.
pub fn balanced(old: &[bool], says_old: impl Fn(usize) -> bool) -> f64 {
    let (mut hits, mut counts) = ([0usize; 2], [0usize; 2]);
    for (i, old) in old.iter().enumerate() {
        let side = usize::from(*old);
        counts[side] += 1;
        hits[side] += usize::from(says_old(i) == *old);
    }
    (0..2).map(|s| hits[s] as f64 / counts[s].max(1) as f64).sum::<f64>() / 2.0
}

/// ±1 for the given rows: old class or not.
pub fn signs(rows: &[usize], old: &[bool]) -> Vec<f64> {
    rows.iter().map(|i| if old[*i] { 1.0 } else { -1.0 }).collect()
}

#[cfg(test)]
mod tests;
