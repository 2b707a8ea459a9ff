//! The fused passes against burn's own operations one after the other: values and every gradient.
//!
//! Bounds are relative to the sums of the terms' absolute values, made by burn's convolution of absolute values. Where a ReLU or a maximum
//! is decided by less than rounding, no gradient is sent: either side's choice is right there.

use burn::nn::pool::MaxPool2dConfig;
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm, batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;

use super::*;
use crate::kernels::conv::{Place, Shortcut, Unit, conv_norm_tail};
use crate::kernels::norm::{Parameters, Settings};

const EPSILON: f64 = 1e-5;
/// Rounding, as a share of the terms' absolute values.
const BOUND: f32 = 1e-5;

fn convolve(x: Tensor<4>, weights: Tensor<4>, bias: Option<Tensor<1>>, g: Geometry) -> Tensor<4> {
    conv2d(x, weights, bias, ConvOptions::new([g.stride; 2], [g.padding; 2], [1, 1], g.groups))
}

/// For every output, input gradient and weight gradient of a convolution whose output gradient is at most `dy`: its terms' absolute values,
/// and a little of the largest, as tiles add and take away their neighbours' terms.
fn terms(x: &Tensor<4>, weights: &Tensor<4>, g: Geometry, dy: f32) -> [Vec<f32>; 3] {
    let [x, weights] = [x, weights].map(|t| t.clone().abs().detach().require_grad());
    let y = convolve(x.clone(), weights.clone(), None, g);
    let gradients = y.clone().sum().mul_scalar(dy).backward();
    [y, x.grad(&gradients).map(Tensor::from_inner).expect("tracked"), weights.grad(&gradients).map(Tensor::from_inner).expect("tracked")].map(|t| {
        let floats = values(t);
        let neighbours = 0.03 * floats.iter().fold(0f32, |m, v| m.max(*v)) + 1e-3;
        floats.into_iter().map(|v| v + neighbours).collect()
    })
}

