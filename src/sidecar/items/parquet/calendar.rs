//! Days, times and instants as text: ISO 8601, and RFC 3339 where there is a zone.

use std::fmt::Write as _;

/// How many there are in a second: 1000, a million or a thousand million.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unit {
    Milli,
    Micro,
    Nano,
}

impl Unit {
    fn in_second(self) -> i64 {
        match self {
            Self::Milli => 1000,
            Self::Micro => 1_000_000,
            Self::Nano => NANOS,
        }
    }
}

/// `2024-02-29`, from days since 1970.
pub(super) fn date(days: i64) -> String {
    let (year, month, day) = civil(days);
    // Four digits as far as they go, then with a sign, as ISO 8601 has it.
    match year {
        0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:+05}-{month:02}-{day:02}"),
    }
}

/// `13:05:00.250`, from units since midnight; `None` beyond the day.
pub(super) fn time(value: i64, unit: Unit) -> Option<String> {
    let per_second = unit.in_second();
    let (seconds, part) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    (0..=DAY).contains(&seconds).then(|| clock(seconds, part * (NANOS / per_second)))
}

/// `2024-02-29T13:05:00.250Z`, from units since 1970; without the `Z` where the zone is not known.
pub(super) fn timestamp(value: i64, unit: Unit, is_utc: bool) -> String {
    let per_second = unit.in_second();
    let nanos = value.rem_euclid(per_second) * (NANOS / per_second);
    instant(value.div_euclid(per_second), nanos, is_utc)
}

/// An instant from days since 1970 and nanoseconds within the day, which may be more than it has.
pub(super) fn day_and_nanos(days: i64, nanos: i64) -> String {
    instant(days * DAY + nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS), false)
}

/// `P14M3DT4.005S`: months, days and milliseconds have no fixed length in each other.
pub(super) fn interval(months: u32, days: u32, millis: u32) -> String {
    format!("P{months}M{days}DT{}.{:03}S", millis / 1000, millis % 1000)
}

fn instant(seconds: i64, nanos: i64, is_utc: bool) -> String {
    let mut text = date(seconds.div_euclid(DAY));
    text.push('T');
    text.push_str(&clock(seconds.rem_euclid(DAY), nanos));
    if is_utc {
        text.push('Z');
    }
    text
}

/// The fraction has 3, 6 or 9 digits, as many as it needs, or is left out.
fn clock(seconds: i64, nanos: i64) -> String {
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let written = match nanos {
        0 => Ok(()),
        _ if nanos % 1_000_000 == 0 => write!(text, ".{:03}", nanos / 1_000_000),
        _ if nanos % 1000 == 0 => write!(text, ".{:06}", nanos / 1000),
        _ => write!(text, ".{nanos:09}"),
    };
    written.expect("a text takes whatever is written to it");
    text
}

/// Year, month and day in the Gregorian calendar, before its time too: Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", `civil_from_days`. Years begin in March there, so that the leap day is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day_of_month)
}

const DAY: i64 = 86_400;
const NANOS: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (days, want) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (11_016, "2000-02-29"),
            (-719_162, "0001-01-01"),
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
            (i64::from(i32::MAX), "+5881580-07-11"),
            (i64::from(i32::MIN), "-5877641-06-23"),
        ] {
            assert_eq!(date(days), want, "{days}");
        }
    }

    #[test]
    fn times_and_instants() {
        assert_eq!(time(47_100_250, Unit::Milli).as_deref(), Some("13:05:00.250"));
        assert_eq!(time(1, Unit::Micro).as_deref(), Some("00:00:00.000001"));
        assert_eq!(time(86_399_999_999_999, Unit::Nano).as_deref(), Some("23:59:59.999999999"));
        assert_eq!(time(-1, Unit::Milli), None);
        assert_eq!(time(86_401_000, Unit::Milli), None);
        for (value, unit, want) in [
            (0, Unit::Milli, "1970-01-01T00:00:00Z"),
            (-1, Unit::Nano, "1969-12-31T23:59:59.999999999Z"),
            (1_709_211_900_250, Unit::Milli, "2024-02-29T13:05:00.250Z"),
            (i64::MAX, Unit::Nano, "2262-04-11T23:47:16.854775807Z"),
            (i64::MIN, Unit::Nano, "1677-09-21T00:12:43.145224192Z"),
            (i64::MAX, Unit::Milli, "+292278994-08-17T07:12:55.807Z"),
        ] {
            assert_eq!(timestamp(value, unit, true), want, "{value}");
        }
        assert_eq!(timestamp(1, Unit::Micro, false), "1970-01-01T00:00:00.000001");
        assert_eq!(day_and_nanos(-1, 1), "1969-12-31T00:00:00.000000001");
        assert_eq!(interval(14, 3, 4005), "P14M3DT4.005S");
    }
}
