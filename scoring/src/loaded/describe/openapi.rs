//! `/openapi.json`: one frame for every model, with the model's own features, fields and example.

use quintile_model::Model;
use serde_json::{Map, Value, json};

use super::{example, feature, schema};
use crate::read::range_end;

/// Everything that does not depend on the model.
const FRAME: &str = include_str!("openapi.json");

/// The example's lead.
const LEAD_ID: &str = "lead-1";

/// The whole document.
pub(super) fn document(model: &Model, row: Option<&[f64]>) -> Value {
    let mut document: Value = serde_json::from_str(FRAME).expect("the frame is JSON, as a test reads it");
    let row = example::row(model, row);
    let lead = json!({"lead_id": LEAD_ID, "features": example::features(model, &row)});
    let scored = scored(model, &row);
    for (place, value) in [
        ("/info", info(model)),
        ("/components/schemas/Features", features(model)),
        ("/components/schemas/Scored/properties", fields(model)),
        ("/components/schemas/ScoreAnswer/properties", answer_fields(model)),
        ("/components/examples/Lead/value", lead.clone()),
        ("/components/examples/Leads/value", json!({"leads": [lead]})),
        ("/components/examples/ScoreAnswer/value", answer(model, scored.clone())),
        ("/components/examples/BatchAnswer/value", batch_answer(model, scored)),
    ] {
        if let Some(hole) = document.pointer_mut(place) {
            *hole = value;
        }
    }
    document
}

fn info(model: &Model) -> Value {
    let mut description = String::new();
    if let Some(sentence) = model.description() {
        description.push_str(sentence);
        description.push_str("\n\n");
    }
    description.push_str(
        "`POST /score` takes one lead, `POST /score/batch` many. A feature that is null or absent is missing, as the model \
         was trained with. A request that does not fit the model gets all its faults in one answer, each with a JSON pointer.",
    );
    let mut info = json!({
        "title": format!("{}, served by Quintile", model.name()),
        "version": model.version(),
        "description": description,
    });
    if let Some(owner) = model.owner() {
        info["contact"] = json!({"name": owner});
    }
    info
}

fn features(model: &Model) -> Value {
    let columns = model.schema();
    let range_end = range_end(model.input_precision());
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (column, name) in columns.names().enumerate() {
        properties.insert(name.to_owned(), feature::schema(columns, column, range_end));
        if columns.rule(column).required {
            required.push(Value::from(name));
        }
    }
    let mut features = json!({
        "type": "object",
        "description": "The model's features by name, in any order. One that is null or absent is missing.",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        features["required"] = Value::from(required);
    }
    features
}

/// The keys of a scored lead, as this model's answers have them.
fn fields(model: &Model) -> Value {
    let score = match model.bands() {
        Some(bands) => {
            let names = model
                .band_names()
                .map_or_else(String::new, |names| format!(", {}", names.join(", ")));
            let edges = bands.edges();
            json!({
                "type": "integer",
                "minimum": 1,
                "maximum": 5,
                "description": format!("The band of the prediction: 1 to 5{names}. The next one begins at each of {edges:?}."),
            })
        }
        None => json!({"type": "null", "description": "The model has no bands."}),
    };
    // A margin that overflows has no number, and null stands for it.
    let number = json!({"type": ["number", "null"]});
    let mut fields = json!({
        "lead_id": {"$ref": "#/components/schemas/LeadId"},
        "score": score,
        "reasons": {"$ref": "#/components/schemas/Reasons"},
        "explained": {"$ref": "#/components/schemas/Explained"},
    });
    let probability = json!({
        "type": ["number", "null"],
        "description": "The training library's prediction, to the last bit. Its band is the score.",
    });
    if model.probability_output().is_some() {
        fields["probability"] = probability;
    }
    fields["unusual"] = json!({
        "type": ["array", "null"],
        "items": {"$ref": "#/components/schemas/UnusualValue"},
        "description": "With unusual=1: values far outside what training saw, the first 32. Null where the manifest does not say \
                        what training saw.",
    });
    fields["unusual_total"] = json!({
        "type": ["integer", "null"],
        "description": "With unusual=1: how many values are far outside what training saw.",
    });
    match schema::field(model) {
        "predictions" => {
            fields["predictions"] = json!({
                "type": "array",
                "items": number,
                "minItems": model.prediction_len(),
                "maxItems": model.prediction_len(),
                "description": "The training library's predictions in its own order, to the last bit.",
            });
        }
        "prediction" => {
            fields["prediction"] = json!({
                "type": ["number", "null"],
                "description": "The training library's prediction, to the last bit.",
            });
        }
        _ => {}
    }
    fields
}

/// The keys of an answer to `POST /score`.
fn answer_fields(model: &Model) -> Value {
    let mut fields = fields(model);
    for (key, value) in [
        (
            "source",
            json!({"type": "string", "enum": ["sagemaker", "local"], "description": "Who scored, where SageMaker may."}),
        ),
        (
            "reason",
            json!({"type": "string", "description": "Why SageMaker did not score, where it was to."}),
        ),
        ("target", json!({"$ref": "#/components/schemas/TargetFound"})),
        ("model", json!({"$ref": "#/components/schemas/ModelName"})),
        ("request_id", json!({"$ref": "#/components/schemas/RequestId"})),
        ("latency_us", json!({"$ref": "#/components/schemas/Latency"})),
    ] {
        fields[key] = value;
    }
    fields
}

/// What a row's score looks like: the score itself, where the model can be evaluated here.
fn scored(model: &Model, row: &[f64]) -> Map<String, Value> {
    let mut scratch = model.scratch();
    let score = model.score_row(row, &mut scratch);
    let predictions = scratch.predictions();
    let mut fields = Map::new();
    fields.insert("lead_id".into(), LEAD_ID.into());
    fields.insert("score".into(), score.into());
    if let Some(&probability) = model.probability_output().and_then(|output| predictions.get(output)) {
        fields.insert("probability".into(), probability.into());
    }
    match schema::field(model) {
        "predictions" => fields.insert("predictions".into(), predictions.into()),
        "prediction" => fields.insert("prediction".into(), predictions.first().copied().into()),
        _ => None,
    };
    fields
}

fn answer(model: &Model, mut scored: Map<String, Value>) -> Value {
    scored.insert("model".into(), name(model));
    scored.insert("request_id".into(), REQUEST_ID.into());
    scored.insert("latency_us".into(), json!({"parse": 2.4, "score": 0.9, "total": 4.1}));
    Value::Object(scored)
}

fn batch_answer(model: &Model, scored: Map<String, Value>) -> Value {
    json!({
        "results": [scored],
        "scored": 1,
        "failed": 0,
        "model": name(model),
        "request_id": REQUEST_ID,
        "latency_us": {"total": 9.6},
    })
}

const REQUEST_ID: &str = "01a20e7f-6d99-7c39-8063-0f4bf4172e43";

fn name(model: &Model) -> Value {
    json!({"name": model.name(), "version": model.version()})
}
