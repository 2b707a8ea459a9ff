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

    // A directory that is there is not touched unless asked for, and then nothing is made twice.
    bench.unlearn(line).refused(&["--out out", "--resume"]);
    let events = bench.read("out/study.json");
    bench.unlearn(&format!("{line} --resume")).ok();
    assert_eq!(bench.read("out/study.json"), events);
}

#[test]
fn a_study_of_nothing_is_refused() {
    let bench = Bench::new();
    bench.unlearn("study --data blobs --pairs 0 --out out").refused(&["--pairs 0"]);
    bench.unlearn("study --data blobz --out out").refused(&["blobz"]);
    assert!(!bench.path("out").exists());
}
