//! What a guard promises, whatever a policy wants and whatever is read.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;

use proptest::prelude::*;
use vaultaire_proto::money::NanoUsd;
use vaultaire_proto::prices::calendar::{DAY_S, Date};
use vaultaire_proto::prices::exact::Exact;
use vaultaire_proto::prices::{Book, books};

use crate::decisions::{Decision, Keep};
use crate::error::Error;
use crate::forecasts::{Forecaster, Object};
use crate::guard::EVENTS_MAX;
use crate::guard::breaker::Breaker;
use crate::guard::choice;
use crate::guard::shadow::Costs;
use crate::guard::tape::{Event, Kind, Tape};
use crate::hazards::{CERTAIN, Forecast, Hazards, SPANS};
use crate::history::{Life, Read, Window};
use crate::logs::{Log, csv};
use crate::progress::Progress;
use crate::report::Report;
use crate::simulate::{self, Options, Outcome};
use crate::traces::{self, scenarios::Scenario};

/// Says what is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Whatever is read soon is never read again, and the other way round.
    Inverted,
    /// Nothing will ever be read.
    NeverRead,
    Random,
}

impl Forecaster for Wrong {
    fn forecasts(&self, objects: &[Object]) -> Result<Vec<Vec<Option<Forecast>>>, Error> {
        let subjects = objects.iter().flat_map(|object| {
            object
                .subjects
                .iter()
                .map(move |subject| (object, &object.lives[subject.place], subject))
        });
        let of_each = subjects.map(|(object, life, subject)| {
            let moments = subject.moments(life).into_iter();
            moments
                .map(|moment| {
                    let next = life.reads.get(moment.reads).map(|read| read.at_s - moment.at_s);
                    let is_soon = next.is_some_and(|after_s| after_s < 30 * DAY_S);
                    Some(self.about(u64::from(object.number) ^ moment.at_s, is_soon))
                })
                .collect()
        });
        Ok(of_each.collect())
    }
}

impl Wrong {
    fn about(self, seed: u64, is_soon: bool) -> Forecast {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 48) as u16
        };
        let read = match self {
            Self::Inverted => Hazards([if is_soon { 0 } else { CERTAIN }; SPANS]),
            Self::NeverRead => Hazards::default(),
            Self::Random => Hazards(std::array::from_fn(|_| random())),
        };
        let end = Hazards::default();
        Forecast { read, end, read_after: read, end_after: end, requests_q8: 256, sent_q8: 256 }
    }
}

fn read(text: &str) -> Log {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{}\n{text}", csv::HEADER).unwrap();
    csv::read(file.path(), |_| {}).unwrap()
}

fn simulated(log: &Log, book: &Book, charge_from_s: u64, wrong: Wrong) -> Outcome {
    let options = Options {
        charge_from_s: Some(charge_from_s),
        policies: Vec::new(),
        allow_archive: true,
        egress: Some(NanoUsd(90_000_000)),
        seed: 1,
        model: None,
        threads: NonZeroUsize::new(2).unwrap(),
        events_max: EVENTS_MAX,
    };
    let (keep, progress) = (Keep { decisions: true, records: None }, Progress::default());
    simulate::foretold(log, book, &options, keep, Some(&wrong), &progress).unwrap()
}

fn guarded(log: &Log, book: &Book, charge_from_s: u64, wrong: Wrong) -> Report {
    simulated(log, book, charge_from_s, wrong).report
}

/// Of each bucket: nothing costs more than what is promised.
fn assert_bounded(report: &Report, what: &str) {
    let bill = &report.policies["guarded"];
    let guard = bill.guard.as_ref().unwrap();
    // Each bucket has a quarter of its first thirty days, rounded down.
    let first = report.charge_from / DAY_S;
    let days = (first..first + 30).map(|day| Date::of_day(day).to_string());
    let hot = days.filter_map(|day| report.all_hot.by_day.get(&day)).sum::<i128>();
    let missing = hot / 4 - guard.budget_nanousd.values().sum::<i128>();
    assert!((0..=bill.by_bucket.len() as i128).contains(&missing), "{what}: {missing}");
    for (bucket, cost) in &bill.by_bucket {
        let hot = report.all_hot.by_bucket[bucket];
        let (budget, excess) = (guard.budget_nanousd[bucket], guard.excess_nanousd[bucket]);
        assert!(
            *cost <= hot + budget + excess,
            "{what}, {bucket}: {cost} is more than {hot} + {budget} + {excess}"
        );
    }
}

