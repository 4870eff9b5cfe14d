//! Who decides where an object lives. A policy sees what had happened until then, never what comes.

pub mod adaptive_ttl;
pub mod age;
pub mod break_even;
pub mod intelligent_tiering;

use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::card::Card;

use crate::history::{Life, Read, Window};
use crate::logs::Log;
use crate::points;
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
    pub at_s: u64,
    /// Where it is, and since when.
    pub tier: usize,
    pub entered_s: u64,
    pub idle_s: u64,
    /// Its reads since it entered its tier.
    pub reads_there: &'a [Read],
}

impl View<'_> {
    pub fn card(&self, tier: usize) -> &Card {
        &self.prices.cards[tier]
    }
}

/// Decides.
pub trait Policy: Sync {
    fn name(&self) -> &'static str;
    /// Where a new object is put.
    fn place(&self, view: View<'_>) -> usize;
    /// Where an object should be from now on.
    fn decide(&self, view: View<'_>) -> usize;
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
pub const NAMES: [&str; 5] =
    ["stay", "age-30-90", "intelligent-tiering", "adaptive-ttl", "break-even"];

/// The policy of a name.
pub fn named(name: &str, world: World<'_>) -> Option<Box<dyn Policy>> {
    let World { log, book, window, allowed } = world;
    Some(match name {
        "stay" => Box::new(Stay),
        "age-30-90" => Box::new(age::Age),
        "intelligent-tiering" => Box::new(intelligent_tiering::IntelligentTiering),
        "adaptive-ttl" => Box::new(adaptive_ttl::AdaptiveTtl::new(log, book, window, allowed)),
        "break-even" => Box::new(break_even::BreakEven),
        _ => return None,
    })
}

/// What a policy does with an object.
pub fn steps(
    policy: &dyn Policy,
    prices: Prices<'_>,
    allowed: &[usize],
    (life, bucket): (&Life, u32),
) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut tier, mut entered_s, mut reads_before) = (prices.book.hot, life.from_s, 0);
    let view = |tier, entered_s, at_s, idle_since_s, reads_there| View {
        prices,
        allowed,
        object: life.object,
        bucket,
        size_bytes: life.size_bytes,
        at_s,
        tier,
        entered_s,
        idle_s: at_s - idle_since_s,
        reads_there,
    };
    if life.is_new {
        tier = policy.place(view(tier, entered_s, life.from_s, life.from_s, &[]));
        steps.push(Step { at_s: life.from_s, tier });
    }
    for point in points::of(life) {
        let reads_there = &life.reads[reads_before..point.reads];
        let wanted =
            policy.decide(view(tier, entered_s, point.at_s, point.idle_since_s, reads_there));
        if wanted != tier {
            (tier, entered_s, reads_before) = (wanted, point.at_s, point.reads);
            steps.push(Step { at_s: point.at_s, tier });
        }
    }
    steps
}
