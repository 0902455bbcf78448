//! Rows as Amazon's records of protobuf: `application/x-recordio-protobuf`. A record is a magic number, its length, and a
//! message `Record` whose `features["values"]` is a tensor, dense or with the columns of its values.

use quintile_model::Cell;
use quintile_scoring::loaded::LoadedModel;

use super::ReadLimits;
use super::rows::Rows;
use super::rows_error::RowsError;

const MAGIC: u32 = 0xCED7_230A;

const WRONG: &str = "the body is no recordio-protobuf: records with features[\"values\"], each behind its length";

/// How far a body is read.
#[derive(Debug, Default)]
pub struct RecordIo {
    at: usize,
}

/// A field of a message.
enum Field<'a> {
    Bytes(&'a [u8]),
    Other,
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << (7 * place).min(63);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(bytes)?;
    let field = match key & 7 {
        0 => {
            varint(bytes)?;
            Field::Other
        }
        1 => {
            *bytes = bytes.get(8..)?;
            Field::Other
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (taken, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Field::Bytes(taken)
        }
        5 => {
            let (taken, rest) = bytes.split_at_checked(4)?;
            *bytes = rest;
            Field::Bytes(taken)
        }
        _ => return None,
    };
    Some((key >> 3, field))
}

/// A field of bytes of a message, the last of its number.
fn find(mut message: &[u8], number: u64) -> Option<&[u8]> {
    let mut found = None;
    while !message.is_empty() {
        match field(&mut message)? {
            (at, Field::Bytes(bytes)) if at == number => found = Some(bytes),
            _ => {}
        }
    }
    found
}

/// The tensor of a record's values, and bytes of one of them.
fn values(mut record: &[u8]) -> Option<(&[u8], usize)> {
    while !record.is_empty() {
        let (number, Field::Bytes(entry)) = field(&mut record)? else {
            continue;
        };
        if number != 1 || find(entry, 1) != Some(b"values") {
            continue;
        }
        let value = find(entry, 2)?;
        return find(value, 2)
            .map(|tensor| (tensor, 4))
            .or_else(|| find(value, 3).map(|tensor| (tensor, 8)));
    }
    None
}

impl RecordIo {
    /// Forgets the body.
    pub fn reset(&mut self) {
        self.at = 0;
    }

    /// Reads on for a slice; none while there is more.
    pub fn read(
        &mut self,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        let until = self.at.saturating_add(limits.bytes);
        while self.at < body.len() {
            if self.at >= until {
                return None;
            }
            if let Err(error) = self.record(loaded, body, rows) {
                return Some(Err(error));
            }
            if rows.count() > limits.rows {
                return Some(Err(RowsError::TooManyRows { limit: limits.rows }));
            }
        }
        Some(Ok(()))
    }

    fn record(&mut self, loaded: &LoadedModel, body: &[u8], rows: &mut Rows) -> Result<(), RowsError> {
        let wrong = RowsError::Request(WRONG);
        let rest = body.get(self.at..).unwrap_or_default();
        let (magic, rest) = rest.split_first_chunk::<4>().ok_or(wrong)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(wrong)?;
        if u32::from_le_bytes(*magic) != MAGIC {
            return Err(wrong);
        }
        let length = u32::from_le_bytes(*length) as usize;
        let record = rest.get(..length).ok_or(wrong)?;
        self.at += 8 + length.next_multiple_of(4);
        let (tensor, size) = values(record).ok_or(wrong)?;
        let row = rows.count();
        rows.add(1);
        let numbers = find(tensor, 1).unwrap_or_default().chunks_exact(size);
        let found = numbers.len();
        let features = loaded.model.schema().len();
        let mut keys = find(tensor, 2).filter(|keys| !keys.is_empty());
        if keys.is_none() && found != features {
            return Err(RowsError::Width { row, found });
        }
        for (place, bytes) in numbers.enumerate() {
            let number = match size {
                4 => f64::from(f32::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default())),
                _ => f64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default()),
            };
            let column = match &mut keys {
                Some(keys) => usize::try_from(varint(keys).ok_or(wrong)?).map_err(|_| wrong)?,
                None => place,
            };
            if column >= features {
                return Err(RowsError::Width { row, found: column + 1 });
            }
            let cell = if number.is_nan() {
                Cell::Null
            } else {
                Cell::Float(number)
            };
            rows.put_at(loaded, (row, column), cell)?;
        }
        Ok(())
    }
}
