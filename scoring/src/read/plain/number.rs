//! A number's text → the double nearest to it, ties to even, as in every other reader.
//!
//! ```text
//!  -12.345678      up to 16 characters, the one behind them included: which are no digits is found for all of them at once
//!                  else eight at a step; the digits of both sides are one integer, 12345678
//!                  up to 2^53 and 22 places: integer and power of ten are doubles, so one division rounds once
//!                  up to 2^64 and 19 places: a division of integers to 63 bits and more, and whether something is left
//!                  anything else (an exponent, more digits): the standard library
//! ```

/// Powers of ten that are integers of 64 bits.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut place = 1;
    while place < powers.len() {
        powers[place] = powers[place - 1] * 10;
        place += 1;
    }
    powers
};

/// Powers of ten that are doubles, exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Integers up to here are doubles, exactly.
const EXACT_END: u64 = 1 << 53;

/// Digits that an integer of 64 bits always has room for.
const DIGITS_MAX: usize = 19;

/// Characters that are looked at in one step.
const SHORT: usize = 16;

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Reads the number that a text begins with; none for one that JSON or a double does not have.
#[inline]
#[must_use]
pub fn number(text: &[u8]) -> Option<(f64, &[u8])> {
    if let Some(block) = text.first_chunk()
        && let Some((number, len)) = short(block)
    {
        return Some((number, &text[len..]));
    }
    long(text)
}

/// A number of up to seven digits before its dot and eight behind it, and its length. None also means another one.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "less than 10^15")]
fn short(text: &[u8; SHORT]) -> Option<(f64, usize)> {
    let others = others_of_all(text);
    let is_negative = text[0] == b'-';
    let sign = usize::from(is_negative);
    let others = others & !u32::from(is_negative);
    let dot = others.trailing_zeros() as usize;
    let whole = dot.wrapping_sub(sign);
    if dot > 7 || whole == 0 || (whole > 1 && text[sign] == b'0') {
        return None;
    }
    let mut mantissa = digits_value(word(text, 0) >> (8 * sign), whole);
    let (mut end, mut places) = (dot, 0);
    if text[dot] == b'.' {
        end = (others & (others - 1)).trailing_zeros() as usize;
        places = end.wrapping_sub(dot + 1);
        if end >= SHORT || places == 0 || places > 8 {
            return None;
        }
        mantissa = mantissa * POWERS[places] + digits_value(word(text, dot + 1), places);
    }
    if text[end] | 0x20 == b'e' {
        return None;
    }
    Some((signed(mantissa.cast_signed() as f64 / EXACT[places], is_negative), end))
}

/// Without a branch: half of all values are negative, and nothing foretells which.
#[inline]
fn signed(magnitude: f64, is_negative: bool) -> f64 {
    f64::from_bits(magnitude.to_bits() | u64::from(is_negative) << 63)
}

/// Eight characters, the first one lowest.
#[inline]
fn word(text: &[u8; SHORT], at: usize) -> u64 {
    text.get(at..at + 8)
        .and_then(|word| word.first_chunk())
        .map_or(0, |&word| u64::from_le_bytes(word))
}

/// A bit for each of sixteen characters that is no digit, the first one lowest.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "SSE2's instructions")]
fn others_of_all(text: &[u8; SHORT]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8, _mm_xor_si128,
    };
    // SAFETY: every x86-64 processor has SSE2.
    unsafe {
        let text = _mm_set_epi64x(word(text, 8).cast_signed(), word(text, 0).cast_signed());
        let digits = _mm_xor_si128(text, _mm_set1_epi8(0x30));
        let are_digits = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
        _mm_movemask_epi8(are_digits).cast_unsigned() ^ 0xFFFF
    }
}

/// A bit for each of sixteen characters that is no digit, the first one lowest.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn others_of_all(text: &[u8; SHORT]) -> u32 {
    others(word(text, 0)) | others(word(text, 8)) << 8
}

