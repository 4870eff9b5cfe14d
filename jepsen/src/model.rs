//! A store in memory that behaves as S3 does, slowly and with lost answers, and can be given a bug. It shows that the
//! checkers accept what is right and find what is not; no verdict on the real server rests on it.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::state::State;
use crate::operation::{Ask, AskKind, Call, End};
use crate::workload::run::Store;

/// The longest way from a client to the store, or back.
const PAUSE_MAX_US: u64 = 5_000;

/// How long after its client gave up a write may still happen.
const LATE_MAX_US: u64 = 200_000;

/// How often, in a thousand calls, an answer is lost before or after the effect.
const LOST_PER_MILLE: u32 = 8;

/// How often, in a hundred chances, a bug shows.
const BUG_PERCENT: u32 = 10;

/// What clients of a broken store may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bug {
    /// A read answers with what was there before the last write.
    StaleRead,
    /// A write is acknowledged and never happens.
    LostWrite,
    /// A write that was acknowledged happens again later, as a retry without memory would.
    DoubleApply,
    /// A deleted object is read again.
    ResurrectedDelete,
    /// Whether a key is free is looked up first and acted on later.
    NonAtomicCreate,
    /// If-Match is not looked at.
    IgnoredMatch,
    /// A listing lacks a key.
    TornList,
    /// The bytes of a completed upload are not those of its parts.
    TornUpload,
    /// A listing of versions lacks one.
    LostVersion,
    /// Positions are given out in another order than that of the writes.
    SwappedPositions,
}

#[cfg(test)]
pub const BUGS: [Bug; 10] = [
    Bug::StaleRead,
    Bug::LostWrite,
    Bug::DoubleApply,
    Bug::ResurrectedDelete,
    Bug::NonAtomicCreate,
    Bug::IgnoredMatch,
    Bug::TornList,
    Bug::TornUpload,
    Bug::LostVersion,
    Bug::SwappedPositions,
];

/// The store.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bug: Option<Bug>,
    state: Mutex<State>,
    rng: Mutex<StdRng>,
}

impl Model {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        Self { inner: Arc::new(Inner { bug, state: Mutex::default(), rng }) }
    }
}

impl Store for Model {
    fn nodes(&self) -> u32 {
        3
    }

    async fn ask(&self, _node: u32, call: &Call) -> End {
        let inner = &self.inner;
        inner.pause(PAUSE_MAX_US).await;
        let fate = inner.roll(1_000);
        if fate < LOST_PER_MILLE {
            return End::Info("the request was lost".to_owned());
        }
        if fate < LOST_PER_MILLE * 2 {
            let (inner, call) = (inner.clone(), call.clone());
            tokio::spawn(async move {
                inner.pause(LATE_MAX_US).await;
                inner.state().apply(&call, None);
            });
            return End::Info("no answer in time".to_owned());
        }
        let end = inner.serve(call).await;
        inner.pause(PAUSE_MAX_US).await;
        match fate < LOST_PER_MILLE * 3 {
            true => End::Info("the answer was lost".to_owned()),
            false => end,
        }
    }
}

impl Inner {
    async fn serve(self: &Arc<Self>, call: &Call) -> End {
        let bug = self.bug.filter(|_| self.roll(100) < BUG_PERCENT);
        match (bug, &call.ask) {
            (Some(Bug::LostWrite), Ask::Put { .. }) => {
                // It is applied to a copy: the answer is right, and nothing stays.
                self.state().clone().apply(call, None)
            }
            (Some(Bug::DoubleApply), Ask::Put { .. }) => {
                let end = self.state().apply(call, None);
                if matches!(end, End::Ok(_)) {
                    let (inner, call) = (self.clone(), call.clone());
                    tokio::spawn(async move {
                        inner.pause(LATE_MAX_US).await;
                        inner.state().apply(&call.unconditional(), None);
                    });
                }
                end
            }
            (Some(Bug::NonAtomicCreate), ask) if ask.kind() == AskKind::Create => {
                let looked = self.state().clone().apply(call, None);
                if !matches!(looked, End::Ok(_)) {
                    return looked;
                }
                self.pause(PAUSE_MAX_US).await;
                self.state().apply(&call.unconditional(), None)
            }
            (Some(Bug::IgnoredMatch), ask) if ask.kind() == AskKind::Swap => {
                self.state().apply(&call.unconditional(), None)
            }
            (bug, _) => self.state().apply(call, bug),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn roll(&self, sides: u32) -> u32 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..sides)
    }

    async fn pause(&self, most_us: u64) {
        let most_us = u32::try_from(most_us).unwrap_or(u32::MAX);
        tokio::time::sleep(Duration::from_micros(u64::from(self.roll(most_us)))).await;
    }
}

#[cfg(test)]
mod tests;
