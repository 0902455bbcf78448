//! Parquet in and out: the same numbers as CSV, for all column types.

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::basic::Compression;
use ::parquet::file::properties::WriterProperties;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int8Type, Int32Type};
use arrow_array::{
    Array as _, ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt8Array,
};

use super::formats::{ROWS, csv, results, value};
use super::*;

/// A file of these columns, open for reading.
fn file(columns: Vec<(&str, ArrayRef)>) -> File {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = std::env::temp_dir().join(format!(
        "quintile-score-{}-{:?}.parquet",
        std::process::id(),
        thread::current().id()
    ));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(2_500))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file
}

fn outcome(job: &Job<'_>, file: File) -> (Vec<u8>, Result<(), String>) {
    let mut results = Vec::new();
    let outcome =
        opened(job, Input::File(file)).and_then(|rows| job.run(rows, || Ok(Box::new(&mut results)), io::sink()));
    (results, outcome.map(drop).map_err(|error| error.to_string()))
}

fn of(loaded: &LoadedModel) -> Job<'_> {
    let mut job = Job::new(loaded, Output::Margin);
    job.input = Format::Parquet;
    job
}

/// The rows of the other formats, half of the columns in single precision, and one that the model does not use.
#[expect(
    clippy::cast_possible_truncation,
    reason = "64ths below 128 are exact in single precision"
)]
fn rows() -> File {
    let names: Vec<String> = (1..=50).map(|number| format!("f{number}")).collect();
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for (column, name) in names.iter().enumerate().rev() {
        let values = (0..ROWS).map(|row| value(row, column));
        let array: ArrayRef = match column % 2 {
            0 => Arc::new(values.collect::<Float64Array>()),
            _ => Arc::new(
                values
                    .map(|value| value.map(|value| value as f32))
                    .collect::<Float32Array>(),
            ),
        };
        columns.push((name, array));
    }
    let ids: Vec<String> = (0..ROWS).map(|row| format!("r,{row}")).collect();
    columns.insert(7, ("id", Arc::new(StringArray::from(ids))));
    columns.insert(9, ("at", Arc::new(TimestampMicrosecondArray::from(vec![0; ROWS]))));
    file(columns)
}

#[test]
fn parquet_gives_the_bytes_of_csv_and_back() {
    let loaded = demo();
    let csv = csv(ROWS);
    for id in [None, Some("id")] {
        let mut job = Job::new(&loaded, Output::Margin);
        job.id = id;
        let expected = results(&job, csv.as_bytes());
        let mut written = Vec::new();
        for threads in [1, 4] {
            job.input = Format::Parquet;
            (job.to, job.threads) = (Format::Csv, threads);
            let (results, said) = outcome(&job, rows());
            said.unwrap();
            assert!(results == expected.as_bytes(), "{id:?} {threads}");
            job.to = Format::Parquet;
            let (results, said) = outcome(&job, rows());
            said.unwrap();
            written.push(results);
        }
        assert!(written[0] == written[1]);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(written.remove(0))).unwrap();
        let mut lines = expected.lines().skip(1);
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            assert_eq!(batch.num_columns(), 1 + usize::from(id.is_some()));
            let margins = batch.column_by_name("margin").unwrap().as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                let line = lines.next().unwrap();
                let margin = line.rsplit(',').next().unwrap();
                assert_eq!(margin.parse::<f64>().unwrap().to_bits(), margins.value(row).to_bits());
                if id.is_some() {
                    let id = batch.column(0).as_string::<i32>().value(row);
                    assert!(line.starts_with(&format!("\"{id}\",")));
                }
            }
        }
        assert_eq!(lines.next(), None);
    }
    let mut job = of(&loaded);
    (job.output, job.to) = (Output::Score, Format::Parquet);
    let (results, said) = outcome(&job, rows());
    said.unwrap();
    let mut batches = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(results))
        .unwrap()
        .build()
        .unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(
        batch
            .column(0)
            .as_primitive::<Int8Type>()
            .iter()
            .flatten()
            .all(|band| (1..=5).contains(&band))
    );
    assert_eq!(batch.column(0).null_count(), 0);
}

