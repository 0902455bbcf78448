//! Sizes and durations as people write them: `1GiB`, `500 kB`, `5m`, `1.5s`, `1h 30m`.
//!
//! A number without a unit has the unit of its key, as it always had. A text with one is turned into that unit exactly, or
//! refused with what to write.

use std::time::Duration;

use quintile_scoring::text::excerpt;

/// What a number of a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes.
    Bytes,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
}

/// Sizes, the longest of 1,024 first: in this order they are looked for when a number is shown.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// Durations in nanoseconds, the longest first.
const TIMES: [(&str, u64); 6] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
];

/// Other spellings, in lower case, and the one above. A letter alone means 1,000 to some programs and 1,024 to others, and
/// so is none of them.
const SPELLINGS: [(&str, &str); 31] = [
    ("bytes", "B"),
    ("byte", "B"),
    ("b", "B"),
    ("kib", "KiB"),
    ("ki", "KiB"),
    ("mib", "MiB"),
    ("mi", "MiB"),
    ("gib", "GiB"),
    ("gi", "GiB"),
    ("tib", "TiB"),
    ("ti", "TiB"),
    ("kb", "kB"),
    ("mb", "MB"),
    ("gb", "GB"),
    ("tb", "TB"),
    ("d", "d"),
    ("day", "d"),
    ("days", "d"),
    ("h", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("m", "min"),
    ("min", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("s", "s"),
    ("sec", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("ms", "ms"),
    ("us", "us"),
];

impl Unit {
    /// The unit of a key whose table calls it so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "bytes" => Some(Self::Bytes),
            "µs" => Some(Self::Micros),
            _ => None,
        }
    }

    /// Its sign, as documents and `config show` write it.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Micros => "µs",
            Self::Millis => "ms",
            Self::Seconds => "s",
        }
    }

    /// What else is accepted, for the documentation and for faults.
    pub(crate) fn examples(self) -> &'static str {
        match self {
            Self::Bytes => "\"64MiB\", \"1GiB\" or \"2GB\"",
            Self::Micros => "\"50us\" or \"1ms\"",
            Self::Millis => "\"500ms\", \"75s\" or \"5m\"",
            Self::Seconds => "\"75s\", \"5m\" or \"1h\"",
        }
    }

    /// What one of it is, in bytes or nanoseconds.
    fn size(self) -> u64 {
        match self {
            Self::Bytes => 1,
            Self::Micros => 1_000,
            Self::Millis => 1_000_000,
            Self::Seconds => 1_000_000_000,
        }
    }

    fn table(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Bytes => &SIZES,
            _ => &TIMES,
        }
    }

    /// Reads a text that has a unit, or several as in `1h 30m`, in this unit. None when it has none: then it is a plain number
    /// or nothing of ours.
    pub(crate) fn read(self, text: &str) -> Option<Result<f64, String>> {
        let text = text.trim();
        if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.contains(|c: char| c.is_alphabetic()) {
            return None;
        }
        Some(self.sum(text).map(|sum| sum / self.size() as f64))
    }

    /// Every number of a text with its unit, in bytes or nanoseconds.
    fn sum(self, text: &str) -> Result<f64, String> {
        let (mut rest, mut sum) = (text, 0.0);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_');
            let (number, behind) = rest.split_at(digits.unwrap_or(rest.len()));
            let behind = behind.trim_start();
            let end = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
            let (unit, behind) = behind.split_at(end);
            let number: f64 = number
                .replace('_', "")
                .parse()
                .map_err(|_| format!("is {}", excerpt(text)))?;
            sum += number * self.one(unit, number, text)?;
            rest = behind.trim_start();
        }
        Ok(sum)
    }

    /// What one of a unit is.
    fn one(self, unit: &str, number: f64, text: &str) -> Result<f64, String> {
        let lower = unit.to_lowercase().replace(['µ', 'μ'], "u");
        let known = SPELLINGS.iter().find(|(spelling, _)| *spelling == lower);
        let known = known.filter(|_| !(lower == "m" && unit == "M"));
        let found = known.and_then(|(_, sign)| self.table().iter().find(|(known, _)| known == sign));
        match found {
            Some(&(_, size)) => Ok(size as f64),
            None => Err(self.unknown(unit, &lower, number, text, known.is_some())),
        }
    }

    fn unknown(self, unit: &str, lower: &str, number: f64, text: &str, is_other: bool) -> String {
        if let Some(prefix) = ["k", "m", "g", "t"]
            .into_iter()
            .find(|prefix| self == Self::Bytes && *prefix == lower)
        {
            let (binary, decimal) = match prefix {
                "k" => ("KiB", "kB"),
                "m" => ("MiB", "MB"),
                "g" => ("GiB", "GB"),
                _ => ("TiB", "TB"),
            };
            let text = excerpt(text);
            return format!(
                "is {text}, which may mean \"{number}{binary}\" (powers of 1024) or \"{number}{decimal}\" (powers of 1000): \
                 write one of them"
            );
        }
        let what = if self == Self::Bytes { "size" } else { "duration" };
        match is_other {
            true => format!("is {}, and {:?} is no unit of a {what}", excerpt(text), unit),
            false => format!("is {}, of which {} is no unit", excerpt(text), excerpt(unit)),
        }
    }

    /// A number of this unit as people say it, where that is shorter: `1 GiB`, `25 s`.
    pub(crate) fn shown(self, number: f64) -> Option<String> {
        let least = number * self.size() as f64;
        if !(least.is_finite() && least >= 1.0) {
            return None;
        }
        let own = self.sign();
        // Of sizes the powers of 1,024 only: 33554432 bytes are 32 MiB.
        let table = match self {
            Self::Bytes => &SIZES[..4],
            _ => &TIMES[..],
        };
        let is_whole = |&&(_, size): &&(&str, u64)| {
            let parts = least / size as f64;
            parts >= 1.0 && parts.fract() == 0.0
        };
        let &(sign, size) = table.iter().find(is_whole)?;
        (sign != own).then(|| format!("{} {sign}", least / size as f64))
    }

    /// The number that was probably meant by one outside of the range: as if it had been in a longer or shorter unit. What to
    /// write then, with the unit and without.
    pub(crate) fn meant(self, number: f64, accepted: impl Fn(f64) -> bool) -> Option<String> {
        let others: &[(&str, u64)] = match self {
            Self::Bytes => &SIZES[..4],
            Self::Micros => &TIMES[4..5],
            Self::Millis => &TIMES[2..4],
            Self::Seconds => &TIMES[4..5],
        };
        // The nearest unit first.
        let others = others.iter().rev();
        let fits = others.map(|&(sign, size)| (sign, number * (size as f64 / self.size() as f64)));
        let (sign, meant) = fits.into_iter().find(|&(_, meant)| number > 0.0 && accepted(meant))?;
        Some(format!(
            "did you mean {number} {sign}? Write \"{number}{sign}\" or {meant}"
        ))
    }
}

