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

/// Days that lie together in memory.
const BLOCK_DAYS: usize = 8;

/// Charges of one kind in one tier of one bucket. Of thousands of buckets most are quiet on most days: a block of days is there only
/// if something changed on one of them.
#[derive(Clone, Debug, Default)]
struct Account(Vec<Option<Box<[Day; BLOCK_DAYS]>>>);

/// What changed on a day.
#[derive(Clone, Copy, Debug, Default)]
struct Day {
    /// What was paid, beside the rents of whole days.
    paid: Exact,
    /// By how much the rent of whole days, in a tick, is other than on the day before.
    change: Exact,
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
            self.accounts.entry(place).or_default().merge(theirs);
        }
    }

    /// The rounded bill, line by line in the order of buckets, tiers, kinds and days. Days without charges are left out.
    pub fn lines(&self, mut each: impl FnMut(Line)) -> Result<(), Error> {
        for ((bucket, tier, kind), account) in &self.accounts {
            let (mut month, mut sum, mut told) = (None, Exact::ZERO, NanoUsd(0));
            let mut in_a_tick = Exact::ZERO;
            for place in 0..self.days {
                let Day { paid, change } = account.day(place);
                let day = self.first_day + place as u64;
                let date = Date::of_day(day);
                if month.replace((date.year, date.month)) != Some((date.year, date.month)) {
                    (sum, told) = (Exact::ZERO, NanoUsd(0));
                }
                in_a_tick += change;
                let ticks = self.ticks.between(day * DAY_S, (day + 1) * DAY_S);
                sum += paid + in_a_tick.times(ticks);
                let until_now = self.book.rounded(sum).ok_or(Error::TooLarge)?;
                let amount = NanoUsd(until_now.0 - told.0);
                told = until_now;
                if amount.0 != 0 {
                    each(Line { bucket: *bucket, tier: *tier, kind: *kind, day, amount });
                }
            }
        }
        Ok(())
    }

    fn account(&mut self, kind: Kind, tier: usize) -> &mut Account {
        self.accounts.entry((self.bucket, tier, kind)).or_default()
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
    fn day(&self, place: usize) -> Day {
        let block = self.0.get(place / BLOCK_DAYS).and_then(Option::as_ref);
        block.map_or_else(Day::default, |block| block[place % BLOCK_DAYS])
    }

    fn day_mut(&mut self, place: usize) -> &mut Day {
        let number = place / BLOCK_DAYS;
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        &mut self.0[number].get_or_insert_default()[place % BLOCK_DAYS]
    }

    fn merge(&mut self, other: Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), None);
        }
        for (own, theirs) in self.0.iter_mut().zip(other.0) {
            match (own, theirs) {
                (Some(own), Some(theirs)) => {
                    for (own, theirs) in own.iter_mut().zip(theirs.iter()) {
                        own.paid += theirs.paid;
                        own.change += theirs.change;
                    }
                }
                (own, Some(theirs)) => *own = Some(theirs),
                (_, None) => {}
            }
        }
    }
}

impl Meter for Ledger<'_> {
    fn once(&mut self, kind: Kind, tier: usize, at_s: u64, amount: Exact) {
        if amount != Exact::ZERO {
            let place = self.place(at_s);
            self.account(kind, tier).day_mut(place).paid += amount;
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
        account.day_mut(from).paid += at_first;
        if last > first {
            account.day_mut(to).paid += at_last;
            account.day_mut(from + 1).change += in_a_tick;
            account.day_mut(to).change += Exact::ZERO - in_a_tick;
        }
    }

    fn moved(&mut self) {
        self.transitions += 1;
    }

    fn restored(&mut self) {
        self.restores += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use vaultaire_proto::prices::books;

    use super::*;
    use crate::history;

    /// Rents and payments of one account, against sums of what each of them costs on each day.
    #[test]
    fn quiet_days_take_no_room_and_are_charged() {
        const DAYS: u64 = 3_650;
        let window = Window { from_s: 7_305 * DAY_S, until_s: (7_305 + DAYS) * DAY_S };
        let (book, rent) = (books::builtin(), Exact::of_units(1 << 90));
        let ticks = history::ticks(&book, window);
        let at = |day: u64, second: u64| window.from_s + day * DAY_S + second;
        let stays = [(at(3, 7), at(3_000, 9)), (at(3, 8), at(3, 9)), (at(2_999, 0), at(3_649, 1))];
        let paid = [(at(0, 0), rent), (at(3_649, 86_399), rent), (at(8, 1), rent.times(3))];
        let (mut one, mut other) = (Ledger::new(&book, &ticks, window), None);
        for (place, stay) in stays.into_iter().enumerate() {
            one.rent(Kind::Storage, 0, stay, rent);
            one.once(Kind::Storage, 0, paid[place].0, paid[place].1);
            // The first is added to the others, and not the other way round.
            other.get_or_insert_with(|| one.clone());
            if place == 0 {
                one = Ledger::new(&book, &ticks, window);
            }
        }
        one.merge(other.unwrap());
        let blocks: usize =
            one.accounts.values().map(|account| account.0.iter().flatten().count()).sum();
        assert!(blocks <= 6, "{blocks}");
        let mut expected = Vec::new();
        let (mut month, mut sum, mut told) = (None, Exact::ZERO, 0);
        for day in window.from_s / DAY_S..window.until_s / DAY_S {
            let date = Date::of_day(day);
            if month.replace((date.year, date.month)) != Some((date.year, date.month)) {
                (sum, told) = (Exact::ZERO, 0);
            }
            for (from_s, to_s) in stays {
                let (from_s, to_s) = (from_s.max(day * DAY_S), to_s.min((day + 1) * DAY_S));
                let within = if from_s < to_s { ticks.between(from_s, to_s) } else { 0 };
                sum += rent.times(within);
            }
            sum += paid.iter().filter(|(at_s, _)| at_s / DAY_S == day).map(|(_, paid)| *paid).sum();
            let until_now = book.rounded(sum).unwrap().0;
            expected.extend((until_now != told).then_some((day, until_now - told)));
            told = until_now;
        }
        let mut found = Vec::new();
        one.lines(|line| found.push((line.day, line.amount.0))).unwrap();
        assert!(found.len() > 3_000, "{}", found.len());
        assert_eq!(found, expected);
    }
}
