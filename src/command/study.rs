//! `unlearn study`: random pairs, default settings, one table.

use std::path::Path;

use unlearn::config::Settings;
use unlearn::data::{ClassMap, Dataset, data_dir};
use unlearn::error::{Error, Result};
use unlearn::output::Output;
use unlearn::study::{self, MethodSummary, Report, Row};
use unlearn::summary::{ModelKind, Summary};
use unlearn::{files, report as page};

use super::{print_json, save, swap, use_threads};
use crate::cli::{StudyArgs, SwapArgs};

/// Run beside the methods: what must fail.
const CONTROLS: [&str; 2] = ["logit-mask", "head-distil"];

pub fn study(args: StudyArgs, json: bool, output: &Output) -> Result<()> {
    if args.pairs == 0 {
        return Err(Error::input("--pairs 0", "nothing would be swapped", "use 1 or more"));
    }
    if args.out.exists() && !args.resume {
        let what = "exists already; nothing in it was touched";
        return Err(Error::input(format!("--out {}", args.out.display()), what, "name a new directory, or go on with --resume"));
    }
    use_threads(args.threads)?;
    let dataset = Dataset::load(&args.data, &data_dir(args.data_dir.as_deref()))?;
    let mut rows: Vec<Row> = Vec::new();
    let mut runs: Vec<(String, Summary)> = Vec::new();
    for index in 0..args.pairs {
        let (name, settings) = settings(&args, &dataset, index)?;
        let epochs = settings.training()?.epochs;
        output.status(&format!("{name}: pair {} of {}", index + 1, args.pairs));
        let out = args.out.join(&name);
        let resume = out.exists();
        let (run, evidence) = swap::run(SwapArgs { config: None, out, resume, model: None, settings }, output)?;
        let summary = save(&run, &evidence)?;
        rows.extend(study::rows(&name, &summary.scores, epochs));
        runs.push((name, summary));
        // After every pair, so that what is done can be read while the rest goes on.
        let report = Report {
            format: study::FORMAT,
            dataset: dataset.name.clone(),
            seed: args.seed,
            oracles: args.oracles,
            methods: study::methods(&rows),
            rows: rows.clone(),
        };
        write(&args.out, &report, &runs)?;
        if json && index + 1 == args.pairs {
            return print_json(&report, output);
        }
    }
    output.result(&table(&study::methods(&rows), &runs));
    output.result(&format!("Study: {}  Scores: {}/*/scores.json", args.out.join("study.json").display(), args.out.display()));
    Ok(())
}

/// Name of the run and settings of pair `index`.
fn settings(args: &StudyArgs, dataset: &Dataset, index: usize) -> Result<(String, Settings)> {
    let pair = study::pair(dataset, args.seed, index)?;
    let numbers = |map: &ClassMap| map.classes().iter().map(|c| c.0.to_string()).collect::<Vec<_>>().join(",");
    let forget = pair.swap.forget.0;
    let learn = pair.swap.learn.map(|c| c.0.to_string());
    let images = dataset.train.labels.iter().filter(|c| pair.before.slot(**c).is_some()).count();
    let mut methods = args.methods.clone();
    methods.extend(CONTROLS.iter().filter(|c| !args.methods.iter().any(|m| m == *c)).map(|c| c.to_string()));
    let name = format!("pair-{}-{forget}-{}", index + 1, learn.as_deref().unwrap_or("none"));
    let settings = Settings {
        data: Some(args.data.clone()),
        data_dir: args.data_dir.clone(),
        classes: Some(numbers(&pair.before)),
        forget: Some(forget.to_string()),
        learn,
        seed: Some(args.seed),
        oracles: Some(args.oracles),
        methods: Some(methods),
        store: args.store.clone(),
        ..study::recipe(dataset, images)
    };
    Ok((name, settings))
}

fn write(out: &Path, report: &Report, runs: &[(String, Summary)]) -> Result<()> {
    let mut text = serde_json::to_string_pretty(report).map_err(|e| Error::failed("study.json", e.to_string(), "report this as a bug"))?;
    text.push('\n');
    files::write_bytes(&out.join("study.json"), text.as_bytes())?;
    files::write_bytes(&out.join("study.md"), table(&report.methods, runs).as_bytes())
}

/// The methods over all pairs, then every pair.
fn table(methods: &[MethodSummary], runs: &[(String, Summary)]) -> String {
    let percent = |share: Option<f64>| share.map_or("–".to_string(), |s| format!("{:.1} %", 100.0 * s));
    let mut text = String::from(
        "| method | matched ↑ | worst cost, % of a retraining’s time ↓ | worst cost, % of its passes ↓ |\n| --- | ---: | ---: | ---: |\n",
    );
    for m in methods {
        let note = if m.kind == ModelKind::Control { " (negative control: must fail)" } else { "" };
        text +=
            &format!("| {}{note} | {} of {} | {} | {} |\n", m.method, m.matched, m.pairs, percent(m.worst_cost_share), percent(m.worst_passes_share));
    }
    format!("{text}\n{}", page::compare(runs))
}
