//! Networks over a whole log: one is trained when charging begins and every thirty days, on what lies before.

use std::cell::OnceCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;
use crate::forecasts::{Forecaster, Object};
use crate::hazards::{Forecast, Hazards, SPANS};
use crate::history::{Life, Window};
use crate::logs::{Access, Log};
use crate::model::features::{self, COUNT, Scene};
use crate::model::memory::Memory;
use crate::model::network::Network;
use crate::model::samples::{OUTPUTS, Sample, Sampler, remember};
use crate::model::statistics::{Statistics, times_q8};
use crate::model::train::{self, Lesson};

/// Everything that was learnt of a log.
pub struct Learnt<'a> {
    log: &'a Log,
    statistics: Statistics,
    networks: Vec<Network>,
}

/// What a group does on a day with reads counts as so many days of the object itself.
const HABIT_DAYS: u64 = 2;

/// What is older counts half for each of these.
const HALF_LIFE_S: f32 = 180.0 * 86_400.0;

impl<'a> Learnt<'a> {
    pub fn new(log: &'a Log, window: Window, shares: &[&[Access]], seed: u64) -> Result<Self, Error> {
        let statistics = Statistics::new(log, window, shares)?;
        let sampler = Sampler::new(log, window, &statistics, seed);
        let samples = sampler.take(shares)?;
        let networks = networks(&sampler, &samples, &statistics, shares.len(), seed)?;
        if std::env::var("DIAG").is_ok() {
            diagnose(&samples, &statistics, &networks, window);
        }
        Ok(Self { log, statistics, networks })
    }
}

/// Trains them all, one on each thread.
fn networks(
    sampler: &Sampler<'_>,
    samples: &[Sample],
    statistics: &Statistics,
    threads: usize,
    seed: u64,
) -> Result<Vec<Network>, Error> {
    let models = statistics.grid.models();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let model = next.fetch_add(1, Ordering::Relaxed);
                    if model >= models {
                        break;
                    }
                    let known_s = statistics.grid.begins(statistics.grid.trained(model));
                    let lessons: Vec<Lesson<'_>> = sampler
                        .of_model(model, samples)
                        .map(|sample| lesson(sample, known_s))
                        .collect();
                    let network = on_one_thread(|| train::train(&lessons, seed));
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((model, network));
                }
            });
        }
    });
    let mut trained = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    trained.sort_by_key(|(model, _)| *model);
    trained.into_iter().map(|(_, network)| network.map_err(Error::Network)).collect()
}

fn lesson(sample: &Sample, known_s: u64) -> Lesson<'_> {
    let age = (known_s - sample.at_s) as f32 / HALF_LIFE_S;
    Lesson { sample, labels: sample.labels(known_s), weight: (-age).exp2() }
}

/// Kernels take every thread of the pool in which they run: this one has one. (Two were ten times slower than one on a busy
/// machine.)
fn on_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread_local! {
        static POOL: OnceCell<Option<ThreadPool>> = const { OnceCell::new() };
    }
    POOL.with(|pool| {
        match pool.get_or_init(|| ThreadPoolBuilder::new().num_threads(1).build().ok()) {
            Some(pool) => pool.install(work),
            // It is right without it, and slower.
            None => work(),
        }
    })
}

/// What a network is asked about at once, and what it does not have to say.
#[derive(Default)]
struct Asked {
    seen: Vec<f32>,
    asked: Vec<Question>,
}

struct Question {
    model: usize,
    requests_q8: u32,
    sent_q8: u32,
}

impl Forecaster for Learnt<'_> {
    fn forecasts(&self, objects: &[Object]) -> Vec<Vec<Option<Forecast>>> {
        let mut asked = Asked::default();
        let mut counts = Vec::new();
        for object in objects {
            self.object(object, &mut asked, &mut counts);
        }
        let answers = on_one_thread(|| asked.answers(&self.networks));
        let mut answers = answers.into_iter();
        counts.into_iter().map(|count| answers.by_ref().take(count).collect()).collect()
    }
}

