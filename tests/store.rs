//! The store: what one run trained, every later one with the same task takes, to the same result; nothing else is taken.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use common::{Bench, SWAP, TINY, names_in, tree, without_cost};

/// Enough oracles for verdicts, and a method whose cost has a share.
const METHODS: &str = "--methods finetune,logit-mask";

fn swap(out: &str, more: &str) -> String {
    format!("swap {TINY} {SWAP} {METHODS} --out {out} --store store {more}")
}

fn oracle(more: &str) -> String {
    format!("oracle {TINY} {SWAP} --store store {more}")
}

/// Hashes of the units in a store; every file belongs to a whole one.
fn units(store: &Path) -> BTreeSet<String> {
    let names = names_in(store);
    let hashes = |end: &str| -> BTreeSet<String> { names.iter().filter_map(|n| n.strip_suffix(end)).map(str::to_string).collect() };
    let (models, sidecars) = (hashes(".safetensors"), hashes(".json"));
    assert_eq!(models, sidecars, "half a unit");
    assert_eq!(names.len(), 2 * models.len(), "{names:?}");
    assert!(models.iter().all(|h| h.len() == 64), "{names:?}");
    models
}

/// The unit that holds `name`.
fn unit_of(bench: &Bench, store: &str, name: &str) -> String {
    let found = units(&bench.path(store)).into_iter().find(|hash| {
        let sidecar: serde_json::Value = serde_json::from_slice(&bench.read(&format!("{store}/{hash}.json"))).unwrap();
        sidecar["spec"]["name"] == name
    });
    found.unwrap_or_else(|| panic!("no {name} in the store"))
}

#[test]
fn a_second_run_takes_what_the_first_trained_and_ends_alike() {
    let bench = Bench::new();
    let first = bench.unlearn(&swap("first", "--oracles 3")).ok();
    assert!(!first.err.contains("from the store") && first.err.contains("oracle-3: epoch 2/2"), "{}", first.err);
    assert_eq!(units(&bench.path("store")).len(), 4, "the original and three oracles, no method");

    let second = bench.unlearn(&swap("second", "--oracles 3")).ok();
    for name in ["original", "oracle-1", "oracle-2", "oracle-3"] {
        assert!(second.err.contains(&format!("{name}: from the store")), "{}", second.err);
        assert!(!second.err.contains(&format!("{name}: epoch")), "{}", second.err);
    }
    assert!(second.err.contains("finetune: epoch"), "methods are never taken:\n{}", second.err);
    bench.unlearn(&swap("alone", "--oracles 3").replace("--store store", "--store none")).ok();
    for other in ["second", "alone"] {
        assert!(bench.checkpoints("first") == bench.checkpoints(other), "{other}: other checkpoints");
        assert_eq!(without_cost(&bench.scores("first")), without_cost(&bench.scores(other)), "{other}");
    }
    // Timed on this machine, by this build, with as many threads: its cost counts.
    let cost = |run: &str, name: &str| bench.scores(run).cost.into_iter().find(|c| c.model == name).unwrap();
    for name in ["original", "oracle-1", "oracle-3"] {
        let (a, b) = (cost("first", name), cost("second", name));
        assert!((a.wall_s - b.wall_s).abs() < 1e-9 && a.train_passes == b.train_passes && a.threads == b.threads, "{a:?} {b:?}");
    }
    assert!(cost("second", "finetune").share_of_retrain.is_some());
    assert!(!second.out.contains("no share of a retraining"), "{}", second.out);
    // The report has their training curves as well.
    let curves = |run: &str| {
        let curves = unlearn::events::curves(&bench.path(&format!("{run}/events.jsonl"))).unwrap();
        curves.into_iter().map(|c| (c.model, c.rows.len())).collect::<BTreeSet<_>>()
    };
    assert_eq!(curves("first"), curves("second"));
    assert!(String::from_utf8(bench.read("second/events.jsonl")).unwrap().contains("\"stage\":\"stored\""));

    // More oracles: three are there. Resumed, the run is what it was.
    let more = bench.unlearn(&swap("more", "--oracles 5")).ok();
    assert!(more.err.contains("oracle-3: from the store") && more.err.contains("oracle-4: epoch 2/2"), "{}", more.err);
    let before = tree(&bench.path("more"));
    bench.unlearn(&swap("more", "--oracles 5 --resume")).ok();
    assert!(before == tree(&bench.path("more")));
    // The same original for another old class, elsewhere: a store is a folder that can be moved.
    std::fs::rename(bench.path("store"), bench.path("moved")).unwrap();
    let other = swap("other", "--oracles 1").replace("--store store", "--store moved").replace("--forget 2", "--forget 3");
    let other = bench.unlearn(&other).ok();
    assert!(other.err.contains("original: from the store") && other.err.contains("oracle-1: epoch"), "{}", other.err);
    assert!(!bench.path("store").exists());
}

