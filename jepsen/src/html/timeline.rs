//! The timeline as one drawing: a row for each client, a rectangle for each operation, a band for each fault.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::escape;
use crate::error::Error;
use crate::history::{self, Line, Phase};

/// How many operations are drawn; of longer histories every so many-th, and all of unknown outcome up to twice that.
const DRAWN_MAX: u64 = 12_000;

const WIDTH: f64 = 1_400.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 22.0;
const ROW: f64 = 12.0;

/// How many marks of time there are.
const TICKS: u32 = 8;

struct Bar {
    row: usize,
    start_ns: u64,
    end_ns: u64,
    class: char,
    title: String,
}

struct Band {
    title: String,
    start_ns: u64,
    end_ns: u64,
}

struct Open {
    row: usize,
    start_ns: u64,
    title: String,
}

/// What is drawn.
#[derive(Default)]
pub struct Timeline {
    every: u64,
    seen: u64,
    last_ns: u64,
    open: BTreeMap<u32, Open>,
    /// The row of each process; one that has ended leaves it to the next.
    rows: BTreeMap<u32, usize>,
    free: Vec<usize>,
    rows_made: usize,
    bars: Vec<Bar>,
    faults: BTreeMap<(String, Option<u32>), u64>,
    bands: Vec<Band>,
}

impl Timeline {
    pub fn read(history: &Path, operations: u64) -> Result<Self, Error> {
        let every = operations.div_ceil(DRAWN_MAX).max(1);
        let mut timeline = Self { every, ..Self::default() };
        history::read(history, |line| timeline.line(line))?;
        for ((kind, node), start_ns) in std::mem::take(&mut timeline.faults) {
            timeline.band(kind, node, start_ns, timeline.last_ns);
        }
        Ok(timeline)
    }

    fn line(&mut self, line: Line) {
        match line {
            Line::Invoke { process, node, at_ns, call } => {
                let row = self.row(process);
                let (kind, key) = (call.ask.kind(), escape(&call.key));
                let title = format!("{kind:?} {key}, process {process}, node {node}");
                self.open.insert(process, Open { row, start_ns: at_ns, title });
            }
            Line::Ok { process, at_ns, .. } => self.end(process, at_ns, 'o', "acknowledged"),
            Line::Fail { process, at_ns, status, code } => {
                self.end(process, at_ns, 'f', &format!("{status} {}", escape(&code)));
            }
            Line::Info { process, at_ns, why } => {
                self.end(process, at_ns, 'i', &format!("unknown: {}", escape(&why)));
                self.free.extend(self.rows.remove(&process));
            }
            Line::Nemesis { at_ns, kind, node, phase } => {
                self.last_ns = self.last_ns.max(at_ns);
                match phase {
                    Phase::Begin => {
                        self.faults.insert((kind, node), at_ns);
                    }
                    Phase::End => {
                        if let Some(start_ns) = self.faults.remove(&(kind.clone(), node)) {
                            self.band(kind, node, start_ns, at_ns);
                        }
                    }
                }
            }
            Line::Format { .. }
            | Line::Run { .. }
            | Line::Operation(_)
            | Line::Fault { .. }
            | Line::Wanted(_) => {}
        }
    }

    fn row(&mut self, process: u32) -> usize {
        if let Some(row) = self.rows.get(&process) {
            return *row;
        }
        let row = self.free.pop().unwrap_or_else(|| {
            self.rows_made += 1;
            self.rows_made - 1
        });
        self.rows.insert(process, row);
        row
    }

    fn end(&mut self, process: u32, end_ns: u64, class: char, how: &str) {
        self.last_ns = self.last_ns.max(end_ns);
        let Some(Open { row, start_ns, title }) = self.open.remove(&process) else { return };
        self.seen += 1;
        let drawn = u64::try_from(self.bars.len()).unwrap_or(u64::MAX);
        let is_wanted = self.seen.is_multiple_of(self.every) || class == 'i';
        if is_wanted && drawn < DRAWN_MAX * 2 {
            let title = format!("{title}: {how}");
            self.bars.push(Bar { row, start_ns, end_ns, class, title });
        }
    }

    fn band(&mut self, kind: String, node: Option<u32>, start_ns: u64, end_ns: u64) {
        let kind = escape(&kind);
        let title = node.map_or_else(|| kind.clone(), |node| format!("{kind} {node}"));
        self.bands.push(Band { title, start_ns, end_ns });
    }

    /// The drawing.
    pub fn svg(&self) -> String {
        let height = TOP + ROW * float(self.rows_made) + 8.0;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"operations and faults over time\">"
        );
        // Writing to a string cannot fail.
        for band in &self.bands {
            let (x, width) = self.span(band.start_ns, band.end_ns);
            let _ = write!(
                svg,
                "<rect class=\"n\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.0}\">\
                 <title>{}</title></rect><text x=\"{x:.1}\" y=\"{:.0}\">{}</text>",
                height - TOP,
                band.title,
                TOP - 2.0,
                band.title
            );
        }
        for tick in 0..=TICKS {
            let ns = self.last_ns / u64::from(TICKS) * u64::from(tick);
            let (x, _) = self.span(ns, ns);
            let _ = write!(svg, "<text x=\"{x:.1}\" y=\"9\">{} ms</text>", ns / 1_000_000);
        }
        for bar in &self.bars {
            let (x, width) = self.span(bar.start_ns, bar.end_ns);
            let _ = write!(
                svg,
                "<rect class=\"{}\" x=\"{x:.1}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"{:.0}\">\
                 <title>{}</title></rect>",
                bar.class,
                TOP + ROW * float(bar.row) + 2.0,
                ROW - 3.0,
                bar.title
            );
        }
        svg + "</svg>"
    }

    /// Where a span of time begins, and how wide it is: never too thin to see.
    fn span(&self, start_ns: u64, end_ns: u64) -> (f64, f64) {
        let scale = (WIDTH - LEFT) / nanoseconds(self.last_ns.max(1));
        let x = nanoseconds(start_ns) * scale;
        (x, ((nanoseconds(end_ns) * scale) - x).max(0.8))
    }
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// A drawing is as exact as a microsecond.
fn nanoseconds(ns: u64) -> f64 {
    u32::try_from(ns / 1_000).map_or(f64::from(u32::MAX), f64::from) * 1_000.0
}
