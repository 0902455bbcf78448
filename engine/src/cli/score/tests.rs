//! Rows in, numbers out: the model crate's fixtures and the demo, and every way in which a file does not fit.

use std::path::PathBuf;

use quintile_model::{KernelChoice, Options, Trees};

use super::rows::Rows;
use super::*;

mod formats;
mod parquet;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../model/tests/fixtures")
        .join(name)
}

fn served(name: &str) -> Served {
    let trees = if name.starts_with("best") {
        Trees::Best
    } else {
        Trees::All
    };
    let options = Options {
        trees,
        kernel: KernelChoice::Auto,
    };
    let files = ["ubj", "json", "txt", "bin", "onnx"].map(|suffix| fixture(&format!("{name}.{suffix}")));
    let file = files.iter().find(|file| file.exists()).expect(name);
    Served::load(Some(file), options, 0).unwrap()
}

fn demo() -> Served {
    Served::load(None, Options::default(), 0).unwrap()
}

/// CSV to CSV on two threads.
fn score(
    served: &Served,
    output: Output,
    rows: impl Read,
    results: impl Write,
    notes: impl Write,
) -> Result<(), ScoreError> {
    let mut job = Job::new(served, output);
    job.threads = 2;
    job.run(Input::Stream(Box::new(rows)), || Ok(Box::new(results)), notes)
}

/// Results, notes and the outcome.
fn run(model: &Served, output: Output, rows: &[u8]) -> (String, String, Result<(), ScoreError>) {
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    let outcome = score(model, output, rows, &mut results, &mut notes);
    (
        String::from_utf8(results).unwrap(),
        String::from_utf8(notes).unwrap(),
        outcome,
    )
}

fn margins(model: &Served, rows: &str) -> Vec<String> {
    let (results, _, outcome) = run(model, Output::Margin, rows.as_bytes());
    outcome.unwrap_or_else(|error| panic!("{rows:?}: {error}"));
    results.lines().skip(1).map(str::to_owned).collect()
}

fn refusal(model: &Served, rows: &str) -> String {
    run(model, Output::Margin, rows.as_bytes())
        .2
        .expect_err(rows)
        .to_string()
}

#[test]
fn fixtures_are_answered_as_the_library_does() {
    let mut files = 0;
    for entry in std::fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "csv") {
            continue;
        }
        files += 1;
        let name = path.file_stem().unwrap().to_str().unwrap();
        let served = served(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let parts = |line: &str| line.split(';').map(|part| part.replace(' ', ",")).collect::<Vec<_>>();
        let expected: Vec<Vec<String>> = text.lines().map(parts).collect();
        let names: Vec<_> = served
            .model
            .schema()
            .names()
            .map(|name| name.replace('"', "\"\""))
            .collect();
        let mut rows = format!("\"{}\"\n", names.join("\",\""));
        rows.extend(
            expected
                .iter()
                .map(|parts| format!("{}\n", parts[0].replace("nan", ""))),
        );
        let numbers = |line: &str| {
            line.split(',')
                .map(|number| number.parse::<f64>().unwrap())
                .collect::<Vec<_>>()
        };
        for (output, part, tolerance) in [(Output::Margin, 1, 0.0), (Output::Prediction, 2, 2e-7)] {
            let (results, notes, outcome) = run(&served, output, rows.as_bytes());
            outcome.unwrap();
            assert_eq!(notes, "", "{name}");
            let lines: Vec<_> = results.lines().skip(1).collect();
            assert_eq!(lines.len(), expected.len(), "{name}");
            for (line, parts) in lines.iter().zip(&expected) {
                if parts[part].is_empty() {
                    // A library that tells its predictions only.
                    continue;
                }
                for (actual, expected) in numbers(line).into_iter().zip(numbers(&parts[part])) {
                    let is_same = actual.to_bits() == expected.to_bits() || (actual.is_nan() && expected.is_nan());
                    let is_close = (actual - expected).abs() <= tolerance * expected.abs();
                    assert!(
                        is_same || (tolerance > 0.0 && is_close),
                        "{name} {output:?}: {actual} is not {expected}"
                    );
                }
                assert_eq!(line.split(',').count(), parts[part].split(',').count(), "{name}");
            }
        }
    }
    assert!(files >= 30, "{files} fixtures");
}

