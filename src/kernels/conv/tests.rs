//! Every pass against the definition, summed in f64, over random sizes and on every instruction set that this machine has.

use proptest::prelude::*;
use rand::RngExt;

use super::backward::{SavedBatch, backward};
use super::forward::forward;
use super::*;
use crate::rng;

/// A sum with the sum of its terms' absolute values, which is what rounding is relative to.
#[derive(Debug, Clone, Copy, Default)]
struct Sum(f64, f64);

impl Sum {
    fn add(&mut self, term: f64) {
        self.0 += term;
        self.1 += term.abs();
    }
}

fn random(len: usize, name: &str) -> Vec<f32> {
    let mut rng = rng::stream(len as u64, name, 0);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Within rounding: relative to a sum's own terms and, by tiles, which add and take away their neighbours' terms, a little to the largest.
fn close(what: &str, isa: Isa, by_tiles: bool, got: &[f32], wanted: &[Sum]) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    let neighbours = if by_tiles { 0.03 * wanted.iter().map(|w| w.1).fold(0.0, f64::max) } else { 1e-3 };
    for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
        let bound = 1e-5 * (w.1 + neighbours);
        assert!((f64::from(*g) - w.0).abs() <= bound, "{what} {i} of {} on {}: {g}, not {}", got.len(), isa.name(), w.0);
    }
}

/// Calls `visit(x, w, y)` with the places of each product's factors and of its sum; x and y in N×C×H×W.
fn every_product(s: &Sizes, mut visit: impl FnMut(usize, usize, usize)) {
    let [h, w, ci] = s.input;
    let [ho, wo, co] = s.output;
    let [kh, kw] = s.kernel;
    let Geometry { stride, padding, groups } = s.geometry;
    let (in_group, out_group) = (ci / groups, co / groups);
    for n in 0..s.n {
        for o in 0..co {
            for c in 0..in_group {
                let channel = o / out_group * in_group + c;
                for (y, x) in (0..ho).flat_map(|y| (0..wo).map(move |x| (y, x))) {
                    for (a, b) in (0..kh).flat_map(|a| (0..kw).map(move |b| (a, b))) {
                        let (py, px) = (y * stride + a, x * stride + b);
                        if py < padding || px < padding || py - padding >= h || px - padding >= w {
                            continue;
                        }
                        let from = ((n * ci + channel) * h + py - padding) * w + px - padding;
                        visit(from, ((o * in_group + c) * kh + a) * kw + b, ((n * co + o) * ho + y) * wo + x);
                    }
                }
            }
        }
    }
}

/// N×C×H×W from N×H×W×C.
fn channels_first<T: Copy>(floats: &[T], [h, w, c]: [usize; 3]) -> Vec<T> {
    let pixels = h * w;
    floats.chunks_exact(pixels * c).flat_map(|image| (0..c).flat_map(move |k| (0..pixels).map(move |p| image[p * c + k]))).collect()
}

fn channels_last<T: Copy>(floats: &[T], [h, w, c]: [usize; 3]) -> Vec<T> {
    // The transpose of a C×(H·W) matrix, image by image.
    floats.chunks_exact(h * w * c).flat_map(|image| (0..h * w).flat_map(move |p| (0..c).map(move |k| image[k * h * w + p]))).collect()
}

