//! `unlearn report` and `unlearn compare`: from run directories alone.

use unlearn::error::{Error, Result};
use unlearn::output::Output;
use unlearn::run::Run;
use unlearn::{files, report as page};

use super::print_json;
use crate::cli::{CompareArgs, ReportArgs};

pub fn report(args: &ReportArgs, json: bool, output: &Output) -> Result<()> {
    let run = Run::open(&args.run)?;
    let summary = run.summary()?;
    let path = args.out.clone().unwrap_or_else(|| run.report());
    let is_page = |start: &[u8]| start.to_ascii_lowercase().starts_with(b"<!doctype html");
    if args.out.is_some() && path.exists() && !std::fs::read(&path).is_ok_and(|bytes| is_page(&bytes[..bytes.len().min(20)])) {
        return Err(Error::input(format!("--out {}", path.display()), "exists already and is no page; it was not touched", "choose another file"));
    }
    files::write_bytes(&path, page::html(&summary).as_bytes())?;
    if json {
        return print_json(&summary.scores, output);
    }
    output.result(&page::markdown(&summary));
    output.result(&format!("\nReport: {}", path.display()));
    Ok(())
}

pub fn compare(args: &CompareArgs, json: bool, output: &Output) -> Result<()> {
    let runs = args.runs.iter().map(|dir| Ok((dir.display().to_string(), Run::open(dir)?.summary()?))).collect::<Result<Vec<_>>>()?;
    if json {
        let scores: Vec<_> = runs.iter().map(|(name, s)| serde_json::json!({ "name": name, "scores": s.scores })).collect();
        return print_json(&scores, output);
    }
    output.result(&page::compare(&runs));
    Ok(())
}