#[test]
fn headers_name_the_outputs() {
    let header = |name: &str, output| {
        let served = served(name);
        let names: Vec<_> = served.model.schema().names().map(|name| format!("{name:?}")).collect();
        run(&served, output, names.join(",").replace("\\\"", "\"\"").as_bytes()).0
    };
    assert_eq!(
        header("objective-multi-softprob", Output::Margin),
        "margin_0,margin_1,margin_2\n"
    );
    assert_eq!(
        header("objective-multi-softprob", Output::Prediction),
        "prediction_0,prediction_1,prediction_2\n"
    );
    assert_eq!(
        header("objective-multi-softmax", Output::Margin),
        "margin_0,margin_1,margin_2\n"
    );
    assert_eq!(header("objective-multi-softmax", Output::Prediction), "prediction\n");
    assert_eq!(header("objective-binary-logistic", Output::Margin), "margin\n");
    assert_eq!(header("objective-binary-logistic", Output::Score), "score\n");
}

#[test]
fn a_model_without_bands_gives_no_scores() {
    let (results, _, outcome) = run(&served("objective-multi-softprob"), Output::Score, b"a,b\n");
    assert_eq!(results, "");
    let says = outcome.unwrap_err().to_string();
    assert!(
        says.contains("multi:softprob with 3 predictions has no natural bands; state edges"),
        "{says}"
    );
}

#[test]
fn golden_rows_of_the_demo_come_back() {
    let manifest = include_str!("../../../demo/demo.toml");
    let (mut rows, mut expected) = (names(50), Vec::new());
    for line in manifest.lines() {
        let list = |prefix| line.strip_prefix(prefix).and_then(|list: &str| list.strip_suffix(']'));
        if let Some(features) = list("features = [") {
            rows.push_str(&format!("\r\n{}", features.replace("nan", "NaN")));
        }
        expected.extend(list("margin = ["));
    }
    let served = demo();
    assert_eq!(margins(&served, &rows), expected);
    let (scores, ..) = run(&served, Output::Score, rows.as_bytes());
    assert!(
        scores
            .lines()
            .skip(1)
            .all(|band| matches!(band, "1" | "2" | "3" | "4" | "5")),
        "{scores}"
    );
    assert_eq!(scores.lines().count(), 1 + expected.len());
}

