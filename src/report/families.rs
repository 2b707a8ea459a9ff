//! The verdict by family of figures: a table of models and families, and the short form on a card.

use super::models::{Model, Models};
use super::text::{escape, significant};
use super::verdict::breakable;
use crate::summary::{Family, FamilyVerdict, Verdict};

/// What the family's name alone doesn't say.
fn about(family: Family) -> &'static str {
    match family {
        Family::Utility => "is it still good at what it is for",
        Family::Output => "what it answers on the old class",
        Family::Features => "what its activations hold of it",
        Family::Membership => "can its training samples be told",
        Family::Relearning => "how fast it comes back",
    }
}

/// Sign, CSS class and words for a family of a model.
pub fn mark(family: &FamilyVerdict) -> (&'static str, &'static str, &'static str) {
    match (family.matched, family.direction.as_deref()) {
        (true, _) => ("✓", "in", "within its limits"),
        (false, Some("above")) => ("▲", "out", "beyond its limits, above the oracles"),
        (false, Some("below")) => ("▼", "out", "beyond its limits, below the oracles"),
        (false, _) => ("◆", "out", "beyond its limits"),
    }
}

/// `2.4 bands`: how far the worst figure is; `no number` where it diverged or is undefined.
pub fn bands(family: &FamilyVerdict) -> String {
    match family.worst_bands {
        Some(1.0) => "1 band".to_owned(),
        Some(bands) => format!("{} bands", significant(bands)),
        None => "no number".to_owned(),
    }
}

/// The families that any model is judged by, in their order.
pub fn judged(models: &Models) -> Vec<Family> {
    let of = |family: &Family| models.all().filter_map(|m| models.verdict(m.name)).any(|v| v.families.iter().any(|f| f.family == *family));
    Family::ALL.into_iter().filter(of).collect()
}

/// A model's verdict on one family.
pub fn of(verdict: Option<&Verdict>, family: Family) -> Option<&FamilyVerdict> {
    verdict?.families.iter().find(|f| f.family == family)
}

/// The families on a model's card.
pub fn on_card(verdict: &Verdict) -> String {
    let items: String = verdict
        .families
        .iter()
        .map(|f| {
            let (sign, class, words) = mark(f);
            let worst = if verdict.worst_family == Some(f.family) && !f.matched { " class=\"worst\"" } else { "" };
            format!(
                "<li{worst}><span class=\"{class}\" role=\"img\" aria-label=\"{words}\">{sign}</span> {} <small>{} of {}</small></li>",
                f.family.name(),
                f.within,
                f.total
            )
        })
        .collect();
    if items.is_empty() { items } else { format!("<ul class=\"families\">{items}</ul>") }
}

/// The table, with a row a model; nothing without verdicts.
pub fn html(models: &Models) -> String {
    let families = judged(models);
    if families.is_empty() {
        return String::new();
    }
    let headings: String = families.iter().map(|f| format!("<th scope=\"col\">{}<small>{}</small></th>", f.name(), about(*f))).collect();
    let rows: String =
        models.all().filter(|m| models.verdict(m.name).is_some_and(|v| !v.families.is_empty())).map(|m| row(models, m, &families)).collect();
    format!(
        "<section id=\"families\"><h2>By family of figures</h2>\n\
         <p>A model is matched if no family is beyond its limits: neither too many figures too far outside their bands, nor one figure farther out than a retrained model \
         has any. <span class=\"in\">✓</span> within the limits; beyond them <span class=\"out\">▲</span> with more of the old class than the oracles, <span class=\"out\">▼</span> \
         with less, <span class=\"out\">◆</span> with figures that don’t show it. Below: figures within their bands, and the one most bands away. Oracles are judged by each \
         other.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"By family of figures\"><table class=\"byfamily\"><thead><tr><th scope=\"col\">Model</th>{headings}</tr></thead>\n\
         <tbody>{rows}</tbody></table></div></section>\n"
    )
}

fn row(models: &Models, model: &Model, families: &[Family]) -> String {
    let verdict = models.verdict(model.name);
    let cells: String = families.iter().map(|f| cell(of(verdict, *f))).collect();
    let word = verdict.map(|v| format!("<small>{}</small>", escape(&v.verdict))).unwrap_or_default();
    format!("<tr><th scope=\"row\">{}{word}</th>{cells}</tr>\n", model.label())
}

fn cell(family: Option<&FamilyVerdict>) -> String {
    let Some(f) = family else {
        return r#"<td><span class="undefined" title="not judged">–</span></td>"#.to_owned();
    };
    let (sign, class, words) = mark(f);
    let farthest = f.farthest.map_or_else(|| "not a number".to_owned(), significant);
    let title = format!(
        "{words}; distance of what is outside {} (limit {}), farthest figure {farthest} (limit {})",
        significant(f.excess),
        significant(f.excess_limit),
        significant(f.farthest_limit)
    );
    let worst = f.worst.as_ref().map(|w| format!("<small>{}<br>{}</small>", breakable(w), bands(f))).unwrap_or_default();
    format!(
        "<td title=\"{}\"><span class=\"{class}\" role=\"img\" aria-label=\"{words}\">{sign}</span> {} of {}{worst}</td>",
        escape(&title),
        f.within,
        f.total
    )
}
