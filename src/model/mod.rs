//! Classifiers as a list of named stages and a linear head, so that every boundary between stages is a *cut* that audits can read
//! and methods can train from.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | [`Classifier`], [`Cut`], [`Activations`] |
//! | `layers` | the layers that stages are made of |
//! | `fused` | a row of layers on the CPU as fused kernels |
//! | `arch/` | the registry [`ARCHITECTURES`](arch::ARCHITECTURES), one architecture a file |
//! | `statistics` | running statistics of given images |
//! | `tensors` | named parameters and buffers: reading, writing, freezing, hashing |
//! | `checkpoint` | safetensors files with metadata |

pub mod arch;
pub mod checkpoint;
mod fused;
pub mod layers;
mod statistics;
pub mod tensors;

use std::sync::Arc;

use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::data::Slot;
use crate::error::Result;
use layers::Layer;

/// A boundary between stages: 0 is the input, k is after stage k; the last one is before the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cut(pub usize);

/// Activations at a cut, N×C×H×W (N×F×1×1 once flattened).
#[derive(Debug, Clone)]
pub struct Activations(pub Tensor<4>);

/// What determines a classifier's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Name of the architecture.
    pub architecture: String,
    /// Channels, height, width of an image.
    pub input: [usize; 3],
    /// Rows of the head.
    pub slots: usize,
    /// Name of every stage, in order.
    pub stage_names: Vec<String>,
    /// Activation shape at every cut, from the input to before the head.
    pub cut_shapes: Vec<[usize; 3]>,
    /// Multiply-adds of one image's forward pass through each stage, then through the head.
    pub macs: Vec<u64>,
}

impl Spec {
    /// Share of a whole pass's arithmetic that lies above `cut`.
    pub fn share_above(&self, cut: Cut) -> f64 {
        self.macs[cut.0..].iter().sum::<u64>() as f64 / self.macs.iter().sum::<u64>() as f64
    }
}

/// A stage: layers one after the other.
#[derive(Module, Debug)]
pub struct Stage {
    layers: Vec<Layer>,
}

/// Stages and a linear head.
///
/// A value of this type is always in inference mode, off the autodiff graph. Trainings turn it over with burn's
/// [`Module::train`] and back with [`Module::valid`]; both give fresh running statistics, which a plain clone would share.
#[derive(Module, Debug)]
pub struct Classifier {
    stages: Vec<Stage>,
    head: Linear,
    #[module(skip)]
    spec: Arc<Spec>,
}

impl Classifier {
    /// A classifier of `architecture` with weights drawn from the stream `init` of `seed`: uniform ±1/√fan_in for weights and
    /// biases, PyTorch's default (He et al. 2015, eq. 14 with a = √5).
    ///
    /// # Errors
    /// An unknown architecture, or an input too small for it.
    pub fn new(architecture: &str, input: [usize; 3], slots: usize, seed: u64, device: &Device) -> Result<Self> {
        Ok(Self::zeros(architecture, input, slots, device)?.reset(seed, |_| true))
    }

    /// The same with all weights zero: what a checkpoint is loaded into.
    pub fn zeros(architecture: &str, input: [usize; 3], slots: usize, device: &Device) -> Result<Self> {
        let stages = arch::stages(architecture, input)?;
        let mut shape = input;
        let mut cut_shapes = vec![input];
        let mut built = Vec::with_capacity(stages.len());
        let mut stage_names = Vec::with_capacity(stages.len());
        let mut macs = Vec::with_capacity(stages.len() + 1);
        for (name, specs) in stages {
            macs.push(layers::macs_all(&specs, shape));
            let (layers, out) = layers::init_all(&specs, shape, device);
            shape = out;
            cut_shapes.push(out);
            stage_names.push(name.to_string());
            built.push(Stage { layers });
        }
        macs.push((shape.iter().product::<usize>() * slots) as u64);
        let head = LinearConfig::new(shape.iter().product(), slots).with_initializer(Initializer::Zeros).init(device);
        let spec = Arc::new(Spec { architecture: architecture.into(), input, slots, stage_names, cut_shapes, macs });
        Ok(Self { stages: built, head, spec })
    }

    /// Architecture, shapes and names.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Every cut, from the input to before the head.
    pub fn cuts(&self) -> Vec<Cut> {
        (0..=self.stages.len()).map(Cut).collect()
    }

    /// `input` or the name of the stage before the cut.
    pub fn cut_name(&self, cut: Cut) -> &str {
        match cut.0 {
            0 => "input",
            k => &self.spec.stage_names[k - 1],
        }
    }

    /// The classifier without one row of its head.
    ///
    /// # Errors
    /// As [`Classifier::zeros`]; never for a classifier that exists.
    pub fn without_slot(self, Slot(gone): Slot) -> Result<Self> {
        let slots = self.spec.slots;
        let device = self.head.weight.val().device();
        let smaller = Self::zeros(&self.spec.architecture, self.spec.input, slots - 1, &device)?;
        let values = self
            .tensors()
            .into_iter()
            .map(|t| {
                let head = t.name.starts_with("head.");
                let kept = |(i, v): (usize, f32)| (!head || i % slots != gone).then_some(v);
                (t.name, t.values.into_iter().enumerate().filter_map(kept).collect())
            })
            .collect();
        Ok(smaller.with_tensors(&values))
    }

    /// The classifier's stages, with running statistics of their own, under a head of `slots` rows that are all 0.
    ///
    /// # Errors
    /// As [`Classifier::zeros`]; never for a classifier that exists.
    pub fn with_blank_head(&self, slots: usize) -> Result<Self> {
        let device = self.head.weight.val().device();
        let blank = Self::zeros(&self.spec.architecture, self.spec.input, slots, &device)?;
        let stages = self.tensors().into_iter().filter(|t| !t.name.starts_with("head.")).map(|t| (t.name, t.values)).collect();
        Ok(blank.with_tensors(&stages))
    }

    /// A copy with the parameters and running statistics that `change(name, values)` makes of this one's. Unlike a clone's, its running
    /// statistics are its own.
    ///
    /// # Errors
    /// As [`Classifier::zeros`]; never for a classifier that exists.
    pub fn copy_with(&self, change: impl Fn(&str, Vec<f32>) -> Vec<f32>) -> Result<Self> {
        let device = self.head.weight.val().device();
        let blank = Self::zeros(&self.spec.architecture, self.spec.input, self.spec.slots, &device)?;
        let values = self.tensors().into_iter().map(|t| (t.name.clone(), change(&t.name, t.values))).collect();
        Ok(blank.with_tensors(&values))
    }

    /// The head: weight F×K, bias K.
    pub fn head(&self) -> &Linear {
        &self.head
    }

    /// From images, N×C×H×W, to the activations at a cut.
    pub fn activations(&self, images: Tensor<4>, at: Cut) -> Activations {
        self.advance(Activations(images), Cut(0), at)
    }

    /// From one cut to a later one.
    pub fn advance(&self, activations: Activations, from: Cut, to: Cut) -> Activations {
        Activations(self.stages[from.0..to.0].iter().fold(activations.0, |x, s| layers::forward_all(&s.layers, x)))
    }

    /// From a cut to logits, N×K.
    pub fn resume(&self, activations: Activations, from: Cut) -> Tensor<2> {
        let features = self.advance(activations, from, Cut(self.stages.len()));
        self.head.forward(features.0.flatten::<2>(1, 3))
    }

    /// From images, N×C×H×W, to logits, N×K.
    pub fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        self.resume(Activations(images), Cut(0))
    }
}
