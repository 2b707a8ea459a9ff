//! What the input pipeline costs: W1's steps on batches that are assembled and augmented as the program does it, against the same steps
//! on batches that lie in memory.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use crate::common::{Load, Training};

/// Turns of each side, one after the other.
const TURNS: usize = 7;
/// Steps of a turn.
const STEPS: usize = 16;
/// Most that the pipeline may cost, as a share of the step.
const BOUND: f64 = 0.1;

/// Prints times a step; fails if the pipeline takes more than [`BOUND`] of it.
pub fn check() -> anyhow::Result<ExitCode> {
    let load = Load { arch: "cnn-emnist".into(), input: [1, 32, 32], slots: 20, batch: 256, pool: STEPS };
    let mut training = Training::made_up(&load)?;
    let kept: Vec<_> = training.batches(0).map(|batch| (batch.images, batch.slots)).collect();
    let (mut memory, mut pipeline, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let times = [
            timed(|| kept.iter().for_each(|(images, slots)| training.step(images.clone(), slots))),
            timed(|| training.steps(turn)),
            timed(|| training.batches(turn).for_each(|batch| drop(black_box(batch)))),
        ];
        // The first turn warms up.
        if turn > 0 {
            [&mut memory, &mut pipeline, &mut alone].into_iter().zip(times).for_each(|(all, time)| all.push(time));
        }
    }
    let [memory, pipeline, alone] = [memory, pipeline, alone].map(median);
    let share = pipeline / memory - 1.0;
    println!("{} threads, milliseconds a step, medians of {TURNS} turns:", rayon::current_num_threads());
    println!("batches in memory {memory:.1}, through the pipeline {pipeline:.1}: {:+.1} %", 100.0 * share);
    println!("a batch alone, with nothing to do beside it: {alone:.2}");
    Ok(if share > BOUND { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Milliseconds a step of `work`.
fn timed(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1e3 / STEPS as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
