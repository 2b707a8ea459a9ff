//! A classifier's named tensors: parameters and running statistics, read, written, frozen and hashed.
//!
//! Names are what a torch `Sequential` of named stages gives: `conv1.0.weight`, `group2.0.body.1.running_mean`, `head.bias`.

use std::collections::BTreeMap;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::{Classifier, Spec};
use crate::rng;

/// One parameter or running statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Torch-like name.
    pub name: String,
    /// Identity within the module, for gradients.
    pub id: ParamId,
    /// Shape as burn keeps it: linear weights are in×out.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// Running statistics are state, not parameters: no gradient, no mask reaches them.
pub fn is_statistic(name: &str) -> bool {
    name.ends_with(".running_mean") || name.ends_with(".running_var")
}

/// Turns burn's path (`stages.0.layers.1.Conv.weight`) into ours; `Enum:` containers leave no trace.
#[derive(Debug, Default)]
struct Path {
    parts: Vec<Option<String>>,
}

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        self.parts.push((!container.starts_with("Enum:")).then(|| name.to_string()));
    }

    fn exit(&mut self) {
        self.parts.pop();
    }

    fn name(&self, spec: &Spec) -> String {
        let mut parts: Vec<&str> = self.parts.iter().flatten().map(String::as_str).collect();
        if parts.first() == Some(&"stages") {
            let stage = parts.get(1).and_then(|i| i.parse::<usize>().ok()).unwrap_or(0);
            // stages.K.layers.rest → NAME.rest
            parts.splice(0..3, [spec.stage_names[stage].as_str()]);
        }
        let last = parts.len() - 1;
        parts[last] = match parts[last] {
            "gamma" => "weight",
            "beta" => "bias",
            other => other,
        };
        parts.join(".")
    }
}

struct Reader<'a> {
    path: Path,
    spec: &'a Spec,
    out: Vec<NamedTensor>,
}

impl ModuleVisitor for Reader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        self.out.push(NamedTensor { name: self.path.name(self.spec), id: param.id, shape, values: floats(tensor) });
    }
}

/// Values of a tensor in row-major order.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("models are f32 throughout")
}

struct Writer<'a, F> {
    path: Path,
    spec: &'a Spec,
    change: F,
}

impl<F: FnMut(&str, &[usize], &mut dyn FnMut() -> Vec<f32>) -> Option<Vec<f32>>> ModuleMapper for Writer<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name(self.spec);
        let (id, tensor, mapper) = param.consume();
        let (shape, device) = (tensor.dims(), tensor.device());
        let mut current = || floats(tensor.clone());
        let tensor = match (self.change)(&name, &shape, &mut current) {
            Some(values) => {
                let new = Tensor::from_data(TensorData::new(values, shape), &device);
                if tensor.is_require_grad() { new.require_grad() } else { new }
            }
            None => tensor,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

struct Freezer<'a, F> {
    path: Path,
    spec: &'a Spec,
    trains: F,
    freeze_statistics: bool,
}

impl<F: Fn(&str) -> bool> ModuleMapper for Freezer<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name(self.spec);
        param.set_require_grad(!is_statistic(&name) && (self.trains)(&name))
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(!self.freeze_statistics)
    }
}

