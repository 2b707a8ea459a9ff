//! `unlearn audit`: what it says of files is what a run says of the same models, and it changes none of them.

mod common;

use common::{Bench, SWAP, tree};
use unlearn::audit::ProbeSamples;
use unlearn::data::{ClassId, Labelled, Samples, Slot};
use unlearn::model::Classifier;
use unlearn::model::checkpoint::{self, Metadata, Without};
use unlearn::summary::{ControlKind, ModelKind, SampleScores, Score, Scores};
use unlearn::train;

const ORACLES: &str = "--oracle run/models/oracle-1.safetensors --oracle run/models/oracle-2.safetensors --oracle run/models/oracle-3.safetensors";
const SUBJECTS: &str = "run/models/finetune.safetensors run/models/masked-weights.safetensors";

/// A finished run of two methods and the controls, in folder `run`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.swap("run", "--oracles 3 --methods finetune,masked-weights");
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
    // The run's controls are no files here: they are made anew, to the same figures.
    assert_eq!(kinds[4..], [ModelKind::Subject, ModelKind::Subject, ModelKind::Control, ModelKind::Control, ModelKind::Control]);
    assert_eq!(audited.controls, run.controls);
    // What it leaves is a run directory: a page, and all that `report` needs.
    assert!(text.contains("finetune") && text.contains("audited/report.html"), "{text}");
    let page = bench.read("audited/report.html");
    bench.unlearn("report audited --quiet").ok();
    assert!(bench.read("audited/report.html") == page);
}

#[test]
fn read_outs_are_fitted_on_as_many_images_as_asked_for() {
    let bench = bench();
    let run = bench.scores("run");
    let by = |scores: &Scores, audit: &str| -> Vec<Option<f64>> {
        scores.scores.iter().filter(|s| s.audit == audit && s.model == "finetune").map(|s| s.value).collect()
    };
    // The made-up set has less than what is read by default.
    bench.unlearn("audit run --probe-samples all --quiet").ok();
    let all = bench.scores("run");
    assert_eq!(all.task.probe_samples, ProbeSamples::All);
    assert_eq!((by(&all, "probe"), by(&all, "mlp-probe")), (by(&run, "probe"), by(&run, "mlp-probe")));
    let line = format!("audit {SUBJECTS} --original run/models/original.safetensors {ORACLES} {SWAP} --probe-samples 100 --out few --quiet");
    bench.unlearn(&line).ok();
    let few = bench.scores("few");
    assert_eq!(few.task.probe_samples, ProbeSamples::AtMost(100));
    for audit in ["probe", "mlp-probe", "nearest-mean"] {
        assert_ne!(by(&few, audit), by(&run, audit), "{audit}");
    }
    assert_eq!(by(&few, "accuracy"), by(&run, "accuracy"));
    let page = String::from_utf8(bench.read("few/report.html")).unwrap();
    assert!(page.contains("read-outs from 100 training images at most"));
    // Every figure says of itself whether it is judged.
    assert!(page.contains("<code>zrf</code>: in index; shown, not judged"));
    // The directory says how it was audited, so that it is audited so again; a run that is begun so is.
    bench.unlearn("audit few --quiet").refused(&["no such file"]);
    bench.swap("fewer", "--oracles 3 --methods finetune --controls false --probe-samples 100");
    assert!(String::from_utf8(bench.read("fewer/config.toml")).unwrap().contains("probe-samples = 100"));
    let fewer = bench.scores("fewer");
    bench.unlearn("audit fewer --quiet").ok();
    assert_eq!((bench.scores("fewer").task.probe_samples, by(&bench.scores("fewer"), "probe")), (fewer.task.probe_samples, by(&fewer, "probe")));
    bench.unlearn("audit run --probe-samples 10 --quiet").refused(&["`10` is no number of training images", "25 or more, or `all`"]);
}

