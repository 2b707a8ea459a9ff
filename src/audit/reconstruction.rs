//! `reconstruction`: can an image of the old class be drawn out of the model?

use base64::Engine;
use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use super::{Audit, CutFeatures, Findings, Measured, PartName, Subject};
use crate::context::Context;
use crate::data::{Role, Samples, sheet};
use crate::error::Result;
use crate::model::{Classifier, Cut, tensors::floats};
use crate::optimiser::Optimiser;
use crate::summary::{Content, Exhibit, Family, Picture};
use crate::train::cross_entropy;

/// Steps of an inversion.
const STEPS: usize = 150;
/// Adam's rate, in shares of white.
const RATE: f64 = 0.02;
/// Weight of the total variation, the mean absolute difference of neighbouring pixels.
const VARIATION: f64 = 0.1;
/// Weight of the mean squared distance to the start.
const DISTANCE: f64 = 0.1;
/// Pictures are enlarged to at least this edge.
const LEGIBLE: usize = 56;

/// Model inversion, from the mean image of retain ∪ learn (training images), 150 steps of Adam on the pixels, kept between black and white. Minimised is
/// what the model says, plus 0.1 of the total variation and of the mean squared distance to the start:
/// * feature: ‖f(x) − μ‖²/‖μ‖², f the last cut's features and μ their mean over the old class's training images;
/// * slot: −log p(x) of the slot that the old class has or had, in which after a swap the new class is.
///
/// `feature_correlation_old` and `slot_correlation_old`: Pearson correlation, over all pixels, of what the inversion changed with how the old class's mean
/// image differs from the start. 1: that class is drawn; 0: nothing of it. A model that never saw a class may still draw some of it, hence
/// the oracles. Undefined where nothing changes, where there is no such slot, or where the features are all 0.
///
/// A picture of a class, not of a person's image: classes here are alike, and this tells nothing about single images.
#[derive(Debug)]
pub struct Reconstruction;

impl Audit for Reconstruction {
    fn name(&self) -> &'static str {
        "reconstruction"
    }

    fn summary(&self) -> &'static str {
        "images of the old class drawn out of the model by inversion, beside its mean image"
    }

    fn source(&self) -> &'static str {
        "model inversion: Fredrikson et al., CCS 2015; of features: arXiv 1412.0035; on unlearned models: Graves et al., AAAI 2021"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, ctx: &mut Context) -> Result<Findings> {
        let data = subject.data;
        let rest = [Role::Retain, Role::Learn].into_iter().filter_map(|role| data.set(role, PartName::Train));
        let (Some(old), Some(rest)) = (data.set(Role::Forget, PartName::Train), rest.cloned().reduce(|a, b| a.followed_by(&b))) else {
            return Ok(Findings::default());
        };
        if cut.index + 1 < subject.me.signals.cut_count() || old.is_empty() || rest.is_empty() {
            return Ok(Findings::default());
        }
        let start = mean_image(&rest);
        let truth = mean_image(old);
        let classes = data.feature_classes(PartName::Train);
        let rows: Vec<usize> = (0..classes.len()).filter(|i| classes[*i] == data.old()).collect();
        let mut mean = vec![0f64; cut.train.width];
        for i in &rows {
            mean.iter_mut().zip(cut.train.row(*i)).for_each(|(m, v)| *m += f64::from(*v) / rows.len() as f64);
        }
        let size: f64 = mean.iter().map(|m| m * m).sum();
        let net = subject.me.model.clone().trainable(|_| false, true);
        let last = Cut(net.cuts().len() - 1);
        let device = ctx.device.clone().autodiff();
        let target = Tensor::<2>::from_data(TensorData::new(mean.iter().map(|m| *m as f32).collect(), [1, mean.len()]), &device);
        let feature = |net: &Classifier, x| (net.activations(x, last).0.flatten::<2>(1, 3) - target.clone()).square().sum().div_scalar(size);
        let slot = |net: &Classifier, x| cross_entropy(net.logits(x), &[subject.old_slot()]);

        let shape = old.shape();
        let drawn = [
            (size != 0.0).then(|| invert(&net, feature, &start, shape, ctx)).transpose()?,
            subject.old_slot().map(|_| invert(&net, slot, &start, shape, ctx)).transpose()?,
        ];
        let likeness = drawn.each_ref().map(|d| d.as_ref().and_then(|d| correlation(&minus(d, &start), &minus(&truth, &start))));
        let captions = ["from the old class's features", "from the slot it has or had"];
        let mut pictures = vec![picture("the class's mean image", &truth, shape), picture("where the inversion starts", &start, shape)];
        pictures.extend(drawn.iter().zip(captions).filter_map(|(d, caption)| d.as_ref().map(|d| picture(caption, d, shape))));
        let exhibit = Exhibit {
            audit: self.name().into(),
            title: "The old class, drawn out of the model".into(),
            note: "Inversion: the image that gives the old class’s mean features, and the one that the slot it has or had answers most surely."
                .into(),
            content: Content::Pictures(pictures),
        };
        let [feature, slot] = likeness;
        let figures = vec![
            Measured::new("feature_correlation_old", feature, "correlation", 0.15).showing_old_class(),
            Measured::new("slot_correlation_old", slot, "correlation", 0.15).showing_old_class().in_family(Family::Output),
        ];
        Ok(Findings { figures, exhibits: vec![exhibit] })
    }
}

/// The image that is changed.
#[derive(Module, Debug)]
struct Canvas {
    /// 1×C×H×W, from 0 to 1.
    pixels: Param<Tensor<4>>,
}

