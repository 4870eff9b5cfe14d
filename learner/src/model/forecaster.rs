//! Networks over a whole log: one is trained when charging begins and every thirty days, on what lies before.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuilder};
use vaultaire_proto::prices::calendar::DAY_S;

use crate::error::Error;
use crate::forecasts::{Forecaster, Object};
use crate::hazards::{Forecast, Hazards, SPANS};
use crate::history::{Life, Window};
use crate::logs::Log;
use crate::logs::accesses::Share;
use crate::model::Model;
use crate::model::days::habit;
use crate::model::features::{self, COUNT, Scene};
use crate::model::memory::Memory;
use crate::model::mixture::mixed;
use crate::model::network::Ensemble;
use crate::model::samples::{OUTPUTS, Sample, Sampler, remember};
use crate::model::statistics::{Statistics, times_q8};
use crate::model::train::Example;
use crate::progress::Progress;

/// Everything that was learnt of a log.
pub struct Learnt<'a, M = Ensemble> {
    log: &'a Log,
    statistics: Statistics,
    /// Of each period, or one for all.
    networks: Vec<Arc<M>>,
}

/// What a group does on a day with reads counts as so many days of the object itself.
const HABIT_DAYS: u64 = 2;

/// What is older counts half for each of these.
const HALF_LIFE_S: f32 = 180.0 * DAY_S as f32;

/// How a network comes about.
pub struct Training<'a, M = Ensemble> {
    pub seed: u64,
    /// Used as it is. None: networks are trained.
    pub given: Option<Arc<M>>,
    pub train: &'a Train<'a, M>,
}

/// Makes a network of what it can learn from, and of a seed.
pub type Train<'a, M> = dyn Fn(&[Example<'_>], u64) -> Result<M, Error> + Sync + 'a;

impl<'a, M: Model> Learnt<'a, M> {
    pub fn new(
        log: &'a Log,
        window: Window,
        shares: &[Share<'_>],
        training: Training<'_, M>,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let statistics = Statistics::new(log, window, shares)?;
        let networks = match &training.given {
            Some(given) => vec![given.clone()],
            None => {
                let sampler = Sampler::new(log, window, &statistics, training.seed);
                let samples = sampler.take(shares)?;
                let trainer = Trainer { sampler, samples: &samples, training, progress };
                trainer.networks(shares.len())?
            }
        };
        Ok(Self { log, statistics, networks })
    }

    /// The network that knows most.
    pub fn last(&self) -> Option<&M> {
        self.networks.last().map(Arc::as_ref)
    }

    /// The one that serves a period.
    fn network(&self, model: usize) -> Option<&M> {
        self.networks.get(model).or(self.networks.last()).map(Arc::as_ref)
    }
}

/// Trains.
struct Trainer<'a, M> {
    sampler: Sampler<'a>,
    samples: &'a [Sample],
    training: Training<'a, M>,
    progress: &'a Progress,
}

impl<M: Model> Trainer<'_, M> {
    /// All networks, one on each thread.
    fn networks(&self, threads: usize) -> Result<Vec<Arc<M>>, Error> {
        let models = self.sampler.models();
        self.progress.networks_of.store(models as u64, Ordering::Relaxed);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut trained = Vec::new();
            loop {
                let model = next.fetch_add(1, Ordering::Relaxed);
                if model >= models {
                    return trained;
                }
                trained.push((model, self.network(model)));
                self.progress.networks.fetch_add(1, Ordering::Relaxed);
            }
        };
        let mut trained: Vec<(usize, Result<M, Error>)> = thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
            let trained = joined
                .flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            trained.collect()
        });
        trained.sort_by_key(|(model, _)| *model);
        trained.into_iter().map(|(_, network)| network.map(Arc::new)).collect()
    }

    fn network(&self, model: usize) -> Result<M, Error> {
        let known_s = self.sampler.known_s(model);
        let taken: Vec<&Sample> = self.sampler.of_model(model, self.samples).collect();
        let examples = examples(&taken, known_s);
        on_one_thread(|| (self.training.train)(&examples, self.training.seed))
    }
}

fn examples<'a>(samples: &[&'a Sample], known_s: u64) -> Vec<Example<'a>> {
    let mut alike: HashMap<u64, f32> = HashMap::new();
    for sample in samples {
        *alike.entry(sample.alike).or_default() += 1.0;
    }
    let each = samples.iter().map(|sample| {
        let age = (known_s - sample.at_s) as f32 / HALF_LIFE_S;
        let weight = (-age).exp2() / alike[&sample.alike].sqrt();
        Example { sample, labels: sample.came.labels(sample.at_s, known_s), weight }
    });
    each.collect()
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

