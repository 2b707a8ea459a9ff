//! Bad input through the program: each is refused with exit code 2 and a message that says what is wrong, where, and what to do about
//! it; and what was refused leaves nothing behind.

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{Bench, SWAP, TINY, names_in};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Runs each line in an empty folder and expects its refusal with these parts, and the folder still empty.
#[track_caller]
fn all_refused(cases: &[(&str, &[&str])]) {
    for (line, parts) in cases {
        let bench = Bench::new();
        bench.unlearn(line).refused(parts);
        assert_eq!(bench.entries(), Vec::<String>::new(), "unlearn {line} left something behind");
    }
}

#[test]
fn unknown_names_are_refused_with_the_nearest_valid_one() {
    all_refused(&[
        ("swap --out run --forget 6 --data mnst", &["--data mnst", "no such data set", "did you mean `mnist`?", "blobs"]),
        ("train --out m --data zzz", &["--data zzz", "no such data set", "valid: mnist-mini"]),
        ("data show blob", &["--data blob", "did you mean `blobs`?"]),
        ("data fetch cifar", &["--data cifar", "did you mean `cifar10`?"]),
        ("swap --out run --data blobs --forget 2 --arch resnet21", &["--arch resnet21", "no such architecture", "did you mean `resnet20`?"]),
        ("train --out m --data blobs --arch cnn", &["--arch cnn", "no such architecture", "cnn-s"]),
        ("swap --out run --data blobs --forget 2 --methods finetun", &["method `finetun`", "no such method", "did you mean `finetune`?"]),
        ("swap --out run --data blobs --forget south-wets", &["--forget", "`south-wets` is no class of blobs", "did you mean `south-west`?"]),
        ("swap --out run --data blobs --forget 2 --learn side", &["--learn", "`side` is no class of blobs", "did you mean `sides`?"]),
        ("train --out m --data blobs --classes centre,nort-east", &["--classes", "`nort-east`", "did you mean `north-east`?"]),
        ("swap --out run --data blobs --forget 6", &["--forget", "class 6: blobs has 6 classes", "choose 0 to 5"]),
        ("list method", &["invalid value 'method'", "methods"]),
        ("swpa", &["unrecognized subcommand 'swpa'", "swap"]),
    ]);
}

#[test]
fn impossible_class_lists_are_refused() {
    all_refused(&[
        ("train --out m --data blobs --classes 0,1,0", &["--classes", "class 0 appears twice", "name each class once"]),
        ("train --out m --data blobs --classes centre,4", &["--classes", "class 4 appears twice", "name each class once"]),
        ("train --out m --data blobs --classes 3", &["--classes", "at least two", "name more classes"]),
        ("train --out m --data blobs --classes random:1", &["--classes", "random:1", "N from 2 to 6"]),
        ("train --out m --data blobs --classes random:7", &["--classes", "random:7", "N from 2 to 6"]),
        ("train --out m --data blobs --classes random:many", &["--classes", "random:many", "N from 2 to 6"]),
        ("swap --out run --data blobs --classes 0,1 --forget 1", &["1 class(es)", "at least two"]),
    ]);
}

#[test]
fn impossible_swaps_are_refused() {
    all_refused(&[
        ("swap --out run --data blobs", &["--forget", "missing", "name a class"]),
        ("swap --out run --data blobs --forget 2 --learn south-west", &["--learn", "class 2 is also the class to forget", "two different"]),
        ("swap --out run --data blobs --classes 0,1,3 --forget 2", &["--forget", "class 2 is not in the model", "classes are 0,1,3"]),
        ("swap --out run --data blobs --classes 0,2,3 --forget 2 --learn 3", &["--learn", "class 3 is already in the model", "0,2,3"]),
        ("swap --out run --data blobs --forget 2 --methods finetune,finetune", &["--methods", "`finetune` appears twice", "once"]),
    ]);
}

