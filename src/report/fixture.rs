//! Summaries made by hand, with figures as a real run might show them: what the tests draw.

use crate::summary::*;

/// 8×8 PNG of a six.
const SIX: &str = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAG0lEQVR42mNgQID///9DaCQBhMh/FAZcMRQAACFDDvIgMZ8qAAAAAElFTkSuQmCC";
/// 8×8 PNG of a three.
const THREE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAGUlEQVR42mNggIP/QABnw4XQRGAMZMUgAAAHXQ3z/2Y4agAAAABJRU5ErkJggg==";

/// A model of the fixture: how much of the old class is left (0 as in an oracle, 1 as in the original) and how much retained accuracy is lost.
struct Made {
    name: &'static str,
    kind: ModelKind,
    left: f64,
    lost: f64,
    verdict: &'static str,
    share: f64,
}

const MADE: &[Made] = &[
    Made { name: "original", kind: ModelKind::Original, left: 1.0, lost: 0.0, verdict: "under-erased", share: 1.02 },
    Made { name: "oracle-1", kind: ModelKind::Oracle, left: 0.02, lost: 0.001, verdict: "matched", share: 0.98 },
    Made { name: "oracle-2", kind: ModelKind::Oracle, left: -0.03, lost: -0.001, verdict: "matched", share: 1.01 },
    Made { name: "oracle-3", kind: ModelKind::Oracle, left: 0.01, lost: 0.0, verdict: "matched", share: 1.01 },
    Made { name: "regrow", kind: ModelKind::Method, left: 0.02, lost: 0.002, verdict: "matched", share: 0.031 },
    Made { name: "finetune", kind: ModelKind::Method, left: 0.62, lost: 0.004, verdict: "under-erased", share: 0.052 },
    Made { name: "negative-gradient", kind: ModelKind::Method, left: -0.55, lost: 0.031, verdict: "over-erased", share: 0.018 },
    Made { name: "random-labels", kind: ModelKind::Method, left: 0.05, lost: 0.09, verdict: "off-target", share: 0.0071 },
    Made { name: "head-distillation", kind: ModelKind::Control, left: 0.98, lost: 0.001, verdict: "under-erased", share: 0.0006 },
];

/// A figure of the fixture: the oracles' mean and deviation, and what one unit of `left` and of `lost` adds to it.
struct Figure {
    audit: &'static str,
    metric: &'static str,
    unit: &'static str,
    better: Better,
    mean: f64,
    sd: f64,
    left: f64,
    lost: f64,
    by_cut: bool,
}

#[rustfmt::skip]
const FIGURES: &[Figure] = &[
    Figure { audit: "accuracy", metric: "retain_accuracy_test", unit: "fraction", better: Better::Higher, mean: 0.9871, sd: 0.0012, left: 0.0, lost: -1.0, by_cut: false },
    Figure { audit: "accuracy", metric: "new_accuracy_test", unit: "fraction", better: Better::Higher, mean: 0.9902, sd: 0.0021, left: -0.004, lost: -1.2, by_cut: false },
    Figure { audit: "output", metric: "old_max_probability", unit: "fraction", better: Better::CloserToOracle, mean: 0.712, sd: 0.014, left: 0.17, lost: -0.3, by_cut: false },
    Figure { audit: "output", metric: "old_entropy", unit: "nats", better: Better::CloserToOracle, mean: 0.803, sd: 0.041, left: -0.5, lost: 1.0, by_cut: false },
    Figure { audit: "profile", metric: "tv", unit: "fraction", better: Better::CloserToOracle, mean: 0.081, sd: 0.012, left: 0.3, lost: 0.8, by_cut: false },
    Figure { audit: "probe", metric: "ridge_balanced_accuracy_old", unit: "fraction", better: Better::CloserToOracle, mean: 0.84, sd: 0.011, left: 0.14, lost: 0.0, by_cut: true },
    Figure { audit: "probe", metric: "nearest_mean_balanced_accuracy_old", unit: "fraction", better: Better::CloserToOracle, mean: 0.71, sd: 0.018, left: 0.24, lost: 0.0, by_cut: true },
    Figure { audit: "relearn", metric: "steps_to_half", unit: "steps", better: Better::CloserToOracle, mean: 41.0, sd: 5.5, left: -30.0, lost: 0.0, by_cut: false },
    Figure { audit: "hiding", metric: "covariance_slot_7", unit: "", better: Better::CloserToOracle, mean: f64::NAN, sd: f64::NAN, left: 0.0, lost: 0.0, by_cut: false },
];

