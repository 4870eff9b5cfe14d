//! `vaultaire-one-core`: how long a night's work of a learner takes on one core, for all objects of a log: what is known of groups,
//! samples, a network from scratch, and forecasts for each object that is there in the last night.
//!
//! ```text
//! vaultaire generate-trace --objects 1000000 --days 400 --seed 101 --output large.csv
//! taskset -c 0 target/release/vaultaire-one-core --log large.csv
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use vaultaire_learner::forecasts::{Forecaster, Object};
use vaultaire_learner::history::{self, Window};
use vaultaire_learner::logs::files;
use vaultaire_learner::model::forecaster::{Learnt, Training};
use vaultaire_learner::model::train;
use vaultaire_learner::progress::Progress;
use vaultaire_proto::prices::calendar::DAY_S;
use vaultaire_tests::bench::{Error, printed};

/// So many objects are foretold at once.
const OBJECTS_AT_ONCE: usize = 4_096;

#[derive(Debug, Parser)]
struct Args {
    /// The log.
    #[arg(long)]
    log: PathBuf,
    /// Of what is random in learning.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    printed(measured(&Args::parse()))
}

fn measured(args: &Args) -> Result<Value, Error> {
    let log = files::read(&args.log, None, |_| ())?;
    // The last two days: one network is trained, and the midnight between them is a decision about each object.
    let window = Window::of(&log, Some((log.last_s / DAY_S).saturating_sub(1) * DAY_S))?;
    let shares = log.accesses.shares(1);
    let progress = Progress::default();
    let begun = Instant::now();
    let training = |given| Training { seed: args.seed, given, train: &train::train };
    let learnt = Learnt::new(&log, window, &shares, training(None), &progress)?;
    let learnt_s = begun.elapsed().as_secs_f64();
    let (mut asking, mut objects, mut forecasts) = (Duration::ZERO, Vec::new(), 0_usize);
    let mut ask = |objects: &[Object]| -> Result<(), Error> {
        let begun = Instant::now();
        forecasts += learnt.forecasts(objects)?.iter().flatten().flatten().count();
        asking += begun.elapsed();
        Ok(())
    };
    for share in &shares {
        let mut all = share.objects();
        while let Some(accesses) = all.next_object()? {
            let lives = history::lives(&log, window.until_s, accesses)?;
            let number = accesses[0].object;
            objects.push(Object::new((number, log.names.key(number)), lives, window));
            if objects.len() == OBJECTS_AT_ONCE {
                ask(&std::mem::take(&mut objects))?;
            }
        }
    }
    ask(&objects)?;
    Ok(json!({
        "accesses": log.accesses.len(),
        "objects": log.names.objects.len(),
        "learnt_s": learnt_s,
        "forecasts": forecasts,
        "foretold_s": asking.as_secs_f64(),
    }))
}
