//! The same rows in every format, on any number of threads.

use super::*;

/// What a job says of a text: results, outcome.
pub(super) fn outcome(job: &Job<'_>, text: &[u8]) -> (Vec<u8>, Result<(), ScoreError>) {
    let mut results = Vec::new();
    let outcome = opened(job, Input::Stream(Box::new(text)))
        .and_then(|rows| job.run(rows, || Ok(Box::new(&mut results)), io::sink()));
    (results, outcome.map(drop))
}

pub(super) fn results(job: &Job<'_>, text: &[u8]) -> String {
    let (results, outcome) = outcome(job, text);
    outcome.unwrap();
    String::from_utf8(results).unwrap()
}

/// Values of a row and a column, some missing.
pub(super) fn value(row: usize, column: usize) -> Option<f64> {
    let mixed = (row * 50 + column).wrapping_mul(0x9E37_79B9) % 10_007;
    (!mixed.is_multiple_of(11)).then_some((mixed as f64 - 5000.0) / 64.0)
}

pub(super) fn csv(rows: usize) -> String {
    let mut text = format!("id,{}\n", names(50));
    for row in 0..rows {
        let cells = (0..50).map(|column| value(row, column).map_or_else(String::new, |value| value.to_string()));
        text += &format!("\"r,{row}\",{}\n", cells.collect::<Vec<_>>().join(","));
    }
    text
}

fn ndjson(rows: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        let cells = (0..50).map(|column| {
            let value = value(row, column).map_or_else(|| "null".to_owned(), |value| value.to_string());
            format!("\"f{}\":{value}", column + 1)
        });
        let cells = cells.collect::<Vec<_>>().join(",");
        text += &match row % 2 {
            0 => format!("{{\"id\":\"r,{row}\",{cells}}}\r\n"),
            _ => format!("{{{cells}, \"id\":\"r,{row}\"}}\n"),
        };
    }
    text
}

pub(super) const ROWS: usize = 9_000;

