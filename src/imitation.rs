//! The founding notebook's imitation loss and training-time hiding (seed definitions, "The notebook's procedure").

use burn::tensor::{Int, Tensor, TensorData, activation::softmax};

use crate::stats::{self, Logits};

/// ‖mean(G) − mean(T)‖₂² + ‖cov(G) − cov(T)‖_F of softmax outputs, G on old-class samples and T on the others, population covariance.
///
/// `logits` is N×K, `old` marks the old-class rows. 0 for a batch without old-class samples, or without others.
pub fn loss(logits: &Tensor<2>, old: &[bool]) -> Tensor<1> {
    let device = logits.device();
    let rows = |wanted: bool| -> Vec<i32> { (0..old.len()).filter(|i| old[*i] == wanted).map(|i| i as i32).collect() };
    let (g, t) = (rows(true), rows(false));
    if g.is_empty() || t.is_empty() {
        return Tensor::zeros([1], &device);
    }
    let p = softmax(logits.clone(), 1);
    let pick = |rows: Vec<i32>| {
        let n = rows.len();
        let index = Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), &device);
        p.clone().select(0, index) // [n, K]
    };
    let (g, t) = (pick(g), pick(t));
    let (mean_g, mean_t) = (g.clone().mean_dim(0), t.clone().mean_dim(0)); // [1, K]
    let means = (mean_g.clone() - mean_t.clone()).square().sum();
    let difference = covariance(g, mean_g) - covariance(t, mean_t);
    // The gradient of a square root at 0 is infinite: keep the argument above it.
    let covariances = difference.square().sum().add_scalar(1e-24).sqrt();
    means + covariances
}

/// K×K population covariance of N×K rows with mean 1×K.
fn covariance(rows: Tensor<2>, mean: Tensor<2>) -> Tensor<2> {
    let n = rows.dims()[0] as f64;
    let centred = rows - mean;
    centred.clone().transpose().matmul(centred).div_scalar(n)
}

/// Training-time hiding: Σ over classes of the variance (divisor N−1, over the batch's old-class samples) of the softmax output.
/// None with fewer than two old-class samples.
pub fn training_hiding(logits: &Logits, old: &[bool]) -> Option<f64> {
    let rows: Vec<Vec<f64>> = logits.softmax().into_iter().zip(old).filter(|(_, o)| **o).map(|(p, _)| p).collect();
    if rows.len() < 2 {
        return None;
    }
    Some((0..logits.slots).map(|k| stats::variance(&rows.iter().map(|r| r[k]).collect::<Vec<_>>(), 1)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tensors::floats;
    use burn::tensor::Device;

    /// Logits whose softmax is exactly the given probabilities.
    fn logits(rows: &[[f32; 2]]) -> Tensor<2> {
        let values: Vec<f32> = rows.iter().flatten().map(|p| p.ln()).collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), 2]), &Device::flex())
    }

    #[test]
    fn imitation_of_a_worked_batch() {
        // G = (.8,.2), (.6,.4): mean (.7,.3), deviations ±.1 → cov [[.01,−.01],[−.01,.01]]
        // T = (.5,.5), (.1,.9): mean (.3,.7), deviations ±.2 → cov [[.04,−.04],[−.04,.04]]
        // ‖mean difference‖² = .16 + .16 = .32; covariance difference ∓.03 in four cells → √(4·.0009) = .06
        let loss = floats(loss(&logits(&[[0.8, 0.2], [0.5, 0.5], [0.6, 0.4], [0.1, 0.9]]), &[true, false, true, false]))[0];
        assert!((loss - 0.38).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn a_batch_without_old_samples_costs_nothing() {
        assert_eq!(floats(loss(&logits(&[[0.8, 0.2], [0.5, 0.5]]), &[false, false]))[0], 0.0);
    }

    #[test]
    fn equal_outputs_have_a_finite_gradient() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::zeros([4, 2], &device).require_grad();
        let grads = loss(&z, &[true, false, true, false]).backward();
        assert!(floats(z.grad(&grads).expect("z has a gradient")).iter().all(|g| g.is_finite()));
    }

    #[test]
    fn training_hiding_of_a_worked_batch() {
        // old rows (.8,.2), (.6,.4): sample variances .02 and .02
        let all = logits(&[[0.8, 0.2], [0.5, 0.5], [0.6, 0.4]]);
        let all = Logits { values: floats(all), slots: 2 };
        let hiding = training_hiding(&all, &[true, false, true]).expect("two old rows");
        assert!((hiding - 0.04).abs() < 1e-6, "{hiding}");
        assert_eq!(training_hiding(&all, &[true, false, false]), None);
    }
}
