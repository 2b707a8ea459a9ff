//! What `swap` and `oracle` begin with: settings into device, data, task and the resolved configuration.

use std::path::Path;

use burn::tensor::Device;
use unlearn::config::{FORMAT, RunConfig, Settings};
use unlearn::data::{ClassMap, Dataset, SwapTask, classes, data_dir};
use unlearn::error::{Error, Result};
use unlearn::model::{Classifier, checkpoint};
use unlearn::{device, method};

use super::use_threads;

/// A model that the user brought: itself, its metadata, its file's hash.
pub type Given = (Classifier, checkpoint::Metadata, String);

/// Everything that is known before any work.
pub struct Plan {
    pub dataset: Dataset,
    pub task: SwapTask,
    pub config: RunConfig,
    pub device: Device,
    pub given: Option<Given>,
    /// What the user should know of the original that was given and of a run's file that was read.
    pub cautions: Vec<String>,
}

impl Plan {
    /// The plan of `settings` and the original in the file `model`, where there is one.
    pub fn of(settings: &Settings, model: Option<&Path>) -> Result<Self> {
        if settings.validation()? > 0.0 {
            let what = "a swap holds nothing out: its oracles are to see what the original saw";
            return Err(Error::input("validation", what, "leave it out here; choose settings with `unlearn train --validation`"));
        }
        use_threads(settings.threads)?;
        let device_name = settings.device.clone().unwrap_or_else(|| "cpu".into());
        let device = device::open(&device_name)?;
        let dataset = Dataset::load(settings.data.as_deref().unwrap_or("mnist-mini"), &data_dir(settings.data_dir.as_deref()))?;
        let given = model.map(|path| checkpoint::load(path, &device)).transpose()?;
        if let Some((model, metadata, _)) = &given {
            agrees(settings, &dataset, model, metadata)?;
        }
        let task = task(settings, &dataset, given.as_ref().map(|(_, m, _)| m))?;
        // Oracles and methods train as the original was trained, if its file says how.
        let recipe = given.as_ref().and_then(|(_, m, _)| m.training.as_ref());
        let trained_by = recipe.map(|recipe| settings.clone().trained_by(recipe));
        let config =
            config(trained_by.as_ref().unwrap_or(settings), device_name, &dataset, &task, given.as_ref().map(|(m, _, sha)| (m, sha.clone())))?;
        let mut cautions = of_other_files(settings, &config);
        cautions.extend(given.iter().flat_map(|(_, m, _)| of_training(m, &config)));
        Ok(Self { dataset, task, config, device, given, cautions })
    }
}

/// Refuses an architecture or a class list that are not the given original's.
fn agrees(settings: &Settings, dataset: &Dataset, model: &Classifier, metadata: &checkpoint::Metadata) -> Result<()> {
    let has = &model.spec().architecture;
    if let Some(arch) = settings.arch.as_ref().filter(|arch| *arch != has) {
        return Err(Error::input(format!("--arch {arch}"), format!("the model that was given is a {has}"), "leave it out: oracles are as the model"));
    }
    if let Some(list) = &settings.classes {
        let (asked, has) = (classes::parse_classes(list, dataset, settings.oracle_seed())?, metadata.classes()?);
        let sorted = |map: &ClassMap| map.classes().iter().copied().collect::<std::collections::BTreeSet<_>>();
        if sorted(&asked) != sorted(&has) {
            let labels = has.classes().iter().map(|c| c.0.to_string()).collect::<Vec<_>>().join(",");
            return Err(Error::input(
                format!("--classes {list}"),
                format!("the model that was given has {labels}"),
                "leave it out: they are the model's",
            ));
        }
    }
    Ok(())
}

/// Where model or data are not those of the run whose file was read.
fn of_other_files(settings: &Settings, config: &RunConfig) -> Vec<String> {
    let given = settings.given_sha256.as_ref().zip(config.model_sha256.as_ref());
    let other = |what: &str, then: &str, now: &str| {
        (then != now).then(|| format!("{what} than in the run that the settings come from (SHA-256 {then}, now {now})"))
    };
    let model = given.and_then(|(then, now)| other("the original is another one", then, now));
    let data =
        settings.data_sha256.as_ref().and_then(|then| other(&format!("`{}` holds other images or labels", config.data), then, &config.data_sha256));
    model.into_iter().chain(data).collect()
}

