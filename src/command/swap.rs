//! `unlearn swap` and `unlearn demo`: the straight line.

use std::path::{Path, PathBuf};
use std::time::Instant;

use unlearn::assess::{self, Evidence, Finished};
use unlearn::config::{FORMAT, RunConfig, Settings};
use unlearn::context::Reporter;
use unlearn::data::{ClassMap, Dataset, Labelled, Swap, SwapTask, classes, data_dir};
use unlearn::error::{Error, Result};
use unlearn::model::{Classifier, checkpoint};
use unlearn::output::Output;
use unlearn::run::Run;
use unlearn::schedule::{Job, side_by_side};
use unlearn::summary::ModelKind;
use unlearn::unit::{Made, Order, Workshop};
use unlearn::{device, method, oracle, train};

use super::{publish, resolve, use_threads};
use crate::cli::{DemoArgs, SwapArgs};

/// A model that the user brought: itself, its metadata, its file's hash.
type Given = (Classifier, checkpoint::Metadata, String);

/// The demo is a swap with these settings.
const DEMO: &str = include_str!("../../configs/demo.toml");

pub fn demo(args: DemoArgs, json: bool, output: &Output) -> Result<()> {
    let settings: Settings = toml::from_str(DEMO).map_err(|e| Error::failed("configs/demo.toml", e.to_string(), "report this as a bug"))?;
    let settings = Settings { seed: Some(args.seed), threads: args.threads, ..settings };
    let out = args.out.unwrap_or_else(|| first_free(Path::new("runs/demo")));
    swap(SwapArgs { config: None, out, resume: args.resume, model: None, settings }, json, output)
}

pub fn swap(args: SwapArgs, json: bool, output: &Output) -> Result<()> {
    let started = Instant::now();
    let (run, evidence) = run(args, output)?;
    let took = format!("{:.0} s. ", started.elapsed().as_secs_f64());
    publish(&run, &evidence, &took, json, output)
}

/// The whole line, up to what was found.
pub fn run(args: SwapArgs, output: &Output) -> Result<(Run, Evidence)> {
    let settings = resolve(args.settings, args.config.as_deref())?;
    if settings.validation()? > 0.0 {
        let what = "a swap holds nothing out: its oracles are to see what the original saw";
        return Err(Error::input("validation", what, "leave it out here; choose settings with `unlearn train --validation`"));
    }
    use_threads(settings.threads)?;
    let device_name = settings.device.clone().unwrap_or_else(|| "cpu".into());
    let device = device::open(&device_name)?;
    let dataset = Dataset::load(settings.data.as_deref().unwrap_or("mnist-mini"), &data_dir(settings.data_dir.as_deref()))?;
    let given = args.model.as_deref().map(|path| checkpoint::load(path, &device)).transpose()?;
    let task = task(&settings, &dataset, given.as_ref().map(|(_, m, _)| m))?;
    let config = config(&settings, device_name, &dataset, &task, given.as_ref().map(|(m, _, sha)| (m, sha.clone())))?;
    let run = Run::create(&args.out, &config, args.resume)?;
    let reporter = Reporter::with_events(output.clone(), run.events())?;
    let workshop = Workshop { run: &run, config: &config, dataset: &dataset, device, reporter };

    let trained = trained(&workshop, &task, given)?; // the original, then the oracles
    let swapped = swapped(&workshop, &task, &trained[0])?;

    let untrained = untrained(&workshop, &task)?;

    let models: Vec<Finished> = trained.into_iter().chain(swapped).chain([untrained]).map(finished).collect();
    let evidence = assess::assess(&models, &task, &dataset, |name| workshop.context(name))?;
    Ok((run, evidence))
}

