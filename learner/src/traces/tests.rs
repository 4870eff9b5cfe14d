//! Whole logs: the same options give the same bytes, what is written is a log, and what is held out changes nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::*;
use crate::history::{self, Window};
use crate::logs::csv;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Since the log's start.
    pub at_s: i64,
    pub key: String,
    pub operation: String,
    pub size_bytes: Option<u64>,
    pub sent_bytes: Option<u64>,
}

impl Line {
    pub fn is(&self, operation: &str) -> bool {
        self.operation == operation
    }

    /// Its bucket and its first folder.
    pub fn prefix(&self) -> String {
        self.key.split('/').take(2).collect::<Vec<_>>().join("/")
    }
}

pub fn options(classes: &[Class], objects: u64, days: u32) -> Options {
    Options { classes: classes.to_vec(), objects, days, seed: 7, ..Options::default() }
}

pub fn text(options: &Options) -> String {
    let mut out = Vec::new();
    generate(options, &mut out, |_| {}).unwrap();
    String::from_utf8(out).unwrap()
}

pub fn lines(options: &Options) -> Vec<Line> {
    let text = text(options);
    let (header, lines) = text.split_once('\n').unwrap();
    assert_eq!(header, csv::HEADER);
    let line = |line: &str| {
        let [at, bucket, key, operation, size, sent] = line.split(',').collect::<Vec<_>>()[..]
        else {
            panic!("{line} has not six columns")
        };
        Line {
            at_s: at.parse::<i64>().unwrap() - options.start_s as i64,
            key: format!("{bucket}/{key}"),
            operation: operation.to_owned(),
            size_bytes: (!size.is_empty()).then(|| size.parse().unwrap()),
            sent_bytes: (!sent.is_empty()).then(|| sent.parse().unwrap()),
        }
    };
    lines.lines().map(line).collect()
}

fn everywhere(objects: u64, days: u32) -> impl Iterator<Item = Options> {
    Scenario::ALL
        .into_iter()
        .map(move |scenario| Options { scenario, ..options(&Class::ALL, objects, days) })
}

