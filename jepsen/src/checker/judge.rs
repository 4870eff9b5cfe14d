//! The judgement of a whole history: lines come in, ends are put to their starts, and every checker is told. It reads
//! each line once and keeps of an operation only what the checkers need.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::coverage::Coverage;
use super::listing::Listing;
use super::registers::Registers;
use super::uploads::Uploads;
use super::versioned::Versioned;
use super::{Kind, Violation};
use crate::history::{Line, Wanted};
use crate::operation::{Answer, Ask, Call, End, Operation};
use crate::verified::Verified;

/// How many violations are printed.
const SHOWN_MAX: usize = 20;

/// What a history proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    Fail,
    /// Nothing wrong was found, and too little was done or decided; the texts say what.
    Unknown(Vec<String>),
}

#[derive(Debug, Serialize)]
pub struct Judgement {
    pub verdict: Verdict,
    pub seed: u64,
    pub workload: String,
    pub operations: u64,
    pub keys: usize,
    pub register_operations: usize,
    pub coverage: Coverage,
    pub violations: Vec<Violation>,
    /// What the server said of itself; absent for a history that is judged again.
    pub verified: Option<Verified>,
}

/// An operation that has begun.
#[derive(Debug)]
struct Open {
    node: u32,
    start_ns: u64,
    call: Call,
}

/// Takes in a history.
#[derive(Debug, Default)]
pub struct Judge {
    wanted: Wanted,
    open: BTreeMap<u32, Open>,
    registers: Registers,
    listings: Vec<Listing>,
    uploads: Uploads,
    versioned: Versioned,
    coverage: Coverage,
    operations: u64,
    violations: Vec<Violation>,
}

impl Judge {
    pub fn line(&mut self, line: Line) {
        match line {
            Line::Wanted(wanted) => self.wanted = wanted,
            Line::Invoke { process, node, at_ns, call } => {
                if let Some(body) = call.ask.body() {
                    self.registers.declare(&call.bucket, &call.key, body.number, &body.etag);
                }
                let before = self.open.insert(process, Open { node, start_ns: at_ns, call });
                if let Some(before) = before {
                    self.close(
                        process,
                        before.start_ns,
                        before,
                        End::Info("another followed".to_owned()),
                    );
                }
            }
            Line::Ok { process, at_ns, answer } => self.end(process, at_ns, End::Ok(answer)),
            Line::Fail { process, at_ns, status, code } => {
                self.end(process, at_ns, End::Fail { status, code });
            }
            Line::Info { process, at_ns, why } => self.end(process, at_ns, End::Info(why)),
            Line::Nemesis { kind, node, phase, .. } => self.coverage.fault(&kind, node, phase),
            // What `kill` writes is judged by its own checkers.
            Line::Format { .. } | Line::Run { .. } | Line::Operation(_) | Line::Fault { .. } => {}
        }
    }

    fn end(&mut self, process: u32, at_ns: u64, end: End) {
        match self.open.remove(&process) {
            Some(open) => self.close(process, at_ns, open, end),
            None => {
                let detail = format!("process {process} ended what it had not begun");
                self.violations.push(Violation::new(Kind::Refused, "", detail));
            }
        }
    }

    fn close(&mut self, process: u32, end_ns: u64, open: Open, end: End) {
        let Open { node, start_ns, call } = open;
        let operation = Operation { process, node, start_ns, end_ns, call, end };
        self.operations += 1;
        self.coverage.record(&operation);
        self.violations.extend(refused(&operation));
        self.registers.record(&operation);
        self.uploads.record(&operation);
        self.versioned.record(&operation);
        let Operation { call, end, .. } = operation;
        if let (Ask::List { delimiter, .. }, End::Ok(Answer::Listed { keys, prefixes })) =
            (call.ask, end)
        {
            let keys = keys.into_iter().map(|listed| (listed.key, listed.etag)).collect();
            let (bucket, prefix) = (call.bucket, call.key);
            let listing = Listing { start_ns, end_ns, bucket, prefix, delimiter, keys, prefixes };
            self.listings.push(listing);
        }
    }

    /// The judgement, once every line was told.
    pub fn finish(mut self, configurations_max: usize) -> Judgement {
        for (process, open) in std::mem::take(&mut self.open) {
            self.close(process, open.start_ns, open, End::Info("the history ends".to_owned()));
        }
        let mut violations = self.violations;
        violations.extend(self.uploads.check());
        violations.extend(self.versioned.check());
        violations.extend(self.registers.check_listings(&self.listings));
        let judged = self.registers.check(configurations_max);
        violations.extend(judged.violations);
        let mut lacking = self.coverage.lacking(&self.wanted);
        lacking.extend(judged.undecided.into_iter().map(|key| format!("undecided: {key}")));
        let verdict = match (violations.is_empty(), lacking.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, false) => Verdict::Unknown(lacking),
            (true, true) => Verdict::Pass,
        };
        Judgement {
            verdict,
            seed: self.wanted.seed,
            workload: self.wanted.workload,
            operations: self.operations,
            keys: judged.keys,
            register_operations: judged.ops,
            coverage: self.coverage,
            violations,
            verified: None,
        }
    }
}

/// A client error that no valid request may be answered with.
fn refused(operation: &Operation) -> Option<Violation> {
    let End::Fail { status, code } = &operation.end else { return None };
    let is_lawful = match operation.call.ask {
        // A condition does not hold, another write is under way, or the upload has ended.
        Ask::Put { .. } | Ask::Delete { .. } => matches!(status, 404 | 409 | 412),
        Ask::Part { .. } | Ask::Complete { .. } | Ask::Abort { .. } => {
            matches!(status, 404 | 409) || code == "InvalidPart"
        }
        Ask::Get | Ask::Head | Ask::List { .. } | Ask::StartUpload | Ask::ListVersions => false,
    };
    // Reads fail for want of an answer, and clients wait where they are told to.
    let is_busy = *status >= 500 || *status == 429 || *status == 0;
    (!is_lawful && !is_busy).then(|| {
        let (kind, process) = (operation.call.ask.kind(), operation.process);
        let detail = format!("{kind:?} of process {process} was answered {status} {code}");
        Violation::new(Kind::Refused, &operation.call.key, detail)
    })
}

impl fmt::Display for Judgement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match &self.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Unknown(_) => "UNKNOWN",
        };
        let Coverage { acknowledged, failed, unknown, faults, overlaps, .. } = &self.coverage;
        let done: u64 = acknowledged.values().sum();
        let hurt: u64 = faults.values().sum();
        write!(
            out,
            "{word}: {} operations on {} keys ({done} acknowledged, {failed} refused, {unknown} of unknown outcome), \
             {} violations; {hurt} faults of {} kinds, {overlaps} while another was active: {faults:?}; workload {:?}, seed {}",
            self.operations,
            self.keys,
            self.violations.len(),
            faults.len(),
            self.workload,
            self.seed,
        )?;
        if let Some(verified) = &self.verified {
            write!(out, "; verify: {verified}")?;
        }
        if let Verdict::Unknown(lacking) = &self.verdict {
            for text in lacking.iter().take(SHOWN_MAX) {
                write!(out, "\n  lacks: {text}")?;
            }
        }
        for violation in self.violations.iter().take(SHOWN_MAX) {
            write!(out, "\n{violation}")?;
        }
        Ok(())
    }
}
