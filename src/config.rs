//! Settings as users give them (flags, TOML files) and the resolved configuration of a run.
//!
//! Every flag has a TOML key of the same name. Order of precedence: flags, then the file, then defaults. Unknown keys are refused.

mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::audit::ProbeSamples;
use crate::context::{OptimiserKind, Recipe, Schedule, TrainSettings};
use crate::data::Scarcity;
use crate::error::{Error, Result, did_you_mean};
use crate::method;

pub use run::RunConfig;

/// Version of `config.toml` in a run directory.
pub const FORMAT: u32 = 1;

/// What a swap does unless told otherwise, beside the controls.
pub const DEFAULT_METHODS: [&str; 1] = ["regrow"];

/// How a folder is read from the command line or a variable; an empty one (`UNLEARN_STORE=`) is refused by name.
pub fn folder() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new()
        .try_map(|name| if name.is_empty() { Err("name a folder, or leave the option and its variable out") } else { Ok(PathBuf::from(name)) })
}

/// What a user may set; everything optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default)]
pub struct Settings {
    /// Data set: a name of `unlearn list data`, emnist-SPLIT, or idx:FOLDER [default: mnist-mini]
    #[arg(long, help_heading = "Data")]
    pub data: Option<String>,
    /// Where downloaded sets lie [default: the platform's cache directory]
    #[arg(long, env = "UNLEARN_DATA", value_parser = folder(), help_heading = "Data")]
    pub data_dir: Option<PathBuf>,
    /// The original's classes, in slot order: `0,1,2`, `A,b,airplane`, `random:20` or `all` [default: all but the one to learn]
    #[arg(long, help_heading = "Data")]
    pub classes: Option<String>,
    /// Augment training images as the founding notebooks do for this set [default: true]
    #[arg(long, help_heading = "Data")]
    pub augment: Option<bool>,
    /// Architecture, see `unlearn list models` [default: cnn-s]
    #[arg(long, help_heading = "Training")]
    pub arch: Option<String>,
    /// Passes over the training set [default: 5]
    #[arg(long, help_heading = "Training")]
    pub epochs: Option<usize>,
    /// Images a step [default: 64]
    #[arg(long, help_heading = "Training")]
    pub batch: Option<usize>,
    /// Learning rate [default: 0.001]
    #[arg(long, allow_negative_numbers = true, help_heading = "Training")]
    pub lr: Option<f64>,
    /// Optimiser [default: adam]
    #[arg(long, value_enum, help_heading = "Training")]
    pub optimiser: Option<OptimiserKind>,
    /// Learning-rate schedule [default: constant]
    #[arg(long, value_enum, help_heading = "Training")]
    pub schedule: Option<Schedule>,
    /// Weight decay: an L2 penalty, decoupled for adamw [default: 0]
    #[arg(long, allow_negative_numbers = true, help_heading = "Training")]
    pub weight_decay: Option<f64>,
    /// Share of the training images to hold out and test on instead of the test images, to choose settings by; `train` only [default: 0]
    #[arg(long, allow_negative_numbers = true, help_heading = "Training")]
    pub validation: Option<f64>,
    /// The one seed that everything follows from [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Seed of the oracles, and of what is drawn of the data for them and all others: one band of oracles then judges originals and methods of
    /// several seeds [default: that of --seed]
    #[arg(long, value_name = "SEED", help_heading = "Swap")]
    pub oracle_seed: Option<u64>,
    /// `cpu`, `cuda:0` or `wgpu` [default: cpu]
    #[arg(long)]
    pub device: Option<String>,
    /// CPU threads; results do not depend on it [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// The old class; several at once: `6,7`
    #[arg(long, help_heading = "Swap")]
    pub forget: Option<String>,
    /// The new class, several in the order of the old ones: `3,1`; leave it out for plain unlearning
    #[arg(long, help_heading = "Swap")]
    pub learn: Option<String>,
    /// Only so many training images of a new class, drawn by the seed; oracles have no more either [default: all]
    #[arg(long, value_name = "N", help_heading = "Swap")]
    pub learn_samples: Option<usize>,
    /// Only this share of every retained class's training images for the methods; original and oracles have all [default: 1]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, help_heading = "Swap")]
    pub retain_share: Option<f64>,
    /// Methods beside the negative controls, comma-separated, or `all`, see `unlearn list methods` [default: regrow]. METHOD@LABEL is one again, with
    /// parameters of its own: --methods regrow,regrow@b --set regrow@b.budget=0.1, or another draw: --set regrow@b.seed=1
    #[arg(long, value_delimiter = ',', help_heading = "Swap")]
    pub methods: Option<Vec<String>>,
    /// Make and audit the negative controls, models that must fail: without them nothing shows whether a verdict can be believed [default: true]
    #[arg(long, help_heading = "Swap")]
    pub controls: Option<bool>,
    /// Training images whose activations read-outs are fitted on, a fifth of them of the old class, or `all`. They lie in the temporary directory, up to
    /// 4 KiB each for every cut of every model [default: 5000]
    #[arg(long, value_name = "N", help_heading = "Swap")]
    pub probe_samples: Option<ProbeSamples>,
    /// Retrained models to judge by; fewer than three give no verdict [default: 5]
    #[arg(long, help_heading = "Swap")]
    pub oracles: Option<usize>,
    /// Where originals and oracles are kept for later runs; `none` for nowhere. It changes no result [default: `store` in the platform's cache directory]
    #[arg(long, env = "UNLEARN_STORE", value_parser = folder(), hide_env_values = true, value_name = "DIR", help_heading = "Swap")]
    pub store: Option<PathBuf>,
    /// A method's parameter, METHOD.KEY=VALUE; may be repeated. In a file: [method.METHOD] KEY = VALUE
    #[arg(long = "set", value_name = "METHOD.KEY=VALUE", help_heading = "Swap")]
    #[serde(skip)]
    pub set: Vec<String>,
    /// Parameters by method.
    #[arg(skip)]
    pub method: BTreeMap<String, toml::Table>,
    /// SHA-256 of the original that the run whose file was read did not train, but was given.
    #[arg(skip)]
    #[serde(skip)]
    pub given_sha256: Option<String>,
    /// SHA-256 of the data of the run whose file was read.
    #[arg(skip)]
    #[serde(skip)]
    pub data_sha256: Option<String>,
}

