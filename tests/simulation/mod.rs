//! Whole clusters in one thread and in virtual time, where everything that goes wrong follows from a seed.
//!
//! What is real: three nodes with a control group and two shards each; openraft; the journal with its records, marks, segments and
//! recovery; the state machine and its `apply`; proposer, forwarding, barrier, catalog; snapshots, purges, changes of members, leads;
//! the collector and the sweeper. What is simulated is beneath them, behind the seams that `node` has: files
//! (`log::disk::simulated`), rows (`rows`), the network (`network`, at `peer::calls::Peers`), clocks, and where work that waits for a disk
//! runs (`machine`). Bytes go to the storage crate's backend in memory, which fails by a seed too. fjall itself, gRPC, TLS and the S3
//! front are not here: processes that are killed show those.
//!
//! Why a run can be repeated. One runtime of one thread with paused time: it moves only when nobody can go on, to the next timer.
//! Three sources of chance are left in that, and each is closed in the product and not here, so that what is simulated is what
//! runs: openraft draws from `vaultaire::chance`, which a thread can seed; tokio's `watch` wakes its receivers by lot, so openraft
//! has one that keeps their order (`raft::runtime::watch`); `select!` draws where it begins unless it is `biased`, and all that run
//! here are. tokio could be seeded too (`rng_seed`), but only with `--cfg tokio_unstable` for the whole build. turmoil gives each
//! node a runtime and moves them all in ticks: what happens within a tick has no order between nodes, a second costs a thousand
//! rounds of every node, and gRPC above it would bring hyper's and h2's own chance along. So the network is cut in at the calls
//! between nodes, where a message is a value. Whether runs do repeat is not assumed: tests compare the traces, byte by byte.
//!
//! How it reads: `found` (the cluster of every run), `run` (one run), `faults` and `votes` (what goes wrong, or changes), `client`, `upload`, `reads` and
//! `content` (what clients do), `history` and `linear` (what they see, and whether it fits together), `audit` (what must hold in the end), `node` (a
//! process and its end), `gateway` and `workers` (what it does beside consensus), `machine`, `rows`, `network`, `world`, `dice`, `trace`.
//! The command `vaultaire-simulate` runs as many seeds as one likes, a planted fault, or one seed again with its trace.

pub mod audit;
pub mod client;
pub mod content;
pub mod dice;
pub mod faults;
pub mod found;
pub mod gateway;
pub mod history;
pub mod linear;
pub mod machine;
pub mod network;
pub mod node;
pub mod reads;
pub mod rows;
pub mod run;
pub mod trace;
pub mod upload;
pub mod votes;
pub mod workers;
pub mod world;

/// What every simulation runs on.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO needs nothing of the system")
}
