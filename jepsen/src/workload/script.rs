//! What one client does: each call follows from the seed and from what its group was told before, and from nothing else.
//! Few clients share a key, and keys are given up after a while, so that the search of the checker stays small: what it may
//! conclude from them is not touched by that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::group::{CLIENTS_PER_KEY, Group};
use super::payload;
use crate::history::Condition;
use crate::operation::{Answer, Ask, AskKind, Call, End};

/// How many keys of a generation a client works on.
const KEYS: u32 = 3;

/// The buckets of a run; the second keeps versions.
pub const PLAIN_BUCKET: &str = "data";
pub const VERSIONED_BUCKET: &str = "versioned";

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Puts, gets, deletes and conditional puts on a few keys.
    Register,
    /// A key is created and deleted by whoever holds it.
    Lock,
    /// Unique keys, and listings of all of them.
    Set,
    /// Listings with and without a delimiter over keys that come and go.
    List,
    /// Every client replaces what it read.
    Append,
    /// Multipart uploads, completed, completed again and aborted.
    Upload,
    /// The same in a bucket with versions.
    Versions,
}

pub const WORKLOADS: [Workload; 7] = [
    Workload::Register,
    Workload::Lock,
    Workload::Set,
    Workload::List,
    Workload::Append,
    Workload::Upload,
    Workload::Versions,
];

impl Workload {
    /// What a run of it must have had acknowledged.
    pub fn kinds(self) -> &'static [AskKind] {
        use AskKind::{
            Abort, Complete, Create, Delete, Get, Head, List, ListVersions, Part, Put, StartUpload,
            Swap,
        };
        match self {
            Workload::Register => &[Put, Get, Head, Delete, Create, Swap],
            Workload::Lock => &[Create, Delete, Get],
            Workload::Set => &[Put, List],
            Workload::List => &[Put, Delete, List],
            Workload::Append => &[Get, Create, Swap],
            Workload::Upload => &[StartUpload, Part, Complete, Abort, Get],
            Workload::Versions => &[Put, Get, Delete, ListVersions],
        }
    }
}

/// An upload that a client has under way.
#[derive(Clone, Debug)]
struct Upload {
    key: String,
    id: String,
    part: Option<u64>,
    is_ended: bool,
}

/// One client.
#[derive(Debug)]
pub struct Script {
    seed: u64,
    client: u32,
    workload: Workload,
    rng: StdRng,
    shared: Arc<Group>,
    generation: u32,
    calls: u32,
    bodies: u64,
    /// Every key that it ever changed or tried to.
    written: BTreeSet<String>,
    /// The entity tag last seen at each key of this generation.
    seen: BTreeMap<String, Option<String>>,
    /// The tag under which a lock is held.
    held: Option<(String, String)>,
    upload: Option<Upload>,
}

impl Script {
    /// The clients of a run take turns at the workloads, in groups that share keys.
    pub fn new(seed: u64, client: u32, workloads: &[Workload], groups: &[Arc<Group>]) -> Self {
        let group = usize::try_from(client / CLIENTS_PER_KEY).unwrap_or(0);
        let workload = workloads[group % workloads.len()];
        let rng = StdRng::seed_from_u64(seed ^ (u64::from(client) + 1).rotate_left(32));
        Self {
            seed,
            client,
            workload,
            rng,
            shared: groups[group % groups.len()].clone(),
            generation: 0,
            calls: 0,
            bodies: 0,
            written: BTreeSet::new(),
            seen: BTreeMap::new(),
            held: None,
            upload: None,
        }
    }

    /// What the client asks next.
    pub fn call(&mut self) -> Call {
        self.calls += 1;
        let generation = self.shared.call();
        if generation != self.generation {
            self.generation = generation;
            self.seen.clear();
            (self.held, self.upload) = (None, None);
        }
        let (key, ask) = match self.workload {
            Workload::Register => self.register(),
            Workload::Lock => self.lock(),
            Workload::Set => self.set(),
            Workload::List => self.list(),
            Workload::Append => self.append(),
            Workload::Upload => self.upload(),
            Workload::Versions => self.versions(),
        };
        if ask.is_write() {
            self.written.insert(key.clone());
        }
        self.on(key, ask)
    }

