//! Optimisers: Adam, AdamW, SGD and Muon over the parameters of any module.
//!
//! The formulas are torch's, Muon's its paper's. On the CPU a tensor's step of the first three is one pass in place ([`crate::kernels::optimiser`]); burn's own optimisers
//! make about a dozen temporaries a tensor.

mod muon;

use std::collections::HashMap;

use burn::backend::Dispatch;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::kernels::on_cpu;
use crate::kernels::optimiser::{AdamStep, OptimiserStep, SgdStep};

/// Adam's and AdamW's β₁ and β₂.
const BETAS: [f64; 2] = [0.9, 0.999];
/// What Adam and AdamW add to the root of the corrected second moment.
const EPS: f64 = 1e-8;
/// SGD's share of the last step.
const MOMENTUM: f64 = 0.9;

/// Optimisers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum OptimiserKind {
    /// Adam, betas 0.9/0.999, eps 1e-8 (Kingma & Ba 2015; the notebook's). Weight decay is an L2 penalty.
    Adam,
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).
    AdamW,
    /// Stochastic gradient descent with momentum 0.9. Weight decay is an L2 penalty.
    Sgd,
    /// Muon: momentum 0.95, the steps of matrices and kernels orthogonalised and as large as Adam's (Jordan et al. 2024; Liu et al. 2025,
    /// arXiv 2502.16982, eq. 4), so that it takes rates of Adam's, not of SGD's. The head, biases and normalisation step as with AdamW. Weight decay is
    /// decoupled.
    Muon,
}

/// An optimiser with its state: per parameter, on the parameter's device, what it has gathered so far.
#[derive(Debug)]
pub struct Optimiser {
    kind: OptimiserKind,
    weight_decay: f64,
    states: HashMap<ParamId, State>,
    free: HashMap<ParamId, Free>,
    rates: HashMap<ParamId, f64>,
}

/// What is kept of one parameter. Moments are flat, whatever the parameter's shape, but for Muon's, rows × the rest.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a parameter, each beside tensors far larger")]
enum State {
    Adam { steps: i32, first: Tensor<1>, second: Tensor<1> },
    Sgd { velocity: Tensor<1> },
    Muon { momentum: Option<Tensor<2>> },
}

/// Which elements of one parameter may change, row-major; a copy on the device once it was needed there.
#[derive(Debug)]
struct Free {
    host: Vec<bool>,
    device: Option<Tensor<1, Bool>>,
}

impl Optimiser {
    /// A fresh one; `weight_decay` is 0 for none.
    pub fn new(kind: OptimiserKind, weight_decay: f64) -> Self {
        Self { kind, weight_decay, states: HashMap::new(), free: HashMap::new(), rates: HashMap::new() }
    }

    /// A fresh Adam without weight decay.
    pub fn adam() -> Self {
        Self::new(OptimiserKind::Adam, 0.0)
    }

    /// Freezes single weights: of a parameter that `free` names, an element (row-major) changes only where its entry is true. The others
    /// keep their value bit for bit: neither momentum nor weight decay leaks through, as they do through a mask on the gradient.
    pub fn with_free(mut self, free: impl IntoIterator<Item = (ParamId, Vec<bool>)>) -> Self {
        self.free = free.into_iter().map(|(id, host)| (id, Free { host, device: None })).collect();
        self
    }

    /// Multiplies the learning rate of single parameters.
    pub fn with_rates(mut self, rates: impl IntoIterator<Item = (ParamId, f64)>) -> Self {
        self.rates = rates.into_iter().collect();
        self
    }

    /// `module` after one step with learning rate `lr`. Parameters without a gradient stay as they are.
    ///
    /// # Panics
    /// If a mask of [`Optimiser::with_free`] has not its parameter's size.
    pub fn step<M: Module>(&mut self, lr: f64, module: M, grads: GradientsParams) -> M {
        module.map(&mut Stepper { optimiser: self, lr, grads, within: vec![] })
    }

    /// The new value of parameter `id`, by the step that `kind` says, off the graph as `value` and `grad` are.
    fn update<const D: usize>(&mut self, (id, kind): (ParamId, OptimiserKind), lr: f64, value: Tensor<D>, grad: Tensor<D>) -> Tensor<D> {
        let (shape, device) = (value.shape(), value.device());
        let size = shape.num_elements();
        let mut free = self.free.get_mut(&id);
        if let Some(free) = &free {
            assert_eq!(free.host.len(), size, "a mask has one entry for each element of its parameter");
        }
        let fresh = || Tensor::zeros([size], &device);
        // The state is moved out, so that nobody else holds its buffers during the step.
        let state = self.states.remove(&id).unwrap_or_else(|| match kind {
            OptimiserKind::Adam | OptimiserKind::AdamW => State::Adam { steps: 0, first: fresh(), second: fresh() },
            OptimiserKind::Sgd => State::Sgd { velocity: fresh() },
            OptimiserKind::Muon => State::Muon { momentum: None },
        });
        let (new, state) = match state {
            State::Adam { steps, first, second } => {
                let step = adam_step(kind, self.weight_decay, lr, steps + 1);
                let (new, first, second) = if on_cpu(&device) {
                    let host = free.map(|f| f.host.as_slice());
                    let [value, grad] = [value, grad].map(Tensor::into_dispatch);
                    let (new, first, second) = Dispatch::adam_step(value, grad, first.into_dispatch(), second.into_dispatch(), step, host);
                    (Tensor::from_dispatch(new), Tensor::from_dispatch(first), Tensor::from_dispatch(second))
                } else {
                    let free = free.as_mut().map(|f| f.on(&device));
                    let (new, first, second) = adam_by_tensors(step, [value.flatten(0, D - 1), grad.flatten(0, D - 1), first, second], free);
                    (new.reshape(shape), first, second)
                };
                (new, State::Adam { steps: steps + 1, first, second })
            }
            State::Sgd { velocity } => {
                let step = SgdStep { momentum: MOMENTUM as f32, l2: self.weight_decay as f32, rate: lr as f32 };
                let (new, velocity) = if on_cpu(&device) {
                    let host = free.map(|f| f.host.as_slice());
                    let (new, velocity) = Dispatch::sgd_step(value.into_dispatch(), grad.into_dispatch(), velocity.into_dispatch(), step, host);
                    (Tensor::from_dispatch(new), Tensor::from_dispatch(velocity))
                } else {
                    let free = free.as_mut().map(|f| f.on(&device));
                    let (new, velocity) = sgd_by_tensors(step, [value.flatten(0, D - 1), grad.flatten(0, D - 1), velocity], free);
                    (new.reshape(shape), velocity)
                };
                (new, State::Sgd { velocity })
            }
            State::Muon { momentum } => {
                let rows = |t: Tensor<D>| t.reshape([shape[0], size / shape[0]]);
                let (new, momentum) = muon::step(lr, self.weight_decay, rows(value.clone()), rows(grad), momentum);
                let free = free.as_mut().map(|f| f.on(&device));
                let new = where_free(value.flatten(0, D - 1), new.flatten(0, 1), free).reshape(shape);
                (new, State::Muon { momentum: Some(momentum) })
            }
        };
        self.states.insert(id, state);
        new
    }
}

