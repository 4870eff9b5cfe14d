//! Clients: each asks one node after another, waits for an answer or gives up, and notes both. A write whose outcome is unknown is
//! sometimes repeated through another node as the same command, as SDKs do; then it is one operation to the end.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use vaultaire_proto::command::{DeleteVersion, Match, PutVersion, Target, shard_of};
use vaultaire_proto::object::{Attributes, Blob, Body, VersionEntry};
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::{
    Answer, Catalog, CatalogError, Command, Condition, Consistency, ETag, GroupId, NodeId,
    ObjectKey, Operation, Query, Rejection, RequestId, Response, UserId,
};

use super::dice::Dice;
use super::found::{BUCKET, CLUSTER, NOT_AFTER, SHARDS};
use super::gateway::{Written, content};
use super::history::{Action, Event, History, Outcome, Value};
use super::node::{Nodes, Ready};
use super::world::World;

/// Keys in use at the same time.
const KEYS: u64 = 6;

/// A key is given up after so many operations: what checks them gets slower with each.
const OPERATIONS_PER_KEY: u64 = 48;

/// No object has more.
const BYTES_MAX: u64 = 64;

/// How often a read looks for the bytes, as in the router.
const LOOKS_MAX: u32 = 3;

/// How often a write is held up between its bytes and its proposal. Its node may die meanwhile, and another one propose it.
const PAUSED_PERMILLE: u64 = 60;

/// How often a client comes back so late that epochs were closed and swept meanwhile.
const OVERSLEPT_PERMILLE: u64 = 150;

/// How often a client repeats a command that it knows no outcome of.
const REPEATS_MAX: u64 = 3;

/// What all clients share.
pub struct Clients {
    pub world: Arc<World>,
    pub nodes: Nodes,
    pub history: History,
    keys: Mutex<Vec<(u64, u64)>>,
    stop: CancellationToken,
}

/// A write that can be proposed, and repeated. Its epoch stays open meanwhile.
struct Prepared {
    command: Command,
    written: Option<Written>,
}

/// What backends hold of a version.
enum Holds {
    Value,
    /// Or none did answer.
    Nothing,
    /// No backend has it: it was moved or replaced meanwhile.
    Gone,
}

/// What became of one attempt.
enum Told {
    Outcome(Outcome),
    /// Nothing was done.
    Nothing,
}

impl Clients {
    pub fn new(world: Arc<World>, nodes: Nodes) -> Arc<Self> {
        Arc::new(Self {
            world,
            nodes,
            history: History::default(),
            keys: Mutex::new(vec![(0, 0); KEYS as usize]),
            stop: CancellationToken::new(),
        })
    }

    /// One of the keys in use.
    fn key(&self, dice: &Dice) -> ObjectKey {
        let at = dice.below(KEYS) as usize;
        let (generation, used) = &mut self.keys.lock()[at];
        *used += 1;
        if *used > OPERATIONS_PER_KEY {
            (*generation, *used) = (*generation + 1, 1);
        }
        ObjectKey::parse(&format!("key-{at}-{generation}")).expect("a valid key")
    }

    /// Works until told to stop.
    pub async fn run(self: Arc<Self>, client: u64, dice: Dice) {
        while !self.stop.is_cancelled() {
            sleep(dice.ms(0, 120)).await;
            let key = self.key(&dice);
            let action = self.action(&key, &dice);
            self.operate(client, &key, action, &dice).await;
        }
    }

    fn action(&self, key: &ObjectKey, dice: &Dice) -> Action {
        let value = || self.history.fresh_value();
        match dice.below(100) {
            0..45 => Action::Read,
            45..70 => Action::Put(value()),
            70..80 => Action::Delete,
            80..90 => Action::Create(value()),
            _ => match self.history.seen(key) {
                Some(old) => Action::Swap { old, new: value() },
                None => Action::Create(value()),
            },
        }
    }

