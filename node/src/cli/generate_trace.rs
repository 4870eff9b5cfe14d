//! `vaultaire generate-trace`: an access log that is made up, to try policies on before there is one of one's own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use indicatif::ProgressBar;
use vaultaire_learner::error::Error as LearnerError;
use vaultaire_learner::traces::classes::Class;
use vaultaire_learner::traces::scenarios::Scenario;
use vaultaire_learner::traces::{self, CLASSES, HoldOut, Options, Progress, Summary};
use vaultaire_proto::prices::calendar::{DAY_S, Date};

use crate::cli::output::{Output, bytes, table};
use crate::cli::simulate::bar;
use crate::error::Error;

const MAKING: &str = "making {wide_bar} {pos}/{len} prefixes";
const WRITING: &str = "writing {wide_bar} {pos}/{len} lines, {eta} left";

/// Make up an access log of known kinds of workload: the same options give the same bytes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these kinds of workload: media, backup, logs, lake, ml-datasets, web, documents, iot.
    #[arg(long, value_delimiter = ',', default_values = CLASSES)]
    class: Vec<String>,
    /// About so many objects.
    #[arg(long, default_value_t = 100_000)]
    objects: u64,
    #[arg(long, default_value_t = 400)]
    days: u32,
    /// The first day.
    #[arg(long, default_value = "2025-01-01", value_name = "DATE")]
    start: String,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What happens to it: plain, regime-change, crawler, cold-turns-hot, adversarial or shuffled.
    #[arg(long, default_value = "plain")]
    scenario: String,
    /// Leave out what policies were never tuned on (one class, and a fifth of the prefixes of each other), or all but that.
    #[arg(long, value_enum, default_value_t)]
    hold_out: Part,
    /// Where to write it; - is the standard output.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Part {
    /// All of it.
    #[default]
    All,
    /// What may be tuned on.
    Exclude,
    /// What was held out.
    Only,
}

pub fn run(args: &Args, output: Output) -> Result<(), Error> {
    let options = options(args)?;
    if args.output.as_os_str() == "-" {
        // The log has the standard output for itself.
        return generated(&options, std::io::stdout().lock(), output).map(drop);
    }
    let path = &args.output;
    let file = File::create(path).map_err(|source| Error::file("create", path, source))?;
    let summary = generated(&options, file, output)?;
    output.print(&summary, || text(&summary))
}

fn options(args: &Args) -> Result<Options, Error> {
    let refused = |error: LearnerError| Error::Usage(error.to_string());
    let start = Date::parse(&args.start).ok_or_else(|| {
        Error::Usage(format!("--start {}: a day is meant, as 2025-01-01", args.start))
    })?;
    let classes: Result<Vec<Class>, _> = args.class.iter().map(|name| Class::named(name)).collect();
    Ok(Options {
        classes: classes.map_err(refused)?,
        objects: args.objects,
        days: args.days,
        start_s: start.day_number() * DAY_S,
        seed: args.seed,
        scenario: Scenario::named(&args.scenario).map_err(refused)?,
        hold_out: match args.hold_out {
            Part::All => HoldOut::All,
            Part::Exclude => HoldOut::Exclude,
            Part::Only => HoldOut::Only,
        },
    })
}

fn generated(options: &Options, file: impl Write, output: Output) -> Result<Summary, Error> {
    let mut shown: Option<(&str, ProgressBar)> = None;
    let summary = traces::generate(options, BufWriter::new(file), |progress| {
        let (template, done, of) = match progress {
            Progress::Prefixes { done, of } => (MAKING, done, of),
            Progress::Lines { done, of } => (WRITING, done, of),
        };
        let is_new = shown.as_ref().is_none_or(|(shown, _)| *shown != template);
        if is_new && let Some((_, former)) = shown.replace((template, bar(output, template, of))) {
            former.finish_and_clear();
        }
        if let Some((_, bar)) = &shown {
            bar.set_position(done);
        }
    });
    if let Some((_, bar)) = shown {
        bar.finish_and_clear();
    }
    summary.map_err(|error| match error {
        LearnerError::Unwritten { .. } => Error::Simulation(error),
        refused => Error::Usage(refused.to_string()),
    })
}

fn text(summary: &Summary) -> String {
    let rows = summary.classes.iter().map(|(class, of)| {
        let counts = [of.objects, of.puts, of.gets, of.deletes].map(|count| count.to_string());
        [(*class).to_owned()].into_iter().chain(counts).chain([bytes(of.bytes)]).collect()
    });
    format!(
        "{} objects, {} requests\n{}",
        summary.objects,
        summary.events,
        table(&["CLASS", "OBJECTS", "PUT", "GET", "DELETE", "SIZE"], rows)
    )
}
