//! Held-out checks: pairs of classes of a data set, with settings that follow from its size alone.

mod pairs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::assess::hides_from_features;
use crate::config::{parse_set, read_keys};
use crate::error::{Error, Result};
use crate::method;
use crate::summary::{ModelKind, Scores};

pub use pairs::{Pair, Pairs, recipe};

/// Version of `study.json`.
pub const FORMAT: u32 = 1;

/// What a user may set; everything optional.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default)]
pub struct StudySettings {
    /// Data set
    #[arg(long)]
    pub data: Option<String>,
    /// Where downloaded sets lie [default: the platform's cache directory]
    #[arg(long, env = "UNLEARN_DATA", value_parser = crate::config::folder())]
    pub data_dir: Option<PathBuf>,
    /// Pairs of an old and a new class, drawn, each with its own random choice of the original's classes [default: 3]
    #[arg(long)]
    pub pairs: Option<usize>,
    /// Old classes of pairs that are named instead of drawn, comma-separated, each a swap of its own; what else the original has is still drawn
    #[arg(long)]
    pub forget: Option<String>,
    /// Their new classes, in the order of the old ones; leave it out for plain unlearning
    #[arg(long)]
    pub learn: Option<String>,
    /// Seed of the choice and of every training [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Originals and swaps a pair, the first with --seed, each further one with the next number; all are judged by the same oracles, and so is
    /// their mean [default: 1]
    #[arg(long)]
    pub seeds: Option<usize>,
    /// Retrained models to judge each pair by [default: 5]
    #[arg(long)]
    pub oracles: Option<usize>,
    /// Passes over the training set, of originals, oracles and retrainings alike [default: what the data set takes, see `config.toml` of a pair]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Methods beside the negative controls, comma-separated; METHOD@LABEL is one again, with parameters of its own (--set) [default: regrow]
    #[arg(long, value_delimiter = ',')]
    pub methods: Option<Vec<String>>,
    /// Set a parameter of a variant; a method's bare name stands for its default settings. --methods regrow,regrow@b --set regrow@b.budget=0.3
    #[arg(long = "set", value_name = "METHOD@LABEL.KEY=VALUE")]
    pub set: Vec<String>,
    /// CPU threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Where originals and oracles are kept for later runs; `none` for nowhere, beyond the study with several seeds [default: `store` in the
    /// platform's cache directory]
    #[arg(long, env = "UNLEARN_STORE", value_parser = crate::config::folder(), hide_env_values = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// Keys of [`StudySettings`] in a file.
const KEYS: &[&str] = &["data", "data-dir", "pairs", "forget", "learn", "seed", "seeds", "oracles", "epochs", "methods", "set", "threads", "store"];

impl StudySettings {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// As [`read_keys`].
    pub fn read(path: &Path) -> Result<Self> {
        read_keys(path, KEYS)
    }

    /// These settings, with `fallback`'s where they say nothing.
    pub fn or(self, fallback: Self) -> Self {
        Self {
            data: self.data.or(fallback.data),
            data_dir: self.data_dir.or(fallback.data_dir),
            // Who names pairs wants these, whatever the file says of pairs, and who wants some drawn none that it names.
            learn: if self.pairs.is_some() || self.forget.is_some() { self.learn } else { self.learn.or(fallback.learn) },
            pairs: if self.forget.is_some() { self.pairs } else { self.pairs.or(fallback.pairs) },
            forget: if self.pairs.is_some() { self.forget } else { self.forget.or(fallback.forget) },
            seed: self.seed.or(fallback.seed),
            seeds: self.seeds.or(fallback.seeds),
            oracles: self.oracles.or(fallback.oracles),
            epochs: self.epochs.or(fallback.epochs),
            methods: self.methods.or(fallback.methods),
            set: [fallback.set, self.set].concat(),
            threads: self.threads.or(fallback.threads),
            store: self.store.or(fallback.store),
        }
    }
}

/// What a study is, nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Data set.
    pub data: String,
    /// Which pairs.
    pub pairs: Pairs,
    /// Seed of the choice and of the first training.
    pub seed: u64,
    /// Seeds a pair, at least one; `seed + seeds - 1` is a seed.
    pub seeds: usize,
    /// Oracles a pair.
    pub oracles: usize,
    /// Epochs of every training, if not those of [`recipe`].
    pub epochs: Option<usize>,
    /// Methods, then the negative controls that are not among them.
    pub methods: Vec<String>,
    /// Parameters of variants, each `METHOD@LABEL.KEY=VALUE`; whatever has no label has its defaults.
    pub set: Vec<String>,
}

