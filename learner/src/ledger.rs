//! A bill. Charges are summed exactly, by bucket, tier, kind and day, and rounded once for each bucket, tier, kind and
//! month (UTC), as a provider's bill does. A day's part is what its month came to until then, less what it had come to the
//! day before: days, kinds and buckets each add up to the whole.

use std::collections::BTreeMap;
use std::ops::Range;

use vaultaire_proto::money::NanoUsd;
use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::{DAY_S, Date, Ticks};
use vaultaire_proto::prices::exact::Exact;

use crate::error::Error;
use crate::history::Window;
use crate::pricing::{Kind, Meter};

/// Charges of one kind in one tier of one bucket.
#[derive(Clone, Debug)]
struct Account {
    /// What was paid on each day, beside the rents of whole days.
    paid: Vec<Exact>,
    /// By how much the rent of whole days, in a tick, is other than on the day before.
    changes: Vec<Exact>,
}

/// Charges of many objects.
#[derive(Clone, Debug)]
pub struct Ledger<'a> {
    book: &'a Book,
    ticks: &'a Ticks,
    first_day: u64,
    days: usize,
    /// Whose charges these are.
    bucket: u32,
    accounts: BTreeMap<(u32, usize, Kind), Account>,
    pub transitions: u64,
    pub restores: u64,
}

/// A line of a bill: one kind in one tier of one bucket on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub bucket: u32,
    pub tier: usize,
    pub kind: Kind,
    pub day: u64,
    pub amount: NanoUsd,
}

impl<'a> Ledger<'a> {
    pub fn new(book: &'a Book, ticks: &'a Ticks, window: Window) -> Self {
        Self {
            book,
            ticks,
            first_day: window.from_s / DAY_S,
            days: usize::try_from(window.days()).unwrap_or(usize::MAX),
            bucket: 0,
            accounts: BTreeMap::new(),
            transitions: 0,
            restores: 0,
        }
    }

    /// The first of all days, since 1970.
    pub fn first_day(&self) -> u64 {
        self.first_day
    }

    /// As a bill rounds. None: more than can be counted.
    pub fn rounded(&self, amount: Exact) -> Option<NanoUsd> {
        self.book.rounded(amount)
    }

    /// What is charged from now on is for objects of this bucket.
    pub fn of_bucket(&mut self, bucket: u32) -> &mut Self {
        self.bucket = bucket;
        self
    }

    /// Adds all that another one has.
    pub fn merge(&mut self, other: Self) {
        self.transitions += other.transitions;
        self.restores += other.restores;
        for (place, theirs) in other.accounts {
            let own = self.accounts.entry(place).or_insert_with(|| Account::of(self.days));
            let sums = own.paid.iter_mut().zip(&theirs.paid);
            let changes = own.changes.iter_mut().zip(&theirs.changes);
            for (own, theirs) in sums.chain(changes) {
                *own += *theirs;
            }
        }
    }

    /// The rounded bill, in the order of buckets, tiers, kinds and days. Days without charges are left out.
    pub fn lines(&self) -> Result<Vec<Line>, Error> {
        let mut lines = Vec::new();
        for ((bucket, tier, kind), account) in &self.accounts {
            let (mut month, mut sum, mut told) = (None, Exact::ZERO, NanoUsd(0));
            let mut in_a_tick = Exact::ZERO;
            for (place, (paid, change)) in account.paid.iter().zip(&account.changes).enumerate() {
                let day = self.first_day + place as u64;
                let date = Date::of_day(day);
                if month.replace((date.year, date.month)) != Some((date.year, date.month)) {
                    (sum, told) = (Exact::ZERO, NanoUsd(0));
                }
                in_a_tick += *change;
                let ticks = self.ticks.between(day * DAY_S, (day + 1) * DAY_S);
                sum += *paid + in_a_tick.times(ticks);
                let until_now = self.book.rounded(sum).ok_or(Error::TooLarge)?;
                let amount = NanoUsd(until_now.0 - told.0);
                told = until_now;
                if amount.0 != 0 {
                    lines.push(Line { bucket: *bucket, tier: *tier, kind: *kind, day, amount });
                }
            }
        }
        Ok(lines)
    }

    fn account(&mut self, kind: Kind, tier: usize) -> &mut Account {
        let days = self.days;
        self.accounts.entry((self.bucket, tier, kind)).or_insert_with(|| Account::of(days))
    }

    /// The place of a time; what happens in the last second is of the last day.
    fn place(&self, at_s: u64) -> usize {
        let day = (at_s / DAY_S).saturating_sub(self.first_day);
        usize::try_from(day).unwrap_or(usize::MAX).min(self.days - 1)
    }

    /// The part of a time that lies in one day.
    fn within(&self, day: u64, time: &Range<u64>) -> i128 {
        let (from_s, to_s) = (time.start.max(day * DAY_S), time.end.min((day + 1) * DAY_S));
        if from_s < to_s { self.ticks.between(from_s, to_s) } else { 0 }
    }
}

impl Account {
    fn of(days: usize) -> Self {
        Self { paid: vec![Exact::ZERO; days], changes: vec![Exact::ZERO; days] }
    }
}

impl Meter for Ledger<'_> {
    fn once(&mut self, kind: Kind, tier: usize, at_s: u64, amount: Exact) {
        if amount != Exact::ZERO {
            let place = self.place(at_s);
            self.account(kind, tier).paid[place] += amount;
        }
    }

    fn rent(&mut self, kind: Kind, tier: usize, (from_s, to_s): (u64, u64), in_a_tick: Exact) {
        // A restored copy may outlive the window; it was paid for within it.
        let end_s = (self.first_day + self.days as u64) * DAY_S;
        if to_s > end_s {
            let after = in_a_tick.times(self.ticks.between(from_s.max(end_s), to_s));
            self.once(kind, tier, end_s, after);
        }
        let time = from_s..to_s.min(end_s);
        if time.is_empty() || in_a_tick == Exact::ZERO {
            return;
        }
        let (first, last) = (time.start / DAY_S, (time.end - 1) / DAY_S);
        let at_first = in_a_tick.times(self.within(first, &time));
        let at_last = in_a_tick.times(self.within(last, &time));
        let (from, to) = (self.place(time.start), self.place(time.end - 1));
        let account = self.account(kind, tier);
        account.paid[from] += at_first;
        if last > first {
            account.paid[to] += at_last;
            account.changes[from + 1] += in_a_tick;
            account.changes[to] += Exact::ZERO - in_a_tick;
        }
    }

    fn moved(&mut self) {
        self.transitions += 1;
    }

    fn restored(&mut self) {
        self.restores += 1;
    }
}
