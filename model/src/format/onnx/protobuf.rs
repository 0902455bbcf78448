//! As much of the protobuf wire format as an ONNX file needs: fields by number, varints, fixed floats, packed or not.

use super::super::FormatError;

/// Fields of one message, and where it begins in the file.
#[derive(Clone, Copy)]
pub(super) struct Message<'b> {
    bytes: &'b [u8],
    start: usize,
}

/// A field's content.
#[derive(Clone, Copy)]
pub(super) enum Field<'b> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Message<'b>),
    Fixed32([u8; 4]),
}

impl<'b> Message<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, start: 0 }
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> FormatError {
        fault(self.start, message)
    }

    /// All fields in order, each with its number.
    pub(super) fn fields(self) -> Fields<'b> {
        Fields { message: self, at: 0 }
    }

    pub(super) fn text(&self) -> Result<&'b str, FormatError> {
        std::str::from_utf8(self.bytes).map_err(|_| self.fault("a string is not UTF-8"))
    }
}

fn fault(offset: usize, message: impl Into<String>) -> FormatError {
    FormatError::Syntax {
        format: "ONNX",
        offset,
        message: message.into(),
    }
}

pub(super) struct Fields<'b> {
    message: Message<'b>,
    at: usize,
}

impl<'b> Fields<'b> {
    fn fault(&self, message: impl Into<String>) -> FormatError {
        fault(self.message.start + self.at, message)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], FormatError> {
        let left = &self.message.bytes[self.at..];
        let Some(taken) = left.get(..length) else {
            return Err(self.fault(format!("{length} bytes are claimed, but only {} are left", left.len())));
        };
        self.at += length;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.fault("an integer of more than 64 bits"))
    }

    fn field(&mut self) -> Result<(u64, Field<'b>), FormatError> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                let mut eight = [0; 8];
                eight.copy_from_slice(self.take(8)?);
                Field::Fixed64(eight)
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let start = self.message.start + self.at;
                Field::Bytes(Message {
                    bytes: self.take(length)?,
                    start,
                })
            }
            5 => {
                let mut four = [0; 4];
                four.copy_from_slice(self.take(4)?);
                Field::Fixed32(four)
            }
            kind => return Err(self.fault(format!("a field of wire type {kind}"))),
        };
        Ok((tag >> 3, field))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Field<'b>), FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.message.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.message.bytes.len();
        }
        Some(field)
    }
}

/// Appends the floats of one occurrence of a repeated field.
pub(super) fn floats(field: Field<'_>, into: &mut Vec<f64>) -> Result<(), FormatError> {
    match field {
        Field::Fixed32(four) => into.push(f64::from(f32::from_le_bytes(four))),
        Field::Fixed64(eight) => into.push(f64::from_le_bytes(eight)),
        Field::Bytes(packed) => raw_floats(packed, into)?,
        Field::Varint(_) => return Err(fault(0, "an integer where floats are accepted")),
    }
    Ok(())
}

/// Appends packed 32-bit floats.
fn raw_floats(packed: Message<'_>, into: &mut Vec<f64>) -> Result<(), FormatError> {
    let (fours, rest) = packed.bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(packed.fault("floats take four bytes each"));
    }
    into.extend(fours.iter().map(|&four| f64::from(f32::from_le_bytes(four))));
    Ok(())
}

/// Appends packed 64-bit floats.
pub(super) fn raw_doubles(packed: Message<'_>, into: &mut Vec<f64>) -> Result<(), FormatError> {
    let (eights, rest) = packed.bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(packed.fault("doubles take eight bytes each"));
    }
    into.extend(eights.iter().map(|&eight| f64::from_le_bytes(eight)));
    Ok(())
}

/// Appends the integers of one occurrence of a repeated field.
pub(super) fn ints(field: Field<'_>, into: &mut Vec<i64>) -> Result<(), FormatError> {
    match field {
        Field::Varint(int) => into.push(int.cast_signed()),
        Field::Bytes(packed) => {
            let mut fields = packed.fields();
            while fields.at < packed.bytes.len() {
                into.push(fields.varint()?.cast_signed());
            }
        }
        Field::Fixed32(_) | Field::Fixed64(_) => return Err(fault(0, "a float where integers are accepted")),
    }
    Ok(())
}
