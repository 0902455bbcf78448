//! One feature as JSON Schema: exactly what the server accepts for it.

use quintile_model::{Categories, FeatureKind, Form, Schema, Unseen};
use serde_json::{Map, Value, json};

use super::number;

/// The schema of a column's values. `range_end` is the least magnitude that the model's input type cannot hold.
pub(super) fn schema(schema: &Schema, column: usize, range_end: f64) -> Value {
    let rule = schema.rule(column);
    let mut out = match (rule.form, schema.categories(column)) {
        (Form::Binary, _) => json!({"type": ["boolean", "integer"], "minimum": 0, "maximum": 1}),
        (form, Some(categories)) => {
            // Where a name that training never saw is missing, a required feature takes none.
            let any = categories.unseen() == Unseen::Missing && !rule.required;
            json!({"anyOf": names_of(categories, any, number_of(form, range_end))})
        }
        (Form::Any, None) if schema.kind(column) == FeatureKind::Boolean => {
            let mut out = number_of(Form::Any, range_end);
            out["type"] = json!(["boolean", "number"]);
            out
        }
        (form, None) => number_of(form, range_end),
    };
    let Some(object) = out.as_object_mut() else { return out };
    limit(object, (rule.least, rule.greatest), range_end);
    if !rule.required {
        nullable(object);
    }
    annotate(object, schema, column);
    out
}

/// The ways to name a category. Strings are those that the model file has; `true` is also taken in other letters.
fn names_of(categories: &Categories, any: bool, code: Value) -> Vec<Value> {
    let list = if any { "examples" } else { "enum" };
    let mut ways = vec![json!({"type": "string", list: categories.names()})];
    let mut numbers: Vec<Value> = categories.numbers().map(number).collect();
    if categories.has_booleans() {
        ways.push(json!({"type": "boolean"}));
        numbers.extend([number(0.0), number(1.0)]);
    }
    if categories.takes_codes() {
        ways.push(code);
    } else if any {
        ways.push(json!({"type": "number", "examples": numbers}));
    } else if !numbers.is_empty() {
        ways.push(json!({"type": "number", "enum": numbers}));
    }
    ways
}

fn number_of(form: Form, range_end: f64) -> Value {
    let kind = match form {
        Form::Code { end } => {
            return json!({"type": "integer", "minimum": 0, "exclusiveMaximum": end});
        }
        Form::Whole => "integer",
        Form::Any | Form::Binary => "number",
    };
    if range_end.is_finite() {
        json!({"type": kind, "exclusiveMinimum": -range_end, "exclusiveMaximum": range_end})
    } else {
        // What is not finite is no number of JSON.
        json!({"type": kind, "minimum": f64::MIN, "maximum": f64::MAX})
    }
}

/// The manifest's range, in the place of what any number of the type may be.
fn limit(object: &mut Map<String, Value>, (least, greatest): (f64, f64), range_end: f64) {
    for (limit, key, other) in [
        (least, "minimum", "exclusiveMinimum"),
        (greatest, "maximum", "exclusiveMaximum"),
    ] {
        if limit.abs() < range_end {
            object.insert(key.into(), number(limit));
            object.shift_remove(other);
        }
    }
}

fn nullable(object: &mut Map<String, Value>) {
    let nothing = Value::from("null");
    if let Some(Value::Array(ways)) = object.get_mut("anyOf") {
        ways.push(json!({"type": "null"}));
        return;
    }
    match object.get_mut("type") {
        Some(Value::Array(kinds)) => kinds.push(nothing),
        Some(kind) => *kind = json!([kind.take(), nothing]),
        None => {}
    }
}

/// What the manifest says of it in words.
fn annotate(object: &mut Map<String, Value>, schema: &Schema, column: usize) {
    if let Some(label) = schema.label(column) {
        object.insert("title".into(), label.into());
    }
    let unit = schema.unit(column).map(|unit| format!("Unit: {unit}."));
    let group = schema.groups().iter().find(|group| group.columns.contains(&column));
    let group = group.map(|group| format!("Group: {}.", group.label.as_ref().unwrap_or(&group.name)));
    let unit = match (unit, group) {
        (Some(unit), Some(group)) => Some(format!("{unit} {group}")),
        (unit, group) => unit.or(group),
    };
    let description = match (schema.description(column), unit) {
        (Some(description), Some(unit)) => Some(format!("{description}. {unit}").replace("..", ".")),
        (Some(description), None) => Some(description.to_owned()),
        (None, unit) => unit,
    };
    if let Some(description) = description {
        object.insert("description".into(), description.into());
    }
}
