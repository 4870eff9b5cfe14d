//! Which policy would have been the cheapest for each bucket until charging began, from the beginning of the log on. It is tried on
//! what was known then, as if the log had ended there, with everything hot at first.

use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::DAY_S;
use vaultaire_proto::prices::exact::Exact;

use crate::error::Error;
use crate::forecasts::Object;
use crate::history::{self, Window};
use crate::logs::Log;
use crate::logs::accesses::Share;
use crate::policies::{self, Policy, World, steps};
use crate::pricing::{Prices, Total, charge};
use crate::shares;

/// The place of the policy of each bucket among these names. Where nothing is known it is the first.
pub fn first(
    log: &Log,
    book: &Book,
    allowed: &[usize],
    names: &[&str],
    (from_s, threads): (u64, usize),
) -> Result<Vec<usize>, Error> {
    let buckets = log.names.buckets.len();
    let window = Window { from_s: log.first_s, until_s: from_s };
    if from_s < log.first_s + DAY_S {
        return Ok(vec![0; buckets]);
    }
    let world = World { log, book, window, allowed };
    let mut tried: Vec<(usize, Box<dyn Policy>)> = Vec::new();
    for (place, name) in names.iter().enumerate().filter(|(_, name)| !policies::asks(name)) {
        tried.extend(policies::named(name, world)?.map(|policy| (place, policy)));
    }
    let trial = Trial { world, tried: &tried };
    let parts = shares::each(&log.accesses.shares(threads), |share| trial.costs(share))?;
    let cheapest = |bucket: usize| {
        let cost = |own: &usize| -> Exact { parts.iter().map(|part| part[bucket][*own]).sum() };
        (0..tried.len()).min_by_key(cost).map_or(0, |own| tried[own].0)
    };
    Ok((0..buckets).map(cheapest).collect())
}

/// Some policies that are tried.
struct Trial<'a> {
    world: World<'a>,
    tried: &'a [(usize, Box<dyn Policy>)],
}

impl Trial<'_> {
    /// What each policy costs each bucket, for some objects.
    fn costs(&self, share: &Share<'_>) -> Result<Vec<Vec<Exact>>, Error> {
        let World { log, book, window, allowed } = self.world;
        let ticks = history::ticks(book, window);
        let mut costs = vec![vec![Exact::ZERO; self.tried.len()]; log.names.buckets.len()];
        let mut objects = share.objects();
        while let Some(of_one) = objects.next_object()? {
            let known = of_one.partition_point(|access| access.at_s() < window.until_s);
            let lives = history::lives(log, window.until_s, &of_one[..known])?;
            let number = of_one[0].object;
            let bucket = log.names.bucket_of(number);
            let object = Object::new((number, log.names.key(number)), lives, window);
            for subject in &object.subjects {
                let cards = book.cards(subject.life.size_bytes);
                let prices =
                    Prices { book, ticks: &ticks, cards: &cards, egress_byte: Exact::ZERO };
                for (own, (_, policy)) in self.tried.iter().enumerate() {
                    let of_life = (subject, bucket);
                    let steps =
                        steps(policy.as_ref(), prices, allowed, of_life, &[], &mut |_, _| ());
                    let mut total = Total { ticks: &ticks, amount: Exact::ZERO };
                    charge(prices, &subject.life, &steps, &mut total);
                    costs[bucket as usize][own] += total.amount;
                }
            }
        }
        Ok(costs)
    }
}
