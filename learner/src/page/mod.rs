//! A report as a page: one file that needs nothing else, for a wide screen and for a phone, bright and dark.
//!
//! ```text
//! mod       what is on the page     series    bills -> money over time
//! plot      lines, axes and dots    bars      shares of a whole, side by side
//! ```

pub mod bars;
pub mod plot;
pub mod series;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use vaultaire_proto::prices::calendar::{DAY_S, Date};

use crate::guard;
use crate::page::plot::{Dot, Line};
use crate::page::series::Series;
use crate::policies::{NAMES, learned};
use crate::report::{Bill, Report};

const STYLE: &str = include_str!("style.css");

/// What is not a policy has a colour too.
const ALL_HOT: &str = "all hot";
const OPTIMUM: &str = "optimum";

/// Buckets that are drawn.
const BUCKETS_MAX: usize = 12;

/// The whole page.
pub fn html(report: &Report) -> String {
    let bills = bills(report);
    let mut page = String::new();
    page += "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    page += "<meta name=\"color-scheme\" content=\"light dark\">\n";
    page += "<title>What would you save?</title>\n<style>\n";
    page += STYLE;
    page += "</style>\n</head>\n<body>\n<main>\n";
    page += &head(report);
    page += &section(
        "Cost over time",
        "What was paid since charging began.",
        &over_time(report, &bills),
    );
    page += &section(
        "Saving over time",
        "Against everything in the hot tier. It begins below nothing: moves are paid first. Where a line crosses it for good, moves have paid for themselves.",
        &savings(report, &bills),
    );
    page += &section(
        "Where the money goes",
        "Each kind of charge; the dearest is as wide as the page.",
        &kinds(report, &bills),
    );
    if report.all_hot.by_bucket.len() > 1 {
        page += &section(
            "Where the saving comes from",
            "Each bucket: what it costs under the best policy here, of what it costs if everything is hot.",
            &buckets(report),
        );
    }
    if let Some(calibration) = calibration(report) {
        page += &section(
            "Do forecasts come true?",
            "Chances of a read that were told, and how often it came. On the line they are equal; larger dots were told more often.",
            &calibration,
        );
    }
    page += &section("All figures", "", &table(report, &bills));
    page += &foot(report);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// Of everything that is shown, in order: what it is called, its colour, its bill.
fn bills(report: &Report) -> Vec<(&str, usize, &Bill)> {
    let policies = NAMES.iter().enumerate().filter_map(|(place, name)| {
        let is_nothing = *name == "stay";
        report.policies.get(*name).filter(|_| !is_nothing).map(|bill| (*name, place, bill))
    });
    let hot = (ALL_HOT, 0, &report.all_hot);
    [hot].into_iter().chain(policies).chain([(OPTIMUM, NAMES.len(), &report.optimum)]).collect()
}

/// The policy that somebody would use: the guarded one, or else the cheapest.
fn best(report: &Report) -> Option<(&str, &Bill)> {
    let of = |name: &str| report.policies.get_key_value(name);
    let cheapest = || report.policies.iter().min_by_key(|(_, bill)| bill.total_nanousd);
    of(guard::NAME)
        .or_else(|| of(learned::NAME))
        .or_else(cheapest)
        .map(|(name, bill)| (name.as_str(), bill))
}

fn head(report: &Report) -> String {
    let day = |at_s: u64| Date::of_day(at_s / DAY_S);
    let mut head = String::from("<header>\n<h1>What would you save?</h1>\n");
    let _ = writeln!(
        head,
        "<p class=\"lead\">{} versions of {} objects from {} until {}, priced by {}, in {}.</p>",
        grouped(report.versions.into()),
        grouped(report.objects.into()),
        day(report.charge_from),
        day(report.until.saturating_sub(1)),
        escaped(&report.book),
        escaped(&report.tiers.join(", ")),
    );
    head += "<div class=\"figures\">\n";
    let hot = report.all_hot.total_nanousd;
    let mut figure = |value: String, what: &str| {
        let _ = writeln!(head, "<div><b>{value}</b><span>{}</span></div>", escaped(what));
    };
    figure(dollars(hot), "everything hot");
    if let Some((name, bill)) = best(report) {
        figure(dollars(bill.total_nanousd), name);
        figure(share(hot - bill.total_nanousd, hot), &format!("saved by {name}"));
    }
    figure(share(hot - report.optimum.total_nanousd, hot), "saved at best, with everything known");
    head += "</div>\n</header>\n";
    head
}

fn section(title: &str, what: &str, body: &str) -> String {
    let what = if what.is_empty() { String::new() } else { format!("<p>{what}</p>\n") };
    format!("<section>\n<h2>{title}</h2>\n{what}{body}</section>\n")
}

fn over_time(report: &Report, bills: &[(&str, usize, &Bill)]) -> String {
    let line = |(name, colour, bill): &(&str, usize, &Bill)| Line {
        name: (*name).to_owned(),
        colour: *colour,
        points: Series::of(report, bill).points(),
    };
    let lines: Vec<Line> = bills.iter().map(line).collect();
    legend(bills) + &plot::over_days(report.charge_from / DAY_S, &lines, "cost")
}

fn savings(report: &Report, bills: &[(&str, usize, &Bill)]) -> String {
    let hot = Series::of(report, &report.all_hot);
    let others = bills.iter().filter(|(name, ..)| *name != ALL_HOT);
    let mut text = String::from("<ul class=\"payback\">\n");
    let mut lines = Vec::new();
    for (name, colour, bill) in others {
        let saving = hot.less(&Series::of(report, bill));
        let back = match saving.pays_back_after() {
            Some(0) => "saves from the first day on".to_owned(),
            Some(1) => "has paid for itself after 1 day".to_owned(),
            Some(days) => format!("has paid for itself after {days} days"),
            None => "has not paid for itself until the end".to_owned(),
        };
        let _ = writeln!(text, "<li><i class=\"c{colour}\"></i>{name} {back}</li>");
        lines.push(Line { name: (*name).to_owned(), colour: *colour, points: saving.points() });
    }
    text += "</ul>\n";
    plot::over_days(report.charge_from / DAY_S, &lines, "saving") + &text
}

fn kinds(report: &Report, bills: &[(&str, usize, &Bill)]) -> String {
    let rows = bills.iter().map(|(name, _, bill)| bars::Row {
        name: (*name).to_owned(),
        told: dollars(bill.total_nanousd),
        parts: bill.by_kind.named().map(|(_, amount)| amount).to_vec(),
    });
    let names = report.all_hot.by_kind.named().map(|(name, _)| name);
    bars::stacked(&names, &rows.collect::<Vec<_>>())
}

fn buckets(report: &Report) -> String {
    let Some((name, bill)) = best(report) else { return String::new() };
    let mut buckets: Vec<(&String, i128)> =
        report.all_hot.by_bucket.iter().map(|(bucket, hot)| (bucket, *hot)).collect();
    buckets.sort_by_key(|(_, hot)| std::cmp::Reverse(*hot));
    let rows = buckets.iter().take(BUCKETS_MAX).map(|(bucket, hot)| {
        let of = |bill: &Bill| bill.by_bucket.get(*bucket).copied().unwrap_or_default();
        let cost = of(bill);
        bars::Row {
            name: (*bucket).clone(),
            told: format!(
                "{} of {}, {} saved",
                dollars(cost),
                dollars(*hot),
                share(hot - cost, *hot)
            ),
            parts: vec![
                of(&report.optimum).min(cost),
                cost - of(&report.optimum).min(cost),
                (hot - cost).max(0),
            ],
        }
    });
    let names = ["what the best possible costs too", "what is missed", "saved"];
    let mut text = format!("<p>Under {}.</p>\n", escaped(name));
    text += &bars::stacked(&names, &rows.collect::<Vec<_>>());
    if buckets.len() > BUCKETS_MAX {
        let _ = writeln!(
            text,
            "<p>And {} smaller buckets: --json has them all.</p>",
            buckets.len() - BUCKETS_MAX
        );
    }
    text
}

fn calibration(report: &Report) -> Option<String> {
    let bins = &report.calibration.as_ref()?.0;
    let most = bins.iter().map(|bin| bin.told).max().unwrap_or(1).max(1);
    let dots: Vec<Dot> = bins
        .iter()
        .filter_map(|bin| {
            let (told, came) = bin.shares()?;
            let title = format!(
                "told {:.2} %, came {:.2} %, {} times",
                told * 100.0,
                came * 100.0,
                grouped(bin.told.into())
            );
            Some(Dot { at: (told, came), size: (bin.told as f64 / most as f64).sqrt(), title })
        })
        .collect();
    (!dots.is_empty()).then(|| plot::chances(&dots))
}

fn legend(bills: &[(&str, usize, &Bill)]) -> String {
    let mut text = String::from("<ul class=\"legend\">\n");
    for (name, colour, _) in bills {
        let _ = writeln!(text, "<li><i class=\"c{colour}\"></i>{name}</li>");
    }
    text + "</ul>\n"
}

fn table(report: &Report, bills: &[(&str, usize, &Bill)]) -> String {
    let (hot, least) = (report.all_hot.total_nanousd, report.optimum.total_nanousd);
    let mut text = String::from(
        "<div class=\"wide\"><table>\n<tr><th>policy</th><th>cost</th><th>saving</th><th>of optimum</th><th>moves</th><th>restores</th></tr>\n",
    );
    for (name, _, bill) in bills {
        let cost = bill.total_nanousd;
        let of_least =
            if least > 0 { format!("{:.3}", cost as f64 / least as f64) } else { "-".to_owned() };
        let _ = writeln!(
            text,
            "<tr><th>{name}</th><td>{}</td><td>{}</td><td>{of_least}</td><td>{}</td><td>{}</td></tr>",
            dollars(cost),
            share(hot - cost, hot),
            grouped(bill.transitions.into()),
            grouped(bill.restores.into()),
        );
    }
    text + "</table></div>\n"
}

fn foot(report: &Report) -> String {
    let mut foot = String::from(
        "<footer>\n<p>Worked out from an access log: prices are those of the price book, and free allowances of an account are in no figure. The optimum knows everything beforehand; nobody can be better.</p>\n",
    );
    for warning in report.log.warnings() {
        let _ = writeln!(foot, "<p class=\"warning\">{}</p>", escaped(&warning));
    }
    foot + "</footer>\n"
}

/// Names are those of whoever wrote the log.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

pub fn dollars(nanos: i128) -> String {
    let (sign, cents) = (if nanos < 0 { "-" } else { "" }, (nanos.abs() + 5_000_000) / 10_000_000);
    format!("{sign}${}.{:02}", grouped(cents / 100), cents % 100)
}

/// In per cent.
fn share(part: i128, whole: i128) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1} %", part as f64 / whole as f64 * 100.0) }
}

/// With a comma at each thousand.
fn grouped(number: i128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
