//! Free allowances: what the account of a user gets for nothing in each day or month. They belong to a bill of the whole
//! account. A plan leaves them out: what one object more costs does not depend on them once they are used up.

use std::fmt;

use crate::prices::Gigabyte;

/// So much of something costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub of: Of,
    pub each: Each,
}

/// What is free, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Gigabytes, in the mean of the period.
    Storage {
        gigabytes: u64,
    },
    Egress {
        gigabytes: u64,
    },
    /// So many times what is stored in the mean of the period.
    EgressTimesStored {
        times: u64,
    },
    /// Requests of the class of PUT.
    Puts {
        requests: u64,
    },
    /// Requests of the class of GET.
    Gets {
        requests: u64,
    },
}

/// When it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    Day,
    Month,
}

impl Allowance {
    /// What is left to be paid of what was used in one period: bytes, or requests. What was stored then, in the mean, counts where
    /// the allowance grows with it.
    pub fn beyond(&self, gigabyte: Gigabyte, used: u64, stored_bytes: u64) -> u64 {
        let free = match self.of {
            Of::Storage { gigabytes } | Of::Egress { gigabytes } => {
                gigabytes.saturating_mul(gigabyte.bytes())
            }
            Of::EgressTimesStored { times } => stored_bytes.saturating_mul(times),
            Of::Puts { requests } | Of::Gets { requests } => requests,
        };
        used.saturating_sub(free)
    }

    /// Whether it is of what is sent to readers.
    pub fn is_egress(&self) -> bool {
        match self.of {
            Of::Egress { .. } | Of::EgressTimesStored { .. } => true,
            Of::Storage { .. } | Of::Puts { .. } | Of::Gets { .. } => false,
        }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Of::Storage { gigabytes } => write!(f, "{gigabytes} GB stored")?,
            Of::Egress { gigabytes } => write!(f, "{gigabytes} GB sent")?,
            Of::EgressTimesStored { times } => write!(f, "{times} times what is stored, sent")?,
            Of::Puts { requests } => write!(f, "{requests} requests as PUT")?,
            Of::Gets { requests } => write!(f, "{requests} requests as GET")?,
        }
        f.write_str(match self.each {
            Each::Day => " each day",
            Each::Month => " each month",
        })
    }
}
