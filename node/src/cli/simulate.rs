//! `vaultaire simulate`: what an access log would have cost under each policy, and at best. It needs no cluster.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use vaultaire_learner::decisions::Keep;
use vaultaire_learner::error::Error as LearnerError;
use vaultaire_learner::guard;
use vaultaire_learner::logs::{Log, files};
use vaultaire_learner::model::network::Ensemble;
use vaultaire_learner::model::weights;
use vaultaire_learner::page;
use vaultaire_learner::policies::{self, learned};
use vaultaire_learner::progress::Progress;
use vaultaire_learner::report::{Bill, Report};
use vaultaire_learner::simulate::{self, Options, Outcome};
use vaultaire_learner::written;
use vaultaire_proto::money::NanoUsd;
use vaultaire_proto::prices::Book;

use crate::cli::output::{Output, table};
use crate::cli::prices;
use crate::error::Error;

const READING: &str = "reading {wide_bar} {bytes}/{total_bytes}, {eta} left";
const LEARNING: &str = "learning {wide_bar} {pos}/{len} networks, {eta} left";
const SIMULATING: &str = "simulating {wide_bar} {pos}/{len} accesses, {eta} left";
const GUARDING: &str = "guarding {wide_bar} {pos}/{len} events, {eta} left";
const REDRAW_INTERVAL: Duration = Duration::from_millis(50);

/// Buckets that are listed one by one for people; programs get all.
const BUCKETS_MAX: usize = 20;

/// Show what an access log would have cost under each policy, and at best.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The log, or a folder of logs: S3 server access logs or CloudTrail data events, plain or gzip, or a table with the header
    /// timestamp,bucket,key,operation,size,bytes.
    #[arg(long)]
    log: PathBuf,
    /// An S3 Inventory of the buckets (its manifest.json, a folder or a table): sizes, and what nobody reads.
    #[arg(long, value_name = "PATH")]
    inventory: Option<PathBuf>,
    /// A price book: a file, or the name of one that comes along.
    #[arg(long, default_value = "builtin")]
    prices: String,
    /// Charge from this time on, in seconds since 1970; until then only habits are learnt.
    #[arg(long, value_name = "SECONDS")]
    charge_from: Option<u64>,
    /// Only these policies.
    #[arg(long, value_delimiter = ',')]
    policies: Vec<String>,
    /// Use tiers too whose objects have to be restored before they can be read.
    #[arg(long)]
    allow_archive: bool,
    /// Price what is read as sent there, as the price book calls it. Without it reads leave for free.
    #[arg(long, value_name = "WHERE")]
    egress_to: Option<String>,
    /// Of what is random in learning.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Foretell with these weights, as --write-model wrote them, instead of training any.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Write the weights of the last network to this file.
    #[arg(long, value_name = "FILE")]
    write_model: Option<PathBuf>,
    /// Write a record of every decision that was planned, a line of JSON each, for `vaultaire explain`.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// Write every decision of every policy to this file.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Write a page with plots to this file: HTML that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub fn run(args: &Args, output: Output) -> Result<(), Error> {
    let learns = args.policies.is_empty() || args.policies.iter().any(|name| policies::asks(name));
    if !learns && (args.records.is_some() || args.write_model.is_some() || args.model.is_some()) {
        let why = "--records, --model and --write-model are for a policy that learns: name it among --policies";
        return Err(Error::Usage(why.to_owned()));
    }
    let plans = args.policies.is_empty() || args.policies.iter().any(|name| name == learned::NAME);
    if !plans && args.records.is_some() {
        let why = "--records is of what the policy learned plans: name it among --policies";
        return Err(Error::Usage(why.to_owned()));
    }
    let book = prices::book(&args.prices)?;
    if let Some(warning) = prices::warning(&book) {
        tell(&format!("warning: {warning}"));
    }
    let options = Options {
        charge_from_s: args.charge_from,
        policies: args.policies.clone(),
        allow_archive: args.allow_archive,
        egress: egress(&book, args.egress_to.as_deref())?,
        seed: args.seed,
        model: args.model.as_deref().map(given).transpose()?,
        threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        events_max: guard::EVENTS_MAX,
    };
    let left_out = left_out(&book, args.egress_to.is_some());
    if !left_out.is_empty() {
        tell(&format!(
            "note: free allowances of the account are in no figure, nor in the optimum: {}",
            left_out.join(", ")
        ));
    }
    // A file that cannot be written is better known before the work than after.
    let decisions = args.decisions.as_deref().map(create).transpose()?;
    let model = args.write_model.as_deref().map(create).transpose()?;
    let page = args.report.as_deref().map(create).transpose()?;
    let records = args.records.as_deref().map(create).transpose()?;
    let records = records.map(|file| Mutex::new(BufWriter::new(file)));
    let log = read(args, output)?;
    let keep = Keep {
        decisions: decisions.is_some(),
        records: records.as_ref().map(|out| out as &Mutex<dyn Write + Send>),
    };
    let mut outcome = simulated(&log, &book, &options, keep, output)?;
    if let (Some(out), Some(path)) = (&records, &args.records) {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        out.flush().map_err(|source| Error::file("write", path, source))?;
    }
    if let (Some(file), Some(path)) = (decisions, &args.decisions) {
        let written = written::write_decisions(BufWriter::new(file), &log, &book, &mut outcome);
        written.map_err(|error| match error {
            LearnerError::Unwritten { source } => Error::file("write", path, source),
            other => failed(other),
        })?;
    }
    if let (Some(mut file), Some(path)) = (model, &args.write_model) {
        let weights = outcome.model.as_deref().unwrap_or_default();
        file.write_all(weights).map_err(|source| Error::file("write", path, source))?;
    }
    if let (Some(mut file), Some(path)) = (page, &args.report) {
        let html = page::html(&outcome.report);
        file.write_all(html.as_bytes()).map_err(|source| Error::file("write", path, source))?;
    }
    for warning in outcome.report.log.warnings() {
        tell(&format!("warning: {warning}"));
    }
    output.print(&outcome.report, || text(&outcome))
}

