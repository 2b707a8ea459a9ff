//! Units: trainings that are pure functions of a small spec, named by its hash, their result kept as a checkpoint.
//!
//! A unit whose checkpoint is there with the same hash is not computed again; so an interrupted run goes on where it was, and comes to the
//! same result as an unbroken one. Originals and oracles are looked for in the store, too, and kept there for other runs; methods never are:
//! what they cost is what a run measures. Nothing in a checkpoint depends on the clock: what a unit cost goes to the event log.

use std::time::Instant;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::assess::UNTRAINED;
use crate::config::RunConfig;
use crate::context::{Context, Pipeline, Reporter};
use crate::data::{ClassId, ClassMap, Dataset, Swap};
use crate::error::{Error, Result};
use crate::files;
use crate::method;
use crate::model::{
    Classifier, arch,
    checkpoint::{self, Metadata},
};
use crate::rng;
use crate::run::Run;
use crate::store::{self, Sidecar, Store};
use crate::summary::{Cost, ModelKind};
use crate::timing::Conditions;

/// Raised whenever training code changes what a unit computes, be it only the order of a sum, so that old results are not taken for new ones. What
/// it computes stands beside it; `unit::tests` says when that changed, as far as machines can compare.
///
/// 4: convolutions whose sizes suit go by tiles.
const CODE: u32 = 4;
/// SHA-256 of the weights that two steps on the portable kernels come to.
#[cfg(test)]
const BITS: &str = "1ae0fb152785958df96814fc0780ba64236cb2ef9dedf174b51770b95bd7ba45";
/// Directions of the tensors of a small training.
#[cfg(test)]
const FIGURES: [f64; 10] = [-0.2482, -1.0058, -0.1608, 0.8095, -1.2599, 0.2858, -0.0730, 0.2398, -1.1948, 0.0056];

/// A model of a run.
#[derive(Debug)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ModelKind,
    /// The model, in inference mode.
    pub model: Classifier,
    /// The classes of its slots.
    pub map: ClassMap,
    /// Hash of everything that determines it, its name in the store.
    pub hash: String,
    /// SHA-256 of its checkpoint.
    pub sha256: String,
    /// What it cost; none for a model that was given, or that the store has from other conditions than this run's.
    pub cost: Option<Cost>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a model of a run came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The user brought it.
    Given,
    /// The run had it already.
    Run,
    /// Another run had put it into the store.
    Store,
    /// It was made now.
    New,
}

/// What determines a unit.
#[derive(Debug, Serialize)]
pub struct UnitSpec<'a> {
    code: u32,
    name: &'a str,
    made_by: &'a str,
    seed: u64,
    dataset: &'a str,
    data: &'a str,
    classes: &'a ClassMap,
    class_names: &'a [String],
    forget: Option<u16>,
    #[serde(skip_serializing_if = "<[Swap]>::is_empty")]
    also: &'a [Swap],
    arch: &'a str,
    stages: String,
    pipeline: String,
    device: &'a str,
    train: &'a crate::context::TrainSettings,
    parameters: Option<&'a toml::Table>,
    parents: &'a [String],
    /// `burn` where burn's own operations run instead of our kernels, whose bits are others.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernels: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    learn_samples: Option<usize>,
    /// Of an oracle, whose class list does not say it: the classes of which there are so few, in the order in which they are drawn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scarce: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_share: Option<f64>,
}

/// The workshop of a run: what all its units share.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// Where results go.
    pub run: &'a Run,
    /// Where originals and oracles are kept for other runs.
    pub store: Option<&'a Store>,
    /// The resolved configuration.
    pub config: &'a RunConfig,
    /// The data.
    pub dataset: &'a Dataset,
    /// The device.
    pub device: burn::tensor::Device,
    /// Terminal and event log.
    pub reporter: Reporter,
}

/// A unit to be made.
#[derive(Debug)]
pub struct Order<'a> {
    /// Name of the model.
    pub name: String,
    /// What it is.
    pub kind: ModelKind,
    /// `train`, `oracle` or the method's name.
    pub made_by: &'a str,
    /// The classes of its slots.
    pub map: ClassMap,
    /// A method's parameters.
    pub parameters: Option<&'a toml::Table>,
    /// SHA-256 of the checkpoints it is made from.
    pub parents: Vec<String>,
}

