//! Means and variances of channels, merged from parts of a batch.

use super::norm::add_sums;
use super::simd::Isa;

/// Count, mean and Σ (x − mean)² of every channel over some pixels; of none by default.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    count: f64,
    channels: Vec<[f64; 2]>,
}

impl Moments {
    /// Of the pixels of `c` channels each in `pixels`, by sums around the first pixel: no cancellation unless that one is far out.
    pub fn of(isa: Isa, pixels: &[f32], c: usize) -> Self {
        let count = (pixels.len() / c) as f64;
        let centre = &pixels[..c];
        let mut sums = vec![[0f64; 2]; c];
        add_sums(isa, pixels, centre, None, &mut sums);
        let channels = sums.iter().zip(centre).map(|([s, q], centre)| [f64::from(*centre) + s / count, (q - s * s / count).max(0.0)]).collect();
        Self { count, channels }
    }

    /// Of both parts together (Chan, Golub & LeVeque 1983, eq. 2.1).
    pub fn merge(self, other: Self) -> Self {
        if self.count == 0.0 || other.count == 0.0 {
            return if self.count == 0.0 { other } else { self };
        }
        let count = self.count + other.count;
        let merge = |([mean, squares], [other_mean, other_squares]): (&[f64; 2], &[f64; 2])| {
            let apart = other_mean - mean;
            [mean + apart * other.count / count, squares + other_squares + apart * apart * self.count * other.count / count]
        };
        Self { count, channels: self.channels.iter().zip(&other.channels).map(merge).collect() }
    }

    /// Mean and biased variance of every channel.
    pub fn mean_and_variance(&self) -> (Vec<f32>, Vec<f32>) {
        self.channels.iter().map(|[mean, squares]| (*mean as f32, (squares / self.count) as f32)).unzip()
    }
}
