//! `unlearn oracle`: retrained models into the store, for every later run with the same task.

use serde_json::json;
use unlearn::assess;
use unlearn::audit::verdict::MIN_ORACLES;
use unlearn::config::Settings;
use unlearn::context::Reporter;
use unlearn::data::{Labelled, SwapTask};
use unlearn::error::{Error, Result};
use unlearn::oracle;
use unlearn::output::{Output, table};
use unlearn::run::Run;
use unlearn::schedule::in_full_rounds;
use unlearn::store::Store;
use unlearn::train;
use unlearn::unit::{Made, Origin, Workshop};

use super::plan::Plan;
use super::{print_json, resolve};
use crate::cli::OracleArgs;

pub fn oracle(args: OracleArgs, json: bool, output: &Output) -> Result<()> {
    let flags = Settings { oracles: args.count.or(args.settings.oracles), ..args.settings };
    let settings = resolve(flags, args.config.as_deref())?;
    let Plan { dataset, task, config, device, cautions, .. } = Plan::of(&settings, args.model.as_deref())?;
    cautions.iter().for_each(|c| output.warn(c));
    if config.oracles == 0 {
        return Err(Error::input("--count 0", "nothing would be trained", format!("use {MIN_ORACLES} or more")));
    }
    let store = store(&settings, output)?;
    // A run like any other, but for its directory: what it makes is in the store, and nobody else needs the rest.
    let folder = tempfile::tempdir().map_err(Error::io("the temporary folder"))?;
    let run = Run::create(&folder.path().join("run"), &config, false)?;
    let reporter = Reporter::with_events(output.clone(), run.events())?;
    let workshop = Workshop { run: &run, store: Some(&store), config: &config, dataset: &dataset, device, reporter };
    let data = oracle::data(&task)?;
    let made = in_full_rounds(oracle::jobs(&workshop, &task, &data), &workshop.device)?;
    let tested = made.iter().map(|m| Tested::of(m, &task, &workshop)).collect::<Result<Vec<_>>>()?;
    let answers: Vec<Vec<usize>> = tested.iter().map(|t| t.answers.clone()).collect();
    let agreement = assess::mean_agreement(&answers);
    if json {
        let oracles: Vec<_> = made.iter().zip(&tested).map(|(m, t)| t.json(m, &store)).collect();
        return print_json(&json!({ "store": store.dir(), "oracles": oracles, "oracle_agreement": agreement }), output);
    }
    output.result(&text(&made, &tested, agreement, &store));
    Ok(())
}

/// The store, which must be one that takes something in.
fn store(settings: &Settings, output: &Output) -> Result<Store> {
    let Some(store) = Store::of(settings.store.as_deref(), output)? else {
        let what = "no store: the oracles would be trained and lost";
        return Err(Error::input("--store", what, "name a folder with --store or UNLEARN_STORE"));
    };
    if !store.writable() {
        return Err(Error::input(format!("--store {}", store.dir().display()), "it can't be written to", "name another folder"));
    }
    Ok(store)
}

/// What an oracle answers on test images.
struct Tested {
    /// Share of the retain set's answered with their slot.
    retain: Option<f64>,
    /// The same of the learn set's; none for plain unlearning.
    learn: Option<f64>,
    /// Its slot for every image of retain ∪ learn.
    answers: Vec<usize>,
}

impl Tested {
    fn of(made: &Made, task: &SwapTask, workshop: &Workshop<'_>) -> Result<Self> {
        let ctx = workshop.context(&made.name);
        let test = |samples| -> Result<(Option<f64>, Vec<usize>)> {
            let data = Labelled::new(samples, &task.after);
            let logits = train::predict(&made.model, &data, &ctx)?;
            Ok((train::accuracy(&logits, &data.slots), logits.argmax()))
        };
        let (retain, mut answers) = test(task.retain.test.samples()?.clone())?;
        let Some(split) = &task.learn else { return Ok(Self { retain, learn: None, answers }) };
        let (learn, more) = test(split.test.samples()?.clone())?;
        answers.extend(more);
        Ok(Self { retain, learn, answers })
    }

    fn json(&self, made: &Made, store: &Store) -> serde_json::Value {
        json!({
            "name": made.name,
            "hash": made.hash,
            "file": store.checkpoint(&made.hash),
            "sha256": made.sha256,
            "retain_test": self.retain,
            "learn_test": self.learn,
            "wall_s": made.cost.as_ref().map(|c| c.wall_s),
            "threads": made.cost.as_ref().map(|c| c.threads),
            "new": made.origin == Origin::New,
        })
    }
}

/// A row an oracle, what they have in common, and where they are.
fn text(made: &[Made], tested: &[Tested], agreement: Option<f64>, store: &Store) -> String {
    let percent = |share: Option<f64>| share.map_or("–".to_string(), |s| format!("{:.1}", 100.0 * s));
    let rows: Vec<Vec<String>> = made
        .iter()
        .zip(tested)
        .map(|(m, t)| {
            let seconds = m.cost.as_ref().map_or("–".to_string(), |c| format!("{:.1}", c.wall_s));
            let origin = if m.origin == Origin::New { "new" } else { "already there" };
            vec![m.name.clone(), m.hash[..12].to_string(), percent(t.retain), percent(t.learn), seconds, origin.to_string()]
        })
        .collect();
    let mut out = table(&["oracle", "unit", "retain test acc. % ↑", "new test acc. % ↑", "s", "in the store"], &rows);
    if let Some(agreement) = agreement {
        out += &format!("\n\nTwo oracles agree on {:.1} % of the test images (mean over pairs).", 100.0 * agreement);
    }
    if made.iter().any(|m| m.cost.is_none()) {
        out += "\n–: made on another machine, by another build or with another number of threads; such a time doesn't count.";
    }
    if made.len() < MIN_ORACLES {
        out += &format!("\nA swap judged by fewer than {MIN_ORACLES} has no verdict.");
    }
    format!("{out}\nStore: {}", store.dir().display())
}