#[test]
fn every_verdict_has_its_controls() {
    let bench = bench();
    let run = bench.scores("run");
    let names = |scores: &Scores| scores.controls.iter().map(|c| (c.model.clone(), c.what, c.must_match)).collect::<Vec<_>>();
    let expected: Vec<(String, ControlKind, bool)> = [
        ("original", ControlKind::Original, false),
        ("oracle-1", ControlKind::HeldOutOracle, true),
        ("oracle-2", ControlKind::HeldOutOracle, true),
        ("oracle-3", ControlKind::HeldOutOracle, true),
        ("logit-mask", ControlKind::Hiding, false),
        ("head-distil", ControlKind::Hiding, false),
        ("random-init", ControlKind::Untrained, false),
    ]
    .map(|(model, what, must)| (model.to_string(), what, must))
    .into();
    assert_eq!(names(&run), expected, "though --methods names none of them");
    for control in &run.controls {
        let verdict = run.verdict.iter().find(|v| v.model == control.model).unwrap();
        assert_eq!((&control.verdict, control.behaves), (&verdict.verdict, Some((verdict.verdict == "matched") == control.must_match)));
    }
    let page = String::from_utf8(bench.read("run/report.html")).unwrap();
    assert!(page.contains("held-out oracles are matched, as they must be") && page.contains("random-init"), "the page says how they did");

    // Without the original only what was never trained can be made, and the report says what that leaves open.
    bench.unlearn(&format!("audit {SUBJECTS} {ORACLES} {SWAP} --out alone --quiet")).ok();
    let alone = bench.scores("alone");
    assert_eq!(alone.controls.iter().filter(|c| !c.must_match).map(|c| c.model.as_str()).collect::<Vec<_>>(), ["random-init"]);
    assert!(alone.warnings.iter().any(|w| w.contains("Give --original")), "{:?}", alone.warnings);
    // Told to, it leaves them out, and says so.
    let original = "--original run/models/original.safetensors";
    bench.unlearn(&format!("audit {SUBJECTS} {original} {ORACLES} {SWAP} --controls false --out without --quiet")).ok();
    let without = bench.scores("without");
    assert!(without.controls.iter().all(|c| matches!(c.what, ControlKind::Original | ControlKind::HeldOutOracle)), "{:?}", without.controls);
    assert!(without.warnings.iter().any(|w| w.contains("`controls` is false")), "{:?}", without.warnings);
    // A file by a control's name is a subject like others.
    bench.unlearn(&format!("audit run/models/logit-mask.safetensors {original} {ORACLES} {SWAP} --out named --quiet")).ok();
    let named = bench.scores("named");
    let kind = |name: &str| named.verdict.iter().find(|v| v.model == name).map(|v| v.kind);
    assert_eq!((kind("logit-mask"), kind("control-logit-mask")), (Some(ModelKind::Subject), Some(ModelKind::Control)));
}