/// A duration as people say it.
#[must_use]
pub(crate) fn duration(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    Unit::Millis.shown(millis).unwrap_or_else(|| format!("{millis} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_exact() {
        for (unit, text, expected) in [
            (Unit::Bytes, "1GiB", 1_073_741_824.0),
            (Unit::Bytes, "64 mib", 67_108_864.0),
            (Unit::Bytes, "1.5KiB", 1536.0),
            (Unit::Bytes, "2GB", 2e9),
            (Unit::Bytes, "512Mi", 536_870_912.0),
            (Unit::Bytes, "4096B", 4096.0),
            (Unit::Bytes, "1_000kB", 1e6),
            (Unit::Millis, "75s", 75_000.0),
            (Unit::Millis, "5m", 300_000.0),
            (Unit::Millis, "1.5s", 1500.0),
            (Unit::Millis, "1h 30m", 5_400_000.0),
            (Unit::Millis, "1m30s", 90_000.0),
            (Unit::Millis, "250 ms", 250.0),
            (Unit::Seconds, "500ms", 0.5),
            (Unit::Seconds, "1 day", 86_400.0),
            (Unit::Micros, "1ms", 1000.0),
            (Unit::Micros, "50µs", 50.0),
        ] {
            assert_eq!(unit.read(text), Some(Ok(expected)), "{text}");
        }
        for text in ["", "5", "-5s", "x", "GiB", "0x10", " "] {
            let read = Unit::Millis.read(text);
            assert!(
                read.is_none() || text == "0x10" && read.is_some_and(|read| read.is_err()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_unit_of_something_else_or_none_is_told() {
        for (unit, text, says) in [
            (
                Unit::Bytes,
                "1G",
                "may mean \"1GiB\" (powers of 1024) or \"1GB\" (powers of 1000): write one of them",
            ),
            (Unit::Bytes, "1M", "may mean \"1MiB\""),
            (Unit::Bytes, "5k", "or \"5kB\""),
            (Unit::Bytes, "5min", "\"min\" is no unit of a size"),
            (Unit::Millis, "1GiB", "\"GiB\" is no unit of a duration"),
            (Unit::Millis, "5M", "\"M\" is no unit"),
            (Unit::Millis, "5 parsecs", "\"parsecs\" is no unit"),
            (Unit::Millis, "1.2.3s", "is \"1.2.3s\""),
            (Unit::Millis, "1s5", "is no unit"),
        ] {
            let told = unit.read(text).expect(text).expect_err(text);
            assert!(told.contains(says), "{told}");
        }
    }

    #[test]
    fn numbers_are_shown_as_people_say_them() {
        let shown = |unit: Unit, number| unit.shown(number).unwrap_or_default();
        assert_eq!(shown(Unit::Bytes, 1_073_741_824.0), "1 GiB");
        assert_eq!(shown(Unit::Bytes, 33_554_432.0), "32 MiB");
        assert_eq!(shown(Unit::Bytes, 1000.0), "");
        assert_eq!(shown(Unit::Millis, 75_000.0), "75 s");
        assert_eq!(shown(Unit::Millis, 500.0), "");
        assert_eq!(shown(Unit::Seconds, 60.0), "1 min");
        assert_eq!(shown(Unit::Millis, 0.0), "");
        assert_eq!(duration(Duration::from_secs(5)), "5 s");
        assert_eq!(duration(Duration::from_millis(1500)), "1500 ms");
    }

    #[test]
    fn the_number_meant_is_of_the_nearest_unit_that_fits() {
        let above = |least: f64| move |number: f64| number >= least && number <= 1e13;
        assert_eq!(
            Unit::Millis.meant(25.0, above(100.0)).as_deref(),
            Some("did you mean 25 s? Write \"25s\" or 25000")
        );
        assert_eq!(
            Unit::Bytes.meant(192.0, above(8_388_608.0)).as_deref(),
            Some("did you mean 192 MiB? Write \"192MiB\" or 201326592")
        );
        assert_eq!(
            Unit::Seconds.meant(300_000.0, |number| number <= 86_400.0).as_deref(),
            Some("did you mean 300000 ms? Write \"300000ms\" or 300")
        );
        assert_eq!(Unit::Millis.meant(0.0, above(100.0)), None);
        assert_eq!(Unit::Millis.meant(-5.0, above(100.0)), None);
    }
}
