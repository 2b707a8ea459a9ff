//! Images channels last with zeros around them, in scratch that stays in the cache.

use super::images::{Order, Size};

/// An image H×W×C inside a larger one with zeros around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padded {
    /// Height, width, channels of the image itself.
    pub size: Size,
    /// Zero rows above and columns to the left.
    pub before: [usize; 2],
    /// Zero rows below and columns to the right.
    pub after: [usize; 2],
}

impl Padded {
    /// Floats from one row to the next.
    pub fn row(&self) -> usize {
        (self.before[1] + self.size[1] + self.after[1]) * self.size[2]
    }

    /// Floats of the whole.
    pub fn len(&self) -> usize {
        (self.before[0] + self.size[0] + self.after[0]) * self.row()
    }

    /// Where the pixel at `y`, `x` of the image begins.
    pub fn at(&self, y: usize, x: usize) -> usize {
        (self.before[0] + y) * self.row() + (self.before[1] + x) * self.size[2]
    }

    /// True if there are no zeros around it.
    pub fn is_tight(&self) -> bool {
        self.before == [0, 0] && self.after == [0, 0]
    }
}

/// Copies the image `from` (H×W×C or C×H×W) into the interior of `to`, which keeps the zeros around it.
///
/// # Panics
/// Slices that are too short.
pub fn copy_padded(from: &[f32], order: Order, padded: &Padded, to: &mut [f32]) {
    let [h, w, c] = padded.size;
    assert!(from.len() == h * w * c && to.len() >= padded.len(), "{} floats for {h}×{w}×{c}", from.len());
    match order {
        Order::ChannelsLast => {
            for (y, row) in from.chunks_exact(w * c).enumerate() {
                to[padded.at(y, 0)..][..w * c].copy_from_slice(row);
            }
        }
        Order::ChannelsFirst if c == 1 => copy_padded(from, Order::ChannelsLast, padded, to),
        Order::ChannelsFirst => {
            for y in 0..h {
                let row = &mut to[padded.at(y, 0)..][..w * c];
                transpose(&from[y * w..], h * w, row, [c, w]);
            }
        }
    }
}

/// Writes the `columns` × `rows` transpose of a matrix whose rows lie `stride` apart.
fn transpose(from: &[f32], stride: usize, to: &mut [f32], [rows, columns]: [usize; 2]) {
    // Tiles that touch few cache lines on either side.
    const TILE: usize = 8;
    for r in (0..rows).step_by(TILE) {
        for c in (0..columns).step_by(TILE) {
            for j in c..(c + TILE).min(columns) {
                for i in r..(r + TILE).min(rows) {
                    to[j * rows + i] = from[i * stride + j];
                }
            }
        }
    }
}
