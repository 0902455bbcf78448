//! CSV records with the number and line of each. No row is lost silently, as in other CSV readers.
//!
//! The `csv` crate skips blank lines, takes what follows an unclosed quote for one cell up to the file's end, and
//! counts lines behind by one where they end in CR LF. Here unclosed quotes are errors, and so are blank lines where
//! answers are numbers alone, because a row that disappears shifts every answer after it; line numbers are those of an
//! editor. Records end with LF only; a CR before it stays in the last cell, where it is white space.

use std::io::{self, Read};

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use super::source::Row;
use super::{HeaderError, ScoreError};

/// Bytes of one record. A header of 65,536 names of 1 KiB is the most that a model may need.
pub(super) const RECORD_BYTES_MAX: usize = 68 << 20;

/// Records of a CSV text.
pub(super) struct Rows<R> {
    reader: Reader<Watched<R>>,
    row: u64,
    /// The line that the text begins on.
    first_line: u64,
    /// The line after the last record.
    line: u64,
    /// The first blank line since the last record.
    blank: Option<u64>,
    /// Whether blank lines are nothing; else only those behind the last record are.
    pub(super) skips_blank: bool,
}

impl<R: Read> Rows<R> {
    /// Records whose cells stand between separators, the first on a line of this number.
    pub(super) fn new(rows: R, separator: u8, line: u64) -> Self {
        let watched = Watched {
            rows,
            since_record: 0,
            last_byte: 0,
            ended: false,
            is_over: false,
        };
        let mut builder = ReaderBuilder::new();
        builder
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(64 << 10);
        Self {
            reader: builder.from_reader(watched),
            row: 0,
            first_line: line,
            line,
            blank: None,
            skips_blank: false,
        }
    }

    /// The cells of the header line, which must be called first, and whether they are UTF-8. Blank lines above it are
    /// skipped.
    pub(super) fn header(&mut self) -> Result<(Vec<String>, bool), ScoreError> {
        let mut record = ByteRecord::new();
        if self.record(&mut record)?.is_none() {
            return Err(HeaderError::Absent.into());
        }
        let text = |cell: &[u8]| String::from_utf8_lossy(cell.strip_suffix(b"\r").unwrap_or(cell)).into_owned();
        let mut names: Vec<_> = record.iter().map(text).collect();
        if let Some(bare) = names.first().and_then(|name| name.strip_prefix('\u{feff}')) {
            // The reader drops a byte order mark unless it is read in pieces.
            names[0] = bare.to_owned();
        }
        let is_utf8 = std::str::from_utf8(record.as_slice()).is_ok();
        Ok((names, is_utf8))
    }

    /// The next row, or none at the end.
    pub(super) fn next(&mut self, record: &mut ByteRecord) -> Result<Option<Row>, ScoreError> {
        self.blank = None;
        let at = self.record(record)?;
        match self.blank {
            Some(line) if at.is_some() && !self.skips_blank => Err(ScoreError::Blank { line }),
            _ => Ok(at),
        }
    }

    /// Reads the next record that is not blank.
    fn record(&mut self, record: &mut ByteRecord) -> Result<Option<Row>, ScoreError> {
        loop {
            let from = self.reader.position().byte();
            self.reader.get_mut().since_record = 0;
            match self.reader.read_byte_record(record) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(_) if self.reader.get_ref().is_over => {
                    return Err(ScoreError::Long {
                        line: self.line,
                        bytes_max: RECORD_BYTES_MAX,
                    });
                }
                Err(error) => return Err(ScoreError::Read(io::Error::from(error))),
            }
            let ended = self.reader.get_ref().ended;
            let next_line = self.reader.position().line() + u64::from(ended) + (self.first_line - 1);
            let within = record
                .as_slice()
                .iter()
                .map(|&byte| u64::from(byte == b'\n'))
                .sum::<u64>();
            let line = next_line - 1 - within;
            let skipped = line - self.line;
            if skipped > 0 {
                self.blank = self.blank.or(Some(self.line));
            }
            self.line = next_line;
            // A line of CR LF alone; `""` before it would be a cell, and one that is missing.
            let bytes = self.reader.position().byte() - from - skipped;
            if record.len() == 1 && record.as_slice() == b"\r" && bytes <= 2 {
                self.blank = self.blank.or(Some(line));
                continue;
            }
            let is_open = ended && record.iter().next_back().is_some_and(|cell| cell.contains(&b'\n'));
            if is_open && self.reader.get_ref().last_byte != b'"' {
                return Err(ScoreError::Unclosed { line });
            }
            let row = self.row;
            self.row += 1;
            return Ok(Some(Row { row, line }));
        }
    }
}

/// Sees every byte before the CSV reader does.
struct Watched<R> {
    rows: R,
    /// Bytes since the last record was asked for, give or take a buffer.
    since_record: usize,
    last_byte: u8,
    /// Nothing more comes.
    ended: bool,
    /// A record was too long.
    is_over: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_record > RECORD_BYTES_MAX {
            self.is_over = true;
            return Err(io::Error::other("a record is too long"));
        }
        let count = self.rows.read(buffer)?;
        self.since_record += count;
        self.ended = count == 0;
        self.last_byte = buffer[..count].last().copied().unwrap_or(self.last_byte);
        Ok(count)
    }
}