#[test]
fn a_time_taken_under_other_conditions_does_not_count() {
    let bench = Bench::new();
    bench.unlearn(&oracle("--count 1 --quiet")).ok();
    // Two trainings side by side on four threads: two each, not one.
    let ran = bench.unlearn(&swap("run", "--oracles 1").replace("--threads 1", "--threads 4")).ok();
    assert!(ran.err.contains("oracle-1: from the store") && ran.err.contains("its time doesn't count"), "{}", ran.err);
    assert!(ran.out.contains("Costs have no share of a retraining: the oracles are from the store, timed on another machine"), "{}", ran.out);
    let scores = bench.scores("run");
    assert!(scores.cost.iter().all(|c| c.model != "oracle-1" && c.share_of_retrain.is_none()), "{:?}", scores.cost);
    let page = String::from_utf8(bench.read("run/report.html")).unwrap();
    assert!(page.contains("Costs have no share of a retraining"));
    // Nor by another instruction set.
    let under = |name: &str, variable: &str, value: &str| {
        let ran = bench.command(&swap(name, "--oracles 1")).env(variable, value).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stderr).unwrap()
    };
    let ran = under("portable", "UNLEARN_ISA", "portable");
    assert!(ran.contains("its time doesn't count"), "{ran}");
    // Nor on another machine.
    let hash = unit_of(&bench, "store", "oracle-1");
    let mut sidecar: serde_json::Value = serde_json::from_slice(&bench.read(&format!("store/{hash}.json"))).unwrap();
    sidecar["timed"]["host"] = "0123456789ab".into();
    bench.write(&format!("store/{hash}.json"), sidecar.to_string());
    let ran = bench.unlearn(&swap("elsewhere", "--oracles 1")).ok();
    assert!(ran.err.contains("its time doesn't count"), "{}", ran.err);
    assert!(bench.scores("elsewhere").cost.iter().all(|c| c.model != "oracle-1"));
    assert_eq!(without_cost(&bench.scores("elsewhere")), without_cost(&scores));
    let table = bench.unlearn(&oracle("--count 1 --quiet")).ok().out;
    assert!(table.contains("already there") && table.contains("such a time doesn't count"), "{table}");
    // burn's own operations come to other bits: other models.
    let ran = under("on-burn", "UNLEARN_KERNELS", "burn");
    assert!(ran.contains("oracle-1: epoch") && !ran.contains("from the store"), "{ran}");
}

