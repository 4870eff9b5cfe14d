//! One group's state machine as openraft wants it: entries are decoded here, applied on the tables' thread by proto's `apply`,
//! and answered once their rows are written.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use vaultaire_proto::command::FIRST_KINDS;
use vaultaire_proto::convert::Stored;
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::{Clock as _, Command, Operation, RequestId, TimeMs, state};

use super::codec;
use super::log_store::LogStore;
use super::snapshot::{self, Builder, SnapshotData};
use super::types::{Entry, LogId, Replies, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::advice;
use crate::clock::NodeClock;
use crate::tables::meta::Meta;
use crate::tables::stream::Rows;
use crate::tables::table::Table;
use crate::tables::view::View;
use crate::tables::writer::{Outcome, Work};

/// Entries that one batch of rows may carry: at a restart there may be millions to apply.
const ENTRIES_PER_BATCH_MAX: usize = 256;

/// A group's tables behind openraft's trait.
#[derive(Debug)]
pub struct StateMachine {
    table: Arc<Table>,
    log: LogStore,
    clock: Arc<NodeClock>,
    /// What the tables' reserved row says; only this changes it.
    meta: Meta,
}

/// An entry ready to be applied.
enum Step {
    Commands(vaultaire_proto::Entry),
    Nothing,
}

struct Ready {
    index: u64,
    step: Step,
    responder: Option<ApplyResponder<TypeConfig>>,
}

impl StateMachine {
    pub fn new(
        table: Arc<Table>,
        log: LogStore,
        clock: Arc<NodeClock>,
    ) -> Result<Self, crate::error::Error> {
        let view = table.view();
        let meta = table.meta_of(&view)?;
        // Before the first command of this start is dated.
        clock.applied(last_stamp(&view));
        Ok(Self { table, log, clock, meta })
    }

    /// Decodes an entry and notes what it says of the log itself.
    fn prepare(
        &mut self,
        entry: Entry,
        responder: Option<ApplyResponder<TypeConfig>>,
    ) -> io::Result<Ready> {
        self.follows(&entry.log_id)?;
        let step = match entry.payload {
            EntryPayload::Blank => Step::Nothing,
            EntryPayload::Normal(proposal) => {
                let commands = vaultaire_proto::Entry::decode(codec::entry_of(&proposal));
                let mut commands = commands.map_err(|error| unreadable(&entry.log_id, &error))?;
                let is_new = |command: &Command| command.operation.kinds() > FIRST_KINDS;
                if commands.commands.iter().any(is_new) && planted::is_old_release() {
                    return Err(unreadable(&entry.log_id, &"a command of an unknown kind"));
                }
                if planted::is(Planted::LocalClock) {
                    commands.stamped_at = self.clock.now();
                }
                Step::Commands(commands)
            }
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership);
                self.meta.membership = codec::encode_stored(&stored);
                Step::Nothing
            }
        };
        self.meta.applied = Some(codec::applied(&entry.log_id));
        Ok(Ready { index: entry.log_id.index(), step, responder })
    }

    /// Every entry once and in order; a group's first one has no entry before it.
    fn follows(&self, id: &LogId) -> io::Result<()> {
        let Some(applied) = self.meta.applied else {
            return Ok(());
        };
        if applied.index.checked_add(1) == Some(id.index()) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "entry {} cannot be applied after entry {}; this is a bug, please report it",
            id.index(),
            applied.index
        )))
    }

    async fn apply_batch(&mut self, batch: Vec<Ready>) -> io::Result<()> {
        let Some(last) = batch.last() else {
            return Ok(());
        };
        // A leader may commit what a majority of others has synced before its own disk has. Rows must not be ahead of the log
        // beneath them: after a power failure nobody could say what they are made of.
        self.log.wait_durable(last.index).await?;
        let meta = self.meta.clone();
        let stamps = batch.iter().map(|ready| match &ready.step {
            Step::Commands(entry) => entry.stamped_at,
            Step::Nothing => TimeMs::default(),
        });
        let latest = stamps.max().unwrap_or_default();
        let group = self.table.group();
        let work: Work = Box::new(move |tables| {
            let mut answers = Vec::with_capacity(batch.len());
            for Ready { index, step, responder } in batch {
                let replies = match step {
                    Step::Commands(entry) => {
                        Replies(state::apply_entry(tables, group, index, &entry))
                    }
                    Step::Nothing => Replies::default(),
                };
                answers.extend(responder.map(|responder| (responder, replies)));
            }
            let then = Box::new(move || {
                for (responder, replies) in answers {
                    responder.send(replies);
                }
            });
            Outcome { meta, then }
        });
        // Before anybody hears of it: who repeats a command after its answer dates it no earlier.
        self.clock.applied(latest);
        self.table.apply(work).await.map_err(io::Error::other)
    }
}

/// The latest stamp that the rows of a group have seen.
fn last_stamp(view: &View) -> TimeMs {
    state::dedupe::clock(view).0
}

/// The request of a command that wants the rows compared.
fn compares(step: &Step) -> Option<RequestId> {
    let Step::Commands(entry) = step else {
        return None;
    };
    let asks = |command: &&Command| matches!(command.operation, Operation::CompareRows);
    entry.commands.iter().find(asks).map(|command| command.request)
}

fn unreadable(id: &LogId, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!(
        "log entry {} cannot be applied: {error}; if a newer release wrote it, start that one; else {}",
        id.index(),
        advice::RESTORE
    ))
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let described = snapshot::describe(&self.meta)?;
        Ok((described.last_log_id, described.last_membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut batch = Vec::new();
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let ready = self.prepare(entry, responder)?;
            let (index, compares) = (ready.index, compares(&ready.step));
            batch.push(ready);
            if batch.len() >= ENTRIES_PER_BATCH_MAX || compares.is_some() {
                self.apply_batch(std::mem::take(&mut batch)).await?;
            }
            // Nothing is applied meanwhile, so these are the rows of exactly this entry.
            if let Some(request) = compares {
                self.table.digest(request, index);
            }
        }
        self.apply_batch(batch).await
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder::new(&self.table)
    }

    async fn install_snapshot(
        &mut self,
        described: &SnapshotMeta,
        data: SnapshotData,
    ) -> io::Result<()> {
        let table = Arc::clone(&self.table);
        let described = described.clone();
        let install = move || {
            let (meta, rows) =
                Rows::open(data.chunks().map_err(io::Error::other)?).map_err(io::Error::other)?;
            if snapshot::describe(&meta)? != described {
                // `Receiver::finish` has compared them: the file has changed since.
                return Err(io::Error::other(
                    "a received snapshot has changed on this node's disk; check the disk, then start the node again",
                ));
            }
            let meta = Meta { installed: meta.applied, ..meta };
            table.install(&meta, rows).map_err(io::Error::other)?;
            Ok(meta)
        };
        self.meta = self.table.place().run_aside(install).await.map_err(io::Error::other)??;
        self.clock.applied(last_stamp(&self.table.view()));
        Ok(())
    }

    /// The tables are a snapshot at any time, so none is kept but one that is being sent: one that nobody reads would only hold
    /// back the compaction.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        if self.meta.applied.is_none() {
            return Ok(None);
        }
        let again = self.table.pins().again(self.log.purged());
        let (view, meta) = match again {
            Some(again) => again,
            None => {
                let view = self.table.view();
                let meta = self.table.meta_of(&view).map_err(io::Error::other)?;
                (view, meta)
            }
        };
        snapshot::of(&self.table, view, meta).map(Some)
    }
}
