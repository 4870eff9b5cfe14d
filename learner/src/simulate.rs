//! A whole log under every policy, and at best. Objects are independent of each other here, so threads share them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vaultaire_proto::money::NanoUsd;
use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::Ticks;

use crate::calibration::Calibration;
use crate::decisions::{Decision, Keep, Kept, Made};
use crate::error::Error;
use crate::forecasts::{Forecaster, Object, Subject};
use crate::guard::replay::Rules;
use crate::guard::shadow::{Both, Windows};
use crate::guard::{self, Guarded, Means, Seen, backtest};
use crate::hazards::Forecast;
use crate::history::{self, Life, Window};
use crate::ledger::Ledger;
use crate::logs::Log;
use crate::logs::accesses::Share;
use crate::model::forecaster::{Learnt, Training};
use crate::model::network::Ensemble;
use crate::model::{train, weights};
use crate::optimum;
use crate::policies::{self, Policy, View, World};
use crate::pricing::{Prices, Step, charge};
use crate::progress::Progress;
use crate::report::{Bill, Report};
use crate::shares;
use crate::spill::sorter::Sorted;

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
    /// So many events of a guard's window, and so many decisions, are in memory at once; `guard::EVENTS_MAX` where nothing else is
    /// wanted.
    pub events_max: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    pub report: Report,
    /// In the order of time; none where they were not asked for.
    pub decisions: Sorted<Decision>,
    /// What decisions tell the place of.
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
    allowed: &'a [usize],
    egress: NanoUsd,
    /// Every policy that is tried, and the names of those that were asked for.
    policies: Vec<Box<dyn Policy>>,
    chosen: &'a [&'static str],
    is_guarded: bool,
    forecaster: Option<&'a dyn Forecaster>,
    kept: &'a Kept<'a>,
    progress: &'a Progress,
}

/// Lives are foretold in groups with about so many decisions.
const POINTS_AT_ONCE: usize = 4_096;

/// And with at most so many accesses, beside those of the last object: each is about 50 bytes of lives.
const ACCESSES_AT_ONCE: usize = 1 << 18;