/// `f1,f2,…` as the demo names them.
fn names(count: usize) -> String {
    (1..=count)
        .map(|number| format!("f{number}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[test]
fn columns_match_by_name_in_any_order_and_extra_ones_are_ignored() {
    let served = served("gbtree-base-score"); // age, Total Time Spent, quote " and ü, d
    let model = &served;
    let plain = "age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4\n-1,,0.5,nan\n";
    let expected = margins(model, plain);
    let turned = "d,\"quote \"\" and ü\",age,Total Time Spent\n4,3,1,2\nnan,0.5,-1,null\n";
    assert_eq!(margins(model, turned), expected);
    let wide = "id,d,label,\"quote \"\" and ü\",age,Total Time Spent\nx,4,yes,3,1,2\n,nan,\"a\nb\",0.5,-1,\n";
    let (results, notes, outcome) = run(model, Output::Margin, wide.as_bytes());
    outcome.unwrap();
    assert_eq!(results.lines().skip(1).collect::<Vec<_>>(), expected);
    assert_eq!(notes, "quintile: note: not taken by the model: \"id\", \"label\"\n");
    let spaced = " age ,Total Time Spent, \"quote \"\" and ü\",d\n1,2,3,4\n";
    assert!(
        run(model, Output::Margin, spaced.as_bytes()).1.contains("by position"),
        "a quote after a space is text"
    );
    assert_eq!(margins(&demo(), &names(50).replace(',', " , ")), Vec::<String>::new());
}

#[test]
fn columns_match_by_position_when_their_number_fits_and_it_is_said() {
    let served = served("gbtree-base-score");
    let model = &served;
    let expected = margins(model, "age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4\n");
    for (header, says) in [
        (
            "a,b,c,e",
            "columns are taken by position: the header does not name \"age\", \"Total Time Spent\",",
        ),
        ("0,1,2,3", "columns are taken by position"),
        ("1,2,3,4", "columns are taken by position"),
        (
            "b,age,c,d",
            "check the order of columns: the model has \"age\" elsewhere",
        ),
        (",,,", "columns are taken by position"),
        ("a,a,a,a", "columns are taken by position"),
    ] {
        let (results, notes, outcome) = run(model, Output::Margin, format!("{header}\n1,2,3,4\n").as_bytes());
        outcome.unwrap();
        assert_eq!(results.lines().nth(1), Some(expected[0].as_str()), "{header}");
        assert!(notes.contains(says), "{header}: {notes}");
    }
}

#[test]
fn headers_that_do_not_fit_are_refused_with_what_is_missing_and_extra() {
    let served = served("gbtree-base-score");
    let demo = demo();
    for (model, rows, says) in [
        (&served, "", "there is no header line"),
        (&served, "\n\r\n\n", "there is no header line"),
        (
            &served,
            "age,d\n1,2\n",
            "2 columns do not fit the model's 4: 2 missing (\"Total Time Spent\", \"quote \\\" and ü\"); none not the model's",
        ),
        (
            &served,
            "age,x,y,z,d\n",
            "5 columns do not fit the model's 4: 2 missing",
        ),
        (&served, "age,x,y,z,d\n", "3 not the model's (\"x\", \"y\", \"z\")"),
        (
            &served,
            "0.5,1,nan,-3\n1,2,3,4\n",
            "the first line holds numbers, not names",
        ),
        (
            &served,
            "age,age,Total Time Spent,\"quote \"\" and ü\",d\n",
            "column \"age\" occurs twice in the header",
        ),
        (
            &demo,
            "\u{1b}[31m\n",
            "50 missing (\"f1\", \"f2\", \"f3\", \"f4\", \"f5\", \"f6\", \"f7\", \"f8\" and 42 more); 1 not the model's (\"\\u{1b}[31m\")",
        ),
    ] {
        let error = refusal(model, rows);
        assert!(error.contains(says), "{rows:?}: {error}");
        assert!(error.len() < 1_000);
    }
    let wide = "x".repeat(10_000) + &",y".repeat(100_000);
    assert!(refusal(&demo, &wide).len() < 1_000);
}

#[test]
fn headers_may_be_marked_quoted_and_end_as_windows_does() {
    let served = served("gbtree-base-score");
    let model = &served;
    let expected = margins(model, "age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4\n");
    for rows in [
        "\u{feff}age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4\n",
        "\u{feff}\"age\",\"Total Time Spent\",\"quote \"\" and ü\",\"d\"\r\n1,2,3,4\r\n",
        "\r\n\nage,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4",
        "age,Total Time Spent,\"quote \"\" and ü\",d\n\"1\",\" 2 \",3.0,4\n\n\r\n\n",
        "age,Total Time Spent,\"quote \"\" and ü\",d\r\n1,2,3,\"4\"\r\n\r\n",
    ] {
        let (results, notes, outcome) = run(model, Output::Margin, rows.as_bytes());
        outcome.unwrap();
        assert_eq!(
            (results.lines().nth(1), notes.as_str()),
            (Some(expected[0].as_str()), ""),
            "{rows:?}"
        );
        assert_eq!(results.lines().count(), 2, "{rows:?}");
    }
}

#[test]
fn rows_that_do_not_fit_name_their_row_line_and_column() {
    let served = served("gbtree-base-score");
    let model = &served;
    let long = "x".repeat(100);
    for (rows, says) in [
        ("1,2,3\n", "row 1 (line 2) has 3 cells, but the header has 4"),
        (
            "1,2,3,4\n1,2,3,4,5\n",
            "row 2 (line 3) has 5 cells, but the header has 4",
        ),
        ("1,2,3,4\r\n1,2,3,4,\r\n", "row 2 (line 3) has 5 cells"),
        ("1,2,3,4\n  \n", "row 2 (line 3) has 1 cells"),
        ("1,2,3,4\n\n1,2,3,4\n", "line 3 is blank, and only the last may be"),
        (
            "1,2,3,4\r\n\r\n\r\n1,2,3,4\r\n",
            "line 3 is blank, and only the last may be",
        ),
        ("\n1,2,3,4\n", "line 2 is blank"),
        (
            "1,NA,3,4\n",
            "row 1 (line 2), column \"b\": \"NA\" is no number; a missing value is an empty cell, nan or null",
        ),
        (
            "1,2,3,4\r\n1,2,3,x\r\n",
            "row 2 (line 3), column \"d\": \"x\" is no number",
        ),
        (
            &format!("1,{long},3,4\n"),
            &format!("column \"b\": \"{}\"… is no number", &long[..64]),
        ),
        (
            "1,\"a\nb\nc\",3,4\n",
            "row 1 (line 2), column \"b\": \"a\\nb\\nc\" is no number",
        ),
        ("1,\u{1b}[2J,3,4\n", "\"\\u{1b}[2J\" is no number"),
        (
            "1,2,3,\"4\n1,2,3,4\n1,2,3,4\n",
            "line 2 begins a row that does not end: a quote is not closed",
        ),
        (
            "1,2,3,4\n1,2,3,\"4\n1,2,3,4",
            "line 3 begins a row that does not end: a quote is not closed",
        ),
    ] {
        let error = refusal(model, &format!("a,b,c,d\n{rows}"));
        assert!(error.contains(says), "{rows:?}: {error}");
    }
    // Lines go on counting behind a cell of several lines.
    let names = "id,age,Total Time Spent,\"quote \"\" and ü\",d";
    let error = refusal(model, &format!("{names}\r\n\"a\r\nb\r\nc\",1,2,3,4\r\n5,1,2,3,y\r\n"));
    assert!(error.contains("row 2 (line 5), column \"d\": \"y\""), "{error}");
}

/// A model by its file's full name.
fn named(file: &str) -> Served {
    Served::load(Some(&fixture(file)), Options::default(), 0).unwrap()
}

#[test]
fn categories_are_read_by_name() {
    for (names, model) in [
        ("category-names.names", "category-names.ubj"),
        ("lightgbm-names.names", "lightgbm-names.txt"),
    ] {
        let served = named(model);
        let text = std::fs::read_to_string(fixture(names)).unwrap();
        let (mut rows, mut expected) = (String::from("code,where,number\r\n"), Vec::new());
        for line in text.lines() {
            let parts: Vec<_> = line.split(';').collect();
            rows.push_str(&format!("{},\"{}\",0.5\r\n", parts[1], parts[0].replace('"', "\"\"")));
            expected.push(parts[2].parse::<f64>().unwrap().to_bits());
        }
        let bits = |line: &String| line.parse::<f64>().unwrap().to_bits();
        assert_eq!(
            margins(&served, &rows).iter().map(bits).collect::<Vec<_>>(),
            expected,
            "{model}"
        );
    }
}

#[test]
fn a_column_of_names_takes_codes_and_missing_values_too() {
    let served = named("category-names.ubj");
    let model = &served;
    let row = |place: &str, code: &str| margins(model, &format!("where,number,code\n{place},0.5,{code}\n"));
    // Zurich, a, b b, …; 30, -5, 7, 2: a number that is a name is that category, another one is a code.
    assert_eq!(row("b b", "2"), row("2", "3"));
    assert_eq!(row("a", "30"), row("1", "0"));
    assert_eq!(row("1.5", "3.0"), row("a", "2"));
    // "where" has a category named 10, of code 7.
    assert_eq!(row("10", "7"), row("7", "2.0"));
    assert_eq!(row("", "nan"), row("null", ""));
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
                "row 2 (line 3), column \"where\": {shown} is no category of this feature, which has {accepted}, nor a code; \
                 a missing value is an empty cell, nan or null"
            )
        );
    }
    let takes = named("lightgbm-names.txt");
    let row = |place: &str| margins(&takes, &format!("where,number,code\n{place},1,7\n"));
    assert_eq!(row("zurich"), row(""));
}

