//! Plans for things that are known.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;

use vaultaire_proto::prices::books;
use vaultaire_proto::prices::calendar::DAY_S;

use crate::forecasts::{Forecaster, Object};
use crate::hazards::{Forecast, Hazards};
use crate::history::Life;
use crate::points::end_of_day;
use crate::simulate::{self, Options};

/// Knows the next two gaps of everything.
struct Knows;

impl Forecaster for Knows {
    fn forecasts(&self, objects: &[Object]) -> Vec<Vec<Option<Forecast>>> {
        let subjects = objects.iter().flat_map(|object| object.subjects.iter().map(move |subject| (object, subject)));
        let of_each = subjects.map(|(object, subject)| {
            let whole = &object.lives[subject.place];
            let moments = subject.moments(whole).into_iter();
            moments.map(|moment| Some(known(whole, moment.at_s, moment.reads))).collect()
        });
        of_each.collect()
    }
}

fn known(life: &Life, at_s: u64, reads: usize) -> Forecast {
    let (read, end) = gap(life, at_s, reads);
    let mut forecast = Forecast { read, end, requests_q8: 256, sent_q8: 256, ..Forecast::default() };
    let Some(next) = life.reads.get(reads) else { return forecast };
    let midnight_s = end_of_day(next.at_s);
    let day = life.reads[reads..].iter().take_while(|read| read.at_s < midnight_s);
    let (count, requests, bytes) = day.fold((0, 0, 0), |(count, requests, bytes), read| {
        (count + 1, requests + read.requests, bytes + read.bytes)
    });
    forecast.requests_q8 = requests * 256;
    forecast.sent_q8 = u32::try_from(bytes * 256 / life.size_bytes.max(1)).unwrap();
    (forecast.read_after, forecast.end_after) = gap(life, midnight_s, reads + count);
    forecast
}

fn gap(life: &Life, at_s: u64, reads: usize) -> (Hazards, Hazards) {
    let days = |to_s: u64| (to_s.saturating_sub(at_s)) as f64 / DAY_S as f64;
    let read = life.reads.get(reads).map(|read| days(read.at_s).max(0.001));
    let end = Some(days(life.until_s).max(0.001));
    (Hazards::certain(read), Hazards::certain(if read.is_none() { end } else { None }))
}

fn variable<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn figures() {
    use crate::traces::{self, HoldOut, classes::Class};
    let objects = variable("OBJECTS", 0_u64);
    if objects == 0 {
        return;
    }
    let classes: String = variable("CLASSES", "all".to_owned());
    for seed in variable("SEED", 1_u64)..=variable("SEEDS", 1) {
        let made = traces::Options {
            objects,
            seed,
            classes: match classes.as_str() {
                "all" => Class::ALL.to_vec(),
                some => some.split(',').map(|name| Class::named(name).unwrap()).collect(),
            },
            scenario: crate::traces::scenarios::Scenario::named(&variable("SCENARIO", "plain".to_owned())).unwrap(),
            hold_out: if variable("HELD", 0) == 1 { HoldOut::All } else { HoldOut::Exclude },
            ..traces::Options::default()
        };
        let path = std::env::temp_dir().join(format!("vaultaire-figures-{}-{seed}.csv", std::process::id()));
        let summary = traces::generate(&made, std::io::BufWriter::new(std::fs::File::create(&path).unwrap()), |_| {}).unwrap();
        println!("{summary:?}");
        let log = crate::logs::csv::read(&path, |_| {}).unwrap();
        std::fs::remove_file(&path).unwrap();
        for allow_archive in [false, true] {
            let options = Options {
                charge_from_s: Some(made.start_s + variable("FROM", 160) * DAY_S),
                policies: match std::env::var("POLICIES") {
                    Ok(names) => names.split(',').map(str::to_owned).collect(),
                    Err(_) => Vec::new(),
                },
                allow_archive,
                egress: None,
                seed: 1,
                threads: NonZeroUsize::new(2).unwrap(),
            };
            let begun = std::time::Instant::now();
            let outcome = match std::env::var("KNOWS").is_ok() {
                true => simulate::foretold(&log, &books::builtin(), &options, false, Some(&Knows), &AtomicU64::new(0)).unwrap(),
                false => simulate::run(&log, &books::builtin(), &options, false, &AtomicU64::new(0)).unwrap(),
            };
            let report = outcome.report;
            println!("archive {allow_archive}: {} objects, took {:?}", report.objects, begun.elapsed());
            for bucket in report.optimum.by_bucket.keys() {
                let least = report.optimum.by_bucket[bucket] as f64;
                print!("{bucket:12} ${:8.2} hot {:6.3} ", least / 1e9, report.all_hot.by_bucket[bucket] as f64 / least);
                for (name, bill) in &report.policies {
                    print!(" {name} {:6.3}", bill.by_bucket[bucket] as f64 / least);
                }
                println!();
            }
            let least = report.optimum.total_nanousd as f64;
            println!("mix hot {:6.3}", report.all_hot.total_nanousd as f64 / least);
            for (name, bill) in &report.policies {
                println!("{name:20} {:6.3} {:?}", bill.total_nanousd as f64 / least, bill.by_kind);
            }
            println!("optimum {:?}", report.optimum.by_kind);
        }
    }
}
