//! How much a bucket may lose. It has a budget, a quarter of what its first thirty days cost if everything is hot, as far as
//! they are over and its objects were known. What could yet be lost is known of every object that is not hot: its debit. A demotion is refused where all debits
//! together are more than the budget and what was saved until then. So whatever is read next, the bucket's bill is at most what
//! doing nothing costs, and the budget.
//!
//! **Why that holds.** Let `saved` be what doing nothing would have cost until now, less what was paid, and `debits` the sum over all
//! objects. `debits <= saved + budget` holds at first, and nothing breaks it: a demotion is refused if it would; rent only adds to what
//! was saved, beside what a debit contains; a read, the end or the return of an object costs at most its debit,
//! which it takes away in the same step. Once an object was read it is decided about again, and it may stay only where there is
//! room for another read of it; so one read is in a debit. Where it is read more often before that is decided, at the end of
//! the day, or in more requests, what goes beyond is counted apart, as excess. What has to be restored is so once in a debit: a copy
//! that a read has made lasts beyond the end of the day, when it is decided, and what leaves by then leaves from that copy. An
//! object that is hot again can lose nothing: the hot tier of a price book has no minimum stay, or the book is refused.

use vaultaire_proto::money::NanoUsd;
use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::{DAY_S, MONTH_TICKS, Ticks};
use vaultaire_proto::prices::card::RestoreCard;
use vaultaire_proto::prices::exact::Exact;

use crate::pricing::{Prices, Seat};

/// The budget is earned on these first days.
pub const EARNED_DAYS: u64 = 30;

/// A quarter, in halvings.
pub const BUDGET_HALVINGS: u32 = 2;

/// Of all room, what is kept for objects with which little can be lost, in halvings.
const KEPT_HALVINGS: u32 = 2;

/// A restored copy lasts two days at most: so many ticks, in the shortest month.
const COPY_TICKS: i128 = 2 * MONTH_TICKS as i128 / 28;

/// What can be lost with one object from now on until it is hot again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debit {
    /// By the next read.
    pub read: Exact,
    /// By being restored, for that read or for its return.
    pub restore: Exact,
    /// The rest of its stay, all that its return costs, and rent that is dearer than the hot tier's at first.
    pub leave: Exact,
}

impl Debit {
    /// Of an object in a tier. None: it is never cheaper there than in the hot one.
    pub fn of(prices: Prices<'_>, size_bytes: u64, seat: &Seat) -> Option<Self> {
        let hot = prices.book.hot;
        if seat.tier == hot {
            return Some(Self::default());
        }
        let (card, home) = (&prices.cards[seat.tier], &prices.cards[hot]);
        let restored = |restore: RestoreCard| restore.retrieval + restore.copy.times(COPY_TICKS);
        let fetched = card.retrieval(size_bytes);
        let mut dearer = Exact::ZERO;
        for (place, phase) in card.phases.iter().enumerate() {
            let more = phase.storage + card.monitoring - home.storage();
            if more < Exact::ZERO {
                break;
            }
            let next = card.phases.get(place + 1)?;
            let until_s = seat.now_s + next.idle_s - phase.idle_s;
            dearer += more.times(prices.ticks.between(seat.now_s, until_s));
        }
        Some(Self {
            read: (card.get + fetched - home.get).max(Exact::ZERO),
            restore: card.restore.map_or(Exact::ZERO, restored),
            leave: seat.rest(prices) + fetched + home.transition + dearer,
        })
    }

    pub fn sum(self) -> Exact {
        self.read + self.restore + self.leave
    }
}

/// Rent of an object in a tick: if it is hot, and how much less is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rents {
    pub hot: Exact,
    pub saved: Exact,
}

impl Rents {
    /// As they are now. What gets cheaper by itself does so at an idle age, and is looked at the midnight after that.
    pub fn of(prices: Prices<'_>, seat: &Seat) -> Self {
        let (hot, card) = (prices.cards[prices.book.hot].storage(), &prices.cards[seat.tier]);
        let idle_s = seat.now_s.saturating_sub(seat.idle_since_s);
        let reached = card.phases.iter().rfind(|phase| phase.idle_s <= idle_s);
        let storage = reached.map_or(card.storage(), |phase| phase.storage);
        Self { hot, saved: hot - storage - card.monitoring }
    }
}

