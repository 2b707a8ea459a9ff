//! The page of a study: does a method come out where retraining does, on pairs that nobody chose or that the user named, and at what cost?

use super::families;
use super::models::{Model, Models};
use super::svg::{Plot, log_range};
use super::text::{UNDEFINED, count, escape, share, significant};
use super::verdict::{breakable, look};
use crate::study::{MethodSummary, Report, Row};
use crate::summary::{FamilyVerdict, ModelKind, Summary, Verdict};

/// What costs less, or nothing, stands at the plot's left edge: a logarithmic axis has no zero.
const LEAST_SHARE: f64 = 1e-3;

/// The page of the study `report`: its `runs`, each with the name of its folder beside the page, and the `means` over their seeds.
pub fn study(report: &Report, runs: &[(String, Summary)], means: &[(String, Summary)]) -> String {
    let pairs = runs.iter().map(|(_, s)| (s.scores.task.forget, s.scores.task.learn)).collect::<std::collections::BTreeSet<_>>().len();
    let how = if report.pairs.drawn() { "drawn at random" } else { "by name" };
    let title = format!("{}: {} {how}", report.dataset, count(pairs, "pair"));
    let sections = [
        header(report, &title, runs),
        plot(report, runs),
        methods(report),
        table("means", "Means over the seeds", means, &report.means, false),
        table("runs", "Every run", runs, &report.rows, true),
        super::guide::footer(),
    ];
    super::page(&format!("{title} – unlearning study"), &sections.concat())
}

fn header(report: &Report, title: &str, runs: &[(String, Summary)]) -> String {
    let warnings = runs.iter().map(|(_, s)| s.scores.warnings.len()).sum::<usize>();
    let warned =
        if warnings == 0 { String::new() } else { format!("<li><strong>{}</strong> in its runs’ reports</li>", count(warnings, "warning")) };
    let epochs = report.epochs.map_or(String::new(), |n| format!("<li><strong>{}</strong> a training</li>", count(n, "epoch")));
    let variants: String = report.set.iter().map(|set| format!("<li><strong>{}</strong></li>", escape(set))).collect();
    let which = if report.pairs.drawn() { "On pairs that nobody chose, does" } else { "Does" };
    format!(
        "<header><p class=\"kicker\">Unlearning study</p><h1>{}</h1>\n\
         <p class=\"question\">{which} the old class end up as in models that never saw it, and at what share of a retraining’s cost?</p>\n\
         <ul class=\"meta\"><li>seed <strong>{}</strong></li><li><strong>{}</strong> a pair</li><li><strong>{}</strong> a pair</li>{epochs}{variants}{warned}</ul></header>\n",
        escape(title),
        report.seed,
        count(report.seeds, "original"),
        count(report.oracles, "oracle"),
    )
}

/// A model of a run in the plot.
struct Point {
    share: f64,
    of_limits: f64,
}

