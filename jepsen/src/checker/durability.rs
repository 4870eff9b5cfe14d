//! Keys with one writer each: what such a key may hold is a small set, known at any moment.
//!
//! An acknowledged write leaves one possibility. A write of unknown outcome may land at any time while the
//! server that took it lives, once; when that server is dead it has landed or never will. A read must
//! see one of the possibilities and settles which. Keys that several clients create are in `creates`.

use std::collections::BTreeMap;

use super::{Kind, Violation};
use crate::history::{Action, Condition, Entry, Event, Outcome, Seen, Value};

/// What a key holds: nothing, or one of the values ever sent to it, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Absent,
    Value(usize),
}

/// A write of unknown outcome.
#[derive(Clone, Copy, Debug)]
struct Pending {
    content: Content,
    /// The last life of the server that can carry it out.
    life: u32,
}

/// What became of a value that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    MayBeRead,
    Refused,
}

/// What is known of one key.
#[derive(Debug)]
struct Register {
    possible: Vec<Content>,
    pending: Vec<Pending>,
    sent: Vec<(Value, Fate)>,
}

/// What a client knows of a key before it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    Absent,
    Value(&'a Value),
    Ambiguous,
}

/// All keys of one client.
#[derive(Debug, Default)]
pub struct Ledger {
    keys: BTreeMap<String, Register>,
}

impl Ledger {
    /// Takes in one operation of the client, in the client's order, and tells what it proves wrong.
    pub fn record(&mut self, event: &Event) -> Vec<Violation> {
        if matches!(event.action, Action::List) {
            return self.list(event);
        }
        let register = self.keys.entry(event.key.clone()).or_default();
        register.settle(event.start_life);
        let found = match &event.action {
            Action::Put { value, condition, .. } => register.put(event, value, condition),
            Action::Delete => register.delete(event),
            Action::Get | Action::Head => register.read(&event.outcome),
            Action::List => None,
        };
        found.map(|(kind, detail)| describe(event, kind, &detail)).into_iter().collect()
    }

    /// What the key is known to hold for a request to `life`.
    pub fn known(&self, key: &str, life: u32) -> Known<'_> {
        let Some(register) = self.keys.get(key) else {
            return Known::Absent;
        };
        register.known(life)
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// A listing is a read of every key below its prefix.
    fn list(&mut self, event: &Event) -> Vec<Violation> {
        let Outcome::Listed(entries) = &event.outcome else {
            let found = unexpected(&event.outcome);
            return found
                .map(|(kind, detail)| describe(event, kind, &detail))
                .into_iter()
                .collect();
        };
        let mut violations = Vec::new();
        for pair in entries.windows(2).filter(|pair| pair[0].key >= pair[1].key) {
            let detail = format!("{:?} is listed before {:?}", pair[0].key, pair[1].key);
            violations.push(describe(event, Kind::Listing, &detail));
        }
        let listed: BTreeMap<&str, &Entry> =
            entries.iter().map(|entry| (entry.key.as_str(), entry)).collect();
        for key in listed.keys().filter(|key| !self.keys.contains_key(**key)) {
            violations.push(Violation::new(
                Kind::WrongBytes,
                key,
                "is listed, and nobody wrote it",
            ));
        }
        let below = self.keys.range_mut(event.key.clone()..);
        for (key, register) in below.take_while(|(key, _)| key.starts_with(&event.key)) {
            register.settle(event.start_life);
            let outcome = match listed.get(key.as_str()) {
                Some(entry) => Outcome::Found(Seen {
                    size_bytes: entry.size_bytes,
                    etag: entry.etag.clone(),
                    sha256: None,
                }),
                None => Outcome::Missing,
            };
            if let Some((kind, detail)) = register.read(&outcome) {
                violations.push(Violation::new(kind, key, format!("in a listing, {detail}")));
            }
        }
        violations
    }
}

type Found = Option<(Kind, String)>;

impl Default for Register {
    fn default() -> Self {
        Self { possible: vec![Content::Absent], pending: Vec::new(), sent: Vec::new() }
    }
}

impl Register {
    /// Before a request to `life`: what only older lives knew of has landed or never will.
    fn settle(&mut self, life: u32) {
        let (settled, open): (Vec<Pending>, Vec<Pending>) =
            self.pending.iter().partition(|pending| pending.life < life);
        self.possible.extend(settled.iter().map(|pending| pending.content));
        self.pending = open;
    }

    /// Everything that the key may hold at some moment of a request.
    fn allowed(&self) -> impl Iterator<Item = Content> {
        let pending = self.pending.iter().map(|pending| pending.content);
        self.possible.iter().copied().chain(pending)
    }

