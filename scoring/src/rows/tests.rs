//! Rows in, numbers out: the model crate's fixtures and the demo, and every way in which a file does not fit.

use std::fs;
use std::path::PathBuf;

use quintile_model::{KernelChoice, Options, Trees};

use super::*;

mod categories;
mod dialects;
mod excel;
mod formats;
mod headers;
mod missing;
mod odd;
mod parquet;
mod result_names;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../model/tests/fixtures")
        .join(name)
}

fn loaded(name: &str) -> LoadedModel {
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
    LoadedModel::load(Some(file), options, 0).unwrap()
}

fn demo() -> LoadedModel {
    LoadedModel::load(None, Options::default(), 0).unwrap()
}

/// A model by its file's full name.
fn named(file: &str) -> LoadedModel {
    LoadedModel::load(Some(&fixture(file)), Options::default(), 0).unwrap()
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

/// Rows of the format that a job has.
fn opened<'i>(job: &Job<'_>, input: Input<'i>) -> Result<Opened<'i>, ScoreError> {
    let stated = Stated {
        flag: Some(job.input),
        name: None,
    };
    Opened::new(input, stated)
}

/// CSV to CSV on two threads.
fn score(
    loaded: &LoadedModel,
    output: Output,
    rows: impl Read,
    results: impl Write,
    notes: impl Write,
) -> Result<(), ScoreError> {
    let mut job = Job::new(loaded, output);
    job.threads = 2;
    let rows = opened(&job, Input::Stream(Box::new(rows)))?;
    job.run(rows, || Ok(Box::new(results)), notes).map(drop)
}

/// Results, notes and the outcome.
fn run(model: &LoadedModel, output: Output, rows: &[u8]) -> (String, String, Result<(), ScoreError>) {
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    let outcome = score(model, output, rows, &mut results, &mut notes);
    (
        String::from_utf8(results).unwrap(),
        String::from_utf8(notes).unwrap(),
        outcome,
    )
}

fn margins(model: &LoadedModel, rows: &str) -> Vec<String> {
    let (results, _, outcome) = run(model, Output::Margin, rows.as_bytes());
    outcome.unwrap_or_else(|error| panic!("{rows:?}: {error}"));
    results.lines().skip(1).map(str::to_owned).collect()
}

fn refusal(model: &LoadedModel, rows: &str) -> String {
    run(model, Output::Margin, rows.as_bytes())
        .2
        .expect_err(rows)
        .to_string()
}

#[test]
fn contributions_of_a_row_add_up_to_its_margin() {
    for (name, outputs) in [
        ("forest-logistic", 1),
        ("objective-multi-softprob", 3),
        ("linear-logistic", 1),
    ] {
        let model = loaded(name);
        let columns = model.model.schema().len();
        let header = model.model.schema().names().collect::<Vec<_>>().join(",");
        let row = (0..columns)
            .map(|column| column.to_string())
            .collect::<Vec<_>>()
            .join(",");
        let rows = format!("{header}\n{row}\n");
        let margins = margins(&model, &rows);
        let (results, _, outcome) = run(&model, Output::Contributions, rows.as_bytes());
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let numbers = |line: &str| line.split(',').map(|cell| cell.parse().unwrap()).collect::<Vec<f64>>();
        let mut lines = results.lines();
        let names = lines.next().unwrap();
        assert!(
            names.ends_with(".bias") && names.split(',').count() == outputs * (columns + 1),
            "{names}"
        );
        let contributions = numbers(lines.next().unwrap());
        for (own, margin) in contributions.chunks(columns + 1).zip(numbers(&margins[0])) {
            assert!(
                (own.iter().sum::<f64>() - margin).abs() < 1e-5,
                "{name}: {own:?} for {margin}"
            );
        }
    }
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
        let loaded = loaded(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let parts = |line: &str| line.split(';').map(|part| part.replace(' ', ",")).collect::<Vec<_>>();
        let expected: Vec<Vec<String>> = text.lines().map(parts).collect();
        let names: Vec<_> = loaded
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
            let (results, notes, outcome) = run(&loaded, output, rows.as_bytes());
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
        let loaded = loaded(name);
        let names: Vec<_> = loaded.model.schema().names().map(|name| format!("{name:?}")).collect();
        run(&loaded, output, names.join(",").replace("\\\"", "\"\"").as_bytes()).0
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
    let (results, _, outcome) = run(&loaded("objective-multi-softprob"), Output::Score, b"a,b\n");
    assert_eq!(results, "");
    let says = outcome.unwrap_err().to_string();
    assert!(
        says.contains("multi:softprob with 3 predictions has no natural bands; state edges"),
        "{says}"
    );
}

#[test]
fn golden_rows_of_the_demo_come_back() {
    let manifest = include_str!("../../../engine/demo/demo.toml");
    let (mut rows, mut expected) = (names(50), Vec::new());
    for line in manifest.lines() {
        let list = |prefix| line.strip_prefix(prefix).and_then(|list: &str| list.strip_suffix(']'));
        if let Some(features) = list("features = [") {
            rows.push_str(&format!("\r\n{}", features.replace("nan", "NaN")));
        }
        expected.extend(list("margin = ["));
    }
    let loaded = demo();
    assert_eq!(margins(&loaded, &rows), expected);
    let (scores, ..) = run(&loaded, Output::Score, rows.as_bytes());
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
fn rows_that_do_not_fit_name_their_row_line_and_column() {
    let loaded = loaded("gbtree-base-score");
    let model = &loaded;
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
            "row 2 (line 3), column \"e\": \"x\" is no number",
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
        let error = refusal(model, &format!("a,b,c,e\n{rows}"));
        assert!(error.contains(says), "{rows:?}: {error}");
    }
    // Lines go on counting behind a cell of several lines.
    let names = "id,age,Total Time Spent,\"quote \"\" and ü\",d";
    let error = refusal(model, &format!("{names}\r\n\"a\r\nb\r\nc\",1,2,3,4\r\n5,1,2,3,y\r\n"));
    assert!(error.contains("row 2 (line 5), column \"d\": \"y\""), "{error}");
}

#[test]
fn what_the_manifest_demands_is_demanded_of_rows() {
    let loaded = LoadedModel::demo_with(
        "[features.f1]\nrange = [0, 5]\nunit = \"visits\"\nrequired = true\n[features.f9]\ntype = \"boolean\"\n",
    );
    let names: Vec<_> = loaded.model.schema().names().collect();
    let header = names.join(",");
    let row = |first: &str, ninth: &str| format!("{header}\n{first},,,,,,,,{ninth}{}\n", ",".repeat(41));
    for (first, ninth, says) in [
        ("6", "1", "row 1, column \"f1\" must be from 0 to 5 visits"),
        ("", "1", "row 1, column \"f1\" is required: it must be a number"),
        ("5", "2", "row 1, column \"f9\" must be true, false, 1, 0, or null"),
    ] {
        assert_eq!(refusal(&loaded, &row(first, ninth)), says);
    }
    let line = |first: &str| refusal_of_lines(&loaded, &format!("{{\"f1\":{first}}}\n"));
    assert_eq!(line("9"), "row 1 (line 1): column \"f1\" must be from 0 to 5 visits");
    assert_eq!(
        line("null"),
        "row 1 (line 1): column \"f1\" is required: it must be a number"
    );
    let same = margins(&loaded, &row("1", "1"));
    assert_eq!(margins(&loaded, &row("1", "True")), same);
}

fn refusal_of_lines(model: &LoadedModel, lines: &str) -> String {
    let mut job = Job::new(model, Output::Margin);
    job.input = Format::Ndjson;
    let rows = opened(&job, Input::Stream(Box::new(lines.as_bytes()))).unwrap();
    let outcome = job.run(rows, || Ok(Box::new(io::sink())), io::sink());
    outcome.expect_err(lines).to_string()
}
