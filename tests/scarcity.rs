//! Swaps with less data than the set has: who has how much, what is drawn, what is in a unit's name, and what the user is told.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Bench, SWAP, TINY, blobs, names_in, task};
use unlearn::context::{Recipe, TrainSettings};
use unlearn::data::{ClassId, Needs, Samples, Scarcity, Swap, SwapTask, embedded};
use unlearn::method::{self, METHODS};
use unlearn::model::Classifier;

/// Training images of each class of the made-up set.
const EACH: usize = 60;

fn scarce(learn_samples: Option<usize>, retain_share: Option<f64>, seed: u64) -> SwapTask {
    task(&blobs(), true).scarce(Scarcity { learn_samples, retain_share }, seed).unwrap()
}

fn images(samples: &Samples) -> BTreeSet<Vec<u8>> {
    (0..samples.len()).map(|i| samples.image(i).to_vec()).collect()
}

fn by_class(samples: &Samples) -> BTreeMap<ClassId, usize> {
    let mut counts = BTreeMap::new();
    (0..samples.len()).for_each(|i| *counts.entry(samples.class(i)).or_default() += 1);
    counts
}

fn learned(task: &SwapTask) -> &Samples {
    task.learn.as_ref().unwrap().train.samples().unwrap()
}

#[test]
fn there_are_as_many_learn_samples_as_asked_for_and_the_seed_says_which() {
    let whole = images(learned(&scarce(None, None, 0)));
    let mut smaller = BTreeSet::new();
    for count in [1, 2, 7, 59, 60] {
        let task = scarce(Some(count), None, 3);
        let drawn = images(learned(&task));
        assert_eq!((drawn.len(), learned(&task).len()), (count, count));
        assert!(by_class(learned(&task)).keys().eq([&ClassId(5)]), "all of the new class");
        assert!(drawn.is_subset(&whole) && smaller.is_subset(&drawn), "a larger set holds the smaller ones");
        assert_eq!(drawn, images(learned(&scarce(Some(count), None, 3))), "the same again");
        smaller = drawn;
    }
    assert_ne!(images(learned(&scarce(Some(7), None, 3))), images(learned(&scarce(Some(7), None, 4))));
    // For methods and oracles alike, and nothing else is less.
    let (task, all) = (scarce(Some(7), None, 3), scarce(None, None, 3));
    assert_eq!(learned(&task.for_method("m", Needs::ALL)).len(), 7);
    assert_eq!(task.retain_and_learn().unwrap().len(), 4 * EACH + 7);
    assert_eq!(task.learn.as_ref().unwrap().test.samples().unwrap().len(), all.learn.as_ref().unwrap().test.samples().unwrap().len());
    assert_eq!(task.forget.train.samples().unwrap().len(), EACH);
}

#[test]
fn only_methods_have_a_share_of_the_retain_set() {
    for (share, each) in [(0.5, 30), (0.1, 6), (0.26, 16), (1e-9, 1)] {
        let task = scarce(None, Some(share), 3);
        let retain = |task: &SwapTask| task.retain.train.samples().unwrap().clone();
        assert_eq!(retain(&task).len(), 4 * EACH, "oracles and audits have all");
        let method = task.for_method("m", Needs::ALL);
        assert!(by_class(&retain(&method)).into_iter().eq([0, 1, 3, 4].map(|c| (ClassId(c), each))), "{share}");
        assert!(images(&retain(&method)).is_subset(&images(&retain(&task))));
        assert_eq!(images(&retain(&method)), images(&retain(&scarce(None, Some(share), 3).for_method("m", Needs::ALL))), "the same again");
        assert_eq!(method.retain_and_learn().unwrap().len(), 4 * each + EACH);
        // The lock stays where the method's entry puts it.
        assert!(method.retain.test.samples().is_err());
        assert!(task.for_method("m", Needs { retain: false, ..Needs::ALL }).retain.train.samples().is_err());
    }
    let drawn = |seed| images(scarce(None, Some(0.1), seed).for_method("m", Needs::ALL).retain.train.samples().unwrap());
    assert_ne!(drawn(3), drawn(4));
}

