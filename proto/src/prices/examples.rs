//! Worked examples of the providers, and of people who work with them, priced by the books. Each says where it is from.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::prices::calendar::{DAY_S, Date};
use crate::prices::card::Card;
use crate::prices::exact::Exact;
use crate::prices::{Book, books};

fn at(text: &str) -> u64 {
    Date::parse(text).unwrap().day_number() * DAY_S
}

fn book(name: &str) -> Book {
    books::named(name).unwrap()
}

fn card(book: &Book, tier: &str, size_bytes: u64) -> Card {
    book.cards(size_bytes).swap_remove(book.tier(tier).unwrap())
}

fn gb(book: &Book, gigabytes: u64) -> u64 {
    gigabytes * book.gigabyte.bytes()
}

fn sent(book: &Book, to: &str, bytes: u64) -> Exact {
    let (_, price) = book.egress.iter().find(|(name, _)| name == to).unwrap();
    book.for_bytes(*price, bytes)
}

fn dollars(book: &Book, amount: Exact) -> String {
    book.rounded(amount).unwrap().to_string()
}

/// AWS re:Post, "How do I manage data retrieval and storage costs for S3 Glacier": 15 million objects, 102,400 GB in all, out of
/// Glacier Flexible Retrieval. Standard: 750 + 1,024 dollars. Expedited: 150,000 for the requests, and 0.03 a gigabyte.
#[test]
fn glacier_is_restored_at_any_speed() {
    let book = book("aws-us-east-1");
    let tier = &book.tiers[book.tier("GLACIER").unwrap()];
    let cost = |name: &str| {
        let speed = tier.speeds.iter().find(|speed| speed.name == name).unwrap().restore;
        let retrieval = book.for_bytes(speed.retrieval, gb(&book, 102_400));
        dollars(&book, book.once(speed.request).times(15_000_000) + retrieval)
    };
    assert_eq!(cost("standard"), "1774.00");
    assert_eq!(cost("expedited"), "153072.00");
    assert_eq!(cost("bulk"), "0.00");
    assert_eq!(tier.restore, Some(tier.speeds[0].restore));
}

/// The AWS Pricing Calculator, as it is quoted by "Explain AWS S3 Glacier Storage Class charges" (Server Fault): 100 GB of objects of
/// 10 KB in Deep Archive are 0.3168 for what is kept beside them there, 1.84 for what is in Standard, and 0.099 for themselves.
#[test]
fn small_objects_in_deep_archive_are_mostly_overhead() {
    let book = book("aws-us-east-1");
    let month = book.ticks(at("2026-03-01"), at("2026-04-01"));
    let kept = card(&book, "DEEP_ARCHIVE", 10 << 10).storage().times(month).times(10_485_760);
    assert_eq!(dollars(&book, kept), "2.2558");
}

/// "Amazon S3 Intelligent-Tiering storage class" (user guide): Infrequent Access after 30 days without a read, Archive Instant Access
/// after 90. 100 GB from the first of January on, for four months: 30 days, 60 days and a month, and four months of monitoring.
#[test]
fn intelligent_tiering_gets_cheaper_by_itself() {
    let book = book("aws-us-east-1");
    let card = card(&book, "INTELLIGENT_TIERING", gb(&book, 100));
    let (start, end) = (at("2026-01-01"), at("2026-05-01"));
    let steps: Vec<u64> =
        card.phases.iter().map(|phase| start + phase.idle_s).chain([end]).collect();
    assert_eq!(steps[1..], [at("2026-01-31"), at("2026-04-01"), end]);
    let phases = card.phases.iter().zip(steps.windows(2));
    let kept: Exact =
        phases.map(|(phase, part)| phase.storage.times(book.ticks(part[0], part[1]))).sum();
    // 100 GB x (0.023 x 30/31 + 0.0125 x (1/31 + 2) + 0.004), to the nearest nano-dollar.
    let nanos: i128 = (100 * (23_000_000 * 30 + 12_500_000 * 63 + 4_000_000 * 31) + 15) / 31;
    assert_eq!(book.rounded(kept).unwrap().0, nanos);
    let monitoring = card.monitoring.times(book.ticks(start, end));
    assert_eq!(dollars(&book, monitoring), "0.00001");
}

