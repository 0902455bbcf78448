//! `/v1/schema`: the input and output of the model, for programs that prepare leads.

use quintile_model::{Model, Unseen};
use serde_json::{Value, json};

use super::number;
use crate::record_columns::{SCHEMA_VERSION, feature_columns};

/// The whole document.
pub(super) fn document(model: &Model) -> Value {
    let columns = feature_columns(model.schema().names());
    let features = columns.iter().enumerate();
    let features: Vec<Value> = features.map(|(column, name)| feature(model, column, name)).collect();
    json!({
        "model": {
            "name": model.name(),
            "version": model.version(),
            "description": model.description(),
            "owner": model.owner(),
        },
        "format": model.format(),
        "written_by": model.written_by(),
        "objective": model.objective(),
        "trees": model.tree_count(),
        "kernel": model.kernel().to_string(),
        "features": features,
        "groups": groups(model),
        "bands": bands(model),
        "record_schema_version": SCHEMA_VERSION,
        "outputs": {
            "field": field(model),
            "predictions": model.prediction_len(),
            "probability_output": model.probability_output(),
        },
    })
}

/// The key of an answer that holds the prediction, or the list of them.
pub(super) fn field(model: &Model) -> &'static str {
    match (model.probability_output(), model.prediction_len()) {
        (Some(_), 1) => "probability",
        (None, 1) => "prediction",
        _ => "predictions",
    }
}

/// `record_column` is its column in records: its own name, unless that was taken.
fn feature(model: &Model, column: usize, record_column: &str) -> Value {
    let schema = model.schema();
    let rule = schema.rule(column);
    let has_range = rule.least.is_finite() || rule.greatest.is_finite();
    let categories = schema.categories(column);
    let unseen = categories.map(|categories| match categories.unseen() {
        Unseen::Refused => "refused",
        Unseen::Missing => "missing",
    });
    json!({
        "name": schema.name(column),
        "type": schema.kind(column).name(),
        "label": schema.label(column),
        "description": schema.description(column),
        "unit": schema.unit(column),
        // Where there is no limit there is no number.
        "range": has_range.then(|| [number(rule.least), number(rule.greatest)]),
        // What training saw, which is demanded of nobody.
        "seen": schema.seen().and_then(|seen| seen.range(column)).map(|(least, greatest)| [number(least), number(greatest)]),
        "required": rule.required,
        "group": group_of(schema, column),
        "actionable": schema.actionable(column).map(quintile_model::Actionable::name),
        "categories": categories.map(quintile_model::Categories::names),
        "unseen_categories": unseen,
        "record_column": record_column,
    })
}

/// The name for people of the group that a feature is in.
fn group_of(schema: &quintile_model::Schema, column: usize) -> Option<&str> {
    let group = schema.groups().iter().find(|group| group.columns.contains(&column))?;
    Some(group.label.as_ref().unwrap_or(&group.name))
}

/// Features that are one reason together.
fn groups(model: &Model) -> Vec<Value> {
    let schema = model.schema();
    let group = |group: &quintile_model::FeatureGroup| {
        json!({
            "name": group.name,
            "label": group.label,
            "features": group.columns.iter().map(|&column| schema.name(column)).collect::<Vec<_>>(),
        })
    };
    schema.groups().iter().map(group).collect()
}

fn bands(model: &Model) -> Option<Value> {
    let edges = model.bands()?.edges();
    Some(json!({
        "edges": edges.iter().map(|&edge| number(edge)).collect::<Vec<_>>(),
        "names": model.band_names(),
    }))
}