#[test]
fn what_takes_nothing_away_is_no_scarcity() {
    assert_eq!(scarce(Some(EACH), Some(1.0), 3).scarcity, Scarcity::default());
    assert_eq!(scarce(Some(EACH - 1), Some(0.99), 3).scarcity, Scarcity { learn_samples: Some(EACH - 1), retain_share: Some(0.99) });
}

#[test]
fn what_cannot_be_is_refused() {
    for (more, parts) in [
        ("--learn-samples 0", ["learn-samples", "0 of the 60 training images", "use 1 to 60"]),
        ("--learn-samples 61", ["learn-samples", "61 of the 60 training images", "use 1 to 60"]),
        ("--learn-samples=-1", ["--learn-samples", "invalid value", "-1"]),
        ("--retain-share 0", ["retain-share", "0 is no share", "above 0 and up to 1"]),
        ("--retain-share 1.5", ["retain-share", "1.5 is no share", "above 0 and up to 1"]),
        ("--retain-share -0.1", ["retain-share", "-0.1 is no share", "above 0 and up to 1"]),
        ("--retain-share NaN", ["retain-share", "NaN is no share", "above 0 and up to 1"]),
    ] {
        let bench = Bench::new();
        bench.unlearn(&format!("swap {TINY} {SWAP} --out run {more}")).refused(&parts);
        assert_eq!(bench.entries(), Vec::<String>::new(), "{more} left something behind");
    }
    let bench = Bench::new();
    bench.unlearn(&format!("swap {TINY} --forget 2 --out run --learn-samples 3")).refused(&["learn-samples", "nothing is learned", "--learn"]);
}

/// `name` of the units in a store, and what else their sidecars' specifications say under `key`.
fn specs(bench: &Bench, key: &str) -> BTreeMap<String, serde_json::Value> {
    let sidecars = names_in(&bench.path("store")).into_iter().filter(|n| n.ends_with(".json"));
    let read = |name: String| -> serde_json::Value { serde_json::from_slice(&bench.read(&format!("store/{name}"))).unwrap() };
    sidecars.map(read).map(|s| (s["spec"]["name"].as_str().unwrap().to_string(), s["spec"].get(key).cloned().unwrap_or_default())).collect()
}

#[test]
fn units_are_named_by_what_they_met() {
    let bench = Bench::new();
    let line = |out: &str, more: &str| format!("swap {TINY} {SWAP} --methods finetune --oracles 1 --store store --quiet --out {out} {more}");
    let units = || names_in(&bench.path("store")).iter().filter(|n| n.ends_with(".json")).count();
    bench.unlearn(&line("all", "")).ok();
    assert_eq!(units(), 2);
    for key in ["learn_samples", "retain_share"] {
        assert!(specs(&bench, key).values().all(serde_json::Value::is_null), "names of units with all data are what they were");
    }
    // Neither the original nor an oracle meets what methods lack, and what is all is not said.
    bench.unlearn(&line("little", "--retain-share 0.5 --learn-samples 60")).ok();
    assert_eq!(units(), 2);
    // An oracle meets few learn samples, the original meets none.
    bench.unlearn(&line("few", "--learn-samples 5")).ok();
    assert_eq!(units(), 3);
    bench.unlearn(&line("both", "--learn-samples 5 --retain-share 0.5")).ok();
    bench.unlearn(&format!("oracle {TINY} {SWAP} --count 1 --store store --quiet --learn-samples 5")).ok();
    assert_eq!(units(), 3);
    let models = |run: &str| BTreeMap::from_iter(bench.checkpoints(run));
    let [all, little, few, both] = ["all", "little", "few", "both"].map(models);
    for name in ["original.safetensors", "random-init.safetensors"] {
        assert!([&little, &few, &both].iter().all(|m| m[name] == all[name]), "{name}");
    }
    assert!(little["oracle-1.safetensors"] == all["oracle-1.safetensors"] && few["oracle-1.safetensors"] == both["oracle-1.safetensors"]);
    assert!(few["oracle-1.safetensors"] != all["oracle-1.safetensors"]);
    let methods: BTreeSet<&Vec<u8>> = [&all, &little, &few, &both].iter().map(|m| &m["finetune.safetensors"]).collect();
    assert_eq!(methods.len(), 4, "a method meets all of it");
    // Of which class there is little is not in the list of classes: 1 for 0 and 1 for 2 come to the same one.
    for learn in ["0", "2"] {
        let line = format!("oracle {TINY} --forget 1 --learn {learn} --learn-samples 5 --count 1 --store other --quiet");
        bench.unlearn(&line).ok();
    }
    assert_eq!(names_in(&bench.path("other")).iter().filter(|n| n.ends_with(".json")).count(), 2);
    // A run goes on only as what it was.
    bench.unlearn(&line("few", "--learn-samples 6 --resume")).refused(&["learn-samples", "was 5, is now 6"]);
    bench.unlearn(&line("few", "--learn-samples 5 --resume")).ok();
}

