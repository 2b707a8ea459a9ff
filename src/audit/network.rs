//! A network of one hidden layer that reads features: trained in plain f32 on one thread, the same bits wherever it runs.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rand::RngExt;
use rand::seq::SliceRandom;

use super::platt::Platt;
use super::signals::Features;
use crate::kernels::optimiser::adam_in_place;
use crate::optimiser::{OptimiserKind, adam_step};
use crate::{rng, stats};

/// Hidden units.
const HIDDEN: usize = 64;
/// Rows a step, at most.
const BATCH: usize = 256;
/// Learning rate of AdamW at the first step; it falls to 0 along half a cosine.
const RATE: f64 = 3e-3;
/// Decoupled weight decay.
const DECAY: f64 = 1e-2;
/// Steps at most.
const STEPS: usize = 160;
/// Passes at most: few rows would otherwise be seen again and again.
const PASSES: usize = 40;
/// Fewest steps between two looks at the held-out rows.
const LOOK: usize = 10;
/// Looks without a lower loss after which training stops.
const PATIENCE: usize = 4;
/// One row of each side in this many is held out.
const HELD_OUT: usize = 5;
/// Fewest held-out rows of either side that say when to stop; with fewer, all steps are taken.
const FEWEST_HELD: usize = 10;

/// D features → [`HIDDEN`] ReLU units → a score: old class where it is above 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    width: usize,
    /// First layer, HIDDEN×D (column-major), its biases, the second layer's weights and its bias, one after the other.
    values: Vec<f32>,
}

/// A trained network and the calibration of its scores on the rows held out.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The network, for features as they are.
    pub network: Network,
    /// Score → probability.
    pub calibration: Platt,
}

/// Rows prepared for training.
struct Rows {
    /// N·D standardised features.
    x: Vec<f32>,
    /// True is trained towards scores above 0.
    y: Vec<bool>,
    /// Weight of a row in the loss; both sides together weigh N/2.
    weight: Vec<f32>,
}

impl Rows {
    fn of(x: &Features, rows: &[usize], y: &[bool], [centre, scale]: [&[f32]; 2]) -> Self {
        let d = x.width;
        let mut values = Vec::with_capacity(rows.len() * d);
        for i in rows {
            values.extend(x.row(*i).iter().zip(centre.iter().zip(scale)).map(|(x, (c, s))| (x - c) * s));
        }
        let y: Vec<bool> = rows.iter().map(|i| y[*i]).collect();
        let n = y.len() as f32;
        let positive = y.iter().filter(|y| **y).count() as f32;
        let weight = y.iter().map(|y| 0.5 * n / if *y { positive } else { n - positive }).collect();
        Self { x: values, y, weight }
    }
}

impl Network {
    /// Uniform ±1/√fan_in, PyTorch's default.
    fn drawn(width: usize, rng: &mut rng::Stream) -> Self {
        let (first, second) = (1.0 / (width as f32).sqrt(), 1.0 / (HIDDEN as f32).sqrt());
        let (inner, outer) = (HIDDEN * (width + 1), HIDDEN + 1);
        let values = (0..inner + outer).map(|i| rng.random_range(-1.0..1.0f32) * if i < inner { first } else { second }).collect();
        Self { width, values }
    }

    /// First layer, its biases, second layer, its bias.
    fn parts(&self) -> [&[f32]; 4] {
        split(&self.values, self.width)
    }

    /// The hidden units of N rows of D features, HIDDEN×N, before the ReLU.
    fn hidden(&self, x: &[f32]) -> Mat<f32> {
        let n = x.len() / self.width.max(1);
        let [first, biases, ..] = self.parts();
        let mut out = Mat::zeros(HIDDEN, n);
        let (first, x) = (MatRef::from_column_major_slice(first, HIDDEN, self.width), MatRef::from_column_major_slice(x, self.width, n));
        matmul(out.as_mut(), Accum::Replace, first, x, 1.0, Par::Seq);
        (0..n).for_each(|i| out.col_as_slice_mut(i).iter_mut().zip(biases).for_each(|(h, b)| *h += b));
        out
    }