#[test]
fn what_is_damaged_or_another_units_is_told_of_and_made_anew() {
    let bench = Bench::new();
    bench.unlearn(&oracle("--count 2 --quiet")).ok();
    let whole = tree(&bench.path("store"));
    let (one, two) = (unit_of(&bench, "store", "oracle-1"), unit_of(&bench, "store", "oracle-2"));
    let model = |hash: &str| format!("store/{hash}.safetensors");
    let sidecar = |hash: &str| format!("store/{hash}.json");
    let (model_one, sidecar_one) = (bench.read(&model(&one)), bench.read(&sidecar(&one)));
    let (model_two, sidecar_two) = (bench.read(&model(&two)), bench.read(&sidecar(&two)));
    let mut flipped = model_one.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let old_format = String::from_utf8(sidecar_one.clone()).unwrap().replace("\"format\": 1", "\"format\": 99");
    let cases: [(&str, &[u8], &[u8], &str); 6] = [
        ("cut short", &model_one[..model_one.len() / 2], &sidecar_one, "its SHA-256 is"),
        ("a bit flipped", &flipped, &sidecar_one, "its SHA-256 is"),
        ("another checkpoint", &model_two, &sidecar_one, "its SHA-256 is"),
        ("another unit", &model_two, &sidecar_two, "another unit's checkpoint"),
        ("no sidecar of ours", &model_one, b"{}", "no sidecar of a unit"),
        ("another format", &model_one, old_format.as_bytes(), "sidecar format 99"),
    ];
    for (case, checkpoint, side, says) in cases {
        bench.write(&model(&one), checkpoint);
        bench.write(&sidecar(&one), side);
        let ran = bench.unlearn(&oracle("--count 2")).ok();
        for part in ["warning: oracle-1 is made anew", &one, says] {
            assert!(ran.err.contains(part), "{case}: “{part}” is missing in\n{}", ran.err);
        }
        assert!(ran.err.contains("oracle-1: epoch 2/2") && ran.err.contains("oracle-2: from the store"), "{case}: {}", ran.err);
        assert!(bench.read(&model(&one)) == model_one, "{case}: not mended");
        assert_eq!(bench.unlearn(&oracle("--count 2 --quiet")).ok().err, "", "{case}");
    }
    // Half of one is none: somebody is about to write it, or gave up.
    for missing in [model(&one), sidecar(&one)] {
        std::fs::remove_file(bench.path(&missing)).unwrap();
        let ran = bench.unlearn(&oracle("--count 2")).ok();
        assert!(!ran.err.contains("warning") && ran.err.contains("oracle-1: epoch"), "{}", ran.err);
    }
    let names = |files: &[(std::path::PathBuf, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&whole), names(&tree(&bench.path("store"))));
}

#[test]
fn every_setting_that_matters_is_in_the_name() {
    let bench = Bench::new();
    let hash = |line: &str| {
        let json = bench.unlearn(&format!("{line} --count 1 --quiet --json")).ok().json();
        json["oracles"][0]["hash"].as_str().unwrap().to_string()
    };
    let base = oracle("");
    let first = hash(&base);
    let mut seen = BTreeSet::from([first.clone()]);
    for (from, to) in [
        ("--epochs 2", "--epochs 1"),
        ("--batch 64", "--batch 32"),
        ("--lr 0.005", "--lr 0.006"),
        ("--arch mlp", "--arch cnn-s"),
        ("--forget 2", "--forget 3"),
        ("--learn 5", "--learn 4"),
        ("--learn 5", ""),
        ("--store", "--classes 0,1,2,3 --store"),
        ("--store", "--classes 4,3,2,1,0 --store"),
        ("--store", "--seed 1 --store"),
        ("--store", "--augment false --store"),
        ("--store", "--optimiser adamw --store"),
        ("--store", "--schedule cosine --store"),
        ("--store", "--weight-decay 0.1 --store"),
    ] {
        // An augmentation of nothing is none: the made-up set has no steps, and its units are the same.
        let fresh = seen.insert(hash(&base.replacen(from, to, 1)));
        assert_eq!(fresh, !to.contains("augment"), "{from} → {to}");
    }
    // What changes no oracle is not.
    for (from, to) in [("--threads 1", "--threads 2"), ("--store", "--methods finetune --store")] {
        assert_eq!(hash(&base.replacen(from, to, 1)), first, "{to}");
    }
}

