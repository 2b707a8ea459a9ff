//! `events.jsonl`: what happened in a run, one JSON object a line, appended and flushed as it happens.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::files::write_bytes;
use crate::summary::{Curve, EpochRow};

/// The open log.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
}

impl EventLog {
    /// Opens `path` for appending. A last line that a crash or a full disk cut short is taken off: what is appended would end up on it.
    pub fn open(path: PathBuf) -> Result<Self> {
        let there = if path.is_file() { std::fs::read(&path).map_err(Error::io(&path))? } else { Vec::new() };
        let whole = there.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
        if whole < there.len() {
            write_bytes(&path, &there[..whole])?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `{"t": seconds since 1970, "stage": …, "model": …, …fields}`. The time is for people; nothing that is compared reads it.
    pub fn append(&mut self, stage: &str, model: &str, fields: Value) -> Result<()> {
        let t = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| (d.as_secs_f64() * 1e3).round() / 1e3);
        let mut object = json!({ "t": t, "stage": stage, "model": model });
        if let (Value::Object(all), Value::Object(more)) = (&mut object, fields) {
            all.extend(more);
        }
        // In one piece, so that only a full disk leaves half a line.
        self.file.write_all(format!("{object}\n").as_bytes()).map_err(Error::io(&self.path))
    }
}

/// Training curves in a log, in the order in which models first appear. A unit that was begun again (after an interruption) counts
/// from its last beginning; a last line cut short by a crash is passed over.
pub fn curves(path: &Path) -> Result<Vec<Curve>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let mut curves: Vec<Curve> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let event: Value = match serde_json::from_str(line) {
            Ok(event) => event,
            Err(_) if i + 1 == lines.len() || line.is_empty() => continue,
            Err(e) => {
                return Err(Error::input(
                    format!("{}:{}", path.display(), i + 1),
                    format!("not a JSON object: {e}"),
                    "the log was edited; run again",
                ));
            }
        };
        if event["stage"] != "epoch" {
            continue;
        }
        let model = event["model"].as_str().unwrap_or_default().to_string();
        let Ok(row) = serde_json::from_value::<EpochRow>(event) else { continue };
        let at = curves.iter().position(|c| c.model == model).unwrap_or_else(|| {
            curves.push(Curve { model, rows: Vec::new() });
            curves.len() - 1
        });
        curves[at].rows.retain(|r| r.epoch < row.epoch);
        curves[at].rows.push(row);
    }
    Ok(curves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_unit_counts_from_its_last_beginning() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("events.jsonl");
        let mut log = EventLog::open(path.clone()).expect("opens");
        let row =
            |epoch, accuracy| json!({"epoch": epoch, "accuracy": accuracy, "confidence": 1.0, "loss": 1.0, "l_var": 0.0, "l_min": 1.0, "l_max": 1.0});
        for (epoch, accuracy) in [(0, 0.1), (1, 0.2), (0, 0.3)] {
            log.append("epoch", "original", row(epoch, accuracy)).expect("appends");
        }
        std::fs::write(&path, std::fs::read_to_string(&path).expect("reads") + "{\"t\": 1, \"sta").expect("writes");
        let found = curves(&path).expect("parses");
        assert_eq!((found.len(), found[0].rows.len(), found[0].rows[0].accuracy), (1, 1, 0.3));
        // Who goes on writes on a line of its own.
        drop(log);
        EventLog::open(path.clone()).expect("opens").append("epoch", "original", row(1, 0.4)).expect("appends");
        let found = curves(&path).expect("parses");
        assert_eq!((found.len(), found[0].rows.len(), found[0].rows[1].accuracy), (1, 2, 0.4));
    }
}
