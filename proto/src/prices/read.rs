//! Reads a price book, and says what is wrong with it: which price is missing or no price, and what cannot be meant.

use crate::money::NanoUsd;
use crate::prices::{Book, Tier, base, file};

/// Tiers of one book at most.
const TIERS_MAX: usize = 64;

/// Steps of a native tier at most: S3 Intelligent-Tiering has four.
const NATIVE_STEPS_MAX: usize = 4;

/// A minimum stay that is longer is a slip of the pen: the longest that is sold is one year.
const STAY_DAYS_MAX: u32 = 3_650;

/// So is more than this beside each object, or as the smallest that is billed.
const BYTES_MAX: u64 = 1 << 30;

/// What is wrong with a book, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    #[error("it is no price book: {0}; `vaultaire prices show builtin` prints one to begin with")]
    Form(String),
    #[error("{place}: {problem}; a tier tells all of its prices, \"0\" where nothing is asked")]
    Tier { place: String, problem: String },
    #[error("{place} is {found:?}; {wanted}")]
    Value { place: String, found: String, wanted: &'static str },
    #[error("{place} is {found:?}; {wanted}: {known}")]
    Unknown { place: String, found: String, wanted: &'static str, known: String },
    #[error("{place}: {why}")]
    Sense { place: String, why: &'static str },
}

impl Book {
    /// Reads a book, or the changes of one that comes along, and checks that it makes sense.
    pub fn parse(text: &str) -> Result<Self, BookError> {
        file::book(base::resolved(text)?)?.checked()
    }

    fn checked(self) -> Result<Self, BookError> {
        if self.tiers.len() > TIERS_MAX {
            return sense("tier", "there are more than 64 of them");
        }
        if self.sources.is_empty() {
            return sense("sources", "a price without a source is worth nothing");
        }
        for (place, tier) in self.tiers.iter().enumerate() {
            if self.tiers.iter().take(place).any(|former| former.name == tier.name) {
                return sense(&tier.name, "two tiers have this name");
            }
            amounts(tier)?;
            native(tier)?;
            speeds(tier)?;
        }
        for (place, (to, _)) in self.egress.iter().enumerate() {
            if self.egress.iter().take(place).any(|(former, _)| former == to) {
                return sense(&format!("egress {to}"), "it has two prices");
            }
        }
        let sends_for_nothing = self.egress.iter().all(|(_, price)| *price == NanoUsd(0));
        if sends_for_nothing && self.free.iter().any(|free| free.is_egress()) {
            return sense("free egress", "all egress is free as it is: drop it, or give its price");
        }
        let hot = self.hot_tier();
        if hot.restore.is_some() || hot.stay_days_min > 0 || hot.native.is_some() {
            return sense(
                &hot.name,
                "the hot tier is readable at once, may be left, and has no steps",
            );
        }
        Ok(self)
    }
}

fn amounts(tier: &Tier) -> Result<(), BookError> {
    if tier.name.is_empty() {
        return sense("tier", "it has an empty name");
    }
    if tier.storage == NanoUsd(0) {
        return sense(
            &tier.name,
            "storage_gb_month is nothing, so everything would go there; tell what it costs you, however little",
        );
    }
    if tier.stay_days_min > STAY_DAYS_MAX {
        return sense(&tier.name, "stay_days_min is more than ten years");
    }
    let bytes = [tier.billed_bytes_min, tier.overhead_bytes, tier.overhead_hot_bytes];
    match bytes.into_iter().any(|bytes| bytes > BYTES_MAX) {
        true => sense(&tier.name, "more than a gigabyte is billed for each object, however small"),
        false => Ok(()),
    }
}

fn native(tier: &Tier) -> Result<(), BookError> {
    let Some(native) = &tier.native else { return Ok(()) };
    if tier.stay_days_min > 0 {
        return sense(&tier.name, "a tier with native steps has no minimum stay");
    }
    if native.steps.is_empty() || native.steps.len() > NATIVE_STEPS_MAX {
        return sense(&tier.name, "a tier with native steps has one to four of them");
    }
    let mut former = (0, tier.storage);
    for step in &native.steps {
        if step.idle_days <= former.0 || step.storage > former.1 {
            let why = "each native step comes later than the former and is cheaper";
            return sense(&tier.name, why);
        }
        former = (step.idle_days, step.storage);
    }
    Ok(())
}

fn speeds(tier: &Tier) -> Result<(), BookError> {
    for (place, speed) in tier.speeds.iter().enumerate() {
        if speed.restore.hours == 0 {
            return sense(
                &tier.name,
                "a restore takes an hour at least; a tier that is readable at once has no `restore`",
            );
        }
        if tier.speeds.iter().take(place).any(|former| former.name == speed.name) {
            return sense(&tier.name, "two of its restores have the same name");
        }
    }
    Ok(())
}

fn sense<T>(place: &str, why: &'static str) -> Result<T, BookError> {
    Err(BookError::Sense { place: place.to_owned(), why })
}
