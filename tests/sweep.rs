//! Every method and every audit, by walking the registries: whoever adds one gets these tests with it.

mod common;

use std::collections::BTreeSet;

use common::{blobs, context, task, trained};
use unlearn::audit::verdict::Figures;
use unlearn::audit::{AUDITS, Audit, AuditData, Measured, Peer, ProbeSamples, Signals, Subject, never_seen};
use unlearn::context::Context;
use unlearn::data::{Dataset, Labelled, Needs, Role, SwapTask, View};
use unlearn::error::{Error, Result};
use unlearn::method::{self, METHODS, Method};
use unlearn::model::Classifier;
use unlearn::summary::{Family, ModelKind};
use unlearn::train;

const ROLES: [Role; 3] = [Role::Retain, Role::Forget, Role::Learn];

/// Train and test view of a set, where the task has it.
fn views(task: &SwapTask, role: Role) -> Vec<&View> {
    let split = match role {
        Role::Retain => Some(&task.retain),
        Role::Forget => Some(&task.forget),
        Role::Learn => task.learn.as_ref(),
    };
    split.map_or(vec![], |s| vec![&s.train, &s.test])
}

/// Applies every method to `original` and gives the results by name.
fn every_method(dataset: &Dataset, task: &SwapTask, original: &Classifier) -> Vec<(&'static str, Classifier)> {
    let before = original.hash();
    METHODS
        .iter()
        .map(|m| {
            let mut ctx = context(m.name, dataset, 2);
            let made = method::apply(m.name, &(m.defaults)(), original.clone(), task, &mut ctx).unwrap_or_else(|e| panic!("{}: {e}", m.name));
            assert_eq!(original.hash(), before, "{} changed the original", m.name);
            assert_ne!(made.hash(), before, "{} did nothing", m.name);
            assert_eq!(made.spec().slots, task.after.len(), "{}: slots", m.name);
            for t in made.tensors() {
                assert!(t.values.iter().all(|v| v.is_finite()), "{}: {} is not finite", m.name, t.name);
            }
            // The result is a whole classifier: it answers, off the graph, with one logit a slot.
            let test = Labelled::new(task.retain.test.samples().unwrap().clone(), &task.after);
            let logits = train::predict(&made, &test, &ctx).unwrap();
            assert_eq!(logits.values.len(), test.len() * task.after.len(), "{}", m.name);
            (m.name, made)
        })
        .collect()
}

