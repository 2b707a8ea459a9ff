//! A row of layers on the CPU: what stands in a row and goes over the same memory becomes one kernel (see [`crate::kernels`]), and
//! activations stay channels last in memory between them.

use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::{Device, Tensor, activation::relu};

use super::layers::{Layer, Residual};
use crate::kernels::conv::{Geometry, Place, Shortcut, Tail, Unit, conv_norm_tail, conv_tail};
use crate::kernels::norm::{Normalised, Parameters, Settings, norm_tail};
use crate::kernels::pool;

/// `x`, N×C×H×W on the CPU, through `layers`.
pub fn forward(layers: &[Layer], mut x: Tensor<4>) -> Tensor<4> {
    let mut rest = layers;
    while !rest.is_empty() {
        (x, rest) = match rest {
            [Layer::Conv(c), Layer::Relu(_), Layer::MaxPool(_), rest @ ..] => (conv(c, x, Tail::ReluMaxPool), rest),
            [Layer::Conv(c), Layer::Relu(_), rest @ ..] => (conv(c, x, Tail::Relu), rest),
            [Layer::Conv(c), Layer::Norm(n), Layer::Relu(_), rest @ ..] if c.bias.is_none() => (unit(c, n, x, None, true, Place::default()), rest),
            [Layer::Conv(c), Layer::Norm(n), rest @ ..] if c.bias.is_none() => (unit(c, n, x, None, false, Place::default()), rest),
            [Layer::Conv(c), rest @ ..] => (conv(c, x, Tail::None), rest),
            [Layer::Norm(n), Layer::Relu(_), rest @ ..] => (norm(n, x, true), rest),
            [Layer::Norm(n), rest @ ..] => (norm(n, x, false), rest),
            [Layer::MaxPool(_), rest @ ..] => (pool::max_pool(x), rest),
            [Layer::GlobalAvgPool(_), rest @ ..] => (pool::global_average(x), rest),
            [Layer::Residual(block), rest @ ..] => (residual(block, x), rest),
            [layer, rest @ ..] => (layer.forward(x), rest),
            [] => break,
        };
    }
    x
}

/// The blocks that our nets have as units; any other as its layers say.
fn residual(block: &Residual, x: Tensor<4>) -> Tensor<4> {
    let [Layer::Conv(c1), Layer::Norm(n1), Layer::Relu(_), Layer::Conv(c2), Layer::Norm(n2)] = &block.body[..] else {
        return relu(forward(&block.body, x.clone()) + forward(&block.shortcut, x));
    };
    if c1.bias.is_some() || c2.bias.is_some() {
        return relu(forward(&block.body, x.clone()) + forward(&block.shortcut, x));
    }
    if !block.shortcut.is_empty() {
        let side = forward(&block.shortcut, x.clone());
        let inner = unit(c1, n1, x, None, true, Place::default());
        return unit(c2, n2, inner, Some(side), true, Place::default());
    }
    let shortcut = Shortcut::default();
    let around = x.clone().detach();
    let inner = unit(c1, n1, x, None, true, Place { first: Some(shortcut.clone()), last: None });
    unit(c2, n2, inner, Some(around), true, Place { first: None, last: Some(shortcut) })
}

fn geometry(layer: &Conv2d) -> Geometry {
    let padding = match layer.padding {
        PaddingConfig2d::Explicit(top, _, _, _) => top, // the same on all sides, see `LayerSpec::init`
        _ => 0,
    };
    Geometry { stride: layer.stride[0], padding, groups: layer.groups }
}

fn conv(layer: &Conv2d, x: Tensor<4>, tail: Tail) -> Tensor<4> {
    conv_tail(x, layer.weight.val(), layer.bias.as_ref().map(|b| b.val()), geometry(layer), tail)
}

fn unit(conv: &Conv2d, layer: &BatchNorm, x: Tensor<4>, added: Option<Tensor<4>>, relu: bool, place: Place) -> Tensor<4> {
    normalise(layer, &x.device(), relu, |parameters, settings| {
        conv_norm_tail(x, conv.weight.val(), parameters, added, Unit { geometry: geometry(conv), settings, place })
    })
}

fn norm(layer: &BatchNorm, x: Tensor<4>, relu: bool) -> Tensor<4> {
    normalise(layer, &x.device(), relu, |parameters, settings| norm_tail(x, parameters, None, settings))
}

/// As burn's [`BatchNorm::forward`], running statistics included, around `run`.
fn normalise(layer: &BatchNorm, device: &Device, relu: bool, run: impl FnOnce(Parameters, Settings) -> Normalised) -> Tensor<4> {
    let batch_statistics = device.is_autodiff() && layer.training.is_enabled();
    let (mean, variance) = if batch_statistics {
        (layer.running_mean.value_sync(), layer.running_var.value_sync())
    } else {
        (layer.running_mean.value(), layer.running_var.value())
    };
    let [mean, variance] = [mean, variance].map(|s| s.to_device(device));
    let parameters = Parameters { gamma: layer.gamma.val(), beta: layer.beta.val(), mean: mean.clone(), variance: variance.clone() };
    let made = run(parameters, Settings { batch_statistics, epsilon: layer.epsilon, add: false, relu });
    if batch_statistics {
        let follow = |running: Tensor<1>, now: Tensor<1>| (running.mul_scalar(1.0 - layer.momentum) + now.mul_scalar(layer.momentum)).detach();
        layer.running_mean.update(follow(mean, made.mean));
        layer.running_var.update(follow(variance, made.variance));
    }
    made.images
}

