//! When the server is killed: a plan that follows from the seed alone. Carrying it out is `kill`.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

/// How many kills in a row hit a server that is only starting.
const BURST_KILLS_MAX: u32 = 4;

/// From before the first file is opened to well after an idle start is done.
const START_MAX: Duration = Duration::from_millis(250);

/// So early after readiness that recovery's own work is still under way.
const EARLY_MAX: Duration = Duration::from_millis(40);

/// One SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// So long after the process was started, ready or not.
    WhileStarting(Duration),
    /// So long after it was ready and under load.
    UnderLoad(Duration),
}

/// `kills` kills, of which those under load come after `interval` on average.
pub fn plan(rng: &mut StdRng, kills: u32, interval: Duration) -> Vec<Kill> {
    let mut plan = Vec::new();
    let wanted = usize::try_from(kills).unwrap_or(usize::MAX);
    while plan.len() < wanted {
        match rng.random_range(0..100) {
            0..12 => {
                let burst = rng.random_range(1..=BURST_KILLS_MAX);
                for _ in 0..burst {
                    plan.push(Kill::WhileStarting(random_up_to(rng, START_MAX)));
                }
            }
            12..27 => plan.push(Kill::UnderLoad(random_up_to(rng, EARLY_MAX))),
            _ => plan.push(Kill::UnderLoad(random_up_to(rng, interval * 2))),
        }
    }
    plan.truncate(wanted);
    plan
}

fn random_up_to(rng: &mut StdRng, most: Duration) -> Duration {
    most.mul_f64(rng.random_range(0.0..1.0))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_plan_follows_from_the_seed() {
        let make = |seed| plan(&mut StdRng::seed_from_u64(seed), 200, Duration::from_secs(1));
        let one = make(1);
        assert_eq!(one.len(), 200);
        assert_eq!(one, make(1));
        assert_ne!(one, make(2));
        assert!(one.iter().any(|kill| matches!(kill, Kill::WhileStarting(_))));
        let early = |kill: &&Kill| matches!(kill, Kill::UnderLoad(after) if *after < EARLY_MAX);
        assert!(one.iter().filter(early).count() > 10);
    }
}