    /// Takes in how a call ended.
    pub fn told(&mut self, call: &Call, end: &End) {
        if matches!(end, End::Info(_)) && call.ask.is_write() {
            self.shared.unknown();
        }
        let etag = match (&call.ask, end) {
            (ask, End::Ok(Answer::Done(_))) => ask.body().map(|body| body.etag.clone()),
            (_, End::Ok(Answer::Found(seen))) => Some(seen.etag.clone()),
            (_, End::Ok(Answer::Missing)) => None,
            (Ask::StartUpload, End::Ok(Answer::Started { upload })) => {
                let (key, id) = (call.key.clone(), upload.clone());
                self.upload = Some(Upload { key, id, part: None, is_ended: false });
                return;
            }
            (_, End::Ok(_) | End::Fail { .. } | End::Info(_)) => {
                self.held = None;
                return;
            }
        };
        match (&call.ask, &mut self.upload) {
            (Ask::Part { body, .. }, Some(upload)) => {
                upload.part = Some(body.number);
                return;
            }
            (Ask::Complete { .. } | Ask::Abort { .. }, Some(upload)) => upload.is_ended = true,
            _ => {}
        }
        if self.workload == Workload::Lock {
            let is_create = call.ask.kind() == AskKind::Create;
            self.held = etag.clone().filter(|_| is_create).map(|etag| (call.key.clone(), etag));
        }
        self.seen.insert(call.key.clone(), etag);
    }

    /// What is read of this client's keys when all faults are over.
    pub fn closing(&self) -> Vec<Call> {
        let list = match self.workload {
            Workload::Versions => Ask::ListVersions,
            _ => Ask::List { delimiter: None, page_keys: 1_000 },
        };
        let mut calls = vec![self.on(self.group(), list)];
        calls.extend(self.written.iter().map(|key| self.on(key.clone(), Ask::Get)));
        calls
    }

    fn on(&self, key: String, ask: Ask) -> Call {
        let bucket = match self.workload {
            Workload::Versions => VERSIONED_BUCKET,
            _ => PLAIN_BUCKET,
        };
        Call { bucket: bucket.to_owned(), key, ask }
    }

    /// The prefix of all keys that this client shares with its group.
    fn group(&self) -> String {
        format!("{:?}-{}/", self.workload, self.client / CLIENTS_PER_KEY).to_lowercase()
    }

    fn key(&mut self, keys: u32) -> String {
        format!("{}{:05}/{}", self.group(), self.generation, self.rng.random_range(0..keys))
    }

    fn number(&mut self) -> u64 {
        self.bodies += 1;
        u64::from(self.client) << 40 | self.bodies
    }

    fn put(&mut self, condition: Condition) -> Ask {
        let number = self.number();
        Ask::Put { body: payload::plain(self.seed, number), condition }
    }

    fn register(&mut self) -> (String, Ask) {
        let key = self.key(KEYS);
        let ask = match self.rng.random_range(0..100) {
            0..35 => self.put(Condition::None),
            35..58 => Ask::Get,
            58..70 => Ask::Head,
            70..80 => Ask::Delete { etag: None },
            80..88 => self.put(Condition::Absent),
            _ => self.swap(&key),
        };
        (key, ask)
    }

    /// Replaces what was seen last, which may be there no more.
    fn swap(&mut self, key: &str) -> Ask {
        match self.seen.get(key).cloned().flatten() {
            Some(etag) => self.put(Condition::Etag(etag)),
            None => Ask::Get,
        }
    }

    fn lock(&mut self) -> (String, Ask) {
        if let Some((key, etag)) = self.held.take() {
            return (key, Ask::Delete { etag: Some(etag) });
        }
        let key = self.key(1);
        let ask = match self.rng.random_range(0..100) {
            0..25 => Ask::Get,
            // Somebody died holding it.
            25..40 => match self.seen.get(&key).cloned().flatten() {
                Some(etag) => Ask::Delete { etag: Some(etag) },
                None => self.put(Condition::Absent),
            },
            _ => self.put(Condition::Absent),
        };
        (key, ask)
    }

