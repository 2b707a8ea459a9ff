//! The resolved configuration of a run.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{FORMAT, Settings};
use crate::audit::ProbeSamples;
use crate::context::{Pipeline, Recipe, TrainSettings};
use crate::data::{ClassId, Dataset, Scarcity, Swap, SwapTask, classes::by_label};
use crate::error::{Error, Result};
use crate::method;
use crate::model::Classifier;

/// Everything that determines a run: written to `config.toml`, compared on `--resume`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunConfig {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of this crate.
    pub version: String,
    /// Git commit that the binary was built from.
    pub commit: String,
    /// The one seed.
    pub seed: u64,
    /// The oracles' and that of what is drawn of the data, where it is another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oracle_seed: Option<u64>,
    /// Device name.
    pub device: String,
    /// Data set.
    pub data: String,
    /// SHA-256 of its images and labels.
    pub data_sha256: String,
    /// Labels of the original's slots.
    pub classes: Vec<u16>,
    /// Whether training images are augmented.
    pub augment: bool,
    /// Architecture.
    pub arch: String,
    /// Label of the old class.
    pub forget: u16,
    /// Label of the new class.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub learn: Option<u16>,
    /// Training samples of the new class; none for all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub learn_samples: Option<usize>,
    /// Share of every retained class's training samples that methods have; none for all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retain_share: Option<f64>,
    /// Number of oracles.
    pub oracles: usize,
    /// Methods in order.
    pub methods: Vec<String>,
    /// Whether the negative controls belong to it: those of [`Self::methods`] and the network that was never trained.
    #[serde(skip_serializing_if = "is_true", default = "yes")]
    pub controls: bool,
    /// Training images that read-outs are fitted on.
    #[serde(skip_serializing_if = "ProbeSamples::is_default", default)]
    pub probe_samples: ProbeSamples,
    /// Hash of the original's file, where it was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model_sha256: Option<String>,
    /// Further swaps made at once with that one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub also: Vec<Swap>,
    /// How networks are trained.
    pub train: TrainSettings,
    /// Complete parameters by method.
    pub method: BTreeMap<String, toml::Table>,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

/// What a run was asked for, to ask for it again; where data and store lie and the threads stay open, as they change no result.
impl From<RunConfig> for Settings {
    fn from(run: RunConfig) -> Self {
        let classes: Vec<ClassId> = run.classes.iter().copied().map(ClassId).collect();
        let (forget, learn): (Vec<ClassId>, Vec<Option<ClassId>>) = run.swaps().map(|s| (s.forget, s.learn)).unzip();
        Self {
            data: Some(run.data),
            classes: Some(by_label(&classes)),
            augment: Some(run.augment),
            arch: Some(run.arch),
            epochs: Some(run.train.epochs),
            batch: Some(run.train.batch),
            lr: Some(run.train.lr),
            optimiser: Some(run.train.optimiser),
            schedule: Some(run.train.schedule),
            weight_decay: Some(run.train.weight_decay),
            seed: Some(run.seed),
            oracle_seed: run.oracle_seed,
            device: Some(run.device),
            forget: Some(by_label(&forget)),
            learn: run.learn.map(|_| by_label(&learn.into_iter().flatten().collect::<Vec<_>>())),
            learn_samples: run.learn_samples,
            retain_share: run.retain_share,
            methods: Some(if run.controls { named(run.methods) } else { run.methods }),
            controls: Some(run.controls),
            probe_samples: Some(run.probe_samples),
            oracles: Some(run.oracles),
            method: run.method,
            given_sha256: run.model_sha256,
            data_sha256: Some(run.data_sha256),
            ..Self::default()
        }
    }
}

/// Of the `methods` of a run with controls those that were asked for, where it can be told: the others are its controls, added at the end.
fn named(methods: Vec<String>) -> Vec<String> {
    let mut again: Vec<String> = methods.iter().filter(|name| !method::find(name).is_ok_and(|m| m.control)).cloned().collect();
    let asked_for = again.clone();
    method::add_controls(&mut again);
    if again == methods { asked_for } else { methods }
}

impl RunConfig {
    /// The seed of the oracles and of what is drawn of the data.
    pub fn oracle_seed(&self) -> u64 {
        self.oracle_seed.unwrap_or(self.seed)
    }

    /// How networks are trained, as their checkpoints say it.
    pub fn recipe(&self) -> Recipe {
        Recipe { settings: self.train.clone(), augment: self.augment }
    }

    /// How much less data there is than the data set has.
    pub fn scarcity(&self) -> Scarcity {
        Scarcity { learn_samples: self.learn_samples, retain_share: self.retain_share }
    }

