//! What users and other programs see: help, lists, tables, JSON, pictures, the report and `scores.json`.

mod common;

use std::collections::BTreeSet;

use common::{Bench, SWAP, TINY, blobs, context, names_in};
use insta::assert_snapshot;
use unlearn::data::{Labelled, Samples, Slot};
use unlearn::method::{self, METHODS};
use unlearn::model::checkpoint::{self, Without};
use unlearn::summary::{Better, Content, Exhibit, ModelKind, ModelOutput, Scores};
use unlearn::{stats, train};

#[test]
fn help_of_the_program_and_of_every_command() {
    let bench = Bench::new();
    let help = bench.unlearn("--help").ok().out;
    let commands: Vec<&str> =
        help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty()).filter_map(|l| l.get(2..)?.split(' ').next()).collect();
    // A command that is added shows up here, and then wants its snapshot.
    let commands: Vec<&str> = commands.into_iter().filter(|c| !c.is_empty() && *c != "help").collect();
    assert_eq!(commands, ["demo", "train", "swap", "oracle", "study", "audit", "report", "compare", "list", "inspect", "data"]);
    assert_snapshot!("help", help);
    for command in commands {
        assert_snapshot!(format!("help-{command}"), bench.unlearn(&format!("{command} --help")).ok().out);
    }
    for command in ["list", "show", "fetch"] {
        assert_snapshot!(format!("help-data-{command}"), bench.unlearn(&format!("data {command} --help")).ok().out);
    }
    // Without arguments the same help, as a refusal; the short form differs from it in nothing.
    let bare = bench.unlearn("").ended(2);
    assert_eq!(bare.err, bench.unlearn("-h").ok().out);
}

