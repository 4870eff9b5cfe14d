//! Days as whoever works on them sees them: weekends, months, office hours and evenings. Times are seconds since the log's
//! start, and below 0 before it.

use vaultaire_proto::prices::calendar::{DAY_S, Date};

use crate::traces::random::Stream;

/// Seconds of a day and of an hour, where times may be below 0.
pub const DAY: i64 = DAY_S as i64;
pub const HOUR: i64 = 3_600;

/// 1970-01-01 was a Thursday, and weeks begin on Mondays.
const FIRST_WEEKDAY: i64 = 3;

/// Of what people do at their desks, so much is done within office hours.
const OFFICE_SHARE: f64 = 0.9;

/// Of what would fall on a weekend, so much waits for Monday.
const MONDAY_SHARE: f64 = 0.85;

/// The days of a log.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    /// Since 1970.
    first_day: i64,
    /// Of the log.
    pub days: i64,
}

impl Calendar {
    pub fn new(start_s: u64, days: u32) -> Self {
        Self { first_day: (start_s / DAY_S) as i64, days: i64::from(days) }
    }

    /// Seconds of the whole log.
    pub fn length_s(self) -> i64 {
        self.days * DAY
    }

    /// From 0 for Monday to 6 for Sunday.
    pub fn weekday(self, day: i64) -> i64 {
        (self.first_day + day + FIRST_WEEKDAY).rem_euclid(7)
    }

    pub fn is_workday(self, day: i64) -> bool {
        self.weekday(day) < 5
    }

    pub fn date(self, day: i64) -> Date {
        Date::of_day(u64::try_from(self.first_day + day).unwrap_or(0))
    }

    /// A time of some day, during which people sit at their desks.
    pub fn office(self, day: i64, stream: &mut Stream) -> i64 {
        let wait = match self.weekday(day) {
            weekday @ 5.. if stream.chance(MONDAY_SHARE) => 7 - weekday,
            _ => 0,
        };
        let hours = match stream.chance(OFFICE_SHARE) {
            // Two peaks would be finer; that mornings and evenings are calm is what counts.
            true => 8.0 + 5.0 * (stream.unit() + stream.unit()),
            false => 24.0 * stream.unit(),
        };
        (day + wait) * DAY + (hours * HOUR as f64) as i64
    }

    /// A time of some day, during which people are awake: most in the evening, few at night.
    pub fn evening(day: i64, stream: &mut Stream) -> i64 {
        let hours = 8.0 + 16.0 * stream.unit().max(stream.unit());
        let hours = if stream.chance(0.85) { hours } else { 24.0 * stream.unit() };
        day * DAY + (hours * HOUR as f64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // 2025-01-01 was a Wednesday.
        let calendar = Calendar::new(20_089 * DAY_S, 400);
        assert_eq!(calendar.date(0), Date { year: 2025, month: 1, day: 1 });
        assert_eq!(calendar.date(-1), Date { year: 2024, month: 12, day: 31 });
        let weekdays: Vec<i64> = (-3..5).map(|day| calendar.weekday(day)).collect();
        assert_eq!(weekdays, [6, 0, 1, 2, 3, 4, 5, 6]);
        assert!(calendar.is_workday(2) && !calendar.is_workday(3));
    }

    #[test]
    fn most_office_work_is_done_in_office_hours_of_workdays() {
        let calendar = Calendar::new(20_089 * DAY_S, 400);
        let mut stream = Stream::of(1, &[]);
        let mut in_hours = 0;
        for day in 0..7_000 {
            let at_s = calendar.office(day, &mut stream);
            let hour = at_s.rem_euclid(DAY) / HOUR;
            in_hours +=
                u32::from(calendar.is_workday(at_s.div_euclid(DAY)) && (8..18).contains(&hour));
        }
        assert!((5_900..6_700).contains(&in_hours), "{in_hours}");
    }
}