#[test]
fn values_that_cannot_train_are_refused() {
    all_refused(&[
        ("train --out m --data blobs --epochs 0", &["epochs", "nothing would be trained", "use 1 or more"]),
        ("train --out m --data blobs --batch 1", &["batch", "two images", "use 2 or more"]),
        ("train --out m --data blobs --batch 0", &["batch", "use 2 or more"]),
        ("train --out m --data blobs --lr 0", &["lr", "0 is no learning rate", "use a positive number"]),
        ("train --out m --data blobs --lr NaN", &["lr", "NaN is no learning rate", "use a positive number"]),
        ("train --out m --data blobs --lr inf", &["lr", "inf is no learning rate", "use a positive number"]),
        ("train --out m --data blobs --weight-decay NaN", &["weight-decay", "NaN is no weight decay", "use 0"]),
        ("train --out m --data blobs --validation 0.95", &["validation", "0.95 is no share", "use 0 to 0.9"]),
        ("train --out m --data blobs --validation -0.1", &["validation", "-0.1 is no share", "use 0 to 0.9"]),
        ("train --out m --data blobs --validation NaN", &["validation", "NaN is no share", "use 0 to 0.9"]),
        ("swap --out run --data blobs --forget 2 --validation 0.2", &["validation", "a swap holds nothing out", "`unlearn train --validation`"]),
        ("train --out m --data blobs --threads 0", &["--threads 0", "use 1 or more"]),
        ("swap --out run --data blobs --forget 2 --epochs 0", &["epochs", "nothing would be trained", "use 1 or more"]),
        ("swap --out run --data blobs --forget 2 --lr NaN", &["lr", "NaN is no learning rate", "use a positive number"]),
        ("swap --out run --data blobs --forget 2 --epochs three", &["three", "--epochs", "invalid digit"]),
        ("train --out m --data blobs --arch resnet18 --device tpu", &["--device tpu", "no such device", "use cpu"]),
        ("train --out m --data blobs --optimiser adm", &["invalid value 'adm'", "adam"]),
    ]);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_the_program_was_built_without_is_refused_with_the_build_command() {
    let says: &[&str] = &["--device cuda:0", "built for the CPU only", "cargo build --release --features cuda", "--device cpu"];
    all_refused(&[("train --out m --data blobs --device cuda:0", says), ("swap --out run --data blobs --forget 2 --device cuda:0", says)]);
}

#[test]
fn bad_parameters_of_methods_are_refused() {
    all_refused(&[
        ("swap --out run --data blobs --forget 2 --set finetune", &["--set finetune", "not METHOD.KEY=VALUE", "--set finetune.epochs=3"]),
        ("swap --out run --data blobs --forget 2 --set finetune=3", &["--set finetune=3", "not METHOD.KEY=VALUE"]),
        ("swap --out run --data blobs --forget 2 --set fintune.epochs=1", &["method `fintune`", "did you mean `finetune`?"]),
        ("swap --out run --data blobs --forget 2 --set finetune.epoch=1", &["[method.finetune] epoch", "did you mean `epochs`?"]),
        ("swap --out run --data blobs --forget 2 --set retrain.epochs=1", &["[method.retrain] epochs", "it has no parameters"]),
        ("swap --out run --data blobs --forget 2 --set finetune.epochs=0", &["[method.finetune] epochs", "0 is out of range", "use 1 to"]),
        ("swap --out run --data blobs --forget 2 --set finetune.epochs=few", &["[method.finetune]", "unlearn list methods"]),
        ("swap --out run --data blobs --forget 2 --set masked-weights.share=2", &["[method.masked-weights] share", "2 is out of range"]),
        ("swap --out run --data blobs --forget 2 --set masked-weights.share=nan", &["[method.masked-weights] share", "NaN is out of range"]),
        ("swap --out run --data blobs --forget 2 --set masked-weights.score=fisher", &["[method.masked-weights]", "fisher", "gradient"]),
    ]);
}

#[test]
fn configuration_files_are_refused_by_file_and_place() {
    let cases: &[(&str, &[&str])] = &[
        ("epoch = 3\n", &["bad.toml", "unknown key `epoch`", "did you mean `epochs`?"]),
        ("learning_rate = 3\n", &["bad.toml", "unknown key `learning_rate`", "valid: data"]),
        ("data = \"blobs\"\nepochs = \"three\"\n", &["bad.toml", "line 2", "\"three\"", "mend the value there"]),
        ("epochs = 1.5\n", &["bad.toml", "line 1", "1.5", "mend the value there"]),
        ("data = \"blobs\"\n\nepochs = = 3\n", &["bad.toml", "line 3", "mend the TOML there"]),
        ("data = \"blobs\n", &["bad.toml", "line 1", "mend the TOML there"]),
        ("epochs = 1\nepochs = 2\n", &["bad.toml", "line 2", "duplicate key"]),
        ("optimiser = \"adamax\"\n", &["bad.toml", "adamax", "`adam`", "mend the value there"]),
        ("data = \"blobs\"\nforget = \"2\"\n[method.finetun]\nepochs = 1\n", &["method `finetun`", "did you mean `finetune`?"]),
        ("data = \"blobs\"\nforget = \"2\"\n[method.finetune]\nepoch = 1\n", &["[method.finetune] epoch", "did you mean `epochs`?"]),
        ("data = \"blobs\"\nforget = \"2\"\nlr = nan\n", &["lr", "NaN is no learning rate"]),
    ];
    for (text, parts) in cases {
        let bench = Bench::new();
        bench.write("bad.toml", text);
        bench.unlearn("swap --config bad.toml --out run").refused(parts);
        assert_eq!(bench.entries(), ["bad.toml"], "{text}");
    }
    all_refused(&[("swap --config absent.toml --out run", &["absent.toml", "remedy: check that the path exists"])]);
}

#[test]
fn missing_data_is_refused_with_the_command_that_fetches_it() {
    all_refused(&[
        ("train --out m --data mnist --data-dir there", &["there/mnist/", "no such file", "unlearn data fetch mnist", "--data-dir"]),
        ("swap --out run --forget 6 --data fashion-mnist --data-dir there", &["there/fashion-mnist/", "unlearn data fetch fashion-mnist"]),
        ("train --out m --data emnist-balanced --data-dir there", &["there/emnist/", "unlearn data fetch emnist"]),
        ("data show cifar10 --data-dir there", &["there/cifar10/", "unlearn data fetch cifar10"]),
        ("train --out m --data idx:nowhere", &["nowhere", "check that the path exists"]),
        // Without --data-dir the platform's cache is named, so that the user knows where the tool looked.
        ("train --out m --data mnist", &["unlearn/mnist/", "unlearn data fetch mnist"]),
    ]);
}

/// A small checkpoint taken apart: metadata, and name → (type, shape, bytes).
type Parts = (serde_json::Value, BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

fn apart(bytes: &[u8]) -> Parts {
    let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
    let metadata = serde_json::from_str(&header.metadata().as_ref().unwrap()["unlearn"]).unwrap();
    let file = SafeTensors::deserialize(bytes).unwrap();
    (metadata, file.tensors().into_iter().map(|(n, t)| (n, (t.dtype(), t.shape().to_vec(), t.data().to_vec()))).collect())
}

fn together((metadata, tensors): &Parts) -> Vec<u8> {
    let views = tensors.iter().map(|(n, (dtype, shape, data))| (n.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, Some(HashMap::from([("unlearn".to_string(), metadata.to_string())]))).unwrap()
}

/// Every command that reads a checkpoint refuses `bytes`, and leaves them alone.
#[track_caller]
fn checkpoint_refused(bytes: &[u8], parts: &[&str]) {
    let bench = Bench::new();
    bench.write("bad.safetensors", bytes);
    let parts = [&["bad.safetensors"], parts].concat();
    bench.unlearn(&format!("swap {TINY} {SWAP} --model bad.safetensors --out run")).refused(&parts);
    bench.unlearn("audit bad.safetensors --forget 2 --learn 5 --out run").refused(&parts);
    assert_eq!(bench.entries(), ["bad.safetensors"]);
    assert_eq!(bench.read("bad.safetensors"), bytes);
}

#[test]
fn malformed_checkpoints_of_every_kind_are_refused() {
    let bench = Bench::new();
    bench.unlearn(&format!("train {TINY} --quiet --classes 0,1,2,3,4 --out good.safetensors")).ok();
    let good = bench.read("good.safetensors");
    let damaged = "damaged or was edited";
    let changed = |change: &dyn Fn(&mut Parts)| {
        let mut parts = apart(&good);
        change(&mut parts);
        together(&parts)
    };
    // Taking apart and putting together alone is accepted: what is refused below is refused for its change.
    bench.write("again.safetensors", changed(&|_| {}));
    bench.unlearn("inspect again.safetensors").ok();
    bench.unlearn(&format!("swap {TINY} {SWAP} --quiet --oracles 0 --methods logit-mask --model again.safetensors --out accepted")).ok();

    // Files that are none of ours, or not whole.
    checkpoint_refused(b"", &["not a safetensors file", "unlearn train"]);
    checkpoint_refused(b"PK\x03\x04 a zip file, as torch saves", &["not a safetensors file", "unlearn train"]);
    checkpoint_refused(&good[..good.len() - 1], &["not a safetensors file"]);
    checkpoint_refused(&good[..100], &["not a safetensors file"]);
    checkpoint_refused(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), &["not a safetensors file"]);
    let foreign = safetensors::serialize([("w", TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap())], None).unwrap();
    checkpoint_refused(&foreign, &["not one of `unlearn`", "unlearn train"]);

    // Metadata.
    checkpoint_refused(
        &changed(&|p| p.0["format"] = 2.into()),
        &["checkpoint format 2, this version reads 1", "the version of unlearn that wrote it"],
    );
    checkpoint_refused(&changed(&|p| p.0["format"] = "one".into()), &["checkpoint format none"]);
    checkpoint_refused(&changed(&|p| p.0 = "text".into()), &["checkpoint format none"]);
    checkpoint_refused(
        &changed(&|p| {
            p.0.as_object_mut().unwrap().remove("class_map");
        }),
        &["unreadable metadata", "class_map", damaged],
    );

    // Tensors.
    let set = |name: &'static str, at: usize, value: f32| {
        changed(&move |p| p.1.get_mut(name).unwrap().2[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes()))
    };
    checkpoint_refused(&set("fc2.0.weight", 17, f32::NAN), &["tensor `fc2.0.weight` holds NaN", "smaller learning rate"]);
    checkpoint_refused(&set("head.bias", 4, f32::NEG_INFINITY), &["tensor `head.bias` holds -inf", "smaller learning rate"]);
    checkpoint_refused(
        &changed(&|p| {
            p.1.remove("head.bias");
        }),
        &["tensor `head.bias` of mlp is missing", damaged],
    );
    checkpoint_refused(
        &changed(&|p| {
            p.1.insert("fc9.weight".into(), (Dtype::F32, vec![1], vec![0; 4]));
        }),
        &["tensor `fc9.weight` does not belong to mlp", damaged],
    );
    checkpoint_refused(
        &changed(&|p| p.1.get_mut("head.weight").unwrap().1.reverse()),
        &["tensor `head.weight` is F32 of shape [64, 5], mlp needs F32 of shape [5, 64]", damaged],
    );
    checkpoint_refused(
        &changed(&|p| p.1.get_mut("head.bias").unwrap().0 = Dtype::I32),
        &["tensor `head.bias` is I32", "mlp needs F32 of shape [5]", damaged],
    );
}

#[test]
fn metadata_that_no_model_can_have_is_refused() {
    let bench = Bench::new();
    bench.unlearn(&format!("train {TINY} --quiet --classes 0,1,2,3,4 --out good.safetensors")).ok();
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut parts = apart(&bench.read("good.safetensors"));
        change(&mut parts.0);
        bench.write("bad.safetensors", together(&parts));
        bench.unlearn(&format!("swap {TINY} {SWAP} --model bad.safetensors --out run"))
    };
    let damaged = "damaged or was edited";
    changed(&|m| m["class_map"] = serde_json::json!([0, 1, 1, 3, 4])).refused(&["class 1 appears twice"]);
    changed(&|m| m["class_map"] = serde_json::json!([2])).refused(&["at least two"]);
    changed(&|m| m["class_map"] = serde_json::json!([0, 1, 2, 3])).refused(&["tensor `head.weight`", "[4, 64]"]);
    changed(&|m| m["architecture"] = "mpl".into()).refused(&["bad.safetensors", "architecture `mpl`: no such", "valid: mlp"]);
    changed(&|m| m["architecture"] = "cnn-s".into()).refused(&["tensor `conv1.0.weight` of cnn-s is missing"]);
    changed(&|m| m["input"] = serde_json::json!([1, 16, 16])).refused(&["tensor `fc1.1.weight`", "[128, 256]"]);
    // Sizes are checked before anything of that size is made.
    changed(&|m| m["input"] = serde_json::json!([1, 0, 0])).refused(&["bad.safetensors", "images of [1, 0, 0]", damaged]);
    changed(&|m| m["input"] = serde_json::json!([9, 9999, 9999])).refused(&["bad.safetensors", "room for", damaged]);
    changed(&|m| m["input"] = serde_json::json!([u32::MAX, u32::MAX, u32::MAX])).refused(&["bad.safetensors", "4294967295", damaged]);
    assert_eq!(bench.entries(), ["bad.safetensors", "good.safetensors"]);
}

