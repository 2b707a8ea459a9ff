//! Cross-entropy of logits against soft targets, with its gradient, in one pass over the rows.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;

use super::{dense, floats};

/// The operation as burn routes it.
#[backend_extension(Flex, Autodiff)]
pub trait CrossEntropy: Backend {
    /// See [`cross_entropy`].
    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>, scale: f32) -> FloatTensor<Self>;
}

/// −`scale`·Σ t·log softmax(z) over the rows z of `logits`, N×K, and t of `targets`, N×K, nats. Targets are constants: no gradient flows into
/// them. Only for tensors on the CPU.
///
/// Its gradient is `scale`·(softmax(z)·Σt − t) (Goodfellow et al. 2016, section 6.2.2.3, for targets of any sum).
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>, scale: f32) -> Tensor<1> {
    assert_eq!(logits.dims(), targets.dims(), "a target for each logit");
    Tensor::from_dispatch(Dispatch::cross_entropy(logits.into_dispatch(), targets.into_dispatch(), scale))
}

/// The loss, and its gradient where `with_gradient`.
fn loss(logits: &FlexTensor, targets: &FlexTensor, scale: f32, with_gradient: bool) -> (f32, Vec<f32>) {
    let shape = logits.layout().shape();
    let classes = shape[1].max(1);
    let mut gradient = vec![0f32; if with_gradient { shape[0] * classes } else { 0 }];
    let mut sum = 0f64;
    let mut exp = vec![0f32; classes];
    for (i, (z, t)) in floats(logits).chunks_exact(classes).zip(floats(targets).chunks_exact(classes)).enumerate() {
        let top = z.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
        exp.iter_mut().zip(z).for_each(|(e, z)| *e = (z - top).exp());
        let total: f32 = exp.iter().sum();
        let log_total = total.ln();
        // A logit of −∞ has no part in a row that wants nothing of it: 0·∞ is left out.
        sum -= z.iter().zip(t).filter(|(_, t)| **t != 0.0).map(|(z, t)| f64::from(t * (z - top - log_total))).sum::<f64>();
        if with_gradient {
            let weight = scale * t.iter().sum::<f32>() / total;
            gradient[i * classes..][..classes].iter_mut().zip(exp.iter().zip(t)).for_each(|(g, (e, t))| *g = weight * e - scale * t);
        }
    }
    (scale * sum as f32, gradient)
}

impl CrossEntropy for Flex {
    fn cross_entropy(logits: FlexTensor, targets: FlexTensor, scale: f32) -> FlexTensor {
        dense(vec![loss(&logits.to_contiguous(), &targets.to_contiguous(), scale, false).0], &[1])
    }
}

#[derive(Debug)]
struct CrossEntropyBackward;

impl Backward<Flex, 1> for CrossEntropyBackward {
    /// Gradient for an upstream gradient of 1, and its shape.
    type State = (Vec<f32>, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let upstream = floats(&grads.consume::<Flex>(&ops.node).to_contiguous())[0];
        let (mut gradient, shape) = ops.state;
        let [Some(node)] = ops.parents else { return };
        gradient.iter_mut().for_each(|g| *g *= upstream);
        grads.register::<Flex>(node.id, dense(gradient, &shape));
    }
}

impl<C: CheckpointStrategy> CrossEntropy for Autodiff<Flex, C> {
    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        let (logits, targets) = (logits.to_contiguous(), targets.into_parts().0.to_contiguous());
        let shape = [logits.layout().shape()[0], logits.layout().shape()[1]];
        match CrossEntropyBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (value, gradient) = loss(&logits, &targets, scale, true);
                prepared.finish((gradient, shape), dense(vec![value], &[1]))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(dense(vec![loss(&logits, &targets, scale, false).0], &[1])),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::log_softmax;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::model::tensors::floats as values;

    proptest! {
        #![proptest_config(crate::kernels::cases(48))]

        #[test]
        fn as_burns_own(n in 1usize..9, k in 1usize..40, spread in 0.1f32..30.0) {
            let mut rng = crate::rng::stream((n * k) as u64, "cross-entropy", 0);
            let mut random = |spread: f32| {
                let floats = (0..n * k).map(|_| rng.random_range(-spread..spread)).collect::<Vec<f32>>();
                Tensor::<2>::from_data(TensorData::new(floats, [n, k]), &Device::flex().autodiff())
            };
            // Targets of any sum, some rows all zero as for samples without a slot.
            let (logits, targets) = (random(spread).require_grad(), random(1.0).clamp_min(0.0));
            let ours = cross_entropy(logits.clone(), targets.clone(), 0.3);
            let burns = (log_softmax(logits.clone(), 1) * targets).sum().mul_scalar(-0.3);
            let gradient = |y: &Tensor<1>| values(logits.grad(&y.clone().mul_scalar(1.7).backward()).expect("trained"));
            for (a, b) in values(ours.clone()).iter().zip(values(burns.clone())).chain(gradient(&ours).iter().zip(gradient(&burns))) {
                prop_assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a}, burn has {b}");
            }
        }
    }

    #[test]
    fn a_logit_of_minus_infinity_counts_nothing_where_nothing_is_wanted() {
        let row = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [1, 3]), &Device::flex().autodiff());
        let logits = row(vec![0.0, f32::NEG_INFINITY, 0.0]).require_grad();
        let loss = cross_entropy(logits.clone(), row(vec![1.0, 0.0, 0.0]), 1.0);
        assert!((values(loss.clone())[0] - 2f32.ln()).abs() < 1e-6);
        assert_eq!(values(logits.grad(&loss.backward()).expect("trained")), [-0.5, 0.0, 0.5]);
    }
}
