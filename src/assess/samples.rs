//! Sample unlearning: single training samples were to be forgotten, their classes stay. What is left to ask is membership.

use crate::audit::membership::samples::{Answers, calibrated, sample_unlearning};
use crate::audit::verdict::{self, Figures, MIN_ORACLES};
use crate::context::Context;
use crate::data::{Dataset, Labelled, Samples};
use crate::error::Result;
use crate::schedule::{Job, side_by_side};
use crate::stats::Logits;
use crate::summary::{Exhibit, Family, ModelKind, SCORES_FORMAT, SampleScores};
use crate::train;

use super::{Finished, controls, warnings};

/// Name that the figures stand under.
const AUDIT: &str = "membership";

/// Of the test samples of `dataset` those that stand beside `forget`: of the same classes, in the same shares as far as whole samples allow, evenly
/// spread over each class. Other shares would let an attack succeed by telling classes apart.
pub fn unseen(forget: &Samples, dataset: &Dataset) -> Samples {
    let mut classes: Vec<_> = (0..forget.len()).map(|i| forget.class(i)).collect();
    let counts = |class| (0..forget.len()).filter(|i| forget.class(*i) == class).count();
    classes.sort();
    classes.dedup();
    let tests: Vec<(usize, Samples)> = classes.iter().map(|c| (counts(*c), Samples::of_classes(&dataset.test, &[*c]))).collect();
    let times = tests.iter().map(|(n, t)| t.len() as f64 / *n as f64).fold(f64::INFINITY, f64::min);
    let picked: Vec<Samples> = tests.iter().map(|(n, t)| t.spread((((*n as f64) * times).round() as usize).clamp(1, t.len()))).collect();
    picked.into_iter().reduce(|all, next| all.followed_by(&next)).unwrap_or_else(|| Samples::of_classes(&dataset.test, &[]))
}

/// Every membership attack on every model: the thresholds and the regression on each by itself, LiRA and RMIA with the oracles, models retrained without
/// `forget`, as the models that never saw it (an oracle is attacked with the others). `context` makes a context for a model's name.
///
/// # Errors
/// Classes of `forget` without a slot or without unseen samples.
pub fn forgotten(models: &[Finished], forget: &Samples, dataset: &Dataset, context: impl Fn(&str) -> Context + Sync) -> Result<SampleScores> {
    let sides = [forget.clone(), unseen(forget, dataset)];
    let jobs = models.iter().map(|m| {
        let (sides, context) = (&sides, &context);
        Box::new(move || {
            let of = |samples: &Samples| {
                let data = Labelled::new(samples.clone(), &m.map);
                let slots = data.slots.iter().flatten().map(|s| s.0).collect::<Vec<usize>>();
                Ok((train::predict(&m.model, &data, &context(&m.name))?, slots))
            };
            Ok([of(&sides[0])?, of(&sides[1])?])
        }) as Job<'_, [(Logits, Vec<usize>); 2]>
    });
    let answers = side_by_side(jobs.collect())?;
    let both = |i: usize| answers[i].each_ref().map(|(logits, slots)| Answers { logits, slots });
    let seed = context("audits").seed;
    let (mut figures, mut curves) = (Vec::new(), Vec::<(String, Vec<Exhibit>)>::new());
    for (i, m) in models.iter().enumerate() {
        let [mine, theirs] = both(i);
        let references: Vec<_> =
            (0..models.len()).filter(|j| *j != i && models[*j].kind == ModelKind::Oracle).map(both).map(|[f, u]| (f, u)).collect();
        let alone = sample_unlearning(mine, theirs, seed)?;
        let beside = calibrated((mine, theirs), &references)?;
        let named = alone.figures.into_iter().chain(beside.figures).map(|f| (AUDIT, f.in_family(Family::Membership))).collect();
        figures.push(Figures { model: m.name.clone(), kind: m.kind, figures: named });
        curves.push((m.name.clone(), alone.exhibits.into_iter().chain(beside.exhibits).collect()));
    }
    let (scores, verdict, calibration) = verdict::judge(&figures);
    let controls = controls::checked(&verdict);
    let oracles = models.iter().filter(|m| m.kind == ModelKind::Oracle).count();
    let mut warnings: Vec<String> = calibration.as_ref().and_then(warnings::on_calibration).into_iter().collect();
    if oracles < MIN_ORACLES {
        warnings.push(format!("{oracles} oracle(s): no verdict without at least {MIN_ORACLES} models retrained without these samples."));
    }
    if controls.iter().any(|c| !c.must_match && c.behaves == Some(false)) {
        warnings.push(
            "The original, which was trained on these samples, is judged matched: attacks can't tell it from models that never saw them, so that a \
             model that passes here has shown nothing."
                .into(),
        );
    } else if oracles >= MIN_ORACLES && controls.iter().all(|c| c.must_match) {
        warnings.push("Without --original nothing shows whether these attacks find samples that a model does remember.".into());
    }
    Ok(SampleScores {
        format: SCORES_FORMAT,
        dataset: dataset.name.clone(),
        classes: models.first().map_or(vec![], |m| m.map.classes().iter().map(|c| c.0).collect()),
        forget_samples: sides[0].len(),
        unseen_samples: sides[1].len(),
        scores,
        verdict,
        calibration,
        controls,
        curves,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ClassId, synthetic};

    #[test]
    fn unseen_samples_have_the_classes_and_shares_of_the_forgotten() {
        let dataset = synthetic::blobs().expect("made up");
        let of = |class: u16, n: usize| Samples::of_classes(&dataset.train, &[ClassId(class)]).pick(0..n);
        // 30 test images a class: 20 and 10 samples to forget take 30 and 15 of them.
        let beside = unseen(&of(1, 20).followed_by(&of(4, 10)), &dataset);
        let count = |class: u16| (0..beside.len()).filter(|i| beside.class(*i) == ClassId(class)).count();
        assert_eq!((count(1), count(4), beside.len()), (30, 15, 45));
        assert_eq!(unseen(&of(3, 60), &dataset).len(), 30);
    }
}
