//! Values that clients write in parts. Parts may be sent twice, in any order, through different nodes; nothing is listed that was not
//! acknowledged. Completing is what takes the place of a put: it is the operation of the key.

use std::time::Duration;

use tokio::time::sleep;
use vaultaire_proto::catalog::{Item, ListUploads, ListedUpload};
use vaultaire_proto::command::{CompleteUpload, CreateUpload, ListedPart, PutPart, shard_of};
use vaultaire_proto::object::{Attributes, Blob};
use vaultaire_proto::{
    Answer, Catalog, Command, Consistency, ObjectKey, Operation, Query, Rejection, RequestId,
    Response, UploadId, UserId,
};

use super::client::{Clients, Told, Work, condition, target};
use super::content::{self, Sent};
use super::dice::Dice;
use super::found::{BUCKET, NOT_AFTER, SHARDS};
use super::history::{Action, Event, Outcome};
use super::node::Ready;

/// How often a part is sent twice under one number, with other bytes.
const DRAFTED_PERMILLE: u64 = 350;

/// How often a part is sent that is not listed in the end.
const UNLISTED_PERMILLE: u64 = 150;

/// How often a client dies with its upload, or changes its mind.
const LEFT_PERMILLE: u64 = 80;
const ABORTED_PERMILLE: u64 = 80;

/// How often somebody completes, or aborts, what is completed.
const AGAIN_PERMILLE: u64 = 250;

/// How often a client ends an upload that did not go well, and does not leave it behind.
const TIDY_PERMILLE: u64 = 700;

/// More than a run begins.
const UPLOADS_MAX: usize = 10_000;

const LOOKED_AFTER: Duration = Duration::from_millis(200);

impl Clients {
    /// From the beginning of an upload to its end, whichever that is.
    pub(super) async fn upload(&self, client: u64, key: &ObjectKey, action: Action, dice: &Dice) {
        let Some(upload) = self.begin_upload(client, key, dice).await else {
            return;
        };
        if !self.send_parts(client, key, upload, action, dice).await {
            return self.give_upload_up(client, key, upload, dice).await;
        }
        if dice.permille(LEFT_PERMILLE) {
            return;
        }
        if dice.permille(ABORTED_PERMILLE) {
            self.attempt(client, key, Work::Abort(upload), dice).await;
            return;
        }
        match self.complete(client, key, upload, action, dice).await {
            Outcome::Done => self.ask_again(client, key, upload, action, dice).await,
            // What is refused leaves the upload as it was.
            Outcome::Refused if dice.permille(500) => {
                let value = action.value().expect("what is written in parts has a value");
                self.complete(client, key, upload, Action::Put(value), dice).await;
            }
            Outcome::Refused => self.give_upload_up(client, key, upload, dice).await,
            Outcome::Unknown | Outcome::Found(_) => {}
        }
    }

    /// None where nobody knows it. It may have begun.
    async fn begin_upload(&self, client: u64, key: &ObjectKey, dice: &Dice) -> Option<UploadId> {
        let (_, prepared) = self.attempt(client, key, Work::Begin, dice).await;
        prepared?.begun
    }

    /// Whether all of them are there for certain, and nothing else can come under their numbers.
    async fn send_parts(
        &self,
        client: u64,
        key: &ObjectKey,
        upload: UploadId,
        action: Action,
        dice: &Dice,
    ) -> bool {
        let mut sent = Vec::new();
        for part in content::parts(action.value().expect("what is written in parts has a value")) {
            if dice.permille(DRAFTED_PERMILLE) {
                sent.push(part.draft());
            }
            sent.push(part);
            if dice.permille(UNLISTED_PERMILLE) {
                sent.push(part.beyond());
            }
        }
        if dice.permille(300) {
            // Stable: a part comes after its draft.
            sent.sort_by_key(|part| std::cmp::Reverse(part.number));
        }
        for part in sent {
            let (told, _) = self.attempt(client, key, Work::Part(upload, part), dice).await;
            match told {
                Told::Outcome(Outcome::Done) => {}
                Told::Nothing if part.draft => {}
                Told::Outcome(_) | Told::Nothing => return false,
            }
        }
        true
    }

    async fn give_upload_up(&self, client: u64, key: &ObjectKey, upload: UploadId, dice: &Dice) {
        if dice.permille(TIDY_PERMILLE) {
            self.attempt(client, key, Work::Abort(upload), dice).await;
        }
    }

