//! Whether a run did enough for the absence of violations to mean something: every operation acknowledged often enough,
//! and every fault active while clients were served.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::history::{Phase, Wanted};
use crate::operation::{AskKind, End, Operation};

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Coverage {
    pub acknowledged: BTreeMap<AskKind, u64>,
    pub failed: u64,
    pub unknown: u64,
    /// How often each fault began.
    pub faults: BTreeMap<String, u64>,
    /// How often one fault began while another was active.
    pub overlaps: u64,
    /// How many operations were acknowledged while each fault was active.
    pub acknowledged_under: BTreeMap<String, u64>,
    #[serde(skip)]
    active: BTreeMap<String, BTreeSet<Option<u32>>>,
}

impl Coverage {
    pub fn fault(&mut self, kind: &str, node: Option<u32>, phase: Phase) {
        let others: usize = self.active.values().map(BTreeSet::len).sum();
        let active = self.active.entry(kind.to_owned()).or_default();
        match phase {
            Phase::Begin => {
                active.insert(node);
                self.overlaps += u64::from(others > 0);
                *self.faults.entry(kind.to_owned()).or_default() += 1;
            }
            Phase::End => {
                active.remove(&node);
            }
        }
    }

    pub fn record(&mut self, operation: &Operation) {
        match operation.end {
            End::Ok(_) => {
                *self.acknowledged.entry(operation.call.ask.kind()).or_default() += 1;
                for (kind, _) in self.active.iter().filter(|(_, nodes)| !nodes.is_empty()) {
                    *self.acknowledged_under.entry(kind.clone()).or_default() += 1;
                }
            }
            End::Fail { .. } => self.failed += 1,
            End::Info(_) => self.unknown += 1,
        }
    }

    /// What is missing for a pass.
    pub fn lacking(&self, wanted: &Wanted) -> Vec<String> {
        let count = |kind: &AskKind| self.acknowledged.get(kind).copied().unwrap_or(0);
        let min = wanted.acknowledged_min.max(1);
        let rare = wanted.operations.iter().filter(|kind| count(kind) < min).map(|kind| {
            format!("{kind:?} was acknowledged {} times, {min} are wanted", count(kind))
        });
        let under = |kind: &String| self.acknowledged_under.get(kind).copied().unwrap_or(0);
        let idle = wanted.nemeses.iter().filter(|kind| under(kind) == 0);
        let idle = idle.map(|kind| format!("nothing was acknowledged under {kind}"));
        let mut lacking: Vec<String> = rare.chain(idle).collect();
        if self.acknowledged.is_empty() {
            lacking.push("nothing was acknowledged".to_owned());
        }
        lacking
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Answer, Ask, Call};

    #[test]
    fn what_was_not_done_is_named() {
        let get = |end| Operation {
            process: 0,
            node: 0,
            start_ns: 1,
            end_ns: 2,
            call: Call { bucket: "b".to_owned(), key: "k".to_owned(), ask: Ask::Get },
            end,
        };
        let wanted = Wanted {
            acknowledged_min: 2,
            operations: vec![AskKind::Get],
            nemeses: vec!["kill".to_owned()],
            ..Wanted::default()
        };
        let mut coverage = Coverage::default();
        coverage.fault("kill", Some(1), Phase::Begin);
        coverage.record(&get(End::Info(String::new())));
        assert_eq!(coverage.lacking(&wanted).len(), 3);
        coverage.fault("kill", Some(1), Phase::End);
        coverage.record(&get(End::Ok(Answer::Missing)));
        coverage.record(&get(End::Ok(Answer::Missing)));
        assert_eq!(coverage.lacking(&wanted), ["nothing was acknowledged under kill"]);
        coverage.fault("kill", Some(2), Phase::Begin);
        coverage.record(&get(End::Ok(Answer::Missing)));
        assert!(coverage.lacking(&wanted).is_empty());
    }
}
