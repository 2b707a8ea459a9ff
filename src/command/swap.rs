//! `unlearn swap` and `unlearn demo`: the straight line.

use std::path::{Path, PathBuf};
use std::time::Instant;

use unlearn::assess::{self, Evidence, Finished, controls};
use unlearn::config::Settings;
use unlearn::context::Reporter;
use unlearn::data::{Labelled, Swap, SwapTask};
use unlearn::error::{Error, Result};
use unlearn::model::{Classifier, checkpoint};
use unlearn::output::Output;
use unlearn::run::Run;
use unlearn::schedule::{Job, in_full_rounds, trainings_like};
use unlearn::store::Store;
use unlearn::summary::{ModelKind, Summary};
use unlearn::unit::{Made, Order, Origin, Workshop};
use unlearn::{method, oracle, train};

use super::plan::{Given, Plan};
use super::{publish, publish_each, resolve, save};
use crate::cli::{DemoArgs, SwapArgs};

/// The demo is a swap with these settings.
const DEMO: &str = include_str!("../../configs/demo.toml");

pub fn demo(args: DemoArgs, json: bool, output: &Output) -> Result<()> {
    let settings: Settings = toml::from_str(DEMO).map_err(|e| Error::failed("configs/demo.toml", e.to_string(), "report this as a bug"))?;
    let settings = Settings { seed: Some(args.seed), threads: args.threads, store: args.store, ..settings };
    let out = args.out.unwrap_or_else(|| if args.resume { last_there(Path::new("runs/demo")) } else { first_free(Path::new("runs/demo")) });
    swap(SwapArgs { config: None, out, resume: args.resume, model: None, settings }, json, output)
}

pub fn swap(args: SwapArgs, json: bool, output: &Output) -> Result<()> {
    let started = Instant::now();
    let begun = Begun::of(args, output)?;
    let mut found = begun.finish(output)?;
    let took = format!("{:.0} s. ", started.elapsed().as_secs_f64());
    let Begun { run, plan: Plan { config, .. }, .. } = &begun;
    match found.len() {
        1 => publish(run, &found.remove(0).1, &took, json, output),
        _ => publish_each(run, config, &found, &took, json, output),
    }
}

/// The whole line, for a caller that goes on with many runs of one swap each: what this build found before, with the same settings, is read from the run's
/// directory and not found again.
pub fn summary(args: SwapArgs, output: &Output) -> Result<Summary> {
    let begun = Begun::of(args, output)?;
    if begun.is_finished()? {
        output.status(&format!("{}: finished already", begun.run.dir().display()));
        return begun.run.summary();
    }
    let (_, evidence) = begun.finish(output)?.remove(0);
    save(&begun.run, &evidence)
}

/// A swap before any work: what can be refused was not.
struct Begun {
    plan: Plan,
    store: Option<Store>,
    run: Run,
    cautions: Vec<String>,
}

impl Begun {
    fn of(args: SwapArgs, output: &Output) -> Result<Self> {
        // A run that is gone on with says itself what it is, unless a task is named.
        let own = args.out.join("config.toml");
        let own = (args.resume && args.settings.forget.is_none() && own.is_file()).then_some(own);
        let config = args.config.or(own);
        let settings = resolve(args.settings, config.as_deref())?;
        if let (Some(sha256), None) = (&settings.given_sha256, &args.model) {
            let at = config.map_or("--config".into(), |c| format!("--config {}", c.display()));
            let what = format!("that run did not train its original, it was given one (SHA-256 {sha256})");
            return Err(Error::input(
                at,
                what,
                "give it with --model; of one that a swap was given a copy lies in models/original.safetensors beside that file",
            ));
        }
        let plan = Plan::of(&settings, args.model.as_deref())?;
        let store = Store::of(settings.store.as_deref(), output)?; // before the run's directory: a refused run leaves none
        let Plan { dataset, task, config, device, .. } = &plan;
        let cautions = config.cautions(task, dataset, &Classifier::zeros(&config.arch, dataset.shape(), task.before.len(), device)?)?;
        let cautions = [plan.cautions.clone(), cautions].concat();
        let run = Run::create(&args.out, config, args.resume)?;
        Ok(Self { plan, store, run, cautions })
    }

    /// Whether the last thing that is written is there, by this very build.
    fn is_finished(&self) -> Result<bool> {
        Ok(self.run.report().is_file() && self.run.config()?.commit == self.plan.config.commit)
    }

    /// All of the work: what was found of every swap.
    fn finish(&self, output: &Output) -> Result<Vec<(Swap, Evidence)>> {
        let Self { plan: Plan { dataset, task, config, device, given, cautions: _ }, store, run, cautions } = self;
        cautions.iter().for_each(|c| output.warn(c));
        let reporter = Reporter::with_events(output.clone(), run.events())?;
        let workshop = Workshop { run, store: store.as_ref(), config, dataset, device: device.clone(), reporter };

        if let Some((model, ..)) = given {
            warn_of_guessing(&workshop, task, model, output)?; // before the oracles' work
        }
        let trained = trained(&workshop, task, given.clone())?; // the original, then the oracles
        if given.is_none() {
            warn_of_guessing(&workshop, task, &trained[0].model, output)?;
        }
        let (swapped, diverged) = swapped(&workshop, task, &trained[0])?;
        diverged.iter().for_each(|why| output.warn(why));
        let cautions = [cautions.as_slice(), &diverged].concat();

        let untrained = config.controls.then(|| untrained(&workshop, task)).transpose()?;

        let models: Vec<Finished> = trained.into_iter().chain(swapped).chain(untrained).map(finished).collect();
        assess::each(&models, task, dataset, config.probe_samples, &cautions, |name| workshop.context(name))
    }
}