#[test]
fn a_run_says_what_was_scarce_and_counts_cost_by_all_data() {
    let bench = Bench::new();
    bench.write("few.toml", "learn-samples = 4\nretain-share = 0.5\n");
    let scores = bench.swap("run", "--config few.toml --oracles 3 --methods retrain,logit-mask");
    assert_eq!((scores.task.learn_samples, scores.task.retain_share), (Some(4), Some(0.5)));
    let words = ["4 training images of the new class", "methods had 50.0 % of the retained classes’ training images"];
    let page = String::from_utf8(bench.read("run/report.html")).unwrap();
    let again = bench.unlearn("audit run --quiet").ok().out;
    let beside = bench.unlearn("compare run run").ok().out;
    for (what, text) in [("the page", &page), ("the table", &again), ("the comparison", &beside)] {
        assert!(words.iter().all(|w| text.contains(w)), "{what}: {text}");
    }
    assert_eq!(common::without_cost(&scores), common::without_cost(&bench.scores("run")), "audited again, the same data");
    let cost = |name: &str| scores.cost.iter().find(|c| c.model == name).unwrap();
    // Two epochs of half of four classes and the four, in sets of all that an oracle has.
    let (half, all) = ((4 * EACH / 2 + 4) as f64, (4 * EACH + 4) as f64);
    assert!((cost("retrain").train_passes - 2.0 * half / all).abs() < 1e-12 && (cost("oracle-1").train_passes - 2.0).abs() < 1e-12);
    // A retraining is what oracles are: on half of the data, the method is none.
    let oracles = [1, 2, 3].map(|i| cost(&format!("oracle-{i}")));
    let shares: f64 = oracles.iter().map(|c| c.share_of_retrain.unwrap()).sum();
    assert!((shares / 3.0 - 1.0).abs() < 1e-9, "{shares}");
    assert!(scores.warnings.iter().all(|w| !w.contains("exactly retrained")), "{:?}", scores.warnings);
    // With all data nothing is said.
    let scores = bench.swap("all", "--oracles 0 --methods logit-mask");
    assert_eq!((scores.task.learn_samples, scores.task.retain_share), (None, None));
    let text = String::from_utf8(bench.read("all/scores.json")).unwrap() + &bench.unlearn("audit all --quiet").ok().out;
    assert!(!text.contains("learn_samples") && !text.contains("less data"), "{text}");
}

