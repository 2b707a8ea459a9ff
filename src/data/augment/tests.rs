//! Expected pictures marked "Pillow" were made with Pillow 13 (which torchvision calls for 8-bit pictures) and torchvision's
//! published matrix, on the image below or as given.

use super::*;
use crate::rng;

const STILL: Affine = Affine { degrees: 0.0, right: 0.0, down: 0.0, scale: 1.0, shear: 0.0 };

/// 8×8, value (37·i) mod 251.
fn picture() -> Vec<f32> {
    (0..64).map(|i| (i * 37 % 251) as f32).collect()
}

fn moved(from: &[f32], size: [usize; 2], map: Affine) -> Vec<f32> {
    let mut to = vec![-1.0; from.len()];
    geometry::affine(from, size, map, &mut to);
    to
}

/// 5×5, black but for one white pixel at `row`, `col`; where it is after `map`.
fn dot(row: usize, col: usize, map: Affine) -> Vec<(usize, usize)> {
    let mut from = vec![0.0; 25];
    from[row * 5 + col] = 1.0;
    let to = moved(&from, [5, 5], map);
    (0..25).filter(|i| to[*i] > 0.0).map(|i| (i / 5, i % 5)).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "value {i}: {f}, expected {e}\n{found:?}");
    }
}

#[test]
fn parameters_that_do_nothing_change_nothing() {
    assert_eq!(moved(&picture(), [8, 8], STILL), picture());
    let mut to = vec![0.0; 64];
    geometry::resized_crop(&picture(), [8, 8], Crop { top: 0, left: 0, height: 8, width: 8 }, &mut to);
    assert_eq!(to, picture());

    let image: Vec<f32> = (0..48).map(|i| i as f32 / 48.0).collect();
    let changes: [fn(&mut [f32]); 4] =
        [|i| colour::brightness(i, 1.0), |i| colour::contrast(i, 3, 1.0), |i| colour::saturation(i, 1.0), |i| colour::hue(i, 0.0)];
    for change in changes {
        let mut changed = image.clone();
        change(&mut changed);
        assert_close(&changed, &image, 1e-6);
    }
    let still = Augmentation {
        steps: vec![
            Step::ResizedCrop { scale: (1.0, 1.0), ratio: (1.0, 1.0) },
            Step::Affine { degrees: 0.0, translate: 0.0, scale: (1.0, 1.0), shear: 0.0 },
            Step::ColourJitter { brightness: (1.0, 1.0), contrast: (1.0, 1.0), saturation: (1.0, 1.0), hue: (0.0, 0.0) },
            Step::FlipHorizontally { probability: 0.0 },
        ],
    };
    let bytes: Vec<u8> = (0..48).collect();
    let (mut with, mut without) = (vec![0.0; 48], vec![0.0; 48]);
    still.apply(&bytes, [3, 4, 4], &mut rng::stream(1, "t", 0), &mut with);
    Augmentation::none().apply(&bytes, [3, 4, 4], &mut rng::stream(1, "t", 0), &mut without);
    assert_eq!(with, without);
    assert_eq!(without[47], 47.0 / 255.0);
}

#[test]
fn a_dot_goes_where_it_should() {
    assert_eq!(dot(1, 1, Affine { right: 2.0, down: 1.0, ..STILL }), [(2, 3)]);
    assert_eq!(dot(1, 1, Affine { right: -2.0, ..STILL }), [], "out of the picture");
    // Clockwise: from straight above the centre to its right.
    assert_eq!(dot(0, 2, Affine { degrees: 90.0, ..STILL }), [(2, 4)]);
    // Twice as large about the centre point (2.5, 2.5): rows 2–3 (of edges) become 1.5–3.5, columns 3–4 become 3.5–5.5.
    assert_eq!(dot(2, 3, Affine { scale: 2.0, ..STILL }), [(1, 3), (1, 4), (2, 3), (2, 4)]);
    // Sheared by 45°, x moves by −tan(45°)·y: a pixel two below the centre goes two to the left.
    assert_eq!(dot(4, 2, Affine { shear: 45.0, ..STILL }), [(4, 0)]);
}

#[test]
fn affine_is_pillows() {
    #[rustfmt::skip]
    let expected = [
        180, 172, 172, 209, 246, 201, 238, 24, 180, 217, 3, 3, 246, 32, 32, 24, 11, 11, 48, 40, 40, 77, 69, 69, 56, 93, 48, 85, 122, 77, 114, 151,
        56, 93, 130, 130, 122, 159, 159, 196, 138, 138, 175, 167, 204, 204, 241, 233, 0, 0, 212, 212, 249, 35, 241, 27, 0, 0, 0, 0, 0, 35, 72, 72,
    ].map(|v| v as f32);
    let map = Affine { degrees: 20.0, right: 1.0, down: -2.0, scale: 1.3, shear: 10.0 };
    assert_eq!(moved(&picture(), [8, 8], map), expected);
}

