//! The two loops. Closed: as fast as the answers come, for throughput. Open: at a fixed rate, for latency that
//! counts the wait for a busy server too. Both measure only what starts after the warm-up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::{JoinHandle, LocalSet};
use vaultaire_tests::bench::Error;

use crate::connection::Connection;
use crate::request::{Operation, Plan, Requests};

/// More errors than this end the measurement: it would not measure what it says.
const ERRORS_MAX: u64 = 100;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// `host:port` of the server.
    #[arg(long)]
    address: String,
    #[arg(long, default_value = "key")]
    access_key: String,
    #[arg(long, default_value = "secret")]
    secret_key: String,
    #[arg(long)]
    bucket: String,
    #[arg(long)]
    operation: Operation,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Distinct keys, each with a request of its own.
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// The start of every key.
    #[arg(long, default_value = "load/")]
    prefix: String,
    #[arg(long, default_value_t = 4096)]
    size: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// Send every request once instead of for a time.
    #[arg(long)]
    once: bool,
    /// Poll without sleeping, on a core of its own. A server that answers a sleeping client pays for waking its core
    /// (10 us on a virtual machine), and a fast server, whose client never sleeps, does not.
    #[arg(long)]
    spin: bool,
}

/// What a measurement found.
#[derive(Debug, Default)]
pub struct Measured {
    latencies_us: Vec<u32>,
    /// All answers, those of the warm-up too.
    answered: u64,
    seconds: f64,
    errors: u64,
    first_error: Option<String>,
    body_bytes: u64,
}

/// What all connections share; one thread, so cells suffice.
#[derive(Debug)]
struct Course {
    requests: Requests,
    next: Cell<usize>,
    began: Instant,
    from: Instant,
    until: Option<Instant>,
    /// Between two starts of the open loop.
    gap: Option<Duration>,
    found: RefCell<Measured>,
}

pub async fn run(args: Args, rate: Option<f64>) -> Result<Measured, Error> {
    let plan = Plan {
        operation: args.operation,
        bucket: args.bucket.clone(),
        prefix: args.prefix.clone(),
        keys: args.keys,
        size_bytes: args.size,
    };
    let requests = Requests::build(&plan, &args.access_key, &args.secret_key, &args.address);
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        connections.push(Connection::open(&args.address).await?);
    }
    let began = Instant::now();
    let warmup = if args.once { 0.0 } else { args.warmup };
    let from = began + Duration::from_secs_f64(warmup);
    let course = Rc::new(Course {
        requests,
        next: Cell::new(0),
        began,
        from,
        until: (!args.once).then(|| from + Duration::from_secs_f64(args.seconds)),
        gap: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
        found: RefCell::default(),
    });
    let local = LocalSet::new();
    let running: Vec<_> = connections
        .into_iter()
        .map(|open| local.spawn_local(course.clone().connection(open, args.address.clone())))
        .collect();
    if args.spin {
        local.run_until(spin(running)).await;
    } else {
        local.await;
    }
    let mut measured = course.found.take();
    measured.seconds = from.elapsed().as_secs_f64();
    if measured.latencies_us.is_empty() {
        let why = measured.first_error.unwrap_or_else(|| "nothing was answered in time".to_owned());
        return Err(why.into());
    }
    Ok(measured)
}

/// Until all have ended. Each yield polls the sockets once, without waiting for one.
async fn spin(running: Vec<JoinHandle<()>>) {
    while running.iter().any(|task| !task.is_finished()) {
        tokio::task::yield_now().await;
    }
}

impl Course {
    async fn connection(self: Rc<Self>, mut connection: Connection, address: String) {
        while let Some((number, planned)) = self.take() {
            let idle_since = Instant::now();
            if let Some(planned) = planned {
                tokio::time::sleep_until(planned.into()).await;
            }
            // A timer that fires late is the tool's fault; a connection that comes late is the server's.
            let sent = Instant::now();
            let start = planned.filter(|planned| *planned < idle_since).unwrap_or(sent);
            let head = &self.requests.heads[number % self.requests.heads.len()];
            let answer = connection.ask(head, &self.requests.body).await;
            let failed = match answer {
                Ok(answer) if answer.status >= 300 => Some(format!("status {}", answer.status)),
                Ok(answer)
                    if self.requests.answer_bytes.is_some_and(|due| due != answer.body_bytes) =>
                {
                    Some(format!("{} bytes in a body", answer.body_bytes))
                }
                Ok(answer) => {
                    self.record(start, answer.body_bytes);
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = failed {
                if self.fail(why) > ERRORS_MAX {
                    return;
                }
                match Connection::open(&address).await {
                    Ok(again) => connection = again,
                    Err(error) => {
                        self.fail(error.to_string());
                        return;
                    }
                }
            }
        }
    }

    /// The next request, and when it should start in an open loop.
    fn take(&self) -> Option<(usize, Option<Instant>)> {
        let number = self.next.get();
        self.next.set(number + 1);
        let planned = self.gap.map(|gap| self.began + gap.mul_f64(number as f64));
        match self.until {
            None => (number < self.requests.heads.len()).then_some((number, planned)),
            Some(until) if planned.unwrap_or_else(Instant::now) < until => Some((number, planned)),
            Some(_) => None,
        }
    }

    fn record(&self, start: Instant, body_bytes: u64) {
        let end = Instant::now();
        self.found.borrow_mut().answered += 1;
        if end < self.from || self.until.is_some_and(|until| end > until && self.gap.is_none()) {
            return;
        }
        let mut found = self.found.borrow_mut();
        found.body_bytes += body_bytes;
        let latency_us = end.saturating_duration_since(start).as_micros();
        found.latencies_us.push(u32::try_from(latency_us).unwrap_or(u32::MAX));
    }

    fn fail(&self, why: String) -> u64 {
        let mut found = self.found.borrow_mut();
        found.errors += 1;
        found.first_error.get_or_insert(why);
        found.errors
    }
}

impl Measured {
    /// One line for the driver.
    pub fn into_json(mut self) -> serde_json::Value {
        self.latencies_us.sort_unstable();
        let requests = self.latencies_us.len();
        let rank = |share: f64| {
            let at = (requests as f64 * share) as usize;
            self.latencies_us.get(at.min(requests.saturating_sub(1))).copied().unwrap_or(0)
        };
        json!({
            "requests": requests,
            "answered": self.answered,
            "seconds": self.seconds,
            "per_second": requests as f64 / self.seconds,
            "p50_us": rank(0.50),
            "p99_us": rank(0.99),
            "p999_us": rank(0.999),
            "max_us": rank(1.0),
            "body_bytes": self.body_bytes,
            "errors": self.errors,
            "first_error": self.first_error,
        })
    }
}
