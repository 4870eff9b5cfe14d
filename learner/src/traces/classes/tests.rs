//! Each class's shape, as it comes out of a whole log: it has to be the one that its source describes.

use std::collections::{BTreeMap, HashMap};

use super::{Class, eos};
use crate::traces::START_S;
use crate::traces::calendar::{Calendar, DAY, HOUR};
use crate::traces::random::Stream;
use crate::traces::tests::{Line, lines, options};

/// Reads of each key.
fn counts(lines: &[Line]) -> HashMap<&str, u64> {
    let mut counts = HashMap::new();
    for line in lines.iter().filter(|line| line.is("GET")) {
        *counts.entry(line.key.as_str()).or_default() += 1;
    }
    counts
}

/// When each key was first written.
fn births(lines: &[Line]) -> HashMap<&str, i64> {
    let mut births = HashMap::new();
    for line in lines.iter().filter(|line| line.is("PUT")) {
        births.entry(line.key.as_str()).or_insert(line.at_s);
    }
    births
}

/// Of the straight line through points in log-log scale.
fn slope(points: &[(f64, f64)]) -> f64 {
    let points: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    above / points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum::<f64>()
}

#[test]
fn documents_are_read_as_often_as_cern_counted() {
    let lines = lines(&options(&[Class::Documents], 60_000, 335));
    let counts = counts(&lines);
    let files = counts.len() as f64;
    assert!(files > 45_000.0, "{files}");
    let share = |most: u64| counts.values().filter(|reads| **reads <= most).count() as f64 / files;
    // Of the table: 85,076,752, 131,413,104 and 145,900,860 of 151,465,417.
    for (most, expected) in [(1, 0.561_69), (3, 0.867_61), (10, 0.963_26)] {
        assert!((share(most) - expected).abs() < 0.005, "{most}: {} {expected}", share(most));
    }
    // Of all counts, with those above the largest one taken for it.
    let mean = counts.values().sum::<u64>() as f64 / files;
    assert!((mean / 8.966 - 1.0).abs() < 0.04, "{mean}");
    assert!(counts.values().all(|reads| *reads <= eos::READS_MAX));
}

#[test]
fn files_of_the_table_are_in_order() {
    let mut stream = Stream::of(1, &[]);
    let mut last = 0;
    for part in 0..100 {
        let usage = eos::usage(f64::from(part) / 100.0, &mut stream);
        assert!(usage.reads >= last && usage.mean_bytes > 1_000_000);
        last = usage.reads;
    }
    assert_eq!(eos::usage(0.561, &mut stream).reads, 1);
    assert_eq!(eos::usage(0.562, &mut stream).reads, 2);
    assert_eq!(eos::usage(0.999_999_9, &mut stream).reads, eos::READS_MAX);
}

#[test]
fn media_is_asked_for_as_a_power_of_its_age() {
    let lines = lines(&options(&[Class::Media], 30_000, 400));
    let births = births(&lines);
    let ages = [1, 3, 7, 15, 31, 63, 127, 255];
    let mut reads = [0.0; 7];
    // Ranges of one view come within minutes: photos are enough.
    for line in lines.iter().filter(|line| line.is("GET") && line.key.ends_with(".jpg")) {
        if let Some(born_s) = births.get(line.key.as_str()) {
            let age = (line.at_s - born_s) / DAY;
            let place = ages.partition_point(|from| *from <= age);
            if (1..ages.len()).contains(&place) {
                reads[place - 1] += 1.0;
            }
        }
    }
    let mut points = Vec::new();
    for (place, reads) in reads.into_iter().enumerate() {
        let (from, to) = (ages[place], ages[place + 1]);
        // Days that photos have been that old within the log.
        let days_of = |born_s: &i64| ((400 - born_s / DAY).min(to) - from).max(0) as f64;
        let photos = births.iter().filter(|(key, _)| key.ends_with(".jpg"));
        let days: f64 = photos.map(|(_, born_s)| days_of(born_s)).sum();
        points.push(((from as f64 * to as f64).sqrt(), reads / days));
    }
    assert!(points.windows(2).all(|pair| pair[1].1 < pair[0].1), "{points:?}");
    assert!((-1.45..-0.75).contains(&slope(&points)), "{} {points:?}", slope(&points));
}

#[test]
fn web_requests_follow_zipf() {
    let lines = lines(&options(&[Class::Web], 30_000, 90));
    let mut by_prefix: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (key, count) in counts(&lines) {
        let prefix: String = key.split('/').nth(1).unwrap_or_default().to_owned();
        by_prefix.entry(prefix).or_default().push(count);
    }
    assert_eq!(by_prefix.len(), 10);
    for (prefix, mut counts) in by_prefix {
        counts.sort_unstable_by(|one, other| other.cmp(one));
        let ranked: Vec<(f64, f64)> =
            (1..).zip(&counts).map(|(rank, count)| (f64::from(rank), *count as f64)).collect();
        // The very first are few, and the last ones are read once or twice: chance is too large there.
        let found = slope(&ranked[3..200.min(ranked.len())]);
        assert!((-1.05..-0.35).contains(&found), "{prefix}: {found}");
    }
}