fn close(what: &str, ours: &[f32], burns: &[f32], terms: impl Fn(usize) -> f32) {
    assert_eq!(ours.len(), burns.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(burns).enumerate() {
        assert!((a - b).abs() <= BOUND * terms(i), "{what} {i} of {}: {a}, burn has {b} (terms of {})", ours.len(), terms(i));
    }
}

/// `dy` with zeros where the sign of `before`, a ReLU's input, is left to rounding.
fn away_from_zero(dy: Tensor<4>, before: &[f32], terms: impl Fn(usize) -> f32) -> Tensor<4> {
    let (shape, mut dy) = (dy.dims(), values(dy));
    dy.iter_mut().enumerate().filter(|(i, _)| before[*i].abs() <= 2.0 * BOUND * terms(*i)).for_each(|(_, d)| *d = 0.0);
    tensor(dy, shape)
}

/// `dy` with zeros where the maximum of a square of `before`, N×C×H×W, and of 0 is left to rounding.
fn away_from_ties(dy: Tensor<4>, before: &[f32], [h, w]: [usize; 2], terms: &[f32]) -> Tensor<4> {
    let (shape, mut dy) = (dy.dims(), values(dy));
    let [_, _, ph, pw] = shape;
    for (i, d) in dy.iter_mut().enumerate() {
        let (plane, y, x) = (i / (ph * pw), i / pw % ph, i % pw);
        let square = [0, 1, 2, 3].map(|p| (plane * h + 2 * y + p / 2) * w + 2 * x + p % 2);
        let mut all = square.map(|at| before[at]).to_vec();
        all.push(0.0);
        all.sort_by(f32::total_cmp);
        // Below 0 nothing passes, whichever is the largest.
        if all[4] - all[3] <= 4.0 * BOUND * square.iter().map(|at| terms[*at]).fold(0.0, f32::max) {
            *d = 0.0;
        }
    }
    tensor(dy, shape)
}

fn conv_tail_is_burns(shapes: Shapes, tail: Tail, with_bias: bool) {
    let (x_shape, w_shape, geometry) = shapes;
    let (x, weights) = (random(x_shape, "x").require_grad(), random(w_shape, "weights").require_grad());
    let bias = with_bias.then(|| random([w_shape[0]], "bias").require_grad());
    let before = convolve(x.clone(), weights.clone(), bias.clone(), geometry);
    let [y_terms, dx_terms, dw_terms] = terms(&x, &weights, geometry, 1.0);
    let y_terms: Vec<f32> = y_terms.iter().map(|t| t + 1.0).collect(); // and the bias
    let (sides, sums) = ([side(&shapes, 0), side(&shapes, 1)], values(before.clone()));
    let (wanted, dy) = match tail {
        Tail::None => (before.clone(), random(before.dims(), "dy")),
        Tail::Relu => (relu(before.clone()), away_from_zero(random(before.dims(), "dy"), &sums, |i| y_terms[i])),
        Tail::ReluMaxPool => {
            let pooled = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init().forward(relu(before.clone()));
            let dy = away_from_ties(random(pooled.dims(), "dy"), &sums, sides, &y_terms);
            (pooled, dy)
        }
    };
    let largest = y_terms.iter().fold(0f32, |m, t| m.max(*t));
    let burns = (wanted.clone() * dy.clone()).sum().backward();
    let wanted = values(wanted);
    for isa in Isa::available() {
        isa.forced(|| {
            for input in [x.clone(), channels_last(x.clone())] {
                let on = |what: &str| format!("{what} on {}", isa.name());
                let made = conv_tail(input, weights.clone(), bias.clone(), geometry, tail);
                close(&on("output"), &values(made.clone()), &wanted, |i| if tail == Tail::ReluMaxPool { largest } else { y_terms[i] });
                let ours = (made * dy.clone()).sum().backward();
                let pair = |t: &Tensor<4>| [&ours, &burns].map(|g| values(t.grad(g).expect("tracked")));
                let [a, b] = pair(&x);
                close(&on("input gradient"), &a, &b, |i| dx_terms[i]);
                let [a, b] = pair(&weights);
                close(&on("weight gradient"), &a, &b, |i| dw_terms[i]);
                if let Some(bias) = &bias {
                    let [a, b] = [&ours, &burns].map(|g| values(bias.grad(g).expect("tracked")));
                    close(&on("bias gradient"), &a, &b, |_| (dy.dims().iter().product::<usize>() / w_shape[0]) as f32);
                }
            }
        });
    }
}

/// γ, β and running statistics of `c` channels.
fn parameters(c: usize) -> Parameters {
    Parameters {
        gamma: random([c], "gamma").add_scalar(1.5).detach().require_grad(),
        beta: random([c], "beta").require_grad(),
        mean: random([c], "mean"),
        variance: random([c], "variance").add_scalar(2.0).detach(),
    }
}

/// burn's normalisation of `y`, and the statistics that it used.
fn normalise(y: Tensor<4>, p: &Parameters, batch_statistics: bool) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    if batch_statistics {
        let made = batch_norm_train(y, p.gamma.clone(), p.beta.clone(), EPSILON);
        return (made.output, made.mean, made.variance);
    }
    let output = batch_norm(y, p.gamma.clone(), p.beta.clone(), p.mean.clone(), p.variance.clone(), EPSILON);
    (output, p.mean.clone(), p.variance.clone())
}

