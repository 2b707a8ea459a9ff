//! What the benchmarks measure: steps of training and inference through the crate's own path, on made-up images in memory.
//!
//! Shared by `engine.rs`, `kernels.rs` and by `peers/workload.rs`, whose PyTorch side (`peers/peer.py`) makes the same numbers and takes the
//! same steps.
#![allow(dead_code)] // each of them uses a part

pub mod conv;

use std::sync::Arc;

use burn::nn::{Initializer, Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use unlearn::cached::gather;
use unlearn::context::{Context, OptimiserKind, Pipeline, Reporter, Schedule, TrainSettings};
use unlearn::data::augment::Augmentation;
use unlearn::data::{Batches, ClassId, ClassMap, Dataset, Labelled, Normalisation, Part, Samples, Slot, embedded};
use unlearn::error::Result;
use unlearn::model::Classifier;
use unlearn::optimiser::Optimiser;
use unlearn::output::Output;
use unlearn::summary::EpochRow;
use unlearn::train::EpochMeter;
use unlearn::{rng, train};

/// A network, its batch and how many batches there are before they come again.
#[derive(Debug, Clone)]
pub struct Load {
    /// Architecture.
    pub arch: String,
    /// Channels, height, width.
    pub input: [usize; 3],
    /// Classes.
    pub slots: usize,
    /// Images a step.
    pub batch: usize,
    /// Batches in memory.
    pub pool: usize,
}

/// Does step number `i` and gives its loss, or for inference the sum of its logits: a value that nobody can leave out.
pub type Step = Box<dyn FnMut(usize) -> Tensor<1>>;

/// `count` even draws from 0–1, by number from `first`: MurmurHash3's finaliser of a counter, which any language has.
pub fn numbers(count: usize, first: usize) -> Vec<f32> {
    let draw = |i: usize| {
        let mut x = i as u32;
        x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
        x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
        ((x ^ (x >> 16)) >> 8) as f32 / (1 << 24) as f32
    };
    (first..first + count).map(draw).collect()
}

impl Load {
    /// The network as it starts.
    pub fn network(&self) -> Result<Classifier> {
        Classifier::new(&self.arch, self.input, self.slots, 0, &Device::flex())
    }

    /// The settings of `train::fit`.
    pub fn settings(&self) -> TrainSettings {
        let (optimiser, schedule) = (OptimiserKind::Adam, Schedule::Constant);
        TrainSettings { epochs: 1, batch: self.batch, lr: 1e-3, optimiser, schedule, weight_decay: 0.0 }
    }

    /// Numbers in a batch of images.
    fn size(&self) -> usize {
        self.batch * self.input.iter().product::<usize>()
    }

    fn images(&self, device: &Device) -> Vec<Tensor<4>> {
        let [c, h, w] = self.input;
        let batch = |k| Tensor::from_data(TensorData::new(numbers(self.size(), k * self.size()), [self.batch, c, h, w]), device);
        (0..self.pool).map(batch).collect()
    }

    fn labels(&self) -> Vec<Option<Slot>> {
        let draws = numbers(self.batch * self.pool, 1 << 31);
        draws.into_iter().map(|v| Some(Slot((v * self.slots as f32) as usize))).collect()
    }
}

/// Training steps as `train::fit` takes them.
pub fn trainer(net: Classifier, load: &Load) -> Step {
    let images = load.images(&Device::flex().autodiff());
    let slots: Vec<Vec<Option<Slot>>> = load.labels().chunks(load.batch).map(<[_]>::to_vec).collect();
    let settings = load.settings();
    let mut optimiser = settings.optimiser();
    let mut net = Some(net.trainable(|_| true, false));
    Box::new(move |i| {
        let k = i % images.len();
        let before = net.take().expect("put back below");
        let loss = train::cross_entropy(before.logits(images[k].clone()), &slots[k]);
        let grads = GradientsParams::from_grads(loss.backward(), &before);
        net = Some(optimiser.step(settings.rate(i, i + 1), before, grads));
        loss.detach()
    })
}

/// Training steps of a bare linear layer on features in memory, shuffled each epoch: what head-only training on cached activations repeats.
pub fn head_trainer(load: &Load) -> Step {
    let device = Device::flex().autodiff();
    let width = load.input.iter().product();
    let features = numbers(load.pool * load.size(), 0);
    let labels = load.labels();
    let settings = load.settings();
    let mut optimiser = settings.optimiser();
    let bound = 1.0 / (width as f64).sqrt();
    let fresh: Linear = LinearConfig::new(width, load.slots).with_initializer(Initializer::Uniform { min: -bound, max: bound }).init(&device);
    let mut head = Some(fresh);
    let mut order: Vec<usize> = (0..labels.len()).collect();
    let (pool, batch) = (load.pool, load.batch);
    Box::new(move |i| {
        if i % pool == 0 {
            order.shuffle(&mut rng::stream(0, "shuffle", i as u64));
        }
        let picked = &order[i % pool * batch..][..batch];
        let values = gather(&features, width, picked);
        let slots: Vec<Option<Slot>> = picked.iter().map(|i| labels[*i]).collect();
        let before = head.take().expect("put back below");
        let logits = before.forward(Tensor::<2>::from_data(TensorData::new(values, [batch, width]), &device));
        let loss = train::cross_entropy(logits, &slots);
        let grads = GradientsParams::from_grads(loss.backward(), &before);
        head = Some(optimiser.step(settings.rate(i, i + 1), before, grads));
        loss.detach()
    })
}

/// Forward passes as `train::predict` makes them.
pub fn predictor(net: Classifier, load: &Load) -> Step {
    let images = load.images(&Device::flex());
    Box::new(move |i| net.logits(images[i % images.len()].clone()).sum())
}

/// A network and its images through the whole loop of `train::fit`: input pipeline, steps, meter.
pub struct Training {
    net: Option<Classifier>,
    optimiser: Optimiser,
    data: Labelled,
    ctx: Context,
}

impl Training {
    /// `arch` on the ten digits of `mnist-mini`, as the program trains it.
    pub fn of_digits(arch: &str, batch: usize) -> Result<Self> {
        Self::new(arch, batch, &embedded::mnist_mini()?)
    }

    /// `load`'s network on made-up images, augmented as EMNIST's are.
    pub fn made_up(load: &Load) -> Result<Self> {
        let count = load.batch * load.pool;
        let pixels = numbers(count * load.input.iter().product::<usize>(), 0).into_iter().map(|v| (v * 255.0) as u8).collect();
        let labels = (0..count).map(|i| ClassId((i % load.slots) as u16)).collect();
        let part = Arc::new(Part::new("made up", load.input, pixels, labels, load.slots)?);
        let dataset = Dataset {
            name: "made up".into(),
            class_names: (0..load.slots).map(|k| k.to_string()).collect(),
            train: part.clone(),
            test: part,
            augmentation: Augmentation::emnist(),
            normalisation: Normalisation::none(),
        };
        Self::new(&load.arch, load.batch, &dataset)
    }

    fn new(arch: &str, batch: usize, dataset: &Dataset) -> Result<Self> {
        let map = ClassMap::new((0..dataset.class_names.len() as u16).map(ClassId).collect())?;
        let load = Load { arch: arch.into(), input: dataset.shape(), slots: map.len(), batch, pool: 0 };
        let settings = load.settings();
        let data = Labelled::new(Samples::of_classes(&dataset.train, map.classes()), &map);
        let net = Some(load.network()?.trainable(|_| true, false));
        let ctx = Context {
            model: arch.into(),
            seed: 0,
            device: Device::flex(),
            pipeline: Pipeline::of(dataset, true),
            reporter: Reporter::new(Output::new(true)),
            cost: Default::default(),
            settings,
        };
        Ok(Self { net, optimiser: ctx.settings.optimiser(), data, ctx })
    }

    /// The batches of epoch `epoch`.
    pub fn batches(&self, epoch: usize) -> Batches<'_> {
        self.ctx.training_batches(&self.data, self.ctx.settings.batch, epoch)
    }

    /// A step without the meter.
    pub fn step(&mut self, images: Tensor<4>, slots: &[Option<Slot>]) {
        step(&mut self.net, &mut self.optimiser, self.ctx.settings.lr, (images, slots));
    }

    /// Such steps on the batches of epoch `epoch`.
    pub fn steps(&mut self, epoch: usize) {
        for batch in self.ctx.training_batches(&self.data, self.ctx.settings.batch, epoch) {
            step(&mut self.net, &mut self.optimiser, self.ctx.settings.lr, (batch.images, &batch.slots));
        }
    }

    /// One epoch, `after` being called behind each step.
    pub fn epoch(&mut self, epoch: usize, mut after: impl FnMut()) -> Result<EpochRow> {
        let mut meter = EpochMeter::new(epoch);
        for batch in self.ctx.training_batches(&self.data, self.ctx.settings.batch, epoch) {
            let before = self.net.take().expect("put back below");
            let logits = before.logits(batch.images);
            let loss = train::cross_entropy(logits.clone(), &batch.slots);
            meter.add(&self.ctx.model, &loss, logits, &batch.slots)?;
            let grads = GradientsParams::from_grads(loss.backward(), &before);
            self.net = Some(self.optimiser.step(self.ctx.settings.lr, before, grads));
            after();
        }
        Ok(meter.row())
    }
}

fn step(net: &mut Option<Classifier>, optimiser: &mut Optimiser, lr: f64, (images, slots): (Tensor<4>, &[Option<Slot>])) {
    let before = net.take().expect("put back below");
    let grads = GradientsParams::from_grads(train::cross_entropy(before.logits(images), slots).backward(), &before);
    *net = Some(optimiser.step(lr, before, grads));
}
