//! Whether a group's log and tables are of one life. Each recovers by itself; only together do they show what one of them lost.

use vaultaire_proto::GroupId;

use super::codec;
use super::log::journal::Journal;
use crate::error::Error;
use crate::tables::meta::Applied;
use crate::tables::table::Table;

/// Refuses to start where entries are missing that nobody can apply any more, or where a log that other voters rely on has
/// lost what it had synced.
pub fn check(group: GroupId, journal: &Journal, table: &Table) -> Result<(), Error> {
    let log = journal.state(group.0);
    let applied = table.applied();
    let Some(applied) = applied else {
        return match log.purged {
            None => Ok(()),
            Some(purged) => Err(older_tables(group, None, purged.index)),
        };
    };
    if log.vote.is_none() {
        return Err(Error::Engine {
            what: "this node's log is gone",
            why: format!(
                "group {group} has applied entries up to {} and its log is empty; restore the journal, or remove this node's \
                 data directory and rejoin it under a new id",
                applied.index
            ),
        });
    }
    if let Some(purged) = log.purged
        && applied.index < purged.index
    {
        return Err(older_tables(group, Some(applied), purged.index));
    }
    match log.last.or(log.purged) {
        Some(last) if last.index >= applied.index => Ok(()),
        last => shorter_log(group, table, applied, last.map_or(0, |last| last.index)),
    }
}

fn older_tables(group: GroupId, applied: Option<Applied>, purged: u64) -> Error {
    let applied = applied
        .map_or_else(|| "nothing".to_owned(), |applied| format!("entries up to {}", applied.index));
    Error::Engine {
        what: "this node's tables are older than its log",
        why: format!(
            "group {group} has applied {applied} and its log begins after {purged}; remove this node's data directory and rejoin \
             it under a new id"
        ),
    }
}

/// An entry is applied only after it was synced, so a log that ends before the tables has lost what the disk called durable.
/// The journal alone cannot see that when the lost bytes read as never written. One voter's state is whole in its tables, so
/// it goes on and says so; among several voters this one has broken its promises to the others and must not vote again.
fn shorter_log(group: GroupId, table: &Table, applied: Applied, last: u64) -> Result<(), Error> {
    let damage = format!(
        "group {group} has applied entries up to {} and its log ends at {last}: the disk has lost writes that it had called durable",
        applied.index
    );
    let membership = table.meta_of(&table.view())?.membership;
    let voters = codec::decode_stored(&membership).map_or(0, |stored| stored.voter_ids().count());
    if voters > 1 {
        return Err(Error::Engine {
            what: "this node's log is damaged",
            why: format!(
                "{damage}; remove this node's data directory and rejoin it under a new id"
            ),
        });
    }
    tracing::error!(
        %group, applied = applied.index, last, lost = applied.index.saturating_sub(last),
        "the log lost entries that were applied; nothing acknowledged is missing, but check this disk before you trust it: {damage}"
    );
    Ok(())
}
