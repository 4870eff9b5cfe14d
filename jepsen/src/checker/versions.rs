//! Whether the order that the server names for the writes of one key fits what clients saw: every write says its log
//! position and every read the position of what it saw. Linear but for one sort, so it judges histories of millions,
//! and keys with far too many clients for a search.
//!
//! Deletes need not say a position. Then only what must hold wherever they went is demanded; the rest is left to
//! `linearizable`.

use std::collections::BTreeMap;

use super::register::{ABSENT, Content, Kind, Look, NEVER_NS, Op, Register};
use super::spans::Spans;
use super::{Kind as Wrong, Violation};

/// Judges one key. At most one violation of each rule is told, the first in time.
pub fn check(key: &str, register: &Register) -> Vec<Violation> {
    let order = match Order::new(key, register) {
        Ok(order) => order,
        Err(violation) => return vec![violation],
    };
    let found = [order.real_time(), order.conditions(), order.absences(), order.refusals()];
    found.into_iter().flatten().collect()
}

/// The writes of a key by their positions.
struct Order<'a> {
    key: &'a str,
    register: &'a Register,
    contents: BTreeMap<u128, Content>,
    /// Writes of contents; an unknown one is placed by whoever saw it.
    writes: BTreeMap<Content, &'a Op>,
    positions: BTreeMap<Content, u128>,
    deletes: Spans,
}

