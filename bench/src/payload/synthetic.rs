//! Leads of chance that fit a server: from the model's schema, or from the server's own `/openapi.json`.
//!
//! Values are drawn from the range that the description states; where it states none, from the normal distribution,
//! which suits models that were trained on scaled features, and is in no case a real lead. One value in ten is missing.

use quintile_model::schema::{Form, Rule};
use quintile_model::{FeatureKind, Schema};
use serde_json::Value as Json;

use super::{Lead, PayloadError, Value};

const MISSING_SHARE: f64 = 0.1;

/// Standard deviations that a normal value lies within.
const NORMAL_END: f64 = 6.0;

/// A feature as far as inventing a value needs to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    name: String,
    kind: FieldKind,
    required: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum FieldKind {
    Number { range: Option<(f64, f64)> },
    Whole { range: (f64, f64) },
    Names(Vec<String>),
}

impl Field {
    /// A feature of any number.
    #[must_use]
    pub fn number(name: String) -> Self {
        Self {
            name,
            kind: FieldKind::Number { range: None },
            required: false,
        }
    }
}

/// The fields of a model, within what its manifest demands.
#[must_use]
pub fn of_schema(schema: &Schema) -> Vec<Field> {
    let field = |column| {
        let rule = schema.rule(column);
        let names = schema.categories(column).map(|categories| categories.names().to_vec());
        let kind = match (rule.form, schema.kind(column), names) {
            (_, _, Some(names)) if !names.is_empty() => FieldKind::Names(names),
            (Form::Code { end }, ..) => FieldKind::Whole {
                range: (0.0, f64::from(end) - 1.0),
            },
            // A code without a name: which codes there are is not stated, but the first are.
            (Form::Binary, ..) | (_, FeatureKind::Boolean | FeatureKind::Category, _) => {
                FieldKind::Whole { range: (0.0, 1.0) }
            }
            (Form::Whole, ..) | (_, FeatureKind::Integer, _) => FieldKind::Whole {
                range: range(rule).unwrap_or((0.0, 100.0)),
            },
            (Form::Any, ..) => FieldKind::Number { range: range(rule) },
        };
        Field {
            name: schema.name(column).to_owned(),
            kind,
            required: rule.required,
        }
    };
    (0..schema.len()).map(field).collect()
}

/// The range that a rule states; where it states one end only, a hundred from there.
fn range(rule: &Rule) -> Option<(f64, f64)> {
    match (rule.least.is_finite(), rule.greatest.is_finite()) {
        (true, true) => Some((rule.least, rule.greatest)),
        (true, false) => Some((rule.least, rule.least + 100.0)),
        (false, true) => Some((rule.greatest - 100.0, rule.greatest)),
        (false, false) => None,
    }
}

/// The fields of `features` in the body of `POST` on `path`.
///
/// # Errors
/// A document that does not describe one.
pub fn of_openapi(document: &Json, path: &str) -> Result<Vec<Field>, PayloadError> {
    let missing = |what: String| PayloadError::OpenApi { reason: what };
    let body = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
    if body.is_null() {
        return Err(missing(format!("it has no JSON body for POST {path}")));
    }
    let body = resolved(document, body);
    let features = resolved(document, &body["properties"]["features"]);
    let Some(properties) = features["properties"].as_object().filter(|all| !all.is_empty()) else {
        return Err(missing(format!(
            "the body of POST {path} has no properties under \"features\""
        )));
    };
    let required = |name: &str| {
        let names = features["required"].as_array();
        names.is_some_and(|names| names.iter().any(|each| each == name))
    };
    let field = |(name, schema): (&String, &Json)| Field {
        name: name.clone(),
        kind: kind(document, schema),
        required: required(name),
    };
    Ok(properties.iter().map(field).collect())
}

/// A schema without its reference. References to references end somewhere; a loop of them does not, hence the bound.
fn resolved<'a>(document: &'a Json, mut schema: &'a Json) -> &'a Json {
    for _ in 0..16 {
        let Some(pointer) = schema["$ref"].as_str().and_then(|text| text.strip_prefix('#')) else {
            break;
        };
        schema = document.pointer(pointer).unwrap_or(&Json::Null);
    }
    schema
}