    fn known(&self, life: u32) -> Known<'_> {
        let mut contents = self.allowed();
        let first = contents.next();
        let is_open = self.pending.iter().any(|pending| pending.life >= life);
        match first {
            Some(only) if !is_open && contents.all(|content| content == only) => match only {
                Content::Absent => Known::Absent,
                Content::Value(at) => Known::Value(&self.sent[at].0),
            },
            _ => Known::Ambiguous,
        }
    }

    fn put(&mut self, event: &Event, value: &Value, condition: &Condition) -> Found {
        let content = Content::Value(self.sent.len());
        self.sent.push((value.clone(), Fate::MayBeRead));
        match &event.outcome {
            Outcome::Done { etag } => {
                let could_hold = self.allowed().any(|content| self.satisfies(content, condition));
                self.possible = vec![content];
                if !could_hold {
                    return Some((Kind::Precondition, format!("{condition:?} was accepted")));
                }
                let differs = etag.as_ref().is_some_and(|etag| *etag != value.etag);
                differs.then(|| (Kind::WrongBytes, format!("acknowledged with etag {etag:?}")))
            }
            Outcome::Refused { status: 412, .. } if *condition != Condition::None => {
                self.refuse(content);
                let always_held = self.allowed().all(|content| self.satisfies(content, condition));
                always_held.then(|| (Kind::Precondition, format!("{condition:?} was refused")))
            }
            Outcome::Refused { status: 409, .. } if *condition != Condition::None => {
                self.refuse(content);
                None
            }
            Outcome::NotSent { .. } => {
                self.refuse(content);
                None
            }
            Outcome::Unknown { .. } => {
                self.pending.push(Pending { content, life: event.end_life });
                None
            }
            other => {
                self.refuse(content);
                unexpected(other)
            }
        }
    }

    fn refuse(&mut self, content: Content) {
        if let Content::Value(at) = content {
            self.sent[at].1 = Fate::Refused;
        }
    }

    fn satisfies(&self, content: Content, condition: &Condition) -> bool {
        match (condition, content) {
            (Condition::None, _) | (Condition::Absent, Content::Absent) => true,
            (Condition::Absent, Content::Value(_)) | (Condition::Etag(_), Content::Absent) => false,
            (Condition::Etag(etag), Content::Value(at)) => self.sent[at].0.etag == *etag,
        }
    }

    fn delete(&mut self, event: &Event) -> Found {
        match &event.outcome {
            Outcome::Done { .. } => {
                self.possible = vec![Content::Absent];
                None
            }
            Outcome::Unknown { .. } => {
                self.pending.push(Pending { content: Content::Absent, life: event.end_life });
                None
            }
            other => unexpected(other),
        }
    }

    fn read(&mut self, outcome: &Outcome) -> Found {
        let seen = match outcome {
            Outcome::Found(seen) => Some(seen),
            Outcome::Missing => None,
            other => return unexpected(other),
        };
        let matching: Vec<Content> =
            self.allowed().filter(|content| self.shows(*content, seen)).collect();
        if let [first, rest @ ..] = matching.as_slice() {
            // A write lands once: what was seen to have landed is no longer pending.
            if rest.is_empty() {
                self.pending.retain(|pending| pending.content != *first);
            }
            self.possible = matching;
            return None;
        }
        let found = self.blame(seen);
        // What is wrong is reported once, and the key goes on from what it shows.
        let shown = (0..self.sent.len()).map(Content::Value).find(|one| self.shows(*one, seen));
        match (seen, shown) {
            (None, _) => self.possible = vec![Content::Absent],
            (Some(_), Some(content)) => self.possible = vec![content],
            (Some(_), None) => {}
        }
        Some(found)
    }

    fn shows(&self, content: Content, seen: Option<&Seen>) -> bool {
        match (content, seen) {
            (Content::Absent, None) => true,
            (Content::Absent, Some(_)) | (Content::Value(_), None) => false,
            (Content::Value(at), Some(seen)) => is_same(&self.sent[at].0, seen),
        }
    }

    /// The name of what a read should not have seen.
    fn blame(&self, seen: Option<&Seen>) -> (Kind, String) {
        let expected: Vec<String> = self.allowed().map(|content| self.name(content)).collect();
        let expected = expected.join(" or ");
        let Some(seen) = seen else {
            return (Kind::Lost, format!("nothing there, expected {expected}"));
        };
        let Some((value, fate)) = self.sent.iter().rev().find(|(value, _)| is_same(value, seen))
        else {
            return (Kind::WrongBytes, format!("{seen:?} was never sent, expected {expected}"));
        };
        let detail = format!("value {} is there, expected {expected}", value.number);
        match fate {
            Fate::Refused => (Kind::Phantom, detail),
            Fate::MayBeRead if self.allowed().all(|content| content == Content::Absent) => {
                (Kind::Resurrected, detail)
            }
            Fate::MayBeRead => (Kind::Stale, detail),
        }
    }

    fn name(&self, content: Content) -> String {
        match content {
            Content::Absent => "nothing".to_owned(),
            Content::Value(at) => {
                let value = &self.sent[at].0;
                format!("value {} of {} bytes", value.number, value.size_bytes)
            }
        }
    }
}

/// HEAD and listings show no bytes: there the entity tag, which is theirs, stands for them.
fn is_same(value: &Value, seen: &Seen) -> bool {
    let is_same_bytes = seen.sha256.as_ref().is_none_or(|sha256| *sha256 == value.sha256);
    is_same_bytes && seen.etag == value.etag && seen.size_bytes == value.size_bytes
}

/// An answer that a valid request may not get. An unknown outcome proves nothing.
fn unexpected(outcome: &Outcome) -> Found {
    match outcome {
        Outcome::Unknown { .. } | Outcome::NotSent { .. } => None,
        Outcome::Refused { status, code } => {
            Some((Kind::Refused, format!("a valid request got {status} {code}")))
        }
        Outcome::Done { .. } | Outcome::Found(_) | Outcome::Missing | Outcome::Listed(_) => {
            Some((Kind::Refused, format!("an answer to another question: {outcome:?}")))
        }
    }
}

fn describe(event: &Event, kind: Kind, detail: &str) -> Violation {
    let action = match &event.action {
        Action::Put { value, .. } => format!("PUT of value {}", value.number),
        Action::Delete => "DELETE".to_owned(),
        Action::Get => "GET".to_owned(),
        Action::Head => "HEAD".to_owned(),
        Action::List => "LIST".to_owned(),
    };
    let (start, life, client) = (event.start_us, event.start_life, event.client);
    let text = format!("{detail} ({action} of client {client} at {start} us, life {life})");
    Violation::new(kind, &event.key, text)
}

#[cfg(test)]
mod tests;
