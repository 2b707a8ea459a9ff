use rand::RngExt;
use serde::Deserialize;

use super::*;
use crate::rng;

fn noise(n: usize, width: usize, seed: u64) -> Features {
    let mut rng = rng::stream(seed, "test", 0);
    Features { values: (0..n * width).map(|_| rng.random_range(-1.0..1.0f32)).collect(), width }
}

fn kernel(x: &Features) -> Kernel {
    Kernel::of(x, &(0..x.len()).collect::<Vec<_>>())
}

/// See tests/golden/cka.py.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    widths: [usize; 2],
    x: Vec<f32>,
    y: Vec<f32>,
    cka: f64,
    neighbours: f64,
}

#[test]
fn as_by_u_centring_and_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/cka.json")).expect("golden values");
    for case in golden.cases {
        let (x, y) = (kernel(&Features { values: case.x, width: case.widths[0] }), kernel(&Features { values: case.y, width: case.widths[1] }));
        let (cka, neighbours) = (x.cka(&y).expect("spread"), x.common_neighbours(&y).expect("enough"));
        assert!((cka - case.cka).abs() < 1e-5, "{cka} {}", case.cka);
        assert!((neighbours - case.neighbours).abs() < 1e-9, "{neighbours} {}", case.neighbours);
    }
}

#[test]
fn a_rotation_a_shift_and_a_scale_change_nothing() {
    let x = noise(60, 2, 1);
    let (sin, cos) = 0.7f32.sin_cos();
    let turned = x.values.chunks_exact(2).flat_map(|p| [5.0 + 3.0 * (cos * p[0] - sin * p[1]), -2.0 + 3.0 * (sin * p[0] + cos * p[1])]).collect();
    let (a, b) = (kernel(&x), kernel(&Features { values: turned, width: 2 }));
    assert!((a.cka(&b).expect("spread") - 1.0).abs() < 1e-5);
    assert!(a.common_neighbours(&b).expect("enough") > 0.99, "ties by rounding aside");
}

/// Without the correction, noise of many more dimensions than samples looks alike: the biased figure would be above 0.8 here.
#[test]
fn unrelated_representations_are_at_chance() {
    let (a, b) = (kernel(&noise(100, 500, 2)), kernel(&noise(100, 500, 3)));
    assert!(a.cka(&b).expect("spread").abs() < 0.05);
    // by chance 10 of 99
    assert!((a.common_neighbours(&b).expect("enough") - 10.0 / 99.0).abs() < 0.03);
}

#[test]
fn nothing_to_compare() {
    let constant = Features { values: vec![2.0; 60], width: 2 };
    assert_eq!(kernel(&constant).cka(&kernel(&noise(30, 2, 4))), None);
    let few = kernel(&noise(3, 2, 5));
    assert_eq!((few.cka(&few), few.common_neighbours(&few)), (None, None));
    let mut diverged = noise(30, 2, 6);
    diverged.values[7] = f32::NAN;
    let (broken, sound) = (kernel(&diverged), kernel(&noise(30, 2, 4)));
    assert!(sound.cka(&broken).is_some_and(f64::is_nan) && broken.common_neighbours(&sound).is_some_and(f64::is_nan));
}
