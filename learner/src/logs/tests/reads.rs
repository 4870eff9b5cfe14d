//! Requests that are one read, and what it costs.

use proptest::prelude::*;
use vaultaire_proto::prices::books;
use vaultaire_proto::prices::calendar::DAY_S;
use vaultaire_proto::prices::exact::Exact;

use super::*;
use crate::history::{self, Window};
use crate::ledger::Ledger;
use crate::pricing::{Prices, Step, charge};
use crate::report::Bill;

const SIZE: u64 = 1_000;

/// Seconds into 2026, how many requests and bytes each read is.
fn reads(lines: &str) -> Vec<(u64, u32, Option<u64>)> {
    let folder = Folder::new();
    let put = line(0, "REST.PUT.OBJECT", "k", 0, SIZE);
    let log = read(&folder.file("a", format!("{put}{lines}").as_bytes())).unwrap();
    let gets = log.accesses.to_vec().into_iter().filter(|one| one.operation == Operation::Get);
    gets.map(|one| (one.at_s() - START_S, one.requests(), one.sent_bytes())).collect()
}

fn get(second: u64, sent: u64) -> String {
    line(second, "REST.GET.OBJECT", "k", sent, SIZE)
}

#[test]
fn ranges_of_ten_minutes_are_one_read() {
    let lines = [get(10, 400), get(200, 300), get(610, 200), get(611, 100), get(700, 50)].concat();
    assert_eq!(reads(&lines), [(10, 3, Some(900)), (611, 2, Some(150))]);
}

#[test]
fn a_read_is_never_of_more_than_the_object() {
    let lines = [get(10, 400), get(20, 600), get(30, 1), get(40, 999), get(50, 2)].concat();
    assert_eq!(reads(&lines), [(10, 2, Some(1_000)), (30, 2, Some(1_000)), (50, 1, Some(2))]);
}

#[test]
fn whole_reads_stay_apart_and_do_not_part_ranges() {
    let lines = [get(10, SIZE), get(20, 100), get(30, SIZE), get(40, 100), get(50, SIZE)].concat();
    let each = [(10, 1, Some(SIZE)), (20, 2, Some(200)), (30, 1, Some(SIZE)), (50, 1, Some(SIZE))];
    assert_eq!(reads(&lines), each);
}

#[test]
fn ranges_of_two_versions_or_two_days_are_two_reads() {
    let put = line(20, "REST.PUT.OBJECT", "k", 0, SIZE);
    let delete = line(40, "REST.DELETE.OBJECT", "k", 0, SIZE);
    let lines = [get(10, 100), put, get(30, 100), delete, get(50, 100)].concat();
    assert_eq!(reads(&lines), [(10, 1, Some(100)), (30, 1, Some(100)), (50, 1, Some(100))]);
    let lines = [get(DAY_S - 5, 100), get(DAY_S - 1, 100), get(DAY_S, 100)].concat();
    assert_eq!(reads(&lines), [(DAY_S - 5, 2, Some(200)), (DAY_S, 1, Some(100))]);
}

#[test]
fn parts_that_are_copied_are_at_most_the_object() {
    let part = |second| line(second, "REST.COPY.PART_GET", "k", 0, SIZE);
    let lines = [part(10), part(20), part(30), part(900)].concat();
    assert_eq!(reads(&lines), [(10, 3, None), (900, 1, None)]);
}

#[test]
fn requests_are_counted_as_far_as_they_can_be() {
    let put = Access::new(0, 0, Operation::Put, 0).with_bytes(Some(SIZE), None);
    let get = |line| Access::new(9, 0, Operation::Get, line).with_bytes(None, Some(0));
    let mut accesses: Vec<Access> = [put].into_iter().chain((1..70_000).map(get)).collect();
    ranges::fold(&mut accesses);
    let requests: Vec<u32> = accesses.iter().map(Access::requests).collect();
    assert_eq!(requests, [1, 65_535, 4_464]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// In tiers that are readable at once, wherever the object is moved at midnights.
    #[test]
    fn a_read_costs_what_its_requests_cost(
        gets in prop::collection::vec((1_u64..5 * DAY_S, 0_u64..=3_000_000), 1..60),
        near in prop::collection::vec((0_usize..60, 1_u64..700, 0_u64..3_000_000), 0..60),
        tiers in prop::array::uniform5(0_usize..3),
    ) {
        let size = 3_000_000;
        let near = near.iter().map(|(place, later, sent)| (gets[place % gets.len()].0 + later, *sent));
        let mut all: Vec<(u64, u64)> = gets.iter().copied().chain(near).collect();
        all.sort_unstable();
        let lines = all.iter().map(|(second, sent)| line(*second, "REST.GET.OBJECT", "k", *sent, size));
        let folded = line(0, "REST.PUT.OBJECT", "k", 0, size) + &lines.collect::<String>();
        let lines = all.iter().map(|(second, sent)| format!("{},photos,k,GET,{size},{sent}\n", START_S + second));
        let plain = format!("{}\n{START_S},photos,k,PUT,{size},\n{}", csv::HEADER, lines.collect::<String>());
        let folder = Folder::new();
        let folded = read(&folder.file("folded", folded.as_bytes())).unwrap();
        let plain = read(&folder.file("plain", plain.as_bytes())).unwrap();
        prop_assert_eq!(plain.accesses.len(), all.len() as u64 + 1);
        let requests: u32 = folded.accesses.to_vec().iter().map(Access::requests).sum();
        prop_assert_eq!(u64::from(requests), plain.accesses.len());
        prop_assert_eq!(bill(&folded, tiers), bill(&plain, tiers));
    }
}

/// With a step on each day.
fn bill(log: &Log, tiers: [usize; 5]) -> Bill {
    let book = books::builtin();
    let names = ["STANDARD", "STANDARD_IA", "GLACIER_IR"];
    let places = names.map(|name| book.tier(name).unwrap());
    let window = Window::of(log, None).unwrap();
    let ticks = history::ticks(&book, window);
    let mut ledger = Ledger::new(&book, &ticks, window);
    let lives = history::lives(log, window.until_s, &log.accesses.to_vec()).unwrap();
    for life in lives.iter().filter_map(|life| life.within(window)) {
        let cards = book.cards(life.size_bytes);
        let prices = Prices {
            book: &book,
            ticks: &ticks,
            cards: &cards,
            egress_byte: book.for_bytes(vaultaire_proto::money::NanoUsd(90_000_000), 1),
        };
        assert!(prices.egress_byte > Exact::ZERO);
        let step = |(day, tier): (usize, &usize)| Step {
            at_s: START_S + day as u64 * DAY_S,
            tier: places[*tier],
        };
        let steps: Vec<Step> = tiers.iter().enumerate().map(step).collect();
        let known = steps.iter().take_while(|step| step.at_s < life.until_s).count();
        charge(prices, &life, &steps[..known], ledger.of_bucket(0));
    }
    Bill::of(&ledger, &log.names).unwrap()
}