/// Keys of [`Settings`] in a file.
const KEYS: &[&str] = &[
    "data",
    "data-dir",
    "classes",
    "augment",
    "arch",
    "epochs",
    "batch",
    "lr",
    "optimiser",
    "schedule",
    "weight-decay",
    "validation",
    "seed",
    "oracle-seed",
    "device",
    "threads",
    "forget",
    "learn",
    "learn-samples",
    "retain-share",
    "methods",
    "controls",
    "probe-samples",
    "oracles",
    "store",
    "method",
];

/// Reads a TOML file that may hold the keys `valid`.
///
/// # Errors
/// Unreadable file, broken TOML (with line), unknown keys (with the nearest valid one), values of the wrong type.
pub fn read_keys<T: DeserializeOwned>(path: &Path, valid: &[&str]) -> Result<T> {
    keys_of(&std::fs::read_to_string(path).map_err(Error::io(path))?, path, valid)
}

/// As [`read_keys`], of the `text` in `path`.
fn keys_of<T: DeserializeOwned>(text: &str, path: &Path, valid: &[&str]) -> Result<T> {
    let at = path.display().to_string();
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| Error::input(&at, e.to_string(), "mend the TOML there"))?;
    if let Some(key) = table.keys().find(|k| !valid.contains(&k.as_str())) {
        return Err(Error::input(&at, format!("unknown key `{key}`"), did_you_mean(key, valid.iter().copied())));
    }
    toml::from_str(text).map_err(|e| Error::input(&at, e.to_string(), "mend the value there"))
}