#[test]
fn a_run_says_whether_it_has_controls() {
    let bench = Bench::new();
    let bare = bench.swap("bare", "--oracles 3 --methods finetune --controls false");
    assert!(bare.verdict.iter().all(|v| v.kind != ModelKind::Control), "{:?}", bare.verdict);
    assert!(bare.warnings.iter().any(|w| w.contains("`controls` is false")), "{:?}", bare.warnings);
    // Its own configuration makes the same run, and goes on with it.
    bench.unlearn("swap --config bare/config.toml --out again --quiet").ok();
    assert_eq!(common::without_cost(&bench.scores("again")), common::without_cost(&bare));
    bench.unlearn("swap --config bare/config.toml --out bare --resume --quiet").ok();
    bench.unlearn("swap --config bare/config.toml --controls true --out bare --resume --quiet").refused(&[
        "--resume bare",
        "`controls` was false",
        "choose another directory",
    ]);
    // Audited again it stays as it was; told to, the audit makes controls, and again without taking them for the run's.
    bench.unlearn("audit bare --quiet").ok();
    assert_eq!(bench.scores("bare"), bare);
    for _ in 0..2 {
        bench.unlearn("audit bare --controls true --quiet").ok();
        let names: Vec<String> = bench.scores("bare").verdict.iter().filter(|v| v.kind == ModelKind::Control).map(|v| v.model.clone()).collect();
        assert_eq!(names, ["logit-mask", "head-distil", "random-init"]);
    }
    assert!(!bench.path("bare/models/logit-mask.safetensors").exists());
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
fn models_of_several_architectures_are_not_set_beside_each_other() {
    let bench = bench();
    let (model, metadata, _) = checkpoint::load(&bench.path("run/models/finetune.safetensors"), &unlearn::device::open("cpu").unwrap()).unwrap();
    let other = Classifier::new("cnn-s", model.spec().input, model.spec().slots, 1, &unlearn::device::open("cpu").unwrap()).unwrap();
    written(&bench, "other", &other, &metadata.class_map);
    let refused = ["other.safetensors: it is a cnn-s, the models to compare it with are mlp", "of its own architecture"];
    bench.unlearn(&format!("audit other.safetensors {ORACLES} {SWAP} --out out")).refused(&refused);
    bench.unlearn(&format!("audit other.safetensors --original run/models/original.safetensors {SWAP} --out out")).refused(&refused);
    assert!(!bench.path("out").exists());
    // Beside each other, with nothing to be judged by, any may stand.
    bench.unlearn(&format!("audit other.safetensors run/models/finetune.safetensors {SWAP} --out out")).ok();
}

#[test]
fn files_of_one_name_are_told_apart() {
    let bench = bench();
    std::fs::create_dir(bench.path("other")).unwrap();
    std::fs::copy(bench.path("run/models/masked-weights.safetensors"), bench.path("other/finetune.safetensors")).unwrap();
    bench.unlearn(&format!("audit run/models/finetune.safetensors other/finetune.safetensors {SWAP} --out audited")).ok();
    let scores = bench.scores("audited");
    let names: Vec<&str> = scores.verdict.iter().map(|v| v.model.as_str()).collect();
    assert_eq!(names, ["finetune", "finetune-2"]);
    let of = |name: &str| scores.scores.iter().filter(|s| s.model == name).map(|s| s.value).collect::<Vec<_>>();
    assert_ne!(of("finetune"), of("finetune-2"));

    // `outputs/samples.json` is what every model is shown beside.
    std::fs::rename(bench.path("other/finetune.safetensors"), bench.path("other/samples.safetensors")).unwrap();
    bench.unlearn(&format!("audit other/samples.safetensors {SWAP} --out reserved")).ok();
    assert_eq!(bench.scores("reserved").verdict[0].model, "samples-2");
    bench.unlearn("report reserved --quiet").ok();
}

#[cfg(unix)]
#[test]
fn an_audit_that_is_broken_off_leaves_nothing() {
    let bench = bench();
    let line = format!("audit {SUBJECTS} --original run/models/original.safetensors {ORACLES} {SWAP} --out audited");
    let ran = bench.interrupted(&line, || bench.path("audited/config.toml").is_file());
    assert!(ran.out.is_empty() && !bench.path("audited").exists(), "{}", ran.err);
    bench.unlearn(&line).ok();
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
    let line = format!("audit run/models/finetune.safetensors --original run/models/original.safetensors {ORACLES} --forget 2 --out audited --quiet");
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

/// Writes `model` of these classes, trained on blobs, into the bench.
fn written(bench: &Bench, name: &str, model: &Classifier, classes: &[u16]) {
    written_without(bench, name, model, classes, None);
}

/// The same of a model that says which samples it was trained without.
fn written_without(bench: &Bench, name: &str, model: &Classifier, classes: &[u16], gone: Option<&[usize]>) {
    written_by("train", bench, name, model, classes, gone);
}

/// The same, and what it was made by.
fn written_by(made_by: &str, bench: &Bench, name: &str, model: &Classifier, classes: &[u16], gone: Option<&[usize]>) {
    let metadata = Metadata {
        format: checkpoint::FORMAT,
        architecture: model.spec().architecture.clone(),
        input: model.spec().input,
        dataset: "blobs".into(),
        class_map: classes.to_vec(),
        class_names: classes.iter().map(|c| common::blobs().class_name(ClassId(*c)).to_string()).collect(),
        made_by: made_by.into(),
        seed: 0,
        config_hash: name.into(),
        parents: vec![],
        version: "0".into(),
        training: None,
        without: gone.map(|gone| Without::these(&Samples::of_numbers(&common::blobs().train, gone.iter().copied()))),
    };
    checkpoint::save(&bench.path(&format!("{name}.safetensors")), model, &metadata).unwrap();
}

#[test]
fn samples_that_were_to_be_forgotten_are_attacked() {
    let (bench, dataset, classes) = (Bench::new(), common::blobs(), [0u16, 1, 2, 3]);
    let map = common::map(&classes);
    // Every third training image of the four classes is to be forgotten.
    let all: Vec<usize> = (0..dataset.train.len()).filter(|i| map.slot(dataset.train.labels[*i]).is_some()).collect();
    let forget: Vec<usize> = all.iter().copied().step_by(3).collect();
    let retain: Vec<usize> = all.iter().copied().filter(|i| !forget.contains(i)).collect();
    let trained = |name: &str, numbers: &[usize]| {
        let mut ctx = common::context(name, &dataset, 150);
        let fresh = Classifier::new("mlp", dataset.shape(), map.len(), ctx.seed, &ctx.device).unwrap();
        let mut data = Labelled::new(Samples::of_numbers(&dataset.train, numbers.iter().copied()), &map);
        // Wrong labels among the others make a network learn images by heart.
        for (slot, number) in data.slots.iter_mut().zip(numbers).filter(|(_, n)| **n % 2 == 1 && !forget.contains(n)) {
            *slot = slot.map(|Slot(s)| Slot((s + 1 + number % 3) % 4));
        }
        let settings = ctx.settings.clone();
        let gone = (numbers.len() < all.len()).then_some(&forget[..]);
        written_without(&bench, name, &train::fit(fresh, &data, &settings, &mut ctx).unwrap(), &classes, gone);
    };
    trained("original", &all);
    for name in ["retrained", "oracle-1", "oracle-2", "oracle-3"] {
        trained(name, &retain);
    }
    let lines: Vec<String> = forget.iter().map(usize::to_string).collect();
    bench.write("forget.txt", format!("# every third\n\n{}\n", lines.join("\n")));
    let oracles: String = (1..=3).map(|i| format!("--oracle oracle-{i}.safetensors ")).collect();
    let line = format!("audit retrained.safetensors --original original.safetensors {oracles} --forget-samples forget.txt");
    let text = bench.unlearn(&format!("{line} --out found")).ok().out;
    assert!(text.contains("80 training samples that were to be forgotten from 120 unseen ones of the same classes"), "{text}");
    assert!(text.contains("Limits – ") && text.contains("Held out, 3 of 3 oracles are matched"), "{text}");
    let found: SampleScores = serde_json::from_slice(&bench.read("found/samples.json")).unwrap();
    let of = |model: &str, metric: &str| found.scores.iter().find(|s| s.model == model && s.metric == metric).unwrap();
    let value = |model: &str, metric: &str| of(model, metric).value.unwrap();
    for attack in ["loss_auc", "logistic_auc", "lira_auc", "rmia_auc"] {
        let (original, retrained) = (value("original", attack), value("retrained", attack));
        assert!(original > retrained + 0.05, "{attack}: the original remembers, {original}, one that never saw them does not, {retrained}");
        let (low, high) = (value("original", &format!("{attack}_low")), value("original", &format!("{attack}_high")));
        assert!(low < original && original < high, "{attack}: {low} to {high}");
    }
    let word = |model: &str| found.verdict.iter().find(|v| v.model == model).unwrap().verdict.as_str();
    assert_eq!((word("original"), word("retrained")), ("under-erased", "matched"));
    assert!(found.controls.iter().all(|c| c.behaves == Some(true)) && found.controls.len() == 4, "{:?}", found.controls);
    assert_eq!(found.warnings, Vec::<String>::new());
    // 120 unseen images tell 1 % from 0, not 0.1 %; the reason stands with the figure and beneath the table.
    assert!(of("retrained", "loss_tpr_at_1pct_fpr").value.is_some());
    let undefined = of("retrained", "loss_tpr_at_01pct_fpr");
    assert!(undefined.value.is_none() && undefined.reason.as_ref().is_some_and(|r| r.contains("here are 120")), "{undefined:?}");
    assert!(text.contains("here are 120"), "{text}");
    assert!(found.curves.iter().all(|(_, curves)| curves.len() == 3), "regression, LiRA and RMIA");
    assert_eq!(String::from_utf8(bench.read("found/samples.md")).unwrap().trim(), text.split("\nReport:").next().unwrap().trim());
    assert_eq!(
        bench.unlearn(&format!("{line} --json --quiet")).ok().json(),
        serde_json::from_slice::<serde_json::Value>(&bench.read("found/samples.json")).unwrap()
    );

    // The page has a verdict for each of the two models that are no oracles, and a plot an attack.
    let page = String::from_utf8(bench.read("found/samples.html")).unwrap();
    assert_eq!((page.matches("class=\"pill under\"").count(), page.matches("class=\"pill matched\"").count()), (1, 1));
    for part in ["80 forgotten samples", "here are 120", "3 of 3 held-out oracles are matched"] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<figure>").count(), 3, "regression, LiRA and RMIA");
    assert!(!page.contains("http"), "it needs no other file");

    // Without references the thresholds and the regression are left, without verdict.
    let alone = bench.unlearn("audit retrained.safetensors --forget-samples forget.txt --json --quiet").ok().json();
    let alone: SampleScores = serde_json::from_value(alone).unwrap();
    assert!(alone.verdict.iter().all(|v| v.verdict == "no verdict") && alone.warnings[0].starts_with("0 oracle(s)"), "{:?}", alone.warnings);
    let lira = alone.scores.iter().find(|s| s.metric == "lira_auc").unwrap();
    assert!(lira.value.is_none() && lira.reason.is_some(), "{lira:?}");
    assert_eq!(alone.scores.iter().find(|s| s.metric == "loss_auc").unwrap().value, of("retrained", "loss_auc").value);
}

#[test]
fn oracles_of_other_samples_are_refused() {
    let (bench, map) = (Bench::new(), common::map(&[0, 1]));
    let dataset = common::blobs();
    let net = |name: &str, epochs| common::trained(name, "mlp", &dataset, &map, epochs);
    let [a, b, c]: [usize; 3] =
        dataset.train.labels.iter().enumerate().filter(|(_, l)| l.0 < 2).map(|(i, _)| i).take(3).collect::<Vec<_>>().try_into().unwrap();
    written(&bench, "original", &net("original", 1), &[0, 1]);
    written_without(&bench, "these", &net("these", 2), &[0, 1], Some(&[b, a]));
    written_without(&bench, "others", &net("others", 3), &[0, 1], Some(&[a, c]));
    written(&bench, "silent", &net("silent", 4), &[0, 1]);
    bench.write("list.txt", format!("{a}\n{b}\n"));
    let audit = |rest: &str| bench.unlearn(&format!("audit original.safetensors {rest} --forget-samples list.txt --json --quiet"));
    audit("--oracle others.safetensors").refused(&["others", "without 2 samples that are not the 2 of list.txt", "train --without LIST"]);
    written_by("finetune@b", &bench, "tuned", &net("tuned", 5), &[0, 1], Some(&[a, b]));
    audit("--oracle tuned.safetensors").refused(&["--oracle tuned.safetensors", "made by finetune@b, not trained from scratch", "unlearn oracle"]);
    audit("--original these.safetensors").refused(&["these", "without the samples of list.txt", "--oracle"]);
    let warned = |rest: &str| -> bool {
        let found: SampleScores = serde_json::from_value(audit(rest).ok().json()).unwrap();
        found.warnings.iter().any(|w| w.starts_with("Whether silent never saw these samples is not known"))
    };
    assert!(warned("--oracle these.safetensors --oracle silent.safetensors"));
    assert!(!warned("--oracle these.safetensors"));
}

#[test]
fn bad_lists_of_samples_are_refused() {
    let bench = Bench::new();
    written(&bench, "model", &common::trained("model", "mlp", &common::blobs(), &common::map(&[0, 1]), 1), &[0, 1]);
    written(&bench, "other", &common::trained("model", "mlp", &common::blobs(), &common::map(&[1, 0]), 1), &[1, 0]);
    for (list, parts) in [
        ("", &["list.txt", "lists no sample"][..]),
        ("0\nsix\n", &["list.txt, line 2", "`six` is no number", "one a line"]),
        ("0\n360\n", &["list.txt, line 2", "sample 360, and blobs has 360 training samples", "count from 0"]),
        ("4\n5\n4 # again\n", &["list.txt, line 3", "sample 4 again", "once"]),
        ("359\n", &["list.txt", "a sample of class sides", "no slot"]),
    ] {
        bench.write("list.txt", list);
        bench.unlearn("audit model.safetensors --forget-samples list.txt --out out").refused(parts);
        assert!(!bench.path("out").exists());
    }
    bench.write("list.txt", "0\n");
    bench.unlearn("audit model.safetensors other.safetensors --forget-samples list.txt").refused(&["other.safetensors", "classes stay"]);
    bench.unlearn("audit model.safetensors --oracle model.safetensors --forget-samples list.txt").refused(&["the same model as model.safetensors"]);
    bench.unlearn("audit model.safetensors --forget-samples none.txt").refused(&["none.txt"]);
    bench.unlearn("audit model.safetensors --forget-samples list.txt --forget 1").refused(&["--forget-samples", "cannot be used with"]);
}
