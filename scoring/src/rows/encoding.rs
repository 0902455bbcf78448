//! The bytes of a text before it is read as rows: bytes that were read ahead, UTF-16, and line ends of old Macs.

use std::io::{self, BufReader, Read};

/// Bytes that are read ahead to see what a text is.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// What ends the lines of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LineEnd {
    #[default]
    Lf,
    CrLf,
    /// Old Macs.
    Cr,
}

impl LineEnd {
    /// That of a text that begins so.
    pub(super) fn of(head: &[u8]) -> Self {
        match head.iter().position(|&byte| byte == b'\n') {
            Some(end) if head[..end].ends_with(b"\r") => Self::CrLf,
            None if head.contains(&b'\r') => Self::Cr,
            _ => Self::Lf,
        }
    }

    pub(super) fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
            Self::Cr => b"\r",
        }
    }
}

/// How a text was written that is UTF-8 with line feeds by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spelling {
    /// Whether a mark said what it is encoded as, or it was UTF-16: Excel takes UTF-8 without one for something else.
    pub(super) has_mark: bool,
    pub(super) line_end: LineEnd,
}

/// A stream whose first bytes were read ahead.
pub struct Peeked<R> {
    head: Vec<u8>,
    at: usize,
    rest: R,
    spelling: Spelling,
}

impl<R: Read> Peeked<R> {
    pub(super) fn new(mut rest: R) -> io::Result<Self> {
        let mut head = Vec::new();
        rest.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        Ok(Self {
            head,
            at: 0,
            rest,
            spelling: Spelling::default(),
        })
    }

    /// How it was written.
    pub(super) fn spelling(&self) -> Spelling {
        self.spelling
    }

    pub(super) fn set_spelling(&mut self, spelling: Spelling) {
        self.spelling = spelling;
    }

    /// The first bytes that were not taken yet.
    pub(super) fn head(&self) -> &[u8] {
        self.head.get(self.at..).unwrap_or_default()
    }

    /// Leaves out the first bytes.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.head.len());
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at < self.head.len() {
            let count = (&self.head[self.at..]).read(buffer)?;
            self.at += count;
            return Ok(count);
        }
        self.rest.read(buffer)
    }
}

/// The order of a unit's two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Utf16 {
    LittleEndian,
    BigEndian,
}

impl Utf16 {
    /// Which one a text is, and how long its mark is: from the mark, or because of its first two letters each is one of
    /// ASCII beside a zero.
    pub(super) fn of(head: &[u8]) -> Option<(Self, usize)> {
        match head {
            [0xff, 0xfe, ..] => Some((Self::LittleEndian, 2)),
            [0xfe, 0xff, ..] => Some((Self::BigEndian, 2)),
            [a @ 1..=0x7f, 0, b @ 1..=0x7f, 0, ..] if is_text(*a) && is_text(*b) => Some((Self::LittleEndian, 0)),
            [0, a @ 1..=0x7f, 0, b @ 1..=0x7f, ..] if is_text(*a) && is_text(*b) => Some((Self::BigEndian, 0)),
            _ => None,
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

/// UTF-16 as UTF-8.
pub(super) struct Utf16Reader<R> {
    rest: BufReader<R>,
    order: Utf16,
    /// UTF-8 that was not taken yet.
    ready: [u8; 4],
    ready_from: usize,
    ready_to: usize,
    /// What ends the text, when all before it was taken.
    fault: Option<io::Error>,
    /// Bytes that were read.
    bytes: u64,
}

impl<R: Read> Utf16Reader<R> {
    pub(super) fn new(rest: R, order: Utf16, mark_bytes: usize) -> Self {
        Self {
            rest: BufReader::with_capacity(HEAD_BYTES, rest),
            order,
            ready: [0; 4],
            ready_from: 0,
            ready_to: 0,
            fault: None,
            bytes: mark_bytes as u64,
        }
    }

    fn unit(&mut self) -> io::Result<Option<u16>> {
        let mut unit = [0; 2];
        let mut count = 0;
        while count < 2 {
            match self.rest.read(&mut unit[count..])? {
                0 if count == 0 => return Ok(None),
                0 => return Err(self.fault("half a letter of UTF-16 is at the end")),
                read => count += read,
            }
        }
        self.bytes += 2;
        Ok(Some(match self.order {
            Utf16::LittleEndian => u16::from_le_bytes(unit),
            Utf16::BigEndian => u16::from_be_bytes(unit),
        }))
    }

    /// The next letter.
    fn letter(&mut self) -> io::Result<Option<char>> {
        let Some(first) = self.unit()? else {
            return Ok(None);
        };
        let second = match first {
            0xd800..=0xdbff => self.unit()?,
            _ => None,
        };
        let mut units = char::decode_utf16([first].into_iter().chain(second));
        match units.next() {
            Some(Ok(letter)) => Ok(Some(letter)),
            _ => Err(self.fault("half a pair of UTF-16 stands alone")),
        }
    }

    fn fault(&self, says: &str) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{says}, before byte {}", self.bytes),
        )
    }
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let mut count = 0;
        while count < buffer.len() {
            if self.ready_from == self.ready_to {
                match self.letter() {
                    Ok(Some(letter)) => {
                        self.ready_from = 0;
                        self.ready_to = letter.encode_utf8(&mut self.ready).len();
                    }
                    Ok(None) => break,
                    Err(fault) if count == 0 => return Err(fault),
                    Err(fault) => {
                        self.fault = Some(fault);
                        break;
                    }
                }
            }
            let ready = &self.ready[self.ready_from..self.ready_to];
            let taken = ready.len().min(buffer.len() - count);
            buffer[count..count + taken].copy_from_slice(&ready[..taken]);
            self.ready_from += taken;
            count += taken;
        }
        Ok(count)
    }
}

