//! Our side of `benches/peers`: one workload of `workloads.json` in one process, its figures as one JSON line. `run` beside this file
//! starts it in turn with `peer.py`, which holds the same for PyTorch.
//!
//! `growth`, `against-burn` and `pipeline` are checks on their own: whether memory stays where it is in a long training, whether our kernels
//! are anywhere slower than burn's own operations, and what the input pipeline costs.
#![allow(clippy::print_stdout)] // its output is what it is for

mod against_burn;
#[path = "../common/mod.rs"]
mod common;
mod growth;
mod others;
mod pipeline;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};
use unlearn::model::checkpoint::{self, Metadata};
use unlearn::model::tensors::floats;

use common::Load;

// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WARM_STEPS: usize = 3;
const WARM_SECONDS: f64 = 0.5;
/// Least length of a window; what others take is known in hundredths of a second.
const WINDOW_SECONDS: f64 = 1.0;
/// Others' share of the machine's time from which a window counts as disturbed.
const DISTURBED: f64 = 0.03;
/// Most time, in multiples of what is to be counted.
const PATIENCE: f64 = 5.0;
const PARITY_STEPS: usize = 5;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Steps for some seconds; prints images a second, memory and times.
    Measure {
        workload: String,
        /// Default: all cores.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Writes a training workload's first weights to CHECKPOINT; prints the losses of the first steps from them.
    Parity { workload: String, checkpoint: PathBuf },
    /// Prints how many times faster our kernels are than burn's own operations; fails where a network or a convolution is slower.
    AgainstBurn {
        /// Single convolutions alone.
        #[arg(long)]
        convolutions: bool,
    },
    /// One turn of that: images a second of an architecture, by the operations that `UNLEARN_KERNELS` names.
    #[command(hide = true)]
    Speed {
        arch: String,
        batch: usize,
        #[arg(long)]
        infer: bool,
    },
    /// Prints what assembling and augmenting batches costs a step of W1; fails if it is more than a tenth.
    Pipeline {
        #[arg(long, default_value_t = 2)]
        threads: usize,
    },
    /// Trains a network on real images for many steps; fails if memory grows.
    Growth {
        #[arg(long, default_value_t = 10_000)]
        steps: usize,
        #[arg(long, default_value = "cnn-s")]
        arch: String,
        #[arg(long, default_value_t = 32)]
        batch: usize,
        /// With freed memory kept, as the program does: what is kept grows for some thousand steps, so that the first third is left out.
        #[arg(long)]
        keep_freed: bool,
    },
}

/// An entry of `workloads.json`.
#[derive(Debug, Deserialize)]
struct Workload {
    what: What,
    arch: String,
    input: [usize; 3],
    slots: usize,
    batch: usize,
    pool: usize,
    /// How long steps are counted.
    seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Train,
    Head,
    Infer,
}

fn workload(name: &str) -> anyhow::Result<(What, f64, Load)> {
    let mut all: BTreeMap<String, Workload> = serde_json::from_str(include_str!("workloads.json"))?;
    let Workload { what, arch, input, slots, batch, pool, seconds } = all.remove(name).with_context(|| format!("{name}: not in workloads.json"))?;
    Ok((what, seconds, Load { arch, input, slots, batch, pool }))
}

fn main() -> anyhow::Result<ExitCode> {
    let command = Cli::parse().command;
    // As the program does, but where growth is watched without it.
    if !matches!(command, Command::Growth { keep_freed: false, .. }) {
        unlearn::kernels::memory::keep_freed();
    }
    match command {
        Command::Measure { workload, threads } => {
            if let Some(n) = threads {
                rayon::ThreadPoolBuilder::new().num_threads(n).build_global()?;
            }
            println!("{}", measure(&workload)?);
        }
        Command::Parity { workload, checkpoint } => println!("{}", parity(&workload, &checkpoint)?),
        Command::AgainstBurn { convolutions } => return against_burn::check(!convolutions),
        Command::Speed { arch, batch, infer } => println!("{}", against_burn::speed(&arch, batch, infer)?),
        Command::Growth { steps, arch, batch, keep_freed } => {
            return growth::check(&arch, batch, steps, if keep_freed { steps / 3 } else { steps / 10 });
        }
        Command::Pipeline { threads } => {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
            return pipeline::check();
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(name: &str) -> anyhow::Result<Value> {
    let (what, seconds, load) = workload(name)?;
    let (parameters, mut step) = match what {
        What::Head => ((load.input.iter().product::<usize>() + 1) * load.slots, common::head_trainer(&load)),
        _ => {
            let net = load.network()?;
            let parameters = unlearn::train::parameter_count(&net);
            (parameters, if what == What::Train { common::trainer(net, &load) } else { common::predictor(net, &load) })
        }
    };
    let ready = since_start();
    let mut last = floats(step(0))[0];
    let first = since_start();
    let (mut done, begin) = (1, Instant::now());
    while done < WARM_STEPS || begin.elapsed().as_secs_f64() < WARM_SECONDS {
        floats(step(done));
        done += 1;
    }
    // Others may use the machine now and then: count in windows, until enough of them were ours alone or it takes too long.
    let (mut windows, mut ours, begin) = (Vec::new(), 0.0, Instant::now());
    while ours < seconds && begin.elapsed().as_secs_f64() < PATIENCE * seconds {
        let (window, others, mut steps) = (Instant::now(), others::Watch::start(), 0);
        while steps == 0 || window.elapsed().as_secs_f64() < WINDOW_SECONDS {
            last = floats(step(done))[0];
            done += 1;
            steps += 1;
        }
        let (length, share) = (window.elapsed().as_secs_f64(), others.share());
        ours += if share < DISTURBED { length } else { 0.0 };
        windows.push((length, steps, share));
    }
    ensure!(last.is_finite(), "{last}: diverged");
    Ok(json!({
        "windows": windows,
        "last": last,
        "parameters": parameters,
        "peak_mib": resident("VmHWM:"),
        "ready_s": ready,
        "first_step_s": first,
        "threads": rayon::current_num_threads(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

fn parity(name: &str, file: &std::path::Path) -> anyhow::Result<Value> {
    let (what, _, load) = workload(name)?;
    ensure!(what == What::Train, "{name} trains no network");
    let net = load.network()?;
    let metadata = Metadata {
        format: checkpoint::FORMAT,
        architecture: load.arch.clone(),
        input: load.input,
        dataset: "made up".into(),
        class_map: (0..load.slots as u16).collect(),
        class_names: (0..load.slots).map(|k| k.to_string()).collect(),
        made_by: "parity".into(),
        seed: 0,
        config_hash: String::new(),
        parents: vec![],
        version: env!("CARGO_PKG_VERSION").into(),
        training: None,
        without: None,
    };
    checkpoint::save(file, &net, &metadata)?;
    let mut step = common::trainer(net, &load);
    let losses: Vec<f32> = (0..PARITY_STEPS).map(|i| floats(step(i))[0]).collect();
    Ok(json!({ "losses": losses }))
}

/// Seconds since whoever started this process looked at the clock.
fn since_start() -> Option<f64> {
    let started: u128 = std::env::var("PEERS_STARTED_NS").ok()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(now.saturating_sub(started) as f64 / 1e9)
}

/// MiB of memory by the kernel's name: `VmHWM:` the most that was ever resident, `VmRSS:` what is now. None where there is no `/proc`.
fn resident(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: f64 = status.lines().find_map(|line| line.strip_prefix(name))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}
