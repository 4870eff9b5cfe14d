//! `check`: a recorded history is judged again, without any server. A history of `kill` goes to its own checkers.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::checker::judge::{Judge, Judgement};
use crate::checker::linearizable::CONFIGURATIONS_MAX;
use crate::error::Error;
use crate::history::{self, Line};
use crate::html;
use crate::replay;
use crate::report::Report;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The history: a file, or the directory that a run named.
    history: PathBuf,
    /// How many configurations may be searched for one key before it counts as undecided.
    #[arg(long, default_value_t = CONFIGURATIONS_MAX)]
    configurations: usize,
    /// Write a page with a timeline here.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// What a history was judged as.
#[derive(Debug)]
pub enum Checked {
    Kill(Report),
    Cluster(Judgement),
}

pub fn run(args: &Args) -> Result<Checked, Error> {
    if is_of_kill(&args.history)? {
        return replay::run(&args.history).map(Checked::Kill);
    }
    let judgement = judge(&args.history, args.configurations)?;
    if let Some(to) = &args.report {
        html::write(&args.history, &judgement, to)?;
    }
    Ok(Checked::Cluster(judgement))
}

/// Judges the history of a run on a cluster.
pub fn judge(path: &Path, configurations_max: usize) -> Result<Judgement, Error> {
    let began = Instant::now();
    let mut judge = Judge::default();
    history::read(path, |line| judge.line(line))?;
    let read = began.elapsed();
    let judgement = judge.finish(configurations_max);
    eprintln!("read in {read:?}, judged in {:?}", began.elapsed().saturating_sub(read));
    Ok(judgement)
}

fn is_of_kill(path: &Path) -> Result<bool, Error> {
    let mut found = false;
    history::read_some(path, 1, |line| found = matches!(line, Line::Run { .. }))?;
    Ok(found)
}
