//! One bucket in the order of time: the policy that is chosen asks, and what the bucket can afford is done.

use std::collections::HashMap;

use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::{DAY_S, Ticks};
use vaultaire_proto::prices::card::Card;
use vaultaire_proto::prices::exact::Exact;

use crate::decisions::Decision;
use crate::guard::breaker::{self, Breaker};
use crate::guard::budget::{Account, Debit, Rents};
use crate::guard::looks::{self, Looks};
use crate::guard::shadow::Both;
use crate::guard::tape::{Event, Kind, Start};
use crate::hazards::Forecast;
use crate::history::Read;
use crate::ledger::Ledger;
use crate::points::end_of_day;
use crate::policies::{Policy, Reads, View, break_even};
use crate::pricing::{self, Meter, Prices, Seat, Step};

/// What is the same for every bucket.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub book: &'a Book,
    pub ticks: &'a Ticks,
    /// When charging begins.
    pub from_s: u64,
    pub allowed: &'a [usize],
    pub egress_byte: Exact,
    pub experts: &'a [Box<dyn Policy>],
    /// What the guard is called among the policies, where decisions are kept.
    pub keep: Option<usize>,
}

/// One bucket.
pub struct Bucket<'a> {
    number: u32,
    rules: Rules<'a>,
    held: HashMap<u32, Held>,
    pub account: Account,
    breaker: Breaker,
    looks: Looks,
    pub ledger: Ledger<'a>,
    /// The newest ones: whoever lets it go on takes them.
    pub decisions: Vec<Decision>,
    /// What was paid to move what another policy had put where it was.
    pub switching: Exact,
}

/// An object that is there.
struct Held {
    object: u32,
    start: Start,
    seat: Seat,
    entered_s: u64,
    reads_there: Reads,
    /// Who has put it there.
    placed_by: usize,
    debit: Debit,
    rents: Rents,
    /// Since it was decided about.
    was_read: bool,
    /// When it is looked at again.
    look_s: Option<u64>,
}

/// What was paid once; rents are looked after by the account.
pub struct Fees<'a> {
    pub ticks: &'a Ticks,
    pub paid: Exact,
}

impl Meter for Fees<'_> {
    fn once(&mut self, _kind: pricing::Kind, _tier: usize, _at_s: u64, amount: Exact) {
        self.paid += amount;
    }

    fn rent(&mut self, kind: pricing::Kind, _tier: usize, (from_s, _): (u64, u64), tick: Exact) {
        // A copy is paid when it is made, to its end: nobody knows yet whether the object ends before.
        if kind == pricing::Kind::RestoreCopy {
            let until_s = pricing::readable_until(from_s);
            self.paid += tick.times(self.ticks.between(from_s, until_s));
        }
    }
}

impl<'a> Bucket<'a> {
    pub fn new(number: u32, rules: Rules<'a>, mut ledger: Ledger<'a>) -> Self {
        ledger.of_bucket(number);
        Self {
            number,
            rules,
            held: HashMap::new(),
            account: Account::new(rules.from_s),
            breaker: Breaker::default(),
            looks: Looks::default(),
            ledger,
            decisions: Vec::new(),
            switching: Exact::ZERO,
        }
    }

