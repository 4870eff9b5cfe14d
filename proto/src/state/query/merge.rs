//! One page of a list out of the shards' own pages. Each shard is asked for its share and asked again where that was not
//! enough, all shards of a round at the same time: none waits for another, and little is read that no page shows.
//! Keys are unique over shards, rolled-up prefixes are not.

use std::collections::VecDeque;

use crate::catalog::{Item, Page};
use crate::name::ObjectKey;
use crate::tables::Reader;

/// Asked for beyond a shard's fair share: names spread unevenly, and a second round costs more than a few rows.
const SHARE_MARGIN: usize = 16;

/// A list of the keys of a bucket that every shard has a part of.
pub trait Listing: Clone {
    type Row;

    fn limit(&self) -> usize;

    /// The same list, from behind `last` on.
    fn behind(&self, last: &Item<Self::Row>) -> Self;

    fn with_limit(self, limit: usize) -> Self;

    fn key(row: &Self::Row) -> &ObjectKey;

    /// This list of one shard.
    fn page(&self, shard: &dyn Reader) -> Page<Self::Row>;
}

/// What the shards have found so far. Ask `wanted`, `give` what it names, until it names nothing; then `finish`.
#[derive(Debug)]
pub struct Merge<L: Listing> {
    limit: usize,
    shards: Vec<Shard<L>>,
    items: Vec<Item<L::Row>>,
}

#[derive(Debug)]
struct Shard<L: Listing> {
    /// Not merged yet.
    found: VecDeque<Item<L::Row>>,
    /// What to ask for when all of that is merged; none where the shard has nothing more.
    rest: Option<L>,
}

impl<L: Listing> Merge<L> {
    pub fn new(list: L, shards: usize) -> Self {
        let fair = list.limit().div_ceil(shards.max(1));
        Self::with_share(list, shards, fair.saturating_add(fair / 4).saturating_add(SHARE_MARGIN))
    }

    /// Each shard is asked for `share` items at a time.
    pub(crate) fn with_share(list: L, shards: usize, share: usize) -> Self {
        let limit = list.limit();
        let rest = (limit > 0).then(|| list.with_limit(share.min(limit)));
        let shard = || Shard { found: VecDeque::new(), rest: rest.clone() };
        let shards = std::iter::repeat_with(shard).take(shards).collect();
        Self { limit, shards, items: Vec::new() }
    }

    /// Which shards have to be asked what before the list can go on. None: the page is complete.
    pub fn wanted(&mut self) -> Vec<(usize, L)> {
        while self.items.len() < self.limit {
            let wanted: Vec<(usize, L)> = self
                .shards
                .iter()
                .enumerate()
                .filter(|(_, shard)| shard.found.is_empty())
                .filter_map(|(index, shard)| Some((index, shard.rest.clone()?)))
                .collect();
            if !wanted.is_empty() {
                return wanted;
            }
            let Some(item) = self.take_first() else {
                break;
            };
            self.items.push(item);
        }
        Vec::new()
    }

    /// What a shard answered.
    pub fn give(&mut self, shard: usize, page: Page<L::Row>) {
        let Some(shard) = self.shards.get_mut(shard) else {
            return;
        };
        shard.rest = match (page.items.last(), &shard.rest) {
            (Some(last), Some(asked)) if page.truncated => {
                let rest = asked.behind(last);
                // The other shards have the same prefixes: no share of the list, but all of it is needed from here.
                let shared = page.items.iter().any(|item| matches!(item, Item::Prefix(_)));
                Some(if shared { rest.with_limit(self.limit) } else { rest })
            }
            _ => None,
        };
        shard.found.extend(page.items);
    }

    pub fn finish(self) -> Page<L::Row> {
        let more = |shard: &Shard<L>| shard.rest.is_some() || !shard.found.is_empty();
        let truncated = self.limit > 0 && self.shards.iter().any(more);
        Page { items: self.items, truncated }
    }

    /// The smallest item that any shard has; from all of them where it is a prefix of theirs too.
    fn take_first(&mut self) -> Option<Item<L::Row>> {
        let heads = self.shards.iter().enumerate();
        let heads =
            heads.filter_map(|(index, shard)| Some((index, text::<L>(shard.found.front()?))));
        let (first, _) = heads.min_by_key(|(_, text)| *text)?;
        let item = self.shards.get_mut(first)?.found.pop_front()?;
        if let Item::Prefix(common) = &item {
            for shard in &mut self.shards {
                if matches!(shard.found.front(), Some(Item::Prefix(other)) if other == common) {
                    shard.found.pop_front();
                }
            }
        }
        Some(item)
    }
}

/// Reads one shard after the other.
pub fn in_turn<L: Listing>(mut merge: Merge<L>, shards: &[&dyn Reader]) -> Page<L::Row> {
    loop {
        let wanted = merge.wanted();
        if wanted.is_empty() {
            return merge.finish();
        }
        for (index, list) in wanted {
            if let Some(reader) = shards.get(index) {
                merge.give(index, list.page(*reader));
            }
        }
    }
}

fn text<L: Listing>(item: &Item<L::Row>) -> &str {
    match item {
        Item::Entry(row) => L::key(row).as_str(),
        Item::Prefix(common) => common,
    }
}
