//! Statistics in plain f64, no tensors: softmax outputs, divergences, covariances, means with deviations, ROC curves, logistic regression.

pub mod logistic;
pub mod roc;

pub mod divergence;
pub mod rank;

/// N×K logits, row-major, off the device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Logits {
    /// N·K values.
    pub values: Vec<f32>,
    /// K.
    pub slots: usize,
}

impl Logits {
    /// Rows of K logits.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.slots.max(1))
    }

    /// N.
    pub fn len(&self) -> usize {
        self.values.len() / self.slots.max(1)
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row by row: index of the largest logit (the first of equals).
    pub fn argmax(&self) -> Vec<usize> {
        self.rows().map(argmax).collect()
    }

    /// Row by row: softmax.
    pub fn softmax(&self) -> Vec<Vec<f64>> {
        self.rows().map(|r| log_softmax(r).into_iter().map(f64::exp).collect()).collect()
    }

    /// Row by row: log-softmax, nats.
    pub fn log_softmax(&self) -> Vec<Vec<f64>> {
        self.rows().map(log_softmax).collect()
    }

    /// Mean softmax over the rows, K values; empty without rows.
    pub fn profile(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.slots];
        for row in self.rows() {
            for (m, l) in mean.iter_mut().zip(log_softmax(row)) {
                *m += l.exp();
            }
        }
        let n = self.len();
        if n == 0 {
            return Vec::new();
        }
        mean.iter_mut().for_each(|m| *m /= n as f64);
        mean
    }

    /// Share of rows whose arg-max is `slot`; none without rows.
    pub fn share_of(&self, slot: usize) -> Option<f64> {
        (!self.is_empty()).then(|| self.rows().filter(|r| argmax(r) == slot).count() as f64 / self.len() as f64)
    }

    /// Mean confidence: see [`confidence`].
    pub fn confidence(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.rows().map(confidence).sum::<f64>() / self.len() as f64)
    }
}

/// Index of the largest value, the first of equals.
pub fn argmax(row: &[f32]) -> usize {
    row.iter().enumerate().fold(0, |best, (i, v)| if *v > row[best] { i } else { best })
}

/// log softmax of one row of logits, in f64, shifted by the maximum.
pub fn log_softmax(row: &[f32]) -> Vec<f64> {
    let top = row.iter().fold(f64::NEG_INFINITY, |m, v| m.max(f64::from(*v)));
    let log_sum = row.iter().map(|v| (f64::from(*v) - top).exp()).sum::<f64>().ln();
    row.iter().map(|v| f64::from(*v) - top - log_sum).collect()
}

/// The notebook's confidence of one sample: variance (divisor K−1) over classes of log-softmax.
pub fn confidence(row: &[f32]) -> f64 {
    variance(&log_softmax(row), 1)
}

/// Arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Σ(x − mean)² / (n − ddof): ddof 0 is the population variance, 1 the sample variance. NaN where the divisor is not positive.
pub fn variance(values: &[f64], ddof: usize) -> f64 {
    let m = mean(values);
    let n = values.len() as f64 - ddof as f64;
    if n <= 0.0 { f64::NAN } else { values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / n }
}

/// Sample standard deviation (divisor n−1); none with fewer than two values.
pub fn sd(values: &[f64]) -> Option<f64> {
    (values.len() > 1).then(|| variance(values, 1).sqrt())
}

/// Total variation ½ Σ|pᵢ − qᵢ| of two distributions; 0 to 1.
pub fn total_variation(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
}

/// Mean of each column of `rows`.
pub fn column_means(rows: &[Vec<f64>]) -> Vec<f64> {
    let Some(first) = rows.first() else { return Vec::new() };
    let mut mean = vec![0.0; first.len()];
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
    }
    mean.iter_mut().for_each(|m| *m /= rows.len() as f64);
    mean
}

/// Covariance of the columns of N `rows` of length K: K×K, Σ(x−m)(x−m)ᵀ / (N + `divisor_offset`).
/// Offset 0 is the population covariance, −1 the sample covariance, +1 the notebook's test.
pub fn covariance(rows: &[Vec<f64>], divisor_offset: i64) -> Vec<Vec<f64>> {
    let m = column_means(rows);
    let k = m.len();
    let mut c = vec![vec![0.0; k]; k];
    for row in rows {
        for i in 0..k {
            for j in 0..k {
                c[i][j] += (row[i] - m[i]) * (row[j] - m[j]);
            }
        }
    }
    let n = rows.len() as f64 + divisor_offset as f64;
    c.iter_mut().flatten().for_each(|v| *v /= n);
    c
}

