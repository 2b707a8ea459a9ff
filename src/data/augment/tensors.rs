//! [`Change`]s of a batch at once by burn's tensor operations, for images that stay on a GPU. Each says what its counterpart in `geometry` or
//! `colour` says; the tests compare the two.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::colour::GREY;
use super::{Change, Crop, Jitter};

/// N×C×H×W `images` of 0–1 floats with one change each, all of the same step.
///
/// # Panics
/// If there is not one change an image, or they are of several steps.
pub(super) fn apply(images: Tensor<4>, changes: &[Change]) -> Tensor<4> {
    let [n, _, h, w] = images.dims();
    assert_eq!(n, changes.len(), "a change an image");
    match changes.first() {
        None => images,
        Some(Change::Affine(_)) => {
            let maps = of_one_step(changes, |c| if let Change::Affine(map) = c { Some(map.inverse([h as f64 / 2.0, w as f64 / 2.0])) } else { None });
            affine(images, &maps)
        }
        Some(Change::ResizedCrop(_)) => {
            resized_crop(images, &of_one_step(changes, |c| if let Change::ResizedCrop(crop) = c { Some(crop) } else { None }))
        }
        Some(Change::ColourJitter(_)) => {
            jitter(images, &of_one_step(changes, |c| if let Change::ColourJitter(jitter) = c { Some(jitter) } else { None }))
        }
        Some(Change::FlipHorizontally(_)) => {
            let flips = of_one_step(changes, |c| if let Change::FlipHorizontally(flip) = c { Some(f32::from(flip)) } else { None });
            let flips = an_image(flips, &images.device());
            images.clone() + (images.clone().flip([3]) - images) * flips
        }
    }
}

fn of_one_step<T>(changes: &[Change], of: impl Fn(Change) -> Option<T>) -> Vec<T> {
    changes.iter().map(|c| of(*c).expect("changes of one step")).collect()
}

/// One number an image, N×1×1×1.
fn an_image(values: Vec<f32>, device: &Device) -> Tensor<4> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n, 1, 1, 1]), device)
}

/// One number an image, N×1.
fn column(values: impl Iterator<Item = f64>, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.map(|v| v as f32).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n, 1]), device)
}

/// 1×`values`.
fn row(values: impl Iterator<Item = f32>, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [1, n]), device)
}

/// Every pixel takes the nearest of its origin, by the six numbers of `Affine::inverse`; 0 where that lies outside.
fn affine(images: Tensor<4>, maps: &[[f64; 6]]) -> Tensor<4> {
    let [n, c, h, w] = images.dims();
    let device = images.device();
    let pixels = || 0..h * w;
    let (x, y) = (row(pixels().map(|i| (i % w) as f32 + 0.5), &device), row(pixels().map(|i| (i / w) as f32 + 0.5), &device)); // [1, HW]
    let number = |k: usize| column(maps.iter().map(|m| m[k]), &device); // [N, 1]
    let from_x = number(0) * x.clone() + number(1) * y.clone() + number(2); // [N, HW]
    let from_y = number(3) * x + number(4) * y + number(5);
    let within = |at: &Tensor<2>, size: usize| at.clone().greater_equal_scalar(0.0).float() * at.clone().lower_scalar(size as f32).float();
    let inside = within(&from_x, w) * within(&from_y, h);
    let origin = (from_y.floor() * w as f32 + from_x.floor()).clamp(0.0, (h * w - 1) as f32).int();
    let taken = images.reshape([n, c, h * w]).gather(2, origin.reshape([n, 1, h * w]).expand([n, c, h * w]));
    (taken * inside.reshape([n, 1, h * w])).reshape([n, c, h, w])
}