#[test]
fn oracles_are_trained_once_and_swaps_find_them() {
    let bench = Bench::new();
    let table = bench.unlearn(&oracle("--count 3 --quiet")).ok().out;
    let rows: Vec<Vec<&str>> = table.lines().skip(2).take(3).map(|l| l.split_whitespace().collect()).collect();
    for (i, row) in rows.iter().enumerate() {
        assert_eq!((row[0], row[1].len(), *row.last().unwrap()), (format!("oracle-{}", i + 1).as_str(), 12, "new"), "{table}");
    }
    for part in ["Two oracles agree on", "Store: store"] {
        assert!(table.contains(part), "{table}");
    }
    let ran = bench.unlearn(&oracle("--count 5 --json")).ok();
    let json = ran.json();
    let there: Vec<bool> = json["oracles"].as_array().unwrap().iter().map(|o| !o["new"].as_bool().unwrap()).collect();
    assert_eq!(there, [true, true, true, false, false]);
    assert_eq!(units(&bench.path("store")).len(), 5);
    // Written in the file, `oracles`: one setting, two names.
    bench.write(
        "task.toml",
        "data = \"blobs\"\narch = \"mlp\"\nepochs = 2\nbatch = 64\nlr = 0.005\nforget = \"2\"\nlearn = \"5\"\noracles = 5\nstore = \"store\"\n",
    );
    let mut from_file = bench.command("oracle --config task.toml --json --quiet");
    from_file.env_remove("UNLEARN_STORE");
    let again: serde_json::Value = serde_json::from_slice(&from_file.output().unwrap().stdout).unwrap();
    let all = |json: &serde_json::Value, key: &str| json["oracles"].as_array().unwrap().iter().map(|o| o[key].clone()).collect::<Vec<_>>();
    assert_eq!(all(&again, "hash"), all(&json, "hash"));
    assert!(all(&again, "new").iter().all(|n| n == false), "{again}");
    // What a swap says of them is what is said here.
    let swapped = bench.unlearn(&swap("run", "--oracles 5")).ok();
    assert!((1..=5).all(|i| swapped.err.contains(&format!("oracle-{i}: from the store"))), "{}", swapped.err);
    let scores = bench.scores("run");
    let agreement = json["oracle_agreement"].as_f64().unwrap();
    assert!((scores.oracle_agreement.unwrap() - agreement).abs() < 1e-12);
    assert!(swapped.out.contains(&format!("two oracles agree on {:.1} %", 100.0 * agreement)), "{}", swapped.out);
    for (i, o) in json["oracles"].as_array().unwrap().iter().enumerate() {
        let value =
            |metric: &str| scores.scores.iter().find(|s| s.model == format!("oracle-{}", i + 1) && s.metric == metric).unwrap().value.unwrap();
        assert!((value("retain_test") - o["retain_test"].as_f64().unwrap()).abs() < 1e-12);
        assert!((value("new_test") - o["learn_test"].as_f64().unwrap()).abs() < 1e-12);
        assert!(bench.read(o["file"].as_str().unwrap()) == bench.read(&format!("run/models/oracle-{}.safetensors", i + 1)));
    }
    // Of the original's classes and architecture, where one is given.
    bench.unlearn(&format!("train {TINY} --quiet --classes 0,1,2,3 --out original.safetensors")).ok();
    let of_model = bench.unlearn(&oracle("--count 1 --model original.safetensors --quiet --json").replace("--arch mlp", "")).ok().json();
    let file = of_model["oracles"][0]["file"].as_str().unwrap().to_string();
    let metadata = bench.unlearn(&format!("inspect {file} --json")).ok().json();
    assert_eq!(metadata["metadata"]["class_map"], serde_json::json!([0, 1, 5, 3]));
    assert_eq!(metadata["metadata"]["architecture"], "mlp");
    // Too few for a verdict are made, and said to be.
    assert!(bench.unlearn(&oracle("--count 2 --quiet")).ok().out.contains("fewer than 3 has no verdict"));
}

