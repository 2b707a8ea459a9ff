//! The gradient of every differentiable operation against central differences of its own forward pass: an answer that no other backward
//! pass has a part in.
//!
//! The function is Σ dy·y, summed in 64 bits. Differences at a step and at half of it are combined (Richardson 1911), which leaves an
//! error of the step's fourth power. Weights and inputs are of size 1, so rounding of y, some 10⁻⁷, is far below the bound after division
//! by the step.

use burn::tensor::Gradients;

use super::*;
use crate::kernels::conv::{Place, Shortcut, Unit, conv_norm_tail};
use crate::kernels::cross_entropy::cross_entropy;
use crate::kernels::norm::{Parameters, Settings, norm_tail};
use crate::kernels::pool::{global_average, max_pool};

/// Half the distance of the places that are compared.
const STEP: f32 = 0.02;
/// Most that a gradient may be off, as a share of the largest of its tensor, or of `LEAST` where all are small.
const BOUND: f64 = 2e-3;
const LEAST: f64 = 0.1;
/// Most that rounding bends a straight line, of values up to 1.
const STRAIGHT: f32 = 1e-5;
/// Elements of each input that are tried.
const TRIED: usize = 12;

/// Inputs by name, their floats.
type Inputs<'a> = [(&'a str, Vec<f32>)];

/// Tries elements of every input. `work` gives the output for input floats and, where there is a dy, a gradient for each input.
fn compare(inputs: &Inputs, kinks: Kinks, work: impl Fn(&[Vec<f32>], Option<&[f32]>) -> (Vec<f32>, Vec<Vec<f32>>)) {
    let start: Vec<Vec<f32>> = inputs.iter().map(|(_, floats)| floats.clone()).collect();
    let (y, _) = work(&start, None);
    let dy = values(random([y.len()], "dy"));
    let (_, gradients) = work(&start, Some(&dy));
    assert_eq!(gradients.len(), inputs.len());
    for (k, ((name, floats), gradient)) in inputs.iter().zip(&gradients).enumerate() {
        assert_eq!(floats.len(), gradient.len(), "{name}");
        let scale = gradient.iter().fold(LEAST, |m, g| m.max(f64::from(g.abs())));
        let tried = floats.len().min(TRIED);
        for i in (0..tried).map(|i| i * floats.len() / tried) {
            let moved = [STEP, -STEP, STEP / 2.0, -STEP / 2.0].map(|by| {
                let mut inputs = start.clone();
                inputs[k][i] += by;
                // With the place that was reached, which is not quite the one that was asked for.
                (work(&inputs, None).0, f64::from(inputs[k][i]))
            });
            // No gradient from outputs that have a kink within the steps.
            let smooth = |o: usize| {
                let [above, below, ..] = [0, 1, 2, 3].map(|m| moved[m].0[o]);
                match kinks {
                    Kinks::None => true,
                    Kinks::Relu => moved.iter().all(|(moved, _)| (moved[o] == 0.0) == (y[o] == 0.0)),
                    Kinks::Linear => (above - 2.0 * y[o] + below).abs() < STRAIGHT * y[o].abs().max(1.0),
                }
            };
            let sent: Vec<f32> = dy.iter().enumerate().map(|(o, d)| if smooth(o) { *d } else { 0.0 }).collect();
            let got = f64::from(if sent == dy { gradient[i] } else { work(&start, Some(&sent)).1[k][i] });
            let sum = |y: &[f32]| y.iter().zip(&sent).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum::<f64>();
            let slope = |above: usize, below: usize| (sum(&moved[above].0) - sum(&moved[below].0)) / (moved[above].1 - moved[below].1);
            let wanted = (4.0 * slope(2, 3) - slope(0, 1)) / 3.0;
            assert!((got - wanted).abs() <= BOUND * scale, "{name} {i} of {}: {got}, by differences {wanted} (up to {scale})", floats.len());
        }
    }
}

