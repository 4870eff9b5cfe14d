//! Random numbers that are the same on every machine: a stream of its own for each purpose, and the distributions that
//! generated logs need.
//!
//! Logarithms and powers are worked out here from additions, multiplications and divisions alone, which IEEE 754 rounds in
//! one way everywhere. Those of a system's library differ in their last bit, and a log would differ with them.

use std::f64::consts::{LN_2, SQRT_2};

/// A stream of random numbers: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
}

/// Above this mean, a Poisson distribution is taken for a normal one.
const POISSON_MEAN_MAX: f64 = 30.0;

/// No number of so small a mean comes near it.
const POISSON_MAX: u64 = 1_000;

/// The step of SplitMix64: an odd number near the golden ratio of 2^64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Half of the pairs of numbers fall into the circle and more: so many misses never come.
const CIRCLE_TRIES_MAX: usize = 1_000;

impl Stream {
    /// The stream of a seed, and of whatever tells this stream from the seed's other ones.
    pub fn of(seed: u64, path: &[u64]) -> Self {
        let state = path.iter().fold(mixed(seed), |state, part| {
            mixed(state ^ mixed(part.wrapping_mul(STEP).wrapping_add(1)))
        });
        Self { state }
    }

    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mixed(self.state)
    }

    /// From 0 to 1, without 1.
    pub fn unit(&mut self) -> f64 {
        const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.bits() >> 11) as f64 * SCALE
    }

    /// A whole number below another one, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end.max(1))) >> 64) as u64
    }

    /// A whole number, both ends included.
    pub fn whole(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        from + self.unit() * (to - from)
    }

    /// Every factor is as likely as every other one. Both ends are above 0.
    pub fn log_between(&mut self, from: f64, to: f64) -> f64 {
        from * exp(self.unit() * ln(to / from))
    }

    /// One of many.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// The time until something that happens again and again, at any time.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// Of mean 0 and deviation 1, by Marsaglia's polar method.
    pub fn normal(&mut self) -> f64 {
        for _ in 0..CIRCLE_TRIES_MAX {
            let (x, y) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * ln(square) / square).sqrt();
            }
        }
        0.0
    }

    pub fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * exp(sigma * self.normal())
    }

    /// A lognormal factor whose mean is 1.
    pub fn around_one(&mut self, sigma: f64) -> f64 {
        self.lognormal(exp(-sigma * sigma / 2.0), sigma)
    }

    /// A size in bytes with this median, cut to what is possible.
    pub fn size(&mut self, median: f64, sigma: f64, range: (u64, u64)) -> u64 {
        (self.lognormal(median, sigma) as u64).clamp(range.0, range.1)
    }

    /// How often something happened that happens so often on average.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean > POISSON_MEAN_MAX {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let limit = exp(-mean);
        let mut product = self.unit();
        let mut count = 0;
        while product > limit && count < POISSON_MAX {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// How many of something come one after the other, 1 at least.
    pub fn geometric(&mut self, mean: f64, max: u64) -> u64 {
        if mean <= 1.0 {
            return 1;
        }
        let length = ln(1.0 - self.unit()) / ln(1.0 - 1.0 / mean);
        (1 + length as u64).min(max)
    }
}

/// Every bit of it depends on every bit.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The natural logarithm of a normal number above 0: the series of the area tangent.
pub fn ln(number: f64) -> f64 {
    const MANTISSA_BITS: u32 = 52;
    const ONE: u64 = 1023 << MANTISSA_BITS;
    let bits = number.to_bits();
    let mut exponent = (bits >> MANTISSA_BITS) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << MANTISSA_BITS) - 1)) | ONE);
    if mantissa > SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let part = (mantissa - 1.0) / (mantissa + 1.0);
    let square = part * part;
    let series =
        (0..12_u8).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    exponent as f64 * LN_2 + 2.0 * part * series
}

/// e to a power, by its series around the nearest power of two.
pub fn exp(power: f64) -> f64 {
    let power = power.clamp(-700.0, 700.0);
    let twos = (power / LN_2).round();
    let rest = power - twos * LN_2;
    let series = (1..16_u8).rev().fold(1.0, |sum, term| 1.0 + sum * rest / f64::from(term));
    series * f64::from_bits(((twos as i64 + 1023) as u64) << 52)
}

/// A number above 0 to any power.
pub fn pow(base: f64, power: f64) -> f64 {
    exp(power * ln(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_powers_are_those_of_the_library() {
        let mut stream = Stream::of(1, &[]);
        for _ in 0..10_000 {
            let number = stream.log_between(1e-9, 1e12);
            assert!((ln(number) - number.ln()).abs() <= 1e-13 * number.ln().abs().max(1.0));
            let power = stream.between(-600.0, 600.0);
            assert!((exp(power) / power.exp() - 1.0).abs() < 1e-12, "{power}");
        }
        assert_eq!((ln(1.0), exp(0.0)), (0.0, 1.0));
        assert!((pow(2.0, 10.0) - 1024.0).abs() < 1e-9);
    }

    #[test]
    fn streams_are_independent_of_each_other() {
        let first = |path: &[u64]| Stream::of(7, path).bits();
        let all =
            [first(&[]), first(&[0]), first(&[1]), first(&[0, 0]), first(&[0, 1]), first(&[1, 0])];
        for (place, number) in all.iter().enumerate() {
            assert!(!all[..place].contains(number));
        }
        assert_ne!(Stream::of(8, &[]).bits(), first(&[]));
    }

    #[test]
    fn distributions_have_their_means() {
        let mut stream = Stream::of(3, &[]);
        let mut mean = |draw: fn(&mut Stream) -> f64| {
            (0..100_000).map(|_| draw(&mut stream)).sum::<f64>() / 100_000.0
        };
        assert!((mean(Stream::unit) - 0.5).abs() < 0.01);
        assert!(mean(Stream::normal).abs() < 0.02);
        assert!((mean(|stream| stream.normal().abs()) - 0.798).abs() < 0.01);
        assert!((mean(|stream| stream.exponential(2.0)) - 2.0).abs() < 0.04);
        assert!((mean(|stream| stream.poisson(0.3) as f64) - 0.3).abs() < 0.01);
        assert!((mean(|stream| stream.poisson(80.0) as f64) - 80.0).abs() < 0.2);
        assert!((mean(|stream| stream.geometric(4.0, 1_000) as f64) - 4.0).abs() < 0.06);
        assert!((mean(|stream| stream.whole(3, 5) as f64) - 4.0).abs() < 0.02);
    }
}