#[test]
fn regrow_is_warned_of_where_it_was_measured_to_fail_and_nowhere_else() {
    let digits = embedded::mnist_mini().unwrap();
    let like = Classifier::zeros("cnn-s", digits.shape(), 9, &unlearn::device::open("cpu").unwrap()).unwrap();
    let with = |parameters: &str, methods: &[&str], learn_samples, retain_share, learn: Option<u16>| {
        let swap = Swap { forget: ClassId(6), learn: learn.map(ClassId) };
        let task = SwapTask::new(&digits, &common::map(&[0, 1, 2, 4, 5, 6, 7, 8, 9]), swap).unwrap();
        let task = task.scarce(Scarcity { learn_samples, retain_share }, 0).unwrap();
        // As the demo trains.
        let recipe = Recipe { settings: TrainSettings { epochs: 10, ..common::context("any", &digits, 10).settings }, augment: false };
        let needs = |name: &&str| task.for_method(name, method::find(name).unwrap().needs);
        let build = |name: &str| (method::find(name).unwrap().build)(&parameters.parse().unwrap()).unwrap();
        methods.iter().flat_map(|m| build(m).cautions(&needs(m), &like, &recipe).unwrap()).collect::<Vec<String>>()
    };
    let cautions = |methods: &[&str], learn_samples, retain_share, learn| with("", methods, learn_samples, retain_share, learn);
    let all: Vec<&str> = METHODS.iter().map(|m| m.name).collect();
    // The demo itself: so little data was enough for one pair of five.
    let demo = cautions(&all, None, None, Some(3));
    assert!(demo.len() == 1 && demo[0].contains("542 images of a retained class") && demo[0].contains("one of five"), "{demo:?}");
    // Few images of the new class leave room for more of the others: enough to follow the original's answers, on digits that are not augmented.
    let long = cautions(&all, Some(100), None, Some(3));
    assert!(long.len() == 1 && long[0].contains("% of the retained images, which are not augmented"), "{long:?}");
    assert_eq!(cautions(&["retrain", "finetune"], Some(1), Some(0.001), Some(3)), Vec::<String>::new());
    let few = cautions(&all, Some(99), None, Some(3));
    assert!(
        few.len() == 1
            && few[0].starts_with("the new class has 99 training images")
            && few[0].contains("Take more of them, a larger budget, or retrain"),
        "{few:?}"
    );
    let little = cautions(&all, None, Some(0.25), Some(3));
    assert!(little.len() == 1 && little[0].contains("images of a retained class") && little[0].contains("Take more of the original's"), "{little:?}");
    // What docs/extremes.md says of the cache.
    for (budget, share, images) in
        [("", 0.5, "230 images"), ("budget = 0.081\ndistil = 0.0", 0.5, "426 images"), ("", 0.25, "93 images"), ("", 0.1, "29 images")]
    {
        let little = with(budget, &["regrow"], None, Some(share), Some(3));
        assert!(little.len() == 1 && little[0].contains(images), "{budget} {share}: {little:?}");
    }
    // What a larger budget is enough for, and what not.
    assert_eq!(with("budget = 0.3", &["regrow"], Some(20), None, Some(3)), Vec::<String>::new());
    assert_eq!(with("budget = 0.3", &["regrow"], Some(19), None, Some(3)).len(), 1);
    assert_eq!(with("budget = 0.2", &["regrow"], Some(20), None, Some(3)).len(), 1);
    let quarter = with("budget = 0.3", &["regrow"], None, Some(0.25), Some(3));
    assert!(quarter.len() == 1 && quarter[0].contains("give it 250 images") && quarter[0].contains("grown from nothing"), "{quarter:?}");
    assert!(!quarter[0].contains("larger regrow.budget"), "it had one: {quarter:?}");
    // On so few images nothing is grown from nothing: the original's answers are followed, as with a small budget.
    let tenth = with("budget = 0.3", &["regrow"], None, Some(0.1), Some(3));
    assert!(tenth.len() == 1 && tenth[0].contains("give it 100 images") && tenth[0].contains("one of eight"), "{tenth:?}");
    // Followed: half of a set of 500 images a class is too little.
    let half = with("budget = 0.085", &["regrow"], None, Some(0.25), Some(3));
    assert!(half.len() == 1 && half[0].contains("one of eight") && half[0].contains("larger regrow.budget"), "{half:?}");
    assert_eq!(with("budget = 0.3", &["regrow"], None, Some(0.6), Some(3)), Vec::<String>::new());
    assert_eq!(cautions(&all, Some(1), Some(0.25), Some(3)).len(), 2);
    assert_eq!(cautions(&all, None, Some(0.25), None).len(), 1, "plain unlearning has no new class");
}

