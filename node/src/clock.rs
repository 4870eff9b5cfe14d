//! The clock of the operating system behind proto's seam. Tests use proto's manual clock instead.

use std::time::{SystemTime, UNIX_EPOCH};

use vaultaire_proto::{Clock, TimeMs};

/// Wall time, as the leader stamps it into entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimeMs {
        // A clock before 1970 is a broken clock: zero makes every deadline lie in the future,
        // and `apply` never lets time go back.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_is_after_this_was_written() {
        assert!(SystemClock.now() > TimeMs(1_760_000_000_000));
    }
}
