//! `never-seen`: what the original shows of classes that it never saw, and from that how the old class should look once forgotten. No oracle is needed.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the audit: what is measured of each class, its figures |
//! | `mirrored` | the classes, each as the old class of a swap that the original is an oracle of |
//! | `estimate` | from figures of classes to an estimate for the old one |

mod estimate;
mod mirrored;

use super::verdict::Figures;
use super::{Audit, AuditData, CutFeatures, Findings, Measured, PartName, Peer, Signals, Subject, nearest_mean, probe, profile, relearning};
use crate::context::Context;
use crate::data::{ClassId, Role};
use crate::error::Result;
use crate::schedule::{Job, side_by_side};
use crate::summary::{Family, ModelKind};
use estimate::Estimate;

pub use mirrored::mirrored;

/// Of the original alone, as everything here not judged. Every class that it never saw, the learn class among them (at most eight, see [`mirrored`]), takes the old
/// class's place, the old class counts as one of the others, and the audits measure it as they measure the old class: an oracle never saw the old
/// class as this model never saw these.
///
/// For `ridge_accuracy_old` and `nearest_mean_accuracy_old` at every cut, and for `entropy_old`, `max_probability_old` and `auc_head_100`:
/// - `class_LABEL_FIGURE`: what each of these classes shows, the learn class among them;
/// - `never_seen_FIGURE`, `never_seen_sd_FIGURE`: mean and sample deviation over these classes;
/// - `expected_FIGURE`, `expected_sd_FIGURE`: the estimate of what a model that never saw the old class shows, and how far off one class is expected to
///   be: at the cuts corrected for how hard the old class is (see [`Estimate::corrected`]; the first cut itself is taken as it is, without deviation), else the mean.
///
/// `classes`: how many these are. The others are undefined where there is none; there is no deviation of one.
///
/// And of every model `above_expected_FIGURE`: how far its own figure lies above the estimate. Undefined without the original.
#[derive(Debug)]
pub struct NeverSeen;

/// Name of the audit, for the report.
pub const NAME: &str = "never-seen";
/// Begins the names of estimates; behind it stands the figure's own.
pub const EXPECTED: &str = "expected_";
/// Begins the names of their deviations.
pub const EXPECTED_SD: &str = "expected_sd_";
/// Begins the names of the uncorrected means.
pub const MEAN: &str = "never_seen_";
/// Begins the names of their deviations.
pub const MEAN_SD: &str = "never_seen_sd_";
/// Begins the names of differences to the estimate.
const ABOVE: &str = "above_expected_";
/// How many classes there are.
pub const CLASSES: &str = "classes";

/// What the original shows of one class.
#[derive(Debug, Clone)]
struct Shown {
    /// Which.
    class: ClassId,
    /// Ridge probe and nearest mean, by cut.
    read_outs: Vec<[Option<f64>; 2]>,
    /// Entropy and largest probability of outputs, head-only relearning from a hundred images.
    others: [Option<f64>; 3],
}

/// The figures at cuts: audit, figure.
pub const AT_CUTS: [(&str, &str); 2] = [("probe", "ridge_accuracy_old"), ("nearest-mean", "nearest_mean_accuracy_old")];
/// The others: audit, figure, unit, what they speak of.
pub const OTHERS: [(&str, &str, &str, Family); 3] = [
    ("profile", "entropy_old", "nats", Family::Output),
    ("profile", "max_probability_old", "fraction", Family::Output),
    ("relearning", "auc_head_100", "fraction", Family::Relearning),
];

