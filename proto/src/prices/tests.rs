//! Worked examples of the providers, and what holds of every book.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use crate::money::NanoUsd;
use crate::prices::books;
use crate::prices::calendar::{DAY_S, Date};
use crate::prices::exact::Exact;
use crate::prices::{Book, read::BookError};

const GB: u64 = 1 << 30;

fn at(text: &str) -> u64 {
    Date::parse(text).unwrap().day_number() * DAY_S
}

fn dollars(book: &Book, amount: Exact) -> String {
    book.rounded(amount).unwrap().to_string()
}

#[test]
fn every_book_that_comes_along_is_read() {
    for (name, text) in books::ALL {
        let book = Book::parse(text).unwrap();
        assert_eq!(book.name, *name);
        assert_eq!(books::named(name), Some(book));
    }
    assert_eq!(books::named("builtin"), Some(books::builtin()));
    assert_eq!(books::named("nowhere"), None);
    assert_eq!(books::builtin().hot_tier().name, "STANDARD");
}

/// The example of AWS's FAQ ("How will I be charged and billed for my use of Amazon S3?"): 100 GB for the first 15 days of March
/// and 100 TB for the other 16 are 52,900 GB-months.
#[test]
fn byte_hours_of_march_are_counted_as_aws_does() {
    let book = books::builtin();
    let rent = |gb: u64, from, to| {
        book.rent(book.hot_tier().storage, gb * GB).times(book.ticks(at(from), at(to)))
    };
    let first = rent(100, "2026-03-01", "2026-03-16");
    let second = rent(100 * 1024, "2026-03-16", "2026-04-01");
    assert_eq!(book.rounded(first + second).unwrap().0, 52_900 * 23_000_000);
}

#[test]
fn requests_and_retrievals_are_what_the_page_says() {
    let book = books::builtin();
    let card = |tier: &str, size| book.cards(size).swap_remove(book.tier(tier).unwrap());
    let standard = card("STANDARD", GB);
    assert_eq!(dollars(&book, standard.put.times(10_000)), "0.05");
    assert_eq!(dollars(&book, standard.get.times(10_000)), "0.004");
    let infrequent = card("STANDARD_IA", GB);
    assert_eq!(dollars(&book, infrequent.retrieval(10 * GB)), "0.10");
    let deep = card("DEEP_ARCHIVE", GB).restore.unwrap();
    assert_eq!(dollars(&book, deep.retrieval.times(1000)), "20.10");
    let watched = card("INTELLIGENT_TIERING", GB);
    let month = book.ticks(at("2026-02-01"), at("2026-03-01"));
    assert_eq!(dollars(&book, watched.monitoring.times(month).times(1000)), "0.0025");
}

#[test]
fn small_objects_are_billed_as_large_ones_where_the_tier_says_so() {
    let book = books::builtin();
    let month = book.ticks(at("2026-02-01"), at("2026-03-01"));
    let kept = |tier: &str, size| {
        let card = book.cards(size).swap_remove(book.tier(tier).unwrap());
        book.rounded(card.storage().times(month)).unwrap()
    };
    assert_eq!(kept("STANDARD_IA", 1), kept("STANDARD_IA", 128 << 10));
    // 32 KiB at the archive's own price, and 8 KiB at that of the hot tier.
    let own = NanoUsd((3_600_000 * (32 << 10) + 23_000_000 * (8 << 10)) / (1 << 30));
    assert_eq!(kept("GLACIER", 0), own);
    // Too small to be looked after: one phase, and no monitoring.
    let small = &book.cards(1000)[book.tier("INTELLIGENT_TIERING").unwrap()];
    assert_eq!((small.phases.len(), small.monitoring), (1, Exact::ZERO));
}