#[test]
fn crop_and_resize_is_pillows() {
    #[rustfmt::skip]
    let expected = [
        127, 143, 166, 189, 213, 236, 118, 24, 155, 171, 194, 217, 192, 117, 77, 52, 189, 164, 134, 157, 131, 56, 70, 86, 191, 111, 11, 34, 58, 81, 104, 120,
        37, 39, 44, 67, 91, 114, 137, 153, 39, 55, 78, 101, 125, 148, 171, 187, 73, 89, 112, 135, 159, 182, 205, 221, 101, 117, 140, 163, 187, 210, 233, 249,
    ].map(|v| v as f32);
    let mut to = vec![0.0; 64];
    geometry::resized_crop(&picture(), [8, 8], Crop { top: 2, left: 1, height: 6, width: 5 }, &mut to);
    // Pillow rounds after each of the two directions.
    assert_close(&to, &expected, 1.0);
}

/// Pixels (200, 30, 60), (10, 120, 250), (90, 90, 90), (255, 128, 0) as CHW.
fn four_colours() -> Vec<f32> {
    [200, 10, 90, 255, 30, 120, 90, 128, 60, 250, 90, 0].map(|v| v as f32 / 255.0).to_vec()
}

#[test]
fn colours_change_as_pillows_do() {
    type Case = (fn(&mut [f32]), [i32; 12]);
    let cases: [Case; 3] = [
        (|i| colour::brightness(i, 1.2), [240, 12, 108, 255, 36, 144, 108, 153, 72, 255, 108, 0]),
        (|i| colour::contrast(i, 3, 1.4), [237, 0, 83, 255, 0, 125, 83, 136, 41, 255, 83, 0]),
        (|i| colour::saturation(i, 1.3), [234, 0, 90, 255, 13, 125, 90, 121, 52, 255, 90, 0]),
    ];
    for (change, expected) in cases {
        let mut image = four_colours();
        change(&mut image);
        // Pillow rounds, the mean grey too.
        assert_close(&image, &expected.map(|v| v as f32 / 255.0), 1.0 / 255.0);
    }
}

#[test]
fn hue_is_that_of_pythons_colorsys() {
    // Pillow keeps hue in 256 steps, too coarse to compare with; these are from Python's `colorsys`, in grey levels.
    let expected = [200.0, 10.0, 90.0, 255.0, 51.0, 48.0, 90.0, 204.5, 30.0, 250.0, 90.0, 0.0];
    let mut image = four_colours();
    colour::hue(&mut image, 0.05);
    assert_close(&image, &expected.map(|v| v / 255.0), 1e-5);
}

#[test]
fn contrast_by_hand() {
    // One channel, mean 0.3: 1.5·v − 0.5·0.3, not below 0 nor above 1.
    let mut image = [0.0, 0.1, 0.3, 0.8];
    colour::contrast(&mut image, 1, 1.5);
    assert_close(&image, &[0.0, 0.0, 0.3, 1.0], 1e-6);
}

#[test]
fn a_third_of_the_circle_takes_red_to_green_and_green_to_blue() {
    let mut image = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    colour::hue(&mut image, 1.0 / 3.0);
    assert_close(&image, &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0], 1e-5);
    colour::hue(&mut image, -1.0 / 3.0);
    assert_close(&image, &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0], 1e-5);
}

#[test]
fn rows_are_mirrored() {
    let flip = Augmentation { steps: vec![Step::FlipHorizontally { probability: 1.0 }] };
    let mut out = [0.0; 6];
    flip.apply(&[0, 51, 102, 153, 204, 255], [1, 2, 3], &mut rng::stream(1, "t", 0), &mut out);
    assert_close(&out, &[0.4, 0.2, 0.0, 1.0, 0.8, 0.6], 1e-6);
}

#[test]
fn the_same_stream_gives_the_same_image_within_0_and_1() {
    let bytes: Vec<u8> = (0..3072).map(|i| (i * 7 % 256) as u8).collect();
    for (augmentation, channels) in [(Augmentation::cifar10(), 3), (Augmentation::emnist(), 1)] {
        let image = |index| {
            let mut out = vec![0.0; channels * 1024];
            augmentation.apply(&bytes[..channels * 1024], [channels, 32, 32], &mut rng::stream(5, "t", index), &mut out);
            out
        };
        assert_eq!(image(0), image(0));
        assert_ne!(image(0), image(1));
        assert!((0..200).all(|i| image(i).iter().all(|v| (0.0..=1.0).contains(v))));
    }
}

