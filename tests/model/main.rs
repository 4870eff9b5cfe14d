//! `vaultaire-model`: every order in which the write, delete, move and garbage protocol can go, within small bounds.
//!
//! **What is checked.** Bytes and rows are changed by different machines at different times: a gateway uploads and then
//! proposes, an entry is committed late or twice, a worker deletes what it read a moment ago, and any of them may die in
//! between. Tests see some of those orders. This is a model checker (stateright): from a founded shard it takes every step
//! that is possible, from each world that this leads to every step again, until no new world appears, and in each it
//! checks the invariants of the README. Within the bounds of a size (`bounds.rs`) the answer is complete; beyond them it
//! says nothing. Bugs of protocols like this one need few objects and many orders, so small bounds go far.
//!
//! **What is real.** The shard is `vaultaire_proto::state::apply_entry` over tables in memory, and what workers and
//! properties read of it goes through `vaultaire_proto::state::query` (`shard.rs`, `view.rs`). So a change of the state
//! machine is checked, not a copy of it. **What is modelled**, as `router` and `node` do it: clients and gateways
//! (`gateway.rs`, `commit.rs`), who copies, moves and lets go of copies (`mover.rs`), collector and sweeper (`worker.rs`), the backends, and the network, where uploads and commands are
//! delayed without end, sent twice, or lost. Raft is taken for what it promises: one order of entries.
//!
//! **How a world grows** is `action.rs`: a PUT begins, arrives, is committed, with or without its answer being heard; its
//! client tries again elsewhere with new bytes; epochs are opened and closed, also behind their gateway's back; gateways
//! crash; the lead moves while a worker is busy, who then goes on deposed; time passes until commands are too late and
//! answers forgotten. Steps that only differ in what nobody can notice are one (each such place says why).
//!
//! **What is assumed.** A client repeats a request for less time than it is remembered. No upload arrives after the last
//! sweep of its epoch is due, none is begun by then, and between the last arrival and that sweep lies more time than a
//! worker's command is valid. Each has a mutant that shows what comes of dropping it.
//!
//! **How it is known to look.** Every size demands that the situations that matter are reached (`properties.rs`), and every
//! mutant of `fault.rs` (no fence, no grace, no memory, ...) must be found, by the property that is there for it.
//!
//! The small sizes and the mutants are unit tests of this program (`tests.rs`). The full sizes take minutes and gigabytes:
//!
//! ```text
//! cargo run --release -p vaultaire-tests --bin vaultaire-model -- check           all full sizes
//! cargo run --release -p vaultaire-tests --bin vaultaire-model -- check workers   one size
//! cargo run --release -p vaultaire-tests --bin vaultaire-model -- mutants --steps how each mutant is found
//! ```
//!
//! Not here: several versions of a key, multipart uploads, a PUT that writes several copies at once, backends that go.

mod action;
mod bounds;
mod check;
mod commit;
mod fault;
mod gateway;
mod log;
mod model;
mod mover;
mod properties;
mod shard;
mod tamper;
#[cfg(test)]
mod tests;
mod view;
mod worker;
mod world;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bounds::{Bounds, FULL, SMALL, named};
use crate::check::{Until, search, shortest};
use crate::fault::mutants;
use crate::model::Protocol;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Searches with so many threads. With one, what is found is as short as it can be.
    #[arg(long, global = true, default_value_t = 1)]
    threads: usize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks at every world of these sizes; without a name, of the full ones.
    Check { sizes: Vec<String> },
    /// Finds every mutant, and shows how.
    Mutants {
        /// Shows the steps.
        #[arg(long)]
        steps: bool,
    },
    /// Lists the sizes.
    Sizes,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = std::io::stdout().lock();
    let good = match cli.command {
        Command::Check { sizes } => check(&mut out, &sizes, cli.threads),
        Command::Mutants { steps } => find_mutants(&mut out, steps, cli.threads),
        Command::Sizes => list(&mut out),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read this is gone.
        Err(_) => ExitCode::FAILURE,
    }
}

fn check(out: &mut impl Write, sizes: &[String], threads: usize) -> std::io::Result<bool> {
    let mut chosen: Vec<Bounds> = Vec::new();
    for name in sizes {
        let Some(bounds) = named(name) else {
            writeln!(out, "there is no size {name}; `sizes` lists them")?;
            return Ok(false);
        };
        chosen.push(bounds);
    }
    if chosen.is_empty() {
        chosen.extend(FULL);
    }
    let mut good = true;
    for bounds in chosen {
        writeln!(out, "{}: {}", bounds.name, bounds.about)?;
        let outcome = search(&Protocol::new(bounds, None), Until::Exhausted, threads);
        write!(out, "{outcome}")?;
        for (name, path) in &outcome.broken {
            writeln!(out, "{name}:")?;
            path.iter().try_for_each(|action| writeln!(out, "    {action:?}"))?;
        }
        good &= outcome.broken.is_empty() && outcome.missed.is_empty();
    }
    Ok(good)
}

fn find_mutants(out: &mut impl Write, steps: bool, threads: usize) -> std::io::Result<bool> {
    let mut good = true;
    for mutant in mutants() {
        let protocol = Protocol::new(mutant.bounds, Some(mutant.fault));
        let outcome = search(&protocol, Until::Broken(mutant.found_by), threads);
        write!(out, "{:?}: {outcome}", mutant.fault)?;
        for name in mutant.found_by {
            match outcome.broken.get(name) {
                None => {
                    good = false;
                    writeln!(out, "  MISSED: {name}")?;
                }
                Some(_) if steps => {
                    writeln!(out, "  {name}:")?;
                    let path = shortest(&protocol, name).unwrap_or_default();
                    path.iter().try_for_each(|action| writeln!(out, "    {action:?}"))?;
                }
                Some(_) => {}
            }
        }
    }
    Ok(good)
}

fn list(out: &mut impl Write) -> std::io::Result<bool> {
    for bounds in SMALL.iter().chain(&FULL) {
        writeln!(out, "{}: {}", bounds.name, bounds.about)?;
    }
    Ok(true)
}
