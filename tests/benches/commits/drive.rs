//! The closed loop: every client sends its next write when it has the last answer. Only writes that begin after the
//! warm-up count, and only answers that say that the write is committed are answers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::LocalSet;
use vaultaire_tests::bench::Error;

/// Where writes go.
pub trait Store {
    /// Writes under a key that was never written before; an error unless it was committed.
    async fn put(&self, number: u64) -> Result<(), Error>;

    /// What one write has on the wire, without its framing.
    fn put_bytes(&self) -> Result<usize, Error>;
}

#[derive(Clone, Debug, clap::Args)]
pub struct Pace {
    #[arg(long, default_value_t = 256)]
    clients: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
}

/// What all clients share; one thread, so cells suffice.
struct Course<S> {
    store: S,
    next: Cell<u64>,
    from: Instant,
    until: Instant,
    /// All answers, those of the warm-up too: the counters of the servers count them as well.
    answered: Cell<u64>,
    latencies_us: RefCell<Vec<u32>>,
}

pub async fn run<S: Store + 'static>(store: S, pace: &Pace) -> Result<Value, Error> {
    let from = Instant::now() + Duration::from_secs_f64(pace.warmup);
    let course = Rc::new(Course {
        store,
        next: Cell::new(0),
        from,
        until: from + Duration::from_secs_f64(pace.seconds),
        answered: Cell::new(0),
        latencies_us: RefCell::default(),
    });
    let local = LocalSet::new();
    let clients: Vec<_> =
        (0..pace.clients).map(|_| local.spawn_local(course.clone().client())).collect();
    local
        .run_until(async { futures::future::try_join_all(clients).await })
        .await?
        .into_iter()
        .collect::<Result<Vec<()>, Error>>()?;
    let mut latencies = course.latencies_us.take();
    latencies.sort_unstable();
    let rank = |share: f64| {
        let at = (latencies.len() as f64 * share) as usize;
        latencies.get(at.min(latencies.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    Ok(json!({
        "commits": latencies.len(),
        "answered": course.answered.get(),
        "per_second": latencies.len() as f64 / pace.seconds,
        "p50_us": rank(0.50),
        "p99_us": rank(0.99),
        "put_bytes": course.store.put_bytes()?,
    }))
}

impl<S: Store> Course<S> {
    async fn client(self: Rc<Self>) -> Result<(), Error> {
        loop {
            let began = Instant::now();
            if began >= self.until {
                return Ok(());
            }
            let number = self.next.get();
            self.next.set(number + 1);
            self.store.put(number).await?;
            self.answered.set(self.answered.get() + 1);
            let ended = Instant::now();
            if began >= self.from && ended <= self.until {
                let took_us = ended.duration_since(began).as_micros();
                self.latencies_us.borrow_mut().push(u32::try_from(took_us).unwrap_or(u32::MAX));
            }
        }
    }
}
