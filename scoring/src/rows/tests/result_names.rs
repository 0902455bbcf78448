//! Names occur once in every output, and nothing of the rows is lost.

use super::formats::outcome;
use super::*;

/// The demo with a feature named as a column of the results is, and rows with others.
fn run_rows(text: &[u8], input: Format, to: Format) -> (String, String, Result<(), String>) {
    let loaded = loaded("gbtree-base-score");
    let mut job = Job::new(&loaded, Output::Rows);
    (job.input, job.to, job.threads) = (input, to, 1);
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    let outcome = opened(&job, Input::Stream(Box::new(text)))
        .and_then(|rows| job.run(rows, || Ok(Box::new(&mut results)), &mut notes));
    (
        String::from_utf8_lossy(&results).into_owned(),
        String::from_utf8(notes).unwrap(),
        outcome.map(drop).map_err(|error| error.to_string()),
    )
}

const HEADER: &str = "age,Total Time Spent,\"quote \"\" and ü\",d";

#[test]
fn columns_of_the_rows_keep_their_names_and_values() {
    let rows = format!("{HEADER},score,error\n1,2,3,4,812,none\n");
    let (results, notes, outcome) = run_rows(rows.as_bytes(), Format::Csv, Format::Csv);
    assert_eq!(outcome, Ok(()));
    assert!(
        results.starts_with(&format!(
            "{HEADER},score,error,quintile.score,probability,quintile.error\n1,2,3,4,812,none,"
        )),
        "{results}"
    );
    assert!(
        notes.contains("note: the rows have a column \"score\"; that of the results is \"quintile.score\""),
        "{notes}"
    );
    let (again, _, outcome) = run_rows(results.as_bytes(), Format::Csv, Format::Ndjson);
    assert_eq!(outcome, Ok(()));
    assert!(
        again.contains("\"score\":\"812\",\"error\":\"none\",\"quintile.score\":"),
        "{again}"
    );
    assert!(
        again.contains(",\"quintile.score_2\":") && again.contains(",\"quintile.error_2\":null}"),
        "{again}"
    );
}

#[test]
fn members_of_lines_keep_theirs() {
    let lines = "{\"age\":1,\"d\":2,\"score\":812}\n{\"age\":1,\"error\":{\"a\":[1]}}\n";
    let (results, _, outcome) = run_rows(lines.as_bytes(), Format::Ndjson, Format::Ndjson);
    assert_eq!(outcome, Ok(()));
    let lines: Vec<serde_json::Value> = results
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["score"], &lines[1]["error"]["a"][0]),
        (&812.into(), &1.into())
    );
    assert!(
        lines
            .iter()
            .all(|line| line.get("quintile.score").is_some() && line.get("quintile.error").is_some())
    );
    // A name that comes too late for that ends the run.
    let late = "{\"age\":1}\n".repeat(5_000) + "{\"age\":1,\"score\":1}\n";
    let (results, _, outcome) = run_rows(late.as_bytes(), Format::Ndjson, Format::Ndjson);
    let error = outcome.unwrap_err();
    assert!(
        error.starts_with("row 5001 (line 5001) has a member \"score\""),
        "{error}"
    );
    assert_eq!(results.lines().count(), 5_000);
}

#[test]
fn what_a_format_cannot_hold_is_refused_before_anything_is_written() {
    let rows = format!("{HEADER},x,x\n1,2,3,4,5,6\n");
    for to in [Format::Ndjson, Format::Parquet] {
        let (results, _, outcome) = run_rows(rows.as_bytes(), Format::Csv, to);
        assert_eq!(results, "");
        assert!(outcome.unwrap_err().starts_with("the rows have two columns \"x\""));
    }
    let (results, _, outcome) = run_rows(rows.as_bytes(), Format::Csv, Format::Csv);
    assert_eq!((outcome, results.lines().count()), (Ok(()), 2));
    let twice = "{\"age\":1,\"x\":1,\"x\":2}\n{\"age\":1}\n";
    let (results, notes, outcome) = run_rows(twice.as_bytes(), Format::Ndjson, Format::Ndjson);
    assert_eq!(outcome, Ok(()));
    assert!(notes.contains("1 of 2 rows have no score"), "{notes}");
    assert!(results.starts_with("{\"line\":"), "{results}");
}

#[test]
fn cells_that_are_no_text_are_an_error_where_text_is_written() {
    let rows = [HEADER.as_bytes(), b",city\n1,2,3,4,K\xf6ln\n"].concat();
    for to in [Format::Ndjson, Format::Parquet] {
        let error = run_rows(&rows, Format::Csv, to).2.unwrap_err();
        assert!(error.starts_with("row 1, column \"city\" is no UTF-8 text"), "{error}");
    }
    let loaded = loaded("gbtree-base-score");
    let mut job = Job::new(&loaded, Output::Rows);
    job.threads = 1;
    let (results, outcome) = outcome(&job, &rows);
    outcome.unwrap();
    assert!(
        results.windows(5).any(|bytes| bytes == b"K\xf6ln,"),
        "bytes of CSV come back as they are"
    );
}
