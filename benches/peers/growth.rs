//! Whether memory stays where it is: many steps of a network through the whole loop.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::common::Training;
use crate::resident;

/// Growth that is none, as a share. What the allocator keeps moves by some MiB with the threads' turns: over 40,000 steps we saw anything
/// from 55 to 63 MiB, no more at the end than at the beginning. A kilobyte a step is 15 % over the default's last nine tenths.
const TOLERANCE: f64 = 0.1;

/// Takes `steps` steps of `arch`; fails if more memory is resident behind the last than behind the first `settled` of them.
pub fn check(arch: &str, batch: usize, steps: usize, settled: usize) -> anyhow::Result<ExitCode> {
    let mut training = Training::of_digits(arch, batch)?;
    let (mut done, mut early, mut late) = (0, None, None);
    for epoch in 0.. {
        let row = training.epoch(epoch, || {
            done += 1;
            if done == settled.max(1) {
                early = resident("VmRSS:");
            }
            if done == steps {
                late = resident("VmRSS:");
            }
        })?;
        println!("epoch {epoch}, step {done}: loss {:.4}, {:.1} MiB", row.loss, resident("VmRSS:").unwrap_or(f64::NAN));
        if done >= steps {
            break;
        }
    }
    let (early, late) = early.zip(late).context("this system does not tell a process's memory")?;
    let grown = late / early - 1.0;
    println!("{early:.1} MiB after {settled} of {steps} steps, {late:.1} MiB at the end: {:+.1} %", 100.0 * grown);
    Ok(if grown > TOLERANCE { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