impl Settings {
    /// Reads a TOML file: these keys, or the `config.toml` of a run, whose task, training and methods are then taken (of an original that was
    /// given to it only the hash: [`Settings::given_sha256`]).
    ///
    /// # Errors
    /// As [`read_keys`]; a run's file of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        /// What only a run's file has. Not by way of a table, which holds no seed above `i64::MAX`.
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct OfARun {
            data_sha256: Option<serde::de::IgnoredAny>,
        }
        match toml::from_str::<OfARun>(&text) {
            Ok(OfARun { data_sha256: Some(_) }) => Ok(RunConfig::of(&text, path)?.into()),
            _ => keys_of(&text, path, KEYS),
        }
    }

    /// These settings, with `fallback`'s where they say nothing.
    pub fn or(self, fallback: Self) -> Self {
        let other_data = self.data.is_some();
        let mut method = fallback.method;
        for (name, table) in self.method {
            method.entry(name).or_default().extend(table);
        }
        Self {
            data: self.data.or(fallback.data),
            data_dir: self.data_dir.or(fallback.data_dir),
            classes: self.classes.or(fallback.classes),
            augment: self.augment.or(fallback.augment),
            arch: self.arch.or(fallback.arch),
            epochs: self.epochs.or(fallback.epochs),
            batch: self.batch.or(fallback.batch),
            lr: self.lr.or(fallback.lr),
            optimiser: self.optimiser.or(fallback.optimiser),
            schedule: self.schedule.or(fallback.schedule),
            weight_decay: self.weight_decay.or(fallback.weight_decay),
            validation: self.validation.or(fallback.validation),
            seed: self.seed.or(fallback.seed),
            oracle_seed: self.oracle_seed.or(fallback.oracle_seed),
            device: self.device.or(fallback.device),
            threads: self.threads.or(fallback.threads),
            forget: self.forget.or(fallback.forget),
            learn: self.learn.or(fallback.learn),
            learn_samples: self.learn_samples.or(fallback.learn_samples),
            retain_share: self.retain_share.or(fallback.retain_share),
            methods: self.methods.or(fallback.methods),
            controls: self.controls.or(fallback.controls),
            probe_samples: self.probe_samples.or(fallback.probe_samples),
            oracles: self.oracles.or(fallback.oracles),
            store: self.store.or(fallback.store),
            set: [fallback.set, self.set].concat(),
            method,
            given_sha256: self.given_sha256.or(fallback.given_sha256),
            data_sha256: self.data_sha256.or(fallback.data_sha256.filter(|_| !other_data)),
        }
    }

    /// Whether the negative controls are made and audited, named or not.
    pub fn controls(&self) -> bool {
        self.controls.unwrap_or(true)
    }

    /// How networks are trained.
    pub fn training(&self) -> Result<TrainSettings> {
        let settings = TrainSettings {
            epochs: self.epochs.unwrap_or(5),
            batch: self.batch.unwrap_or(64),
            lr: self.lr.unwrap_or(1e-3),
            optimiser: self.optimiser.unwrap_or(OptimiserKind::Adam),
            schedule: self.schedule.unwrap_or(Schedule::Constant),
            weight_decay: self.weight_decay.unwrap_or(0.0),
        };
        settings.check()?;
        Ok(settings)
    }

    /// The first flag here that means nothing to a training.
    pub fn of_a_swap(&self) -> Option<&'static str> {
        let given = [
            ("--oracle-seed", self.oracle_seed.is_some()),
            ("--forget", self.forget.is_some()),
            ("--learn", self.learn.is_some()),
            ("--learn-samples", self.learn_samples.is_some()),
            ("--retain-share", self.retain_share.is_some()),
            ("--methods", self.methods.is_some()),
            ("--controls", self.controls.is_some()),
            ("--probe-samples", self.probe_samples.is_some()),
            ("--oracles", self.oracles.is_some()),
            ("--set", !self.set.is_empty()),
        ];
        given.into_iter().find(|(_, is)| *is).map(|(flag, _)| flag)
    }

    /// These settings for an original that was trained by `recipe`: where they say nothing of training, as it was.
    pub fn trained_by(self, recipe: &Recipe) -> Self {
        let TrainSettings { epochs, batch, lr, optimiser, schedule, weight_decay } = recipe.settings;
        let as_it_was = Self {
            epochs: Some(epochs),
            batch: Some(batch),
            lr: Some(lr),
            optimiser: Some(optimiser),
            schedule: Some(schedule),
            weight_decay: Some(weight_decay),
            augment: Some(recipe.augment),
            ..Self::default()
        };
        self.or(as_it_was)
    }

    /// Share of the training images held out, 0 for none.
    ///
    /// # Errors
    /// A share outside 0 to 0.9.
    pub fn validation(&self) -> Result<f64> {
        let share = self.validation.unwrap_or(0.0);
        if (0.0..=0.9).contains(&share) {
            Ok(share)
        } else {
            Err(Error::input("validation", format!("{share} is no share of the training images to hold out"), "use 0 to 0.9, for example 0.2"))
        }
    }

    /// The seed of the oracles and of what is drawn of the data.
    pub fn oracle_seed(&self) -> u64 {
        self.oracle_seed.or(self.seed).unwrap_or(0)
    }

    /// How much less data there is to be than the data set has.
    pub fn scarcity(&self) -> Scarcity {
        Scarcity { learn_samples: self.learn_samples, retain_share: self.retain_share }
    }

    /// Methods with their complete parameters, in the order asked for; by default [`DEFAULT_METHODS`]. A variant has what its method was given
    /// and then its own.
    pub fn methods(&self) -> Result<Vec<(String, toml::Table)>> {
        let mut given = self.method.clone();
        for text in &self.set {
            let (name, key, value) = parse_set(text)?;
            given.entry(name).or_default().insert(key, value);
        }
        for (name, own) in &given {
            (method::find(name)?.build)(own)?;
        }
        let all = || method::METHODS.iter().map(|m| m.name.to_string()).collect::<Vec<_>>();
        let mut names: Vec<String> = match &self.methods {
            Some(names) => names.iter().flat_map(|n| if n == "all" { all() } else { vec![n.clone()] }).collect(),
            None => DEFAULT_METHODS.iter().map(|m| m.to_string()).collect(),
        };
        if self.controls() {
            method::add_controls(&mut names);
        }
        // A file may hold parameters for more methods than one run takes; a flag means this run.
        for text in &self.set {
            let (name, ..) = parse_set(text)?;
            if !names.contains(&name) {
                let what = format!("`{name}` is not among the methods of this run: {}", names.join(","));
                return Err(Error::input(format!("--set {text}"), what, "add it to --methods"));
            }
        }
        let mut out: Vec<(String, toml::Table)> = Vec::new();
        for name in names {
            let entry = method::find(&name)?;
            if out.iter().any(|(n, _)| *n == name) {
                return Err(Error::input("--methods", format!("`{name}` appears twice"), "name each method once"));
            }
            let mut table = (entry.defaults)();
            for own in [method::base(&name), &name].into_iter().filter_map(|n| given.get(n)) {
                table.extend(own.clone());
            }
            out.push((name, table));
        }
        Ok(out)
    }
}