/// A rectangle of each image enlarged to the whole, bilinear.
fn resized_crop(images: Tensor<4>, crops: &[Crop]) -> Tensor<4> {
    let [n, c, h, w] = images.dims();
    let device = images.device();
    // First origins, second origins and the weights of the second, N×size each.
    let taps = |size: usize, start: fn(&Crop) -> usize, part: fn(&Crop) -> usize| {
        let (start, part) = (column(crops.iter().map(|c| start(c) as f64), &device), column(crops.iter().map(|c| part(c) as f64), &device));
        let last = part.clone() - 1.0;
        let at = row((0..size).map(|i| i as f32 + 0.5), &device) * part / size as f32 - 0.5;
        let at = at.clamp_min(0.0).min_pair(last.clone().expand([n, size])); // [N, size]
        let first = at.clone().floor();
        let second = (first.clone() + 1.0).min_pair(last.expand([n, size]));
        ((first.clone() + start.clone()).int(), (second + start).int(), at - first)
    };
    let (left, right, across) = taps(w, |c| c.left, |c| c.width);
    let columns = |at: Tensor<2, Int>| images.clone().gather(3, at.reshape([n, 1, 1, w]).expand([n, c, h, w]));
    let (from, to) = (columns(left), columns(right));
    let images = from.clone() + (to - from) * across.reshape([n, 1, 1, w]);
    let (top, bottom, down) = taps(h, |c| c.top, |c| c.height);
    let rows = |at: Tensor<2, Int>| images.clone().gather(2, at.reshape([n, 1, h, 1]).expand([n, c, h, w]));
    let (from, to) = (rows(top), rows(bottom));
    from.clone() + (to - from) * down.reshape([n, 1, h, 1])
}

/// The four changes of colour, each image's in its own order: four rounds of all four, of which all but one leave an image as it is.
fn jitter(mut images: Tensor<4>, jitters: &[Jitter]) -> Tensor<4> {
    let device = images.device();
    for round in 0..4 {
        for (change, neutral) in [1.0, 1.0, 1.0, 0.0].into_iter().enumerate() {
            let factors: Vec<f32> = jitters.iter().map(|j| j.factors[change].filter(|_| j.order[round] == change).unwrap_or(neutral)).collect();
            if factors.iter().all(|f| *f == neutral) {
                continue;
            }
            let factors = an_image(factors, &device);
            images = match change {
                0 => (images * factors).clamp(0.0, 1.0),
                1 => contrast(images, factors),
                2 => saturation(images, factors),
                _ => hue(images, factors),
            };
        }
    }
    images
}

/// Grey of N×3×H×W, N×1×H×W.
fn grey(images: Tensor<4>) -> Tensor<4> {
    let weights = Tensor::<4>::from_data(TensorData::new(GREY.to_vec(), [1, 3, 1, 1]), &images.device());
    (images * weights).sum_dim(1)
}

fn contrast(images: Tensor<4>, factors: Tensor<4>) -> Tensor<4> {
    let one = if images.dims()[1] == 3 { grey(images.clone()) } else { images.clone().mean_dim(1) };
    let mean = one.mean_dim(2).mean_dim(3); // [N, 1, 1, 1]
    // As `mean + factor · (image − mean)` a factor of 1 would round.
    let rest = factors.clone().neg().add_scalar(1.0) * mean;
    (images * factors + rest).clamp(0.0, 1.0)
}

fn saturation(images: Tensor<4>, factors: Tensor<4>) -> Tensor<4> {
    let rest = factors.clone().neg().add_scalar(1.0) * grey(images.clone());
    (images * factors + rest).clamp(0.0, 1.0)
}

/// Turns the hue by a share of the circle. With hue h in sixths, saturation s and value v, a channel is v − v·s·max(0, min(k, 4 − k, 1)) with
/// k = (m + h) mod 6 and m = 5, 3, 1 for red, green, blue: the six cases of the usual form in one.
fn hue(images: Tensor<4>, shifts: Tensor<4>) -> Tensor<4> {
    let channel = |i: usize| images.clone().narrow(1, i, 1); // [N, 1, H, W]
    let (r, g, b) = (channel(0), channel(1), channel(2));
    let (max, min) = (images.clone().max_dim(1), images.clone().min_dim(1));
    let range = max.clone() - min;
    // Without a range there is no hue, and what it is does not matter: 0.
    let divisor = range.clone() + range.clone().equal_scalar(0.0).float();
    let is_red = r.clone().equal(max.clone());
    let is_green = g.clone().equal(max.clone());
    let sixths = (r.clone() - g.clone()) / divisor.clone() + 4.0;
    let sixths = sixths.mask_where(is_green, (b.clone() - r) / divisor.clone() + 2.0);
    let sixths = sixths.mask_where(is_red, (g - b) / divisor);
    let turned = sixths + shifts * 6.0;
    let channels = [5.0, 3.0, 1.0].map(|m| {
        let k = turned.clone() + m;
        let k = k.clone() - (k / 6.0).floor() * 6.0;
        let share = k.clone().min_pair(k.neg().add_scalar(4.0)).clamp(0.0, 1.0);
        // v·s is the range.
        max.clone() - range.clone() * share
    });
    Tensor::cat(channels.to_vec(), 1).clamp(0.0, 1.0)
}
