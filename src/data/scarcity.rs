//! Scarcity: a swap with less data than the data set has, to see what becomes of methods then.

use rand::seq::SliceRandom;

use super::{ClassId, Role, Samples, SwapTask, View};
use crate::error::{Error, Result};
use crate::rng;

/// How much less data there is than the data set has; by default nothing is missing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scarcity {
    /// So many training samples of each new class exist, for methods and oracles alike; none for all.
    pub learn_samples: Option<usize>,
    /// Methods have this share of every retained class's training samples, original and oracles all; none for all.
    pub retain_share: Option<f64>,
}

impl SwapTask {
    /// This task with so much less data; what takes nothing away is left out of [`SwapTask::scarcity`]. Test samples stay all.
    ///
    /// Samples of the learn set are the first of an order drawn from the stream `learn-samples` of `seed`, so that a larger set holds the
    /// smaller ones. Of every retained class the share (rounded, at least one sample) is drawn with the seed derived for `retain-share`.
    ///
    /// # Errors
    /// No learn sample, more than there are, some where nothing is learned; a share that is none.
    pub fn scarce(mut self, wanted: Scarcity, seed: u64) -> Result<Self> {
        let new: Vec<ClassId> = self.swaps().filter_map(|s| s.learn).collect();
        if let Some(count) = wanted.learn_samples {
            let Some(learn) = &mut self.learn else {
                let what = format!("{count} samples of no class: nothing is learned");
                return Err(Error::input("learn-samples", what, "name the new class with --learn, or leave it out"));
            };
            let all = learn.train.samples()?;
            let of_each: Vec<Samples> = new.iter().map(|c| all.of_class(*c)).collect();
            let fewest = of_each.iter().map(Samples::len).min().unwrap_or(0);
            if !(1..=fewest).contains(&count) {
                let what = format!("{count} of the {fewest} training images of the new class");
                return Err(Error::input("learn-samples", what, format!("use 1 to {fewest}")));
            }
            if count * of_each.len() < all.len() {
                let drawn = of_each.iter().zip(0..).map(|(all, at)| first_drawn(all, count, seed, at)).reduce(|a, b| a.union([&b]));
                learn.train = View::new(Role::Learn, drawn.unwrap_or_else(|| unreachable!("a learn set has a class")));
                self.scarcity.learn_samples = Some(count);
            }
        }
        if let Some(share) = wanted.retain_share {
            if !(share > 0.0 && share <= 1.0) {
                let what = format!("{share} is no share of the retained classes' training images");
                return Err(Error::input("retain-share", what, "use a number above 0 and up to 1, for example 0.1"));
            }
            if share < 1.0 {
                let samples = self.retain.train.samples()?.share_of_each_class(share, rng::derive_seed(seed, "retain-share", 0));
                self.scarce_retain = Some(View::new(Role::Retain, samples));
                self.scarcity.retain_share = Some(share);
            }
        }
        Ok(self)
    }
}

/// The first `count` samples of `all`, of the new class number `class`, in the order drawn, in file order.
fn first_drawn(all: &Samples, count: usize, seed: u64, class: u64) -> Samples {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.shuffle(&mut rng::stream(seed, "learn-samples", class));
    order.truncate(count);
    order.sort_unstable();
    all.pick(order)
}
