//! `unlearn audit`: what it says of files is what a run says of the same models, and it changes none of them.

mod common;

use common::{Bench, SWAP, tree};
use unlearn::summary::{ModelKind, Score};

const ORACLES: &str = "--oracle run/models/oracle-1.safetensors --oracle run/models/oracle-2.safetensors --oracle run/models/oracle-3.safetensors";
const SUBJECTS: &str =
    "run/models/finetune.safetensors run/models/head-distil.safetensors run/models/masked-weights.safetensors run/models/random-init.safetensors";

/// A finished run of the three methods, in folder `run`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.swap("run", "--oracles 3 --methods finetune,head-distil,masked-weights");
    bench
}

#[test]
fn audited_files_get_the_figures_of_their_run() {
    let bench = bench();
    let before = tree(&bench.path("run"));
    let line = format!("audit {SUBJECTS} --original run/models/original.safetensors {ORACLES} {SWAP} --out audited --quiet");
    let text = bench.unlearn(&line).ok().out;
    assert!(before == tree(&bench.path("run")), "an audit reads its models and leaves them as they are");

    let (run, audited) = (bench.scores("run"), bench.scores("audited"));
    assert_eq!(audited.task, run.task);
    assert!(run.scores.len() > 100, "{} figures", run.scores.len());
    assert_eq!(audited.scores, run.scores);
    assert_eq!(audited.oracle_agreement, run.oracle_agreement);
    for (theirs, ours) in audited.verdict.iter().zip(&run.verdict) {
        assert_eq!((&theirs.model, &theirs.verdict, &theirs.failing), (&ours.model, &ours.verdict, &ours.failing));
        assert_eq!((theirs.audits_within, theirs.audits_total), (ours.audits_within, ours.audits_total));
    }
    // Nobody knows how a file was made or what it cost.
    assert!(audited.cost.is_empty());
    let kinds: Vec<ModelKind> = audited.verdict.iter().map(|v| v.kind).collect();
    assert_eq!(kinds[..4], [ModelKind::Original, ModelKind::Oracle, ModelKind::Oracle, ModelKind::Oracle]);
    assert!(kinds[4..].iter().all(|k| *k == ModelKind::Subject));
    // What it leaves is a run directory: a page, and all that `report` needs.
    assert!(text.contains("finetune") && text.contains("audited/report.html"), "{text}");
    let page = bench.read("audited/report.html");
    bench.unlearn("report audited --quiet").ok();
    assert!(bench.read("audited/report.html") == page);
}

#[test]
fn without_oracles_there_is_no_verdict() {
    let bench = bench();
    for (out, oracles, says) in [
        ("none", "", "0 oracle(s): no verdict without at least 3"),
        ("two", "--oracle run/models/oracle-1.safetensors --oracle run/models/oracle-2.safetensors", "2 oracle(s): no verdict without at least 3"),
    ] {
        let text = bench.unlearn(&format!("audit {SUBJECTS} {oracles} {SWAP} --out {out}")).ok().out;
        let scores = bench.scores(out);
        assert!(scores.verdict.iter().all(|v| v.verdict == "no verdict"), "{out}: {:?}", scores.verdict);
        assert!(scores.warnings.iter().any(|w| w.contains(says)), "{out}: {:?}", scores.warnings);
        assert!(text.contains("no verdict"), "{out}: the text says so too\n{text}");
        assert!(String::from_utf8(bench.read(&format!("{out}/report.html"))).unwrap().contains("no verdict"));
        let alone = scores.warnings.iter().any(|w| w.contains("Give --oracle, or --original"));
        assert_eq!(alone, out == "none", "{:?}", scores.warnings);
    }
    let scores = bench.scores("none");
    assert!(scores.scores.iter().all(|s| s.within.is_none() && s.oracle_mean.is_none() && s.gap.is_none() && s.z.is_none() && s.oracles == 0));
    // Figures that need no oracle are there all the same, and the same as with oracles.
    let of = |scores: &[Score], model: &str| scores.iter().find(|s| s.model == model && s.metric == "retain_test").unwrap().value;
    assert!(of(&scores.scores, "finetune").is_some());
    assert_eq!(of(&scores.scores, "finetune"), of(&bench.scores("run").scores, "finetune"));
}