#[test]
fn rows_before_a_fault_are_answered() {
    let served = served("gbtree-base-score");
    let (results, _, outcome) = run(&served, Output::Margin, b"a,b,c,d\n1,2,3,4\n1,2,3,4\n1,2,3\n");
    assert!(outcome.is_err());
    assert_eq!(results.lines().count(), 3);
}

#[test]
fn a_single_column_may_be_missing_where_it_is_quoted() {
    // Python's csv writes a row of one empty cell as "" because a blank line would be none.
    for text in [
        "f\r\n\"\"\r\n1\r\nnan\r\n\"\"\r\n",
        "f\n\"\"\n1\nnan\n\"\"",
        "f\n\"\"\n1\nnan\n  \n\n",
    ] {
        let mut rows = Rows::new(text.as_bytes());
        assert_eq!(rows.header().unwrap(), ["f"]);
        let (mut record, mut values) = (csv::ByteRecord::new(), Vec::new());
        while let Some(at) = rows.next(&mut record).unwrap() {
            values.push((at.line, cells::value(&record[0]).map(f64::is_nan)));
        }
        assert_eq!(
            values,
            [(2, Some(true)), (3, Some(false)), (4, Some(true)), (5, Some(true))],
            "{text:?}"
        );
    }
    let mut rows = Rows::new(&b"f\r\n1\r\n\r\n2\r\n"[..]);
    let mut record = csv::ByteRecord::new();
    assert!(rows.header().is_ok() && rows.next(&mut record).is_ok());
    assert!(matches!(rows.next(&mut record), Err(ScoreError::Blank { line: 3 })));
}

