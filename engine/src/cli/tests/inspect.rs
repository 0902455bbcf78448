//! `quintile inspect`.

use super::*;

#[test]
fn inspect_tells_what_a_model_is() {
    let (exit, stdout, stderr) = quintile(&["inspect", "--kernel", "scalar"], "");
    assert_eq!((exit, stderr.as_str()), (Exit::Success, ""));
    for says in [
        "demo 1.0.0",
        "XGBoost UBJSON",
        "binary:logistic",
        "500 with",
        "golden rows  ",
        "kernel: scalar",
        "f50",
        "Visits in the last 7 days",
    ] {
        assert!(stdout.contains(says), "{says}\n{stdout}");
    }
    let (_, softprob, _) = quintile(
        &[
            "inspect",
            "--kernel",
            "reference",
            &fixture("objective-multi-softprob.json"),
        ],
        "",
    );
    assert!(
        softprob.contains("margins 3, predictions 3")
            && softprob.contains("none: predictions are served without a score"),
        "{softprob}"
    );
    assert!(softprob.contains("kernel: reference"), "{softprob}");
}

#[test]
fn inspect_counts_the_categories_of_a_feature() {
    for (name, unseen) in [("category-names.ubj", "refused"), ("lightgbm-names.txt", "missing")] {
        let (exit, text, _) = quintile(&["inspect", &fixture(name)], "");
        assert_eq!(exit, Exit::Success);
        let rows: Vec<&str> = text.lines().rev().take(3).map(str::trim).collect();
        for (row, begins) in rows.iter().zip([
            "2  code    4 categories ",
            "1  number  number ",
            "0  where   9 categories ",
        ]) {
            assert!(row.starts_with(begins) && row.ends_with(" %"), "{text}");
        }
        let (_, json, _) = quintile(&["inspect", "--format", "json", &fixture(name)], "");
        for says in [
            format!(r#""name":"where","kind":"category","categories":9,"unseen":"{unseen}""#),
            r#""name":"number","kind":"number","categories":null,"unseen":null"#.to_owned(),
            format!(r#""name":"code","kind":"category","categories":4,"unseen":"{unseen}""#),
        ] {
            assert!(json.contains(&says), "{says}: {json}");
        }
    }
}

#[test]
fn inspect_prints_json_for_scripts() {
    let file = fixture("gbtree-base-score.json");
    let (_, stdout, _) = quintile(&["inspect", "--kernel", "scalar", "--format", "json", &file], "");
    let mut bytes = stdout.into_bytes();
    use simd_json::prelude::ValueIntoString as _;
    let tape = simd_json::to_tape(&mut bytes).unwrap();
    let object = tape.as_value();
    let object = object.as_object().unwrap();
    let text = |name: &str| {
        object
            .get(name)
            .and_then(|value| value.into_string())
            .unwrap_or_default()
    };
    assert_eq!(
        (text("name"), text("format"), text("kernel")),
        ("gbtree-base-score", "XGBoost JSON", "scalar")
    );
    let features = object.get("features").unwrap();
    let feature = features.as_array().unwrap().get(2).unwrap();
    assert_eq!(
        feature.as_object().unwrap().get("name").unwrap().into_string(),
        Some("quote \" and ü")
    );
    assert_eq!(object.get("bands").unwrap().as_array().unwrap().len(), 4);
}

#[test]
fn json_is_short_for_its_format_and_csv_is_the_features() {
    let file = fixture("category-names.ubj");
    let (exit, long, _) = quintile(&["inspect", "--format", "json", &file], "");
    let (_, short, _) = quintile(&["inspect", "--json", &file], "");
    assert_eq!((exit, &short), (Exit::Success, &long));
    let (_, table, _) = quintile(&["inspect", &file], "");
    assert_eq!(table, quintile(&["inspect", "--format", "table", &file], "").1);
    let (_, csv, _) = quintile(&["inspect", "--format", "csv", &file], "");
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("column,name,kind,categories,unseen,splits,gain_share,label,description")
    );
    for (line, begins) in lines.zip([
        "0,where,category,9,refused,",
        "1,number,number,,,",
        "2,code,category,4,refused,",
    ]) {
        assert!(line.starts_with(begins) && line.ends_with(",,"), "{csv}");
    }
    assert_eq!(csv.lines().count(), 4);
}
