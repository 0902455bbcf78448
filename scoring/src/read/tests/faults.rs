//! Bodies that are JSON but no request: each fault's exact words, and which faults a body has.

use super::*;

/// The faults array of a body's answer, as it is sent.
fn faults(loaded: &LoadedModel, body: &str) -> String {
    let mut workspace = Workspace::new(loaded, 4096);
    let rejection = workspace.read(loaded, body.as_bytes()).unwrap_err();
    let mut out = Vec::new();
    render::rejection(&mut out, loaded, &workspace, &rejection);
    let text = String::from_utf8(out).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let before = r#"{"error":{"code":"invalid_request","message":"the request does not fit the model","faults":["#;
    let (list, total) = text
        .strip_prefix(before)
        .unwrap()
        .split_once("],\"faults_total\":")
        .unwrap();
    assert_eq!(total, format!("{}}}}}", workspace.faults().total()));
    list.to_owned()
}

#[test]
fn each_fault_has_its_words() {
    let loaded = demo();
    let long = "x".repeat(300);
    let cut = "x".repeat(64);
    for (body, expected) in [
        ("[]", r#"{"code":"wrong_type","pointer":"","message":"must be an object, but is an array"}"#.to_owned()),
        (
            r#"{"lead_id":1,"features":{}}"#,
            r#"{"code":"wrong_type","pointer":"/lead_id","message":"must be a string, but is a number"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":null}"#,
            r#"{"code":"wrong_type","pointer":"/features","message":"must be an object, but is null"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"f1":"7"}}"#,
            r#"{"code":"wrong_type","pointer":"/features/f1","message":"must be a number or null, but is a string"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"f1":true}}"#,
            r#"{"code":"wrong_type","pointer":"/features/f1","message":"must be a number or null, but is a boolean; type = \"boolean\" in the manifest takes it"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"f1":{"f2":1}}}"#,
            r#"{"code":"wrong_type","pointer":"/features/f1","message":"must be a number or null, but is an object"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"f1":1e39}}"#,
            r#"{"code":"out_of_range","pointer":"/features/f1","message":"is beyond the range of the model's 32-bit numbers"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"f1":-1e400}}"#,
            r#"{"code":"out_of_range","pointer":"/features/f1","message":"is beyond the range of the model's 32-bit numbers"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"f1":1,"f1":2}}"#,
            r#"{"code":"duplicate_key","pointer":"/features/f1","message":"appears more than once"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{},"lead_id":"b"}"#,
            r#"{"code":"duplicate_key","pointer":"/lead_id","message":"appears more than once"}"#.into(),
        ),
        (
            r#"{"features":{}}"#,
            r#"{"code":"missing_field","pointer":"/lead_id","message":"is required"}"#.into(),
        ),
        (
            r#"{"lead_id":"a"}"#,
            r#"{"code":"missing_field","pointer":"/features","message":"is required"}"#.into(),
        ),
        (
            r#"{"lead_id":"","features":{}}"#,
            r#"{"code":"empty","pointer":"/lead_id","message":"must not be empty"}"#.into(),
        ),
        (
            &format!(r#"{{"lead_id":"{long}","features":{{}}}}"#),
            r#"{"code":"too_long","pointer":"/lead_id","message":"has 300 bytes; at most 256 are accepted"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{},"color":1}"#,
            r#"{"code":"unknown_field","pointer":"/color","message":"is not a field of a request, which has lead_id and features, and may have explain and direction"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"f51":1}}"#,
            r#"{"code":"unknown_feature","pointer":"/features/f51","message":"the model has no such feature; did you mean \"f5\"?"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"F12":1}}"#,
            r#"{"code":"unknown_feature","pointer":"/features/F12","message":"the model has no such feature; did you mean \"f12\"?"}"#.into(),
        ),
        (
            r#"{"lead_id":"a","features":{"~a/b\u0007\"":1}}"#,
            r#"{"code":"unknown_feature","pointer":"/features/~0a~1b\u0007\"","message":"the model has no such feature"}"#.into(),
        ),
        (
            &format!(r#"{{"lead_id":"a","features":{{"{long}":1}}}}"#),
            format!(r#"{{"code":"unknown_feature","pointer":"/features/{cut}…","message":"the model has no such feature (a name of 300 bytes, cut here)"}}"#),
        ),
        (
            &format!(r#"{{"lead_id":"a","features":{{}},"{long}":1}}"#),
            format!(r#"{{"code":"unknown_field","pointer":"/{cut}…","message":"is not a field of a request, which has lead_id and features, and may have explain and direction (a name of 300 bytes, cut here)"}}"#),
        ),
    ] {
        assert_eq!(faults(&loaded, body), expected, "{body}");
    }
}

#[test]
fn a_body_has_all_its_faults_in_one_answer() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    for (body, expected) in [
        (r#"{}"#, "missing_field /lead_id, missing_field /features"),
        ("null", "wrong_type "),
        ("\"lead_id\"", "wrong_type "),
        ("1", "wrong_type "),
        ("1e400", "wrong_type "),
        ("[1e400,{}]", "wrong_type "),
        (r#"{"lead_id":1e999,"features":{}}"#, "wrong_type /lead_id"),
        (r#"{"lead_id":"a","features":1e999}"#, "wrong_type /features"),
        (r#"{"lead_id":"a","features":[1e999]}"#, "wrong_type /features"),
        (
            r#"{"lead_id":"a","features":{"f1":[1e999]}}"#,
            "wrong_type /features/f1",
        ),
        (
            r#"{"lead_id":"a","features":{"f1":"1e999","f2":1e999}}"#,
            "wrong_type /features/f1, out_of_range /features/f2",
        ),
        (r#"{"lead_id":null,"features":{}}"#, "wrong_type /lead_id"),
        (
            r#"{"lead_id":["a"],"features":[]}"#,
            "wrong_type /lead_id, wrong_type /features",
        ),
        (r#"{"lead_id":{"lead_id":"a"},"features":{}}"#, "wrong_type /lead_id"),
        (
            r#"{"features":{"f9":[1,[2],{"f1":3}],"f8":1},"Lead_id":"a"}"#,
            "wrong_type /features/f9, unknown_field /Lead_id, missing_field /lead_id",
        ),
        (
            r#"{"":1,"lead_id":"a","features":{"":null}}"#,
            "unknown_field /, unknown_feature /features/",
        ),
        (
            r#"{"a":{"lead_id":"x","features":{"f1":1}},"a":[[[]]],"features":{"f0":1,"f1":1e39,"f1":"x","f1":1e400}}"#,
            "unknown_field /a, unknown_field /a, unknown_feature /features/f0, out_of_range /features/f1, \
             duplicate_key /features/f1, wrong_type /features/f1, duplicate_key /features/f1, out_of_range /features/f1, \
             missing_field /lead_id",
        ),
        (
            r#"{"features":{"f1":1},"features":{"f1":2,"f2":false},"lead_id":""}"#,
            "duplicate_key /features, duplicate_key /features/f1, wrong_type /features/f2, empty /lead_id",
        ),
        (
            r#"{"lead_id":"a","features":{"f\u0031":1,"f1":2}}"#,
            "duplicate_key /features/f1",
        ),
        (
            r#"{"lead_id":"a","features":{"f1":3.4028235677973366e38}}"#,
            "out_of_range /features/f1",
        ),
        (
            r#"{"lead_id":"a","features":{"f1":-3.4028235677973366e38}}"#,
            "out_of_range /features/f1",
        ),
        (
            r#"{"lead_id":"a","features":{"f1 ":1}}"#,
            "unknown_feature /features/f1 ",
        ),
        (
            r#"{"lead_id":"a","features":{"f1\u0000":1}}"#,
            "unknown_feature /features/f1\0",
        ),
        (
            r#"{"lead_id":"\u0000","features":{"a/b":1,"m~n":1}}"#,
            "unknown_feature /features/a~1b, unknown_feature /features/m~0n",
        ),
    ] {
        assert_eq!(verdict(&loaded, &mut workspace, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn the_first_32_faults_are_told_and_all_are_counted() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let features: Vec<String> = (100..200).map(|number| format!("\"f{number}\":1")).collect();
    let body = format!(r#"{{"features":{{{}}}}}"#, features.join(","));
    let told = verdict(&loaded, &mut workspace, body.as_bytes());
    assert_eq!(told.split(", ").count(), crate::limits::FAULTS_MAX);
    assert_eq!(workspace.faults().total(), 101);
}

#[test]
fn errors_never_repeat_values() {
    let loaded = demo();
    let mut out = Vec::new();
    let mut workspace = Workspace::new(&loaded, 4096);
    let body = r#"{"lead_id":12345678,"features":{"f1":"s3cret","f2":["s3cret"],"f3":8.7654321e77,"f4":{"s3cret":1}},
        "x":"s3cret"}"#;
    let rejection = workspace.read(&loaded, body.as_bytes()).unwrap_err();
    render::rejection(&mut out, &loaded, &workspace, &rejection);
    let text = String::from_utf8(out).unwrap();
    for value in ["s3cret", "12345678", "7654321"] {
        assert!(!text.contains(value), "{text}");
    }
    assert_eq!(workspace.faults().total(), 6);
}

#[test]
fn a_megabyte_of_bad_keys_takes_linear_time() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 1 << 20);
    for entry in [r#""f1":1,"#, r#""z":1,"#, r#""f50":[],"#, r#""":{},"#] {
        let count = (1 << 20) / entry.len() - 10;
        let body = format!(r#"{{"lead_id":"a","features":{{{}"f2":1}}}}"#, entry.repeat(count));
        let started = std::time::Instant::now();
        assert_eq!(workspace.read(&loaded, body.as_bytes()), Err(ReadError::Invalid));
        let took = started.elapsed();
        assert!(workspace.faults().total() >= count - 1);
        // A quadratic reader takes minutes; this one some milliseconds.
        assert!(took.as_secs() < 5, "{entry} {took:?}");
    }
}

#[test]
fn plain_errors_have_a_code_and_a_message() {
    let mut out = bytes::BytesMut::new();
    render::error(&mut out, "not_found", Some("there is no \"x\" here"), None);
    assert_eq!(
        &out[..],
        br#"{"error":{"code":"not_found","message":"there is no \"x\" here"}}"#
    );
    out.clear();
    render::error(&mut out, "busy", None, None);
    assert_eq!(&out[..], br#"{"error":{"code":"busy"}}"#);
}

#[test]
fn what_the_manifest_demands_is_demanded() {
    let loaded = LoadedModel::demo_with(
        "[features.f1]\nrange = [0, 100]\nunit = \"visits\"\nrequired = true\n[features.f2]\ntype = \"integer\"\n\
         [features.f9]\ntype = \"boolean\"\n[features.f47]\ncategories = [\"ad\", \"mail\"]\n",
    );
    for (features, expected) in [
        (
            r#""f1":-1"#,
            r#"out_of_range /features/f1 must be from 0 to 100 visits"#,
        ),
        (
            r#""f1":100.5"#,
            "out_of_range /features/f1 must be from 0 to 100 visits",
        ),
        (
            r#""f1":null"#,
            "missing_feature /features/f1 is required: it must be a number",
        ),
        (
            r#""f2":1"#,
            "missing_feature /features/f1 is required: it must be a number",
        ),
        (
            r#""f1":"x""#,
            "wrong_type /features/f1 must be a number, but is a string",
        ),
        (
            r#""f1":1,"f2":1.5"#,
            "wrong_form /features/f2 must be a whole number or null",
        ),
        (
            r#""f1":1,"f9":2"#,
            "wrong_form /features/f9 must be true, false, 1, 0, or null",
        ),
        (
            r#""f1":1,"f9":"yes""#,
            "wrong_type /features/f9 must be true, false, 1, 0, or null, but is a string",
        ),
        (
            r#""f1":1,"f47":"radio""#,
            r#"unknown_category /features/f47 is no category of this feature, which has 2 categories: \"ad\", \"mail\""#,
        ),
        (
            r#""f1":1,"f47":2"#,
            r#"unknown_category /features/f47 is no category of this feature, which has 2 categories: \"ad\", \"mail\""#,
        ),
    ] {
        let list = faults(&loaded, &format!(r#"{{"lead_id":"a","features":{{{features}}}}}"#));
        let mut words = expected.splitn(3, ' ');
        let mut word = || words.next().unwrap();
        let expected = format!(
            r#"{{"code":"{}","pointer":"{}","message":"{}"}}"#,
            word(),
            word(),
            word()
        );
        assert_eq!(list, expected, "{features}");
    }
    let mut workspace = Workspace::new(&loaded, 4096);
    let body = br#"{"lead_id":"a","features":{"f1":100,"f2":7,"f9":true,"f47":"mail"}}"#;
    workspace.read(&loaded, body).unwrap();
    assert_eq!(
        [0, 1, 8, 46].map(|column| workspace.row()[column].to_bits()),
        [100.0f64, 7.0, 1.0, 1.0].map(f64::to_bits)
    );
    assert!(workspace.read(&loaded, br#"{"lead_id":"a","features":[]}"#).is_err());
    assert_eq!(
        workspace.faults().total(),
        1,
        "required features are no faults of a body without features"
    );
}
