//! Muon's step of one matrix (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"): momentum, orthogonalised.
//!
//! burn has it, too; its norm of a large matrix is summed in an order that moves with the threads, so that it is taken here in order.

use burn::tensor::Tensor;

use crate::model::tensors::floats;

/// Share of the last momentum that is kept.
const MOMENTUM: f64 = 0.95;
/// Of the polynomial a·x + b·x³ + c·x⁵ that five times over brings singular values from (0, 1] to about 1 (Jordan et al. 2024).
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];
const ITERATIONS: usize = 5;
/// Root mean square of a step over the rate, about what Adam's is (Liu et al. 2025, arXiv 2502.16982, eq. 4).
const SIZE: f64 = 0.2;

/// u ← 0.95·u + g; p ← (1 − rate·decay)·p − rate · 0.2·√max(R, C) · O(g + 0.95·u) for an R×C parameter p with gradient g, O the nearest
/// (semi-)orthogonal matrix, about. Without `momentum`, u is 0. Gives p and u.
pub fn step(rate: f64, decay: f64, p: Tensor<2>, g: Tensor<2>, momentum: Option<Tensor<2>>) -> (Tensor<2>, Tensor<2>) {
    let u = match momentum {
        Some(u) => u.mul_scalar(MOMENTUM) + g.clone(),
        None => g.clone(),
    };
    let [rows, columns] = p.dims();
    let along = orthogonalised(g + u.clone().mul_scalar(MOMENTUM));
    let by = rate * SIZE * (rows.max(columns) as f64).sqrt();
    (p.mul_scalar(1.0 - rate * decay) - along.mul_scalar(by), u)
}

/// About U·Vᵀ for `x` = U·Σ·Vᵀ: singular values become 0.7 to 1.2, but for those far smaller than the rest; 0 stays 0.
fn orthogonalised(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    let tall = rows > columns;
    let norm = floats(x.clone()).iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let mut x = if tall { x.transpose() } else { x }.mul_scalar(1.0 / norm.max(f64::from(f32::MIN_POSITIVE)));
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..ITERATIONS {
        let square = x.clone().matmul(x.clone().transpose());
        let weights = square.clone().mul_scalar(b) + square.clone().matmul(square).mul_scalar(c);
        x = x.clone().mul_scalar(a) + weights.matmul(x);
    }
    if tall { x.transpose() } else { x }
}