fn conv_norm_tail_is_burns(shapes: Shapes, add: bool, relu_: bool, batch_statistics: bool) {
    let (x_shape, w_shape, geometry) = shapes;
    let out = [x_shape[0], w_shape[0], side(&shapes, 0), side(&shapes, 1)];
    let (x, weights) = (random(x_shape, "x").require_grad(), random(w_shape, "weights").require_grad());
    let parameters = parameters(w_shape[0]);
    let other = random(out, "other").require_grad();
    let (before, mean, variance) = normalise(convolve(x.clone(), weights.clone(), None, geometry), &parameters, batch_statistics);
    let before = if add { before + other.clone() } else { before };
    // What a normalisation multiplies errors and gradients with, at most: γ over the deviation.
    let least = values(variance.clone()).iter().fold(f32::INFINITY, |m, v| m.min(*v));
    let factor = 2.5 / (least + EPSILON as f32).sqrt();
    // A gradient minus its mean and minus its share of the normalised output, which is up to a few times the gradient's size.
    let [y_terms, dx_terms, dw_terms] = terms(&x, &weights, geometry, 3.0 * factor);
    let out_terms = |i: usize| factor * y_terms[i] + 4.0;
    let (wanted, dy) =
        if relu_ { (relu(before.clone()), away_from_zero(random(out, "dy"), &values(before), out_terms)) } else { (before, random(out, "dy")) };
    let burns = (wanted.clone() * dy.clone()).sum().backward();
    let wanted = values(wanted);
    let settings = Settings { batch_statistics, epsilon: EPSILON, add, relu: relu_ };
    let unit = || Unit { geometry, settings, place: Place::default() };
    let pixels = (out[0] * out[2] * out[3]) as f32;
    for isa in Isa::available() {
        isa.forced(|| {
            let on = |what: &str| format!("{what} on {}", isa.name());
            for input in [x.clone(), channels_last(x.clone())] {
                let made = conv_norm_tail(input, weights.clone(), parameters.clone(), add.then(|| other.clone()), unit());
                close(&on("output"), &values(made.images.clone()), &wanted, out_terms);
                let most = y_terms.iter().fold(1f32, |m, t| m.max(*t));
                close(&on("mean"), &values(made.mean), &values(mean.clone()), |_| most);
                close(&on("variance"), &values(made.variance), &values(variance.clone()), |_| most * most);
                let ours = (made.images * dy.clone()).sum().backward();
                let pair = |t: &Tensor<4>| [&ours, &burns].map(|g| t.grad(g).map(values));
                for (name, tensor, terms) in [("input gradient", &x, &dx_terms), ("weight gradient", &weights, &dw_terms)] {
                    let [a, b] = pair(tensor).map(|v| v.expect("tracked"));
                    close(&on(name), &a, &b, |i| terms[i]);
                }
                let [a, b] = pair(&other);
                assert_eq!((a.is_some(), b.is_some()), (add, add));
                close(&on("added gradient"), &a.unwrap_or_default(), &b.unwrap_or_default(), |_| 1.0);
                let normalised = 3.0 + factor; // its size, and what rounding of small deviations adds
                for (name, tensor, terms) in [("gamma gradient", &parameters.gamma, normalised), ("beta gradient", &parameters.beta, 1.0)] {
                    let [a, b] = [&ours, &burns].map(|g| values(tensor.grad(g).expect("tracked")));
                    close(&on(name), &a, &b, |_| pixels * terms);
                }
            }
            // Off the graph the normalisation goes into the weights.
            let Parameters { gamma, beta, mean, variance } = parameters.clone();
            let off = Parameters { gamma: gamma.inner(), beta: beta.inner(), mean: mean.inner(), variance: variance.inner() };
            let made = conv_norm_tail(x.clone().inner(), weights.clone().inner(), off, add.then(|| other.clone().inner()), unit());
            close(&on("output off the graph"), &values(made.images), &wanted, out_terms);
        });
    }
}

