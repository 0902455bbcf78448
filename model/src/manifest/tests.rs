//! Every fault of a manifest, with its place and its words; and what a right one says.

use super::*;

fn faults(text: &str) -> String {
    let error = Manifest::parse(text).expect_err(text);
    error.to_string()
}

#[test]
fn every_fault_has_its_place_and_its_words() {
    let long = format!("unit = \"{}\"", "x".repeat(129));
    let feature = |text: &str| format!("[features.f]\n{text}");
    let keys = "description, label, unit, type, range, seen, required, missing, categories, actionable, reasons";
    for (text, expected) in [
        (
            "nmae = \"a\"".to_owned(),
            "1:1: unknown key \"nmae\": accepted are name, version, description, owner, edges, band_names, \
             missing, input, probability_output, names, features, groups, golden, init, profile; did you mean name?"
                .to_owned(),
        ),
        (
            "name = 7".into(),
            "1:8: name is a text, not integer; write it in quotes".into(),
        ),
        (
            "owner = \"\"".into(),
            "1:9: owner has 1 to 128 bytes and no control characters".into(),
        ),
        (
            "edges = [1, \"2\", 3, 4]".into(),
            "1:13: edges are numbers, not string".into(),
        ),
        ("edges = [1, 2, 3]".into(), "1:9: edges are four numbers, not 3".into()),
        (
            "edges = [1, 2, 2, 3]".into(),
            "1:9: edge 2 (2) is not above the one before it (2)".into(),
        ),
        (
            "band_names = [\"a\"]".into(),
            "1:14: band_names are five texts, lowest band first, not 1".into(),
        ),
        (
            "band_names = \"a\"".into(),
            "1:14: band_names are an array of five texts, not string".into(),
        ),
        (
            "missing = \"NA\"".into(),
            "1:11: missing is a number or an array of numbers, not string".into(),
        ),
        (
            "missing = [0, \"x\"]".into(),
            "1:15: missing are numbers, not string".into(),
        ),
        (
            "input = \"f32\"".into(),
            "1:9: input is \"f32\": accepted are float32 and float64".into(),
        ),
        (
            "probability_output = -1".into(),
            "1:22: probability_output is the number of one of the model's predictions, from 0".into(),
        ),
        (
            "features = 1".into(),
            "1:12: features is a table of tables: [features.NAME]".into(),
        ),
        (
            "features.f = 1".into(),
            format!("1:14: features.f is a table with {keys}"),
        ),
        (
            feature("requird = true"),
            format!("2:1: unknown key \"requird\": accepted are {keys}; did you mean required?"),
        ),
        (
            feature("type = \"integr\""),
            "2:8: type is \"integr\": accepted are number, integer, boolean, category; did you mean \"integer\"?"
                .into(),
        ),
        (
            feature("type = \"float\""),
            "2:8: type is \"float\": accepted are number, integer, boolean, category".into(),
        ),
        (
            feature(&long),
            "2:8: unit has 1 to 128 bytes and no control characters".into(),
        ),
        (
            feature("range = [1]"),
            "2:9: range is two numbers, the least and the greatest, not 1".into(),
        ),
        (
            feature("range = [2, 1]"),
            "2:9: range begins at 2, which is not below its end 1".into(),
        ),
        (
            feature("range = [nan, 1]"),
            "2:9: range begins at NaN, which is not below its end 1".into(),
        ),
        (
            feature("required = 1"),
            "2:12: required is true or false, not integer".into(),
        ),
        (
            feature("categories = \"a\""),
            "2:14: categories are an array of texts, not string".into(),
        ),
        (
            feature("categories = []"),
            "2:14: categories are at least one text".into(),
        ),
        (
            feature("categories = [\"é\", \"b\", \"é\"]"),
            "2:25: the category \"é\" is there twice".into(),
        ),
        (
            feature("type = \"number\"\ncategories = [\"a\"]"),
            "3:1: only a feature of type = \"category\" has categories".into(),
        ),
        (
            feature("range = [0, 1]\ntype = \"boolean\""),
            "2:9: only a number or an integer has a range".into(),
        ),
        (
            "golden = 1".into(),
            "1:10: golden is an array of tables: [[golden]]".into(),
        ),
        (
            "[[golden]]\nfeatures = [1]".into(),
            "1:1: a golden row has features, and margin, prediction or both".into(),
        ),
        (
            "[[golden]]\nfeatures = [1]\nmargins = [1]".into(),
            "3:1: unknown key \"margins\": accepted are features, margin, prediction, source, trees; did you mean margin?"
                .into(),
        ),
        (
            "[[golden]]\nfeatures = [1]\nmargin = [1]\nsource = \"libary\"".into(),
            "4:10: source is \"libary\": accepted are library and quintile; did you mean \"library\"?".into(),
        ),
        (
            "names = \"a\"".into(),
            "1:9: names are an array of texts, not string".into(),
        ),
        (
            "names = [\"a\", 1]".into(),
            "1:15: a feature's name is a text, not integer; write it in quotes".into(),
        ),
        (
            feature("seen = [3]"),
            "2:8: seen is two numbers, the least and the greatest, not 1".into(),
        ),
        (
            "init = 1".into(),
            "1:8: init is a table: [init], as `manifest init` writes it".into(),
        ),
        ("name = \"a\"\nversion = v1".into(), "2:11: ".into()),
    ] {
        let found = faults(&text);
        let is_prefix = expected.ends_with(": ") && found.starts_with(&expected);
        assert!(found == expected || is_prefix, "{text}\n{found}\n{expected}");
    }
}

#[test]
fn faults_come_all_at_once_and_in_order() {
    let found = faults("x = 1\n[features.a]\ny = 1\n[features.b]\nz = 1\n");
    let places: Vec<_> = found.split("; ").filter_map(|fault| fault.split(": ").next()).collect();
    assert_eq!(places, ["1:1", "3:1", "5:1"]);
    let many: String = (0..100).map(|key| format!("k{key} = 1\n")).collect();
    assert_eq!(Manifest::parse(&many).unwrap_err().faults.len(), MANIFEST_FAULTS_MAX);
}

#[test]
fn everything_that_is_said_arrives() {
    let manifest = Manifest::parse(
        r#"
        name = "leads"
        version = "7"
        description = "two\nlines"
        owner = "a@example.com"
        band_names = ["a", "b", "c", "d", "e"]
        probability_output = 2
        [features."Time Spent"]
        description = "d"
        label = "l"
        unit = "s"
        type = "integer"
        range = [-inf, 10]
        required = true
        [features.Source]
        categories = ["ad", "organic"]
        "#,
    )
    .unwrap();
    assert_eq!(manifest.owner.as_deref(), Some("a@example.com"));
    assert_eq!(manifest.probability_output.map(|(output, _)| output), Some(2));
    assert_eq!(
        manifest.band_names.as_ref().map(|(names, _)| names[4].as_str()),
        Some("e")
    );
    let note = |name: &str| manifest.features.iter().find(|note| note.name == name).unwrap();
    let time = note("Time Spent");
    assert_eq!(
        (time.kind, time.range),
        (Some(FeatureKind::Integer), Some((f64::NEG_INFINITY, 10.0)))
    );
    assert_eq!((time.required, time.unit.as_deref()), (Some(true), Some("s")));
    // Names of categories say what it is.
    assert_eq!(note("Source").kind, Some(FeatureKind::Category));
}
