//! `unlearn audit`: checkpoints from files, or a finished run's models again.

use std::path::Path;

use unlearn::assess::{self, Finished, controls};
use unlearn::audit::verdict::MIN_ORACLES;
use unlearn::config::{FORMAT, RunConfig, Settings};
use unlearn::context::{Context, Pipeline, Recipe, Reporter};
use unlearn::data::{ClassId, ClassMap, Dataset, Swap, SwapTask, classes, data_dir};
use unlearn::error::{Error, Result};
use unlearn::model::checkpoint;
use unlearn::output::Output;
use unlearn::run::{Run, SAMPLES};
use unlearn::summary::ModelKind;
use unlearn::{device, method, rng};

use super::{plan, use_threads};

use super::{publish, publish_each, samples};
use crate::cli::AuditArgs;

pub fn audit(args: AuditArgs, json: bool, output: &Output) -> Result<()> {
    use_threads(args.threads)?;
    if let Some(numbers) = &args.forget_samples {
        return samples::audit(&args, numbers, json, output);
    }
    if let [run] = args.subjects.as_slice()
        && run.is_dir()
    {
        return again(&Run::open_alone(run)?, &args, json, output);
    }
    if let Some(run) = args.subjects.iter().find(|path| path.is_dir()) {
        return Err(Error::input(run.display().to_string(), "a directory among several files", "audit one run at a time, or checkpoints"));
    }
    from_files(&args, json, output)
}

/// Audits every model of a run again, with the audits of this version; models are left alone, costs are kept. Controls that a run of an earlier
/// version lacks are made for it, each time anew, and not kept.
fn again(run: &Run, args: &AuditArgs, json: bool, output: &Output) -> Result<()> {
    let of_files = [
        ("--out", args.out.is_some()),
        ("--original", args.original.is_some()),
        ("--oracle", !args.oracle.is_empty()),
        ("--forget", args.forget.is_some()),
        ("--learn", args.learn.is_some()),
    ];
    if let Some((flag, _)) = of_files.into_iter().find(|(_, given)| *given) {
        let what = format!("{} is a run: it is audited again where it is, as the swap that it was", run.dir().display());
        return Err(Error::input(
            flag,
            what,
            "leave the flag out (copy the run first to keep its report), or name checkpoints, DIR/models/NAME.safetensors",
        ));
    }
    let dir = args.data_dir.as_deref();
    let mut config = run.config()?;
    config.controls = args.controls.unwrap_or(config.controls);
    config.probe_samples = args.probe_samples.unwrap_or(config.probe_samples);
    let device = device::open(&config.device)?;
    let moved = |e: Error| {
        let what = format!("the data that it was made with can't be read: {e}");
        Error::input(run.dir().display().to_string(), what, "say where they are now: --data-dir DIR, or --data idx:FOLDER")
    };
    let mut dataset = match &args.data {
        Some(name) => Dataset::load(name, &data_dir(dir))?,
        None => Dataset::load(&config.data, &data_dir(dir)).map_err(moved)?,
    };
    if dataset.fingerprint() != config.data_sha256 {
        return Err(Error::input(
            run.dir().display().to_string(),
            format!("`{}` is not the data that it was made with", dataset.name),
            "point --data-dir, or --data idx:FOLDER, at the data of the run",
        ));
    }
    let before = ClassMap::new(config.classes.iter().map(|c| ClassId(*c)).collect())?;
    let swap = Swap { forget: ClassId(config.forget), learn: config.learn.map(ClassId) };
    let task = SwapTask::at_once(&dataset, &before, swap, config.also.clone())?.scarce(config.scarcity(), config.oracle_seed())?;
    let several = !task.also.is_empty();
    if several && run.scores().is_file() {
        let what = "one swap of a run of several: their models lie in the run above it";
        return Err(Error::input(run.dir().display().to_string(), what, "audit that run: it judges every swap again"));
    }
    let known = if several { run.open_below(swap)?.summary()? } else { run.summary()? }.scores;
    // Files found elsewhere may call classes otherwise.
    for (class, name) in
        known.task.classes_before.iter().zip(&known.task.names_before).chain(known.task.classes_after.iter().zip(&known.task.names_after))
    {
        dataset.class_names[usize::from(*class)] = name.clone();
    }
    let mut models = Vec::new();
    let mut cautions = vec![];
    for v in &known.verdict {
        let path = run.model(&v.model);
        if v.kind == ModelKind::Control && (args.controls == Some(false) || !path.is_file()) {
            continue;
        }
        if !path.is_file() {
            return Err(Error::input(
                path.display().to_string(),
                "no such file: this run audited models from files, or was moved without them",
                "give the checkpoints themselves",
            ));
        }
        let (model, metadata, _) = checkpoint::load(&path, &device)?;
        if v.kind == ModelKind::Original && config.model_sha256.is_some() {
            cautions.extend(plan::of_training(&metadata, &config));
        }
        let cost = known.cost.iter().find(|c| c.model == v.model).cloned();
        models.push(Finished { name: v.model.clone(), kind: v.kind, model, map: metadata.classes()?, cost });
    }
    for name in config.methods.iter().filter(|n| method::kind_of(n) == ModelKind::Method && models.iter().all(|m| m.name != **n)) {
        cautions.push(format!("“{name}” is not among the models here: its training diverged when the run was made. Use a smaller learning rate."));
    }
    finish(run, &config, (models, cautions), &task, &dataset, json, output)
}

