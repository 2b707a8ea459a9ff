//! `unlearn study`: random pairs, default settings, one table.

use std::path::{Path, PathBuf};

use serde::Serialize;
use unlearn::audit::verdict;
use unlearn::config::Settings;
use unlearn::data::{Dataset, classes::by_label, data_dir};
use unlearn::error::{Error, Result};
use unlearn::output::Output;
use unlearn::study::{self, MethodSummary, Pair, Report, Row, Study, StudySettings};
use unlearn::summary::{ModelKind, Scores, Summary};
use unlearn::{files, report as page, store};

use super::{print_json, swap, use_threads};
use crate::cli::{StudyArgs, SwapArgs};

pub fn study(args: StudyArgs, json: bool, output: &Output) -> Result<()> {
    let StudyArgs { config, out, resume, settings } = args;
    let settings = match config {
        Some(path) => settings.or(StudySettings::read(&path)?),
        None => settings,
    };
    let study = Study::try_from(&settings)?;
    if out.exists() && !resume {
        let what = "exists already; nothing in it was touched";
        return Err(Error::input(format!("--out {}", out.display()), what, "name a new directory, or go on with --resume"));
    }
    use_threads(settings.threads)?;
    let dataset = Dataset::load(&study.data, &data_dir(settings.data_dir.as_deref()))?;
    let store = shared_store(&study, settings.store, &out);
    let mut found = Found::default();
    let mut report = None;
    let pairs = study.pairs(&dataset)?;
    for (index, pair) in pairs.iter().enumerate() {
        let (name, pair) = pair_settings(&study, &dataset, index, pair);
        let pair = Settings { data_dir: settings.data_dir.clone(), store: store.clone(), ..pair };
        let epochs = pair.training()?.epochs;
        let methods: Vec<String> = pair.methods()?.into_iter().map(|(name, _)| name).collect();
        for seed in (study.seed..).take(study.seeds) {
            let (name, settings) = with_seed(&name, pair.clone(), seed, study.seed);
            output.status(&format!("{name}: pair {} of {}", index + 1, pairs.len()));
            let out = out.join(&name);
            let resume = out.exists();
            let summary = swap::summary(SwapArgs { config: None, out, resume, model: None, settings }, output)?;
            found.rows.extend(study::rows(&name, Some(seed), &summary.scores, epochs, &methods));
            found.runs.push((name, summary));
        }
        if study.seeds > 1 {
            found.add_mean(&format!("{name}-mean"), study.seeds, epochs, &methods);
        }
        // After every pair, so that what is done can be read while the rest goes on.
        report = Some(found.write(&study, &dataset, &out)?);
    }
    match report {
        Some(report) if json => print_json(&report, output),
        _ => {
            output.result(&found.table());
            output.result(&format!("Study: {}  Scores: {}/*/scores.json", out.join("study.html").display(), out.display()));
            Ok(())
        }
    }
}

/// What the pairs so far have shown.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    runs: Vec<(String, Summary)>,
    mean_rows: Vec<Row>,
    means: Vec<(String, Summary)>,
}

impl Found {
    /// Adds the mean over the last `seeds` runs, all of one pair.
    fn add_mean(&mut self, name: &str, seeds: usize, epochs: usize, methods: &[String]) {
        let runs = &self.runs[self.runs.len() - seeds..];
        let scores: Vec<(&str, &Scores)> = runs.iter().map(|(name, summary)| (name.as_str(), &summary.scores)).collect();
        if let Some(scores) = verdict::mean(&scores) {
            self.mean_rows.extend(study::rows(name, None, &scores, epochs, methods));
            let summary = Summary { scores, ..runs[0].1.clone() };
            self.means.push((name.to_string(), summary));
        }
    }

    fn methods(&self) -> Vec<MethodSummary> {
        study::methods(&self.rows, &self.mean_rows)
    }

