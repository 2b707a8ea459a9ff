//! Training the top of a network on cached activations: what lies below a cut runs once a sample, not once a step. On a GPU the cache stays
//! there.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Float, Tensor, TensorData};
use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::context::{Context, TrainSettings};
use crate::data::{Batches, Labelled, Slot};
use crate::error::Result;
use crate::model::{Activations, Classifier, Cut, tensors::floats};
use crate::pages::{PAGE, Pages, stays_on};
use crate::rng;
use crate::train::{self, EpochMeter, INFERENCE_BATCH};

/// Activations of samples at one cut, with the slots that they are trained towards.
#[derive(Debug)]
pub struct Cache {
    values: Values,
    shape: [usize; 3],
    slots: Vec<Option<Slot>>,
}

/// N·C·H·W activations.
#[derive(Debug)]
enum Values {
    /// In main memory: for the CPU.
    Here(Vec<f32>),
    /// On a GPU, N×CHW.
    There(Pages<Float>),
}

impl Cache {
    /// `values`, N·C·H·W floats of N samples of `shape` C×H×W, and N slots, to train with on `device`.
    ///
    /// # Panics
    /// If the sizes do not belong together.
    pub fn new(values: Vec<f32>, shape: [usize; 3], slots: Vec<Option<Slot>>, device: &Device) -> Self {
        let width = shape.iter().product::<usize>();
        assert_eq!(values.len(), slots.len() * width, "a row a sample");
        let values = match stays_on(device, 4 * values.len()) {
            true => Values::There(Pages::of(&values, width, PAGE, &device.clone().without_autodiff())),
            false => Values::Here(values),
        };
        Self { values, shape, slots }
    }

    /// An empty cache on `device` for the activations of `samples` samples of `model` at `cut`.
    pub fn with_capacity(samples: usize, model: &Classifier, cut: Cut, device: &Device) -> Self {
        let shape = model.spec().cut_shapes[cut.0];
        let floats = samples * shape.iter().product::<usize>();
        let values = match stays_on(device, 4 * floats) {
            true => Values::There(Pages::new()),
            false => Values::Here(Vec::with_capacity(floats)),
        };
        Self { values, shape, slots: Vec::with_capacity(samples) }
    }

    /// Adds the activations of `model` at `cut` on `data`, augmented once, in an order of their own; other numbers `copy` augment otherwise.
    /// The forward passes are counted in `ctx.cost`.
    ///
    /// # Panics
    /// If the activations have not the shape of those that are there.
    pub fn add(&mut self, model: &Classifier, cut: Cut, data: &Labelled, copy: u64, ctx: &mut Context) -> Result<()> {
        assert_eq!(self.shape, model.spec().cut_shapes[cut.0], "activations of one cut");
        let (normalisation, seed) = (&ctx.pipeline.normalisation, rng::derive_seed(ctx.seed, "cache", copy));
        let mut there = Vec::new();
        for batch in Batches::shuffled(data, INFERENCE_BATCH, normalisation, Some(&ctx.pipeline.augmentation), (seed, 0), &ctx.device) {
            ctx.check_interrupt()?;
            let made = model.activations(batch.images, cut).0;
            match &mut self.values {
                Values::Here(values) => values.extend(floats(made)),
                Values::There(_) => there.push(made.flatten::<2>(1, 3)),
            }
            self.slots.extend(batch.slots);
        }
        if let Values::There(pages) = &mut self.values {
            pages.extend(there, PAGE);
        }
        ctx.cost.forwarded_part(data.len(), 1.0 - model.spec().share_above(cut));
        Ok(())
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The activations of the samples `picked`, N×C×H×W, on `device`: that of the cache, with autodiff or without.
    ///
    /// # Panics
    /// If a sample is not there.
    pub fn rows(&self, picked: &[usize], device: &Device) -> Tensor<4> {
        let [c, h, w] = self.shape;
        let shape = [picked.len(), c, h, w];
        match &self.values {
            Values::Here(values) => Tensor::from_data(TensorData::new(gather(values, c * h * w, picked), shape), device),
            Values::There(pages) => {
                let rows = pages.pick(picked, &device.clone().without_autodiff()).reshape(shape);
                if device.is_autodiff() { Tensor::from_inner(rows) } else { rows }
            }
        }
    }

    /// The slots of the samples `picked`.
    pub fn slots(&self, picked: &[usize]) -> Vec<Option<Slot>> {
        picked.iter().map(|i| self.slots[*i]).collect()
    }

    /// All samples in the order of epoch `epoch`, from the stream `shuffle` of `seed`.
    pub fn order(&self, seed: u64, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut rng::stream(seed, "shuffle", epoch as u64));
        order
    }
}

