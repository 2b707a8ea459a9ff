//! Whether our kernels are anywhere slower than burn's own operations: every architecture at several batches, and single convolutions over
//! channel counts, kernels, strides and sizes.

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use unlearn::model::arch::ARCHITECTURES;
use unlearn::model::tensors::floats;

use crate::common::{self, Load, conv::Conv};

/// Turns of each side, two at least; its fastest counts. No more of them once they have taken this many seconds: they are long then, and long
/// ones differ little.
const TURNS: usize = 5;
const TURNS_SECONDS: f64 = 60.0;
/// Least length of a network's turn, and of a convolution's turns together.
const SECONDS: f64 = 0.5;
const CONV_SECONDS: f64 = 0.05;
/// Turns of each side of a convolution where the first two find ours slower.
const MOST_TURNS: usize = 6;
const BATCHES: [usize; 4] = [1, 8, 64, 256];
const CONV_BATCHES: [usize; 2] = [1, 16];
/// The ratio from which on we are not slower, but for what measurements differ by.
const SLOWER: f64 = 0.9;
/// The least ratio that passes of a single convolution, which takes microseconds; and of one of 1×1, where burn's has nothing to pack and
/// its vectors run over pixels, whatever the number of channels.
const CONV_LEAST: f64 = 0.7;
const POINTWISE_LEAST: f64 = 0.4;

/// One side's images a second at training (or inference), by whatever operations `UNLEARN_KERNELS` names.
pub fn speed(arch: &str, batch: usize, infer: bool) -> anyhow::Result<f64> {
    let entry = ARCHITECTURES.iter().find(|a| a.name == arch).with_context(|| format!("{arch}: no architecture"))?;
    let side = entry.min_side.max(32);
    let load = Load { arch: arch.into(), input: [3, side, side], slots: 10, batch, pool: 2 };
    let net = load.network()?;
    let mut step = if infer { common::predictor(net, &load) } else { common::trainer(net, &load) };
    let mut i = 0;
    let seconds = fastest(SECONDS, || {
        i += 1;
        black_box(floats(step(i)));
    });
    Ok(batch as f64 / seconds)
}