impl Classifier {
    /// Every parameter and running statistic, in network order.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let mut reader = Reader { path: Path::default(), spec: &self.spec, out: Vec::new() };
        self.visit(&mut reader);
        reader.out
    }

    /// Parameters only: what an optimiser may change.
    pub fn parameters(&self) -> Vec<NamedTensor> {
        self.tensors().into_iter().filter(|t| !is_statistic(&t.name)).collect()
    }

    /// The classifier with the values of `change` (name → row-major values of the tensor's own shape) in place of its own.
    pub fn with_tensors(self, change: &BTreeMap<String, Vec<f32>>) -> Self {
        self.rewrite(|name, _shape, _current| change.get(name).cloned())
    }

    /// The classifier with `change(name, shape, current values)` in place of every tensor for which it gives some. Clones of it keep theirs,
    /// running statistics too, which burn's [`Module::map`] would change for all clones at once.
    pub fn rewrite(self, change: impl FnMut(&str, &[usize], &mut dyn FnMut() -> Vec<f32>) -> Option<Vec<f32>>) -> Self {
        let spec = self.spec.clone();
        self.with_own_statistics().map(&mut Writer { path: Path::default(), spec: &spec, change })
    }

    /// The classifier with the tensors that `choose` names drawn afresh (see [`Classifier::new`]) and their statistics at mean 0, variance 1.
    /// Each tensor has its own stream, so that resetting a part gives the same numbers as resetting everything.
    pub fn reset(self, seed: u64, choose: impl Fn(&str) -> bool) -> Self {
        let mut fan_in = 1;
        self.rewrite(|name, shape, _current| {
            let size: usize = shape.iter().product();
            // A bias follows its weight in network order and takes that weight's fan-in.
            match shape.len() {
                4 => fan_in = shape[1] * shape[2] * shape[3],
                2 => fan_in = shape[0],
                _ => {}
            }
            let norm = shape.len() == 1 && name.ends_with(".weight");
            if norm {
                fan_in = 0; // its bias starts at 0
            }
            if !choose(name) {
                return None;
            }
            Some(if norm || name.ends_with(".running_var") {
                vec![1.0; size]
            } else if name.ends_with(".running_mean") || fan_in == 0 {
                vec![0.0; size]
            } else {
                let bound = 1.0 / (fan_in as f32).sqrt();
                let mut rng = rng::stream(seed, &format!("init {name}"), 0);
                (0..size).map(|_| rng.random_range(-bound..bound)).collect()
            })
        })
    }

    /// A classifier in training mode in which only the tensors that `trains` names have gradients. With `freeze_statistics`
    /// normalisation layers use their running statistics and leave them alone; else they use the batch's and update them.
    pub fn trainable(self, trains: impl Fn(&str) -> bool, freeze_statistics: bool) -> Self {
        let spec = self.spec.clone();
        self.train().map(&mut Freezer { path: Path::default(), spec: &spec, trains, freeze_statistics })
    }

    /// Back to inference mode, off the graph, every normalisation layer enabled.
    pub fn finished(self) -> Self {
        let spec = self.spec.clone();
        self.valid().map(&mut Freezer { path: Path::default(), spec: &spec, trains: |_: &str| false, freeze_statistics: false })
    }

    /// SHA-256 over names, shapes and values, in hex.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for t in self.tensors() {
            hash.update(t.name.as_bytes());
            t.shape.iter().for_each(|d| hash.update((*d as u64).to_le_bytes()));
            t.values.iter().for_each(|v| hash.update(v.to_le_bytes()));
        }
        crate::hex(&hash.finalize())
    }

    /// Gradients by tensor name; absent for what does not train.
    pub fn gradients(&self, grads: &GradientsParams) -> BTreeMap<String, Vec<f32>> {
        struct Gather<'a> {
            path: Path,
            spec: &'a Spec,
            grads: &'a GradientsParams,
            out: BTreeMap<String, Vec<f32>>,
        }
        impl ModuleVisitor for Gather<'_> {
            fn enter_module(&mut self, name: &str, container: &str) {
                self.path.enter(name, container);
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.exit();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(grad) = self.grads.get::<D>(param.id) {
                    self.out.insert(self.path.name(self.spec), floats(grad));
                }
            }
        }
        let mut gather = Gather { path: Path::default(), spec: &self.spec, grads, out: BTreeMap::new() };
        self.visit(&mut gather);
        gather.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn net(arch: &str, input: [usize; 3], slots: usize) -> Classifier {
        Classifier::new(arch, input, slots, 7, &Device::flex()).expect("a valid architecture")
    }

    #[test]
    fn names_are_those_of_a_torch_sequential() {
        let names: Vec<String> = net("cnn-emnist", [1, 8, 8], 3).tensors().into_iter().map(|t| t.name).collect();
        assert_eq!(names[..4], ["conv1.0.weight", "conv1.0.bias", "conv2.0.weight", "conv2.0.bias"]);
        assert_eq!(names[6..], ["fc.1.weight", "fc.1.bias", "head.weight", "head.bias"]);
        let resnet: Vec<String> = net("resnet20", [1, 8, 8], 3).tensors().into_iter().map(|t| t.name).collect();
        assert!(resnet.contains(&"group2.0.shortcut.1.running_var".to_string()), "{resnet:?}");
        assert!(resnet.contains(&"stem.1.weight".to_string()), "{resnet:?}");
        let unique: std::collections::BTreeSet<&String> = resnet.iter().collect();
        assert_eq!(unique.len(), resnet.len());
    }

    #[test]
    fn parameter_counts_are_those_documented() {
        let count = |arch, input, slots| -> usize { net(arch, input, slots).parameters().iter().map(|t| t.values.len()).sum() };
        assert_eq!(count("cnn-emnist", [1, 32, 32], 20), 4_034_932);
        // convolutions 4,683,456, normalisation 3,840, fc 8192·2688+2688, head 2688·8+8
        assert_eq!(count("cnn-cifar", [3, 32, 32], 8), 26_731_592);
        // He et al.'s 269,722 with identity shortcuts, and two projections: 16·32 + 32·64 and their normalisation 2·(32+64)
        assert_eq!(count("resnet20", [3, 32, 32], 10), 269_722 + 2_560 + 192);
        assert!(count("cnn-s", [1, 28, 28], 9) < 500_000);
    }

    #[test]
    fn a_partial_reset_draws_what_a_whole_one_draws() {
        let (a, b) = (net("cnn-s", [1, 8, 8], 3), Classifier::zeros("cnn-s", [1, 8, 8], 3, &Device::flex()).expect("valid"));
        let part = b.reset(7, |n| n.starts_with("head"));
        for (t, u) in a.tensors().iter().zip(part.tensors()) {
            assert_eq!(t.name.starts_with("head"), t.values == u.values, "{}", t.name);
        }
    }

    #[test]
    fn training_mode_leaves_the_original_untouched() {
        let original = net("resnet20", [1, 8, 8], 3);
        let before = original.hash();
        let device = Device::flex().autodiff();
        let training = original.clone().trainable(|_| true, false);
        let x = Tensor::<4>::random([4, 1, 8, 8], burn::tensor::Distribution::Default, &device);
        training.logits(x.clone());
        training.logits(x);
        let after = training.finished();
        assert_ne!(after.hash(), before, "running statistics moved");
        assert_eq!(original.hash(), before, "the original shares nothing with the copy in training");
    }
}
