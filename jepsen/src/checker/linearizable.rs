//! Whether the operations on one key can be put into one order that respects real time and explains every answer: the
//! search of Wing and Gong with Lowe's just-in-time order. It trusts nothing that the server says of its own order.
//!
//! The search walks through starts and ends and keeps every configuration that is still possible: what the key holds,
//! and which of the open operations have taken effect. An operation takes effect at the latest when it ends. Contents
//! are unique, and these facts keep the number of configurations small and lose no order:
//! - what only looks at a matching content may look at once;
//! - a content that somebody has yet to see must not be replaced, since it never comes back;
//! - a write whose content nobody ever saw may happen right before an unconditional one that hides it;
//! - a write of unknown outcome need not happen before somebody is there who depends on it;
//! - contents that nobody can tell apart are one, and so are open writes of unknown outcome that do the same;
//! - of two configurations that differ in writes of unknown outcome alone, the one with fewer of them used can do
//!   whatever the other can;
//! - a write of unknown outcome that nobody saw, where nobody was refused, explains nothing.

use std::collections::{HashMap, HashSet};

use super::register::{ABSENT, Content, Kind, Look, Op};

/// How many operations of one key may be open at one time, those of unknown outcome included, which stay open.
const OPEN_MAX: usize = 128;

/// How many configurations may be visited for one key before the answer is that there is none.
pub const CONFIGURATIONS_MAX: usize = 4_000_000;

/// Groups of configurations above this size are not searched for those that others make needless.
const COMPARED_MAX: usize = 512;

/// Any content that nobody ever named.
const NAMELESS: Content = Content(u32::MAX);

/// What the search says. `Unknown` is never a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    Violation,
    /// The search was given up.
    Unknown(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    TooManyConfigurations,
    TooManyOpen,
}

/// What is possible at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Configuration {
    content: Content,
    /// The open operations that have taken effect, a bit for each slot.
    done: u128,
}

/// Judges the operations of one key, given in any order.
pub fn check(ops: &[Op], configurations_max: usize) -> Verdict {
    let mut search = Search::new(ops, configurations_max);
    for event in events(ops, &search.facts) {
        let stepped = match event {
            Event::Start(at) => search.start(at),
            Event::End(at) => search.end(at),
        };
        if let Err(verdict) = stepped {
            return verdict;
        }
    }
    Verdict::Linearizable
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Start(usize),
    End(usize),
}

/// Starts and ends in the order of time. What starts when another ends is concurrent with it.
fn events(ops: &[Op], facts: &Facts) -> Vec<Event> {
    let mut events = Vec::with_capacity(ops.len() * 2);
    for (at, op) in ops.iter().enumerate() {
        if op.is_unknown() && !facts.is_useful(op) {
            continue;
        }
        events.push((op.start_ns, 0_u8, at, Event::Start(at)));
        if !op.is_unknown() {
            events.push((op.end_ns, 1, at, Event::End(at)));
        }
    }
    events.sort_unstable_by_key(|(time, order, at, _)| (*time, *order, *at));
    events.into_iter().map(|(_, _, _, event)| event).collect()
}

/// What the whole history says of single operations.
#[derive(Debug)]
struct Facts {
    seen: HashSet<Content>,
    /// Contents of which somebody learnt that they were not there.
    denied: HashSet<Content>,
    /// Whether somebody learnt what a content was not: any write may be what explains it.
    has_negative: bool,
}

impl Facts {
    fn new(ops: &[Op]) -> Self {
        let mut facts = Self { seen: HashSet::new(), denied: HashSet::new(), has_negative: false };
        for op in ops {
            let look = match op.kind {
                Kind::Write { needs, .. } => needs,
                Kind::Look(look) => Some(look),
            };
            match look {
                Some(Look::Is(content)) => {
                    facts.seen.insert(content);
                }
                Some(Look::IsOrAbsent(content)) => facts.seen.extend([content, ABSENT]),
                Some(Look::Not(content)) => {
                    facts.has_negative = true;
                    facts.denied.insert(content);
                }
                None => {}
            }
        }
        facts
    }

    fn canonical(&self, content: Content) -> Content {
        let is_named = self.seen.contains(&content) || self.denied.contains(&content);
        if is_named || content == ABSENT { content } else { NAMELESS }
    }