/// Seconds a call: the fastest of as many as `seconds` hold, the first left out.
fn fastest(seconds: f64, mut call: impl FnMut()) -> f64 {
    call();
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while best.is_infinite() || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        call();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// Prints what was found; a failure if a network was slower by more than a tenth, which is what measurements here differ by, or a convolution
/// by more than is said above.
pub fn check(networks: bool) -> anyhow::Result<ExitCode> {
    let networks_pass = !networks || print_networks()? > SLOWER;
    let convolutions_pass = print_convolutions();
    Ok(if networks_pass && convolutions_pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints how networks compare; gives the least ratio.
fn print_networks() -> anyhow::Result<f64> {
    println!("ours / burn's own operations, images a second\n");
    println!("| | {} |", BATCHES.map(|b| format!("training, batch {b} | inference, batch {b}")).join(" | "));
    println!("| --- |{}", " ---: |".repeat(2 * BATCHES.len()));
    let mut least = f64::INFINITY;
    for entry in ARCHITECTURES {
        let mut row = format!("| `{}` |", entry.name);
        for batch in BATCHES {
            for infer in [false, true] {
                let ratio = network(entry.name, batch, infer)?;
                least = least.min(ratio);
                row += &format!(" {ratio:.1} |");
            }
        }
        println!("{row}");
    }
    Ok(least)
}

/// A row of the table of convolutions, and which belong to it.
type Kind = (&'static str, fn(&Conv) -> bool);

const KINDS: [Kind; 4] = [
    ("1×1", |c| c.kernel == 1 && c.groups == 1),
    ("3×3 to 7×7", |c| c.kernel > 1 && c.groups == 1),
    ("3×3 and 5×5, in groups", |c| c.groups > 1 && c.groups < c.channels[0]),
    ("3×3 and 5×5, depthwise", |c| c.groups > 1 && c.groups == c.channels[0]),
];

/// Prints how single convolutions compare, by batch and kind, and each that is slower; true if all are within bounds.
fn print_convolutions() -> bool {
    let found: Vec<(Conv, [f64; 2])> = convolutions().into_iter().map(|conv| (conv, convolution(&conv))).collect();
    println!("\nsingle convolutions, time of burn's / ours: least, median and how many are slower\n");
    println!("| batch | kernel | convolutions | forward | slower | forward and backward | slower |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    for (batch, (kind, is_kind)) in CONV_BATCHES.into_iter().flat_map(|b| KINDS.map(|kind| (b, kind))) {
        let of = |at: usize| {
            let some = found.iter().filter(|(c, _)| c.batch == batch && is_kind(c));
            let mut ratios: Vec<f64> = some.map(|(_, ratios)| ratios[at]).collect();
            ratios.sort_by(f64::total_cmp);
            let slower = ratios.iter().filter(|r| **r <= SLOWER).count();
            (ratios.len(), format!("{:.1}, {:.1} | {slower}", ratios[0], ratios[ratios.len() / 2]))
        };
        let ((count, forward), (_, both)) = (of(0), of(1));
        println!("| {batch} | {kind} | {count} | {forward} | {both} |");
    }
    for (conv, ratios) in found.iter().filter(|(_, ratios)| ratios.iter().any(|r| *r <= SLOWER)) {
        println!("\nslower: {conv:?}, forward {:.2}, forward and backward {:.2}", ratios[0], ratios[1]);
    }
    let least = |conv: &Conv| if conv.kernel == 1 { POINTWISE_LEAST } else { CONV_LEAST };
    found.iter().all(|(conv, ratios)| ratios.iter().all(|r| *r >= least(conv)))
}

/// The ratio of the fastest turns of both sides, each turn a process of its own.
fn network(arch: &str, batch: usize, infer: bool) -> anyhow::Result<f64> {
    let turn = |burn: bool| -> anyhow::Result<f64> {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["speed", arch, &batch.to_string()]).args(infer.then_some("--infer")).env_remove("UNLEARN_KERNELS");
        if burn {
            child.env("UNLEARN_KERNELS", "burn");
        }
        let output = child.output()?;
        ensure!(output.status.success(), "{arch}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    };
    let (begin, mut best) = (Instant::now(), [0f64; 2]);
    for done in 0..TURNS {
        if done > 1 && begin.elapsed().as_secs_f64() > TURNS_SECONDS {
            break;
        }
        for (side, best) in best.iter_mut().enumerate() {
            *best = best.max(turn(side == 1)?);
        }
    }
    Ok(best[0] / best[1])
}

/// What is tried of single convolutions.
fn convolutions() -> Vec<Conv> {
    let mut all = Vec::new();
    for (batch, side) in CONV_BATCHES.into_iter().flat_map(|b| [7, 16, 28].map(|side| (b, side))) {
        for channels in [[1, 8], [3, 16], [13, 7], [16, 16], [33, 40], [64, 64], [100, 120], [256, 256]] {
            for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (5, 1), (7, 2)] {
                all.push(Conv { batch, channels, side, kernel, stride, groups: 1 });
            }
        }
        for (channels, groups) in [([16, 32], 2), ([64, 64], 4), ([96, 96], 3), ([16, 16], 16), ([33, 33], 33), ([64, 128], 64), ([256, 256], 256)] {
            for (kernel, stride) in [(3, 1), (3, 2), (5, 1)] {
                all.push(Conv { batch, channels, side, kernel, stride, groups });
            }
        }
    }
    all
}

/// How many times faster ours are forward, and forward and backward.
fn convolution(conv: &Conv) -> [f64; 2] {
    // Each side's own layout, as it stands within a network.
    let (x, weights) = ([false, true].map(|last| conv.images(last)), conv.weights());
    let time = |ours: bool, back: bool| {
        fastest(CONV_SECONDS / 2.0, || {
            let y = conv.run(&x[usize::from(ours)], &weights, ours);
            if back { drop(black_box(y.sum().backward())) } else { drop(black_box(y)) }
        })
    };
    [false, true].map(|back| {
        let mut best = [f64::INFINITY; 2];
        // A turn of each, twice; more of them where that would make ours the slower one.
        for turn in 0..MOST_TURNS {
            for (side, best) in best.iter_mut().enumerate() {
                *best = best.min(time(side == 0, back));
            }
            if turn > 0 && best[1] > best[0] {
                break;
            }
        }
        best[1] / best[0]
    })
}
