//! Divergences between two distributions over the same slots, in nats, and the calibration of confidences.

use super::mean;

/// Bins of the expected calibration error, as in Guo et al. 2017.
pub const CALIBRATION_BINS: usize = 15;

/// Kullback–Leibler divergence Σ pᵢ ln(pᵢ/qᵢ), nats; a term with pᵢ = 0 counts 0, one with qᵢ = 0 < pᵢ makes it infinite.
pub fn kl(p: &[f64], q: &[f64]) -> f64 {
    // Not `p > 0`: a NaN must come out as one.
    p.iter().zip(q).map(|(p, q)| if *p == 0.0 { 0.0 } else { p * (p / q).ln() }).sum()
}

/// Jensen–Shannon divergence ½KL(p‖m) + ½KL(q‖m) with m = (p + q)/2, nats: 0 to ln 2 (Lin 1991).
///
/// Code copied between published unlearning systems computes KL(m‖p), which is unbounded, and divides by the number of classes too.
pub fn jensen_shannon(p: &[f64], q: &[f64]) -> f64 {
    let m: Vec<f64> = p.iter().zip(q).map(|(p, q)| (p + q) / 2.0).collect();
    (kl(p, &m) + kl(q, &m)) / 2.0
}

/// Euclidean distance ‖p − q‖₂; 0 to √2 between distributions.
pub fn euclidean(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt()
}

/// Mean over samples of `divergence` between row i of `p` and row i of `q`; none without rows or where shapes differ.
pub fn mean_over_rows(p: &[Vec<f64>], q: &[Vec<f64>], divergence: impl Fn(&[f64], &[f64]) -> f64) -> Option<f64> {
    let same = p.len() == q.len() && !p.is_empty() && p.iter().zip(q).all(|(p, q)| p.len() == q.len());
    same.then(|| mean(&p.iter().zip(q).map(|(p, q)| divergence(p, q)).collect::<Vec<f64>>()))
}

/// A bin of a reliability diagram: mean confidence, share right, samples.
pub type Reliability = (f64, f64, usize);

/// The non-empty ones of [`CALIBRATION_BINS`] equally wide bins (lower, upper] of confidence. A NaN confidence falls into the first.
pub fn reliability(confidence: &[f64], right: &[bool]) -> Vec<Reliability> {
    let mut bins = [(0.0, 0usize, 0usize); CALIBRATION_BINS];
    for (c, right) in confidence.iter().zip(right) {
        let index = ((c * CALIBRATION_BINS as f64).ceil() as usize).clamp(1, CALIBRATION_BINS) - 1;
        let bin = &mut bins[index];
        *bin = (bin.0 + c, bin.1 + usize::from(*right), bin.2 + 1);
    }
    bins.iter().filter(|b| b.2 > 0).map(|(sum, hits, n)| (sum / *n as f64, *hits as f64 / *n as f64, *n)).collect()
}

/// Expected calibration error: Σ over bins of (samples/N)·|share right − mean confidence| (Guo et al. 2017, eq. 3); none without bins.
pub fn expected_calibration_error(bins: &[Reliability]) -> Option<f64> {
    let all: usize = bins.iter().map(|b| b.2).sum();
    (all > 0).then(|| bins.iter().map(|(confidence, right, n)| *n as f64 / all as f64 * (right - confidence).abs()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::golden;
    use proptest::prelude::*;

    fn numbers(case: &serde_json::Value, key: &str) -> Vec<f64> {
        serde_json::from_value(case[key].clone()).expect("numbers")
    }

    #[test]
    fn divergences_match_scipy() {
        for case in golden("divergences") {
            let (p, q) = (numbers(&case, "p"), numbers(&case, "q"));
            for (ours, theirs) in [(kl(&p, &q), &case["kl"]), (jensen_shannon(&p, &q), &case["js"]), (euclidean(&p, &q), &case["l2"])] {
                match theirs.as_f64() {
                    Some(theirs) => assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}"),
                    None => assert_eq!(ours, f64::INFINITY),
                }
            }
        }
    }

    #[test]
    fn jensen_shannon_is_not_the_published_bug() {
        // p and q peaked apart: JS is near its bound, what the copied code computes, ½KL(m‖p) + ½KL(m‖q), is far beyond it.
        let (p, q) = ([1.0 - 1e-6, 1e-6], [1e-6, 1.0 - 1e-6]);
        let m = [0.5, 0.5];
        assert!((jensen_shannon(&p, &q) - 2f64.ln()).abs() < 1e-4);
        assert!((kl(&m, &p) + kl(&m, &q)) / 2.0 > 6.0);
        assert!((jensen_shannon(&[1.0, 0.0], &[0.0, 1.0]) - 2f64.ln()).abs() < 1e-15, "disjoint");
        // A mean over samples, not over samples and classes: seven empty classes more change nothing.
        let wide = |p: &[f64]| [p, &[0.0; 7]].concat();
        assert_eq!(jensen_shannon(&wide(&p), &wide(&q)), jensen_shannon(&p, &q));
        assert_eq!(mean_over_rows(&[p.to_vec(), p.to_vec()], &[q.to_vec(), p.to_vec()], jensen_shannon), Some(jensen_shannon(&p, &q) / 2.0));
    }

    #[test]
    fn undefined_stays_undefined() {
        assert!(jensen_shannon(&[f64::NAN, 0.5], &[0.5, 0.5]).is_nan());
        assert_eq!(mean_over_rows(&[], &[], kl), None);
        assert_eq!(mean_over_rows(&[vec![1.0]], &[vec![0.5, 0.5]], kl), None);
        assert_eq!(expected_calibration_error(&reliability(&[], &[])), None);
    }

    #[test]
    fn calibration_error_matches_the_definition_in_numpy() {
        let case = &golden("calibration");
        let case = &case[0];
        let right: Vec<bool> = serde_json::from_value(case["right"].clone()).expect("booleans");
        let ece = expected_calibration_error(&reliability(&numbers(case, "confidence"), &right)).expect("defined");
        assert!((ece - case["ece"].as_f64().expect("a number")).abs() < 1e-12, "{ece}");
    }

    #[test]
    fn a_calibrated_and_an_overconfident_model() {
        assert_eq!(expected_calibration_error(&reliability(&[1.0; 4], &[true; 4])), Some(0.0));
        // Sure of everything, right in half of it.
        assert_eq!(expected_calibration_error(&reliability(&[1.0; 4], &[true, false, true, false])), Some(0.5));
    }

    proptest! {
        #[test]
        fn jensen_shannon_is_symmetric_and_bounded(weights in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0), 1..12)) {
            let (p, q): (Vec<f64>, Vec<f64>) = weights.into_iter().unzip();
            let unit = |v: &[f64]| -> Vec<f64> { v.iter().map(|x| (x + 1e-9) / v.iter().map(|x| x + 1e-9).sum::<f64>()).collect() };
            let (p, q) = (unit(&p), unit(&q));
            let js = jensen_shannon(&p, &q);
            prop_assert!((-1e-12..=2f64.ln() + 1e-12).contains(&js));
            prop_assert!((js - jensen_shannon(&q, &p)).abs() < 1e-12);
            prop_assert!(jensen_shannon(&p, &p).abs() < 1e-12);
        }
    }
}
