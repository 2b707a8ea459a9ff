//! Running statistics of given images: what a model with weights of its own making has to have before it can answer.

use burn::module::RunningState;
use burn::tensor::Tensor;

use super::layers::{Layer, NORM_MOMENTUM};
use super::tensors::is_statistic;
use super::{Classifier, Cut};

impl Classifier {
    /// The classifier with running statistics that it shares with no clone.
    pub(super) fn with_own_statistics(mut self) -> Self {
        self.stages.iter_mut().for_each(|s| own_statistics(&mut s.layers));
        self
    }

    /// Whether it has running statistics.
    pub fn has_statistics(&self) -> bool {
        self.tensors().iter().any(|t| is_statistic(&t.name))
    }

    /// The classifier with the running statistics of `batches` (N×C×H×W on the autodiff device) in place of its own: a mean over the batches'
    /// statistics, in which the last of them weigh a little more than the first.
    ///
    /// It is the running mean of a training in which nothing is learned, begun at 0 and divided by 1 − (1 − m)^B after B batches (m the momentum):
    /// the correction of Adam (Kingma & Ba 2015, §3) in place of what the statistics began with. Without batches they stay as they are.
    pub fn with_statistics_of(self, batches: impl IntoIterator<Item = Tensor<4>>) -> Self {
        let last = Cut(self.stages.len());
        let mut batches = batches.into_iter().peekable();
        if batches.peek().is_none() || !self.has_statistics() {
            return self;
        }
        // In training mode the statistics are its own, not shared with a clone.
        let net = self.trainable(|_| false, false).rewrite(|name, shape, _| is_statistic(name).then(|| vec![0.0; shape.iter().product()]));
        let mut seen = 0;
        for images in batches {
            net.activations(images, last);
            seen += 1;
        }
        let weight = (1.0 - (1.0 - NORM_MOMENTUM).powi(seen)) as f32;
        net.finished().rewrite(|name, _, current| is_statistic(name).then(|| current().into_iter().map(|v| v / weight).collect()))
    }
}

fn own_statistics(layers: &mut [Layer]) {
    for layer in layers {
        match layer {
            Layer::Norm(norm) => {
                norm.running_mean = RunningState::new(norm.running_mean.value_sync());
                norm.running_var = RunningState::new(norm.running_var.value_sync());
            }
            Layer::Residual(block) => {
                own_statistics(&mut block.body);
                own_statistics(&mut block.shortcut);
            }
            Layer::Conv(_) | Layer::Relu(_) | Layer::MaxPool(_) | Layer::GlobalAvgPool(_) | Layer::Flatten(_) | Layer::Linear(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn statistics_of_one_repeated_batch_are_that_batchs() {
        let device = Device::flex();
        let net = Classifier::new("resnet20", [1, 8, 8], 3, 1, &device).expect("a valid architecture");
        let before = net.hash();
        let pixels: Vec<f32> = (0..4 * 64).map(|i| (i % 7) as f32 * 0.1).collect();
        let batch = || Tensor::<4>::from_data(TensorData::new(pixels.clone(), [4, 1, 8, 8]), &device.clone().autodiff());
        let once = net.clone().with_statistics_of([batch()]);
        let thrice = net.clone().with_statistics_of([batch(), batch(), batch()]);
        assert_eq!(net.hash(), before, "the clone shared nothing");
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
        for (a, b) in once.tensors().iter().zip(thrice.tensors()) {
            assert!(a.values.iter().zip(&b.values).all(|(x, y)| close(*x, *y)), "{}", a.name);
        }
        // The stem's output: its convolution has no bias, so that its statistics follow from its weights and these images alone.
        let mean = |net: &Classifier| net.tensors().into_iter().find(|t| t.name == "stem.1.running_mean").expect("a statistic").values;
        assert!(mean(&net).iter().all(|v| *v == 0.0) && mean(&once).iter().any(|v| v.abs() > 1e-3));
        assert_eq!(net.clone().with_statistics_of([]).hash(), before);
    }

    /// burn's running statistics are shared by clones: a top drawn afresh for a new model once took its statistics from the original.
    #[test]
    fn what_is_written_into_a_clone_stays_there() {
        let device = Device::flex();
        let images =
            Tensor::<4>::from_data(TensorData::new((0..4 * 64).map(|i| (i % 7) as f32 * 0.1).collect(), [4, 1, 8, 8]), &device.clone().autodiff());
        let net = Classifier::new("resnet20", [1, 8, 8], 3, 1, &device).expect("a valid architecture").with_statistics_of([images]);
        let before = net.hash();
        let written = [net.clone().reset(2, |_| true), net.clone().rewrite(|_, shape, _| Some(vec![0.5; shape.iter().product()]))];
        assert!(written.iter().all(|other| other.hash() != before));
        assert_eq!(net.hash(), before);
    }
}
