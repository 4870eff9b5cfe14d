//! One bound on the memory of all uploads to S3 endpoints: a part is received only into a reservation. Nobody waits for
//! a reservation while it holds a part that is not complete, and a complete part is sent and gives its reservation
//! back whatever others do, so every wait ends.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// What all uploads of this process may hold, received and not yet taken by an endpoint.
const BYTES_MAX: u64 = 192 * 1024 * 1024;

/// What is counted: small enough that a small body takes little, large enough for the counter.
const UNIT_BYTES: u64 = 64 * 1024;

/// A bound on buffered bytes, served in order.
#[derive(Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    units_max: u32,
}

/// Room for one part; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    /// Held for its drop.
    _units: OwnedSemaphorePermit,
}

impl Budget {
    /// The budget that all backends of the process share.
    pub fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Budget>> = OnceLock::new();
        Arc::clone(SHARED.get_or_init(|| Arc::new(Self::of(BYTES_MAX))))
    }

    /// A budget of so many bytes.
    pub fn of(bytes_max: u64) -> Self {
        let units_max = u32::try_from(bytes_max.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let units = Arc::new(Semaphore::new(usize::try_from(units_max).unwrap_or(usize::MAX)));
        Self { units, units_max }
    }

    /// Waits for room. A part that is larger than the whole budget, as bodies above 1.8 TB need, is received alone.
    pub async fn reserve(&self, bytes: u64) -> Result<Reservation, Error> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let units = units.clamp(1, self.units_max);
        match Arc::clone(&self.units).acquire_many_owned(units).await {
            Ok(units) => Ok(Reservation { _units: units }),
            Err(_closed) => Err(Error::Stopped { operation: "put" }),
        }
    }
}