fn kind(document: &Json, schema: &Json) -> FieldKind {
    let schema = resolved(document, schema);
    // Names before codes: a category may be sent as either.
    let alternatives = [&schema["anyOf"], &schema["oneOf"]]
        .into_iter()
        .filter_map(Json::as_array)
        .flatten();
    let mut all = vec![schema];
    all.extend(alternatives.map(|each| resolved(document, each)));
    for each in &all {
        let names: Vec<String> = each["enum"].as_array().into_iter().flatten().filter_map(text).collect();
        if !names.is_empty() {
            return FieldKind::Names(names);
        }
    }
    let is = |each: &Json, wanted: &str| match &each["type"] {
        Json::String(kind) => kind == wanted,
        Json::Array(kinds) => kinds.iter().any(|kind| kind == wanted),
        _ => false,
    };
    let range = |each: &Json| Some((each["minimum"].as_f64()?, each["maximum"].as_f64()?));
    match all.iter().find(|each| is(each, "integer") || is(each, "number")) {
        Some(each) if is(each, "number") => FieldKind::Number {
            // A range as wide as the type says nothing of the values.
            range: range(each).filter(|(low, high)| high - low < 1e9),
        },
        Some(each) => FieldKind::Whole {
            range: range(each).filter(|(low, high)| high - low < 1e9).unwrap_or((0.0, 1.0)),
        },
        None if all.iter().any(|each| is(each, "boolean")) => FieldKind::Whole { range: (0.0, 1.0) },
        None => FieldKind::Number { range: None },
    }
}

fn text(name: &Json) -> Option<String> {
    name.as_str().map(str::to_owned)
}

/// So many leads, the same for the same seed.
#[must_use]
pub fn leads(fields: &[Field], count: usize, seed: u64) -> Vec<Lead> {
    let mut random = fastrand::Rng::with_seed(seed);
    let lead = |_| {
        let value = |field: &Field| {
            if !field.required && random.f64() < MISSING_SHARE {
                return random.bool().then(|| (field.name.clone(), Value::Null));
            }
            let value = match &field.kind {
                FieldKind::Number { range: None } => Value::Number(rounded(normal(&mut random))),
                FieldKind::Number {
                    range: Some((low, high)),
                } => {
                    let drawn = low + (high - low) * random.f64();
                    Value::Number(rounded(drawn).clamp(*low, *high))
                }
                FieldKind::Whole { range: (low, high) } => {
                    Value::Number((low + ((high - low + 1.0) * random.f64()).floor()).min(*high))
                }
                FieldKind::Names(names) => Value::Text(names[random.usize(..names.len())].clone()),
            };
            Some((field.name.clone(), value))
        };
        fields.iter().filter_map(value).collect()
    };
    (0..count).map(lead).collect()
}

/// Six decimals: what real features have, give or take.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// By Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * random.f64()).cos()).clamp(-NORMAL_END, NORMAL_END)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Json {
        json!({
            "paths": {"/score": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Lead"}}}}}}},
            "components": {"schemas": {
                "Lead": {"type": "object", "properties": {"lead_id": {"type": "string"}, "features": {"$ref": "#/components/schemas/Features"}}},
                "Features": {"type": "object", "required": ["age"], "properties": {
                    "age": {"type": "integer", "minimum": 18, "maximum": 20},
                    "rate": {"type": ["number", "null"], "minimum": -1.0, "maximum": 1.0},
                    "free": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "source": {"anyOf": [{"type": "integer"}, {"type": "string", "enum": ["web", "mail"]}, {"type": "null"}]},
                }},
            }},
        })
    }

    #[test]
    fn leads_fit_what_the_server_says() {
        let fields = of_openapi(&document(), "/score").expect("it describes a body");
        let leads = leads(&fields, 2_000, 7);
        let mut named = 0;
        for lead in &leads {
            assert!(
                lead.iter().any(|(name, value)| name == "age" && *value != Value::Null),
                "age is required"
            );
            for (name, value) in lead {
                match (name.as_str(), value) {
                    ("age", Value::Number(age)) => assert!([18.0, 19.0, 20.0].contains(age), "{age}"),
                    ("rate", Value::Number(rate)) => assert!((-1.0..=1.0).contains(rate), "{rate}"),
                    ("free", Value::Number(free)) => assert!(free.abs() <= NORMAL_END, "{free}"),
                    ("source", Value::Text(source)) => named += usize::from(source == "web" || source == "mail"),
                    ("rate" | "free" | "source", Value::Null) => {}
                    other => panic!("not asked for: {other:?}"),
                }
            }
        }
        assert!(
            (1_650..1_950).contains(&named),
            "nine in ten of 2,000 have a source, not {named}"
        );
        let again = super::leads(&fields, 2_000, 7);
        assert_eq!(leads, again, "the same seed gives the same leads");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (document, reason) in [
            (json!({}), "no JSON body for POST /score"),
            (
                json!({"paths": {"/score": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/loop"}}}}}}}, "loop": {"$ref": "#/loop"}}),
                "no properties under \"features\"",
            ),
        ] {
            let error = of_openapi(&document, "/score").expect_err(reason).to_string();
            assert!(error.contains(reason) && error.contains("--payload"), "{error}");
        }
    }
}
