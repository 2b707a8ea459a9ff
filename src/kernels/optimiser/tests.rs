use super::*;
use rand::RngExt;

const STEP: AdamStep = AdamStep { first: [0.9, 0.1], second: [0.999, 0.001], l2: 0.02, decay: 3e-5, rate: 4e-3, second_scale: 7.0, eps: 1e-8 };

/// Sizes below, at and beyond a register's, and beyond a chunk.
const SIZES: [usize; 7] = [1, 3, 8, 16, 67, CHUNK, 2 * CHUNK + 5];

/// `count` arrays of `n` numbers of either sign; the last one is positive, as a second moment is.
fn arrays(n: usize, count: usize) -> Vec<Vec<f32>> {
    let mut rng = crate::rng::stream(1, "optimiser test", n as u64);
    (0..count).map(|k| (0..n).map(|_| rng.random_range(if k + 1 == count { 1e-6..1f32 } else { -1f32..1.0 })).collect()).collect()
}

fn some_free(n: usize) -> Vec<bool> {
    (0..n).map(|i| i * i % 7 < 3).collect()
}

/// Parameter and moments after a step of each kind.
fn after(isa: Isa, n: usize, free: Option<&[bool]>) -> Vec<Vec<f32>> {
    let [mut p, g, mut m, mut v]: [Vec<f32>; 4] = arrays(n, 4).try_into().expect("four");
    let (mut q, mut u) = (p.clone(), m.clone());
    adam(isa, STEP, &mut p, &g, &mut m, &mut v, free);
    sgd(isa, SgdStep { momentum: 0.9, l2: 0.02, rate: 0.01 }, &mut q, &g, &mut u, free);
    vec![p, m, v, q, u]
}

#[test]
fn instruction_sets_agree() {
    for isa in Isa::available() {
        for n in SIZES {
            for free in [None, Some(some_free(n))] {
                let (ours, portable) = (after(isa, n, free.as_deref()), after(Isa::Portable, n, free.as_deref()));
                for (a, b) in ours.iter().flatten().zip(portable.iter().flatten()) {
                    assert!((a - b).abs() <= 1e-5 * b.abs().max(0.1), "{} of {n}: {a}, portable {b}", isa.name());
                }
            }
        }
    }
}

#[test]
fn a_step_is_the_formula_in_f64() {
    for (isa, n) in Isa::available().flat_map(|isa| SIZES.map(|n| (isa, n))) {
        let [p, g, m, v]: [Vec<f32>; 4] = arrays(n, 4).try_into().expect("four");
        let made = after(isa, n, None);
        for i in 0..n {
            let [p, g, m, v] = [p[i], g[i], m[i], v[i]].map(f64::from);
            let g = g + 0.02 * p;
            let (m1, v1, u1) = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g, 0.9 * m + g);
            let adam = p - 3e-5 * p - 4e-3 * m1 / (v1.sqrt() * 7.0 + 1e-8);
            for (made, expected) in made.iter().map(|a| f64::from(a[i])).zip([adam, m1, v1, p - 0.01 * u1, u1]) {
                assert!((made - expected).abs() < 1e-6 * expected.abs().max(0.1), "{i} of {n} on {}: {made}, expected {expected}", isa.name());
            }
        }
    }
}

#[test]
fn a_frozen_weight_keeps_its_bits_and_the_others_step() {
    for (isa, n) in Isa::available().flat_map(|isa| SIZES.map(|n| (isa, n))) {
        let (start, free) = (&arrays(n, 4)[0], some_free(n));
        let (masked, whole) = (after(isa, n, Some(&free)), after(isa, n, None));
        for k in [0, 3] {
            for i in 0..n {
                let expected = if free[i] { whole[k][i] } else { start[i] };
                assert_eq!(masked[k][i].to_bits(), expected.to_bits(), "{i} of {n}");
            }
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| after(Isa::current(), 5 * CHUNK + 11, None))
    };
    assert!(with(1) == with(3));
}

#[test]
#[should_panic(expected = "are the parameter's size")]
fn a_mask_of_another_size_is_a_bug() {
    after(Isa::current(), 8, Some(&[true; 7]));
}
