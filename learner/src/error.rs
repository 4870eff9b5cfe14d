//! Every way in which a what-if can fail, each with what to do next.

use std::io;

/// What went wrong, with what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },

    #[error("{path}: the first line is {found:?}; it has to be {wanted:?}")]
    Header { path: String, found: String, wanted: &'static str },

    #[error(
        "{path}: {found:?} is no line of a log ({why}), nor is any other of {lines}: is it the right file?"
    )]
    AllGarbage { path: String, lines: u64, found: String, why: &'static str },

    #[error("{path} is empty: there is nothing to simulate")]
    Empty { path: String },

    #[error(
        "{bucket}/{key} (line {line}) is {operation}, but no line tells its size; put the object's size in the column `size`"
    )]
    NoSize { bucket: String, key: String, line: u64, operation: &'static str },

    #[error("--charge-from {at} is outside of the log, which goes from {first} to {last}")]
    ChargeFrom { at: u64, first: u64, last: u64 },

    #[error("the log goes over {days} days; {max} are the most: is its clock right?")]
    TooLong { days: u64, max: u64 },

    #[error("the bill is more than can be counted: are the sizes bytes, and the times seconds?")]
    TooLarge,

    #[error("there is no policy {name:?}; there are {known}")]
    NoSuchPolicy { name: String, known: String },

    #[error("there is no class of workload {name:?}; there are {known}")]
    NoSuchClass { name: String, known: String },

    #[error("there is no scenario {name:?}; there are {known}")]
    NoSuchScenario { name: String, known: String },

    #[error("no class of workload was named; name some of {known}")]
    NoClasses { known: String },

    #[error("{what}: {found} is out of range; it goes from {min} to {max}")]
    OutOfRange { what: &'static str, found: u64, min: u64, max: u64 },

    #[error(
        "a generated log starts at a midnight (UTC), and {at} is none; the one before is {before}"
    )]
    NoMidnight { at: u64, before: u64 },

    #[error(
        "all of the log is held out: {class} is never tuned on; name other classes too, or do not exclude what is held out"
    )]
    AllHeldOut { class: &'static str },

    #[error("the generated log cannot be written: {source}; is there room for it?")]
    Unwritten { source: io::Error },

    #[error("the network could not be trained: {0}")]
    Network(candle_core::Error),
}
