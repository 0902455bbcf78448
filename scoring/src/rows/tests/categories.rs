//! Names of categories, codes, and what training never saw.

use super::*;

#[test]
fn categories_are_read_by_name() {
    for (names, model) in [
        ("category-names.names", "category-names.ubj"),
        ("lightgbm-names.names", "lightgbm-names.txt"),
    ] {
        let loaded = named(model);
        let text = std::fs::read_to_string(fixture(names)).unwrap();
        let (mut rows, mut expected) = (String::from("code,where,number\r\n"), Vec::new());
        for line in text.lines() {
            let parts: Vec<_> = line.split(';').collect();
            rows.push_str(&format!("{},\"{}\",0.5\r\n", parts[1], parts[0].replace('"', "\"\"")));
            expected.push(parts[2].parse::<f64>().unwrap().to_bits());
        }
        let bits = |line: &String| line.parse::<f64>().unwrap().to_bits();
        assert_eq!(
            margins(&loaded, &rows).iter().map(bits).collect::<Vec<_>>(),
            expected,
            "{model}"
        );
    }
}

#[test]
fn a_number_is_the_name_that_equals_it_and_never_a_code_beside_such_names() {
    let loaded = named("category-names.ubj");
    let model = &loaded;
    let row = |place: &str, code: &str| margins(model, &format!("where,number,code\n{place},0.5,{code}\n"));
    // Zurich, a, b b, …, 10; 30, -5, 7, 2.
    assert_eq!(row("b b", "2"), row("b b", "2.0"));
    assert_eq!(row("a", "30"), row("a", " 3e1"));
    assert_eq!(row("10", "7"), row("10.0", "7.0"));
    assert_eq!(row("", "nan"), row("null", ""));
    for (place, code) in [("a", "3"), ("2", "7")] {
        let error = refusal(model, &format!("where,number,code\n{place},0.5,{code}\n"));
        assert!(error.contains("is no category of this feature"), "{error}");
        assert!(!error.contains("a code"), "{error}");
    }
}

#[test]
fn a_name_that_training_never_saw_is_refused_or_missing_as_the_library_does() {
    let refuses = named("category-names.ubj");
    let long = "s".repeat(100);
    let accepted = r#"9 categories: "Zurich", "a", "b b", "quote \"", "naive" and 4 more"#;
    for (place, shown) in [
        ("zurich", "\"zurich\"".to_owned()),
        ("b\u{1b}[2J", "\"b\\u{1b}[2J\"".to_owned()),
        (&long, format!("\"{}\"…", &long[..64])),
    ] {
        assert_eq!(
            refusal(&refuses, &format!("where,number,code\na,1,7\n{place},1,7\n")),
            format!(
                "row 2 (line 3), column \"where\": {shown} is no category of this feature, which has {accepted}; a missing value \
                 is an empty cell, nan or null (--missing TEXT names others)"
            )
        );
    }
    let takes = named("lightgbm-names.txt");
    let row = |place: &str| margins(&takes, &format!("where,number,code\n{place},1,7\n"));
    assert_eq!(row("zurich"), row(""));
}