impl<M: Model> Forecaster for Learnt<'_, M> {
    fn forecasts(&self, objects: &[Object]) -> Result<Vec<Vec<Option<Forecast>>>, Error> {
        let mut asked = Asked::default();
        let mut counts = Vec::new();
        for object in objects {
            self.object(object, &mut asked, &mut counts);
        }
        let mut answers = on_one_thread(|| asked.answers(self))?.into_iter();
        Ok(counts.into_iter().map(|count| answers.by_ref().take(count).collect()).collect())
    }
}

impl<M: Model> Learnt<'_, M> {
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
        let (bucket, prefix) =
            (self.log.names.bucket_of(object), self.statistics.prefixes.of(object));
        let scene = Scene { memory, size_bytes: life.size_bytes, at_s, bucket, prefix };
        asked.seen.extend(features::of(scene, &self.statistics));
        let group = self.statistics.days.at(prefix, at_s).sent[habit(u64::from(memory.days))];
        let mean = |own: u64, all: u64| {
            let general = all.checked_div(group.days).unwrap_or(256);
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
    fn answers<M: Model>(&self, learnt: &Learnt<'_, M>) -> Result<Vec<Option<Forecast>>, Error> {
        let mut answers = vec![None; self.asked.len()];
        for model in 0..learnt.statistics.grid.models() {
            let places: Vec<usize> =
                (0..self.asked.len()).filter(|place| self.asked[*place].model == model).collect();
            let Some(network) = learnt.network(model).filter(|_| !places.is_empty()) else {
                continue;
            };
            let seen =
                places.iter().flat_map(|place| &self.seen[place * COUNT..(place + 1) * COUNT]);
            let seen: Vec<f32> = seen.copied().collect();
            let chances = mixed(&network.voices(&seen)?, &seen);
            for (place, chances) in places.into_iter().zip(chances.chunks_exact(OUTPUTS)) {
                // What is no chance, or no number at all, is not known.
                answers[place] = self.asked[place].forecast(chances);
            }
        }
        Ok(answers)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::num::NonZeroUsize;
    use std::sync::atomic::AtomicUsize;

    use vaultaire_proto::prices::books;

    use super::*;
    use crate::decisions::Keep;
    use crate::guard;
    use crate::history::Window;
    use crate::logs::csv;
    use crate::model::train::train;
    use crate::policies::learned;
    use crate::simulate::{self, Options};
    use crate::traces::classes::Class;
    use crate::traces::{self, START_S};

    /// Says nothing, so that each group's rates have to do.
    struct Rates;

    impl Model for Rates {
        fn voices(&self, _: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
            Ok(Vec::new())
        }
    }

    fn log() -> Log {
        let options = traces::Options {
            classes: vec![Class::Documents, Class::Media],
            objects: 600,
            days: 180,
            ..traces::Options::default()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        traces::generate(&options, file.as_file(), |_| ()).unwrap();
        csv::read(file.path(), |_| ()).unwrap()
    }

    fn options() -> Options {
        Options {
            charge_from_s: Some(START_S + 160 * DAY_S),
            policies: vec![learned::NAME.to_owned()],
            allow_archive: false,
            egress: None,
            seed: 3,
            model: None,
            threads: NonZeroUsize::MIN,
            events_max: guard::EVENTS_MAX,
        }
    }

    /// A report with what was trained this way.
    fn report<M: Model>(log: &Log, train: &Train<'_, M>) -> String {
        let (options, progress) = (options(), Progress::default());
        let window = Window::of(log, options.charge_from_s).unwrap();
        let shares = log.accesses.shares(1);
        let training = Training { seed: options.seed, given: None, train };
        let learnt = Learnt::new(log, window, &shares, training, &progress).unwrap();
        let (book, keep) = (books::builtin(), Keep::default());
        let outcome =
            simulate::foretold(log, &book, &options, keep, Some(&learnt), &progress).unwrap();
        serde_json::to_string(&outcome.report).unwrap()
    }

    /// What is compared with a network stands where the network does, and learns from as much.
    #[test]
    fn a_network_in_the_place_of_another_model_is_the_same_and_another_model_is_not() {
        let log = log();
        let keep = Keep::default();
        let outcome =
            simulate::run(&log, &books::builtin(), &options(), keep, &Progress::default());
        let mut wanted = outcome.unwrap().report;
        // Only a network has weights that have a name.
        wanted.model = None;
        let wanted = serde_json::to_string(&wanted).unwrap();
        let examples = AtomicUsize::new(0);
        let counted = |of: &[Example<'_>], seed| {
            examples.fetch_add(of.len(), Ordering::Relaxed);
            train(of, seed)
        };
        assert_eq!(report(&log, &counted), wanted);
        assert!(examples.into_inner() > 500);
        assert_ne!(report(&log, &|_, _| Ok(Rates)), wanted);
    }
}
