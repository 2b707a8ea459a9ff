//! From models to evidence: signals, audits, verdicts and costs of every model of a run.

pub mod controls;
pub mod samples;
mod warnings;

use crate::audit::verdict::{self, Figures};
use crate::audit::{AUDITS, AuditData, Findings, Measured, PartName, Peer, ProbeSamples, Signals, Subject, agreement, model_output, never_seen};
use crate::context::Context;
use crate::data::{ClassId, ClassMap, Dataset, Role, Swap, SwapTask, sheet};
use crate::error::Result;
use crate::model::Classifier;
use crate::schedule::{Job, side_by_side};
use crate::summary::{Content, Cost, Exhibit, ModelKind, ModelOutput, SCORES_FORMAT, SampleImages, Scores, TaskInfo};

pub use controls::UNTRAINED;
pub use warnings::{guesses, hides_from_features};

/// Test images of the old and of the new class that the report shows.
const SAMPLES: usize = 4;

/// A finished model and what it is.
#[derive(Debug)]
pub struct Finished {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ModelKind,
    /// The model, in inference mode.
    pub model: Classifier,
    /// The classes of its slots.
    pub map: ClassMap,
    /// What it cost, where known.
    pub cost: Option<Cost>,
}

/// Everything said of a run's models.
#[derive(Debug)]
pub struct Evidence {
    /// `scores.json`.
    pub scores: Scores,
    /// What the report draws, one a model.
    pub outputs: Vec<ModelOutput>,
    /// Sample images.
    pub samples: SampleImages,
}

/// Runs every audit on every model, for each swap of `task` in turn. `cautions` are the first of their warnings; the rest as for
/// [`assess`].
pub fn each(
    models: &[Finished],
    task: &SwapTask,
    dataset: &Dataset,
    probe: ProbeSamples,
    cautions: &[String],
    context: impl Fn(&str) -> Context + Sync,
) -> Result<Vec<(Swap, Evidence)>> {
    let one = |task: SwapTask| {
        let mut evidence = assess(models, &task, dataset, probe, &context)?;
        evidence.scores.warnings.splice(..0, cautions.iter().cloned());
        Ok((task.swap, evidence))
    };
    task.each()?.into_iter().map(one).collect()
}

/// Runs every audit on every model, for the swap that `task` names first, read-outs fitted on `probe` of the training images. `context` makes a
/// context for a model's name.
pub fn assess(
    models: &[Finished],
    task: &SwapTask,
    dataset: &Dataset,
    probe: ProbeSamples,
    context: impl Fn(&str) -> Context + Sync,
) -> Result<Evidence> {
    let seed = context("audits").seed;
    let mut data = AuditData::new(task.clone(), probe, seed)?;
    if models.iter().any(|m| m.kind == ModelKind::Original) {
        data.never_seen = never_seen::mirrored(task, dataset, probe, seed)?;
    }
    let signals: Vec<Signals> = {
        let bar = context("signals").bar(1, models.len());
        let jobs = models.iter().map(|m| {
            let (context, data, bar) = (&context, &data, &bar);
            Box::new(move || {
                let signals = Signals::of(&m.model, &m.map, data, &context(&m.name))?;
                bar.batch(0);
                Ok(signals)
            }) as Job<'_, Signals>
        });
        side_by_side(jobs.collect())?
    };
    let peers: Vec<Peer<'_>> =
        models.iter().zip(&signals).map(|(m, signals)| Peer { name: &m.name, kind: m.kind, model: &m.model, map: &m.map, signals }).collect();
    let bar = context("audits").bar(1, models.len());
    let jobs = peers.iter().map(|me| {
        let (context, data, bar, peers) = (&context, &data, &bar, &peers);
        Box::new(move || {
            let oracles = peers.iter().filter(|p| p.name != me.name && p.kind == ModelKind::Oracle).copied().collect();
            let original = peers.iter().find(|p| p.kind == ModelKind::Original).copied();
            let subject = Subject { me: *me, data, original, oracles };
            let (figures, exhibits) = audited(&subject, &mut context(me.name))?;
            let output = model_output(&subject, |c| dataset.class_name(c).to_string(), SAMPLES);
            bar.batch(0);
            Ok((Figures { model: me.name.to_string(), kind: me.kind, figures }, ModelOutput { exhibits, ..output }))
        }) as Job<'_, (Figures, ModelOutput)>
    });
    let (figures, outputs): (Vec<Figures>, Vec<ModelOutput>) = side_by_side(jobs.collect())?.into_iter().unzip();
    let figures = with_derived(figures);
    let (scores, verdict, calibration) = verdict::judge(&figures);
    let oracle_agreement = oracle_agreement(models, &signals);
    let kinds: Vec<(&str, ModelKind)> = models.iter().map(|m| (m.name.as_str(), m.kind)).collect();
    let audit_agreement = agreement::of(&scores, &kinds);
    // With part of the retain set, the method “retrain” is none of the retrainings that others are measured by.
    let exact = task.scarcity.retain_share.is_none();
    let mut warnings = warnings::on_verdicts(&verdict, &scores, calibration.as_ref(), exact);
    let controls = controls::checked(&verdict);
    warnings.extend(warnings::on_accuracy(&verdict, &scores, task.before.len()));
    let cost = costs(models, exact);
    let scores = Scores {
        format: SCORES_FORMAT,
        task: task_info(task, dataset, probe),
        cost,
        scores,
        verdict,
        oracle_agreement,
        calibration,
        controls,
        audit_agreement,
        warnings,
    };
    Ok(Evidence { scores, outputs, samples: samples(&data) })
}