    fn is_seen(&self, content: Content) -> bool {
        self.has_negative || self.seen.contains(&content)
    }

    /// Whether an operation of unknown outcome can explain anything.
    fn is_useful(&self, op: &Op) -> bool {
        match op.kind {
            Kind::Write { content, .. } => self.is_seen(content),
            Kind::Look(_) => false,
        }
    }

    /// Whether it makes no difference where this write goes, as long as another hides it.
    fn is_hideable(&self, op: &Op) -> bool {
        match op.kind {
            Kind::Write { content, needs: None } => !op.is_unknown() && !self.is_seen(content),
            Kind::Write { needs: Some(_), .. } | Kind::Look(_) => false,
        }
    }
}

struct Search<'a> {
    ops: &'a [Op],
    facts: Facts,
    /// Open operations by slot.
    open: Vec<Option<usize>>,
    /// Slots of operations of unknown outcome.
    unknown: u128,
    /// For each of those, the slots of earlier ones that do the same. They are used in order.
    twins: [u128; OPEN_MAX],
    hideable: u128,
    /// How many acknowledged operations that depend on a content have not ended.
    awaited: HashMap<Content, usize>,
    possible: Vec<Configuration>,
    visited: usize,
    visited_max: usize,
}

impl<'a> Search<'a> {
    fn new(ops: &'a [Op], visited_max: usize) -> Self {
        let mut awaited = HashMap::new();
        for content in ops.iter().filter(|op| !op.is_unknown()).filter_map(depends_on) {
            *awaited.entry(content).or_default() += 1;
        }
        Self {
            ops,
            awaited,
            facts: Facts::new(ops),
            open: Vec::new(),
            unknown: 0,
            twins: [0; OPEN_MAX],
            hideable: 0,
            possible: vec![Configuration { content: ABSENT, done: 0 }],
            visited: 0,
            visited_max,
        }
    }

