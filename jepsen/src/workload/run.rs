//! Clients at work: each asks what its script says, one call after the other, any node each time, and records what it
//! was told. When all faults are over it reads its keys once more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::group::groups;
use super::script::{Script, Workload};
use crate::error::Error;
use crate::history::{Line, Recorder};
use crate::operation::{AskKind, Call, End};

/// How often a last read is asked again until it is answered.
const CLOSING_MAX: u32 = 20;

/// The longest that a client waits after a call that was not answered: nothing is learnt from asking a node that is down a
/// thousand times a second.
const PAUSE_MAX_MS: u64 = 200;

/// Whoever answers calls: a cluster of real processes, or a model of one.
pub trait Store: Send + Sync + 'static {
    fn nodes(&self) -> u32;
    fn ask(&self, node: u32, call: &Call) -> impl Future<Output = End> + Send;
}

/// What all clients share.
#[derive(Debug)]
pub struct Shared<S> {
    pub store: S,
    pub recorder: Recorder,
    pub seed: u64,
    pub clients: u32,
    /// Clients stop when told to, or after so many calls each.
    pub stop: AtomicBool,
    pub calls_max: u64,
    pub acknowledged: Acknowledged,
}

/// How often each kind of operation was acknowledged.
#[derive(Debug, Default)]
pub struct Acknowledged(Mutex<BTreeMap<AskKind, u64>>);

impl Acknowledged {
    fn count(&self, kind: AskKind) {
        // A poisoned lock means that another client panicked, which ends the run.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    /// Whether each of these was, so often.
    pub fn have(&self, kinds: &[AskKind], min: u64) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().all(|kind| counts.get(kind).is_some_and(|count| *count >= min))
    }
}

/// One client. After an outcome that is not known it goes on as another process: the old one may still be at it.
struct Client<S> {
    shared: Arc<Shared<S>>,
    rng: StdRng,
    process: u32,
}

/// Runs all clients to their end and answers their scripts.
pub async fn work<S: Store>(
    shared: &Arc<Shared<S>>,
    workloads: &[Workload],
) -> Result<Vec<Script>, Error> {
    let mut running = JoinSet::new();
    let groups = groups(shared.clients);
    for number in 0..shared.clients {
        let script = Script::new(shared.seed, number, workloads, &groups);
        let mut client = Client::new(shared, number);
        running.spawn(async move { client.work(script).await });
    }
    let mut scripts = Vec::new();
    while let Some(done) = running.join_next().await {
        scripts.push(done??);
    }
    Ok(scripts)
}

/// The last reads, by processes that did nothing before. Answers how many were never answered.
pub async fn close<S: Store>(
    shared: &Arc<Shared<S>>,
    scripts: Vec<Script>,
) -> Result<usize, Error> {
    let mut running = JoinSet::new();
    // Far above the processes of the work.
    for (number, script) in (u32::MAX / 2..).zip(scripts) {
        let mut client = Client::new(shared, number);
        running.spawn(async move { client.close(&script).await });
    }
    let mut unanswered = 0;
    while let Some(done) = running.join_next().await {
        unanswered += done??;
    }
    Ok(unanswered)
}

impl<S: Store> Client<S> {
    fn new(shared: &Arc<Shared<S>>, process: u32) -> Self {
        let rng = StdRng::seed_from_u64(shared.seed.rotate_left(17) ^ u64::from(process));
        Self { shared: shared.clone(), rng, process }
    }

    async fn work(&mut self, mut script: Script) -> Result<Script, Error> {
        for _ in 0..self.shared.calls_max {
            if self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let call = script.call();
            let end = self.ask(&call).await?;
            script.told(&call, &end);
        }
        Ok(script)
    }

    async fn close(&mut self, script: &Script) -> Result<usize, Error> {
        let mut unanswered = 0;
        for call in script.closing() {
            let mut answered = false;
            for _ in 0..CLOSING_MAX {
                answered = matches!(self.ask(&call).await?, End::Ok(_));
                if answered {
                    break;
                }
            }
            unanswered += usize::from(!answered);
        }
        Ok(unanswered)
    }

    async fn ask(&mut self, call: &Call) -> Result<End, Error> {
        let node = self.rng.random_range(0..self.shared.store.nodes());
        let recorder = &self.shared.recorder;
        let (process, at_ns) = (self.process, recorder.now_ns());
        recorder.write(&Line::Invoke { process, node, at_ns, call: call.clone() })?;
        let end = self.shared.store.ask(node, call).await;
        let at_ns = recorder.now_ns();
        if matches!(end, End::Ok(_)) {
            self.shared.acknowledged.count(call.ask.kind());
        }
        recorder.write(&match end.clone() {
            End::Ok(answer) => Line::Ok { process, at_ns, answer },
            End::Fail { status, code } => Line::Fail { process, at_ns, status, code },
            End::Info(why) => Line::Info { process, at_ns, why },
        })?;
        if matches!(end, End::Info(_)) {
            self.process = self.process.saturating_add(self.shared.clients);
        }
        if matches!(end, End::Info(_) | End::Fail { status: 0, .. }) {
            let pause = self.rng.random_range(1..=PAUSE_MAX_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(end)
    }
}
