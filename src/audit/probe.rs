//! `probe`: can a linear read-out still find the old class, at every cut?

use super::linalg::{self, Factored, Fit};
use super::platt::Platt;
use super::{Audit, AuditData, CutFeatures, Findings, Measured, PartName, Subject, shares};
use crate::context::Context;
use crate::error::Result;
use crate::summary::Family;

/// Draws of control labels whose accuracies are averaged.
const CONTROLS: u64 = 3;

/// At every cut, of a ridge regression fitted on training activations, old class against the rest, each weighing a half, its regularisation
/// chosen by leave-one-out (see [`Factored`]):
///
/// - `ridge_accuracy_old`, `_10pct`, `_1pct`: balanced accuracy on all test images (mean of the hit rates on old-class images and on all others;
///   0.5 is chance), fitted on all training activations that are read (by default at most 1,000 of the old class and 4,000 others), on a tenth
///   of these and on a hundredth (see [`shares::accuracies`]);
/// - `ridge_control_accuracy`: the same on labels that say nothing (see [`shares::control_labels`]). Not judged: 0.5 up to sampling, or the
///   read-outs see test data. `ridge_selectivity_old`: the accuracy less it ([`shares::selectivity`]); not judged either;
/// - `ridge_information_old`: what the read-out, calibrated on its leave-one-out scores, tells of "old class?" on test images, in nats, a lower
///   bound of the mutual information (see [`Platt::information`]). Not judged: the index `idi` made of it is.
///
/// A model that never saw a class still tells it apart from its features; what counts is the gap to the oracles.
#[derive(Debug)]
pub struct Probe;

/// The figure that [`super::idi`] reads.
pub const INFORMATION: &str = "ridge_information_old";

impl Audit for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn summary(&self) -> &'static str {
        "ridge probe of the old class at every cut: balanced accuracy from 100, 10 and 1 % of the data, information"
    }

    fn source(&self) -> &'static str {
        "linear probes: Alain & Bengio 2017, arXiv 1610.01644; in unlearning ESC, CVPR 2025; control: Hewitt & Liang 2019"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, ctx: &mut Context) -> Result<Findings> {
        let data = subject.data;
        let (old, test_old) = (data.is_old(PartName::Train), data.is_old(PartName::Test));
        let mut beside = [None, None];
        let mut figures = shares::accuracies("ridge_accuracy_old", data, cut, |rows, _| {
            ctx.check_interrupt()?;
            let (factored, fit) = fitted(cut, rows, &old)?;
            let scores = fit.readout.scores(&cut.test);
            if rows.len() == old.len() {
                let information = Platt::fit(&fit.left_out, &old).information(&scores, &test_old);
                beside = [Some(control(&factored, subject, cut)), information];
            }
            Ok(linalg::balanced_accuracy(&scores, &test_old))
        })?;
        let [control, information] = beside;
        let selectivity = shares::selectivity("ridge_selectivity_old", &figures, control, cut);
        figures.push(Measured::new("ridge_control_accuracy", control, "fraction", 0.01).descriptive().at(&cut.name));
        figures.push(selectivity);
        figures.push(Measured::new(INFORMATION, information, "nats", 0.01).descriptive().at(&cut.name));
        Ok(figures.into())
    }
}

/// The read-out of the given training rows, and what it was fitted with.
fn fitted(cut: &CutFeatures, rows: &[usize], old: &[bool]) -> Result<(Factored, Fit)> {
    let factored = Factored::of(&cut.train, rows, old)?;
    let fit = factored.fit(&linalg::signs(rows, old));
    Ok((factored, fit))
}

/// `ridge_accuracy_old` alone; none where the old class or the others are too few, or the model diverged.
pub(super) fn accuracy_old(data: &AuditData, cut: &CutFeatures) -> Result<Option<f64>> {
    let Some(rows) = shares::all_rows(data, cut) else { return Ok(None) };
    let (_, fit) = fitted(cut, &rows, &data.is_old(PartName::Train))?;
    Ok(Some(linalg::balanced_accuracy(&fit.readout.scores(&cut.test), &data.is_old(PartName::Test))))
}

/// Mean test accuracy on control labels, with the weights and so the factorisation of the true ones.
fn control(factored: &Factored, subject: &Subject<'_>, cut: &CutFeatures) -> f64 {
    let labels = |part, draw| shares::control_labels(&subject.data.is_old(part), part, subject.data.seed, draw);
    let accuracy = |draw| {
        let train: Vec<f64> = labels(PartName::Train, draw).iter().map(|l| if *l { 1.0 } else { -1.0 }).collect();
        linalg::balanced_accuracy(&factored.fit(&train).readout.scores(&cut.test), &labels(PartName::Test, draw))
    };
    (0..CONTROLS).map(accuracy).sum::<f64>() / CONTROLS as f64
}
