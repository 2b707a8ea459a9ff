//! What audits show beside figures: curves of all models in one plot, pictures in a row a model.

use super::models::{Model, Models};
use super::svg::{Plot, log_range, range};
use super::text::{escape, humanise};
use crate::summary::{Axis, Content, Exhibit, ModelKind, Picture, Summary};

/// Points of a line; more could not be told apart, and would make the page large.
const POINTS: usize = 200;
/// Markers on more points would blur into a thick line.
const MARKED: usize = 24;

/// An exhibit of several models.
pub struct Group<'a> {
    first: &'a Exhibit,
    of: Vec<(&'a Model<'a>, &'a Exhibit)>,
}

/// Plots, then pictures; nothing where no audit shows any.
pub fn html(summary: &Summary, models: &Models) -> String {
    let own = |m: &&Model| summary.outputs.iter().filter(|o| o.model == m.name).flat_map(|o| &o.exhibits).collect::<Vec<_>>();
    let groups = grouped(models.all().flat_map(|m| own(&m).into_iter().map(move |e| (m, e))));
    let plots = plots(&groups);
    let pictures: String = groups.iter().map(|g| pictures(g, models)).collect();
    if plots.is_empty() && pictures.is_empty() {
        return String::new();
    }
    format!("<section id=\"exhibits\"><h2>What the audits saw</h2>\n<p>Every oracle is a thin grey line.</p>\n{plots}{pictures}</section>\n")
}

/// The same exhibit of all models together, in order of first appearance.
pub fn grouped<'a>(all: impl Iterator<Item = (&'a Model<'a>, &'a Exhibit)>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for (model, exhibit) in all {
        match groups.iter_mut().find(|g| g.first.audit == exhibit.audit && g.first.title == exhibit.title) {
            Some(group) => group.of.push((model, exhibit)),
            None => groups.push(Group { first: exhibit, of: vec![(model, exhibit)] }),
        }
    }
    groups
}

/// A plot for every group of curves; nothing where there is none.
pub fn plots(groups: &[Group]) -> String {
    let plots: String = groups.iter().map(plot).collect();
    if plots.is_empty() { plots } else { format!("<div class=\"plots\">{plots}</div>\n") }
}

/// Horizontal and vertical axis, and points.
type Curve<'a> = (&'a Axis, &'a Axis, &'a [(f64, f64)]);

/// The curve in an exhibit.
fn curve(exhibit: &Exhibit) -> Option<Curve<'_>> {
    match &exhibit.content {
        Content::Curve { x, y, points } => Some((x, y, points)),
        Content::Pictures(_) => None,
    }
}

fn plot(group: &Group) -> String {
    let Some((x, y, _)) = curve(group.first) else { return String::new() };
    let visible = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite() && !(x.log && p.0 <= 0.0) && !(y.log && p.1 <= 0.0);
    let lines: Vec<(&Model, Vec<(f64, f64)>)> = group
        .of
        .iter()
        .filter_map(|(model, exhibit)| Some((*model, thinned(curve(exhibit)?.2.iter().copied().filter(visible).collect()))))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let span = |axis: &Axis, of: fn(&(f64, f64)) -> f64| {
        let values = lines.iter().flat_map(|(_, points)| points.iter().map(of));
        if axis.log { log_range(values) } else { range(values) }
    };
    let mut plot = Plot::new(span(x, |p| p.0), span(y, |p| p.1), 264.0, 44.0).logarithmic(x.log, y.log);
    plot.y_values(&y.label);
    plot.x_values(&x.label);
    let mut named_oracle = false;
    for (model, points) in lines.iter().rev() {
        let points: Vec<(f64, Option<f64>)> = points.iter().map(|(x, y)| (*x, Some(*y))).collect();
        if model.kind == ModelKind::Oracle {
            let label = if named_oracle { None } else { Some("oracles") };
            named_oracle = true;
            plot.line(&points, &model.class, None, label);
        } else {
            let shape = if points.len() > MARKED { None } else { Some(model.marker) };
            plot.line(&points, &model.class, shape, Some(model.name));
        }
    }
    let names: Vec<&str> = lines.iter().map(|(m, _)| m.name).collect();
    let log = |axis: &Axis| if axis.log { " (logarithmic)" } else { "" };
    let description = format!("{}: {}{} by {}{}, for {}", group.first.title, y.label, log(y), x.label, log(x), names.join(", "));
    format!("<figure>{}{}</figure>\n", plot.finish(&description), caption(group.first))
}

fn caption(exhibit: &Exhibit) -> String {
    format!(
        "<figcaption><strong>{}</strong> <small>{}</small><br>{}</figcaption>",
        escape(&exhibit.title),
        escape(&humanise(&exhibit.audit)),
        escape(&exhibit.note)
    )
}

/// At most [`POINTS`] of the points, evenly spread, the last one among them.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let n = points.len();
    if n <= POINTS {
        return points;
    }
    (0..POINTS).map(|i| points[i * (n - 1) / (POINTS - 1)]).collect()
}

/// A row of pictures for each pictured model.
fn pictures(group: &Group, models: &Models) -> String {
    let row = |(model, exhibit): &(&Model, &Exhibit)| {
        let Content::Pictures(pictures) = &exhibit.content else { return String::new() };
        let shown: String = pictures.iter().map(picture).collect();
        format!("<div class=\"gallery\"><p>{}</p><div class=\"shots\">{shown}</div></div>\n", model.label())
    };
    let rows: String = group.of.iter().filter(|(model, _)| models.pictured().any(|m| m.name == model.name)).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<h3>{} <small>{}</small></h3>\n<p>{}</p>\n{rows}",
        escape(&group.first.title),
        escape(&humanise(&group.first.audit)),
        escape(&group.first.note)
    )
}

fn picture(picture: &Picture) -> String {
    let caption = escape(&picture.caption);
    format!(
        "<figure class=\"shot\"><img src=\"data:image/png;base64,{}\" alt=\"{caption}\"><figcaption>{caption}</figcaption></figure>",
        escape(&picture.png)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_points_are_thinned_between_first_and_last() {
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), 0.0)).collect();
        let thin = thinned(points.clone());
        assert_eq!((thin.len(), thin[0], thin[POINTS - 1]), (POINTS, points[0], points[999]));
        assert!(thin.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