#[test]
fn columns_may_be_of_any_type_that_is_a_number() {
    let loaded = loaded("gbtree-base-score"); // age, Total Time Spent, quote " and ü, d
    let header = "age,Total Time Spent,\"quote \"\" and ü\",d";
    let expected = margins(&loaded, &format!("{header}\n-3,1,0.5,4\n9007199254740993,0,,\n"));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("age", Arc::new(Int64Array::from(vec![-3, 9_007_199_254_740_993]))),
        ("Total Time Spent", Arc::new(BooleanArray::from(vec![true, false]))),
        ("quote \" and ü", Arc::new(Float32Array::from(vec![Some(0.5), None]))),
        ("d", Arc::new(UInt8Array::from(vec![Some(4), None]))),
    ];
    let (results, said) = outcome(&of(&loaded), file(columns.clone()));
    assert_eq!(
        (String::from_utf8(results).unwrap(), said),
        (format!("margin\n{}\n", expected.join("\n")), Ok(()))
    );
    let mut job = of(&loaded);
    job.id = Some("age");
    let results = String::from_utf8(outcome(&job, file(columns.clone())).0).unwrap();
    assert!(
        results.contains("\n-3,") && results.contains("\n9007199254740993,"),
        "{results}"
    );
    let mut changed = columns.clone();
    changed[3] = ("x", Arc::clone(&columns[3].1));
    let error = outcome(&of(&loaded), file(changed.clone())).1.unwrap_err();
    assert!(
        error.starts_with("the header names only some of the model's features: 1 missing (\"d\")"),
        "{error}"
    );
    changed.push(("y", Arc::clone(&columns[3].1)));
    let error = outcome(&of(&loaded), file(changed)).1.unwrap_err();
    assert!(
        error.starts_with("5 columns do not fit the model's 4: 1 missing (\"d\")"),
        "{error}"
    );
    let mut changed = columns;
    changed[0].1 = Arc::new(StringArray::from(vec!["1", "2"]));
    let error = outcome(&of(&loaded), file(changed)).1.unwrap_err();
    assert!(
        error.starts_with("column \"age\" holds \"Utf8\"; it may hold numbers"),
        "{error}"
    );
}

#[test]
fn categories_come_as_text_or_as_the_numbers_that_name_them() {
    let loaded = named("category-names.ubj");
    let expected = margins(&loaded, "where,number,code\nb b,1,7\n,1,\na,1,30\n");
    let text = |names: [Option<&str>; 3]| -> ArrayRef { Arc::new(names.into_iter().collect::<StringArray>()) };
    let names = [Some("b b"), None, Some("a")];
    let dictionary: DictionaryArray<Int32Type> = names.into_iter().collect();
    let others = [
        ("number", Arc::new(Float64Array::from(vec![1.0; 3])) as ArrayRef),
        ("code", Arc::new(Int64Array::from(vec![Some(7), None, Some(30)]))),
    ];
    for place in [text(names), Arc::new(dictionary)] {
        let columns = [vec![("where", place)], others.to_vec()].concat();
        let (results, said) = outcome(&of(&loaded), file(columns));
        said.unwrap();
        assert_eq!(
            String::from_utf8(results).unwrap(),
            format!("margin\n{}\n", expected.join("\n"))
        );
    }
    for to in [Format::Csv, Format::Parquet] {
        for place in [text([Some("b b"), None, Some("A")]), text([Some("A"), Some("B"), None])] {
            let row = if place.null_count() > 0 && place.is_null(1) {
                3
            } else {
                1
            };
            let mut job = of(&loaded);
            job.to = to;
            let (results, said) = outcome(&job, file([vec![("where", place)], others.to_vec()].concat()));
            let says = format!("row {row}, column \"where\": \"A\" is no category of this feature, which has 9");
            let error = said.unwrap_err();
            assert!(error.starts_with(&says), "{error}");
            if to == Format::Csv {
                assert_eq!(results.iter().filter(|&&byte| byte == b'\n').count(), row);
            } else {
                ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(results)).unwrap();
            }
        }
    }
}

#[test]
fn what_is_no_file_of_parquet_is_refused() {
    let loaded = demo();
    let stream = Input::Stream(Box::new(&b"PAR1"[..]));
    let error = opened(&of(&loaded), stream).err().unwrap();
    assert_eq!(
        error.to_string(),
        "Parquet is read from its end, so the rows must be a file"
    );
    let error = outcome(&of(&loaded), File::open(fixture("category-names.ubj")).unwrap())
        .1
        .unwrap_err();
    assert!(error.starts_with("read the rows: "), "{error}");
}
