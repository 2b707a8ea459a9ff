//! Controls: models whose verdict is known before they are judged. An audit that passes a model which must fail, or fails one that must pass, is
//! not to be believed about any other.

use crate::context::Context;
use crate::data::SwapTask;
use crate::error::Result;
use crate::method;
use crate::model::Classifier;
use crate::summary::{Control, ControlKind, ModelKind, Verdict};

use super::Finished;

/// Name of the control that was never trained.
pub const UNTRAINED: &str = "random-init";

/// The control that was never trained: audits that match it to the oracles can't tell a working model from none.
pub fn untrained(arch: &str, shape: [usize; 3], task: &SwapTask, ctx: &Context) -> Result<Classifier> {
    Classifier::new(arch, shape, task.after.len(), ctx.seed, &ctx.device)
}

/// The negative controls that `models` lack: those that hide, made of the original where it is among them with their default parameters, and the
/// untrained one. A swap with the seed and the training settings of `context` makes the same.
pub fn beside(models: &[Finished], task: &SwapTask, context: impl Fn(&str) -> Context) -> Result<Vec<Finished>> {
    let mut made: Vec<Finished> = Vec::new();
    let lacks = |name: &str| !models.iter().any(|m| m.kind == ModelKind::Control && m.name == name);
    let mut add = |name: &str, model: Classifier| {
        // Somebody's file may go by that name; it is what he says it is, not the control.
        let taken = models.iter().any(|m| m.name == name);
        let name = if taken { format!("control-{name}") } else { name.to_string() };
        made.push(Finished { name, kind: ModelKind::Control, model, map: task.after.clone(), cost: None });
    };
    if let Some(original) = models.iter().find(|m| m.kind == ModelKind::Original) {
        for control in method::controls().filter(|m| lacks(m.name)) {
            add(control.name, method::apply(control.name, &(control.defaults)(), original.model.clone(), task, &mut context(control.name))?);
        }
    }
    if let Some(like) = models.first().filter(|_| lacks(UNTRAINED)) {
        let spec = like.model.spec();
        add(UNTRAINED, untrained(&spec.architecture, spec.input, task, &context(UNTRAINED))?);
    }
    Ok(made)
}

/// Whether `name`, a control, is the one that was never trained.
pub(super) fn is_untrained(name: &str) -> bool {
    name.ends_with(UNTRAINED)
}

/// Every control among the models judged, with what it must be and what it is: oracles held out, each judged by the others, must be matched;
/// the original, what only hides and what was never trained must not.
pub fn checked(verdicts: &[Verdict]) -> Vec<Control> {
    let one = |v: &Verdict| {
        let what = match v.kind {
            ModelKind::Oracle => ControlKind::HeldOutOracle,
            ModelKind::Original => ControlKind::Original,
            ModelKind::Control if is_untrained(&v.model) => ControlKind::Untrained,
            ModelKind::Control => ControlKind::Hiding,
            ModelKind::Method | ModelKind::Subject => return None,
        };
        let must_match = what == ControlKind::HeldOutOracle;
        let behaves = (v.verdict != "no verdict").then_some((v.verdict == "matched") == must_match);
        Some(Control { model: v.model.clone(), what, must_match, verdict: v.verdict.clone(), behaves })
    };
    verdicts.iter().filter_map(one).collect()
}