/// Says so where the original hardly knows its own classes; the report does, too.
fn warn_of_guessing(workshop: &Workshop<'_>, task: &SwapTask, original: &Classifier, output: &Output) -> Result<()> {
    let test = Labelled::new(task.retain.test.samples()?.union([task.forget.test.samples()?]), &task.before);
    let accuracy = train::accuracy(&train::predict(original, &test, &workshop.context("original"))?, &test.slots);
    accuracy.and_then(|a| assess::guesses(a, task.before.len())).iter().for_each(|w| output.warn(w));
    Ok(())
}

/// The original, given or trained on the classes before the swap, and beside it the oracles, which do not depend on it.
fn trained<'a>(workshop: &'a Workshop<'a>, task: &'a SwapTask, given: Option<Given>) -> Result<Vec<Made>> {
    let data = oracle::data(task)?;
    let mut jobs: Vec<Job<'_, Made>> = vec![Box::new(|| original(workshop, task, given))];
    jobs.extend(oracle::jobs(workshop, task, &data));
    in_full_rounds(jobs, &workshop.device)
}

fn original(workshop: &Workshop<'_>, task: &SwapTask, given: Option<Given>) -> Result<Made> {
    if let Some((model, metadata, sha256)) = given {
        checkpoint::save(&workshop.run.model("original"), &model, &metadata)?;
        return Ok(Made {
            name: "original".into(),
            kind: ModelKind::Original,
            model,
            map: task.before.clone(),
            hash: metadata.config_hash,
            sha256,
            cost: None,
            origin: Origin::Given,
        });
    }
    let order =
        Order { name: "original".into(), kind: ModelKind::Original, made_by: "train", map: task.before.clone(), parameters: None, parents: vec![] };
    let data = Labelled::new(task.retain.train.samples()?.union([task.forget.train.samples()?]), &task.before);
    workshop.make(order, |ctx| {
        let fresh = Classifier::new(&workshop.config.arch, workshop.dataset.shape(), task.before.len(), ctx.seed, &ctx.device)?;
        train::fit(fresh, &data, &workshop.config.train, ctx)
    })
}

/// The original swapped by every method, and of those that diverged, which is a finding about them and no fault of the others, why there is no model.
fn swapped(workshop: &Workshop<'_>, task: &SwapTask, original: &Made) -> Result<(Vec<Made>, Vec<String>)> {
    let one = |name: &str| {
        let parameters = &workshop.config.method[name];
        let order = Order {
            name: name.to_string(),
            kind: method::kind_of(name),
            made_by: method::base(name),
            map: task.after.clone(),
            parameters: Some(parameters),
            parents: vec![original.sha256.clone()],
        };
        match workshop.make(order, |ctx| method::apply(name, parameters, original.model.clone(), task, ctx)) {
            Err(e @ Error::Diverged { .. }) if method::kind_of(name) == ModelKind::Method => Ok(Err(e)),
            other => other.map(Ok),
        }
    };
    let jobs = workshop.config.methods.iter().map(|name| Box::new(|| one(name)) as Job<'_, Result<Made>>).collect();
    let trained = workshop.config.oracles + usize::from(workshop.config.oracles > 0); // the original beside them
    let (made, diverged): (Vec<_>, Vec<_>) = trainings_like(jobs, trained, &workshop.device)?.into_iter().partition(Result::is_ok);
    let mut diverged: Vec<Error> = diverged.into_iter().filter_map(Result::err).collect();
    let asked_for = workshop.config.methods.iter().filter(|name| method::kind_of(name) == ModelKind::Method).count();
    if !diverged.is_empty() && diverged.len() == asked_for {
        return Err(diverged.remove(0));
    }
    let why = diverged.iter().filter_map(|e| match e {
        Error::Diverged { model, what } => {
            Some(format!("“{model}” is not among the models here: its training diverged, {what}. Use a smaller learning rate."))
        }
        _ => None,
    });
    Ok((made.into_iter().flatten().collect(), why.collect()))
}

fn untrained(workshop: &Workshop<'_>, task: &SwapTask) -> Result<Made> {
    let name = assess::UNTRAINED;
    let order = Order { name: name.into(), kind: ModelKind::Control, made_by: name, map: task.after.clone(), parameters: None, parents: vec![] };
    workshop.make(order, |ctx| controls::untrained(&workshop.config.arch, workshop.dataset.shape(), task, ctx))
}

fn finished(made: Made) -> Finished {
    Finished { name: made.name, kind: made.kind, model: made.model, map: made.map, cost: made.cost }
}

/// `path`, or `path-2`, `path-3`, … if it is taken.
fn first_free(path: &Path) -> PathBuf {
    numbered(path).find(|p| !p.exists()).unwrap_or_else(|| path.to_path_buf())
}

/// The one before that, which was begun last; `path` itself if there is none.
fn last_there(path: &Path) -> PathBuf {
    numbered(path).take_while(|p| p.exists()).last().unwrap_or_else(|| path.to_path_buf())
}

/// `path`, `path-2`, `path-3`, …
fn numbered(path: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    let further = (2..).map(|n| path.with_file_name(format!("{}-{n}", path.file_name().unwrap_or_default().to_string_lossy())));
    std::iter::once(path.to_path_buf()).chain(further)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_begins_where_nothing_is_and_goes_on_where_it_was_begun_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let demo = folder.path().join("demo");
        assert_eq!((first_free(&demo), last_there(&demo)), (demo.clone(), demo.clone()));
        for name in ["demo", "demo-2"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        assert_eq!((first_free(&demo), last_there(&demo)), (folder.path().join("demo-3"), folder.path().join("demo-2")));
    }
}
