//! What each model cost, everything it does included.

use super::models::{Model, Models};
use super::text::{escape, seconds, share, significant};
use crate::assess::UNTRAINED;
use crate::summary::{ModelKind, Summary};

/// Why methods have no share of a retraining, where one has none; the page and the Markdown say it alike. As plain text.
pub fn why_no_share(summary: &Summary, models: &Models) -> Option<String> {
    let cost = |name: &str| summary.scores.cost.iter().find(|c| c.model == name);
    // The network that was never trained runs alone, with all threads; nobody asks what it cost.
    let made = |m: &&Model| matches!(m.kind, ModelKind::Method | ModelKind::Control) && m.name != UNTRAINED;
    let missing = models.judged().filter(made).any(|m| cost(m.name).is_some_and(|c| c.wall_s > 0.0 && c.share_of_retrain.is_none()));
    if !missing {
        return None;
    }
    let mut oracles = models.of_kind(ModelKind::Oracle).peekable();
    let why = if oracles.peek().is_none() {
        "no model was retrained in this run"
    } else if oracles.all(|m| cost(m.name).is_none()) {
        "the oracles are from the store, timed on another machine, by another build or with another number of threads"
    } else {
        "the retrained models were timed with another number of threads"
    };
    Some(format!("Costs have no share of a retraining: {why}. The method “retrain” beside the others gives a time to compare with."))
}

/// The cost table.
pub fn html(summary: &Summary, models: &Models) -> String {
    let rows: String = models
        .all()
        .filter_map(|m| {
            let cost = summary.scores.cost.iter().find(|c| c.model == m.name)?;
            Some(format!(
                "<tr><th scope=\"row\">{}</th><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>\n",
                m.label(),
                seconds(cost.wall_s),
                share(cost.share_of_retrain),
                significant(cost.train_passes)
            ))
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let why = why_no_share(summary, models).map(|why| format!("<p>{}</p>\n", escape(&why))).unwrap_or_default();
    format!(
        "<section id=\"cost\"><h2>Cost</h2>\n<p>Everything a model’s making takes is counted: masks, Fisher information, teachers, caches, closed-form solves. \
         A pass is one forward and one backward pass over the retain and learn training images; a forward pass alone counts a third.</p>\n{why}\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Cost\"><table class=\"narrow\"><thead><tr><th scope=\"col\">Model</th>\
         <th scope=\"col\">Wall time<small>lower is better</small></th><th scope=\"col\">Share of one retraining<small>%, lower is better</small></th>\
         <th scope=\"col\">Training passes<small>lower is better</small></th></tr></thead>\n<tbody>{rows}</tbody></table></div></section>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_missing_share_has_its_reason() {
        let why = |summary: &Summary| why_no_share(summary, &Models::of(summary));
        let mut summary = fixture::swap();
        assert_eq!(why(&summary), None, "every method has its share");
        summary.scores.cost.iter_mut().filter(|c| c.model == UNTRAINED).for_each(|c| c.share_of_retrain = None);
        assert_eq!(why(&summary), None, "what was never trained needs none");
        summary.scores.cost.iter_mut().for_each(|c| c.share_of_retrain = None);
        assert!(why(&summary).expect("none has").contains("another number of threads"));
        let is_oracle = |name: &str| name.starts_with("oracle");
        summary.scores.cost.retain(|c| !is_oracle(&c.model));
        assert!(why(&summary).expect("none has").contains("the oracles are from the store"));
        summary.scores.verdict.retain(|v| !is_oracle(&v.model));
        summary.scores.scores.retain(|s| !is_oracle(&s.model));
        summary.outputs.retain(|o| !is_oracle(&o.model));
        summary.curves.retain(|c| !is_oracle(&c.model));
        assert!(why(&summary).expect("none has").contains("no model was retrained"));
    }
}