/// What one bucket has earned, saved and may yet lose.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Until when it earns its budget.
    earns_until_s: u64,
    now_s: u64,
    /// Rent of everything in a tick, if it was hot.
    hot_rent: Exact,
    /// How much less is paid.
    saved_rent: Exact,
    /// What doing nothing cost in the time in which the budget is earned.
    hot: Exact,
    pub saved: Exact,
    debits: Exact,
    /// What reads cost beyond what debits contain.
    pub excess: Exact,
}

/// What rounding may add to a bill.
const ROUNDING: NanoUsd = NanoUsd(1_000);

impl Account {
    pub fn new(from_s: u64) -> Self {
        let earns_until_s = (from_s / DAY_S + EARNED_DAYS) * DAY_S;
        Self { earns_until_s, now_s: from_s, ..Self::default() }
    }

    /// Time passes.
    pub fn until(&mut self, ticks: &Ticks, now_s: u64) {
        let earned = ticks.between(self.now_s, now_s.min(self.earns_until_s).max(self.now_s));
        self.hot += self.hot_rent.times(earned);
        self.saved += self.saved_rent.times(ticks.between(self.now_s, now_s));
        self.now_s = now_s;
    }

    /// Rents are others from now on, by so much: what objects cost if they are hot, and how much less is paid.
    pub fn rents(&mut self, old: Rents, new: Rents) {
        self.hot_rent += new.hot - old.hot;
        self.saved_rent += new.saved - old.saved;
    }

    /// What rent saves in a time like this.
    pub fn saves(&self, ticks: i128) -> Exact {
        self.saved_rent.times(ticks)
    }

    /// So much was paid, where doing nothing costs this.
    pub fn pays(&mut self, paid: Exact, hot: Exact) {
        self.saved += hot - paid;
        if self.now_s < self.earns_until_s {
            self.hot += hot;
        }
    }

    /// Takes a debit away and puts another one in its place.
    pub fn debit(&mut self, old: Debit, new: Debit) {
        self.debits += new.sum() - old.sum();
    }

    /// A read cost more than in the hot tier: the debit contains it, or it is excess. One of which there is
    /// a new copy now leaves from that, and is not restored again.
    pub fn reads(&mut self, debit: &mut Debit, more: Exact, is_copied: bool) {
        let more = more.max(Exact::ZERO);
        let restore = if is_copied { debit.restore } else { Exact::ZERO };
        let contained = more.min(debit.read + restore);
        let left = Debit {
            read: debit.read - (contained - restore).max(Exact::ZERO),
            restore: debit.restore - restore,
            leave: debit.leave,
        };
        self.debit(*debit, left);
        *debit = left;
        self.excess += more - contained;
    }

    /// Whether there is room for a debit instead of another one, when so much was paid for it. Part of the room is kept for what
    /// risks little.
    pub fn has_room(
        &self,
        (old, new): (Debit, Debit),
        paid: Exact,
        book: &Book,
        risks_little: bool,
    ) -> bool {
        let debits = self.debits - old.sum() + new.sum() + book.once(ROUNDING);
        let room = self.saved - paid + self.budget();
        debits <= if risks_little { room } else { room - room.halved(KEPT_HALVINGS) }
    }

    pub fn now_s(&self) -> u64 {
        self.now_s
    }

    /// What may be lost by now.
    pub fn budget(&self) -> Exact {
        self.hot.halved(BUDGET_HALVINGS)
    }
}

#[cfg(test)]
mod tests {
    use vaultaire_proto::prices::books;

    use super::*;
    use crate::guard::replay::Fees;
    use crate::history::{Life, Read};
    use crate::points::end_of_day;
    use crate::pricing::Step;

    const FROM_S: u64 = 20_100 * DAY_S;

    fn life(size_bytes: u64) -> Life {
        Life {
            object: 0,
            size_bytes,
            from_s: FROM_S,
            seen_s: FROM_S,
            is_new: true,
            idle_since_s: FROM_S,
            until_s: FROM_S + 400 * DAY_S,
            reads: Vec::new(),
        }
    }

