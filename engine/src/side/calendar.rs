//! Microseconds since 1970 as moments of the calendar, in UTC.

use chrono::{DateTime, Utc};

const HOUR_US: i64 = 3_600_000_000;

/// The moment; beyond what the calendar holds, its first or last one.
pub(super) fn moment(time_us: i64) -> DateTime<Utc> {
    let end = if time_us < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    DateTime::from_timestamp_micros(time_us).unwrap_or(end)
}

/// Writes `2026-11-24T09:05:00.000123Z`.
pub(super) fn write_rfc3339(out: &mut Vec<u8>, time_us: i64) {
    use std::io::Write as _;
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{}", moment(time_us).format("%Y-%m-%dT%H:%M:%S%.6fZ"));
}

/// Whole hours since 1970, downwards.
pub(super) fn hour_of(time_us: i64) -> i64 {
    time_us.div_euclid(HOUR_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_rfc_3339() {
        let text = |time_us: i64| {
            let mut out = Vec::new();
            write_rfc3339(&mut out, time_us);
            String::from_utf8(out).unwrap()
        };
        for (time_us, wanted) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999999Z"),
            (951_868_799_000_000, "2000-02-29T23:59:59.000000Z"),
            (1_764_000_000_123_456, "2025-11-24T16:00:00.123456Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(text(time_us), wanted);
        }
    }

    #[test]
    fn hours_are_counted_downwards() {
        assert_eq!([-1, 0, 3_600_000_000].map(hour_of), [-1, 0, 1]);
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        assert_eq!(moment(i64::MIN), DateTime::<Utc>::MIN_UTC);
        assert_eq!(moment(i64::MAX), DateTime::<Utc>::MAX_UTC);
    }
}
