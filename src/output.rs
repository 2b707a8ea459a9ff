//! All printing: results to standard output, progress and warnings to standard error.
//!
//! On a terminal, long work shows a bar (model, epoch, batch, time left); elsewhere it prints a plain line an epoch.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{Error, Result};

/// The one way to the terminal; clones share it.
#[derive(Debug, Clone)]
pub struct Output {
    quiet: bool,
    bars: MultiProgress,
    terminal: bool,
    interrupted: Arc<AtomicBool>,
    /// What the operating system said when it first refused a result.
    lost: Arc<Mutex<Option<std::io::Error>>>,
}

impl Output {
    /// `quiet` silences progress and status, never results, warnings or errors.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = MultiProgress::with_draw_target(if terminal && !quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        Self { quiet, bars, terminal, interrupted: Arc::default(), lost: Arc::default() }
    }

    /// Set by the Ctrl-C handler.
    pub fn interrupt_flag(&self) -> Arc<AtomicBool> {
        self.interrupted.clone()
    }

    /// Fails once Ctrl-C was pressed.
    pub fn check_interrupt(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// A result, to standard output. A closed pipe (`| head`) is not an error; any other is told by [`Self::finish`].
    pub fn result(&self, text: &str) {
        self.bars.suspend(|| self.keep(writeln!(std::io::stdout(), "{text}")));
    }

    fn keep(&self, written: std::io::Result<()>) {
        if let Err(e) = written.or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(e) }) {
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        }
    }

    /// The last thing to be called.
    ///
    /// # Errors
    /// Results could not be written (a full disk).
    pub fn finish(&self) -> Result<()> {
        self.keep(std::io::stdout().flush());
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).take();
        lost.map_or(Ok(()), |e| Err(Error::failed("standard output", format!("not all was written: {e}"), "free space where it goes, and run again")))
    }

    /// What is going on, to standard error.
    pub fn status(&self, text: &str) {
        if !self.quiet {
            self.to_stderr(text);
        }
    }

    /// Something the user should know even with `--quiet`.
    pub fn warn(&self, text: &str) {
        self.to_stderr(&format!("warning: {text}"));
    }

    /// The error that ends the program.
    pub fn error(&self, text: &str) {
        self.to_stderr(&format!("error: {text}"));
    }

    fn to_stderr(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    /// Progress of `label` over `epochs` × `batches`.
    pub fn bar(&self, label: &str, epochs: usize, batches: usize) -> Bar {
        let total = (epochs * batches) as u64;
        let bar = self.bars.add(ProgressBar::new(total));
        if let Ok(style) = ProgressStyle::with_template("{prefix:>16} {bar:30} {msg} {pos}/{len} batches, {eta} left") {
            bar.set_style(style);
        }
        bar.set_prefix(label.to_string());
        Bar { output: self.clone(), bar, label: label.to_string(), epochs, started: Instant::now() }
    }

    /// Progress of a download or another count.
    pub fn counter(&self, label: &str, total: Option<u64>) -> ProgressBar {
        let bar = self.bars.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
        if let Ok(style) = ProgressStyle::with_template("{prefix:>16} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left") {
            bar.set_style(style);
        }
        bar.set_prefix(label.to_string());
        bar
    }
}

/// A running bar; gone when dropped.
#[derive(Debug)]
pub struct Bar {
    output: Output,
    bar: ProgressBar,
    label: String,
    epochs: usize,
    started: Instant,
}

impl Bar {
    /// A batch of epoch `epoch` (from 0) is done.
    pub fn batch(&self, epoch: usize) {
        self.bar.set_message(format!("epoch {}/{}", epoch + 1, self.epochs));
        self.bar.inc(1);
    }

    /// Epoch `epoch` (from 0) is done with `news` to tell.
    pub fn epoch(&self, epoch: usize, news: &str) {
        if !self.output.terminal {
            let done = (epoch + 1) as f64;
            let left = self.started.elapsed().as_secs_f64() / done * (self.epochs as f64 - done);
            self.output.status(&format!("{}: epoch {}/{}, {news}, {left:.0} s left", self.label, epoch + 1, self.epochs));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A plain-text table: columns padded, numbers aligned right, a rule under the heading.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).chain([headings[i].chars().count()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let numeric: Vec<bool> =
        (0..headings.len()).map(|i| rows.iter().all(|r| r[i].chars().next().is_none_or(|c| c.is_ascii_digit() || "-+–−".contains(c)))).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let fill = " ".repeat(widths[i] - c.chars().count());
                if numeric[i] { format!("{fill}{c}") } else { format!("{c}{fill}") }
            })
            .collect();
        padded.join("  ").trim_end().to_string()
    };
    let mut out = vec![line(headings.to_vec()), widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join("  ")];
    out.extend(rows.iter().map(|r| line(r.iter().map(String::as_str).collect())));
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_align_right_and_text_left() {
        let text = table(&["model", "acc"], &[vec!["original".into(), "97.5".into()], vec!["ga".into(), "5".into()]]);
        assert_eq!(text, "model      acc\n────────  ────\noriginal  97.5\nga           5");
    }
}
