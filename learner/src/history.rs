//! From accesses to lives: a version of an object from its PUT to the DELETE or PUT that ends it.

use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::{DAY_S, Ticks};

use crate::error::Error;
use crate::logs::{Access, Log, Operation};

/// The longest time that is simulated.
pub const DAYS_MAX: u64 = 36_525;

/// The time that is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here on something moves, and everything is charged.
    pub from_s: u64,
    /// The last access, rounded up to a day.
    pub until_s: u64,
}

impl Window {
    /// Of a log, from its beginning or from a time within it.
    pub fn of(log: &Log, charge_from_s: Option<u64>) -> Result<Self, Error> {
        let from_s = charge_from_s.unwrap_or(log.first_s);
        if !(log.first_s..=log.last_s).contains(&from_s) {
            return Err(Error::ChargeFrom { at: from_s, first: log.first_s, last: log.last_s });
        }
        let window = Self { from_s, until_s: log.last_s.next_multiple_of(DAY_S) };
        match window.days() {
            days if days > DAYS_MAX => Err(Error::TooLong { days, max: DAYS_MAX }),
            _ => Ok(window),
        }
    }

    /// Days that it touches.
    pub fn days(self) -> u64 {
        (self.until_s / DAY_S - self.from_s / DAY_S).max(1)
    }
}

/// Looked up for the whole window, and for the stays that go on after it.
pub fn ticks(book: &Book, window: Window) -> Ticks {
    let stays = book.tiers.iter().map(|tier| u64::from(tier.stay_days_min));
    let after = stays.max().unwrap_or(0) + 3;
    Ticks::new(book.month, window.from_s / DAY_S..window.until_s / DAY_S + after)
}

/// A read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub at_s: u64,
    /// Of all of its requests.
    pub bytes: u64,
    /// As many requests are paid: one, or those for its parts.
    pub requests: u32,
}

/// One version: its whole life, or as far as it lies in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    pub object: u32,
    pub size_bytes: u64,
    /// It was PUT then, or was there when the window began.
    pub from_s: u64,
    /// Since when the log tells of it: it may have been there before.
    pub seen_s: u64,
    pub is_new: bool,
    /// When it was last read or written before.
    pub idle_since_s: u64,
    /// When it ended, or the window did.
    pub until_s: u64,
    /// In the order of their times.
    pub reads: Vec<Read>,
}

impl Life {
    /// From when on somebody who read the log until then would know of it, within its window.
    pub fn known_s(&self) -> u64 {
        self.from_s.max(self.seen_s)
    }

    /// As far as it lies in a window. None: it had ended by then.
    pub fn within(&self, window: Window) -> Option<Self> {
        if self.until_s < window.from_s {
            return None;
        }
        let is_new = self.is_new && self.from_s >= window.from_s;
        let before = self.reads.partition_point(|read| read.at_s < window.from_s);
        let reads = self.reads[before..].to_vec();
        // One that ended in the very second in which charging begins was never charged for.
        if !is_new && self.until_s == window.from_s && reads.is_empty() {
            return None;
        }
        let last_before = before.checked_sub(1).map(|last| self.reads[last].at_s);
        Some(Self {
            from_s: self.from_s.max(window.from_s),
            is_new,
            idle_since_s: last_before.unwrap_or(self.idle_since_s),
            reads,
            ..*self
        })
    }
}

/// A version that has not ended yet.
struct Open {
    size_bytes: u64,
    created_s: u64,
    seen_s: u64,
    is_put: bool,
    reads: Vec<Read>,
}

/// The lives of one object, in order, over the whole log. What did not end lives until `until_s`.
pub fn lives(log: &Log, until_s: u64, accesses: &[Access]) -> Result<Vec<Life>, Error> {
    let mut lives = Vec::new();
    let mut open: Option<Open> = None;
    for access in accesses {
        match access.operation {
            Operation::Put | Operation::Seen => {
                let at_s = access.at_s();
                lives.extend(open.take().map(|open| open.ended(access.object, at_s)));
                open = Some(Open {
                    size_bytes: size(log, access)?,
                    created_s: at_s,
                    // What was there before the log was not written in it.
                    is_put: access.operation == Operation::Put || at_s > log.first_s,
                    seen_s: at_s.max(log.first_s),
                    reads: Vec::new(),
                });
            }
            Operation::Get => {
                let version = match &mut open {
                    Some(version) => version,
                    None => open.insert(unseen(log, access, accesses)?),
                };
                let bytes = access.sent_bytes().unwrap_or(version.size_bytes);
                let (at_s, requests) = (access.at_s(), access.requests());
                version.reads.push(Read { at_s, bytes, requests });
            }
            Operation::Delete => {
                let version = match open.take() {
                    Some(version) => version,
                    None if accesses.first() == Some(access) => unseen(log, access, accesses)?,
                    // S3 takes a DELETE of what is gone.
                    None => continue,
                };
                lives.push(version.ended(access.object, access.at_s()));
            }
        }
    }
    if let (Some(version), Some(last)) = (open, accesses.last()) {
        lives.push(version.ended(last.object, until_s));
    }
    Ok(lives)
}

impl Open {
    fn ended(self, object: u32, until_s: u64) -> Life {
        Life {
            object,
            size_bytes: self.size_bytes,
            from_s: self.created_s,
            seen_s: self.seen_s,
            is_new: self.is_put,
            idle_since_s: self.created_s,
            until_s,
            reads: self.reads,
        }
    }
}

/// What the log has never seen written was there when it began. What it has seen deleted, and not written again, is there since
/// it was seen again.
fn unseen(log: &Log, access: &Access, accesses: &[Access]) -> Result<Open, Error> {
    let is_first = accesses.first() == Some(access);
    let since_s = if is_first { log.first_s } else { access.at_s() };
    Ok(Open {
        size_bytes: size(log, access)?,
        created_s: since_s,
        seen_s: access.at_s(),
        is_put: false,
        reads: Vec::new(),
    })
}

fn size(log: &Log, access: &Access) -> Result<u64, Error> {
    access.size_bytes().ok_or_else(|| Error::NoSize {
        bucket: log.names.bucket(access.object).to_owned(),
        key: log.names.key(access.object).to_owned(),
        place: log.place(access.line),
        operation: access.operation.name(),
    })
}
