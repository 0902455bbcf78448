//! The input's own columns in the results: as they stand where both are of one format, else as text or number.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;

use super::cells;
use super::results::Style;
use super::source::Chunk;
use crate::render;

/// Writes what stood in the input.
pub(super) struct Echo;

impl Echo {
    /// The kept cells of a row, each with a comma behind it.
    pub(super) fn csv(line: &mut Vec<u8>, style: &Style, (chunk, row): (&Chunk, usize)) {
        match chunk {
            Chunk::Cells(table) => {
                let mut kept = style.kept.iter().map(|(cell, _)| *cell).peekable();
                for (cell, text) in table.texts(row).enumerate() {
                    if kept.next_if_eq(&cell).is_some() {
                        cells::bytes(line, text);
                        line.push(b',');
                    }
                }
            }
            Chunk::Batch(batch) => {
                let mut kept = style.kept.iter().map(|(cell, _)| *cell).peekable();
                for (cell, array) in batch.columns() {
                    if kept.next_if_eq(&cell).is_some() {
                        cells::text(line, &shown(array, row));
                        line.push(b',');
                    }
                }
            }
            // Lines have no columns.
            Chunk::Lines(_) => {}
        }
    }

    /// The kept members of an object, each with a comma behind it.
    pub(super) fn object(line: &mut Vec<u8>, style: &Style, (chunk, row): (&Chunk, usize)) {
        match chunk {
            Chunk::Cells(table) => {
                let places = &table.header().places;
                let mut kept = style.kept.iter().peekable();
                for (cell, text) in table.texts(row).enumerate() {
                    let Some((_, name)) = kept.next_if(|(kept, _)| *kept == cell) else {
                        continue;
                    };
                    member(line, name);
                    // A feature's number stays one; what else there is stays text.
                    match cells::value(text).filter(|_| places[cell].is_some()) {
                        Some(number) => render::number(line, number),
                        None => render::string(line, &String::from_utf8_lossy(text)),
                    }
                    line.push(b',');
                }
            }
            Chunk::Batch(batch) => {
                let mut kept = style.kept.iter().peekable();
                for (cell, array) in batch.columns() {
                    let Some((_, name)) = kept.next_if(|(kept, _)| *kept == cell) else {
                        continue;
                    };
                    member(line, name);
                    let text = shown(array, row);
                    match array.data_type() {
                        _ if array.is_null(row) => line.extend_from_slice(b"null"),
                        DataType::Boolean => line.extend_from_slice(text.as_bytes()),
                        kind if kind.is_integer() => line.extend_from_slice(text.as_bytes()),
                        kind if kind.is_floating() => match text.parse() {
                            Ok(number) => render::number(line, number),
                            Err(_) => line.extend_from_slice(b"null"),
                        },
                        _ => render::string(line, &text),
                    }
                    line.push(b',');
                }
            }
            Chunk::Lines(lines) => members(line, lines.text(row), &style.names),
        }
    }

    /// The kept columns of a chunk, for Parquet.
    pub(super) fn columns(style: &Style, chunk: &Chunk) -> Vec<ArrayRef> {
        match chunk {
            Chunk::Batch(batch) => {
                let is_kept = |cell: usize| style.kept.iter().any(|(kept, _)| *kept == cell);
                let kept = batch.columns().filter(|(cell, _)| is_kept(*cell));
                kept.map(|(_, array)| Arc::clone(array)).collect()
            }
            Chunk::Cells(table) => {
                let mut columns: Vec<Vec<String>> = vec![Vec::new(); style.kept.len()];
                for row in 0..table.len() {
                    let mut columns = columns.iter_mut();
                    let mut kept = style.kept.iter().map(|(cell, _)| *cell).peekable();
                    for (cell, text) in table.texts(row).enumerate() {
                        if kept.next_if_eq(&cell).is_some()
                            && let Some(column) = columns.next()
                        {
                            column.push(String::from_utf8_lossy(text).into_owned());
                        }
                    }
                }
                columns
                    .into_iter()
                    .map(|texts| Arc::new(StringArray::from(texts)) as ArrayRef)
                    .collect()
            }
            Chunk::Lines(_) => Vec::new(),
        }
    }
}

/// A value in words; empty for null.
fn shown(array: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::new();
    match ArrayFormatter::try_new(array.as_ref(), &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(_) => String::new(),
    }
}

fn member(line: &mut Vec<u8>, name: &str) {
    render::string(line, name);
    line.push(b':');
}

/// The members of an object's text as they stand, without those of some names, each with a comma behind it. A text that is
/// no object is kept under `line`.
fn members(out: &mut Vec<u8>, text: &[u8], without: &[String]) {
    let Some(inside) = text
        .trim_ascii()
        .strip_prefix(b"{")
        .and_then(|text| text.strip_suffix(b"}"))
    else {
        return whole(out, text);
    };
    let start = out.len();
    let (mut depth, mut is_text, mut is_escaped, mut from) = (0usize, false, false, 0);
    for (at, &byte) in inside.iter().chain(b",").enumerate() {
        match (is_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => is_text = !is_text,
            (true, _) => {}
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => {
                    out.truncate(start);
                    return whole(out, text);
                }
            },
            (false, b',') if depth == 0 => {
                let member = inside[from..at].trim_ascii();
                from = at + 1;
                if !member.is_empty() && !is_named(member, without) {
                    out.extend_from_slice(member);
                    out.push(b',');
                }
            }
            (false, _) => {}
        }
    }
    if is_text || depth > 0 || std::str::from_utf8(inside).is_err() {
        out.truncate(start);
        whole(out, text);
    }
}

fn is_named(member: &[u8], names: &[String]) -> bool {
    let Some(rest) = member.strip_prefix(b"\"") else {
        return false;
    };
    names.iter().any(|name| {
        rest.strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"\""))
    })
}

fn whole(out: &mut Vec<u8>, text: &[u8]) {
    member(out, "line");
    render::string(out, &String::from_utf8_lossy(text));
    out.push(b',');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_as_they_stand() {
        let names = ["score".to_owned(), "error".to_owned()];
        for (text, kept) in [
            (r#"{"a":1, "b":"x,\"}{" }"#, r#""a":1,"b":"x,\"}{","#),
            (
                r#" {"a":{"score":[1,2]},"score":3,"error" : null} "#,
                r#""a":{"score":[1,2]},"#,
            ),
            ("{}", ""),
            ("{\"a\":1e5}", "\"a\":1e5,"),
            ("[1]", "\"line\":\"[1]\","),
            ("{\"a\":1}}", "\"line\":\"{\\\"a\\\":1}}\","),
            ("{\"a}", "\"line\":\"{\\\"a}\","),
        ] {
            let mut out = Vec::new();
            members(&mut out, text.as_bytes(), &names);
            assert_eq!(String::from_utf8(out).unwrap(), kept, "{text}");
        }
    }
}
