//! The statistics that a normalisation used, and the gradients that follow from them.

use super::passes::{Masked, Repeated};
use super::sums;
use crate::kernels::images::Images;
use crate::kernels::simd::Isa;

/// Statistics that a forward pass used, C each.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Variances; biased where they are the batch's.
    pub variance: Vec<f32>,
    /// 1/√(variance + ε).
    inverse: Vec<f32>,
}

/// Gradients of a normalisation, but for its input's, which is made of `input` as images pass by.
#[derive(Debug)]
pub struct Gradients {
    /// a, b, e: the input's gradient is d·a + x·b + e, where d is the gradient of the output before ReLU.
    pub input: [Repeated; 3],
    /// Of γ.
    pub gamma: Vec<f32>,
    /// Of β.
    pub beta: Vec<f32>,
}

impl Statistics {
    /// From means and variances.
    pub fn new(mean: Vec<f32>, variance: Vec<f32>, epsilon: f64) -> Self {
        let inverse = variance.iter().map(|v| (1.0 / (f64::from(*v) + epsilon).sqrt()) as f32).collect();
        Self { mean, variance, inverse }
    }

    /// The normalisation as x·scale + shift: scale and shift.
    pub fn affine(&self, gamma: &[f32], beta: &[f32]) -> [Vec<f32>; 2] {
        let scale: Vec<f32> = gamma.iter().zip(&self.inverse).map(|(g, i)| g * i).collect();
        let shift = beta.iter().zip(&self.mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        [scale, shift]
    }

    /// The gradients at `x` (Ioffe & Szegedy 2015, §3, gathered by factors of d and x).
    pub fn gradients(&self, isa: Isa, x: &Images, gradient: Masked, gamma: &[f32], batch_statistics: bool) -> Gradients {
        let sums = sums(isa, x, &self.mean, gradient);
        let [h, w, c] = x.size();
        let count = (x.len() * h * w) as f64;
        let mut input = [vec![0f32; c], vec![0f32; c], vec![0f32; c]];
        for (k, [s, p]) in sums.iter().enumerate() {
            let (inverse, mean) = (f64::from(self.inverse[k]), f64::from(self.mean[k]));
            let a = f64::from(gamma[k]) * inverse;
            // Constants pass no gradient on; the batch's statistics depend on every pixel.
            let b = if batch_statistics { -a * p * inverse * inverse / count } else { 0.0 };
            let e = if batch_statistics { -a * s / count - b * mean } else { 0.0 };
            [input[0][k], input[1][k], input[2][k]] = [a as f32, b as f32, e as f32];
        }
        Gradients {
            input: input.each_ref().map(|v| Repeated::new(v)),
            gamma: sums.iter().zip(&self.inverse).map(|([_, p], i)| (p * f64::from(*i)) as f32).collect(),
            beta: sums.iter().map(|[s, _]| *s as f32).collect(),
        }
    }
}
