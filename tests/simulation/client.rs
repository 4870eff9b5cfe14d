//! Clients: each asks one node after another, waits for an answer or gives up, and notes both. A write whose outcome is unknown is
//! sometimes repeated through another node as the same command, as SDKs do; then it is one operation to the end.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use vaultaire_proto::command::{DeleteVersion, Match, PutVersion, Target, shard_of};
use vaultaire_proto::object::{Attributes, Blob};
use vaultaire_proto::{
    Catalog, CatalogError, Command, Condition, NodeId, ObjectKey, Operation, Rejection, RequestId,
    Response, UploadId, UserId,
};

use super::content::{self, Sent};
use super::dice::Dice;
use super::found::{BUCKET, NOT_AFTER, SHARDS};
use super::gateway::Written;
use super::history::{Action, Event, History, Outcome, Value};
use super::node::{Nodes, Ready};
use super::upload;
use super::world::World;

/// Keys in use at the same time.
const KEYS: u64 = 6;

/// A key is given up after so many operations: what checks them gets slower with each.
const OPERATIONS_PER_KEY: u64 = 48;

/// How often a write is held up between its bytes and its proposal. Its node may die meanwhile, and another one propose it.
const PAUSED_PERMILLE: u64 = 60;

/// How often a client comes back so late that epochs were closed and swept meanwhile.
const OVERSLEPT_PERMILLE: u64 = 150;

/// How often a client repeats a command that it knows no outcome of.
const REPEATS_MAX: u64 = 3;

/// How long a client waits for one node, at most. An upload is many steps: those who make them wait less for each.
const ASKED_MS_MAX: u64 = 15_000;
const STEP_MS_MAX: u64 = 3000;

/// Attempts beyond those that a client makes for an object: an upload that loses a part is lost.
const UPLOAD_PATIENCE: u64 = 3;

/// How often a client that does not know what became of a part sends its bytes again, instead of the node the command.
const RESENT_PERMILLE: u64 = 300;

/// What all clients share.
pub struct Clients {
    pub world: Arc<World>,
    pub nodes: Nodes,
    pub history: History,
    /// How many values are written in parts.
    in_parts_permille: u64,
    keys: Mutex<Vec<(u64, u64)>>,
    stop: CancellationToken,
}

/// A write that can be proposed, and repeated. Its epoch stays open meanwhile.
pub(super) struct Prepared {
    command: Command,
    written: Option<Written>,
    /// What the upload that it begins is called.
    pub(super) begun: Option<UploadId>,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Object(Action),
    Begin,
    Part(UploadId, Sent),
    Complete(UploadId, Action),
    Abort(UploadId),
}

impl Work {
    fn is_of_an_upload(self) -> bool {
        !matches!(self, Self::Object(_))
    }

    fn aborts(self) -> bool {
        matches!(self, Self::Abort(_))
    }
}

/// What became of one attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Outcome(Outcome),
    /// Nothing was done.
    Nothing,
}

