//! Money: whole nano-dollars, never a float. A price of a request is some hundreds of them; the bill of an exabyte over
//! ten years fits a hundred billion times.

use std::fmt;

/// How many there are in a dollar.
const PER_DOLLAR: i128 = 1_000_000_000;

/// Decimal places of a dollar that can be told.
const PLACES: usize = 9;

/// 10^-9 US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub i128);

impl NanoUsd {
    /// Reads dollars as people write prices: `0.0125`. None: it is no plain decimal number, is negative, or has more
    /// places than can be told.
    pub fn from_dollars(text: &str) -> Option<Self> {
        let (whole, places) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || places.len() > PLACES || !is_number(whole) || !is_number(places) {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let places: i128 = format!("{places:0<PLACES$}").parse().ok()?;
        whole.checked_mul(PER_DOLLAR)?.checked_add(places).map(Self)
    }
}

/// Dollars with as many places as there are, two at least.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, places) = (self.0.abs() / PER_DOLLAR, self.0.abs() % PER_DOLLAR);
        let places = format!("{places:0PLACES$}");
        let short = places.trim_end_matches('0');
        write!(f, "{sign}{whole}.{short:0<2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_to_the_last_place() {
        let read = |text: &str| NanoUsd::from_dollars(text).map(|nanos| nanos.0);
        assert_eq!(read("0.0125"), Some(12_500_000));
        assert_eq!(read("0.00000036"), Some(360));
        assert_eq!(read("12"), Some(12_000_000_000));
        for bad in ["", ".5", "-1", "+1", "1e3", "0.0000000001", "1,5", " 1", "NaN", "1.2.3"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn dollars_are_written_as_they_are_read() {
        for text in ["0.0125", "12.00", "0.000000001", "1.50"] {
            let read = NanoUsd::from_dollars(text).map(|nanos| nanos.to_string());
            assert_eq!(read.as_deref(), Some(text));
        }
        assert_eq!(NanoUsd(-1_500_000_000).to_string(), "-1.50");
    }
}
