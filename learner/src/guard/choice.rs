//! Which policy decides about a bucket. At first the one that would have been the cheapest before charging began, of those that
//! learn nothing from networks. Then another one, where it was cheaper by a twentieth and by two standard errors in two windows, one
//! after the other.

use vaultaire_proto::prices::exact::Exact;

use crate::guard::shadow::Costs;

/// A twentieth.
const PART: i128 = 20;

/// So many windows in a row have to agree.
const WINDOWS: usize = 2;

/// The policy of each window, and of the one that begins where the last ends.
pub fn of(first: usize, windows: &[Costs]) -> Vec<usize> {
    let mut chosen = vec![first];
    for ended in 0..windows.len() {
        let now = chosen[ended];
        let judged = (ended + 1).checked_sub(WINDOWS).map(|from| &windows[from..=ended]);
        chosen.push(judged.and_then(|judged| cheaper(now, judged)).unwrap_or(now));
    }
    chosen
}

/// The cheapest of those that were cheaper in all of these windows.
fn cheaper(now: usize, windows: &[Costs]) -> Option<usize> {
    let is_cheaper =
        |other: &usize| windows.iter().all(|window| window.is_dearer(now, *other, PART));
    let sum = |other: &usize| -> Exact { windows.iter().map(|window| window.sums[*other]).sum() };
    let policies = windows.first()?.sums.len();
    (0..policies).filter(|other| *other != now).filter(is_cheaper).min_by_key(sum)
}
