//! Times as providers write them.

use vaultaire_proto::prices::calendar::{DAY_S, Date};

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Seconds since 1970 of `06/Feb/2019:00:00:38 +0000`. None: it is no such time.
pub fn of_a_server_log(text: &[u8]) -> Option<u64> {
    let (clock, zone) = (text.get(..20)?, text.get(20..)?);
    let month = MONTHS.iter().position(|name| *name == &clock[3..6])?;
    let separators = [clock[2], clock[6], clock[11], clock[14], clock[17]];
    let [b' ', sign, zone @ ..] = zone else { return None };
    if separators != *b"//:::" || zone.len() != 4 {
        return None;
    }
    let date = Date {
        year: number(&clock[7..11])?,
        month: u8::try_from(month + 1).ok()?,
        day: u8::try_from(number(&clock[..2])?).ok()?,
    };
    let of_day = seconds([&clock[12..14], &clock[15..17], &clock[18..20]])?;
    let away = seconds([&zone[..2], &zone[2..], b"00"])?;
    let at_s = day(date)? * DAY_S + of_day;
    match sign {
        b'+' => at_s.checked_sub(away),
        b'-' => Some(at_s + away),
        _ => None,
    }
}

/// Seconds since 1970 of `2019-02-01T03:18:19Z` or `2019-02-01T03:18:19.123Z`. None: it is no such time.
pub fn of_iso_8601(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let (clock, rest) = (bytes.get(..19)?, bytes.get(19..)?);
    let separators = [clock[4], clock[7], clock[10], clock[13], clock[16]];
    let fraction = rest.strip_suffix(b"Z")?;
    let is_fraction = match fraction {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if separators != *b"--T::" || !is_fraction {
        return None;
    }
    let date = Date {
        year: number(&clock[..4])?,
        month: u8::try_from(number(&clock[5..7])?).ok()?,
        day: u8::try_from(number(&clock[8..10])?).ok()?,
    };
    Some(day(date)? * DAY_S + seconds([&clock[11..13], &clock[14..16], &clock[17..19]])?)
}

/// None: there is no such day, or it is before 1970.
fn day(date: Date) -> Option<u64> {
    let in_year = (1..=12).contains(&date.month) && (1970..=9_999).contains(&date.year);
    let number = in_year.then(|| date.day_number()).filter(|_| date.day > 0)?;
    // What comes back is another date where a month has not so many days.
    (Date::of_day(number) == date).then_some(number)
}

/// Of hours, minutes and seconds. A leap second is the one before it.
fn seconds([hours, minutes, seconds]: [&[u8]; 3]) -> Option<u64> {
    let [hours, minutes, seconds] = [number(hours)?, number(minutes)?, number(seconds)?];
    let exists = hours < 24 && minutes < 60 && seconds <= 60;
    exists.then(|| u64::from(hours * 3_600 + minutes * 60 + seconds.min(59)))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_server_logs_are_read_with_their_zone() {
        assert_eq!(of_a_server_log(b"06/Feb/2019:00:00:38 +0000"), Some(1_549_411_238));
        assert_eq!(of_a_server_log(b"06/Feb/2019:01:30:38 +0130"), Some(1_549_411_238));
        assert_eq!(of_a_server_log(b"05/Feb/2019:16:00:38 -0800"), Some(1_549_411_238));
        assert_eq!(of_a_server_log(b"29/Feb/2024:23:59:60 +0000"), Some(1_709_251_199));
        for no_time in [
            &b"29/Feb/2023:00:00:00 +0000"[..],
            b"00/Feb/2023:00:00:00 +0000",
            b"01/feb/2023:00:00:00 +0000",
            b"01/Feb/2023:24:00:00 +0000",
            b"01/Feb/2023:00:00:00 0000",
            b"01/Feb/2023:00:00:00",
            b"01/Feb/1969:00:00:00 +0000",
            b"01/Jan/1970:00:00:00 +0100",
            b"",
        ] {
            assert_eq!(of_a_server_log(no_time), None);
        }
    }

    #[test]
    fn times_of_iso_8601_are_read_with_and_without_fractions() {
        assert_eq!(of_iso_8601("2019-02-01T03:18:19Z"), Some(1_548_991_099));
        assert_eq!(of_iso_8601("2019-02-01T03:18:19.000Z"), Some(1_548_991_099));
        for no_time in
            ["2019-02-01", "2019-02-30T00:00:00Z", "2019-02-01T03:18:19", "2019-02-01T03:18:19.Z"]
        {
            assert_eq!(of_iso_8601(no_time), None);
        }
    }
}