/// Every audit on every model: figures with units, under unique names, finite or undefined, and the same ones for all models, since
/// figures are judged by the figures of the same name that the oracles have.
fn every_audit(learn: bool) {
    let dataset = blobs();
    let task = task(&dataset, learn);
    let mut data = AuditData::new(task.clone(), ProbeSamples::default(), 0).unwrap();
    data.never_seen = never_seen::mirrored(&task, &dataset, ProbeSamples::default(), 0).unwrap();
    let original = trained("original", "mlp", &dataset, &task.before, 2);
    let oracles = (1..=2).map(|i| (format!("oracle-{i}"), trained(&format!("oracle-{i}"), "mlp", &dataset, &task.after, 2)));
    let methods = every_method(&dataset, &task, &original).into_iter().map(|(name, model)| (name.to_string(), model));
    let models: Vec<(String, Classifier)> = [("original".to_string(), original.clone())].into_iter().chain(oracles).chain(methods).collect();
    let map = |name: &str| if name == "original" { &task.before } else { &task.after };
    let signals: Vec<Signals> =
        models.iter().map(|(name, model)| Signals::of(model, map(name), &data, &context(name, &dataset, 2)).unwrap()).collect();
    let peer = |i: usize| {
        let (name, model) = &models[i];
        let kind = match i {
            0 => ModelKind::Original,
            1 | 2 => ModelKind::Oracle,
            _ => method::kind_of(name),
        };
        Peer { name, kind, model, map: map(name), signals: &signals[i] }
    };
    let measure = |audit: &dyn Audit, i: usize| -> Vec<Measured> {
        let at = format!("{} on {}", audit.name(), models[i].0);
        let oracles = [1, 2].into_iter().filter(|o| *o != i).map(peer).collect();
        let subject = Subject { me: peer(i), data: &data, original: Some(peer(0)), oracles };
        let mut ctx = context(&models[i].0, &dataset, 2);
        let mut figures = audit.measure(&subject, &mut ctx).unwrap_or_else(|e| panic!("{at}: {e}")).figures;
        for k in 0..signals[i].cut_count() {
            figures.extend(audit.measure_cut(&subject, &signals[i].cut(k).unwrap(), &mut ctx).unwrap_or_else(|e| panic!("{at}: {e}")).figures);
        }
        figures
    };
    // By model, then by audit; what audits derive of all models comes last.
    let measured: Vec<Vec<Vec<Measured>>> = (0..models.len())
        .map(|i| {
            let before = models[i].1.hash();
            let figures = AUDITS.iter().map(|audit| measure(*audit, i)).collect();
            assert_eq!(models[i].1.hash(), before, "an audit changed {}", models[i].0);
            figures
        })
        .collect();
    let all: Vec<Figures> = (0..models.len())
        .map(|i| {
            let figures = AUDITS.iter().zip(&measured[i]).flat_map(|(audit, m)| m.iter().map(|m| (audit.name(), m.clone()))).collect();
            Figures { model: models[i].0.clone(), kind: peer(i).kind, figures }
        })
        .collect();
    let figures = |audit: usize, i: usize| [measured[i][audit].clone(), AUDITS[audit].derive(&all[i], &all)].concat();
    for (i, (name, _)) in models.iter().enumerate().skip(3) {
        for (a, audit) in AUDITS.iter().enumerate() {
            let at = format!("{} on {name}", audit.name());
            let here = figures(a, i);
            assert!(!here.is_empty(), "{at}: no figures");
            assert!(here.iter().any(|f| f.value.is_some()), "{at}: nothing but undefined figures");
            let mut seen = BTreeSet::new();
            for f in &here {
                assert!(!f.unit.is_empty(), "{at}: {} has no unit", f.metric);
                assert!(f.value.is_none_or(f64::is_finite), "{at}: {} is {:?}", f.metric, f.value);
                assert!(f.tolerance.is_none_or(|t| t.is_finite() && t >= 0.0), "{at}: {} has tolerance {:?}", f.metric, f.tolerance);
                assert!(seen.insert((f.metric.clone(), f.cut.clone())), "{at}: {} {:?} twice", f.metric, f.cut);
                if f.unit == "fraction" {
                    assert!(f.value.is_none_or(|v| (-1.0..=1.0).contains(&v)), "{at}: {} is {:?}", f.metric, f.value);
                }
            }
            let of_oracle: BTreeSet<_> = figures(a, 1).into_iter().map(|f| (f.metric, f.cut)).collect();
            assert_eq!(seen, of_oracle, "{at}: other figures than on an oracle");
        }
    }
}

/// A method may diverge; that is a finding, not a failure of the run.
#[test]
fn figures_of_features_that_diverged_say_so() {
    let dataset = blobs();
    let task = task(&dataset, true);
    let data = AuditData::new(task.clone(), ProbeSamples::default(), 0).unwrap();
    let ctx = |name: &str| context(name, &dataset, 1);
    let oracle = trained("oracle-1", "mlp", &dataset, &task.after, 1);
    let broken = oracle.clone().rewrite(|name, _, current| (!name.starts_with("head")).then(|| current().iter().map(|_| f32::NAN).collect()));
    let signals = [&broken, &oracle].map(|m| Signals::of(m, &task.after, &data, &ctx("model")).unwrap());
    let peer = |name, kind, model, signals| Peer { name, kind, model, map: &task.after, signals };
    let subject = Subject {
        me: peer("broken", ModelKind::Method, &broken, &signals[0]),
        data: &data,
        original: None,
        oracles: vec![peer("oracle-1", ModelKind::Oracle, &oracle, &signals[1])],
    };
    for audit in AUDITS.iter().filter(|a| a.family() == Family::Features && !["idi", "never-seen"].contains(&a.name())) {
        let last = signals[0].cut(signals[0].cut_count() - 1).unwrap();
        let figures = audit.measure_cut(&subject, &last, &mut ctx("broken")).unwrap_or_else(|e| panic!("{}: {e}", audit.name())).figures;
        let diverged = figures.iter().filter(|f| f.tolerance.is_some()).all(|f| f.value.is_none());
        assert!(diverged && figures.iter().any(|f| f.diverged), "{}: {figures:?}", audit.name());
    }
}