#[test]
fn lists_as_text() {
    let bench = Bench::new();
    for what in ["methods", "audits", "models", "data"] {
        assert_snapshot!(format!("list-{what}"), bench.unlearn(&format!("list {what}")).ok().out);
    }
    insta::with_settings!({ filters => vec![("Data directory: .*?\\. Also", "Data directory: [DIR]. Also")] }, {
        assert_snapshot!("data-list", bench.unlearn("data list --data-dir here").ok().out);
    });
    assert_snapshot!("data-show", bench.unlearn("data show blobs").ok().out);
    // What is built in is in no folder; an empty variable names none.
    assert!(bench.unlearn("data fetch mnist-mini --data-dir here").ok().out.contains("nothing to fetch"));
    let fetched = bench.unlearn("data fetch mnist-mini --data-dir here --json").json();
    assert_eq!((&fetched["folder"], fetched["files"].as_array().map(Vec::len)), (&serde_json::Value::Null, Some(0)));
    assert!(!bench.path("here").exists());
    let output = bench.command("data list").env("UNLEARN_DATA", "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("--data-dir") && said.contains("name a folder"), "{said}");
    assert!(bench.entries().is_empty(), "looking makes nothing");
}

#[test]
fn lists_as_json_are_arrays_of_objects_with_name_and_summary() {
    let bench = Bench::new();
    for line in ["list methods", "list audits", "list models", "list data", "data list"] {
        let json = bench.unlearn(&format!("{line} --json")).ok().json();
        let rows = json.as_array().unwrap_or_else(|| panic!("{line}: {json}"));
        let names: BTreeSet<&str> = rows.iter().map(|r| r["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), rows.len(), "{line}: names are unique");
        assert!(rows.iter().all(|r| r["summary"].as_str().is_some_and(|s| !s.is_empty())), "{line}: {json}");
        // The text shows the same rows.
        let text = bench.unlearn(line).ok().out;
        assert!(names.iter().all(|n| text.contains(n)), "{line}: {text}");
    }
    let methods = bench.unlearn("list methods --json").json();
    for (row, m) in methods.as_array().unwrap().iter().zip(METHODS) {
        assert_eq!((row["name"].as_str(), row["control"].as_bool()), (Some(m.name), Some(m.control)));
        assert_eq!(row["parameters"].as_object().unwrap().len(), (m.defaults)().len(), "{}", m.name);
    }
}

#[test]
fn training_prints_the_notebooks_table_and_test() {
    let bench = Bench::new();
    // 5 classes × 60 images in batches of 64: the last batch of an epoch holds 44.
    let ran = bench.unlearn(&format!("train {TINY} --classes 0,1,2,3,4 --out m.safetensors")).ok();
    let first = ran.out.lines().next().unwrap();
    assert_eq!(first.split_whitespace().collect::<Vec<_>>(), ["epoch", "accuracy", "confidence", "loss", "l_var", "l_min", "l_max"]);
    let rows: Vec<Vec<f64>> = ran.out.lines().skip(2).take(2).map(|l| l.split_whitespace().map(|c| c.parse().unwrap()).collect()).collect();
    for (epoch, row) in rows.iter().enumerate() {
        let [number, accuracy, confidence, loss, l_var, l_min, l_max] = row[..] else { panic!("{row:?}") };
        assert_eq!(number, epoch as f64);
        // The corrected accuracy: hits over the 300 images, not over 5 full batches.
        let hits = accuracy * 300.0;
        assert!((hits - hits.round()).abs() < 1e-3 && (0.0..=1.0).contains(&accuracy), "{accuracy} is no share of 300 images");
        assert!(confidence > 0.0 && l_var >= 0.0 && l_min <= loss && loss <= l_max, "{row:?}");
    }
    for part in ["Test\n", "accuracy ", "higher is better", "Confusion matrix: row = class", "south-west", "Checkpoint: m.safetensors"] {
        assert!(ran.out.contains(part), "{part} is missing in\n{}", ran.out);
    }
    assert_eq!(bench.entries(), ["m.safetensors"], "and no more than the checkpoint is left");
}

#[test]
fn test_accuracy_is_hits_over_images_of_the_saved_model() {
    let bench = Bench::new();
    let json = bench.unlearn(&format!("train {TINY} --json --quiet --classes 0,1,2,3,4 --out m.safetensors")).ok().json();
    // By hand, from the checkpoint: 150 test images in batches of 256 and of 64, the last one partial.
    let dataset = blobs();
    let mut ctx = context("test", &dataset, 1);
    let (model, metadata, _) = checkpoint::load(&bench.path("m.safetensors"), &ctx.device).unwrap();
    let map = metadata.classes().unwrap();
    let test = Labelled::new(Samples::of_classes(&dataset.test, map.classes()), &map);
    let hits = |rows: &stats::Logits| {
        let right = rows.rows().zip(&test.slots).filter(|(row, slot)| Some(Slot(stats::argmax(row))) == **slot);
        right.count() as f64 / 150.0
    };
    ctx.settings.batch = 64;
    let whole = train::predict(&model, &test, &ctx).unwrap();
    let in_batches: Vec<f32> = ctx.plain_batches(&test, 64).flat_map(|b| unlearn::model::tensors::floats(model.logits(b.images))).collect();
    let printed = json["test"]["accuracy"].as_f64().unwrap();
    assert!((printed - hits(&whole)).abs() < 1e-12, "{printed} is not {}", hits(&whole));
    assert_eq!(hits(&whole), hits(&stats::Logits { values: in_batches, slots: 5 }));
    // A row of the confusion matrix is a mean of distributions.
    let confusion = json["test"]["confusion_softmax"].as_array().unwrap();
    assert_eq!(confusion.len(), 5);
    for row in confusion {
        let sum: f64 = row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row}");
    }
    assert_eq!(json["epochs"].as_array().unwrap().len(), 2);
    assert_eq!(json["checkpoint"], "m.safetensors");
}

#[test]
fn held_out_samples_are_tested_on_in_the_test_images_place() {
    let bench = Bench::new();
    let line = format!("train {TINY} --quiet --classes 0,1,2,3,4 --validation 0.2 --seed 3");
    let json = bench.unlearn(&format!("{line} --json --out m.safetensors")).ok().json();
    assert!(json.get("test").is_none(), "who chooses settings does not see the test images");
    // By hand, from the checkpoint: 60 of 300.
    let dataset = blobs();
    let ctx = context("test", &dataset, 1);
    let (model, metadata, _) = checkpoint::load(&bench.path("m.safetensors"), &ctx.device).unwrap();
    let map = metadata.classes().unwrap();
    let (rest, held_out) = Samples::of_classes(&dataset.train, map.classes()).hold_out(0.2, 3).unwrap();
    assert_eq!((rest.len(), held_out.len()), (240, 60));
    let held_out = Labelled::new(held_out, &map);
    let expected = train::accuracy(&train::predict(&model, &held_out, &ctx).unwrap(), &held_out.slots).unwrap();
    assert_eq!((json["validation"]["images"].as_u64(), json["validation"]["accuracy"].as_f64()), (Some(60), Some(expected)));
    // Every epoch says so, too; the last one of the model that was saved.
    let epochs: Vec<f64> = json["epochs"].as_array().unwrap().iter().map(|e| e["validation"].as_f64().unwrap()).collect();
    assert_eq!((epochs.len(), epochs[1]), (2, expected));
    // Training saw the other 240 only: its accuracy is a share of them.
    let hits = json["epochs"][1]["accuracy"].as_f64().unwrap() * 240.0;
    assert!((hits - hits.round()).abs() < 1e-9, "{hits} of 240");

    let ran = bench.unlearn(&format!("{line} --out again.safetensors")).ok();
    assert!(bench.read("m.safetensors") == bench.read("again.safetensors"));
    assert!(ran.out.lines().next().unwrap().ends_with("l_max  validation"), "{}", ran.out);
    for part in [&format!("Validation\naccuracy    {expected:.4}  fraction of held-out training images"), "over its held-out training images"] {
        assert!(ran.out.contains(part), "{part} is missing in\n{}", ran.out);
    }
}

#[test]
fn a_class_of_which_nothing_is_held_out_has_no_row() {
    let bench = Bench::new();
    // One image of 300: four classes have none.
    let ran = bench.unlearn(&format!("train {TINY} --quiet --classes 0,1,2,3,4 --validation 0.001 --out m.safetensors")).ok();
    assert_eq!(ran.out.lines().filter(|l| l.contains("–  ")).count(), 4, "{}", ran.out);
}

#[test]
fn inspect_shows_what_a_checkpoint_says() {
    let bench = Bench::new();
    bench.unlearn(&format!("train {TINY} --quiet --classes sides,0,4 --seed 7 --out m.safetensors")).ok();
    let text = bench.unlearn("inspect m.safetensors").ok().out;
    let hash = ["(?m)^(sha256|config hash) +[0-9a-f]{64}$", r"seed \d+"];
    insta::with_settings!({ filters => vec![(hash[0], "$1 [HASH]"), (hash[1], "seed [SEED]")] }, {
        assert_snapshot!("inspect", text);
    });
    let json = bench.unlearn("inspect m.safetensors --json").ok().json();
    assert_eq!(json["metadata"]["class_map"], serde_json::json!([5, 0, 4]));
    assert_eq!(json["metadata"]["class_names"], serde_json::json!(["sides", "north-west", "centre"]));
    // 64·128 + 128 + 128·64 + 64 + 64·3 + 3
    assert_eq!(json["parameters"], 16_771);
    assert_eq!(json["tensors"].as_array().unwrap().len(), 6);
    use sha2::{Digest, Sha256};
    assert_eq!(json["sha256"], unlearn::hex(&Sha256::digest(bench.read("m.safetensors"))));
}

#[test]
fn a_contact_sheet_is_a_png() {
    let bench = Bench::new();
    let sheet = |line: &str, name: &str| {
        bench.unlearn(&format!("data show blobs {line} --out {name}")).ok();
        let reader = png::Decoder::new(std::io::Cursor::new(bench.read(name))).read_info().unwrap();
        (reader.info().width, reader.info().height)
    };
    let (width, height) = sheet("", "sheet.png");
    // Ten images of 8 pixels a row, a row for each of six classes, at least.
    assert!(width >= 80 && height >= 48, "{width}×{height}");
    assert_eq!(sheet("--augmented --seed 3", "augmented.png"), (width, height));
    assert_eq!(sheet("--augmented", "augmented.png"), (width, height), "a sheet takes the place of another");
    let json = bench.unlearn("data show blobs --json").ok().json();
    assert_eq!(json["shape"], serde_json::json!([1, 8, 8]));
    assert!(json["classes"].as_array().unwrap().iter().all(|c| c["train"] == 60 && c["test"] == 30), "{json}");
}

/// `within`, recomputed from the row alone by the formula that the format documents. On the very edge of the band, where the last digit
/// of a number decides, what the row says is taken.
fn within(s: &unlearn::summary::Score) -> Option<bool> {
    let (gap, sd, tolerance) = (s.gap?, s.oracle_sd? * s.oracle_sd_factor, s.tolerance?);
    // A distance to the oracles can't be too small, a likeness not too large.
    let miss = match s.better {
        Better::CloserToOracle => gap.abs(),
        Better::Lower => gap,
        Better::Higher => -gap,
    };
    let spare = tolerance.max(2.0 * sd * (1.0 + 1.0 / s.oracles as f64).sqrt()) - miss;
    if spare.abs() < 1e-12 { s.within } else { Some(spare > 0.0) }
}

#[test]
fn scores_hold_what_their_format_promises() {
    let bench = Bench::new();
    let scores: Scores = bench.swap("run", "--oracles 3 --methods all");
    assert_eq!(scores.format, 1);
    assert_eq!((scores.task.forget, scores.task.learn), (2, Some(5)));
    assert_eq!((scores.task.classes_before, scores.task.classes_after), (vec![0, 1, 2, 3, 4], vec![0, 1, 5, 3, 4]));
    let names: Vec<&str> = scores.verdict.iter().map(|v| v.model.as_str()).collect();
    let expected: Vec<&str> =
        ["original", "oracle-1", "oracle-2", "oracle-3"].into_iter().chain(METHODS.iter().map(|m| m.name)).chain(["random-init"]).collect();
    assert_eq!(names, expected);

    for s in &scores.scores {
        let at = format!("{} {}", s.model, s.label());
        let judges = if s.model.starts_with("oracle-") { 2 } else { 3 };
        assert!(s.oracles <= judges, "{at}: judged by {} oracles", s.oracles);
        assert_eq!(s.within, within(s), "{at}");
        match (s.value, s.oracle_mean, s.gap) {
            (Some(v), Some(m), Some(gap)) => assert!((v - m - gap).abs() < 1e-9, "{at}"),
            // A difference to what is only known to be larger is none.
            (Some(_), Some(_), None) if s.at_least || s.oracles_at_least > 0 => assert!(s.within.is_none() && s.z.is_none(), "{at}"),
            (Some(_), Some(_), None) | (_, None, Some(_)) | (None, _, Some(_)) => panic!("{at}: {s:?}"),
            _ => {}
        }
        assert!(!s.unit.is_empty(), "{at}: no unit");
        assert!(matches!(s.better, Better::Higher | Better::Lower | Better::CloserToOracle));
    }
    // Mean and deviation are the oracles' own rows: those of any method against those recomputed here.
    let row = |model: &str, label: &str| scores.scores.iter().find(|s| s.model == model && s.label() == label).unwrap();
    // (of what compares with them, too: what it is judged by is another deviation).
    for (label, factor) in [("accuracy/retain_test", 1.0), ("profile/js_to_oracles", 2.0), ("lira/auc", 2.0 / 3.0)] {
        let judged = row("finetune", label);
        let theirs: Vec<f64> = (1..=3).map(|i| row(&format!("oracle-{i}"), label).value.unwrap()).collect();
        let mean = theirs.iter().sum::<f64>() / 3.0;
        let sd = (theirs.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        assert!((judged.oracle_mean.unwrap() - mean).abs() < 1e-12 && (judged.oracle_sd.unwrap() - sd).abs() < 1e-12, "{label}");
        assert!((judged.oracle_sd_factor - factor).abs() < 1e-12, "{label}");
    }
    // Shares say on how many images they are counted: thirty of a class.
    assert_eq!(row("finetune", "accuracy/old_in_old_slot_test").images, Some(30));
    assert_eq!((row("finetune", "collateral/worst_class_accuracy").images, row("finetune", "confidence/test").images), (Some(30), None));

    let calibration = scores.calibration.as_ref().expect("three oracles");
    assert_eq!((calibration.trials, calibration.matched, calibration.pair_trials), (3, 3, 0));
    let agreement = scores.audit_agreement.as_ref().expect("more than four models");
    assert_eq!(agreement.models.len(), names.len() - 3);
    assert_eq!((agreement.tau_b.len(), agreement.distances.len()), (agreement.audits.len(), agreement.audits.len()));
    for v in &scores.verdict {
        let rows: Vec<_> = scores.scores.iter().filter(|s| s.model == v.model).collect();
        assert!(!rows.is_empty(), "{}", v.model);
        let inside = rows.iter().filter(|s| s.within == Some(true)).count();
        let outside: BTreeSet<String> = rows.iter().filter(|s| s.within == Some(false)).map(|s| s.label()).collect();
        assert_eq!((v.audits_within, v.audits_total), (inside, inside + outside.len()), "{}", v.model);
        assert_eq!(v.failing.iter().cloned().collect::<BTreeSet<_>>(), outside, "{}", v.model);
        let words = ["matched", "under-erased", "over-erased", "off-target"];
        assert!(words.contains(&v.verdict.as_str()), "{}: {}", v.model, v.verdict);
        let control = method::kind_of(&v.model) == ModelKind::Control || v.model == "random-init";
        assert_eq!(v.kind == ModelKind::Control, control, "{}", v.model);
        // Every judged figure is of one family.
        let of_families = v.families.iter().fold((0, 0), |(within, total), f| (within + f.within, total + f.total));
        assert_eq!(of_families, (v.audits_within, v.audits_total), "{}", v.model);
        assert_eq!(v.verdict == "matched", v.families.iter().all(|f| f.matched), "{}", v.model);
        assert!(v.families.iter().any(|f| Some(f.family) == v.worst_family), "{}", v.model);
    }

    let costs: Vec<&str> = scores.cost.iter().map(|c| c.model.as_str()).collect();
    assert_eq!(costs, expected, "everything trained has a price");
    for c in &scores.cost {
        assert!(c.wall_s > 0.0 && c.train_passes >= 0.0, "{c:?}");
    }
    // Files name the training that their weights are of; what was never trained names none.
    for (file, bytes) in bench.checkpoints("run") {
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let metadata: serde_json::Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["unlearn"]).unwrap();
        assert_eq!(metadata["training"].is_null(), file == "random-init.safetensors", "{file}");
    }
    let passes = |name: &str| scores.cost.iter().find(|c| c.model == name).unwrap().train_passes;
    assert_eq!(passes("retrain"), 2.0, "two epochs over retain ∪ learn");
    assert_eq!(passes("finetune"), 2.0);
    assert_eq!(passes("logit-mask"), 0.0);
    // Saliency over the 60 old images, then 3 epochs over these and the 60 new: 60 + 3·120 of 300.
    assert!((passes("masked-weights") - 1.4).abs() < 1e-9, "{}", passes("masked-weights"));
    let share = |name: &str| scores.cost.iter().find(|c| c.model == name).unwrap().share_of_retrain;
    assert_eq!(share("retrain"), Some(1.0));

    // Read-outs stand beside what they make of labels that say nothing, and less it. 90 of 180 test images bear each label: over one draw at
    // chance the deviation of a balanced accuracy is √(2·.25/90)/2 = .037.
    for (audit, name, accuracy) in [
        ("probe", "ridge", "ridge_accuracy_old"),
        ("mlp-probe", "mlp", "mlp_accuracy_old"),
        ("nearest-mean", "nearest_mean", "nearest_mean_accuracy_old"),
    ] {
        let controls = scores.scores.iter().filter(|s| s.audit == audit && s.metric == format!("{name}_control_accuracy"));
        let mut seen = 0;
        for control in controls {
            let of = |metric: &str| scores.scores.iter().find(|s| s.model == control.model && s.metric == metric && s.cut == control.cut).unwrap();
            let (found, selectivity) = (of(accuracy), of(&format!("{name}_selectivity_old")));
            let (found, value, difference) = (found.value.unwrap(), control.value.unwrap(), selectivity.value.unwrap());
            assert!((value - 0.5).abs() < 0.16, "{}@{:?} of {}: {value}", control.metric, control.cut, control.model);
            assert!((found - value - difference).abs() < 1e-12, "{}@{:?} of {}", selectivity.metric, control.cut, control.model);
            assert!(control.within.is_none() && selectivity.within.is_none(), "shown, not judged");
            seen += 1;
        }
        assert!(seen >= scores.verdict.len(), "{audit}: {seen}");
    }

    // What the report draws.
    for v in &scores.verdict {
        let output: ModelOutput = serde_json::from_slice(&bench.read(&format!("run/outputs/{}.json", v.model))).unwrap();
        let rocs = output.exhibits.iter().filter(|e| e.title.ends_with("ROC"));
        let logarithmic = |e: &&Exhibit| matches!(&e.content, Content::Curve { x, y, .. } if x.log && y.log);
        let drawn: Vec<&str> = rocs.filter(logarithmic).map(|e| e.audit.as_str()).collect();
        let attacks: &[&str] =
            if v.kind == ModelKind::Original { &["membership", "lira", "rmia"] } else { &["membership", "lira", "rmia", "pair-leak"] };
        assert_eq!(drawn, attacks, "{}", v.model);
        assert_eq!((output.model.as_str(), output.kind), (v.model.as_str(), v.kind));
        assert!(output.confusion_softmax.iter().all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-5), "{}", v.model);
        assert!(output.confusion_argmax.iter().all(|row| row.iter().sum::<u32>() == 30), "{}: 30 test images a class", v.model);
    }
    assert_eq!(names_in(&bench.path("run")), ["config.toml", "events.jsonl", "models", "outputs", "report.html", "scores.json"]);
}

#[test]
fn json_of_a_swap_is_its_scores_file() {
    let bench = Bench::new();
    let ran = bench.unlearn(&format!("swap {TINY} {SWAP} --json --oracles 0 --methods logit-mask --out run")).ok();
    assert_eq!(ran.json(), serde_json::from_slice::<serde_json::Value>(&bench.read("run/scores.json")).unwrap());
    assert!(ran.err.contains("original: epoch 2/2"), "progress goes to standard error, a line an epoch:\n{}", ran.err);
    assert!(bench.scores("run").verdict.iter().all(|v| v.verdict == "no verdict"), "no oracles, no verdict");
    assert!(bench.scores("run").warnings[0].contains("no verdict without at least 3"));
    let quiet = bench.unlearn(&format!("swap {TINY} {SWAP} --quiet --oracles 0 --methods logit-mask --out run2")).ok();
    assert_eq!(quiet.err, "");
    assert!(quiet.out.contains("logit-mask") && quiet.out.contains("Report: run2/report.html"), "{}", quiet.out);
}

#[test]
fn a_report_is_drawn_from_its_directory_alone() {
    let bench = Bench::new();
    bench.swap("run", "--methods logit-mask,finetune");
    let page = bench.read("run/report.html");
    let other = Bench::new();
    copy(&bench.path("run"), &other.path("moved"));
    std::fs::remove_file(other.path("moved/report.html")).unwrap();
    // Models are not needed either: what is drawn of them is in outputs/.
    std::fs::remove_dir_all(other.path("moved/models")).unwrap();
    let text = other.unlearn("report moved").ok().out;
    assert!(other.read("moved/report.html") == page, "the same page, byte for byte");
    assert!(text.contains("logit-mask") && text.contains("moved/report.html"), "{text}");
    other.unlearn("report moved --out page.html").ok();
    assert!(other.read("page.html") == page);
    let json = other.unlearn("report moved --json").ok().json();
    assert_eq!(json, serde_json::from_slice::<serde_json::Value>(&bench.read("run/scores.json")).unwrap());
    // It needs nothing from anywhere.
    let html = String::from_utf8(page).unwrap();
    for outside in ["src=\"http", "href=\"http", "<link", "@import", "url(http"] {
        assert!(!html.contains(outside), "the page refers to {outside}");
    }
}

#[test]
fn compare_sets_runs_side_by_side() {
    let bench = Bench::new();
    bench.swap("one", "--methods logit-mask,finetune");
    bench.swap("two", "--methods logit-mask --seed 1");
    let text = bench.unlearn("compare one two").ok().out;
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| one") || l.starts_with("| two")).collect();
    // A method, and each run's three controls.
    assert_eq!(rows.len(), 7, "{text}");
    assert!(rows.iter().all(|r| r.contains("blobs south-west → sides")), "{text}");
    let json = bench.unlearn("compare one two --json").ok().json();
    let names: Vec<&str> = json.as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    // Written and read as often as what is printed: reading may move the last digit of a number.
    let theirs: Scores = serde_json::from_str(&serde_json::to_string(&bench.scores("two")).unwrap()).unwrap();
    assert_eq!(serde_json::from_value::<Scores>(json[1]["scores"].clone()).unwrap(), theirs);
}

#[test]
fn an_original_that_saw_less_than_its_oracles_is_named() {
    let bench = Bench::new();
    bench.unlearn(&format!("train {TINY} --quiet --classes 0,1,2,3,4 --validation 0.2 --out less.safetensors")).ok();
    let ran = bench.unlearn(&format!("swap --data blobs {SWAP} --threads 1 --model less.safetensors --oracles 0 --methods finetune --out run")).ok();
    let says = "the original was trained without 60 of the training images of its classes";
    assert!(ran.err.contains(says) && bench.scores("run").warnings.iter().any(|w| w.contains(says)), "{}", ran.err);
    bench.unlearn("audit run --quiet --controls false").ok();
    let scores = bench.scores("run");
    assert!(scores.warnings.iter().any(|w| w.contains(says)), "audited again: {:?}", scores.warnings);
    assert_eq!(
        scores.verdict.iter().map(|v| v.model.as_str()).collect::<Vec<_>>(),
        ["original", "finetune"],
        "controls are left out of an audit, too"
    );
}

#[test]
fn a_run_of_several_swaps_says_how_its_original_is_trained() {
    let bench = Bench::new();
    bench.unlearn(&format!("swap {TINY} --forget 0,1 --learn 4,5 --oracles 0 --methods finetune --quiet --out run")).ok();
    bench.unlearn("train --config run/config.toml --threads 1 --quiet --out again.safetensors").ok();
    let classes = |path: &str| unlearn::model::checkpoint::load(&bench.path(path), &burn::tensor::Device::flex()).unwrap().1.class_map;
    assert_eq!(classes("again.safetensors"), classes("run/models/original.safetensors"));
}

/// Labels from 1 on, and a class without test images: six classes of which four can be learned and tested.
#[test]
fn classes_without_images_are_left_out_unless_named() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("set")).unwrap();
    for (name, labels) in [("train", [1u8, 2, 3, 4, 5]), ("t10k", [1, 2, 3, 4, 4])] {
        let labels: Vec<u8> = labels.iter().flat_map(|l| [*l; 30]).collect();
        let header = |fields: &[u32]| -> Vec<u8> { fields.iter().flat_map(|f| f.to_be_bytes()).collect() };
        let images: Vec<u8> =
            labels.iter().enumerate().flat_map(|(i, l)| (0..16u8).map(move |p| if p == 3 * (l - 1) { 255 } else { (i % 7) as u8 })).collect();
        bench.write(&format!("set/{name}-images-idx3-ubyte"), [header(&[0x0803, labels.len() as u32, 4, 4]), images].concat());
        bench.write(&format!("set/{name}-labels-idx1-ubyte"), [header(&[0x0801, labels.len() as u32]), labels].concat());
    }
    let line = "--data idx:set --arch mlp --epochs 2 --threads 1";
    bench.unlearn(&format!("train {line} --quiet --out m.safetensors")).ok();
    assert!(bench.unlearn("inspect m.safetensors").ok().out.contains("1 (1), 2 (2), 3 (3), 4 (4)"));
    bench.unlearn(&format!("swap {line} --forget 1 --learn 2 --oracles 0 --methods finetune --quiet --out run")).ok();
    assert_eq!(bench.scores("run").task.classes_before, [1, 3, 4]);
    bench.unlearn("study --data idx:set --forget 3 --learn 4 --epochs 2 --oracles 0 --methods finetune --quiet --out study --threads 1").ok();
    bench.unlearn("study --data idx:set --forget 3,1 --learn 4,5 --out other").refused(&["class 5 (5) has no training or no test images"]);
    bench.unlearn(&format!("train {line} --classes 0,1,2 --out n.safetensors")).refused(&["class 0 (0) has no training images", "--classes"]);
}

