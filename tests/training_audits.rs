//! The audits that train a copy, draw an image out of a model, or look at its weights: what they leave untouched and what they show.

mod common;

use common::{blobs, context, task, trained};
use unlearn::audit::{AUDITS, AuditData, Findings, Peer, ProbeSamples, Signals, Subject};
use unlearn::data::{ClassMap, Dataset, SwapTask};
use unlearn::model::Classifier;
use unlearn::rng;
use unlearn::summary::{Content, ModelKind};

const AUDITS_HERE: [&str; 4] = ["relearning", "revival", "reconstruction", "weights"];

/// A model with what audits read of it.
struct Known {
    name: &'static str,
    kind: ModelKind,
    model: Classifier,
    map: ClassMap,
    signals: Signals,
}

impl Known {
    fn new(name: &'static str, kind: ModelKind, model: Classifier, map: &ClassMap, data: &AuditData, dataset: &Dataset) -> Self {
        let signals = Signals::of(&model, map, data, &context(name, dataset, 1)).unwrap();
        Self { name, kind, model, map: map.clone(), signals }
    }

    fn peer(&self) -> Peer<'_> {
        Peer { name: self.name, kind: self.kind, model: &self.model, map: &self.map, signals: &self.signals }
    }
}

struct Bench {
    dataset: Dataset,
    task: SwapTask,
    data: AuditData,
}

impl Bench {
    fn new(learn: bool) -> Self {
        let dataset = blobs();
        let task = task(&dataset, learn);
        let data = AuditData::new(task.clone(), ProbeSamples::default(), 3).unwrap();
        Self { dataset, task, data }
    }

    fn original(&self, arch: &str, epochs: usize) -> Known {
        let model = trained("original", arch, &self.dataset, &self.task.before, epochs);
        Known::new("original", ModelKind::Original, model, &self.task.before, &self.data, &self.dataset)
    }

    fn retrained(&self, arch: &str, epochs: usize) -> Known {
        let model = trained("retrained", arch, &self.dataset, &self.task.after, epochs);
        Known::new("retrained", ModelKind::Method, model, &self.task.after, &self.data, &self.dataset)
    }

    /// What audit `name` finds of `me`, the context's seed being another for each `run`.
    fn audit(&self, name: &str, me: &Known, original: Option<&Known>, run: u64) -> Findings {
        let audit = AUDITS.iter().find(|a| a.name() == name).unwrap();
        let subject = Subject { me: me.peer(), data: &self.data, original: original.map(Known::peer), oracles: vec![] };
        let mut ctx = context(me.name, &self.dataset, 1);
        ctx.seed = rng::derive_seed(run, "context", 0);
        let mut found = audit.measure(&subject, &mut ctx).unwrap();
        for k in 0..me.signals.cut_count() {
            let here = audit.measure_cut(&subject, &me.signals.cut(k).unwrap(), &mut ctx).unwrap();
            found.figures.extend(here.figures);
            found.exhibits.extend(here.exhibits);
        }
        found
    }
}

fn value(found: &Findings, metric: &str) -> Option<f64> {
    found.figures.iter().find(|f| f.metric == metric && f.cut.is_none()).unwrap_or_else(|| panic!("no {metric}")).value
}

/// Every bit of a model. What a training wrote into shared running statistics comes to light when they are synchronised, as `finished` does.
fn hashes(model: &Classifier) -> [String; 2] {
    [model.hash(), model.clone().finished().hash()]
}

#[test]
fn a_model_with_normalisation_stays_as_it_is_and_figures_repeat_on_any_number_of_threads() {
    let bench = Bench::new(true);
    let (original, me) = (bench.original("resnet20", 1), bench.retrained("resnet20", 1));
    let before = (hashes(&original.model), hashes(&me.model));
    for name in AUDITS_HERE {
        let found = [(1, 1), (2, 3)].map(|(run, threads)| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bench.audit(name, &me, Some(&original), run))
        });
        assert_eq!((hashes(&original.model), hashes(&me.model)), before, "{name} changed a model");
        assert_eq!(found[0].figures, found[1].figures, "{name} depends on threads or on the model's seed");
        assert_eq!(found[0].exhibits, found[1].exhibits, "{name} depends on threads or on the model's seed");
    }
}