#[cfg(test)]
mod tests {
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, TensorData};
    use rand::RngExt;

    use super::super::{Classifier, layers};
    use crate::data::Slot;
    use crate::kernels::simd::Isa;
    use crate::model::arch::ARCHITECTURES;
    use crate::model::tensors::floats;
    use crate::train::cross_entropy;
    use burn::tensor::Tensor;

    /// Most that a tensor may be off, as a share of its largest value.
    const BOUND: f32 = 1e-4;

    fn images(seed: u64, n: usize, [c, h, w]: [usize; 3], device: &Device) -> Tensor<4> {
        let mut rng = crate::rng::stream(seed, "images", 0);
        let pixels: Vec<f32> = (0..n * c * h * w).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(pixels, [n, c, h, w]), device)
    }

    fn plain(net: &Classifier, x: Tensor<4>) -> Tensor<2> {
        net.head.forward(net.stages.iter().fold(x, |x, s| layers::forward_plain(&s.layers, x)).flatten::<2>(1, 3))
    }

    /// The largest difference as a share of the largest value.
    fn off(ours: &[f32], burns: &[f32]) -> f32 {
        assert!(ours.len() == burns.len() && ours.iter().chain(burns).all(|v| v.is_finite()));
        let scale = burns.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
        let worst = ours.iter().zip(burns).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        worst / scale
    }

    /// What is continuous in the image, and so the same up to rounding whatever the image: logits and running statistics after a forward
    /// pass in training mode, logits in inference mode. Then the gradient that is farthest from burn's, and how far.
    fn compare(net: &Classifier, seed: u64, input: [usize; 3], frozen_statistics: bool) -> (String, f32) {
        let n = 7;
        let slots: Vec<Option<Slot>> = (0..n).map(|i| Some(Slot(i % 5))).collect();
        let forward = |net: &Classifier, x, fused: bool| if fused { net.logits(x) } else { plain(net, x) };
        let results = |fused: bool| {
            let inferred = floats(forward(net, images(seed, n, input, &Device::flex()), fused));
            let net = net.clone().trainable(|_| true, frozen_statistics);
            let logits = forward(&net, images(seed, n, input, &Device::flex().autodiff()), fused);
            let gradients = net.gradients(&GradientsParams::from_grads(cross_entropy(logits.clone(), &slots).backward(), &net));
            let mut continuous = vec![("inferred logits".to_string(), inferred), ("logits".to_string(), floats(logits.inner()))];
            continuous.extend(net.finished().tensors().into_iter().map(|t| (t.name, t.values)));
            (continuous, gradients)
        };
        let ((ours, our_gradients), (burns, burn_gradients)) = (results(true), results(false));
        assert_eq!(ours.len(), burns.len());
        for ((name, a), (_, b)) in ours.iter().zip(&burns) {
            let off = off(a, b);
            assert!(off <= BOUND, "{name} of images {seed} {input:?}, frozen {frozen_statistics}: off by {off}");
        }
        assert_eq!(our_gradients.keys().collect::<Vec<_>>(), burn_gradients.keys().collect::<Vec<_>>());
        let all = burn_gradients.into_iter().map(|(name, b)| (off(&our_gradients[&name], &b), name));
        let (off, name) = all.max_by(|a, b| a.0.total_cmp(&b.0)).expect("a network has parameters");
        (name, off)
    }

    /// Fused kernels against burn's own operations, on sizes that do not divide by anything and on some that go by tiles. Where a ReLU's
    /// input is zero but for rounding, that decides whether a gradient passes: burn's own moves by 0.5 % with the last bit of the image.
    /// So a gradient beyond the bound is tried on other images; a wrong kernel is beyond it with all.
    #[test]
    fn every_architecture_and_its_gradients_are_burns() {
        Isa::available().for_each(|isa| isa.forced(every_architecture));
    }

    fn every_architecture() {
        for entry in ARCHITECTURES {
            for (sides, frozen_statistics) in [([9, 11], true), ([9, 11], false), ([16, 16], true), ([16, 16], false)] {
                let input = [3, entry.min_side.max(sides[0]), entry.min_side.max(sides[1])];
                let net = Classifier::new(entry.name, input, 5, 1, &Device::flex()).expect("a valid architecture");
                let mut tried = Vec::new();
                while tried.len() < 4 && tried.last().is_none_or(|(_, off)| *off > BOUND) {
                    tried.push(compare(&net, tried.len() as u64, input, frozen_statistics));
                }
                assert!(
                    tried.last().is_some_and(|(_, off)| *off <= BOUND),
                    "{} {input:?}, frozen {frozen_statistics}, {}: {tried:?}",
                    entry.name,
                    Isa::current().name()
                );
            }
        }
    }

    /// The image's gradient must not be left out where nothing else trains: what is drawn out of a model comes by it.
    #[test]
    fn the_gradient_of_the_input_alone_is_burns() {
        Isa::available().for_each(|isa| isa.forced(the_inputs_gradient));
    }

    fn the_inputs_gradient() {
        let device = Device::flex();
        for entry in ARCHITECTURES {
            let input = [3, entry.min_side.max(9), entry.min_side.max(11)];
            let net = Classifier::new(entry.name, input, 5, 1, &device).expect("a valid architecture").trainable(|_| false, true);
            let x = images(3, 2, input, &device.clone().autodiff()).require_grad();
            let gradient = |fused: bool| {
                let logits = if fused { net.logits(x.clone()) } else { plain(&net, x.clone()) };
                floats(x.grad(&cross_entropy(logits, &[Some(Slot(1)), Some(Slot(4))]).backward()).expect("the image is tracked"))
            };
            let (ours, burns) = (gradient(true), gradient(false));
            assert!(burns.iter().any(|v| *v != 0.0), "{}", entry.name);
            let off = off(&ours, &burns);
            assert!(off <= BOUND, "{}: off by {off}", entry.name);
        }
    }
}