impl TryFrom<&StudySettings> for Study {
    type Error = Error;

    fn try_from(settings: &StudySettings) -> Result<Self> {
        let Some(data) = settings.data.clone() else {
            return Err(Error::input("--data", "missing: a study of which data set?", "name one of `unlearn list data`, for example --data mnist"));
        };
        let (pairs, seed, seeds) = (Pairs::of(settings)?, settings.seed.unwrap_or(0), settings.seeds.unwrap_or(1));
        for (flag, count, what) in [
            ("--pairs", settings.pairs, "nothing would be swapped"),
            ("--seeds", Some(seeds), "nothing would be swapped"),
            ("--epochs", settings.epochs, "nothing would be trained"),
        ] {
            if count == Some(0) {
                return Err(Error::input(format!("{flag} 0"), what, "use 1 or more"));
            }
        }
        if seed.checked_add(seeds as u64 - 1).is_none() {
            return Err(Error::input(format!("--seed {seed}"), "there are not as many seeds from there", "use a smaller one"));
        }
        for text in &settings.set {
            let (name, key, value) = parse_set(text)?;
            if method::base(&name) == name {
                let what = format!("a study judges `{name}` by its default settings");
                let remedy = format!("judge a variant beside it: --methods {name},{name}@b --set {name}@b.{key}={value}");
                return Err(Error::input(format!("--set {text}"), what, remedy));
            }
        }
        let methods = settings.methods.clone().unwrap_or_else(|| vec!["regrow".into()]);
        let (oracles, epochs) = (settings.oracles.unwrap_or(5), settings.epochs);
        Ok(Self { data, pairs, seed, seeds, oracles, epochs, methods, set: settings.set.clone() })
    }
}

/// `study.json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Data set.
    pub dataset: String,
    /// How many pairs were drawn, or the classes of those that were named.
    pub pairs: Pairs,
    /// Seed.
    pub seed: u64,
    /// Seeds a pair.
    pub seeds: usize,
    /// Oracles a pair.
    pub oracles: usize,
    /// Epochs of every training where they were given; null where they follow from the data set.
    pub epochs: Option<usize>,
    /// Parameters of variants, each `METHOD@LABEL.KEY=VALUE`.
    pub set: Vec<String>,
    /// One entry a pair, seed and judged model.
    pub rows: Vec<Row>,
    /// One entry a pair and judged model, for its mean over the seeds; empty with one seed.
    pub means: Vec<Row>,
    /// One entry a method, over its pairs and seeds.
    pub methods: Vec<MethodSummary>,
}

/// One model of one pair, or its mean over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Run directory, below the study's; of a mean the name of its file, without `.json`.
    pub run: String,
    /// Seed of the original and of the swap; null for a mean.
    pub seed: Option<u64>,
    /// Name of the old class.
    pub forget: String,
    /// Name of the new class.
    pub learn: String,
    /// Name of the model.
    pub model: String,
    /// What it is.
    pub kind: ModelKind,
    /// Its verdict.
    pub verdict: String,
    /// Whether it is a control that hides the old class and neither features nor relearning tell it from the oracles: it fails, if it does, by what
    /// hiding costs, and a better one would not.
    pub hides_from_features: bool,
    /// Figures within the oracle band.
    pub within: usize,
    /// Figures judged.
    pub judged: usize,
    /// Wall time over one retraining's.
    pub cost_share: Option<f64>,
    /// Passes over the training set, over one retraining's.
    pub passes_share: Option<f64>,
}

