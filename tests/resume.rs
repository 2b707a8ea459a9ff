//! An interrupted run goes on to the same result as an unbroken one, and a directory that is not that run is left alone.

mod common;

use common::{Bench, SWAP, TINY, names_in, tree, without_cost};
use unlearn::config::RunConfig;
use unlearn::model::checkpoint;

const METHODS: &str = "--methods retrain,finetune,random-layers,logit-mask";

/// The arguments of the run that is broken off and resumed.
fn line(out: &str) -> String {
    format!("swap {TINY} {SWAP} {METHODS} --quiet --out {out}")
}

#[test]
fn a_resumed_run_is_the_unbroken_one() {
    let bench = Bench::new();
    bench.unlearn(&line("whole")).ok();
    // Broken off at three places: in the methods, in the oracles, before anything was made.
    let models = names_in(&bench.path("whole/models"));
    for (i, lost) in [&["random-layers", "logit-mask"][..], &["oracle-2", "oracle-3", "retrain", "finetune"], &["all"]].into_iter().enumerate() {
        let name = format!("broken-{i}");
        bench.unlearn(&line(&name)).ok();
        let lost: Vec<&String> = models.iter().filter(|m| lost == ["all"] || lost.iter().any(|l| m.starts_with(l))).collect();
        for model in &lost {
            std::fs::remove_file(bench.path(&format!("{name}/models/{model}"))).unwrap();
        }
        for file in ["scores.json", "report.html", "outputs/original.json"] {
            std::fs::remove_file(bench.path(&format!("{name}/{file}"))).unwrap();
        }
        let kept: Vec<&String> = models.iter().filter(|m| !lost.contains(m)).collect();
        let written = |model: &str| std::fs::metadata(bench.path(&format!("{name}/models/{model}"))).unwrap().modified().unwrap();
        let before: Vec<_> = kept.iter().map(|m| written(m)).collect();

        bench.unlearn(&format!("{} --resume", line(&name))).ok();
        assert!(bench.checkpoints(&name) == bench.checkpoints("whole"), "{name}: other checkpoints");
        assert_eq!(without_cost(&bench.scores(&name)), without_cost(&bench.scores("whole")), "{name}");
        assert_eq!(names_in(&bench.path(&format!("{name}/outputs"))), names_in(&bench.path("whole/outputs")));
        let after: Vec<_> = kept.iter().map(|m| written(m)).collect();
        assert_eq!(before, after, "{name}: what was there is not made again");

        // What a kept model cost is remembered, so that shares stay comparable; training curves don't count a broken epoch twice.
        let costs: Vec<String> = bench.scores(&name).cost.into_iter().map(|c| c.model).collect();
        assert_eq!(costs, bench.scores("whole").cost.into_iter().map(|c| c.model).collect::<Vec<_>>());
        let curves = |run: &str| {
            let mut curves = unlearn::events::curves(&bench.path(&format!("{run}/events.jsonl"))).unwrap();
            curves.sort_by(|a, b| a.model.cmp(&b.model));
            curves
        };
        assert_eq!(curves(&name), curves("whole"), "{name}");
    }
}

