//! What an attacker reads of one answer, each number larger the more the answer looks like one on a training sample.

use crate::stats;

/// A number read of one row of logits.
#[derive(Debug)]
pub struct Signal {
    /// Name, the prefix of its figures.
    pub name: &'static str,
    /// From K ≥ 2 logits.
    pub of: fn(&[f32]) -> f64,
}

/// A number read of one row of logits and the sample's true slot.
#[derive(Debug)]
pub struct LabelledSignal {
    /// Name, the prefix of its figures.
    pub name: &'static str,
    /// From K ≥ 2 logits and the slot.
    pub of: fn(&[f32], usize) -> f64,
}

/// Signals that need no label. After a swap no slot stands for the old class any more, while the original still has one: a loss would be taken
/// at different slots of different models. These mean the same in every model.
pub const LABEL_FREE: [Signal; 5] = [
    Signal { name: "entropy", of: |z| -entropy(z) },
    Signal { name: "max_probability", of: top_confidence },
    Signal { name: "margin", of: margin },
    Signal { name: "energy", of: |z| log_sum_exp(z, None) },
    Signal { name: "confidence", of: stats::confidence },
];

/// Signals of a sample whose class has a slot in the model.
pub const LABELLED: [LabelledSignal; 4] = [
    LabelledSignal { name: "loss", of: |z, y| stats::log_softmax(z)[y] },
    LabelledSignal { name: "correctness", of: |z, y| f64::from(u8::from(stats::argmax(z) == y)) },
    LabelledSignal { name: "modified_entropy", of: |z, y| -modified_entropy(z, y) },
    LabelledSignal { name: "true_confidence", of: confidence_in },
];

/// log Σ exp(zᵢ) over all slots but `without`: with none left out the negative free energy of Liu et al. (NeurIPS 2020).
fn log_sum_exp(z: &[f32], without: Option<usize>) -> f64 {
    let others = || z.iter().enumerate().filter(|(i, _)| Some(*i) != without).map(|(_, v)| f64::from(*v));
    let top = others().fold(f64::NEG_INFINITY, f64::max);
    top + others().map(|v| (v - top).exp()).sum::<f64>().ln()
}

/// ln(p_y / (1 − p_y)), the logit-scaled confidence of Carlini et al. (2022, eq. 6 and §VI-A), without the cancellation of 1 − p near 1.
pub fn confidence_in(z: &[f32], y: usize) -> f64 {
    f64::from(z[y]) - log_sum_exp(z, Some(y))
}

/// The same of the model's own answer, whatever it is: in the order of the largest probability, but never saturated.
pub fn top_confidence(z: &[f32]) -> f64 {
    confidence_in(z, stats::argmax(z))
}

/// Shannon entropy of the softmax, nats (as attack: Song & Mittal 2021).
fn entropy(z: &[f32]) -> f64 {
    -stats::log_softmax(z).into_iter().map(|l| if l.exp() > 0.0 { l.exp() * l } else { l.exp() }).sum::<f64>()
}

/// Difference of the two largest log-probabilities.
fn margin(z: &[f32]) -> f64 {
    let top = stats::argmax(z);
    let second = z.iter().enumerate().filter(|(i, _)| *i != top).fold(f64::NEG_INFINITY, |m, (_, v)| m.max(f64::from(*v)));
    f64::from(z[top]) - second
}

/// ln(1 − p_i), exact for p_i near 1 too.
fn log_complement(z: &[f32], i: usize) -> f64 {
    log_sum_exp(z, Some(i)) - log_sum_exp(z, None)
}

/// −(1 − p_y) ln p_y − Σ_{i≠y} p_i ln(1 − p_i), Song & Mittal (USENIX Security 2021, eq. 6): 0 for a right and certain answer, without bound
/// for a wrong and certain one. (The widely copied code has ln p_i in place of ln(1 − p_i), which takes a wrong and certain answer for a right one.)
pub fn modified_entropy(z: &[f32], y: usize) -> f64 {
    let log_p = stats::log_softmax(z);
    let term = |(i, l): (usize, &f64)| {
        let (weight, log) = if i == y { (log_complement(z, y).exp(), *l) } else { (l.exp(), log_complement(z, i)) };
        // A probability of zero counts nothing, whatever stands beside it; NaN goes on.
        if weight == 0.0 { 0.0 } else { -weight * log }
    };
    log_p.iter().enumerate().map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        signals: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        logits: Vec<f32>,
        label: usize,
        entropy: f64,
        max_probability: f64,
        margin: f64,
        energy: f64,
        confidence: f64,
        loss: f64,
        modified_entropy: f64,
    }

    #[test]
    fn signals_match_scipy() {
        let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/membership.json")).expect("golden values");
        for c in golden.signals {
            let expected = [-c.entropy, c.max_probability, c.margin, c.energy, c.confidence];
            for (signal, expected) in LABEL_FREE.iter().zip(expected) {
                let got = (signal.of)(&c.logits);
                assert!((got - expected).abs() < 1e-12, "{}: {got} {expected}", signal.name);
            }
            for (signal, expected) in [(&LABELLED[0], -c.loss), (&LABELLED[2], -c.modified_entropy)] {
                let got = (signal.of)(&c.logits, c.label);
                assert!((got - expected).abs() < 1e-12, "{}: {got} {expected}", signal.name);
            }
        }
    }

    #[test]
    fn modified_entropy_in_closed_form() {
        // Uniform over K: −(1 − 1/K) ln(1/K) − (K−1)/K · ln(1 − 1/K); K = 4: ¾ ln 4 − ¾ ln ¾ = ¾ ln(16/3).
        assert!((modified_entropy(&[1.0; 4], 2) - 0.75 * (16f64 / 3.0).ln()).abs() < 1e-12);
        // Two classes, p_y = q: −(1−q) ln q − (1−q) ln(1 − (1−q)) = −2(1−q) ln q.
        let q: f64 = 0.8;
        let z = [(q / (1.0 - q)).ln() as f32, 0.0];
        assert!((modified_entropy(&z, 0) + 2.0 * (1.0 - q) * q.ln()).abs() < 1e-6);
        // Right and certain is near 0, wrong and certain is far from it: plain entropy, and the copied code, can't tell them apart.
        let certain = [50.0, 0.0, 0.0];
        assert!(modified_entropy(&certain, 0) < 1e-15);
        assert!(modified_entropy(&certain, 1) > 90.0, "{}", modified_entropy(&certain, 1));
        assert!((entropy(&certain)).abs() < 1e-15);
    }

    #[test]
    fn confidence_does_not_saturate() {
        // p = 1 − 2·e⁻⁶⁰: 1 in f64, yet the logit is 60 − ln 2.
        assert!((top_confidence(&[60.0, 0.0, 0.0]) - (60.0 - 2f64.ln())).abs() < 1e-12);
        assert!(top_confidence(&[61.0, 0.0, 0.0]) > top_confidence(&[60.0, 0.0, 0.0]));
        assert_eq!(confidence_in(&[0.0, 0.0], 1), 0.0);
    }

    #[test]
    fn nan_stays_nan() {
        let z = [f32::NAN, 1.0, 2.0];
        assert!(LABEL_FREE.iter().all(|s| s.name == "margin" || (s.of)(&z).is_nan()));
        assert!((LABELLED[0].of)(&z, 0).is_nan() && modified_entropy(&z, 0).is_nan());
    }
}