fn check(s: Sizes, tail: Tail, algorithm: Algorithm) {
    let [h, w, ci] = s.input;
    let tiles = algorithm == Algorithm::Tiles;
    let x = random(s.n * s.input_len(), "x");
    let weights = random(s.weights(), "w");
    let bias = random(s.output[2], "b");
    // Forward, before the tail.
    let out_pixels = s.output[0] * s.output[1];
    let mut y: Vec<Sum> = (0..s.n * s.output_len())
        .map(|i| {
            let b = f64::from(bias[i / out_pixels % s.output[2]]);
            Sum(b, b.abs())
        })
        .collect();
    every_product(&s, |i, j, k| y[k].add(f64::from(x[i]) * f64::from(weights[j])));
    let tailed = tail.output(s.output);
    let dy = random(s.n * tailed.iter().product::<usize>(), "dy");
    for isa in Isa::available() {
        for order in [false, true] {
            let input = if order {
                Images::new(Images::tensor(channels_last(&x, s.input), s.n, s.input))
            } else {
                Images::new(dense(x.clone(), &[s.n, ci, h, w]))
            };
            let made = forward(isa, &s, &input, &weights, &bias, Behind { algorithm, tail, add: None, places: true, moments: false });
            let got = channels_first(&made.floats, tailed);
            // The tail of the sums, and the gradient that comes back through it. Near-ties between kinks have no one right answer: the
            // kernel's own choice is followed, and must be right within rounding.
            let mut before = vec![0f64; y.len()];
            let wanted: Vec<Sum> = match tail {
                Tail::None => {
                    before = dy.iter().map(|d| f64::from(*d)).collect();
                    y.clone()
                }
                Tail::Relu => {
                    before.iter_mut().zip(&dy).zip(&got).for_each(|((b, d), g)| *b = if *g > 0.0 { f64::from(*d) } else { 0.0 });
                    y.iter().map(|s| Sum(s.0.max(0.0), s.1)).collect()
                }
                Tail::ReluMaxPool => {
                    let [ph, pw, c] = tailed;
                    let places = channels_first(made.places.as_ref().expect("asked for"), tailed);
                    let mut wanted = vec![Sum::default(); dy.len()];
                    for (i, sum) in wanted.iter_mut().enumerate() {
                        let (plane, py, px) = (i / (ph * pw), i / pw % ph, i % pw);
                        assert_eq!(plane / c, i / (c * ph * pw));
                        let at = |place: usize| (plane * s.output[0] + 2 * py + place / 2) * s.output[1] + 2 * px + place % 2;
                        let largest = (0..4).map(|p| y[at(p)].0).fold(0.0, f64::max);
                        *sum = Sum(largest, (0..4).map(|p| y[at(p)].1).fold(0.0, f64::max));
                        if places[i] < 4 {
                            before[at(places[i].into())] = f64::from(dy[i]);
                            assert!((y[at(places[i].into())].0 - largest).abs() <= 1e-5 * (sum.1 + 1e-3), "not the largest");
                        } else {
                            assert!(largest <= 1e-5 * (sum.1 + 1e-3), "a gradient is lost");
                        }
                    }
                    wanted
                }
            };
            close("output", isa, tiles, &got, &wanted);
            let mut dx = vec![Sum::default(); x.len()];
            let mut dw = vec![Sum::default(); weights.len()];
            every_product(&s, |i, j, k| {
                dx[i].add(before[k] * f64::from(weights[j]));
                dw[j].add(before[k] * f64::from(x[i]));
            });
            let mut db = vec![Sum::default(); bias.len()];
            before.iter().enumerate().for_each(|(i, b)| db[i / out_pixels % s.output[2]].add(*b));
            let saved = match tail {
                Tail::None => SavedBatch::None,
                Tail::Relu => SavedBatch::Relu(Images::new(Images::tensor(made.floats.clone(), s.n, tailed))),
                Tail::ReluMaxPool => SavedBatch::ReluMaxPool(Arc::new(made.places.clone().expect("asked for"))),
            };
            let gradient = if order {
                Images::new(Images::tensor(channels_last(&dy, tailed), s.n, tailed))
            } else {
                Images::new(dense(dy.clone(), &[s.n, tailed[2], tailed[0], tailed[1]]))
            };
            let all = Needs { input: true, weights: true, bias: true, added: false };
            let given = |needs: Needs| Given { algorithm, sizes: &s, x: &input, weights: &weights, saved: &saved, dy: &gradient, needs, onto: None };
            let grads = backward(isa, given(all));
            close("input gradient", isa, tiles, &channels_first(&grads.input.expect("asked for"), s.input), &dx);
            close("weight gradient", isa, tiles, &grads.weights.expect("asked for"), &dw);
            close("bias gradient", isa, tiles, &grads.bias.expect("asked for"), &db);
            // Onto what has gone around a residual block.
            let around = random(x.len(), "around");
            let grads = backward(isa, Given { onto: Some(channels_last(&around, s.input)), ..given(all) });
            let mut sums = dx.clone();
            sums.iter_mut().zip(&around).for_each(|(sum, v)| sum.add(f64::from(*v)));
            close("input gradient onto another", isa, tiles, &channels_first(&grads.input.expect("asked for"), s.input), &sums);
            // Without the input's gradient the scratch has no zeros around it.
            let grads = backward(isa, given(Needs { input: false, ..all }));
            assert!(grads.input.is_none());
            close("weight gradient alone", isa, tiles, &grads.weights.expect("asked for"), &dw);
        }
    }
}

