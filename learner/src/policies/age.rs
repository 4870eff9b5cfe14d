//! The rule that most lifecycle configurations have: what was idle for 30 days goes to a cheaper tier, what was for 90 days to
//! the cheapest; nothing comes back by itself. In its best form: the age is the time since the last access, and where a tier's
//! smallest billed size makes an object dearer, it stays.

use vaultaire_proto::prices::calendar::DAY_S;

use crate::policies::{Policy, View};

const WARM_AFTER_S: u64 = 30 * DAY_S;
const COLD_AFTER_S: u64 = 90 * DAY_S;

#[derive(Debug)]
pub struct Age;

impl Policy for Age {
    fn name(&self) -> &'static str {
        "age-30-90"
    }

    fn place(&self, view: View<'_>) -> usize {
        view.tier
    }

    fn decide(&self, view: View<'_>) -> usize {
        let wanted = match view.idle_s {
            idle_s if idle_s >= COLD_AFTER_S => cold(view),
            idle_s if idle_s >= WARM_AFTER_S => warm(view),
            _ => None,
        };
        let here = view.least_storage();
        wanted.filter(|tier| view.card(*tier).storage() < here).unwrap_or(view.tier)
    }
}

/// The tiers that neither move objects themselves nor are the hot one.
fn plain(view: View<'_>) -> impl Iterator<Item = usize> {
    let book = view.prices.book;
    let tiers = view.allowed.iter().copied();
    tiers.filter(|tier| *tier != book.hot && book.tiers[*tier].native.is_none())
}

/// The dearest of those that are readable at once.
fn warm(view: View<'_>) -> Option<usize> {
    let instant = plain(view).filter(|tier| view.card(*tier).restore.is_none());
    instant.max_by_key(|tier| view.prices.book.tiers[*tier].storage)
}

/// The dearest archive, where archives are allowed: it is also the fastest. Otherwise the cheapest tier.
fn cold(view: View<'_>) -> Option<usize> {
    let storage = |tier: &usize| view.prices.book.tiers[*tier].storage;
    let archives = plain(view).filter(|tier| view.card(*tier).restore.is_some());
    archives.max_by_key(storage).or_else(|| plain(view).min_by_key(storage))
}
