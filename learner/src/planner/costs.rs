//! A price card in small integers: what one object costs in each tier, in a unit that is chosen so that a plan over a year fits into
//! 64 bits. Months count as twelve in 365.25 days here: a plan is an estimate, a bill is not.

use vaultaire_proto::prices::calendar::{DAY_S, MONTH_TICKS};
use vaultaire_proto::prices::card::{Card, RestoreCard};
use vaultaire_proto::prices::exact::Exact;

use crate::hazards::Forecast;

/// Plans count time in half days: the middle of the first span is one.
pub const HALF_DAY_S: u64 = DAY_S / 2;

/// Ticks of half a day, in a year of 365.25 days.
const HALF_DAY_TICKS: i128 = MONTH_TICKS as i128 * 24 / 1_461;

/// No single amount of a plan has more bits.
const AMOUNT_BITS: u32 = 38;

/// A year and the longest stay: what amounts are compared with to choose the unit.
const LONGEST_HALF_DAYS: i128 = 2 * (365 + 365);

/// Rent from an idle age on.
#[derive(Clone, Copy, Debug, Default)]
struct Phase {
    from: i64,
    half_day: i64,
}

/// Phases that a tier may have.
const PHASES_MAX: usize = 5;

/// One tier.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Its number in the book.
    pub tier: usize,
    /// To put a new object there.
    pub put: i64,
    /// To move it there.
    pub entry: i64,
    /// To read it for a move to elsewhere.
    pub exit: i64,
    /// A day on which it is read.
    pub read: i64,
    /// It is paid for so long at least, in half days, and this is each of the rest.
    pub stay: i64,
    pub early: i64,
    phases: [Phase; PHASES_MAX],
}

impl Costs {
    /// What it costs to be there between two idle ages, in half days.
    pub fn rent(&self, from: i64, to: i64) -> i64 {
        self.until(to) - self.until(from)
    }

    fn until(&self, age: i64) -> i64 {
        let mut sum = 0;
        for (place, phase) in self.phases.iter().enumerate() {
            let ends = self.phases.get(place + 1).map_or(age, |next| age.min(next.from));
            sum += (ends - phase.from).max(0) * phase.half_day;
        }
        sum
    }

    /// The rest of a stay.
    pub fn rest(&self, left: i64) -> i64 {
        left.max(0) * self.early
    }
}

/// Of some tiers, for what is expected of one object; and how many bits were dropped from each amount.
pub fn of(
    cards: &[Card],
    tiers: &[usize],
    size_bytes: u64,
    forecast: &Forecast,
) -> (Vec<Costs>, u32) {
    let day = Day { size_bytes, forecast };
    let bits = tiers.iter().map(|tier| bits(&cards[*tier], day)).max().unwrap_or(0);
    let dropped = bits.saturating_sub(AMOUNT_BITS);
    let costs = tiers.iter().map(|tier| one(*tier, &cards[*tier], day, dropped));
    (costs.collect(), dropped)
}

/// What happens on a day on which an object is read.
#[derive(Clone, Copy)]
struct Day<'a> {
    size_bytes: u64,
    forecast: &'a Forecast,
}

/// Of its largest amount.
fn bits(card: &Card, day: Day<'_>) -> u32 {
    let rent = card.storage() + card.monitoring;
    let rented = rent.times(HALF_DAY_TICKS).times(LONGEST_HALF_DAYS);
    let amounts = [rented, card.put, card.transition, exit(card, day), read(card, day)];
    let count = |units: i128| i128::BITS - units.max(0).leading_zeros();
    let of = |amount: Exact| match count(amount.halved(u64::BITS).units()) {
        0 => count(amount.units()),
        high => u64::BITS + high,
    };
    amounts.into_iter().map(of).max().unwrap_or(0)
}

fn one(tier: usize, card: &Card, day: Day<'_>, dropped: u32) -> Costs {
    let small = |amount: Exact| i64::try_from(amount.halved(dropped).units()).unwrap_or(i64::MAX);
    let half_day = |rent: Exact| small(rent.times(HALF_DAY_TICKS));
    let mut phases = [Phase { from: i64::MAX, half_day: 0 }; PHASES_MAX];
    for (own, phase) in phases.iter_mut().zip(&card.phases) {
        own.from = half_days(phase.idle_s);
        own.half_day = half_day(phase.storage + card.monitoring);
    }
    Costs {
        tier,
        put: small(card.put),
        entry: small(card.transition),
        exit: small(exit(card, day)),
        read: small(read(card, day)),
        stay: half_days(card.stay_min_s),
        early: half_day(card.storage()),
        phases,
    }
}

pub fn half_days(seconds: u64) -> i64 {
    i64::try_from(seconds / HALF_DAY_S).unwrap_or(i64::MAX)
}

/// Reads the whole object once.
fn exit(card: &Card, day: Day<'_>) -> Exact {
    card.restore.map_or(card.retrieval(day.size_bytes), |restore| restored(&restore))
}

/// A day on which it is read. An archived one is restored once, and read from the copy.
fn read(card: &Card, day: Day<'_>) -> Exact {
    let requests = card.get.times(i128::from(day.forecast.requests_q8));
    let sent = card.retrieval(day.size_bytes).times(i128::from(day.forecast.sent_q8));
    (requests + sent).halved(8) + card.restore.map_or(Exact::ZERO, |restore| restored(&restore))
}

/// A copy lasts a day and a half in the mean.
fn restored(restore: &RestoreCard) -> Exact {
    restore.retrieval + restore.copy.times(3 * HALF_DAY_TICKS)
}
