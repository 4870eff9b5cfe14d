//! Plans for things that are known.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::BufWriter;
use std::num::NonZeroUsize;

use vaultaire_proto::prices::books;
use vaultaire_proto::prices::calendar::DAY_S;

use crate::decisions::Keep;
use crate::error::Error;
use crate::forecasts::{Forecaster, Object};
use crate::guard;
use crate::hazards::{Forecast, Hazards};
use crate::history::Life;
use crate::logs::{Log, csv};
use crate::points::end_of_day;
use crate::progress::Progress;
use crate::simulate::{self, Options};
use crate::traces::{self, classes::Class};

/// Knows the next two gaps of everything.
struct Knows;

impl Forecaster for Knows {
    fn forecasts(&self, objects: &[Object]) -> Result<Vec<Vec<Option<Forecast>>>, Error> {
        let subjects = objects
            .iter()
            .flat_map(|object| object.subjects.iter().map(move |subject| (object, subject)));
        let of_each = subjects.map(|(object, subject)| {
            let whole = &object.lives[subject.place];
            let moments = subject.moments(whole).into_iter();
            moments.map(|moment| Some(known(whole, moment.at_s, moment.reads))).collect()
        });
        Ok(of_each.collect())
    }
}

fn known(life: &Life, at_s: u64, reads: usize) -> Forecast {
    let (read, end) = gap(life, at_s, reads);
    let mut forecast =
        Forecast { read, end, requests_q8: 256, sent_q8: 256, ..Forecast::default() };
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

/// How many objects its log has; the figures told are those of more.
const OBJECTS: u64 = 3_000;

/// A log of some kinds of workload, of which half a year is charged for.
fn log(classes: &[Class], objects: u64) -> (Log, Options) {
    let made =
        traces::Options { classes: classes.to_vec(), objects, days: 300, ..Default::default() };
    let file = tempfile::NamedTempFile::new().unwrap();
    traces::generate(&made, BufWriter::new(file.as_file()), |_| {}).unwrap();
    let log = csv::read(file.path(), |_| {}).unwrap();
    let options = Options {
        charge_from_s: Some(made.start_s + 120 * DAY_S),
        policies: vec!["learned".to_owned()],
        allow_archive: false,
        egress: None,
        seed: 1,
        model: None,
        threads: NonZeroUsize::new(2).unwrap(),
        events_max: guard::EVENTS_MAX,
    };
    (log, options)
}

/// What planning alone costs: nothing is unknown of the next two gaps. `VAULTAIRE_KNOWN_OBJECTS` asks for a larger log.
#[test]
fn with_two_gaps_known_plans_are_near_the_optimum() {
    let objects = std::env::var("VAULTAIRE_KNOWN_OBJECTS").ok();
    let objects = objects.map_or(OBJECTS, |count| count.parse().unwrap());
    for (classes, most) in [
        (&Class::ALL[..], 1.03),
        (&[Class::Media, Class::Documents][..], 1.10),
        (&[Class::Logs, Class::MlDatasets][..], 1.15),
    ] {
        let (log, options) = log(classes, objects);
        let book = books::builtin();
        let known = simulate::foretold(
            &log,
            &book,
            &options,
            Keep::default(),
            Some(&Knows),
            &Progress::default(),
        );
        let report = known.unwrap().report;
        let ratio = |cost: i128| cost as f64 / report.optimum.total_nanousd as f64;
        let (learned, hot) =
            (ratio(report.policies["learned"].total_nanousd), ratio(report.all_hot.total_nanousd));
        assert!(learned <= most, "{classes:?}: {learned:.3}, all hot {hot:.3}");
        assert!(hot > 1.5, "{classes:?}: nothing can be saved in it");
    }
}