#[test]
fn without_a_store_nothing_is_kept() {
    let bench = Bench::new();
    bench.unlearn(&swap("run", "--oracles 1 --quiet").replace("--store store", "--store none")).ok();
    assert_eq!(bench.entries(), ["run"]);
    bench.unlearn(&oracle("").replace("--store store", "--store none")).refused(&["--store: no store", "trained and lost", "UNLEARN_STORE"]);
    bench.unlearn(&oracle("--count 0")).refused(&["--count 0", "nothing would be trained"]);
    bench.unlearn(&oracle("--count 1 --oracles 2")).refused(&["--count", "--oracles"]);
    bench.unlearn(&oracle("--validation 0.1")).refused(&["validation", "leave it out"]);
    bench.unlearn(&oracle("").replace(SWAP, "")).refused(&["--forget", "missing"]);
    assert_eq!(bench.entries(), ["run"]);
    bench.write("file", "mine");
    bench.unlearn(&swap("other", "").replace("--store store", "--store file")).refused(&["--store file", "no folder can be made there"]);
    assert_eq!(bench.read("file"), b"mine");
    assert_eq!(bench.entries(), ["file", "run"], "a refused run leaves nothing");
}

#[cfg(target_os = "linux")]
#[test]
fn the_default_store_is_in_the_cache_and_one_that_can_only_be_read_is_read() {
    let bench = Bench::new();
    let mut plain = bench.command(&swap("run", "--oracles 1 --quiet").replace("--store store", ""));
    assert!(plain.env_remove("UNLEARN_STORE").output().unwrap().status.success());
    assert_eq!(units(&bench.path("cache/unlearn/store")).len(), 2);
    // An empty variable is no folder, and none of the default.
    let mut empty = bench.command(&format!("oracle {TINY} {SWAP} --count 1 --quiet"));
    let output = empty.env("UNLEARN_STORE", "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("--store") && said.contains("name a folder"), "{said}");
    // Where the cache can't be made, a run goes on without; a store that was asked for is not passed over.
    let mut homeless = bench.command(&swap("homeless", "--oracles 0 --quiet").replace("--store store", ""));
    let output = homeless.env_remove("UNLEARN_STORE").env("XDG_CACHE_HOME", "/proc/nowhere").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && err.contains("warning: trained models are not kept for later runs"), "{err}");
    // Nobody can write there, root neither.
    let ran = bench.unlearn(&swap("reader", "--oracles 1 --quiet").replace("--store store", "--store /proc")).ok();
    assert!(ran.err.contains("/proc: can't be written to"), "{}", ran.err);
    bench.unlearn(&oracle("").replace("--store store", "--store /proc")).refused(&["--store /proc", "can't be written to"]);
}

#[test]
fn two_that_fill_one_store_at_once_agree() {
    let bench = Bench::new();
    let begun: Vec<_> = (0..2).map(|_| bench.command(&oracle("--count 3 --quiet")).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut child in begun {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(units(&bench.path("store")).len(), 3);
    let ran = bench.unlearn(&oracle("--count 3")).ok();
    assert!(!ran.err.contains("warning") && (1..=3).all(|i| ran.err.contains(&format!("oracle-{i}: from the store"))), "{}", ran.err);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_whole_oracles_and_the_same_command_goes_on() {
    let bench = Bench::new();
    let line = oracle("--count 3").replace("--epochs 2", "--epochs 100");
    let one_is_finished = || bench.path("store").is_dir() && names_in(&bench.path("store")).iter().any(|n| n.ends_with(".json"));
    let ran = bench.interrupted(&line, one_is_finished);
    assert!(ran.out.is_empty() && ran.err.contains("the same command again, which goes on with it"), "{}", ran.err);
    let kept = units(&bench.path("store")).len();
    assert!((1..3).contains(&kept), "{kept} units");
    let ran = bench.unlearn(&line).ok();
    assert!(ran.err.contains("oracle-1: from the store") && ran.err.contains("oracle-3: epoch 100/100"), "{}", ran.err);
    assert_eq!(units(&bench.path("store")).len(), 3);
}
