//! Saliency masks: which weights are most involved in predicting a class.

use std::collections::BTreeMap;

use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::data::Labelled;
use crate::error::Result;
use crate::model::Classifier;
use crate::train;

/// How involvement is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// |Σ ∂CE/∂θ| over the class's samples (SalUn, Fan et al. 2024, eq. 4).
    Gradient,
    /// |θ · Σ ∂CE/∂θ|: the first-order change of the loss if the weight were removed (Molchanov et al. 2017, eq. 8).
    Taylor,
}

/// For every parameter tensor, which of its weights may train.
pub type Mask = BTreeMap<String, Vec<bool>>;

/// Scores every weight on `data` (labelled with the class's slot) and keeps the top `share` over the whole network.
/// Ties at the threshold are kept in network order until the share is full, so that the count is exact.
///
/// `model` is in inference mode; its normalisation layers use their running statistics.
pub fn mask(model: &Classifier, data: &Labelled, score: Score, share: f64, ctx: &mut Context) -> Result<Mask> {
    let net = model.clone().trainable(|_| true, true);
    let mut sums: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    let device = ctx.device.clone().autodiff();
    for batch in crate::data::Batches::in_order(data, ctx.settings.batch, &ctx.pipeline.normalisation, &device) {
        ctx.check_interrupt()?;
        let count = batch.slots.len() as f32;
        let loss = train::cross_entropy(net.logits(batch.images), &batch.slots);
        let grads = net.gradients(&GradientsParams::from_grads(loss.backward(), &net));
        for (name, grad) in grads {
            let sum = sums.entry(name).or_insert_with(|| vec![0.0; grad.len()]);
            // The batch loss is a mean; the sum over samples does not depend on the batch size.
            sum.iter_mut().zip(grad).for_each(|(s, g)| *s += g * count);
        }
    }
    ctx.cost.trained(data.len());
    let parameters = model.parameters();
    let scores: Vec<Vec<f32>> = parameters
        .iter()
        .map(|p| {
            let sum = sums.remove(&p.name).unwrap_or_else(|| vec![0.0; p.values.len()]);
            match score {
                Score::Gradient => sum.iter().map(|s| s.abs()).collect(),
                Score::Taylor => sum.iter().zip(&p.values).map(|(s, v)| (s * v).abs()).collect(),
            }
        })
        .collect();
    let total: usize = scores.iter().map(Vec::len).sum();
    let keep = ((share * total as f64).round() as usize).clamp(1, total);
    let mut order: Vec<(usize, usize)> = scores.iter().enumerate().flat_map(|(t, s)| (0..s.len()).map(move |i| (t, i))).collect();
    // A stable sort keeps network order among equals.
    order.sort_by(|a, b| scores[b.0][b.1].total_cmp(&scores[a.0][a.1]));
    let mut masks: Vec<Vec<bool>> = scores.iter().map(|s| vec![false; s.len()]).collect();
    for (t, i) in order.into_iter().take(keep) {
        masks[t][i] = true;
    }
    Ok(parameters.into_iter().map(|p| p.name).zip(masks).collect())
}