/// Audits somebody's checkpoints.
fn from_files(args: &AuditArgs, json: bool, output: &Output) -> Result<()> {
    let device = device::open("cpu")?;
    let Some(out) = &args.out else {
        return Err(Error::input("--out", "missing: where is the report to go?", "name a new directory"));
    };
    if out.exists() {
        return Err(Error::input(format!("--out {}", out.display()), "exists already; nothing in it was touched", "name a new directory"));
    }
    let mut loaded = Vec::new();
    for (path, kind) in args.files() {
        let (model, metadata, sha256) = checkpoint::load(path, &device)?;
        loaded.push((path, kind, model, metadata, sha256));
    }
    let (_, _, first, first_metadata, first_sha256) = &loaded[0];
    let name = args.data.clone().unwrap_or_else(|| first_metadata.dataset.clone());
    let dataset = Dataset::load(&name, &data_dir(args.data_dir.as_deref()))?;
    let Some(forget) = &args.forget else {
        return Err(Error::input("--forget", "missing: which class was to be forgotten?", "name a class, for example --forget 6"));
    };
    let mut also = classes::parse_swaps(forget, args.learn.as_deref(), &dataset)?;
    // The classes before the swap: the original's, or the subject's with the swap undone.
    let before = match args.original.is_some() {
        true => first_metadata.classes()?,
        false => undone(&loaded.iter().find(|l| l.1 == ModelKind::Subject).map_or(first_metadata, |l| &l.3).classes()?, &also)?,
    };
    let swap = also.remove(0);
    let task = SwapTask::at_once(&dataset, &before, swap, also)?;
    let reference = loaded.iter().find(|l| l.1 != ModelKind::Subject).map(|l| l.2.spec().architecture.clone());
    for (path, _, _, metadata, _) in loaded.iter().filter(|l| l.1 == ModelKind::Oracle) {
        is_retrained(path, metadata)?;
    }
    let trained = loaded.iter().map(|(path, kind, _, metadata, _)| (path.as_path(), *kind, metadata.training.as_ref()));
    let cautions = trained_otherwise(&trained.collect::<Vec<_>>());
    cautions.iter().for_each(|c| output.warn(c));
    let training = first_metadata.training.clone();
    let mut models: Vec<Finished> = Vec::new();
    let given: Vec<String> = loaded.iter().map(|l| l.0.display().to_string()).collect();
    let mut hashes: Vec<String> = Vec::new();
    let (arch, input) = (first.spec().architecture.clone(), dataset.shape());
    let model_sha256 = first_sha256.clone();
    for (path, kind, model, metadata, sha256) in loaded {
        let map = metadata.classes()?;
        if model.spec().input != input {
            return Err(Error::input(
                path.display().to_string(),
                format!("it takes images of {:?}, {name} has {input:?}", model.spec().input),
                "give the data it was trained on with --data",
            ));
        }
        // Cuts of another network have other names: most figures by depth would have nothing to be compared with.
        if reference.as_ref().is_some_and(|r| *r != model.spec().architecture) {
            return Err(Error::input(
                path.display().to_string(),
                format!("it is a {}, the models to compare it with are {}", model.spec().architecture, reference.unwrap_or_default()),
                "give --original and --oracle of its own architecture, or leave them out",
            ));
        }
        let expected = if kind == ModelKind::Original { &task.before } else { &task.after };
        if map != *expected {
            return Err(Error::input(
                path.display().to_string(),
                format!("its slots stand for {:?}, this swap leaves {:?}", numbers(&map), numbers(expected)),
                "audit models of one swap at a time, with its --forget and --learn",
            ));
        }
        // An oracle counted twice would narrow the band, a subject that is an oracle would be judged by itself.
        if let Some(at) = hashes.iter().position(|h| *h == sha256) {
            let what = format!("the same model as {}", given[at]);
            return Err(Error::input(path.display().to_string(), what, "give every model once"));
        }
        hashes.push(sha256);
        let name = free_name(path, |name| name == SAMPLES || models.iter().any(|m| m.name == name));
        models.push(Finished { name, kind, model, map, cost: None });
    }
    // The controls are trained as the original was, where it says how.
    let settings = training.map_or_else(Settings::default, |recipe| Settings::default().trained_by(&recipe));
    let config = RunConfig {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        commit: env!("UNLEARN_COMMIT").into(),
        seed: 0,
        oracle_seed: None,
        device: "cpu".into(),
        data: dataset.name.clone(),
        data_sha256: dataset.fingerprint(),
        classes: numbers(&task.before),
        augment: settings.augment.unwrap_or(true),
        arch,
        forget: swap.forget.0,
        learn: swap.learn.map(|c| c.0),
        learn_samples: None,
        retain_share: None,
        oracles: args.oracle.len(),
        methods: vec![],
        controls: args.controls.unwrap_or(true),
        probe_samples: args.probe_samples.unwrap_or_default(),
        model_sha256: Some(model_sha256),
        also: task.also.clone(),
        train: settings.training()?,
        method: Default::default(),
    };
    let run = Run::create(out, &config, false)?;
    // Nothing half-written: there is no way to go on with an audit that was broken off.
    finish(&run, &config, (models, cautions), &task, &dataset, json, output).inspect_err(|_| {
        if let Err(e) = std::fs::remove_dir_all(out) {
            output.warn(&format!("{}: left behind, {e}", out.display()));
        }
    })
}

