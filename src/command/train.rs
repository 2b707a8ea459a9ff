//! `unlearn train`: the founding notebook's pre-training and its test.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use unlearn::config::Settings;
use unlearn::context::{Context, Pipeline, Recipe, Reporter};
use unlearn::data::{ClassMap, Dataset, Labelled, Samples, Slot, classes, data_dir, listed};
use unlearn::error::{Error, Result};
use unlearn::events;
use unlearn::files;
use unlearn::model::{
    Classifier,
    checkpoint::{self, Metadata, Without},
};
use unlearn::output::{Output, table};
use unlearn::stats::{self, Logits};
use unlearn::summary::EpochRow;
use unlearn::{device, rng, train as training};

use super::{print_json, resolve, use_threads};
use crate::cli::TrainArgs;

pub fn train(args: TrainArgs, json: bool, output: &Output) -> Result<()> {
    if let Some(flag) = args.settings.of_a_swap() {
        return Err(Error::input(flag, "a training has no use for it", "leave it out, or give it to `unlearn swap`"));
    }
    let settings = resolve(args.settings, args.config.as_deref())?;
    let share = settings.validation()?;
    use_threads(settings.threads)?;
    let device = device::open(settings.device.as_deref().unwrap_or("cpu"))?;
    let dataset = Dataset::load(settings.data.as_deref().unwrap_or("mnist-mini"), &data_dir(settings.data_dir.as_deref()))?;
    let map = chosen_classes(&settings, &dataset)?;
    if args.out.exists() {
        return Err(Error::input(format!("--out {}", args.out.display()), "exists already; it was not touched", "choose another file"));
    }
    files::can_be_written(&args.out)?;
    let folder = tempfile::tempdir().map_err(Error::io("the temporary folder"))?;
    let log = folder.path().join("events.jsonl");
    let seed = settings.seed.unwrap_or(0);
    let mut ctx = Context {
        model: "original".into(),
        seed: rng::derive_seed(seed, "original", 0),
        device: device.clone(),
        settings: settings.training()?,
        pipeline: Pipeline::of(&dataset, settings.augment.unwrap_or(true)),
        reporter: Reporter::with_events(output.clone(), log.clone())?,
        cost: Default::default(),
    };
    let arch = settings.arch.as_deref().unwrap_or("cnn-s");
    let fresh = Classifier::new(arch, dataset.shape(), map.len(), ctx.seed, &device)?;
    let all = Samples::of_classes(&dataset.train, map.classes());
    if let Some(class) = map.classes().iter().find(|c| all.of_class(**c).is_empty()) {
        let what = format!("class {} ({}) has no training images", class.0, dataset.class_name(*class));
        return Err(Error::input(&dataset.name, what, "leave it out of --classes"));
    }
    let gone = args.without.as_deref().map(|list| left_out(list, &all, &map, &dataset)).transpose()?;
    let kept = gone.as_ref().map_or(all.clone(), |gone| all.without(gone));
    let (train, held_out) = split(kept, share, seed)?;
    let data = Labelled::new(train, &map);
    let without = [gone.as_ref(), held_out.as_ref()].into_iter().flatten().cloned().reduce(|a, b| a.union([&b]));
    let held_out = held_out.map(|samples| Labelled::new(samples, &map));
    output.status(&format!(
        "{arch}: {} parameters, {} classes, {} training images{}{}, batch {}",
        training::parameter_count(&fresh),
        map.len(),
        data.len(),
        held_out.as_ref().map(|h| format!(" and {} held out", h.len())).unwrap_or_default(),
        gone.as_ref().map(|g| format!(", {} left out", g.len())).unwrap_or_default(),
        ctx.settings.batch
    ));
    let trained = ctx.settings.clone();
    let model = training::fit_and_validate(fresh, &data, held_out.as_ref(), &trained, &mut ctx)?;
    // Who holds samples out is choosing settings: the test images stay unseen.
    let (judged_by, test) = match held_out {
        Some(held_out) => (JudgedBy::HeldOut, held_out),
        None => (JudgedBy::Test, Labelled::new(Samples::of_classes(&dataset.test, map.classes()), &map)),
    };
    let logits = training::predict(&model, &test, &ctx)?;
    let metadata = Metadata {
        format: checkpoint::FORMAT,
        architecture: arch.into(),
        input: dataset.shape(),
        dataset: dataset.name.clone(),
        class_map: map.classes().iter().map(|c| c.0).collect(),
        class_names: map.classes().iter().map(|c| dataset.class_name(*c).to_string()).collect(),
        made_by: "train".into(),
        seed: ctx.seed,
        config_hash: config_hash(&trained, &dataset, &settings, gone.as_ref())?,
        parents: vec![],
        version: env!("CARGO_PKG_VERSION").into(),
        training: Some(Recipe { settings: trained, augment: settings.augment.unwrap_or(true) }),
        without: without.as_ref().map(Without::these),
    };
    checkpoint::save(&args.out, &model, &metadata)?;
    let rows = events::curves(&log)?.into_iter().next().map(|c| c.rows).unwrap_or_default();
    let tested = Tested::of(&logits, &test, &map);
    if json {
        let key = judged_by.key();
        return print_json(&json!({ "epochs": rows, key: tested.json(&metadata.class_names), "checkpoint": args.out }), output);
    }
    output.result(&epochs(&rows));
    output.result(&tested.text(judged_by, &metadata.class_names));
    output.result(&format!("Checkpoint: {}", args.out.display()));
    Ok(())
}