/// "Simple example" of Google's page of pricing examples: 50 GB in Standard, 10,000 operations of class A, 50,000 of class B and 1 GB
/// to the Americas are 1.19 dollars.
#[test]
fn the_simple_example_of_google() {
    let book = book("gcs-us-central1");
    let card = card(&book, "STANDARD", gb(&book, 50));
    let month = book.ticks(at("2026-09-01"), at("2026-10-01"));
    let operations = card.put.times(10_000) + card.get.times(50_000);
    let all = card.storage().times(month) + operations + sent(&book, "internet", gb(&book, 1));
    assert_eq!(dollars(&book, all), "1.19");
}

/// Google's price page of 2014, which explains what early deletion costs with prices that Nearline has still: 1,000 GB that go after
/// 15 of 30 days are 5 dollars for the days they were there, and 5 for the rest.
#[test]
fn nearline_is_paid_for_thirty_days() {
    let book = book("gcs-us-central1");
    let card = card(&book, "NEARLINE", gb(&book, 1_000));
    let (start, gone) = (at("2026-04-01"), at("2026-04-16"));
    let kept = card.storage().times(book.ticks(start, gone));
    let rest = card.storage().times(book.ticks(gone, start + card.stay_min_s));
    assert_eq!(
        (dollars(&book, kept), dollars(&book, rest)),
        ("5.00".to_owned(), "5.00".to_owned())
    );
}

/// Google's price page: the Autoclass fee is 0.0025 dollars for 1,000 objects. Small ones are none of its business.
#[test]
fn autoclass_asks_a_fee_and_steps_down() {
    let book = book("gcs-us-central1");
    let month = book.ticks(at("2026-09-01"), at("2026-10-01"));
    let large = card(&book, "AUTOCLASS", 128 << 10);
    assert_eq!(dollars(&book, large.monitoring.times(month).times(1_000_000)), "2.50");
    let days: Vec<u64> = large.phases.iter().map(|phase| phase.idle_s / DAY_S).collect();
    assert_eq!(days, [0, 30, 90, 365]);
    let small = card(&book, "AUTOCLASS", (128 << 10) - 1);
    assert_eq!((small.phases.len(), small.monitoring), (1, Exact::ZERO));
}

/// "Estimate the cost of archiving data" (Microsoft), scenario "One-time data backup": 2,000,000 files of 102,400 GB in all are 20 dollars
/// to write and 101.38 a month to keep; 20,000 of them, 1,024 GB, are 30.48 to have back. (And 0.10 to write them into Hot, which the
/// page leaves out.)
#[test]
fn a_backup_goes_to_azure_archive() {
    let book = book("azure-eastus");
    let month = book.ticks(at("2026-01-01"), at("2026-02-01"));
    let one = card(&book, "Archive", 0);
    assert_eq!(dollars(&book, one.put.times(2_000_000)), "20.00");
    let kept = card(&book, "Archive", gb(&book, 102_400)).storage().times(month);
    assert_eq!(dollars(&book, kept), "101.376");
    // The bytes count the same, however many files they are in.
    let requests = one.restore.unwrap().retrieval.times(20_000);
    let bytes = card(&book, "Archive", gb(&book, 1_024)).restore.unwrap().retrieval;
    let all = requests + bytes - one.restore.unwrap().retrieval;
    assert_eq!(dollars(&book, all), "30.58");
}

