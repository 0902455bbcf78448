//! What the tests of side share: a folder that goes away, small models, records.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quintile_model::Options;
use quintile_scoring::loaded::LoadedModel;

use crate::record::{Entry, Extras, Frame, IdSource, RecordSource, decode};

/// Says something that is seen although the test passes: the harness keeps what `eprintln!` writes.
pub(crate) fn say(line: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}

/// A folder of one test.
pub(crate) struct TestDir(PathBuf);

impl TestDir {
    pub(crate) fn new(name: &str) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("quintile-{}-{name}-{serial}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// All Parquet files below `scores`, in the order of their paths.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.join("scores")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    files.push(path)
                }
            }
        }
        files.sort();
        files
    }

    /// What lies in `tmp`.
    pub(crate) fn temporary(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join("tmp")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A model of four features with one margin and one prediction.
pub(super) fn logistic(names: [&str; 4], model_number: u32) -> Arc<LoadedModel> {
    let json = include_str!("../../../model/tests/fixtures/objective-binary-logistic.json");
    loaded("logistic", json, names, model_number)
}

/// A model of four features with three margins and three predictions.
pub(super) fn softprob(names: [&str; 4], model_number: u32) -> Arc<LoadedModel> {
    let json = include_str!("../../../model/tests/fixtures/objective-multi-softprob.json");
    loaded("softprob", json, names, model_number)
}

fn loaded(name: &str, json: &str, names: [&str; 4], model_number: u32) -> Arc<LoadedModel> {
    let dir = TestDir::new("model");
    let path = dir.path().join(format!("{name}.json"));
    let named = json.replacen("\"feature_names\":[]", &format!("\"feature_names\":{names:?}"), 1);
    fs::write(&path, named).expect("the test's folder is writable");
    Arc::new(LoadedModel::load(Some(&path), Options::default(), model_number).expect("the fixture is a valid model"))
}

/// Makes records of one shard.
pub(super) struct Recorder {
    ids: IdSource,
    bytes: Vec<u8>,
    loaded: Arc<LoadedModel>,
    shard: u16,
}

impl Recorder {
    pub(super) fn new(loaded: &Arc<LoadedModel>, shard: u16) -> Self {
        Self {
            ids: IdSource::new(shard, 7),
            bytes: Vec::new(),
            loaded: Arc::clone(loaded),
            shard,
        }
    }

    /// A record of a lead; its numbers follow from `number`.
    pub(super) fn record(&mut self, time_us: i64, number: u32) -> &[u8] {
        let model = &self.loaded.model;
        let value = f64::from(number);
        let margins = vec![value + 0.25; model.margin_len()];
        let predictions = vec![value / 7.0; model.prediction_len()];
        let row: Vec<f64> = (0..model.schema().len())
            .map(|_| if number.is_multiple_of(5) { f64::NAN } else { value })
            .collect();
        Entry {
            record_id: self.ids.next(time_us),
            time_us,
            model_number: self.loaded.model_number,
            shard: self.shard,
            score: Some(u8::try_from(number % 5 + 1).expect("1 to 5")),
            latency_ns: 1_500,
            lead_id: &format!("lead-{number}"),
            request_id: "request",
            margins: &margins,
            predictions: &predictions,
            row: &row,
            source: RecordSource::Local,
            extras: Extras::default(),
        }
        .encode(&mut self.bytes);
        &self.bytes
    }

    pub(super) fn frame(&mut self, time_us: i64, number: u32) -> Frame<'_> {
        decode(self.record(time_us, number)).expect("it was encoded just now").0
    }
}