fn sizes() -> impl Strategy<Value = Sizes> {
    let shape = (1usize..4, 1usize..12, 1usize..12, prop::sample::select(vec![1usize, 2, 3, 5, 7]), 1usize..4, 0usize..4);
    (shape, 1usize..4, 1usize..20, 1usize..20, any::<bool>()).prop_filter_map("too small", |(shape, groups, ci, co, depthwise)| {
        let (n, h, w, kernel, stride, padding) = shape;
        let (groups, ci, co) = if depthwise { (ci, ci, ci * (co % 2 + 1)) } else { (groups, ci * groups, co * groups) };
        (h + 2 * padding >= kernel && w + 2 * padding >= kernel)
            .then(|| Sizes::new([n, ci, h, w], [co, ci / groups, kernel, kernel], Geometry { stride, padding, groups }))
    })
}

proptest! {
    #![proptest_config(crate::kernels::cases(96))]

    #[test]
    fn every_pass_is_its_definition(s in sizes(), tail in prop::sample::select(vec![Tail::None, Tail::Relu, Tail::ReluMaxPool])) {
        prop_assume!(tail != Tail::ReluMaxPool || s.output[0] > 1 && s.output[1] > 1);
        check(s, tail, Algorithm::Direct);
    }
}

/// Sizes with so many weights that threads share these out, not the images.
fn many_channels() -> impl Strategy<Value = Sizes> {
    ((1usize..3, 3usize..6, 3usize..6, 1usize..3), 171usize..201, 171usize..201)
        .prop_map(|((n, h, w, stride), ci, co)| Sizes::new([n, ci, h, w], [co, ci, 3, 3], Geometry { stride, padding: 1, groups: 1 }))
}

proptest! {
    #![proptest_config(crate::kernels::cases(3))]

    #[test]
    fn passes_with_many_channels_are_the_definition(s in many_channels()) {
        check(s, Tail::Relu, Algorithm::Direct);
    }
}

/// Sizes that go by tiles.
fn tiled() -> impl Strategy<Value = Sizes> {
    let channels = || prop::sample::select(vec![16usize, 32, 48, 64]);
    ((1usize..4, 1usize..7, 1usize..7, 0usize..3), channels(), channels()).prop_filter_map("too small", |((n, h, w, padding), ci, co)| {
        let (h, w) = (2 * h, 2 * w);
        (h + 2 * padding > 2 && w + 2 * padding > 2)
            .then(|| Sizes::new([n, ci, h, w], [co, ci, 3, 3], Geometry { stride: 1, padding, groups: 1 }))
            .filter(winograd::suits)
    })
}

proptest! {
    #![proptest_config(crate::kernels::cases(24))]

    #[test]
    fn tiles_are_the_definition(s in tiled(), tail in prop::sample::select(vec![Tail::None, Tail::Relu, Tail::ReluMaxPool])) {
        check(s, tail, Algorithm::Tiles);
    }
}

