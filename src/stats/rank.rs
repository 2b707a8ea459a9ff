//! Rank correlation.

/// Kendall's τ-b (Kendall 1945): (concordant − discordant) / √((pairs − ties in x)(pairs − ties in y)); −1 to 1. None where one side gives
/// all the same rank, or a value is NaN. Infinite values rank beyond all others and tie with each other.
pub fn kendall_tau_b(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len().min(y.len());
    let (mut sum, mut untied_x, mut untied_y) = (0i64, 0u64, 0u64);
    for i in 0..n {
        for j in 0..i {
            let a = x[i].partial_cmp(&x[j])? as i64;
            let b = y[i].partial_cmp(&y[j])? as i64;
            sum += a * b;
            untied_x += u64::from(a != 0);
            untied_y += u64::from(b != 0);
        }
    }
    (untied_x > 0 && untied_y > 0).then(|| sum as f64 / (untied_x as f64 * untied_y as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::golden;
    use proptest::prelude::*;

    #[test]
    fn matches_scipy() {
        for case in golden("ranks") {
            let of = |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).expect("numbers") };
            let tau = kendall_tau_b(&of("x"), &of("y")).expect("defined");
            assert!((tau - case["tau_b"].as_f64().expect("a number")).abs() < 1e-12, "{tau}");
        }
    }

    #[test]
    fn undefined_without_an_order() {
        assert_eq!(kendall_tau_b(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(kendall_tau_b(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        assert_eq!(kendall_tau_b(&[], &[]), None);
        assert_eq!(kendall_tau_b(&[1.0, f64::INFINITY], &[1.0, 2.0]), Some(1.0));
    }

    proptest! {
        #[test]
        fn is_bounded_symmetric_and_blind_to_scale(pairs in prop::collection::vec((0u8..9, 0u8..9), 2..20)) {
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(a, b)| (f64::from(*a), f64::from(*b))).unzip();
            if let Some(tau) = kendall_tau_b(&x, &y) {
                prop_assert!((-1.0..=1.0).contains(&tau));
                prop_assert_eq!(kendall_tau_b(&y, &x), Some(tau));
                let stretched: Vec<f64> = x.iter().map(|v| v.exp()).collect();
                prop_assert_eq!(kendall_tau_b(&stretched, &y), Some(tau));
                let reversed: Vec<f64> = x.iter().map(|v| -v).collect();
                prop_assert_eq!(kendall_tau_b(&reversed, &y), Some(-tau));
            }
        }
    }
}