/// A method over all pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MethodSummary {
    /// Name.
    pub method: String,
    /// What it is.
    pub kind: ModelKind,
    /// Swaps, pairs times seeds, whose verdict is `matched`.
    pub matched: usize,
    /// Swaps.
    pub swaps: usize,
    /// Those of `matched` in runs whose negative controls all fail, those that hide by features or relearning: else the audits can't tell hiding from
    /// erasing there, and their verdicts are no evidence.
    pub matched_where_controls_fail: usize,
    /// Swaps in such runs.
    pub swaps_where_controls_fail: usize,
    /// Pairs whose mean over the seeds is `matched`; null with one seed.
    pub means_matched: Option<usize>,
    /// Pairs.
    pub pairs: usize,
    /// Largest share of one retraining's wall time.
    pub worst_cost_share: Option<f64>,
    /// Largest share of one retraining's passes.
    pub worst_passes_share: Option<f64>,
}

/// The verdict on a method that there is no model of.
pub const DIVERGED: &str = "diverged";

/// The rows of one pair, from the scores of its run with `seed`, or of their mean; `epochs` are those of its trainings. Those of its `methods` that left no
/// model, since their training diverged, have a row, too: they did not match.
pub fn rows(run: &str, seed: Option<u64>, scores: &Scores, epochs: usize, methods: &[String]) -> Vec<Row> {
    let judged = |kind| matches!(kind, ModelKind::Method | ModelKind::Control);
    let row = |v: &crate::summary::Verdict| {
        let cost = scores.cost.iter().find(|c| c.model == v.model);
        Row {
            run: run.to_string(),
            seed,
            forget: scores.task.forget_name.clone(),
            learn: scores.task.learn_name.clone().unwrap_or_default(),
            model: v.model.clone(),
            kind: v.kind,
            verdict: v.verdict.clone(),
            hides_from_features: hides_from_features(v, &scores.scores),
            within: v.audits_within,
            judged: v.audits_total,
            cost_share: cost.and_then(|c| c.share_of_retrain),
            passes_share: cost.map(|c| c.train_passes / epochs as f64),
        }
    };
    let mut rows: Vec<Row> = scores.verdict.iter().filter(|v| judged(v.kind)).map(row).collect();
    for name in methods.iter().filter(|name| scores.verdict.iter().all(|v| v.model != **name)) {
        rows.push(Row {
            run: run.to_string(),
            seed,
            forget: scores.task.forget_name.clone(),
            learn: scores.task.learn_name.clone().unwrap_or_default(),
            model: name.clone(),
            kind: method::kind_of(name),
            verdict: DIVERGED.into(),
            hides_from_features: false,
            within: 0,
            judged: 0,
            cost_share: None,
            passes_share: None,
        });
    }
    rows
}

