//! Plots as SVG. They are as wide as the page; what is written in them is large enough on a phone.

use std::fmt::Write as _;

use vaultaire_proto::prices::calendar::Date;

use crate::page::escaped;

/// In units of a drawing, which is stretched to the width of the page.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;

/// About so many marks are on an axis.
const MARKS: f64 = 5.0;

/// A line over days.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub colour: usize,
    /// Days since the first, and dollars.
    pub points: Vec<(f64, f64)>,
}

/// A dot at two chances.
#[derive(Clone, Debug)]
pub struct Dot {
    pub at: (f64, f64),
    /// As a share of the largest.
    pub size: f64,
    pub title: String,
}

/// What is drawn where.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (value - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// A line across, with what it stands for.
    fn across(&self, text: &mut String, value: f64, told: &str) {
        let y = self.y(value);
        let class = if value == 0.0 { "zero" } else { "grid" };
        let _ = writeln!(
            text,
            "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{told}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
        );
    }

    fn below(&self, text: &mut String, value: f64, told: &str) {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{told}</text>",
            self.x(value),
            HEIGHT - 8.0
        );
    }
}

/// Money over days, from this one on.
pub fn over_days(first_day: u64, lines: &[Line], what: &str) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let most = points().map(|point| point.1).fold(0.0, f64::max);
    let least = points().map(|point| point.1).fold(0.0, f64::min);
    let step = step(most - least);
    let (bottom, top) = ((least / step).floor(), (most / step).ceil().max(1.0));
    let frame = Frame { x: (0.0, last), y: (bottom * step, top * step) };
    let mut text = begin(&format!("{what} over time, of {}", named(lines)));
    let mut mark = bottom;
    while mark <= top {
        frame.across(&mut text, mark * step, &amount(mark * step, step));
        mark += 1.0;
    }
    // Not at the edges: what is written there would be cut.
    let mut days = [0.1, 0.37, 0.64, 0.91].map(|part| (last * part).floor()).to_vec();
    days.dedup();
    for day in days {
        frame.below(&mut text, day, &Date::of_day(first_day + day as u64).to_string());
    }
    for line in lines {
        let at = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", frame.x(*x), frame.y(*y));
        let points: Vec<String> = line.points.iter().map(at).collect();
        let _ = writeln!(
            text,
            "<polyline class=\"c{}\" points=\"{}\"><title>{}</title></polyline>",
            line.colour,
            points.join(" "),
            escaped(&line.name)
        );
    }
    text + "</svg>\n"
}

/// The smallest chance that is drawn: what is smaller is drawn there.
const CHANCE_MIN: f64 = 1e-4;

/// Chances that were told, and how often it came so. Small ones matter as much as large ones, so each power of ten has its place.
pub fn chances(dots: &[Dot]) -> String {
    let place = |chance: f64| chance.max(CHANCE_MIN).log10();
    let frame = Frame { x: (place(0.0), 0.0), y: (place(0.0), 0.0) };
    let mut text = begin("chances that were told, and how often it came so");
    for (chance, told) in
        [(1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (0.1, "10 %"), (1.0, "100 %")]
    {
        frame.across(&mut text, place(chance), told);
        if chance > 1e-4 && chance < 1.0 {
            frame.below(&mut text, place(chance), told);
        }
    }
    let (low, high) = (place(0.0), 0.0);
    let _ = writeln!(
        text,
        "<line class=\"zero\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        frame.x(low),
        frame.y(low),
        frame.x(high),
        frame.y(high)
    );
    for dot in dots {
        let _ = writeln!(
            text,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\"><title>{}</title></circle>",
            frame.x(place(dot.at.0)),
            frame.y(place(dot.at.1)),
            3.0 + 7.0 * dot.size,
            escaped(&dot.title)
        );
    }
    text + "</svg>\n"
}

fn begin(what: &str) -> String {
    let what = escaped(what);
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{what}\">\n")
}

fn named(lines: &[Line]) -> String {
    lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// One, two or five times a power of ten.
fn step(range: f64) -> f64 {
    let about = (range / MARKS).max(1e-9);
    let power = 10.0_f64.powf(about.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= about);
    times.unwrap_or(10.0) * power
}

/// Dollars, as exact as marks are apart.
fn amount(value: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let sign = if value < 0.0 { "-" } else { "" };
    match value.abs() {
        value if step >= 1e6 => format!("{sign}${:.0}M", value / 1e6),
        value if step >= 1e3 => format!("{sign}${:.0}k", value / 1e3),
        value => format!("{sign}${value:.digits$}"),
    }
}
