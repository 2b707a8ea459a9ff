//! What the tests share: a bench that runs the program in a folder of its own, and small models made through the library.

#![allow(dead_code, reason = "every test file uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;
use unlearn::context::{Context, OptimiserKind, Pipeline, Reporter, Schedule, TrainSettings};
use unlearn::data::{ClassId, ClassMap, Dataset, Labelled, Samples, Swap, SwapTask, synthetic};
use unlearn::model::Classifier;
use unlearn::output::Output;
use unlearn::summary::Scores;
use unlearn::{rng, train};

/// The smallest real work: the made-up set, the smallest network, few epochs.
pub const TINY: &str = "--data blobs --arch mlp --epochs 2 --batch 64 --lr 0.005 --threads 1";
/// A swap on it: all classes but `sides` (5), `south-west` (2) gives way to `sides`.
pub const SWAP: &str = "--forget 2 --learn 5";

/// A folder in which the program runs, away from the user's settings and cache; gone when dropped.
pub struct Bench {
    dir: TempDir,
}

impl Bench {
    /// An empty folder.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Bytes of a file in it.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Names of everything directly in it, sorted.
    pub fn entries(&self) -> Vec<String> {
        names_in(self.dir.path())
    }

    /// The program with `line` as arguments, split at white space; not started yet.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(cargo_bin("unlearn"));
        command.args(line.split_whitespace()).current_dir(self.dir.path());
        // Without a store every run trains for itself; the tests that want one name it.
        command
            .env_remove("UNLEARN_DATA")
            .env("UNLEARN_STORE", "none")
            .env("HOME", self.dir.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("COLUMNS", "100");
        command
    }

    /// Runs the program to its end.
    pub fn unlearn(&self, line: &str) -> Ran {
        Ran::of(line, self.command(line).output().unwrap())
    }

    /// Runs the program until `ready`, which must be within two minutes and before its end, presses Ctrl-C and waits for the end: what it
    /// printed, and that it was an interruption.
    pub fn interrupted(&self, line: &str, ready: impl Fn() -> bool) -> Ran {
        let ran = self.signalled(line, "-INT", ready);
        assert_eq!(ran.code, Some(130), "{}", ran.err);
        ran
    }

    /// The same, but that it has no time to end in order.
    pub fn killed(&self, line: &str, ready: impl Fn() -> bool) {
        assert_eq!(self.signalled(line, "-KILL", ready).code, None);
    }

    fn signalled(&self, line: &str, signal: &str, ready: impl Fn() -> bool) -> Ran {
        let mut child = self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while !ready() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{line}: never ready to be interrupted");
            assert!(child.try_wait().unwrap().is_none(), "{line}: it ended before it could be interrupted");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        Ran::of(line, child.wait_with_output().unwrap())
    }

    /// A finished tiny swap in folder `name`: `more` is added to (and wins over nothing in) its arguments.
    pub fn swap(&self, name: &str, more: &str) -> Scores {
        self.unlearn(&format!("swap {TINY} {SWAP} --quiet --out {name} {more}")).ok();
        self.scores(name)
    }

    /// `scores.json` of the run in folder `name`.
    pub fn scores(&self, name: &str) -> Scores {
        serde_json::from_slice(&self.read(&format!("{name}/scores.json"))).unwrap()
    }

    /// Every checkpoint of the run in folder `name`: file name and bytes.
    pub fn checkpoints(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let folder = format!("{name}/models");
        names_in(&self.path(&folder)).into_iter().map(|file| (file.clone(), self.read(&format!("{folder}/{file}")))).collect()
    }
}

/// Names of everything directly in `folder`, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every file below `folder`, path and bytes, sorted.
pub fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for name in names_in(folder) {
        let path = folder.join(name);
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    files
}

/// The program after it ended.
#[derive(Debug)]
pub struct Ran {
    /// Its arguments.
    pub line: String,
    /// Its exit code; none after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    fn of(line: &str, output: process::Output) -> Self {
        Self {
            line: line.to_string(),
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.ended(0)
    }

    /// It refused its input (exit code 2), and the message holds every one of `parts`: what is wrong, where, and the remedy.
    #[track_caller]
    pub fn refused(self, parts: &[&str]) -> Self {
        let ran = self.ended(2);
        assert!(!ran.err.contains("panicked"), "{}\n{}", ran.line, ran.err);
        for part in parts {
            assert!(ran.err.contains(part), "unlearn {}\nmisses “{part}” in\n{}", ran.line, ran.err);
        }
        ran
    }

    /// It ended with `code`.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "unlearn {}\n{}\n{}", self.line, self.out, self.err);
        self
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("unlearn {}: {e}\n{}", self.line, self.out))
    }
}

/// Scores without what a run cost: wall time is the one thing that may differ between equal runs.
pub fn without_cost(scores: &Scores) -> Scores {
    Scores { cost: vec![], ..scores.clone() }
}

/// A map of these labels.
pub fn map(classes: &[u16]) -> ClassMap {
    ClassMap::new(classes.iter().map(|c| ClassId(*c)).collect()).unwrap()
}

/// The made-up set.
pub fn blobs() -> Dataset {
    synthetic::blobs().unwrap()
}

/// `south-west` (2) of the first five classes is forgotten; `sides` (5) is learned if `learn`.
pub fn task(dataset: &Dataset, learn: bool) -> SwapTask {
    SwapTask::new(dataset, &map(&[0, 1, 2, 3, 4]), Swap { forget: ClassId(2), learn: learn.then_some(ClassId(5)) }).unwrap()
}

/// A context for the model `name`, silent.
pub fn context(name: &str, dataset: &Dataset, epochs: usize) -> Context {
    Context {
        model: name.into(),
        seed: rng::derive_seed(0, name, 0),
        device: unlearn::device::open("cpu").unwrap(),
        settings: TrainSettings { epochs, batch: 64, lr: 5e-3, optimiser: OptimiserKind::Adam, schedule: Schedule::Constant, weight_decay: 0.0 },
        pipeline: Pipeline::of(dataset, false),
        reporter: Reporter::new(Output::new(true)),
        cost: Default::default(),
    }
}

/// `arch` trained on the classes of `map`; another `name` is another seed.
pub fn trained(name: &str, arch: &str, dataset: &Dataset, map: &ClassMap, epochs: usize) -> Classifier {
    let mut ctx = context(name, dataset, epochs);
    let fresh = Classifier::new(arch, dataset.shape(), map.len(), ctx.seed, &ctx.device).unwrap();
    let data = Labelled::new(Samples::of_classes(&dataset.train, map.classes()), map);
    let settings = ctx.settings.clone();
    train::fit(fresh, &data, &settings, &mut ctx).unwrap()
}
