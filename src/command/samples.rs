//! `unlearn audit --forget-samples`: membership of single training samples that were to be forgotten.

use std::path::Path;

use unlearn::assess::{Finished, samples};
use unlearn::config::Settings;
use unlearn::context::{Context, Pipeline, Reporter};
use unlearn::data::{Dataset, Samples, data_dir, listed};
use unlearn::error::{Error, Result};
use unlearn::model::checkpoint::{self, Without};
use unlearn::output::Output;
use unlearn::summary::ModelKind;
use unlearn::{device, files, report as page, rng};

use super::audit::{free_name, is_retrained, numbers};
use super::print_json;
use crate::cli::AuditArgs;

pub fn audit(args: &AuditArgs, listed: &Path, json: bool, output: &Output) -> Result<()> {
    let device = device::open("cpu")?;
    if let Some(out) = args.out.as_ref().filter(|o| o.exists()) {
        return Err(Error::input(format!("--out {}", out.display()), "exists already; nothing in it was touched", "name a new directory"));
    }
    let (mut models, mut trained_without) = (Vec::<Finished>::new(), Vec::<Option<Without>>::new());
    let (mut name_of_data, mut hashes, mut given) = (args.data.clone(), Vec::<String>::new(), Vec::<String>::new());
    for (path, kind) in args.files() {
        let at = path.display().to_string();
        let (model, metadata, sha256) = checkpoint::load(path, &device)?;
        name_of_data.get_or_insert_with(|| metadata.dataset.clone());
        let map = metadata.classes()?;
        if let Some(first) = models.first().filter(|m| m.map != map) {
            let what = format!("its slots stand for {:?}, those of {} for {:?}", numbers(&map), first.name, numbers(&first.map));
            return Err(Error::input(at, what, "where samples are forgotten, classes stay: give models of the same classes in the same order"));
        }
        if let Some(number) = hashes.iter().position(|h| *h == sha256) {
            return Err(Error::input(at, format!("the same model as {}", given[number]), "give every model once"));
        }
        if kind == ModelKind::Oracle {
            is_retrained(path, &metadata)?;
        }
        hashes.push(sha256);
        given.push(path.display().to_string());
        trained_without.push(metadata.without);
        let name = free_name(path, |name| models.iter().any(|m| m.name == name));
        models.push(Finished { name, kind, model, map, cost: None });
    }
    let dataset = Dataset::load(&name_of_data.unwrap_or_default(), &data_dir(args.data_dir.as_deref()))?;
    let any = &models[0]; // clap asks for one file at least
    if let Some(other) = models.iter().find(|m| m.model.spec().input != dataset.shape()) {
        let what = format!("it takes images of {:?}, {} has {:?}", other.model.spec().input, dataset.name, dataset.shape());
        return Err(Error::input(&other.name, what, "give the data it was trained on with --data"));
    }
    let forget = listed::read(listed, &dataset)?;
    if let Some(class) = (0..forget.len()).map(|i| forget.class(i)).find(|c| any.map.slot(*c).is_none()) {
        let what = format!("a sample of class {}, which these models have no slot for", dataset.class_name(class));
        return Err(Error::input(listed.display().to_string(), what, "list samples of the models' classes"));
    }
    if let Some(class) = (0..forget.len()).map(|i| forget.class(i)).find(|c| !dataset.test.labels.contains(c)) {
        let what = format!("a sample of class {}, of which {} has no test images", dataset.class_name(class), dataset.name);
        return Err(Error::input(listed.display().to_string(), what, "list samples of classes that unseen images exist of"));
    }
    let unknown = never_saw(&models, &trained_without, &forget, listed)?;
    let settings = Settings::default().training()?;
    let context = |name: &str| Context {
        model: name.to_string(),
        seed: rng::derive_seed(0, name, 0),
        device: device.clone(),
        settings: settings.clone(),
        pipeline: Pipeline::of(&dataset, false),
        reporter: Reporter::new(output.clone()),
        cost: Default::default(),
    };
    let mut found = samples::forgotten(&models, &forget, &dataset, context)?;
    found.warnings.extend(unknown);
    let text = page::forgotten_samples(&found);
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(Error::io(out))?;
        let mut scores = serde_json::to_string_pretty(&found).map_err(|e| Error::failed("samples.json", e.to_string(), "report this as a bug"))?;
        scores.push('\n');
        files::write_bytes(&out.join("samples.json"), scores.as_bytes())?;
        files::write_bytes(&out.join("samples.md"), text.as_bytes())?;
        files::write_bytes(&out.join("samples.html"), page::forgotten_samples_page(&found).as_bytes())?;
    }
    if json {
        return print_json(&found, output);
    }
    output.result(&text);
    if let Some(out) = &args.out {
        output.result(&format!("Report: {0}/samples.html  Table: {0}/samples.md  Scores and curves: {0}/samples.json", out.display()));
    }
    Ok(())
}

/// A warning where oracles don't say what they were trained without: whoever made them must know that they never saw the samples in `forget`.
///
/// # Errors
/// An oracle that was trained without other samples than these; an original that was trained without any of these.
fn never_saw(models: &[Finished], trained_without: &[Option<Without>], forget: &Samples, list: &Path) -> Result<Option<String>> {
    let these = Without::these(forget);
    let mut silent = Vec::new();
    for (model, without) in models.iter().zip(trained_without) {
        match (model.kind, without) {
            (ModelKind::Oracle, None) => silent.push(model.name.as_str()),
            (ModelKind::Oracle, Some(without)) if *without != these => {
                let what = format!("trained without {} samples that are not the {} of {}", without.samples, these.samples, list.display());
                return Err(Error::input(&model.name, what, "give models trained without these: `unlearn train --without LIST`"));
            }
            (ModelKind::Original, Some(without)) if *without == these => {
                let what = format!("trained without the samples of {}", list.display());
                return Err(Error::input(&model.name, what, "give it as --oracle; the original is the model that was trained on them"));
            }
            _ => {}
        }
    }
    let warning = "not known: their files don't say what they were trained without (`unlearn train --without LIST` writes it). If they saw the samples, \
                   nothing below means what it says.";
    Ok((!silent.is_empty()).then(|| format!("Whether {} never saw these samples is {warning}", silent.join(", "))))
}