/// Some weeks of a few objects, with many reads of each on some days.
fn lines() -> impl Strategy<Value = Vec<(u64, usize, usize, u64)>> {
    let line = (0..150 * DAY_S, 0_usize..6, 0_usize..24, 1_u64..400_000_000);
    prop::collection::vec(line, 1..400).prop_map(|mut lines| {
        lines.sort_unstable();
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_model_loses_more_than_a_budget(lines in lines(), book in 0_usize..7, from in 0_u64..40) {
        let text: Vec<String> = lines
            .iter()
            .map(|(at, object, operation, size)| {
                let name = match operation {
                    0 | 1 => "PUT",
                    2 => "DELETE",
                    _ => "GET",
                };
                let at = traces::START_S + at;
                // Some reads are of a part, and some are of more than everything.
                let bytes = if size % 3 == 0 { (size * (size % 7) / 3).to_string() } else { String::new() };
                format!("{at},{},prefix/{object},{name},{size},{bytes}\n", ["a", "b"][object % 2])
            })
            .collect();
        let log = read(&text.concat());
        let names: Vec<&str> = books::names().collect();
        let book = books::named(names[book]).unwrap();
        let from_s = (log.first_s + from * DAY_S).min(log.last_s);
        for wrong in [Wrong::Inverted, Wrong::NeverRead, Wrong::Random] {
            assert_bounded(&guarded(&log, &book, from_s, wrong), &format!("{wrong:?}, {}", book.name));
        }
    }
}

/// Whole workloads, and what happens to them that never did.
#[test]
fn no_workload_loses_more_than_a_budget() {
    for scenario in Scenario::ALL {
        let made =
            traces::Options { objects: 2_000, days: 250, seed: 5, scenario, ..Default::default() };
        let path = std::env::temp_dir().join(format!(
            "vaultaire-guard-{}-{}.csv",
            std::process::id(),
            scenario.name()
        ));
        traces::generate(&made, BufWriter::new(File::create(&path).unwrap()), |_| {}).unwrap();
        let log = csv::read(&path, |_| {}).unwrap();
        std::fs::remove_file(&path).unwrap();
        for wrong in [Wrong::Inverted, Wrong::NeverRead] {
            let from_s = made.start_s + 100 * DAY_S;
            let report = guarded(&log, &books::builtin(), from_s, wrong);
            assert_bounded(&report, &format!("{wrong:?}, {}", scenario.name()));
            let cost = |name: &str| report.policies[name].total_nanousd;
            let hot = report.all_hot.total_nanousd;
            // It is worth something: a bad model is not followed, and a good rule is.
            assert!(cost("guarded") < hot, "{}: {} of {hot}", scenario.name(), cost("guarded"));
        }
    }
}

/// An object that is first seen when it is read was there all the time, and nobody knew: what is decided about others until then
/// does not depend on it.
#[test]
fn what_nobody_knew_decides_nothing() {
    let day = |day: u64| traces::START_S + day * DAY_S;
    let mut lines: Vec<String> = (0..40)
        .map(|object| format!("{},b,known/{object},PUT,900000000,\n", day(object)))
        .collect();
    lines.push(format!("{},b,known/0,GET,900000000,\n", day(95)));
    let late = format!("{},b,late,GET,90000000000,\n", day(100));
    let decisions = |lines: &[String]| -> Vec<Decision> {
        let outcome =
            simulated(&read(&lines.concat()), &books::builtin(), day(0), Wrong::NeverRead);
        let is_guarded = |one: &Decision| outcome.names[one.policy] == crate::guard::NAME;
        let known = |one: &Decision| one.object < 40 && one.step.at_s < day(95);
        let all = outcome.decisions.map(Result::unwrap);
        all.filter(|one| is_guarded(one) && known(one)).collect()
    };
    let without = decisions(&lines);
    lines.push(late);
    assert!(without.iter().any(|one| one.from.is_some()), "nothing moves in {without:?}");
    assert_eq!(decisions(&lines), without);
}

#[test]
fn what_is_recorded_comes_back_window_by_window() {
    let day = |day: u64| traces::START_S + day * DAY_S;
    let window = Window { from_s: day(0), until_s: day(100) };
    let life = Life {
        object: 7,
        size_bytes: 1 << 40,
        from_s: day(3) + 5,
        seen_s: day(3) + 5,
        is_new: true,
        idle_since_s: day(3) + 5,
        until_s: day(95),
        reads: (10..95).map(|at| Read { at_s: day(at), bytes: at, requests: 3 }).collect(),
    };
    let object = Object::new((7, "index/x.parquet"), vec![life.clone()], window);
    let subject = &object.subjects[0];
    let forecast = |place: usize| Wrong::Random.about(place as u64, false);
    let moments = subject.moments(&life);
    let forecasts: Vec<Option<Forecast>> =
        (0..moments.len()).map(|place| (place % 3 > 0).then(|| forecast(place))).collect();
    let mut tape = Tape::new(window).unwrap();
    // Often enough that files are needed.
    const TIMES: usize = 200;
    (0..TIMES).for_each(|_| tape.record(subject, &forecasts).unwrap());
    let mut events: Vec<Event> = Vec::new();
    for place in 0..tape.windows() {
        tape.take(place, |event| {
            assert_eq!(crate::guard::window_of(window, event.at_s), place);
            events.push(event);
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(events.len(), TIMES * (2 + life.reads.len() + subject.points.len()));
    let reads = events.iter().filter(|event| matches!(event.kind, Kind::Read { .. }));
    let sum: u64 = reads.map(|event| event.at_s).sum();
    assert_eq!(sum, TIMES as u64 * life.reads.iter().map(|read| read.at_s).sum::<u64>());
    let begun = events.iter().find_map(|event| match &event.kind {
        Kind::Begin { life, .. } => Some(life.life(event.object)),
        _ => None,
    });
    assert_eq!(begun, Some(Life { reads: Vec::new(), ..life }));
    let mut told: Vec<Forecast> = events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::Begin { forecast, .. } | Kind::Point { forecast, .. } => forecast.as_deref(),
            _ => None,
        })
        .copied()
        .collect();
    let all = forecasts.iter().flatten().count();
    assert_eq!(told.len(), TIMES * all);
    told.dedup();
    assert!(forecasts.iter().flatten().all(|forecast| told.contains(forecast)));
}

/// Ten objects that cost about so much each, under each of three policies.
fn window(costs: [i128; 3]) -> Costs {
    let mut window = Costs::new(costs.len());
    for object in 0..10 {
        window.add(|policy| Exact::of_units(costs[policy] + object % 3).times(1 << 80));
    }
    window
}

#[test]
fn a_policy_is_chosen_where_it_was_cheaper_twice() {
    let cheap = || window([100, 90, 80]);
    let dear = || window([100, 120, 80]);
    let near = || window([100, 96, 97]);
    assert_eq!(choice::of(0, &[]), [0]);
    assert_eq!(choice::of(0, &[cheap(), cheap(), cheap()]), [0, 0, 2, 2]);
    assert_eq!(choice::of(1, &[dear(), cheap(), near(), near()]), [1, 1, 2, 2, 2]);
    // A twentieth is wanted.
    assert_eq!(choice::of(0, &[near(), near(), near()]), [0, 0, 0, 0]);
    // One object of ten that is cheaper by all of it is no certainty.
    let mut lucky = Costs::new(2);
    for object in 0..10 {
        let costs = if object == 0 { [1_000, 0] } else { [10, 12] };
        lucky.add(|policy| Exact::of_units(costs[policy]).times(1 << 80));
    }
    assert!(!lucky.is_dearer(0, 1, 20));
}

#[test]
fn a_breaker_looks_at_a_week() {
    let (fee, week) = (Exact::of_units(10), Exact::of_units(15));
    let mut breaker = Breaker::default();
    breaker.on(100);
    breaker.paid(fee);
    assert!(!breaker.is_open(week));
    breaker.on(103);
    breaker.paid(fee);
    assert!(breaker.is_open(week));
    breaker.on(106);
    assert!(breaker.is_open(week));
    breaker.on(107);
    assert!(!breaker.is_open(week));
    breaker.on(1_000);
    assert!(!breaker.is_open(Exact::ZERO));
}