const CUTS: &[&str] = &["input", "stage1", "stage2", "stage3", "stage4", "head"];

/// A swap of 6 for 3 on nine digits: three oracles, four methods, one negative control.
pub fn swap() -> Summary {
    let labels = |old: u16| (0..10).filter(|l| *l != 3 && *l != 6 || *l == old).collect::<Vec<u16>>();
    let mut summary = build(labels(6), labels(6).iter().map(|l| if *l == 6 { 3 } else { *l }).collect(), 6, Some(3), |l| l.to_string());
    summary.scores.warnings.push("3 oracles: the band is wide, 5 or more are advised".to_owned());
    summary
}

/// Forgetting without a new class.
pub fn plain() -> Summary {
    build((0..5).collect(), (0..4).collect(), 4, None, |l| ["cat", "dog", "ship", "horse", "automobile"][l as usize].to_owned())
}

/// 47 classes, with names as long as they come.
pub fn many_classes() -> Summary {
    let name = |l: u16| {
        if l == 6 { "a class whose name is longer than any column is wide".to_owned() } else { format!("class {l:02}") }
    };
    let mut after: Vec<u16> = (0..47).collect();
    after[6] = 47;
    build((0..47).collect(), after, 6, Some(47), name)
}

/// One audited model and nothing to compare it with.
pub fn subject_alone() -> Summary {
    let mut summary = swap();
    let rename = |name: &mut String| *name = "suspect.safetensors".to_owned();
    summary.outputs.retain(|o| o.model == "finetune");
    summary.outputs.iter_mut().for_each(|o| (o.kind = ModelKind::Subject, rename(&mut o.model)).1);
    summary.scores.scores.retain(|s| s.model == "finetune");
    for score in &mut summary.scores.scores {
        rename(&mut score.model);
        (score.oracle_mean, score.oracle_sd, score.oracles, score.gap, score.z, score.within) = (None, None, 0, None, None, None);
    }
    summary.scores.verdict.retain(|v| v.model == "finetune");
    for v in &mut summary.scores.verdict {
        rename(&mut v.model);
        (v.kind, v.audits_within, v.audits_total, v.verdict) = (ModelKind::Subject, 0, 0, "no verdict".to_owned());
        (v.families, v.worst_family) = (vec![], None);
        v.failing.clear();
    }
    summary.scores.cost.clear();
    summary.curves.clear();
    (summary.scores.oracle_agreement, summary.scores.calibration, summary.scores.audit_agreement) = (None, None, None);
    summary.scores.controls.clear();
    summary.scores.warnings = vec!["no oracles: the figures are shown, but nothing tells whether they are good".to_owned()];
    summary
}

/// The same beside the original, which says what to expect by `classes` that it never saw.
pub fn subject_with_original(classes: usize) -> Summary {
    let mut summary = subject_alone();
    let like = summary.scores.scores[0].clone();
    let score = |model: &str, audit: &str, metric: &str, cut: Option<&str>, value: f64| Score {
        model: model.to_owned(),
        audit: audit.to_owned(),
        metric: metric.to_owned(),
        cut: cut.map(str::to_owned),
        value: Some(value),
        tolerance: None,
        better: Better::CloserToOracle,
        ..like.clone()
    };
    for (i, cut) in CUTS.iter().enumerate() {
        let value = 0.8 + 0.02 * i as f64;
        summary.scores.scores.push(score("suspect.safetensors", "probe", "ridge_accuracy_old", Some(cut), value + 0.03));
        summary.scores.scores.push(score("original", "probe", "ridge_accuracy_old", Some(cut), value + 0.05));
        if classes > 0 {
            for (prefix, value) in [("expected_", value), ("expected_sd_", 0.013), ("never_seen_", value - 0.02), ("never_seen_sd_", 0.021)] {
                summary.scores.scores.push(score("original", "never-seen", &format!("{prefix}ridge_accuracy_old"), Some(cut), value));
            }
        }
    }
    summary.scores.scores.push(score("original", "never-seen", "classes", None, classes as f64));
    summary
}