impl Workshop<'_> {
    /// A context for whatever goes by `name`, with its own seed.
    pub fn context(&self, name: &str) -> Context {
        Context {
            model: name.to_string(),
            seed: rng::derive_seed(self.config.seed, name, 0),
            device: self.device.clone(),
            settings: self.config.train.clone(),
            pipeline: Pipeline::of(self.dataset, self.config.augment),
            reporter: self.reporter.clone(),
            cost: Default::default(),
        }
    }

    /// The context that `order` is made in: an oracle's seed is that of the oracles, a variant's that of its method, so that they differ by their
    /// parameters alone, unless one of them is another draw.
    fn context_for(&self, order: &Order<'_>) -> Result<Context> {
        let seed = if order.kind == ModelKind::Oracle { self.config.oracle_seed() } else { self.config.seed };
        let draw = order.parameters.map_or(Ok(0), method::draw)?;
        Ok(Context { seed: rng::derive_seed(seed, method::base(&order.name), draw), ..self.context(&order.name) })
    }

    /// The unit's model: from its checkpoint in the run or, an original or an oracle, in the store; else by `work`.
    pub fn make(&self, order: Order<'_>, work: impl FnOnce(&mut Context) -> Result<Classifier>) -> Result<Made> {
        let mut ctx = self.context_for(&order)?;
        let class_names = self.class_names(&order.map);
        let spec = self.spec(&order, &ctx, &class_names)?;
        let json = serde_json::to_string(&spec).map_err(|e| Error::failed("unit", e.to_string(), "report this as a bug"))?;
        let hash = crate::hex(&Sha256::digest(json.as_bytes()));
        let path = self.run.model(&order.name);
        let (name, kind) = (order.name.clone(), order.kind);
        let made = |model, map, sha256, cost, origin| Made { name, kind, model, map, hash: hash.clone(), sha256, cost, origin };
        if path.is_file() {
            let (model, metadata, sha256) = checkpoint::load(&path, &self.device).map_err(|e| match e {
                Error::Input { at, what, .. } => Error::input(at, what, "delete that file and give --resume again: the model is then made anew"),
                other => other,
            })?;
            if metadata.config_hash == hash {
                let cost = self.recorded_cost(&order.name, &hash)?;
                self.reporter.output().status(&format!("{}: already there", order.name));
                return Ok(made(model, metadata.classes()?, sha256, cost, Origin::Run));
            }
        }
        let store = self.store.filter(|_| matches!(order.kind, ModelKind::Original | ModelKind::Oracle));
        if let Some(store) = store
            && let Some((model, sha256, cost)) = self.stored(store, &order.name, &hash)?
        {
            return Ok(made(model, order.map.clone(), sha256, cost, Origin::Store));
        }
        let timed = Conditions::now();
        let started = Instant::now();
        let model = work(&mut ctx)?;
        let wall_s = started.elapsed().as_secs_f64();
        // A loss is that of the weights before its step: those of the last one were not looked at.
        if let Some(bad) = model.tensors().into_iter().find(|t| t.values.iter().any(|v| !v.is_finite())) {
            return Err(Error::Diverged { model: order.name, what: format!("`{}` is not finite after the last step", bad.name) });
        }
        let metadata = Metadata {
            format: checkpoint::FORMAT,
            architecture: self.config.arch.clone(),
            input: self.dataset.shape(),
            dataset: self.dataset.name.clone(),
            class_map: order.map.classes().iter().map(|c| c.0).collect(),
            class_names: class_names.clone(),
            made_by: order.made_by.to_string(),
            seed: ctx.seed,
            config_hash: hash.clone(),
            parents: order.parents.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            training: (order.made_by != UNTRAINED).then(|| self.config.recipe()),
            without: None,
        };
        let sha256 = checkpoint::save(&path, &model, &metadata)?;
        let cost = self.cost(&order.name, wall_s, timed.threads, ctx.cost.image_passes());
        self.reporter.event(
            "unit",
            &order.name,
            json!({ "hash": hash, "sha256": sha256, "wall_s": cost.wall_s, "threads": cost.threads, "train_passes": cost.train_passes }),
        )?;
        if let Some(store) = store.filter(|s| s.writable()) {
            let spec = serde_json::to_value(&spec).map_err(|e| Error::failed("unit", e.to_string(), "report this as a bug"))?;
            let epochs = self.reporter.curve(&order.name)?;
            let image_passes = ctx.cost.image_passes();
            let sidecar = Sidecar { format: store::FORMAT, sha256: sha256.clone(), spec, wall_s, image_passes, timed, epochs };
            if let Err(e) = store.put(&hash, &path, &sidecar) {
                self.reporter.output().warn(&format!("{} is not kept in the store, this run goes on: {e}", order.name));
            }
        }
        Ok(made(model, order.map.clone(), sha256, Some(cost), Origin::New))
    }

    /// What determines the unit. An original and an oracle do not depend on what is forgotten, beyond their class list; of what is scarce,
    /// oracles meet the learn set, methods everything, an original nothing.
    fn spec<'a>(&'a self, order: &'a Order<'_>, ctx: &Context, class_names: &'a [String]) -> Result<UnitSpec<'a>> {
        let by_method = order.parameters.is_some();
        let scarcity = self.config.scarcity();
        let scarce_oracle = order.kind == ModelKind::Oracle && scarcity.learn_samples.is_some();
        Ok(UnitSpec {
            code: CODE,
            name: &order.name,
            made_by: order.made_by,
            seed: ctx.seed,
            dataset: &self.dataset.name,
            data: &self.config.data_sha256,
            classes: &order.map,
            class_names,
            forget: order.parameters.map(|_| self.config.forget),
            also: if by_method { &self.config.also } else { &[] },
            arch: &self.config.arch,
            // An architecture is its layers, not its name.
            stages: format!("{:?}", arch::stages(&self.config.arch, self.dataset.shape())?),
            // The same images under another name may be augmented in another way.
            pipeline: format!("{:?}", ctx.pipeline),
            device: &self.config.device,
            train: &self.config.train,
            parameters: order.parameters,
            parents: &order.parents,
            kernels: (!crate::kernels::in_use()).then_some("burn"),
            learn_samples: scarcity.learn_samples.filter(|_| by_method || order.kind == ModelKind::Oracle),
            scarce: if scarce_oracle { self.config.swaps().filter_map(|s| s.learn).map(|c| c.0).collect() } else { vec![] },
            retain_share: scarcity.retain_share.filter(|_| by_method),
        })
    }

    fn class_names(&self, map: &ClassMap) -> Vec<String> {
        map.classes().iter().map(|c| self.dataset.class_name(*c).to_string()).collect()
    }

    /// The model `name` from the store, copied into the run, with its SHA-256 and what it cost; none where the store lacks it. One that
    /// can't be trusted is as good as none, and the user is told.
    fn stored(&self, store: &Store, name: &str, hash: &str) -> Result<Option<(Classifier, String, Option<Cost>)>> {
        let found = match store.find(hash, &self.device) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(e) => {
                let why = match e {
                    Error::Input { at, what, .. } => format!("{at}: {what}"),
                    other => other.to_string(),
                };
                self.reporter.output().warn(&format!("{name} is made anew, and replaces its copy in the store, which is of no use: {why}"));
                return Ok(None);
            }
        };
        files::write_bytes(&self.run.model(name), &found.bytes)?;
        let Sidecar { sha256, wall_s, image_passes, timed, epochs, .. } = found.sidecar;
        // A time from another machine is no measure of this one's.
        let comparable = timed.comparable(&Conditions::now());
        let cost = comparable.then(|| self.cost(name, wall_s, timed.threads, image_passes));
        for row in epochs {
            let fields = serde_json::to_value(row).map_err(|e| Error::failed("events", e.to_string(), "report this as a bug"))?;
            self.reporter.event("epoch", name, fields)?;
        }
        let mut event = json!({ "hash": hash, "sha256": sha256, "store": store.dir(), "timed": timed });
        if let Some(cost) = &cost {
            (event["wall_s"], event["threads"], event["train_passes"]) = (json!(cost.wall_s), json!(cost.threads), json!(cost.train_passes));
        }
        self.reporter.event("stored", name, event)?;
        let note = if comparable { "" } else { "; timed under other conditions, its time doesn't count" };
        self.reporter.output().status(&format!("{name}: from the store, {}{note}", &hash[..12]));
        Ok(Some((found.model, sha256, cost)))
    }

    fn cost(&self, model: &str, wall_s: f64, threads: usize, image_passes: f64) -> Cost {
        let train_passes = image_passes / self.retrain_images().max(1) as f64;
        Cost { model: model.to_string(), wall_s, share_of_retrain: None, threads, train_passes }
    }

    /// Images in the retain ∪ learn training set: the unit of `train_passes`.
    fn retrain_images(&self) -> usize {
        let count = |counted: &dyn Fn(ClassId) -> bool| self.dataset.train.labels.iter().filter(|c| counted(**c)).count();
        let (old, new): (Vec<ClassId>, Vec<Option<ClassId>>) = self.config.swaps().map(|s| (s.forget, s.learn)).unzip();
        let retained = count(&|c| self.config.classes.contains(&c.0) && !old.contains(&c));
        let learned = |samples: usize| samples * new.iter().flatten().count();
        retained + self.config.learn_samples.map_or_else(|| count(&|c| new.contains(&Some(c))), learned)
    }

    /// What the log says that the unit cost when it was made.
    fn recorded_cost(&self, name: &str, hash: &str) -> Result<Option<Cost>> {
        let path = self.run.events();
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let event = text
            .lines()
            .rev()
            .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok())
            .find(|e| (e["stage"] == "unit" || e["stage"] == "stored") && e["model"] == name && e["hash"] == hash);
        Ok(event.and_then(|e| {
            Some(Cost {
                model: name.to_string(),
                wall_s: e["wall_s"].as_f64()?,
                share_of_retrain: None,
                threads: e["threads"].as_u64()? as usize,
                train_passes: e["train_passes"].as_f64()?,
            })
        }))
    }
}

#[cfg(test)]
mod tests;
