//! The input's own columns in the results: unchanged if both have the same format, otherwise as text or number. What
//! cannot be written is an error, never an empty cell.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};

use super::members::{self, MembersError};
use super::source::Chunk;
use super::style::Style;
use super::{ScoreError, values};
use crate::render;
use crate::text::excerpt;

/// Writes what stood in the input.
pub(super) struct Echo;

impl Echo {
    /// The kept cells of a row, each with a separator behind it.
    pub(super) fn csv(line: &mut Vec<u8>, style: &Style, (chunk, row): (&Chunk, usize)) -> Result<(), ScoreError> {
        match chunk {
            Chunk::Cells(table) => {
                for text in table.texts(row) {
                    style.cell(line, text);
                    line.push(style.separator);
                }
            }
            Chunk::Batch(batch) => {
                let mut text = Vec::new();
                for (cell, array) in batch.columns() {
                    text.clear();
                    values::text(&mut text, array, row)
                        .map_err(|says| unwritable(chunk, row, &batch.header().names[cell], says))?;
                    style.cell(line, &text);
                    line.push(style.separator);
                }
            }
            // Lines have no columns.
            Chunk::Lines(_) => {}
        }
        Ok(())
    }

    /// The kept members of an object, each with a comma behind it.
    pub(super) fn object(line: &mut Vec<u8>, style: &Style, (chunk, row): (&Chunk, usize)) -> Result<(), ScoreError> {
        match chunk {
            Chunk::Cells(table) => {
                let header = table.header();
                for ((text, name), place) in table.texts(row).zip(&header.names).zip(&header.places) {
                    member(line, name);
                    // A feature's number stays one; what else there is stays text.
                    match table.number(text).filter(|_| place.is_some()) {
                        Some(number) => render::number(line, number),
                        None => render::string(line, utf8(chunk, row, name, text)?),
                    }
                    line.push(b',');
                }
            }
            Chunk::Batch(batch) => {
                for (cell, array) in batch.columns() {
                    let name = &batch.header().names[cell];
                    member(line, name);
                    if let Some(number) = batch.stated_number(cell, array, row) {
                        render::number(line, number);
                        line.push(b',');
                        continue;
                    }
                    values::json(line, array, row).map_err(|says| unwritable(chunk, row, name, says))?;
                    line.push(b',');
                }
            }
            Chunk::Lines(lines) => {
                let at = chunk.place(row);
                members::members(line, lines.text(row), &style.names).map_err(|error| match error {
                    MembersError::Twice(name) => ScoreError::MemberTwice {
                        row: at.row,
                        line: at.line,
                        name: excerpt(&name),
                    },
                    MembersError::Ours(name) => ScoreError::MemberOurs {
                        row: at.row,
                        line: at.line,
                        name: excerpt(&name),
                    },
                })?;
            }
        }
        Ok(())
    }

    /// The same of a row that has no score: a line whose members cannot stand side by side comes back whole.
    pub(super) fn faulty_object(line: &mut Vec<u8>, style: &Style, at: (&Chunk, usize)) -> Result<(), ScoreError> {
        let start = line.len();
        match (Self::object(line, style, at), at.0) {
            (Err(ScoreError::MemberTwice { .. }), Chunk::Lines(lines)) => {
                line.truncate(start);
                members::whole(line, lines.text(at.1));
                Ok(())
            }
            (outcome, _) => outcome,
        }
    }

    /// The kept columns of a chunk, for Parquet.
    pub(super) fn columns(chunk: &Chunk) -> Result<Vec<ArrayRef>, ScoreError> {
        Ok(match chunk {
            Chunk::Batch(batch) => batch.columns().map(|(_, array)| Arc::clone(array)).collect(),
            Chunk::Cells(table) => {
                let names = &table.header().names;
                let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
                for row in 0..table.len() {
                    for ((text, name), column) in table.texts(row).zip(names).zip(&mut columns) {
                        column.push(utf8(chunk, row, name, text)?.to_owned());
                    }
                }
                columns
                    .into_iter()
                    .map(|texts| Arc::new(StringArray::from(texts)) as ArrayRef)
                    .collect()
            }
            Chunk::Lines(_) => Vec::new(),
        })
    }
}

/// A cell for a format that holds text only.
fn utf8<'t>(chunk: &Chunk, row: usize, name: &str, text: &'t [u8]) -> Result<&'t str, ScoreError> {
    std::str::from_utf8(text).map_err(|_| {
        unwritable(
            chunk,
            row,
            name,
            "is no UTF-8 text; save the rows as UTF-8, or write CSV",
        )
    })
}

fn unwritable(chunk: &Chunk, row: usize, name: &str, says: &'static str) -> ScoreError {
    ScoreError::Value {
        row: chunk.place(row).row,
        name: excerpt(name),
        says,
    }
}

fn member(line: &mut Vec<u8>, name: &str) {
    render::string(line, name);
    line.push(b':');
}
