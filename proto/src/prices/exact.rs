//! Amounts that are summed before they are rounded. Every price in a book times every quantity is a whole number of units of
//! 1 / (bytes of a gigabyte x ticks of a month) nano-dollars: nothing is lost in a sum, however small its parts. (An hour of
//! an object of 20 KB in an archive is less than one nano-dollar.)
//!
//! There are so many units in a dollar that an exabyte over a century has more than 2^127 of them. So an amount has 192 bits.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use crate::money::NanoUsd;
use crate::prices::Book;
use crate::prices::calendar::MONTH_TICKS;

/// Half of the bits of the lower part: amounts are divided in steps of so many.
const STEP_BITS: u32 = u64::BITS / 2;

/// An amount that is not rounded. A sum that grows too large stays there, and has no rounded value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exact {
    /// Whole multiples of 2^64 units. Compared first.
    high: i128,
    /// What there is more than that.
    low: u64,
}

impl Exact {
    pub const ZERO: Self = Self { high: 0, low: 0 };
    /// More than can be counted.
    pub const TOO_LARGE: Self = Self { high: i128::MAX, low: u64::MAX };
    /// Less than can be counted.
    const TOO_SMALL: Self = Self { high: i128::MIN, low: 0 };

    /// So many units.
    pub const fn of_units(units: i128) -> Self {
        Self { high: units >> u64::BITS, low: units as u64 }
    }

    /// How many units these are, or the nearest number that 128 bits can tell.
    pub fn units(self) -> i128 {
        match i64::try_from(self.high) {
            Ok(high) => (i128::from(high) << u64::BITS) + i128::from(self.low),
            Err(_) if self.high > 0 => i128::MAX,
            Err(_) => i128::MIN,
        }
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, count: i128) -> Self {
        let (count_high, count_low) = ((count >> u64::BITS) as i64, count as u64);
        let lowest = u128::from(self.low) * u128::from(count_low);
        // Neither part can overflow: each is a product of 64 bits by 64.
        let middle = i128::from(self.low) * i128::from(count_high);
        let carried = i128::from((lowest >> u64::BITS) as u64);
        let high = self.high.checked_mul(count).and_then(|high| high.checked_add(middle));
        match high.and_then(|high| high.checked_add(carried)) {
            Some(high) => Self { high, low: lowest as u64 },
            None if (self.high < 0) == (count < 0) => Self::TOO_LARGE,
            None => Self::TOO_SMALL,
        }
    }

    /// Halved so many times, rounded down.
    #[must_use]
    pub fn halved(self, times: u32) -> Self {
        let once = |amount: Self, bits: u32| Self {
            high: amount.high >> bits,
            low: (amount.low >> bits) | ((amount.high as u64) << (u64::BITS - bits)),
        };
        let (words, bits) = (times / u64::BITS, times % u64::BITS);
        let shorter = (0..words.min(3)).fold(self, |amount, _| Self {
            high: amount.high >> u64::BITS,
            low: amount.high as u64,
        });
        if bits == 0 { shorter } else { once(shorter, bits) }
    }
}

impl Add for Exact {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        if self == Self::TOO_LARGE || other == Self::TOO_LARGE {
            return Self::TOO_LARGE;
        }
        let (low, carries) = self.low.overflowing_add(other.low);
        let high = self.high.checked_add(other.high);
        match high.and_then(|high| high.checked_add(i128::from(carries))) {
            Some(high) => Self { high, low },
            None if self.high >= 0 => Self::TOO_LARGE,
            None => Self::TOO_SMALL,
        }
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
        if self == Self::TOO_LARGE || other == Self::TOO_LARGE {
            return Self::TOO_LARGE;
        }
        let (low, borrows) = self.low.overflowing_sub(other.low);
        let high = self.high.checked_sub(other.high);
        match high.and_then(|high| high.checked_sub(i128::from(borrows))) {
            Some(high) => Self { high, low },
            None if self.high >= 0 => Self::TOO_LARGE,
            None => Self::TOO_SMALL,
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
        Exact::of_units(price.0).times(self.units_of_a_nano())
    }

    /// A price per gigabyte, for some bytes.
    pub fn for_bytes(&self, price: NanoUsd, bytes: u64) -> Exact {
        self.rent(price, bytes).times(i128::from(MONTH_TICKS))
    }

    /// What a price per gigabyte and month is for some bytes in one tick.
    pub fn rent(&self, price: NanoUsd, bytes: u64) -> Exact {
        Exact::of_units(price.0).times(i128::from(bytes))
    }

    /// What a price per object and month is in one tick.
    pub fn rent_of_one(&self, price: NanoUsd) -> Exact {
        self.rent(price, self.gigabyte.bytes())
    }