#[test]
fn how_large_features_are_does_not_slow_relearning() {
    let bench = Bench::new(true);
    let original = bench.original("mlp", 12);
    // The same function: features a hundred times smaller, a head that makes up for it.
    let small = original.model.clone().rewrite(|name, _, now| {
        let factor = if name.starts_with("fc2.") {
            0.01
        } else if name == "head.weight" || name.starts_with("head.") && name.ends_with(".weight") {
            100.0
        } else {
            return None;
        };
        Some(now().into_iter().map(|v| factor * v).collect())
    });
    let small = Known::new("small", ModelKind::Subject, small, &original.map, &bench.data, &bench.dataset);
    let found = [&original, &small].map(|me| bench.audit("relearning", me, Some(&original), 1));
    for shots in ["1", "10", "all"] {
        let metric = format!("auc_head_{shots}");
        let [plain, small] = found.each_ref().map(|f| value(f, &metric).unwrap());
        assert!((plain - small).abs() < 0.01, "{metric}: {plain}, with small features {small}");
    }
    let random = value(&found[0], "auc_random_start_head_all").unwrap();
    assert!(random > 0.05, "a random network learns something, too: {random}");
}

#[test]
fn a_known_class_comes_back_faster_than_to_a_random_network() {
    let bench = Bench::new(true);
    let original = bench.original("mlp", 12);
    let found = bench.audit("relearning", &original, Some(&original), 1);
    let get = |metric: &str| value(&found, metric);
    let pairs = ["head_1", "head_10", "head_all", "full_1", "full_10", "full_all"]
        .map(|f| (f, get(&format!("auc_{f}")).unwrap(), get(&format!("auc_random_start_{f}")).unwrap()));
    for (figure, known, random) in pairs {
        assert!(known > random + 0.05, "{figure}: {known} from the original, {random} from nothing; {pairs:?}");
    }
    let gap = pairs.iter().map(|(_, known, random)| known - random).sum::<f64>() / pairs.len() as f64;
    assert!(gap > 0.1, "{gap} in the mean: {pairs:?}");
    for shots in ["1", "10", "all"] {
        for part in ["head", "full"] {
            let [half, most] = ["t50", "t80"].map(|t| get(&format!("{t}_{part}_{shots}")).unwrap());
            assert!(0.0 < half && half <= most && most <= 128.0, "{part} {shots}: {half}, {most}");
        }
    }
    // 60 training images a class.
    assert_eq!(get("auc_head_100"), None);
    assert_eq!(get("t50_full_100"), None);
    let [t50, t80] = ["t50_random_start_full_all", "t80_random_start_full_all"].map(|t| get(t).unwrap());
    assert!(0.0 < t50 && t50 <= t80 && t80 <= 32.0, "{t50}, {t80}");
    for shots in ["1", "10", "all"] {
        for part in ["head", "full"] {
            let area = get(&format!("auc_random_start_{part}_{shots}")).unwrap();
            assert!(area < get(&format!("auc_{part}_{shots}")).unwrap(), "{part} {shots}: {area} from nothing");
        }
    }
    assert_eq!(get("auc_random_start_full_100"), None);
    // Two parts, three numbers of images; the random start.
    assert_eq!(found.exhibits.len(), 7);
    for e in &found.exhibits {
        let Content::Curve { points, .. } = &e.content else { panic!("{}: no curve", e.title) };
        assert!(points.len() >= 6 && points.windows(2).all(|w| w[0].0 < w[1].0), "{}: {points:?}", e.title);
        assert!(points.iter().all(|(_, y)| (-1.0..=1.0).contains(y)), "{}: {points:?}", e.title);
    }
}