    async fn operate(&self, client: u64, key: &ObjectKey, action: Action, dice: &Dice) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let began = self.history.now();
        let (mut prepared, mut unknown) = (None, false);
        let mut attempts = 1 + dice.below(REPEATS_MAX + 1);
        let told = loop {
            let node = *dice.pick(&ids);
            self.world.trace.add(format_args!("client {client} {action:?} {key} at {node}"));
            let told = self.ask(node, key, action, &mut prepared, dice).await;
            attempts -= 1;
            unknown |= matches!(told, Told::Outcome(Outcome::Unknown));
            let definite = matches!(told, Told::Outcome(Outcome::Done | Outcome::Refused));
            // Only a write that may have happened is worth repeating.
            if attempts == 0 || definite || !unknown || self.stop.is_cancelled() {
                break told;
            }
            let pause = match dice.permille(OVERSLEPT_PERMILLE) {
                true => dice.ms(3000, 9000),
                false => dice.ms(10, 1500),
            };
            sleep(pause).await;
        };
        // An earlier attempt may still take effect, whatever the last one said.
        let outcome = match told {
            Told::Outcome(outcome) => outcome,
            Told::Nothing if unknown => Outcome::Unknown,
            Told::Nothing => return,
        };
        self.world.trace.add(format_args!("client {client} {action:?} {key} {outcome:?}"));
        let unknown = outcome == Outcome::Unknown;
        if unknown && action == Action::Read {
            return;
        }
        let ended = (!unknown).then(|| self.history.now());
        self.history.add(key, Event { client, action, outcome, began, ended });
    }

    async fn ask(
        &self,
        node: NodeId,
        key: &ObjectKey,
        action: Action,
        prepared: &mut Option<Prepared>,
        dice: &Dice,
    ) -> Told {
        let Some(ready) = self.nodes[&node].ready() else {
            sleep(dice.ms(1, 30)).await;
            return Told::Nothing;
        };
        let asked = async {
            if action == Action::Read {
                return self.read(&ready, key).await;
            }
            if prepared.is_none() {
                *prepared = self.prepare(&ready, key, action, dice.bytes()).await;
                if dice.permille(PAUSED_PERMILLE) {
                    sleep(dice.ms(2000, 8000)).await;
                }
            }
            match prepared {
                Some(prepared) => self.write(&ready, action, prepared).await,
                None => Told::Nothing,
            }
        };
        let told = tokio::select! {
            biased;
            () = ready.over.cancelled() => None,
            () = self.stop.cancelled() => None,
            told = timeout(dice.ms(200, 15_000), asked) => told.ok(),
        };
        match told {
            Some(told) => told,
            // Until it was proposed, nothing can have happened.
            None if prepared.is_none() => Told::Nothing,
            None => Told::Outcome(Outcome::Unknown),
        }
    }

    async fn write(&self, ready: &Ready, action: Action, prepared: &Prepared) -> Told {
        match ready.catalog.commit(prepared.command.clone()).await {
            Ok(Response::Put(_) | Response::Deleted(_)) => Told::Outcome(Outcome::Done),
            Ok(Response::Rejected(Rejection::PreconditionFailed | Rejection::NoSuchKey)) => {
                Told::Outcome(Outcome::Refused)
            }
            Ok(Response::Rejected(Rejection::EpochClosed)) => {
                if let Some(written) = &prepared.written {
                    ready.gateway.epochs.forget(&written.lease.key);
                }
                Told::Nothing
            }
            // A backend of it is drained, and this node has not heard of it.
            Ok(Response::Rejected(Rejection::StaleConfig)) => Told::Nothing,
            Ok(other) => {
                self.world.fail(format!("{action:?} was answered {other:?}"));
                Told::Outcome(Outcome::Unknown)
            }
            Err(
                CatalogError::NoLeader { .. }
                | CatalogError::Busy { .. }
                | CatalogError::Unsupported,
            ) => Told::Nothing,
            Err(CatalogError::OutcomeUnknown { .. } | CatalogError::Stopped) => {
                Told::Outcome(Outcome::Unknown)
            }
        }
    }

    /// As a node reads: where no copy is left it looks again.
    async fn read(&self, ready: &Ready, key: &ObjectKey) -> Told {
        for _ in 0..LOOKS_MAX {
            if let Some(told) = self.look(ready, key).await {
                return told;
            }
        }
        Told::Nothing
    }

    async fn look(&self, ready: &Ready, key: &ObjectKey) -> Option<Told> {
        let query =
            Query::Version { bucket: BUCKET, key: key.clone(), version: None, manifest: false };
        match ready.catalog.query(query, Consistency::Linearizable).await {
            Ok(Answer::Version(None)) => Some(Told::Outcome(Outcome::Found(None))),
            Ok(Answer::Version(Some(VersionEntry::Object(version)))) => {
                let value = value_of(version.etag);
                match self.holds(&version.body, value).await {
                    Holds::Value => Some(Told::Outcome(Outcome::Found(Some(value)))),
                    Holds::Nothing => Some(Told::Nothing),
                    // What the router does where this is planted.
                    Holds::Gone if planted::is(Planted::CollectedUndrained) => {
                        Some(Told::Outcome(Outcome::Found(None)))
                    }
                    Holds::Gone => None,
                }
            }
            Ok(other) => {
                self.world.fail(format!("a read was answered {other:?}"));
                Some(Told::Nothing)
            }
            Err(_) => Some(Told::Nothing),
        }
    }

    /// Whether backends have what the rows say. What was replaced meanwhile may be gone.
    async fn holds(&self, body: &Body, value: Value) -> Holds {
        let Body::Whole(Blob { copies, .. }) = body else {
            self.world.fail(format!("value {value} is in parts"));
            return Holds::Nothing;
        };
        let mut gone = true;
        for copy in copies {
            let key = copy.key.backend_key(CLUSTER);
            let backend = self.world.registry.get(copy.backend).expect("it was never lost");
            let got = match backend.get(&key, None).await {
                Ok(object) => object.collect(BYTES_MAX).await,
                Err(error) => Err(error),
            };
            match got {
                Ok(bytes) if bytes == content(value) => return Holds::Value,
                Ok(bytes) => {
                    let told = format!("{key} holds {bytes:?} and not value {value}");
                    self.world.fail(told);
                    return Holds::Nothing;
                }
                Err(error) => gone &= error.is_not_found(),
            }
        }
        if gone { Holds::Gone } else { Holds::Nothing }
    }

    /// What a node makes of a write before it proposes it: bytes first.
    async fn prepare(
        &self,
        ready: &Ready,
        key: &ObjectKey,
        action: Action,
        request: [u8; 16],
    ) -> Option<Prepared> {
        let shard = shard_of(BUCKET, key, SHARDS);
        let target = Target { bucket: BUCKET, bucket_generation: 1, key: key.clone() };
        let (value, condition) = match action {
            Action::Read => return None,
            Action::Delete => {
                let delete = DeleteVersion {
                    target,
                    owner: UserId(1),
                    version: None,
                    condition: Condition::default(),
                };
                let command = command(shard, request, Operation::DeleteVersion(delete));
                return Some(Prepared { command, written: None });
            }
            Action::Put(value) => (value, Condition::default()),
            Action::Create(value) => {
                (value, Condition { if_none_match: Some(Match::Any), ..Condition::default() })
            }
            Action::Swap { old, new } => {
                let if_match = Some(Match::ETag(etag(old)));
                (new, Condition { if_match, ..Condition::default() })
            }
        };
        let written = ready.gateway.write(shard, value).await?;
        let put = PutVersion {
            target,
            owner: UserId(1),
            etag: etag(value),
            checksum: None,
            attributes: Attributes::default(),
            blob: written.blob.clone(),
            condition,
            digest: u128::from(value).to_be_bytes(),
        };
        let command = command(shard, request, Operation::PutVersion(put));
        Some(Prepared { command, written: Some(written) })
    }

    /// Nobody asks anything new; what is under way is given up, its outcome unknown.
    pub async fn give_up(&self, working: &mut JoinSet<()>) {
        self.stop.cancel();
        while let Some(ended) = working.join_next().await {
            if let Err(error) = ended {
                self.world.fail(format!("a client failed: {error}"));
            }
        }
    }

    /// Reads every key through every node, as long as it takes within a bound.
    pub async fn read_all(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        for key in self.history.events().keys() {
            for node in self.nodes.values() {
                let began = self.history.now();
                let outcome = loop {
                    let told = match node.ready() {
                        Some(ready) => self.read(&ready, key).await,
                        None => Told::Nothing,
                    };
                    match told {
                        Told::Outcome(outcome) => break outcome,
                        Told::Nothing if Instant::now() < deadline => {
                            sleep(Duration::from_millis(100)).await;
                        }
                        Told::Nothing => {
                            let why = "a read after everything was healed has no answer";
                            return self.world.fail(format!("{why}: {key} at {}", node.id));
                        }
                    }
                };
                let ended = Some(self.history.now());
                let action = Action::Read;
                self.history.add(key, Event { client: 0, action, outcome, began, ended });
            }
        }
    }
}

fn command(group: GroupId, request: [u8; 16], operation: Operation) -> Command {
    Command { group, request: RequestId(request), not_after: NOT_AFTER, operation }
}

fn etag(value: Value) -> ETag {
    ETag::whole(u128::from(value).to_be_bytes())
}

fn value_of(etag: ETag) -> Value {
    u128::from_be_bytes(etag.md5) as Value
}
