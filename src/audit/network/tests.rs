use super::*;
use crate::audit::linalg::{Factored, balanced_accuracy, signs};
use crate::audit::{PartName, shares};

/// `old` inside a ring of the others: no line tells them apart, a circle does.
fn ring(n: usize, width: usize, seed: u64) -> (Features, Vec<bool>) {
    let mut rng = rng::stream(seed, "test", 0);
    let old: Vec<bool> = (0..n).map(|i| i % 5 == 0).collect();
    let mut values = Vec::with_capacity(n * width);
    for o in &old {
        let (angle, radius) = (rng.random_range(0.0..std::f32::consts::TAU), if *o { 0.3 } else { 1.0 } + rng.random_range(-0.2..0.2f32));
        values.extend([100.0 + radius * angle.cos(), -5.0 + radius * angle.sin()]);
        values.extend((2..width).map(|_| rng.random_range(-1.0..1.0f32)));
    }
    (Features { values, width }, old)
}

#[test]
fn a_ring_is_read_where_no_line_can() {
    let ((x, old), (test, test_old)) = (ring(1500, 4, 1), ring(1000, 4, 2));
    let rows: Vec<usize> = (0..old.len()).collect();
    let linear = Factored::of(&x, &rows, &old).expect("finite").fit(&signs(&rows, &old)).readout;
    let trained = train(&x, &rows, &old, 0, 0);
    let scores = trained.network.scores(&test);
    assert!(balanced_accuracy(&linear.scores(&test), &test_old) < 0.65);
    assert!(balanced_accuracy(&scores, &test_old) > 0.97);
    let information = trained.calibration.information(&scores, &test_old).expect("both sides");
    assert!(information > 0.5 && information < std::f64::consts::LN_2, "{information}");
}

#[test]
fn the_gradient_is_that_of_differences() {
    let (x, old) = ring(12, 3, 3);
    let rows: Vec<usize> = (0..12).collect();
    let [centre, scale] = standard(&x, &rows);
    let rows = Rows::of(&x, &rows, &old, [&centre, &scale]);
    let network = Network::drawn(3, &mut rng::stream(5, "test", 0));
    let mut gradient = vec![0.0; network.values.len()];
    network.gradient(&rows.x, &rows.y, &rows.weight, &mut gradient);
    let hidden = network.hidden(&rows.x);
    for i in (0..gradient.len()).step_by(7) {
        // A first-layer weight or a bias of a unit whose input is next to the ReLU's kink for some row has no derivative to compare.
        let unit = i % HIDDEN;
        if i < HIDDEN * 4 && (0..12).any(|k| hidden[(unit, k)].abs() < 0.01) {
            continue;
        }
        let moved = |by: f32| {
            let mut moved = network.clone();
            moved.values[i] += by;
            moved.loss(&rows)
        };
        let difference = (moved(1e-3) - moved(-1e-3)) / 2e-3;
        assert!((difference - f64::from(gradient[i])).abs() < 2e-4, "{i}: {} and {difference}", gradient[i]);
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let (x, old) = ring(900, 70, 4);
    let rows: Vec<usize> = (0..old.len()).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| train(&x, &rows, &old, 9, 1))
    };
    let one = on(1);
    assert_eq!(one, on(4));
    assert_ne!(one, train(&x, &rows, &old, 9, 2), "another draw is another network");
}

#[test]
fn constant_features_are_at_chance() {
    let x = Features { values: vec![7.0; 60], width: 2 };
    let old: Vec<bool> = (0..30).map(|i| i % 3 == 0).collect();
    let trained = train(&x, &(0..30).collect::<Vec<_>>(), &old, 0, 0);
    assert_eq!(balanced_accuracy(&trained.network.scores(&x), &old), 0.5);
}

/// Labels that say nothing are read at chance, by the network and by the ridge: mean over draws, whose test samples are 600 each.
#[test]
fn control_labels_are_read_at_chance() {
    let ((x, old), (test, test_old)) = (ring(600, 6, 5), ring(600, 6, 6));
    let rows: Vec<usize> = (0..old.len()).collect();
    let factored = Factored::of(&x, &rows, &old).expect("finite");
    let draws = 12;
    let mut sums = [0.0; 2];
    for draw in 0..draws {
        let labels = shares::control_labels(&old, PartName::Train, 3, draw);
        let on_test = shares::control_labels(&test_old, PartName::Test, 3, draw);
        sums[0] += balanced_accuracy(&factored.fit(&signs(&rows, &labels)).readout.scores(&test), &on_test);
        sums[1] += balanced_accuracy(&train(&x, &rows, &labels, 3, draw).network.scores(&test), &on_test);
    }
    // sd of a draw √(.25/600) = .020, of the mean .006
    assert!(sums.iter().all(|s| (s / draws as f64 - 0.5).abs() < 0.024), "{sums:?}");
}
