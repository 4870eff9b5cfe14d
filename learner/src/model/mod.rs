//! A network that foretells when objects are read, learnt from the log itself: what lies before a time, and nothing else.
//!
//! ```text
//! grid         when something is learnt
//! memory       accesses of one object -> what is remembered of it
//! rates, days  accesses of all -> what is known of each group; statistics: both
//! features     all of these -> what a network sees at the moment of a decision
//! samples      what was seen, and what came of it       train, network   samples -> chances
//! mixture      what several networks and the group say -> chances
//! weights      a network as bytes
//! forecaster   all of it, over a whole log
//! ```

pub mod days;
pub mod features;
pub mod forecaster;
pub mod grid;
pub mod memory;
pub mod mixture;
pub mod network;
pub mod rates;
pub mod samples;
pub mod statistics;
pub mod train;
pub mod weights;

use crate::error::Error;

/// What has learnt from samples, and answers: a network. Something else can stand in its place, to be compared with it.
pub trait Model: Send + Sync {
    /// The chance of every output for each of these, as each of its parts says it.
    fn voices(&self, seen: &[f32]) -> Result<Vec<Vec<f32>>, Error>;
}

#[cfg(test)]
mod tests;
