//! The words around the figures: the question, how to read the page, what each figure is, and what none of them proves.

use super::headline::direction;
use super::models::Models;
use super::text::{bare, count, escape, figure, humanise, unit};
use super::verdict::breakable;
use crate::audit::ProbeSamples;
use crate::summary::{ModelKind, Score, Summary};

/// The page's title, as plain text.
pub fn title(summary: &Summary) -> String {
    let task = &summary.scores.task;
    match &task.learn_name {
        Some(new) => format!("{}: forget “{}”, learn “{new}”", task.dataset, task.forget_name),
        None => format!("{}: forget “{}”", task.dataset, task.forget_name),
    }
}

/// The question in one sentence, as plain text.
pub fn question(summary: &Summary, models: &Models) -> String {
    let task = &summary.scores.task;
    let old = &task.forget_name;
    let audited = models.judged().next().is_some() && models.judged().all(|m| m.kind == ModelKind::Subject);
    match &task.learn_name {
        _ if audited => format!("Is “{old}” erased from the audited model, or only hidden?"),
        Some(new) => format!("After forgetting “{old}” and learning “{new}” in its place, is “{old}” erased from the model, or only hidden?"),
        None => {
            format!("After forgetting “{old}”, is “{old}” erased from the model, or only hidden?")
        }
    }
}

/// What was not as usual, as plain text: `at once with “7” → “1”`, `1 training image of the new class`, `methods had 10.0 % of the retained ones`.
pub fn circumstances(summary: &Summary) -> Vec<String> {
    let task = &summary.scores.task;
    let also = task.also.iter().map(|(old, new)| match new {
        Some(new) => format!("“{old}” → “{new}”"),
        None => format!("“{old}”"),
    });
    let also: Vec<String> = also.collect();
    let also = (!also.is_empty()).then(|| format!("at once with {}", also.join(", ")));
    let new = if task.also.is_empty() { "the new class" } else { "each new class" };
    let learn = task.learn_samples.map(|n| format!("{} of {new}", count(n, "training image")));
    let retain = task.retain_share.map(|s| format!("methods had {} of the retained classes’ training images", figure(Some(s), "fraction")));
    let read = match task.probe_samples {
        ProbeSamples::AtMost(_) if task.probe_samples.is_default() => None,
        ProbeSamples::AtMost(n) => Some(format!("read-outs from {} at most", count(n, "training image"))),
        ProbeSamples::All => Some("read-outs from all training images".into()),
    };
    also.into_iter().chain(learn).chain(retain).chain(read).collect()
}

/// Title, question, and what was compared.
pub fn header(summary: &Summary, models: &Models) -> String {
    let task = &summary.scores.task;
    let kind = |kind| models.of_kind(kind).count();
    let mut facts = vec![format!("data set <strong>{}</strong>", escape(&task.dataset))];
    facts.push(if task.classes_before.len() == 1 { "1 class".to_owned() } else { format!("{} classes", task.classes_before.len()) });
    facts.extend(circumstances(summary).iter().map(|c| escape(c)));
    for (n, noun) in [
        (kind(ModelKind::Subject), "audited model"),
        (kind(ModelKind::Method), "method"),
        (kind(ModelKind::Control), "negative control"),
        (kind(ModelKind::Oracle), "oracle"),
    ] {
        if n > 0 {
            facts.push(count(n, noun));
        }
    }
    facts.extend(agreement(summary));
    let facts: String = facts.iter().map(|f| format!("<li>{f}</li>")).collect();
    format!(
        "<header><p class=\"kicker\">Unlearning report</p>\n<h1>{}</h1>\n<p class=\"question\">{}</p>\n<ul class=\"meta\">{facts}</ul></header>\n",
        escape(&title(summary)),
        escape(&question(summary, models))
    )
}

/// How alike the oracles are, where there are two.
pub fn agreement(summary: &Summary) -> Option<String> {
    summary.scores.oracle_agreement.map(|share| format!("two oracles agree on {} of the test images", figure(Some(share), "fraction")))
}

/// What must be known before anything on the page is believed.
pub fn warnings(warnings: &[String]) -> String {
    let items: String = warnings.iter().map(|w| format!("<li>{}</li>", escape(w))).collect();
    if items.is_empty() {
        return String::new();
    }
    format!(
        "<aside class=\"warnings\" role=\"note\" aria-label=\"Warnings\"><p><strong><span aria-hidden=\"true\">⚠</span> Before you believe this page</strong></p><ul>{items}</ul></aside>\n"
    )
}