    /// Scores from hidden units before the ReLU.
    fn outputs(&self, hidden: &Mat<f32>) -> Vec<f32> {
        let [.., second, bias] = self.parts();
        let score = |i| hidden.col_as_slice(i).iter().zip(second).map(|(h, w)| h.max(0.0) * w).sum::<f32>() + bias[0];
        (0..hidden.ncols()).map(score).collect()
    }

    /// The score of every row.
    pub fn scores(&self, x: &Features) -> Vec<f64> {
        let chunks = x.values.chunks(BATCH * x.width.max(1));
        chunks.flat_map(|chunk| self.outputs(&self.hidden(chunk))).map(f64::from).collect()
    }

    /// Weighted mean of the logistic loss ln(1 + exp(∓score)), nats.
    fn loss(&self, rows: &Rows) -> f64 {
        let scores = rows.x.chunks(BATCH * self.width.max(1)).flat_map(|chunk| self.outputs(&self.hidden(chunk)));
        let losses = scores.zip(&rows.y).zip(&rows.weight).map(|((s, y), w)| {
            let z = f64::from(if *y { -s } else { s });
            f64::from(*w) * (z.max(0.0) + (-z.abs()).exp().ln_1p())
        });
        losses.sum::<f64>() / rows.y.len() as f64
    }

    /// Gradient of the weighted mean loss of a batch, laid out as the values are.
    fn gradient(&self, x: &[f32], y: &[bool], weight: &[f32], out: &mut [f32]) {
        let n = y.len();
        let mut hidden = self.hidden(x);
        let scores = self.outputs(&hidden);
        let second = self.parts()[2];
        out.fill(0.0);
        let [first, biases, outer, bias] = split_mut(out, self.width);
        for i in 0..n {
            let probability = 1.0 / (1.0 + (-scores[i]).exp());
            let error = weight[i] * (probability - if y[i] { 1.0 } else { 0.0 }) / n as f32;
            bias[0] += error;
            for ((h, w), (o, b)) in hidden.col_as_slice_mut(i).iter_mut().zip(second).zip(outer.iter_mut().zip(biases.iter_mut())) {
                *o += error * h.max(0.0);
                *h = if *h > 0.0 { error * w } else { 0.0 };
                *b += *h;
            }
        }
        let to = MatMut::from_column_major_slice_mut(first, HIDDEN, self.width);
        let x = MatRef::from_column_major_slice(x, self.width, n);
        matmul(to, Accum::Replace, hidden.as_ref(), x.transpose(), 1.0, Par::Seq);
    }

    /// The same function of features that are not standardised.
    fn on_raw(mut self, centre: &[f32], scale: &[f32]) -> Self {
        let [first, biases, ..] = split_mut(&mut self.values, self.width);
        for (column, (c, s)) in first.chunks_exact_mut(HIDDEN).zip(centre.iter().zip(scale)) {
            for (w, b) in column.iter_mut().zip(biases.iter_mut()) {
                *w *= s;
                *b -= *w * c;
            }
        }
        self
    }
}

fn split(values: &[f32], width: usize) -> [&[f32]; 4] {
    let (first, rest) = values.split_at(HIDDEN * width);
    let (biases, rest) = rest.split_at(HIDDEN);
    let (second, bias) = rest.split_at(HIDDEN);
    [first, biases, second, bias]
}

fn split_mut(values: &mut [f32], width: usize) -> [&mut [f32]; 4] {
    let (first, rest) = values.split_at_mut(HIDDEN * width);
    let (biases, rest) = rest.split_at_mut(HIDDEN);
    let (second, bias) = rest.split_at_mut(HIDDEN);
    [first, biases, second, bias]
}