/// The swap that the settings ask for, of the given model's classes or of those that they list.
fn task(settings: &Settings, dataset: &Dataset, given: Option<&checkpoint::Metadata>) -> Result<SwapTask> {
    let Some(forget) = &settings.forget else {
        return Err(Error::input("--forget", "missing: which class is to be forgotten?", "name a class, for example --forget 6"));
    };
    let forget = classes::parse_class(forget, dataset, "--forget")?;
    let learn = settings.learn.as_deref().map(|c| classes::parse_class(c, dataset, "--learn")).transpose()?;
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
        (None, Some(list)) => classes::parse_classes(list, dataset, settings.seed.unwrap_or(0))?,
        (None, None) => {
            let all = (0..dataset.class_names.len() as u16).map(unlearn::data::ClassId);
            ClassMap::new(all.filter(|c| Some(*c) != learn).collect())?
        }
    };
    SwapTask::new(dataset, &before, Swap { forget, learn })
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
        device,
        data: dataset.name.clone(),
        data_sha256: dataset.fingerprint(),
        classes: task.before.classes().iter().map(|c| c.0).collect(),
        augment: settings.augment.unwrap_or(true),
        arch,
        forget: task.swap.forget.0,
        learn: task.swap.learn.map(|c| c.0),
        oracles: settings.oracles.unwrap_or(5),
        methods: methods.iter().map(|(name, _)| name.clone()).collect(),
        model_sha256: given.map(|(_, sha)| sha),
        train: settings.training()?,
        method: methods.into_iter().collect(),
    })
}

/// The original, given or trained on the classes before the swap, and beside it the oracles, which do not depend on it.
fn trained(workshop: &Workshop<'_>, task: &SwapTask, given: Option<Given>) -> Result<Vec<Made>> {
    let data = oracle::data(task)?;
    let mut jobs: Vec<Job<'_, Made>> = vec![Box::new(|| original(workshop, task, given))];
    jobs.extend((1..=workshop.config.oracles).map(|i| {
        Box::new({
            let data = &data;
            move || oracle::retrained(workshop, task, data, i)
        }) as Job<'_, Made>
    }));
    side_by_side(jobs)
}

fn original(workshop: &Workshop<'_>, task: &SwapTask, given: Option<Given>) -> Result<Made> {
    if let Some((model, metadata, sha256)) = given {
        checkpoint::save(&workshop.run.model("original"), &model, &metadata)?;
        return Ok(Made { name: "original".into(), kind: ModelKind::Original, model, map: task.before.clone(), sha256, cost: None });
    }
    let order =
        Order { name: "original".into(), kind: ModelKind::Original, made_by: "train", map: task.before.clone(), parameters: None, parents: vec![] };
    let data = Labelled::new(task.retain.train.samples()?.union([task.forget.train.samples()?]), &task.before);
    workshop.make(order, |ctx| {
        let fresh = Classifier::new(&workshop.config.arch, workshop.dataset.shape(), task.before.len(), ctx.seed, &ctx.device)?;
        train::fit(fresh, &data, &workshop.config.train, ctx)
    })
}

/// The original swapped by every method.
fn swapped(workshop: &Workshop<'_>, task: &SwapTask, original: &Made) -> Result<Vec<Made>> {
    let one = |name: &str| {
        let parameters = &workshop.config.method[name];
        let order = Order {
            name: name.to_string(),
            kind: method::kind_of(name),
            made_by: name,
            map: task.after.clone(),
            parameters: Some(parameters),
            parents: vec![original.sha256.clone()],
        };
        workshop.make(order, |ctx| method::apply(name, parameters, original.model.clone(), task, ctx))
    };
    side_by_side(workshop.config.methods.iter().map(|name| Box::new(|| one(name)) as Job<'_, Made>).collect())
}

/// The control that was never trained: audits that match it to the oracles can't tell a working model from none.
fn untrained(workshop: &Workshop<'_>, task: &SwapTask) -> Result<Made> {
    let name = assess::UNTRAINED;
    let order = Order { name: name.into(), kind: ModelKind::Control, made_by: name, map: task.after.clone(), parameters: None, parents: vec![] };
    workshop.make(order, |ctx| Classifier::new(&workshop.config.arch, workshop.dataset.shape(), task.after.len(), ctx.seed, &ctx.device))
}

fn finished(made: Made) -> Finished {
    Finished { name: made.name, kind: made.kind, model: made.model, map: made.map, cost: made.cost }
}

/// `path`, or `path-2`, `path-3`, … if it is taken.
fn first_free(path: &Path) -> PathBuf {
    let numbered = (2..).map(|n| path.with_file_name(format!("{}-{n}", path.file_name().unwrap_or_default().to_string_lossy())));
    std::iter::once(path.to_path_buf()).chain(numbered).find(|p| !p.exists()).unwrap_or_else(|| path.to_path_buf())
}