impl Audit for NeverSeen {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "what the original shows of classes it never saw: an estimate, without oracles, of how a forgotten class should look"
    }

    fn source(&self) -> &'static str {
        "our own, see docs/never-seen.md"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn measure(&self, subject: &Subject<'_>, ctx: &mut Context) -> Result<Findings> {
        if subject.me.kind != ModelKind::Original {
            return Ok(Findings::default());
        }
        let ctx = &*ctx;
        let jobs = subject.data.never_seen.iter().map(|data| Box::new(move || shown(subject, data, ctx)) as Job<'_, Shown>);
        let classes = side_by_side(jobs.collect())?;
        let old = read_outs(&subject.me.signals.cut(0)?, subject.data)?;
        let signals = subject.me.signals;
        let cuts: Vec<&str> = (0..signals.cut_count()).map(|i| signals.cut_name(i)).collect();
        Ok(figures(&classes, old, &cuts).into())
    }

    fn derive(&self, me: &Figures, all: &[Figures]) -> Vec<Measured> {
        let original = all.iter().find(|m| m.kind == ModelKind::Original);
        let expected = |figure: &str, cut: Option<&str>| {
            let name = format!("{EXPECTED}{figure}");
            original?.figures.iter().find(|(audit, m)| *audit == NAME && m.metric == name && m.cut.as_deref() == cut)?.1.value
        };
        let estimated = AT_CUTS.into_iter().chain(OTHERS.map(|(audit, figure, ..)| (audit, figure)));
        let mine = estimated.flat_map(|(audit, figure)| me.figures.iter().filter(move |(a, m)| *a == audit && m.metric == figure));
        let above = mine.map(|(_, m)| Measured {
            metric: format!("{ABOVE}{}", m.metric),
            value: m.value.zip(expected(&m.metric, m.cut.as_deref())).map(|(value, expected)| value - expected),
            ..m.clone().descriptive()
        });
        above.collect()
    }
}

/// Both read-outs of the class in the old one's place.
fn read_outs(cut: &CutFeatures, data: &AuditData) -> Result<[Option<f64>; 2]> {
    Ok([probe::accuracy_old(data, cut)?, nearest_mean::accuracy_old(data, cut)])
}

/// What the subject shows of the class that `data` has in the old one's place.
fn shown(subject: &Subject<'_>, data: &AuditData, ctx: &Context) -> Result<Shown> {
    let signals = Signals::of(subject.me.model, subject.me.map, data, ctx)?;
    let mirrored = Subject { me: Peer { signals: &signals, ..subject.me }, data, original: None, oracles: vec![] };
    let softmax = signals.logits(Role::Forget, PartName::Test).map(|l| l.softmax()).unwrap_or_default();
    let (entropy, max_probability) = profile::certainty(&softmax);
    let mut all = Shown { class: data.old(), read_outs: vec![], others: [entropy, max_probability, None] };
    for index in 0..signals.cut_count() {
        ctx.check_interrupt()?;
        let cut = signals.cut(index)?;
        all.read_outs.push(read_outs(&cut, data)?);
        if index + 1 == signals.cut_count() {
            all.others[2] = relearning::auc_head_100(&mirrored, &cut, ctx)?;
        }
    }
    Ok(all)
}

/// All figures, from what is shown of each class and from the old class's read-outs at the first cut.
fn figures(classes: &[Shown], old: [Option<f64>; 2], cuts: &[&str]) -> Vec<Measured> {
    let mut all = vec![Measured::new(CLASSES, Some(classes.len() as f64), "classes", 0.0).descriptive()];
    for (which, (_, figure)) in AT_CUTS.into_iter().enumerate() {
        for (index, cut) in cuts.iter().enumerate() {
            let pairs: Option<Vec<(f64, f64)>> = classes.iter().map(|c| c.read_outs[0][which].zip(c.read_outs[index][which])).collect();
            let pairs = pairs.unwrap_or_default();
            let expected = old[which].and_then(|old| Estimate::corrected(&pairs, old));
            // At the first cut the estimate is the original's own figure: how far off that is, no class says.
            let expected = expected.map(|e| Estimate { sd: e.sd.filter(|_| index > 0), ..e });
            let mean = Estimate::mean(&pairs.iter().map(|p| p.1).collect::<Vec<_>>());
            all.extend(named(figure, "fraction", expected, mean).map(|m| m.at(cut)));
            all.extend(classes.iter().map(|c| of_class(c.class, figure, c.read_outs[index][which], "fraction").at(cut)));
        }
    }
    for (which, (_, figure, unit, family)) in OTHERS.into_iter().enumerate() {
        let values: Option<Vec<f64>> = classes.iter().map(|c| c.others[which]).collect();
        let values = values.unwrap_or_default();
        all.extend(named(figure, unit, Estimate::further(&values), Estimate::mean(&values)).map(|m| m.in_family(family)));
        all.extend(classes.iter().map(|c| of_class(c.class, figure, c.others[which], unit).in_family(family)));
    }
    all
}