#[test]
fn a_finished_run_resumed_stays_as_it_is() {
    let bench = Bench::new();
    bench.unlearn(&line("run")).ok();
    let before = tree(&bench.path("run"));
    let ran = bench.unlearn(&format!("{} --resume", line("run")).replace("--quiet", "")).ok();
    assert!(ran.err.contains("finetune: already there"), "{}", ran.err);
    let after = tree(&bench.path("run"));
    let name = |files: &[(std::path::PathBuf, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
    assert_eq!(name(&before), name(&after));
    for ((path, old), (_, new)) in before.iter().zip(&after) {
        assert!(old == new, "{} changed", path.display());
    }
}

#[test]
fn a_damaged_checkpoint_stops_a_resumed_run() {
    let bench = Bench::new();
    bench.unlearn(&line("run")).ok();
    let whole = bench.read("run/models/finetune.safetensors");
    bench.write("run/models/finetune.safetensors", &whole[..whole.len() / 2]);
    bench.unlearn(&format!("{} --resume", line("run"))).refused(&["finetune.safetensors", "not a safetensors file"]);
    assert_eq!(bench.read("run/models/finetune.safetensors"), &whole[..whole.len() / 2]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_run_that_resume_completes() {
    let bench = Bench::new();
    // Long enough to be caught in the first training; two threads, so that an oracle is under way beside it.
    let line = format!("swap --data blobs --arch mlp --epochs 400 --threads 2 {SWAP} --oracles 1 --methods logit-mask --out run");
    let begun = || std::fs::read_to_string(bench.path("run/events.jsonl")).is_ok_and(|t| t.contains("\"epoch\""));
    let ran = bench.interrupted(&line, || {
        // While it is at work nobody else is.
        begun() && {
            bench.unlearn(&format!("{line} --resume")).refused(&["run", "another process is at work"]);
            true
        }
    });
    for part in ["stopping after this batch", "interrupted; what a run directory or the store holds already is kept", "--resume"] {
        assert!(ran.err.contains(part), "“{part}” is missing in\n{}", ran.err);
    }
    assert!(ran.out.is_empty(), "no result is claimed");
    assert_eq!(names_in(&bench.path("run")), ["config.toml", "events.jsonl", "models", "outputs"], "nothing half-written");
    assert!(names_in(&bench.path("run/models")).len() < 3, "it was caught in the middle");
    bench.unlearn("report run").refused(&["the run is not finished", "--resume"]);

    bench.unlearn(&format!("{line} --resume --quiet")).ok();
    bench.unlearn(&format!("{} --quiet", line.replace("--out run", "--out whole"))).ok();
    assert!(bench.checkpoints("run") == bench.checkpoints("whole"), "the interruption shows in the checkpoints");
    assert_eq!(without_cost(&bench.scores("run")), without_cost(&bench.scores("whole")));
}

#[cfg(unix)]
#[test]
fn a_killed_run_is_gone_on_with() {
    let bench = Bench::new();
    let line = format!("swap --data blobs --arch mlp --epochs 100 --threads 2 {SWAP} --oracles 1 --methods logit-mask --controls false --out run");
    let log = bench.path("run/events.jsonl");
    bench.killed(&line, || std::fs::read_to_string(&log).is_ok_and(|t| t.contains("\"epoch\"")));
    // As if it had been at a line.
    let whole = std::fs::read_to_string(&log).unwrap();
    bench.write("run/events.jsonl", format!("{whole}{{\"stage\":\"ep"));
    bench.unlearn(&format!("{line} --resume --quiet")).ok();
    bench.unlearn(&format!("{} --quiet", line.replace("--out run", "--out whole"))).ok();
    assert!(bench.checkpoints("run") == bench.checkpoints("whole"));
    assert_eq!(without_cost(&bench.scores("run")), without_cost(&bench.scores("whole")));
}

#[test]
fn another_configuration_is_refused_by_its_key() {
    let bench = Bench::new();
    bench.unlearn(&line("run")).ok();
    let before = tree(&bench.path("run"));
    for (from, to, says) in [
        ("--lr 0.005", "--lr 0.006", "`train` was"),
        ("--arch mlp", "--arch cnn-s", "`arch` was \"mlp\", is now \"cnn-s\""),
        ("--forget 2", "--forget 3", "`forget` was 2, is now 3"),
        ("--learn 5", "--classes 0,1,2,3,4", "`learn` was 5, is now nothing"),
        ("--quiet", "--quiet --seed 1", "`seed` was 0, is now 1"),
        ("--quiet", "--quiet --oracles 4", "`oracles` was 5, is now 4"),
        ("--quiet", "--quiet --augment false", "`augment` was true, is now false"),
        ("--quiet", "--quiet --set finetune.epochs=1", "`method` was"),
        (METHODS, "--methods finetune", "`method` was"),
    ] {
        let line = format!("{} --resume", line("run").replace(from, to));
        bench.unlearn(&line).refused(&["--resume run", "begun with another configuration", says, "choose another directory"]);
    }
    // Seeds that don't fit a signed number are told apart as well.
    bench.unlearn(&format!("{} --seed 18446744073709551615", line("large"))).ok();
    bench.unlearn(&format!("{} --seed 18446744073709551614 --resume", line("large"))).refused(&["`seed` was 18446744073709551615"]);
    assert!(before == tree(&bench.path("run")), "a refusal touches nothing");
    // The run says itself what it was begun with.
    bench.unlearn("swap --config run/config.toml --out run --resume --quiet").ok();
    bench.unlearn("swap --out run --resume --quiet").ok();
    // … but not which original it was given: that is asked for.
    let given = format!("{} --model run/models/original.safetensors", line("given"));
    bench.unlearn(&given).ok();
    bench.unlearn("swap --config given/config.toml --out other").refused(&["--config given/config.toml", "was given one", "--model"]);
    assert!(!bench.path("other").exists());
    bench.unlearn("swap --config given/config.toml --model given/models/original.safetensors --oracles 0 --out other --quiet").ok();
    // Another original, or other data under the same name, is said to be one.
    bench.unlearn(&format!("train {} --seed 1 --quiet --classes 0,1,2,3,4 --out another.safetensors", TINY)).ok();
    bench.unlearn("swap --config given/config.toml --model another.safetensors --oracles 0 --out another --quiet").ok();
    let warnings = bench.scores("another").warnings;
    assert!(warnings.iter().any(|w| w.starts_with("the original is another one than")), "{warnings:?}");
    let config = String::from_utf8(bench.read("run/config.toml")).unwrap();
    let data = config.lines().find(|l| l.starts_with("data-sha256")).unwrap();
    bench.write("elsewhere.toml", config.replace(data, &format!("data-sha256 = \"{}\"", "0".repeat(64))));
    let elsewhere = bench.unlearn("swap --config elsewhere.toml --oracles 0 --out elsewhere --quiet").ok();
    assert!(elsewhere.err.contains("`blobs` holds other images or labels than in the run"), "{}", elsewhere.err);
    assert!(bench.scores("elsewhere").warnings.iter().any(|w| w.contains("holds other images")));
    bench.unlearn("swap --config elsewhere.toml --data blobs --oracles 0 --out named --quiet").ok();
    assert!(bench.scores("named").warnings.iter().all(|w| !w.contains("holds other images")), "data that is named is meant");
    // The number of threads is no part of the configuration: no result depends on it.
    bench.unlearn(&format!("{} --resume", line("run").replace("--threads 1", "--threads 2"))).ok();
}

#[test]
fn an_existing_directory_is_refused_and_untouched() {
    let bench = Bench::new();
    bench.unlearn(&line("run")).ok();
    let before = tree(&bench.path("run"));
    bench.unlearn(&line("run")).refused(&["--out run", "exists already; nothing in it was touched", "--resume to go on with it"]);
    assert!(before == tree(&bench.path("run")));

    // Somebody's folder is no run, with --resume or without.
    std::fs::create_dir(bench.path("photos")).unwrap();
    bench.write("photos/cat.jpg", "a cat");
    bench.unlearn(&line("photos")).refused(&["--out photos", "exists already"]);
    bench.unlearn(&format!("{} --resume", line("photos"))).refused(&[
        "--resume photos",
        "not a run directory: it has no config.toml",
        "choose another",
    ]);
    assert_eq!(names_in(&bench.path("photos")), ["cat.jpg"]);

    // An empty folder holds nothing to lose; a new one is made.
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.unlearn(&format!("{} --resume", line("empty"))).ok();
    bench.unlearn(&format!("{} --resume", line("new"))).ok();
    assert!(bench.checkpoints("empty") == bench.checkpoints("new"));
}

#[test]
fn a_given_original_sets_how_oracles_train() {
    let bench = Bench::new();
    let swap = format!("swap --data blobs --quiet --threads 1 {SWAP} --oracles 1 --methods retrain --controls false");
    bench
        .unlearn(
            "train --data blobs --arch mlp --classes 0,1,2,3,4 --epochs 3 --lr 0.005 --schedule cosine --augment false --quiet --out m.safetensors",
        )
        .ok();
    bench.unlearn(&format!("{swap} --model m.safetensors --out as-it-was")).ok();
    let config = |run: &str| RunConfig::read(&bench.path(&format!("{run}/config.toml"))).unwrap();
    let recipe = config("as-it-was").recipe();
    assert_eq!(recipe.flags().join(" "), "--epochs 3 --batch 64 --lr 0.005 --optimiser adam --schedule cosine --weight-decay 0 --augment false");
    assert!(bench.scores("as-it-was").warnings.iter().all(|w| !w.contains("trained")), "{:?}", bench.scores("as-it-was").warnings);
    // What a method makes of it is passed on as trained like it.
    let next = format!("{} --model as-it-was/models/retrain.safetensors --out next", swap.replace(SWAP, "--forget 5 --learn 2"));
    bench.unlearn(&next).ok();
    assert_eq!(config("next").recipe(), recipe);
    // Other flags are taken, and said to be others; audited again, too.
    let ran = bench.unlearn(&format!("{swap} --model m.safetensors --epochs 1 --augment true --out otherwise")).ok();
    let says = "the original was trained with --epochs 3 (1), --augment false (true): oracles and methods train";
    assert_eq!(config("otherwise").train.epochs, 1);
    assert!(ran.err.contains(says) && bench.scores("otherwise").warnings[0].starts_with(says), "{}", ran.err);
    bench.unlearn("audit otherwise --quiet").ok();
    assert!(bench.scores("otherwise").warnings[0].starts_with(says), "{:?}", bench.scores("otherwise").warnings);
    // Oracles from elsewhere that were trained in another way.
    let audit =
        "audit otherwise/models/retrain.safetensors --original m.safetensors --oracle otherwise/models/oracle-1.safetensors --forget 2 --learn 5";
    let ran = bench.unlearn(&format!("{audit} --out found --quiet")).ok();
    assert!(
        ran.err.contains("oracle-1.safetensors was trained with --epochs 1 (3), --augment true (false), in brackets the original"),
        "{}",
        ran.err
    );
    // A file that doesn't say it.
    let (model, metadata, _) = checkpoint::load(&bench.path("m.safetensors"), &unlearn::device::open("cpu").unwrap()).unwrap();
    checkpoint::save(&bench.path("old.safetensors"), &model, &checkpoint::Metadata { training: None, ..metadata }).unwrap();
    let ran = bench.unlearn(&format!("{swap} --model old.safetensors --epochs 1 --out silent")).ok();
    assert!(ran.err.contains("does not say how it was trained; oracles and methods train with --epochs 1 --batch 64 --lr 0.001"), "{}", ran.err);
}
