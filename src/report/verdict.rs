//! The verdict on each model, as cards: what was found, by how much, and at what cost.

use super::families;
use super::headline::share_of;
use super::models::{Model, Models};
use super::text::{count, escape, figure, share, significant, spread};
use crate::summary::{Calibration, Control, ModelKind, Score, Summary, Verdict};

/// Failing figures on a card; the rest are counted.
const SHOWN: usize = 3;

/// What a verdict word looks like and means.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Sign, so that colour never stands alone.
    pub sign: &'static str,
    /// CSS class.
    pub class: &'static str,
    /// Plain words.
    pub meaning: &'static str,
}

/// The look of `verdict`; one that is not known is shown as it stands.
pub fn look(verdict: &str) -> Look {
    let (sign, class, meaning) = match verdict {
        "matched" => ("✓", "matched", "Behaves like models that never saw the old class, as far as these audits see."),
        "under-erased" => ("▲", "under", "In one family at least, more of the old class is left than in models that never saw it."),
        "over-erased" => ("▼", "over", "Less of the old class is left than in models that never saw it, and in no family more: a hole that shows."),
        "off-target" => (
            "◆",
            "off",
            "Differs from models that never saw the old class, but no family beyond its limits shows clearly more or less of that class than they do.",
        ),
        "no verdict" => ("○", "none", "Nothing to judge by."),
        _ => ("○", "none", ""),
    };
    Look { sign, class, meaning }
}

/// The verdict word on a model; `no verdict` where there is none.
pub fn word(verdict: Option<&Verdict>) -> &str {
    verdict.map_or("no verdict", |v| v.verdict.as_str())
}

/// One sentence that answers the page's question.
pub fn answer(models: &Models) -> String {
    let tally = |kind| {
        let mut words: Vec<(&str, usize)> = Vec::new();
        for model in models.of_kind(kind) {
            let word = word(models.verdict(model.name));
            match words.iter_mut().find(|(w, _)| *w == word) {
                Some((_, n)) => *n += 1,
                None => words.push((word, 1)),
            }
        }
        words
    };
    let sentence = |kind, noun| {
        let words = tally(kind);
        let n: usize = words.iter().map(|(_, n)| n).sum();
        let parts: Vec<String> = words.iter().map(|(word, n)| format!("{n} <strong>{}</strong>", escape(word))).collect();
        match words.as_slice() {
            [] => String::new(),
            [(word, 1)] => format!("The {noun}: <strong>{}</strong>. ", escape(word)),
            _ => format!("Of {}: {}. ", count(n, noun), parts.join(", ")),
        }
    };
    let controls = models.of_kind(ModelKind::Control).count();
    let passed = models.of_kind(ModelKind::Control).filter(|m| word(models.verdict(m.name)) == "matched").count();
    let open = models.of_kind(ModelKind::Control).filter(|m| word(models.verdict(m.name)) == "no verdict").count();
    let on_controls = match (controls, passed) {
        (0, _) => String::new(),
        _ if open > 0 => "Without oracles the negative controls can’t be judged either.".to_owned(),
        (1, 0) => "The negative control fails, as it should.".to_owned(),
        (n, 0) => format!("All {n} negative controls fail, as they should."),
        (n, p) => format!("<strong>{p} of {} passed</strong>: these audits do not see every way of hiding.", count(n, "negative control")),
    };
    sentence(ModelKind::Method, "method") + &sentence(ModelKind::Subject, "audited model") + &on_controls
}

/// A card for each judged model, then how the original and the oracles themselves fare.
pub fn html(summary: &Summary, models: &Models) -> String {
    let cards: String = models.judged().map(|m| card(summary, models, m)).collect();
    let cards = if cards.is_empty() { "<p>No model was judged.</p>\n".to_owned() } else { format!("<div class=\"cards\">{cards}</div>\n") };
    let answer = Some(answer(models)).filter(|a| !a.is_empty()).map(|a| format!("<p class=\"answer\">{a}</p>\n")).unwrap_or_default();
    format!("<section id=\"verdict\"><h2>Verdict</h2>\n{answer}{cards}{}</section>\n", references(summary, models))
}

fn card(summary: &Summary, models: &Models, model: &Model) -> String {
    let verdict = models.verdict(model.name);
    let word = word(verdict);
    let look = look(word);
    let judged = verdict.filter(|v| v.audits_total > 0);
    let no_oracles = word == "no verdict" && models.of_kind(ModelKind::Oracle).next().is_none();
    let within = match judged {
        Some(v) => format!("<strong>{} of {}</strong> figures within the band", v.audits_within, v.audits_total),
        None if no_oracles => "no verdict: no oracles".to_owned(),
        None => "no figure could be judged".to_owned(),
    };
    let cost = match share_of(summary, model.name) {
        Some(part) => format!("<strong>{}</strong> of one retraining", share(Some(part))),
        None => "cost against retraining unknown".to_owned(),
    };
    let passed = model.kind == ModelKind::Control && word == "matched";
    let note = match (model.note(), passed) {
        ("", _) => String::new(),
        (note, false) => format!("<p class=\"note\">{note}</p>"),
        (note, true) => {
            format!("<p class=\"note alarm\">{note} – it passed: do not trust a ✓ on this page</p>")
        }
    };
    let about = summary
        .legend
        .iter()
        .find(|(name, _)| name == model.name)
        .map(|(_, line)| format!("<p class=\"about\">{}</p>", escape(line)))
        .unwrap_or_default();
    format!(
        "<article class=\"card {class}\"><h3>{label}</h3>{note}\n\
         <p class=\"word\"><span class=\"pill {class}\"><span aria-hidden=\"true\">{sign}</span> {word}</span></p>\n\
         <p>{meaning}</p>\n<p class=\"facts\">{within}<br>{cost}</p>{by_family}{failing}{about}</article>\n",
        class = look.class,
        label = model.label(),
        sign = look.sign,
        word = escape(word),
        meaning = look.meaning,
        by_family = judged.map(families::on_card).unwrap_or_default(),
        failing = judged.map(|v| failing(summary, v)).unwrap_or_default(),
    )
}

