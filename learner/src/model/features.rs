//! What a network sees of an object at the moment of a decision: numbers of about one, of what was known then.

use std::f32::consts::TAU;

use vaultaire_proto::prices::calendar::{DAY_S, Date};

use crate::hazards::SPANS;
use crate::model::days::Glance;
use crate::model::memory::Memory;
use crate::model::rates::Kind;
use crate::model::statistics::{Statistics, times_q8};

/// Of the object, of its group and bucket, and of the calendar.
const SINGLE: [&str; 36] = [
    "size",
    "age",
    "was-put",
    "idle",
    "last-was-read",
    "days-with-reads",
    "faded-1",
    "faded-7",
    "faded-30",
    "faded-90",
    "gap-1",
    "gap-2",
    "gap-3",
    "requests-of-a-day",
    "sent-of-a-day",
    "former-versions",
    "former-life",
    "prefix-live",
    "prefix-born-since",
    "prefix-born-30",
    "prefix-read-1",
    "prefix-read-7",
    "prefix-read-30",
    "prefix-read-90",
    "prefix-idle",
    "prefix-crawled",
    "bucket-read-1",
    "bucket-read-7",
    "bucket-read-30",
    "bucket-read-90",
    "bucket-idle",
    "bucket-crawled",
    "weekday-sine",
    "weekday-cosine",
    "month-day",
    "month-rest",
];

/// And chances of each span, by what its group did, as logits.
const CHANCES: [&str; 4] = ["read-by-idle", "end-by-age", "read-after-read", "read-by-age"];

/// How many there are.
pub const COUNT: usize = SINGLE.len() + CHANCES.len() * SPANS;

/// Where the chances begin, in the order in which they are.
pub const CHANCES_AT: usize = SINGLE.len();

/// Everything of one moment.
pub type Features = [f32; COUNT];

/// What they are called, in order: weights belong to these and no others.
pub fn names() -> Vec<String> {
    let single = SINGLE.iter().map(|name| (*name).to_owned());
    let spans = |name: &&str| (0..SPANS).map(|span| format!("{name}-{span}")).collect::<Vec<_>>();
    single.chain(CHANCES.iter().flat_map(spans)).collect()
}

/// An object at some time.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub memory: &'a Memory,
    pub size_bytes: u64,
    pub at_s: u64,
    pub bucket: u32,
    pub prefix: u32,
}

/// No chance is smaller than this, nor its opposite.
const CHANCE_MIN: f32 = 1e-4;

/// The natural logarithm of the odds.
pub fn logit(chance: f32) -> f32 {
    let chance = chance.clamp(CHANCE_MIN, 1.0 - CHANCE_MIN);
    (chance / (1.0 - chance)).ln()
}

/// What is seen of it.
pub fn of(scene: Scene<'_>, statistics: &Statistics) -> Features {
    let Scene { memory, size_bytes, at_s, bucket, prefix } = scene;
    let mut features = [0.0; COUNT];
    let glances = [prefix, bucket].map(|group| statistics.days.at(group, at_s));
    let born = |from_s: u64| (8.0 * statistics.days.born(prefix, (from_s, at_s))).ln_1p();
    let month_s = at_s.saturating_sub(30 * DAY_S);
    let singles = own(memory, size_bytes, at_s)
        .into_iter()
        .chain([glances[0].live.ln_1p(), born(memory.created_s), born(month_s)])
        .chain(glances.iter().flat_map(of_group))
        .chain(calendar(at_s));
    for (feature, value) in features.iter_mut().zip(singles) {
        *feature = value;
    }
    let step = statistics.grid.step(at_s);
    let chances = |kind, seconds| statistics.rates.chances(prefix, step, kind, seconds);
    let (age_s, idle_s) = (at_s - memory.created_s, at_s - memory.last_s);
    let by_idle = match memory.last_was_read {
        true => chances(Kind::ReadAfterRead, idle_s),
        false => chances(Kind::ReadAfterPut, idle_s),
    };
    let groups = [
        by_idle,
        chances(Kind::EndByAge, age_s),
        chances(Kind::ReadAfterRead, 0),
        chances(Kind::ReadByAge, age_s),
    ];
    for (feature, chance) in features[CHANCES_AT..].iter_mut().zip(groups.iter().flatten()) {
        *feature = logit(*chance);
    }
    features
}

fn days(seconds: u64) -> f32 {
    seconds as f32 / DAY_S as f32
}

fn own(memory: &Memory, size_bytes: u64, at_s: u64) -> [f32; 17] {
    let read_days = memory.days.max(1) as f32;
    let sent = times_q8(memory.sent_bytes, size_bytes) as f32 / 256.0 / read_days;
    let faded = memory.faded_q32.map(|faded| (faded as f32 / 2.0_f32.powi(32)).ln_1p());
    // One that is not known lasted less than none.
    let gaps = memory.gaps_s.map(|gap| gap.map_or(-1.0, |gap_s| days(gap_s).ln_1p()));
    [
        (size_bytes as f32).ln_1p() / 8.0,
        days(at_s - memory.created_s).ln_1p(),
        f32::from(u8::from(memory.was_put)),
        days(at_s - memory.last_s).ln_1p(),
        f32::from(u8::from(memory.last_was_read)),
        (memory.days as f32).ln_1p(),
        faded[0],
        faded[1],
        faded[2],
        faded[3],
        gaps[0],
        gaps[1],
        gaps[2],
        (memory.requests as f32 / read_days).ln_1p(),
        sent.ln_1p(),
        (memory.former as f32).ln_1p(),
        days(memory.former_life_s).ln_1p(),
    ]
}

fn of_group(glance: &Glance) -> [f32; 6] {
    let read = glance.read.map(|read| (read * 8.0).ln_1p());
    [read[0], read[1], read[2], read[3], glance.idle_days.ln_1p(), glance.crawl_days.ln_1p()]
}

fn calendar(at_s: u64) -> [f32; 4] {
    let day = at_s / DAY_S;
    let angle = TAU * (day % 7) as f32 / 7.0;
    let date = Date::of_day(day);
    let rest = (1..=31).take_while(|later| Date::of_day(day + later).month == date.month).count();
    [angle.sin(), angle.cos(), f32::from(date.day) / 31.0, (rest as f32).ln_1p()]
}
