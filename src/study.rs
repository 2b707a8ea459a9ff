//! Held-out checks: random pairs of classes of a data set, with settings that follow from its size alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::assess::hides_from_features;
use crate::config::{Settings, parse_set, read_keys};
use crate::context::Schedule;
use crate::data::{ClassId, ClassMap, Dataset, Swap, classes};
use crate::error::{Error, Result};
use crate::method;
use crate::rng;
use crate::summary::{ModelKind, Scores};

/// Version of `study.json`.
pub const FORMAT: u32 = 1;

/// Most classes of an original, and of one of colour images: the founding notebooks'.
const MOST_CLASSES: usize = 20;
const MOST_COLOUR_CLASSES: usize = 8;
/// Images that a network meets in its training, each time it meets one counted: where a held-out part of the training images stops to
/// gain (`cnn-s`, emnist-derived47: 88.3, 89.4, 89.3 % after 10, 20, 40 epochs of 9,600 images; MNIST: 99.1, 99.0, 98.9 % after 5, 10, 20 of
/// 54,000).
const GREY_IMAGES: usize = 240_000;
/// The same for colour images, which take a deeper network: not where it stops to gain (that is beyond 30 epochs of CIFAR-10), but what two
/// cores train in 20 minutes.
const COLOUR_IMAGES: usize = 600_000;

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

/// The pairs of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Pairs {
    /// So many, at least one, drawn by the seed.
    Drawn(usize),
    /// These, as the user wrote them.
    Named {
        /// The old classes.
        forget: String,
        /// The new ones, in that order; none in plain unlearning.
        learn: Option<String>,
    },
}

impl Pairs {
    fn of(settings: &StudySettings) -> Result<Self> {
        match (&settings.forget, settings.pairs) {
            (Some(_), Some(_)) => {
                let what = "with --pairs, which has pairs drawn";
                Err(Error::input("--forget", what, "leave one of them out: pairs are either drawn or named"))
            }
            (Some(forget), None) => Ok(Self::Named { forget: forget.clone(), learn: settings.learn.clone() }),
            (None, _) if settings.learn.is_some() => {
                Err(Error::input("--learn", "new classes, and no old ones", "name those, too: --forget, in the same order"))
            }
            (None, pairs) => Ok(Self::Drawn(pairs.unwrap_or(3))),
        }
    }

    /// Whether nobody chose them.
    pub fn drawn(&self) -> bool {
        matches!(self, Self::Drawn(_))
    }
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
        let mut methods = settings.methods.clone().unwrap_or_else(|| vec!["regrow".into()]);
        method::add_controls(&mut methods);
        let (oracles, epochs) = (settings.oracles.unwrap_or(5), settings.epochs);
        Ok(Self { data, pairs, seed, seeds, oracles, epochs, methods, set: settings.set.clone() })
    }
}

/// One swap of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The original's classes.
    pub before: ClassMap,
    /// The swap.
    pub swap: Swap,
}

impl Study {
    /// Every pair: of `dataset`'s classes in an order drawn from the stream `study` the first become the original's (at most 20, of colour images
    /// 8, at least one left out), the first of them is the old one, the first one left out the new one. Where a swap is named its old class is put
    /// first and its new one is left out.
    ///
    /// # Errors
    /// A data set of fewer than three classes; swaps of classes that it does not have.
    pub fn pairs(&self, dataset: &Dataset) -> Result<Vec<Pair>> {
        match &self.pairs {
            Pairs::Drawn(pairs) => (0..*pairs).map(|index| pair(dataset, self.seed, index, None)).collect(),
            Pairs::Named { forget, learn } => {
                let swaps = classes::parse_swaps(forget, learn.as_deref(), dataset)?;
                swaps.into_iter().enumerate().map(|(index, swap)| pair(dataset, self.seed, index, Some(swap))).collect()
            }
        }
    }
}

/// Pair number `index` of a study with `seed`.
fn pair(dataset: &Dataset, seed: u64, index: usize, named: Option<Swap>) -> Result<Pair> {
    let all = dataset.class_names.len();
    if all < 3 {
        return Err(Error::input(&dataset.name, format!("{all} classes: a study needs three to draw from"), "use another data set"));
    }
    let mut order: Vec<ClassId> = (0..all as u16).map(ClassId).collect();
    order.shuffle(&mut rng::stream(seed, "study", index as u64));
    let count = (all - 1).min(if is_grey(dataset) { MOST_CLASSES } else { MOST_COLOUR_CLASSES });
    let swap = named.unwrap_or(Swap { forget: order[0], learn: Some(order[count]) });
    order.retain(|class| *class != swap.forget && Some(*class) != swap.learn);
    let mut before = [&[swap.forget], &order[..order.len().min(count - 1)]].concat();
    before.sort();
    let before = ClassMap::new(before)?;
    before.swapped(swap)?;
    Ok(Pair { before, swap })
}

fn is_grey(dataset: &Dataset) -> bool {
    dataset.shape()[0] == 1
}