/// Line ends of old Macs as line feeds.
pub(super) struct MacReader<R>(pub(super) R);

impl<R: Read> Read for MacReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        for byte in buffer[..count].iter_mut().filter(|byte| **byte == b'\r') {
            *byte = b'\n';
        }
        Ok(count)
    }
}

/// Says whose data is broken when a stream cannot be decompressed.
pub(super) struct Decompressed<R> {
    pub(super) rest: R,
    pub(super) name: &'static str,
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let says = |error: io::Error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            io::ErrorKind::UnexpectedEof => io::Error::new(
                error.kind(),
                format!("the {} data ends too early: the file is cut off", self.name),
            ),
            kind => io::Error::new(kind, format!("the {} data is broken: {error}", self.name)),
        };
        self.rest.read(buffer).map_err(says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, order: Utf16) -> Vec<u8> {
        let units = text.encode_utf16();
        match order {
            Utf16::LittleEndian => units.flat_map(u16::to_le_bytes).collect(),
            Utf16::BigEndian => units.flat_map(u16::to_be_bytes).collect(),
        }
    }

    #[test]
    fn utf16_is_known_and_read_at_every_boundary() {
        let text = "a\tü\t€\t🦀\r\n1\n";
        for order in [Utf16::LittleEndian, Utf16::BigEndian] {
            let bytes = utf16(text, order);
            assert_eq!(Utf16::of(&bytes), Some((order, 0)));
            let marked = utf16(&format!("\u{feff}{text}"), order);
            assert_eq!(Utf16::of(&marked), Some((order, 2)));
            for size in 1..7 {
                let (mut reader, mut read) = (Utf16Reader::new(&bytes[..], order, 0), Vec::new());
                let mut buffer = vec![0; size];
                while let count @ 1.. = reader.read(&mut buffer).unwrap() {
                    read.extend_from_slice(&buffer[..count]);
                }
                assert_eq!(String::from_utf8(read).unwrap(), text);
            }
        }
        for head in ["", "a", "ab", "a,b", "1\n"] {
            assert_eq!(Utf16::of(head.as_bytes()), None);
        }
    }

    #[test]
    fn utf16_that_is_broken_names_the_byte() {
        for (bytes, says) in [
            (
                &b"a\0\0\xd8b\0"[..],
                "half a pair of UTF-16 stands alone, before byte 8",
            ),
            (b"a\0\0\xdc", "half a pair of UTF-16 stands alone, before byte 6"),
            (b"a\0b", "half a letter of UTF-16 is at the end, before byte 4"),
        ] {
            let mut read = String::new();
            let mut reader = Utf16Reader::new(bytes, Utf16::LittleEndian, 2);
            let error = reader.read_to_string(&mut read).unwrap_err();
            assert_eq!((error.to_string().as_str(), read.as_str()), (says, "a"));
        }
    }

    #[test]
    fn what_was_read_ahead_comes_first() {
        let mut peeked = Peeked::new(&b"\xef\xbb\xbfabc"[..]).unwrap();
        peeked.skip(3);
        assert_eq!(peeked.head(), b"abc");
        let mut read = String::new();
        peeked.read_to_string(&mut read).unwrap();
        assert_eq!(read, "abc");
    }
}