#[test]
fn the_original_says_what_to_expect_where_there_are_no_oracles() {
    let bench = bench();
    let text = bench.unlearn(&format!("audit {SUBJECTS} --original run/models/original.safetensors {SWAP} --out audited")).ok().out;
    assert!(text.contains("that the original was not trained on") && text.contains("| figure") && text.contains("ridge accuracy old, "), "{text}");
    let (audited, run) = (bench.scores("audited"), bench.scores("run"));
    assert!(audited.verdict.iter().all(|v| v.verdict == "no verdict"));
    let of = |scores: &[Score]| {
        let all = scores.iter().filter(|s| s.audit == "never-seen" && !s.model.starts_with("oracle"));
        all.map(|s| (s.model.clone(), s.metric.clone(), s.cut.clone(), s.value)).collect::<Vec<_>>()
    };
    let ours = of(&audited.scores);
    assert!(ours.iter().any(|(_, metric, cut, value)| metric == "expected_ridge_accuracy_old" && cut.is_some() && value.is_some()), "{ours:#?}");
    assert!(ours.iter().any(|(model, metric, ..)| model == "finetune" && metric.starts_with("above_expected_")));
    // Oracles, where there are some, have no part in it.
    let theirs = of(&run.scores);
    assert!(ours.iter().all(|s| theirs.contains(s)));
}

#[test]
fn files_of_one_name_are_told_apart() {
    let bench = bench();
    std::fs::create_dir(bench.path("other")).unwrap();
    std::fs::copy(bench.path("run/models/head-distil.safetensors"), bench.path("other/finetune.safetensors")).unwrap();
    bench.unlearn(&format!("audit run/models/finetune.safetensors other/finetune.safetensors {SWAP} --out audited")).ok();
    let scores = bench.scores("audited");
    let names: Vec<&str> = scores.verdict.iter().map(|v| v.model.as_str()).collect();
    assert_eq!(names, ["finetune", "finetune-2"]);
    let of = |name: &str| scores.scores.iter().filter(|s| s.model == name).map(|s| s.value).collect::<Vec<_>>();
    assert_ne!(of("finetune"), of("finetune-2"));
}

#[test]
fn a_run_audited_again_says_the_same() {
    let bench = bench();
    let before = tree(&bench.path("run"));
    let json = bench.unlearn("audit run --json --quiet").ok().json();
    let after = tree(&bench.path("run"));
    for ((path, old), (_, new)) in before.iter().zip(&after) {
        assert!(old == new, "{} changed", path.display());
    }
    assert_eq!(before.len(), after.len());
    assert_eq!(json, serde_json::from_slice::<serde_json::Value>(&bench.read("run/scores.json")).unwrap());
}

#[test]
fn plain_unlearning_is_audited_by_leaving_the_new_class_out() {
    let bench = Bench::new();
    bench.unlearn(&format!("swap {} --quiet --forget 2 --oracles 3 --methods finetune --out run", common::TINY)).ok();
    let subjects = "run/models/finetune.safetensors run/models/random-init.safetensors";
    let line = format!("audit {subjects} --original run/models/original.safetensors {ORACLES} --forget 2 --out audited --quiet");
    bench.unlearn(&line).ok();
    assert_eq!(bench.scores("audited").scores, bench.scores("run").scores);
    // Without the original, its classes are the subject's and the old one: what they were in order can't be known, nor does it matter.
    // What compares with the original is undefined then.
    let with_original = |s: &Score| {
        ["weights", "pair-leak", "idi", "never-seen"].contains(&s.audit.as_str())
            || s.metric.contains("to_original")
            || s.metric == "near_old_accuracy"
    };
    bench.unlearn(&format!("audit run/models/finetune.safetensors {ORACLES} --forget south-west --out without")).ok();
    let (without, run) = (bench.scores("without").scores, bench.scores("run").scores);
    let undefined: Vec<&Score> =
        without.iter().filter(|s| with_original(s) && s.metric != "information_difference" && s.metric != "information_difference_mlp").collect();
    assert!(!undefined.is_empty() && undefined.iter().all(|s| s.value.is_none()), "{undefined:#?}");
    let ours = |scores: Vec<Score>| scores.into_iter().filter(|s| s.model == "finetune" && !with_original(s)).collect::<Vec<_>>();
    assert_eq!(ours(without), ours(run));
}
