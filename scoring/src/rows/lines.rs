//! NDJSON: lines are split on the calling thread and read by the workers, with the server's own reader. The elements of
//! a JSON array ([`super::array`]) are lines too.

use std::collections::HashSet;
use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::Arc;

use super::array::ArrayReader;
use super::csv_rows::RECORD_BYTES_MAX;
use super::source::{CHUNK_BYTES, CHUNK_ROWS, Outcome, Row};
use super::{Job, Output, ScoreError, members};
use crate::loaded::LoadedModel;
use crate::missing_texts::MissingTexts;
use crate::read::{ReadError, Workspace};
use crate::render;
use crate::text::excerpt;

/// A text of JSON objects.
pub(super) struct Lines<R> {
    text: BufReader<R>,
    /// For a text that is one array.
    array: Option<ArrayReader>,
    /// Whether blank lines are nothing; else only those behind the last row are.
    skips_blank: bool,
    /// Texts that are missing values.
    missing: Arc<MissingTexts>,
    /// Rows and lines that were read.
    row: u64,
    line: u64,
    /// The first of the blank lines since the last row.
    blank: Option<u64>,
    /// What was read already.
    first: Option<Chunk>,
    /// What comes after the last chunk.
    fault: Option<ScoreError>,
}

/// Lines, one after the other.
pub(super) struct Chunk {
    missing: Arc<MissingTexts>,
    text: Vec<u8>,
    /// Where each row is, and where its line ends in the text.
    rows: Vec<(Row, usize)>,
}

impl<R: Read> Lines<R> {
    /// Reads the first rows.
    pub(super) fn open(stream: R, is_array: bool, job: &Job<'_>) -> Self {
        let mut lines = Self {
            text: BufReader::with_capacity(64 << 10, stream),
            array: is_array.then(ArrayReader::default),
            skips_blank: job.output == Output::Rows,
            missing: Arc::new(MissingTexts::new(job.missing)),
            row: 0,
            line: 0,
            blank: None,
            first: None,
            fault: None,
        };
        match lines.next() {
            Ok(first) => lines.first = first,
            Err(fault) => lines.fault = Some(fault),
        }
        lines
    }

    /// The names of the members of the first rows.
    pub(super) fn members(&self) -> HashSet<String> {
        let first = self.first.iter();
        let texts = first.flat_map(|chunk| (0..chunk.rows.len()).map(move |row| chunk.text(row)));
        texts.flat_map(members::names).collect()
    }

    pub(super) fn next(&mut self) -> Result<Option<Chunk>, ScoreError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let mut chunk = Chunk {
            missing: Arc::clone(&self.missing),
            text: Vec::new(),
            rows: Vec::new(),
        };
        while chunk.text.len() < CHUNK_BYTES && chunk.rows.len() < CHUNK_ROWS {
            match self.push(&mut chunk) {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) if chunk.rows.is_empty() => return Err(fault),
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        Ok((!chunk.rows.is_empty()).then_some(chunk))
    }

    /// Adds a line to the chunk; false at the end of the text.
    fn push(&mut self, chunk: &mut Chunk) -> Result<bool, ScoreError> {
        if let Some(array) = &mut self.array {
            let Some(line) = array.next(&mut self.text, &mut chunk.text)? else {
                return Ok(false);
            };
            self.row += 1;
            chunk.rows.push((Row { row: self.row, line }, chunk.text.len()));
            return Ok(true);
        }
        let start = chunk.text.len();
        self.line += 1;
        let is_whole = self.read_line(&mut chunk.text)?;
        if chunk.text.len() == start && !is_whole {
            return Ok(false);
        }
        if chunk.text[start..].trim_ascii().is_empty() {
            chunk.text.truncate(start);
            self.blank = self.blank.or(Some(self.line));
            return Ok(true);
        }
        // A row that disappears shifts every answer after it.
        if let Some(line) = self.blank.filter(|_| !self.skips_blank) {
            return Err(ScoreError::BlankObject { line });
        }
        self.row += 1;
        let (row, line) = (self.row, self.line);
        chunk.rows.push((Row { row, line }, chunk.text.len()));
        Ok(true)
    }

    /// A line without its end; false where the text ends instead.
    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool, ScoreError> {
        let start = line.len();
        loop {
            let read = match self.text.fill_buf() {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ScoreError::Read(error)),
            };
            if read.is_empty() {
                return Ok(false);
            }
            let end = read.iter().position(|&byte| byte == b'\n');
            line.extend_from_slice(&read[..end.unwrap_or(read.len())]);
            let count = end.map_or(read.len(), |end| end + 1);
            self.text.consume(count);
            if line.len() - start > RECORD_BYTES_MAX {
                return Err(ScoreError::LongLine {
                    line: self.line,
                    bytes_max: RECORD_BYTES_MAX,
                });
            }
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl Chunk {
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Reads every row into the workspace and gives it to `take`, with its id, until it answers false.
    pub(super) fn read(
        &self,
        loaded: &LoadedModel,
        key: Option<&str>,
        workspace: &mut Workspace,
        mut take: impl FnMut(usize, Outcome<'_>) -> bool,
    ) {
        for (index, &(Row { row, line }, _)) in self.rows.iter().enumerate() {
            let id = workspace.read_line(loaded, self.text(index), key, &self.missing);
            let outcome = match &id {
                Ok(id) => Ok((workspace.row(), id.as_deref())),
                Err(rejection) => {
                    let says = match rejection {
                        ReadError::NotJson(fault) => fault.to_string(),
                        ReadError::Invalid => render::sentence(loaded, workspace.faults()),
                    };
                    Err(match workspace.refused_text() {
                        Some(text) => ScoreError::Text {
                            row,
                            line,
                            says,
                            text: excerpt(text),
                        },
                        None => ScoreError::Line { row, line, says },
                    })
                }
            };
            if !take(index, outcome) {
                return;
            }
        }
    }

    pub(super) fn place(&self, row: usize) -> Row {
        let last = || self.rows.last().map_or(Row { row: 0, line: 0 }, |&(at, _)| at);
        self.rows.get(row).map_or_else(last, |&(at, _)| at)
    }

    /// A line as it stands in the file, without its end.
    pub(super) fn text(&self, row: usize) -> &[u8] {
        let start = row
            .checked_sub(1)
            .and_then(|before| self.rows.get(before))
            .map_or(0, |&(_, end)| end);
        let end = self.rows.get(row).map_or(start, |&(_, end)| end);
        self.text[start..end].trim_ascii_end()
    }
}
