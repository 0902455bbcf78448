//! Conversions between the numbers that people state and those that clocks count.

use std::time::Duration;

/// Nanoseconds of a second.
pub const NANOSECONDS: f64 = 1e9;

/// A duration in whole nanoseconds; the largest number for more than 584 years.
#[must_use]
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A number without its fraction; 0 for what is below, and NaN.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is meant"
)]
pub fn whole(number: f64) -> u64 {
    number as u64
}

/// Nanoseconds for people: `412 ns`, `7.25 µs`, `1.23 ms`, `4.5 s`.
#[must_use]
pub fn time(ns: u64) -> String {
    let ns = ns as f64;
    match ns {
        0.0..1e3 => format!("{ns:.0} ns"),
        1e3..1e6 => format!("{} µs", digits(ns / 1e3)),
        1e6..1e9 => format!("{} ms", digits(ns / 1e6)),
        _ => format!("{} s", digits(ns / 1e9)),
    }
}

/// Three digits that count.
fn digits(number: f64) -> String {
    match number {
        0.0..9.995 => format!("{number:.2}"),
        9.995..99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// A whole number with its thousands apart: `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let all = [
            0,
            999,
            1_000,
            7_249,
            9_996,
            99_960,
            1_234_567,
            45_600_000,
            999_900_000,
            61_000_000_000,
        ];
        let texts = all.map(time);
        let wanted = [
            "0 ns", "999 ns", "1.00 µs", "7.25 µs", "10.0 µs", "100 µs", "1.23 ms", "45.6 ms", "1000 ms", "61.0 s",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