#[test]
fn backups_are_deleted_by_rule_and_seldom_read() {
    let lines = lines(&options(&[Class::Backup], 10_000, 400));
    let births = births(&lines);
    let is_data = |line: &&Line| line.key.contains("/data/");
    let ends = lines.iter().filter(|line| line.is("DELETE")).filter(is_data);
    let kept: Vec<i64> =
        ends.filter_map(|line| Some((line.at_s - births.get(line.key.as_str())?) / DAY)).collect();
    assert!(kept.len() > 4_000);
    let is_by_rule = |days: &&i64| matches!(**days, 6..=14 | 27..=35 | 364..=365);
    assert_eq!(kept.iter().filter(is_by_rule).count(), kept.len());
    let written = lines.iter().filter(|line| line.is("PUT")).filter(is_data).count();
    let read = lines.iter().filter(|line| line.is("GET")).filter(is_data).count();
    assert!(read < written, "{read} {written}");
    let config = counts(&lines)["backup/host-0/config"];
    assert_eq!(config, 400, "each run reads it");
}

#[test]
fn logs_are_mostly_read_soon_after_they_were_written() {
    let lines = lines(&options(&[Class::Logs], 20_000, 300));
    let births = births(&lines);
    let ages: Vec<i64> = lines
        .iter()
        .filter(|line| line.is("GET"))
        .filter_map(|line| Some(line.at_s - births.get(line.key.as_str())?))
        .collect();
    let soon = ages.iter().filter(|age| **age < 3 * DAY).count() as f64 / ages.len() as f64;
    let late = ages.iter().filter(|age| **age > 30 * DAY).count() as f64 / ages.len() as f64;
    assert!((0.6..0.97).contains(&soon), "{soon}");
    assert!((0.005..0.25).contains(&late), "{late}");
}

#[test]
fn lakes_are_read_on_workdays_and_their_metadata_most() {
    let lines = lines(&options(&[Class::Lake], 20_000, 280));
    let calendar = Calendar::new(START_S, 280);
    let is_work = |line: &&Line| calendar.is_workday(line.at_s.div_euclid(DAY));
    let reads: Vec<&Line> = lines.iter().filter(|line| line.is("GET")).collect();
    let on_workdays = reads.iter().copied().filter(is_work).count() as f64 / reads.len() as f64;
    assert!(on_workdays > 0.75, "{on_workdays}");
    let counts = counts(&lines);
    for table in 0..10 {
        let metadata = counts[format!("lake/table-{table}/events/metadata/current.json").as_str()];
        let prefix = format!("lake/table-{table}/events/day=");
        let files = counts.iter().filter(|(key, _)| key.starts_with(&prefix));
        let (files, sum) = files.fold((0, 0), |(files, sum), (_, count)| (files + 1, sum + count));
        assert!(metadata * files > 5 * sum, "{table}: {metadata} {sum} of {files}");
    }
}

#[test]
fn training_reads_all_of_a_set() {
    let lines = lines(&options(&[Class::MlDatasets], 20_000, 300));
    let counts = counts(&lines);
    let mut versions: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (key, count) in &counts {
        versions
            .entry(key.rsplit_once('/').map_or("", |(version, _)| version))
            .or_default()
            .push(*count);
    }
    assert!(versions.len() > 20);
    for (version, counts) in versions {
        let (least, most) = (counts.iter().min().copied(), counts.iter().max().copied());
        // An epoch may be cut by the log's start, and another one by its end or the version's.
        assert!(most.unwrap_or(0) - least.unwrap_or(0) <= 3, "{version}: {least:?} {most:?}");
    }
}

#[test]
fn what_devices_send_is_small_and_read_within_a_day() {
    let lines = lines(&options(&[Class::Iot], 20_000, 100));
    let births = births(&lines);
    let mut soon = 0;
    let reads: Vec<&Line> = lines.iter().filter(|line| line.is("GET")).collect();
    for read in &reads {
        assert!((200..=64 << 10).contains(&read.size_bytes.unwrap_or(0)));
        let born_s = births.get(read.key.as_str()).copied().unwrap_or(i64::MIN / 2);
        soon += u64::from(read.at_s - born_s < 26 * HOUR);
    }
    let share = soon as f64 / reads.len() as f64;
    assert!(share > 0.85, "{share}");
}