/// Two units with what goes around them: the shortcut's gradient reaches the input without the graph.
fn block_is_burns([n, c, h, w]: [usize; 4]) {
    let geometry = Geometry { stride: 1, padding: 1, groups: 1 };
    let x = random([n, c, h, w], "x").require_grad();
    let weights = ["first", "second"].map(|name| random([c, c, 3, 3], name).require_grad());
    let parameters = parameters(c);
    let unit = |x: Tensor<4>, w: &Tensor<4>| normalise(convolve(x, w.clone(), None, geometry), &parameters, true).0;
    let inner = unit(x.clone(), &weights[0]);
    let before = unit(relu(inner.clone()), &weights[1]) + x.clone();
    // Decided by rounding somewhere, gradients may differ everywhere: other sizes will do.
    let decided = values(inner).iter().chain(&values(before.clone())).all(|v| v.abs() > 1e-4);
    let wanted = relu(before);
    let dy = random([n, c, h, w], "dy");
    let burns = (wanted.clone() * dy.clone()).sum().backward();
    for isa in Isa::available() {
        isa.forced(|| {
            let shortcut = Shortcut::default();
            let settings = Settings { batch_statistics: true, epsilon: EPSILON, add: false, relu: true };
            let ours =
                |x, w: &Tensor<4>, added, place| conv_norm_tail(x, w.clone(), parameters.clone(), added, Unit { geometry, settings, place }).images;
            let inner = ours(x.clone(), &weights[0], None, Place { first: Some(shortcut.clone()), last: None });
            let around = x.clone().detach();
            let made = ours(inner, &weights[1], Some(around), Place { first: None, last: Some(shortcut) });
            let scale = |floats: &[f32]| floats.iter().fold(1f32, |m, v| m.max(v.abs()));
            let (a, b) = (values(made.clone()), values(wanted.clone()));
            close("output", &a, &b, |_| 10.0 * scale(&b));
            if !decided {
                return;
            }
            let gradients = (made * dy.clone()).sum().backward();
            for (name, t) in [("input gradient", &x), ("first weights'", &weights[0]), ("second weights'", &weights[1])] {
                let [a, b] = [&gradients, &burns].map(|g| values(t.grad(g).expect("tracked")));
                close(&format!("{name} on {}", isa.name()), &a, &b, |_| 10.0 * scale(&b));
            }
        });
    }
}

fn tails() -> impl Strategy<Value = Tail> {
    prop::sample::select(vec![Tail::None, Tail::Relu, Tail::ReluMaxPool])
}

fn can_pool(shapes: &Shapes) -> bool {
    side(shapes, 0) > 1 && side(shapes, 1) > 1
}

#[test]
fn pointwise_over_few_pixels() {
    let same = Geometry { stride: 1, padding: 0, groups: 1 };
    for (x, co) in [([1, 3, 7, 7], 5), ([1, 40, 8, 8], 33), ([3, 16, 4, 5], 24), ([64, 7, 1, 1], 16)] {
        for tail in [Tail::None, Tail::Relu] {
            conv_tail_is_burns((x, [co, x[1], 1, 1], same), tail, true);
        }
    }
}

proptest! {
    #![proptest_config(crate::kernels::cases(64))]

    #[test]
    fn convolution_with_its_tail(shapes in shapes(12, 20), tail in tails(), with_bias: bool) {
        prop_assume!(tail != Tail::ReluMaxPool || can_pool(&shapes));
        conv_tail_is_burns(shapes, tail, with_bias);
    }

    #[test]
    fn convolution_with_normalisation(shapes in shapes(12, 20), add: bool, relu: bool, batch_statistics: bool) {
        // With a few values a variance near 0 magnifies every rounding.
        prop_assume!(shapes.0[0] * side(&shapes, 0) * side(&shapes, 1) > 8);
        conv_norm_tail_is_burns(shapes, add, relu, batch_statistics);
    }

    #[test]
    fn residual_block(n in 1usize..3, c in 1usize..7, h in 3usize..6, w in 3usize..6) {
        block_is_burns([n, c, h, w]);
    }
}

proptest! {
    #![proptest_config(crate::kernels::cases(4))]

    #[test]
    fn convolution_by_tiles_with_its_tail(shapes in tiled_shapes(), tail in tails()) {
        conv_tail_is_burns(shapes, tail, true);
    }

    #[test]
    fn convolution_by_tiles_with_normalisation(shapes in tiled_shapes(), add: bool, relu: bool, batch_statistics: bool) {
        conv_norm_tail_is_burns(shapes, add, relu, batch_statistics);
    }
}