#[test]
fn inspect_refuses_what_is_no_checkpoint() {
    let bench = Bench::new();
    bench.write("notes.txt", "not a model, but a text");
    bench.unlearn("inspect notes.txt").refused(&["notes.txt", "not a safetensors file", "unlearn train"]);
    bench.unlearn("inspect absent").refused(&["absent", "check that the path exists"]);
}

#[test]
fn reports_of_what_is_no_finished_run_are_refused() {
    let bench = Bench::new();
    bench.swap("run", "--oracles 0 --methods logit-mask");
    std::fs::create_dir(bench.path("folder")).unwrap();
    std::fs::create_dir(bench.path("begun")).unwrap();
    bench.write("begun/config.toml", bench.read("run/config.toml"));
    for (what, parts) in [
        ("folder", ["folder", "not a run directory: it has no config.toml", "`unlearn swap`"]),
        ("absent", ["absent", "not a run directory", "`unlearn swap`"]),
        ("begun", ["begun", "the run is not finished: it has no scores.json", "--resume"]),
    ] {
        bench.unlearn(&format!("report {what}")).refused(&parts);
        bench.unlearn(&format!("compare run {what}")).refused(&parts);
        bench.unlearn(&format!("audit {what}")).ended(2);
    }
    assert_eq!(bench.entries(), ["begun", "folder", "run"]);
    assert_eq!(names_in(&bench.path("begun")), ["config.toml"]);
    assert!(names_in(&bench.path("folder")).is_empty());

    // A damaged file of a finished run is named.
    let scores = String::from_utf8(bench.read("run/scores.json")).unwrap();
    let page = bench.read("run/report.html");
    bench.write("run/scores.json", &scores[..scores.len() / 2]);
    bench.unlearn("report run").refused(&["scores.json", "EOF", "--resume"]);
    bench.write("run/scores.json", scores.replacen("\"format\": 1", "\"format\": 7", 1));
    bench.unlearn("report run").refused(&["run", "scores format 7, this version reads 1", "the version of unlearn that wrote it"]);
    bench.write("run/scores.json", &scores);
    std::fs::remove_file(bench.path("run/outputs/logit-mask.json")).unwrap();
    bench.unlearn("report run").refused(&["logit-mask.json"]);
    assert_eq!(bench.read("run/report.html"), page, "a refused report leaves the old page");
}