/// Every method over its rows, a row a pair and seed, and the pairs' `means`, in order of first appearance.
pub fn methods(rows: &[Row], means: &[Row]) -> Vec<MethodSummary> {
    let matched = |rows: &[Row], method: &str| rows.iter().filter(|r| r.model == method && r.verdict == "matched").count();
    let misled: BTreeSet<&str> =
        rows.iter().filter(|r| r.kind == ModelKind::Control && (r.verdict == "matched" || r.hides_from_features)).map(|r| r.run.as_str()).collect();
    let mut all: Vec<MethodSummary> = Vec::new();
    let larger = |a: Option<f64>, b: Option<f64>| [a, b].into_iter().flatten().reduce(f64::max);
    for row in rows {
        let at = all.iter().position(|m| m.method == row.model).unwrap_or_else(|| {
            let (method, kind) = (row.model.clone(), row.kind);
            all.push(MethodSummary {
                matched: matched(rows, &method),
                swaps: 0,
                matched_where_controls_fail: 0,
                swaps_where_controls_fail: 0,
                means_matched: (!means.is_empty()).then(|| matched(means, &method)),
                pairs: 0,
                worst_cost_share: None,
                worst_passes_share: None,
                method,
                kind,
            });
            all.len() - 1
        });
        let m = &mut all[at];
        m.swaps += 1;
        if !misled.contains(row.run.as_str()) {
            m.swaps_where_controls_fail += 1;
            m.matched_where_controls_fail += usize::from(row.verdict == "matched");
        }
        m.pairs += usize::from(row.seed == rows[0].seed);
        m.worst_cost_share = larger(m.worst_cost_share, row.cost_share);
        m.worst_passes_share = larger(m.worst_passes_share, row.passes_share);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_a_key() {
        use clap::Args;
        let command = StudySettings::augment_args(clap::Command::new("x"));
        let flags: Vec<&str> = command.get_arguments().filter_map(|a| a.get_long()).collect();
        assert_eq!(flags, KEYS);
    }

    pub(super) fn of_blobs() -> StudySettings {
        StudySettings { data: Some("blobs".into()), ..StudySettings::default() }
    }

    #[test]
    fn what_a_study_lacks_or_cannot_do_is_explained() {
        let wanted = |seed, seeds| StudySettings { seed: Some(seed), seeds: Some(seeds), ..of_blobs() };
        assert_eq!(Study::try_from(&wanted(u64::MAX - 1, 2)).expect("just fits").methods, ["regrow"]);
        for (settings, says) in [(wanted(u64::MAX, 2), "not as many seeds"), (wanted(0, 0), "--seeds 0"), (StudySettings::default(), "--data")] {
            assert!(Study::try_from(&settings).expect_err("refused").to_string().contains(says), "{says}");
        }
    }

    #[test]
    fn a_method_that_diverged_is_a_swap_that_did_not_match() {
        let mut scores = crate::report::fixture::empty().scores;
        scores.verdict.clear();
        let lost = |run: &str, seed| rows(run, seed, &scores, 5, &["a".into()]);
        let all = lost("pair-1", Some(1));
        assert_eq!((all[0].model.as_str(), all[0].verdict.as_str(), all[0].passes_share), ("a", DIVERGED, None));
        let matched = Row { verdict: "matched".into(), run: "pair-1-seed-2".into(), seed: Some(2), ..all[0].clone() };
        let found = methods(&[all[0].clone(), matched], &lost("pair-1-mean", None));
        assert_eq!((found[0].matched, found[0].swaps, found[0].pairs, found[0].means_matched), (1, 2, 1, Some(0)));
    }

    #[test]
    fn a_method_is_summed_up_by_its_worst_cost() {
        let row = |model: &str, verdict: &str, cost: Option<f64>| Row {
            run: "pair-1".into(),
            seed: Some(1),
            forget: "6".into(),
            learn: "3".into(),
            model: model.into(),
            kind: ModelKind::Method,
            verdict: verdict.into(),
            hides_from_features: false,
            within: 1,
            judged: 1,
            cost_share: cost,
            passes_share: Some(0.1),
        };
        let rows = [row("a", "matched", Some(0.02)), row("b", "matched", None), row("a", "under-erased", Some(0.03))];
        let all = methods(&rows, &[]);
        assert_eq!((all[0].matched, all[0].pairs, all[0].swaps, all[0].worst_cost_share), (1, 2, 2, Some(0.03)));
        assert_eq!((all[1].matched, all[1].pairs, all[1].means_matched, all[1].worst_cost_share), (1, 1, None, None));
        // A control that passes takes its run's other verdicts with it, not those of another run.
        let control = Row { kind: ModelKind::Control, ..row("c", "matched", None) };
        let elsewhere = Row { run: "pair-2".into(), ..rows[0].clone() };
        let sure = |control: Row| {
            let all = methods(&[rows[0].clone(), control, elsewhere.clone()], &[]);
            (all[0].matched, all[0].swaps, all[0].matched_where_controls_fail, all[0].swaps_where_controls_fail)
        };
        assert_eq!(sure(control.clone()), (2, 2, 1, 1));
        // So does one that fails, but not by what it hides.
        let failing = Row { verdict: "off-target".into(), ..control };
        assert_eq!(sure(failing.clone()), (2, 2, 2, 2));
        assert_eq!(sure(Row { hides_from_features: true, ..failing }), (2, 2, 1, 1));
        // Two seeds of one pair.
        let again = Row { seed: Some(2), ..rows[0].clone() };
        let all = methods(&[rows[0].clone(), again], &rows[..1]);
        assert_eq!((all[0].matched, all[0].pairs, all[0].swaps, all[0].means_matched), (2, 1, 2, Some(1)));
    }
}
