//! What was noticed while reading a log, and how people are told of it.

use serde::Serialize;

/// What was noticed while reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    pub lines: u64,
    /// Lines that are no accesses, and were skipped.
    pub garbage: u64,
    /// The first of them.
    pub first_garbage: Option<String>,
    /// Lines that were earlier than the one before them, where a file has one clock.
    pub backwards: u64,
    /// Requests that neither read, write nor delete an object, and those that failed.
    pub ignored: u64,
    /// Requests of a kind that is not known; they were skipped.
    pub unknown: u64,
    /// The first kind of them.
    pub first_unknown: Option<String>,
    /// Moves into other storage classes by the provider's own rules. Here policies move objects, so they are skipped.
    pub transitions: u64,
    /// Requests to delete objects that do not say which.
    pub keyless: u64,
    /// Versions whose size nothing tells: the most that a read sent was taken.
    pub guessed: u64,
    /// Accesses that were left out because nothing tells the size of what they accessed.
    pub sizeless: u64,
    /// Objects of the inventory that the log does not know to be written.
    pub listed: u64,
}

impl Told {
    /// What whoever reads the result has to know. Empty: the log is as it should be.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(line) = &self.first_garbage {
            warnings.push(format!(
                "{} of {} lines are no accesses and were skipped; the first is {line:?}",
                self.garbage, self.lines
            ));
        }
        if self.backwards > 0 {
            warnings.push(format!(
                "{} lines were earlier than the one before; they were sorted",
                self.backwards
            ));
        }
        if let Some(kind) = &self.first_unknown {
            warnings.push(format!(
                "{} of {} lines are requests of a kind that is not known and were skipped; the first is {kind:?}",
                self.unknown, self.lines
            ));
        }
        if self.keyless > 0 {
            warnings.push(format!(
                "{} requests deleted objects without saying which; these are charged as if they were still there",
                self.keyless
            ));
        }
        if self.guessed > 0 {
            warnings.push(format!(
                "of {} versions nothing tells the size, so it is taken to be the most that a read sent; an inventory knows more",
                self.guessed
            ));
        }
        if self.sizeless > 0 {
            warnings.push(format!(
                "{} accesses were left out, for nothing tells the size of what they accessed; an inventory may know it",
                self.sizeless
            ));
        }
        warnings
    }
}
