//! Categories by name: the fixtures of both libraries, whose numbers are the library's own, and every string that is
//! none.

use super::*;

/// `place;number;margin` for each line, and the model that gives these margins. The column between them is 0.5.
fn answers(names: &str, model: &str) -> (LoadedModel, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../model/tests/fixtures")
        .join(names);
    (fixture(model), std::fs::read_to_string(path).unwrap())
}

/// A JSON string with each of its code units escaped.
fn escaped(text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{units}\"")
}

#[test]
fn names_give_the_librarys_margins() {
    for (names, model) in [
        ("category-names.names", "category-names.json"),
        ("category-names.names", "category-names.ubj"),
        ("lightgbm-names.names", "lightgbm-names.txt"),
    ] {
        let (loaded, lines) = answers(names, model);
        let mut workspace = Workspace::new(&loaded, 4096);
        for line in lines.lines() {
            let parts: Vec<&str> = line.split(';').collect();
            let margin: f64 = parts[2].parse().unwrap();
            let plain = serde_json::Value::from(parts[0]).to_string();
            for place in [plain, escaped(parts[0])] {
                let body = format!(
                    r#"{{"lead_id":"a","features":{{"where":{place},"number":0.5,"code":"{}"}}}}"#,
                    parts[1]
                );
                assert_eq!(verdict(&loaded, &mut workspace, body.as_bytes()), "ok", "{body}");
                workspace.score(&loaded);
                assert_eq!(workspace.margins()[0].to_bits(), margin.to_bits(), "{body}");
            }
        }
    }
}

#[test]
fn a_number_is_the_category_that_equals_it_and_null_is_missing() {
    for (model, unseen) in [
        ("category-names.json", "unknown_category /features/code"),
        ("lightgbm-names.txt", "ok"),
    ] {
        let loaded = fixture(model);
        let mut workspace = Workspace::new(&loaded, 4096);
        // "code" names its categories 30, -5, 7 and 2.
        for (value, expected) in [
            ("\"2\"", Some(3.0)),
            ("2", Some(3.0)),
            ("2.0", Some(3.0)),
            ("0.2e1", Some(3.0)),
            ("\"-5\"", Some(1.0)),
            ("-5", Some(1.0)),
            ("30", Some(0.0)),
            ("2.5", None),
            ("0", None),
            ("1e30", None),
            ("9007199254740993", None),
        ] {
            let body = format!(r#"{{"lead_id":"a","features":{{"code":{value}}}}}"#);
            let told = verdict(&loaded, &mut workspace, body.as_bytes());
            assert_eq!(told, if expected.is_some() { "ok" } else { unseen }, "{body}");
            let code = workspace.row()[2];
            assert!(
                expected.map_or(code.is_nan(), |expected| code.total_cmp(&expected).is_eq()),
                "{body}"
            );
        }
        let body = br#"{"lead_id":"a","features":{"code":null}}"#;
        assert_eq!(verdict(&loaded, &mut workspace, body), "ok");
        assert!(workspace.row().iter().all(|value| value.is_nan()));
        let wrong = br#"{"lead_id":"a","features":{"where":1e400,"code":["2"],"number":"0.5"}}"#;
        assert_eq!(
            verdict(&loaded, &mut workspace, wrong),
            "out_of_range /features/where, wrong_type /features/code, wrong_type /features/number"
        );
    }
}

#[test]
fn a_name_training_never_saw_is_what_its_library_makes_of_it() {
    let (refuses, takes) = (fixture("category-names.json"), fixture("lightgbm-names.txt"));
    for name in ["", "A", "zz", "Zurich ", "nan", "null", "10.0", "\\u0000", "1e400"] {
        let body = format!(r#"{{"lead_id":"a","features":{{"where":"{name}"}}}}"#);
        let told = verdict(&refuses, &mut Workspace::new(&refuses, 4096), body.as_bytes());
        assert_eq!(told, "unknown_category /features/where", "{body}");
        let mut workspace = Workspace::new(&takes, 4096);
        assert_eq!(verdict(&takes, &mut workspace, body.as_bytes()), "ok", "{body}");
        assert!(workspace.row()[0].is_nan(), "{body}");
    }
}

#[test]
fn faults_of_categories_have_their_words_and_never_repeat_a_value() {
    let loaded = fixture("category-names.json");
    let mut workspace = Workspace::new(&loaded, 4096);
    // 1e400 makes the reader take its other way, on which numbers stand as strings for a while.
    let body = br#"{"lead_id":"a","features":{"where":"s3cret","code":true,"number":"s3cret","number":1e400}}"#;
    let rejection = workspace.read(&loaded, body).unwrap_err();
    let mut out = Vec::new();
    render::rejection(&mut out, &loaded, &workspace, &rejection);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("s3cret"), "{text}");
    let faults: serde_json::Value = serde_json::from_str(&text).unwrap();
    let messages: Vec<_> = faults["error"]["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        messages,
        [
            r#"is no category of this feature, which has 9 categories: "Zurich", "a", "b b", "quote \"", "naive" and 4 more"#,
            "must be a category, its number, or null, but is a boolean",
            "must be a number or null, but is a string",
            "appears more than once",
            "is beyond the range of the model's 32-bit numbers",
        ]
    );
}

#[test]
fn doubles_take_whatever_is_finite_and_narrowing_models_what_they_can_hold() {
    let told = |model: &str, number: &str| {
        let loaded = fixture(model);
        let name = loaded.model.schema().name(0);
        let body = format!(r#"{{"lead_id":"a","features":{{"{name}":{number}}}}}"#);
        verdict(&loaded, &mut Workspace::new(&loaded, 4096), body.as_bytes())
    };
    for number in ["1e39", "-1.7976931348623157e308", "5e-324"] {
        assert_eq!(told("lightgbm-objective-binary.txt", number), "ok", "{number}");
    }
    for model in [
        "lightgbm-objective-binary.txt",
        // Sums are doubles, but values are narrowed before they are compared.
        "catboost-logloss.json",
        "gbtree-deep.json",
    ] {
        assert!(told(model, "1.8e308").starts_with("out_of_range "), "{model}");
    }
    for model in ["catboost-logloss.json", "gbtree-deep.json"] {
        assert!(told(model, "1e39").starts_with("out_of_range "), "{model}");
        assert_eq!(told(model, "3.4e38"), "ok", "{model}");
    }
}
