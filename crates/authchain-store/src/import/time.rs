//! The moments in other programs' files: ISO 8601 in its many spellings, seconds, milliseconds, nine numbers.

use authchain_core::Timestamp;
use jiff::{civil, tz::TimeZone};
use serde_json::Value;

/// ISO 8601 (RFC 3339 with any offset, Python's `isoformat` without one, which means UTC).
pub(super) fn iso(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(time.as_second()));
    }
    let naive: civil::DateTime = text.strip_suffix(['Z', 'z']).unwrap_or(text).parse().ok()?;
    // The last hours of the year 9999, which some programs write for "never", are too late for jiff.
    Some(naive.to_zoned(TimeZone::UTC).map_or(Timestamp::NEVER, |utc| Timestamp(utc.timestamp().as_second())))
}

/// Seconds since 1970, or milliseconds: no access token lives until the year 5138, where the two meet.
pub(super) fn number(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() >= 1e11 { number / 1000.0 } else { number };
    // Checked: within what jiff can tell, and so within an i64.
    let whole = seconds.is_finite().then(|| seconds.floor()).filter(|s| s.abs() < 1e11)?;
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let whole = whole as i64;
    Some(Timestamp(whole))
}

/// The nine numbers of Rust's `time` crate: year, day of the year, hour, minute, second, nanosecond, offset in hours,
/// minutes and seconds.
pub(super) fn nine(numbers: &[Value]) -> Option<Timestamp> {
    let numbers: Vec<i64> = numbers.iter().map(Value::as_i64).collect::<Option<_>>()?;
    let [year, day, hour, minute, second, nanosecond, off_hour, off_minute, off_second] = *numbers.as_slice() else {
        return None;
    };
    let within = |number: i64, limit: i64| (0..limit).contains(&number).then_some(number);
    let offset_within = |number: i64, limit: i64| (-limit..=limit).contains(&number).then_some(number);
    within(nanosecond, 1_000_000_000)?;
    let day = u16::try_from(day).ok().filter(|day| *day > 0)?;
    let first = civil::Date::new(i16::try_from(year).ok()?, 1, 1).ok()?;
    let date =
        first.checked_add(jiff::Span::new().days(i64::from(day) - 1)).ok().filter(|d| d.year() == first.year())?;
    let midnight = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let offset =
        offset_within(off_hour, 25)? * 3600 + offset_within(off_minute, 59)? * 60 + offset_within(off_second, 59)?;
    Some(Timestamp(midnight + within(hour, 24)? * 3600 + within(minute, 60)? * 60 + within(second, 61)? - offset))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOON: Timestamp = Timestamp(1_763_712_000); // 2025-11-21T08:00:00Z

    #[test]
    fn every_spelling_of_one_moment_is_that_moment() {
        for text in [
            "2025-11-21T08:00:00Z",
            "2025-11-21T08:00:00",
            "2025-11-21T08:00:00.999999",
            "2025-11-21T08:00:00.5Z",
            "2025-11-21T10:00:00.123456789+02:00",
            "2025-11-21T00:00:00-08:00",
            "2025-11-21 08:00:00",
        ] {
            assert_eq!(iso(text), Some(NOON), "{text}");
        }
        assert_eq!(number(1_763_712_000.75), Some(NOON));
        assert_eq!(number(1_763_712_000_000.0), Some(NOON));
        let numbers = |value: Value| nine(value.as_array().unwrap());
        assert_eq!(numbers(json!([2025, 325, 8, 0, 0, 0, 0, 0, 0])), Some(NOON));
        assert_eq!(numbers(json!([2025, 325, 10, 30, 0, 999, 2, 30, 0])), Some(NOON));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "soon", "2025-13-01T00:00:00", "1763712000"] {
            assert_eq!(iso(text), None, "{text}");
        }
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(number(bad), None, "{bad}");
        }
        for bad in [
            json!([]),
            json!([2025, 366, 0, 0, 0, 0, 0, 0, 0]),
            json!([2025, 0, 0, 0, 0, 0, 0, 0, 0]),
            json!([2025, 1, 24, 0, 0, 0, 0, 0, 0]),
            json!([2025, 1, 0, 0, 0, 0, 0, 0]),
            json!([2025, "1", 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(nine(bad.as_array().unwrap()), None, "{bad}");
        }
    }
}