#[test]
fn the_sizes_that_models_have() {
    let same = Geometry { stride: 1, padding: 1, groups: 1 };
    check(Sizes::new([3, 32, 16, 16], [64, 32, 3, 3], same), Tail::ReluMaxPool, Algorithm::Direct);
    check(Sizes::new([3, 32, 16, 16], [64, 32, 3, 3], same), Tail::ReluMaxPool, Algorithm::Tiles);
    check(Sizes::new([9, 16, 9, 7], [40, 16, 3, 3], same), Tail::Relu, Algorithm::Direct);
    check(Sizes::new([2, 24, 8, 8], [48, 24, 3, 3], Geometry { stride: 2, ..same }), Tail::None, Algorithm::Direct);
    check(Sizes::new([5, 160, 4, 4], [192, 160, 3, 3], same), Tail::Relu, Algorithm::Direct); // large enough to share out the weights
    // One image that is shared out: by blocks of channels, by pixels.
    check(Sizes::new([1, 48, 15, 13], [72, 48, 3, 3], same), Tail::Relu, Algorithm::Direct);
    check(Sizes::new([1, 64, 16, 16], [24, 64, 3, 3], same), Tail::ReluMaxPool, Algorithm::Direct);
    let one_to_one = Geometry { stride: 1, padding: 0, groups: 1 };
    check(Sizes::new([1, 96, 16, 15], [136, 96, 1, 1], one_to_one), Tail::None, Algorithm::Direct);
    check(Sizes::new([1, 640, 17, 15], [13, 640, 1, 1], one_to_one), Tail::Relu, Algorithm::Direct);
    check(Sizes::new([9, 13, 11, 13], [7, 13, 1, 1], one_to_one), Tail::ReluMaxPool, Algorithm::Direct);
    check(Sizes::new([9, 12, 7, 9], [21, 4, 1, 1], Geometry { groups: 3, ..one_to_one }), Tail::Relu, Algorithm::Direct);
    check(Sizes::new([9, 21, 7, 9], [21, 1, 1, 1], Geometry { groups: 21, ..one_to_one }), Tail::None, Algorithm::Direct);
    check(Sizes::new([2, 5, 6, 7], [9, 5, 1, 1], Geometry { padding: 1, ..one_to_one }), Tail::Relu, Algorithm::Direct);
    check(Sizes::new([17, 16, 6, 6], [32, 16, 1, 1], Geometry { stride: 2, padding: 0, groups: 1 }), Tail::None, Algorithm::Direct);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let same = Geometry { stride: 1, padding: 1, groups: 1 };
    for (algorithm, s, tail) in [
        (Algorithm::Tiles, Sizes::new([37, 16, 12, 12], [32, 16, 3, 3], same), Tail::None),
        (Algorithm::Direct, Sizes::new([37, 16, 12, 12], [32, 16, 3, 3], same), Tail::Relu),
        (Algorithm::Direct, Sizes::new([21, 24, 10, 10], [48, 24, 3, 3], same), Tail::ReluMaxPool),
        (Algorithm::Direct, Sizes::new([1, 64, 14, 14], [64, 64, 3, 3], same), Tail::Relu),
        (Algorithm::Direct, Sizes::new([1, 640, 17, 15], [13, 640, 1, 1], Geometry { padding: 0, ..same }), Tail::Relu),
        (Algorithm::Direct, Sizes::new([1, 160, 11, 11], [192, 160, 3, 3], Geometry { stride: 2, ..same }), Tail::None),
        (Algorithm::Direct, Sizes::new([11, 160, 5, 5], [192, 160, 3, 3], Geometry { stride: 2, ..same }), Tail::None),
    ] {
        let made = |isa: Isa, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                let [h, w, ci] = s.input;
                let x = Images::new(dense(random(s.n * s.input_len(), "x"), &[s.n, ci, h, w]));
                let weights = random(s.weights(), "w");
                let behind = Behind { algorithm, tail, add: None, places: true, moments: tail == Tail::None };
                let out = forward(isa, &s, &x, &weights, &random(s.output[2], "b"), behind);
                let tailed = tail.output(s.output);
                let saved = match tail {
                    Tail::None => SavedBatch::None,
                    Tail::Relu => SavedBatch::Relu(Images::new(Images::tensor(out.floats.clone(), s.n, tailed))),
                    Tail::ReluMaxPool => SavedBatch::ReluMaxPool(Arc::new(out.places.clone().expect("asked for"))),
                };
                let dy = Images::new(Images::tensor(random(s.n * tailed.iter().product::<usize>(), "dy"), s.n, tailed));
                let needs = Needs { input: true, weights: true, bias: true, added: false };
                let given = Given { algorithm, sizes: &s, x: &x, weights: &weights, saved: &saved, dy: &dy, needs, onto: None };
                let grads = backward(isa, given);
                let moments = out.moments.map(|m| m.mean_and_variance());
                (out.floats, moments, grads.input, grads.weights, grads.bias)
            })
        };
        for isa in Isa::available() {
            let one = made(isa, 1);
            for threads in [2, 3, 5] {
                assert!(made(isa, threads) == one, "{s:?} on {}: other bits on {threads} threads", isa.name());
            }
        }
    }
}
