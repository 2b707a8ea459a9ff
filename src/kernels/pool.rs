//! Pooling on its own: the 2×2 maximum where no convolution stands before it, and the mean over an image. Channels last.

use std::mem::MaybeUninit;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::conv::{Floor, max_pool_image, unpool_image};
use super::images::{Images, Size};
use super::memory::{filled, uninit};
use super::simd::Isa;
use super::{dense, floats};

/// Floats below which a second thread costs more than it does.
const SMALL: usize = 1 << 15;

/// The operations as burn routes them.
#[backend_extension(Flex, Autodiff)]
pub trait Pool: Backend {
    /// See [`max_pool`].
    fn max_pool_2x2(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`global_average`].
    fn global_average(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The maximum of every 2×2 square of N×C×H×W: N×C×⌊H/2⌋×⌊W/2⌋, channels last in memory. An odd last row or column is left out, as in
/// torch. Only for tensors on the CPU.
pub fn max_pool(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::max_pool_2x2(x.into_dispatch()))
}

/// The mean over height and width of N×C×H×W: N×C×1×1. Only for tensors on the CPU.
pub fn global_average(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::global_average(x.into_dispatch()))
}

fn largest(x: FlexTensor, keep_places: bool) -> (FlexTensor, Vec<u8>, Size) {
    let x = Images::new(x).channels_last();
    let [h, w, c] = x.size();
    let size = [h / 2, w / 2, c];
    let len: usize = size.iter().product();
    let mut out = uninit::<f32>(x.len() * len);
    let mut places = uninit::<u8>(if keep_places { out.len() } else { 0 });
    let mut place_chunks = places.chunks_mut(len.max(1));
    let chunks: Vec<_> = out.chunks_mut(len.max(1)).map(|out| (out, if keep_places { place_chunks.next() } else { None })).collect();
    let isa = Isa::current();
    chunks.into_par_iter().enumerate().for_each(|(i, (out, places))| max_pool_image(isa, [h, w, c], x.image(i), Floor::None, out, places));
    // SAFETY: `max_pool_image` writes all of every image's part, and of its places where they are kept.
    let (out, places) = unsafe { (filled(out), filled(places)) };
    (Images::tensor(out, x.len(), size), places, x.size())
}

fn means(x: FlexTensor) -> (FlexTensor, usize, Size) {
    let x = Images::new(x).channels_last();
    let [h, w, c] = x.size();
    let mut out = vec![0f32; x.len() * c];
    let mean = |(i, sums): (usize, &mut [f32])| {
        for pixel in x.image(i).chunks_exact(c) {
            sums.iter_mut().zip(pixel).for_each(|(s, v)| *s += v);
        }
        sums.iter_mut().for_each(|s| *s /= (h * w) as f32);
    };
    if x.floats().len() < SMALL {
        out.chunks_exact_mut(c).enumerate().for_each(mean);
    } else {
        out.par_chunks_exact_mut(c).enumerate().for_each(mean);
    }
    (dense(out, &[x.len(), c, 1, 1]), x.len(), x.size())
}

impl Pool for Flex {
    fn max_pool_2x2(x: FlexTensor) -> FlexTensor {
        largest(x, false).0
    }

    fn global_average(x: FlexTensor) -> FlexTensor {
        means(x).0
    }
}

#[derive(Debug)]
struct MaxPoolBackward;

impl Backward<Flex, 1> for MaxPoolBackward {
    /// Places of the maxima, size of an input.
    type State = (Vec<u8>, Size);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = Images::new(grads.consume::<Flex>(&ops.node)).channels_last();
        let (places, size) = ops.state;
        let [Some(node)] = ops.parents else { return };
        let (from, to): (usize, usize) = (dy.size().iter().product(), size.iter().product());
        let mut dx = vec![0f32; dy.len() * to];
        let isa = Isa::current();
        dx.par_chunks_mut(to.max(1)).enumerate().for_each(|(i, dx)| unpool_image(isa, size, dy.image(i), &places[i * from..][..from], dx));
        grads.register::<Flex>(node.id, Images::tensor(dx, dy.len(), size));
    }
}

#[derive(Debug)]
struct GlobalAverageBackward;

impl Backward<Flex, 1> for GlobalAverageBackward {
    /// Number and size of the inputs.
    type State = (usize, Size);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (n, [h, w, c]) = ops.state;
        let [Some(node)] = ops.parents else { return };
        let share = 1.0 / (h * w) as f32;
        let mut dx = uninit::<f32>(n * h * w * c);
        let dy = floats(&dy);
        assert_eq!(dy.len(), n * c, "a gradient a channel of every image");
        let spread = |(i, image): (usize, &mut [MaybeUninit<f32>])| {
            for pixel in image.chunks_exact_mut(c) {
                pixel.iter_mut().zip(&dy[i * c..]).for_each(|(to, d)| _ = to.write(d * share));
            }
        };
        if dx.len() < SMALL {
            dx.chunks_exact_mut(h * w * c).enumerate().for_each(spread);
        } else {
            dx.par_chunks_exact_mut(h * w * c).enumerate().for_each(spread);
        }
        // SAFETY: `spread` writes every pixel of every image.
        let dx = unsafe { filled(dx) };
        grads.register::<Flex>(node.id, Images::tensor(dx, n, [h, w, c]));
    }
}

impl<C: CheckpointStrategy> Pool for Autodiff<Flex, C> {
    fn max_pool_2x2(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        match MaxPoolBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (out, places, size) = largest(x, true);
                prepared.finish((places, size), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(largest(x, false).0),
        }
    }

    fn global_average(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let (out, n, size) = means(x);
        match GlobalAverageBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((n, size), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::pool::{AdaptiveAvgPool2dConfig, MaxPool2dConfig};
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::model::tensors::floats as values;

    proptest! {
        #![proptest_config(crate::kernels::cases(48))]

        #[test]
        fn as_burns_own(n in 1usize..5, c in 1usize..36, h in 2usize..9, w in 2usize..9) {
            Isa::available().try_for_each(|isa| isa.forced(|| check([n, c, h, w])))?;
        }
    }

    fn check([n, c, h, w]: [usize; 4]) -> Result<(), TestCaseError> {
        let mut rng = crate::rng::stream((n * c * h * w) as u64, "pool", 0);
        let mut random = |shape: [usize; 4]| {
            let floats = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
            Tensor::<4>::from_data(TensorData::new(floats, shape), &Device::flex().autodiff())
        };
        let x = random([n, c, h, w]).require_grad();
        let pairs = [
            (max_pool(x.clone()), MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init().forward(x.clone()), random([n, c, h / 2, w / 2])),
            (global_average(x.clone()), AdaptiveAvgPool2dConfig::new([1, 1]).init().forward(x.clone()), random([n, c, 1, 1])),
        ];
        for (ours, burns, dy) in pairs {
            let gradient = |y: &Tensor<4>| values(x.grad(&(y.clone() * dy.clone()).sum().backward()).expect("trained"));
            for (a, b) in values(ours.clone()).iter().zip(values(burns.clone())).chain(gradient(&ours).iter().zip(gradient(&burns))) {
                prop_assert!((a - b).abs() < 1e-6, "{a} on {}, burn has {b}", Isa::current().name());
            }
        }
        Ok(())
    }
}
