//! Whole logs: what is refused, what is told, and what holds of every result.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use proptest::prelude::*;
use vaultaire_proto::prices::books;
use vaultaire_proto::prices::calendar::DAY_S;
use vaultaire_proto::prices::exact::Exact;

use crate::decisions::{Decision, Keep};
use crate::error::Error;
use crate::guard;
use crate::history::{self, Life, Read, Window};
use crate::ledger::Ledger;
use crate::logs::{Log, csv};
use crate::pricing::{Prices, Step, charge};
use crate::progress::Progress;
use crate::report::{Bill, Report};
use crate::simulate::{self, Options, Outcome};

/// 2026-01-01.
const START_S: u64 = 20_454 * DAY_S;

fn try_read(text: &str) -> Result<Log, Error> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    csv::read(file.path(), |_| {})
}

/// Of lines, behind the header.
fn read(lines: &str) -> Log {
    try_read(&format!("{}\n{lines}", csv::HEADER)).unwrap()
}

fn options() -> Options {
    Options {
        charge_from_s: None,
        policies: Vec::new(),
        allow_archive: true,
        egress: None,
        seed: 1,
        model: None,
        threads: NonZeroUsize::new(3).unwrap(),
        events_max: guard::EVENTS_MAX,
    }
}

const KEEP: Keep<'_> = Keep { decisions: true, records: None };

fn run(log: &Log, options: &Options) -> Outcome {
    simulate::run(log, &books::builtin(), options, KEEP, &Progress::default()).unwrap()
}

fn decisions(outcome: Outcome) -> Vec<Decision> {
    outcome.decisions.map(Result::unwrap).collect()
}

#[test]
fn what_is_no_log_is_refused_with_what_was_found() {
    let told = |text: &str| try_read(text).unwrap_err().to_string();
    assert!(told("").contains("is empty"));
    assert!(told("timestamp,bucket,key,operation,size,bytes\n").contains("is empty"));
    assert!(try_read("\u{feff}timestamp,bucket,key,operation,size,bytes\n9,b,k,PUT,1,\n").is_ok());
    assert!(told("time,bucket\n1,b\n").contains("it has to be \"timestamp,bucket,key"));
    let garbage = format!("{}\nnot a line\nnor this\n", csv::HEADER);
    assert!(told(&garbage).contains("\"not a line\" is no line of a log (it has not six columns)"));
    assert!(csv::read(Path::new("/nowhere/at/all"), |_| {}).is_err());
}

#[test]
fn garbage_is_counted_skipped_and_shown_once() {
    let log = read(
        "100,b,k,PUT,5,\n\
         soon,b,k,GET,5,\n\
         1767225600000,b,k,GET,5,\n\
         120,b,k,HEAD,5,\n\
         130,,k,GET,5,\n\
         140,b,k,GET,-5,\n\
         150,b,k,GET,5,\n\
         90,b,\" with,comma \",PUT, 7,\n",
    );
    assert_eq!((log.told.lines, log.told.garbage, log.told.backwards), (8, 5, 1));
    assert_eq!(log.told.first_garbage.as_deref(), Some("soon,b,k,GET,5,"));
    assert_eq!((log.first_s, log.last_s), (90, 150));
    assert_eq!(log.names.key(1), " with,comma ");
}

fn lives(lines: &str, charge_from_s: Option<u64>) -> Vec<Life> {
    let log = read(lines);
    let window = Window::of(&log, charge_from_s).unwrap();
    let all = log.accesses.to_vec();
    let of_each = all.chunk_by(|one, next| one.object == next.object);
    let whole =
        of_each.flat_map(|accesses| history::lives(&log, window.until_s, accesses).unwrap());
    whole.filter_map(|life| life.within(window)).collect()
}

#[test]
fn a_version_lives_from_its_put_to_what_ends_it() {
    let lines = "100,b,k,PUT,5,\n200,b,k,GET,5,3\n300,b,k,PUT,6,\n300,b,k,GET,6,\n400,b,k,DELETE,,\n450,b,k,DELETE,,\n500,b,k,PUT,7,\n";
    let found = lives(lines, None);
    let life = |size_bytes, from_s, until_s, reads: &[(u64, u64)]| Life {
        object: 0,
        size_bytes,
        from_s,
        seen_s: from_s,
        is_new: true,
        idle_since_s: from_s,
        until_s,
        reads: reads
            .iter()
            .map(|(at_s, bytes)| Read { at_s: *at_s, bytes: *bytes, requests: 1 })
            .collect(),
    };
    let expected =
        [life(5, 100, 300, &[(200, 3)]), life(6, 300, 400, &[(300, 6)]), life(7, 500, DAY_S, &[])];
    assert_eq!(found, expected);
}