    fn start(&mut self, at: usize) -> Result<(), Verdict> {
        let free = self.open.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.open.len());
        if slot >= OPEN_MAX {
            return Err(Verdict::Unknown(Reason::TooManyOpen));
        }
        if slot == self.open.len() {
            self.open.push(None);
        }
        self.open[slot] = Some(at);
        let op = &self.ops[at];
        if op.is_unknown() {
            let (unknown, kind) = (self.unknown, self.canonical(op.kind));
            let is_twin = |(slot, at): &(usize, usize)| {
                unknown & bit(*slot) != 0 && self.canonical(self.ops[*at].kind) == kind
            };
            let twins = open_ops(&self.open).filter(is_twin);
            self.twins[slot] = twins.fold(0, |twins, (slot, _)| twins | bit(slot));
            self.unknown |= bit(slot);
        }
        if self.facts.is_hideable(op) {
            self.hideable |= bit(slot);
        }
        if let Kind::Look(look) = op.kind {
            for one in self.possible.iter_mut().filter(|one| look.holds(one.content)) {
                one.done |= bit(slot);
            }
        }
        Ok(())
    }

    fn canonical(&self, kind: Kind) -> Kind {
        match kind {
            Kind::Write { content, needs } => {
                Kind::Write { content: self.facts.canonical(content), needs }
            }
            Kind::Look(look) => Kind::Look(look),
        }
    }

    fn end(&mut self, at: usize) -> Result<(), Verdict> {
        let Some(slot) = self.open.iter().position(|open| *open == Some(at)) else {
            return Ok(());
        };
        let wanted = bit(slot);
        if self.possible.iter().any(|one| one.done & wanted == 0) {
            self.force(wanted)?;
        }
        if self.possible.is_empty() {
            return Err(Verdict::Violation);
        }
        for one in &mut self.possible {
            one.done &= !wanted;
        }
        self.open[slot] = None;
        self.hideable &= !wanted;
        if let Some(awaited) =
            depends_on(&self.ops[at]).and_then(|content| self.awaited.get_mut(&content))
        {
            *awaited -= 1;
        }
        self.prune();
        Ok(())
    }

    /// Goes on from every configuration until the wanted operation has taken effect.
    fn force(&mut self, wanted: u128) -> Result<(), Verdict> {
        let mut seen = HashSet::new();
        let mut ready = Vec::new();
        let mut work = std::mem::take(&mut self.possible);
        while let Some(one) = work.pop() {
            if !seen.insert(one) {
                continue;
            }
            self.visited += 1;
            if self.visited > self.visited_max {
                return Err(Verdict::Unknown(Reason::TooManyConfigurations));
            }
            if one.done & wanted != 0 {
                ready.push(one);
                continue;
            }
            for (slot, at) in open_ops(&self.open) {
                if one.done & bit(slot) == 0
                    && let Some(next) = self.apply(one, slot, at)
                {
                    work.push(next);
                }
            }
        }
        self.possible = ready;
        Ok(())
    }

    /// The configuration after an open write, if its condition holds and it is of any use.
    fn apply(&self, mut one: Configuration, slot: usize, at: usize) -> Option<Configuration> {
        let Kind::Write { content, needs } = self.canonical(self.ops[at].kind) else {
            return None;
        };
        let twins = if self.unknown & bit(slot) == 0 { 0 } else { self.twins[slot] };
        if one.done & twins != twins {
            return None;
        }
        match needs {
            Some(look) if !look.holds(one.content) => return None,
            Some(_) => {}
            None => one.done |= self.hideable,
        }
        one.done |= bit(slot);
        if self.is_awaited(one) {
            return None;
        }
        let before = one.done;
        one.content = content;
        for (slot, at) in open_ops(&self.open) {
            if let Kind::Look(look) = self.ops[at].kind
                && look.holds(content)
            {
                one.done |= bit(slot);
            }
        }
        let is_lazy = self.unknown & bit(slot) != 0 && one.done == before;
        (!is_lazy || self.enables(one)).then_some(one)
    }

    /// Whether somebody has yet to see what the key holds. Nothing comes back but absence.
    fn is_awaited(&self, one: Configuration) -> bool {
        let awaited = self.awaited.get(&one.content).copied().unwrap_or(0);
        if one.content == ABSENT || awaited == 0 {
            return false;
        }
        let is_done = |(slot, at): &(usize, usize)| {
            let is_known = self.unknown & bit(*slot) == 0;
            is_known
                && one.done & bit(*slot) != 0
                && depends_on(&self.ops[*at]) == Some(one.content)
        };
        awaited > open_ops(&self.open).filter(is_done).count()
    }

    /// Whether an open write waits for just this content.
    fn enables(&self, one: Configuration) -> bool {
        open_ops(&self.open).any(|(slot, at)| {
            let Kind::Write { needs: Some(look), .. } = self.ops[at].kind else { return false };
            one.done & bit(slot) == 0 && look.holds(one.content)
        })
    }

    /// Drops what is there twice, and what another configuration makes needless.
    fn prune(&mut self) {
        let unknown = self.unknown;
        let group = |one: &Configuration| (one.content, one.done & !unknown);
        self.possible
            .sort_unstable_by_key(|one| (group(one), (one.done & unknown).count_ones(), one.done));
        self.possible.dedup();
        if unknown == 0 {
            return;
        }
        let mut kept: Vec<Configuration> = Vec::with_capacity(self.possible.len());
        let mut group_start = 0;
        for one in &self.possible {
            if kept.get(group_start).is_some_and(|first| group(first) != group(one)) {
                group_start = kept.len();
            }
            let compared = kept[group_start..].iter().take(COMPARED_MAX);
            let is_needless = compared.into_iter().any(|other| other.done & !one.done == 0);
            if !is_needless {
                kept.push(*one);
            }
        }
        self.possible = kept;
    }
}

fn open_ops(open: &[Option<usize>]) -> impl Iterator<Item = (usize, usize)> {
    open.iter().enumerate().filter_map(|(slot, at)| at.map(|at| (slot, at)))
}

/// The content without which an operation could not have been answered as it was.
fn depends_on(op: &Op) -> Option<Content> {
    match op.kind {
        Kind::Write { needs: Some(Look::Is(content)), .. } | Kind::Look(Look::Is(content)) => {
            Some(content)
        }
        Kind::Write { needs: Some(Look::Not(_) | Look::IsOrAbsent(_)) | None, .. }
        | Kind::Look(Look::Not(_) | Look::IsOrAbsent(_)) => None,
    }
}

fn bit(slot: usize) -> u128 {
    1 << slot
}

#[cfg(test)]
mod tests;
