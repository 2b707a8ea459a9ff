//! Against burn's own batch normalisation, values and gradients, on every instruction set that this machine has.

use burn::tensor::{Device, TensorData};
use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::model::tensors::floats as values;
use crate::rng;

fn random<const D: usize>(shape: [usize; D], name: &str, offset: f32) -> Tensor<D> {
    let mut rng = rng::stream(shape.iter().product::<usize>() as u64, name, 0);
    let floats = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0) + offset).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(floats, shape), &Device::flex().autodiff())
}

fn close(what: &str, ours: Vec<f32>, burns: Vec<f32>, slack: f32) {
    assert_eq!(ours.len(), burns.len(), "{what}");
    let scale = burns.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(&burns).enumerate() {
        assert!((a - b).abs() <= slack * scale, "{what} {i} on {}: {a}, burn has {b} (of up to {scale})", Isa::current().name());
    }
}

fn check(shape: [usize; 4], add: bool, relu: bool, batch_statistics: bool) {
    for isa in Isa::available() {
        isa.forced(|| check_here(shape, add, relu, batch_statistics));
    }
}

fn check_here(shape: [usize; 4], add: bool, relu: bool, batch_statistics: bool) {
    let [_, c, _, _] = shape;
    let x = random(shape, "x", 3.0).require_grad();
    let other = random(shape, "other", 0.0).require_grad();
    let (gamma, beta) = (random([c], "gamma", 0.5).require_grad(), random([c], "beta", 0.0).require_grad());
    let (mean, variance) = (random([c], "mean", 0.3), random([c], "variance", 2.0));
    let dy = random(shape, "dy", 0.0);
    let epsilon = 1e-5;
    let ours = |x: Tensor<4>| {
        let parameters = Parameters { gamma: gamma.clone(), beta: beta.clone(), mean: mean.clone(), variance: variance.clone() };
        norm_tail(x, parameters, add.then(|| other.clone()), Settings { batch_statistics, epsilon, add, relu })
    };
    let burns = if batch_statistics {
        let made = burn::tensor::module::batch_norm_train(x.clone(), gamma.clone(), beta.clone(), epsilon);
        let own = ours(x.clone());
        close("mean", values(own.mean), values(made.mean), 1e-5);
        close("variance", values(own.variance), values(made.variance), 1e-5);
        made.output
    } else {
        burn::tensor::module::batch_norm(x.clone(), gamma.clone(), beta.clone(), mean.clone(), variance.clone(), epsilon)
    };
    let burns = if add { burns + other.clone() } else { burns };
    // A ReLU that rounding decides may let a gradient pass on one side alone: none is sent there.
    let dy = if relu { dy * burns.clone().detach().abs().greater_elem(1e-4).float() } else { dy };
    let burns = if relu { burn::tensor::activation::relu(burns) } else { burns };
    let wanted = (burns.clone() * dy.clone()).sum().backward();
    // The input channels last in memory too.
    let last = x.clone().permute([0, 2, 3, 1]).mul_scalar(1.0).permute([0, 3, 1, 2]);
    for x_ours in [x.clone(), last] {
        let made = ours(x_ours);
        close("output", values(made.images.clone()), values(burns.clone()), 1e-5);
        let gradients = (made.images * dy.clone()).sum().backward();
        for (name, tensor) in [("input gradient", &x), ("added gradient", &other)] {
            match (tensor.grad(&gradients), tensor.grad(&wanted)) {
                (Some(a), Some(b)) => close(name, values(a), values(b), 2e-5),
                (a, b) => assert_eq!((a.is_none(), b.is_none()), (true, true), "{name}"),
            }
        }
        for (name, tensor) in [("gamma gradient", &gamma), ("beta gradient", &beta)] {
            let (a, b) = (tensor.grad(&gradients).expect("trained"), tensor.grad(&wanted).expect("trained"));
            close(name, values(a), values(b), 2e-5);
        }
    }
}

proptest! {
    #![proptest_config(crate::kernels::cases(64))]

    #[test]
    fn as_burns_own(n in 2usize..5, c in 1usize..40, h in 1usize..8, w in 1usize..8, add: bool, relu: bool, batch_statistics: bool) {
        prop_assume!(n * h * w > 8); // with a few values a variance near 0 magnifies every rounding
        check([n, c, h, w], add, relu, batch_statistics);
    }
}

#[test]
fn more_than_a_thread_and_a_strip() {
    check([19, 16, 12, 12], true, true, true);
    check([9, 48, 10, 10], false, true, true);
}