    /// Goes on through some events, in their order, with this policy.
    pub fn go_on(&mut self, expert: usize, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.looks(event.at_s);
            self.account.until(self.rules.ticks, event.at_s);
            self.breaker.on(event.at_s / DAY_S);
            let known = self.held.remove(&event.object);
            let left = match (event.kind, known) {
                (Kind::Begin { life, forecast }, _) => {
                    let start = (event.object, event.at_s, *life);
                    Some(self.begins(expert, start, forecast.as_deref()))
                }
                (Kind::Read { bytes, requests }, Some(held)) => {
                    let read = Read { at_s: event.at_s, bytes, requests };
                    Some(self.reads(held, read))
                }
                (Kind::Point { idle_since_s, forecast }, Some(held)) => {
                    let moment = (event.at_s, idle_since_s);
                    Some(self.decides(expert, held, moment, forecast.as_deref()))
                }
                (Kind::End, Some(held)) => {
                    self.ends(held);
                    None
                }
                (_, None) => None,
            };
            self.held.extend(left.map(|held| (event.object, held)));
        }
    }

    fn begins(
        &mut self,
        expert: usize,
        (object, at_s, start): (u32, u64, Start),
        forecast: Option<&Forecast>,
    ) -> Held {
        let cards = self.rules.book.cards(start.size_bytes);
        let (prices, hot) = (self.rules.prices(&cards), self.rules.book.hot);
        let life = start.life(object);
        let mut held = Held {
            object,
            start,
            seat: Seat::found(hot, &life),
            entered_s: at_s,
            reads_there: Reads::default(),
            placed_by: expert,
            debit: Debit::default(),
            rents: Rents::default(),
            was_read: false,
            look_s: None,
        };
        if start.is_new {
            let view = View { is_new: true, ..self.view(prices, &held, (at_s, at_s)) };
            let wanted = self.rules.experts[expert].place(View { forecast, ..view });
            let put = |tier: usize| {
                let mut fees = Fees { ticks: prices.ticks, paid: Exact::ZERO };
                let seat = Seat::put(prices, &life, tier, &mut fees);
                (seat, fees.paid - cards[hot].put)
            };
            let tier = self.affordable(prices, &held, wanted, put).unwrap_or(hot);
            let paid = pay(&mut self.ledger, prices, |meter| {
                held.seat = Seat::put(prices, &life, tier, meter);
            });
            self.account.pays(paid, cards[hot].put);
            self.keep(object, None, Step { at_s, tier });
        }
        held.seat.waits(prices, at_s, &mut self.ledger);
        self.settles(prices, &mut held);
        held
    }

    fn reads(&mut self, mut held: Held, read: Read) -> Held {
        let cards = self.rules.book.cards(held.start.size_bytes);
        let prices = self.rules.prices(&cards);
        let readable_until_s = held.seat.readable_until_s;
        let paid = pay(&mut self.ledger, prices, |meter| held.seat.serves(prices, read, meter));
        // A copy that ends when it is decided, as that of a read at midnight does, is of no use then.
        let is_copied = held.seat.readable_until_s > readable_until_s.max(end_of_day(read.at_s));
        let home = &cards[self.rules.book.hot];
        let hot = home.get.times(i128::from(read.requests))
            + (home.read_byte + prices.egress_byte).times(i128::from(read.bytes));
        self.account.pays(paid, hot);
        if held.seat.tier != self.rules.book.hot {
            self.account.reads(&mut held.debit, paid - hot, is_copied);
            self.breaker.paid(paid - hot);
        }
        held.reads_there.add(read);
        held.was_read = true;
        self.rents(prices, &mut held);
        held
    }

    fn decides(
        &mut self,
        expert: usize,
        mut held: Held,
        (at_s, idle_since_s): (u64, u64),
        forecast: Option<&Forecast>,
    ) -> Held {
        let cards = self.rules.book.cards(held.start.size_bytes);
        let (prices, hot) = (self.rules.prices(&cards), self.rules.book.hot);
        let view = View { forecast, ..self.view(prices, &held, (at_s, idle_since_s)) };
        held.seat.waits(prices, at_s, &mut self.ledger);
        let here = held.seat.tier;
        let wanted = wanted(self.rules.experts[expert].as_ref(), view);
        let moved = |tier: usize| {
            let (mut seat, mut fees) = (held.seat, Fees { ticks: prices.ticks, paid: Exact::ZERO });
            seat.moves(prices, Step { at_s, tier }, &mut fees);
            (seat, fees.paid)
        };
        let next = match wanted {
            tier if tier == hot => hot,
            tier if tier == here => here,
            tier => self.affordable(prices, &held, tier, moved).unwrap_or(here),
        };
        // What was read may stay only where it can be read once more.
        let may_stay = || {
            let renewed = Debit::of(prices, held.start.size_bytes, &held.seat);
            renewed.is_some_and(|new| self.has_room(held.debit, new, Exact::ZERO, true))
        };
        let is_hot = here == hot;
        let next = if next == here && !is_hot && held.was_read && !may_stay() { hot } else { next };
        if next != here {
            let step = Step { at_s, tier: next };
            let paid = pay(&mut self.ledger, prices, |meter| held.seat.moves(prices, step, meter));
            self.account.pays(paid, Exact::ZERO);
            if !is_hot {
                self.breaker.paid(paid);
            }
            if next == wanted && held.placed_by != expert {
                self.switching += paid;
            }
            (held.entered_s, held.reads_there, held.placed_by) = (at_s, Reads::default(), expert);
            self.keep(held.object, Some(here), step);
            self.settles(prices, &mut held);
        } else if held.was_read {
            self.settles(prices, &mut held);
        } else {
            self.shrinks(prices, &mut held);
        }
        held.was_read = false;
        held
    }

    fn ends(&mut self, mut held: Held) {
        let cards = self.rules.book.cards(held.start.size_bytes);
        let prices = self.rules.prices(&cards);
        let paid = pay(&mut self.ledger, prices, |meter| held.seat.ends(prices, meter));
        self.account.pays(paid, Exact::ZERO);
        self.breaker.paid(paid);
        self.account.debit(held.debit, Debit::default());
        self.account.rents(held.rents, Rents::default());
        self.looks.set(held.object, held.look_s, None);
    }

    /// The tier that is wanted, or one that moves its objects by itself and so can lose little, whichever there is room for.
    fn affordable(
        &self,
        prices: Prices<'_>,
        held: &Held,
        wanted: usize,
        moved: impl Fn(usize) -> (Seat, Exact),
    ) -> Option<usize> {
        let hot = self.rules.book.hot;
        let week = prices.ticks.between(
            self.account.now_s().saturating_sub(breaker::DAYS * DAY_S),
            self.account.now_s(),
        );
        if wanted == hot || self.breaker.is_open(self.account.saves(week)) {
            return None;
        }
        let from_hot = held.seat.tier == hot;
        let moves_itself = |tier: &usize| from_hot && prices.cards[*tier].phases.len() > 1;
        let others = self.rules.allowed.iter().copied().filter(moves_itself);
        [wanted].into_iter().chain(others).find(|tier| {
            let (seat, paid) = moved(*tier);
            let debit = Debit::of(prices, held.start.size_bytes, &seat);
            debit.is_some_and(|new| {
                self.has_room(held.debit, new, paid, prices.cards[*tier].phases.len() > 1)
            })
        })
    }

    fn has_room(&self, old: Debit, new: Debit, paid: Exact, tier_moves: bool) -> bool {
        self.account.has_room((old, new), paid, self.rules.book, tier_moves)
    }

    /// It was decided where it is from now on.
    fn settles(&mut self, prices: Prices<'_>, held: &mut Held) {
        let debit = Debit::of(prices, held.start.size_bytes, &held.seat).unwrap_or_default();
        self.account.debit(held.debit, debit);
        held.debit = debit;
        self.rents(prices, held);
    }

    /// It stays where it is, and nobody has read it: less and less can be lost.
    fn shrinks(&mut self, prices: Prices<'_>, held: &mut Held) {
        let debit = Debit::of(prices, held.start.size_bytes, &held.seat).unwrap_or_default();
        let debit = Debit { leave: debit.leave.min(held.debit.leave), ..held.debit };
        self.account.debit(held.debit, debit);
        held.debit = debit;
        self.rents(prices, held);
    }

    fn rents(&mut self, prices: Prices<'_>, held: &mut Held) {
        let rents = Rents::of(prices, &held.seat);
        self.account.rents(held.rents, rents);
        held.rents = rents;
        let look_s = looks::next(prices, &held.seat);
        self.looks.set(held.object, held.look_s, look_s);
        held.look_s = look_s;
    }

    /// What less can be lost with by now, or what has become cheaper, after all that was decided at the same midnights.
    fn looks(&mut self, before_s: u64) {
        while let Some((at_s, object)) = self.looks.due(before_s) {
            let Some(mut held) = self.held.remove(&object) else { continue };
            let cards = self.rules.book.cards(held.start.size_bytes);
            let prices = self.rules.prices(&cards);
            self.account.until(self.rules.ticks, at_s);
            held.seat.waits(prices, at_s, &mut self.ledger);
            held.look_s = None;
            match held.was_read {
                true => self.rents(prices, &mut held),
                false => self.shrinks(prices, &mut held),
            }
            self.held.insert(object, held);
        }
    }

    fn view<'v>(
        &self,
        prices: Prices<'v>,
        held: &Held,
        (at_s, idle_since_s): (u64, u64),
    ) -> View<'v>
    where
        'a: 'v,
    {
        View {
            prices,
            allowed: self.rules.allowed,
            object: held.object,
            bucket: self.number,
            size_bytes: held.start.size_bytes,
            is_index: held.start.is_index,
            at_s,
            is_new: false,
            tier: held.seat.tier,
            entered_s: held.entered_s,
            bound_until_s: held.seat.bound_until_s,
            idle_s: at_s - idle_since_s,
            reads_there: held.reads_there,
            forecast: None,
        }
    }

    fn keep(&mut self, object: u32, from: Option<usize>, step: Step) {
        if let Some(policy) = self.rules.keep {
            self.decisions.push(Decision { object, policy, from, step });
        }
    }
}

impl<'a> Rules<'a> {
    fn prices<'p>(self, cards: &'p [Card]) -> Prices<'p>
    where
        'a: 'p,
    {
        Prices { book: self.book, ticks: self.ticks, cards, egress_byte: self.egress_byte }
    }
}

/// Where a policy wants an object. One that does not know what to do with what others have made cold has it brought back when
/// reading it there has cost as much as coming back does.
fn wanted(policy: &dyn Policy, view: View<'_>) -> usize {
    let wanted = policy.decide(view);
    let stays = wanted == view.tier && !policy.brings_back();
    stays.then(|| break_even::comes_back(view)).flatten().unwrap_or(wanted)
}

/// Does something that costs, and tells what was paid once.
fn pay<'l, 'p>(
    ledger: &mut Ledger<'l>,
    prices: Prices<'p>,
    act: impl FnOnce(&mut Both<'_, Ledger<'l>, Fees<'p>>),
) -> Exact {
    let mut fees = Fees { ticks: prices.ticks, paid: Exact::ZERO };
    act(&mut Both(ledger, &mut fees));
    fees.paid
}
