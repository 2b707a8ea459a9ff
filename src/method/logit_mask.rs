//! `logit-mask`: silence the old class's logit and do nothing else. A negative control: the old class is never answered again, and
//! everything about it is still in the network.

use serde::{Deserialize, Serialize};

use super::{Method, MethodEntry};
use crate::context::Context;
use crate::data::{Needs, Slot, SwapTask};
use crate::error::Result;
use crate::model::Classifier;

/// It has no parameters.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogitMask {}

/// Registry entry.
pub const ENTRY: MethodEntry = MethodEntry {
    name: "logit-mask",
    summary: "negative control: silence the old class's logit; hides, learns nothing",
    paper: Some("head masking as negative control: arXiv 2607.19442"),
    needs: Needs { retain: false, forget: false, learn: false },
    control: true,
    defaults: super::defaults::<LogitMask>,
    build: |t| super::build::<LogitMask>("logit-mask", t),
};

/// The bias of the silenced slot: e⁻³⁰ ≈ 1e-13 of a softmax, and still a finite log for every metric.
const SILENT: f32 = -30.0;

impl Method for LogitMask {
    fn apply(&self, original: Classifier, task: &SwapTask, _ctx: &mut Context) -> Result<Classifier> {
        let old = task.old_slots();
        let slots = original.spec().slots;
        Ok(original.rewrite(|name, _shape, current| match name {
            "head.weight" => {
                let mut w = current(); // [F, K]
                w.chunks_mut(slots).for_each(|row| old.iter().for_each(|Slot(s)| row[*s] = 0.0));
                Some(w)
            }
            "head.bias" => {
                let mut b = current();
                old.iter().for_each(|Slot(s)| b[*s] = SILENT);
                Some(b)
            }
            _ => None,
        }))
    }
}
