//! `unlearn study` from the outside.

mod common;

use common::Bench;

#[test]
fn a_study_swaps_its_pairs_and_sums_them_up() {
    let bench = Bench::new();
    let line = "study --data blobs --pairs 2 --seed 4 --oracles 1 --methods finetune --out out --threads 2";
    let report = bench.unlearn(&format!("{line} --json")).json();
    assert_eq!((report["format"].as_u64(), report["oracles"].as_u64()), (Some(1), Some(1)));
    let rows = report["rows"].as_array().unwrap();
    let methods = report["methods"].as_array().unwrap();
    assert_eq!(methods.iter().map(|m| m["method"].as_str().unwrap()).take(3).collect::<Vec<_>>(), ["finetune", "logit-mask", "head-distil"]);
    assert_eq!(rows.len(), 2 * methods.len(), "a row a pair and model");
    for row in rows {
        // One oracle is no band.
        assert_eq!(row["verdict"], "no verdict");
        let run = row["run"].as_str().unwrap();
        assert!(bench.path("out").join(run).join("scores.json").is_file(), "{run}");
        assert_ne!(row["forget"], row["learn"]);
    }
    assert!(methods.iter().all(|m| m["pairs"] == 2 && m["matched"] == 0));
    // Its time is compared with the oracle's, which had as many threads.
    assert!(
        rows.iter()
            .filter(|r| r["model"] == "finetune")
            .all(|r| r["cost_share"].as_f64().unwrap() > 0.0 && r["passes_share"].as_f64().unwrap() < 0.5)
    );
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&bench.read("out/study.json")).unwrap(), report);

    // A directory that is there is not touched unless asked for, and then what is finished is not found again, what is not is.
    bench.unlearn(line).refused(&["--out out", "--resume"]);
    let (found, page) = (bench.read("out/study.json"), bench.read("out/study.html"));
    let runs: Vec<String> =
        ["1", "2"].map(|n| rows.iter().map(|r| r["run"].as_str().unwrap()).find(|r| r.starts_with(&format!("pair-{n}"))).unwrap().into()).to_vec();
    bench.write(&format!("out/{}/report.html", runs[0]), "as it was");
    std::fs::remove_file(bench.path(&format!("out/{}/report.html", runs[1]))).unwrap();
    bench.unlearn(&format!("{line} --resume")).ok();
    assert_eq!((bench.read("out/study.json"), bench.read("out/study.html")), (found, page));
    assert_eq!(bench.read(&format!("out/{}/report.html", runs[0])), b"as it was");
    assert!(bench.read(&format!("out/{}/report.html", runs[1])).starts_with(b"<!DOCTYPE html>"));
    // With other settings it is another study.
    bench.unlearn(&format!("{} --resume", line.replace("--oracles 1", "--oracles 2"))).refused(&["begun with another configuration", "oracles"]);
}

#[test]
fn several_seeds_are_judged_by_the_same_oracles_and_so_is_their_mean() {
    let bench = Bench::new();
    let line = "study --data blobs --pairs 1 --seed 4 --oracles 3 --methods finetune --out out --threads 2";
    bench.unlearn(line).ok();
    // A study of one seed goes on to two.
    let report = bench.unlearn(&format!("{line} --seeds 2 --resume --json")).json();
    let rows = report["rows"].as_array().unwrap();
    let means = report["means"].as_array().unwrap();
    assert_eq!(rows.len(), 2 * means.len());
    let run = |seed: u64| rows.iter().find(|r| r["seed"] == seed).unwrap()["run"].as_str().unwrap().to_string();
    assert_eq!(run(5), format!("{}-seed-5", run(4)));
    let model = |seed: u64, name: &str| bench.read(&format!("out/{}/models/{name}.safetensors", run(seed)));
    assert!(model(4, "oracle-2") == model(5, "oracle-2"), "one band of oracles");
    assert!(model(4, "original") != model(5, "original") && model(4, "finetune") != model(5, "finetune"), "each its own original and swap");

    let scores = |path: String| serde_json::from_slice::<serde_json::Value>(&bench.read(&path)).unwrap();
    let value = |scores: &serde_json::Value| {
        let of = |s: &&serde_json::Value| s["model"] == "finetune" && s["audit"] == "accuracy" && s["metric"] == "new_test";
        scores["scores"].as_array().unwrap().iter().find(of).unwrap()["value"].as_f64().unwrap()
    };
    let one_by_one = [4, 5].map(|seed| value(&scores(format!("out/{}/scores.json", run(seed)))));
    let mean = value(&scores(format!("out/{}.json", means[0]["run"].as_str().unwrap())));
    assert!((mean - (one_by_one[0] + one_by_one[1]) / 2.0).abs() < 1e-12, "{one_by_one:?} {mean}");
    assert_eq!(report["methods"][0]["swaps"], 2);
    let table = String::from_utf8(bench.read("out/study.md")).unwrap();
    assert!(table.contains("Means over the seeds") && table.contains(&run(5)), "{table}");

    // Where nothing is to be kept elsewhere, the second seed still finds the first one's oracle.
    bench.unlearn("study --data blobs --pairs 1 --seeds 2 --oracles 1 --methods finetune --out alone --threads 2 --store none").ok();
    let kept =
        std::fs::read_dir(bench.path("alone/store")).unwrap().filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "safetensors"));
    assert_eq!(kept.count(), 3, "two originals and one oracle");
}