#[test]
fn a_hidden_class_is_in_its_slot_and_one_that_was_never_learned_is_not() {
    let bench = Bench::new(true);
    let (original, me) = (bench.original("mlp", 12), bench.retrained("mlp", 12));
    let share = |known: &Known| value(&bench.audit("revival", known, Some(&original), 1), "old_slot_after").unwrap();
    assert!(share(&original) > 0.8 && share(&me) < 0.5, "{} and {}", share(&original), share(&me));
    // Without a row there is no share, but the read-outs are there.
    let plain = Bench::new(false);
    let (_, me) = (plain.original("mlp", 2), plain.retrained("mlp", 2));
    let found = plain.audit("revival", &me, None, 1);
    assert_eq!(value(&found, "old_slot_after"), None);
    assert!(value(&found, "nearest_mean_old_after").unwrap() > 0.5);
}

#[test]
fn the_old_class_is_drawn_out_of_a_model_that_knows_it() {
    let bench = Bench::new(true);
    let original = bench.original("mlp", 12);
    let found = bench.audit("reconstruction", &original, Some(&original), 1);
    let [feature, slot] = ["feature_correlation_old", "slot_correlation_old"].map(|m| value(&found, m).unwrap());
    assert!(feature > 0.3 && slot > 0.3, "{feature} from features, {slot} from the slot");
    let [exhibit] = &found.exhibits[..] else { panic!("one exhibit") };
    let Content::Pictures(pictures) = &exhibit.content else { panic!("pictures") };
    assert_eq!(pictures.len(), 4);
    assert!(pictures.iter().all(|p| p.png.starts_with("iVBORw0KGgo")), "PNG in base64");
}

#[test]
fn weights_are_far_after_a_retraining_and_there_where_nothing_was_done() {
    for learn in [true, false] {
        let bench = Bench::new(learn);
        let (original, far) = (bench.original("mlp", 3), bench.retrained("mlp", 3));
        let gone = if learn { None } else { bench.task.before.slot(bench.task.swap.forget) };
        let same = gone.map_or(original.model.clone(), |slot| original.model.clone().without_slot(slot).unwrap());
        let same = Known::new("same", ModelKind::Method, same, &bench.task.after, &bench.data, &bench.dataset);
        let far = bench.audit("weights", &far, Some(&original), 1);
        let near = bench.audit("weights", &same, Some(&original), 1);
        assert_eq!((value(&near, "distance"), value(&near, "barrier").map(|b| b.abs() < 1e-6)), (Some(0.0), Some(true)));
        assert!(value(&far, "distance").unwrap() > 0.5 && value(&far, "barrier").unwrap() > 0.05, "{:?}", far.figures);
        // Plain unlearning takes the row: heads of other shapes.
        assert_eq!(value(&far, "distance_head").is_some(), learn);
        for none in [bench.audit("weights", &original, Some(&original), 1), bench.audit("weights", &same, None, 1)] {
            assert!(none.figures.iter().all(|f| f.value.is_none()), "{:?}", none.figures);
        }
    }
}

#[test]
fn a_diverged_model_is_called_so() {
    let bench = Bench::new(true);
    let original = bench.original("mlp", 1);
    let model = original.model.copy_with(|name, v| if name == "fc2.0.bias" { vec![f32::NAN; v.len()] } else { v }).unwrap();
    let me = Known::new("broken", ModelKind::Method, model, &bench.task.after, &bench.data, &bench.dataset);
    for name in AUDITS_HERE {
        let found = bench.audit(name, &me, Some(&original), 1);
        assert!(found.figures.iter().any(|f| f.diverged), "{name}: {:?}", found.figures);
        assert!(found.figures.iter().all(|f| f.value.is_none_or(f64::is_finite)), "{name}");
    }
}
