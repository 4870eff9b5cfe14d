//! What comes out, in the form in which programs read it. Money is in nano-dollars.

use std::collections::BTreeMap;

use serde::Serialize;
use vaultaire_proto::prices::calendar::Date;

use crate::calibration::Calibration;
use crate::error::Error;
use crate::guard::Guarded;
use crate::guard::budget::{BUDGET_HALVINGS, EARNED_DAYS};
use crate::ledger::Ledger;
use crate::logs::Names;
use crate::logs::told::Told;
use crate::pricing::Kind;

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub book: String,
    /// Seconds since 1970.
    pub charge_from: u64,
    pub until: u64,
    pub objects: u64,
    pub versions: u64,
    pub log: Told,
    /// The hash of the weights of the last network. None: nothing was foretold.
    pub model: Option<String>,
    /// Where objects may be.
    pub tiers: Vec<String>,
    /// Whether what was foretold came. None: nothing was.
    pub calibration: Option<Calibration>,
    pub optimum: Bill,
    pub all_hot: Bill,
    pub policies: BTreeMap<String, Bill>,
}

/// What everything cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bill {
    pub total_nanousd: i128,
    pub by_bucket: BTreeMap<String, i128>,
    pub by_kind: ByKind,
    /// Of days with charges, as `2026-11-29`.
    pub by_day: BTreeMap<String, i128>,
    pub transitions: u64,
    pub restores: u64,
    /// Of the guard alone.
    #[serde(flatten)]
    pub guard: Option<Guard>,
}

/// What a guard did beside its bill, for each bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// What might be lost against doing nothing: a quarter of what its first thirty days cost then.
    pub budget_nanousd: BTreeMap<String, i128>,
    /// What further reads cost before anything could be decided about the first.
    pub excess_nanousd: BTreeMap<String, i128>,
    /// What moving cost that another policy had put elsewhere.
    pub switching_nanousd: BTreeMap<String, i128>,
}

/// Each kind of charge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByKind {
    pub storage: i128,
    pub requests: i128,
    pub retrieval: i128,
    pub transitions: i128,
    pub early_delete: i128,
    pub monitoring: i128,
    pub restore_copy: i128,
    pub egress: i128,
}

impl ByKind {
    /// Each with its name.
    pub fn named(&self) -> [(&'static str, i128); Kind::ALL.len()] {
        [
            ("storage", self.storage),
            ("requests", self.requests),
            ("retrieval", self.retrieval),
            ("transitions", self.transitions),
            ("early deletion", self.early_delete),
            ("monitoring", self.monitoring),
            ("restored copies", self.restore_copy),
            ("egress", self.egress),
        ]
    }

    fn of(&mut self, kind: Kind) -> &mut i128 {
        match kind {
            Kind::Storage => &mut self.storage,
            Kind::Requests => &mut self.requests,
            Kind::Retrieval => &mut self.retrieval,
            Kind::Transitions => &mut self.transitions,
            Kind::EarlyDelete => &mut self.early_delete,
            Kind::Monitoring => &mut self.monitoring,
            Kind::RestoreCopy => &mut self.restore_copy,
            Kind::Egress => &mut self.egress,
        }
    }
}

impl Bill {
    /// Beside its budget, which is told in full: a quarter of the bill of `all_hot` for its first days.
    pub fn guarded(
        guarded: &Guarded<'_>,
        all_hot: &Ledger<'_>,
        names: &Names,
    ) -> Result<Self, Error> {
        let mut guard = Guard::default();
        let mut hot: BTreeMap<u32, i128> = BTreeMap::new();
        let earned_until = all_hot.first_day() + EARNED_DAYS;
        all_hot.lines(|line| {
            if line.day < earned_until {
                *hot.entry(line.bucket).or_default() += line.amount.0;
            }
        })?;
        for (number, name) in (0..).zip(&names.buckets) {
            let budget = hot.get(&number).copied().unwrap_or_default() >> BUDGET_HALVINGS;
            let rounded = |amount| Ok(all_hot.rounded(amount).ok_or(Error::TooLarge)?.0);
            let (excess, switching) = match guarded.accounts.get(&number) {
                Some((account, switching)) => (account.excess, *switching),
                None => Default::default(),
            };
            guard.budget_nanousd.insert(name.clone(), budget);
            guard.excess_nanousd.insert(name.clone(), rounded(excess)?);
            guard.switching_nanousd.insert(name.clone(), rounded(switching)?);
        }
        Ok(Self { guard: Some(guard), ..Self::of(&guarded.ledger, names)? })
    }

    pub fn of(ledger: &Ledger<'_>, names: &Names) -> Result<Self, Error> {
        let mut bill = Self {
            // A bucket without charges is there as well.
            by_bucket: names.buckets.iter().map(|name| (name.clone(), 0)).collect(),
            transitions: ledger.transitions,
            restores: ledger.restores,
            ..Self::default()
        };
        let mut by_day: BTreeMap<u64, i128> = BTreeMap::new();
        ledger.lines(|line| {
            let amount = line.amount.0;
            bill.total_nanousd += amount;
            *bill.by_kind.of(line.kind) += amount;
            *by_day.entry(line.day).or_default() += amount;
            if let Some(sum) = bill.by_bucket.get_mut(&names.buckets[line.bucket as usize]) {
                *sum += amount;
            }
        })?;
        bill.by_day =
            by_day.into_iter().map(|(day, sum)| (Date::of_day(day).to_string(), sum)).collect();
        Ok(bill)
    }
}
