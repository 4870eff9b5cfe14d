//! Whether a group's log and tables are of one life. Each recovers by itself; only together do they show what one of them lost.

use vaultaire_proto::GroupId;

use super::codec;
use super::log::journal::Journal;
use crate::advice;
use crate::error::Error;
use crate::tables::meta::{Applied, Meta};
use crate::tables::table::Table;

/// What a start has to do before Raft runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Nothing.
    Whole,
    /// A crash came between the install of a snapshot and the purge of the log up to it: it is to be purged now.
    Installed { upto: Applied },
}

/// Refuses to start where entries are missing that nobody can apply any more, or where a log that other voters rely on has
/// lost what it had synced.
pub fn check(group: GroupId, journal: &Journal, table: &Table) -> Result<Agreement, Error> {
    let log = journal.state(group.0);
    let meta = table.meta_of(&table.view())?;
    let Some(applied) = meta.applied else {
        return match log.purged {
            None => Ok(Agreement::Whole),
            Some(purged) => Err(older_tables(group, &meta, purged.index)),
        };
    };
    if log.vote.is_none() {
        return Err(Error::Engine {
            what: "this node's log is gone",
            why: format!(
                "group {group} has applied entries up to {} and its log is empty; {}",
                applied.index,
                advice(&meta)
            ),
        });
    }
    if let Some(purged) = log.purged
        && applied.index < purged.index
    {
        return Err(older_tables(group, &meta, purged.index));
    }
    if log.last.is_some_and(|last| last.index >= applied.index) {
        return Ok(Agreement::Whole);
    }
    // What a snapshot brought was never in this log.
    if meta.installed.is_some_and(|installed| applied <= installed) {
        return Ok(Agreement::Installed { upto: applied });
    }
    shorter_log(group, &meta, applied, log.last.map_or(0, |last| last.index))?;
    // openraft purges the log up to what was applied, so that must not be in the kernel's memory alone.
    table.persist();
    Ok(Agreement::Whole)
}

/// Whether nobody else can have what is missing here. Where the membership cannot be read that is not known, and the careful
/// answer is the one that costs nothing.
fn voters(meta: &Meta) -> usize {
    codec::decode_stored(&meta.membership).map_or(0, |stored| stored.voter_ids().count())
}

fn advice(meta: &Meta) -> &'static str {
    if voters(meta) > 1 { advice::REJOIN } else { advice::RESTORE }
}

fn older_tables(group: GroupId, meta: &Meta, purged: u64) -> Error {
    let applied = meta
        .applied
        .map_or_else(|| "nothing".to_owned(), |applied| format!("entries up to {}", applied.index));
    Error::Engine {
        what: "this node's tables are older than its log",
        why: format!(
            "group {group} has applied {applied} and its log begins after {purged}; {}",
            advice(meta)
        ),
    }
}

/// An entry is applied only after it was synced, so a log that ends before the tables has lost what the disk called durable.
/// The journal alone cannot see that when the lost bytes read as never written. One voter's state is whole in its tables, so
/// it goes on and says so; among several voters this one has broken its promises to the others and must not vote again.
fn shorter_log(group: GroupId, meta: &Meta, applied: Applied, last: u64) -> Result<(), Error> {
    let damage = format!(
        "group {group} has applied entries up to {} and its log ends at {last}: the disk has lost writes that it had called durable",
        applied.index
    );
    if voters(meta) > 1 {
        return Err(Error::Engine {
            what: "this node's log is damaged",
            why: format!("{damage}; {}", advice(meta)),
        });
    }
    tracing::error!(
        %group, applied = applied.index, last, lost = applied.index.saturating_sub(last),
        "{damage}. The tables have them: nothing up to entry {} is missing. Whether a later one was lost cannot be told. This \
         disk does not keep what it confirms: back the data directory up and move it to another disk",
        applied.index
    );
    Ok(())
}