/// Figures, each with its audit, and exhibits.
type Audited = (Vec<(&'static str, Measured)>, Vec<Exhibit>);

/// Every audit's figures of one model, in the order of [`AUDITS`], and its exhibits.
fn audited(subject: &Subject<'_>, ctx: &mut Context) -> Result<Audited> {
    let mut found: Vec<Findings> = Vec::new();
    for audit in AUDITS {
        ctx.check_interrupt()?;
        found.push(audit.measure(subject, ctx)?);
    }
    for index in 0..subject.me.signals.cut_count() {
        let cut = subject.me.signals.cut(index)?;
        for (audit, found) in AUDITS.iter().zip(&mut found) {
            ctx.check_interrupt()?;
            let here = audit.measure_cut(subject, &cut, ctx)?;
            found.figures.extend(here.figures);
            found.exhibits.extend(here.exhibits);
        }
    }
    let (mut figures, mut exhibits) = (Vec::new(), Vec::new());
    for (audit, found) in AUDITS.iter().zip(found) {
        figures.extend(found.figures.into_iter().map(|m| (audit.name(), Measured { family: m.family.or(Some(audit.family())), ..m })));
        exhibits.extend(found.exhibits.into_iter().filter_map(drawable));
    }
    Ok((figures, exhibits))
}

/// An exhibit without the points that JSON has no number for; none where nothing is left.
fn drawable(mut exhibit: Exhibit) -> Option<Exhibit> {
    let left = match &mut exhibit.content {
        Content::Curve { points, .. } => {
            points.retain(|(x, y)| x.is_finite() && y.is_finite());
            points.len()
        }
        Content::Pictures(pictures) => pictures.len(),
    };
    (left > 0).then_some(exhibit)
}

/// Every model's figures with those that audits derive from all models', each behind its audit's others or, where it has none, at its place in
/// [`AUDITS`].
fn with_derived(measured: Vec<Figures>) -> Vec<Figures> {
    let of = |me: &Figures| {
        let mut figures = Vec::new();
        for audit in AUDITS {
            let derived = audit.derive(me, &measured);
            figures.extend(me.figures.iter().filter(|(name, _)| *name == audit.name()).cloned());
            figures.extend(derived.into_iter().map(|m| (audit.name(), Measured { family: m.family.or(Some(audit.family())), ..m })));
        }
        Figures { figures, ..me.clone() }
    };
    measured.iter().map(of).collect()
}

/// Costs with their share of one retraining: the `retrain` method's of this run or, where it has none, the mean over its oracles, which are
/// retrainings too. The method counts only where it is an `exact` retraining, on all of the retain set. No share without either, nor for what
/// was timed with another number of threads.
fn costs(models: &[Finished], exact: bool) -> Vec<Cost> {
    let timed = |wanted: &dyn Fn(&Finished) -> bool| -> Vec<&Cost> {
        models.iter().filter(|m| wanted(m)).filter_map(|m| m.cost.as_ref()).filter(|c| c.wall_s > 0.0).collect()
    };
    let mut retrainings = timed(&|m| exact && m.name == "retrain");
    if retrainings.is_empty() {
        retrainings = timed(&|m| m.kind == ModelKind::Oracle);
    }
    let share = |c: &Cost| {
        let alike: Vec<f64> = retrainings.iter().filter(|r| r.threads == c.threads).map(|r| r.wall_s).collect();
        (!alike.is_empty()).then(|| c.wall_s / crate::stats::mean(&alike))
    };
    models.iter().filter_map(|m| m.cost.clone()).map(|c| Cost { share_of_retrain: share(&c), ..c }).collect()
}

/// Mean share of equal arg-max over the pairs of oracles, on the test images of retain ∪ learn.
fn oracle_agreement(models: &[Finished], signals: &[Signals]) -> Option<f64> {
    let answers: Vec<Vec<usize>> = models
        .iter()
        .zip(signals)
        .filter(|(m, _)| m.kind == ModelKind::Oracle)
        .map(|(_, s)| [Role::Retain, Role::Learn].into_iter().filter_map(|r| s.logits(r, PartName::Test)).flat_map(|l| l.argmax()).collect())
        .collect();
    mean_agreement(&answers)
}

/// Mean over all pairs of models of the share of samples that both answer alike; `answers`: a slot a sample, one list a model. None with
/// fewer than two models.
pub fn mean_agreement(answers: &[Vec<usize>]) -> Option<f64> {
    let mut shares = Vec::new();
    for (i, a) in answers.iter().enumerate() {
        for b in &answers[..i] {
            shares.push(a.iter().zip(b).filter(|(x, y)| x == y).count() as f64 / a.len().max(1) as f64);
        }
    }
    (!shares.is_empty()).then(|| crate::stats::mean(&shares))
}

fn task_info(task: &SwapTask, dataset: &Dataset, probe: ProbeSamples) -> TaskInfo {
    let labels = |map: &ClassMap| map.classes().iter().map(|c| c.0).collect();
    let names = |map: &ClassMap| map.classes().iter().map(|c| dataset.class_name(*c).to_string()).collect();
    let name = |class: ClassId| dataset.class_name(class).to_string();
    TaskInfo {
        dataset: dataset.name.clone(),
        classes_before: labels(&task.before),
        classes_after: labels(&task.after),
        forget: task.swap.forget.0,
        learn: task.swap.learn.map(|c| c.0),
        names_before: names(&task.before),
        names_after: names(&task.after),
        forget_name: name(task.swap.forget),
        learn_name: task.swap.learn.map(name),
        also: task.also.iter().map(|s| (name(s.forget), s.learn.map(name))).collect(),
        learn_samples: task.scarcity.learn_samples,
        retain_share: task.scarcity.retain_share,
        probe_samples: probe,
    }
}

fn samples(data: &AuditData) -> SampleImages {
    use base64::Engine;
    let encode = |role| -> Vec<String> {
        data.set(role, PartName::Test).map_or(vec![], |s| {
            let png = |i| base64::engine::general_purpose::STANDARD.encode(sheet::png_bytes(s.image(i), s.shape()));
            (0..s.len().min(SAMPLES)).map(png).collect()
        })
    };
    SampleImages { old: encode(Role::Forget), new: encode(Role::Learn) }
}