/// The four ideas behind the page.
pub fn how_to_read(summary: &Summary) -> String {
    let old = escape(&summary.scores.task.forget_name);
    let and_learn = if summary.scores.task.learn.is_some() { ", the new class included" } else { "" };
    format!(
        "<section id=\"reading\"><h2>How to read this</h2>\n<dl class=\"guide\">\n\
         <div><dt>Oracle</dt><dd>A model trained from scratch on everything but “{old}”{and_learn}. It never saw “{old}”, so it shows what forgetting should look like. \
         Even an oracle’s features tell “{old}” from other classes to a degree: the target is its level, not zero.</dd></div>\n\
         <div><dt>Band</dt><dd>Oracles differ from each other. A figure counts as within when <span class=\"formula\">|value − oracle mean| ≤ \
         max(tolerance, 2 · sd · √(1 + 1/n))</span> for n oracles with standard deviation sd. Distances and likenesses to the oracles count on one side only: to be closer to them than they are to \
         each other is no miss.</dd></div>\n\
         <div><dt>Under-erased, over-erased</dt><dd>In some family above what the oracles show of “{old}”; or below it in some, and above in none. Both can be detected, so both are failures.</dd></div>\n\
         <div><dt>Hidden</dt><dd>The output is silent about “{old}”, but the features inside still hold it: a simple read-out, or a few training steps, bring it back.</dd></div>\n\
         </dl></section>\n"
    )
}

/// Every figure with its unit, direction and tolerance; what an audit does, where the run says so.
pub fn definitions(summary: &Summary) -> String {
    let mut audits: Vec<(&str, Vec<&Score>)> = Vec::new();
    for score in &summary.scores.scores {
        let index = audits.iter().position(|(name, _)| *name == score.audit).unwrap_or_else(|| {
            audits.push((&score.audit, Vec::new()));
            audits.len() - 1
        });
        let figures = &mut audits[index].1;
        if figures.iter().all(|s| s.metric != score.metric) {
            figures.push(score);
        }
    }
    if audits.is_empty() {
        return String::new();
    }
    let items: String = audits
        .iter()
        .map(|(audit, figures)| {
            let about = summary.legend.iter().find(|(name, _)| name == audit).map(|(_, line)| format!("<p>{}</p>", escape(line))).unwrap_or_default();
            let rows: String = figures.iter().map(|s| definition(s)).collect();
            format!("<dt>{}</dt><dd>{about}<ul>{rows}</ul></dd>\n", escape(&humanise(audit)))
        })
        .collect();
    format!(
        "<section id=\"definitions\"><h2>What the figures are</h2>\n<details><summary>Units, directions and tolerances <span class=\"tally\">{}</span></summary>\n\
         <dl class=\"definitions\">{items}</dl></details></section>\n",
        count(audits.len(), "audit")
    )
}

fn definition(score: &Score) -> String {
    let points = if score.unit == "fraction" { " points" } else { "" };
    let what = if score.unit.is_empty() { "a number".to_owned() } else { format!("in {}", escape(unit(&score.unit))) };
    let depth = if score.cut.is_some() { ", at each cut" } else { "" };
    let judged = match score.tolerance {
        Some(_) => format!("{}; tolerance {}{points}", direction("", score.better), bare(score.tolerance, &score.unit)),
        None => "shown, not judged".to_owned(),
    };
    format!("<li><code>{}</code>: {what}{depth}; {judged}</li>", breakable(&score.metric))
}

/// The resolved configuration.
pub fn config(summary: &Summary) -> String {
    if summary.config.trim().is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"config\"><h2>Configuration</h2>\n<details><summary>The run’s resolved <code>config.toml</code></summary>\n\
         <pre tabindex=\"0\"><code>{}</code></pre></details></section>\n",
        escape(summary.config.trim_end())
    )
}

/// What the page does not prove.
pub fn footer() -> String {
    "<footer><p><strong>This is evidence, not a certificate.</strong> Matching the oracles on these figures does not prove that nothing is left: an audit that was not \
     run, or is not known yet, may find it. A failed figure, on the other hand, is a finding.</p></footer>\n"
        .to_owned()
}
