//! Batches: from bytes to shuffled, augmented, normalised tensors. On the CPU, while one is worked on, the next two are being made; on a GPU
//! images stay there and each batch is made by its own operations.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;

use super::{ClassId, ClassMap, Normalisation, Samples, Slot, ahead::Ahead, augment::Augmentation, resident};
use crate::pages::stays_on;
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
    source: Source,
    device: Device,
}

/// Where images are made.
#[derive(Debug)]
enum Source {
    /// In main memory, ahead of need.
    Here(Ahead<Vec<f32>>),
    /// On the device.
    There(Maker),
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
        let maker = Maker { samples: data.samples.clone(), order: order.clone(), augmentation, normalisation: normalisation.clone() };
        let source = match stays_on(device, data.samples.part().pixels.len()) {
            true => Source::There(maker),
            false => Source::Here(maker.ahead(size)),
        };
        Self { data, order, size, next: 0, source, device: device.clone() }
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.next >= self.order.len() {
            return None;
        }
        let places = self.next..(self.next + self.size).min(self.order.len());
        self.next = places.end;
        let picked = &self.order[places.clone()];
        let samples = &self.data.samples;
        let images = match &mut self.source {
            Source::Here(ahead) => {
                let [c, h, w] = samples.shape();
                let mut pixels = Vec::with_capacity(picked.len() * c * h * w);
                for piece in ahead.take(picked.len().div_ceil(PIECE)) {
                    pixels.extend_from_slice(&piece);
                }
                Tensor::from_data(TensorData::new(pixels, [picked.len(), c, h, w]), &self.device)
            }
            Source::There(maker) => {
                let images = maker.make_there(places, &self.device.clone().without_autodiff());
                if self.device.is_autodiff() { Tensor::from_inner(images) } else { images }
            }
        };
        let slots = picked.iter().map(|i| self.data.slots[*i as usize]).collect();
        let classes = picked.iter().map(|i| samples.class(*i as usize)).collect();
        Some(Batch { images, slots, classes })
    }
}

/// What makes pixels: its own handles on everything, as it works on other threads.
#[derive(Debug)]
struct Maker {
    samples: Samples,
    order: Arc<[u32]>,
    augmentation: Option<(Augmentation, u64)>,
    normalisation: Normalisation,
}

impl Maker {
    /// Batches of `size`, in pieces that are made before they are asked for.
    fn ahead(self, size: usize) -> Ahead<Vec<f32>> {
        let count = self.order.len();
        let batches = (0..count).step_by(size).map(|start| start..(start + size).min(count));
        let pieces: Vec<Range<usize>> = batches.flat_map(|b| b.clone().step_by(PIECE).map(move |at| at..(at + PIECE).min(b.end))).collect();
        Ahead::new(pieces.len(), AHEAD * size.div_ceil(PIECE), move |i| self.make(pieces[i].clone()))
    }

    /// The stream that augments the sample `number` of the part.
    fn stream(seed: u64, number: u32) -> rng::Stream {
        rng::stream(seed, "sample", u64::from(number))
    }

    /// The images at `places` of the order, N×C×H×W, made on `device`: those of [`Maker::make`] to rounding.
    fn make_there(&self, places: Range<usize>, device: &Device) -> Tensor<4> {
        let numbers: Vec<u32> = self.order[places].iter().map(|i| self.samples.indices[*i as usize]).collect();
        let mut images = resident::pick(self.samples.part(), &numbers, device);
        if let Some((augmentation, seed)) = &self.augmentation {
            let mut streams: Vec<rng::Stream> = numbers.iter().map(|number| Self::stream(*seed, *number)).collect();
            images = augmentation.apply_to_batch(images, &mut streams);
        }
        resident::normalised(images, &self.normalisation)
    }

    /// The images at `places` of the order, N·C·H·W.
    fn make(&self, places: Range<usize>) -> Vec<f32> {
        let [c, h, w] = self.samples.shape();
        let picked = &self.order[places];
        let mut pixels = vec![0f32; picked.len() * c * h * w];
        for (out, &i) in pixels.chunks_exact_mut(c * h * w).zip(picked) {
            let bytes = self.samples.image(i as usize);
            match &self.augmentation {
                Some((augmentation, seed)) => {
                    augmentation.apply(bytes, [c, h, w], &mut Self::stream(*seed, self.samples.indices[i as usize]), out);
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

    #[test]
    fn images_made_on_the_device_are_those_made_here() {
        let shape = [3, 7, 5]; // 105 pixels: the last word is not full
        let pixels: Vec<u8> = (0..50 * 105).map(|i| (i * 97 % 256) as u8).collect();
        let labels = (0..50).map(|i| ClassId(i % 3)).collect();
        let part = Arc::new(super::super::Part::new("made up", shape, pixels, labels, 3).expect("sizes fit"));
        for augmentation in [None, Some((Augmentation::cifar10(), 11))] {
            let normalisation = Normalisation { mean: vec![0.1, 0.2, 0.3], std: vec![0.5, 0.6, 0.7] };
            let samples = Samples::of_classes(&part, &[ClassId(0), ClassId(2)]);
            let order: Arc<[u32]> = (0..samples.len() as u32).rev().collect();
            let maker = Maker { samples, order, augmentation, normalisation };
            let (here, there) = (maker.make(3..20), floats(maker.make_there(3..20, &Device::flex())));
            assert_eq!((here.len(), there.len()), (17 * 105, 17 * 105));
            let apart = here.iter().zip(&there).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
            assert!(apart <= 3, "{apart} values"); // nearest pixels on the edge between two
        }
    }

    #[test]
    fn a_device_that_is_no_cpu_is_fed_from_its_own_memory() {
        let set = synthetic::blobs().expect("made on the spot");
        let map = ClassMap::new([1, 2, 4, 5].map(ClassId).to_vec()).expect("four classes");
        let data = Labelled::new(Samples::of_classes(&set.train, map.classes()), &map);
        let made = |there: bool| {
            let device = Device::flex().autodiff();
            let mut batches = Batches::shuffled(&data, 33, &Normalisation::none(), Some(&Augmentation::emnist()), (7, 3), &device);
            assert!(matches!(batches.source, Source::Here(_)), "the CPU makes its own");
            if there {
                let augmentation = Some((Augmentation::emnist(), rng::derive_seed(7, "augment", 3)));
                let order = batches.order.clone();
                batches.source = Source::There(Maker { samples: data.samples.clone(), order, augmentation, normalisation: Normalisation::none() });
            }
            batches.map(|b| (b.images.is_autodiff(), floats(b.images.inner()), b.slots, b.classes)).collect::<Vec<_>>()
        };
        for (here, there) in made(false).iter().zip(made(true)) {
            assert!(here.0 && there.0, "on the autodiff device");
            assert_eq!((&here.2, &here.3), (&there.2, &there.3));
            let apart = here.1.iter().zip(&there.1).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
            assert!(apart * 1000 <= here.1.len(), "{apart} of {} values", here.1.len());
        }
    }
}