#[test]
fn what_was_not_seen_written_was_there_when_the_log_began() {
    let found = lives("100,b,a,PUT,1,\n200,b,k,GET,5,3\n300,b,gone,DELETE,9,\n", None);
    assert!(!found[1].is_new && !found[2].is_new);
    assert_eq!((found[1].from_s, found[1].until_s, found[1].size_bytes), (100, DAY_S, 5));
    assert_eq!((found[2].from_s, found[2].until_s, found[2].size_bytes), (100, 300, 9));
    let log = read("200,b,k,GET,,3\n");
    let window = Window::of(&log, None).unwrap();
    let error =
        history::lives(&log, window.until_s, &log.accesses.to_vec()).unwrap_err().to_string();
    assert!(error.contains("b/k (line 2) is GET, but no line tells its size"), "{error}");
}

#[test]
fn before_charging_begins_only_habits_are_learnt() {
    let lines =
        "100,b,k,PUT,5,\n200,b,k,GET,5,\n300,b,gone,PUT,5,\n400,b,gone,DELETE,,\n1000,b,k,GET,5,\n";
    let found = lives(lines, Some(500));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].from_s, found[0].idle_since_s, found[0].is_new), (500, 200, false));
    assert_eq!(found[0].reads, [Read { at_s: 1000, bytes: 5, requests: 1 }]);
    let log = read(lines);
    for outside in [99, 1001] {
        let error = Window::of(&log, Some(outside)).unwrap_err().to_string();
        assert!(error.contains("outside of the log"), "{error}");
    }
}

/// By hand, over a February: 10 GiB in Standard-IA from its first day on, read once, deleted after 14 days.
#[test]
fn a_bill_by_hand() {
    let (book, february) = (books::builtin(), START_S + 31 * DAY_S);
    let window = Window { from_s: february, until_s: february + 28 * DAY_S };
    let ticks = history::ticks(&book, window);
    let size_bytes = 10 << 30;
    let cards = book.cards(size_bytes);
    let prices = Prices { book: &book, ticks: &ticks, cards: &cards, egress_byte: Exact::ZERO };
    let life = Life {
        object: 0,
        size_bytes,
        from_s: february,
        seen_s: february,
        is_new: true,
        idle_since_s: february,
        until_s: february + 14 * DAY_S,
        reads: vec![Read { at_s: february + DAY_S, bytes: 1 << 30, requests: 1 }],
    };
    let step = Step { at_s: february, tier: book.tier("STANDARD_IA").unwrap() };
    let mut ledger = Ledger::new(&book, &ticks, window);
    charge(prices, &life, &[step], &mut ledger);
    let names = crate::logs::Names { buckets: vec!["b".to_owned()], objects: Vec::new() };
    let bill = Bill::of(&ledger, &names).unwrap();
    // 10 GB for half a month at 0.0125, and the other half and two days of March (of 31) for leaving early.
    assert_eq!(bill.by_kind.storage, 62_500_000);
    assert_eq!(
        bill.by_kind.early_delete,
        62_500_000 + (125_000_000.0 * 2.0 / 31.0_f64).round() as i128
    );
    assert_eq!(bill.by_kind.requests, 10_000 + 1_000);
    assert_eq!(bill.by_kind.retrieval, 10_000_000);
    assert_eq!(bill.by_day["2026-02-05"], 10 * 12_500_000 / 28 + 1);
}

/// Some weeks of a few objects, in the order of their times.
fn lines() -> impl Strategy<Value = Vec<(u64, usize, usize, u64)>> {
    let line = (0..120 * DAY_S, 0_usize..12, 0_usize..6, 1_u64..40_000_000);
    prop::collection::vec(line, 1..150).prop_map(|mut lines| {
        lines.sort_unstable();
        lines
    })
}

fn text(lines: &[(u64, usize, usize, u64)]) -> String {
    let mut text = String::new();
    for (at, object, operation, size) in lines {
        let name = ["PUT", "GET", "GET", "GET", "GET", "DELETE"][*operation];
        let (at, bucket) = (START_S + at, ["photos", "logs"][object % 2]);
        writeln!(text, "{at},{bucket},prefix/{object},{name},{size},").unwrap();
    }
    text
}

