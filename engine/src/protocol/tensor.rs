//! Tensors: their datatypes, where their values are, and how a value becomes one of a row. Binary values are read where
//! they lie.

use quintile_model::{Cell, Precision};

pub use super::datatype::Datatype;
use super::datatype::{half, narrowed};
use super::json::Span;

/// What kinds of values a JSON list has: bits.
pub mod kinds {
    /// Numbers.
    pub const NUMBER: u8 = 1;
    /// `true` or `false`.
    pub const BOOLEAN: u8 = 2;
    /// Strings.
    pub const TEXT: u8 = 4;
}

/// The values of a tensor, as its request holds them.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Numbers of a JSON list; NaN is missing. Of a list of texts each value is a place in `texts`.
    Json {
        /// Its numbers.
        values: &'a [f64],
        /// All texts of the request.
        texts: &'a [Span],
        /// Which kinds there are.
        kinds: u8,
        /// The request.
        body: &'a [u8],
    },
    /// Numbers as little-endian bytes.
    Raw(&'a [u8]),
    /// Texts, each behind four bytes that say its length, and where each begins.
    RawTexts(&'a [u8], &'a [u32]),
    /// Booleans.
    Bools(&'a [bool]),
    /// Integers of 32 bits at most.
    Ints(&'a [i32]),
    /// Integers.
    Longs(&'a [i64]),
    /// Integers of 32 bits at most, without a sign.
    Uints(&'a [u32]),
    /// Integers without a sign.
    Ulongs(&'a [u64]),
    /// Numbers of 32 bits.
    Floats(&'a [f32]),
    /// Numbers of 64 bits.
    Doubles(&'a [f64]),
    /// Texts.
    Texts(&'a [Vec<u8>]),
}

/// A tensor of a request.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// Its place among the inputs.
    pub input: usize,
    /// What it is called.
    pub name: &'a str,
    /// What its values are.
    pub datatype: Datatype,
    /// Rows, where it has a dimension.
    pub rows: usize,
    /// Values of a row: all other dimensions multiplied.
    pub columns: usize,
    /// How many dimensions it has.
    pub dimensions: usize,
    /// Its values.
    pub values: Values<'a>,
}

/// An integer as the model reads it: rounded once.
#[expect(clippy::cast_precision_loss, reason = "the nearest number, ties to even")]
fn long(single: bool, integer: i64) -> f64 {
    if single {
        f64::from(integer as f32)
    } else {
        integer as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest number, ties to even")]
fn ulong(single: bool, integer: u64) -> f64 {
    if single {
        f64::from(integer as f32)
    } else {
        integer as f64
    }
}

/// Calls `put` with the numbers that little-endian bytes hold.
macro_rules! each_raw {
    ($bytes:expr, $type:ty, $range:expr, $put:expr, $number:expr) => {{
        const SIZE: usize = size_of::<$type>();
        let bytes = $bytes.get($range.start * SIZE..$range.end * SIZE).unwrap_or_default();
        for (place, value) in bytes.chunks_exact(SIZE).enumerate() {
            let value = <$type>::from_le_bytes(value.first_chunk().copied().unwrap_or_default());
            $put(place, $number(value));
        }
    }};
}

impl Tensor<'_> {
    /// Hands on numbers of the tensor, from one place to before another, as a model of this precision reads them; NaN is
    /// missing. False for a tensor of texts.
    #[inline]
    pub fn numbers(&self, range: std::ops::Range<usize>, input: Precision, mut put: impl FnMut(usize, f64)) -> bool {
        let single = input == Precision::F32;
        match self.values {
            Values::Json { kinds, .. } if kinds & kinds::TEXT != 0 => return false,
            Values::Json { values, .. } => {
                let datatype = self.datatype;
                for (place, &value) in values.get(range).unwrap_or_default().iter().enumerate() {
                    put(place, narrowed(datatype, value));
                }
            }
            Values::Raw(bytes) => self.raw_numbers(bytes, range, single, put),
            Values::RawTexts(..) | Values::Texts(_) => return false,
            Values::Bools(values) => copied(values, range, put, |flag| f64::from(u8::from(flag))),
            Values::Ints(values) => copied(values, range, put, |value| long(single, value.into())),
            Values::Longs(values) => copied(values, range, put, |value| long(single, value)),
            Values::Uints(values) => copied(values, range, put, |value| ulong(single, value.into())),
            Values::Ulongs(values) => copied(values, range, put, |value| ulong(single, value)),
            Values::Floats(values) => copied(values, range, put, f64::from),
            Values::Doubles(values) => copied(values, range, put, |value| value),
        }
        true
    }

    fn raw_numbers(&self, bytes: &[u8], range: std::ops::Range<usize>, single: bool, mut put: impl FnMut(usize, f64)) {
        match self.datatype {
            Datatype::Fp32 => each_raw!(bytes, f32, range, put, f64::from),
            Datatype::Fp64 => each_raw!(bytes, f64, range, put, |value| value),
            Datatype::Int64 => each_raw!(bytes, i64, range, put, |value| long(single, value)),
            Datatype::Uint64 => each_raw!(bytes, u64, range, put, |value| ulong(single, value)),
            Datatype::Int32 => each_raw!(bytes, i32, range, put, |value| long(single, i64::from(value))),
            Datatype::Uint32 => each_raw!(bytes, u32, range, put, |value| ulong(single, u64::from(value))),
            Datatype::Int16 => each_raw!(bytes, i16, range, put, f64::from),
            Datatype::Uint16 => each_raw!(bytes, u16, range, put, f64::from),
            Datatype::Int8 => each_raw!(bytes, i8, range, put, f64::from),
            Datatype::Uint8 => each_raw!(bytes, u8, range, put, f64::from),
            Datatype::Bool => each_raw!(bytes, u8, range, put, |value| f64::from(u8::from(value != 0))),
            Datatype::Fp16 => each_raw!(bytes, u16, range, put, half),
            Datatype::Bf16 => {
                each_raw!(bytes, u16, range, put, |value| f64::from(f32::from_bits(
                    u32::from(value) << 16
                )));
            }
            Datatype::Bytes => {}
        }
    }

    /// Hands one value on as a cell; false where it is no text though it is said to be one.
    pub fn cell<T>(&self, place: usize, take: impl FnOnce(Cell<'_>) -> T) -> Option<T> {
        if let Some(text) = self.text(place) {
            return Some(match text {
                Some(text) => take(Cell::Text(&text)),
                None => take(Cell::Null),
            });
        }
        let range = place..place + 1;
        let exact = match self.values {
            Values::Raw(bytes) if self.datatype == Datatype::Int64 => {
                integer(bytes, place).map(|value| Cell::Integer(i64::from_le_bytes(value)))
            }
            Values::Raw(bytes) if self.datatype == Datatype::Uint64 => {
                integer(bytes, place).map(|value| Cell::Unsigned(u64::from_le_bytes(value)))
            }
            Values::Longs(values) => values.get(place).map(|&value| Cell::Integer(value)),
            Values::Ulongs(values) => values.get(place).map(|&value| Cell::Unsigned(value)),
            _ => None,
        };
        if let Some(cell) = exact {
            return Some(take(cell));
        }
        let mut number = None;
        self.numbers(range, Precision::F64, |_, value| number = Some(value));
        let cell = match number? {
            value if value.is_nan() => Cell::Null,
            value if self.datatype == Datatype::Bool => Cell::Boolean(value > 0.0),
            value => Cell::Float(value),
        };
        Some(take(cell))
    }

    /// A value of a tensor of texts, none in it where it is missing; none for a tensor of numbers.
    fn text(&self, place: usize) -> Option<Option<std::borrow::Cow<'_, str>>> {
        use std::borrow::Cow;
        let of = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| Cow::Owned(text.to_owned()));
        match self.values {
            Values::Json {
                values,
                texts,
                kinds,
                body,
            } if kinds & kinds::TEXT != 0 => {
                let value = values.get(place).copied().unwrap_or(f64::NAN);
                let span = index(value).and_then(|index| texts.get(index));
                Some(span.and_then(|span| span.text(body)))
            }
            Values::RawTexts(bytes, starts) => {
                let start = starts.get(place).map_or(usize::MAX, |&start| start as usize);
                let rest = bytes.get(start..).unwrap_or_default();
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let text = rest.get(..u32::from_le_bytes(*length) as usize).unwrap_or_default();
                Some(of(text).or(Some(Cow::Borrowed("\u{FFFD}"))))
            }
            Values::Texts(texts) => {
                let text = texts.get(place).map_or(&[][..], Vec::as_slice);
                Some(of(text).or(Some(Cow::Borrowed("\u{FFFD}"))))
            }
            _ => None,
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn found(&self) -> usize {
        match self.values {
            Values::Json { values, .. } => values.len(),
            Values::Raw(bytes) => bytes.len() / self.datatype.bytes().unwrap_or(1),
            Values::RawTexts(_, starts) => starts.len(),
            Values::Bools(values) => values.len(),
            Values::Ints(values) => values.len(),
            Values::Longs(values) => values.len(),
            Values::Uints(values) => values.len(),
            Values::Ulongs(values) => values.len(),
            Values::Floats(values) => values.len(),
            Values::Doubles(values) => values.len(),
            Values::Texts(values) => values.len(),
        }
    }

    /// What is wrong with the values, beside the model.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), &'static str> {
        let Values::Json { values, kinds, .. } = self.values else {
            if let Values::Raw(bytes) = self.values
                && !bytes.len().is_multiple_of(self.datatype.bytes().unwrap_or(1))
            {
                return Err("its bytes are no whole number of values");
            }
            return Ok(());
        };
        let is_text = self.datatype == Datatype::Bytes;
        if is_text && kinds & !kinds::TEXT != 0 || !is_text && kinds & kinds::TEXT != 0 {
            return Err("its data are not of its datatype: strings for BYTES, numbers and booleans for all others");
        }
        if let Some((least, greatest)) = self.datatype.integers() {
            let is_one =
                |&value: &f64| value.is_nan() || (value.trunc() >= value && value >= least && value <= greatest);
            let is_whole = |&value: &f64| value.is_nan() || value.trunc() <= value;
            if !values.iter().all(|value| is_one(value) && is_whole(value)) {
                return Err("its data are not of its datatype: whole numbers of its range");
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list, stored as a double"
)]
fn index(value: f64) -> Option<usize> {
    (value >= 0.0).then_some(value as usize)
}

fn integer(bytes: &[u8], place: usize) -> Option<[u8; 8]> {
    bytes.get(place * 8..)?.first_chunk().copied()
}

#[inline]
fn copied<T: Copy>(
    values: &[T],
    range: std::ops::Range<usize>,
    mut put: impl FnMut(usize, f64),
    number: impl Fn(T) -> f64,
) {
    for (place, &value) in values.get(range).unwrap_or_default().iter().enumerate() {
        put(place, number(value));
    }
}

/// Where each text of a binary tensor begins.
///
/// # Errors
/// The bytes do not end with a text.
pub fn text_starts(bytes: &[u8], starts: &mut Vec<u32>) -> Result<(), &'static str> {
    const WRONG: &str = "its bytes are no texts, each behind its length in four bytes";
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(WRONG)?;
        starts.push(u32::try_from(at).map_err(|_| WRONG)?);
        at += 4 + u32::from_le_bytes(*length) as usize;
    }
    if at == bytes.len() { Ok(()) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_behind_their_lengths() {
        let mut starts = Vec::new();
        assert_eq!(text_starts(b"\x01\0\0\0a\0\0\0\0\x02\0\0\0bc", &mut starts), Ok(()));
        assert_eq!(starts, [0, 5, 9]);
        for wrong in [&b"\x01\0\0\0"[..], b"\x01\0\0", b"\xFF\xFF\xFF\xFFa"] {
            assert!(text_starts(wrong, &mut starts).is_err());
        }
    }

    #[test]
    fn integers_are_rounded_once() {
        let bytes: Vec<u8> = [i64::MAX, -3, (1 << 24) + 1]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let tensor = Tensor {
            input: 0,
            name: "x",
            datatype: Datatype::Int64,
            rows: 3,
            columns: 1,
            dimensions: 2,
            values: Values::Raw(&bytes),
        };
        let mut found = Vec::new();
        assert!(tensor.numbers(0..3, Precision::F32, |_, value| found.push(value)));
        assert_eq!(found, [9_223_372_036_854_775_808.0, -3.0, 16_777_216.0]);
        assert_eq!(
            tensor.cell(2, |cell| matches!(cell, Cell::Integer(16_777_217))),
            Some(true)
        );
    }
}
