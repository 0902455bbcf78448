//! Reasons of the demo's scores: their order, their words and their JSON.

use super::*;
use crate::limits::REASONS_MAX;
use crate::loaded::LoadedModel;

const EXPLAIN_ALL: ReasonsRequest = ReasonsRequest {
    count: REASONS_MAX,
    direction: None,
    is_demanded: true,
};

fn demo() -> LoadedModel {
    LoadedModel::demo_with("[features.f2]\nlabel = \"Visits in the last 7 days\"\n")
}

fn written(loaded: &LoadedModel, row: &[f64], request: ReasonsRequest) -> serde_json::Value {
    let explainer = loaded.explaining.prepare(&loaded.model).as_ref().unwrap();
    let mut workspace = ReasonsWorkspace::new(loaded, explainer);
    workspace.explain(loaded, explainer, row, request);
    let mut out = b"{\"is\":1".to_vec();
    workspace.write(&mut out);
    assert!(out.len() <= workspace.bytes_max() + 7);
    out.push(b'}');
    serde_json::from_slice(&out).unwrap()
}

fn row(loaded: &LoadedModel) -> Vec<f64> {
    (0..loaded.model.schema().len())
        .map(|column| column as f64 / 3.0)
        .collect()
}

#[test]
fn reasons_are_sorted_and_add_up_to_the_margin() {
    let loaded = demo();
    let row = row(&loaded);
    let mut scratch = loaded.model.scratch();
    loaded.model.score_row(&row, &mut scratch);
    let answer = written(&loaded, &row, EXPLAIN_ALL);
    let reasons = answer["reasons"].as_array().unwrap();
    let sizes: Vec<f64> = reasons
        .iter()
        .map(|reason| reason["contribution"].as_f64().unwrap())
        .collect();
    assert!(
        sizes.len() > 10 && sizes.windows(2).all(|pair| pair[0].abs() >= pair[1].abs()),
        "{sizes:?}"
    );
    let explained = &answer["explained"];
    let number = |key: &str| explained[key].as_f64().unwrap();
    let margin = scratch.margins()[0];
    let sum = sizes.iter().sum::<f64>() + number("bias") + number("others");
    assert!(
        (sum - margin).abs() < 1e-5 && number("others").abs() < 1e-12,
        "{sum} for {margin}"
    );
    assert_eq!(explained["output"], 0);
    for reason in reasons {
        let way = if reason["contribution"].as_f64().unwrap() > 0.0 {
            "raises"
        } else {
            "lowers"
        };
        assert_eq!(reason["direction"], way);
        let label = if reason["feature"] == "f2" {
            "Visits in the last 7 days"
        } else {
            reason["feature"].as_str().unwrap()
        };
        assert_eq!(reason["text"], label);
        assert_eq!(reason.get("label").is_some(), reason["feature"] == "f2");
    }
}

#[test]
fn few_reasons_of_one_direction_leave_the_rest_to_others() {
    let loaded = demo();
    let row = row(&loaded);
    let all = written(&loaded, &row, EXPLAIN_ALL);
    let request = ReasonsRequest {
        count: 3,
        direction: Some(Direction::Lowers),
        is_demanded: true,
    };
    let few = written(&loaded, &row, request);
    let lowers = all["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|reason| reason["direction"] == "lowers");
    let expected: Vec<_> = lowers.take(3).cloned().collect();
    assert_eq!(few["reasons"], serde_json::Value::from(expected));
    let sum = |answer: &serde_json::Value| {
        let reasons = answer["reasons"].as_array().unwrap().iter();
        let told: f64 = reasons.map(|reason| reason["contribution"].as_f64().unwrap()).sum();
        told + answer["explained"]["others"].as_f64().unwrap()
    };
    assert!((sum(&all) - sum(&few)).abs() < 1e-9);
}

#[test]
fn what_is_missing_is_null() {
    let loaded = demo();
    let answer = written(&loaded, &vec![f64::NAN; loaded.model.schema().len()], EXPLAIN_ALL);
    assert!(
        answer["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .all(|reason| reason["value"].is_null())
    );
}

#[test]
fn features_of_a_group_are_one_reason_with_its_sentences() {
    let plain = written(&demo(), &row(&demo()), EXPLAIN_ALL);
    let loaded = LoadedModel::demo_with(
        "[groups.visits]\nfeatures = [\"f3\", \"f1\"]\nlabel = \"Visits\"\n\
         reasons = { raises = \"Many visits\", lowers = \"Few visits\", missing = \"Visits are not known\" }\n\
         [features.f2]\nreasons = { raises = \"f2 up\", lowers = \"f2 down\", missing = \"f2 is \\\"away\\\"\" }\n",
    );
    let grouped = written(&loaded, &row(&loaded), EXPLAIN_ALL);
    let of = |answer: &serde_json::Value, key: &str, name: &str| -> serde_json::Value {
        let mut reasons = answer["reasons"].as_array().unwrap().iter();
        reasons.find(|reason| reason[key] == name).cloned().unwrap_or_default()
    };
    let number = |reason: &serde_json::Value| reason["contribution"].as_f64().unwrap_or(0.0);
    let group = of(&grouped, "group", "visits");
    let sum = number(&of(&plain, "feature", "f1")) + number(&of(&plain, "feature", "f3"));
    assert_eq!(number(&group).to_bits(), sum.to_bits());
    let values = row(&loaded);
    assert_eq!(group["features"], serde_json::json!({"f1": values[0], "f3": values[2]}));
    assert_eq!(group["text"], if sum > 0.0 { "Many visits" } else { "Few visits" });
    assert!(of(&grouped, "feature", "f1").is_null() && of(&grouped, "feature", "f3").is_null());
    let f2 = of(&grouped, "feature", "f2");
    assert_eq!(f2["text"], if number(&f2) > 0.0 { "f2 up" } else { "f2 down" });
    assert!(
        (grouped["explained"]["bias"].as_f64().unwrap() - plain["explained"]["bias"].as_f64().unwrap()).abs() < 1e-15
    );

    let missing = written(&loaded, &vec![f64::NAN; loaded.model.schema().len()], EXPLAIN_ALL);
    let f2 = of(&missing, "feature", "f2");
    let way = f2["direction"].as_str().unwrap();
    assert_eq!(f2["text"], format!("f2 is \"away\" ({way})"));
    let group = of(&missing, "group", "visits");
    assert_eq!(
        group["text"],
        format!("Visits are not known ({})", group["direction"].as_str().unwrap())
    );
}

#[test]
fn a_record_keeps_the_reasons_that_weigh_most() {
    let loaded = demo();
    let explainer = loaded.explaining.prepare(&loaded.model).as_ref().unwrap();
    let mut workspace = ReasonsWorkspace::new(&loaded, explainer);
    workspace.explain(&loaded, explainer, &row(&loaded), EXPLAIN_ALL);
    let parse = |text: &str| -> Vec<serde_json::Value> { serde_json::from_str(text).unwrap() };
    let all = parse(workspace.recorded(usize::MAX));
    let whole = workspace.recorded(usize::MAX).len();
    assert_eq!(parse(workspace.recorded(whole)), all);
    for bytes in [0, 1, 2, 50, 300, 1000, whole - 1] {
        let text = workspace.recorded(bytes).to_owned();
        assert!(text.len() <= bytes.max(2), "{bytes}: {text}");
        let kept = parse(&text);
        assert!(kept.len() < all.len() && kept == all[..kept.len()], "{bytes}");
        assert!(bytes < 300 || !kept.is_empty());
    }
}
