//! Times as HTTP and S3 write them. Formatting is done by hand: it happens on every GET.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;
use s3s::dto::{Timestamp, TimestampFormat};
use vaultaire_proto::TimeMs;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A point of the civil calendar in UTC.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    weekday: usize,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u64,
}

/// Days are counted in eras of 400 years that begin in March, so that leap days come last.
fn civil(time: TimeMs) -> Civil {
    let seconds = time.0 / 1000;
    let days = seconds / 86_400;
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Civil {
        year: year_of_era + era * 400 + u64::from(month <= 2),
        month,
        day: of_year - (153 * march_month + 2) / 5 + 1,
        weekday: usize::try_from(days % 7).unwrap_or(0),
        hour: seconds % 86_400 / 3600,
        minute: seconds % 3600 / 60,
        second: seconds % 60,
        millisecond: time.0 % 1000,
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn imf(time: TimeMs) -> String {
    let civil = civil(time);
    let month = usize::try_from(civil.month - 1)
        .ok()
        .and_then(|index| MONTHS.get(index))
        .copied()
        .unwrap_or("Jan");
    let day = DAYS.get(civil.weekday).copied().unwrap_or("Thu");
    let mut text = String::with_capacity(29);
    let _ = write!(
        text,
        "{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
        civil.day, civil.year, civil.hour, civil.minute, civil.second
    );
    text
}

/// The same as a header.
pub fn header(time: TimeMs) -> HeaderValue {
    HeaderValue::try_from(imf(time)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// `1994-11-06T08:49:37.000Z`.
pub fn iso8601(time: TimeMs) -> String {
    let civil = civil(time);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        civil.year,
        civil.month,
        civil.day,
        civil.hour,
        civil.minute,
        civil.second,
        civil.millisecond
    )
}

/// For s3s's XML.
pub fn timestamp(time: TimeMs) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(time.0))
}

/// Reads an HTTP date in any of its three forms (RFC 9110, 5.6.7). None: S3 ignores what is not one.
pub fn parse(text: &str) -> Option<TimeMs> {
    let text = text.trim();
    parse_as(TimestampFormat::HttpDate, text).or_else(|| obsolete(text))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
fn obsolete(text: &str) -> Option<TimeMs> {
    let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(TimeMs(since.as_secs().checked_mul(1000)?))
}

/// Reads an HTTP date or an ISO 8601 one.
pub fn parse_any(text: &str) -> Option<TimeMs> {
    parse(text).or_else(|| parse_as(TimestampFormat::DateTime, text.trim()))
}

fn parse_as(format: TimestampFormat, text: &str) -> Option<TimeMs> {
    of_timestamp(&Timestamp::parse(format, text).ok()?)
}

/// Of s3s's XML. What was before 1970 is its first instant, before everything that is stored: as no time at all
/// it would be no condition.
pub fn of_timestamp(stamp: &Timestamp) -> Option<TimeMs> {
    let mut seconds = Vec::with_capacity(32);
    stamp.format(TimestampFormat::EpochSeconds, &mut seconds).ok()?;
    let text = String::from_utf8(seconds).ok()?;
    if text.starts_with('-') {
        return Some(TimeMs(0));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let milliseconds: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds = seconds.parse::<u64>().ok()?;
    Some(TimeMs(seconds.checked_mul(1000)?.checked_add(milliseconds.parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn dates_agree_with_chrono(ms in 0_u64..253_402_300_799_000) {
            let there = chrono::DateTime::from_timestamp_millis(i64::try_from(ms).unwrap()).unwrap();
            prop_assert_eq!(imf(TimeMs(ms)), there.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
            prop_assert_eq!(iso8601(TimeMs(ms)), there.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
            prop_assert_eq!(parse(&imf(TimeMs(ms))), Some(TimeMs(ms / 1000 * 1000)));
            prop_assert_eq!(parse_any(&iso8601(TimeMs(ms))), Some(TimeMs(ms)));
        }
    }

    #[test]
    fn what_was_before_1970_is_no_later_than_that() {
        for text in
            ["Wed, 31 Dec 1969 23:59:59 GMT", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
        {
            assert_eq!(parse_any(text), Some(TimeMs(0)), "{text}");
        }
        assert_eq!(parse_any("1970-01-01T02:00:01+02:00"), Some(TimeMs(1000)));
    }

    #[test]
    fn all_three_forms_are_the_same_moment() {
        let forms = [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ];
        for text in forms {
            assert_eq!(parse(text), Some(TimeMs(784_111_777_000)), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
