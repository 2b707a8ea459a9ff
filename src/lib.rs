//! Make a trained classifier forget one class and learn another in its place, and show whether the old class was erased or only hidden.
//!
//! # Layout
//! The straight line that `main.rs` follows, each stage consuming the value of the one before:
//!
//! ```text
//! config ─► device ─► data ─► SwapTask ─► Run::create ─► train original ─► oracles ─► method.apply ─► audits ─► report
//! ```
//!
//! - [`data`]: labelled images, class maps, the swap's retain, forget and learn sets.
//! - [`model`]: classifiers as stages with cuts; architectures; checkpoints.

pub mod assess;
pub mod audit;
pub mod config;
pub mod context;
pub mod data;
pub mod device;
pub mod error;
pub mod events;
pub mod files;
pub mod imitation;
pub mod method;
pub mod model;
pub mod oracle;
pub mod output;
pub mod report;
pub mod rng;
pub mod run;
pub mod saliency;
pub mod schedule;
pub mod stats;
pub mod summary;
pub mod train;
pub mod unit;

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}
