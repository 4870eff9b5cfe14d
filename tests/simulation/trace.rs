//! What happened, line by line, in virtual time. Two runs of one seed give the same bytes: that is the proof that a failure can be
//! looked at again.

use std::fmt::{Arguments, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Whether the lines are kept, or only their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Lines,
    Sum,
}

#[derive(Debug)]
struct State {
    keep: Keep,
    lines: String,
    line: String,
    sum: u64,
    count: u64,
}

/// Clones write into the same one.
#[derive(Clone, Debug)]
pub struct Trace {
    began: Instant,
    state: Arc<Mutex<State>>,
}

impl Trace {
    /// Time begins now.
    pub fn new(keep: Keep) -> Self {
        let state = State {
            keep,
            lines: String::new(),
            line: String::new(),
            sum: 0xcbf2_9ce4_8422_2325,
            count: 0,
        };
        Self { began: Instant::now(), state: Arc::new(Mutex::new(state)) }
    }

    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub fn add(&self, what: Arguments<'_>) {
        let now = self.began.elapsed().as_micros();
        let state = &mut *self.state.lock();
        state.line.clear();
        writeln!(state.line, "{now} {what}").expect("text can be written to text");
        // FNV-1a: enough to tell two runs apart.
        let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        state.sum = state.line.bytes().fold(state.sum, mix);
        state.count += 1;
        if state.keep == Keep::Lines {
            state.lines.push_str(&state.line);
        }
    }

    pub fn sum(&self) -> u64 {
        self.state.lock().sum
    }

    pub fn count(&self) -> u64 {
        self.state.lock().count
    }

    /// Empty where only the sum is kept.
    pub fn lines(&self) -> String {
        self.state.lock().lines.clone()
    }
}