#[test]
fn audits_of_models_that_do_not_belong_together_are_refused() {
    let bench = Bench::new();
    bench.swap("run", "--oracles 0 --methods logit-mask");
    let models = "run/models/logit-mask.safetensors --original run/models/original.safetensors";
    for (line, parts) in [
        ("audit run/models/logit-mask.safetensors --forget 2".to_string(), &["--out", "missing", "name a new directory"][..]),
        (format!("audit {models} --out new"), &["--forget", "missing", "name a class"]),
        // The original's classes decide what can be forgotten and learned.
        (format!("audit {models} --out new --forget 5"), &["--forget", "class 5 is not in the model", "0,1,2,3,4"]),
        (format!("audit {models} --out new --forget 2 --learn 4"), &["--learn", "class 4 is already in the model"]),
        // A swapped model where plain unlearning or another swap is claimed; the original where an oracle is.
        (format!("audit {models} --out new --forget 2"), &["logit-mask.safetensors", "[0, 1, 5, 3, 4]", "one swap at a time"]),
        (format!("audit {models} --out new --forget 1 --learn 5"), &["logit-mask.safetensors", "this swap leaves [0, 5, 2, 3, 4]"]),
        (
            format!("audit {models} --out new --forget 2 --learn 5 --oracle run/models/original.safetensors"),
            &["original.safetensors", "its slots stand for [0, 1, 2, 3, 4]"],
        ),
        (format!("audit {models} --out new --forget 2 --learn 5 --data mnist-mini"), &["images of [1, 8, 8]", "mnist-mini", "--data"]),
        (format!("audit {models} --out run --forget 2 --learn 5"), &["--out run", "exists already; nothing in it was touched"]),
        ("audit absent --forget 2 --out new".to_string(), &["absent", "check that the path exists"]),
        // Where a run goes, and what it swapped, is known.
        ("audit run --out new".to_string(), &["--out", "run is a run", "copy the run"]),
        ("audit run --forget 2 --learn 5".to_string(), &["--forget", "run is a run", "leave the flag out"]),
    ] {
        let before = common::tree(&bench.path("run"));
        bench.unlearn(&line).refused(parts);
        assert_eq!(bench.entries(), ["run"], "{line}");
        assert!(before == common::tree(&bench.path("run")), "{line} touched the run");
    }
}

