//! Small plots as inline SVG: scales with round ticks, axes, lines, bands, markers and labels at the lines' ends.
//!
//! Colours and dashes are CSS classes, so that the same picture serves a light page, a dark one and paper. Coordinates are written with one decimal:
//! the same numbers give the same bytes.

mod scale;

use super::text::{escape, shorten};
use scale::ticks;

pub use scale::{Scale, fractions, log_range, range};

/// Width of every plot in its own units; narrow, so that text stays readable when a phone shrinks it.
pub const WIDTH: f64 = 440.0;

const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 116.0;
const GAP: f64 = 13.0; // between labels, so that they don't overlap

/// A marker centred on a point; shapes repeat after six.
pub fn marker(shape: usize, x: f64, y: f64) -> String {
    let around = |points: &[(f64, f64)]| {
        let path: Vec<String> = points.iter().map(|(dx, dy)| format!("{:.1} {:.1}", x + dx, y + dy)).collect();
        format!(r#"<path class="mark" d="M{}Z"/>"#, path.join("L"))
    };
    match shape % 6 {
        0 => format!(r#"<circle class="mark" cx="{x:.1}" cy="{y:.1}" r="3.2"/>"#),
        1 => around(&[(-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0)]),
        2 => around(&[(0.0, -4.0), (3.8, 2.8), (-3.8, 2.8)]),
        3 => around(&[(0.0, -4.2), (4.2, 0.0), (0.0, 4.2), (-4.2, 0.0)]),
        4 => around(&[(0.0, 4.0), (3.8, -2.8), (-3.8, -2.8)]),
        _ => around(&[
            (-1.2, -4.0),
            (1.2, -4.0),
            (1.2, -1.2),
            (4.0, -1.2),
            (4.0, 1.2),
            (1.2, 1.2),
            (1.2, 4.0),
            (-1.2, 4.0),
            (-1.2, 1.2),
            (-4.0, 1.2),
            (-4.0, -1.2),
            (-1.2, -1.2),
        ]),
    }
}

/// True if `names` fit side by side under a plot; else they are slanted and need a deeper foot.
pub fn fit(names: &[&str]) -> bool {
    let room = (RIGHT - LEFT) / names.len().saturating_sub(1).max(1) as f64;
    names.iter().all(|n| 6.6 * n.chars().count() as f64 + 4.0 < room)
}

/// A picture with two axes.
#[derive(Debug)]
pub struct Plot {
    body: String,
    height: f64,
    x_range: (f64, f64),
    y_range: (f64, f64),
    x: Scale,
    y: Scale,
    ends: Vec<(f64, f64, String, String)>,
}

impl Plot {
    /// An empty plot of `height` units; `foot` is the room under the horizontal axis.
    pub fn new(x_range: (f64, f64), y_range: (f64, f64), height: f64, foot: f64) -> Self {
        let x = Scale::new(x_range, (LEFT, RIGHT));
        let y = Scale::new(y_range, (height - foot, 10.0));
        Self { body: String::new(), height, x_range, y_range, x, y, ends: Vec::new() }
    }

    /// Makes an axis logarithmic; its range must be positive, and points that are not are left out.
    pub fn logarithmic(mut self, x: bool, y: bool) -> Self {
        (self.x.log, self.y.log) = (x, y);
        self
    }

    /// Horizontal grid lines with values, and what they are, upright beside them.
    pub fn y_values(&mut self, title: &str) {
        for (tick, text) in self.y.ticks(5) {
            let y = self.y.at(tick);
            self.body += &format!(r#"<path class="grid" d="M{:.1} {y:.1}H{:.1}"/>"#, self.x.from, self.x.to);
            self.body += &format!(r#"<text class="tick end" x="{:.1}" y="{:.1}">{text}</text>"#, self.x.from - 6.0, y + 4.0);
        }
        let middle = (self.y.from + self.y.to) / 2.0;
        self.body += &format!(r#"<text class="tick middle" x="9" y="{middle:.1}" transform="rotate(-90 9 {middle:.1})">{}</text>"#, escape(title));
    }

    /// Values along the horizontal axis, and what they are.
    pub fn x_values(&mut self, title: &str) {
        let bottom = self.y.from;
        for (tick, text) in self.x.ticks(6) {
            let x = self.x.at(tick);
            self.body += &format!(r#"<path class="grid" d="M{x:.1} {bottom:.1}v4"/>"#);
            self.body += &format!(r#"<text class="tick middle" x="{x:.1}" y="{:.1}">{text}</text>"#, bottom + 16.0);
        }
        let middle = (self.x.from + self.x.to) / 2.0;
        self.body += &format!(r#"<text class="tick middle" x="{middle:.1}" y="{:.1}">{}</text>"#, bottom + 32.0, escape(title));
    }

    /// Horizontal grid lines with values; `percent` shows fractions as percent.
    pub fn y_axis(&mut self, percent: bool) {
        let factor = if percent { 100.0 } else { 1.0 };
        let (ticks, decimals) = ticks((self.y_range.0 * factor, self.y_range.1 * factor), 5);
        for tick in ticks {
            let y = self.y.at(tick / factor);
            let (left, right) = (self.x.from, self.x.to);
            let text = format!("{tick:.decimals$}").replace('-', "−");
            let unit = if percent { " %" } else { "" };
            self.body += &format!(r#"<path class="grid" d="M{left:.1} {y:.1}H{right:.1}"/>"#);
            self.body += &format!(r#"<text class="tick end" x="{:.1}" y="{:.1}">{text}{unit}</text>"#, left - 6.0, y + 4.0);
        }
    }

    /// Whole numbers along the horizontal axis, and what they count.
    pub fn x_numbers(&mut self, title: &str) {
        let (ticks, _) = ticks(self.x_range, 6);
        let bottom = self.y.from;
        for tick in ticks.into_iter().filter(|t| t.fract() == 0.0 && *t >= 0.0) {
            self.body += &format!(r#"<text class="tick middle" x="{:.1}" y="{:.1}">{tick:.0}</text>"#, self.x.at(tick), bottom + 16.0);
        }
        let middle = (self.x.from + self.x.to) / 2.0;
        self.body += &format!(r#"<text class="tick middle" x="{middle:.1}" y="{:.1}">{}</text>"#, bottom + 32.0, escape(title));
    }

    /// A name at each of 0, 1, …; slanted where they do not fit side by side.
    pub fn x_names(&mut self, names: &[&str]) {
        let bottom = self.y.from;
        let slanted = !fit(names);
        for (i, name) in names.iter().enumerate() {
            let x = self.x.at(i as f64);
            let shown = escape(&shorten(name, 12));
            self.body += &format!(r#"<path class="grid" d="M{x:.1} {bottom:.1}v4"/>"#);
            self.body += &if slanted {
                let y = bottom + 14.0;
                format!(
                    r#"<text class="tick end" x="{x:.1}" y="{y:.1}" transform="rotate(-40 {x:.1} {y:.1})">{shown}<title>{}</title></text>"#,
                    escape(name)
                )
            } else {
                format!(r#"<text class="tick middle" x="{x:.1}" y="{:.1}">{shown}</text>"#, bottom + 16.0)
            };
        }
    }

    /// A filled band between two curves, each point with its lower and upper end; `class` beside `band` carries another colour than the oracles'.
    pub fn band(&mut self, points: &[(f64, f64, f64)], class: &str) {
        let points: Vec<_> = points.iter().filter(|(_, lo, hi)| lo.is_finite() && hi.is_finite()).collect();
        // A single point has no width: it is drawn as wide as a marker.
        let wide = if points.len() == 1 { 8.0 } else { 0.0 };
        let upper = points.iter().flat_map(|(x, _, hi)| [(self.x.at(*x) - wide, *hi), (self.x.at(*x) + wide, *hi)]);
        let lower = points.iter().rev().flat_map(|(x, lo, _)| [(self.x.at(*x) + wide, *lo), (self.x.at(*x) - wide, *lo)]);
        let mut path: Vec<String> = upper.chain(lower).map(|(x, y)| format!("{x:.1} {:.1}", self.y.at(y))).collect();
        path.dedup();
        if !path.is_empty() {
            let class = format!("band {class}");
            self.body += &format!(r#"<path class="{}" d="M{}Z"/>"#, class.trim_end(), path.join("L"));
        }
    }

    /// A line with a marker at each point (`shape`: none for oracles); undefined values interrupt it. `label` is set at its end.
    pub fn line(&mut self, points: &[(f64, Option<f64>)], class: &str, shape: Option<usize>, label: Option<&str>) {
        let drawn = |x: f64, y: f64| x.is_finite() && y.is_finite() && !(self.x.log && x <= 0.0) && !(self.y.log && y <= 0.0);
        let points: Vec<(f64, Option<f64>)> = points.iter().map(|(x, y)| (*x, y.filter(|y| drawn(*x, *y)))).collect();
        let mut path = String::new();
        let mut marks = String::new();
        let mut pen_down = false;
        for (x, y) in &points {
            if let Some(y) = y {
                let (x, y) = (self.x.at(*x), self.y.at(*y));
                path += &format!("{}{x:.1} {y:.1}", if pen_down { "L" } else { "M" });
                if let Some(shape) = shape {
                    marks += &marker(shape, x, y);
                }
            }
            pen_down = y.is_some();
        }
        if path.is_empty() {
            return;
        }
        let title = label.map(|l| format!("<title>{}</title>", escape(l))).unwrap_or_default();
        self.body += &format!(r#"<g class="{class}">{title}<path class="line" d="{path}"/>{marks}</g>"#);
        if let (Some(label), Some((x, Some(y)))) = (label, points.iter().rev().find(|(_, y)| y.is_some())) {
            self.ends.push((self.x.at(*x), self.y.at(*y), class.to_owned(), label.to_owned()));
        }
    }

    /// The finished picture; `description` is for those who can't see it.
    pub fn finish(mut self, description: &str) -> String {
        self.end_labels();
        let height = self.height;
        let description = escape(description);
        format!(
            r#"<svg class="plot" viewBox="0 0 {WIDTH:.0} {height:.0}" role="img" aria-label="{description}"><title>{description}</title>{}</svg>"#,
            self.body
        )
    }

    /// Labels to the right of the lines' ends, moved apart where they would overlap, each tied to its line.
    fn end_labels(&mut self) {
        let mut ends = std::mem::take(&mut self.ends);
        ends.sort_by(|a, b| a.1.total_cmp(&b.1)); // stable: equal ends keep the models' order
        let wanted: Vec<f64> = ends.iter().map(|e| e.1).collect();
        let places = spread(&wanted, self.y.to, self.y.from);
        for ((x, y, class, label), place) in ends.iter().zip(places) {
            let text_x = self.x.to + 14.0;
            self.body += &format!(r#"<g class="{class}"><path class="tie" d="M{:.1} {y:.1}L{:.1} {place:.1}"/>"#, x + 4.0, text_x - 3.0);
            self.body += &format!(r#"<text class="name" x="{text_x:.1}" y="{:.1}">{}</text></g>"#, place + 4.0, escape(&shorten(label, 15)));
        }
    }
}

/// Moves sorted places apart to at least [`GAP`], within `top..bottom` as far as there is room.
fn spread(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut places = wanted.to_vec();
    for i in 1..places.len() {
        places[i] = places[i].max(places[i - 1] + GAP);
    }
    // What was pushed below the end is pushed back up, the last first.
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(limit).max(top);
        limit = *place - GAP;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_off_a_logarithmic_axis_are_left_out() {
        let mut plot = Plot::new((1.0, 100.0), (1.0, 100.0), 200.0, 40.0).logarithmic(true, true);
        plot.line(&[(0.0, Some(5.0)), (10.0, Some(10.0)), (100.0, Some(0.0))], "s0", None, None);
        // Only the point in the middle is drawn, in the middle.
        assert!(plot.finish("d").contains(r#"d="M184.0 85.0"/>"#));
    }

    #[test]
    fn labels_keep_their_distance_and_stay_inside() {
        assert_eq!(spread(&[10.0, 10.0, 50.0], 0.0, 100.0), vec![10.0, 23.0, 50.0]);
        assert_eq!(spread(&[90.0, 95.0], 0.0, 100.0), vec![87.0, 100.0]);
    }

    #[test]
    fn undefined_points_interrupt_a_line() {
        let mut plot = Plot::new((0.0, 2.0), (0.0, 1.0), 200.0, 40.0);
        plot.line(&[(0.0, Some(0.5)), (1.0, None), (2.0, Some(f64::NAN))], "s0", Some(1), Some("a"));
        // A move to the first point, and no line to anywhere.
        assert!(plot.finish("d").contains(r#"<path class="line" d="M44.0 85.0"/>"#));
    }
}
