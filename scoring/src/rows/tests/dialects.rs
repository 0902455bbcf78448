//! The same rows as other programs write them: separators, decimal signs, encodings, compression, arrays.

use super::*;

const PLAIN: &str = "age,Total Time Spent,\"quote \"\" and ü\",d\n1.5,2,3.25,4\n-1,,0.5,nan\n";

/// Rows of which nothing is stated: results, notes, the outcome.
fn unstated(output: Output, rows: &[u8]) -> (String, String, Result<(), String>) {
    with(output, rows, |_| {})
}

fn with(output: Output, rows: &[u8], change: impl FnOnce(&mut Job<'_>)) -> (String, String, Result<(), String>) {
    let loaded = loaded("gbtree-base-score");
    let mut job = Job::new(&loaded, output);
    job.threads = 2;
    change(&mut job);
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    let outcome = Opened::new(Input::Stream(Box::new(rows)), Stated::default()).and_then(|rows| {
        job.input = rows.format();
        job.to = if output == Output::Rows { job.input } else { job.to };
        job.run(rows, || Ok(Box::new(&mut results)), &mut notes)
    });
    (
        String::from_utf8(results).unwrap(),
        String::from_utf8(notes).unwrap(),
        outcome.map(drop).map_err(|error| error.to_string()),
    )
}

fn expected() -> Vec<String> {
    margins(&loaded("gbtree-base-score"), PLAIN)
}

fn same(rows: &[u8]) -> String {
    let (results, notes, outcome) = unstated(Output::Margin, rows);
    assert_eq!(outcome, Ok(()), "{}", String::from_utf8_lossy(rows));
    assert_eq!(results.lines().skip(1).collect::<Vec<_>>(), expected());
    notes
}

fn separated(separator: char) -> String {
    PLAIN.replace(',', &separator.to_string())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_header_tells_what_stands_between_cells() {
    assert_eq!(same(PLAIN.as_bytes()), "");
    for (separator, says) in [(';', "semicolons"), ('\t', "tabs"), ('|', "'|'")] {
        let notes = same(separated(separator).as_bytes());
        assert_eq!(notes, format!("quintile: note: cells are separated by {says}\n"));
    }
    same(format!("sep=;\r\n{}", separated(';')).as_bytes());
    let (.., outcome) = with(Output::Margin, separated('!').as_bytes(), |job| {
        job.delimiter = Some(b'!')
    });
    assert_eq!(outcome, Ok(()));
    let error = unstated(
        Output::Margin,
        b"sep=;\nage;Total Time Spent;\"quote \"\" and \xc3\xbc\";d\n1;2;3\n",
    )
    .2;
    assert_eq!(error.unwrap_err(), "row 1 (line 3) has 3 cells, but the header has 4");
}

#[test]
fn decimal_commas_are_taken_where_they_are_proved() {
    let comma = separated(';').replace('.', ",");
    let notes = same(comma.as_bytes());
    assert!(
        notes.contains("separated by semicolons, and numbers have decimal commas"),
        "{notes}"
    );
    let header = comma.lines().next().unwrap();
    for (rows, says) in [
        (
            "1,5;2;3;4\n1.500;2;3;4\n",
            "row 2 (line 3), column \"age\": \"1.500\" has a point",
        ),
        (
            "1,500;2;3;4\n",
            "row 1 (line 2), column \"age\": \"1,500\" has a comma, and the first rows do not tell",
        ),
        (
            "1,5;2;3;4\n0.25;2;3;4\n",
            "numbers have commas (\"1,5\") and points (\"0.25\"): state",
        ),
        ("1,234,567;2;3;0.5\n", "row 1 (line 2), column \"age\": \"1,234,567\""),
    ] {
        let error = unstated(Output::Margin, format!("{header}\n{rows}").as_bytes())
            .2
            .unwrap_err();
        assert!(error.starts_with(says), "{rows}: {error}");
    }
    let stated = |decimal| {
        let rows = format!("{header}\n1,500;2;3;4\n");
        with(Output::Margin, rows.as_bytes(), |job| job.decimal = Some(decimal))
    };
    let (results, _, outcome) = stated(Decimal::Comma);
    assert_eq!(outcome, Ok(()));
    let plain = margins(
        &loaded("gbtree-base-score"),
        "age,Total Time Spent,\"quote \"\" and ü\",d\n1.5,2,3,4\n",
    );
    assert_eq!(results.lines().nth(1), Some(plain[0].as_str()));
    assert!(stated(Decimal::Point).2.unwrap_err().contains("\"1,500\" is no number"));
}

#[test]
fn rows_come_back_as_they_are_separated() {
    let comma = separated(';').replace('.', ",");
    let (results, notes, outcome) = unstated(Output::Rows, comma.as_bytes());
    assert_eq!(outcome, Ok(()), "{notes}");
    let lines: Vec<Vec<&str>> = results.lines().map(|line| line.split(';').collect()).collect();
    assert_eq!(lines[0][4..], ["score", "probability", "error"]);
    assert_eq!(lines[1][..4], ["1,5", "2", "3,25", "4"]);
    assert!(lines[1][5].contains(',') && !lines[1][5].contains('.'), "{results}");
}

#[test]
fn encodings_and_line_ends_are_undone() {
    let units = |order: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let tabs = separated('\t').replace('\n', "\r\n");
    for text in [format!("\u{feff}{tabs}"), tabs.clone()] {
        same(&units(u16::to_le_bytes, &text));
        same(&units(u16::to_be_bytes, &text));
    }
    same(format!("\u{feff}{PLAIN}").as_bytes());
    same(PLAIN.replace('\n', "\r").as_bytes());
    same(&gzip(PLAIN.as_bytes()));
    let (first, second) = PLAIN.as_bytes().split_at(20);
    same(&[gzip(first), gzip(second)].concat());
    same(&zstd::encode_all(PLAIN.as_bytes(), 1).unwrap());
    same(&gzip(&units(u16::to_le_bytes, &format!("\u{feff}{tabs}"))));
    let cut = gzip(PLAIN.as_bytes());
    let error = unstated(Output::Margin, &cut[..cut.len() - 9]).2.unwrap_err();
    assert!(
        error.starts_with("read the rows: the gzip data ends too early"),
        "{error}"
    );
    let error = unstated(Output::Margin, &gzip(&gzip(PLAIN.as_bytes()))).2.unwrap_err();
    assert!(error.starts_with("the rows are compressed twice"), "{error}");
}

#[test]
fn arrays_and_marked_lines_are_lines() {
    let lines = r#"{"age":1.5,"Total Time Spent":2,"quote \" and ü":3.25,"d":4}
{"age":-1,"quote \" and ü":0.5}"#;
    same(format!("\u{feff}{lines}\n").as_bytes());
    same(&gzip(lines.as_bytes()));
    same(format!("[\n{}\n]", lines.replace('\n', ",\r\n").replace(",\"", ",\n  \"")).as_bytes());
    let (results, _, outcome) = unstated(Output::Rows, format!("[{}]", lines.replace('\n', " ,\n")).as_bytes());
    assert_eq!((outcome, results.lines().count()), (Ok(()), 2));
    assert!(
        results
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{results}"
    );
    let error = unstated(Output::Rows, b"{\n \"age\": 1\n}\n").2.unwrap_err();
    assert!(error.contains("an object over several lines"), "{error}");
}

#[test]
fn blank_lines_are_nothing_where_rows_come_back() {
    let rows = PLAIN.replacen('\n', "\n\n\r\n", 2);
    let (results, _, outcome) = unstated(Output::Rows, rows.as_bytes());
    assert_eq!((outcome, results.lines().count()), (Ok(()), 3));
    let error = unstated(Output::Margin, rows.as_bytes()).2.unwrap_err();
    assert!(
        error.starts_with("line 2 is blank") || error.starts_with("line 3 is blank"),
        "{error}"
    );
    let (results, _, outcome) = unstated(Output::Rows, b"{\"age\":1}\n\n \r\n{\"age\":2}\n\n");
    assert_eq!((outcome, results.lines().count()), (Ok(()), 2));
}

#[test]
fn other_files_are_refused_by_name() {
    for (head, says) in [
        (
            &b"PK\x03\x04....[Content_Types].xml"[..],
            "the file is an Excel workbook (.xlsx)",
        ),
        (b"BZh91AY&SY....", "the file is compressed with bzip2"),
        (b"\xfd7zXZ\0...", "the file is compressed with xz"),
        (b"<!DOCTYPE html>", "the file is a web page"),
        (b"PAR1\x15\x04", "Parquet is read from its end"),
    ] {
        let error = unstated(Output::Margin, head).2.unwrap_err();
        assert!(error.starts_with(says), "{error}");
    }
}
