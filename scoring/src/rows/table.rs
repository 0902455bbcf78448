//! CSV: records are split on the calling thread, their cells are read by the workers.

use std::io::Read;
use std::sync::Arc;

use quintile_model::{Cell, Schema};

use super::csv_rows::Rows;
use super::dialect::{self, Dialect};
use super::encoding::Peeked;
use super::header::Cells;
use super::number_shape::{NumberShape, WITHOUT_THOUSANDS};
use super::source::{CHUNK_BYTES, CHUNK_ROWS, Outcome, Row};
use super::{Job, Output, ScoreError, cells};
use crate::missing_texts::MissingTexts;
use crate::read::categories::Accepted;
use crate::render;
use crate::text::excerpt;

/// A CSV text behind its header.
pub(super) struct Table<R> {
    rows: Rows<R>,
    cells: Arc<Cells>,
    dialect: Dialect,
    record: csv::ByteRecord,
    /// What comes after the last chunk.
    fault: Option<ScoreError>,
}

/// Records, unquoted, one after the other.
pub(super) struct Chunk {
    cells: Arc<Cells>,
    dialect: Dialect,
    text: Vec<u8>,
    /// Where each cell ends in the text.
    ends: Vec<usize>,
    /// Where each row is, and where its cells end in `ends`.
    rows: Vec<(Row, usize)>,
}

impl<R: Read> Table<Peeked<R>> {
    /// Finds out how cells are written, and reads the header.
    pub(super) fn open(mut stream: Peeked<R>, job: &Job<'_>) -> Result<Self, ScoreError> {
        let schema = job.loaded.model.schema();
        let (mut stated, mut line) = (job.delimiter, 1);
        if let Some((separator, bytes)) = dialect::stated_line(stream.head()) {
            stated = stated.or(Some(separator));
            stream.skip(bytes);
            line = 2;
        }
        let (is_stated, spelling) = (line > 1, stream.spelling());
        let head = stream.head().to_vec();
        let separator = stated.unwrap_or_else(|| dialect::separator(&head, schema));
        let mut rows = Rows::new(stream, separator, line);
        let (names, is_utf8) = rows.header()?;
        if !is_utf8 && job.output == Output::Rows {
            return Err(ScoreError::HeaderNotUtf8);
        }
        let cells = Cells::new(job.renamed(names), schema, job.id);
        let mut cells = cells.map_err(|error| {
            if is_utf8 {
                error.into()
            } else {
                ScoreError::HeaderNotUtf8
            }
        })?;
        // A blank line of one column may be a row whose value is missing.
        rows.skips_blank = job.output == Output::Rows && cells.names.len() > 1;
        let decimal = match job.decimal {
            Some(decimal) => decimal,
            None => dialect::decimal(&head, separator, &cells, schema)?,
        };
        cells.missing = MissingTexts::new(job.missing);
        cells.blank_is_fault = cells.names.len() > 1 && (job.output == Output::Rows || job.skips_blank_rows);
        let dialect = Dialect {
            separator,
            decimal,
            is_stated,
            spelling,
        };
        cells.said.extend(dialect.said());
        Ok(Self {
            dialect,
            rows,
            cells: Arc::new(cells),
            record: csv::ByteRecord::new(),
            fault: None,
        })
    }
}

impl<R: Read> Table<R> {
    pub(super) fn cells(&self) -> &Cells {
        &self.cells
    }

    /// How its cells are written.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn next(&mut self) -> Result<Option<Chunk>, ScoreError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let mut chunk = Chunk {
            cells: Arc::clone(&self.cells),
            dialect: self.dialect,
            text: Vec::new(),
            ends: Vec::new(),
            rows: Vec::new(),
        };
        while chunk.bytes() < CHUNK_BYTES && chunk.rows.len() < CHUNK_ROWS {
            match self.rows.next(&mut self.record) {
                Ok(Some(at)) => chunk.push(&self.record, at),
                Ok(None) => break,
                Err(fault) if chunk.rows.is_empty() => return Err(fault),
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        Ok((!chunk.rows.is_empty()).then_some(chunk))
    }
}