/// What one thread found.
struct Part<'a> {
    /// Of each policy, and of the optimum.
    ledgers: Vec<Ledger<'a>>,
    versions: u64,
    calibration: Calibration,
    /// What a guard has to see; of one thread, or of all.
    seen: Vec<Seen>,
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
            let shares = log.accesses.shares(options.threads.get());
            let (seed, given) = (options.seed, options.model.clone());
            let training = Training { seed, given, train: &train::train };
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
    let chosen = chosen(&options.policies)?;
    let is_guarded = chosen.contains(&guard::NAME);
    // A guard has to see every policy.
    let tried = if is_guarded { &policies::NAMES[..] } else { &chosen };
    let tried = tried.iter().filter_map(|name| policies::named(name, world).transpose());
    let tried: Vec<Box<dyn Policy>> = tried.collect::<Result<_, Error>>()?;
    let ticks = history::ticks(book, window);
    let kept = Kept::new(keep, options.events_max);
    let task = Task {
        log,
        book,
        ticks: &ticks,
        window,
        allowed: &allowed,
        egress: options.egress.unwrap_or_default(),
        policies: tried,
        chosen: &chosen,
        is_guarded,
        forecaster,
        kept: &kept,
        progress,
    };
    let threads = options.threads.get();
    let mut whole = task.shared(threads)?;
    let mut of_policies = BTreeMap::new();
    if is_guarded {
        let all_hot = &whole.ledgers[task.policies.len() + 1];
        let means = Means { threads, events_max: options.events_max, progress };
        let guarded = task.guarded(std::mem::take(&mut whole.seen), means)?;
        of_policies.insert(guard::NAME.to_owned(), Bill::guarded(&guarded, all_hot, &log.names)?);
    }
    let mut bills = whole.ledgers.iter().map(|ledger| Bill::of(ledger, &log.names));
    let mut next = || bills.next().unwrap_or_else(|| Ok(Bill::default()));
    for policy in &task.policies {
        let bill = next()?;
        if chosen.contains(&policy.name()) {
            of_policies.insert(policy.name().to_owned(), bill);
        }
    }
    let report = Report {
        book: book.name.clone(),
        charge_from: window.from_s,
        until: window.until_s,
        objects: log.names.objects.len() as u64,
        versions: whole.versions,
        model: None,
        log: log.told.clone(),
        tiers: task.allowed.iter().map(|tier| book.tiers[*tier].name.clone()).collect(),
        calibration: forecaster.map(|_| whole.calibration),
        optimum: next()?,
        all_hot: next()?,
        policies: of_policies,
    };
    let names = task.names();
    Ok(Outcome { report, decisions: kept.finish()?, names, model: None })
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
    fn names(&self) -> Vec<&'static str> {
        let guarded = self.is_guarded.then_some(guard::NAME);
        self.policies.iter().map(|policy| policy.name()).chain(guarded).chain([OPTIMUM]).collect()
    }

    /// Cuts the objects into one share for each thread.
    fn shared(&self, threads: usize) -> Result<Part<'a>, Error> {
        let shares = self.log.accesses.shares(threads);
        let mut whole = self.nothing();
        for part in shares::each(&shares, |share| self.part(share))? {
            whole.versions += part.versions;
            whole.calibration.merge(&part.calibration);
            whole.seen.extend(part.seen);
            for (own, theirs) in whole.ledgers.iter_mut().zip(part.ledgers) {
                own.merge(theirs);
            }
        }
        Ok(whole)
    }

    /// The policy of the guard, after all others.
    fn guarded(&'a self, seen: Vec<Seen>, means: Means<'_>) -> Result<Guarded<'a>, Error> {
        let names: Vec<&str> = self.policies.iter().map(|policy| policy.name()).collect();
        let from_s = self.window.from_s;
        let first =
            backtest::first(self.log, self.book, self.allowed, &names, (from_s, means.threads))?;
        let is_kept = self.kept.has_decisions() && self.chosen.contains(&guard::NAME);
        let rules = Rules {
            book: self.book,
            ticks: self.ticks,
            from_s,
            allowed: self.allowed,
            egress_byte: self.book.for_bytes(self.egress, 1),
            experts: &self.policies,
            keep: is_kept.then_some(self.policies.len()),
        };
        let empty = Ledger::new(self.book, self.ticks, self.window);
        guard::run(rules, &self.log.names, &first, &empty, seen, (means, self.kept))
    }

    fn nothing(&self) -> Part<'a> {
        // Those of the policies, of the optimum, and of doing nothing.
        let ledgers =
            vec![Ledger::new(self.book, self.ticks, self.window); self.policies.len() + 2];
        Part { ledgers, versions: 0, calibration: Calibration::default(), seen: Vec::new() }
    }

    fn part(&self, share: &Share<'_>) -> Result<Part<'a>, Error> {
        let mut part = self.nothing();
        if self.is_guarded {
            part.seen.push(Seen::new(self.window)?);
        }
        let (mut objects, mut points, mut accesses) = (Vec::new(), 0, 0);
        let mut share = share.objects();
        while let Some(of_one) = share.next_object()? {
            let lives = history::lives(self.log, self.window.until_s, of_one)?;
            let number = of_one[0].object;
            let object = Object::new((number, self.log.names.key(number)), lives, self.window);
            points += object.subjects.iter().map(|subject| subject.points.len() + 1).sum::<usize>();
            objects.push(object);
            accesses += of_one.len();
            if points >= POINTS_AT_ONCE || accesses >= ACCESSES_AT_ONCE {
                self.live(&std::mem::take(&mut objects), &mut part)?;
                (points, accesses) = (0, 0);
            }
            self.progress.accesses.fetch_add(of_one.len() as u64, Ordering::Relaxed);
        }
        self.live(&objects, &mut part)?;
        Ok(part)
    }

    fn live(&self, objects: &[Object], part: &mut Part<'a>) -> Result<(), Error> {
        let forecasts = self.forecaster.map(|forecaster| forecaster.forecasts(objects));
        let mut forecasts = forecasts.transpose()?.unwrap_or_default().into_iter();
        let mut made = Made::default();
        for object in objects {
            let shadows = if self.is_guarded { self.policies.len() } else { 0 };
            let mut shadows: Vec<Windows<'_>> =
                (0..shadows).map(|_| Windows::new(self.window, self.ticks)).collect();
            for subject in &object.subjects {
                part.versions += 1;
                let forecasts = forecasts.next().unwrap_or_default();
                part.calibration.add(subject, &forecasts, self.window.until_s);
                self.live_one(subject, &forecasts, part, (&mut shadows, &mut made));
                for seen in &mut part.seen {
                    seen.tape.record(subject, &forecasts)?;
                }
            }
            for seen in &mut part.seen {
                seen.object(self.log.names.bucket_of(object.number), &shadows);
            }
        }
        self.kept.add(made)
    }

    /// One life, under everything.
    fn live_one(
        &self,
        subject: &Subject,
        forecasts: &[Option<Forecast>],
        part: &mut Part<'a>,
        (shadows, made): (&mut [Windows<'a>], &mut Made),
    ) {
        let life = &subject.life;
        let cards = self.book.cards(life.size_bytes);
        let egress_byte = self.book.for_bytes(self.egress, 1);
        let prices = Prices { book: self.book, ticks: self.ticks, cards: &cards, egress_byte };
        let bucket = self.log.names.bucket_of(life.object);
        for (place, policy) in self.policies.iter().enumerate() {
            let policy = policy.as_ref();
            let is_chosen = self.chosen.contains(&policy.name());
            let mut decided = |view: View<'_>, step: Step| {
                if self.kept.has_records() && is_chosen {
                    made.planned.extend(policy.record(view, step, &self.log.names));
                }
            };
            let of_life = (subject, bucket);
            let steps =
                policies::steps(policy, prices, self.allowed, of_life, forecasts, &mut decided);
            let ledger = part.ledgers[place].of_bucket(bucket);
            match shadows.get_mut(place) {
                Some(shadow) => charge(prices, life, &steps, &mut Both(ledger, shadow.of(life))),
                None => charge(prices, life, &steps, ledger),
            }
            if is_chosen {
                self.keep(place, life, &steps, made);
            }
        }
        let (best, _) = optimum::steps(prices, self.allowed, life);
        let after = self.policies.len();
        charge(prices, life, &best, part.ledgers[after].of_bucket(bucket));
        self.keep(after + usize::from(self.is_guarded), life, &best, made);
        charge(prices, life, &nothing(self.book, life), part.ledgers[after + 1].of_bucket(bucket));
    }

    fn keep(&self, policy: usize, life: &Life, steps: &[Step], made: &mut Made) {
        if !self.kept.has_decisions() {
            return;
        }
        let mut from = (!life.is_new).then_some(self.book.hot);
        for step in steps {
            made.decisions.push(Decision { object: life.object, policy, from, step: *step });
            from = Some(step.tier);
        }
    }
}

/// New objects are put into the hot tier, and stay there.
fn nothing(book: &Book, life: &Life) -> Vec<Step> {
    let step = Step { at_s: life.from_s, tier: book.hot };
    if life.is_new { vec![step] } else { Vec::new() }
}
