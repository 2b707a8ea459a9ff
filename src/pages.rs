//! Rows of numbers that stay on a GPU, in pages that every GPU can hold: a driver bounds the size of one buffer, some at 128 MiB.

use burn::tensor::kind::Basic;
use burn::tensor::{Device, Element, Int, Tensor, TensorData};

use crate::device::is_cpu;

/// Bytes of one thing beyond which it stays in main memory and is sent by the batch: the images of a part, a cache of activations. 10⁶ colour
/// images of 32×32 are 3 GB.
const LIMIT: usize = 4 << 30;

/// True if something of this many bytes is to stay on `device`: a GPU, and not too much for it.
pub(crate) fn stays_on(device: &Device, bytes: usize) -> bool {
    !is_cpu(device) && bytes <= LIMIT
}

/// Bytes of a page, at most.
pub(crate) const PAGE: usize = 64 << 20;

/// N rows of one width on one device.
#[derive(Debug, Clone)]
pub(crate) struct Pages<K: Basic> {
    pages: Vec<Tensor<2, K>>,
    /// The number of each page's first row, and at the end N.
    starts: Vec<usize>,
}

impl<K: Basic> Pages<K> {
    /// No rows yet.
    pub(crate) fn new() -> Self {
        Self { pages: Vec::new(), starts: vec![0] }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        *self.starts.last().expect("never empty")
    }

    /// `rows` of `width` floats or words each, in pages of at most `limit` bytes, or of a row.
    pub(crate) fn of<E: Element>(rows: &[E], width: usize, limit: usize, device: &Device) -> Self {
        let mut pages = Self::new();
        for rows in rows.chunks((limit / (4 * width)).max(1) * width) {
            pages.push(Tensor::from_data(TensorData::new(rows.to_vec(), [rows.len() / width, width]), device));
        }
        pages
    }

    /// Adds a page, M×width; it is not split.
    pub(crate) fn push(&mut self, page: Tensor<2, K>) {
        self.starts.push(self.len() + page.dims()[0]);
        self.pages.push(page);
    }

    /// Adds the rows of `pieces`, M×width each, of numbers of 4 bytes, put together to pages of at most `limit` bytes; a larger piece is a page.
    pub(crate) fn extend(&mut self, pieces: impl IntoIterator<Item = Tensor<2, K>>, limit: usize) {
        let (mut open, mut bytes) = (Vec::new(), 0);
        for piece in pieces {
            let size = 4 * piece.dims().iter().product::<usize>();
            if bytes + size > limit && !open.is_empty() {
                self.push(Tensor::cat(std::mem::take(&mut open), 0));
                bytes = 0;
            }
            open.push(piece);
            bytes += size;
        }
        if !open.is_empty() {
            self.push(Tensor::cat(open, 0));
        }
    }

    /// The rows `picked`, in this order, |picked|×width.
    ///
    /// # Panics
    /// If there is none to pick, or one is not there.
    pub(crate) fn pick(&self, picked: &[usize], device: &Device) -> Tensor<2, K> {
        // By page, each with where its rows are to go.
        let mut by_page: Vec<(Vec<usize>, Vec<usize>)> = vec![Default::default(); self.pages.len()];
        for (to, &row) in picked.iter().enumerate() {
            assert!(row < self.len(), "row {row} of {}", self.len());
            let page = self.starts.partition_point(|start| *start <= row) - 1;
            by_page[page].0.push(row - self.starts[page]);
            by_page[page].1.push(to);
        }
        let used = || by_page.iter().zip(&self.pages).filter(|((rows, _), _)| !rows.is_empty());
        let mut found: Vec<Tensor<2, K>> = used().map(|((rows, _), page)| page.clone().select(0, numbers(rows, device))).collect();
        if found.len() == 1 {
            return found.remove(0); // in order as it is
        }
        let mut from = vec![0; picked.len()];
        used().flat_map(|((_, to), _)| to).enumerate().for_each(|(i, to)| from[*to] = i);
        Tensor::cat(found, 0).select(0, numbers(&from, device))
    }
}

fn numbers(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|i| i32::try_from(*i).expect("fewer rows than 2³¹")).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tensors::floats;

    #[test]
    fn rows_come_from_their_pages_in_the_order_asked_for() {
        let device = Device::flex();
        let piece = |from: usize, rows: usize| {
            let values: Vec<f32> = (from..from + rows).flat_map(|r| [r as f32, -(r as f32)]).collect();
            Tensor::<2>::from_data(TensorData::new(values, [rows, 2]), &device)
        };
        // Three rows a page of 24 bytes, or what a piece has.
        let mut pages = Pages::new();
        pages.extend([piece(0, 1), piece(1, 2), piece(3, 1), piece(4, 5), piece(9, 1)], 24);
        pages.extend([piece(10, 2)], 24);
        pages.extend([], 24);
        assert_eq!(pages.pages.iter().map(|p| p.dims()[0]).collect::<Vec<_>>(), [3, 1, 5, 1, 2]);
        assert_eq!(pages.len(), 12);
        let rows: Vec<f32> = (0..12).flat_map(|r| [r as f32, -(r as f32)]).collect();
        let cut = Pages::<burn::tensor::Float>::of(&rows, 2, 41, &device);
        assert_eq!(cut.pages.iter().map(|p| p.dims()[0]).collect::<Vec<_>>(), [5, 5, 2]);
        assert_eq!(Pages::<burn::tensor::Float>::of(&rows, 2, 1, &device).pages.len(), 12, "no page is smaller than a row");
        for picked in [vec![0], vec![5, 4], vec![11, 0, 3, 3, 8, 2, 10, 9], (0..12).rev().collect()] {
            let wanted: Vec<f32> = picked.iter().flat_map(|r| [*r as f32, -(*r as f32)]).collect();
            assert_eq!(floats(pages.pick(&picked, &device)), wanted, "{picked:?}");
            assert_eq!(floats(cut.pick(&picked, &device)), wanted, "{picked:?}");
        }
        assert!(std::panic::catch_unwind(|| pages.pick(&[12], &device)).is_err());
    }
}
