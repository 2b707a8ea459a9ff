//! Moving pixels: affine map, crop and resize, flip. Images are CHW floats; every channel is treated alike.

/// The parameters of `torchvision.transforms.functional.affine`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    /// Rotation, clockwise as seen.
    pub degrees: f64,
    /// Shift to the right, in pixels.
    pub right: f64,
    /// Shift downwards, in pixels.
    pub down: f64,
    /// Enlargement.
    pub scale: f64,
    /// Shear along x, in degrees.
    pub shear: f64,
}

impl Affine {
    /// The six numbers that take a point of the result to its origin: torchvision's `_get_inverse_affine_matrix` about
    /// `centre` (y, x). With R the rotation, H the shear and s the scale, (x, y) ← (sRH)⁻¹ ((x, y) − centre − shift) + centre.
    pub(super) fn inverse(self, [cy, cx]: [f64; 2]) -> [f64; 6] {
        let (sin, cos) = self.degrees.to_radians().sin_cos();
        let tan = self.shear.to_radians().tan();
        // R·H = [[a, b], [c, d]], determinant 1.
        let (a, b, c, d) = (cos, -cos * tan - sin, sin, -sin * tan + cos);
        let [a, b, c, d] = [d, -b, -c, a].map(|v| v / self.scale);
        let (x, y) = (-cx - self.right, -cy - self.down);
        [a, b, a * x + b * y + cx, c, d, c * x + d * y + cy]
    }
}

/// Every pixel of `to` takes the nearest pixel of `from` (planes of `size` = H, W), 0 where its origin lies outside.
pub(super) fn affine(from: &[f32], [height, width]: [usize; 2], map: Affine, to: &mut [f32]) {
    let [a, b, c, d, e, f] = map.inverse([height as f64 / 2.0, width as f64 / 2.0]);
    // Pixel centres lie at half numbers, so the pixel that holds a point has its whole part as number.
    let along: Vec<(f64, f64)> = (0..width).map(|col| col as f64 + 0.5).map(|x| (a * x, d * x)).collect();
    let mut origins = Vec::with_capacity(height * width);
    for row in 0..height {
        let y = row as f64 + 0.5;
        let (across, down) = (b * y, e * y);
        origins.extend(along.iter().map(|(ax, dx)| {
            let (x, y) = (ax + across + c, dx + down + f);
            let inside = (x >= 0.0) & (y >= 0.0) & (x < width as f64) & (y < height as f64);
            // For points outside a meaningless number, but without a branch for every pixel.
            let number = (y as i32).wrapping_mul(width as i32).wrapping_add(x as i32);
            if inside { number } else { OUTSIDE }
        }));
    }
    let plane = height * width;
    for (to, from) in to.chunks_exact_mut(plane).zip(from.chunks_exact(plane)) {
        to.iter_mut().zip(&origins).for_each(|(to, origin)| *to = from.get(*origin as usize).copied().unwrap_or(0.0));
    }
}

/// The number of no pixel.
const OUTSIDE: i32 = -1;

/// A rectangle within an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crop {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

/// Enlarges a part of `from` (planes of H×W) to the whole of `to`, bilinear with pixel centres at half numbers
/// (`align_corners=False`). torchvision's antialiasing changes nothing here: a part is never larger than the whole.
pub(super) fn resized_crop(from: &[f32], [height, width]: [usize; 2], crop: Crop, to: &mut [f32]) {
    let rows: Vec<Tap> = (0..height).map(|i| tap(i, crop.top, crop.height, height)).collect();
    let cols: Vec<Tap> = (0..width).map(|i| tap(i, crop.left, crop.width, width)).collect();
    let plane = height * width;
    for (to, from) in to.chunks_exact_mut(plane).zip(from.chunks_exact(plane)) {
        for (to, (top, bottom, down)) in to.chunks_exact_mut(width).zip(&rows) {
            let (upper, lower) = (&from[top * width..][..width], &from[bottom * width..][..width]);
            for (out, (left, right, across)) in to.iter_mut().zip(&cols) {
                let blend = |row: &[f32]| row[*left] + across * (row[*right] - row[*left]);
                let (upper, lower) = (blend(upper), blend(lower));
                *out = upper + down * (lower - upper);
            }
        }
    }
}

/// Two neighbouring origins and the weight of the second.
type Tap = (usize, usize, f32);

/// Where pixel `i` of `size` comes from when `part` pixels from `start` on are enlarged; the part's edge is repeated beyond it.
fn tap(i: usize, start: usize, part: usize, size: usize) -> Tap {
    let at = ((i as f64 + 0.5) * part as f64 / size as f64 - 0.5).clamp(0.0, (part - 1) as f64);
    let first = at.floor() as usize;
    (start + first, start + (first + 1).min(part - 1), (at - at.floor()) as f32)
}

/// Mirrors every row.
pub(super) fn flip_horizontally(image: &mut [f32], width: usize) {
    image.chunks_exact_mut(width).for_each(<[f32]>::reverse);
}
