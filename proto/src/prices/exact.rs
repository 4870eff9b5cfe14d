//! Amounts that are summed before they are rounded. Every price in a book times every quantity is a whole number of units of
//! 1 / (bytes of a gigabyte x ticks of a month) nano-dollars: nothing is lost in a sum, however small its parts. (An hour of
//! an object of 20 KB in an archive is less than one nano-dollar.)

use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use crate::money::NanoUsd;
use crate::prices::Book;
use crate::prices::calendar::MONTH_TICKS;

/// An amount that is not rounded. A sum that grows too large stays there, and has no rounded value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exact(pub i128);

impl Exact {
    pub const ZERO: Self = Self(0);
    /// More than can be counted.
    pub const TOO_LARGE: Self = Self(i128::MAX);

    /// So many times as much.
    #[must_use]
    pub fn times(self, count: i128) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Add for Exact {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Exact {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Exact {
    type Output = Self;

    /// What is too large to be counted has no difference to anything.
    fn sub(self, other: Self) -> Self {
        match self == Self::TOO_LARGE || other == Self::TOO_LARGE {
            true => Self::TOO_LARGE,
            false => Self(self.0.saturating_sub(other.0)),
        }
    }
}

impl Sum for Exact {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl Book {
    /// A price that was paid once.
    pub fn once(&self, price: NanoUsd) -> Exact {
        Exact(price.0).times(self.units_of_a_nano())
    }

    /// A price per gigabyte, for some bytes.
    pub fn for_bytes(&self, price: NanoUsd, bytes: u64) -> Exact {
        Exact(price.0).times(i128::from(bytes)).times(i128::from(MONTH_TICKS))
    }

    /// What a price per gigabyte and month is for some bytes in one tick.
    pub fn rent(&self, price: NanoUsd, bytes: u64) -> Exact {
        Exact(price.0).times(i128::from(bytes))
    }

    /// What a price per object and month is in one tick.
    pub fn rent_of_one(&self, price: NanoUsd) -> Exact {
        Exact(price.0).times(i128::from(self.gigabyte.bytes()))
    }

    /// Ticks of some time, in seconds since 1970.
    pub fn ticks(&self, from_s: u64, to_s: u64) -> i128 {
        (self.month.ticks_until(to_s) - self.month.ticks_until(from_s)).max(0)
    }

    /// To the nearest nano-dollar, halves up. None: more than can be counted.
    pub fn rounded(&self, amount: Exact) -> Option<NanoUsd> {
        let unit = self.units_of_a_nano();
        (amount != Exact::TOO_LARGE)
            .then(|| NanoUsd(amount.0.saturating_add(unit / 2).div_euclid(unit)))
    }

    fn units_of_a_nano(&self) -> i128 {
        i128::from(self.gigabyte.bytes()) * i128::from(MONTH_TICKS)
    }
}
