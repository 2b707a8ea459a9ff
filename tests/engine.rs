//! Training on our kernels against training on burn's own operations.

mod common;

use common::Bench;

/// Loss and accuracy by epoch, then the test accuracy, on our kernels or on burn's.
fn curve(bench: &Bench, kernels: &str, seed: u64) -> Vec<f64> {
    let out = format!("{kernels}-{seed}.safetensors");
    let line = format!("train --data mnist-mini --epochs 2 --classes 0,1,2 --seed {seed} --lr 0.002 --json --quiet --out {out}");
    let mut command = bench.command(&line);
    if kernels == "burn" {
        command.env("UNLEARN_KERNELS", "burn");
    }
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let json: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let epochs = json["epochs"].as_array().unwrap();
    let of_epoch = |e: &serde_json::Value| [e["loss"].as_f64().unwrap(), e["accuracy"].as_f64().unwrap()];
    epochs.iter().flat_map(of_epoch).chain([json["test"]["accuracy"].as_f64().unwrap()]).collect()
}

#[test]
fn training_curves_are_burns_within_rounding() {
    let bench = Bench::new();
    let [ours, burns, other] = [("ours", 0), ("burn", 0), ("ours", 1)].map(|(kernels, seed)| curve(&bench, kernels, seed));
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    // The same seed: sums in another order, no more. Another seed shows what difference training makes by itself.
    let (engines, seeds) = (distance(&ours, &burns), distance(&ours, &other));
    assert!(engines > 0.0, "{ours:?} twice: the switch does nothing");
    assert!(engines < 0.02, "{ours:?} on ours, {burns:?} on burn's operations; another seed {other:?}");
    assert!(engines < seeds, "{engines} between engines, {seeds} between seeds");
}

#[test]
fn other_kernels_are_refused() {
    let bench = Bench::new();
    let ran = bench.command("list models").env("UNLEARN_KERNELS", "mkl").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("use burn for burn's own operations"));
}