#[test]
fn formats_and_threads_change_no_byte() {
    let loaded = demo();
    let (csv, ndjson) = (csv(ROWS), ndjson(ROWS));
    for (to, id) in [
        (Format::Csv, None),
        (Format::Csv, Some("id")),
        (Format::Ndjson, Some("id")),
    ] {
        let mut expected = None;
        for (input, text) in [(Format::Csv, &csv), (Format::Ndjson, &ndjson)] {
            for threads in [1, 4] {
                let mut job = Job::new(&loaded, Output::Margin);
                (job.input, job.to, job.id, job.threads) = (input, to, id, threads);
                let results = results(&job, text.as_bytes());
                assert_eq!(results.lines().count(), ROWS + usize::from(to == Format::Csv));
                assert!(
                    expected.get_or_insert_with(|| results.clone()) == &results,
                    "{input:?} {threads}"
                );
            }
        }
    }
    let lines = |to, input, text: &str| {
        let mut job = Job::new(&loaded, Output::Score);
        (job.input, job.to, job.id) = (input, to, Some("id"));
        results(&job, text.as_bytes())
            .lines()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let row = csv.lines().take(2).collect::<Vec<_>>().join("\n");
    assert!(lines(Format::Csv, Format::Csv, &row).starts_with("id,score \"r,0\","));
    assert!(lines(Format::Ndjson, Format::Csv, &row).starts_with("{\"id\":\"r,0\",\"score\":"));
}

#[test]
fn rows_are_answered_up_to_a_fault_of_a_later_chunk() {
    let loaded = demo();
    let mut csv: Vec<String> = csv(ROWS).lines().map(|line| format!("{line}\n")).collect();
    let mut ndjson: Vec<String> = ndjson(ROWS).lines().map(|line| format!("{line}\n")).collect();
    csv[8_001] = format!("x,y{}\n", ",".repeat(49));
    csv[8_500] = "1\n".to_owned();
    ndjson[8_000] = "{\"f1\":\"y\"}\n".to_owned();
    ndjson[8_500] = "1\n".to_owned();
    for threads in [1, 4] {
        for (input, text, says) in [
            (
                Format::Csv,
                csv.concat(),
                "row 8001 (line 8002), column \"f1\": \"y\" is no number",
            ),
            (
                Format::Ndjson,
                ndjson.concat(),
                "row 8001 (line 8001): column \"f1\" must be a number or null, but is a string",
            ),
        ] {
            let mut job = Job::new(&loaded, Output::Margin);
            (job.input, job.threads) = (input, threads);
            let (results, outcome) = outcome(&job, text.as_bytes());
            let error = outcome.unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
            assert_eq!(results.iter().filter(|&&byte| byte == b'\n').count(), 8_001);
        }
    }
}

#[test]
fn lines_are_objects_of_features_or_requests() {
    let loaded = loaded("gbtree-base-score"); // age, Total Time Spent, quote " and ü, d
    let mut job = Job::new(&loaded, Output::Margin);
    let expected = margins(&loaded, "age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,\n")[0].clone();
    job.input = Format::Ndjson;
    let features = r#""age":1,"Total Time Spent":2,"quote \" and ü":3"#;
    let full = format!(r#"{{"label":[1],{features},"d":null}}"#);
    for text in [
        format!("{{{features}}}"),
        format!("\n\n{{{features}}}"),
        format!(r#"{{"lead_id":"x","features":{{{features}}}}}{}"#, "\n\r\n"),
        full.clone(),
    ] {
        let (results, outcome) = outcome(&job, text.as_bytes());
        let says = outcome.map_err(|error| error.to_string());
        if text.starts_with('\n') {
            assert!(says.unwrap_err().starts_with("line 1 is blank"));
        } else {
            assert_eq!(
                (says, String::from_utf8(results).unwrap()),
                (Ok(()), format!("margin\n{expected}\n"))
            );
        }
    }
    for (text, says) in [
        ("[1]", "row 1 (line 1): the row must be an object, but is an array"),
        (
            "{\"age\":1",
            "row 1 (line 1): not JSON at byte 8: the body ends too early",
        ),
        (
            "{\"age\":1,\"Age\":1}",
            "row 1 (line 1): /features/Age the model has no such feature",
        ),
        (
            "{\"age\":1,\"age\":1}",
            "row 1 (line 1): column \"age\" appears more than once",
        ),
        ("{\"features\":{}}", "row 1 (line 1): /lead_id is required"),
    ] {
        let error = outcome(&job, text.as_bytes()).1.unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
    job.id = Some("lead_id");
    let text = "{\"lead_id\":\"a\\\"b\",\"features\":{}}\n{\"lead_id\":-7}\n{\"lead_id\":null}\n";
    let results = results(&job, text.as_bytes());
    let ids: Vec<_> = results
        .lines()
        .filter_map(|line| line.rsplit_once(','))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids, ["lead_id", "\"a\"\"b\"", "-7", ""]);
    let error = outcome(&job, b"{\"age\":1}").1.unwrap_err().to_string();
    assert_eq!(error, "row 1 (line 1): /lead_id is required");
}

#[test]
fn ids_come_back_wherever_they_stand() {
    let loaded = loaded("gbtree-base-score");
    for (text, id, expected) in [
        ("a,b,c,id,e\n1,2,3,x,4\n", "id", Ok("x")),
        ("a,b,c,e,id\r\n1,2,3,4,x\r\n", "id", Ok("x")),
        ("id,a,b,c,e\n,1,2,3,4\n", "id", Ok("")),
        (
            "age,Total Time Spent,\"quote \"\" and ü\",d\n7.50,2,3,4\n",
            "age",
            Ok("7.50"),
        ),
        (
            "a,b,c,e\n",
            "id",
            Err("the rows have no column \"id\", which is asked for; they have \"a\","),
        ),
        ("id,a,id,c,d\n", "id", Err("column \"id\" occurs twice")),
    ] {
        let mut job = Job::new(&loaded, Output::Margin);
        job.id = Some(id);
        let (results, outcome) = outcome(&job, text.as_bytes());
        match expected {
            Ok(expected) => {
                outcome.unwrap();
                let results = String::from_utf8(results).unwrap();
                let lines: Vec<_> = results.lines().collect();
                assert!(lines[0] == format!("{id},margin") && lines[1].starts_with(&format!("{expected},")));
            }
            Err(says) => assert!(outcome.unwrap_err().to_string().starts_with(says)),
        }
    }
}

#[test]
fn rows_wait_for_their_results() {
    /// Counts what was read, and sees how far that is ahead of what was written.
    struct Ahead<'a> {
        text: Endless,
        read: &'a std::cell::Cell<usize>,
    }
    impl Read for Ahead<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.text.read(buffer)?;
            self.read.set(self.read.get() + count);
            Ok(count)
        }
    }
    struct Behind<'a> {
        read: &'a std::cell::Cell<usize>,
        rows: usize,
        most: &'a std::cell::Cell<usize>,
    }
    impl Write for Behind<'_> {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            let ahead = self.read.get() - self.rows * 8;
            self.most.set(self.most.get().max(ahead));
            self.rows += buffer.iter().filter(|&&byte| byte == b'\n').count();
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let loaded = loaded("gbtree-base-score");
    let (read, most) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let mut job = Job::new(&loaded, Output::Margin);
    job.threads = 2;
    let text = Endless {
        left: 8 << 20,
        line: b"1,2,3,4\n",
    };
    let rows = (&b"a,b,c,e\n"[..]).chain(Ahead { text, read: &read });
    let results = Behind {
        read: &read,
        rows: 0,
        most: &most,
    };
    let rows = opened(&job, Input::Stream(Box::new(rows))).unwrap();
    job.run(rows, || Ok(Box::new(results)), io::sink()).unwrap();
    assert_eq!(read.get(), 8 << 20);
    // Four chunks under way, the one that is read, and the buffers on both sides.
    assert!(most.get() < 1 << 20, "{}", most.get());
}