/// Where the function has no derivative.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kinks {
    /// Nowhere near.
    None,
    /// Where outputs become 0.
    Relu,
    /// It is linear between its kinks: wherever it bends.
    Linear,
}

/// A leaf's gradient among all.
type Leaf<'a> = dyn Fn(&Gradients) -> Vec<f32> + 'a;

/// The gradients of Σ dy·y for `leaves`.
fn backward<const D: usize>(y: &Tensor<D>, dy: Option<&[f32]>, leaves: &[&Leaf]) -> Vec<Vec<f32>> {
    let Some(dy) = dy else { return vec![] };
    let gradients = (y.clone() * tensor(dy.to_vec(), y.dims())).sum().backward();
    leaves.iter().map(|leaf| leaf(&gradients)).collect()
}

fn leaf<const D: usize>(floats: &[f32], shape: [usize; D]) -> Tensor<D> {
    tensor(floats.to_vec(), shape).require_grad()
}

fn gradient<const D: usize>(of: &Tensor<D>) -> impl Fn(&Gradients) -> Vec<f32> {
    |gradients| values(of.grad(gradients).expect("tracked"))
}

fn draws(len: usize, name: &str) -> Vec<f32> {
    values(random([len], name))
}

/// Of size 0.5 to 1: a channel whose weights are all near 0 has no variance to speak of.
fn not_small(len: usize, name: &str) -> Vec<f32> {
    draws(len, name).into_iter().map(|v| v / 2.0 + 0.5f32.copysign(v)).collect()
}

fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn convolution(shapes: Shapes, tail: Tail) {
    let (x_shape, w_shape, geometry) = shapes;
    let inputs = [("x", draws(size(&x_shape), "x")), ("weights", draws(size(&w_shape), "weights")), ("bias", draws(w_shape[0], "bias"))];
    compare(&inputs, if tail == Tail::None { Kinks::None } else { Kinks::Linear }, |floats, dy| {
        let (x, weights, bias) = (leaf(&floats[0], x_shape), leaf(&floats[1], w_shape), leaf(&floats[2], [w_shape[0]]));
        let y = conv_tail(x.clone(), weights.clone(), Some(bias.clone()), geometry, tail);
        let gradients = backward(&y, dy, &[&gradient(&x), &gradient(&weights), &gradient(&bias)]);
        (values(y), gradients)
    });
}

fn convolution_and_normalisation(shapes: Shapes, settings: Settings) {
    let (x_shape, w_shape, geometry) = shapes;
    let (c, out) = (w_shape[0], [x_shape[0], w_shape[0], side(&shapes, 0), side(&shapes, 1)]);
    let mut inputs = vec![
        ("x", not_small(size(&x_shape), "x")),
        ("weights", not_small(size(&w_shape), "weights")),
        ("gamma", not_small(c, "gamma")),
        ("beta", draws(c, "beta")),
    ];
    inputs.extend(settings.add.then(|| ("added", draws(size(&out), "added"))));
    compare(&inputs, if settings.relu { Kinks::Relu } else { Kinks::None }, |floats, dy| {
        let (x, weights) = (leaf(&floats[0], x_shape), leaf(&floats[1], w_shape));
        let parameters = parameters(floats, 2, c);
        let added = floats.get(4).map(|f| leaf(f, out));
        let unit = Unit { geometry, settings, place: Place::default() };
        let y = conv_norm_tail(x.clone(), weights.clone(), parameters.clone(), added.clone(), unit).images;
        let on = (gradient(&x), gradient(&weights), gradient(&parameters.gamma), gradient(&parameters.beta), added.as_ref().map(gradient));
        let mut leaves: Vec<&Leaf> = vec![&on.0, &on.1, &on.2, &on.3];
        leaves.extend(on.4.as_ref().map(|on| on as &Leaf));
        let gradients = backward(&y, dy, &leaves);
        (values(y), gradients)
    });
}