#[test]
fn a_model_given_to_a_swap_must_fit_its_data_and_classes() {
    let bench = Bench::new();
    bench.unlearn(&format!("train {TINY} --quiet --classes 0,1,2 --out m.safetensors")).ok();
    let given = "swap --model m.safetensors --out run";
    bench.unlearn(&format!("{given} --data mnist-mini --forget 2 --learn 7")).refused(&[
        "--model",
        "images of [1, 8, 8]",
        "the data it was trained on",
    ]);
    bench.unlearn(&format!("{given} --data blobs --forget 5")).refused(&["--forget", "class 5 is not in the model", "0,1,2"]);
    bench.unlearn(&format!("{given} --data blobs --forget 0 --learn 1")).refused(&["--learn", "class 1 is already in the model"]);
    bench.unlearn("swap --model absent --out run --data blobs --forget 0").refused(&["absent", "check that the path exists"]);
    assert_eq!(bench.entries(), ["m.safetensors"]);
}

#[test]
fn nothing_that_exists_is_written_over() {
    let bench = Bench::new();
    bench.write("taken", "mine");
    bench.unlearn(&format!("train {TINY} --out taken")).refused(&["--out taken", "exists already; it was not touched", "another file"]);
    bench.unlearn(&format!("swap {TINY} {SWAP} --out taken")).refused(&["--out taken", "exists already; nothing in it was touched"]);
    bench.unlearn(&format!("swap {TINY} {SWAP} --out taken --resume")).refused(&["--resume taken", "a file", "another directory"]);
    assert_eq!(bench.read("taken"), b"mine");
    assert_eq!(bench.entries(), ["taken"]);
}

