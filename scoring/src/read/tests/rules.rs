//! What a good body may look like, and that nothing of one request is left for the next.

use super::*;

fn read(body: &str) -> (LoadedModel, Workspace) {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    workspace.read(&loaded, body.as_bytes()).unwrap();
    (loaded, workspace)
}

#[test]
fn absent_and_null_are_missing() {
    let (_, workspace) = read(r#"{"lead_id":"a","features":{"f1":null,"f2":0}}"#);
    assert!(workspace.row()[0].is_nan());
    assert_eq!(workspace.row()[1].to_bits(), 0);
    assert!(workspace.row()[2..].iter().all(|value| value.is_nan()));
    assert_eq!(workspace.row().len(), 50);
    let (_, workspace) = read(r#"{"lead_id":"a","features":{}}"#);
    assert!(workspace.row().iter().all(|value| value.is_nan()));
}

#[test]
fn keys_come_in_any_order_spacing_and_escape() {
    for body in [
        r#"{"lead_id":"é1","features":{"f1":1,"f50":-2.5,"f12":3e2}}"#,
        r#"{"features":{"f12":300,"f50":-25e-1,"f1":1.0},"lead_id":"\u00e91"}"#,
        "\t{\r\n\"f\\u0065atures\" : {\"\\u00661\" :\n1 , \"\\u0066\\u0031\\u0032\":3E+2,\"f5\\u0030\":-2.50}\n, \
         \"\\u006cead_id\":\"é1\" } \n",
    ] {
        let (_, workspace) = read(body);
        assert_eq!(workspace.lead_id(), "é1", "{body}");
        let row = workspace.row();
        assert_eq!(
            [row[0], row[11], row[49]].map(f64::to_bits),
            [1.0, 300.0, -2.5].map(f64::to_bits)
        );
        assert_eq!(row.iter().filter(|value| !value.is_nan()).count(), 3);
    }
}

#[test]
fn every_kind_of_number_is_its_nearest_double() {
    let text = "0 -0 -0.0 1 -1 9007199254740993 9223372036854775808 -9223372036854775808 -9223372036854775809 \
                18446744073709551615 18446744073709551616 123456789012345678901234567890 0.1 1e-400 5e-324 2.5e-324 \
                2.4e-324 1e38 3.4028235677973362e38 -3.4028235677973362e38";
    let numbers: Vec<&str> = text.split_ascii_whitespace().collect();
    let features: Vec<String> = numbers
        .iter()
        .zip(1..)
        .map(|(number, column)| format!("\"f{column}\":{number}"))
        .collect();
    let (_, workspace) = read(&format!(r#"{{"lead_id":"a","features":{{{}}}}}"#, features.join(",")));
    for (text, value) in numbers.iter().zip(workspace.row()) {
        let expected: f64 = text.parse().unwrap();
        assert_eq!(value.to_bits(), expected.to_bits(), "{text}");
    }
}

#[test]
fn lead_ids_are_any_text_of_256_bytes() {
    let longest = "é".repeat(128);
    let (_, workspace) = read(&format!(r#"{{"lead_id":"{longest}","features":{{}}}}"#));
    assert_eq!(workspace.lead_id(), longest);
    let (_, workspace) = read(r#"{"lead_id":"a\"\\\/\b\f\n\r\t\u0000\ud83d\ude00","features":{}}"#);
    assert_eq!(workspace.lead_id(), "a\"\\/\u{8}\u{c}\n\r\t\0😀");
}

#[test]
fn nothing_is_left_of_the_request_before() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let body = br#"{"lead_id":"first","features":{"f1":1,"f2":2,"f3":"x","f1":3}}"#;
    assert_eq!(workspace.read(&loaded, body), Err(ReadError::Invalid));
    assert_eq!(workspace.faults().total(), 2);
    workspace
        .read(&loaded, br#"{"features":{"f4":4},"lead_id":"second"}"#)
        .unwrap();
    assert_eq!((workspace.lead_id(), workspace.faults().total()), ("second", 0));
    let present: Vec<usize> = (0..50).filter(|&column| !workspace.row()[column].is_nan()).collect();
    assert_eq!(present, [3]);
    // A body without an id has none, even after a body with one.
    assert!(workspace.read(&loaded, b"{}").is_err());
    assert_eq!(workspace.lead_id(), "");
}

#[test]
fn the_score_is_the_models_own() {
    let (loaded, mut workspace) = read(r#"{"lead_id":"a","features":{"f1":3,"f2":9,"f5":2}}"#);
    let score = workspace.score(&loaded);
    let mut scratch = loaded.model.scratch();
    let mut row = [f64::NAN; 50];
    (row[0], row[1], row[4]) = (3.0, 9.0, 2.0);
    assert_eq!(score, loaded.model.score_row(&row, &mut scratch));
    assert!(matches!(score, Some(1..=5)));
    assert_eq!(workspace.margins()[0].to_bits(), scratch.margins()[0].to_bits());
    assert_eq!(workspace.predictions()[0].to_bits(), scratch.predictions()[0].to_bits());
}

#[test]
fn a_workspace_fits_itself_to_another_model() {
    let (demo, other) = (demo(), fixture("objective-multi-softprob.json"));
    let mut workspace = Workspace::new(&demo, 4096);
    let name = other.model.schema().name(1).to_owned();
    let body = format!(r#"{{"lead_id":"a","features":{{"{name}":7}}}}"#);
    // Even if `fit` was not called.
    workspace.read(&other, body.as_bytes()).unwrap();
    assert_eq!(workspace.row().len(), other.model.schema().len());
    assert_eq!(workspace.row()[1].to_bits(), 7_f64.to_bits());
    assert_eq!(workspace.score(&other), None);
    assert_eq!(workspace.predictions().len(), other.model.prediction_len());
    workspace.fit(&demo);
    workspace
        .read(&demo, br#"{"lead_id":"a","features":{"f50":7}}"#)
        .unwrap();
    assert!(workspace.score(&demo).is_some());
}

#[test]
fn bodies_beyond_the_announced_size_are_read_too() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 0);
    let body = format!(r#"{{"lead_id":"a",{}"features":{{"f1":1}}}}"#, " ".repeat(10_000));
    assert_eq!(verdict(&loaded, &mut workspace, body.as_bytes()), "ok");
}