#[test]
fn crops_keep_their_bounds_and_fall_back_to_the_middle() {
    let mut stream = rng::stream(3, "t", 0);
    for _ in 0..1000 {
        let c = draw_crop(&mut stream, [32, 32], (0.8, 1.0), CROP_RATIO);
        assert!(c.top + c.height <= 32 && c.left + c.width <= 32, "{c:?}");
        // Rounded to whole pixels, so a little beyond 80 %.
        assert!(c.height * c.width >= 780, "{c:?}");
    }
    // No rectangle of a 64×16 image's whole area has a ratio of at most 4/3: its middle 16×21.
    assert_eq!(draw_crop(&mut stream, [16, 64], (1.0, 1.0), CROP_RATIO), Crop { top: 0, left: 21, height: 16, width: 21 });
}

#[test]
fn steps_are_described() {
    assert_eq!(
        Augmentation::emnist().describe(),
        ["affine: rotate ±5°, shift ±10 %, scale ×0.9–1.1, shear ±10°", "colour jitter: contrast ×0.9–1.5"]
    );
    assert_eq!(
        Augmentation::cifar10().describe(),
        [
            "crop 80–100 % of the area, ratio 0.75–1.33, resized",
            "affine: scale ×1–1.1",
            "colour jitter: brightness ×0.9–1.3, contrast ×0.9–1.5, saturation ×0.9–1.3, hue -0.05–+0.05",
            "flip horizontally, probability 0.5"
        ]
    );
    assert!(Augmentation::none().is_none() && Augmentation::none().describe().is_empty());
}

/// Images of C×32×32 bytes that have edges, grey pixels and saturated ones.
fn bytes(channels: usize, number: usize) -> Vec<u8> {
    let byte = |i: usize| match (i / 32) % 4 {
        0 => 0,
        1 => 255,
        _ => (i * 37 + i % 1024 * (7 + number)) % 256,
    };
    (0..channels * 1024).map(|i| byte(i) as u8).collect()
}

#[test]
fn a_batch_by_tensor_operations_is_its_images_one_by_one() {
    use crate::model::tensors::floats;
    use burn::tensor::{Device, TensorData};
    let every = |step: &Step| Augmentation { steps: vec![step.clone()] };
    let (colour, grey) = (Augmentation::cifar10(), Augmentation::emnist());
    let mut cases: Vec<(Augmentation, usize)> = colour.steps.iter().map(|s| (every(s), 3)).chain(grey.steps.iter().map(|s| (every(s), 1))).collect();
    // Each colour change alone, far out.
    let still = ((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0));
    let jitter = |(brightness, contrast, saturation, hue)| (every(&Step::ColourJitter { brightness, contrast, saturation, hue }), 3);
    cases.extend([
        jitter(((0.2, 2.0), still.1, still.2, still.3)),
        jitter((still.0, (0.2, 2.0), still.2, still.3)),
        jitter((still.0, still.1, (0.2, 2.0), still.3)),
        jitter((still.0, still.1, still.2, (-0.5, 0.5))),
        (every(&Step::Affine { degrees: 40.0, translate: 0.3, scale: (0.6, 1.6), shear: 20.0 }), 3),
        (every(&Step::ResizedCrop { scale: (0.1, 1.0), ratio: CROP_RATIO }), 3),
        (colour, 3),
        (grey, 1),
        (Augmentation::none(), 1),
    ]);
    for (augmentation, channels) in cases {
        let (n, size) = (40, channels * 1024);
        let images: Vec<Vec<u8>> = (0..n).map(|i| bytes(channels, i)).collect();
        let stream = |i: usize| rng::stream(9, "t", i as u64);
        let mut expected = vec![0.0; n * size];
        for (i, (image, out)) in images.iter().zip(expected.chunks_exact_mut(size)).enumerate() {
            augmentation.apply(image, [channels, 32, 32], &mut stream(i), out);
        }
        let start: Vec<f32> = images.concat().into_iter().map(|b| f32::from(b) / 255.0).collect();
        let start = Tensor::<4>::from_data(TensorData::new(start, [n, channels, 32, 32]), &Device::flex());
        let found = floats(augmentation.apply_to_batch(start, &mut (0..n).map(stream).collect::<Vec<_>>()));
        let apart = found.iter().zip(&expected).filter(|(f, e)| (*f - *e).abs() > 1e-5).count();
        // Places at which f32 and f64 disagree on the nearest pixel.
        assert!(apart as f64 <= 2e-4 * found.len() as f64, "{:?}: {apart} of {} values", augmentation.describe(), found.len());
    }
}
