//! Texts that are cut off, quoted without an end, or never end.

use super::super::csv_rows::Rows;
use super::*;

#[test]
fn rows_before_a_fault_are_answered() {
    let loaded = loaded("gbtree-base-score");
    let (results, _, outcome) = run(&loaded, Output::Margin, b"a,b,c,e\n1,2,3,4\n1,2,3,4\n1,2,3\n");
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
        let mut rows = Rows::new(text.as_bytes(), b',', 1);
        assert_eq!(rows.header().unwrap().0, ["f"]);
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
    let mut rows = Rows::new(&b"f\r\n1\r\n\r\n2\r\n"[..], b',', 1);
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
                let mut rows = Rows::new(reader, b',', 1);
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

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_machine() {
    let loaded = loaded("gbtree-base-score");
    let rows = b"a,b,c,e\n\"".chain(Endless {
        left: 200 << 20,
        line: b"1,2,3,4\n",
    });
    let error = score(&loaded, Output::Margin, rows, io::sink(), io::sink()).unwrap_err();
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
    let loaded = loaded("gbtree-base-score");
    let error = score(
        &loaded,
        Output::Margin,
        b"a,b,c,e\n".chain(Broken),
        io::sink(),
        io::sink(),
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "read the rows: disk on fire");
    let error = score(&loaded, Output::Margin, &b"a,b,c,e\n1,2,3,4\n"[..], Gone, io::sink()).unwrap_err();
    assert!(matches!(error, ScoreError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe));
}
