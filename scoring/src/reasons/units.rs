//! What can be a reason: a feature, or features that the manifest groups; and the words that people read.

use std::borrow::Cow;

use bytes::BufMut;
use quintile_model::{Model, ReasonTexts, Schema};

use super::request::Direction;
use crate::loaded::LoadedModel;
use crate::render;

/// A feature or a group of features, by its number in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A column.
    Feature(u32),
    /// One of the schema's groups.
    Group(u32),
}

impl Unit {
    /// Its columns.
    #[must_use]
    pub fn columns(self, schema: &Schema) -> UnitColumns<'_> {
        match self {
            Self::Feature(column) => UnitColumns::One(column as usize),
            Self::Group(group) => UnitColumns::Several(&schema.groups()[group as usize].columns),
        }
    }

    /// The name of the feature or the group.
    #[must_use]
    pub fn name(self, schema: &Schema) -> &str {
        match self {
            Self::Feature(column) => schema.name(column as usize),
            Self::Group(group) => &schema.groups()[group as usize].name,
        }
    }

    /// Its name for people, from the manifest.
    #[must_use]
    pub fn label(self, schema: &Schema) -> Option<&str> {
        match self {
            Self::Feature(column) => schema.label(column as usize),
            Self::Group(group) => schema.groups()[group as usize].label.as_deref(),
        }
    }

    fn texts(self, schema: &Schema) -> &ReasonTexts {
        match self {
            Self::Feature(column) => schema.texts(column as usize),
            Self::Group(group) => &schema.groups()[group as usize].texts,
        }
    }

    /// Whether nothing of it is known in a row: values that count as missing are not.
    #[must_use]
    pub fn is_missing(self, schema: &Schema, row: &[f64]) -> bool {
        let is_missing = |&column: &usize| {
            let value = row.get(column).copied().unwrap_or(f64::NAN);
            value.is_nan()
                || schema
                    .markers()
                    .is_some_and(|markers| markers.is_missing(column, value))
        };
        self.columns(schema).as_slice().iter().all(is_missing)
    }

    /// What people read of it: the manifest's sentence, or else its name for people. A sentence about a missing value
    /// is followed by what that does, because it may do either.
    #[must_use]
    pub fn text<'s>(self, schema: &'s Schema, row: &[f64], contribution: f64) -> Cow<'s, str> {
        let direction = Direction::of(contribution);
        let is_missing = self.is_missing(schema, row);
        match self.texts(schema).text(is_missing, direction == Direction::Raises) {
            Some(text) if is_missing => format!("{text} ({})", direction.name()).into(),
            Some(text) => text.into(),
            None => self.label(schema).unwrap_or(self.name(schema)).into(),
        }
    }

    /// What people read of it where only words stand: the manifest's sentence, or else name, value and unit with what
    /// that does.
    #[must_use]
    pub fn told(self, loaded: &LoadedModel, row: &[f64], contribution: f64) -> String {
        let schema = loaded.model.schema();
        let direction = Direction::of(contribution);
        let is_missing = self.is_missing(schema, row);
        let has_sentence = self
            .texts(schema)
            .text(is_missing, direction == Direction::Raises)
            .is_some();
        if has_sentence {
            return self.text(schema, row, contribution).into_owned();
        }
        format!("{} ({})", self.named_value(loaded, row), direction.name())
    }

    /// Its name for people and its value in a row: `Time on site = 12 minutes`.
    #[must_use]
    pub fn named_value(self, loaded: &LoadedModel, row: &[f64]) -> String {
        let schema = loaded.model.schema();
        let name = self.label(schema).unwrap_or(self.name(schema));
        let column = match self {
            Self::Group(_) => return name.to_owned(),
            _ if self.is_missing(schema, row) => return format!("{name} is not known"),
            Self::Feature(column) => column as usize,
        };
        let value = row.get(column).copied().unwrap_or(f64::NAN);
        let unit = schema.unit(column).map_or_else(String::new, |unit| format!(" {unit}"));
        match category(loaded, column, value) {
            Some(category) => format!("{name} = {category}"),
            None => format!("{name} = {value}{unit}"),
        }
    }

    /// Bytes of its members in an answer at most.
    fn bytes_max(self, schema: &Schema) -> usize {
        const FRAME: usize = 160;
        let own = self.name(schema).len() + self.label(schema).unwrap_or_default().len();
        let text = self.texts(schema).bytes_max().max(own);
        let columns = self.columns(schema);
        let value = |&column: &usize| {
            let names = schema.categories(column).map_or(0, |categories| {
                categories.names().iter().map(String::len).max().unwrap_or(0)
            });
            render::ESCAPE_BYTES_MAX * (schema.name(column).len() + names) + render::NUMBER_BYTES_MAX + 8
        };
        let values: usize = columns.as_slice().iter().map(value).sum();
        render::ESCAPE_BYTES_MAX * (own + text) + values + render::NUMBER_BYTES_MAX + FRAME
    }

    /// Writes one reason.
    pub(super) fn write<B: BufMut>(self, out: &mut B, loaded: &LoadedModel, row: &[f64], contribution: f64) {
        let schema = loaded.model.schema();
        let (key, columns) = match self {
            Self::Feature(_) => (&b"{\"feature\":"[..], self.columns(schema)),
            Self::Group(_) => (&b"{\"group\":"[..], self.columns(schema)),
        };
        out.put_slice(key);
        render::string(out, self.name(schema));
        if let Some(label) = self.label(schema) {
            out.put_slice(b",\"label\":");
            render::string(out, label);
        }
        match columns {
            UnitColumns::One(column) => {
                out.put_slice(b",\"value\":");
                write_value(out, loaded, column, row);
            }
            UnitColumns::Several(columns) => {
                for (number, &column) in columns.iter().enumerate() {
                    out.put_slice(if number == 0 { b",\"features\":{" } else { b"," });
                    render::string(out, schema.name(column));
                    out.put_u8(b':');
                    write_value(out, loaded, column, row);
                }
                out.put_u8(b'}');
            }
        }
        out.put_slice(b",\"contribution\":");
        render::number(out, contribution);
        let direction = Direction::of(contribution);
        out.put_slice(b",\"direction\":\"");
        out.put_slice(direction.name().as_bytes());
        out.put_slice(b"\",\"text\":");
        let is_missing = self.is_missing(schema, row);
        match self.texts(schema).text(is_missing, direction == Direction::Raises) {
            Some(text) if is_missing => render::string_of(out, format_args!("{text} ({})", direction.name())),
            Some(text) => render::string(out, text),
            None => render::string(out, self.label(schema).unwrap_or(self.name(schema))),
        }
        out.put_u8(b'}');
    }
}

