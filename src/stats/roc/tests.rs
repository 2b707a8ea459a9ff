use proptest::prelude::*;

use super::*;

#[derive(serde::Deserialize)]
struct Golden {
    roc: Vec<Case>,
    wilson: Vec<Interval>,
}

#[derive(serde::Deserialize)]
struct Case {
    members: Vec<f64>,
    non_members: Vec<f64>,
    fpr: Vec<f64>,
    tpr: Vec<f64>,
    auc: f64,
    se: f64,
    tpr_at_001: Option<f64>,
    tpr_at_01: Option<f64>,
}

#[derive(serde::Deserialize)]
struct Interval {
    hits: usize,
    trials: usize,
    low: f64,
    high: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/golden/membership.json")).expect("golden values")
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn curves_match_scikit_learn_and_delong_by_definition() {
    for case in golden().roc {
        let roc = Roc::of(&case.members, &case.non_members).expect("defined");
        let points = roc.points();
        assert_eq!(points.len(), case.fpr.len());
        assert!(points.iter().zip(case.fpr.iter().zip(&case.tpr)).all(|(p, (x, y))| close(p.0, *x) && close(p.1, *y)));
        let auc = roc.auc();
        assert!(close(auc.value, case.auc) && close(auc.se.expect("defined"), case.se), "{auc:?} {} {}", case.auc, case.se);
        assert_eq!(roc.tpr_at(0.01).map(|r| r.value), case.tpr_at_001);
        assert_eq!(roc.tpr_at(0.1).map(|r| r.value), case.tpr_at_01);
    }
}

#[test]
fn wilson_intervals_match_scipy() {
    for case in golden().wilson {
        let (low, high) = wilson(case.hits, case.trials);
        assert!(close(low, case.low) && close(high, case.high), "{} of {}: {low} {high}", case.hits, case.trials);
    }
    assert_eq!(wilson(0, 0), (0.0, 1.0));
}

/// Φ(x) by its series ½ + φ(x)·Σ xᵏ/(1·3·5…k), odd k (Abramowitz & Stegun 26.2.11).
fn normal_cdf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..100 {
        term *= x * x / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[test]
fn two_gaussians_have_the_known_area() {
    // Scores at the quantiles of N(d, 1) and N(0, 1): the area is Φ(d/√2). Quantiles by bisection.
    let n = 2000;
    let quantile = |p: f64| {
        let (mut low, mut high) = (-5.0, 5.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if normal_cdf(middle) < p { low = middle } else { high = middle }
        }
        low
    };
    let others: Vec<f64> = (0..n).map(|i| quantile((f64::from(i) + 0.5) / f64::from(n))).collect();
    for d in [0.0, 0.5, 1.0, 2.0] {
        let members: Vec<f64> = others.iter().map(|s| s + d).collect();
        let auc = Roc::of(&members, &others).expect("defined").auc();
        let expected = normal_cdf(d / 2f64.sqrt());
        assert!((auc.value - expected).abs() < 1e-3, "{d}: {} {expected}", auc.value);
    }
    // For equal distributions the variance of the Mann–Whitney statistic is (m + n + 1) / 12mn; DeLong's lacks the 1.
    let se = Roc::of(&others, &others).and_then(|r| r.auc().se).expect("defined");
    assert!((se - (2.0 / (12.0 * f64::from(n))).sqrt()).abs() < 1e-5, "{se}");
}

#[test]
fn a_level_that_the_sample_cannot_resolve_is_undefined() {
    let (members, others): (Vec<f64>, Vec<f64>) = ((0..50).map(f64::from).collect(), (0..300).map(f64::from).collect());
    let roc = Roc::of(&members, &others).expect("defined");
    assert_eq!(roc.tpr_at(0.001), None, "0.3 of 300 non-members");
    // Three of 300 may pass: those above all members. 0.01 · 300 is 3 only but for rounding.
    assert_eq!(roc.tpr_at(0.01).map(|r| r.value), Some(0.0));
    assert_eq!(Roc::of(&others, &members).and_then(|r| r.tpr_at(0.02)).map(|r| r.value), Some(250.0 / 300.0 + 1.0 / 300.0));
}

#[test]
fn a_tie_at_the_threshold_counts_against_the_attack() {
    // The top score is shared by two of 100 non-members and all members: at 1 % nobody can be accepted.
    let members = [1.0; 10];
    let others: Vec<f64> = (0..100).map(|i| if i < 2 { 1.0 } else { 0.0 }).collect();
    let roc = Roc::of(&members, &others).expect("defined");
    assert_eq!(roc.tpr_at(0.01).map(|r| r.value), Some(0.0));
    assert_eq!(roc.tpr_at(0.02).map(|r| r.value), Some(1.0));
}

#[test]
fn what_has_no_curve_is_none() {
    assert_eq!(Roc::of(&[], &[1.0]), None);
    assert_eq!(Roc::of(&[1.0], &[]), None);
    assert_eq!(Roc::of(&[f64::NAN], &[1.0]), None);
    let infinite = Roc::of(&[f64::INFINITY, 1.0], &[f64::NEG_INFINITY]).expect("infinity is a score").auc();
    assert_eq!((infinite.value, infinite.se), (1.0, None));
    assert_eq!(Roc::of(&[0.0], &[-0.0]).expect("defined").auc().value, 0.5, "one zero");
}

/// Scores on a coarse grid, so that ties are common.
fn scores() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-8i32..8).prop_map(|i| f64::from(i) / 4.0), 1..40)
}

proptest! {
    #[test]
    fn monotone_maps_change_nothing(a in scores(), b in scores()) {
        let map = |s: &[f64]| -> Vec<f64> { s.iter().map(|v| (3.0 * v).exp() - 5.0).collect() };
        prop_assert_eq!(Roc::of(&a, &b), Roc::of(&map(&a), &map(&b)));
    }

    #[test]
    fn sides_exchanged_mirror_the_area(a in scores(), b in scores()) {
        let (ab, ba) = (Roc::of(&a, &b).expect("defined").auc(), Roc::of(&b, &a).expect("defined").auc());
        prop_assert!((ab.value - (1.0 - ba.value)).abs() < 1e-12);
        prop_assert!(ab.se.zip(ba.se).is_none_or(|(x, y)| (x - y).abs() < 1e-12));
    }

    #[test]
    fn the_area_is_that_under_the_points(a in scores(), b in scores()) {
        let roc = Roc::of(&a, &b).expect("defined");
        let points = roc.points();
        let area: f64 = points.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
        prop_assert!((roc.auc().value - area).abs() < 1e-9);
        prop_assert!(points.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 <= w[1].1));
        prop_assert_eq!(points.last().copied(), Some((1.0, 1.0)));
    }
}