/// Objects that are read for some days after they are written and never again, beside some that are read for ever.
fn habits() -> Vec<(u64, usize, usize, u64)> {
    let mut lines = Vec::new();
    for number in 0..200_u64 {
        let (object, written) = (usize::try_from(number).unwrap() * 2, number * DAY_S / 2);
        lines.push((written, object, 0, 20_000_000));
        lines.extend((1..4).map(|day| (written + day * DAY_S, object, 1, 20_000_000)));
    }
    for object in [1, 3, 5, 7] {
        lines.push((object as u64, object, 0, 20_000_000));
        lines.extend((1..200).map(|day| (day * DAY_S + 7, object, 1, 20_000_000)));
    }
    lines.sort_unstable();
    lines
}

#[test]
fn adaptive_ttl_learns_what_each_prefix_does() {
    let log = read(&text(&habits()));
    let report = run(&log, &options()).report;
    let of = |name: &str, bucket: &str| report.policies[name].by_bucket[bucket];
    for other in ["stay", "age-30-90", "break-even", "intelligent-tiering"] {
        assert!(of("adaptive-ttl", "photos") < of(other, "photos"), "{other}: {report:#?}");
    }
    // What is read every day stays where it is.
    assert_eq!(of("adaptive-ttl", "logs"), of("stay", "logs"));
}

#[test]
fn what_was_learnt_knows_nothing_of_what_comes() {
    let lines = habits();
    let whole = run(&read(&text(&lines)), &options());
    let names = whole.names.clone();
    let whole = decisions(whole);
    for cut in [300, 555, 800, 1_111] {
        let log = read(&text(&lines[..cut]));
        let part = run(&log, &options());
        let known = u32::try_from(log.names.objects.len()).unwrap();
        let before = |all: &[Decision]| -> Vec<_> {
            let rules = all
                .iter()
                .filter(|one| names[one.policy] != simulate::OPTIMUM && one.object < known);
            rules.filter(|one| one.step.at_s < log.last_s).cloned().collect()
        };
        let part = before(&decisions(part));
        assert!(part.iter().any(|one| names[one.policy] == "adaptive-ttl"));
        assert_eq!(part, before(&whole), "{cut} lines");
    }
}

/// Everything that is said twice is the same.
fn assert_sums(report: &Report) {
    for bill in report.policies.values().chain([&report.optimum, &report.all_hot]) {
        let kinds = bill.by_kind;
        let of_kinds = kinds.storage
            + kinds.requests
            + kinds.retrieval
            + kinds.transitions
            + kinds.early_delete
            + kinds.monitoring
            + kinds.restore_copy
            + kinds.egress;
        assert_eq!(bill.total_nanousd, of_kinds);
        assert_eq!(bill.total_nanousd, bill.by_bucket.values().sum::<i128>());
        assert_eq!(bill.total_nanousd, bill.by_day.values().sum::<i128>());
    }
    assert_eq!(report.policies["stay"], report.all_hot);
}

/// Everything that comes along, over objects that grow cold and objects that do not.
#[test]
fn every_book_has_an_optimum() {
    let log = read(&text(&habits()));
    for book in books::names().map(|name| books::named(name).unwrap()) {
        let report = simulate::run(&log, &book, &options(), Keep::default(), &Progress::default())
            .unwrap()
            .report;
        assert_sums(&report);
        let least = report.optimum.total_nanousd;
        // Where there is somewhere to go, what is never read again goes.
        let saves = least < report.all_hot.total_nanousd;
        assert_eq!(saves, book.tiers.len() > 1, "{}: {least}", book.name);
        for (name, bill) in &report.policies {
            assert!(bill.total_nanousd + ROUNDING_MAX >= least, "{name} by {}", book.name);
        }
    }
}

/// The largest size and the longest time that anybody will ask for: nothing runs over.
#[test]
fn an_exabyte_over_a_century_has_a_bill() {
    const EXABYTE: i128 = 1 << 60;
    // From 1990 on: times go up to 2106.
    let (start, end) = (7_305 * DAY_S, (7_305 + 36_524) * DAY_S);
    let log = read(&format!(
        "{start},b,k,PUT,{EXABYTE},\n{end},b,k,GET,{EXABYTE},\n{end},b,k,DELETE,,\n"
    ));
    // The optimum looks at most of a century's midnights where there are archives too: that takes long, and shows nothing more.
    let instant = Options { allow_archive: false, ..options() };
    let report = run(&log, &instant).report;
    let month = (EXABYTE >> 30) * books::builtin().hot_tier().storage.0;
    let all_hot = report.all_hot.total_nanousd;
    assert!((month * 1_199..month * 1_201).contains(&all_hot), "{all_hot}");
    let least = report.optimum.total_nanousd;
    assert!(least > 0 && least < all_hot, "{least}");
    for (name, bill) in &report.policies {
        assert!(bill.total_nanousd + ROUNDING_MAX >= least, "{name}");
    }
}

