//! How long the steps of a start take.

use std::time::{Duration, Instant};

/// How long one step of the start took.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub step: &'static str,
    pub took: Duration,
}

/// Measures the steps of a start.
#[derive(Debug)]
pub struct Stopwatch {
    last: Instant,
    timings: Vec<Timing>,
}

impl Stopwatch {
    /// From now on.
    pub fn begin() -> Self {
        Self { last: Instant::now(), timings: Vec::new() }
    }

    /// A step has ended.
    pub fn lap(&mut self, step: &'static str) {
        let now = Instant::now();
        self.timings.push(Timing { step, took: now.duration_since(self.last) });
        self.last = now;
    }

    /// All of them.
    pub fn timings(self) -> Vec<Timing> {
        self.timings
    }
}
