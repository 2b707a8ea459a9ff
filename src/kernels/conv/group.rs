//! Images in groups: what one task computes at a time, so that its scratch stays in the second-level cache.

use rayon::prelude::*;

use super::geometry::Sizes;

/// Floats of scratch that share the second-level cache with weights and outputs.
const CACHED: usize = 48 * 1024;

/// Multiply-adds below which a second thread costs more than it does.
const SMALL: usize = 1 << 18;

/// Images of a group; depends on the sizes alone.
pub fn images(sizes: &Sizes) -> usize {
    (CACHED / sizes.padded_input().len().max(sizes.output_len()).max(1)).clamp(1, sizes.n.div_ceil(8).max(1))
}

/// True if one thread is enough for the batch.
pub fn is_small(sizes: &Sizes) -> bool {
    sizes.n * sizes.macs() < SMALL
}

/// Runs `work(scratch, first image, part)` for every part, which belong to consecutive groups of [`images`] images.
pub fn for_each<T: Send, S: Send>(
    sizes: &Sizes,
    parts: Vec<T>,
    scratch: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, usize, T) + Sync + Send,
) {
    let images = images(sizes);
    if parts.len() == 1 || is_small(sizes) {
        let mut own = scratch();
        return parts.into_iter().enumerate().for_each(|(i, part)| work(&mut own, i * images, part));
    }
    parts.into_par_iter().enumerate().for_each_init(scratch, |own, (i, part)| work(own, i * images, part));
}