/// A summary with nothing in it.
pub fn empty() -> Summary {
    let mut summary = plain();
    summary.config.clear();
    (summary.curves, summary.outputs, summary.legend) = (vec![], vec![], vec![]);
    summary.samples = SampleImages { old: vec![], new: vec![] };
    let scores = &mut summary.scores;
    (scores.cost, scores.scores, scores.verdict, scores.oracle_agreement) = (vec![], vec![], vec![], None);
    (scores.calibration, scores.audit_agreement) = (None, None);
    scores.controls.clear();
    summary
}

fn build(before: Vec<u16>, after: Vec<u16>, forget: u16, learn: Option<u16>, name: impl Fn(u16) -> String) -> Summary {
    let names = |labels: &[u16]| labels.iter().map(|l| name(*l)).collect::<Vec<_>>();
    let task = TaskInfo {
        dataset: "mnist".to_owned(),
        names_before: names(&before),
        names_after: names(&after),
        classes_before: before,
        classes_after: after,
        forget,
        learn,
        forget_name: name(forget),
        learn_name: learn.map(&name),
        also: vec![],
        learn_samples: None,
        retain_share: None,
        probe_samples: Default::default(),
    };
    let scores: Vec<Score> = MADE.iter().flat_map(scores_of).collect();
    let verdict: Vec<Verdict> = MADE.iter().map(|m| verdict_of(m, &scores)).collect();
    let controls = crate::assess::controls::checked(&verdict);
    let cost = MADE
        .iter()
        .map(|m| Cost { model: m.name.to_owned(), wall_s: 61.3 * m.share, share_of_retrain: Some(m.share), threads: 1, train_passes: 12.0 * m.share })
        .collect();
    let outputs = MADE.iter().map(|m| output_of(m, &task)).collect();
    let new = if learn.is_some() { vec![THREE.to_owned(); 5] } else { vec![] };
    Summary {
        config: "format = 1\nseed = 0\ndata = \"mnist\"\n\n[original]\nepochs = 8\nbatch = 256\n".to_owned(),
        curves: MADE.iter().map(curve_of).collect(),
        outputs,
        samples: SampleImages { old: vec![SIX.to_owned(); 5], new },
        legend: vec![
            ("regrow".to_owned(), "cuts the model where the old class is found and grows the rest anew".to_owned()),
            ("finetune".to_owned(), "trains on with retain and learn set".to_owned()),
            ("probe".to_owned(), "how well a read-out, fitted on frozen features, tells the old class from the others".to_owned()),
        ],
        scores: Scores {
            format: SCORES_FORMAT,
            task,
            cost,
            scores,
            verdict,
            oracle_agreement: Some(0.9834),
            calibration: Some(calibration()),
            controls,
            audit_agreement: Some(agreement()),
            warnings: vec![],
        },
    }
}

