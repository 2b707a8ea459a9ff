//! Batches: from bytes to shuffled, augmented, normalised tensors. While one is worked on, the next two are being made.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;

use super::{ClassId, ClassMap, Normalisation, Samples, Slot, ahead::Ahead, augment::Augmentation};
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

/// Images that one thread makes at a time: few enough that two threads can share a batch, enough to be worth handing over.
const PIECE: usize = 32;
/// Batches that are made ahead.
const AHEAD: usize = 2;

/// One pass over labelled samples.
#[derive(Debug)]
pub struct Batches<'a> {
    data: &'a Labelled,
    order: Arc<[u32]>,
    size: usize,
    next: usize,
    pixels: Ahead<Vec<f32>>,
    device: Device,
}

impl<'a> Batches<'a> {
    /// In file order, as they are: for tests, audits and signals.
    pub fn in_order(data: &'a Labelled, size: usize, normalisation: &Normalisation, device: &Device) -> Self {
        Self::new(data, (0..data.len() as u32).collect(), size, normalisation, None, device)
    }

    /// Shuffled by the stream `shuffle`, augmented by the streams `augment`, of `seed`; both numbered by `epoch`.
    /// A sample's augmentation depends on seed, epoch and its place in the part only, never on batch or thread.
    pub fn shuffled(
        data: &'a Labelled,
        size: usize,
        normalisation: &Normalisation,
        augmentation: Option<&Augmentation>,
        (seed, epoch): (u64, u64),
        device: &Device,
    ) -> Self {
        let mut order: Vec<u32> = (0..data.len() as u32).collect();
        order.shuffle(&mut rng::stream(seed, "shuffle", epoch));
        let augmentation = augmentation.filter(|a| !a.is_none()).map(|a| (a.clone(), rng::derive_seed(seed, "augment", epoch)));
        Self::new(data, order.into(), size, normalisation, augmentation, device)
    }

    fn new(
        data: &'a Labelled,
        order: Arc<[u32]>,
        size: usize,
        normalisation: &Normalisation,
        augmentation: Option<(Augmentation, u64)>,
        device: &Device,
    ) -> Self {
        let batches = (0..order.len()).step_by(size).map(|start| start..(start + size).min(order.len()));
        let pieces: Vec<Range<usize>> = batches.flat_map(|b| b.clone().step_by(PIECE).map(move |at| at..(at + PIECE).min(b.end))).collect();
        let maker = Maker { samples: data.samples.clone(), order: order.clone(), augmentation, normalisation: normalisation.clone() };
        let pixels = Ahead::new(pieces.len(), AHEAD * size.div_ceil(PIECE), move |i| maker.make(pieces[i].clone()));
        Self { data, order, size, next: 0, pixels, device: device.clone() }
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
        let mut pixels = Vec::with_capacity(picked.len() * c * h * w);
        for piece in self.pixels.take(picked.len().div_ceil(PIECE)) {
            pixels.extend_from_slice(&piece);
        }
        let slots = picked.iter().map(|i| self.data.slots[*i as usize]).collect();
        let classes = picked.iter().map(|i| samples.class(*i as usize)).collect();
        Some(Batch { images: Tensor::from_data(TensorData::new(pixels, [picked.len(), c, h, w]), &self.device), slots, classes })
    }
}

/// What makes pixels: its own handles on everything, as it works on other threads.
struct Maker {
    samples: Samples,
    order: Arc<[u32]>,
    augmentation: Option<(Augmentation, u64)>,
    normalisation: Normalisation,
}

