//! Microseconds since 1970 → the calendar, in UTC.

/// A moment's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) microsecond: i64,
}

impl Civil {
    /// `2026-11-24T09:05:00.000123Z`.
    pub(super) fn write_rfc3339(&self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            microsecond,
        } = self;
        // Writing into a Vec cannot fail.
        let _ = write!(
            out,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}Z"
        );
    }
}

const SECOND_US: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Whole hours since 1970, downwards.
pub(super) fn hour_of(time_us: i64) -> i64 {
    time_us.div_euclid(3_600 * SECOND_US)
}

/// The Gregorian calendar before and after its introduction alike.
pub(super) fn civil(time_us: i64) -> Civil {
    let seconds = time_us.div_euclid(SECOND_US);
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (year, month, day) = date(seconds.div_euclid(DAY_SECONDS));
    Civil {
        year,
        month,
        day,
        hour: of_day / 3_600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        microsecond: time_us.rem_euclid(SECOND_US),
    }
}

/// Days since 1970 → year, month, day. Years are counted from March, so that the leap day is a year's last; 400 of them
/// have 146,097 days always (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_FROM_MARCH_OF_YEAR_ZERO: i64 = 719_468;
    const ERA_DAYS: i64 = 146_097;
    let days = days + DAYS_FROM_MARCH_OF_YEAR_ZERO;
    let of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + days.div_euclid(ERA_DAYS) * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(time_us: i64) -> (i64, i64, i64, i64, i64, i64, i64) {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            microsecond,
        } = civil(time_us);
        (year, month, day, hour, minute, second, microsecond)
    }

    #[test]
    fn known_moments() {
        assert_eq!(parts(0), (1970, 1, 1, 0, 0, 0, 0));
        assert_eq!(parts(-1), (1969, 12, 31, 23, 59, 59, 999_999));
        assert_eq!(parts(951_782_399_999_999), (2000, 2, 28, 23, 59, 59, 999_999));
        assert_eq!(parts(951_868_799_000_000), (2000, 2, 29, 23, 59, 59, 0));
        assert_eq!(parts(1_764_000_000_000_001), (2025, 11, 24, 16, 0, 0, 1));
        assert_eq!(parts(4_107_542_400_000_000), (2100, 3, 1, 0, 0, 0, 0));
        assert_eq!(hour_of(-1), -1);
        assert_eq!(hour_of(3_600_000_000), 1);
    }

    /// Every day of 800 years follows the one before as a calendar's days do.
    #[test]
    fn days_follow_each_other() {
        let length = |year: i64, month: i64| match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let (mut year, mut month, mut day) = date(-146_097);
        assert_eq!((year, month, day), (1570, 1, 1));
        for days in -146_096..=146_097 {
            day += 1;
            if day > length(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
            assert_eq!(date(days), (year, month, day));
        }
    }

    #[test]
    fn texts_are_those_of_rfc_3339() {
        let text = |time_us: i64| {
            let mut out = Vec::new();
            civil(time_us).write_rfc3339(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(text(1_764_000_000_123_456), "2025-11-24T16:00:00.123456Z");
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for time_us in [i64::MIN, i64::MAX] {
            let _ = civil(time_us);
        }
    }
}
