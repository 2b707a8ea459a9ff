//! Changing values: torchvision's `adjust_*` for tensors. Images are CHW floats from 0 to 1, and stay so.

/// Weights of red, green and blue in grey, as torchvision has them (they add up to 0.9999).
pub(super) const GREY: [f32; 3] = [0.2989, 0.587, 0.114];

fn grey(red: f32, green: f32, blue: f32) -> f32 {
    GREY[0] * red + GREY[1] * green + GREY[2] * blue
}

/// The three planes of a colour image.
fn planes(image: &mut [f32]) -> (&mut [f32], &mut [f32], &mut [f32]) {
    let plane = image.len() / 3;
    let (red, rest) = image.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    (red, green, blue)
}

/// `factor` × every value.
pub(super) fn brightness(image: &mut [f32], factor: f32) {
    image.iter_mut().for_each(|v| *v = (*v * factor).clamp(0.0, 1.0));
}

/// `factor` × the distance of every value from the image's mean grey.
pub(super) fn contrast(image: &mut [f32], channels: usize, factor: f32) {
    let pixels = (image.len() / channels) as f64;
    // Summed in f64: the mean of a thousand small values loses digits in f32.
    let sum = |plane: &[f32]| plane.iter().map(|v| f64::from(*v)).sum::<f64>();
    let mean = if channels == 3 {
        let (red, green, blue) = planes(image);
        GREY.iter().zip([red, green, blue]).map(|(w, plane)| f64::from(*w) * sum(plane)).sum::<f64>() / pixels
    } else {
        sum(image) / image.len() as f64
    } as f32;
    image.iter_mut().for_each(|v| *v = (factor * *v + (1.0 - factor) * mean).clamp(0.0, 1.0));
}

/// `factor` × the distance of every value from its pixel's grey; `image` has three channels.
pub(super) fn saturation(image: &mut [f32], factor: f32) {
    let (red, green, blue) = planes(image);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let rest = (1.0 - factor) * grey(*r, *g, *b);
        for v in [r, g, b] {
            *v = (factor * *v + rest).clamp(0.0, 1.0);
        }
    }
}

/// Turns the hue by `shift` of the full circle; `image` has three channels.
pub(super) fn hue(image: &mut [f32], shift: f32) {
    let (red, green, blue) = planes(image);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let (hue, saturation, value) = to_hsv(*r, *g, *b);
        (*r, *g, *b) = to_rgb(wrap(hue + shift), saturation, value);
    }
}

/// Brings a hue from between −1 and 2 back to 0–1. (`rem_euclid` does, too, at ten times the cost: this runs for every pixel.)
fn wrap(hue: f32) -> f32 {
    if hue < 0.0 {
        hue + 1.0
    } else if hue >= 1.0 {
        hue - 1.0
    } else {
        hue
    }
}

/// Hue (0–1, red 0, green 1/3, blue 2/3), saturation, value.
fn to_hsv(r: f32, g: f32, b: f32) -> (f32, f32, f32) {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let range = max - min;
    if range == 0.0 {
        return (0.0, 0.0, max);
    }
    let sixths = if r == max {
        (g - b) / range
    } else if g == max {
        2.0 + (b - r) / range
    } else {
        4.0 + (r - g) / range
    };
    (wrap(sixths / 6.0), range / max, max)
}

fn to_rgb(hue: f32, saturation: f32, value: f32) -> (f32, f32, f32) {
    let sixths = hue * 6.0;
    let sector = sixths as u32;
    let part = sixths - sector as f32;
    let p = (value * (1.0 - saturation)).clamp(0.0, 1.0);
    let q = (value * (1.0 - saturation * part)).clamp(0.0, 1.0);
    let t = (value * (1.0 - saturation * (1.0 - part))).clamp(0.0, 1.0);
    // A hue of 1, which rounding can give, is a hue of 0.
    match sector % 6 {
        0 => (value, t, p),
        1 => (q, value, p),
        2 => (p, value, t),
        3 => (p, q, value),
        4 => (t, p, value),
        _ => (value, p, q),
    }
}
