//! Pictures of the data: one image as PNG, and contact sheets to look a set (and its augmentation) in the face.

use std::path::Path;

use super::{ClassId, Dataset, Samples};
use crate::error::{Error, Result};
use crate::files::write_bytes;
use crate::rng;

/// Between two images of a sheet, in pixels.
const GAP: usize = 2;
/// Grey of the gaps: neither the black nor the white of images.
const GAP_GREY: u8 = 96;
/// Small images are enlarged to at least this edge.
const LEGIBLE: usize = 48;
/// Rows of a sheet; a set with more classes shows its first ones.
const MAX_ROWS: usize = 100;

/// Writes a contact sheet as PNG: one row a class in the order of labels, `columns` training images each, evenly spread over
/// the class; with `augmented` the same images as a training epoch would see them (from the stream `sheet` of `seed`).
///
/// # Errors
/// `path` can't be written.
pub fn write_sheet(dataset: &Dataset, columns: usize, augmented: bool, seed: u64, path: &Path) -> Result<()> {
    let [channels, height, width] = dataset.shape();
    let rows: Vec<Samples> = (0..dataset.class_names.len().min(MAX_ROWS))
        .map(|c| Samples::of_classes(&dataset.train, &[ClassId(c as u16)]).spread(columns))
        .filter(|row| !row.is_empty())
        .collect();
    if rows.is_empty() || columns == 0 {
        return Err(Error::input(&dataset.name, "nothing to show", "ask for at least one column of a set with training images"));
    }
    let scale = LEGIBLE.div_ceil(height.max(width)).max(1);
    let (tall, wide) = (height * scale, width * scale);
    let (sheet_height, sheet_width) = (rows.len() * (tall + GAP) + GAP, columns * (wide + GAP) + GAP);
    let mut sheet = vec![GAP_GREY; channels * sheet_height * sheet_width];
    let mut floats = vec![0f32; channels * height * width];
    for (row, samples) in rows.iter().enumerate() {
        for col in 0..samples.len() {
            let mut image = samples.image(col).to_vec();
            if augmented {
                let index = (row * columns + col) as u64;
                dataset.augmentation.apply(&image, dataset.shape(), &mut rng::stream(seed, "sheet", index), &mut floats);
                image.iter_mut().zip(&floats).for_each(|(byte, v)| *byte = (v * 255.0).round() as u8);
            }
            let (top, left) = (GAP + row * (tall + GAP), GAP + col * (wide + GAP));
            for (channel, plane) in image.chunks_exact(height * width).enumerate() {
                for y in 0..tall {
                    let start = (channel * sheet_height + top + y) * sheet_width + left;
                    let line = &plane[y / scale * width..][..width];
                    sheet[start..start + wide].iter_mut().enumerate().for_each(|(x, out)| *out = line[x / scale]);
                }
            }
        }
    }
    let png = png_bytes(&sheet, [channels, sheet_height, sheet_width]);
    write_bytes(path, &png)
}

/// Whether the file at `path` is a PNG, as sheets are: what a new one may take the place of.
pub fn is_sheet(path: &Path) -> bool {
    let mut start = [0u8; 8];
    std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start)).is_ok() && start == *b"\x89PNG\r\n\x1a\n"
}

/// One image as a PNG file: colour for three channels, else the first channel in grey.
///
/// `image` is C·H·W bytes, CHW, `shape` = C, H, W, none of them 0.
pub fn png_bytes(image: &[u8], shape: [usize; 3]) -> Vec<u8> {
    let [channels, height, width] = shape;
    let plane = height * width;
    assert_eq!(image.len(), channels * plane, "an image of {shape:?}");
    let (colour, pixels) = match channels {
        3 => (png::ColorType::Rgb, (0..plane).flat_map(|i| [image[i], image[plane + i], image[2 * plane + i]]).collect()),
        _ => (png::ColorType::Grayscale, image[..plane].to_vec()),
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().and_then(|mut w| w.write_image_data(&pixels)).expect("sizes agree and memory does not refuse a write");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{embedded, synthetic};

    fn decode(bytes: &[u8]) -> (png::OutputInfo, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        (reader.next_frame(&mut pixels).unwrap(), pixels)
    }

    #[test]
    fn channels_become_colour() {
        // Two pixels: red 1, 2; green 3, 4; blue 5, 6.
        let (info, pixels) = decode(&png_bytes(&[1, 2, 3, 4, 5, 6], [3, 1, 2]));
        assert_eq!((info.width, info.height, info.color_type), (2, 1, png::ColorType::Rgb));
        assert_eq!(pixels, [1, 3, 5, 2, 4, 6]);
        assert_eq!(decode(&png_bytes(&[7, 8], [1, 2, 1])).1, [7, 8]);
    }

    #[test]
    fn a_sheet_has_a_row_a_class() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sheet.png");
        let set = synthetic::blobs().unwrap();
        write_sheet(&set, 10, false, 1, &path).unwrap();
        let (info, pixels) = decode(&std::fs::read(&path).unwrap());
        // 8 pixels enlarged 6 times, gaps of 2: 10·50 + 2 wide, 6·50 + 2 high.
        assert_eq!((info.width, info.height), (502, 302));
        assert_eq!((pixels[0], pixels[2 * 502 + 2]), (GAP_GREY, set.train.image(0)[0]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else stays behind");
    }

    #[test]
    fn an_augmented_sheet_depends_on_the_seed_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut set = embedded::mnist_mini().unwrap();
        set.augmentation = crate::data::augment::Augmentation::emnist();
        let sheet = |seed: u64, name: &str| {
            let path = dir.path().join(name);
            write_sheet(&set, 3, true, seed, &path).unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(sheet(1, "a.png"), sheet(1, "b.png"));
        assert_ne!(sheet(1, "a.png"), sheet(2, "c.png"));
        assert_eq!(sheet(1, "made/on/the/way.png"), sheet(1, "a.png"));
        let below_a_file = write_sheet(&set, 3, true, 1, &dir.path().join("a.png/x.png")).unwrap_err();
        assert!(below_a_file.to_string().contains("a.png"), "{below_a_file}");
    }
}