/// Rows and lines of a text without quotes, or the first blank line before a row.
fn plain_rows(text: &str) -> Result<Vec<u64>, u64> {
    let (mut rows, mut blank) = (Vec::new(), None);
    for (line, number) in text.split('\n').zip(2..) {
        if line.is_empty() || line == "\r" {
            blank = blank.or(Some(number));
        } else if let Some(blank) = blank {
            return Err(blank);
        } else {
            rows.push(number);
        }
    }
    Ok(rows)
}

#[test]
fn every_short_text_is_read_without_a_panic_and_no_row_is_lost() {
    /// Gives a byte at a time, so that every boundary of the reader's buffer is met.
    struct Slow<'t>(&'t [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }
    let alphabet = ['1', ',', '\n', '\r', '"'];
    let mut texts = vec![String::new()];
    for _ in 0..6 {
        let longer = texts
            .iter()
            .flat_map(|text| alphabet.map(|letter| format!("{text}{letter}")));
        texts = longer.collect();
        for text in &texts {
            let bytes = format!("a\n{text}");
            let lines = |reader: &mut dyn Read| {
                let mut rows = Rows::new(reader);
                rows.header().unwrap();
                let (mut record, mut lines) = (csv::ByteRecord::new(), Vec::new());
                loop {
                    match rows.next(&mut record) {
                        Ok(Some(row)) => lines.push(row.line),
                        Ok(None) => return Ok(lines),
                        Err(ScoreError::Blank { line } | ScoreError::Unclosed { line }) => return Err(line),
                        Err(error) => panic!("{text:?}: {error}"),
                    }
                }
            };
            let found = lines(&mut bytes.as_bytes());
            assert_eq!(found, lines(&mut Slow(bytes.as_bytes())), "{text:?}");
            if !text.contains('"') {
                assert_eq!(found, plain_rows(text), "{text:?}");
            }
        }
    }
}

/// Rows without end, of which only so many bytes are given.
struct Endless {
    left: usize,
    line: &'static [u8],
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.left);
        for (place, byte) in buffer[..count].iter_mut().zip(self.line.iter().cycle()) {
            *place = *byte;
        }
        self.left -= count;
        Ok(count)
    }
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_machine() {
    let served = served("gbtree-base-score");
    let rows = b"a,b,c,d\n\"".chain(Endless {
        left: 200 << 20,
        line: b"1,2,3,4\n",
    });
    let error = score(&served, Output::Margin, rows, io::sink(), io::sink()).unwrap_err();
    assert!(matches!(error, ScoreError::Long { line: 2, .. }), "{error}");
}

#[test]
fn a_reader_that_breaks_and_a_writer_that_is_gone_are_told_apart() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let served = served("gbtree-base-score");
    let error = score(
        &served,
        Output::Margin,
        b"a,b,c,d\n".chain(Broken),
        io::sink(),
        io::sink(),
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "read the rows: disk on fire");
    let error = score(&served, Output::Margin, &b"a,b,c,d\n1,2,3,4\n"[..], Gone, io::sink()).unwrap_err();
    assert!(matches!(error, ScoreError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe));
}

#[test]
fn what_the_manifest_demands_is_demanded_of_rows() {
    let served = Served::demo_with(
        "[features.f1]\nrange = [0, 5]\nunit = \"visits\"\nrequired = true\n[features.f9]\ntype = \"boolean\"\n",
    );
    let names: Vec<_> = served.model.schema().names().collect();
    let header = names.join(",");
    let row = |first: &str, ninth: &str| format!("{header}\n{first},,,,,,,,{ninth}{}\n", ",".repeat(41));
    for (first, ninth, says) in [
        ("6", "1", "row 1, column \"f1\" must be from 0 to 5 visits"),
        ("", "1", "row 1, column \"f1\" is required: it must be a number"),
        ("5", "2", "row 1, column \"f9\" must be true, false, 1, 0, or null"),
    ] {
        assert_eq!(refusal(&served, &row(first, ninth)), says);
    }
    let line = |first: &str| refusal_of_lines(&served, &format!("{{\"f1\":{first}}}\n"));
    assert_eq!(line("9"), "row 1 (line 1): column \"f1\" must be from 0 to 5 visits");
    assert_eq!(
        line("null"),
        "row 1 (line 1): column \"f1\" is required: it must be a number"
    );
    let same = margins(&served, &row("1", "1"));
    assert_eq!(margins(&served, &row("1", "True")), same);
}

fn refusal_of_lines(model: &Served, lines: &str) -> String {
    let mut job = Job::new(model, Output::Margin);
    job.input = Format::Ndjson;
    let rows = Input::Stream(Box::new(lines.as_bytes()));
    let outcome = job.run(rows, || Ok(Box::new(io::sink())), io::sink());
    outcome.expect_err(lines).to_string()
}
