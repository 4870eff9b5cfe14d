//! A whole log under every policy, and at best. Objects are independent of each other here, so threads share them.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use vaultaire_proto::money::NanoUsd;
use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::Ticks;

use crate::error::Error;
use crate::forecasts::{Forecaster, Object, Subject};
use crate::hazards::Forecast;
use crate::history::{self, Life, Window};
use crate::ledger::Ledger;
use crate::logs::{Access, Log};
use crate::model::forecaster::{Learnt, Training};
use crate::model::network::Ensemble;
use crate::model::weights;
use crate::optimum;
use crate::planner::record::Record;
use crate::policies::{self, Policy, View, World};
use crate::pricing::{Prices, Step, charge};
use crate::progress::Progress;
use crate::report::{Bill, Report};
use crate::shares;
use crate::written::write_records;

/// How the optimum is called among the policies.
pub const OPTIMUM: &str = "optimum";

/// What is to be simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// None: from the beginning of the log.
    pub charge_from_s: Option<u64>,
    /// Names. Empty: all.
    pub policies: Vec<String>,
    /// Tiers whose objects have to be restored are allowed too.
    pub allow_archive: bool,
    /// What a gigabyte costs on its way to whoever reads. None: nothing.
    pub egress: Option<NanoUsd>,
    /// Of what is random in learning.
    pub seed: u64,
    /// A network that is not trained, but used as it is.
    pub model: Option<Arc<Ensemble>>,
    pub threads: NonZeroUsize,
}

/// A decision, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub object: u32,
    pub policy: usize,
    /// None: it was new.
    pub from: Option<usize>,
    pub step: Step,
}

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    pub report: Report,
    /// Of the policies in the order of their names' list, and of the optimum at last; only where they were asked for.
    pub decisions: Vec<Decision>,
    pub names: Vec<&'static str>,
    /// The weights of the last network, where one was used.
    pub model: Option<Vec<u8>>,
}

/// Everything that threads share.
struct Task<'a> {
    log: &'a Log,
    book: &'a Book,
    ticks: &'a Ticks,
    window: Window,
    allowed: Vec<usize>,
    egress: NanoUsd,
    policies: Vec<Box<dyn Policy>>,
    forecaster: Option<&'a dyn Forecaster>,
    keep: Keep<'a>,
    progress: &'a Progress,
}

/// Lives are foretold in groups with about so many decisions.
const POINTS_AT_ONCE: usize = 4_096;

/// What one thread found.
struct Part<'a> {
    /// Of each policy, and of the optimum.
    ledgers: Vec<Ledger<'a>>,
    decisions: Vec<Decision>,
    versions: u64,
}

/// Simulates a log.
pub fn run(
    log: &Log,
    book: &Book,
    options: &Options,
    keep: Keep<'_>,
    progress: &Progress,
) -> Result<Outcome, Error> {
    // Names that are not known are told before the work.
    let names = chosen(&options.policies)?;
    let window = Window::of(log, options.charge_from_s)?;
    let learnt = match names.iter().any(|name| policies::asks(name)) {
        true => {
            let shares = shares::of(&log.accesses, options.threads.get());
            let training = Training { seed: options.seed, given: options.model.clone() };
            Some(Learnt::new(log, window, &shares, training, progress)?)
        }
        false => None,
    };
    let forecaster = learnt.as_ref().map(|learnt| learnt as &dyn Forecaster);
    let mut outcome = foretold(log, book, options, keep, forecaster, progress)?;
    outcome.model = learnt.as_ref().and_then(Learnt::last).map(weights::to_bytes).transpose()?;
    outcome.report.model = outcome.model.as_deref().map(weights::hash);
    Ok(outcome)
}

/// What is kept beside the bills.
#[derive(Clone, Copy, Default)]
pub struct Keep<'a> {
    /// Every decision, in memory.
    pub decisions: bool,
    /// Takes a record of every decision that was planned: a line of JSON each, in no order.
    pub records: Option<&'a Mutex<dyn Write + Send>>,
}

/// The same, with whoever knows.
pub fn foretold(
    log: &Log,
    book: &Book,
    options: &Options,
    keep: Keep<'_>,
    forecaster: Option<&dyn Forecaster>,
    progress: &Progress,
) -> Result<Outcome, Error> {
    let window = Window::of(log, options.charge_from_s)?;
    let allowed = allowed(book, options.allow_archive);
    let world = World { log, book, window, allowed: &allowed };
    let names = chosen(&options.policies)?;
    let policies = names.into_iter().filter_map(|name| policies::named(name, world)).collect();
    let ticks = history::ticks(book, window);
    let task = Task {
        log,
        book,
        ticks: &ticks,
        window,
        allowed,
        egress: options.egress.unwrap_or_default(),
        policies,
        forecaster,
        keep,
        progress,
    };
    let whole = task.shared(options.threads.get())?;
    let mut bills = whole.ledgers.iter().map(|ledger| Bill::of(ledger, &log.names));
    let mut of_policies = Vec::new();
    for policy in &task.policies {
        let bill = bills.next().unwrap_or_else(|| Ok(Bill::default()))?;
        of_policies.push((policy.name().to_owned(), bill));
    }
    let mut last = || bills.next().unwrap_or_else(|| Ok(Bill::default()));
    let (optimum, all_hot) = (last()?, last()?);
    let report = Report {
        book: book.name.clone(),
        charge_from: window.from_s,
        until: window.until_s,
        objects: log.names.objects.len() as u64,
        versions: whole.versions,
        model: None,
        log: log.told.clone(),
        tiers: task.allowed.iter().map(|tier| book.tiers[*tier].name.clone()).collect(),
        optimum,
        all_hot,
        policies: of_policies.into_iter().collect(),
    };
    let names = task.policies.iter().map(|policy| policy.name()).chain([OPTIMUM]).collect();
    Ok(Outcome { report, decisions: whole.decisions, names, model: None })
}

