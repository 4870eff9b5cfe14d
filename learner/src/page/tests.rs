//! What is on a page, without looking at it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use vaultaire_proto::prices::calendar::DAY_S;

use crate::calibration::{Bin, Calibration};
use crate::logs::told::Told;
use crate::page::series::Series;
use crate::page::{dollars, html};
use crate::report::{Bill, Report};

/// A bill of so much on each day from 2026-01-01 on.
fn bill(days: &[i128]) -> Bill {
    let by_day = days.iter().enumerate();
    let by_day = by_day.map(|(day, cost)| (format!("2026-01-{:02}", day + 1), *cost)).collect();
    let total_nanousd = days.iter().sum();
    let by_bucket = BTreeMap::from([("a<b>&\"c\"".to_owned(), total_nanousd), ("d".to_owned(), 0)]);
    Bill { total_nanousd, by_bucket, by_day, ..Bill::default() }
}

fn report() -> Report {
    let mut calibration = Calibration::default();
    calibration.0[3] = Bin { told: 1_000, chances: 500_000, came: 9 };
    let policies = [("learned", bill(&[50, 2, 2, 2])), ("adaptive-ttl", bill(&[5, 20, 20, 20]))];
    Report {
        book: "book".to_owned(),
        charge_from: 20_454 * DAY_S,
        until: 20_458 * DAY_S,
        objects: 12_345,
        versions: 23_456,
        model: None,
        log: Told { garbage: 3, lines: 9, ..Told::default() },
        tiers: vec!["HOT".to_owned(), "COLD".to_owned()],
        calibration: Some(calibration),
        optimum: bill(&[3, 2, 2, 2]),
        all_hot: bill(&[20, 20, 20, 20]),
        policies: policies.into_iter().map(|(name, bill)| (name.to_owned(), bill)).collect(),
    }
}

#[test]
fn moves_have_paid_for_themselves_when_nothing_is_lost_any_more() {
    let report = report();
    let hot = Series::of(&report, &report.all_hot);
    let back = |days: &[i128]| hot.less(&Series::of(&report, &bill(days))).pays_back_after();
    assert_eq!(back(&[50, 2, 2, 2]), Some(2));
    assert_eq!(back(&[20, 20, 20, 20]), Some(0));
    assert_eq!(back(&[5, 50, 20, 4]), Some(3));
    assert_eq!(back(&[5, 50, 20, 20]), None);
}

#[test]
fn a_page_needs_nothing_else_and_believes_no_name() {
    let page = html(&report());
    for elsewhere in ["http:", "https:", "<script", "src=", "url(", "@import"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert!(page.contains("a&lt;b&gt;&amp;&quot;c&quot;") && !page.contains("a<b>"));
    for there in [
        "23,456 versions of 12,345 objects from 2026-01-01 until 2026-01-04",
        "learned has paid for itself after 2 days",
        "adaptive-ttl saves from the first day on",
        "told 0.76 %, came 0.90 %, 1,000 times",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(there), "{there} is not in {page}");
    }
    let unknown = html(&Report { calibration: None, policies: BTreeMap::new(), ..report() });
    assert!(!unknown.contains("Do forecasts come true?") && !unknown.contains("NaN"));
}

#[test]
fn dollars_are_rounded_to_cents() {
    assert_eq!(dollars(0), "$0.00");
    assert_eq!(dollars(1_234_567_890_000_000), "$1,234,567.89");
    assert_eq!(dollars(-5_000_000), "-$0.01");
}
