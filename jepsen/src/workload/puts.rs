//! The durability load: each client writes, overwrites, deletes and reads keys of its own, and now and then
//! races the others for the creation of a key. It records what it was told; the checkers judge.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

use super::body;
use crate::checker::Violation;
use crate::checker::durability::{Known, Ledger};
use crate::client::{Client, Retries};
use crate::error::Error;
use crate::history::{Action, Condition, Event, Line, Outcome, Recorder, Value};
use crate::process::Ready;

/// How many of its newest keys a client works on; older ones rest until the audit.
const KEYS_AT_WORK: usize = 32;

/// How many of its last keys a client reads first when a new life is ready.
const CHECKED_AFTER_RESTART: usize = 6;

/// How many clients race for one key.
const RACERS: u64 = 4;

/// Where raced keys live.
pub const RACES: &str = "race/";

/// Middles of keys that have hurt other stores.
const ODD: [&str; 8] = ["", "a b", "ü", "x//y", "1+1=2", "%2F", "\u{1F980}", "(!'*)&$@"];

/// A life of the server that is ready.
#[derive(Clone, Debug)]
pub struct Life {
    pub number: u32,
    pub ready: Ready,
}

/// What all clients of a run share.
#[derive(Debug)]
pub struct Shared {
    pub seed: u64,
    pub recorder: Recorder,
    /// The life to talk to; none between a kill and readiness.
    pub life: watch::Receiver<Option<Life>>,
    /// The newest life that was begun, ready or not.
    pub newest_life: AtomicU32,
    pub stop: AtomicBool,
    pub values: AtomicU64,
    pub race_tickets: AtomicU64,
    pub connections: SharedHttpClient,
}

/// One client.
#[derive(Debug)]
pub struct Worker {
    pub number: u32,
    shared: Arc<Shared>,
    rng: StdRng,
    retries: Retries,
    pub ledger: Ledger,
    pub races: Vec<Event>,
    pub violations: Vec<Violation>,
    at_work: VecDeque<String>,
    touched: VecDeque<String>,
    made: u64,
}

impl Worker {
    pub fn new(number: u32, shared: Arc<Shared>) -> Self {
        let rng = StdRng::seed_from_u64(shared.seed ^ (u64::from(number) + 1).rotate_left(32));
        // Both kinds of client, always: retries hide errors, and their absence hides their bugs.
        let retries = if number.is_multiple_of(2) { Retries::On } else { Retries::Off };
        Self {
            number,
            shared,
            rng,
            retries,
            ledger: Ledger::default(),
            races: Vec::new(),
            violations: Vec::new(),
            at_work: VecDeque::new(),
            touched: VecDeque::new(),
            made: 0,
        }
    }

    /// Works until told to stop, or until no life can follow.
    pub async fn run(mut self) -> Result<Self, Error> {
        let mut lives = self.shared.life.clone();
        let mut session: Option<Session> = None;
        while !self.shared.stop.load(Ordering::Relaxed) {
            let Ok(life) = lives.wait_for(Option::is_some).await.map(|life| life.clone()) else {
                break;
            };
            let Some(life) = life else { continue };
            if session.as_ref().is_none_or(|session| session.life != life.number) {
                let connections = self.shared.connections.clone();
                let client = Client::new(&life.ready, self.retries, connections);
                let begun = Session { life: life.number, client };
                self.check_touched(&begun).await?;
                session = Some(begun);
            }
            if let Some(session) = &session {
                self.step(session).await?;
            }
        }
        Ok(self)
    }

    /// What was touched last before the kill is the likeliest to be damaged.
    async fn check_touched(&mut self, session: &Session) -> Result<(), Error> {
        for key in std::mem::take(&mut self.touched) {
            self.get(session, &key).await?;
        }
        Ok(())
    }

    async fn step(&mut self, session: &Session) -> Result<(), Error> {
        let dice = self.rng.random_range(0..1000);
        match dice {
            0..460 => {
                let key = self.key_to_write();
                self.put(session, key, Condition::None).await
            }
            460..464 => {
                let key = self.key_to_write();
                self.put_parts(session, key).await
            }
            464..544 => {
                let key = self.key_to_write();
                self.put(session, key, Condition::Absent).await
            }
            544..604 => self.swap(session).await,
            604..700 => self.delete(session).await,
            700..900 => {
                let key = self.key_at_work();
                self.get(session, &key).await
            }
            900..930 => {
                let key = self.key_at_work();
                let begun = self.begin(session);
                let outcome = session.client.head(&key).await;
                self.end(begun, key, Action::Head, outcome)
            }
            930..945 => self.list(session).await,
            _ => self.race(session).await,
        }
    }

    /// A third of the writes go to a new key, the others overwrite.
    fn key_to_write(&mut self) -> String {
        if self.at_work.is_empty() || self.rng.random_bool(0.3) {
            let odd = ODD[self.rng.random_range(0..ODD.len())];
            let key = format!("{}{odd}/{:06}", self.prefix(), self.made);
            self.made += 1;
            self.at_work.push_back(key.clone());
            if self.at_work.len() > KEYS_AT_WORK {
                self.at_work.pop_front();
            }
            return key;
        }
        self.key_at_work()
    }