#[test]
fn every_method_can_be_studied() {
    let bench = Bench::new();
    let report = bench.unlearn("study --data blobs --pairs 1 --oracles 0 --epochs 1 --methods all --out out --threads 2 --json").json();
    let methods: Vec<&str> = report["methods"].as_array().unwrap().iter().map(|m| m["method"].as_str().unwrap()).collect();
    let all: Vec<&str> = unlearn::method::METHODS.iter().map(|m| m.name).chain(["random-init"]).collect();
    assert_eq!(methods, all);
}

#[test]
fn a_study_of_nothing_is_refused() {
    let bench = Bench::new();
    bench.unlearn("study --data blobs --pairs 0 --out out").refused(&["--pairs 0"]);
    bench.unlearn("study --data blobs --seeds 0 --out out").refused(&["--seeds 0"]);
    bench.unlearn("study --data blobs --seed 18446744073709551615 --seeds 2 --out out").refused(&["18446744073709551615", "smaller"]);
    bench.unlearn("study --data blobz --out out").refused(&["blobz"]);
    // What a method is by its bare name, every study agrees on.
    bench.unlearn("study --data blobs --set regrow.budget=0.3 --out out").refused(&["`regrow` by its default settings", "--set regrow@b.budget=0.3"]);
    bench.unlearn("study --data blobs --set regrow@b.budget=0.3 --out out").refused(&["`regrow@b` is not among the methods", "--methods"]);
    assert!(!bench.path("out").exists());
}

#[test]
fn a_variant_stands_beside_the_default() {
    let bench = Bench::new();
    bench.write("study.toml", "set = [\"finetune@1.epochs=2\"]\nmethods = [\"finetune\", \"finetune@1\"]\n");
    let line = "study --config study.toml --data blobs --pairs 1 --oracles 0 --out out --threads 2 --set finetune@1.epochs=1";
    let report = bench.unlearn(&format!("{line} --json")).json();
    assert_eq!(report["set"], serde_json::json!(["finetune@1.epochs=2", "finetune@1.epochs=1"]), "the flag comes last, and wins");
    let run = report["rows"][0]["run"].as_str().unwrap().to_string();
    let config: toml::Table = String::from_utf8(bench.read(&format!("out/{run}/config.toml"))).unwrap().parse().unwrap();
    let epochs = |name: &str| config["method"][name]["epochs"].as_integer();
    assert!(epochs("finetune@1") == Some(1) && epochs("finetune") > Some(1), "{:?}", epochs("finetune"));
    let page = String::from_utf8(bench.read("out/study.html")).unwrap();
    assert!(page.contains("finetune@1.epochs=1"));
}

#[test]
fn a_study_is_described_by_a_file_that_flags_win_over() {
    let bench = Bench::new();
    bench.write("study.toml", "data = \"blobs\"\npairs = 3\nseed = 4\noracles = 0\nmethods = [\"finetune\"]\nthreads = 2\n");
    let report = bench.unlearn("study --config study.toml --pairs 1 --out out --json").json();
    assert_eq!((report["seed"].as_u64(), report["oracles"].as_u64(), report["dataset"].as_str()), (Some(4), Some(0), Some("blobs")));
    assert!(report["methods"].as_array().unwrap().iter().all(|m| m["pairs"] == 1));

    bench.write("bad.toml", "data = \"blobs\"\npair = 3\n");
    bench.unlearn("study --config bad.toml --out other").refused(&["bad.toml", "unknown key `pair`", "did you mean `pairs`?"]);
    bench.unlearn("study --out other").refused(&["--data", "which data set", "--data mnist"]);
    bench.unlearn("study --data blobs --pairs 0 --out other").refused(&["--pairs 0", "nothing would be swapped"]);
    assert!(!bench.path("other").exists());
}

#[test]
fn trainings_are_as_long_as_asked() {
    let bench = Bench::new();
    let line = "study --data blobs --pairs 1 --oracles 1 --methods finetune --out out --threads 2";
    bench.unlearn(&format!("{line} --epochs 0")).refused(&["--epochs 0", "nothing would be trained"]);
    let report = bench.unlearn(&format!("{line} --epochs 7 --json")).json();
    assert_eq!(report["epochs"], 7);
    let config = String::from_utf8(bench.read(&format!("out/{}/config.toml", report["rows"][0]["run"].as_str().unwrap()))).unwrap();
    assert!(config.contains("epochs = 7"), "{config}");
    assert!(String::from_utf8(bench.read("out/study.html")).unwrap().contains("<strong>7 epochs</strong> a training"));
    bench.unlearn(&format!("{line} --resume")).refused(&["begun with another configuration", "epochs"]);
}

#[test]
fn pairs_can_be_named() {
    let bench = Bench::new();
    let line = "study --data blobs --forget centre,north-west --learn sides,centre --oracles 0 --methods finetune --out out --threads 2";
    let report = bench.unlearn(&format!("{line} --json")).json();
    assert_eq!(report["pairs"], serde_json::json!({ "forget": "centre,north-west", "learn": "sides,centre" }));
    let runs: std::collections::BTreeSet<&str> = report["rows"].as_array().unwrap().iter().map(|r| r["run"].as_str().unwrap()).collect();
    assert_eq!(runs.into_iter().collect::<Vec<_>>(), ["pair-1-4-5", "pair-2-0-4"]);
    bench.unlearn(&format!("{line} --resume")).ok();
    // All of them are looked at before any work.
    bench.unlearn("study --data blobs --forget centre,sides --learn sides,middle --out other").refused(&["--learn", "`middle` is no class of blobs"]);
    bench.unlearn("study --data blobs --pairs 1 --forget centre --learn sides --out other").refused(&["--pairs", "either drawn or named"]);
    bench.unlearn("study --data blobs --learn sides --out other").refused(&["--learn", "no old ones", "--forget"]);
    assert!(!bench.path("other").exists());
}