/// Two units with what goes around them, whose gradient reaches the input without the graph. The first has no ReLU: differences do not see its kinks.
fn block([n, c, h, w]: [usize; 4], relu: bool) {
    let (shape, w_shape, geometry) = ([n, c, h, w], [c, c, 3, 3], Geometry { stride: 1, padding: 1, groups: 1 });
    let mut inputs = vec![("x", not_small(size(&shape), "x"))];
    for [weights, gamma, beta] in [["first weights", "first gamma", "first beta"], ["second weights", "second gamma", "second beta"]] {
        inputs.extend([(weights, not_small(size(&w_shape), weights)), (gamma, not_small(c, gamma)), (beta, draws(c, beta))]);
    }
    compare(&inputs, if relu { Kinks::Relu } else { Kinks::None }, |floats, dy| {
        let x = leaf(&floats[0], shape);
        let weights = [1, 4].map(|at| leaf(&floats[at], w_shape));
        let parameters = [2, 5].map(|at| parameters(floats, at, c));
        let shortcut = Shortcut::default();
        let unit = |x, i: usize, added: Option<Tensor<4>>, relu, place| {
            let settings = Settings { batch_statistics: true, epsilon: 1e-5, add: added.is_some(), relu };
            conv_norm_tail(x, weights[i].clone(), parameters[i].clone(), added, Unit { geometry, settings, place }).images
        };
        let inner = unit(x.clone(), 0, None, false, Place { first: Some(shortcut.clone()), last: None });
        let y = unit(inner, 1, Some(x.clone().detach()), relu, Place { first: None, last: Some(shortcut) });
        let on: (_, [_; 2]) = (gradient(&x), [0, 1].map(|i| gradient(&weights[i])));
        let of = [&parameters[0], &parameters[1]].map(|p| (gradient(&p.gamma), gradient(&p.beta)));
        let gradients = backward(&y, dy, &[&on.0, &on.1[0], &of[0].0, &of[0].1, &on.1[1], &of[1].0, &of[1].1]);
        (values(y), gradients)
    });
}

/// γ and β from `floats[at]` and the next; constant statistics.
fn parameters(floats: &[Vec<f32>], at: usize, c: usize) -> Parameters {
    Parameters {
        gamma: leaf(&floats[at], [c]),
        beta: leaf(&floats[at + 1], [c]),
        mean: random([c], "mean"),
        variance: random([c], "variance").add_scalar(2.0),
    }
}

fn normalisation(shape: [usize; 4], settings: Settings) {
    let c = shape[1];
    let mut inputs = vec![("x", draws(size(&shape), "x")), ("gamma", not_small(c, "gamma")), ("beta", draws(c, "beta"))];
    inputs.extend(settings.add.then(|| ("added", draws(size(&shape), "added"))));
    compare(&inputs, if settings.relu { Kinks::Relu } else { Kinks::None }, |floats, dy| {
        let (x, parameters) = (leaf(&floats[0], shape), parameters(floats, 1, c));
        let added = floats.get(3).map(|f| leaf(f, shape));
        let y = norm_tail(x.clone(), parameters.clone(), added.clone(), settings).images;
        let on = (gradient(&x), gradient(&parameters.gamma), gradient(&parameters.beta), added.as_ref().map(gradient));
        let mut leaves: Vec<&Leaf> = vec![&on.0, &on.1, &on.2];
        leaves.extend(on.3.as_ref().map(|on| on as &Leaf));
        (values(y.clone()), backward(&y, dy, &leaves))
    });
}

/// All different by more than the steps: no maximum changes its place.
fn apart(len: usize) -> Vec<f32> {
    use rand::seq::SliceRandom;
    let mut floats: Vec<f32> = (0..len).map(|i| 0.06 * (i as f32 - len as f32 / 2.0)).collect();
    floats.shuffle(&mut rng::stream(len as u64, "apart", 0));
    floats
}

fn settings() -> impl Strategy<Value = Settings> {
    any::<[bool; 3]>().prop_map(|[batch_statistics, add, relu]| Settings { batch_statistics, epsilon: 1e-5, add, relu })
}

fn on_every_isa(test: impl Fn()) {
    Isa::available().for_each(|isa| isa.forced(&test));
}