/// What is rounded once for each bucket, tier, kind and month may differ by so much from the least.
const ROUNDING_MAX: i128 = 2 * 6 * 8 * 6;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_add_up_and_nothing_is_cheaper_than_the_optimum(lines in lines()) {
        let log = read(&text(&lines));
        let outcome = run(&log, &options());
        assert_sums(&outcome.report);
        for (name, bill) in &outcome.report.policies {
            let least = outcome.report.optimum.total_nanousd;
            prop_assert!(bill.total_nanousd + ROUNDING_MAX >= least, "{name}: {bill:?}");
        }
        // However many threads share the objects.
        let alone = run(&log, &Options { threads: NonZeroUsize::MIN, ..options() });
        prop_assert_eq!(&alone.report.policies, &outcome.report.policies);
        prop_assert_eq!(&alone.report.optimum, &outcome.report.optimum);
        prop_assert_eq!(decisions(alone), decisions(outcome));
    }

    /// The decisions that are written down are all that a bill depends on.
    #[test]
    fn decisions_priced_again_cost_the_same(lines in lines()) {
        let (book, log) = (books::builtin(), read(&text(&lines)));
        let outcome = run(&log, &options());
        let window = Window::of(&log, None).unwrap();
        let ticks = history::ticks(&book, window);
        let (report, names) = (outcome.report.clone(), outcome.names.clone());
        let decisions = decisions(outcome);
        for (policy, name) in names.iter().enumerate() {
            let mut steps: BTreeMap<u32, Vec<Step>> = BTreeMap::new();
            for decision in decisions.iter().filter(|decision| decision.policy == policy) {
                steps.entry(decision.object).or_default().push(decision.step);
            }
            let mut ledger = Ledger::new(&book, &ticks, window);
            for accesses in log.accesses.to_vec().chunk_by(|one, next| one.object == next.object) {
                let mut rest = steps.remove(&accesses[0].object).unwrap_or_default();
                let lives = history::lives(&log, window.until_s, accesses).unwrap();
                for life in lives.iter().filter_map(|life| life.within(window)) {
                    let own = rest.iter().enumerate();
                    // A version's own begin when it does, and end with it.
                    let ends = own.take_while(|(place, step)| {
                        step.at_s < life.until_s || (*place == 0 && life.from_s == step.at_s)
                    });
                    let own: Vec<Step> = rest.drain(..ends.count()).collect();
                    let cards = book.cards(life.size_bytes);
                    let prices = Prices { book: &book, ticks: &ticks, cards: &cards, egress_byte: Exact::ZERO };
                    charge(prices, &life, &own, ledger.of_bucket(log.names.bucket_of(life.object)));
                }
            }
            let bill = Bill::of(&ledger, &log.names).unwrap();
            let expected = report.policies.get(*name).unwrap_or(&report.optimum);
            // What a guard tells beside its bill is in no ledger.
            let bill = Bill { guard: expected.guard.clone(), ..bill };
            prop_assert_eq!(&bill, expected, "{}", name);
        }
    }

    /// No policy knows what comes.
    #[test]
    fn a_log_that_ends_earlier_has_the_same_decisions_until_then(lines in lines(), cut in 0_usize..150) {
        let cut = cut % lines.len() + 1;
        let (whole, part) = (read(&text(&lines)), read(&text(&lines[..cut])));
        let before = |log: &Log| -> Vec<_> {
            let outcome = run(log, &options());
            let optimum = outcome.names.len() - 1;
            let of_rules = decisions(outcome).into_iter().filter(|one| one.policy != optimum);
            // Objects are counted as they come, so they have the same numbers. One that the part does not name has no decisions there.
            let known = u32::try_from(part.names.objects.len()).unwrap();
            of_rules.filter(|one| one.step.at_s < part.last_s && one.object < known).collect()
        };
        prop_assert_eq!(before(&whole), before(&part));
    }
}