/// The figures farthest from the oracles, with both values: the evidence behind the word.
fn failing(summary: &Summary, verdict: &Verdict) -> String {
    if verdict.failing.is_empty() {
        return String::new();
    }
    let item = |label: &String| {
        let score = summary.scores.scores.iter().find(|s| s.model == verdict.model && s.label() == *label);
        let values = score.map(|s| format!("<br><small>{}</small>", against_oracles(s))).unwrap_or_default();
        format!("<li><code>{}</code>{values}</li>", breakable(label))
    };
    let items: String = verdict.failing.iter().take(SHOWN).map(item).collect();
    let rest = verdict.failing.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!("<li class=\"more\">and {rest} more</li>") } else { String::new() };
    format!("<p class=\"facts\">Farthest from the oracles:</p><ul class=\"failing\">{items}{more}</ul>")
}

/// `92.0 %; oracles 70.0 ± 2.0`.
fn against_oracles(score: &Score) -> String {
    let unit = if score.unit == "fraction" { String::new() } else { format!(" {}", escape(&score.unit)) };
    format!("{}{unit}; oracles {}", figure(score.value, &score.unit), spread(score.oracle_mean, score.oracle_sd, &score.unit))
}

/// Lets a browser break a long label after its punctuation, not anywhere.
pub fn breakable(label: &str) -> String {
    escape(label).replace('/', "/<wbr>").replace('_', "_<wbr>").replace('@', "<wbr>@")
}

/// How the limits were set and how held-out oracles do, in words.
pub fn calibration(c: &Calibration) -> String {
    let percent = |share: f64| figure(Some(share), "fraction").replace(".0 %", " %");
    let wider = c.widened_excess.max(c.widened_farthest);
    let widened =
        if wider > 1.0 { format!("; {} made {} times as wide for them to pass", c.widened_limits(), significant(wider)) } else { String::new() };
    let pairs = match c.pair_trials {
        0 => String::new(),
        n => format!(" With one oracle fewer to judge by, {} of {n} are.", c.pair_matched),
    };
    format!(
        "Limits – an exactly retrained model keeps within them in {} of cases, by {} drawn models whose figures are as uncertain as so few oracles leave them. \
         Held out, {} of {} oracles are matched, {} of them without any widening{widened}.{pairs}",
        percent(c.confidence),
        c.draws,
        c.matched,
        c.trials,
        c.matched_unwidened.min(c.matched)
    )
}

/// Whether the models whose verdict is known before they are judged got it, as plain text; nothing without verdicts.
pub fn controls(controls: &[Control]) -> Option<String> {
    let judged = |wanted: bool| controls.iter().filter(move |c| c.must_match == wanted && c.behaves.is_some());
    let (held_out, behaving) = (judged(true).count(), judged(true).filter(|c| c.behaves == Some(true)).count());
    let list = |behaves| judged(false).filter(|c| c.behaves == Some(behaves)).map(|c| c.model.as_str()).collect::<Vec<_>>().join(", ");
    let (failing, passing) = (list(true), list(false));
    let parts = [
        (held_out > 0).then(|| format!("{behaving} of {held_out} held-out oracles are matched, as they must be")),
        (!failing.is_empty()).then(|| format!("not matched, as must be: {failing}")),
        (!passing.is_empty()).then(|| format!("MATCHED, WHICH MUST NOT BE: {passing}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Controls – {}.", parts.join("; ")))
}

/// The original should fail and each oracle, judged by the others, should pass: whether they do says how far the audits can be trusted.
fn references(summary: &Summary, models: &Models) -> String {
    let mut lines = Vec::new();
    for model in models.of_kind(ModelKind::Original) {
        if let Some(v) = models.verdict(model.name).filter(|v| v.audits_total > 0) {
            lines.push(format!(
                "<li>{} – {}, {} of {} within. It saw the old class: it should not match.</li>",
                model.label(),
                escape(&v.verdict),
                v.audits_within,
                v.audits_total
            ));
        }
    }
    let oracles: Vec<&Verdict> = models.of_kind(ModelKind::Oracle).filter_map(|m| models.verdict(m.name)).filter(|v| v.audits_total > 0).collect();
    if let (Some(least), Some(most), Some(key)) =
        (oracles.iter().map(|v| v.audits_within).min(), oracles.iter().map(|v| v.audits_within).max(), models.of_kind(ModelKind::Oracle).next())
    {
        let total = oracles.iter().map(|v| v.audits_total).max().unwrap_or(0);
        let matched = oracles.iter().filter(|v| v.verdict == "matched").count();
        let range = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        lines.push(format!(
            "<li><span class=\"model\">{}oracles</span> – each judged by the others: {matched} of {} matched, {range} of {total} figures within. They should match.</li>",
            key.key(),
            oracles.len()
        ));
    }
    lines.extend(controls(&summary.scores.controls).map(|line| format!("<li>{}</li>", escape(&line))));
    lines.extend(summary.scores.calibration.as_ref().map(|c| format!("<li>{}</li>", escape(&calibration(c)))));
    if lines.is_empty() {
        String::new()
    } else {
        format!("<h3>Do the audits tell right from wrong?</h3>\n<ul class=\"plain\">{}</ul>\n", lines.concat())
    }
}
