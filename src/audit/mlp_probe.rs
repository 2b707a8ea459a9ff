//! `mlp-probe`: can a small network still find the old class, at every cut, where a linear read-out can't?

use super::{Audit, CutFeatures, Findings, Measured, PartName, Subject, linalg, network, shares};
use crate::context::Context;
use crate::error::Result;
use crate::summary::Family;

/// At every cut, of a network of one hidden layer (see [`network::train`]) trained on training activations, old class against the rest, each
/// weighing a half:
///
/// - `mlp_accuracy_old`, `_10pct`, `_1pct`: balanced accuracy on all test images, from all training activations that are read (by default at most 1,000
///   of the old class and 4,000 others), a tenth of these and a hundredth (see [`shares::accuracies`]);
/// - `mlp_control_accuracy`: the same on labels that say nothing (see [`shares::control_labels`]), 0.5 up to sampling, and `mlp_selectivity_old`, the
///   accuracy less it ([`shares::selectivity`]); not judged;
/// - `mlp_information_old`: what the network's scores, calibrated on held-out training samples, tell of "old class?" on test images, in nats, a
///   lower bound of the mutual information (see [`super::platt::Platt::information`]); not judged, the index `idi_mlp` made of it is.
#[derive(Debug)]
pub struct MlpProbe;

/// The figure that [`super::idi`] reads.
pub const INFORMATION: &str = "mlp_information_old";

/// Draws of the control have numbers of their own.
const CONTROL_DRAW: u64 = 1000;

impl Audit for MlpProbe {
    fn name(&self) -> &'static str {
        "mlp-probe"
    }

    fn summary(&self) -> &'static str {
        "non-linear probe (one hidden layer) of the old class at every cut: balanced accuracy from 100, 10 and 1 %, information"
    }

    fn source(&self) -> &'static str {
        "MLP probes and control tasks: Hewitt & Liang 2019, arXiv 1909.03368"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure_cut(&self, subject: &Subject<'_>, cut: &CutFeatures, ctx: &mut Context) -> Result<Findings> {
        let data = subject.data;
        let (old, test_old) = (data.is_old(PartName::Train), data.is_old(PartName::Test));
        let mut information = None;
        let mut figures = shares::accuracies("mlp_accuracy_old", data, cut, |rows, draw| {
            ctx.check_interrupt()?;
            let trained = network::train(&cut.train, rows, &old, data.seed, draw);
            let scores = trained.network.scores(&cut.test);
            if rows.len() == old.len() {
                information = trained.calibration.information(&scores, &test_old);
            }
            Ok(linalg::balanced_accuracy(&scores, &test_old))
        })?;
        let labels = |part| shares::control_labels(&data.is_old(part), part, data.seed, 0);
        let control = shares::all_rows(data, cut)
            .map(|rows| network::train(&cut.train, &rows, &labels(PartName::Train), data.seed, CONTROL_DRAW))
            .map(|trained| linalg::balanced_accuracy(&trained.network.scores(&cut.test), &labels(PartName::Test)));
        let selectivity = shares::selectivity("mlp_selectivity_old", &figures, control, cut);
        figures.push(Measured::new("mlp_control_accuracy", control, "fraction", 0.01).descriptive().at(&cut.name));
        figures.push(selectivity);
        figures.push(Measured::new(INFORMATION, information, "nats", 0.01).descriptive().at(&cut.name));
        Ok(figures.into())
    }
}