    /// Every swap of the run.
    pub fn swaps(&self) -> impl Iterator<Item = Swap> + '_ {
        let first = Swap { forget: ClassId(self.forget), learn: self.learn.map(ClassId) };
        std::iter::once(first).chain(self.also.iter().copied())
    }

    /// The configuration of a run that puts `swap`, one of this one's, first.
    pub fn led_by(&self, swap: Swap) -> Self {
        let also = self.swaps().filter(|s| *s != swap).collect();
        Self { forget: swap.forget.0, learn: swap.learn.map(|c| c.0), also, ..self.clone() }
    }

    /// The TOML text.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::failed("config.toml", e.to_string(), "report this as a bug"))
    }

    /// Reads `config.toml` of a run directory.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(&std::fs::read_to_string(path).map_err(Error::io(path))?, path)
    }

    /// The `text` in `path`.
    pub(super) fn of(text: &str, path: &Path) -> Result<Self> {
        let at = path.display().to_string();
        let config: Self =
            toml::from_str(text).map_err(|e| Error::input(&at, e.to_string(), "the file was edited or comes from another version; run again"))?;
        if config.format != FORMAT {
            return Err(Error::input(
                at,
                format!("run format {}, this version reads {FORMAT}", config.format),
                "use the version of unlearn that wrote it",
            ));
        }
        Ok(config)
    }

    /// What the methods were measured to fail at and `task` of `dataset`, on a network like `model`, asks of them: sentences that name methods and remedy.
    ///
    /// # Errors
    /// Unknown methods and parameters.
    pub fn cautions(&self, task: &SwapTask, dataset: &Dataset, model: &Classifier) -> Result<Vec<String>> {
        let augment = !Pipeline::of(dataset, self.augment).augmentation.is_none();
        let recipe = Recipe { settings: self.train.clone(), augment };
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        for name in &self.methods {
            let entry = method::find(name)?;
            let table = self.method.get(name).cloned().unwrap_or_default();
            let cautions = (entry.build)(&table)?.cautions(&task.for_method(name, entry.needs), model, &recipe)?;
            for caution in cautions {
                // Variants of a method mostly fail alike.
                match all.iter_mut().find(|(known, _)| *known == caution) {
                    Some((_, names)) => names.push(format!("“{name}”")),
                    None => all.push((caution, vec![format!("“{name}”")])),
                }
            }
        }
        Ok(all.into_iter().map(|(caution, names)| format!("{}: {caution}", names.join(", "))).collect())
    }

    /// The first difference to `other` that would change a result, in words; builds of the same version are taken to agree.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let neutral = |c: &Self| Self { commit: String::new(), ..c.clone() };
        // Through JSON, since TOML values hold no seed above i64::MAX, and what can't be compared would pass for equal.
        let table = |c: &Self| match serde_json::to_value(neutral(c)) {
            Ok(serde_json::Value::Object(table)) => table,
            _ => serde_json::Map::new(),
        };
        let (a, b) = (table(self), table(other));
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        let show = |v: Option<&serde_json::Value>| v.map_or("nothing".to_string(), ToString::to_string);
        keys.into_iter().find(|k| a.get(*k) != b.get(*k)).map(|k| format!("`{k}` was {}, is now {}", show(a.get(k)), show(b.get(k))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{OptimiserKind, Schedule};

    fn of_a_run() -> RunConfig {
        RunConfig {
            format: FORMAT,
            version: "1".into(),
            commit: "c".into(),
            seed: 4,
            oracle_seed: Some(2),
            device: "cpu".into(),
            data: "blobs".into(),
            data_sha256: "s".into(),
            classes: vec![4, 0, 1],
            augment: false,
            arch: "mlp".into(),
            forget: 0,
            learn: Some(5),
            learn_samples: Some(20),
            retain_share: Some(0.5),
            oracles: 3,
            methods: vec!["finetune".into()],
            controls: false,
            probe_samples: ProbeSamples::All,
            model_sha256: None,
            also: vec![Swap { forget: ClassId(1), learn: Some(ClassId(3)) }],
            train: TrainSettings { epochs: 7, batch: 9, lr: 0.25, optimiser: OptimiserKind::AdamW, schedule: Schedule::Cosine, weight_decay: 0.125 },
            method: BTreeMap::from([("finetune".into(), toml::Table::from_iter([("epochs".to_string(), toml::Value::Integer(3))]))]),
        }
    }

    #[test]
    fn controls_that_a_run_added_are_no_methods_that_were_asked_for() {
        let again = |methods: &[&str]| named(methods.iter().map(ToString::to_string).collect());
        assert_eq!(again(&["finetune", "logit-mask", "head-distil"]), ["finetune"]);
        assert_eq!(again(&["logit-mask", "head-distil"]), Vec::<String>::new());
        for asked_for in [["head-distil", "finetune", "logit-mask"].as_slice(), &["finetune", "head-distil@b", "logit-mask", "head-distil"]] {
            let mut with_controls: Vec<String> = again(asked_for);
            method::add_controls(&mut with_controls);
            assert_eq!(with_controls, asked_for, "the same run again");
        }
    }

    #[test]
    fn any_seed_can_be_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, format!("{}\n", of_a_run().to_toml().expect("TOML").replace("seed = 4", &format!("seed = {}", u64::MAX))))
            .expect("written");
        assert_eq!(Settings::read(&path).expect("a run's file").seed, Some(u64::MAX));
    }

    #[test]
    fn a_run_says_how_to_do_it_again() {
        let run = of_a_run();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, run.to_toml().expect("writes")).expect("written");
        let again = Settings::read(&path).expect("reads");
        assert_eq!((again.training().expect("trains"), again.scarcity()), (run.train.clone(), run.scarcity()));
        assert_eq!((again.seed, again.oracle_seed(), again.oracles, again.augment), (Some(4), 2, Some(3), Some(false)));
        let [classes, arch, data, forget, learn] =
            [again.classes.clone(), again.arch.clone(), again.data.clone(), again.forget.clone(), again.learn.clone()];
        assert_eq!([classes, arch, data, forget, learn].map(Option::unwrap_or_default), ["#4,#0,#1", "mlp", "blobs", "#0,#1", "#5,#3"]);
        assert_eq!(again.probe_samples, Some(ProbeSamples::All));
        assert_eq!(again.methods().expect("known").len(), 1, "it had no controls");
        let (name, parameters) = again.methods().expect("known").remove(0);
        assert_eq!((name.as_str(), parameters["epochs"].as_integer()), ("finetune", Some(3)));
        // Flags still win.
        assert_eq!(Settings { seed: Some(9), ..Settings::default() }.or(again).seed, Some(9));
    }
}
