//! Output channels in blocks that registers hold, and the order in which packed weights and weight gradients lie.

use crate::kernels::simd::Isa;

/// Output channels that are computed together: `vectors` vectors of them.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Added to the input of every pixel: the group's first channel.
    pub input: usize,
    /// First output channel.
    pub channel: usize,
    /// Output channels; the last vector may be partial.
    pub channels: usize,
    /// Vectors: 1, 2 or 4.
    pub vectors: usize,
    /// Where its packed rows begin, in floats.
    pub packed: usize,
}

/// Most vectors of a block: times the pixels of a tile, with weights and a broadcast, they fill the registers.
fn widest(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 | Isa::Avx2 => 2,
        Isa::Neon => 4,
        Isa::Portable => 1,
    }
}

/// How output channels see input channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels {
    /// Groups that do not see each other.
    pub groups: usize,
    /// Input channels of a group.
    pub input: usize,
    /// Output channels of a group.
    pub output: usize,
}

impl Channels {
    /// True if every output channel sees its own input channel alone: then vectors run over channels of both.
    pub fn are_depthwise(self) -> bool {
        self.groups > 1 && self.input == 1 && self.output == 1
    }
}

/// The blocks, and the floats of all when a block has `rows` packed rows of whole vectors.
pub fn blocks(isa: Isa, channels: Channels, rows: usize) -> (Vec<Block>, usize) {
    let lanes = isa.lanes();
    let depthwise = channels.are_depthwise();
    let (groups, per_group) = if depthwise { (1, channels.groups) } else { (channels.groups, channels.output) };
    let mut blocks = Vec::new();
    let mut packed = 0;
    for group in 0..groups {
        let mut done = 0;
        while done < per_group {
            let vectors = match (per_group - done).div_ceil(lanes).min(widest(isa)) {
                3 => 2, // there is a tile for 1, 2 and 4
                v => v,
            };
            let count = (per_group - done).min(vectors * lanes);
            let input = if depthwise { done } else { group * channels.input };
            blocks.push(Block { input, channel: group * per_group + done, channels: count, vectors, packed });
            packed += vectors * lanes * rows;
            done += count;
        }
    }
    (blocks, packed)
}

/// The packed rows of each block, as disjoint slices.
pub fn split<'a>(blocks: &[Block], lanes: usize, rows: usize, mut packed: &'a mut [f32]) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        let (part, rest) = packed.split_at_mut(block.vectors * lanes * rows);
        parts.push(part);
        packed = rest;
    }
    parts
}
