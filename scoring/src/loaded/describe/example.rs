//! An example lead that scores: the model's own example row, or one made from values that its features accept.

use quintile_model::{Form, Model, Precision, Schema};
use serde_json::{Map, Value};

use super::number;

/// Whether the manifest's rules take every value of a row.
pub fn is_fit(schema: &Schema, row: &[f64]) -> bool {
    row.iter()
        .enumerate()
        .all(|(column, &value)| schema.check(column, value).is_ok())
}

/// A row in column order that a request may hold: `row` in its shortest decimals, if there is one that fits.
pub(super) fn row(model: &Model, row: Option<&[f64]>) -> Vec<f64> {
    let schema = model.schema();
    let shortened = row.map(|row| row.iter().map(|&value| shortest(model, value)).collect::<Vec<_>>());
    shortened
        .filter(|row| row.len() == schema.len() && is_fit(schema, row))
        .unwrap_or_else(|| (0..schema.len()).map(|column| made_up(schema, column)).collect())
}

/// The features of a row as a request names them.
pub(super) fn features(model: &Model, row: &[f64]) -> Map<String, Value> {
    let schema = model.schema();
    let pair = |(column, &value): (usize, &f64)| (schema.name(column).to_owned(), written(schema, column, value));
    row.iter().enumerate().map(pair).collect()
}

/// A double that narrows to the same value as `value` and has fewer digits, where the model narrows.
fn shortest(model: &Model, value: f64) -> f64 {
    match model.input_precision() {
        #[expect(clippy::cast_possible_truncation, reason = "the model does the same")]
        Precision::F32 => (value as f32).to_string().parse().unwrap_or(value),
        Precision::F64 => value,
    }
}

/// The middle of a range, zero where there is none, true, the first category; missing where none of them is right.
fn made_up(schema: &Schema, column: usize) -> f64 {
    let rule = schema.rule(column);
    let middle = match (rule.least.is_finite(), rule.greatest.is_finite()) {
        (true, true) => rule.least.midpoint(rule.greatest),
        (true, false) => rule.least.max(0.0),
        (false, true) => rule.greatest.min(0.0),
        (false, false) => 0.0,
    };
    let value = match rule.form {
        Form::Any => middle,
        Form::Whole => middle.floor(),
        Form::Binary => 1.0,
        Form::Code { .. } => 0.0,
    };
    let mut candidates = [value, middle.ceil()].into_iter();
    let fit = candidates.find(|&value| rule.check(value).is_ok());
    fit.unwrap_or(f64::NAN)
}

/// A value as a client would write it: a category by its name, a flag as one.
fn written(schema: &Schema, column: usize, value: f64) -> Value {
    if value.is_nan() {
        return Value::Null;
    }
    if schema.rule(column).form == Form::Binary {
        return Value::from(value > 0.5);
    }
    let names = schema.categories(column).map(quintile_model::Categories::names);
    let is_code = value >= 0.0 && value.fract().abs() <= 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a code is a whole number from 0"
    )]
    let name = names.filter(|_| is_code).and_then(|names| names.get(value as usize));
    name.map_or_else(|| number(value), |name| Value::from(name.as_str()))
}