/// Names of policies, in the order of all.
fn chosen(names: &[String]) -> Result<Vec<&'static str>, Error> {
    let known = policies::NAMES;
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Error::NoSuchPolicy { name: name.clone(), known: known.join(", ") });
    }
    let is_wanted = |name: &&str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(known.into_iter().filter(is_wanted).collect())
}

/// The tiers that may be used.
fn allowed(book: &Book, allow_archive: bool) -> Vec<usize> {
    let usable = |(_, tier): &(usize, &vaultaire_proto::prices::Tier)| {
        allow_archive || tier.restore.is_none()
    };
    book.tiers.iter().enumerate().filter(usable).map(|(place, _)| place).collect()
}

impl<'a> Task<'a> {
    /// Cuts the objects into one share for each thread.
    fn shared(&self, threads: usize) -> Result<Part<'a>, Error> {
        let shares = shares::of(&self.log.accesses, threads);
        let mut whole = self.nothing();
        for part in shares::each(&shares, |share| self.part(share))? {
            whole.versions += part.versions;
            whole.decisions.extend(part.decisions);
            for (own, theirs) in whole.ledgers.iter_mut().zip(part.ledgers) {
                own.merge(theirs);
            }
        }
        Ok(whole)
    }

    fn nothing(&self) -> Part<'a> {
        // Those of the policies, of the optimum, and of doing nothing.
        let ledgers =
            vec![Ledger::new(self.book, self.ticks, self.window); self.policies.len() + 2];
        Part { ledgers, decisions: Vec::new(), versions: 0 }
    }

    fn part(&self, accesses: &[Access]) -> Result<Part<'a>, Error> {
        let mut part = self.nothing();
        let (mut objects, mut points) = (Vec::new(), 0);
        for of_one in accesses.chunk_by(|one, next| one.object == next.object) {
            let lives = history::lives(self.log, self.window.until_s, of_one)?;
            let number = of_one[0].object;
            let object = Object::new((number, self.log.names.key(number)), lives, self.window);
            points += object.subjects.iter().map(|subject| subject.points.len() + 1).sum::<usize>();
            objects.push(object);
            if points >= POINTS_AT_ONCE {
                self.live(&std::mem::take(&mut objects), &mut part)?;
                points = 0;
            }
            self.progress.accesses.fetch_add(of_one.len() as u64, Ordering::Relaxed);
        }
        self.live(&objects, &mut part)?;
        Ok(part)
    }

    fn live(&self, objects: &[Object], part: &mut Part<'a>) -> Result<(), Error> {
        let forecasts = self.forecaster.map(|forecaster| forecaster.forecasts(objects));
        let mut forecasts = forecasts.transpose()?.unwrap_or_default().into_iter();
        let mut records = Vec::new();
        for subject in objects.iter().flat_map(|object| &object.subjects) {
            part.versions += 1;
            self.live_one(subject, &forecasts.next().unwrap_or_default(), part, &mut records);
        }
        match self.keep.records {
            Some(out) => write_records(out, &records),
            None => Ok(()),
        }
    }

    /// One life, under everything.
    fn live_one(
        &self,
        subject: &Subject,
        forecasts: &[Option<Forecast>],
        part: &mut Part<'a>,
        records: &mut Vec<Record>,
    ) {
        let life = &subject.life;
        let cards = self.book.cards(life.size_bytes);
        let egress_byte = self.book.for_bytes(self.egress, 1);
        let prices = Prices { book: self.book, ticks: self.ticks, cards: &cards, egress_byte };
        let bucket = self.log.names.bucket_of(life.object);
        let of_policies = self.policies.iter().map(|policy| {
            let policy = policy.as_ref();
            let mut decided = |view: View<'_>, step: Step| {
                if self.keep.records.is_some() {
                    records.extend(policy.record(view, step, &self.log.names));
                }
            };
            let subject = (subject, bucket);
            policies::steps(policy, prices, &self.allowed, subject, forecasts, &mut decided)
        });
        let plans = of_policies.chain([optimum::steps(prices, &self.allowed, life).0]);
        for (place, steps) in plans.chain([nothing(self.book, life)]).enumerate() {
            charge(prices, life, &steps, part.ledgers[place].of_bucket(bucket));
            if self.keep.decisions && place <= self.policies.len() {
                self.keep(place, life, &steps, &mut part.decisions);
            }
        }
    }

    fn keep(&self, policy: usize, life: &Life, steps: &[Step], decisions: &mut Vec<Decision>) {
        let mut from = (!life.is_new).then_some(self.book.hot);
        for step in steps {
            decisions.push(Decision { object: life.object, policy, from, step: *step });
            from = Some(step.tier);
        }
    }
}

/// New objects are put into the hot tier, and stay there.
fn nothing(book: &Book, life: &Life) -> Vec<Step> {
    let step = Step { at_s: life.from_s, tier: book.hot };
    if life.is_new { vec![step] } else { Vec::new() }
}