/// The example of Microsoft's article on access tiers, as "Costs involved to delete/purge the blob that has archive access tier"
/// (inthetechpit.com, 2022) quotes it: 1,000 GB that leave Archive after 90 days are 22 dollars for the bytes, 0.0006 for the
/// operation, and 90 days of Archive at 0.002; 28 in all. (The line of the 90 days says 5.40, which is that of an older price: the sum is that of 6.)
/// Its prices are other ones, so they are told over the book.
#[test]
fn a_blob_leaves_azure_archive_early() {
    let book = Book::parse(
        r#"
        base = "azure-eastus"
        name = "the article's"

        [[tier]]
        name = "Archive"
        storage_gb_month = "0.002"

        [tier.restore]
        request_10000 = "5.5"
        retrieval_gb = "0.022"
        "#,
    )
    .unwrap();
    let card = card(&book, "Archive", gb(&book, 1_000));
    let (start, left) = (at("2025-10-03"), at("2026-01-01"));
    assert_eq!(left - start, 90 * DAY_S);
    // January, February and March are 90 days as well.
    let rest = card.storage().times(book.ticks(left, start + card.stay_min_s));
    assert_eq!(dollars(&book, rest), "6.00");
    let back = card.restore.as_ref().unwrap().retrieval;
    assert_eq!(dollars(&book, back), "22.00055");
    assert_eq!(dollars(&book, rest + back), "28.00055");
}

/// "Optimize Azure Blob Storage costs with smart tier" (Microsoft): 0.04 dollars for 10,000 blobs that are monitored, none below 128 KiB;
/// Cool after 30 days, Cold after 90.
#[test]
fn the_smart_tier_of_azure_steps_down() {
    let book = book("azure-eastus-zrs");
    let month = book.ticks(at("2026-02-01"), at("2026-03-01"));
    let large = card(&book, "Smart", 1 << 20);
    assert_eq!(dollars(&book, large.monitoring.times(month).times(10_000)), "0.04");
    let cool_and_cold = ["Cool", "Cold"].map(|tier| card(&book, tier, 1 << 20).storage());
    let later: Vec<Exact> = large.phases[1..].iter().map(|phase| phase.storage).collect();
    assert_eq!(later, cool_and_cold);
    assert_eq!(card(&book, "Smart", 1_000).phases.len(), 1);
}

/// Backblaze's rule that egress is free up to three times what is stored, with the figures of "provider-backblaze-b2" in the survey
/// of software by modelcitizendeveloper (2025): of 100 TB, 300 TB a month are free. What is beyond costs 10 dollars a TB.
#[test]
fn b2_sends_three_times_what_it_keeps() {
    let book = book("backblaze-b2");
    let (stored, used) = (gb(&book, 100_000), gb(&book, 310_000));
    let thirty_days = book.ticks(at("2026-05-01"), at("2026-05-31"));
    let card = card(&book, "STANDARD", stored);
    assert_eq!(dollars(&book, card.storage().times(thirty_days)), "695.00");
    let egress = book.free.iter().find(|free| free.is_egress()).unwrap();
    assert_eq!(egress.to_string(), "3 times what is stored, sent each month");
    let beyond = egress.beyond(book.gigabyte, used, stored);
    assert_eq!(dollars(&book, sent(&book, "internet", beyond)), "100.00");
    assert_eq!(egress.beyond(book.gigabyte, gb(&book, 299_999), stored), 0);
    let storage = book.free.iter().find(|free| !free.is_egress()).unwrap();
    assert_eq!(storage.beyond(book.gigabyte, stored, stored), gb(&book, 99_990));
}

/// What the template of a book of one's own works out in its first lines.
#[test]
fn owners_work_out_their_own_price() {
    let book = book("self-hosted");
    let month = book.ticks(at("2026-02-01"), at("2026-03-01"));
    let kept = card(&book, "fast", gb(&book, 480_000)).storage().times(month);
    // 2,500 dollars a month, but for what rounding to two places left.
    assert_eq!(dollars(&book, kept), "2496.00");
}
