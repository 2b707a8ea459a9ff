//! The report: a run's [`Summary`] as one self-contained page, as Markdown, and side by side with other runs; and the page of a study.
//!
//! Pure: no files, no clock, no tensors. The same summary gives the same bytes.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | [`html`], which reads as the page from top to bottom |
//! | `guide` | title, question, how to read the page, definitions, footer |
//! | `verdict` | a card for each judged model |
//! | `headline`, `families`, `table`, `never_seen`, `heat`, `cost` | tables |
//! | `depth`, `exhibits`, `curves`, `confusion`, `samples` | pictures |
//! | `markdown`, `compare` | Markdown of one run, and of several |
//! | `forgotten_samples` | Markdown and page of an audit where samples were forgotten |
//! | `study` | the page of a study |
//! | `models` | the models in order, with their line styles |
//! | `text`, `svg`, `style.css` | figures and escaping, plots, looks |

mod compare;
mod confusion;
mod cost;
mod curves;
mod depth;
mod exhibits;
mod families;
mod forgotten_samples;
mod guide;
mod headline;
mod heat;
mod markdown;
mod models;
mod never_seen;
mod samples;
mod study;
mod svg;
mod table;
mod text;
mod verdict;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use compare::compare;
pub use forgotten_samples::{forgotten_samples, forgotten_samples_page};
pub use markdown::markdown;
pub use study::study;

use crate::summary::Summary;
use models::Models;

const STYLE: &str = include_str!("style.css");

/// Opens what is folded before printing, for browsers whose style sheets can't; the page works without it.
const SCRIPT: &str = "addEventListener('beforeprint',()=>document.querySelectorAll('details').forEach(d=>d.open=true))";

/// The report page: one file that needs no other.
pub fn html(summary: &Summary) -> String {
    let models = Models::of(summary);
    let sections = [
        guide::header(summary, &models),
        guide::warnings(&summary.scores.warnings),
        verdict::html(summary, &models),
        guide::how_to_read(summary),
        headline::html(summary, &models),
        families::html(&models),
        table::html(summary, &models),
        depth::html(summary, &models),
        never_seen::html(summary, &models),
        exhibits::html(summary, &models),
        curves::html(summary, &models),
        confusion::html(summary, &models),
        heat::profile(summary, &models),
        heat::classes(summary, &models),
        samples::html(summary, &models),
        heat::agreement(summary),
        cost::html(summary, &models),
        guide::config(summary),
        guide::definitions(summary),
        guide::footer(),
    ];
    page(&format!("{} – unlearning report", guide::title(summary)), &sections.concat())
}

/// A whole page around the sections in `body`.
fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        text::escape(title)
    )
}
