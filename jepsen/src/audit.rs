//! The audit at the end of a run: every key is read, the whole bucket is listed, and once everything unused
//! has been collected the server's own `verify` and the files on its disk must agree with what clients know.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use tokio::process::Command;

use crate::checker::creates::Races;
use crate::checker::{Kind, Violation};
use crate::client::{Client, Retries};
use crate::error::Error;
use crate::history::{Action, Entry, Event, Line, Outcome};
use crate::plant;
use crate::process::{Launch, Server};
use crate::report::Verified;
use crate::workload::puts::{Shared, Worker};

/// How many keys are read at the same time.
const READS_IN_FLIGHT: usize = 32;

/// How often a read that says nothing definite is repeated.
const READS_MAX: usize = 5;

/// How long collecting everything may take: the server deletes at a limited rate.
const COLLECTION_MAX: Duration = Duration::from_secs(600);
/// A collector that has deleted nothing for so long will not.
const COLLECTION_IDLE_MAX: Duration = Duration::from_secs(60);
const COLLECTION_POLL: Duration = Duration::from_millis(500);

/// As short as makes sense, so that the audit need not wait.
const GRACE_FOR_AUDIT: [(&str, &str); 3] = [
    ("VAULTAIRE_GC_UPLOAD_GRACE", "1s"),
    ("VAULTAIRE_GC_DRAIN", "1s"),
    ("VAULTAIRE_GC_RESWEEP", "never"),
];

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audited {
    pub violations: Vec<Violation>,
    pub keys: usize,
    pub verified: Option<Verified>,
}

/// Audits a server that no client uses any more, and ends it.
pub async fn run(
    launch: &Launch,
    shared: &Shared,
    server: Server,
    workers: &mut [Worker],
) -> Result<Audited, Error> {
    let mut audited = Audited::default();
    let client = Client::new(&server.ready, Retries::On, shared.connections.clone());
    let mut expected = Expected::default();
    for worker in workers.iter_mut() {
        audited.read_keys(shared, &client, worker, &mut expected).await?;
    }
    let races = audited.read_races(shared, &client, workers, &mut expected).await?;
    audited.list_all(shared, &client, workers, &races).await?;
    match client.abort_uploads().await {
        Ok(aborted) => eprintln!("{} keys read, {aborted} open uploads aborted", audited.keys),
        Err(why) => audited.violations.push(Violation::new(Kind::Unreadable, "", why)),
    }
    if let Err(why) = server.stop().await {
        audited.violations.push(Violation::new(Kind::Server, "", why));
    }
    let (verified, stopped) = verify(launch, &expected).await?;
    if let Err(why) = stopped {
        audited.violations.push(Violation::new(Kind::Server, "", why));
    }
    if verified.objects != expected.objects {
        let (counted, known) = (verified.objects, expected.objects);
        let detail = format!("verify counts {counted} objects, clients know of {known}");
        audited.violations.push(Violation::new(Kind::Listing, "", detail));
    }
    audited.verified = Some(verified);
    Ok(audited)
}

/// What the disk must hold when all is collected.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    objects: u64,
    /// Files with bytes in them: one for each part.
    files: u64,
}

impl Expected {
    fn add(&mut self, etag: &str, size_bytes: u64) {
        self.objects += 1;
        let parts = etag.rsplit_once('-').and_then(|(_, parts)| parts.parse().ok()).unwrap_or(1);
        self.files += if size_bytes == 0 { 0 } else { parts };
    }
}

impl Audited {
    async fn read_keys(
        &mut self,
        shared: &Shared,
        client: &Client,
        worker: &mut Worker,
        expected: &mut Expected,
    ) -> Result<(), Error> {
        let keys: Vec<String> = worker.ledger.keys().map(str::to_owned).collect();
        self.keys += keys.len();
        for event in read_all(shared, client, worker.number, keys).await {
            if let Outcome::Unknown { why } = &event.outcome {
                self.violations.push(Violation::new(Kind::Unreadable, &event.key, why.clone()));
            }
            self.violations.extend(worker.ledger.record(&event));
            if let Outcome::Found(seen) = &event.outcome {
                expected.add(&seen.etag, seen.size_bytes);
            }
            shared.recorder.write(&Line::Operation(event))?;
        }
        Ok(())
    }

    /// The raced keys that exist.
    async fn read_races(
        &mut self,
        shared: &Shared,
        client: &Client,
        workers: &[Worker],
        expected: &mut Expected,
    ) -> Result<BTreeSet<String>, Error> {
        let mut races = Races::default();
        for event in workers.iter().flat_map(|worker| &worker.races) {
            races.record(event);
        }
        self.keys += races.len();
        let keys: Vec<String> = races.keys().map(str::to_owned).collect();
        let mut existing = BTreeSet::new();
        for event in read_all(shared, client, u32::MAX, keys).await {
            races.record(&event);
            match &event.outcome {
                Outcome::Found(seen) => {
                    existing.insert(event.key.clone());
                    expected.add(&seen.etag, seen.size_bytes);
                }
                Outcome::Unknown { why } => {
                    self.violations.push(Violation::new(Kind::Unreadable, &event.key, why.clone()));
                }
                _ => {}
            }
            shared.recorder.write(&Line::Operation(event))?;
        }
        self.violations.extend(races.check());
        Ok(existing)
    }

