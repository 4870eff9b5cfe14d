//! The report of a run: what was done, what was found, and whether that is a pass. A run that did too little
//! is no pass.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::checker::{Kind, Violation};

/// How many violations are printed and kept word for word.
pub const SHOWN_MAX: usize = 50;

/// Fewer acknowledged PUTs per kill than this prove little.
const PUTS_PER_KILL_MIN: u64 = 5;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub directory: PathBuf,
    pub kills: u32,
    pub kills_while_starting: u32,
    pub operations: u64,
    pub puts_acknowledged: u64,
    pub deletes_acknowledged: u64,
    pub reads: u64,
    pub unknown: u64,
    pub races: usize,
    pub keys_audited: usize,
    pub lost: usize,
    pub wrong_bytes: usize,
    pub resurrected: usize,
    pub violations: BTreeMap<Kind, usize>,
    pub examples: Vec<Violation>,
    /// What `vaultaire verify` said at the end; absent for a history that is judged again.
    pub verified: Option<Verified>,
    pub ready_median_ms: u64,
    pub ready_max_ms: u64,
    #[serde(skip)]
    pub ready_ms: Vec<u64>,
}

/// The server's own comparison of catalog and bytes, and the files on its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub objects: u64,
    pub orphans: u64,
    pub dangling: u64,
    pub checksum_mismatches: u64,
    /// Every other count of `verify` that must be zero.
    pub others: u64,
    pub files: u64,
    pub files_expected: u64,
    pub collected_after_ms: u64,
}

impl Report {
    pub fn new(seed: u64, directory: &Path) -> Self {
        Self {
            seed,
            directory: directory.to_owned(),
            kills: 0,
            kills_while_starting: 0,
            operations: 0,
            puts_acknowledged: 0,
            deletes_acknowledged: 0,
            reads: 0,
            unknown: 0,
            races: 0,
            keys_audited: 0,
            lost: 0,
            wrong_bytes: 0,
            resurrected: 0,
            violations: BTreeMap::new(),
            examples: Vec::new(),
            verified: None,
            ready_median_ms: 0,
            ready_max_ms: 0,
            ready_ms: Vec::new(),
        }
    }

    /// Fills in what follows from the violations and the starts.
    pub fn judge(&mut self, violations: &[Violation]) {
        self.violations = crate::kill::by_kind(violations);
        let count = |kind| self.violations.get(&kind).copied().unwrap_or(0);
        self.lost = count(Kind::Lost) + count(Kind::Stale) + count(Kind::Unreadable);
        self.wrong_bytes = count(Kind::WrongBytes);
        self.resurrected = count(Kind::Resurrected);
        self.examples = violations.iter().take(SHOWN_MAX).cloned().collect();
        self.ready_ms.sort_unstable();
        self.ready_median_ms = self.ready_ms.get(self.ready_ms.len() / 2).copied().unwrap_or(0);
        self.ready_max_ms = self.ready_ms.last().copied().unwrap_or(0);
    }

    /// Whether enough was done for the absence of violations to mean something.
    pub fn is_enough(&self) -> bool {
        self.puts_acknowledged >= PUTS_PER_KILL_MIN * u64::from(self.kills) && self.reads > 0
    }

    pub fn passed(&self) -> bool {
        let is_clean = self.verified.as_ref().is_none_or(Verified::is_clean);
        self.violations.is_empty() && is_clean && self.is_enough()
    }
}

impl Verified {
    pub fn is_clean(&self) -> bool {
        let found = self.orphans + self.dangling + self.checksum_mismatches + self.others;
        found == 0 && self.files == self.files_expected
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.passed(), self.is_enough()) {
            (true, _) => "passed",
            (false, false) => "TOO LITTLE WAS DONE",
            (false, true) => "FAILED",
        };
        write!(
            out,
            "{verdict}: {} kills ({} while starting), {} PUTs acknowledged, {} lost, {} wrong bytes, {} resurrected",
            self.kills,
            self.kills_while_starting,
            self.puts_acknowledged,
            self.lost,
            self.wrong_bytes,
            self.resurrected,
        )?;
        if let Some(verified) = &self.verified {
            write!(
                out,
                ", {} orphans, {} dangling, {} checksum mismatches, {} of {} files",
                verified.orphans,
                verified.dangling,
                verified.checksum_mismatches,
                verified.files,
                verified.files_expected,
            )?;
        }
        write!(
            out,
            "; {} operations, {} unknown, {} races, {} keys audited; ready in {} ms (median), {} ms (max); seed {}, history in {}",
            self.operations,
            self.unknown,
            self.races,
            self.keys_audited,
            self.ready_median_ms,
            self.ready_max_ms,
            self.seed,
            self.directory.display(),
        )?;
        if !self.violations.is_empty() {
            write!(out, "; violations {:?}", self.violations)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        let mut report = Report::new(1, Path::new("h"));
        report.kills = 2;
        report.puts_acknowledged = 100;
        report.reads = 10;
        report.verified = Some(Verified::default());
        report
    }

    #[test]
    fn only_a_clean_run_that_did_enough_passes() {
        assert!(good().passed());
        let mut idle = good();
        idle.puts_acknowledged = 9;
        assert!(!idle.passed() && idle.to_string().contains("TOO LITTLE"));
        let mut broken = good();
        broken.judge(&[Violation::new(Kind::Stale, "k", "d")]);
        assert!(!broken.passed() && broken.lost == 1);
        for spoil in [
            |verified: &mut Verified| verified.orphans = 1,
            |verified: &mut Verified| verified.dangling = 1,
            |verified: &mut Verified| verified.checksum_mismatches = 1,
            |verified: &mut Verified| verified.others = 1,
            |verified: &mut Verified| verified.files = 1,
        ] {
            let mut report = good();
            report.verified.iter_mut().for_each(spoil);
            assert!(!report.passed());
        }
    }

    #[test]
    fn median_and_maximum_are_of_the_starts() {
        let mut report = good();
        report.ready_ms = vec![30, 10, 500];
        report.judge(&[]);
        assert_eq!((report.ready_median_ms, report.ready_max_ms), (30, 500));
    }
}
