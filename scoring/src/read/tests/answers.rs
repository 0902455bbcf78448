//! Answers, to the byte.

use bytes::BytesMut;

use super::*;

const TIMINGS: Timings = Timings {
    parse_ns: 1100,
    score_ns: 820,
    total_ns: 2345,
    wake_ns: 0,
};

fn scored(loaded: &LoadedModel, id: &str) -> (Workspace, Option<u8>) {
    let mut workspace = Workspace::new(loaded, 4096);
    let body = format!(r#"{{"lead_id":{},"features":{{}}}}"#, serde_json::Value::from(id));
    workspace.read(loaded, body.as_bytes()).unwrap();
    let score = workspace.score(loaded);
    (workspace, score)
}

fn answer(loaded: &LoadedModel, id: &str, request_id: &str) -> String {
    let (workspace, score) = scored(loaded, id);
    let mut out = Vec::new();
    render::answer(&mut out, loaded, &workspace, score, request_id, &TIMINGS);
    let mut arena = BytesMut::new();
    render::answer(&mut arena, loaded, &workspace, score, request_id, &TIMINGS);
    assert_eq!(out, arena);
    assert!(out.len() <= render::answer_bytes_max(loaded));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_probability_with_its_score() {
    let loaded = demo();
    let (workspace, score) = scored(&loaded, "1");
    let (score, probability) = (score.unwrap(), workspace.predictions()[0]);
    assert_eq!(
        answer(&loaded, "12\"3", "r-1"),
        format!(
            r#"{{"lead_id":"12\"3","score":{score},"probability":{probability},"model":{{"name":"demo","version":"1.0.0"}},"request_id":"r-1","latency_us":{{"parse":1.1,"score":0.82,"total":2.345}}}}"#
        )
    );
}

#[test]
fn models_without_bands_answer_without_a_score() {
    let loaded = fixture("objective-reg-squarederror.json");
    let text = answer(&loaded, "a", "r");
    let (workspace, _) = scored(&loaded, "a");
    let expected = format!(
        r#"{{"lead_id":"a","score":null,"prediction":{:?},"model":{{"#,
        workspace.predictions()[0]
    );
    assert!(text.starts_with(&expected), "{text}");

    let loaded = fixture("objective-multi-softprob.json");
    let text = answer(&loaded, "a", "r");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (workspace, _) = scored(&loaded, "a");
    let predictions = value["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), workspace.predictions().len());
    for (printed, prediction) in predictions.iter().zip(workspace.predictions()) {
        assert_eq!(printed.as_f64().unwrap().to_bits(), prediction.to_bits());
    }
    assert!(value["score"].is_null() && value.get("probability").is_none());
}

#[test]
fn several_outputs_are_a_list_in_either_precision() {
    for (name, count) in [
        ("lightgbm-objective-multiclass.txt", 3),
        ("lightgbm-objective-multiclassova.txt", 4),
        ("vector-targets.ubj", 2),
        ("vector-targets-old.json", 2),
        ("catboost-multiclass.json", 3),
    ] {
        let loaded = fixture(name);
        let (workspace, _) = scored(&loaded, "a");
        let value: serde_json::Value = serde_json::from_str(&answer(&loaded, "a", "r")).unwrap();
        let predictions = value["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), count, "{name}");
        for (printed, prediction) in predictions.iter().zip(workspace.predictions()) {
            assert_eq!(printed.as_f64().unwrap().to_bits(), prediction.to_bits(), "{name}");
        }
        let none = ["prediction", "probability"].map(|key| value.get(key).is_none());
        assert!(value["score"].is_null() && none == [true, true], "{name}: {value}");
    }
}

#[test]
fn the_output_that_the_manifest_names_is_the_probability() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/objective-multi-softprob.json");
    let text = "probability_output = 1\nedges = [0.0001, 0.0002, 0.0003, 0.0004]";
    let loaded = LoadedModel::of_bytes(&std::fs::read(path).unwrap(), text).unwrap();
    let (workspace, _) = scored(&loaded, "a");
    let value: serde_json::Value = serde_json::from_str(&answer(&loaded, "a", "r")).unwrap();
    let expected = workspace.predictions()[1];
    assert_eq!(value["probability"].as_f64().unwrap().to_bits(), expected.to_bits());
    assert_eq!(value["score"], loaded.model.bands().unwrap().score(expected));
    assert_eq!(
        value["predictions"].as_array().unwrap().len(),
        loaded.model.prediction_len()
    );
}

#[test]
fn the_longest_answer_stays_below_its_bound() {
    let id = "\u{1}".repeat(crate::limits::LEAD_ID_BYTES_MAX);
    let request = "\u{1f}".repeat(crate::limits::REQUEST_ID_BYTES_MAX);
    let worst = Timings {
        parse_ns: u64::MAX,
        score_ns: u64::MAX,
        total_ns: u64::MAX,
        wake_ns: 0,
    };
    for name in ["objective-multi-softprob.json", "objective-reg-squarederror.json"] {
        let loaded = fixture(name);
        let (workspace, _) = scored(&loaded, &id);
        let mut out = Vec::new();
        render::answer(&mut out, &loaded, &workspace, Some(5), &request, &worst);
        serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        assert!(out.len() <= render::answer_bytes_max(&loaded), "{}", out.len());
    }
}

fn number(value: f64) -> String {
    let mut out = Vec::new();
    render::number(&mut out, value);
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_read_back_as_the_same_double() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(number(value), "null");
    }
    let mut random = Random::new(7);
    let check = |value: f64| {
        let text = number(value);
        assert!(text.len() < 26, "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read.as_f64().unwrap().to_bits(), value.to_bits(), "{text}");
        assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
    };
    for value in [
        0.0,
        -0.0,
        0.1,
        1.0,
        -1e300,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        1e16,
        123_456_789.0,
    ] {
        check(value);
    }
    for _ in 0..100_000 {
        let bits = random.next();
        for value in [f64::from_bits(bits), f64::from(f32::from_bits((bits >> 32) as u32))] {
            if value.is_finite() {
                check(value);
            }
        }
    }
}

#[test]
fn latencies_have_one_to_three_decimals() {
    let loaded = demo();
    let (workspace, score) = scored(&loaded, "a");
    for (ns, text) in [
        (0, "0.0"),
        (1, "0.001"),
        (10, "0.01"),
        (100, "0.1"),
        (999, "0.999"),
        (1000, "1.0"),
        (1_234_567, "1234.567"),
        (20_050, "20.05"),
        (u64::MAX, "18446744073709551.615"),
    ] {
        let mut out = Vec::new();
        let timings = Timings {
            parse_ns: ns,
            ..Timings::default()
        };
        render::answer(&mut out, &loaded, &workspace, score, "r", &timings);
        let expected = format!(r#""latency_us":{{"parse":{text},"score":0.0,"total":0.0}}}}"#);
        assert!(String::from_utf8(out).unwrap().ends_with(&expected), "{text}");
    }
}

#[test]
fn strings_escape_what_could_hurt() {
    let string = |text: &str| {
        let mut out = Vec::new();
        render::string(&mut out, text);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(string(""), r#""""#);
    assert_eq!(string("a\"b\\c/é😀"), r#""a\"b\\c/é😀""#);
    assert_eq!(
        string("\0\n\u{1f}\u{7f}\u{80}\u{9f}\u{a0}¢"),
        "\"\\u0000\\u000a\\u001f\\u007f\\u0080\\u009f\u{a0}¢\""
    );
    let mut random = Random::new(3);
    for _ in 0..10_000 {
        let text: String = (0..random.below(20))
            .filter_map(|_| char::from_u32(u32::try_from(random.below(0x120)).unwrap()))
            .collect();
        let read: String = serde_json::from_str(&string(&text)).unwrap();
        assert_eq!(read, text);
        assert!(!string(&text).chars().any(char::is_control));
    }
}
