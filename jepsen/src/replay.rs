//! A history read back: counted for the report, and judged again by the same checkers. Nothing is asked of
//! a server here.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checker::Violation;
use crate::checker::creates::Races;
use crate::checker::durability::Ledger;
use crate::error::Error;
use crate::history::{self, Action, Event, Fault, Line, Outcome};
use crate::report::Report;
use crate::workload::puts::RACES;

/// Judges the history of an earlier run.
pub fn run(directory: &Path) -> Result<Report, Error> {
    let mut report = Report::new(0, directory);
    let mut ledgers: BTreeMap<u32, Ledger> = BTreeMap::new();
    let mut races = Races::default();
    let mut violations: Vec<Violation> = Vec::new();
    history::read(directory, |line| match line {
        Line::Run { seed, .. } => report.seed = seed,
        Line::Operation(event) if event.key.starts_with(RACES) => races.record(&event),
        Line::Operation(event) => {
            violations.extend(ledgers.entry(event.client).or_default().record(&event));
        }
        Line::Fault { fault, .. } => match fault {
            Fault::Killed { .. } => report.kills += 1,
            Fault::Ready { took_ms, .. } => report.ready_ms.push(took_ms),
            Fault::Started { .. } => {}
        },
        // Of runs on clusters, which `check` judges.
        Line::Format { .. }
        | Line::Wanted(_)
        | Line::Invoke { .. }
        | Line::Ok { .. }
        | Line::Fail { .. }
        | Line::Info { .. }
        | Line::Nemesis { .. } => {}
    })?;
    violations.extend(races.check());
    report.keys_audited = ledgers.values().map(|ledger| ledger.keys().count()).sum();
    count(directory, &mut report)?;
    report.judge(&violations);
    Ok(report)
}

/// Counts the operations of a history.
pub fn count(directory: &Path, report: &mut Report) -> Result<(), Error> {
    let mut races = std::collections::BTreeSet::new();
    history::read(directory, |line| {
        let Line::Operation(event) = line else { return };
        report.operations += 1;
        count_event(report, &event);
        if event.key.starts_with(RACES) {
            races.insert(event.key);
        }
    })?;
    report.races = races.len();
    Ok(())
}

fn count_event(report: &mut Report, event: &Event) {
    match (&event.action, &event.outcome) {
        (_, Outcome::Unknown { .. }) => report.unknown += 1,
        (Action::Put { .. }, Outcome::Done { .. }) => report.puts_acknowledged += 1,
        (Action::Delete, Outcome::Done { .. }) => report.deletes_acknowledged += 1,
        (Action::Get | Action::Head | Action::List, _) => report.reads += 1,
        _ => {}
    }
}
