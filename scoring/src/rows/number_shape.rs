//! How a text writes a number, as far as its commas, points and spaces tell.

/// Signs that stand between groups of three digits: those of English, German, Swiss, French and Swedish programs.
const GROUP_SEPARATORS: [char; 7] = [',', '.', '\'', '\u{2019}', ' ', '\u{a0}', '\u{202f}'];

/// How a number is written, as far as commas and points tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberShape {
    /// `0,5`: nothing but a decimal comma.
    Comma,
    /// `1,500`.
    CommaOrThousands,
    /// `0.5`.
    Point,
    /// `1.500`.
    PointOrThousands,
    /// `1.234,5`, `1,234,567`, `12 000`: groups of three digits.
    Thousands,
    /// Neither sign, or no number.
    Other,
}

/// What to do about a number with thousands separators.
pub(crate) const WITHOUT_THOUSANDS: &str = "; write it without thousands separators, as 12000.5";

impl NumberShape {
    pub(crate) fn of(cell: &[u8]) -> Self {
        let cell = cell.trim_ascii();
        let digits = cell.strip_prefix(b"-").or(cell.strip_prefix(b"+")).unwrap_or(cell);
        let Some(at) = digits.iter().position(|byte| b",.".contains(byte)) else {
            return Self::grouped(digits);
        };
        let (whole, rest) = (&digits[..at], &digits[at + 1..]);
        let (part, exponent) = match rest.iter().position(|byte| b"eE".contains(byte)) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let are_digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        let is_number = are_digits(whole)
            && are_digits(part)
            && whole.len() + part.len() > 0
            && exponent.is_none_or(|exponent| {
                let digits = exponent
                    .strip_prefix(b"-")
                    .or(exponent.strip_prefix(b"+"))
                    .unwrap_or(exponent);
                !digits.is_empty() && are_digits(digits)
            });
        if !is_number {
            return Self::grouped(digits);
        }
        let may_be_thousands =
            exponent.is_none() && part.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with(b"0");
        match (digits[at], may_be_thousands) {
            (b',', true) => Self::CommaOrThousands,
            (b',', false) => Self::Comma,
            (_, true) => Self::PointOrThousands,
            (_, false) => Self::Point,
        }
    }

    /// Groups of three digits between separators, or no number.
    fn grouped(digits: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(digits) else {
            return Self::Other;
        };
        let are_digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
        let is_grouped = |whole: &str, separator: char| {
            let mut groups = whole.split(separator);
            let first = groups.next().unwrap_or_default();
            let others: Vec<&str> = groups.collect();
            (1..=3).contains(&first.len())
                && are_digits(first)
                && !others.is_empty()
                && others.iter().all(|group| group.len() == 3 && are_digits(group))
        };
        let is_thousands = GROUP_SEPARATORS.into_iter().any(|separator| {
            let decimals = [',', '.'].into_iter().filter(|sign| *sign != separator);
            let parts = decimals.filter_map(|sign| text.rsplit_once(sign));
            let mut wholes = parts.filter(|(_, part)| are_digits(part)).map(|(whole, _)| whole);
            is_grouped(text, separator) || wholes.any(|whole| is_grouped(whole, separator))
        });
        if is_thousands { Self::Thousands } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_proves_its_sign_or_does_not() {
        for (cell, shape) in [
            ("0,5", NumberShape::Comma),
            (" -12,25 ", NumberShape::Comma),
            ("1234,500", NumberShape::Comma),
            ("0,125", NumberShape::Comma),
            ("1,5e-3", NumberShape::Comma),
            (",5", NumberShape::Comma),
            ("1,500", NumberShape::CommaOrThousands),
            ("-999,000", NumberShape::CommaOrThousands),
            ("0.5", NumberShape::Point),
            ("1.500", NumberShape::PointOrThousands),
            ("1.234,5", NumberShape::Thousands),
            ("-1,234,567", NumberShape::Thousands),
            ("10.060,31", NumberShape::Thousands),
            ("12'000.5", NumberShape::Thousands),
            ("12 000", NumberShape::Thousands),
            ("12\u{a0}000,25", NumberShape::Thousands),
            ("1.23,5", NumberShape::Other),
            ("1,2,3", NumberShape::Other),
            ("12 00", NumberShape::Other),
            ("15", NumberShape::Other),
            ("", NumberShape::Other),
            (",", NumberShape::Other),
            ("a,b", NumberShape::Other),
            ("1,5e", NumberShape::Other),
        ] {
            assert_eq!(NumberShape::of(cell.as_bytes()), shape, "{cell:?}");
        }
    }
}