    /// One listing of everything, given to each client's ledger for the part that is its own.
    async fn list_all(
        &mut self,
        shared: &Shared,
        client: &Client,
        workers: &mut [Worker],
        races: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let start_us = shared.recorder.now_us();
        let entries = match client.list("", 1000).await {
            Outcome::Listed(entries) => entries,
            other => {
                self.violations.push(Violation::new(Kind::Unreadable, "", format!("{other:?}")));
                return Ok(());
            }
        };
        let mut rest: Vec<Entry> = entries;
        for worker in workers {
            let prefix = worker.prefix();
            let (own, others) = rest.into_iter().partition(|entry| entry.key.starts_with(&prefix));
            rest = others;
            let life = shared.newest_life.load(Ordering::SeqCst);
            let event = Event {
                client: worker.number,
                start_us,
                end_us: shared.recorder.now_us(),
                start_life: life,
                end_life: life,
                key: prefix,
                action: Action::List,
                outcome: Outcome::Listed(own),
            };
            self.violations.extend(worker.ledger.record(&event));
            shared.recorder.write(&Line::Operation(event))?;
        }
        let listed: BTreeSet<String> = rest.into_iter().map(|entry| entry.key).collect();
        for key in races.symmetric_difference(&listed) {
            let there = races.contains(key);
            let detail = format!("GET says it exists: {there}; LIST says the opposite");
            self.violations.push(Violation::new(Kind::Listing, key, detail));
        }
        Ok(())
    }
}

/// Reads keys until each gave a definite answer, or would not.
async fn read_all(shared: &Shared, client: &Client, number: u32, keys: Vec<String>) -> Vec<Event> {
    let life = shared.newest_life.load(Ordering::SeqCst);
    let read = |key: String| async move {
        let start_us = shared.recorder.now_us();
        let mut outcome = client.get(&key).await;
        for _ in 1..READS_MAX {
            if !matches!(outcome, Outcome::Unknown { .. }) {
                break;
            }
            outcome = client.get(&key).await;
        }
        Event {
            client: number,
            start_us,
            end_us: shared.recorder.now_us(),
            start_life: life,
            end_life: life,
            key,
            action: Action::Get,
            outcome,
        }
    };
    stream::iter(keys).map(read).buffer_unordered(READS_IN_FLIGHT).collect().await
}

/// Starts the server once more with the shortest graces, waits until nothing is left to collect, and asks it
/// to compare its catalog with its bytes.
async fn verify(
    launch: &Launch,
    expected: &Expected,
) -> Result<(Verified, Result<(), String>), Error> {
    let mut launch = launch.clone();
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    launch.environment = GRACE_FOR_AUDIT.into_iter().map(owned).collect();
    let server = launch.spawn()?.ready().await?;
    let began = Instant::now();
    eprintln!("waiting until what is unused has been collected");
    wait_for_files(&launch.data_dir, expected.files).await?;
    // The sweeps finish after the last file is gone: unswept epochs are work to come, not findings.
    let mut answer = ask(&launch).await?;
    while number(&answer, "unswept") > 0 && began.elapsed() < COLLECTION_MAX {
        tokio::time::sleep(COLLECTION_POLL).await;
        answer = ask(&launch).await?;
    }
    let others = ["size_mismatches", "unreadable", "inconsistent", "unswept"];
    let verified = Verified {
        objects: number(&answer, "objects"),
        orphans: number(&answer, "orphans"),
        dangling: number(&answer, "dangling"),
        checksum_mismatches: number(&answer, "checksum_mismatches"),
        others: others.into_iter().map(|name| number(&answer, name)).sum(),
        files: files(&launch.data_dir)?,
        files_expected: expected.files,
        collected_after_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok((verified, server.stop().await))
}

/// Waits until the disk holds as many files as it should, or until nothing changes any more.
async fn wait_for_files(data_dir: &Path, expected: u64) -> Result<(), Error> {
    let began = Instant::now();
    let mut changed = Instant::now();
    let mut count = files(data_dir)?;
    while count != expected
        && began.elapsed() < COLLECTION_MAX
        && changed.elapsed() < COLLECTION_IDLE_MAX
    {
        tokio::time::sleep(COLLECTION_POLL).await;
        let now = files(data_dir)?;
        if now != count {
            changed = Instant::now();
        }
        count = now;
    }
    Ok(())
}

/// What `vaultaire verify --json` says; it exits with 1 when it found something, which the counts say too.
async fn ask(launch: &Launch) -> Result<serde_json::Value, Error> {
    let fail = |why: String| Error::Command { what: "vaultaire verify".to_owned(), why };
    let ran = Command::new(&launch.binary)
        .args(["verify", "--json", "--data-dir"])
        .arg(&launch.data_dir)
        .output()
        .await
        .map_err(|error| fail(error.to_string()))?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let values = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut summaries = values.filter_map(|value: serde_json::Value| {
        let summary = value.get("summary").cloned().unwrap_or(value);
        summary.get("orphans").is_some_and(serde_json::Value::is_number).then_some(summary)
    });
    summaries.next_back().ok_or_else(|| {
        let said = String::from_utf8_lossy(&ran.stderr);
        fail(format!("no summary in what it printed ({text}); it said: {said}"))
    })
}

/// A count that is absent is as bad as one that is wrong.
fn number(summary: &serde_json::Value, name: &str) -> u64 {
    summary.get(name).and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX / 16)
}

fn files(data_dir: &Path) -> Result<u64, Error> {
    Ok(u64::try_from(plant::blobs(data_dir)?.len()).unwrap_or(u64::MAX))
}
