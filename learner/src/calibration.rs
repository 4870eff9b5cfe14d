//! Whether what is foretold happens as often as it is said: every chance that was told of a read within a span, beside whether it
//! came, put together by how large the chance was.

use serde::Serialize;
use vaultaire_proto::prices::calendar::DAY_S;

use crate::forecasts::Subject;
use crate::hazards::{BOUNDS_DAYS, CERTAIN, Forecast, SPANS};

/// Chances are put together between these, in 1/65535: a third of a power of ten apart where they are small.
const EDGES: [u16; 14] =
    [0, 66, 141, 304, 655, 1_412, 3_042, 6_554, 13_107, 19_660, 29_491, 42_598, 55_705, CERTAIN];

/// Chances of about one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// How many were told.
    pub told: u64,
    /// Their sum, in 1/65535.
    pub chances: u64,
    /// How often it came so.
    pub came: u64,
}

/// All chances of some objects, from the smallest to the largest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calibration(pub [Bin; EDGES.len() - 1]);

impl Bin {
    /// The mean of what was told, and how often it came.
    pub fn shares(&self) -> Option<(f64, f64)> {
        let told = self.told as f64;
        let mean = self.chances as f64 / f64::from(CERTAIN) / told;
        (self.told > 0).then(|| (mean, self.came as f64 / told))
    }
}

impl Calibration {
    pub fn merge(&mut self, other: &Self) {
        for (own, theirs) in self.0.iter_mut().zip(&other.0) {
            own.told += theirs.told;
            own.chances += theirs.chances;
            own.came += theirs.came;
        }
    }

    /// What was foretold at each decision about a life. Spans that were not over when the log ended say nothing.
    pub fn add(&mut self, subject: &Subject, forecasts: &[Option<Forecast>], until_s: u64) {
        let Subject { life, points, .. } = subject;
        let created = life.is_new.then_some((life.from_s, 0));
        let moments =
            created.into_iter().chain(points.iter().map(|point| (point.at_s, point.reads)));
        for ((at_s, reads), forecast) in moments.zip(forecasts) {
            let Some(forecast) = forecast else { continue };
            let read_s = life.reads.get(reads).map_or(u64::MAX, |read| read.at_s);
            for span in 0..SPANS {
                let [begins_s, ends_s] =
                    [0, 1].map(|end| at_s + u64::from(BOUNDS_DAYS[span + end]) * DAY_S);
                if read_s <= begins_s || life.until_s <= begins_s || ends_s > until_s {
                    break;
                }
                self.count(forecast.read.0[span], read_s <= ends_s);
            }
        }
    }

    fn count(&mut self, chance: u16, came: bool) {
        let place = EDGES[1..].iter().position(|edge| chance <= *edge).unwrap_or(0);
        let bin = &mut self.0[place];
        bin.told += 1;
        bin.chances += u64::from(chance);
        bin.came += u64::from(came);
    }
}