    /// Where it is not known what became of it, an abort tells: nobody else ends this upload.
    async fn complete(
        &self,
        client: u64,
        key: &ObjectKey,
        upload: UploadId,
        action: Action,
        dice: &Dice,
    ) -> Outcome {
        let began = self.history.now();
        let work = Work::Complete(upload, action);
        let outcome = match self.attempt(client, key, work, dice).await.0 {
            Told::Nothing => return Outcome::Unknown,
            Told::Outcome(Outcome::Unknown) if dice.permille(TIDY_PERMILLE) => {
                match self.attempt(client, key, Work::Abort(upload), dice).await.0 {
                    // It had no effect, and will have none.
                    Told::Outcome(Outcome::Done) => return Outcome::Unknown,
                    Told::Outcome(Outcome::Refused) => Outcome::Done,
                    Told::Outcome(_) | Told::Nothing => Outcome::Unknown,
                }
            }
            Told::Outcome(outcome) => outcome,
        };
        self.world.trace.add(format_args!("client {client} {action:?} {key} {outcome:?}"));
        let ended = (outcome != Outcome::Unknown).then(|| self.history.now());
        self.history.add(key, Event { client, action, outcome, began, ended });
        outcome
    }

    /// Completing again is answered as it was and changes nothing; aborting finds no upload.
    async fn ask_again(
        &self,
        client: u64,
        key: &ObjectKey,
        upload: UploadId,
        action: Action,
        dice: &Dice,
    ) {
        if dice.permille(AGAIN_PERMILLE) {
            let work = Work::Complete(upload, action);
            let (told, _) = self.attempt(client, key, work, dice).await;
            if matches!(told, Told::Outcome(Outcome::Refused)) {
                self.world.fail(format!("{upload:?} is complete and was refused the second time"));
            }
        }
        if dice.permille(AGAIN_PERMILLE) {
            let (told, _) = self.attempt(client, key, Work::Abort(upload), dice).await;
            if matches!(told, Told::Outcome(Outcome::Done)) {
                self.world.fail(format!("{upload:?} is complete and was aborted"));
            }
        }
    }

    /// Some of those that were left behind end; the others are still there for the audit.
    pub async fn abort_some(&self, dice: &Dice) {
        let left = loop {
            let ready = self.nodes.values().find_map(|node| node.ready());
            match uploads(ready.as_deref()).await {
                Some(left) => break left,
                None => sleep(LOOKED_AFTER).await,
            }
        };
        for ListedUpload { key, id, .. } in left {
            if dice.permille(500) {
                self.abort_surely(&key, id, dice).await;
            }
        }
    }

    async fn abort_surely(&self, key: &ObjectKey, upload: UploadId, dice: &Dice) {
        let operation = Operation::AbortUpload { target: target(key), upload };
        let (group, request) = (shard_of(BUCKET, key, SHARDS), RequestId(dice.bytes()));
        let command = Command { group, request, not_after: NOT_AFTER, operation };
        loop {
            if let Some(ready) = self.nodes.values().find_map(|node| node.ready())
                && let Ok(response) = ready.catalog.commit(command.clone()).await
            {
                // Its client's own abort may have come late.
                let ended = [Response::Done, Response::Rejected(Rejection::NoSuchUpload)];
                if !ended.contains(&response) {
                    self.world.fail(format!("the abort of {upload:?} was answered {response:?}"));
                }
                return;
            }
            sleep(LOOKED_AFTER).await;
        }
    }
}

/// Every upload that is under way.
pub async fn uploads(ready: Option<&Ready>) -> Option<Vec<ListedUpload>> {
    let list = ListUploads {
        bucket: BUCKET,
        prefix: String::new(),
        delimiter: String::new(),
        key_marker: String::new(),
        upload_marker: None,
        limit: UPLOADS_MAX,
    };
    let listed = ready?.catalog.query(Query::ListUploads(list), Consistency::Linearizable).await;
    let Ok(Answer::ListUploads(page)) = listed else {
        return None;
    };
    let entry = |item| match item {
        Item::Entry(entry) => Some(entry),
        Item::Prefix(_) => None,
    };
    Some(page.items.into_iter().filter_map(entry).collect())
}

/// What begins an upload.
pub fn begin(key: &ObjectKey) -> Operation {
    Operation::CreateUpload(CreateUpload {
        target: target(key),
        owner: UserId(1),
        attributes: Attributes::default(),
        checksum: None,
    })
}

/// What records a part whose bytes are there.
pub fn put_part(key: &ObjectKey, upload: UploadId, part: Sent, blob: Blob) -> Operation {
    let (target, md5) = (target(key), part.md5());
    let number = part.number;
    Operation::PutPart(PutPart { target, upload, number, md5, checksum: None, blob, digest: md5 })
}

/// What makes the parts of a value an object.
pub fn complete(key: &ObjectKey, upload: UploadId, action: Action) -> Option<Operation> {
    let listed = |part: Sent| ListedPart { number: part.number, md5: part.md5(), checksum: None };
    Some(Operation::CompleteUpload(CompleteUpload {
        target: target(key),
        upload,
        parts: content::parts(action.value()?).into_iter().map(listed).collect(),
        condition: condition(action),
        checksum: None,
        size_bytes: None,
    }))
}