    fn key_at_work(&mut self) -> String {
        match self.at_work.len() {
            0 => format!("{}never-written", self.prefix()),
            keys => self.at_work[self.rng.random_range(0..keys)].clone(),
        }
    }

    /// Every key of this client begins so, and no other client's does.
    pub fn prefix(&self) -> String {
        format!("c{:03}/", self.number)
    }

    async fn put(&mut self, session: &Session, key: String, when: Condition) -> Result<(), Error> {
        let number = self.shared.values.fetch_add(1, Ordering::Relaxed);
        let body = body::plain(self.shared.seed, number, body::plain_size(&mut self.rng));
        let value = body::value_of(number, &body);
        let begun = self.begin(session);
        let outcome = session.client.put(&key, body, &when).await;
        self.end(begun, key, Action::Put { value, condition: when, parts: 0 }, outcome)
    }

    async fn put_parts(&mut self, session: &Session, key: String) -> Result<(), Error> {
        let number = self.shared.values.fetch_add(1, Ordering::Relaxed);
        let parts = body::parts(self.shared.seed, number);
        let value = body::value_of_parts(number, &parts);
        let begun = self.begin(session);
        let outcome = session.client.put_parts(&key, &parts).await;
        let parts = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        self.end(begun, key, Action::Put { value, condition: Condition::None, parts }, outcome)
    }

    /// Overwrites what the client knows to be there, or something that is not there.
    async fn swap(&mut self, session: &Session) -> Result<(), Error> {
        let key = self.key_at_work();
        let Known::Value(value) = self.ledger.known(&key, session.life) else {
            // S3 answers 404 to If-Match where nothing is: only what is known to exist is swapped.
            return self.get(session, &key).await;
        };
        let etag = match self.rng.random_bool(0.8) {
            true => value.etag.clone(),
            false => "0".repeat(32),
        };
        self.put(session, key, Condition::Etag(etag)).await
    }

    async fn delete(&mut self, session: &Session) -> Result<(), Error> {
        let key = self.key_at_work();
        let begun = self.begin(session);
        let outcome = session.client.delete(&key).await;
        self.end(begun, key, Action::Delete, outcome)
    }

    async fn get(&mut self, session: &Session, key: &str) -> Result<(), Error> {
        let begun = self.begin(session);
        let outcome = session.client.get(key).await;
        self.end(begun, key.to_owned(), Action::Get, outcome)
    }

    async fn list(&mut self, session: &Session) -> Result<(), Error> {
        let page_keys = self.rng.random_range(20..1000);
        let prefix = self.prefix();
        let begun = self.begin(session);
        let outcome = session.client.list(&prefix, page_keys).await;
        self.end(begun, prefix, Action::List, outcome)
    }

    /// Tries to create the key that this ticket names, then looks who won.
    async fn race(&mut self, session: &Session) -> Result<(), Error> {
        let ticket = self.shared.race_tickets.fetch_add(1, Ordering::Relaxed);
        let key = format!("{RACES}{:06}", ticket / RACERS);
        let number = self.shared.values.fetch_add(1, Ordering::Relaxed);
        // Never empty: two empty bodies could not be told apart.
        let size_bytes = body::plain_size(&mut self.rng).max(16);
        let body = body::plain(self.shared.seed, number, size_bytes);
        let value = body::value_of(number, &body);
        let begun = self.begin(session);
        let outcome = session.client.put(&key, body, &Condition::Absent).await;
        self.end_race(begun, &key, create(value), outcome)?;
        let begun = self.begin(session);
        let outcome = session.client.get(&key).await;
        self.end_race(begun, &key, Action::Get, outcome)
    }

    fn begin(&self, session: &Session) -> Begun {
        Begun { start_us: self.shared.recorder.now_us(), life: session.life }
    }

    fn event(&self, begun: Begun, key: String, action: Action, outcome: Outcome) -> Event {
        Event {
            client: self.number,
            start_us: begun.start_us,
            end_us: self.shared.recorder.now_us(),
            start_life: begun.life,
            end_life: self.shared.newest_life.load(Ordering::SeqCst),
            key,
            action,
            outcome,
        }
    }

    fn end(
        &mut self,
        begun: Begun,
        key: String,
        action: Action,
        outcome: Outcome,
    ) -> Result<(), Error> {
        if !matches!(action, Action::List) {
            self.touched.retain(|touched| *touched != key);
            self.touched.push_back(key.clone());
            if self.touched.len() > CHECKED_AFTER_RESTART {
                self.touched.pop_front();
            }
        }
        let event = self.event(begun, key, action, outcome);
        self.violations.extend(self.ledger.record(&event));
        self.shared.recorder.write(&Line::Operation(event))
    }

    fn end_race(
        &mut self,
        begun: Begun,
        key: &str,
        action: Action,
        outcome: Outcome,
    ) -> Result<(), Error> {
        let event = self.event(begun, key.to_owned(), action, outcome);
        self.races.push(event.clone());
        self.shared.recorder.write(&Line::Operation(event))
    }
}

fn create(value: Value) -> Action {
    Action::Put { value, condition: Condition::Absent, parts: 0 }
}

/// A client's connection to one life.
#[derive(Debug)]
struct Session {
    life: u32,
    client: Client,
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
struct Begun {
    start_us: u64,
    life: u32,
}