#[test]
fn every_method_under_every_audit_in_a_swap() {
    every_audit(true);
}

#[test]
fn every_method_under_every_audit_in_plain_unlearning() {
    every_audit(false);
}

#[test]
fn every_method_on_a_network_with_running_statistics() {
    let dataset = blobs();
    let task = task(&dataset, true);
    every_method(&dataset, &task, &trained("original", "resnet20", &dataset, &task.before, 2));
}

#[test]
fn a_method_reaches_exactly_the_sets_that_its_entry_names() {
    let task = task(&blobs(), true);
    for m in METHODS {
        let restricted = task.for_method(m.name, m.needs);
        for role in ROLES {
            // The training part as the entry says, the test part never.
            for (may, view) in [m.needs.allows(role), false].into_iter().zip(views(&restricted, role)) {
                match view.samples() {
                    Ok(samples) => assert!(may && !samples.is_empty(), "{} reaches the {} set", m.name, role.name()),
                    Err(Error::Forbidden { role: named, who }) => {
                        assert!(!may, "{} is kept from the {} set", m.name, role.name());
                        assert_eq!((named, who.as_str()), (role.name(), m.name));
                    }
                    Err(other) => panic!("{}: {other}", m.name),
                }
            }
        }
    }
    // A lock can't be undone by asking for more.
    let again = task.for_method("retrain", method::find("retrain").unwrap().needs).for_method("retrain", Needs::ALL);
    assert!(matches!(again.forget.train.samples(), Err(Error::Forbidden { .. })) && again.retain.test.samples().is_err());
    // What the whole comparison stands on.
    let retrain = task.for_method("retrain", method::find("retrain").unwrap().needs);
    let error = retrain.forget.train.samples().unwrap_err().to_string();
    assert!(error.contains("forget set: refused, because `retrain`"), "{error}");
}

#[test]
fn no_method_asks_for_more_than_it_opens() {
    // With any declared set locked the method must run into the lock: an entry that names a set for nothing would hide what a method needs.
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", "mlp", &dataset, &task.before, 1);
    for m in METHODS {
        let mut parameters = (m.defaults)();
        if m.name == "masked-weights" {
            parameters.insert("use_retain".into(), true.into()); // the retain set is its option
        }
        let method = (m.build)(&parameters).unwrap();
        for role in ROLES.into_iter().filter(|r| m.needs.allows(*r)) {
            let needs = Needs {
                retain: m.needs.retain && role != Role::Retain,
                forget: m.needs.forget && role != Role::Forget,
                learn: m.needs.learn && role != Role::Learn,
            };
            match method.apply(original.clone(), &task.for_method(m.name, needs), &mut context(m.name, &dataset, 1)) {
                Err(Error::Forbidden { role: named, who }) => assert_eq!((named, who.as_str()), (role.name(), m.name)),
                Err(other) => panic!("{}: {other}", m.name),
                Ok(_) => panic!("{} names the {} set and never opens it", m.name, role.name()),
            }
        }
    }
}

/// A method that says it needs the retain set and opens the forget set.
#[derive(Debug)]
struct Liar;

impl Method for Liar {
    fn apply(&self, original: Classifier, task: &SwapTask, _ctx: &mut Context) -> Result<Classifier> {
        task.retain.train.samples()?;
        task.forget.train.samples()?;
        Ok(original)
    }
}

#[test]
fn a_method_that_lies_about_its_needs_is_stopped() {
    let dataset = blobs();
    let task = task(&dataset, true);
    let original = trained("original", "mlp", &dataset, &task.before, 1);
    let apply = |needs| Liar.apply(original.clone(), &task.for_method("liar", needs), &mut context("liar", &dataset, 1));
    match apply(Needs { retain: true, forget: false, learn: false }) {
        Err(Error::Forbidden { role: "forget", who }) => assert_eq!(who, "liar"),
        other => panic!("the lock did not hold: {other:?}"),
    }
    // The lock is what stopped it: named in full, the same method passes.
    assert!(apply(Needs { retain: true, forget: true, learn: false }).is_ok());
}