proptest! {
    #![proptest_config(crate::kernels::cases(24))]

    #[test]
    fn of_a_convolution_with_its_tail(shapes in shapes(7, 9), tail in prop::sample::select(vec![Tail::None, Tail::Relu, Tail::ReluMaxPool])) {
        prop_assume!(tail != Tail::ReluMaxPool || side(&shapes, 0) > 1 && side(&shapes, 1) > 1);
        on_every_isa(|| convolution(shapes, tail));
    }

    #[test]
    fn of_a_pointwise_convolution_over_few_pixels(n in 1usize..4, ci in 2usize..20, co in 1usize..20, h in 2usize..5, w in 2usize..5) {
        let (x_shape, w_shape) = ([n, ci, h, w], [co, ci, 1, 1]);
        let inputs = [("x", draws(size(&x_shape), "x")), ("weights", draws(size(&w_shape), "weights")), ("bias", draws(co, "bias"))];
        on_every_isa(|| compare(&inputs, Kinks::None, |floats, dy| {
            let (x, weights, bias) = (leaf(&floats[0], x_shape), leaf(&floats[1], w_shape), leaf(&floats[2], [co]));
            // The way for it is taken with channels last alone.
            let same = Geometry { stride: 1, padding: 0, groups: 1 };
            let y = conv_tail(channels_last(x.clone()), weights.clone(), Some(bias.clone()), same, Tail::None);
            let gradients = backward(&y, dy, &[&gradient(&x), &gradient(&weights), &gradient(&bias)]);
            (values(y), gradients)
        }));
    }

    #[test]
    fn of_a_convolution_with_normalisation(shapes in shapes(7, 9), settings in settings()) {
        prop_assume!(shapes.0[0] * side(&shapes, 0) * side(&shapes, 1) > 8);
        // Of pixels that see nothing but padding a few others would make the whole variance, which bends too much for the steps here.
        prop_assume!(shapes.2.padding < shapes.1[2]);
        on_every_isa(|| convolution_and_normalisation(shapes, settings));
    }

    #[test]
    fn of_a_block_with_its_shortcut(shape in (1usize..3, 1usize..7, 3usize..6, 3usize..6), relu: bool) {
        let (n, c, h, w) = shape;
        on_every_isa(|| block([n, c, h, w], relu));
    }

    #[test]
    fn of_a_normalisation(shape in (1usize..4, 1usize..20, 3usize..6, 3usize..6), settings in settings()) {
        let (n, c, h, w) = shape;
        on_every_isa(|| normalisation([n, c, h, w], settings));
    }

    #[test]
    fn of_a_maximum_and_an_average(n in 1usize..4, c in 1usize..20, h in 2usize..7, w in 2usize..7) {
        let shape = [n, c, h, w];
        on_every_isa(|| {
            for pool in [max_pool, global_average] {
                compare(&[("x", apart(size(&shape)))], Kinks::None, |floats, dy| {
                    let x = leaf(&floats[0], shape);
                    let y = pool(x.clone());
                    (values(y.clone()), backward(&y, dy, &[&gradient(&x)]))
                });
            }
        });
    }

    #[test]
    fn of_cross_entropy(n in 1usize..6, k in 1usize..12) {
        let targets = random([n, k], "targets").clamp_min(0.0);
        compare(&[("logits", draws(n * k, "logits"))], Kinks::None, |floats, dy| {
            let logits = leaf(&floats[0], [n, k]);
            let y = cross_entropy(logits.clone(), targets.clone(), 0.7);
            (values(y.clone()), backward(&y, dy, &[&gradient(&logits)]))
        });
    }
}

proptest! {
    #![proptest_config(crate::kernels::cases(3))]

    #[test]
    fn of_a_convolution_by_tiles(shapes in tiled_shapes(), relu: bool, settings in settings()) {
        on_every_isa(|| convolution(shapes, if relu { Tail::Relu } else { Tail::None }));
        on_every_isa(|| convolution_and_normalisation(shapes, settings));
    }
}
