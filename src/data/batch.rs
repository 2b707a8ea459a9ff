//! Batches: from bytes to shuffled, augmented, normalised tensors.

use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::{ClassId, ClassMap, Normalisation, Samples, Slot, augment::Augmentation};
use crate::rng;

/// Samples with the slot that each is to be trained towards; `None` marks a sample of a class that the head has no slot for
/// (the old class during a swap).
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The samples.
    pub samples: Samples,
    /// One entry a sample.
    pub slots: Vec<Option<Slot>>,
}

impl Labelled {
    /// `samples` labelled by `map`.
    pub fn new(samples: Samples, map: &ClassMap) -> Self {
        let slots = (0..samples.len()).map(|i| map.slot(samples.class(i))).collect();
        Self { samples, slots }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// One batch.
#[derive(Debug)]
pub struct Batch {
    /// N×C×H×W, normalised.
    pub images: Tensor<4>,
    /// N slots.
    pub slots: Vec<Option<Slot>>,
    /// N classes.
    pub classes: Vec<ClassId>,
}

impl Batch {
    /// The slots that `map` gives to the samples whose class `chosen` names; none for the others.
    pub fn slots_of(&self, map: &ClassMap, chosen: impl Fn(ClassId) -> bool) -> Vec<Option<Slot>> {
        self.classes.iter().map(|c| chosen(*c).then(|| map.slot(*c)).flatten()).collect()
    }
}

/// One pass over labelled samples.
#[derive(Debug)]
pub struct Batches<'a> {
    data: &'a Labelled,
    order: Vec<u32>,
    size: usize,
    next: usize,
    augmentation: Option<(&'a Augmentation, u64)>,
    normalisation: &'a Normalisation,
    device: Device,
}

impl<'a> Batches<'a> {
    /// In file order, as they are: for tests, audits and signals.
    pub fn in_order(data: &'a Labelled, size: usize, normalisation: &'a Normalisation, device: &Device) -> Self {
        let order = (0..data.len() as u32).collect();
        Self { data, order, size, next: 0, augmentation: None, normalisation, device: device.clone() }
    }

    /// Shuffled by the stream `shuffle`, augmented by the streams `augment`, of `seed`; both numbered by `epoch`.
    /// A sample's augmentation depends on seed, epoch and its place in the part only, never on batch or thread.
    pub fn shuffled(
        data: &'a Labelled,
        size: usize,
        normalisation: &'a Normalisation,
        augmentation: Option<&'a Augmentation>,
        (seed, epoch): (u64, u64),
        device: &Device,
    ) -> Self {
        let mut order: Vec<u32> = (0..data.len() as u32).collect();
        order.shuffle(&mut rng::stream(seed, "shuffle", epoch));
        let augmentation = augmentation.filter(|a| !a.is_none()).map(|a| (a, rng::derive_seed(seed, "augment", epoch)));
        Self { data, order, size, next: 0, augmentation, normalisation, device: device.clone() }
    }

    /// Number of batches in the pass; the last may be partial.
    pub fn count(&self) -> usize {
        self.order.len().div_ceil(self.size)
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.next >= self.order.len() {
            return None;
        }
        let end = (self.next + self.size).min(self.order.len());
        let picked = &self.order[self.next..end];
        self.next = end;
        let samples = &self.data.samples;
        let [c, h, w] = samples.shape();
        let mut pixels = vec![0f32; picked.len() * c * h * w];
        pixels.par_chunks_mut(c * h * w).zip(picked).for_each(|(out, &i)| {
            let bytes = samples.image(i as usize);
            match self.augmentation {
                Some((augmentation, seed)) => {
                    let place = samples.indices[i as usize];
                    augmentation.apply(bytes, [c, h, w], &mut rng::stream(seed, "sample", u64::from(place)), out);
                }
                None => out.iter_mut().zip(bytes).for_each(|(o, b)| *o = f32::from(*b) / 255.0),
            }
            for (k, plane) in out.chunks_mut(h * w).enumerate() {
                let at = k % self.normalisation.mean.len();
                let (mean, std) = (self.normalisation.mean[at], self.normalisation.std[at]);
                plane.iter_mut().for_each(|v| *v = (*v - mean) / std);
            }
        });
        let slots = picked.iter().map(|i| self.data.slots[*i as usize]).collect();
        let classes = picked.iter().map(|i| samples.class(*i as usize)).collect();
        Some(Batch { images: Tensor::from_data(TensorData::new(pixels, [picked.len(), c, h, w]), &self.device), slots, classes })
    }
}
