//! From a figure of several classes to what it should be for one more.

use crate::stats;

/// An estimate and how far off one class is expected to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Standard deviation; none of one class.
    pub sd: Option<f64>,
}

impl Estimate {
    /// Mean and sample deviation of the classes; none without any.
    pub fn mean(values: &[f64]) -> Option<Self> {
        (!values.is_empty()).then(|| Self { value: stats::mean(values), sd: stats::sd(values) })
    }

    /// As [`Estimate::mean`], with the deviation of a further class from this mean: sd·√(1 + 1/n).
    pub fn further(values: &[f64]) -> Option<Self> {
        let wider = (1.0 + 1.0 / values.len() as f64).sqrt();
        Self::mean(values).map(|e| Self { sd: e.sd.map(|sd| sd * wider), ..e })
    }

    /// A balanced accuracy corrected for how hard a class is: a difference in differences. `classes` have, each, the accuracy at the first cut, where
    /// training on a class changes least, and the figure; `first` is the old class's accuracy at the first cut. On the scale of [`logit`] it is expected
    /// to gain from there what the classes gain on average.
    ///
    /// Of the corrections tried (first cut, input and an untrained network as yardstick; slope 1, ½, fitted; the seen classes' lead taken off the
    /// original's own figure) none was better on both data sets, and this one works with a single class: docs/never-seen.md.
    pub fn corrected(classes: &[(f64, f64)], first: f64) -> Option<Self> {
        let gains: Vec<f64> = classes.iter().map(|(first, here)| logit(*here) - logit(*first)).collect();
        let Self { value: gain, sd } = Self::further(&gains)?;
        let value = accuracy(logit(first) + gain);
        // To first order: the accuracy's slope in its logit.
        let slope = (2.0 * value - 1.0) * (1.0 - value);
        Some(Self { value, sd: sd.map(|sd| sd * slope) })
    }
}

/// Least and largest informedness that [`logit`] tells apart: beyond, a test image more or less would be a leap.
const INFORMEDNESS: [f64; 2] = [0.01, 0.999];

/// ln(i/(1 − i)) of the informedness i = 2a − 1 of a balanced accuracy a, which is 0 at chance.
fn logit(accuracy: f64) -> f64 {
    let i = (2.0 * accuracy - 1.0).clamp(INFORMEDNESS[0], INFORMEDNESS[1]);
    (i / (1.0 - i)).ln()
}

/// The inverse of [`logit`].
fn accuracy(logit: f64) -> f64 {
    0.5 + 0.5 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_worked_case() {
        // Odds of informedness .8:.2 = 4 grow to .9:.1 = 9, a factor of 9/4; those of the old class, .6:.4 = 3/2, then to 27/8: i = 27/35.
        let e = Estimate::corrected(&[(0.9, 0.95)], 0.8).expect("a class");
        assert!((e.value - (0.5 + 0.5 * 27.0 / 35.0)).abs() < 1e-12 && e.sd.is_none(), "{e:?}");
        // Gains ln 2 and −ln 2: none on average, sd √2·ln 2, of a further class √3·ln 2.
        let from = |odds: f64| accuracy(odds.ln());
        let e = Estimate::corrected(&[(from(2.0), from(4.0)), (from(2.0), from(1.0))], 0.8).expect("two classes");
        assert!((e.value - 0.8).abs() < 1e-12, "{e:?}");
        assert!((e.sd.expect("of two") - 0.12 * 3f64.sqrt() * 2f64.ln()).abs() < 1e-12, "{e:?}");
        assert_eq!(Estimate::corrected(&[], 0.8), None);
        assert_eq!(Estimate::mean(&[]), None);
        assert_eq!(Estimate::mean(&[0.3, 0.5]).map(|e| e.value), Some(0.4));
    }

    proptest! {
        #[test]
        fn estimates_are_accuracies_that_follow_the_classes(
            classes in prop::collection::vec((0.3f64..=1.0, 0.3f64..=1.0), 1..9), first in 0.3f64..=1.0, more in 0.0f64..0.3,
        ) {
            let e = Estimate::corrected(&classes, first).expect("classes");
            prop_assert!((0.5..=1.0).contains(&e.value) && e.sd.is_none_or(|sd| sd >= 0.0));
            let better: Vec<(f64, f64)> = classes.iter().map(|(f, h)| (*f, (h + more).min(1.0))).collect();
            prop_assert!(Estimate::corrected(&better, first).expect("classes").value >= e.value - 1e-12);
            prop_assert!(Estimate::corrected(&classes, (first + more).min(1.0)).expect("classes").value >= e.value - 1e-12);
            // Classes like the old one say that it stays like them.
            let alike: Vec<(f64, f64)> = classes.iter().map(|(_, h)| (first, *h)).collect();
            let range = alike.iter().map(|c| c.1.clamp(0.505, 0.9995));
            let value = Estimate::corrected(&alike, first).expect("classes").value;
            if (0.505..=0.9995).contains(&first) {
                prop_assert!(value >= range.clone().fold(1.0, f64::min) - 1e-9 && value <= range.fold(0.0, f64::max) + 1e-9);
            }
        }
    }
}
