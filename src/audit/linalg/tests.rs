use proptest::prelude::*;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::Deserialize;

use super::*;
use crate::rng;

/// `old` at every fourth row, moved by `shift` along the first of two features.
fn cloud(n: usize, shift: f32, seed: u64) -> (Features, Vec<bool>) {
    let mut rng = rng::stream(seed, "test", 0);
    let old: Vec<bool> = (0..n).map(|i| i % 4 == 0).collect();
    let values = old.iter().flat_map(|o| [rng.random_range(-1.0..1.0) + if *o { shift } else { 0.0 }, rng.random_range(-1.0f32..1.0)]).collect();
    (Features { values, width: 2 }, old)
}

fn fit(x: &Features, old: &[bool]) -> Fit {
    let rows: Vec<usize> = (0..old.len()).collect();
    Factored::of(x, &rows, old).expect("finite").fit(&signs(&rows, old))
}

#[test]
fn separable_classes_are_read_and_equal_ones_are_not() {
    let (x, old) = cloud(400, 2.5, 1);
    assert!(balanced_accuracy(&fit(&x, &old).readout.scores(&x), &old) > 0.99);
    let (x, old) = cloud(4000, 0.0, 2);
    let (test, test_old) = cloud(4000, 0.0, 3);
    let chance = balanced_accuracy(&fit(&x, &old).readout.scores(&test), &test_old);
    // 1000 old test rows: sd of the mean of two rates ≈ √(.25/1000 + .25/3000)/2 ≈ 0.009
    assert!((chance - 0.5).abs() < 0.04, "{chance}");
}

#[test]
fn ridge_of_a_worked_case() {
    // x: old at 1 and 3, rest at −1 and −3, ten times over; weights equal; mean 0, covariance 5, cross 2: w = 2/(5 + 5λ), b = 0.
    let xs = [1.0, 3.0, -1.0, -3.0];
    let values: Vec<f32> = xs.iter().cycle().take(40).copied().collect();
    let old: Vec<bool> = values.iter().map(|v| *v > 0.0).collect();
    let Fit { readout, lambda, .. } = fit(&Features { values, width: 1 }, &old);
    assert!((readout.w[0] - 0.4 / (1.0 + lambda)).abs() < 1e-12 && readout.b.abs() < 1e-12, "{readout:?}");
}

#[test]
fn constant_features_are_at_chance() {
    let x = Features { values: vec![3.0; 40], width: 1 };
    let old: Vec<bool> = (0..40).map(|i| i % 2 == 0).collect();
    assert_eq!(balanced_accuracy(&fit(&x, &old).readout.scores(&x), &old), 0.5);
}

#[test]
fn a_score_that_is_no_number_has_no_accuracy() {
    assert!(balanced_accuracy(&[1.0, f64::NAN], &[true, false]).is_nan());
}

/// See tests/golden/ridge.py.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    width: usize,
    x: Vec<f32>,
    old: Vec<bool>,
    lambda: f64,
    ridge_cv_lambda: f64,
    left_out: Vec<f64>,
    w: Vec<f64>,
    b: f64,
}

#[test]
fn leave_one_out_is_that_of_a_loop_and_of_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/ridge.json")).expect("golden values");
    for case in golden.cases {
        let fit = fit(&Features { values: case.x, width: case.width }, &case.old);
        assert_eq!((fit.lambda, fit.lambda), (case.lambda, case.ridge_cv_lambda));
        let close = |a: &f64, b: &f64| (a - b).abs() < 1e-7 * (1.0 + b.abs());
        // Leave-one-out reads products in single precision where there are many rows.
        assert!(fit.left_out.iter().zip(&case.left_out).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}\n{:?}", fit.left_out, case.left_out);
        assert!(fit.readout.w.iter().zip(&case.w).all(|(a, b)| close(a, b)), "{:?}\n{:?}", fit.readout.w, case.w);
        assert!(close(&fit.readout.b, &case.b), "{} {}", fit.readout.b, case.b);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of labels shuffled over rows that a line tells apart nothing is read, whatever the width: 500 of 2,000 test rows are called old, so that five
    /// standard deviations are 5·√(.25/500 + .25/1500)/2 = 0.065.
    #[test]
    fn shuffled_labels_are_read_at_chance(width in 1usize..12, seed in 0u64..1_000_000) {
        let mut rng = rng::stream(seed, "test", 0);
        let mut rows_of = |n: usize| {
            let mut labels: Vec<bool> = (0..n).map(|i| i % 4 == 0).collect();
            let values = labels.iter().flat_map(|o| (0..width).map(|_| rng.random_range(-1.0f32..1.0) + f32::from(u8::from(*o)) * 3.0).collect::<Vec<_>>());
            let x = Features { values: values.collect(), width };
            let told = balanced_accuracy(&fit(&x, &labels).readout.scores(&x), &labels);
            labels.shuffle(&mut rng);
            (x, labels, told)
        };
        let ((x, old, told), (test, test_old, _)) = (rows_of(800), rows_of(2000));
        prop_assert!(told > 0.95, "true labels are read: {}", told);
        let chance = balanced_accuracy(&fit(&x, &old).readout.scores(&test), &test_old);
        prop_assert!((chance - 0.5).abs() < 0.065, "{}", chance);
    }

    /// Both ways to the eigenvectors, of AᵀA and of AAᵀ, lead to one read-out: as many rows as features less one, and with one more.
    #[test]
    fn wide_and_tall_agree(d in 8usize..20, seed in 0u64..1000) {
        let mut rng = rng::stream(seed, "test", 0);
        let values: Vec<f32> = (0..(d + 1) * d).map(|_| rng.random_range(-1.0..1.0)).collect();
        let old: Vec<bool> = (0..=d).map(|i| i % 3 == 0).collect();
        let rows: Vec<usize> = (0..d).collect();
        let x = Features { values: values.clone(), width: d };
        // A feature more, always 0, turns the square case into a wide one.
        let padded = values.chunks_exact(d).flat_map(|r| r.iter().copied().chain([0.0])).collect();
        let wide = Features { values: padded, width: d + 1 };
        let y = signs(&rows, &old);
        let (a, b) = (Factored::of(&x, &rows, &old).expect("finite"), Factored::of(&wide, &rows, &old).expect("finite"));
        // The penalty is relative to the mean over features, of which there is one more.
        for (l, penalty) in a.penalties.iter().enumerate() {
            prop_assert!((penalty / b.penalties[l] - (d + 1) as f64 / d as f64).abs() < 1e-9);
        }
        let b = Factored { penalties: a.penalties.clone(), leverages: leverages(&b.turned, &b.values, &b.weights, &a.penalties), ..b };
        let (a, b) = (a.fit(&y), b.fit(&y));
        prop_assert_eq!(a.lambda, b.lambda);
        for (p, q) in a.readout.w.iter().zip(&b.readout.w).chain(a.left_out.iter().zip(&b.left_out)) {
            prop_assert!((p - q).abs() < 1e-6 * (1.0 + q.abs()), "{} {}", p, q);
        }
    }
}