impl Clients {
    pub fn new(world: Arc<World>, nodes: Nodes, in_parts_permille: u64) -> Arc<Self> {
        Arc::new(Self {
            in_parts_permille,
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
            match action.value().is_some_and(content::is_in_parts) {
                true => self.upload(client, &key, action, &dice).await,
                false => self.operate(client, &key, action, &dice).await,
            }
        }
    }

    fn action(&self, key: &ObjectKey, dice: &Dice) -> Action {
        let value = || match (self.history.fresh_value(), dice.permille(self.in_parts_permille)) {
            (value, true) => content::in_parts(value),
            (value, false) => value,
        };
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
        let began = self.history.now();
        let outcome = match self.attempt(client, key, Work::Object(action), dice).await.0 {
            Told::Outcome(outcome) => outcome,
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

    /// Asks nodes until one tells what became of it, or the client has enough.
    pub(super) async fn attempt(
        &self,
        client: u64,
        key: &ObjectKey,
        work: Work,
        dice: &Dice,
    ) -> (Told, Option<Prepared>) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let (mut prepared, mut unknown, request) = (None, false, dice.bytes());
        let mut attempts = 1 + dice.below(REPEATS_MAX + 1);
        if work.is_of_an_upload() {
            attempts += UPLOAD_PATIENCE;
        }
        let told = loop {
            let node = *dice.pick(&ids);
            self.world.trace.add(format_args!("client {client} {work:?} {key} at {node}"));
            let told = self.ask(node, key, work, request, &mut prepared, dice).await;
            attempts -= 1;
            unknown |= matches!(told, Told::Outcome(Outcome::Unknown));
            let definite = matches!(told, Told::Outcome(Outcome::Done | Outcome::Refused));
            // Only a write that may have happened is worth repeating, and an upload that has begun.
            let worthwhile = unknown || work.is_of_an_upload();
            if attempts == 0 || definite || !worthwhile || self.stop.is_cancelled() {
                break told;
            }
            // The bytes are sent again: other bytes on backends, under the same request.
            if matches!(work, Work::Part(..)) && (!unknown || dice.permille(RESENT_PERMILLE)) {
                prepared = None;
            }
            let may_oversleep = unknown || !work.is_of_an_upload();
            let pause = match may_oversleep && dice.permille(OVERSLEPT_PERMILLE) {
                true => dice.ms(3000, 9000),
                false => dice.ms(10, 1500),
            };
            sleep(pause).await;
        };
        // An earlier attempt may still take effect, whatever the last one said.
        match told {
            Told::Nothing if unknown => (Told::Outcome(Outcome::Unknown), prepared),
            told => (told, prepared),
        }
    }

    async fn ask(
        &self,
        node: NodeId,
        key: &ObjectKey,
        work: Work,
        request: [u8; 16],
        prepared: &mut Option<Prepared>,
        dice: &Dice,
    ) -> Told {
        let Some(ready) = self.nodes[&node].ready() else {
            sleep(dice.ms(1, 30)).await;
            return Told::Nothing;
        };
        let asked = async {
            if work == Work::Object(Action::Read) {
                return self.read(&ready, key).await;
            }
            if prepared.is_none() {
                *prepared = self.prepare(&ready, key, work, request).await;
                let has_bytes = prepared.as_ref().is_some_and(|it| it.written.is_some());
                let late = has_bytes || !work.is_of_an_upload();
                if late && dice.permille(PAUSED_PERMILLE) {
                    sleep(dice.ms(2000, 8000)).await;
                }
            }
            match prepared {
                Some(prepared) => self.write(&ready, work, prepared).await,
                None => Told::Nothing,
            }
        };
        let patience = if work.is_of_an_upload() { STEP_MS_MAX } else { ASKED_MS_MAX };
        let told = tokio::select! {
            biased;
            () = ready.over.cancelled() => None,
            () = self.stop.cancelled() => None,
            told = timeout(dice.ms(200, patience), asked) => told.ok(),
        };
        match told {
            Some(told) => told,
            // Until it was proposed, nothing can have happened.
            None if prepared.is_none() => Told::Nothing,
            None => Told::Outcome(Outcome::Unknown),
        }
    }

    async fn write(&self, ready: &Ready, work: Work, prepared: &mut Prepared) -> Told {
        match ready.catalog.commit(prepared.command.clone()).await {
            Ok(Response::Put(_) | Response::Deleted(_) | Response::PartPut { .. }) => {
                Told::Outcome(Outcome::Done)
            }
            Ok(Response::UploadCreated { upload }) => {
                prepared.begun = Some(upload);
                Told::Outcome(Outcome::Done)
            }
            Ok(Response::Done) if work.aborts() => Told::Outcome(Outcome::Done),
            Ok(Response::Rejected(Rejection::NoSuchUpload)) if work.aborts() => {
                Told::Outcome(Outcome::Refused)
            }
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
                self.world.fail(format!("{work:?} was answered {other:?}"));
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

    /// What a node makes of a write before it proposes it: bytes first.
    async fn prepare(
        &self,
        ready: &Ready,
        key: &ObjectKey,
        work: Work,
        request: [u8; 16],
    ) -> Option<Prepared> {
        let shard = shard_of(BUCKET, key, SHARDS);
        let write = async |value, bytes| ready.gateway.write(shard, value, bytes).await;
        let (operation, written) = match work {
            Work::Object(Action::Delete) => {
                let (target, condition) = (target(key), Condition::default());
                let delete = DeleteVersion { target, owner: UserId(1), version: None, condition };
                (Operation::DeleteVersion(delete), None)
            }
            Work::Object(action) => {
                let value = action.value()?;
                let written = write(value, content::whole(value)).await?;
                (put(key, action, value, written.blob.clone()), Some(written))
            }
            Work::Begin => (upload::begin(key), None),
            Work::Part(upload, part) => {
                let written = write(part.value, part.bytes()).await?;
                (upload::put_part(key, upload, part, written.blob.clone()), Some(written))
            }
            Work::Complete(upload, action) => (upload::complete(key, upload, action)?, None),
            Work::Abort(upload) => (Operation::AbortUpload { target: target(key), upload }, None),
        };
        let request = RequestId(request);
        let command = Command { group: shard, request, not_after: NOT_AFTER, operation };
        Some(Prepared { command, written, begun: None })
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
}

fn put(key: &ObjectKey, action: Action, value: Value, blob: Blob) -> Operation {
    Operation::PutVersion(PutVersion {
        target: target(key),
        owner: UserId(1),
        etag: content::etag(value),
        checksum: None,
        attributes: Attributes::default(),
        blob,
        condition: condition(action),
        digest: u128::from(value).to_be_bytes(),
    })
}

/// What has to be true of the key.
pub(super) fn condition(action: Action) -> Condition {
    match action {
        Action::Put(_) | Action::Delete | Action::Read => Condition::default(),
        Action::Create(_) => Condition { if_none_match: Some(Match::Any), ..Condition::default() },
        Action::Swap { old, .. } => {
            let if_match = Some(Match::ETag(content::etag(old)));
            Condition { if_match, ..Condition::default() }
        }
    }
}

pub(super) fn target(key: &ObjectKey) -> Target {
    Target { bucket: BUCKET, bucket_generation: 1, key: key.clone() }
}
