//! Scales of plots: from data to picture, with ranges that leave air and round ticks.

/// A map from data to picture, linear or logarithmic.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    lo: f64,
    hi: f64,
    /// Where `lo` is.
    pub from: f64,
    /// Where `hi` is.
    pub to: f64,
    /// Whether it is logarithmic.
    pub log: bool,
}

impl Scale {
    /// Maps `lo` to `from` and `hi` to `to`.
    pub fn new((lo, hi): (f64, f64), (from, to): (f64, f64)) -> Self {
        Self { lo, hi, from, to, log: false }
    }

    /// The place of `value`, which is positive where the scale is logarithmic.
    pub fn at(&self, value: f64) -> f64 {
        let along = |v: f64| if self.log { v.ln() } else { v };
        let span = along(self.hi) - along(self.lo);
        if span == 0.0 { (self.from + self.to) / 2.0 } else { self.from + (along(value) - along(self.lo)) / span * (self.to - self.from) }
    }

    /// Values worth a tick, as they are written.
    pub fn ticks(&self, about: usize) -> Vec<(f64, String)> {
        if self.log {
            return log_ticks((self.lo, self.hi)).into_iter().map(|t| (t, short(t))).collect();
        }
        let (ticks, decimals) = ticks((self.lo, self.hi), about);
        ticks.into_iter().map(|t| (t, format!("{t:.decimals$}").replace('-', "−"))).collect()
    }
}

/// The range of the finite `values` with a little air; unit interval if there are none.
pub fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (lo, hi) = values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo > hi {
        return (0.0, 1.0);
    }
    // A flat line needs some height too, and a range beyond f64's own has no span to speak of.
    let span = if hi - lo > 0.0 && (hi - lo).is_finite() { hi - lo } else { hi.abs().clamp(1e-3, 1e300) };
    (lo - 0.06 * span, hi + 0.06 * span)
}

/// As [`range`], of the positive ones among the values, with air in proportion.
pub fn log_range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (lo, hi) = range(values.filter(|v| v.is_finite() && *v > 0.0).map(f64::ln));
    (lo.exp().max(f64::MIN_POSITIVE), hi.exp().min(f64::MAX))
}

/// Powers of ten within `lo..=hi`; where there are fewer than three, their double and quintuple too.
fn log_ticks((lo, hi): (f64, f64)) -> Vec<f64> {
    let all = |steps: &[f64]| -> Vec<f64> {
        let powers = lo.log10().floor() as i32..=hi.log10().ceil() as i32;
        // Dozens of decades get every second, third, … power.
        let every = ((hi / lo).log10() / 7.0).ceil().max(1.0) as i32;
        powers.filter(|p| p % every == 0).flat_map(|p| steps.iter().map(move |s| s * 10f64.powi(p))).filter(|t| (lo..=hi).contains(t)).collect()
    };
    let powers = all(&[1.0]);
    if powers.len() < 3 { all(&[1.0, 2.0, 5.0]) } else { powers }
}

/// `0.001`, `20`, `1e6`: a tick of a logarithmic axis.
fn short(value: f64) -> String {
    if (1e-3..1e5).contains(&value) { format!("{}", (value * 1e6).round() / 1e6) } else { format!("{value:e}").replace('-', "−") }
}

/// The air above 100 % and below 0 % taken off again, unless the values themselves lie there.
pub fn fractions((lo, hi): (f64, f64)) -> (f64, f64) {
    if lo < 1.0 && hi > 0.0 { (lo.max(-0.02), hi.min(1.02)) } else { (lo, hi) }
}

/// About `about` round numbers (1, 2 or 5 times a power of ten) within `lo..=hi`, and the decimals they need.
pub fn ticks((lo, hi): (f64, f64), about: usize) -> (Vec<f64>, usize) {
    let raw = (hi - lo) / about.max(1) as f64;
    if !raw.is_finite() || raw <= 0.0 {
        return (Vec::new(), 0);
    }
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw * 0.999).unwrap_or(10.0 * power);
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let first = (lo / step).ceil();
    let ticks = (0..4 * about).map(|i| (first + i as f64) * step).take_while(|t| *t <= hi + 1e-9 * step).collect();
    (ticks, decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks((0.0, 1.0), 5), (vec![0.0, 0.2, 0.4, 0.600_000_000_000_000_1, 0.8, 1.0], 1));
        assert_eq!(ticks((47.0, 103.0), 5), (vec![60.0, 80.0, 100.0], 0));
        assert_eq!(ticks((1.0, 1.0), 5).0, Vec::<f64>::new());
    }

    #[test]
    fn logarithmic_axes_have_equal_decades() {
        let scale = Scale { log: true, ..Scale::new((1.0, 100.0), (0.0, 10.0)) };
        assert_eq!((scale.at(1.0), scale.at(10.0), scale.at(100.0)), (0.0, 5.0, 10.0));
        assert_eq!(log_ticks((0.5, 2000.0)), vec![1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(log_ticks((1.5, 30.0)), vec![2.0, 5.0, 10.0, 20.0]);
        assert!(log_ticks((1e-300, 1e300)).len() < 9);
        assert_eq!([0.001, 20.0, 1e6, 2e-7].map(short), ["0.001", "20", "1e6", "2e−7"]);
        let (lo, hi) = log_range([f64::NAN, -1.0, 0.0, 1.0, 100.0].into_iter());
        assert!((0.5..1.0).contains(&lo) && (100.0..200.0).contains(&hi));
    }

    #[test]
    fn ranges_survive_anything() {
        assert_eq!(range([].into_iter()), (0.0, 1.0));
        assert_eq!(range([f64::NAN, 0.5, 1.5].into_iter()), (0.44, 1.56));
        let (lo, hi) = range([2.0].into_iter());
        assert!(lo < 2.0 && hi > 2.0);
        let (lo, hi) = range([f64::MIN, f64::MAX].into_iter());
        assert!(lo <= f64::MIN && hi >= f64::MAX);
    }
}
