//! Records: each answered score reaches Parquet, and one that cannot be kept is not answered.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, UInt16Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::harness::Launch;
use crate::on_both;
use crate::score::lead;

/// What the tests ask of a record.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) record_id: String,
    pub(crate) lead_id: String,
    pub(crate) request_id: String,
    pub(crate) model_version: String,
    pub(crate) prediction: f64,
    pub(crate) shard: u16,
}

/// All records under a data directory.
pub(crate) fn read(data: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    for file in files(&data.join("scores")) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).expect("it is listed"));
        let reader = reader.and_then(|builder| builder.build());
        for batch in reader.unwrap_or_else(|error| panic!("{}: {error}", file.display())) {
            let batch = batch.expect("a complete file");
            let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
            let text = |name: &str, row: usize| column(name).as_string::<i32>().value(row).to_owned();
            for row in 0..batch.num_rows() {
                records.push(Record {
                    record_id: text("record_id", row),
                    lead_id: text("lead_id", row),
                    request_id: text("request_id", row),
                    model_version: text("model_version", row),
                    prediction: column("prediction").as_primitive::<Float64Type>().value(row),
                    shard: column("shard").as_primitive::<UInt16Type>().value(row),
                });
            }
        }
    }
    records
}

/// One column of texts of all records, in the order of [`read`]; empty where there is nothing.
pub(crate) fn read_texts(data: &Path, name: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for file in files(&data.join("scores")) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).expect("it is listed"));
        let reader = reader.and_then(|builder| builder.build());
        for batch in reader.unwrap_or_else(|error| panic!("{}: {error}", file.display())) {
            let batch = batch.expect("a complete file");
            let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
            let column = column.as_string::<i32>();
            texts.extend(column.iter().map(|text| text.unwrap_or_default().to_owned()));
        }
    }
    texts
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flat_map(|entry| {
            let path = entry.expect("readable").path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}

fn every_answer_is_recorded(runtime: &str) {
    let mut server = Launch::new(runtime).shards(2).start();
    let mut answers = std::collections::BTreeMap::new();
    for connection in 0..4 {
        let mut connection_to = server.connect();
        for number in 0..50 {
            let number = connection * 50 + number;
            let answer = connection_to.post("/score", &lead(number)).json();
            answers.insert(format!("lead-{number}"), answer);
        }
    }
    // What is no score is no record.
    assert_eq!(server.connect().post("/score", "{}").status, 422);
    let records = read(&server.stop());
    assert_eq!(records.len(), answers.len());
    let ids: std::collections::BTreeSet<&str> = records.iter().map(|record| record.record_id.as_str()).collect();
    assert_eq!(ids.len(), records.len());
    for record in &records {
        let answer = &answers[&record.lead_id];
        assert_eq!(answer["request_id"], record.request_id);
        let probability = answer["probability"].as_f64().expect("a number");
        assert_eq!(probability.to_bits(), record.prediction.to_bits());
    }
}

/// The data directory goes away under the server: nothing is dropped silently, the queue fills, then leads are shed,
/// and when the directory is back all that was answered is delivered.
fn a_sink_that_fails_sheds_and_recovers(runtime: &str) {
    let mut server = Launch::new(runtime)
        .set("RECORDS__SPOOL_BYTES", "1048576")
        .set("RECORDS__ROLL_SECONDS", "1")
        .start();
    let scores = server.data().join("scores");
    // Root ignores permissions, but even root cannot make folders in a file.
    let _ = fs::remove_dir_all(&scores);
    fs::write(&scores, "in the way").expect("the folder is ours");
    let mut connection = server.connect();
    let (mut answered, mut shed) = (0usize, 0usize);
    for number in 0..400_000 {
        let answer = connection.post("/score", &lead(number % 1000));
        match answer.status {
            200 => answered += 1,
            503 => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!(answer.json()["error"]["code"], "record_queue_full");
                shed += 1;
                if shed > 20 {
                    break;
                }
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(
        shed > 20,
        "{answered} were answered and none shed, though none can be written"
    );
    server.await_metric("quintile_shed_total", |count| count >= 20.0);
    fs::remove_file(&scores).expect("it is ours");
    let began = std::time::Instant::now();
    while connection.post("/score", &lead(1)).status != 200 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "does not recover\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    answered += 1;
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.wait(), 0, "{}", server.log());
    assert_eq!(read(&server.data()).len(), answered);
}

on_both!(every_answer_is_recorded, a_sink_that_fails_sheds_and_recovers);