/// Refuses as an oracle what says that it was made of another model: it saw what that had seen.
pub fn is_retrained(path: &Path, metadata: &checkpoint::Metadata) -> Result<()> {
    let by = metadata.made_by.as_str();
    let method = method::METHODS.iter().any(|m| m.name == method::base(by)) && by != "retrain";
    if method || by == assess::UNTRAINED {
        let what = format!("it was made by {by}, not trained from scratch without the old class");
        return Err(Error::input(
            format!("--oracle {}", path.display()),
            what,
            "give models of `unlearn oracle` or `unlearn train`, or leave it out",
        ));
    }
    Ok(())
}

/// Oracles that were not trained as the original was, of those whose files say how: they differ from it by more than what they saw.
fn trained_otherwise(files: &[(&Path, ModelKind, Option<&Recipe>)]) -> Vec<String> {
    let Some(recipe) = files.iter().find(|(_, kind, _)| *kind == ModelKind::Original).and_then(|(.., recipe)| *recipe) else { return vec![] };
    let oracles = files.iter().filter(|(_, kind, _)| *kind == ModelKind::Oracle).filter_map(|(path, _, theirs)| Some((path, (*theirs)?)));
    let differ = oracles.map(|(path, theirs)| (path, theirs.differences(recipe))).filter(|(_, flags)| !flags.is_empty());
    let one = |(path, flags): (&&Path, Vec<String>)| {
        format!(
            "{} was trained with {}, in brackets the original: it is no reference for it. Train oracles as the original was.",
            path.display(),
            flags.join(", ")
        )
    };
    differ.map(one).collect()
}

/// What to call the model in `path`: its file's name; where that is taken, with the name of its run before it (RUN/models/FILE), else with
/// a number behind it.
pub fn free_name(path: &Path, taken: impl Fn(&str) -> bool) -> String {
    let stem = path.file_stem().map_or("model".into(), |s| s.to_string_lossy().into_owned());
    let run = path.parent().filter(|p| p.ends_with("models")).and_then(Path::parent).and_then(Path::file_name);
    let in_run = run.map(|r| format!("{}-{stem}", r.to_string_lossy()));
    let numbered = (2..).map(|n| format!("{stem}-{n}"));
    [Some(stem.clone()), in_run].into_iter().flatten().chain(numbered).find(|name| !taken(name)).unwrap_or(stem)
}

pub fn numbers(map: &ClassMap) -> Vec<u16> {
    map.classes().iter().map(|c| c.0).collect()
}

/// The classes that a model had before `swaps`, which left it `after`; what was taken out goes behind the rest.
fn undone(after: &ClassMap, swaps: &[Swap]) -> Result<ClassMap> {
    let with = |map: ClassMap, swap: &Swap| match swap.undone() {
        Some(back) => map.swapped(back),
        None => ClassMap::new(map.classes().iter().copied().chain([swap.forget]).collect()),
    };
    swaps.iter().try_fold(after.clone(), with)
}

/// Audits the models and publishes what was found, the cautions above it.
fn finish(
    run: &Run,
    config: &RunConfig,
    (mut models, mut cautions): (Vec<Finished>, Vec<String>),
    task: &SwapTask,
    dataset: &Dataset,
    json: bool,
    output: &Output,
) -> Result<()> {
    let device = device::open(&config.device)?;
    let context = |name: &str| Context {
        model: name.to_string(),
        seed: rng::derive_seed(config.seed, name, 0),
        device: device.clone(),
        settings: config.train.clone(),
        pipeline: Pipeline::of(dataset, false),
        reporter: Reporter::new(output.clone()),
        cost: Default::default(),
    };
    cautions.extend(models.first().map(|any| config.cautions(task, dataset, &any.model)).transpose()?.unwrap_or_default());
    if config.controls && models.iter().filter(|m| m.kind == ModelKind::Oracle).count() >= MIN_ORACLES {
        models.extend(controls::beside(&models, task, context)?);
    }
    let mut found = assess::each(&models, task, dataset, config.probe_samples, &cautions, context)?;
    match found.len() {
        1 => publish(run, &found.remove(0).1, "", json, output),
        _ => publish_each(run, config, &found, "", json, output),
    }
}
