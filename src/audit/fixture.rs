//! Models that answer as a test says, on the made-up set.

use super::{AuditData, PartName, Peer, ProbeSamples, Signals, Subject};
use crate::context::{Context, OptimiserKind, Pipeline, Reporter, Schedule, TrainSettings};
use crate::data::{ClassId, ClassMap, Dataset, Role, Swap, SwapTask, synthetic};
use crate::model::Classifier;
use crate::output::Output;
use crate::stats::Logits;
use crate::summary::ModelKind;

/// The swap 2 → 5 on the classes 0 to 4 of the made-up set.
pub struct Fixture {
    pub dataset: Dataset,
    pub data: AuditData,
}

/// A model of logits alone.
pub struct Answers {
    name: &'static str,
    kind: ModelKind,
    model: Classifier,
    map: ClassMap,
    signals: Signals,
}

impl Answers {
    pub fn peer(&self) -> Peer<'_> {
        Peer { name: self.name, kind: self.kind, model: &self.model, map: &self.map, signals: &self.signals }
    }
}

impl Fixture {
    pub fn new() -> Self {
        let dataset = synthetic::blobs().expect("the made-up set");
        let before = ClassMap::new((0..5).map(ClassId).collect()).expect("five classes");
        let task = SwapTask::new(&dataset, &before, Swap { forget: ClassId(2), learn: Some(ClassId(5)) }).expect("a swap");
        Self { data: AuditData::new(task, ProbeSamples::default(), 0).expect("open sets"), dataset }
    }

    /// A model whose probabilities on sample `i` of a class, of `of` in its set, are `answer(class, i, of)`, one a slot.
    pub fn model(&self, name: &'static str, kind: ModelKind, answer: impl Fn(u16, usize, usize) -> [f64; 5]) -> Answers {
        let task = &self.data.task;
        let map = if kind == ModelKind::Original { &task.before } else { &task.after }.clone();
        let mut logits = Vec::new();
        for role in [Role::Retain, Role::Forget, Role::Learn] {
            for part in [PartName::Train, PartName::Test] {
                let samples = self.data.set(role, part).expect("a swap has all sets");
                let rows = (0..samples.len()).flat_map(|i| answer(samples.class(i).0, i, samples.len()));
                logits.push((role, part, Logits { values: rows.map(|p| p.ln() as f32).collect(), slots: 5 }));
            }
        }
        let device = crate::device::open("cpu").expect("a CPU");
        let model = Classifier::zeros("mlp", self.dataset.shape(), map.len(), &device).expect("a network");
        Answers { name, kind, model, map, signals: Signals::of_logits(logits) }
    }

    pub fn subject<'a>(&'a self, me: &'a Answers, original: Option<&'a Answers>, oracles: &'a [Answers]) -> Subject<'a> {
        Subject { me: me.peer(), data: &self.data, original: original.map(Answers::peer), oracles: oracles.iter().map(Answers::peer).collect() }
    }

    pub fn context(&self) -> Context {
        Context {
            model: "fixture".into(),
            seed: 0,
            device: crate::device::open("cpu").expect("a CPU"),
            settings: TrainSettings {
                epochs: 1,
                batch: 64,
                lr: 1e-3,
                optimiser: OptimiserKind::Adam,
                schedule: Schedule::Constant,
                weight_decay: 0.0,
            },
            pipeline: Pipeline::of(&self.dataset, false),
            reporter: Reporter::new(Output::new(true)),
            cost: Default::default(),
        }
    }
}

/// Probability `p` in `slot`, the rest shared by the others.
pub fn peaked(slot: usize, p: f64) -> [f64; 5] {
    std::array::from_fn(|i| if i == slot { p } else { (1.0 - p) / 4.0 })
}
