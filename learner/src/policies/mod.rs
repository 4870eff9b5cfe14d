//! Who decides where an object lives. A policy sees what had happened until then, never what comes.

pub mod adaptive_ttl;
pub mod age;
pub mod break_even;
pub mod intelligent_tiering;
pub mod learned;

use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::card::Card;
use vaultaire_proto::prices::exact::Exact;

use crate::error::Error;
use crate::forecasts::Subject;
use crate::guard;
use crate::hazards::Forecast;
use crate::history::{Read, Window};
use crate::logs::{Log, Names};
use crate::planner::record::Record;
use crate::pricing::{Prices, Step};

/// An object as a policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub prices: Prices<'a>,
    /// The tiers in which it may be, the hot one among them.
    pub allowed: &'a [usize],
    pub object: u32,
    pub bucket: u32,
    pub size_bytes: u64,
    /// Others are found by it.
    pub is_index: bool,
    pub at_s: u64,
    /// It is being created.
    pub is_new: bool,
    /// Where it is, and since when.
    pub tier: usize,
    pub entered_s: u64,
    /// Until when it is paid for there in any case.
    pub bound_until_s: u64,
    pub idle_s: u64,
    /// Its reads since it entered its tier.
    pub reads_there: Reads,
    /// What is expected of it, where somebody knows.
    pub forecast: Option<&'a Forecast>,
}

/// Some reads of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub count: u64,
    pub requests: u64,
    pub sent_bytes: u64,
}

impl Reads {
    pub fn add(&mut self, read: Read) {
        self.count += 1;
        self.requests += u64::from(read.requests);
        self.sent_bytes = self.sent_bytes.saturating_add(read.bytes);
    }
}

impl View<'_> {
    pub fn card(&self, tier: usize) -> &Card {
        &self.prices.cards[tier]
    }

    /// What storage costs here at least, in a tick: a tier that moves its objects by itself gets so cheap.
    pub fn least_storage(&self) -> Exact {
        let phases = self.card(self.tier).phases.iter().map(|phase| phase.storage);
        phases.min().unwrap_or_default()
    }
}

/// Decides.
pub trait Policy: Sync {
    fn name(&self) -> &'static str;
    /// Where a new object is put.
    fn place(&self, view: View<'_>) -> usize;
    /// Where an object should be from now on.
    fn decide(&self, view: View<'_>) -> usize;
    /// Whether it knows what to do with objects that another policy has made cold.
    fn brings_back(&self) -> bool {
        true
    }
    /// All that a decision was made from. None: it was not planned.
    fn record(&self, _view: View<'_>, _step: Step, _names: &Names) -> Option<Record> {
        None
    }
}

/// Nothing ever moves: what everything is measured against.
#[derive(Debug)]
pub struct Stay;

impl Policy for Stay {
    fn name(&self) -> &'static str {
        "stay"
    }

    fn place(&self, view: View<'_>) -> usize {
        view.tier
    }

    fn decide(&self, view: View<'_>) -> usize {
        view.tier
    }

    fn brings_back(&self) -> bool {
        false
    }
}

/// What a policy may learn from, of what lies before the time of a decision.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    pub log: &'a Log,
    pub book: &'a Book,
    pub window: Window,
    pub allowed: &'a [usize],
}

/// The name of every policy, in the order in which they are shown.
pub const NAMES: [&str; 7] = [
    "stay",
    "age-30-90",
    "intelligent-tiering",
    "adaptive-ttl",
    "break-even",
    learned::NAME,
    guard::NAME,
];

/// Whether this policy asks for forecasts.
pub fn asks(name: &str) -> bool {
    name == learned::NAME || name == guard::NAME
}

/// The policy of a name. The guard is none by itself: it follows one of the others.
pub fn named(name: &str, world: World<'_>) -> Result<Option<Box<dyn Policy>>, Error> {
    let World { log, book, window, allowed } = world;
    Ok(Some(match name {
        "stay" => Box::new(Stay),
        "age-30-90" => Box::new(age::Age),
        "intelligent-tiering" => Box::new(intelligent_tiering::IntelligentTiering),
        "adaptive-ttl" => Box::new(adaptive_ttl::AdaptiveTtl::new(log, book, window, allowed)?),
        "break-even" => Box::new(break_even::BreakEven),
        learned::NAME => Box::new(learned::Learned),
        _ => return Ok(None),
    }))
}

/// What a policy does with an object. `decided` hears what it saw at each step.
pub fn steps(
    policy: &dyn Policy,
    prices: Prices<'_>,
    allowed: &[usize],
    (subject, bucket): (&Subject, u32),
    forecasts: &[Option<Forecast>],
    decided: &mut dyn FnMut(View<'_>, Step),
) -> Vec<Step> {
    let Subject { life, points, .. } = subject;
    let mut steps = Vec::new();
    let mut forecasts = forecasts.iter().map(Option::as_ref);
    let mut next_forecast = || forecasts.next().flatten();
    let mut view = View {
        prices,
        allowed,
        object: life.object,
        bucket,
        size_bytes: life.size_bytes,
        is_index: subject.is_index,
        at_s: life.from_s,
        is_new: life.is_new,
        tier: prices.book.hot,
        entered_s: life.from_s,
        bound_until_s: 0,
        idle_s: 0,
        reads_there: Reads::default(),
        forecast: None,
    };
    if life.is_new {
        view.forecast = next_forecast();
        view.tier = policy.place(view);
        view.bound_until_s = life.from_s + view.card(view.tier).stay_min_s;
        let step = Step { at_s: life.from_s, tier: view.tier };
        decided(view, step);
        steps.push(step);
    }
    let mut reads = life.reads.iter();
    let mut known = 0;
    view.is_new = false;
    for point in points {
        view.at_s = point.at_s;
        view.idle_s = point.at_s - point.idle_since_s;
        reads.by_ref().take(point.reads - known).for_each(|read| view.reads_there.add(*read));
        known = point.reads;
        view.forecast = next_forecast();
        let wanted = policy.decide(view);
        if wanted != view.tier {
            let step = Step { at_s: point.at_s, tier: wanted };
            decided(view, step);
            steps.push(step);
            view.tier = wanted;
            view.entered_s = point.at_s;
            view.bound_until_s = point.at_s + view.card(wanted).stay_min_s;
            view.reads_there = Reads::default();
        }
    }
    steps
}