fn scores_of(model: &Made) -> Vec<Score> {
    let mut scores = Vec::new();
    for figure in FIGURES {
        for (i, cut) in CUTS.iter().enumerate().take(if figure.by_cut { CUTS.len() } else { 1 }) {
            // Deeper cuts tell the old class better, and what a method leaves shows there.
            let depth = if figure.by_cut { (i + 1) as f64 / CUTS.len() as f64 } else { 1.0 };
            let mean = figure.mean * (0.75 + 0.25 * depth);
            let gap = depth * depth * figure.left * model.left + figure.lost * model.lost;
            let gap = if figure.unit == "fraction" { (mean + gap).clamp(0.0, 1.0) - mean } else { gap };
            let tolerance = if figure.unit == "fraction" { 0.01 } else { 0.05 };
            let defined = |v: f64| Some(v).filter(|v| v.is_finite());
            scores.push(Score {
                model: model.name.to_owned(),
                audit: figure.audit.to_owned(),
                metric: figure.metric.to_owned(),
                cut: figure.by_cut.then(|| (*cut).to_owned()),
                value: defined(mean + gap),
                reason: None,
                at_least: false,
                unit: figure.unit.to_owned(),
                better: figure.better,
                oracle_mean: defined(mean),
                oracle_sd: defined(figure.sd),
                oracle_sd_factor: 1.0,
                oracles: if model.kind == ModelKind::Oracle { 2 } else { 3 },
                oracles_at_least: 0,
                gap: defined(mean).map(|_| gap),
                z: defined(gap / figure.sd),
                within: defined(mean).map(|_| gap.abs() <= f64::max(tolerance, 2.0 * figure.sd * (1.0f64 + 1.0 / 3.0).sqrt())),
                tolerance: Some(tolerance),
                images: None,
                family: Some(family_of(figure.audit)),
                shows_old_class: false,
            });
        }
    }
    scores
}

fn verdict_of(model: &Made, scores: &[Score]) -> Verdict {
    let own: Vec<&Score> = scores.iter().filter(|s| s.model == model.name && s.within.is_some()).collect();
    let mut failing: Vec<&&Score> = own.iter().filter(|s| s.within == Some(false)).collect();
    failing.sort_by(|a, b| b.z.unwrap_or(0.0).abs().total_cmp(&a.z.unwrap_or(0.0).abs()));
    Verdict {
        model: model.name.to_owned(),
        kind: model.kind,
        audits_within: own.len() - failing.len(),
        audits_total: own.len(),
        verdict: model.verdict.to_owned(),
        failing: failing.iter().map(|s| s.label()).collect(),
        families: families_of(model, &own),
        worst_family: (!own.is_empty()).then_some(if model.lost > 0.01 { Family::Utility } else { Family::Features }),
    }
}

fn family_of(audit: &str) -> Family {
    match audit {
        "accuracy" => Family::Utility,
        "probe" => Family::Features,
        "relearn" => Family::Relearning,
        _ => Family::Output,
    }
}

fn families_of(model: &Made, own: &[&Score]) -> Vec<FamilyVerdict> {
    let of = |family| {
        let mine: Vec<&&Score> = own.iter().filter(|s| s.family == Some(family)).collect();
        let worst = mine.iter().max_by(|a, b| a.distance().partial_cmp(&b.distance()).expect("no NaN"))?;
        let bands = worst.distance()?;
        Some(FamilyVerdict {
            family,
            within: mine.iter().filter(|s| s.within == Some(true)).count(),
            total: mine.len(),
            matched: model.verdict == "matched" || bands < 2.0,
            excess: bands / 2.0,
            excess_limit: 1.0,
            farthest: Some(bands / 3.0),
            farthest_limit: 1.0,
            worst: Some(worst.label()),
            worst_bands: Some(bands),
            direction: (family != Family::Utility && bands > 1.0).then(|| if model.left > 0.0 { "above" } else { "below" }.to_owned()),
        })
    };
    Family::ALL.into_iter().filter_map(of).collect()
}

fn calibration() -> Calibration {
    Calibration {
        confidence: 0.95,
        trials: 3,
        matched_unwidened: 2,
        matched: 3,
        pair_trials: 0,
        pair_matched: 0,
        widened_excess: 1.2,
        widened_farthest: 1.0,
        widened: vec![Family::Output],
        draws: 1000,
        correlations: vec![0.0, 0.25, 0.5],
    }
}