#[test]
fn messages_say_a_cause_once() {
    let bench = Bench::new();
    let ran = bench.unlearn("inspect absent").refused(&[]);
    assert_eq!(ran.err.matches("os error").count(), 1, "{}", ran.err);
    assert_eq!(ran.out, "", "errors go to standard error");
}

#[test]
fn an_instruction_set_that_the_machine_lacks_is_refused() {
    let bench = Bench::new();
    for name in ["avx", "AVX2", ""] {
        let ran = bench.command("list models").env("UNLEARN_ISA", name).output().expect("it starts");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{said}");
        for part in [&format!("UNLEARN_ISA={name}"), "no instruction set of this machine", "portable", "leave the variable out"] {
            assert!(said.contains(part), "{said:?} lacks {part:?}");
        }
    }
    assert!(bench.command("list models").env("UNLEARN_ISA", "portable").status().expect("it starts").success());
}

#[test]
fn what_would_be_lost_or_has_no_use_is_refused_before_the_work() {
    let bench = Bench::new();
    bench.unlearn(&format!("train {TINY} --oracles 3 --out m")).refused(&["--oracles", "a training has no use for it", "unlearn swap"]);
    bench.unlearn(&format!("train {TINY} --out m --set finetune.epochs=1")).refused(&["--set", "no use"]);
    bench.write("file", "mine");
    // Before the first epoch, not after the last.
    let ran = bench.unlearn(&format!("train {TINY} --out file/m.safetensors"));
    assert!(ran.code == Some(1) && !ran.err.contains("epoch 1") && ran.err.contains("file/m.safetensors"), "{}", ran.err);
    bench.unlearn(&format!("train {TINY} --out new/")).refused(&["new/", "a folder, and no file in it"]);
    bench.unlearn("data show blobs --out file").refused(&["--out file", "is no PNG; it was not touched"]);
    assert_eq!(bench.read("file"), b"mine");
    bench.unlearn("train --data blobs --threads 100000 --out m").refused(&["--threads 100000", "more than the", "at most"]);
    // A page is written over a page and nothing else.
    bench.swap("run", "--oracles 0 --methods finetune");
    bench.unlearn("report run --out run/scores.json").refused(&["--out run/scores.json", "is no page; it was not touched"]);
    bench.unlearn("report run --out page.html --quiet").ok();
    bench.unlearn("report run --out page.html --quiet").ok();
    // What the given original says of itself isn't to be said otherwise.
    let given = format!("swap --data blobs {SWAP} --model run/models/original.safetensors --out other");
    bench.unlearn(&format!("{given} --arch cnn-s")).refused(&["--arch cnn-s", "the model that was given is a mlp"]);
    bench.unlearn(&format!("{given} --classes 0,1,2")).refused(&["--classes 0,1,2", "has 0,1,2,3,4"]);
    // A model that was made of the original is no oracle.
    let audit = "audit run/models/finetune.safetensors --original run/models/original.safetensors --forget 2 --learn 5 --out found";
    bench.unlearn(&format!("{audit} --oracle run/models/logit-mask.safetensors")).refused(&[
        "logit-mask.safetensors",
        "made by logit-mask",
        "unlearn oracle",
    ]);
    bench.unlearn("audit run run --out found").refused(&["run", "a directory among several files", "one run at a time"]);
    assert_eq!(bench.entries(), ["file", "page.html", "run"]);
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_get_lost_are_no_success() {
    let bench = Bench::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = bench.command("list methods").stdout(full).output().unwrap();
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code() == Some(1) && err.contains("standard output: not all was written"), "{err}");
}