/// The samples that `list` names, of classes of `map`, which keep others among `all`.
fn left_out(list: &Path, all: &Samples, map: &ClassMap, dataset: &Dataset) -> Result<Samples> {
    let gone = listed::read(list, dataset)?;
    let bad = |what: String, remedy: &str| Error::input(list.display().to_string(), what, remedy);
    if let Some(class) = (0..gone.len()).map(|i| gone.class(i)).find(|c| map.slot(*c).is_none()) {
        let what = format!("a sample of class {}, which is not trained on", dataset.class_name(class));
        return Err(bad(what, "list samples of the classes in --classes"));
    }
    let kept = all.without(&gone);
    if let Some(class) = map.classes().iter().find(|c| kept.of_class(**c).is_empty()) {
        let what = format!("every training image of class {}", dataset.class_name(*class));
        return Err(bad(what, "keep some of them, or leave the class out of --classes"));
    }
    Ok(gone)
}

/// The samples to train on and, for a `share` above 0, those held out.
fn split(samples: Samples, share: f64, seed: u64) -> Result<(Samples, Option<Samples>)> {
    if share == 0.0 {
        return Ok((samples, None));
    }
    let (train, held_out) = samples.hold_out(share, seed)?;
    Ok((train, Some(held_out)))
}

/// The classes listed, or all but those that a swap is to learn.
fn chosen_classes(settings: &Settings, dataset: &Dataset) -> Result<ClassMap> {
    if let Some(list) = &settings.classes {
        return classes::parse_classes(list, dataset, settings.oracle_seed());
    }
    let learn = settings.learn.as_deref().map_or(Ok(vec![]), |list| classes::parse_list(list, dataset, "--learn"))?;
    ClassMap::new(dataset.usable_classes().into_iter().filter(|c| !learn.contains(c)).collect())
}

fn config_hash(training: &unlearn::context::TrainSettings, dataset: &Dataset, settings: &Settings, without: Option<&Samples>) -> Result<String> {
    use sha2::{Digest, Sha256};
    let mut spec = json!({
        "train": training,
        "data": dataset.fingerprint(),
        "augment": settings.augment.unwrap_or(true),
        "seed": settings.seed.unwrap_or(0),
        "validation": settings.validation()?,
    });
    if let Some(without) = without {
        let mut numbers: Vec<usize> = without.numbers().collect();
        numbers.sort_unstable();
        spec["without"] = json!(numbers);
    }
    Ok(unlearn::hex(&Sha256::digest(spec.to_string().as_bytes())))
}

