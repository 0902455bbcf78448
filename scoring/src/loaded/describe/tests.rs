//! What the documents say is what the server does: each feature's schema against the rule that requests are held to.

use serde_json::{Value, json};

use crate::loaded::LoadedModel;
use crate::read::faults::{Echo, Fault, FaultKind, FaultPlace, JsonType};

fn features(loaded: &LoadedModel) -> Value {
    let document: Value = serde_json::from_slice(&loaded.descriptions().openapi.bytes).expect("JSON");
    document["components"]["schemas"]["Features"].clone()
}

fn demo_feature(note: &str) -> Value {
    let loaded = LoadedModel::demo_with(&format!("[features.f1]\n{note}"));
    features(&loaded)["properties"]["f1"].clone()
}

#[test]
fn a_feature_takes_what_its_rule_takes() {
    let end = 3.402_823_567_797_336_6e38;
    let names = json!({"type": "string", "enum": ["a", "b"]});
    let code = json!({"type": "integer", "minimum": 0, "exclusiveMaximum": 2});
    for (note, schema) in [
        (
            "",
            json!({"type": ["number", "null"], "exclusiveMinimum": -end, "exclusiveMaximum": end}),
        ),
        (
            "required = true\nrange = [-0.5, inf]",
            json!({"type": "number", "exclusiveMaximum": end, "minimum": -0.5}),
        ),
        (
            "type = \"integer\"\nrange = [0, 7]",
            json!({"type": ["integer", "null"], "minimum": 0, "maximum": 7}),
        ),
        (
            "type = \"boolean\"",
            json!({"type": ["boolean", "integer", "null"], "minimum": 0, "maximum": 1}),
        ),
        (
            "categories = [\"a\", \"b\"]",
            json!({"anyOf": [names, code, {"type": "null"}]}),
        ),
        (
            "categories = [\"a\", \"b\"]\nrequired = true",
            json!({"anyOf": [names, code]}),
        ),
        (
            "label = \"Age\"\ndescription = \"Of the lead.\"\nunit = \"days\"\nrange = [0, 1]",
            json!({"type": ["number", "null"], "minimum": 0, "maximum": 1, "title": "Age",
                   "description": "Of the lead. Unit: days."}),
        ),
    ] {
        assert_eq!(demo_feature(note), schema, "{note}");
    }
}

#[test]
fn required_features_are_required() {
    let loaded = LoadedModel::demo_with("[features.f3]\nrequired = true\n[features.f2]\nrequired = true");
    assert_eq!(features(&loaded)["required"], json!(["f2", "f3"]));
    assert_eq!(features(&LoadedModel::demo_with(""))["required"], Value::Null);
}

#[test]
fn an_example_is_made_up_where_the_model_has_none() {
    let manifest = "[features.f1]\nrange = [10, 20]\n[features.f2]\ntype = \"boolean\"\n[features.f3]\n\
                    categories = [\"x\", \"y\"]\n[features.f4]\ntype = \"integer\"\nrange = [2.5, 3.4]\n\
                    [features.f5]\nrange = [-inf, -3]\n[features.f6]\ntype = \"integer\"\nrange = [0.2, 0.8]";
    let loaded = LoadedModel::demo_with(manifest);
    let document: Value = serde_json::from_slice(&loaded.descriptions().openapi.bytes).expect("JSON");
    let lead = &document["components"]["examples"]["Lead"]["value"];
    let told = ["f1", "f2", "f3", "f4", "f5", "f6", "f7"].map(|name| lead["features"][name].clone());
    assert_eq!(
        told,
        [
            json!(15),
            json!(true),
            json!("x"),
            json!(3),
            json!(-3),
            Value::Null,
            json!(0)
        ]
    );
}

#[test]
fn the_example_is_a_golden_row_in_few_digits() {
    let loaded = LoadedModel::load(None, quintile_model::Options::default(), 0).expect("the demo");
    let document: Value = serde_json::from_slice(&loaded.descriptions().openapi.bytes).expect("JSON");
    let lead = document["components"]["examples"]["Lead"]["value"].to_string();
    assert!(
        lead.starts_with(r#"{"lead_id":"lead-1","features":{"f1":2,"f2":3,"f3":2.4,"#),
        "{lead}"
    );
    assert!(document["components"]["examples"]["ScoreAnswer"]["value"]["score"].is_number());
}

#[test]
fn a_rule_that_the_example_breaks_costs_it_its_place() {
    // The demo's golden rows have no f1 below zero.
    let text = include_str!("../../../../engine/demo/demo.toml")
        .replace("[features.f1]", "[features.f1]\nrequired = true\nrange = [-9, -8]");
    let loaded = LoadedModel::demo_with(&text);
    assert_eq!(loaded.example, None);
}

#[test]
fn every_code_of_a_fault_is_in_the_document() {
    let document: Value =
        serde_json::from_slice(&LoadedModel::demo_with("").descriptions().openapi.bytes).expect("JSON");
    let faults = &document["components"]["schemas"]["Fault"]["properties"]["faults"];
    let listed = faults["items"]["properties"]["code"]["enum"]
        .as_array()
        .expect("a list");
    let found = JsonType::Null;
    for kind in [
        FaultKind::WrongType { found },
        FaultKind::UnknownCategory,
        FaultKind::OutOfRange,
        FaultKind::BeyondLimits,
        FaultKind::WrongForm,
        FaultKind::Duplicate,
        FaultKind::Missing,
        FaultKind::Unknown,
        FaultKind::Empty,
        FaultKind::TooLong { bytes: 300 },
    ] {
        for place in [
            FaultPlace::Body,
            FaultPlace::Feature(0),
            FaultPlace::UnknownFeature(Echo::new("x")),
            FaultPlace::UnknownField(Echo::new("x")),
        ] {
            let code = Fault { place, kind }.code();
            assert!(listed.iter().any(|one| one == code), "{code}");
        }
    }
}

#[test]
fn outputs_and_fields_are_those_of_the_answers() {
    let fixture = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../model/tests/fixtures")
            .join(name);
        LoadedModel::of_bytes(&std::fs::read(path).expect("a fixture"), "").expect("a model")
    };
    for (name, field) in [
        ("objective-multi-softprob.json", "predictions"),
        ("objective-reg-squarederror.json", "prediction"),
    ] {
        let loaded = fixture(name);
        let schema: Value = serde_json::from_slice(&loaded.descriptions().schema.bytes).expect("JSON");
        assert_eq!(
            (&schema["outputs"]["field"], &schema["bands"]),
            (&field.into(), &Value::Null),
            "{name}"
        );
        let document: Value = serde_json::from_slice(&loaded.descriptions().openapi.bytes).expect("JSON");
        let answer = &document["components"]["schemas"]["ScoreAnswer"]["properties"];
        assert!(
            answer.get(field).is_some() && answer.get("probability").is_none(),
            "{name}"
        );
        assert_eq!(answer["score"]["type"], "null", "{name}");
    }
}