/// What one class shows, as a figure.
fn of_class(class: ClassId, figure: &str, value: Option<f64>, unit: &'static str) -> Measured {
    Measured::new(format!("class_{}_{figure}", class.0), value, unit, 0.0).descriptive()
}

/// An estimate and an uncorrected mean as figures.
fn named(figure: &str, unit: &'static str, expected: Option<Estimate>, mean: Option<Estimate>) -> [Measured; 4] {
    let named = |prefix: &str, value: Option<f64>| Measured::new(format!("{prefix}{figure}"), value, unit, 0.0).descriptive();
    [
        named(EXPECTED, expected.map(|e| e.value)),
        named(EXPECTED_SD, expected.and_then(|e| e.sd)),
        named(MEAN, mean.map(|e| e.value)),
        named(MEAN_SD, mean.and_then(|e| e.sd)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::ProbeSamples;
    use super::super::fixture::{Fixture, peaked};
    use super::*;

    fn value(figures: &[Measured], metric: &str) -> Option<f64> {
        figures.iter().find(|m| m.metric == metric).unwrap_or_else(|| panic!("{metric}")).value
    }

    #[test]
    fn nothing_is_expected_where_no_class_is_unseen_or_one_is_undefined() {
        let none = figures(&[], [Some(0.9); 2], &["a", "b"]);
        assert_eq!(value(&none, CLASSES), Some(0.0));
        assert!(none[1..].iter().all(|m| m.value.is_none() && m.tolerance.is_none()), "{none:#?}");
        assert_eq!(none.len(), 1 + 4 * (2 * 2 + 3));

        let class = |label, entropy| Shown { class: ClassId(label), read_outs: vec![[Some(0.9), None]; 2], others: [entropy, Some(0.5), None] };
        let two = figures(&[class(7, Some(1.0)), class(9, None)], [Some(0.8); 2], &["a", "b"]);
        assert_eq!(value(&two, "never_seen_entropy_old"), None, "a mean over other classes would not be the same classes'");
        assert_eq!(value(&two, "expected_max_probability_old"), Some(0.5));
        assert_eq!([7, 9].map(|label| value(&two, &format!("class_{label}_entropy_old"))), [Some(1.0), None]);
        // The classes gain nothing from cut a to b, and so does the old one.
        let b = two.iter().find(|m| m.metric == "expected_ridge_accuracy_old" && m.cut.as_deref() == Some("b")).and_then(|m| m.value);
        assert!((b.expect("defined") - 0.8).abs() < 1e-12);
        assert!(two.iter().filter(|m| m.metric.ends_with("nearest_mean_accuracy_old")).all(|m| m.value.is_none()));
    }

    #[test]
    fn models_are_compared_with_what_the_original_says() {
        let at = |audit, metric: &str, value, cut: &str| (audit, Measured::new(metric, value, "fraction", 0.01).showing_old_class().at(cut));
        let of = |kind, figures| Figures { model: "m".into(), kind, figures };
        let estimate = at(NAME, "expected_ridge_accuracy_old", Some(0.8), "b");
        let original = of(ModelKind::Original, vec![at("probe", "ridge_accuracy_old", Some(0.95), "b"), estimate]);
        let me = of(ModelKind::Subject, vec![at("probe", "ridge_accuracy_old", Some(0.9), "a"), at("probe", "ridge_accuracy_old", Some(0.9), "b")]);
        let found = NeverSeen.derive(&me, &[original, me.clone()]);
        assert!(found.iter().all(|m| m.metric == "above_expected_ridge_accuracy_old" && m.tolerance.is_none()), "{found:#?}");
        assert_eq!(found[0].value, None, "nothing is expected at cut a");
        assert!((found[1].value.expect("defined") - 0.1).abs() < 1e-12);
        assert!(NeverSeen.derive(&me, std::slice::from_ref(&me)).iter().all(|m| m.value.is_none()), "no original");
    }

    #[test]
    fn only_the_original_is_asked() {
        let fixture = Fixture::new();
        let me = fixture.model("me", ModelKind::Method, |_, _, _| peaked(0, 0.6));
        assert!(NeverSeen.measure(&fixture.subject(&me, None, &[]), &mut fixture.context()).expect("measured").figures.is_empty());
    }

    #[test]
    fn a_class_is_measured_as_an_oracle_measures_the_old_one() {
        // The original is an oracle of the mirrored swap: audited there, it must get the very same figures.
        let fixture = Fixture::new();
        let mut data = AuditData::new(fixture.data.task.clone(), ProbeSamples::default(), 0).expect("open");
        data.never_seen = mirrored(&data.task, &fixture.dataset, ProbeSamples::default(), 0).expect("open");
        let ctx = &mut fixture.context();
        let map = data.task.before.clone();
        let model = crate::model::Classifier::new("mlp", fixture.dataset.shape(), map.len(), 3, &ctx.device).expect("a network");
        let signals = Signals::of(&model, &map, &data, ctx).expect("signals");
        let me = Peer { name: "original", kind: ModelKind::Original, model: &model, map: &map, signals: &signals };
        let subject = Subject { me, data: &data, original: Some(me), oracles: vec![] };
        let found = NeverSeen.measure(&subject, ctx).expect("measured").figures;
        assert_eq!(value(&found, CLASSES), Some(data.never_seen.len() as f64));

        let mut theirs: Vec<Vec<Measured>> = Vec::new();
        for mirror in &data.never_seen {
            let whole = AuditData::new(mirror.task.clone(), ProbeSamples::default(), 0).expect("open");
            let signals = Signals::of(&model, &map, &whole, ctx).expect("signals");
            let me = Peer { kind: ModelKind::Oracle, signals: &signals, ..me };
            let subject = Subject { me, data: &whole, original: None, oracles: vec![] };
            let audits: [&dyn Audit; 4] = [&probe::Probe, &nearest_mean::NearestMean, &profile::Profile, &relearning::Relearning];
            let mut figures = Vec::new();
            for audit in audits {
                if audit.name() != "relearning" {
                    figures.extend(audit.measure(&subject, ctx).expect("measured").figures);
                }
                for cut in 0..signals.cut_count() {
                    figures.extend(audit.measure_cut(&subject, &signals.cut(cut).expect("features"), ctx).expect("measured").figures);
                }
            }
            theirs.push(figures);
        }
        let names = AT_CUTS.iter().map(|(_, f)| *f).chain(OTHERS.iter().map(|(_, f, ..)| *f));
        for (name, mine) in names.flat_map(|n| found.iter().filter(move |m| m.metric == format!("{MEAN}{n}")).map(move |m| (n, m))) {
            let values: Option<Vec<f64>> =
                theirs.iter().map(|t| t.iter().find(|m| m.metric == name && m.cut == mine.cut).expect("measured").value).collect();
            assert_eq!(mine.value, values.map(|v| crate::stats::mean(&v)), "{name} at {:?}", mine.cut);
        }
    }
}