/// `finetune.epochs=3` → (finetune, epochs, 3); the value is TOML, or a bare string.
pub(crate) fn parse_set(text: &str) -> Result<(String, String, toml::Value)> {
    let parts = text.split_once('=').and_then(|(path, value)| path.split_once('.').map(|(m, k)| (m, k, value)));
    let Some((name, key, value)) = parts else {
        return Err(Error::input(format!("--set {text}"), "not METHOD.KEY=VALUE", "write for example --set finetune.epochs=3"));
    };
    let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
    Ok((name.trim().to_string(), key.trim().to_string(), parsed.unwrap_or_else(|| toml::Value::String(value.to_string()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Study, StudySettings};

    #[test]
    fn flags_win_over_the_file_and_methods_merge() {
        let file: Settings = toml::from_str("epochs = 3\nlr = 0.1\n[method.finetune]\nepochs = 7\nlr_factor = 2.0").expect("valid");
        let methods = Some(vec!["all".into()]);
        let flags = Settings { epochs: Some(9), methods, set: vec!["finetune.epochs=1".into()], ..Settings::default() };
        let both = flags.or(file);
        assert_eq!((both.epochs, both.lr), (Some(9), Some(0.1)));
        let finetune = both.methods().expect("builds").into_iter().find(|(n, _)| n == "finetune").expect("listed").1;
        assert_eq!(finetune["epochs"].as_integer(), Some(1));
        assert_eq!(finetune["lr_factor"].as_float(), Some(2.0));
    }

    #[test]
    fn every_flag_is_a_key() {
        use clap::Args;
        let command = Settings::augment_args(clap::Command::new("x"));
        for arg in command.get_arguments().filter_map(|a| a.get_long()) {
            assert!(KEYS.contains(&arg) || arg == "set", "--{arg} has no key");
        }
    }

    #[test]
    fn every_configuration_that_comes_with_the_program_is_valid() {
        let mut seen = 0;
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).expect("a folder") {
            let path = file.expect("readable").path();
            if path.file_name().expect("a file").to_string_lossy().starts_with("study-") {
                Study::try_from(&StudySettings::read(&path).expect("valid")).expect("complete");
            } else {
                let settings = Settings::read(&path).expect("valid");
                settings.methods().expect("known methods");
                settings.training().expect("trains");
            }
            seen += 1;
        }
        assert!(seen > 0);
    }

    #[test]
    fn a_variant_has_what_its_method_was_given_and_then_its_own() {
        let set = vec!["regrow.budget=0.1".into(), "regrow@b.budget=0.2".into(), "regrow@b.temperature=3.0".into()];
        let methods = Some(vec!["regrow".into(), "regrow@b".into(), "regrow@c".into()]);
        let settings = Settings { methods, controls: Some(false), set, ..Settings::default() };
        let of = |key: &str| settings.methods().expect("known").into_iter().map(|(_, t)| t[key].as_float()).collect::<Vec<_>>();
        assert_eq!(of("budget"), [Some(0.1), Some(0.2), Some(0.1)]);
        assert_eq!(of("temperature"), [Some(2.0), Some(3.0), Some(2.0)]);
        let beside = Settings { methods: Some(vec!["all".into(), "regrow@b".into()]), ..Settings::default() };
        assert_eq!(beside.methods().expect("known").len(), method::METHODS.len() + 1, "beside all of them");
    }

    #[test]
    fn controls_are_made_unless_told_otherwise() {
        let names = |methods: &[&str], controls| {
            let methods = (!methods.is_empty()).then(|| methods.iter().map(ToString::to_string).collect());
            let settings = Settings { methods, controls, ..Settings::default() };
            settings.methods().expect("known").into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[], None), ["regrow", "logit-mask", "head-distil"]);
        assert_eq!(names(&["head-distil", "finetune"], None), ["head-distil", "finetune", "logit-mask"]);
        // Another variant of a control is not the control.
        assert_eq!(names(&["head-distil@b"], Some(true)), ["head-distil@b", "logit-mask", "head-distil"]);
        assert_eq!(names(&[], Some(false)), ["regrow"]);
        assert_eq!(names(&["finetune", "logit-mask"], Some(false)), ["finetune", "logit-mask"], "named is named");
        let tuned = Settings { set: vec!["head-distil.epochs=3".into()], ..Settings::default() };
        assert_eq!(tuned.methods().expect("a control is among the methods")[2].1["epochs"].as_integer(), Some(3));
    }

    #[test]
    fn a_bad_set_is_explained() {
        for (text, says) in [
            ("finetune", "not METHOD.KEY=VALUE"),
            ("finetun.epochs=1", "no such method"),
            ("finetune.epoch=1", "no such parameter"),
            ("finetune.epochs=1", "add it to --methods"),
        ] {
            let settings = Settings { set: vec![text.into()], ..Settings::default() };
            assert!(settings.methods().expect_err("refused").to_string().contains(says), "{text}");
        }
    }
}
