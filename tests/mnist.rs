//! The audits on real images: a held-out retrained model passes them, the two cheats that only hide do not.
//!
//! On a piece of the built-in MNIST, five digits of 200 training images, so that it takes seconds. The fewer classes an encoder learned, the
//! less a retrained one knows of a digit that it never saw, and the plainer it is what a frozen encoder keeps.

mod common;

use common::Bench;
use unlearn::data::{Part, embedded};
use unlearn::summary::Verdict;

/// Writes `part`'s first `each` images a class as two IDX files.
fn write_idx(bench: &Bench, name: &str, part: &Part, each: usize) {
    let mut counts = [0; 10];
    let mut chosen = Vec::new();
    for i in 0..part.len() {
        let count = &mut counts[usize::from(part.labels[i].0)];
        *count += 1;
        if *count <= each {
            chosen.push(i);
        }
    }
    let [_, rows, columns] = part.shape;
    let header = |fields: &[u32]| -> Vec<u8> { fields.iter().flat_map(|f| f.to_be_bytes()).collect() };
    let mut images = header(&[0x0803, chosen.len() as u32, rows as u32, columns as u32]);
    chosen.iter().for_each(|i| images.extend(part.image(*i)));
    let mut labels = header(&[0x0801, chosen.len() as u32]);
    labels.extend(chosen.iter().map(|i| part.labels[*i].0 as u8));
    bench.write(&format!("digits/{name}-images-idx3-ubyte"), images);
    bench.write(&format!("digits/{name}-labels-idx1-ubyte"), labels);
}

#[test]
fn a_held_out_oracle_passes_and_both_cheats_fail() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("digits")).unwrap();
    let mnist = embedded::mnist_mini().unwrap();
    write_idx(&bench, "train", &mnist.train, 200);
    write_idx(&bench, "t10k", &mnist.test, 100);

    // The demo's settings on fewer classes, with one oracle more.
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/demo.toml");
    let mut command =
        bench.command("swap --data idx:digits --classes 0,1,2,4,6 --oracles 4 --methods retrain,logit-mask,head-distil --out run --quiet");
    let output = command.args(["--config", demo]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let scores = bench.scores("run");
    let verdict = |name: &str| -> &Verdict { scores.verdict.iter().find(|v| v.model == name).unwrap() };
    let value = |model: &str, label: &str| {
        let row = scores.scores.iter().find(|s| s.model == model && s.label() == label);
        row.and_then(|s| s.value).unwrap_or_else(|| panic!("{model} has no {label}"))
    };

    // The networks have learned: otherwise nothing below means anything.
    assert!(value("original", "accuracy/test_mean_over_classes") > 0.93);
    assert!(value("retrain", "accuracy/new_test") > 0.85 && value("retrain", "accuracy/retain_test") > 0.93);

    // An exactly retrained model is within on nearly everything, whether judged by four oracles or an oracle by the three others. Bands of
    // two deviations from so few oracles leave out a tenth to a fifth by chance.
    let exact: Vec<&Verdict> = ["retrain", "oracle-1", "oracle-2", "oracle-3", "oracle-4"].into_iter().map(verdict).collect();
    let (within, total) = exact.iter().fold((0, 0), |(w, t), v| (w + v.audits_within, t + v.audits_total));
    assert!(within as f64 >= 0.8 * total as f64, "{within} of {total} figures of retrained models are within: {exact:?}");
    let retrain = verdict("retrain");
    assert!(retrain.audits_within as f64 >= 0.7 * retrain.audits_total as f64, "{retrain:?}");

    // The cheats are not, and neither is the original.
    for name in ["logit-mask", "head-distil", "original"] {
        let v = verdict(name);
        assert!(!v.failing.is_empty() && v.verdict != "matched" && v.verdict != "no verdict", "{v:?}");
        assert!((v.audits_within as f64) < 0.8 * v.audits_total as f64, "{v:?}");
    }
    assert_eq!(verdict("original").verdict, "under-erased", "everything of the old class is still there");
    assert!(scores.warnings.iter().all(|w| !w.contains("negative control")), "{:?}", scores.warnings);
    // Held-out oracles are matched, a network that was never trained is not.
    assert!(scores.controls.iter().filter(|c| c.must_match).count() == 4 && scores.controls.iter().any(|c| c.model == "random-init"));
    assert!(scores.controls.iter().all(|c| c.behaves == Some(true)), "{:?}", scores.controls);

    // What each cheat shows: the mask answers the old class never and the new one neither; the new head does answer the new class, as far as
    // features that never saw it allow, and its encoder is the original's.
    assert_eq!(value("logit-mask", "accuracy/new_test"), 0.0);
    assert!(value("head-distil", "accuracy/new_test") > 0.5, "{}", value("head-distil", "accuracy/new_test"));
    for cut in ["conv1", "conv2", "conv3", "fc"] {
        let label = format!("probe/ridge_accuracy_old@{cut}");
        assert_eq!(value("head-distil", &label), value("original", &label), "the same features, the same read-out");
        assert_eq!(value("logit-mask", &label), value("original", &label));
    }

    // Data that moved are found where they are now; other data are not what the run was made with.
    std::fs::rename(bench.path("digits"), bench.path("moved")).unwrap();
    bench.unlearn("audit run").refused(&["run", "digits", "can't be read", "--data idx:FOLDER"]);
    bench.unlearn("audit run --data mnist-mini").refused(&["`mnist-mini` is not the data that it was made with", "--data idx:FOLDER"]);
    // There the classes are called otherwise, which changes neither the run's names nor its figures.
    let letters: String = (0..10).map(|label| format!("{label} {}\n", 65 + label)).collect();
    bench.write("moved/moved-mapping.txt", letters);
    assert!(bench.unlearn("data show idx:moved").ok().out.contains("A "), "letters");
    bench.unlearn("audit run --data idx:moved --quiet").ok();
    let again = bench.scores("run");
    assert_eq!(again.task.dataset, "idx:moved");
    assert_eq!((&again.task.forget_name, &again.task.names_after), (&scores.task.forget_name, &scores.task.names_after));
    assert!(again.scores == scores.scores && again.verdict == scores.verdict, "the same figures and verdicts");
}
