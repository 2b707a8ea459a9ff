//! Make a trained classifier forget one class and learn another in its place, and show whether the old class was erased or only hidden.
//!
//! # Layout
//! The straight line, which `src/command/swap.rs` follows, each stage consuming the value of the one before:
//!
//! ```text
//! config ─► device ─► data ─► SwapTask ─► Run::create ─► train original ─► oracles ─► method.apply ─► audits ─► report
//! ```
//!
//! - [`config`]: flags and TOML files → the resolved configuration; [`device`]: devices by name.
//! - [`data`]: labelled images, class maps, the swap's retain, forget and learn sets; one file a format.
//! - [`kernels`]: what the CPU spends its time in, behind burn's backend extension; the only place with `unsafe`.
//! - [`model`]: classifiers as stages with cuts; architectures, one a file; named tensors; checkpoints.
//! - [`optimiser`]: Adam, AdamW, SGD and Muon; [`train`]: the plain loop; [`cached`]: training on cached activations; `pages`: rows that stay on a GPU; [`context`]: what every unit of work is given; [`rng`]: random streams named by purpose.
//! - [`method`]: unlearning methods, one a file, in a registry; [`saliency`] and [`imitation`] are pieces of two of them.
//! - [`audit`]: audits, one a file, in a registry; signals computed once a model; the verdict.
//! - [`mod@unit`]: trainings as pure functions of a hashed spec; [`store`]: kept for other runs; [`timing`]: which times compare; [`oracle`]; [`schedule`]: several units at a time.
//! - [`assess`]: from models to evidence; [`summary`]: the stable result formats; [`run`]: the run directory; [`events`]: its log.
//! - [`study`]: random pairs with settings that follow from the data.
//! - [`report`]: from a summary to HTML and Markdown, pure.
//! - [`output`]: all printing; [`stats`]: statistics in f64; [`files`]: atomic writes; [`error`].
//!
//! Imports go one way: `data, kernels ◄ model ◄ train ◄ method, audit ◄ store ◄ unit, assess ◄ run ◄ report ◄ command`.

pub mod assess;
pub mod audit;
pub mod cached;
pub mod config;
pub mod context;
pub mod data;
pub mod device;
pub mod error;
pub mod events;
pub mod files;
pub mod imitation;
pub mod kernels;
pub mod method;
pub mod model;
pub mod optimiser;
pub mod oracle;
pub mod output;
mod pages;
pub mod report;
pub mod rng;
pub mod run;
pub mod saliency;
pub mod schedule;
pub mod stats;
pub mod store;
pub mod study;
pub mod summary;
pub mod timing;
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