/// Frobenius norm of A − B.
pub fn frobenius_distance(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// P(|t| > x) for Student's t with `dof` degrees of freedom, by the finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4.
pub fn student_two_sided(x: f64, dof: usize) -> f64 {
    let theta = (x / (dof as f64).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    // Σ cos^k θ · (2·4·…)/(3·5·…) for odd, (1·3·…)/(2·4·…) for even degrees of freedom
    let odd = dof % 2 == 1;
    let mut term = if odd { cos } else { 1.0 };
    let mut sum = 0.0;
    let mut k = if odd { 1 } else { 0 };
    while k + 2 <= dof {
        sum += term;
        term *= cos * cos * (k + 1) as f64 / (k + 2) as f64;
        k += 2;
    }
    let inside = if odd { 2.0 / std::f64::consts::PI * (theta + sin * sum) } else { sin * sum };
    1.0 - inside
}

/// The x at which P(|t| > x) is `p`, by bisection.
pub fn student_quantile(p: f64, dof: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_two_sided(high, dof) > p && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if student_two_sided(middle, dof) > p { low = middle } else { high = middle }
    }
    high
}

/// The smallest k with P(X ≤ k) ≥ `confidence`, X the number of hits among independent events of these probabilities (Poisson binomial,
/// by convolution).
pub fn hits_quantile(probabilities: &[f64], confidence: f64) -> usize {
    let mut mass = vec![1.0];
    for p in probabilities {
        mass.push(0.0);
        for k in (0..mass.len()).rev() {
            mass[k] = mass[k] * (1.0 - p) + if k > 0 { mass[k - 1] * p } else { 0.0 };
        }
    }
    let mut sum = 0.0;
    mass.iter()
        .position(|m| {
            sum += m;
            sum >= confidence
        })
        .unwrap_or(probabilities.len())
}

/// Entries of `tests/golden/distributions.json` under `key`: values of SciPy.
#[cfg(test)]
fn distributions(key: &str) -> Vec<serde_json::Value> {
    let all: serde_json::Value = serde_json::from_str(include_str!("../tests/golden/distributions.json")).expect("valid JSON");
    all[key].as_array().cloned().unwrap_or_else(|| panic!("{key} is no list"))
}

/// Entries of `tests/golden/agreement.json` under `key`: values of SciPy and NumPy.
#[cfg(test)]
fn golden(key: &str) -> Vec<serde_json::Value> {
    let all: serde_json::Value = serde_json::from_str(include_str!("../tests/golden/agreement.json")).expect("valid JSON");
    match &all[key] {
        serde_json::Value::Array(entries) => entries.clone(),
        one => vec![one.clone()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_softmax_is_stable_and_normalised() {
        let row = [1000.0, 1000.0, 998.0];
        let p: Vec<f64> = log_softmax(&row).iter().map(|l| l.exp()).collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // 1/(2 + e⁻²) = 0.46831053…
        assert!((p[0] - 0.468_310_533).abs() < 1e-8, "{p:?}");
    }

    #[test]
    fn confidence_of_a_worked_row() {
        // softmax of (ln 1, ln 2, ln 5) = (1/8, 2/8, 5/8); logs −2.0794, −1.3863, −0.4700; mean −1.311913
        // squares .589100, .005533, .708812 → sum 1.303444 / 2 = 0.651722
        let row = [0.0, 2f32.ln(), 5f32.ln()];
        assert!((confidence(&row) - 0.651_722).abs() < 1e-5, "{}", confidence(&row));
        assert!(confidence(&[3.0, 3.0, 3.0]).abs() < 1e-12, "equal logits have none");
    }

    #[test]
    fn covariance_with_each_divisor() {
        let rows = vec![vec![1.0, 2.0], vec![3.0, 6.0]];
        // deviations ∓1, ∓2: sums 2, 4, 8
        assert_eq!(covariance(&rows, 0), [[1.0, 2.0], [2.0, 4.0]]);
        assert_eq!(covariance(&rows, -1), [[2.0, 4.0], [4.0, 8.0]]);
        let third = covariance(&rows, 1);
        assert!((third[1][1] - 8.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn total_variation_of_disjoint_and_equal() {
        assert_eq!(total_variation(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
        assert_eq!(total_variation(&[0.3, 0.7], &[0.3, 0.7]), 0.0);
    }

    #[test]
    fn student_tails_match_scipy() {
        let (tails, quantiles) = (distributions("tails"), distributions("quantiles"));
        assert!(tails.len() >= 6 && quantiles.len() >= 3);
        let dof = |case: &serde_json::Value| case["dof"].as_u64().expect("a number") as usize;
        let number = |case: &serde_json::Value, key: &str| case[key].as_f64().expect("a number");
        for case in tails {
            let (x, expected) = (number(&case, "x"), number(&case, "p"));
            assert!((student_two_sided(x, dof(&case)) - expected).abs() < 1e-9, "{case}: {}", student_two_sided(x, dof(&case)));
        }
        for case in quantiles {
            let (p, expected) = (number(&case, "p"), number(&case, "x"));
            assert!((student_quantile(p, dof(&case)) - expected).abs() < 1e-6, "{case}: {}", student_quantile(p, dof(&case)));
        }
    }

    #[test]
    fn hits_quantile_matches_scipy() {
        let cases = distributions("hits");
        assert!(cases.len() >= 5);
        for case in cases {
            let p: Vec<f64> = case["p"].as_array().expect("a list").iter().filter_map(serde_json::Value::as_f64).collect();
            let found = hits_quantile(&p, case["confidence"].as_f64().expect("a number"));
            assert_eq!(Some(found as u64), case["hits"].as_u64(), "{case}");
        }
        assert_eq!(hits_quantile(&[1.0, 0.0, 1.0], 0.95), 2, "certain and impossible events");
        assert_eq!(hits_quantile(&[], 0.95), 0);
    }

    #[test]
    fn nothing_gives_nothing() {
        let empty = Logits { values: vec![], slots: 3 };
        assert_eq!(empty.share_of(0), None);
        assert_eq!(empty.confidence(), None);
        assert!(empty.profile().is_empty());
        assert_eq!(sd(&[1.0]), None);
    }
}
