//! How much of the machine other processes take, as the kernel counts it (Linux; elsewhere none is seen).

use std::time::Instant;

/// Linux counts time for programs in these.
const TICKS_PER_SECOND: f64 = 100.0;

/// From its start on.
pub struct Watch {
    begin: Instant,
    ticks: Option<f64>,
}

impl Watch {
    /// Starts.
    pub fn start() -> Self {
        Self { begin: Instant::now(), ticks: others_ticks() }
    }

    /// Others' share of all cores' time since the start.
    pub fn share(&self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let all = self.begin.elapsed().as_secs_f64() * TICKS_PER_SECOND * cores;
        self.ticks.zip(others_ticks()).map_or(0.0, |(before, now)| (now - before) / all)
    }
}

/// Busy time of the whole machine (user, nice, system, irq, softirq, steal) less this process's own.
fn others_ticks() -> Option<f64> {
    let numbers = |text: &str| text.split_whitespace().map(|v| v.parse().unwrap_or(0.0)).collect::<Vec<f64>>();
    let machine = std::fs::read_to_string("/proc/stat").ok()?;
    let machine = numbers(machine.lines().next()?.strip_prefix("cpu")?);
    // Behind the program's name, which may hold anything: state, …; user and system time are 11 and 12 from there.
    let own = std::fs::read_to_string("/proc/self/stat").ok()?;
    let own = numbers(own.rsplit_once(')')?.1);
    Some([0, 1, 2, 5, 6, 7].iter().map(|i| machine.get(*i)).sum::<Option<f64>>()? - own.get(11)? - own.get(12)?)
}