    /// Ticks of some time, in seconds since 1970.
    pub fn ticks(&self, from_s: u64, to_s: u64) -> i128 {
        (self.month.ticks_until(to_s) - self.month.ticks_until(from_s)).max(0)
    }

    /// To the nearest nano-dollar, halves up. None: more than can be counted.
    pub fn rounded(&self, amount: Exact) -> Option<NanoUsd> {
        let unit = self.units_of_a_nano();
        let amount = amount + Exact::of_units(unit / 2);
        if amount == Exact::TOO_LARGE {
            return None;
        }
        // By hand, from the top: a rest is less than a unit, which has 66 bits at most, so a step more fits.
        let divided = |rest: i128, bits: u64| {
            let whole = (rest << STEP_BITS) + i128::from(bits);
            (whole / unit, whole % unit)
        };
        let (top, rest) = (amount.high.div_euclid(unit), amount.high.rem_euclid(unit));
        let (middle, rest) = divided(rest, amount.low >> STEP_BITS);
        let (bottom, _) = divided(rest, amount.low & u64::from(u32::MAX));
        Some(NanoUsd((top << u64::BITS) + (middle << STEP_BITS) + bottom))
    }

    fn units_of_a_nano(&self) -> i128 {
        i128::from(self.gigabyte.bytes()) * i128::from(MONTH_TICKS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prices::books;

    /// Of every length: most random numbers are long.
    fn numbers() -> impl Strategy<Value = i128> {
        (any::<i128>(), 0_u32..126).prop_map(|(number, bits)| number >> bits)
    }

    proptest! {
        /// Where 128 bits are enough, these are the integers.
        #[test]
        fn amounts_are_integers(one in numbers(), other in numbers(), bits in 0_u32..200) {
            let (left, right) = (Exact::of_units(one), Exact::of_units(other));
            prop_assert_eq!(left.units(), one);
            prop_assert_eq!(left.cmp(&right), one.cmp(&other));
            if let Some(sum) = one.checked_add(other) {
                prop_assert_eq!((left + right).units(), sum);
            }
            if let Some(difference) = one.checked_sub(other) {
                prop_assert_eq!((left - right).units(), difference);
            }
            if let Some(product) = one.checked_mul(other) {
                prop_assert_eq!(left.times(other).units(), product);
            }
            prop_assert_eq!(left.halved(bits).units(), one >> bits.min(127));
        }

        /// And beyond, as far as a product of three may be beyond.
        #[test]
        fn longer_amounts_are_integers_too(one in any::<i64>(), by in 0_i128..(1 << 62), more in 0_i128..(1 << 62)) {
            let product = Exact::of_units(i128::from(one)).times(by).times(more);
            let parts = Exact::of_units(i128::from(one) * by).times(more - more / 2)
                + Exact::of_units(i128::from(one) * by).times(more / 2);
            prop_assert_eq!(product, parts);
            prop_assert_eq!(product - parts, Exact::ZERO);
            prop_assert_eq!(product.halved(1) + product.halved(1) + Exact::of_units(i128::from(product.low & 1)), product);
        }

        #[test]
        fn whole_nanos_come_back_and_halves_go_up(nanos in -(1_i128 << 90)..(1 << 90)) {
            let book = books::builtin();
            let unit = book.units_of_a_nano();
            let amount = Exact::of_units(nanos).times(unit);
            prop_assert_eq!(book.rounded(amount), Some(NanoUsd(nanos)));
            let half = Exact::of_units(unit / 2);
            prop_assert_eq!(book.rounded(amount + half), Some(NanoUsd(nanos + 1)));
            let less = half - Exact::of_units(1);
            prop_assert_eq!(book.rounded(amount + less), Some(NanoUsd(nanos)));
        }
    }

    #[test]
    fn what_is_too_large_stays_there() {
        let large = Exact::of_units(i128::MAX).times(i128::from(i64::MAX)).times(1 << 20);
        assert_eq!(large, Exact::TOO_LARGE);
        assert_eq!(
            Exact::of_units(i128::MIN).times(i128::from(i64::MAX)).times(1 << 20),
            Exact::TOO_SMALL
        );
        assert_eq!(large + large, Exact::TOO_LARGE);
        assert_eq!(large - Exact::of_units(1), Exact::TOO_LARGE);
        assert_eq!(large + Exact::of_units(-1), Exact::TOO_LARGE);
        assert_eq!(Exact::TOO_SMALL + Exact::of_units(-1), Exact::TOO_SMALL);
        assert_eq!(large.times(-1).units(), i128::MIN);
        assert_eq!(large.units(), i128::MAX);
    }
}
