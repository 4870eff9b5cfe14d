//! What each scenario does to a whole log, and what it leaves alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{CHANGE_AT, Scenario};
use crate::traces::Options;
use crate::traces::calendar::{DAY, HOUR};
use crate::traces::classes::Class;
use crate::traces::tests::{Line, lines, options};

const CLASSES: [Class; 4] = [Class::Media, Class::Backup, Class::Lake, Class::Web];
const DAYS: u32 = 200;

fn of(scenario: Scenario) -> Vec<Line> {
    lines(&Options { scenario, ..options(&CLASSES, 4_000, DAYS) })
}

fn reads(lines: &[Line]) -> Vec<&Line> {
    lines.iter().filter(|line| line.is("GET")).collect()
}

fn by_prefix<'a>(lines: impl IntoIterator<Item = &'a Line>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.prefix()).or_default() += 1;
    }
    counts
}

#[test]
fn only_reads_change() {
    let plain = of(Scenario::Plain);
    // The size of what was deleted is told where nothing else told it, which a read may do.
    let written = |lines: &[Line]| -> Vec<(i64, String, String)> {
        let not_read = lines.iter().filter(|line| !line.is("GET"));
        not_read.map(|line| (line.at_s, line.key.clone(), line.operation.clone())).collect()
    };
    for scenario in Scenario::ALL {
        let changed = of(scenario);
        assert_eq!(written(&plain), written(&changed), "{}", scenario.name());
        assert_eq!(scenario == Scenario::Plain, plain == changed, "{}", scenario.name());
    }
}

#[test]
fn a_change_of_regime_swaps_hot_and_cold_and_changes_nothing_before() {
    let change_s = (f64::from(DAYS) * CHANGE_AT) as i64 * DAY;
    let (plain, changed) = (of(Scenario::Plain), of(Scenario::RegimeChange));
    let (plain, changed) = (reads(&plain), reads(&changed));
    let split = |lines: &[&Line]| lines.partition_point(|line| line.at_s < change_s);
    assert_eq!(plain[..split(&plain)], changed[..split(&changed)]);
    let before = by_prefix(plain[split(&plain)..].iter().copied());
    let after = by_prefix(changed[split(&changed)..].iter().copied());
    let factor = |prefix: &String| {
        let count = |of: &BTreeMap<String, u64>| of.get(prefix).copied().unwrap_or(0) as f64;
        (count(&after) + 1.0) / (count(&before) + 1.0)
    };
    let prefixes: HashSet<&String> = before.keys().chain(after.keys()).collect();
    let heated = prefixes.iter().filter(|prefix| factor(prefix) > 3.0).count();
    let quiet = prefixes.iter().filter(|prefix| factor(prefix) < 0.1).count();
    let same = prefixes.iter().filter(|prefix| factor(prefix) == 1.0).count();
    assert!(heated >= 4 && quiet >= 4 && same >= 8, "{heated} {quiet} {same}");
}

#[test]
fn a_crawler_reads_everything_within_a_day() {
    let (plain, crawled) = (of(Scenario::Plain), of(Scenario::Crawler));
    let count = |lines: &[Line]| -> HashMap<i64, HashSet<String>> {
        let mut days: HashMap<i64, HashSet<String>> = HashMap::new();
        for line in reads(lines) {
            days.entry(line.at_s / DAY).or_default().insert(line.key.clone());
        }
        days
    };
    let (usual, crawled) = (count(&plain), count(&crawled));
    let busy = |day: &&i64| crawled[*day].len() > 5 * usual.get(*day).map_or(0, HashSet::len);
    let busy: Vec<i64> = crawled.keys().filter(busy).copied().collect();
    assert!((1..=2).contains(&busy.len()), "{busy:?}");
    // All that was there for the whole day.
    let mut there: HashMap<&str, (i64, i64)> = HashMap::new();
    for line in &plain {
        let life = there
            .entry(&line.key)
            .or_insert((if line.is("PUT") { line.at_s } else { 0 }, i64::MAX));
        if line.is("DELETE") {
            life.1 = line.at_s;
        }
    }
    for day in busy {
        let whole = |life: &(i64, i64)| life.0 < day * DAY && life.1 > (day + 1) * DAY;
        let missed =
            there.iter().filter(|(key, life)| whole(life) && !crawled[&day].contains(**key));
        assert_eq!(missed.count(), 0);
    }
}

#[test]
fn one_cold_prefix_of_each_part_turns_hot() {
    let (plain, hot) = (of(Scenario::Plain), of(Scenario::ColdTurnsHot));
    let (before, after) = (by_prefix(reads(&plain)), by_prefix(reads(&hot)));
    let changed: Vec<&String> =
        after.keys().filter(|prefix| before.get(*prefix) != after.get(*prefix)).collect();
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert!(changed.iter().all(|prefix| prefix.starts_with("backup/")));
    let held_out = |prefix: &&&String| prefix.ends_with("-8") || prefix.ends_with("-9");
    assert_eq!(changed.iter().filter(held_out).count(), 1);
    // Its packs are, and not only what each run reads anyway.
    let of_packs = |lines: &[Line]| {
        by_prefix(reads(lines).into_iter().filter(|line| line.key.contains("/data/")))
    };
    let (before, after) = (of_packs(&plain), of_packs(&hot));
    for prefix in changed {
        let before = before.get(prefix).copied().unwrap_or(0);
        assert!(after[prefix] > 3 * before + 200, "{prefix}: {before} {}", after[prefix]);
    }
}

#[test]
fn an_adversary_reads_just_after_a_midnight_at_a_certain_age() {
    let chased = of(Scenario::Adversarial);
    let mut last: HashMap<&str, i64> = HashMap::new();
    let (mut right, mut all) = (0, 0);
    for line in &chased {
        let former = last.insert(&line.key, line.at_s);
        if let (Some(former), true) = (former, line.is("GET")) {
            let into_day = line.at_s % DAY;
            let idle_days = (line.at_s - into_day - former) / DAY;
            all += 1;
            let is_short = matches!(idle_days, 1 | 3 | 7 | 14 | 30 | 31 | 45 | 60 | 90 | 91);
            right += u64::from(is_short && (600..=6 * HOUR).contains(&into_day));
        }
    }
    assert!(all > 5_000, "{all}");
    // Others read what does not live long, or rested until a new period.
    assert!(right * 10 > all * 7, "{right} of {all}");
}

#[test]
fn shuffled_reads_keep_their_times_and_forget_their_objects() {
    let (plain, shuffled) = (of(Scenario::Plain), of(Scenario::Shuffled));
    let times = |lines: &[Line]| -> Vec<(String, i64)> {
        let mut times: Vec<(String, i64)> =
            reads(lines).iter().map(|line| (line.prefix(), line.at_s)).collect();
        times.sort_unstable();
        times
    };
    assert_eq!(times(&plain), times(&shuffled));
    // The most popular object is not popular any more.
    let most = |lines: &[Line]| {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for line in reads(lines).into_iter().filter(|line| line.key.starts_with("web/")) {
            *counts.entry(&line.key).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0)
    };
    assert!(most(&plain) > 4 * most(&shuffled), "{} {}", most(&plain), most(&shuffled));
}
