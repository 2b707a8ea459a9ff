//! Against burn's own batch normalisation and against its definition in f64, values and gradients, on every instruction set that this machine has.

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
    close_sums(what, ours, burns, slack, 1e-6);
}

/// [`close`] for sums of `terms` numbers of about one: whatever they cancel to, they are rounded as what is summed up.
fn close_sums(what: &str, ours: Vec<f32>, burns: Vec<f32>, slack: f32, terms: f32) {
    assert_eq!(ours.len(), burns.len(), "{what}");
    let scale = burns.iter().fold(terms.sqrt(), |m, v| m.max(v.abs()));
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
    let (mean, variance) = (values(mean.clone()), values(variance.clone()));
    let exact = Exact::of(
        shape,
        [&x, &dy, &burns].map(|t| values(t.clone())),
        (&values(gamma.clone()), f64::from(epsilon as f32)),
        (!batch_statistics).then_some((&mean, &variance)),
        relu,
    );
    // The input channels last in memory too.
    let last = x.clone().permute([0, 2, 3, 1]).mul_scalar(1.0).permute([0, 3, 1, 2]);
    for x_ours in [x.clone(), last] {
        let made = ours(x_ours);
        close("output", values(made.images.clone()), values(burns.clone()), 1e-5);
        let gradients = (made.images * dy.clone()).sum().backward();
        for (name, tensor) in [("input gradient", &x), ("added gradient", &other)] {
            match (tensor.grad(&gradients), tensor.grad(&wanted)) {
                // burn's own rounding beside ours.
                (Some(a), Some(b)) => {
                    let exact = if name == "added gradient" { &exact.added } else { &exact.input };
                    close(name, values(a.clone()), exact.clone(), 1e-5);
                    close(name, values(a), values(b), 2e-5);
                }
                (a, b) => assert_eq!((a.is_none(), b.is_none()), (true, true), "{name}"),
            }
        }
        for (name, tensor) in [("gamma gradient", &gamma), ("beta gradient", &beta)] {
            let (a, b) = (tensor.grad(&gradients).expect("trained"), tensor.grad(&wanted).expect("trained"));
            let terms = (shape[0] * shape[2] * shape[3]) as f32;
            close_sums(name, values(a.clone()), if name == "gamma gradient" { exact.gamma.clone() } else { exact.beta.clone() }, 1e-5, terms);
            close_sums(name, values(a), values(b), 2e-5, terms);
        }
    }
}

/// Gradients by the definition (Ioffe & Szegedy 2015, arXiv 1502.03167, section 3), in f64.
struct Exact {
    input: Vec<f32>,
    added: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Exact {
    /// For N×C×H×W values x, gradients and outputs; with the mean and variance given, or those of the batch.
    fn of(
        [n, c, h, w]: [usize; 4],
        [x, dy, out]: [Vec<f32>; 3],
        (gamma, epsilon): (&[f32], f64),
        given: Option<(&Vec<f32>, &Vec<f32>)>,
        relu: bool,
    ) -> Self {
        let pixels = h * w;
        let mut made = Self { input: vec![0.0; x.len()], added: vec![0.0; x.len()], gamma: vec![0.0; c], beta: vec![0.0; c] };
        for k in 0..c {
            let places: Vec<usize> = (0..n).flat_map(|i| (0..pixels).map(move |p| (i * c + k) * pixels + p)).collect();
            let count = places.len() as f64;
            let mean_of = |f: &dyn Fn(usize) -> f64| places.iter().map(|i| f(*i)).sum::<f64>() / count;
            let (mean, variance) = match given {
                Some((mean, variance)) => (f64::from(mean[k]), f64::from(variance[k])),
                None => {
                    let mean = mean_of(&|i| f64::from(x[i]));
                    (mean, mean_of(&|i| (f64::from(x[i]) - mean).powi(2)))
                }
            };
            let root = (variance + epsilon).sqrt();
            let unit = |i: usize| (f64::from(x[i]) - mean) / root;
            let d = |i: usize| if relu && out[i] <= 0.0 { 0.0 } else { f64::from(dy[i]) };
            let (plain, along) = (mean_of(&d), mean_of(&|i| d(i) * unit(i)));
            made.beta[k] = (plain * count) as f32;
            made.gamma[k] = (along * count) as f32;
            for i in &places {
                made.added[*i] = d(*i) as f32;
                let through = if given.is_some() { d(*i) } else { d(*i) - plain - unit(*i) * along };
                made.input[*i] = (f64::from(gamma[k]) / root * through) as f32;
            }
        }
        made
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
    // Four vectors of AVX-512 at a time, and what is left.
    check([9, 83, 6, 6], true, true, true);
    check([5, 83, 6, 6], false, false, false);
}