#[test]
fn regrow_is_warned_of_where_much_lies_above_the_cut() {
    let digits = embedded::mnist_mini().unwrap();
    let task = SwapTask::new(&digits, &common::map(&[0, 1, 2, 4, 5, 6, 7, 8, 9]), Swap { forget: ClassId(6), learn: Some(ClassId(3)) }).unwrap();
    let by = |arch: &str, parameters: &str, augment: bool| {
        let recipe = Recipe { settings: TrainSettings { epochs: 30, ..common::context("any", &digits, 30).settings }, augment };
        let like = Classifier::zeros(arch, digits.shape(), 9, &unlearn::device::open("cpu").unwrap()).unwrap();
        let regrow = method::find("regrow").unwrap();
        (regrow.build)(&parameters.parse().unwrap()).unwrap().cautions(&task.for_method("regrow", regrow.needs), &like, &recipe).unwrap()
    };
    let cautions = |arch: &str, parameters: &str| by(arch, parameters, false);
    // So long a training pays for all images: enough where they are augmented.
    let long = cautions("cnn-s", "");
    assert!(long.len() == 1 && long[0].contains("pays for 100 % of the retained images") && long[0].contains("three of seven"), "{long:?}");
    assert_eq!(by("cnn-s", "", true), Vec::<String>::new());
    let large = cautions("resnet20", "");
    assert!(large.len() == 1 && large[0].starts_with("32 % of the network's arithmetic lies above the cut"), "{large:?}");
    let grown = cautions("resnet20", "budget = 0.3");
    assert!(grown.len() == 1 && grown[0].starts_with("65 % of the network's arithmetic") && grown[0].contains("here it is 32 %"), "{grown:?}");
    assert_eq!(cautions("cnn-s", "budget = 0.3"), Vec::<String>::new());
    // What is beyond all images is epochs, or where they are augmented copies: a top is grown from nothing at another budget.
    let [plain, copies] = [false, true].map(|augment| by("resnet20", "budget = 0.1", augment));
    assert!(plain[0].contains("to be grown from nothing") && copies[0].contains("all of it to be trained"), "{plain:?} {copies:?}");
    let earlier = cautions("cnn-s", "cut = 'conv2'\nbudget = 0.03");
    let says = |part: &str| earlier.iter().filter(|c| c.contains(part)).count();
    let both = (says("lies above the cut"), says("images of a retained class"));
    assert_eq!((earlier.len(), both), (2, (1, 1)), "an earlier cut of a fine network is no other thing, and leaves fewer images: {earlier:?}");
}

#[test]
fn warnings_come_before_the_work_and_stay_in_the_report() {
    let bench = Bench::new();
    let line = |out: &str, method: &str| format!("swap {TINY} {SWAP} --oracles 0 --learn-samples 3 --methods {method} --out {out}");
    let ran = bench.unlearn(&line("run", "regrow")).ok();
    let place = |text: &str| ran.err.find(text).unwrap_or_else(|| panic!("“{text}” is missing in\n{}", ran.err));
    assert!(place("warning: “regrow”: the new class has 3 training images") < place("original: epoch 1"), "{}", ran.err);
    let scores = bench.scores("run");
    assert!(scores.warnings[0].starts_with("“regrow”: the new class has 3") && ran.out.contains(&scores.warnings[0]), "{}", ran.out);
    assert!(String::from_utf8(bench.read("run/report.html")).unwrap().contains("the new class has 3 training images"));
    bench.unlearn("audit run --quiet").ok();
    assert_eq!(bench.scores("run").warnings, scores.warnings, "audited again");
    let ran = bench.unlearn(&line("both", "regrow,regrow@b")).ok();
    assert!(
        ran.err.contains("warning: “regrow”, “regrow@b”: the new class has 3") && ran.err.matches("the new class has 3").count() == 1,
        "{}",
        ran.err
    );
    let ran = bench.unlearn(&line("other", "finetune")).ok();
    assert!(!ran.err.contains("training images") && bench.scores("other").warnings.iter().all(|w| !w.contains("training images")), "{}", ran.err);
}

#[test]
fn an_original_that_guesses_is_named_before_it_is_swapped() {
    let bench = Bench::new();
    let line = |out: &str, more: &str| format!("swap --data blobs --arch mlp --threads 1 {SWAP} --oracles 0 --methods finetune --out {out} {more}");
    let says = "hardly does better than guessing";
    // Trained, and then given.
    for (out, more, later) in [("run", "--epochs 1 --lr 1e-9", "finetune: epoch 1"), ("given", "--model run/models/original.safetensors", "epoch 1")]
    {
        let ran = bench.unlearn(&line(out, more)).ok();
        let place = |text: &str| ran.err.find(text).unwrap_or_else(|| panic!("“{text}” is missing in\n{}", ran.err));
        assert!(place(says) < place(later), "{}", ran.err);
        assert_eq!(bench.scores(out).warnings.iter().filter(|w| w.contains(says)).count(), 1, "{:?}", bench.scores(out).warnings);
    }
    let ran = bench.unlearn(&line("good", "--epochs 5 --lr 0.005")).ok();
    assert!(!ran.err.contains(says) && bench.scores("good").warnings.iter().all(|w| !w.contains(says)), "{}", ran.err);
}