/// The rows `picked` of `values`, which has rows of `width`.
pub fn gather(values: &[f32], width: usize, picked: &[usize]) -> Vec<f32> {
    let mut rows = vec![0f32; picked.len() * width];
    let copy = |(rows, picked): (&mut [f32], &[usize])| {
        rows.chunks_exact_mut(width.max(1)).zip(picked).for_each(|(row, i)| row.copy_from_slice(&values[i * width..][..width]));
    };
    // Rows lie scattered: one thread alone waits for memory most of the time.
    let each = picked.len().div_ceil(rayon::current_num_threads()).max(1);
    rows.par_chunks_mut((each * width).max(1)).zip(picked.par_chunks(each)).for_each(copy);
    rows
}

/// What another network says of a cache's samples, for the top to follow (Hinton et al. 2015, arXiv 1503.02531).
#[derive(Debug)]
pub struct Teacher {
    /// Probabilities over the slots, N×K, of logits divided by the temperature; a row of zeros where it says nothing.
    pub probabilities: Vec<f32>,
    /// Its share α of the loss where it says something.
    pub share: f32,
    /// The temperature T.
    pub temperature: f32,
}

impl Teacher {
    /// (1−α)·CE(label, z + offsets) + α·T²·CE(teacher, z/T) of N×K logits z of the samples `picked`, the label's alone and whole where the teacher
    /// says nothing; mean over the samples, nats. T² keeps the second gradient as large as the first (Hinton et al. 2015, section 2).
    fn loss(&self, logits: Tensor<2>, offsets: Tensor<2>, picked: &[usize], slots: &[Option<Slot>]) -> Tensor<1> {
        let [n, k] = logits.dims();
        let mut soft = gather(&self.probabilities, k, picked);
        let mut hard = vec![0f32; n * k];
        for ((hard, soft), slot) in hard.chunks_mut(k).zip(soft.chunks_mut(k)).zip(slots) {
            let silent = soft.iter().all(|p| *p == 0.0);
            if let Some(Slot(s)) = slot {
                hard[*s] = if silent { 1.0 } else { 1.0 - self.share };
            }
            soft.iter_mut().for_each(|p| *p *= self.share * self.temperature.powi(2));
        }
        let device = logits.device();
        let targets = |values| Tensor::<2>::from_data(TensorData::new(values, [n, k]), &device);
        train::soft_cross_entropy(logits.clone() + offsets, targets(hard), n)
            + train::soft_cross_entropy(logits.div_scalar(self.temperature), targets(soft), n)
    }
}