    fn set(&mut self) -> (String, Ask) {
        if self.calls.is_multiple_of(20) {
            return (self.group(), Ask::List { delimiter: None, page_keys: 100 });
        }
        let number = self.bodies + 1;
        let key = format!("{}{}/{number:06}", self.group(), self.client);
        (key, self.put(Condition::None))
    }

    fn list(&mut self) -> (String, Ask) {
        let key = self.key(12);
        let ask = match self.rng.random_range(0..100) {
            0..45 => self.put(Condition::None),
            45..65 => Ask::Delete { etag: None },
            dice => {
                let delimiter = (dice < 80).then(|| "/".to_owned());
                return (self.group(), Ask::List { delimiter, page_keys: 5 });
            }
        };
        (key, ask)
    }

    fn append(&mut self) -> (String, Ask) {
        let key = self.key(1);
        match self.seen.remove(&key) {
            Some(Some(etag)) => (key, self.put(Condition::Etag(etag))),
            Some(None) => (key, self.put(Condition::Absent)),
            None => (key, Ask::Get),
        }
    }

    fn upload(&mut self) -> (String, Ask) {
        let Some(Upload { key, id, part, is_ended }) = self.upload.clone() else {
            return match self.rng.random_range(0..100) {
                0..30 => (self.key(KEYS), Ask::Get),
                _ => (self.key(KEYS), Ask::StartUpload),
            };
        };
        let dice = self.rng.random_range(0..100);
        match part {
            None => {
                let body = payload::plain(self.seed, self.number());
                (key, Ask::Part { upload: id, part: 1, body })
            }
            Some(_) if dice < 30 => {
                self.upload = None;
                (key, Ask::Abort { upload: id })
            }
            Some(_) if is_ended && dice < 70 => {
                self.upload = None;
                (key, Ask::Get)
            }
            Some(_) if !is_ended && dice < 40 => {
                let body = payload::plain(self.seed, self.number());
                (key, Ask::Part { upload: id, part: 1, body })
            }
            Some(number) => {
                let parts = vec![payload::plain(self.seed, number).etag];
                let body = payload::one_part(self.seed, number);
                (key, Ask::Complete { upload: id, parts, body })
            }
        }
    }

    fn versions(&mut self) -> (String, Ask) {
        let key = self.key(KEYS);
        let ask = match self.rng.random_range(0..100) {
            0..40 => self.put(Condition::None),
            40..60 => Ask::Delete { etag: None },
            60..90 => Ask::Get,
            _ => {
                let (generation, _) = key.rsplit_once('/').unwrap_or((&key, ""));
                return (format!("{generation}/"), Ask::ListVersions);
            }
        };
        (key, ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::group::{UNKNOWN_PER_GENERATION, groups};

    #[test]
    fn calls_follow_from_the_seed() {
        let calls = |seed, client| {
            let mut script = Script::new(seed, client, &WORKLOADS, &groups(21));
            (0..500).map(|_| script.call()).collect::<Vec<_>>()
        };
        for client in 0..21 {
            assert_eq!(calls(1, client), calls(1, client));
        }
        assert_ne!(calls(1, 0), calls(2, 0));
        assert_ne!(calls(1, 0), calls(1, 1));
    }

    #[test]
    fn a_group_goes_on_to_new_keys_when_too_much_is_unknown() {
        let groups = groups(CLIENTS_PER_KEY);
        let mut scripts = [0, 1].map(|client| Script::new(1, client, &[Workload::Lock], &groups));
        let mut keys = BTreeSet::new();
        for _ in 0..100 {
            for script in &mut scripts {
                let call = script.call();
                script.told(&call, &End::Info("lost".to_owned()));
                keys.insert(call.key);
            }
        }
        let unknown = u32::try_from(keys.len()).unwrap_or(0) * (UNKNOWN_PER_GENERATION + 1);
        assert!((100..=200).contains(&unknown), "{} keys", keys.len());
        let closing: BTreeSet<String> =
            scripts.iter().flat_map(Script::closing).map(|call| call.key).collect();
        assert!(closing.is_superset(&scripts[0].written) && scripts[0].written.len() > 10);
    }
}
