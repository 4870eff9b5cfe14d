//! `vaultaire-reference`: what the policy `learned` costs with the network that Vaultaire trains, and with gradient-boosted trees
//! that learnt from the same samples. It simulates one log and prints one JSON object; what is compared is up to `run`.

mod trees;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use clap::Parser;
use serde_json::{Value, json};
use vaultaire_learner::decisions::Keep;
use vaultaire_learner::guard;
use vaultaire_learner::history::Window;
use vaultaire_learner::logs::{Log, files};
use vaultaire_learner::model::Model;
use vaultaire_learner::model::forecaster::{Learnt, Train, Training};
use vaultaire_learner::model::train;
use vaultaire_learner::policies::learned;
use vaultaire_learner::progress::Progress;
use vaultaire_learner::report::Report;
use vaultaire_learner::simulate::{self, Options};
use vaultaire_proto::prices::books;
use vaultaire_tests::bench::{Error, printed};

use crate::trees::Process;

#[derive(Debug, Parser)]
struct Args {
    /// The log: a table with the header timestamp,bucket,key,operation,size,bytes.
    #[arg(long)]
    log: PathBuf,
    /// Charge from this time on, in seconds since 1970; until then only habits are learnt.
    #[arg(long)]
    charge_from: Option<u64>,
    /// Of what is random in learning.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A second bill, with tiers whose objects have to be restored.
    #[arg(long)]
    allow_archive: bool,
    /// The interpreter that knows LightGBM.
    #[arg(long)]
    python: PathBuf,
    /// What it runs.
    #[arg(long)]
    script: PathBuf,
}

fn main() -> ExitCode {
    printed(measured(&Args::parse()))
}

fn measured(args: &Args) -> Result<Value, Error> {
    let log = files::read(&args.log, None, |_| ())?;
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let world = World { log: &log, args, threads };
    let process = Process::start(&args.python, &args.script, threads)?;
    Ok(json!({
        "candle": world.found(&train::train)?,
        "lightgbm": world.found(&|examples, seed| process.train(examples, seed))?,
    }))
}

/// What is the same for both.
struct World<'a> {
    log: &'a Log,
    args: &'a Args,
    threads: NonZeroUsize,
}

impl World<'_> {
    /// Reports, by which tiers may be used. What was learnt does not depend on it.
    fn found<M: Model>(&self, train: &Train<'_, M>) -> Result<Value, Error> {
        let begun = Instant::now();
        let window = Window::of(self.log, self.args.charge_from)?;
        let shares = self.log.accesses.shares(self.threads.get());
        let training = Training { seed: self.args.seed, given: None, train };
        let learnt = Learnt::new(self.log, window, &shares, training, &Progress::default())?;
        let learnt_s = begun.elapsed().as_secs_f64();
        let mut reports: BTreeMap<&str, Report> = BTreeMap::new();
        reports.insert("instant tiers", self.report(&learnt, false)?);
        if self.args.allow_archive {
            reports.insert("archives too", self.report(&learnt, true)?);
        }
        Ok(
            json!({ "learnt_s": learnt_s, "all_s": begun.elapsed().as_secs_f64(), "reports": reports }),
        )
    }

    fn report<M: Model>(
        &self,
        learnt: &Learnt<'_, M>,
        allow_archive: bool,
    ) -> Result<Report, Error> {
        let options = Options {
            charge_from_s: self.args.charge_from,
            policies: vec![learned::NAME.to_owned()],
            allow_archive,
            egress: None,
            seed: self.args.seed,
            model: None,
            threads: self.threads,
            events_max: guard::EVENTS_MAX,
        };
        let (book, progress) = (books::builtin(), Progress::default());
        let keep = Keep::default();
        let outcome = simulate::foretold(self.log, &book, &options, keep, Some(learnt), &progress)?;
        Ok(outcome.report)
    }
}