fn egress(book: &Book, to: Option<&str>) -> Result<Option<NanoUsd>, Error> {
    let Some(to) = to else { return Ok(None) };
    let found = book.egress.iter().find(|(name, _)| name == to);
    found.map(|(_, price)| Some(*price)).ok_or_else(|| {
        let known: Vec<&str> = book.egress.iter().map(|(name, _)| name.as_str()).collect();
        Error::Usage(format!("--egress-to {to}: {} knows {}", book.name, known.join(", ")))
    })
}

/// What the account gets for nothing of what is priced.
fn left_out(book: &Book, egress_is_priced: bool) -> Vec<String> {
    let priced = book.free.iter().filter(|free| egress_is_priced || !free.is_egress());
    priced.map(ToString::to_string).collect()
}

fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(|source| Error::file("create", path, source))
}

fn read(args: &Args, output: Output) -> Result<Log, Error> {
    let bar = bar(output, READING, files::size_bytes(&args.log).map_err(failed)?);
    let log = files::read(&args.log, args.inventory.as_deref(), |read| bar.set_position(read));
    bar.finish_and_clear();
    log.map_err(failed)
}

fn simulated(
    log: &Log,
    book: &Book,
    options: &Options,
    keep: Keep<'_>,
    output: Output,
) -> Result<Outcome, Error> {
    let bars = Bars {
        learning: bar(output, LEARNING, 0),
        simulating: bar(output, SIMULATING, log.accesses.len()),
        guarding: bar(output, GUARDING, 0),
    };
    let progress = Progress::default();
    let outcome = thread::scope(|scope| {
        let work = scope.spawn(|| simulate::run(log, book, options, keep, &progress));
        while !work.is_finished() {
            bars.show(&progress);
            thread::sleep(REDRAW_INTERVAL);
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    bars.clear();
    outcome.map_err(failed)
}

/// What is watched, one after the other.
struct Bars {
    learning: ProgressBar,
    simulating: ProgressBar,
    guarding: ProgressBar,
}

impl Bars {
    fn show(&self, progress: &Progress) {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (networks, networks_of) = (now(&progress.networks), now(&progress.networks_of));
        if now(&progress.events_of) > 0 {
            self.simulating.finish_and_clear();
            self.guarding.set_length(now(&progress.events_of));
            self.guarding.set_position(now(&progress.events));
        } else if networks < networks_of {
            self.learning.set_length(networks_of);
            self.learning.set_position(networks);
        } else if now(&progress.accesses) > 0 {
            self.learning.finish_and_clear();
            self.simulating.set_position(now(&progress.accesses));
        }
    }

    fn clear(&self) {
        [&self.learning, &self.simulating, &self.guarding]
            .into_iter()
            .for_each(ProgressBar::finish_and_clear);
    }
}

fn given(path: &Path) -> Result<Arc<Ensemble>, Error> {
    weights::read(path).map(Arc::new).map_err(Error::Simulation)
}

fn failed(error: LearnerError) -> Error {
    match error {
        LearnerError::NoSuchPolicy { .. } | LearnerError::ChargeFrom { .. } => {
            Error::Usage(error.to_string())
        }
        other => Error::Simulation(other),
    }
}

pub fn bar(output: Output, template: &str, length: u64) -> ProgressBar {
    if !output.is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn tell(text: &str) {
    // Nothing is left to tell it to when stderr is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// For people: every policy beside doing nothing and the best that was possible, in all and for each bucket.
fn text(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let of_all = |bill: &Bill| bill.total_nanousd;
    let mut text = format!(
        "{} versions of {} objects, priced by {}, in {}\n\n{}",
        report.versions,
        report.objects,
        report.book,
        report.tiers.join(", "),
        compared(report, &outcome.names, of_all),
    );
    let buckets: Vec<&String> = report.all_hot.by_bucket.keys().collect();
    if buckets.len() > 1 {
        for bucket in buckets.iter().take(BUCKETS_MAX) {
            let of_one = |bill: &Bill| bill.by_bucket.get(*bucket).copied().unwrap_or(0);
            text += &format!("\n\n{bucket}\n{}", compared(report, &outcome.names, of_one));
        }
        if buckets.len() > BUCKETS_MAX {
            text += &format!(
                "\n\nand {} buckets more: --json has them all",
                buckets.len() - BUCKETS_MAX
            );
        }
    }
    text
}

fn compared(report: &Report, names: &[&str], amount: impl Fn(&Bill) -> i128) -> String {
    let (all_hot, optimum) = (amount(&report.all_hot), amount(&report.optimum));
    let row = |name: &str, bill: &Bill| {
        let cost = amount(bill);
        vec![
            name.to_owned(),
            dollars(cost),
            share(all_hot - cost, all_hot).map_or("-".to_owned(), |share| format!("{share:.1} %")),
            share(cost, optimum).map_or("-".to_owned(), |share| format!("{:.3}", share / 100.0)),
            bill.transitions.to_string(),
            bill.restores.to_string(),
        ]
    };
    let policies = names.iter().filter_map(|name| Some((*name, report.policies.get(*name)?)));
    let rows = [("all hot", &report.all_hot)]
        .into_iter()
        .chain(policies)
        .chain([(simulate::OPTIMUM, &report.optimum)])
        .map(|(name, bill)| row(name, bill));
    table(&["POLICY", "COST", "SAVING", "OF OPTIMUM", "MOVES", "RESTORES"], rows)
}

/// In per cent. None: of nothing.
fn share(part: i128, whole: i128) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64 * 100.0)
}

fn dollars(nanos: i128) -> String {
    format!("${:.2}", nanos as f64 / 1e9)
}
