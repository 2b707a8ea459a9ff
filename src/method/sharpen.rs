//! Sharpening: networks grow surer the longer they train, so one that trained briefly is told from a retrained one by how sure it is, however right
//! its answers are. Its logits are multiplied by the one number that spreads them over retained samples as widely as the original's.

use crate::data::Slot;
use crate::model::Classifier;
use crate::stats;

/// Most retained samples by which the logits' spread is compared, and the most that this may take of a budget.
const SAMPLES: f64 = 1024.0;
const SHARE: f64 = 0.1;

/// Samples that a budget of `image_passes`, passes of single images forward and backward, pays for, when each goes forward through `share` of two
/// networks; and what that costs.
pub(super) fn affordable(image_passes: f64, share: f64) -> (usize, f64) {
    let each = 2.0 * share / 3.0;
    let samples = SAMPLES.min(SHARE * image_passes / each).floor();
    (samples as usize, samples * each)
}

/// Mean over the rows of N×`slots` logits of their variance over the slots, `gone` left out; nats².
pub(super) fn spread(logits: &[f32], slots: usize, gone: &[Slot]) -> f64 {
    let kept = |row: &[f32]| row.iter().enumerate().filter(|(s, _)| !gone.contains(&Slot(*s))).map(|(_, z)| *z).collect::<Vec<f32>>();
    let spreads: Vec<f64> = logits.chunks(slots).map(|row| stats::confidence(&kept(row))).collect();
    stats::mean(&spreads)
}

/// `model`, whose logits have the spread `has`, with the spread `wanted`: they are multiplied by the square root of the ratio. Unchanged where that is
/// no number to multiply by.
pub(super) fn sharpened(model: Classifier, wanted: f64, has: f64) -> Classifier {
    let factor = (wanted / has).sqrt() as f32;
    if !factor.is_normal() {
        return model;
    }
    model.rewrite(|name, _shape, current| name.starts_with("head.").then(|| current().iter().map(|v| v * factor).collect()))
}
