//! `vaultaire explain`: planned decisions are made again from their records, and told in words.

use std::path::PathBuf;

use serde::Serialize;
use vaultaire_learner::hazards::BOUNDS_DAYS;
use vaultaire_learner::planner::record::Record;
use vaultaire_learner::written;
use vaultaire_proto::money::NanoUsd;
use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::{DAY_S, Date};
use vaultaire_proto::prices::exact::Exact;

use crate::cli::output::{Output, bytes, table};
use crate::cli::prices;
use crate::error::Error;

/// Decisions that are told at once.
const SHOWN_MAX: usize = 20;

/// Make planned decisions again from their records, and tell why they were made.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `vaultaire simulate --records` wrote.
    #[arg(long, value_name = "FILE")]
    records: PathBuf,
    /// The price book by which they were priced: a file, or the name of one that comes along.
    #[arg(long, default_value = "builtin")]
    prices: String,
    /// Tell of decisions about this object: its bucket, a slash, and its key or the beginning of it.
    #[arg(long, value_name = "BUCKET/KEY")]
    key: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Found {
    /// How many decisions were made again, with the same result.
    same: u64,
    /// Those that were asked about.
    decisions: Vec<Explained>,
    /// There are so many more of these.
    more: u64,
}

#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    record: Record,
    /// Of each tier, in nano-dollars.
    costs_nanousd: Vec<i128>,
}

pub fn run(args: &Args, output: Output) -> Result<(), Error> {
    let book = prices::book(&args.prices)?;
    let mut found = Found::default();
    let made_again = written::made_again(&args.records, &book, |record| {
        found.same += 1;
        let name = format!("{}/{}", record.bucket, record.key);
        if args.key.as_ref().is_some_and(|wanted| name.starts_with(wanted)) {
            match found.decisions.len() < SHOWN_MAX {
                true => found.decisions.push(explained(record, &book)),
                false => found.more += 1,
            }
        }
    });
    made_again.map_err(Error::Simulation)?;
    output.print(&found, || text(&found))
}

fn explained(record: Record, book: &Book) -> Explained {
    let nanos = |cost: &i64| {
        let exact = Exact::of_units(i128::from(*cost)).times(1 << record.dropped_bits.min(120));
        book.rounded(exact).map_or(i128::MAX, |amount| amount.0)
    };
    Explained { costs_nanousd: record.costs.iter().map(nanos).collect(), record }
}

fn text(found: &Found) -> String {
    let mut text = format!("{} decisions made again, each the same\n", found.same);
    for Explained { record, costs_nanousd } in &found.decisions {
        let from = record.from.as_ref().map_or("new", |place| place.tier.as_str());
        text += &format!(
            "\n{} {}/{} ({}): {from} -> {}\n",
            Date::of_day(record.timestamp / DAY_S),
            record.bucket,
            record.key,
            bytes(record.size),
            record.to,
        );
        let rows = record.tiers.iter().zip(costs_nanousd);
        let rows = rows.map(|(tier, cost)| vec![tier.clone(), format!("${}", NanoUsd(*cost))]);
        text += &table(&["FROM NOW ON", "A YEAR, EXPECTED"], rows);
        text += &format!("\nread: {}\nends: {}\n", spans(&record.read), spans(&record.end));
    }
    if found.more > 0 {
        text += &format!("\nand {} more: tell more of the key\n", found.more);
    }
    text
}

/// Chances that are worth telling.
fn spans(chances: &[u16]) -> String {
    let told = chances.iter().enumerate().filter(|(_, chance)| **chance > u16::MAX / 200);
    let told = told.map(|(span, chance)| {
        let share = f64::from(*chance) / f64::from(u16::MAX) * 100.0;
        format!("{share:.0} % in days {} to {}", BOUNDS_DAYS[span], BOUNDS_DAYS[span + 1])
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "not expected".to_owned() } else { told.join(", ") }
}