/// Trains a network on the given rows of `x` to tell rows with `y` from others, both sides weighing a half; random numbers come from the stream
/// `mlp probe` number `draw` of `seed`. Each side must have [`super::shares::FEWEST`] rows, and the features must be finite.
///
/// One row in [`HELD_OUT`] of each side is held out: training keeps the weights that had the lowest loss there, and stops once that has not
/// fallen at [`PATIENCE`] looks, unless the rows held out are too few to tell; scores are calibrated there. Test samples play no part.
pub fn train(x: &Features, rows: &[usize], y: &[bool], seed: u64, draw: u64) -> Trained {
    let mut rng = rng::stream(seed, "mlp probe", draw);
    let (mut fit, mut held) = (Vec::new(), Vec::new());
    for side in [true, false] {
        let mut here: Vec<usize> = rows.iter().copied().filter(|i| y[*i] == side).collect();
        here.shuffle(&mut rng);
        let (out, kept) = here.split_at(here.len() / HELD_OUT);
        held.extend_from_slice(out);
        fit.extend_from_slice(kept);
    }
    let [centre, scale] = standard(x, &fit);
    let (fit, held) = (Rows::of(x, &fit, y, [&centre, &scale]), Rows::of(x, &held, y, [&centre, &scale]));
    let (n, d) = (fit.y.len(), x.width);
    let mut network = Network::drawn(d, &mut rng);
    let size = network.values.len();
    let [mut gradient, mut first, mut second] = [vec![0.0; size], vec![0.0; size], vec![0.0; size]];
    let per_pass = n.div_ceil(BATCH);
    let steps = STEPS.min(PASSES * per_pass);
    let look = per_pass.max(LOOK);
    let telling = [true, false].iter().all(|side| held.y.iter().filter(|y| *y == side).count() >= FEWEST_HELD);
    let mut best = (network.loss(&held), network.clone(), 0);
    let mut order: Vec<usize> = (0..n).collect();
    for step in 0..steps {
        let part = step % per_pass;
        if part == 0 {
            order.shuffle(&mut rng);
        }
        let batch = &order[part * n / per_pass..(part + 1) * n / per_pass];
        let inputs: Vec<f32> = batch.iter().flat_map(|i| &fit.x[i * d..(i + 1) * d]).copied().collect();
        let (targets, weights): (Vec<bool>, Vec<f32>) = batch.iter().map(|i| (fit.y[*i], fit.weight[*i])).unzip();
        network.gradient(&inputs, &targets, &weights, &mut gradient);
        let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
        let constants = adam_step(OptimiserKind::AdamW, DECAY, rate, step as i32 + 1);
        adam_in_place(constants, &mut network.values, &gradient, &mut first, &mut second);
        if telling && (step + 1) % look == 0 || step + 1 == steps {
            let loss = network.loss(&held);
            if loss < best.0 || !telling {
                best = (loss, network.clone(), step);
            } else if step - best.2 >= PATIENCE * look {
                break;
            }
        }
    }
    let network = best.1;
    let scores: Vec<f64> = held.x.chunks(BATCH * d.max(1)).flat_map(|c| network.outputs(&network.hidden(c))).map(f64::from).collect();
    Trained { calibration: Platt::fit(&scores, &held.y), network: network.on_raw(&centre, &scale) }
}

/// Mean of each feature over the rows, and what centred features are multiplied with: 1/√(its variance + the mean variance of all features).
///
/// A feature that hardly varies over these rows is not blown up, as it would be by its own deviation alone: a unit that is silent on nearly
/// all training rows would then shout on a test row. Constant features are not read where all are.
fn standard(x: &Features, rows: &[usize]) -> [Vec<f32>; 2] {
    let (n, d) = (rows.len() as f64, x.width);
    let (mut mean, mut variance) = (vec![0.0f64; d], vec![0.0f64; d]);
    for i in rows {
        mean.iter_mut().zip(x.row(*i)).for_each(|(m, v)| *m += f64::from(*v) / n);
    }
    for i in rows {
        variance.iter_mut().zip(&mean).zip(x.row(*i)).for_each(|((s, m), v)| *s += (f64::from(*v) - m).powi(2) / n);
    }
    let level = stats::mean(&variance);
    let scale = variance.iter().map(|v| if level > 0.0 { (v + level).powf(-0.5) } else { 0.0 } as f32).collect();
    [mean.into_iter().map(|m| m as f32).collect(), scale]
}

#[cfg(test)]
mod tests;