/// The image (C·H·W, from 0 to 1) to which `start` goes to make `loss` of `net` on the normalised image small.
///
/// # Errors
/// Ctrl-C.
fn invert(
    net: &Classifier,
    loss: impl Fn(&Classifier, Tensor<4>) -> Tensor<1>,
    start: &[f32],
    [c, h, w]: [usize; 3],
    ctx: &Context,
) -> Result<Vec<f32>> {
    let device = ctx.device.clone().autodiff();
    let constant = |values: Vec<f32>, shape: [usize; 4]| Tensor::<4>::from_data(TensorData::new(values, shape), &device);
    let normalisation = &ctx.pipeline.normalisation;
    let [mean, std] = [&normalisation.mean, &normalisation.std].map(|v| constant((0..c).map(|k| v[k % v.len()]).collect(), [1, c, 1, 1]));
    let begin = constant(start.to_vec(), [1, c, h, w]);
    let mut canvas = Canvas { pixels: Param::from_tensor(begin.clone()) };
    let mut optimiser = Optimiser::adam();
    for _ in 0..STEPS {
        ctx.check_interrupt()?;
        let x = canvas.pixels.val();
        let far = (x.clone() - begin.clone()).square().mean().mul_scalar(DISTANCE);
        let total = loss(net, (x.clone() - mean.clone()) / std.clone()) + variation(x).mul_scalar(VARIATION) + far;
        let grads = GradientsParams::from_grads(total.backward(), &canvas);
        canvas = optimiser.step(RATE, canvas, grads);
        canvas.pixels = canvas.pixels.map(|x| Tensor::from_inner(x.inner().clamp(0.0, 1.0)).require_grad());
    }
    Ok(floats(canvas.pixels.val().inner()))
}

/// Mean absolute difference of neighbouring pixels, down plus across; an image of one row or column has no neighbours there.
fn variation(x: Tensor<4>) -> Tensor<1> {
    let [_, _, h, w] = x.dims();
    let mut sum = Tensor::zeros([1], &x.device());
    if h > 1 {
        sum = sum + (x.clone().narrow(2, 1, h - 1) - x.clone().narrow(2, 0, h - 1)).abs().mean();
    }
    if w > 1 {
        sum = sum + (x.clone().narrow(3, 1, w - 1) - x.narrow(3, 0, w - 1)).abs().mean();
    }
    sum
}

/// C·H·W means over images, from 0 to 1.
fn mean_image(samples: &Samples) -> Vec<f32> {
    let mut sums = vec![0u64; samples.shape().iter().product()];
    for i in 0..samples.len() {
        sums.iter_mut().zip(samples.image(i)).for_each(|(s, b)| *s += u64::from(*b));
    }
    sums.into_iter().map(|s| (s as f64 / (255.0 * samples.len() as f64)) as f32).collect()
}

fn minus(a: &[f32], b: &[f32]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
}

/// Pearson correlation; none where one of the two is constant, NaN where a value is.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let centred = |v: &[f64]| -> Vec<f64> {
        let mean = crate::stats::mean(v);
        v.iter().map(|x| x - mean).collect()
    };
    let (a, b) = (centred(a), centred(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let sizes = dot(&a, &a) * dot(&b, &b);
    (sizes != 0.0).then(|| dot(&a, &b) / sizes.sqrt())
}

fn picture(caption: &str, image: &[f32], [c, h, w]: [usize; 3]) -> Picture {
    let scale = LEGIBLE.div_ceil(h.max(w)).max(1);
    let byte = |v: f32| (v * 255.0).round() as u8;
    let enlarged: Vec<u8> =
        (0..c * h * scale).flat_map(|row| (0..w * scale).map(move |x| (row / scale, x / scale))).map(|(row, x)| byte(image[row * w + x])).collect();
    let png = sheet::png_bytes(&enlarged, [c, h * scale, w * scale]);
    Picture { caption: caption.into(), png: base64::engine::general_purpose::STANDARD.encode(png) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn correlations_of_worked_cases() {
        assert!(correlation(&[1.0, 2.0, 4.0], &[3.0, 5.0, 9.0]).is_some_and(|r| (r - 1.0).abs() < 1e-12), "a line");
        assert!(correlation(&[1.0, 2.0, 3.0], &[1.0, -1.0, -3.0]).is_some_and(|r| (r + 1.0).abs() < 1e-12));
        // Centred (−1, 0, 1) and (0, −1, 1): 1/√(2·2).
        assert!(correlation(&[0.0, 1.0, 2.0], &[1.0, 0.0, 2.0]).is_some_and(|r| (r - 0.5).abs() < 1e-12));
        assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert!(correlation(&[f64::NAN, 1.0], &[1.0, 2.0]).is_some_and(f64::is_nan));
    }

    #[test]
    fn total_variation_of_worked_cases() {
        let image = |values: &[f32], shape| Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &Device::flex());
        // Down: |3−1|, |0−2| → mean 2; across: |2−1|, |0−3| → mean 2.
        assert_eq!(floats(variation(image(&[1.0, 2.0, 3.0, 0.0], [1, 1, 2, 2]))), [4.0]);
        assert_eq!(floats(variation(image(&[1.0, 2.0, 4.0], [1, 1, 1, 3]))), [1.5], "one row");
        assert_eq!(floats(variation(image(&[1.0], [1, 1, 1, 1]))), [0.0], "one pixel");
    }

    #[test]
    fn pictures_are_enlarged_without_blur() {
        let Picture { png, .. } = picture("two pixels", &[0.0, 1.0], [1, 1, 2]);
        let bytes = base64::engine::general_purpose::STANDARD.decode(png).expect("base64");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("a frame");
        assert_eq!(pixels, [vec![0u8; 28], vec![255; 28]].concat().repeat(28));
    }
}