/// The columns of a unit.
#[derive(Debug, Clone, Copy)]
pub enum UnitColumns<'s> {
    /// Those of a feature.
    One(usize),
    /// Those of a group.
    Several(&'s [usize]),
}

impl UnitColumns<'_> {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[usize] {
        match self {
            Self::One(column) => std::slice::from_ref(column),
            Self::Several(columns) => columns,
        }
    }
}

/// Everything that can be a reason of a model's scores, in the model's order: a group is where its first feature is.
#[derive(Debug, Clone)]
pub struct ReasonUnits {
    units: Box<[Unit]>,
    /// Bytes of the longest reason.
    bytes_max: usize,
}

impl ReasonUnits {
    /// Those of a model.
    pub(crate) fn of(model: &Model) -> Self {
        let schema = model.schema();
        let mut group_of = vec![None; schema.len()];
        for (number, group) in (0..).zip(schema.groups()) {
            for &column in &group.columns {
                group_of[column] = Some((number, group.columns.first() == Some(&column)));
            }
        }
        let unit = |(column, group): (u32, &Option<(u32, bool)>)| match *group {
            None => Some(Unit::Feature(column)),
            Some((number, true)) => Some(Unit::Group(number)),
            Some((_, false)) => None,
        };
        let units: Box<[Unit]> = (0..).zip(&group_of).filter_map(unit).collect();
        let bytes_max = units.iter().map(|unit| unit.bytes_max(schema)).max().unwrap_or(0);
        Self { units, bytes_max }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Unit] {
        &self.units
    }

    /// Bytes of so many reasons at most.
    #[must_use]
    pub fn bytes_max(&self, count: u16) -> usize {
        2 + usize::from(count).min(self.units.len()) * self.bytes_max
    }
}

fn write_value<B: BufMut>(out: &mut B, loaded: &LoadedModel, column: usize, row: &[f64]) {
    let value = row.get(column).copied().unwrap_or(f64::NAN);
    match category(loaded, column, value) {
        Some(category) => render::string(out, category),
        None => render::number(out, value),
    }
}

/// The name of a value that is a category's code.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes that were read from names are small whole numbers, and others find no name"
)]
#[must_use]
pub fn category(loaded: &LoadedModel, column: usize, value: f64) -> Option<&str> {
    let categories = loaded.model.schema().categories(column)?;
    let code = (value >= 0.0).then_some(value as usize)?;
    categories.names().get(code).map(String::as_str)
}