/// Where each judged model and each oracle of `runs` stands, by name (all oracles under one), in order of first appearance.
fn points<'a>(report: &Report, runs: &'a [(String, Summary)]) -> Vec<(Model<'a>, Vec<Point>)> {
    let mut all: Vec<(Model<'a>, Vec<Point>)> = Vec::new();
    for (run, summary) in runs {
        for model in Models::of(summary).all() {
            let verdict = summary.scores.verdict.iter().find(|v| v.model == model.name);
            let Some(worst) = verdict.and_then(Verdict::worst) else { continue };
            // An oracle is one retraining.
            let share = match model.kind {
                ModelKind::Original => None,
                ModelKind::Oracle => Some(1.0),
                _ => report.rows.iter().find(|r| r.run == *run && r.model == model.name).and_then(|r| r.passes_share),
            };
            let Some(share) = share else { continue };
            let point = Point { share: share.max(LEAST_SHARE), of_limits: worst.of_limits() };
            let same = |m: &Model| m.kind == model.kind && (m.kind == ModelKind::Oracle || m.name == model.name);
            match all.iter_mut().find(|(m, _)| same(m)) {
                Some((_, points)) => points.push(point),
                None => all.push((model.clone(), vec![point])),
            }
        }
    }
    all
}

/// Worst family against cost, a point a method and run.
fn plot(report: &Report, runs: &[(String, Summary)]) -> String {
    let models = points(report, runs);
    if models.is_empty() {
        return "<section id=\"worst\"><h2>Worst family against cost</h2>\n<p>Fewer than three oracles a pair: nothing was judged.</p></section>\n"
            .to_owned();
    }
    let each = || models.iter().flat_map(|(_, points)| points);
    let finite = |v: f64| v.is_finite() && v > 0.0;
    let (low, high) = log_range(each().map(|p| p.of_limits).filter(|v| finite(*v)).chain([0.5, 2.0]));
    let (left, right) = log_range(each().map(|p| 100.0 * p.share).chain([100.0 * LEAST_SHARE, 100.0]));
    let mut plot = Plot::new((left, right), (low, high), 300.0, 44.0).logarithmic(true, true);
    plot.band(&[(left, low, 1.0), (right, low, 1.0)], "");
    plot.y_values("worst family, its limits = 1");
    plot.x_values("cost, % of the passes of one retraining");
    for (model, points) in models.iter().rev() {
        // Points, not a line: each stands alone.
        let apart = points.iter().flat_map(|p| {
            let y = if finite(p.of_limits) { p.of_limits } else { high };
            [(100.0 * p.share, Some(y)), (100.0 * p.share, None)]
        });
        plot.line(&apart.collect::<Vec<_>>(), &model.class, Some(model.marker), None);
    }
    let name = |model: &Model| if model.kind == ModelKind::Oracle { "oracles".to_owned() } else { model.name.to_owned() };
    let legend: String = models
        .iter()
        .map(|(m, _)| {
            let note = if m.kind == ModelKind::Control { " <small>negative control</small>" } else { "" };
            format!("<li><span class=\"model\">{}{}</span>{note}</li>", m.point(), breakable(&name(m)))
        })
        .collect();
    let described = models.iter().map(|(m, points)| format!("{} ({})", name(m), points.len())).collect::<Vec<_>>().join(", ");
    let picture =
        plot.finish(&format!("Worst family of figures, as a multiple of its limits, by cost, both logarithmic, a point a run: {described}"));
    format!(
        "<section id=\"worst\"><h2>Worst family against cost</h2>\n\
         <p>A point a model and run. Upwards, how much of its limits its worst family of figures takes up: in the grey band, up to 1, it is <strong>matched</strong>. Oracles \
         are judged by each other. To the right, what it cost in passes over the training set; what costs less than {} stands at the left edge.</p>\n\
         <figure>{picture}<ul class=\"legend\">{legend}</ul></figure></section>\n",
        share(Some(LEAST_SHARE))
    )
}

/// The methods over all pairs.
fn methods(report: &Report) -> String {
    let means = report.methods.iter().any(|m| m.means_matched.is_some());
    let heading = if means { "<th scope=\"col\">Pairs matched in the mean<small>over the seeds, higher is better</small></th>" } else { "" };
    let row = |m: &MethodSummary| {
        let note = if m.kind == ModelKind::Control { "<small>negative control: should fail</small>" } else { "" };
        let mean = if means { cell(&m.means_matched.map_or(UNDEFINED.to_owned(), |n| format!("{n} of {}", m.pairs))) } else { String::new() };
        let cells = [format!("{} of {}", m.matched, m.swaps), format!("{} of {}", m.matched_where_controls_fail, m.swaps_where_controls_fail)];
        let costs = [share(m.worst_cost_share), share(m.worst_passes_share)];
        let [cells, costs] = [cells, costs].map(|texts| texts.iter().map(|t| cell(t)).collect::<String>());
        format!("<tr><th scope=\"row\">{}{note}</th>{cells}{mean}{costs}</tr>\n", breakable(&m.method))
    };
    format!(
        "<section id=\"methods\"><h2>How often matched</h2>\n\
         <p>Where a negative control is matched, or one that hides the old class fails by neither features nor relearning, the audits can’t tell hiding from \
         erasing, and the run’s other verdicts are no evidence: those runs are left out where all controls fail.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"How often matched\"><table class=\"narrow\"><thead><tr><th scope=\"col\">Method</th>\
         <th scope=\"col\">Matched<small>runs, higher is better</small></th><th scope=\"col\">Where all controls fail<small>runs, higher is better</small></th>{heading}\
         <th scope=\"col\">Worst cost in time<small>% of one retraining, lower is better</small></th>\
         <th scope=\"col\">Worst cost in passes<small>% of one retraining, lower is better</small></th></tr></thead>\n<tbody>{}</tbody></table></div></section>\n",
        report.methods.iter().map(row).collect::<String>()
    )
}

/// A row a judged model of each of `runs`; nothing where there are none. Runs have a report of their own, means don't.
fn table(id: &str, title: &str, runs: &[(String, Summary)], rows: &[Row], linked: bool) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let body: String = runs
        .iter()
        .flat_map(|(run, summary)| rows.iter().filter(move |r| r.run == *run).map(move |r| (r, summary)))
        .map(|(row, summary)| {
            let run = breakable(&row.run);
            let run = if linked { format!("<a href=\"{}/report.html\">{run}</a>", escape(&row.run)) } else { run };
            let note = if row.kind == ModelKind::Control { "<small>negative control</small>" } else { "" };
            let look = look(&row.verdict);
            let worst = summary.scores.verdict.iter().find(|v| v.model == row.model).and_then(Verdict::worst).map_or(UNDEFINED.to_owned(), worst);
            let within = if row.judged == 0 { UNDEFINED.to_owned() } else { format!("{} of {}", row.within, row.judged) };
            format!(
                "<tr><th scope=\"row\">{run}<small>{} → {}</small></th><td>{}{note}</td><td><span class=\"pill {}\"><span aria-hidden=\"true\">{}</span> {}</span></td>\
                 {}<td>{worst}</td>{}{}</tr>\n",
                escape(&row.forget),
                escape(&row.learn),
                breakable(&row.model),
                look.class,
                look.sign,
                escape(&row.verdict),
                cell(&within),
                cell(&share(row.cost_share)),
                cell(&share(row.passes_share)),
            )
        })
        .collect();
    format!(
        "<section id=\"{id}\"><h2>{title}</h2>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table class=\"byfamily\"><thead><tr><th scope=\"col\">Run</th><th scope=\"col\">Model</th>\
         <th scope=\"col\">Verdict</th><th scope=\"col\">Within<small>figures in the band, higher is better</small></th>\
         <th scope=\"col\">Worst family<small>of its limits, lower is better</small></th><th scope=\"col\">Time<small>% of one retraining, lower is better</small></th>\
         <th scope=\"col\">Passes<small>% of one retraining, lower is better</small></th></tr></thead>\n<tbody>{body}</tbody></table></div></section>\n"
    )
}

/// The family, how much of its limits it takes up, and its worst figure.
fn worst(family: &FamilyVerdict) -> String {
    let over = family.of_limits();
    let over = if over.is_finite() { significant(over) } else { "no number".to_owned() };
    let figure = family.worst.as_ref().map(|w| format!("<small>{}<br>{}</small>", breakable(w), families::bands(family))).unwrap_or_default();
    format!("{} {over}{figure}", family.family.name())
}

fn cell(text: &str) -> String {
    format!("<td class=\"num\">{text}</td>")
}