impl Free {
    fn on(&mut self, device: &Device) -> Tensor<1, Bool> {
        let make = || Tensor::from_data(TensorData::new(self.host.clone(), [self.host.len()]), device);
        self.device.get_or_insert_with(make).clone()
    }
}

/// The constants of step `t` (from 1): the correction of both moments for their start at 0 goes into `rate` and `second_scale`.
pub(crate) fn adam_step(kind: OptimiserKind, weight_decay: f64, lr: f64, t: i32) -> AdamStep {
    let (l2, decay) = if kind == OptimiserKind::AdamW { (0.0, lr * weight_decay) } else { (weight_decay, 0.0) };
    let pair = |beta: f64| [beta as f32, (1.0 - beta) as f32];
    AdamStep {
        first: pair(BETAS[0]),
        second: pair(BETAS[1]),
        l2: l2 as f32,
        decay: decay as f32,
        rate: (lr / (1.0 - BETAS[0].powi(t))) as f32,
        second_scale: (1.0 / (1.0 - BETAS[1].powi(t)).sqrt()) as f32,
        eps: EPS as f32,
    }
}

/// What [`AdamStep`] says, by tensor operations: parameter, gradient, m, v → parameter, m, v.
fn adam_by_tensors(s: AdamStep, [p, g, m, v]: [Tensor<1>; 4], free: Option<Tensor<1, Bool>>) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let g = g + p.clone().mul_scalar(s.l2);
    let m = m.mul_scalar(s.first[0]) + g.clone().mul_scalar(s.first[1]);
    let v = v.mul_scalar(s.second[0]) + g.square().mul_scalar(s.second[1]);
    let root = v.clone().sqrt().mul_scalar(s.second_scale).add_scalar(s.eps);
    let new = p.clone() - p.clone().mul_scalar(s.decay) - (m.clone() / root).mul_scalar(s.rate);
    (where_free(p, new, free), m, v)
}

/// What [`SgdStep`] says, by tensor operations: parameter, gradient, u → parameter, u.
fn sgd_by_tensors(s: SgdStep, [p, g, u]: [Tensor<1>; 3], free: Option<Tensor<1, Bool>>) -> (Tensor<1>, Tensor<1>) {
    let u = u.mul_scalar(s.momentum) + g + p.clone().mul_scalar(s.l2);
    let new = p.clone() - u.clone().mul_scalar(s.rate);
    (where_free(p, new, free), u)
}

fn where_free(old: Tensor<1>, new: Tensor<1>, free: Option<Tensor<1, Bool>>) -> Tensor<1> {
    match free {
        Some(free) => old.mask_where(free, new),
        None => new,
    }
}

struct Stepper<'a> {
    optimiser: &'a mut Optimiser,
    lr: f64,
    grads: GradientsParams,
    /// Names of the modules around, outermost first.
    within: Vec<String>,
}

impl Stepper<'_> {
    /// By which step a parameter of `dims` dimensions goes: Muon is for matrices within the network, not for what it ends in.
    fn kind(&self, dims: usize) -> OptimiserKind {
        match self.optimiser.kind {
            OptimiserKind::Muon if dims < 2 || self.within.iter().any(|name| name == "head") => OptimiserKind::AdamW,
            kind => kind,
        }
    }
}

impl ModuleMapper for Stepper<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.within.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.within.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let value = match self.grads.remove::<D>(id) {
            Some(grad) => {
                // A tensor that comes back from the inner back end has forgotten both.
                let (trains, strategy) = (value.is_require_grad(), value.gradient_checkpointing_strategy());
                let lr = self.lr * self.optimiser.rates.get(&id).copied().unwrap_or(1.0);
                let mut new = Tensor::from_inner(self.optimiser.update((id, self.kind(D)), lr, value.inner(), grad.inner()));
                if let Some(strategy) = strategy {
                    new = new.with_gradient_checkpointing_strategy(strategy);
                }
                if trains { new.require_grad() } else { new }
            }
            None => value,
        };
        Param::from_mapped_value(id, value, mapper)
    }
}

#[cfg(test)]
mod tests;