impl Learnt<'_> {
    fn object(&self, object: &Object, asked: &mut Asked, counts: &mut Vec<usize>) {
        let mut memory = Memory::default();
        let mut subjects = object.subjects.iter().peekable();
        for (place, life) in object.lives.iter().enumerate() {
            let subject = subjects.next_if(|subject| subject.place == place);
            let moments = subject.map(|subject| subject.moments(life)).unwrap_or_default();
            counts.extend(subject.map(|_| moments.len()));
            remember(&mut memory, life, &moments, |memory, moment| {
                self.ask(object.number, life, (memory, moment.at_s), asked);
            });
        }
    }

    fn ask(&self, object: u32, life: &Life, (memory, at_s): (&Memory, u64), asked: &mut Asked) {
        let (bucket, prefix) = (self.log.names.bucket_of(object), self.statistics.prefixes.of(object));
        let scene = Scene { memory, size_bytes: life.size_bytes, at_s, bucket, prefix };
        asked.seen.extend(features::of(scene, &self.statistics));
        let group = self.statistics.days.at(prefix, at_s).all;
        let mean = |own: u64, all: u64| {
            let general = if group.days == 0 { 256 } else { all / group.days };
            let mean = (own + HABIT_DAYS * general) / (u64::from(memory.days) + HABIT_DAYS);
            u32::try_from(mean).unwrap_or(u32::MAX)
        };
        asked.asked.push(Question {
            model: self.statistics.grid.model(at_s),
            requests_q8: mean(memory.requests << 8, group.requests << 8),
            sent_q8: mean(times_q8(memory.sent_bytes, life.size_bytes), group.sent_q8),
        });
    }
}

impl Asked {
    fn answers(&self, networks: &[Network]) -> Vec<Option<Forecast>> {
        let mut answers = vec![None; self.asked.len()];
        for (model, network) in networks.iter().enumerate() {
            let places: Vec<usize> =
                (0..self.asked.len()).filter(|place| self.asked[*place].model == model).collect();
            if places.is_empty() {
                continue;
            }
            let seen = places.iter().flat_map(|place| &self.seen[place * COUNT..(place + 1) * COUNT]);
            let seen: Vec<f32> = seen.copied().collect();
            // What a network cannot say is not known.
            let Ok(chances) = network.chances(&seen) else { continue };
            for (place, chances) in places.into_iter().zip(chances.chunks_exact(OUTPUTS)) {
                answers[place] = self.asked[place].forecast(chances);
            }
        }
        answers
    }
}

impl Question {
    fn forecast(&self, chances: &[f32]) -> Option<Forecast> {
        let head = |head: usize| {
            let chances = &chances[head * SPANS..(head + 1) * SPANS];
            Hazards::quantised(chances.try_into().ok()?).ok()
        };
        Some(Forecast {
            read: head(0)?,
            end: head(1)?,
            read_after: head(2)?,
            end_after: head(3)?,
            requests_q8: self.requests_q8,
            sent_q8: self.sent_q8,
        })
    }
}

fn diagnose(samples: &[Sample], statistics: &Statistics, networks: &[Network], window: Window) {
    let grid = &statistics.grid;
    let mut sums = vec![[0.0_f64; 6]; OUTPUTS];
    for (model, network) in networks.iter().enumerate() {
        let from = grid.begins(grid.trained(model));
        let served: Vec<&Sample> = samples.iter().filter(|s| s.at_s >= from && grid.model(s.at_s) == model).collect();
        if served.is_empty() { continue; }
        let seen: Vec<f32> = served.iter().flat_map(|s| s.features).collect();
        let chances = on_one_thread(|| network.chances(&seen)).unwrap();
        let base = on_one_thread(|| Network::new(&[0.0; COUNT], &[0.0; COUNT], || 0.0).unwrap().chances(&seen)).unwrap();
        for (i, s) in served.iter().enumerate() {
            let labels = s.labels(window.until_s);
            for o in 0..OUTPUTS {
                if labels.is_known[o] == 0.0 { continue; }
                let y = f64::from(labels.happened[o]);
                let bce = |p: f32| { let p = f64::from(p).clamp(1e-5, 1.0 - 1e-5); -(y * p.ln() + (1.0 - y) * (1.0 - p).ln()) };
                let (p, q) = (chances[i * OUTPUTS + o], base[i * OUTPUTS + o]);
                for (sum, v) in sums[o].iter_mut().zip([1.0, y, f64::from(p), f64::from(q), bce(p), bce(q)]) { *sum += v; }
            }
        }
    }
    for (o, s) in sums.iter().enumerate() {
        println!("head {} span {} n {:6} observed {:.3} network {:.3} rates {:.3} loss network {:.4} rates {:.4}", o / SPANS, o % SPANS, s[0], s[1] / s[0], s[2] / s[0], s[3] / s[0], s[4] / s[0], s[5] / s[0]);
    }
}