/// Trains every parameter of `model` above `cut` on `cache` with cross-entropy of its logits plus `offsets`, one a slot, and towards what
/// `teacher` says, as `settings` say. What lies below stays as it is, bit by bit.
///
/// # Errors
/// Ctrl-C; a loss that is not finite.
pub fn fit_top(
    model: Classifier,
    cut: Cut,
    cache: &Cache,
    offsets: &[f32],
    teacher: Option<&Teacher>,
    settings: &TrainSettings,
    ctx: &mut Context,
) -> Result<Classifier> {
    let share = model.spec().share_above(cut);
    let device = ctx.device.clone().autodiff();
    let offsets: Tensor<2> = Tensor::from_data(TensorData::new(offsets.to_vec(), [1, offsets.len()]), &device);
    let mut net = model.trainable(|_| true, false);
    let mut optimiser = settings.optimiser();
    let batches = cache.len().div_ceil(settings.batch);
    let bar = ctx.bar(settings.epochs, batches);
    for epoch in 0..settings.epochs {
        let mut meter = EpochMeter::new(epoch);
        for (i, picked) in cache.order(ctx.seed, epoch).chunks(settings.batch).enumerate() {
            ctx.check_interrupt()?;
            let slots = cache.slots(picked);
            let logits = net.resume(Activations(cache.rows(picked, &device)), cut); // [N, K]
            let loss = match teacher {
                None => train::cross_entropy(logits.clone() + offsets.clone(), &slots),
                Some(teacher) => teacher.loss(logits.clone(), offsets.clone(), picked, &slots),
            };
            meter.add(&ctx.model, &loss, logits, &slots)?;
            let grads = GradientsParams::from_grads(loss.backward(), &net);
            net = optimiser.step(settings.rate(epoch * batches + i, settings.epochs * batches), net, grads);
            bar.batch(epoch);
        }
        ctx.cost.trained_part(cache.len(), share);
        ctx.show_epoch(&bar, &meter.row())?;
    }
    Ok(net.finished())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worked_loss_of_a_teacher() {
        // z = (2, 0), T = 2, α = .25. Label 0: CE = ln(1 + e⁻²) = .126928. Teacher (.5, .5) at z/T = (1, 0): CE = ln(1 + e) − .5 = .813262.
        // Sample 1: .75·.126928 + .25·4·.813262 = .908458; sample 2, label 1, the teacher silent: ln(1 + e²) = 2.126928. Mean 1.517693.
        let teacher = Teacher { probabilities: vec![0.0, 0.0, 0.5, 0.5], share: 0.25, temperature: 2.0 };
        let device = Device::flex().autodiff();
        let row = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values.clone(), [values.len() / 2, 2]), &device);
        let logits = row(vec![2.0, 0.0, 2.0, 0.0]).require_grad();
        let loss = teacher.loss(logits.clone(), row(vec![0.0, 0.0]), &[1, 0], &[Some(Slot(0)), Some(Slot(1))]);
        assert!((floats(loss.clone())[0] - 1.517_693).abs() < 1e-5);
        // Sample 1: [.75·(.880797 − 1) + .25·2·(.731059 − .5)]/2 = .013065; sample 2: .880797/2 = .440399; and their opposites.
        let gradient = floats(logits.grad(&loss.backward()).expect("tracked"));
        let wanted = [0.013_065, -0.013_065, 0.440_399, -0.440_399];
        assert!(gradient.iter().zip(wanted).all(|(g, w)| (g - w).abs() < 1e-5), "{gradient:?}");
    }

    #[test]
    fn a_cache_on_the_device_holds_what_one_here_holds() {
        let set = crate::data::synthetic::blobs().expect("made on the spot");
        let map = crate::data::ClassMap::new([1, 2].map(crate::data::ClassId).to_vec()).expect("two classes");
        let data = Labelled::new(crate::data::Samples::of_classes(&set.train, map.classes()), &map);
        let device = Device::flex();
        let model = Classifier::new("cnn-s", set.shape(), 2, 1, &device).expect("small");
        let mut ctx = crate::audit::fixture::Fixture::new().context();
        let cut = Cut(1);
        let mut here = Cache::with_capacity(2 * data.len(), &model, cut, &device);
        let mut there = Cache { values: Values::There(Pages::new()), shape: here.shape, slots: vec![] };
        for cache in [&mut here, &mut there] {
            (0..2).for_each(|copy| cache.add(&model, cut, &data, copy, &mut ctx).expect("no Ctrl-C"));
        }
        assert!(matches!(&there.values, Values::There(pages) if pages.len() == 2 * data.len()));
        assert_eq!(here.slots, there.slots);
        let picked = [3, 0, data.len() + 5, 3];
        for device in [device.clone(), device.autodiff()] {
            let (a, b) = (here.rows(&picked, &device), there.rows(&picked, &device));
            assert_eq!((a.dims(), a.is_autodiff()), (b.dims(), b.is_autodiff()));
            assert_eq!(floats(a), floats(b));
        }
    }
}