fn hash(options: &Options) -> String {
    let digest = Sha256::digest(text(options).as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whoever changes one of these has changed every log that was ever made from a seed.
#[test]
fn logs_are_what_they_were() {
    let of_class = |class: Class| (class.name(), hash(&options(&[class], 400, 150)));
    let of_scenario = |options: Options| (options.scenario.name(), hash(&options));
    let classes: Vec<(&str, String)> = Class::ALL.into_iter().map(of_class).collect();
    let scenarios: Vec<(&str, String)> = everywhere(800, 150).map(of_scenario).collect();
    let found: Vec<(&str, &str)> =
        classes.iter().chain(&scenarios).map(|(name, hash)| (*name, hash.as_str())).collect();
    let expected = [
        ("media", "00342bdf8ba0bc82"),
        ("backup", "ef0c8e789bc6716c"),
        ("logs", "ad6ba44abbcc5edf"),
        ("lake", "22d5a6dd7e093728"),
        ("ml-datasets", "adff22ae42c147cd"),
        ("web", "3fcd5a6fd7d2dee8"),
        ("documents", "4efe35da3fc6d123"),
        ("iot", "eb461d5a389b810e"),
        ("plain", "3fdf66b8e641649a"),
        ("regime-change", "4903c17edb9c63e2"),
        ("crawler", "69e1b0cd20a3e68c"),
        ("cold-turns-hot", "334f5df5a31af487"),
        ("adversarial", "7bcc4138cd17196f"),
        ("shuffled", "7d9426952f74cae7"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_seed_makes_one_log_and_another_seed_another() {
    let one = options(&Class::ALL, 800, 60);
    let other = Options { seed: 8, ..one.clone() };
    assert_eq!(text(&one), text(&one));
    assert_ne!(text(&one), text(&other));
    let twice = Options { classes: [Class::ALL, Class::ALL].concat(), ..one.clone() };
    assert_eq!(text(&one), text(&twice));
}

/// What a version is known to be.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Unseen,
    Is(u64),
    Gone,
}

#[test]
fn every_line_can_be() {
    for options in everywhere(1_500, 200) {
        let lines = lines(&options);
        assert!(lines.len() > 4_000, "{}", lines.len());
        let mut states: HashMap<&str, State> = HashMap::new();
        let mut last_s = 0;
        for line in &lines {
            assert!((last_s..200 * 86_400).contains(&line.at_s), "{line:?}");
            last_s = line.at_s;
            let state = states.entry(&line.key).or_insert(State::Unseen);
            match (line.operation.as_str(), *state) {
                ("PUT", _) => *state = State::Is(line.size_bytes.unwrap()),
                ("GET", State::Unseen) => *state = State::Is(line.size_bytes.unwrap()),
                ("GET", State::Is(bytes)) => assert_eq!(line.size_bytes, Some(bytes), "{line:?}"),
                // The line is the only one that tells how large it was.
                ("DELETE", State::Unseen) => assert!(line.size_bytes.is_some(), "{line:?}"),
                ("DELETE", State::Is(_)) => assert_eq!(line.size_bytes, None),
                _ => panic!("{line:?} comes after its end"),
            }
            if line.is("DELETE") {
                *state = State::Gone;
            }
            let size_bytes = line.size_bytes.unwrap_or(0);
            assert!(line.sent_bytes.is_none_or(|sent| line.is("GET") && sent < size_bytes));
        }
    }
}

#[test]
fn a_log_is_read_and_lived() {
    let options = options(&Class::ALL, 2_000, 200);
    let path = std::env::temp_dir().join(format!("vaultaire-traces-{}.csv", std::process::id()));
    let mut told = Vec::new();
    let file = std::fs::File::create(&path).unwrap();
    let summary = generate(&options, file, |progress| told.push(progress)).unwrap();
    let log = csv::read(&path, |_| {}).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((log.told.lines, log.told.garbage), (summary.events, 0));
    assert_eq!(log.told.backwards, 0);
    assert_eq!(log.names.objects.len() as u64, summary.objects);
    assert_eq!(log.names.buckets.len(), Class::ALL.len());
    let window = Window::of(&log, None).unwrap();
    let all = log.accesses.to_vec();
    let of_each = all.chunk_by(|one, next| one.object == next.object);
    let lives: usize =
        of_each.map(|accesses| history::lives(&log, window.until_s, accesses).unwrap().len()).sum();
    assert!(lives as u64 >= summary.objects);
    let of_classes =
        |count: fn(&ClassSummary) -> u64| summary.classes.values().map(count).sum::<u64>();
    assert_eq!(summary.events, of_classes(|class| class.puts + class.gets + class.deletes));
    assert_eq!(summary.objects, of_classes(|class| class.objects));
    assert_eq!(told.last(), Some(&Progress::Lines { done: summary.events, of: summary.events }));
}

#[test]
fn there_are_about_as_many_objects_as_were_asked_for_and_ten_events_of_each() {
    for seed in 1..4 {
        let options = Options { seed, objects: 20_000, ..Options::default() };
        let summary = generate(&options, std::io::sink(), |_| {}).unwrap();
        assert!((16_000..24_000).contains(&summary.objects), "{summary:?}");
        let each = summary.events as f64 / summary.objects as f64;
        assert!((7.0..14.0).contains(&each), "{each}");
        for (name, class) in &summary.classes {
            assert!((1_500..4_000).contains(&class.objects), "{name}: {class:?}");
            // Something was there before, and something is new.
            assert!(class.puts > 0 && class.gets > 0 && class.puts < class.events, "{name}");
        }
    }
}

#[test]
fn the_smallest_and_the_longest_logs_can_be_made_up() {
    for (objects, days) in [(1, 1), (100, 1), (1, 400), (500, prefixes::DAYS_MAX)] {
        for options in everywhere(objects, days) {
            let lines = lines(&options);
            assert!(!lines.is_empty(), "{objects} {days} {}", options.scenario.name());
            assert!(lines.iter().all(|line| line.at_s < i64::from(days) * 86_400));
        }
    }
}

#[test]
fn what_is_held_out_changes_nothing_else() {
    for all in everywhere(2_000, 120) {
        let of = |hold_out| lines(&Options { hold_out, ..all.clone() });
        let (whole, tuning, held_out) = (of(HoldOut::All), of(HoldOut::Exclude), of(HoldOut::Only));
        let is_held_out = |line: &Line| {
            let prefix = line.prefix();
            prefix.starts_with("iot/") || prefix.ends_with("-8") || prefix.ends_with("-9")
        };
        assert!(held_out.iter().all(is_held_out) && !tuning.iter().any(is_held_out));
        let (theirs, ours): (Vec<Line>, Vec<Line>) = whole.into_iter().partition(is_held_out);
        assert_eq!((ours.len(), theirs.len()), (tuning.len(), held_out.len()));
        // In the same order, too.
        assert!(ours == tuning && theirs == held_out, "{}", all.scenario.name());
    }
}

#[test]
fn what_cannot_be_made_up_is_refused() {
    let told = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        generate(&options, std::io::sink(), |_| {}).unwrap_err().to_string()
    };
    assert!(told(|options| options.classes.clear()).contains("name some of media, backup"));
    assert!(
        told(|options| options.objects = 0).contains("objects: 0 is out of range; it goes from 1")
    );
    assert!(told(|options| options.objects = u64::MAX).contains("to 20000000"));
    assert!(told(|options| options.days = 0).contains("days: 0 is out of range"));
    assert!(told(|options| options.days = 3_661).contains("from 1 to 3660"));
    assert!(told(|options| options.start_s = 0).contains("start (seconds since 1970): 0"));
    assert!(told(|options| options.start_s += 1).contains("the one before is 1735689600"));
    let only_iot = |options: &mut Options| {
        options.classes = vec![Class::Iot];
        options.hold_out = HoldOut::Exclude;
    };
    assert!(told(only_iot).contains("iot is never tuned on"));
    let class = Class::named("movies").unwrap_err().to_string();
    assert!(class.contains("no class of workload \"movies\"") && class.contains("ml-datasets"));
    assert!(Scenario::named("flood").unwrap_err().to_string().contains("crawler"));
    assert_eq!(Scenario::named("none").unwrap(), Scenario::Plain);
    for name in CLASSES {
        assert_eq!(Class::named(name).unwrap().name(), name);
    }
    for name in SCENARIOS {
        assert_eq!(Scenario::named(name).unwrap().name(), name);
    }
}

/// Every write fails.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told() {
    let error = generate(&options(&[Class::Web], 100, 10), Full, |_| {}).unwrap_err().to_string();
    assert!(error.contains("cannot be written") && error.contains("room"), "{error}");
}
