//! Units: trainings that are pure functions of a small spec, named by its hash, their result kept as a checkpoint.
//!
//! A unit whose checkpoint is there with the same hash is not computed again; so an interrupted run goes on where it was, and comes to the
//! same result as an unbroken one. Nothing in a checkpoint depends on the clock: what a unit cost goes to the event log.

use std::time::Instant;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::config::RunConfig;
use crate::context::{Context, Pipeline, Reporter};
use crate::data::{ClassMap, Dataset};
use crate::error::{Error, Result};
use crate::model::{
    Classifier, arch,
    checkpoint::{self, Metadata},
};
use crate::rng;
use crate::run::Run;
use crate::summary::{Cost, ModelKind};

/// Raised whenever training code changes what a unit computes, so that old results are not taken for new ones.
const CODE: u32 = 3;

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
    /// SHA-256 of its checkpoint.
    pub sha256: String,
    /// What it cost; none for a model that was given.
    pub cost: Option<Cost>,
}

/// What determines a unit.
#[derive(Debug, Serialize)]
pub struct UnitSpec<'a> {
    code: u32,
    name: &'a str,
    made_by: &'a str,
    seed: u64,
    data: &'a str,
    classes: &'a ClassMap,
    forget: Option<u16>,
    arch: &'a str,
    stages: String,
    augment: bool,
    device: &'a str,
    train: &'a crate::context::TrainSettings,
    parameters: Option<&'a toml::Table>,
    parents: &'a [String],
}

/// The workshop of a run: what all its units share.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// Where results go.
    pub run: &'a Run,
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
    /// A context for the unit `name`, with its own seed.
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

    /// The unit's model: from its checkpoint if it is there, else by `work`.
    pub fn make(&self, order: Order<'_>, work: impl FnOnce(&mut Context) -> Result<Classifier>) -> Result<Made> {
        let mut ctx = self.context(&order.name);
        let spec = UnitSpec {
            code: CODE,
            name: &order.name,
            made_by: order.made_by,
            seed: ctx.seed,
            data: &self.config.data_sha256,
            classes: &order.map,
            // An original and an oracle do not depend on what is forgotten, beyond their class list.
            forget: order.parameters.map(|_| self.config.forget),
            arch: &self.config.arch,
            // An architecture is its layers, not its name.
            stages: format!("{:?}", arch::stages(&self.config.arch, self.dataset.shape())?),
            augment: self.config.augment,
            device: &self.config.device,
            train: &self.config.train,
            parameters: order.parameters,
            parents: &order.parents,
        };
        let json = serde_json::to_string(&spec).map_err(|e| Error::failed("unit", e.to_string(), "report this as a bug"))?;
        let hash = crate::hex(&Sha256::digest(json.as_bytes()));
        let path = self.run.model(&order.name);
        let made = |model, map, sha256, cost| Made { name: order.name.clone(), kind: order.kind, model, map, sha256, cost };
        if path.is_file() {
            let (model, metadata, sha256) = checkpoint::load(&path, &self.device).map_err(|e| match e {
                Error::Input { at, what, .. } => Error::input(at, what, "delete that file and give --resume again: the model is then made anew"),
                other => other,
            })?;
            if metadata.config_hash == hash {
                let cost = self.recorded_cost(&order.name, &hash)?;
                self.reporter.output().status(&format!("{}: already there", order.name));
                return Ok(made(model, metadata.classes()?, sha256, cost));
            }
        }
        let started = Instant::now();
        let model = work(&mut ctx)?;
        let wall_s = started.elapsed().as_secs_f64();
        let metadata = Metadata {
            format: checkpoint::FORMAT,
            architecture: self.config.arch.clone(),
            input: self.dataset.shape(),
            dataset: self.dataset.name.clone(),
            class_map: order.map.classes().iter().map(|c| c.0).collect(),
            class_names: order.map.classes().iter().map(|c| self.dataset.class_name(*c).to_string()).collect(),
            made_by: order.made_by.to_string(),
            seed: ctx.seed,
            config_hash: hash.clone(),
            parents: order.parents.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
        };
        let sha256 = checkpoint::save(&path, &model, &metadata)?;
        let images = self.retrain_images();
        let cost = Cost {
            model: order.name.clone(),
            wall_s,
            share_of_retrain: None,
            threads: rayon::current_num_threads(),
            train_passes: ctx.cost.passes_over(images),
        };
        self.reporter.event(
            "unit",
            &order.name,
            json!({ "hash": hash, "sha256": sha256, "wall_s": cost.wall_s, "threads": cost.threads, "train_passes": cost.train_passes }),
        )?;
        Ok(made(model, order.map.clone(), sha256, Some(cost)))
    }

    /// Images in the retain ∪ learn training set: the unit of `train_passes`.
    fn retrain_images(&self) -> usize {
        let counted = |c: &crate::data::ClassId| (self.config.classes.contains(&c.0) && c.0 != self.config.forget) || Some(c.0) == self.config.learn;
        self.dataset.train.labels.iter().filter(|c| counted(c)).count()
    }

    /// What the log says that the unit cost when it was made.
    fn recorded_cost(&self, name: &str, hash: &str) -> Result<Option<Cost>> {
        let path = self.run.events();
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let event = text
            .lines()
            .rev()
            .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok())
            .find(|e| e["stage"] == "unit" && e["model"] == name && e["hash"] == hash);
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