fn agreement() -> AuditAgreement {
    let audits: Vec<String> = ["accuracy", "output", "probe"].map(str::to_owned).to_vec();
    AuditAgreement {
        models: MADE.iter().filter(|m| m.kind != ModelKind::Oracle).map(|m| m.name.to_owned()).collect(),
        distances: vec![vec![Some(1.0); 6]; 3],
        tau_b: vec![vec![Some(1.0), Some(-0.2), None], vec![Some(-0.2), Some(1.0), Some(0.73)], vec![None, Some(0.73), Some(1.0)]],
        audits,
    }
}

fn exhibits_of(model: &Made) -> Vec<Exhibit> {
    let axis = |label: &str, log| Axis { label: label.to_owned(), log };
    let points = [(0.0, 0.02), (1.0, 0.1), (10.0, 0.5 + 0.3 * model.left), (100.0, 0.95)].to_vec();
    let exhibit = |title: &str, note: &str, content| Exhibit { audit: "relearn".to_owned(), title: title.to_owned(), note: note.to_owned(), content };
    vec![
        exhibit(
            "Accuracy on the old class while it is learnt again",
            "Higher earlier: more was left.",
            Content::Curve { x: axis("steps", true), y: axis("accuracy", false), points },
        ),
        exhibit(
            "What the old class’s slot sees",
            "Images that the slot answers to most.",
            Content::Pictures(vec![Picture { caption: "from noise".to_owned(), png: SIX.to_owned() }]),
        ),
    ]
}

fn curve_of(model: &Made) -> Curve {
    let scratch = matches!(model.kind, ModelKind::Original | ModelKind::Oracle);
    let row = |epoch: usize| {
        let loss = (1.6 + 0.2 * model.left) * (-0.6 * epoch as f64).exp() + 0.04 + model.lost;
        EpochRow {
            epoch,
            accuracy: 1.0 - 0.35 * loss,
            confidence: 9.0 + epoch as f64,
            loss,
            l_var: 0.1 * loss,
            l_min: 0.5 * loss,
            l_max: 2.0 * loss,
            hiding: (model.name == "random-labels").then_some(0.4 / (epoch + 1) as f64),
            validation: None,
        }
    };
    Curve { model: model.name.to_owned(), rows: (0..if scratch { 8 } else { 3 }).map(row).collect() }
}

fn output_of(model: &Made, task: &TaskInfo) -> ModelOutput {
    let original = model.kind == ModelKind::Original;
    let slots = if original { &task.names_before } else { &task.names_after };
    let mut rows = slots.clone();
    if !original {
        rows.push(task.forget_name.clone());
    }
    let k = slots.len();
    let peaked = |slot: usize, p: f64| (0..k).map(|j| if j == slot { p } else { (1.0 - p) / (k - 1) as f64 }).collect::<Vec<f64>>();
    // The old class goes to two look-alikes; the more is left of it, the more to the first.
    let old = |shift: f64| {
        let first = (0.62 + 0.2 * model.left.max(-0.5) + shift).clamp(0.1, 0.95);
        (0..k)
            .map(|j| {
                if j == k / 2 {
                    first
                } else if j == k - 1 {
                    0.8 * (1.0 - first)
                } else {
                    0.2 * (1.0 - first) / (k - 2) as f64
                }
            })
            .collect::<Vec<f64>>()
    };
    let confusion: Vec<Vec<f64>> = (0..rows.len()).map(|i| if i < k { peaked(i, 0.96 - model.lost) } else { old(0.0) }).collect();
    let slot = if original { task.names_before.iter().position(|n| *n == task.forget_name).unwrap_or(0) } else { k / 2 };
    ModelOutput {
        model: model.name.to_owned(),
        kind: model.kind,
        slots: slots.clone(),
        rows,
        confusion_argmax: confusion.iter().map(|r| r.iter().map(|p| (980.0 * p).round() as u32).collect()).collect(),
        confusion_softmax: confusion,
        old_samples: (0..5).map(|i| if original { peaked(slot, 0.97) } else { old(0.06 * i as f64 - 0.12) }).collect(),
        new_samples: (0..if task.learn.is_some() { 5 } else { 0 }).map(|i| peaked(slot, 0.9 - 0.05 * i as f64)).collect(),
        exhibits: exhibits_of(model),
    }
}