/// How networks are trained on `images` images of `dataset`.
pub fn recipe(dataset: &Dataset, images: usize) -> Settings {
    let grey = is_grey(dataset);
    let wanted = if grey { GREY_IMAGES } else { COLOUR_IMAGES };
    Settings {
        arch: Some(if grey { "cnn-s" } else { "resnet20" }.into()),
        epochs: Some(wanted.div_ceil(images.max(1)).clamp(5, 60)),
        batch: Some(if grey { 64 } else { 128 }),
        lr: Some(if grey { 5e-3 } else { 3e-3 }),
        schedule: Some(Schedule::Cosine),
        ..Settings::default()
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

/// The rows of one pair, from the scores of its run with `seed`, or of their mean; `epochs` are those of its trainings.
pub fn rows(run: &str, seed: Option<u64>, scores: &Scores, epochs: usize) -> Vec<Row> {
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
    scores.verdict.iter().filter(|v| judged(v.kind)).map(row).collect()
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
    use crate::data::synthetic;

    #[test]
    fn every_flag_is_a_key() {
        use clap::Args;
        let command = StudySettings::augment_args(clap::Command::new("x"));
        let flags: Vec<&str> = command.get_arguments().filter_map(|a| a.get_long()).collect();
        assert_eq!(flags, KEYS);
    }

    fn of_blobs() -> StudySettings {
        StudySettings { data: Some("blobs".into()), ..StudySettings::default() }
    }

    #[test]
    fn named_pairs_are_of_any_classes_and_all_else_is_drawn() {
        let set = synthetic::blobs().expect("made on the spot");
        let named = |forget: &str, learn: Option<&str>| {
            let settings = StudySettings { forget: Some(forget.into()), learn: learn.map(Into::into), ..of_blobs() };
            Study::try_from(&settings).expect("complete").pairs(&set)
        };
        let pairs = named("0,centre", Some("sides,north-west")).expect("a pair each");
        assert_eq!(pairs.iter().map(|p| p.swap.label()).collect::<Vec<_>>(), ["0-5", "4-0"]);
        for pair in &pairs {
            assert!(pair.before.len() == set.class_names.len() - 1 && pair.before.swapped(pair.swap).is_ok());
        }
        // What is drawn is drawn as for pairs that are: naming those changes nothing.
        let drawn = Study::try_from(&StudySettings { pairs: Some(1), ..of_blobs() }).expect("complete").pairs(&set).expect("enough classes");
        let Swap { forget, learn } = drawn[0].swap;
        assert_eq!(named(&forget.0.to_string(), learn.map(|c| c.0.to_string()).as_deref()).expect("that one"), drawn);
        assert_eq!(named("centre", None).expect("plain unlearning")[0].swap.learn, None);
        for (forget, learn, says) in
            [("0", "0", "also the class to forget"), ("0,1", "2", "1 to learn, 2 to forget"), ("0", "middle", "no class of blobs")]
        {
            assert!(named(forget, Some(learn)).expect_err("refused").to_string().contains(says), "{says}");
        }
    }

    #[test]
    fn pairs_are_drawn_or_named_and_flags_win_over_the_file() {
        let drawn = StudySettings { pairs: Some(2), ..of_blobs() };
        let named = StudySettings { forget: Some("0".into()), learn: Some("1".into()), ..of_blobs() };
        let pairs = |settings: StudySettings| Study::try_from(&settings).map(|study| study.pairs);
        assert_eq!(pairs(drawn.clone().or(named.clone())).expect("drawn"), Pairs::Drawn(2));
        assert_eq!(pairs(named.clone().or(drawn)).expect("named"), Pairs::Named { forget: "0".into(), learn: Some("1".into()) });
        for (settings, says) in [
            (StudySettings { pairs: Some(2), ..named.clone() }, "either drawn or named"),
            (StudySettings { forget: None, ..named }, "new classes, and no old ones"),
        ] {
            assert!(pairs(settings).expect_err("refused").to_string().contains(says), "{says}");
        }
    }

    #[test]
    fn what_a_study_lacks_or_cannot_do_is_explained() {
        let wanted = |seed, seeds| StudySettings { seed: Some(seed), seeds: Some(seeds), ..of_blobs() };
        assert_eq!(Study::try_from(&wanted(u64::MAX - 1, 2)).expect("just fits").methods, ["regrow", "logit-mask", "head-distil"]);
        for (settings, says) in [(wanted(u64::MAX, 2), "not as many seeds"), (wanted(0, 0), "--seeds 0"), (StudySettings::default(), "--data")] {
            assert!(Study::try_from(&settings).expect_err("refused").to_string().contains(says), "{says}");
        }
    }

    #[test]
    fn pairs_are_possible_swaps_and_repeat() {
        let set = synthetic::blobs().expect("made on the spot");
        let mut seen = std::collections::BTreeSet::new();
        let drawn = |pairs| Study::try_from(&StudySettings { pairs: Some(pairs), seed: Some(3), ..of_blobs() }).expect("complete").pairs(&set);
        let pairs = drawn(20).expect("enough classes");
        assert_eq!(pairs[..7], drawn(7).expect("enough classes"), "more of them are further ones");
        for pair in pairs {
            assert_eq!(pair.before.len(), set.class_names.len() - 1);
            pair.before.swapped(pair.swap).expect("a possible swap");
            seen.insert((pair.swap.forget, pair.swap.learn));
        }
        assert!(seen.len() > 5, "pairs differ: {seen:?}");
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