/// Where an original that was given was not trained as `config` has it, or on less, or doesn't say how: retrained models are no reference then.
pub fn of_training(original: &checkpoint::Metadata, config: &RunConfig) -> Vec<String> {
    let less = original.without.as_ref().map(|without| {
        format!(
            "the original was trained without {} of the training images of its classes (`unlearn train` with --without or --validation): oracles and              methods train on them, and are no reference for it. Give an original that saw them all.",
            without.samples
        )
    });
    of_recipe(original, config).into_iter().chain(less).collect()
}

fn of_recipe(original: &checkpoint::Metadata, config: &RunConfig) -> Option<String> {
    let here = config.recipe();
    let Some(recipe) = &original.training else {
        return Some(format!(
            "the original's file does not say how it was trained; oracles and methods train with {}. If it was trained otherwise, give these flags as they \
             were then: models that are retrained in another way are no reference for it.",
            here.flags().join(" ")
        ));
    };
    let differ = recipe.differences(&here);
    (!differ.is_empty()).then(|| {
        format!(
            "the original was trained with {}: oracles and methods train as the value in brackets says, and are no reference for it. Leave these flags \
             out and they train as it was.",
            differ.join(", ")
        )
    })
}

/// The swap that the settings ask for, of the given model's classes or of those that they list.
fn task(settings: &Settings, dataset: &Dataset, given: Option<&checkpoint::Metadata>) -> Result<SwapTask> {
    let Some(forget) = &settings.forget else {
        return Err(Error::input("--forget", "missing: which class is to be forgotten?", "name a class, for example --forget 6"));
    };
    let mut also = classes::parse_swaps(forget, settings.learn.as_deref(), dataset)?;
    let swap = also.remove(0);
    if let Some(metadata) = given
        && metadata.input != dataset.shape()
    {
        let what = format!("it takes images of {:?}, {} has {:?}", metadata.input, dataset.name, dataset.shape());
        return Err(Error::input("--model", what, "give the data it was trained on"));
    }
    if let Some(metadata) = given
        && let Some((class, name)) =
            metadata.class_map.iter().zip(&metadata.class_names).find(|(c, name)| dataset.class_name(unlearn::data::ClassId(**c)) != *name)
    {
        return Err(Error::input(
            "--model",
            format!("its class {class} is `{name}`, that of {} is `{}`", dataset.name, dataset.class_name(unlearn::data::ClassId(*class))),
            format!("give the data that it was trained on: {}", metadata.dataset),
        ));
    }
    let before = match (given, &settings.classes) {
        (Some(metadata), _) => metadata.classes()?,
        (None, Some(list)) => classes::parse_classes(list, dataset, settings.oracle_seed())?,
        (None, None) => {
            let all = dataset.usable_classes().into_iter();
            ClassMap::new(all.filter(|c| also.iter().chain([&swap]).all(|s| s.learn != Some(*c))).collect())?
        }
    };
    SwapTask::at_once(dataset, &before, swap, also)?.scarce(settings.scarcity(), settings.oracle_seed())
}

/// The resolved configuration.
fn config(settings: &Settings, device: String, dataset: &Dataset, task: &SwapTask, given: Option<(&Classifier, String)>) -> Result<RunConfig> {
    let methods = settings.methods()?;
    let arch = match &given {
        Some((model, _)) => model.spec().architecture.clone(),
        None => settings.arch.clone().unwrap_or_else(|| "cnn-s".into()),
    };
    // Unknown architectures, too small images and parameters that don't fit the network are refused before any work.
    let like = Classifier::zeros(&arch, dataset.shape(), task.before.len(), &device::open("cpu")?)?;
    for (name, parameters) in &methods {
        (method::find(name)?.build)(parameters)?.check_for(&like)?;
    }
    Ok(RunConfig {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        commit: env!("UNLEARN_COMMIT").into(),
        seed: settings.seed.unwrap_or(0),
        oracle_seed: settings.oracle_seed.filter(|s| *s != settings.seed.unwrap_or(0)),
        device,
        data: dataset.name.clone(),
        data_sha256: dataset.fingerprint(),
        classes: task.before.classes().iter().map(|c| c.0).collect(),
        augment: settings.augment.unwrap_or(true),
        arch,
        forget: task.swap.forget.0,
        learn: task.swap.learn.map(|c| c.0),
        learn_samples: task.scarcity.learn_samples,
        retain_share: task.scarcity.retain_share,
        oracles: settings.oracles.unwrap_or(5),
        methods: methods.iter().map(|(name, _)| name.clone()).collect(),
        controls: settings.controls(),
        probe_samples: settings.probe_samples.unwrap_or_default(),
        model_sha256: given.map(|(_, sha)| sha),
        also: task.also.clone(),
        train: settings.training()?,
        method: methods.into_iter().collect(),
    })
}