impl<'a> Order<'a> {
    /// A position has one content, and a content one position.
    fn new(key: &'a str, register: &'a Register) -> Result<Self, Violation> {
        let (contents, writes, positions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let deletes = register.deletes();
        let mut order = Self { key, register, contents, writes, positions, deletes };
        for op in &register.ops {
            let content = match op.kind {
                Kind::Write { content: ABSENT, .. } => ABSENT,
                Kind::Write { content, .. } => {
                    order.writes.insert(content, op);
                    content
                }
                Kind::Look(Look::Is(content)) => content,
                Kind::Look(Look::Not(_) | Look::IsOrAbsent(_)) => continue,
            };
            order.place(op, content)?;
        }
        Ok(order)
    }

    fn place(&mut self, op: &Op, content: Content) -> Result<(), Violation> {
        let Some(position) = op.position else {
            return Ok(());
        };
        let there = *self.contents.entry(position).or_insert(content);
        if there != content {
            let (one, other) = (self.register.name(there), self.register.name(content));
            let detail = format!("position {} holds {one} and {other}", short(position));
            return Err(Violation::new(Wrong::WrongBytes, self.key, detail));
        }
        if content == ABSENT {
            return Ok(());
        }
        let before = *self.positions.entry(content).or_insert(position);
        if before != position {
            let (name, one, other) = (self.register.name(content), short(before), short(position));
            let detail = format!("{name} is at positions {one} and {other}: it was applied twice");
            return Err(Violation::new(Wrong::Phantom, self.key, detail));
        }
        Ok(())
    }

    /// Whoever starts after an end sees at least what that end told, and a write comes after it.
    fn real_time(&self) -> Option<Violation> {
        let placed = self.register.ops.iter().filter_map(|op| Some((op, op.position?)));
        let mut starts: Vec<(&Op, u128)> = placed.collect();
        let mut ends = starts.clone();
        starts.sort_unstable_by_key(|(op, _)| op.start_ns);
        ends.retain(|(op, _)| !op.is_unknown());
        ends.sort_unstable_by_key(|(op, _)| op.end_ns);
        let mut ends = ends.into_iter().peekable();
        let mut newest: Option<(&Op, u128)> = None;
        for (op, position) in starts {
            while let Some(ended) = ends.next_if(|(ended, _)| ended.end_ns < op.start_ns) {
                if newest.is_none_or(|(_, newest)| newest < ended.1) {
                    newest = Some(ended);
                }
            }
            let Some((before, floor)) = newest else { continue };
            let (kind, is_wrong) = match op.kind {
                Kind::Write { .. } => (Wrong::Order, position <= floor),
                Kind::Look(_) => (Wrong::Stale, position < floor),
            };
            if is_wrong {
                let detail = format!(
                    "{} is at position {}, but {} had ended before at position {}",
                    self.describe(op),
                    short(position),
                    self.describe(before),
                    short(floor),
                );
                return Some(Violation::new(kind, self.key, detail));
            }
        }
        None
    }

    /// A write with a condition follows directly on what it demanded.
    fn conditions(&self) -> Option<Violation> {
        let mut before: Option<(u128, Content)> = None;
        for (position, content) in &self.contents {
            let replaced = before.replace((*position, *content));
            let Some(op) = self.writes.get(content) else { continue };
            let Kind::Write { needs: Some(needs), .. } = op.kind else { continue };
            let replaced = replaced.map_or(ABSENT, |(_, content)| content);
            let may_be_absent = replaced == ABSENT || self.may_be_deleted(replaced, op.end_ns);
            let is_lawful = match needs {
                Look::Is(ABSENT) => may_be_absent,
                // Where nobody was told a position, nothing can be said.
                Look::Is(wanted) if !self.positions.contains_key(&wanted) => true,
                Look::Is(wanted) => wanted == replaced && !self.is_deleted(wanted, op),
                Look::Not(_) | Look::IsOrAbsent(_) => true,
            };
            if !is_lawful {
                let detail = format!(
                    "{} was acknowledged over {}",
                    self.describe(op),
                    self.register.name(replaced)
                );
                return Some(Violation::new(Wrong::Precondition, self.key, detail));
            }
        }
        None
    }

    fn may_be_deleted(&self, content: Content, by_ns: u64) -> bool {
        let written_ns = self.writes.get(&content).map_or(0, |op| op.start_ns);
        self.deletes.latest_end(by_ns).is_some_and(|end_ns| end_ns >= written_ns)
    }

    /// Whether a delete surely came after a content and before an operation.
    fn is_deleted(&self, content: Content, op: &Op) -> bool {
        let write = self.writes.get(&content).filter(|write| !write.is_unknown());
        let deleted_ns = self.deletes.latest_start(op.start_ns);
        write.is_some_and(|write| Some(write.end_ns) < deleted_ns)
    }

    /// Nothing may be there only before the first write, or where a delete can have come last; and a content must not
    /// be seen after a delete that came after it.
    fn absences(&self) -> Option<Violation> {
        let mut looks: Vec<&Op> =
            self.register.ops.iter().filter(|op| matches!(op.kind, Kind::Look(_))).collect();
        looks.sort_unstable_by_key(|op| op.start_ns);
        let mut puts: Vec<&Op> = self.writes.values().copied().collect();
        puts.retain(|op| !op.is_unknown());
        puts.sort_unstable_by_key(|op| op.end_ns);
        let mut puts = puts.into_iter().peekable();
        let mut written_ns = None;
        for look in looks {
            while let Some(put) = puts.next_if(|put| put.end_ns < look.start_ns) {
                written_ns = written_ns.max(Some(put.start_ns));
            }
            let wrong = match look.kind {
                Kind::Look(Look::Is(ABSENT)) if look.position.is_none() => {
                    (self.deletes.latest_end(look.end_ns) < written_ns)
                        .then_some((Wrong::Lost, "after an acknowledged write and no delete"))
                }
                Kind::Look(Look::Is(content)) => self
                    .is_deleted(content, look)
                    .then_some((Wrong::Resurrected, "after a delete that came later")),
                Kind::Look(Look::Not(_) | Look::IsOrAbsent(_)) | Kind::Write { .. } => None,
            };
            if let Some((kind, why)) = wrong {
                let detail = format!("{} {why}", self.describe(look));
                return Some(Violation::new(kind, self.key, detail));
            }
        }
        None
    }

    /// A create is not refused while nothing can be there, and what was read was written.
    fn refusals(&self) -> Option<Violation> {
        let first_ns = self.writes.values().map(|op| op.start_ns).min().unwrap_or(NEVER_NS);
        self.register.ops.iter().find_map(|op| match op.kind {
            Kind::Look(Look::Not(ABSENT)) if op.end_ns < first_ns => {
                let detail = format!("{} before anything was written", self.describe(op));
                Some(Violation::new(Wrong::Precondition, self.key, detail))
            }
            Kind::Look(Look::Is(content)) if content != ABSENT => {
                let write = self.writes.get(&content);
                let is_lawful = write.is_some_and(|write| write.start_ns <= op.end_ns);
                (!is_lawful).then(|| {
                    let detail = format!("{}, which no write can have made", self.describe(op));
                    Violation::new(Wrong::Phantom, self.key, detail)
                })
            }
            Kind::Look(_) | Kind::Write { .. } => None,
        })
    }

    fn describe(&self, op: &Op) -> String {
        super::explain::describe(self.register, op)
    }
}

/// A position is 128 bits: generation, log index, place in the entry.
fn short(position: u128) -> String {
    let (generation, index, place) =
        (position >> 96, (position >> 32) & u128::from(u64::MAX), position & 0xFFFF_FFFF);
    format!("{generation}/{index}.{place}")
}

#[cfg(test)]
mod tests;
