//! Days and months in UTC, and how a price per month becomes one per second, exactly.
//!
//! A month is cut into ticks, so many that every second of a month of 28, 29, 30 or 31 days is a whole number of them. What
//! is stored for some ticks at a price per month is then a product of integers, whatever the month.

/// Seconds of a day.
pub const DAY_S: u64 = 86_400;

/// The least common multiple of 28, 29, 30 and 31: days of a month divide it.
const MONTH_PARTS: u64 = 377_580;

/// Ticks of every month.
pub const MONTH_TICKS: u64 = MONTH_PARTS * DAY_S;

/// A year of a book cannot be before this one, nor a time of a log.
const EPOCH_YEAR: u32 = 1970;

/// How long the month is whose price is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Month {
    /// Each calendar month in UTC costs the same: a day of February costs more than one of March.
    Calendar,
    /// Always 30 days.
    ThirtyDays,
}

/// Ticks of many times, looked up instead of worked out.
#[derive(Clone, Debug)]
pub struct Ticks {
    month: Month,
    first_day: u64,
    /// Until each midnight, and in each second after it.
    days: Vec<(i128, i128)>,
}

impl Ticks {
    /// Fast within these days; right everywhere.
    pub fn new(month: Month, days: std::ops::Range<u64>) -> Self {
        let of_day = |day: u64| {
            let until = month.ticks_until(day * DAY_S);
            (until, month.ticks_until(day * DAY_S + 1) - until)
        };
        Self { month, first_day: days.start, days: days.map(of_day).collect() }
    }

    /// Ticks of some time, in seconds since 1970.
    pub fn between(&self, from_s: u64, to_s: u64) -> i128 {
        (self.until(to_s) - self.until(from_s)).max(0)
    }

    /// When the price of a day changes within some time: at the beginning of a month, where months cost the same.
    pub fn months(&self, from_s: u64, to_s: u64) -> impl Iterator<Item = u64> + '_ {
        let of_day = |day: u64| {
            let known =
                day.checked_sub(self.first_day).and_then(|place| usize::try_from(place).ok());
            known.and_then(|place| self.days.get(place)).map(|(_, in_a_second)| *in_a_second)
        };
        let days = from_s.div_ceil(DAY_S)..=to_s / DAY_S;
        days.filter(move |day| of_day(*day) != of_day(day.saturating_sub(1))).map(|day| day * DAY_S)
    }

    fn until(&self, at_s: u64) -> i128 {
        let known = (at_s / DAY_S).checked_sub(self.first_day);
        let known = known.and_then(|place| self.days.get(usize::try_from(place).ok()?));
        match known {
            Some((until, in_a_second)) => until + in_a_second * i128::from(at_s % DAY_S),
            None => self.month.ticks_until(at_s),
        }
    }
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    pub year: u32,
    pub month: u8,
    pub day: u8,
}

impl Month {
    /// Ticks from 1970 until this second.
    pub fn ticks_until(self, at_s: u64) -> i128 {
        match self {
            Self::ThirtyDays => i128::from(at_s) * i128::from(MONTH_PARTS / 30),
            Self::Calendar => {
                let date = Date::of_day(at_s / DAY_S);
                let into_s = u64::from(date.day - 1) * DAY_S + at_s % DAY_S;
                let months = u64::from(date.year - EPOCH_YEAR) * 12 + u64::from(date.month - 1);
                let each = MONTH_PARTS / u64::from(date.days_of_month());
                i128::from(months) * i128::from(MONTH_TICKS) + i128::from(into_s * each)
            }
        }
    }
}

impl Date {
    /// The date of a day, counted from 1970-01-01. (Days are counted from a March so that leap days end a year; 400 years are
    /// 146,097 days. The method is Howard Hinnant's, "chrono-compatible low-level date algorithms".)
    pub fn of_day(day: u64) -> Self {
        let shifted = day + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Self {
            year: u32::try_from(year).unwrap_or(u32::MAX),
            month: u8::try_from(month).unwrap_or(12),
            day: u8::try_from(day).unwrap_or(31),
        }
    }

    /// Reads `2026-11-29`. None: there is no such day.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let date = Self {
            year: parts.next()?.parse().ok()?,
            month: parts.next()?.parse().ok()?,
            day: parts.next()?.parse().ok()?,
        };
        let in_year = (1..=12).contains(&date.month) && (EPOCH_YEAR..=9_999).contains(&date.year);
        let exists = in_year && (1..=date.days_of_month()).contains(&date.day);
        (parts.next().is_none() && exists && date.to_string() == text).then_some(date)
    }

    /// The day, counted from 1970-01-01.
    pub fn day_number(self) -> u64 {
        let year = u64::from(self.year) - u64::from(self.month <= 2);
        let (era, of_era) = (year / 400, year % 400);
        let from_march = (u64::from(self.month) + 9) % 12;
        let of_year = (153 * from_march + 2) / 5 + u64::from(self.day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    fn days_of_month(self) -> u8 {
        let every = |years: u32| self.year.is_multiple_of(years);
        let leap = every(4) && (!every(100) || every(400));
        match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn every_day_of_eight_hundred_years_has_its_date() {
        let mut expected = Date { year: 1970, month: 1, day: 1 };
        for day in 0..292_194 {
            assert_eq!(Date::of_day(day), expected);
            assert_eq!(expected.day_number(), day);
            expected = match expected {
                Date { year, month: 12, day: 31 } => Date { year: year + 1, month: 1, day: 1 },
                Date { year, month, day } if day == expected.days_of_month() => {
                    Date { year, month: month + 1, day: 1 }
                }
                Date { year, month, day } => Date { year, month, day: day + 1 },
            };
        }
    }

    #[test]
    fn every_month_has_as_many_ticks_and_every_second_a_whole_number_of_them() {
        let at = |text: &str| Date::parse(text).unwrap().day_number() * DAY_S;
        for (from, to, seconds) in [
            ("2026-02-01", "2026-03-01", 28 * DAY_S),
            ("2028-02-01", "2028-03-01", 29 * DAY_S),
            ("2026-04-01", "2026-05-01", 30 * DAY_S),
            ("2026-12-01", "2027-01-01", 31 * DAY_S),
        ] {
            let ticks = |at| Month::Calendar.ticks_until(at);
            assert_eq!(ticks(at(to)) - ticks(at(from)), i128::from(MONTH_TICKS));
            let second = ticks(at(from) + 1) - ticks(at(from));
            assert_eq!(second * i128::from(seconds), i128::from(MONTH_TICKS));
        }
        let thirty = Month::ThirtyDays.ticks_until(30 * DAY_S);
        assert_eq!(thirty, i128::from(MONTH_TICKS));
    }

    #[test]
    fn what_is_looked_up_is_what_is_worked_out() {
        for month in [Month::Calendar, Month::ThirtyDays] {
            let ticks = Ticks::new(month, 20_000..20_100);
            for at_s in (19_999 * DAY_S..20_102 * DAY_S).step_by(12_345) {
                let worked_out = month.ticks_until(at_s + 777_777) - month.ticks_until(at_s);
                assert_eq!(ticks.between(at_s, at_s + 777_777), worked_out);
            }
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        assert!(Date::parse("2024-02-29").is_some());
        for bad in ["2026-02-29", "2026-13-01", "2026-1-01", "26-01-01", "2026-01-01-", ""] {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
    }
}