#[test]
fn a_method_that_diverges_is_no_fault_of_the_others() {
    let bench = Bench::new();
    let swap = format!(
        "swap --data blobs --arch mlp --epochs 2 --lr 0.05 --optimiser sgd --weight-decay 0.5 --threads 1 {SWAP} --oracles 0 --controls false --quiet"
    );
    // The decay multiplies every weight by 1 − 25 at each step.
    let wild = "--set finetune.lr_factor=1000 --set finetune.epochs=20";
    let ran = bench.unlearn(&format!("{swap} --methods finetune,retrain {wild} --out run")).ok();
    let says = "“finetune” is not among the models here: its training diverged, the loss is";
    let scores = bench.scores("run");
    assert!(ran.err.contains(says) && scores.warnings.iter().any(|w| w.starts_with(says)), "{}\n{:?}", ran.err, scores.warnings);
    let models: Vec<&str> = scores.verdict.iter().map(|v| v.model.as_str()).collect();
    assert_eq!(models, ["original", "retrain"]);
    bench.unlearn("audit run --quiet").ok();
    assert!(bench.scores("run").warnings.iter().any(|w| w.contains("diverged when the run was made")), "{:?}", bench.scores("run").warnings);
    // Where no other was asked for, that is the end.
    let ran = bench.unlearn(&format!("{swap} --methods finetune {wild} --out alone")).ended(1);
    assert!(ran.err.contains("training of finetune: it diverged") && ran.err.contains("smaller learning rate"), "{}", ran.err);
}
