//! How long objects of a group are left alone: the times between an access and the next one, by their lengths, as they are known
//! at the beginning of each period. What has not ended by then is known to be as long as it is.

use std::collections::HashMap;

use vaultaire_proto::prices::calendar::DAY_S;

use crate::error::Error;
use crate::history::Window;
use crate::logs::{Access, Log, Operation};
use crate::points::IDLE_DAYS;
use crate::prefixes::Prefixes;

/// How often what was learnt is looked at again.
pub const PERIOD_S: u64 = 30 * DAY_S;

/// Objects are alike up to these sizes.
const SIZES_MAX: [u64; 2] = [128 << 10, 8 << 20];

/// What is known of objects of one size in one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// A bucket, or one of its prefixes.
    pub prefix: u32,
    pub size: u8,
}

/// Which gaps are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    /// A read was before it, and not a PUT.
    pub after_read: bool,
    /// A read ended it. Otherwise nothing did yet, or the object's end.
    pub before_read: bool,
    /// How many of the idle ages it lasted.
    pub length: u8,
}

/// Gaps that are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub count: u64,
    pub bytes: u128,
    pub seconds: u128,
}

impl Sum {
    fn add(&mut self, size_bytes: u64, seconds: u64) {
        self.count += 1;
        self.bytes += u128::from(size_bytes);
        self.seconds += u128::from(seconds);
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.seconds += other.seconds;
    }
}

/// Gaps by what is known of them at the beginning of a period.
type Counted = HashMap<(Group, u32), HashMap<Shape, Sum>>;

/// Every gap of a log.
#[derive(Debug, Default)]
pub struct Gaps {
    /// In the first period that knows their end.
    ended: Counted,
    /// In each period that begins in the middle of them.
    lasting: Counted,
}

/// A gap of one object.
#[derive(Clone, Copy)]
struct Gap {
    groups: [Group; 2],
    size_bytes: u64,
    from_s: u64,
    after_read: bool,
}

impl Group {
    pub fn of(prefix: u32, size_bytes: u64) -> Self {
        let size = SIZES_MAX.iter().filter(|max| size_bytes >= **max).count();
        Self { prefix, size: u8::try_from(size).unwrap_or(u8::MAX) }
    }
}

/// The period of a time, and the number of them.
pub fn period(window: Window, at_s: u64) -> u32 {
    u32::try_from(at_s.saturating_sub(window.from_s) / PERIOD_S).unwrap_or(u32::MAX)
}

impl Gaps {
    pub fn new(log: &Log, window: Window, prefixes: &Prefixes) -> Result<Self, Error> {
        let mut gaps = Self::default();
        let mut objects = log.accesses.whole().objects();
        while let Some(accesses) = objects.next_object()? {
            gaps.object(log, window, prefixes, accesses);
        }
        Ok(gaps)
    }

    /// All that is known of a group when a period begins.
    pub fn known(&self, group: Group, period: u32) -> HashMap<Shape, Sum> {
        let mut known: HashMap<Shape, Sum> = HashMap::new();
        let ended = (0..=period).filter_map(|past| self.ended.get(&(group, past)));
        for (shape, sum) in ended.chain(self.lasting.get(&(group, period))).flatten() {
            known.entry(*shape).or_default().merge(*sum);
        }
        known
    }

    /// Every group that there is.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        let mut groups: Vec<Group> =
            self.ended.keys().chain(self.lasting.keys()).map(|(group, _)| *group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.into_iter()
    }

    fn object(&mut self, log: &Log, window: Window, prefixes: &Prefixes, accesses: &[Access]) {
        let mut open: Option<Gap> = None;
        for access in accesses {
            let former = open.take();
            let is_read = access.operation == Operation::Get;
            if let Some(gap) = former {
                self.count(window, gap, access.at_s(), is_read);
            }
            let size_bytes = access.size_bytes().or(former.map(|gap| gap.size_bytes)).unwrap_or(0);
            let bucket = log.names.bucket_of(access.object);
            let prefix = prefixes.of(access.object);
            if access.operation != Operation::Delete {
                open = Some(Gap {
                    groups: [bucket, prefix].map(|prefix| Group::of(prefix, size_bytes)),
                    size_bytes,
                    from_s: access.at_s(),
                    after_read: is_read,
                });
            }
        }
        if let Some(gap) = open {
            self.count(window, gap, u64::MAX, false);
        }
    }

    fn count(&mut self, window: Window, gap: Gap, to_s: u64, before_read: bool) {
        let shape = |length_s: u64, before_read| Shape {
            after_read: gap.after_read,
            before_read,
            length: length(length_s),
        };
        let begins = |period: u32| window.from_s + u64::from(period) * PERIOD_S;
        // The first period that begins after its own beginning, and then each until its end.
        let mut next = period(window, gap.from_s) + u32::from(gap.from_s >= window.from_s);
        while begins(next) < to_s.min(window.until_s) {
            let length_s = begins(next) - gap.from_s;
            for group in gap.groups {
                let sums = self.lasting.entry((group, next)).or_default();
                sums.entry(shape(length_s, false)).or_default().add(gap.size_bytes, length_s);
            }
            next += 1;
        }
        if to_s < window.until_s {
            for group in gap.groups {
                let length_s = to_s - gap.from_s;
                let sums = self.ended.entry((group, next)).or_default();
                sums.entry(shape(length_s, before_read)).or_default().add(gap.size_bytes, length_s);
            }
        }
    }
}

fn length(length_s: u64) -> u8 {
    let lasted = IDLE_DAYS.iter().filter(|days| length_s >= **days * DAY_S).count();
    u8::try_from(lasted).unwrap_or(u8::MAX)
}
