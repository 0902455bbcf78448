//! `pandas_categorical`: the categories that LightGBM's Python package saves at the end of the file.
//!
//! The line has one list for each categorical column of the training frame, but not the columns. `categorical_feature`
//! among the parameters names them, `feature_infos` shows them; they are used only where the number of columns is the
//! number of lists and every code seen in training has a name. A string that training never saw is a missing value.

use super::super::document::Value;
use super::super::{FormatError, json};
use super::lines::{Fields, Lines};
use crate::limits::CATEGORY_NAMES_MAX;
use crate::schema::{Categories, CategoryName, FeatureKind, Schema, Unseen};

/// Reads what follows the trees. Returns what is worth saying.
pub(super) fn read(
    lines: &mut Lines<'_>,
    header: &Fields<'_>,
    schema: &mut Schema,
) -> Result<Vec<String>, FormatError> {
    let (mut listed, mut saved) = (None, None);
    while let Some(line) = lines.next() {
        if let Some(list) = line.strip_prefix("[categorical_feature:") {
            listed = list.strip_suffix(']').map(str::trim);
        } else if let Some(text) = line.strip_prefix("pandas_categorical:") {
            lines.check("pandas_categorical")?;
            saved = Some(text);
        }
    }
    let Some(text) = saved.map(str::trim).filter(|text| !matches!(*text, "null" | "[]" | "")) else {
        return Ok(Vec::new());
    };
    let wrong = |message: String| FormatError::Field {
        path: "pandas_categorical".into(),
        message,
    };
    let value = json::parse_doubles(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let Value::List(lists) = value else {
        return Err(wrong("an array of arrays is accepted".into()));
    };
    let Some(columns) = columns(lists.len(), listed, schema) else {
        return Ok(vec![format!(
            "the file names the categories of {} columns, but not which: rows carry codes",
            lists.len()
        )]);
    };
    let mut notes = Vec::new();
    let mut left = CATEGORY_NAMES_MAX;
    for (column, list) in columns.into_iter().zip(lists) {
        let names = names(list).filter(|names| covers(names.len(), header, column));
        let Some(categories) = names.and_then(|names| {
            left = left.checked_sub(names.len())?;
            Categories::typed(names, Unseen::Missing)
        }) else {
            notes.push(format!(
                "the category names of feature {:?} are not used, because they are neither text, numbers nor booleans, or do not match its codes: rows \
                 carry codes",
                schema.name(column)
            ));
            continue;
        };
        schema.set_categories(column, categories);
    }
    Ok(notes)
}

/// The columns of this many lists, in order.
fn columns(lists: usize, listed: Option<&str>, schema: &Schema) -> Option<Vec<usize>> {
    let from_parameters = listed.and_then(|listed| {
        let columns: Option<Vec<usize>> = listed.split(',').map(|column| column.trim().parse().ok()).collect();
        columns.filter(|columns| {
            let increases = columns.windows(2).all(|pair| pair[0] < pair[1]);
            increases && columns.last().is_some_and(|&last| last < schema.len())
        })
    });
    let from_kinds = || {
        (0..schema.len())
            .filter(|&column| schema.kind(column) == FeatureKind::Category)
            .collect()
    };
    let columns: Vec<usize> = from_parameters.unwrap_or_else(from_kinds);
    Some(columns).filter(|columns| columns.len() == lists)
}

/// Whether every code of a column's `feature_infos` has one of this many names.
fn covers(names: usize, header: &Fields<'_>, column: usize) -> bool {
    let infos = header.get("feature_infos").unwrap_or_default();
    let info = infos
        .split(' ')
        .filter(|info| !info.is_empty())
        .nth(column)
        .unwrap_or("none");
    let codes = info.trim_matches(['[', ']']).split(':');
    info == "none"
        || codes
            .map(str::parse::<f64>)
            .all(|code| code.is_ok_and(|code| code < 0.0 || code < names as f64))
}

/// Names as they were in training: text, numbers, booleans, or some of each.
fn names(list: Value) -> Option<Vec<CategoryName>> {
    let name = |value| match value {
        Value::Text(text) => Some(CategoryName::Text(text)),
        Value::Int(int) => Some(CategoryName::Integer(int)),
        Value::Double(double) => Some(CategoryName::Float(double)),
        Value::Bool(bool) => Some(CategoryName::Boolean(bool)),
        _ => None,
    };
    match list {
        Value::Ints(ints) => Some(ints.into_iter().map(CategoryName::Integer).collect()),
        Value::Doubles(doubles) => Some(doubles.into_iter().map(CategoryName::Float).collect()),
        Value::Bools(bools) => Some(bools.into_iter().map(CategoryName::Boolean).collect()),
        Value::List(list) => list.into_iter().map(name).collect(),
        _ => None,
    }
}