impl Maker {
    /// The images at `places` of the order, N·C·H·W.
    fn make(&self, places: Range<usize>) -> Vec<f32> {
        let [c, h, w] = self.samples.shape();
        let picked = &self.order[places];
        let mut pixels = vec![0f32; picked.len() * c * h * w];
        for (out, &i) in pixels.chunks_exact_mut(c * h * w).zip(picked) {
            let bytes = self.samples.image(i as usize);
            match &self.augmentation {
                Some((augmentation, seed)) => {
                    let place = self.samples.indices[i as usize];
                    augmentation.apply(bytes, [c, h, w], &mut rng::stream(*seed, "sample", u64::from(place)), out);
                }
                None => out.iter_mut().zip(bytes).for_each(|(o, b)| *o = f32::from(*b) / 255.0),
            }
            for (k, plane) in out.chunks_mut(h * w).enumerate() {
                let at = k % self.normalisation.mean.len();
                let (mean, std) = (self.normalisation.mean[at], self.normalisation.std[at]);
                plane.iter_mut().for_each(|v| *v = (*v - mean) / std);
            }
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic;
    use crate::model::tensors::floats;

    const NORMALISATION: (f32, f32) = (0.3, 0.7);

    /// Pixels, slots and classes of a batch.
    type Made = (Vec<f32>, Vec<Option<Slot>>, Vec<ClassId>);

    /// Every batch of a pass over the made-up set.
    fn pass(threads: usize, size: usize, augment: bool) -> Vec<Made> {
        let set = synthetic::blobs().expect("made on the spot");
        let map = ClassMap::new([1, 2, 4, 5].map(ClassId).to_vec()).expect("four classes");
        let data = Labelled::new(Samples::of_classes(&set.train, map.classes()), &map);
        let normalisation = Normalisation { mean: vec![NORMALISATION.0], std: vec![NORMALISATION.1] };
        let augmentation = Augmentation::emnist();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let batches = Batches::shuffled(&data, size, &normalisation, augment.then_some(&augmentation), (7, 3), &Device::flex());
            batches.map(|b| (floats(b.images), b.slots, b.classes)).collect()
        })
    }

    /// The images of the same pass one by one, from the streams that the documentation names.
    fn one_by_one(augment: bool) -> Vec<(Vec<f32>, ClassId)> {
        let set = synthetic::blobs().expect("made on the spot");
        let places: Vec<u32> = (0..set.train.len() as u32).filter(|i| [1, 2, 4, 5].contains(&set.train.labels[*i as usize].0)).collect();
        let mut order: Vec<u32> = (0..places.len() as u32).collect();
        order.shuffle(&mut rng::stream(7, "shuffle", 3));
        let image = |i: &u32| {
            let place = places[*i as usize];
            let mut out = vec![0.0; 64];
            let augmentation = if augment { Augmentation::emnist() } else { Augmentation::none() };
            let mut stream = rng::stream(rng::derive_seed(7, "augment", 3), "sample", u64::from(place));
            augmentation.apply(set.train.image(place as usize), [1, 8, 8], &mut stream, &mut out);
            (out.into_iter().map(|v| (v - NORMALISATION.0) / NORMALISATION.1).collect(), set.train.labels[place as usize])
        };
        order.iter().map(image).collect()
    }

    #[test]
    fn batches_are_the_same_whatever_makes_them() {
        for augment in [false, true] {
            let expected = one_by_one(augment);
            for (threads, size) in [(1, 64), (2, 64), (3, 64), (2, 7), (2, 240), (2, 1000), (3, 33)] {
                let batches = pass(threads, size, augment);
                assert!(batches.iter().rev().skip(1).all(|b| b.1.len() == size));
                for (pixels, slots, classes) in &batches {
                    assert_eq!((pixels.len(), slots.len()), (64 * classes.len(), classes.len()));
                    assert!(slots.iter().zip(classes).all(|(s, c)| s.map(|s| s.0) == [1, 2, 4, 5].iter().position(|k| *k == c.0)));
                }
                let classes: Vec<ClassId> = batches.iter().flat_map(|b| b.2.clone()).collect();
                assert!(classes.iter().eq(expected.iter().map(|e| &e.1)), "{threads} threads, batch {size}");
                let pixels: Vec<u32> = batches.iter().flat_map(|b| b.0.iter().map(|v| v.to_bits())).collect();
                assert!(pixels.into_iter().eq(expected.iter().flat_map(|e| e.0.iter().map(|v| v.to_bits()))), "{threads} threads, batch {size}");
            }
        }
    }
}
