//! Texts that count as missing: `--missing`, and what an error says where it was not given.

use super::*;

/// One column of each kind, some of it text that is neither a number nor a name.
fn margins_of(loaded: &LoadedModel, input: Format, rows: &str, missing: &[&str]) -> Result<Vec<String>, ScoreError> {
    let missing: Vec<String> = missing.iter().map(|&text| text.to_owned()).collect();
    let mut job = Job::new(loaded, Output::Margin);
    (job.input, job.missing) = (input, &missing);
    let mut out = Vec::new();
    job.run(
        opened(&job, Input::Stream(Box::new(rows.as_bytes())))?,
        || Ok(Box::new(&mut out)),
        io::sink(),
    )?;
    let text = String::from_utf8(out).unwrap();
    Ok(text.lines().skip(1).map(str::to_owned).collect())
}

#[test]
fn a_text_of_json_that_was_named_is_what_null_is() {
    let loaded = named("category-names.ubj");
    let row = |place: &str, number: &str| format!(r#"{{"where":{place},"number":{number},"code":7}}"#);
    let nulls = [row("null", "null"), row("\"a\"", "null"), row("null", "0.5")].join("\n");
    let texts = [
        row("\"NA\"", "\" NA\""),
        row("\"a\"", "\"\\\\N\""),
        row("\"NA\"", "0.5"),
    ]
    .join("\n");
    let expected = margins_of(&loaded, Format::Ndjson, &nulls, &[]).unwrap();
    let present = margins_of(&loaded, Format::Ndjson, &row("\"a\"", "-999"), &[]).unwrap();
    assert_ne!(expected[1], present[0], "rows that all score the same show nothing");
    assert_eq!(
        margins_of(&loaded, Format::Ndjson, &texts, &["NA", "\\N"]).unwrap(),
        expected
    );
    let wrapped = texts
        .lines()
        .map(|line| format!("{{\"lead_id\":\"1\",\"features\":{line}}}\n"));
    assert_eq!(
        margins_of(&loaded, Format::Ndjson, &wrapped.collect::<String>(), &["NA", "\\N"]).unwrap(),
        expected
    );
}

#[test]
fn numbers_of_json_stay_numbers_whatever_texts_are_missing() {
    let loaded = named("category-names.ubj");
    let row = |number: &str| {
        let text = format!(r#"{{"where":"a","number":{number},"code":7}}"#);
        margins_of(&loaded, Format::Ndjson, &text, &["0.5", "-999"])
    };
    assert_eq!(
        row("0.5").unwrap(),
        margins_of(&loaded, Format::Csv, "where,number,code\na,0.5,7\n", &[]).unwrap()
    );
    assert_eq!(row("\"-999\"").unwrap(), row("null").unwrap());
    assert_ne!(row("-999").unwrap(), row("null").unwrap());
}

#[test]
fn the_error_of_a_text_names_the_flag_and_the_usual_texts_are_known() {
    let loaded = named("category-names.ubj");
    for (input, rows, usual) in [
        (Format::Csv, "where,number,code\na,NA,7\n", Some("NA")),
        (Format::Csv, "where,number,code\n\\N,1,7\n", Some("\\N")),
        (Format::Csv, "where,number,code\na,Namibia,7\n", None),
        (
            Format::Ndjson,
            "{\"where\":\"a\",\"number\":\"N/A\",\"code\":7}\n",
            Some("N/A"),
        ),
        (
            Format::Ndjson,
            "{\"where\":\"None\",\"number\":1,\"code\":7}\n",
            Some("None"),
        ),
        (Format::Ndjson, "{\"where\":\"a\",\"number\":\"1\",\"code\":7}\n", None),
    ] {
        let error = margins_of(&loaded, input, rows, &[]).unwrap_err();
        assert!(error.to_string().contains("(--missing TEXT names"), "{rows}: {error}");
        assert_eq!(error.usual_missing(), usual, "{rows}: {error}");
    }
    // A number is no text, so the flag would not help.
    let rows = "{\"where\":\"a\",\"number\":1,\"code\":3}\n{\"where\":\"b b\",\"number\":\"NA\",\"code\":7}\n";
    let error = margins_of(&loaded, Format::Ndjson, rows, &["NA"]).unwrap_err();
    assert!(!error.to_string().contains("--missing"), "{error}");
}