    /// The methods over all pairs, the means over seeds, then every run.
    fn table(&self) -> String {
        let percent = |share: Option<f64>| share.map_or("–".to_string(), |s| format!("{:.1} %", 100.0 * s));
        let several = !self.means.is_empty();
        let (heading, rule) = if several { (" pairs matched in the mean ↑ |", " ---: |") } else { ("", "") };
        let mut text = format!(
            "| method | matched ↑ | where all controls fail ↑ |{heading} worst cost, % of a retraining’s time ↓ | worst cost, % of its passes ↓ |\n\
             | --- | ---: | ---: |{rule} ---: | ---: |\n"
        );
        for m in self.methods() {
            let note = if m.kind == ModelKind::Control { " (negative control: must fail)" } else { "" };
            let means = m.means_matched.map_or(String::new(), |n| format!(" {n} of {} |", m.pairs));
            let (time, passes) = (percent(m.worst_cost_share), percent(m.worst_passes_share));
            let sure = format!("{} of {}", m.matched_where_controls_fail, m.swaps_where_controls_fail);
            text += &format!("| {}{note} | {} of {} | {sure} |{means} {time} | {passes} |\n", m.method, m.matched, m.swaps);
        }
        if several {
            text += &format!("\nMeans over the seeds:\n\n{}\nEvery run:\n", page::compare(&self.means));
        }
        format!("{text}\n{}", page::compare(&self.runs))
    }

    /// Writes it all down and gives what `study.json` holds.
    fn write(&self, study: &Study, dataset: &Dataset, out: &Path) -> Result<Report> {
        let report = Report {
            format: study::FORMAT,
            dataset: dataset.name.clone(),
            pairs: study.pairs.clone(),
            seed: study.seed,
            seeds: study.seeds,
            oracles: study.oracles,
            epochs: study.epochs,
            set: study.set.clone(),
            methods: self.methods(),
            rows: self.rows.clone(),
            means: self.mean_rows.clone(),
        };
        for (name, mean) in &self.means {
            write_json(&out.join(format!("{name}.json")), &mean.scores)?;
        }
        write_json(&out.join("study.json"), &report)?;
        files::write_bytes(&out.join("study.md"), self.table().as_bytes())?;
        files::write_bytes(&out.join("study.html"), page::study(&report, &self.runs, &self.means).as_bytes())?;
        Ok(report)
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let at = path.display().to_string();
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::failed(at, e.to_string(), "report this as a bug"))?;
    text.push('\n');
    files::write_bytes(path, text.as_bytes())
}

/// The store of every swap. Further seeds are judged by the first one's oracles, so they are kept inside the study where they are to be kept
/// nowhere else.
fn shared_store(study: &Study, given: Option<PathBuf>, out: &Path) -> Option<PathBuf> {
    match given {
        Some(path) if study.seeds > 1 && path == Path::new(store::NONE) => Some(out.join("store")),
        given => given,
    }
}

/// Name of the run and settings of a pair's swap with `seed`; the first one's oracles judge all.
fn with_seed(name: &str, settings: Settings, seed: u64, first: u64) -> (String, Settings) {
    let name = if seed == first { name.to_string() } else { format!("{name}-seed-{seed}") };
    (name, Settings { seed: Some(seed), oracle_seed: Some(first), ..settings })
}

/// Name of the run and settings of the study's `pair`, number `index`.
fn pair_settings(study: &Study, dataset: &Dataset, index: usize, pair: &Pair) -> (String, Settings) {
    let images = dataset.train.labels.iter().filter(|c| pair.before.slot(**c).is_some()).count();
    let recipe = study::recipe(dataset, images);
    let settings = Settings {
        epochs: study.epochs.or(recipe.epochs),
        data: Some(study.data.clone()),
        classes: Some(by_label(pair.before.classes())),
        forget: Some(by_label(&[pair.swap.forget])),
        learn: pair.swap.learn.map(|class| by_label(&[class])),
        oracles: Some(study.oracles),
        methods: Some(study.methods.clone()),
        set: study.set.clone(),
        ..recipe
    };
    (format!("pair-{}-{}", index + 1, pair.swap.label()), settings)
}
