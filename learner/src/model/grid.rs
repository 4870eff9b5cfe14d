//! When something is learnt: what lies before the beginning of a step is known within it, and every third step a network is
//! trained again. One of them begins when charging does.

use vaultaire_proto::prices::calendar::DAY_S;

use crate::history::Window;
use crate::logs::Log;

/// How often statistics are brought up to date.
pub const STEP_S: u64 = 10 * DAY_S;

/// How many steps there are from one training to the next.
pub const STEPS_OF_A_MODEL: usize = 3;

/// Steps over a whole log.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// When charging begins, and the step that begins then.
    from_s: u64,
    start: usize,
    pub until_s: u64,
}

impl Grid {
    pub fn new(log: &Log, window: Window) -> Self {
        let start = count((window.from_s - log.first_s).div_ceil(STEP_S));
        Self { from_s: window.from_s, start, until_s: window.until_s }
    }

    /// How many there are.
    pub fn steps(&self) -> usize {
        self.step(self.until_s) + 1
    }

    /// In which one a time of the log is.
    pub fn step(&self, at_s: u64) -> usize {
        match at_s.checked_sub(self.from_s) {
            Some(after_s) => self.start + count(after_s / STEP_S),
            None => self.start.saturating_sub(count((self.from_s - at_s).div_ceil(STEP_S))),
        }
    }

    /// When it begins.
    pub fn begins(&self, step: usize) -> u64 {
        match step.checked_sub(self.start) {
            Some(after) => self.from_s + after as u64 * STEP_S,
            None => self.from_s.saturating_sub((self.start - step) as u64 * STEP_S),
        }
    }

    /// How many networks are trained: one when charging begins, and then one after each third step.
    pub fn models(&self) -> usize {
        self.model(self.until_s) + 1
    }

    /// Which network serves a time from the beginning of charging on.
    pub fn model(&self, at_s: u64) -> usize {
        (self.step(at_s) - self.start) / STEPS_OF_A_MODEL
    }

    /// It knows what lies before this step.
    pub fn trained(&self, model: usize) -> usize {
        self.start + model * STEPS_OF_A_MODEL
    }

    /// The first network that can know what happened at some time.
    pub fn knows(&self, at_s: u64) -> Option<usize> {
        let model = (self.step(at_s) + 1).saturating_sub(self.start).div_ceil(STEPS_OF_A_MODEL);
        (model < self.models()).then_some(model)
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
