//! What should live where: what an access log would have cost under any policy and price book, and what it could have cost
//! at best. It moves nothing, and knows no cluster: whoever runs it brings the log.
//!
//! ```text
//! logs/*      files -> accesses                        traces/*  a seed -> a log of known kinds of workload
//! spill/*     records that do not fit into memory, in order
//! history     accesses -> lives: each version from its PUT to its end, with its reads
//! gaps        accesses -> how long each prefix leaves its objects alone, as it was known at some time
//! model/*     accesses before a time -> a network that foretells reads; forecasts: who asks it, hazards: what it says
//! planner/*   a forecast and prices -> where an object should be, in integers
//! policies/*  a life, step by step -> decisions        optimum   a whole life -> decisions
//! guard/*     policies side by side, in the order of time -> the decisions that a bucket can afford
//! pricing     a life and decisions -> charges          ledger    charges -> a bill
//! calibration forecasts, and what came of them
//! simulate    all of it, for every object, in shares; report: what comes out; page: for people
//! decisions   what threads have decided, in the order of time; written: as files
//! ```

pub mod calibration;
pub mod decisions;
pub mod error;
pub mod forecasts;
pub mod gaps;
pub mod guard;
pub mod hazards;
pub mod history;
pub mod ledger;
pub mod logs;
pub mod model;
pub mod optimum;
pub mod page;
pub mod planner;
pub mod points;
pub mod policies;
pub mod prefixes;
pub mod pricing;
pub mod progress;
pub mod report;
pub mod shares;
pub mod simulate;
pub mod spill;
pub mod traces;
pub mod written;

#[cfg(test)]
mod tests;