#[test]
fn plain_unlearning_takes_the_old_slot_away() {
    let bench = Bench::new();
    bench.unlearn(&format!("swap {TINY} --quiet --forget south-west --methods retrain,logit-mask --out run")).ok();
    let scores = bench.scores("run");
    assert_eq!((scores.task.learn, scores.task.classes_after), (None, vec![0, 1, 3, 4, 5]));
    for model in ["oracle-1", "retrain", "logit-mask"] {
        let json = bench.unlearn(&format!("inspect run/models/{model}.safetensors --json")).ok().json();
        assert_eq!(json["metadata"]["class_map"], serde_json::json!([0, 1, 3, 4, 5]), "{model}");
    }
    assert!(!String::from_utf8(bench.read("run/report.html")).unwrap().is_empty());
}

/// Copies a folder.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in names_in(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

#[test]
fn training_leaves_listed_images_out() {
    let bench = Bench::new();
    let dataset = blobs();
    let numbers: Vec<usize> = (0..dataset.train.len()).filter(|i| dataset.train.labels[*i].0 < 5).step_by(11).take(7).collect();
    let list = |numbers: &mut dyn Iterator<Item = &usize>| numbers.map(|n| format!("{n}\n")).collect::<String>();
    bench.write("list.txt", list(&mut numbers.iter()));
    bench.write("same.txt", format!("# the other way round\n{}", list(&mut numbers.iter().rev())));
    let train = |more: &str| bench.unlearn(&format!("train {TINY} --classes 0,1,2,3,4 {more}"));
    let ran = train("--without list.txt --out without.safetensors").ok();
    assert!(ran.err.contains("293 training images, 7 left out"), "{}", ran.err);
    // Accuracies are hits over 293 images, and no longer over all 300.
    for row in ran.out.lines().skip(2).take(2) {
        let accuracy: f64 = row.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(((accuracy * 293.0).round() / 293.0 - accuracy).abs() < 1e-6, "{accuracy} is no share of 293 images");
    }
    let metadata = |file: &str| checkpoint::inspect(&bench.path(file)).unwrap().0;
    let gone = Without::these(&Samples::of_numbers(&dataset.train, numbers.iter().copied()));
    assert_eq!((gone.samples, metadata("without.safetensors").without), (7, Some(gone.clone())));
    train("--without same.txt --out same.safetensors").ok();
    assert_eq!(bench.read("same.safetensors"), bench.read("without.safetensors"), "the order of the list is nothing");
    train("--out all.safetensors").ok();
    assert_eq!(metadata("all.safetensors").without, None);
    assert_ne!(bench.read("all.safetensors"), bench.read("without.safetensors"));

    let whole: Vec<usize> = (0..dataset.train.len()).filter(|i| dataset.train.labels[*i].0 == 3).collect();
    let other = (0..dataset.train.len()).find(|i| dataset.train.labels[*i].0 == 5).unwrap();
    for (content, parts) in [
        (list(&mut whole.iter()), &["list.txt", "every training image of class", "leave the class out"][..]),
        (format!("{other}\n"), &["list.txt", "which is not trained on", "--classes"]),
        ("-1\n".into(), &["list.txt, line 1", "no number"]),
    ] {
        bench.write("list.txt", content);
        train("--without list.txt --out refused.safetensors").refused(parts);
    }
    train("--without none.txt --out refused.safetensors").refused(&["none.txt"]);
    assert!(!bench.path("refused.safetensors").exists());
}