/// The notebook's table of epochs.
fn epochs(rows: &[EpochRow]) -> String {
    let cells = |r: &EpochRow| {
        let mut cells = vec![r.epoch.to_string()];
        cells.extend([r.accuracy, r.confidence, r.loss, r.l_var, r.l_min, r.l_max].into_iter().chain(r.validation).map(|v| format!("{v:.6}")));
        cells
    };
    let mut headings = vec!["epoch", "accuracy", "confidence", "loss", "l_var", "l_min", "l_max"];
    if rows.iter().all(|r| r.validation.is_some()) {
        headings.push("validation");
    }
    table(&headings, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// What the trained network is tested on.
#[derive(Clone, Copy)]
enum JudgedBy {
    /// The data set's test images.
    Test,
    /// The training images held out.
    HeldOut,
}

impl JudgedBy {
    /// Key in JSON.
    fn key(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::HeldOut => "validation",
        }
    }

    /// Heading, and what the images are called.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Test => ["Test", "test"],
            Self::HeldOut => ["Validation", "held-out training"],
        }
    }
}

/// The notebook's test: accuracy over samples, confidence as mean of per-class means, confusion matrix of mean softmax.
struct Tested {
    images: usize,
    /// None without images.
    accuracy: Option<f64>,
    confidence: Option<f64>,
    confusion: Vec<Vec<f64>>,
}

impl Tested {
    fn of(logits: &Logits, test: &Labelled, map: &ClassMap) -> Self {
        let mut by_slot: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
        let mut hits = 0;
        for (row, slot) in logits.rows().zip(&test.slots) {
            if let Some(Slot(s)) = slot {
                hits += usize::from(stats::argmax(row) == *s);
                by_slot.entry(*s).or_default().extend_from_slice(row);
            }
        }
        let classes: Vec<Logits> = (0..map.len()).map(|s| Logits { values: by_slot.remove(&s).unwrap_or_default(), slots: map.len() }).collect();
        let confidences: Vec<f64> = classes.iter().filter_map(Logits::confidence).collect();
        Self {
            images: test.len(),
            accuracy: (!test.is_empty()).then(|| hits as f64 / test.len() as f64),
            confidence: (!confidences.is_empty()).then(|| stats::mean(&confidences)),
            confusion: classes.iter().map(Logits::profile).collect(),
        }
    }

    fn json(&self, names: &[String]) -> serde_json::Value {
        json!({ "images": self.images, "accuracy": self.accuracy, "confidence": self.confidence, "classes": names, "confusion_softmax": self.confusion })
    }

    fn text(&self, judged_by: JudgedBy, names: &[String]) -> String {
        let [heading, images] = judged_by.words();
        let headings: Vec<&str> = std::iter::once("class").chain(names.iter().map(String::as_str)).collect();
        let rows: Vec<Vec<String>> = names
            .iter()
            .zip(&self.confusion)
            .map(|(name, row)| {
                // Whole percents, truncated as the notebook prints them. A class without images has no row.
                let percent = |k: usize| row.get(k).map_or("–".to_string(), |p| format!("{}%", (100.0 * p) as u32));
                std::iter::once(name.clone()).chain((0..names.len()).map(percent)).collect()
            })
            .collect();
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_string(), |v| format!("{v:.4}"));
        format!(
            "\n{heading}\naccuracy    {}  fraction of {images} images, higher is better\nconfidence  {}  nats², mean over classes\nConfusion matrix: row = class, mean softmax output over its {images} images\n{}",
            number(self.accuracy),
            number(self.confidence),
            table(&headings, &rows)
        )
    }
}
