//! `cats`: the categories' names that XGBoost 3.1 and later save (`src/data/cat_container.cc`), so that a row may carry
//! names.
//!
//! One encoding a feature: strings as Arrow lays them out, `{offsets, values}`, or integers, `{type, values}`. A code
//! is a place in that list; `sorted_idx` is the library's own index over it and is not needed.

use super::super::FormatError;
use super::super::document::{Cursor, Ints};
use crate::limits::CATEGORY_NAMES_MAX;
use crate::schema::{Categories, CategoryName, FeatureKind, Schema, Unseen};

/// Puts the names into the schema. Returns what is worth saying about them.
pub(super) fn read(model: &Cursor<'_>, schema: &mut Schema) -> Result<Vec<String>, FormatError> {
    let Some(cats) = model.optional("cats")? else {
        return Ok(Vec::new());
    };
    let Some(encodings) = cats.optional("enc")?.filter(|encodings| !encodings.is_empty()) else {
        return Ok(Vec::new());
    };
    let elements = encodings.elements()?;
    if elements.len() != schema.len() {
        let features = schema.len();
        return Err(encodings.fault(format!("{} encodings for {features} features", elements.len())));
    }
    let mut left = CATEGORY_NAMES_MAX;
    let mut notes = Vec::new();
    for (column, encoding) in elements.enumerate() {
        let values_field = encoding.field("values")?;
        let values = values_field.ints()?;
        let offsets_field = encoding.optional("offsets")?;
        let count = match &offsets_field {
            Some(field) => field.ints()?.len().saturating_sub(1),
            None => values.len(),
        };
        left = left.checked_sub(count).ok_or_else(|| {
            encodings.fault(format!(
                "the file names more than the {CATEGORY_NAMES_MAX} categories accepted"
            ))
        })?;
        if count == 0 {
            continue;
        }
        let feature = schema.name(column);
        if schema.kind(column) != FeatureKind::Category {
            let message = format!("feature {feature:?} has categories, but feature_types says it is none");
            return Err(encoding.fault(message));
        }
        let names = match &offsets_field {
            Some(offsets) => texts(offsets, &values_field, values, feature, &mut notes)?,
            None => Some(values.iter().map(CategoryName::Integer).collect()),
        };
        if let Some(names) = names {
            let twice = || encoding.fault("two categories have the same name");
            schema.set_categories(column, Categories::typed(names, Unseen::Refused).ok_or_else(twice)?);
        }
    }
    Ok(notes)
}

/// Strings between neighbouring offsets into one array of bytes, which the library keeps as signed ones. None, with a
/// note, when they are no text: XGBoost's Python package counts the characters of names where Arrow counts their bytes,
/// so that names beyond ASCII are saved cut in the wrong places. The codes in the trees are right all the same.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked, and a signed byte stands for the unsigned one of the same bits"
)]
fn texts(
    offsets_field: &Cursor<'_>,
    values_field: &Cursor<'_>,
    values: Ints<'_>,
    feature: &str,
    notes: &mut Vec<String>,
) -> Result<Option<Vec<CategoryName>>, FormatError> {
    let offsets = offsets_field.ints()?;
    let mut bytes = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        if !(-128..=255).contains(&value) {
            return Err(values_field.fault_at(index, format!("{value} is no byte")));
        }
        bytes.push(value as u8);
    }
    let mut names = Vec::new();
    for index in 1..offsets.len() {
        let (first, end) = (offsets.get(index - 1), offsets.get(index));
        let range = usize::try_from(first).ok().zip(usize::try_from(end).ok());
        let Some(name) = range.and_then(|(first, end)| bytes.get(first..end)) else {
            let message = format!("{first} to {end} is not within the {} bytes of values", bytes.len());
            return Err(offsets_field.fault_at(index, message));
        };
        let Ok(name) = std::str::from_utf8(name) else {
            notes.push(format!(
                "the category names of feature {feature:?} are not used: XGBoost saved them cut in the wrong places; rows \
                 carry its codes"
            ));
            return Ok(None);
        };
        names.push(CategoryName::Text(name.to_owned()));
    }
    if !bytes.is_ascii() {
        notes.push(format!(
            "feature {feature:?} has category names beyond ASCII, which XGBoost's Python package may have saved cut in the \
             wrong places: compare them with your own before sending names"
        ));
    }
    Ok(Some(names))
}