/// A bit for each of eight characters that is no digit, the first one lowest.
#[inline]
fn others(word: u64) -> u32 {
    const NINES: u64 = 0x7676_7676_7676_7676;
    const SEVEN: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let digits = word ^ ZEROS;
    // Only seven bits are added to, so that nothing carries over into the next character.
    let above = ((digits & SEVEN).wrapping_add(NINES) | digits) & TOPS;
    // Eight bits, seven apart, come together in the top byte.
    (above >> 7).wrapping_mul(0x0102_0408_1020_4080).to_be_bytes()[0].into()
}

/// The value of the first one to eight of eight characters, which are digits.
#[inline]
fn digits_value(word: u64, count: usize) -> u64 {
    // Moved up, the digits stand behind zeros.
    eight_digits((word ^ ZEROS) << (64 - 8 * count))
}

/// As [`number`], for any text.
#[inline(never)]
fn long(text: &[u8]) -> Option<(f64, &[u8])> {
    let is_negative = text.first() == Some(&b'-');
    let unsigned = &text[usize::from(is_negative)..];
    let mut mantissa = 0;
    let (whole, mut rest) = digits(unsigned, &mut mantissa);
    if whole == 0 || (whole > 1 && unsigned[0] == b'0') {
        return None;
    }
    let mut places = 0;
    if let [b'.', behind @ ..] = rest {
        (places, rest) = digits(behind, &mut mantissa);
        if places == 0 {
            return None;
        }
    }
    if let [b'e' | b'E', behind @ ..] = rest {
        let (Some(b'+' | b'-'), behind) = (behind.first(), behind.get(1..)?) else {
            return standard(text, digits(behind, &mut 0));
        };
        return standard(text, digits(behind, &mut 0));
    }
    if whole + places > DIGITS_MAX {
        return standard(text, (whole, rest));
    }
    Some((signed(magnitude(mantissa, places), is_negative), rest))
}

/// The standard library's reading of what stands before the rest, whose last digits are so many.
fn standard<'a>(text: &'a [u8], (digits, rest): (usize, &'a [u8])) -> Option<(f64, &'a [u8])> {
    let number = std::str::from_utf8(&text[..text.len() - rest.len()]).ok()?;
    let number: f64 = number.parse().ok()?;
    (digits > 0 && number.is_finite()).then_some((number, rest))
}

/// Adds the digits that a text begins with to an integer, which wraps beyond [`DIGITS_MAX`], and counts them.
#[inline]
fn digits<'a>(text: &'a [u8], integer: &mut u64) -> (usize, &'a [u8]) {
    let mut rest = text;
    while let Some(block) = rest.first_chunk() {
        let word = u64::from_le_bytes(*block);
        let count = others(word).trailing_zeros().min(8) as usize;
        if count > 0 {
            *integer = integer
                .wrapping_mul(POWERS[count])
                .wrapping_add(digits_value(word, count));
        }
        rest = &rest[count..];
        if count < block.len() {
            return (text.len() - rest.len(), rest);
        }
    }
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        *integer = integer.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        rest = behind;
    }
    (text.len() - rest.len(), rest)
}

/// The value of eight digits, one a byte, the first one lowest: pairs, then pairs of pairs, then both halves.
#[inline]
fn eight_digits(digits: u64) -> u64 {
    const HALVES: u64 = 0x0000_00FF_0000_00FF;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & HALVES).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & HALVES).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}

/// The double nearest to `mantissa / 10^places`, of at most [`DIGITS_MAX`] places.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53, and meant to round above")]
fn magnitude(mantissa: u64, places: usize) -> f64 {
    if mantissa <= EXACT_END {
        mantissa.cast_signed() as f64 / EXACT[places]
    } else if places == 0 {
        mantissa as f64
    } else {
        quotient(mantissa, POWERS[places])
    }
}