#[test]
fn a_book_that_makes_no_sense_says_where() {
    let good = books::text("builtin").unwrap();
    for (from, to, told) in [
        ("\"0.0125\"", "\"-0.0125\"", "STANDARD_IA: storage_gb_month"),
        ("put_1000 = \"0.01\"\n", "", "missing field `put_1000`"),
        ("\"0.01\"\nget", "\"0.0000001\"\nget", "whole number of nano-dollars"),
        ("hot = \"STANDARD\"", "hot = \"WARM\"", "it names one of the tiers"),
        ("2026-06-05", "yesterday", "2026-11-29"),
        ("idle_days = 90", "idle_days = 20", "each native step comes later"),
        ("format = 1", "format = 2", "this version reads 1"),
        ("format = 1", "format = 1\nfree_gb = 5", "unknown field `free_gb`"),
        ("name = \"GLACIER\"", "name = \"GLACIER_IR\"", "two tiers have this name"),
        ("put_1000 = \"0.01\"\n", "", "STANDARD_IA: missing field `put_1000`"),
        ("name = \"GLACIER_IR\"\n", "", "tier 3: missing field `name`"),
        (
            "storage_gb_month = \"0.0036\"",
            "storage_gb_month = \"0\"",
            "GLACIER: storage_gb_month is nothing",
        ),
        ("storage_gb_month = \"0.0036\"", "storage_gb_month = \"3600\"", "1000 dollars at most"),
        ("hours = 5", "hours = 0", "GLACIER: a restore takes an hour at least"),
        (
            "name = \"bulk\"",
            "name = \"standard\"",
            "GLACIER: two of its restores have the same name",
        ),
        (
            "stay_days_min = 180",
            "stay_days_min = 18000",
            "DEEP_ARCHIVE: stay_days_min is more than ten years",
        ),
        ("overhead_bytes = 32768", "overhead_bytes = 32768000000", "GLACIER: more than a gigabyte"),
        ("to = \"other-region\"", "to = \"internet\"", "egress internet: it has two prices"),
        ("gb = 100\neach", "gb = 100\nrequests = 1\neach", "free egress: storage has `gb`"),
        ("each = \"month\"", "each = \"year\"", "unknown variant `year`"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Book::parse(&good.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(told), "{from} -> {to}: {error}");
    }
    assert!(matches!(Book::parse(""), Err(BookError::Form(_))));
}

#[test]
fn what_cannot_be_counted_has_no_value() {
    let book = books::builtin();
    let exabyte = 1 << 60;
    let ten_years = book.ticks(at("2026-01-01"), at("2036-01-01"));
    let kept = book.rent(book.hot_tier().storage, exabyte).times(ten_years);
    // 2^30 GB for 120 months.
    assert_eq!(book.rounded(kept).unwrap().0, (1_i128 << 30) * 120 * 23_000_000);
    let too_much = kept.times(1 << 70);
    assert_eq!(book.rounded(too_much), None);
    assert_eq!(book.rounded(too_much - kept), None);
}

/// Everything dear at once, in every tier of every book: kept for a century, and each day put, moved, made readable, read and sent.
#[test]
fn an_exabyte_over_a_century_is_counted() {
    let exabyte = 1_u64 << 60;
    let (from, to) = (at("2026-01-01"), at("2126-01-01"));
    let days = i128::from((to - from) / DAY_S);
    for book in books::names().map(|name| books::named(name).unwrap()) {
        let (ticks, nanos) = (book.ticks(from, to), |amount| book.rounded(amount).unwrap().0);
        let sent = book.egress.iter().map(|(_, price)| *price).max().unwrap();
        let gigabytes = i128::from(exabyte) / i128::from(book.gigabyte.bytes());
        let mut all = Exact::ZERO;
        for (tier, card) in book.tiers.iter().zip(book.cards(exabyte)) {
            let kept = card.storage().times(ticks) + card.monitoring.times(ticks);
            let daily = card.put + card.transition + card.get + card.retrieval(exabyte);
            let restored = card
                .restore
                .map_or(Exact::ZERO, |restore| restore.retrieval + restore.copy.times(ticks));
            all += kept + (daily + restored + book.for_bytes(sent, exabyte)).times(days);
            let least = gigabytes * 1_200 * tier.storage.0;
            assert!(
                (least..least + least / 50).contains(&nanos(kept)),
                "{} {}",
                book.name,
                tier.name
            );
        }
        assert!(
            nanos(all) > 0 && nanos(all) - nanos(all - Exact::of_units(1)) <= 1,
            "{}",
            book.name
        );
    }
}

proptest! {
    /// A bill is the sum of its parts, however a stay is cut: nothing is rounded in between. What is rounded is off by half a
    /// nano-dollar, and parts that are rounded each by so much each.
    #[test]
    fn a_stay_costs_what_its_parts_cost(
        size in 1_u64..(1 << 45),
        start in 0_u64..(1 << 32),
        cuts in prop::collection::vec(0_u64..100_000_000, 1..10),
        reads in prop::collection::vec(0_u64..(1 << 45), 1..10),
    ) {
        for book in books::names().map(|name| books::named(name).unwrap()) {
            for card in book.cards(size) {
                let (mut from, mut parts) = (start, Vec::new());
                for cut in &cuts {
                    parts.push((card.storage() + card.monitoring).times(book.ticks(from, from + cut)));
                    from += cut;
                }
                parts.extend(reads.iter().map(|bytes| card.get + card.retrieval(*bytes)));
                let sum: Exact = parts.iter().copied().sum();
                let kept = (card.storage() + card.monitoring).times(book.ticks(start, from));
                let read = card.retrieval(reads.iter().sum()) + card.get.times(reads.len() as i128);
                prop_assert_eq!(sum, kept + read);
                let each: i128 = parts.iter().map(|part| book.rounded(*part).unwrap().0).sum();
                let off = (book.rounded(sum).unwrap().0 - each).abs();
                prop_assert!(off * 2 <= parts.len() as i128 + 1, "{} for {} parts", off, parts.len());
            }
        }
    }
}
