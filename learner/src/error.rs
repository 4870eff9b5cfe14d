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
        "{path}: there is no file in this folder; give the folder into which the log was copied"
    )]
    NoFile { path: String },

    #[error(
        "{path}: there are more than {max} files, or folders in folders deeper than {depth}; give a smaller part of the log"
    )]
    TooManyFiles { path: String, max: usize, depth: usize },

    #[error(
        "{path} is not whole, or no gzip ({source}); copy it again from where it was, or leave it out"
    )]
    Compressed { path: String, source: io::Error },

    #[error(
        "{path} begins with {found:?}: that is no log of a known format. It has to be a table with the header {wanted}, an S3 server access log, or a file of CloudTrail's data events"
    )]
    Format { path: String, found: String, wanted: &'static str },

    #[error(
        "{path} is {kind}, but {other_path} is {other_kind}: read them one after the other, each kind from a folder of its own"
    )]
    Mixed { path: String, kind: &'static str, other_path: String, other_kind: &'static str },

    #[error(
        "{path} is not as {kind} has to be ({source}); copy it again from where it was, or leave it out"
    )]
    Json { path: String, kind: &'static str, source: serde_json::Error },

    #[error(
        "{path}: none of {lines} lines reads, writes or deletes an object{}; is it the log of a bucket's object requests?",
        unknown_kind(unknown)
    )]
    NoAccess { path: String, lines: u64, unknown: String },

    #[error(
        "{path}: nothing tells the size of any object ({accesses} accesses were left out); bring an inventory of the bucket"
    )]
    NoSizes { path: String, accesses: u64 },

    #[error(
        "{path}: the inventory is written as {format:?}, and only CSV can be read; set its format to CSV and wait for the next one"
    )]
    InventoryFormat { path: String, format: String },

    #[error(
        "{path}: the inventory has no column {column:?} (it has {found}); add the field to the inventory and wait for the next one"
    )]
    InventoryColumn { path: String, column: &'static str, found: String },

    #[error(
        "{path} names the file {key}, which is neither beside it nor in a folder `data` near it; copy the whole folder of the inventory"
    )]
    InventoryFile { path: String, key: String },

    #[error(
        "{path} is no inventory: {found:?} is no row of {columns} ({why}), nor is any other of {rows}; give its manifest.json, which tells its columns"
    )]
    InventoryGarbage { path: String, found: String, columns: String, why: &'static str, rows: u64 },

    #[error(
        "{bucket}/{key} ({place}) is {operation}, but no line tells its size; put the object's size in the column `size`, or bring an inventory that lists it"
    )]
    NoSize { bucket: String, key: String, place: String, operation: &'static str },

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

    #[error("what was found cannot be written: {source}; is there room for it?")]
    Unwritten { source: io::Error },

    #[error(
        "what happens to objects cannot be kept in {folder}: {source}; make room there, or set TMPDIR to another folder"
    )]
    Temporary { folder: String, source: io::Error },

    #[error("the network failed: {0}; please report it")]
    Network(candle_core::Error),

    #[error("{path} (line {line}): {why}; give a file that `vaultaire simulate --records` wrote")]
    NoRecord { path: String, line: u64, why: String },

    #[error(
        "{path} (line {line}): made again it is another decision: was the price book another one then?"
    )]
    OtherDecision { path: String, line: u64 },

    #[error(
        "the decision was priced by {wanted}, and this is {found}: give that book with --prices"
    )]
    OtherBook { found: String, wanted: String },

    #[error("{book} has no tier {tier}: it is not the book that the decision was priced by")]
    NoSuchTier { book: String, tier: String },

    #[error("this is no network: {why}; give a file that `vaultaire simulate --write-model` wrote")]
    Weights { why: String },

    #[error(
        "these weights belong to other inputs (schema {found}; this release has {wanted}): train again with `--write-model`"
    )]
    WeightsSchema { found: String, wanted: String },
}

fn unknown_kind(unknown: &str) -> String {
    if unknown.is_empty() { String::new() } else { format!(" that is known; one is {unknown:?}") }
}