    /// What one object in a tier is debited, what it then costs more than in the hot tier until it is back there, and the excess.
    fn lost(prices: Prices<'_>, tier: usize, size_bytes: u64, way: Way) -> (Exact, Exact, Exact) {
        let (mut fees, mut account) =
            (Fees { ticks: prices.ticks, paid: Exact::ZERO }, Account::default());
        let mut seat = Seat::put(prices, &life(size_bytes), tier, &mut fees);
        let Some(mut debit) = Debit::of(prices, size_bytes, &seat) else {
            return (Exact::ZERO, Exact::ZERO, Exact::ZERO);
        };
        let debited = debit.sum();
        account.debit(Debit::default(), debit);
        fees.paid = Exact::ZERO;
        if let Some(at_s) = way.read_s {
            let (before, readable_s) = (fees.paid, seat.readable_until_s);
            let read = Read { at_s, bytes: size_bytes, requests: 1 };
            seat.serves(prices, read, &mut fees);
            let home = &prices.cards[prices.book.hot];
            fees.paid = fees.paid - home.get - home.retrieval(size_bytes);
            let is_copied = seat.readable_until_s > readable_s.max(end_of_day(at_s));
            account.reads(&mut debit, fees.paid - before, is_copied);
        }
        seat.moves(prices, Step { at_s: way.back_s, tier: prices.book.hot }, &mut fees);
        (debited, fees.paid, account.excess)
    }

    #[derive(Clone, Copy)]
    struct Way {
        read_s: Option<u64>,
        back_s: u64,
    }

    /// One full read of it, if any, and its return when that is decided about.
    #[test]
    fn a_debit_is_all_that_can_be_lost_and_no_restore_more() {
        let unread = [1, 40, 200].map(|day| Way { read_s: None, back_s: FROM_S + day * DAY_S });
        let read = [1, 3_600, DAY_S - 1, 50 * DAY_S + 1, 200 * DAY_S + 77].map(|after_s| Way {
            read_s: Some(FROM_S + after_s),
            back_s: end_of_day(FROM_S + after_s),
        });
        for book in books::names().filter_map(books::named) {
            let ticks = Ticks::new(book.month, FROM_S / DAY_S..FROM_S / DAY_S + 800);
            for (tier, size_bytes) in (0..book.tiers.len())
                .filter(|tier| *tier != book.hot)
                .flat_map(|tier| [1, 200_000, 5 << 30].map(|bytes| (tier, bytes)))
            {
                let cards = book.cards(size_bytes);
                let prices =
                    Prices { book: &book, ticks: &ticks, cards: &cards, egress_byte: Exact::ZERO };
                let of = |way: &Way| lost(prices, tier, size_bytes, *way);
                let ways: Vec<_> = unread.iter().chain(&read).map(of).collect();
                let about =
                    format!("{} bytes in {} of {}", size_bytes, book.tiers[tier].name, book.name);
                for (debited, paid, excess) in &ways {
                    assert!(paid <= debited, "{about}: {paid:?} of {debited:?}");
                    assert_eq!(*excess, Exact::ZERO, "{about}");
                }
                let worst = ways.iter().map(|(_, paid, _)| *paid).max().unwrap_or_default();
                if cards[tier].restore.is_some() {
                    let debited = ways[0].0;
                    assert!(
                        debited <= worst + worst.halved(2),
                        "{about}: {worst:?} of {debited:?}"
                    );
                }
            }
        }
    }

    /// A copy that ends in the moment of the decision is of no use then: the second restore is told as excess.
    #[test]
    fn a_read_at_midnight_may_have_excess() {
        let book = books::builtin();
        let ticks = Ticks::new(book.month, FROM_S / DAY_S..FROM_S / DAY_S + 800);
        let cards = book.cards(5 << 30);
        let prices = Prices { book: &book, ticks: &ticks, cards: &cards, egress_byte: Exact::ZERO };
        let read_s = FROM_S + 3 * DAY_S;
        let way = Way { read_s: Some(read_s), back_s: end_of_day(read_s) };
        for tier in (0..cards.len()).filter(|tier| cards[*tier].restore.is_some()) {
            let (debited, paid, excess) = lost(prices, tier, 5 << 30, way);
            assert!(
                paid <= debited + excess && excess > Exact::ZERO,
                "{paid:?} {debited:?} {excess:?}"
            );
        }
    }
}
