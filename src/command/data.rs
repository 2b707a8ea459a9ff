//! `unlearn data`: list, show, fetch.

use std::path::Path;

use serde_json::json;
use unlearn::data::{self, DATASETS, Dataset, Part, download, sheet};
use unlearn::error::{Error, Result};
use unlearn::output::{Output, table};

use super::print_json;
use crate::cli::{DataArgs, DataCommand};

/// Images a class on a contact sheet.
const COLUMNS: usize = 10;

pub fn data(args: DataArgs, json: bool, output: &Output) -> Result<()> {
    let dir = data::data_dir(args.data_dir.as_deref());
    match args.command {
        DataCommand::List => list(&dir, json, output),
        DataCommand::Show { name, out, augmented, seed } => show(&name, &dir, out.as_deref(), augmented, seed, json, output),
        DataCommand::Fetch { name } => fetch(&name, &dir, json, output),
    }
}

fn list(dir: &Path, json: bool, output: &Output) -> Result<()> {
    let there = |e: &data::DatasetEntry| match e.marker {
        "" => "built in",
        file if dir.join(file).is_file() || dir.join(format!("{file}.gz")).is_file() => "yes",
        _ => "no",
    };
    if json {
        let rows: Vec<_> =
            DATASETS.iter().map(|e| json!({ "name": e.name, "summary": e.summary, "licence": e.licence, "there": there(e) })).collect();
        return print_json(&rows, output);
    }
    let rows: Vec<Vec<String>> = DATASETS.iter().map(|e| vec![e.name.into(), there(e).into(), e.summary.into()]).collect();
    output.result(&table(&["name", "there", "summary"], &rows));
    output.result(&format!("\nData directory: {}. Also: emnist-SPLIT and idx:FOLDER.", dir.display()));
    Ok(())
}

fn show(name: &str, dir: &Path, out: Option<&Path>, augmented: bool, seed: u64, json: bool, output: &Output) -> Result<()> {
    let set = Dataset::load(name, dir)?;
    let count = |part: &Part, class: usize| part.labels.iter().filter(|c| c.0 as usize == class).count();
    if let Some(path) = out {
        if path.exists() && !sheet::is_sheet(path) {
            let what = "exists already and is no PNG; it was not touched";
            return Err(Error::input(format!("--out {}", path.display()), what, "choose another file"));
        }
        sheet::write_sheet(&set, COLUMNS, augmented, seed, path)?;
    }
    let classes: Vec<(usize, &String)> = set.class_names.iter().enumerate().collect();
    if json {
        let rows: Vec<_> =
            classes.iter().map(|(i, n)| json!({ "class": i, "name": n, "train": count(&set.train, *i), "test": count(&set.test, *i) })).collect();
        return print_json(
            &json!({
                "name": set.name, "shape": set.shape(), "sha256": set.fingerprint(), "augmentation": set.augmentation.describe(),
                "mean": set.normalisation.mean, "std": set.normalisation.std, "classes": rows,
            }),
            output,
        );
    }
    let [c, h, w] = set.shape();
    output.result(&format!(
        "{}: {} training and {} test images of {c}×{h}×{w}, {} classes",
        set.name,
        set.train.len(),
        set.test.len(),
        classes.len()
    ));
    let steps = set.augmentation.describe();
    output.result(&format!("augmentation: {}", if steps.is_empty() { "none".into() } else { steps.join(", ") }));
    let rows: Vec<Vec<String>> =
        classes.iter().map(|(i, n)| vec![i.to_string(), (*n).clone(), count(&set.train, *i).to_string(), count(&set.test, *i).to_string()]).collect();
    output.result(&table(&["class", "name", "train", "test"], &rows));
    if let Some(path) = out {
        output.result(&format!("Contact sheet: {}", path.display()));
    }
    Ok(())
}

fn fetch(name: &str, dir: &Path, json: bool, output: &Output) -> Result<()> {
    let entry = data::find(name)?;
    if entry.files.is_empty() {
        if json {
            return print_json(&json!({ "name": name, "folder": null, "files": [] }), output);
        }
        output.result(&format!("{name} is part of this program: there is nothing to fetch"));
        return Ok(());
    }
    let mut bar: Option<(String, indicatif::ProgressBar)> = None;
    let report = download::fetch(entry, dir, &mut |done, total, file| {
        output.check_interrupt()?;
        if bar.as_ref().is_none_or(|(name, _)| name != file) {
            output.status(&format!("fetching {file}"));
            bar = Some((file.to_string(), output.counter(file, total)));
        }
        if let Some((_, bar)) = &bar {
            bar.set_position(done);
        }
        Ok(())
    })?;
    let files: Vec<(String, String)> = report
        .files
        .into_iter()
        .map(|(file, how)| {
            let how = match how {
                download::Fetched::AlreadyThere => "already there".to_string(),
                download::Fetched::Downloaded { url, .. } => format!("from {url}"),
            };
            (file, how)
        })
        .collect();
    if json {
        let rows: Vec<_> = files.iter().map(|(f, h)| json!({ "file": f, "how": h })).collect();
        return print_json(&json!({ "name": name, "folder": report.folder, "files": rows }), output);
    }
    for (file, how) in files {
        output.result(&format!("{file}: {how}"));
    }
    output.result(&format!("{name} is in {}", report.folder.display()));
    Ok(())
}
