//! The models of a run in the order they are shown, each with the line style that stands for it in every table and plot.

use crate::summary::{ModelKind, Score, Summary, Verdict};

/// Line styles for judged models: colours in `style.css` (`.s0` …), each with its own dash pattern.
const STYLES: usize = 8;

/// A model and how it is drawn.
#[derive(Debug, Clone)]
pub struct Model<'a> {
    /// Name in the run.
    pub name: &'a str,
    /// What it is.
    pub kind: ModelKind,
    /// CSS class that carries colour and dashes.
    pub class: String,
    /// Index of its marker shape.
    pub marker: usize,
}

impl Model<'_> {
    /// True for the models that the report is about: methods, controls and audited subjects.
    pub fn is_judged(&self) -> bool {
        matches!(self.kind, ModelKind::Method | ModelKind::Control | ModelKind::Subject)
    }

    /// Line sample and name, as tables and legends show a model.
    pub fn label(&self) -> String {
        format!(r#"<span class="model">{}{}</span>"#, self.key(), super::verdict::breakable(self.name))
    }

    /// The line sample alone.
    pub fn key(&self) -> String {
        let marker = if self.kind == ModelKind::Oracle { String::new() } else { super::svg::marker(self.marker, 14.0, 6.0) };
        format!(r#"<svg class="key {}" viewBox="0 0 28 12" aria-hidden="true"><path class="line" d="M0 6H28"/>{marker}</svg>"#, self.class)
    }

    /// The marker alone, where models are points.
    pub fn point(&self) -> String {
        format!(r#"<svg class="key {}" viewBox="0 0 28 12" aria-hidden="true">{}</svg>"#, self.class, super::svg::marker(self.marker, 14.0, 6.0))
    }

    /// What a reader must know about its kind; empty for methods.
    pub fn note(&self) -> &'static str {
        match self.kind {
            ModelKind::Control => "negative control: should fail",
            ModelKind::Subject => "audited model",
            ModelKind::Original => "before unlearning",
            ModelKind::Oracle => "retrained without the old class",
            ModelKind::Method => "",
        }
    }
}

/// Every model that the summary mentions, each once.
#[derive(Debug)]
pub struct Models<'a> {
    all: Vec<Model<'a>>,
    summary: &'a Summary,
}

impl<'a> Models<'a> {
    /// Collects the models: original, judged ones, oracles; within a kind in the run's order.
    pub fn of(summary: &'a Summary) -> Self {
        let mut found: Vec<(&str, ModelKind)> = Vec::new();
        let mut add = |name: &'a str, kind: Option<ModelKind>| {
            if found.iter().all(|(n, _)| *n != name) {
                found.push((name, kind.unwrap_or_else(|| guess(name))));
            }
        };
        summary.outputs.iter().for_each(|o| add(&o.model, Some(o.kind)));
        summary.scores.verdict.iter().for_each(|v| add(&v.model, Some(v.kind)));
        summary.scores.scores.iter().for_each(|s| add(&s.model, None));
        summary.scores.cost.iter().for_each(|c| add(&c.model, None));
        Self { all: styled(found), summary }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Model<'a>> {
        self.all.iter()
    }

    /// Methods, controls and subjects.
    pub fn judged(&self) -> impl Iterator<Item = &Model<'a>> {
        self.all.iter().filter(|m| m.is_judged())
    }

    /// Models of one kind.
    pub fn of_kind(&self, kind: ModelKind) -> impl Iterator<Item = &Model<'a>> {
        self.all.iter().filter(move |m| m.kind == kind)
    }

    /// What pictures of single models show: original, judged ones, and one oracle to compare them with.
    pub fn pictured(&self) -> impl Iterator<Item = &Model<'a>> {
        self.of_kind(ModelKind::Original).chain(self.of_kind(ModelKind::Oracle).take(1)).chain(self.judged())
    }

    /// The verdict on a model.
    pub fn verdict(&self, name: &str) -> Option<&'a Verdict> {
        self.summary.scores.verdict.iter().find(|v| v.model == name)
    }

    /// A model's score by audit, metric and cut.
    pub fn score(&self, name: &str, audit: &str, metric: &str, cut: Option<&str>) -> Option<&'a Score> {
        self.summary.scores.scores.iter().find(|s| s.model == name && s.audit == audit && s.metric == metric && s.cut.as_deref() == cut)
    }

    /// A score that carries the statistics over all oracles: an oracle's own leave it out, so any other model's is asked.
    pub fn oracle_band(&self, audit: &str, metric: &str, cut: Option<&str>) -> Option<&'a Score> {
        let not_oracles = self.all.iter().filter(|m| m.kind != ModelKind::Oracle);
        not_oracles.filter_map(|m| self.score(m.name, audit, metric, cut)).find(|s| s.oracle_mean.is_some())
    }
}

/// Models of these names and kinds in the order they are shown: original, judged ones, oracles; within a kind as given.
pub fn styled(mut found: Vec<(&str, ModelKind)>) -> Vec<Model<'_>> {
    let rank = |kind| match kind {
        ModelKind::Original => 0,
        ModelKind::Subject => 1,
        ModelKind::Method => 2,
        ModelKind::Control => 3,
        ModelKind::Oracle => 4,
    };
    found.sort_by_key(|(_, kind)| rank(*kind)); // stable
    let mut judged = 0;
    let drawn = |(name, kind)| {
        let (class, marker) = match kind {
            ModelKind::Original => ("original".to_owned(), 0),
            ModelKind::Oracle => ("oracle".to_owned(), 0),
            _ => {
                judged += 1;
                (format!("s{}", (judged - 1) % STYLES), judged)
            }
        };
        Model { name, kind, class, marker }
    };
    found.into_iter().map(drawn).collect()
}

/// Kind by the names that a run gives; only for models of which nothing but scores, cost or a curve is left.
fn guess(name: &str) -> ModelKind {
    match name {
        "original" => ModelKind::Original,
        _ if name.starts_with("oracle") => ModelKind::Oracle,
        _ => ModelKind::Method,
    }
}
