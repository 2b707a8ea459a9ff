//! One sub-command a file.

pub mod audit;
pub mod data;
pub mod inspect;
pub mod list;
pub mod oracle;
mod plan;
pub mod report;
mod samples;
pub mod study;
pub mod swap;
pub mod train;

use std::path::Path;

use serde::Serialize;
use unlearn::assess::Evidence;
use unlearn::config::{RunConfig, Settings};
use unlearn::data::Swap;
use unlearn::error::{Error, Result};
use unlearn::output::Output;
use unlearn::run::{Run, SAMPLES};
use unlearn::summary::Summary;
use unlearn::{files, report as page};

/// Flags over the file, where there is one.
fn resolve(settings: Settings, file: Option<&Path>) -> Result<Settings> {
    match file {
        Some(path) => Ok(settings.or(Settings::read(path)?)),
        None => Ok(settings),
    }
}

/// Sets the number of threads for the whole process.
fn use_threads(threads: Option<usize>) -> Result<()> {
    let Some(n) = threads else { return Ok(()) };
    if n == 0 {
        return Err(Error::input("--threads 0", "no thread would do any work", "use 1 or more"));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = (4 * cores).max(64);
    if n > most {
        return Err(Error::input(
            format!("--threads {n}"),
            format!("far more than the {cores} cores there are"),
            format!("use {most} at most; more than cores gain nothing"),
        ));
    }
    rayon::ThreadPoolBuilder::new().num_threads(n).build_global().map_err(|e| Error::failed("--threads", e.to_string(), "leave it out"))
}

/// A value as JSON on standard output.
fn print_json(value: &impl Serialize, output: &Output) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::failed("--json", e.to_string(), "report this as a bug"))?;
    output.result(&text);
    Ok(())
}

/// Writes what was found into the run directory and draws its report.
fn save(run: &Run, evidence: &Evidence) -> Result<Summary> {
    for model in &evidence.outputs {
        run.write_output(&model.model, model)?;
    }
    run.write_output(SAMPLES, &evidence.samples)?;
    run.write_scores(&evidence.scores)?;
    // From the directory alone, as `unlearn report` would.
    let summary = run.summary()?;
    files::write_bytes(&run.report(), page::html(&summary).as_bytes())?;
    Ok(summary)
}

/// Saves what was found of each of several swaps in a directory of its own and prints all headlines in one table (or all scores as JSON).
fn publish_each(run: &Run, config: &RunConfig, found: &[(Swap, Evidence)], took: &str, json: bool, output: &Output) -> Result<()> {
    let mut runs = Vec::new();
    for (swap, evidence) in found {
        let below = run.below(config, *swap)?;
        runs.push((below.dir().display().to_string(), save(&below, evidence)?));
    }
    if json {
        return print_json(&runs.iter().map(|(_, summary)| &summary.scores).collect::<Vec<_>>(), output);
    }
    output.result(&page::compare(&runs));
    let reports = runs.iter().map(|(dir, _)| format!("\n{dir}/report.html")).collect::<String>();
    output.result(&format!("{took}Reports:{reports}"));
    Ok(())
}

/// Saves what was found and prints the headline (or the scores as JSON).
fn publish(run: &Run, evidence: &Evidence, took: &str, json: bool, output: &Output) -> Result<()> {
    let summary = save(run, evidence)?;
    if json {
        return print_json(&summary.scores, output);
    }
    output.result(&page::markdown(&summary));
    output.result(&format!("{took}Report: {}  Scores: {}", run.report().display(), run.scores().display()));
    Ok(())
}
