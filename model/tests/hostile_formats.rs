//! Hostile files of the formats that are not XGBoost's or LightGBM's own: what is wrong is named, and nothing takes
//! long.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions but not what they call"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quintile_model::load;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// The error of a file in which every occurrence of some bytes is replaced by as many others.
fn error_of(name: &str, from: &[u8], to: &[u8]) -> String {
    let mut bytes = fixture(name);
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from)
        .map(|(place, _)| place)
        .collect();
    assert!(!places.is_empty(), "{name} has no {from:?}");
    assert_eq!(from.len(), to.len(), "lengths would have to change with it");
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to);
    }
    load(&bytes).expect_err(name).to_string()
}

/// The error of a text in which the first occurrence of some words is replaced.
fn error_of_text(name: &str, from: &str, to: &str) -> String {
    let text = String::from_utf8(fixture(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    load(text.replacen(from, to, 1).as_bytes()).expect_err(to).to_string()
}

#[test]
fn faults_of_a_checkpoint_are_named() {
    let name = "treelite-operators-or-equal.bin";
    for (error, needle) in [
        (
            error_of(name, b"\x03\x03\x02\0\0\0\0\0\0\0", b"\x02\x03\x02\0\0\0\0\0\0\0"),
            "not of types 2 and 3",
        ),
        (
            error_of(name, b"\x03\x03\x02\0\0\0\0\0\0\0", b"\x03\x03\0\0\0\0\0\0\0\0"),
            "holds no trees",
        ),
        (
            error_of(name, b"\x03\x03\x02\0\0\0\0\0\0\0", b"\x03\x03\0\0\0\x01\0\0\0\0"),
            "more trees than the 131072 accepted",
        ),
        (error_of(name, b"hinge", b"hinga"), "none of Treelite's postprocessors"),
    ] {
        assert!(error.contains(needle), "{error} lacks {needle}");
    }
    let mut longer = fixture(name);
    longer.push(0);
    let error = load(&longer).unwrap_err().to_string();
    assert!(error.contains("has ended, but the file has not"), "{error}");
}

#[test]
fn faults_of_a_catboost_model_are_named() {
    let logloss = "catboost-logloss.json";
    let nested = "catboost-lossguide.json";
    for (error, needle) in [
        (
            error_of_text(logloss, "\"float_feature_index\": 0", "\"float_feature_index\": 9"),
            "float_feature_index: the model has no numeric feature 9",
        ),
        (
            error_of_text(
                logloss,
                "\"split_type\": \"FloatFeature\"",
                "\"split_type\": \"OnlineCtr\"",
            ),
            "a split of type \"OnlineCtr\"",
        ),
        (
            error_of_text(logloss, "\"leaf_values\": [", "\"leaf_values\": [1, "),
            "leaf_values: 9 values for 8 leaves",
        ),
        (
            error_of_text(logloss, "\"leaf_values\": [", "\"leaf_values\": [\"x\", "),
            "an array of numbers is accepted",
        ),
        (
            error_of_text(logloss, "\"flat_feature_index\": 1", "\"flat_feature_index\": 0"),
            "another feature has this number",
        ),
        (
            error_of_text(logloss, "\"flat_feature_index\": 1", "\"flat_feature_index\": 99999999"),
            "more features than the 65536",
        ),
        (
            error_of_text(
                logloss,
                "\"float_features\"",
                "\"text_features\": [{}], \"float_features\"",
            ),
            "the model has text features",
        ),
        (
            error_of_text(
                logloss,
                "\"float_features\"",
                "\"categorical_features\": [{}], \"float_features\"",
            ),
            "the model has categorical features",
        ),
        (
            error_of_text(logloss, "\"AsIs\"", "\"AsWas\""),
            "AsIs, AsFalse and AsTrue are accepted",
        ),
        (
            error_of_text(logloss, "\"oblivious_trees\"", "\"oblivious_shrubs\""),
            "the field \"trees\" is missing",
        ),
        (
            error_of_text(nested, "\"value\"", "\"values\""),
            "the field \"split\" is missing",
        ),
        (
            error_of_text(nested, "\"right\"", "\"wrong\""),
            "the field \"right\" is missing",
        ),
        (
            error_of_text(nested, "\"value\": ", "\"value\": 1e999, \"was\": "),
            "leaf value is inf",
        ),
    ] {
        assert!(error.contains(needle), "{error} lacks {needle}");
    }
}

#[test]
fn faults_of_an_onnx_model_are_named() {
    let name = "onnx-xgboost-regressor.onnx";
    for (error, needle) in [
        (
            error_of(name, b"TreeEnsembleRegressor", b"TreeEnsembleAggressor"),
            "the operator TreeEnsembleAggressor is not accepted",
        ),
        (
            error_of(name, b"BRANCH_LT", b"BRANCH_XX"),
            "nodes_modes[0]: \"BRANCH_XX\"",
        ),
        (
            error_of(name, b"nodes_modes", b"nodes_moods"),
            "the arrays of nodes differ in length",
        ),
        (
            error_of(name, b"target_ids", b"target_idx"),
            "the arrays of leaf weights differ in length",
        ),
        (
            error_of(name, b"n_targets", b"m_targets"),
            "n_targets: 0 targets or classes",
        ),
        (
            error_of(name, b"ai.onnx.ml\x10", b"ai.onnx.mm\x10"),
            "uses no operators of ai.onnx.ml",
        ),
        (
            error_of(name, b"ai.onnx.ml\x10\x01", b"ai.onnx.ml\x10\x05"),
            "versions 1 to 4 are accepted",
        ),
        (
            error_of("onnx-sklearn-forest-two.onnx", b"ZipMap", b"ZopMap"),
            "the operator ZopMap is not accepted here",
        ),
        (
            error_of("onnx-xgboost-three.onnx", b"SOFTMAX", b"SAFTMAX"),
            "post_transform: \"SAFTMAX\" is not accepted",
        ),
    ] {
        assert!(error.contains(needle), "{error} lacks {needle}");
    }
}

#[test]
fn hostile_sizes_end_at_once() {
    let repeated = |head: &[u8], body: &[u8], times: usize| [head, &body.repeat(times)].concat();
    let features = b"{\"features_info\":{\"float_features\":[]},";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "a checkpoint of claims",
            repeated(b"\x04\0\0\0\x08\0\0\0\x01\0\0\0\x03\x03", b"\xff", 4_000_000),
        ),
        (
            "a checkpoint of zeros",
            repeated(b"\x04\0\0\0\x08\0\0\0\x01\0\0\0\x03\x03\x01", b"\0", 8_000_000),
        ),
        (
            "trees within trees",
            repeated(&[features.as_slice(), b"\"trees\":["].concat(), b"{\"left\":", 900_000),
        ),
        (
            "leaves without weights",
            repeated(
                &[features.as_slice(), b"\"oblivious_trees\":[{\"leaf_values\":[0"].concat(),
                b",0",
                4_000_000,
            ),
        ),
        ("many empty graphs", repeated(b"\x08\x08", b"\x3a\0", 4_000_000)),
        ("one long varint", repeated(b"\x08\x08\x3a", b"\xff", 8_000_000)),
        ("many nodes of nothing", {
            let nodes = repeated(b"", b"\x0a\0", 3_000_000);
            let length = u32::try_from(nodes.len()).unwrap();
            let varint = (0..5).map(|place| {
                let more = if place < 4 { 0x80 } else { 0 };
                u8::try_from(length >> (7 * place) & 0x7f).unwrap() | more
            });
            [b"\x08\x08\x3a".as_slice(), &varint.collect::<Vec<_>>(), &nodes].concat()
        }),
    ];
    for (name, bytes) in cases {
        let start = Instant::now();
        let error = load(&bytes).expect_err(name).to_string();
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{name} took {:?}",
            start.elapsed()
        );
        assert!(error.len() < 400, "{name}: {error}");
    }
}

#[test]
fn a_table_is_told_from_a_model() {
    for (table, is_one) in [
        (&b"visits,minutes\n1,2\n3,4\n"[..], true),
        (b"a;b;c\r\n1;2;3\r\n", true),
        (b"a\tb\n1\t2\n", true),
        (b"hello, world\nthis is text\n", false),
        (b"1\n2\n3\n", false),
        (b"a,b\n", false),
    ] {
        let error = quintile_model::load(table).unwrap_err().to_string();
        assert_eq!(
            error.contains("a table of text (CSV), which is data and no model"),
            is_one,
            "{error}"
        );
    }
}