/// The double nearest to a quotient of integers that are not zero.
#[expect(clippy::cast_precision_loss, reason = "this cast is the one rounding")]
#[expect(clippy::cast_possible_truncation, reason = "a quotient below 2^64, see there")]
fn quotient(dividend: u64, divisor: u64) -> f64 {
    let (up, down) = (dividend.leading_zeros(), divisor.leading_zeros());
    let (dividend, divisor) = (u128::from(dividend << up) << 63, u128::from(divisor << down));
    // Both have their top bit set, so this lies between 2^62 and 2^64: ten bits more than a double has, and more.
    let whole = dividend / divisor;
    // What is left over decides where the bits behind the double's are exactly a half. One bit says that there is
    // something.
    let is_inexact = dividend != whole * divisor;
    let rounded = (whole as u64 | u64::from(is_inexact)) as f64;
    let exponent = 1023 - 63 + u64::from(down) - u64::from(up);
    rounded * f64::from_bits(exponent << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::Random;

    /// Reads a text that ends here, and one that goes on: near its end a body is read byte by byte.
    fn check(text: &str) {
        let expected: f64 = text.parse().unwrap();
        for tail in ["", "}", ",\"f2\":12345678,\"f3\":0", "                "] {
            let body = format!("{text}{tail}");
            let read = number(body.as_bytes()).map(|(number, rest)| (number.to_bits(), rest));
            assert_eq!(read, Some((expected.to_bits(), tail.as_bytes())), "{body}");
        }
    }

    #[test]
    fn every_text_of_a_double_is_read_as_the_standard_library_reads_it() {
        let mut random = Random::new(0x5EED_0011);
        for _ in 0..60_000 {
            let bits = random.next();
            let double = f64::from_bits(bits);
            if double.is_finite() {
                check(zmij::Buffer::new().format_finite(double));
            }
            // Of the size that features have, with 16 and 17 digits mostly.
            #[expect(clippy::cast_precision_loss, reason = "any double will do")]
            let usual = (bits >> 11) as f64 / EXACT[random.below(20)];
            check(&format!("{usual}"));
            check(&format!("-{}", usual.to_bits() >> random.below(40)));
        }
    }

    #[test]
    fn texts_of_every_length_are_read_as_the_standard_library_reads_them() {
        let mut random = Random::new(0x5EED_0012);
        for _ in 0..60_000 {
            let (whole, places) = (random.below(12), random.below(24));
            let mut text = String::from(["", "-"][random.below(2)]);
            match whole {
                0 => text.push('0'),
                digits => (0..digits).for_each(|at| text.push(b"123456789"[(random.below(9) + at) % 9].into())),
            }
            if places > 0 {
                text.push('.');
                (0..places).for_each(|_| text.push(b"00123456789"[random.below(11)].into()));
            }
            check(&text);
        }
    }

    /// Halfway between two doubles, and a hair beside: what a division must get right by what it leaves over.
    #[test]
    fn ties_go_to_even() {
        let mut random = Random::new(0x5EED_0013);
        for _ in 0..40_000 {
            let odd = (random.next() >> 10) | 1 << 53 | 1;
            let shift = random.below(10);
            // An odd integer of 54 bits lies between two doubles; divided by a power of two it has so many places.
            let scaled = u128::from(odd) * 5u128.pow(u32::try_from(shift).unwrap());
            for near in [scaled - 1, scaled, scaled + 1] {
                let digits = format!("{near:0>20}");
                let (whole, places) = digits.split_at(digits.len() - shift);
                let text = format!(
                    "{}.{places}0",
                    whole.trim_start_matches('0').parse::<u128>().unwrap_or(0)
                );
                check(&text);
            }
        }
    }

    #[test]
    fn sixteen_characters_are_looked_at_as_twice_eight_are() {
        let mut random = Random::new(0x5EED_0014);
        for byte in 0..=u8::MAX {
            for at in 0..SHORT {
                let mut text = [0; SHORT].map(|_: u8| b"0123456789./:-e\0"[random.below(16)]);
                text[at] = byte;
                let twice = others(word(&text, 0)) | others(word(&text, 8)) << 8;
                assert_eq!(others_of_all(&text), twice, "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", "-a", "01", "-012", "1.", "1.e3", "1e", "1e+", "1E-", ".5", "+1", "1e400", "-1e999", "00", "-00.5",
        ] {
            for tail in ["", "}", "                  "] {
                let body = format!("{text}{tail}");
                assert_eq!(number(body.as_bytes()), None, "{body}");
            }
        }
    }
}