impl Chunk {
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<usize>()
    }

    fn push(&mut self, record: &csv::ByteRecord, at: Row) {
        let start = self.text.len();
        self.text.extend_from_slice(record.as_slice());
        let ends = (0..record.len()).filter_map(|cell| record.range(cell));
        self.ends.extend(ends.map(|range| start + range.end));
        self.rows.push((at, self.ends.len()));
    }

    /// Reads every row into `row` and gives it to `take`, with its id, until it answers false.
    pub(super) fn read(&self, schema: &Schema, row: &mut [f64], mut take: impl FnMut(usize, Outcome<'_>) -> bool) {
        let (mut first, mut start) = (0, 0);
        for (index, &(at, last)) in self.rows.iter().enumerate() {
            let ends = &self.ends[first..last];
            let outcome = self.fill(row, ends, start, schema, at);
            let id = self.cells.id.filter(|_| outcome.is_ok()).map(|cell| {
                let from = if cell == 0 { start } else { ends[cell - 1] };
                let text = String::from_utf8_lossy(&self.text[from..ends[cell]]);
                text.strip_suffix('\r').map_or_else(|| text.to_string(), str::to_owned)
            });
            if !take(index, outcome.map(|()| (&*row, id.as_deref()))) {
                return;
            }
            start = ends.last().copied().unwrap_or(start);
            first = last;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn place(&self, row: usize) -> Row {
        let last = || self.rows.last().map_or(Row { row: 0, line: 0 }, |&(at, _)| at);
        self.rows.get(row).map_or_else(last, |&(at, _)| at)
    }

    /// The number of a cell, if it is one.
    pub(super) fn number(&self, text: &[u8]) -> Option<f64> {
        let mut buffer = Vec::new();
        cells::value(self.dialect.decimal.number(text, &mut buffer).ok()?)
    }

    /// What the cells are.
    pub(super) fn header(&self) -> &Cells {
        &self.cells
    }

    /// The cells of a row, as many as the header has: those that a short row lacks are empty.
    pub(super) fn texts(&self, row: usize) -> impl Iterator<Item = &[u8]> {
        let before = row.checked_sub(1).and_then(|before| self.rows.get(before));
        let first = before.map_or(0, |&(_, last)| last);
        let last = self.rows.get(row).map_or(first, |&(_, last)| last);
        let width = self.cells.names.len();
        (first..first + width).map(move |cell| {
            if cell >= last {
                return &[][..];
            }
            let start = if cell == 0 { 0 } else { self.ends[cell - 1] };
            let text = &self.text[start..self.ends[cell]];
            // The reader leaves the CR of a line's end in its last cell.
            if cell + 1 == last {
                text.strip_suffix(b"\r").unwrap_or(text)
            } else {
                text
            }
        })
    }

    /// One row of the model from one of the file.
    fn fill(
        &self,
        row: &mut [f64],
        ends: &[usize],
        mut start: usize,
        schema: &Schema,
        Row { row: number, line }: Row,
    ) -> Result<(), ScoreError> {
        let Cells { names, places, .. } = &*self.cells;
        if self.cells.blank_is_fault
            && self.text[start..ends.last().copied().unwrap_or(start)]
                .trim_ascii()
                .is_empty()
        {
            return Err(ScoreError::BlankRow { row: number, line });
        }
        if ends.len() != places.len() {
            return Err(ScoreError::Ragged {
                row: number,
                line,
                cells: ends.len(),
                expected: places.len(),
            });
        }
        for (index, (&end, place)) in ends.iter().zip(places).enumerate() {
            let cell = &self.text[start..end];
            start = end;
            let Some((column, value)) = place.and_then(|column| Some((column, row.get_mut(column)?))) else {
                continue;
            };
            let name = || excerpt(names.get(index).map_or("", String::as_str));
            let text = || excerpt(&String::from_utf8_lossy(cell.trim_ascii()));
            let mut buffer = Vec::new();
            let is_missing = self.cells.missing.contains(cell);
            let cell = match schema.categories(column) {
                Some(_) => cell,
                None if is_missing => cell,
                None => self
                    .dialect
                    .decimal
                    .number(cell, &mut buffer)
                    .map_err(|says| ScoreError::Decimal {
                        row: number,
                        line,
                        name: name(),
                        text: text(),
                        says: format!("{says}, or state {}", says.flag()),
                    })?,
            };
            *value = schema
                .value(column, if is_missing { Cell::Null } else { Cell::Untyped(cell) })
                .map_err(|_| cell_fault((schema, column), cell, Row { row: number, line }, name()))?;
            if let Err(violation) = schema.check(column, *value) {
                return Err(ScoreError::Rule {
                    row: number,
                    name: name(),
                    says: render::broken(schema, column, violation),
                });
            }
        }
        Ok(())
    }
}

/// Why a cell is neither a number nor a category's name.
fn cell_fault((schema, column): (&Schema, usize), cell: &[u8], Row { row, line }: Row, name: String) -> ScoreError {
    let text = |cell: &[u8]| excerpt(&String::from_utf8_lossy(cell));
    match schema.categories(column) {
        Some(categories) => ScoreError::Category {
            row,
            line,
            name,
            // With its spaces, which may be what is wrong with it.
            text: text(cell.strip_suffix(b"\r").unwrap_or(cell)),
            accepted: Accepted(categories).to_string().into(),
            nor: if categories.takes_codes() { ", nor a code" } else { "" },
            hint: spaces_hint(schema, column, cell),
        },
        None => ScoreError::Cell {
            row,
            line,
            name,
            text: text(cell.trim_ascii()),
            hint: number_hint(cell.trim_ascii()),
        },
    }
}

/// What to say of a text that is no number, but of which it is plain what it should be.
fn number_hint(cell: &[u8]) -> &'static str {
    match NumberShape::of(cell) {
        NumberShape::Thousands => WITHOUT_THOUSANDS,
        NumberShape::Comma | NumberShape::CommaOrThousands => "; --decimal , reads it as a number with a decimal comma",
        _ => "",
    }
}

/// What to say of a category's name that only spaces around it keep from being one.
fn spaces_hint(schema: &Schema, column: usize, cell: &[u8]) -> &'static str {
    let bare = cell.trim_ascii();
    let is_one = bare.len() < cell.len()
        && schema
            .value(column, Cell::Untyped(bare))
            .is_ok_and(|code| !code.is_nan());
    if is_one {
        "; without the spaces around it it is one: remove them"
    } else {
        ""
    }
}
