//! Files are read back with the Parquet reader; folders are taken away under the sink.

use std::fs::{self, File};
use std::path::Path;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int8Type, Int32Type, TimestampMicrosecondType, UInt16Type};
use quintile_scoring::loaded::LoadedModel;

use super::*;
use crate::record::{Entry, Extras, FIXED, Frame, ProtocolName, RecordSource, Role, Schema, decode};
use crate::side::testing::{Recorder, TestDir, logistic, say, softprob};

mod folders;

/// 2025-11-24 16:00:00 UTC.
const NOW_US: i64 = 1_764_000_000_000_000;
const HOUR_US: i64 = 3_600_000_000;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The sink and the number of its next record.
struct Numbered(Parquet, u64);

impl Numbered {
    fn take(&mut self, record: &Frame<'_>, model: &Arc<LoadedModel>, now: Instant) -> Result<(), SinkError> {
        let (record, schema) = (*record, &Arc::new(Schema::of(model)));
        let number = self.1;
        self.0.take(&Item { number, record, schema }, now)?;
        self.1 += 1;
        Ok(())
    }
}

impl std::ops::Deref for Numbered {
    type Target = Parquet;

    fn deref(&self) -> &Parquet {
        &self.0
    }
}

impl std::ops::DerefMut for Numbered {
    fn deref_mut(&mut self) -> &mut Parquet {
        &mut self.0
    }
}

fn sink(dir: &TestDir, roll_rows: usize) -> Numbered {
    let sink = Parquet::open(&Records {
        data_dir: dir.path().to_path_buf(),
        roll_rows,
        ..Records::default()
    });
    Numbered(sink.unwrap(), 0)
}

fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    assert!(!batches.is_empty(), "{} is empty", path.display());
    if batches.len() == 1 {
        return batches.into_iter().next().unwrap();
    }
    // Larger files are only counted.
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
    let none = Arc::new(schema.project(&[]).unwrap());
    RecordBatch::try_new_with_options(none, vec![], &options).unwrap()
}

fn rows(dir: &TestDir) -> usize {
    dir.files().iter().map(|path| read(path).num_rows()).sum()
}

fn floats(batch: &RecordBatch, name: &str) -> Vec<Option<u64>> {
    let column = batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
    column.iter().map(|value| value.map(f64::to_bits)).collect()
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
    let column = batch.column_by_name(name).unwrap().as_string::<i32>();
    column.iter().map(|text| text.unwrap().to_owned()).collect()
}

#[test]
fn every_value_comes_back() {
    let dir = TestDir::new("values");
    let mut sink = sink(&dir, 1000);
    let model = logistic(["a", "lead_id", "Größe 🦀", "x.y"], 3);
    let id = uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
    let first = Entry {
        record_id: id,
        time_us: NOW_US + 123_456,
        model_number: 3,
        shard: 255,
        score: Some(5),
        latency_ns: 1_234,
        lead_id: "Bärbel 🦀",
        request_id: "request-1",
        margins: &[-0.0],
        predictions: &[0.1 + 0.2],
        row: &[f64::NAN, -0.0, f64::MIN_POSITIVE / 4.0, f64::INFINITY],
        source: RecordSource::Fallback("no answer within the deadline"),
        extras: Extras::of(ProtocolName::Native),
    };
    let extras = Extras::of(ProtocolName::V2).with_role(Role::Shadow);
    let extras = extras.with_reasons("[]").unwrap();
    let second = Entry {
        score: None,
        lead_id: "",
        margins: &[f64::NAN],
        row: &[1.0, 2.0, 3.0, f64::from_bits(0x7FF0_0000_0000_0001)],
        source: RecordSource::SageMaker,
        extras: extras.with_features_from("{}").unwrap(),
        ..first
    };
    for entry in [first, second] {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        sink.take(&decode(&bytes).unwrap().0, &model, Instant::now()).unwrap();
    }
    sink.flush().unwrap();

    let files = dir.files();
    assert_eq!(files.len(), 1);
    let expected = format!("scores/date=2025-11-24/hour=16/20251124T160000123456Z-{id}.parquet");
    assert_eq!(
        files[0].strip_prefix(dir.path()).unwrap().to_str(),
        Some(expected.as_str())
    );
    let batch = read(&files[0]);
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let fixed = "record_id time lead_id request_id model model_version margin prediction score latency_us shard \
                 source source_reason role protocol model_sha256 reasons features_from";
    let (first_names, features) = names.split_at(FIXED.len());
    assert_eq!(first_names.join(" "), fixed);
    assert_eq!(features, ["a", "feature.lead_id", "Größe 🦀", "x.y"]);
    assert_eq!(texts(&batch, "record_id"), [id.to_string(), id.to_string()]);
    assert_eq!(texts(&batch, "lead_id"), ["Bärbel 🦀", ""]);
    assert_eq!(texts(&batch, "request_id"), ["request-1", "request-1"]);
    assert_eq!(texts(&batch, "model"), ["logistic", "logistic"]);
    assert_eq!(texts(&batch, "source"), ["local", "sagemaker"]);
    let column = |name| -> Vec<Option<&str>> {
        let column = batch.column_by_name(name).unwrap().as_string::<i32>();
        column.iter().collect()
    };
    assert_eq!(column("source_reason"), [Some("no answer within the deadline"), None]);
    assert_eq!(column("role"), [None, Some("shadow")]);
    assert_eq!(column("protocol"), [Some("native"), Some("v2")]);
    assert_eq!(column("reasons"), [None, Some("[]")]);
    assert_eq!(column("features_from"), [None, Some("{}")]);
    assert_eq!(column("model_sha256"), [model.model_sha256.as_deref(); 2]);
    assert_eq!(column("model_sha256")[0].map(str::len), Some(64));
    assert_eq!(texts(&batch, "model_version")[0], model.model.version());
    assert_eq!(floats(&batch, "margin"), [Some((-0.0_f64).to_bits()), None]);
    assert_eq!(floats(&batch, "prediction")[0], Some((0.1_f64 + 0.2).to_bits()));
    assert_eq!(floats(&batch, "latency_us")[0], Some(1.234_f64.to_bits()));
    assert_eq!(floats(&batch, "a"), [None, Some(1.0_f64.to_bits())]);
    assert_eq!(
        floats(&batch, "feature.lead_id"),
        [Some((-0.0_f64).to_bits()), Some(2.0_f64.to_bits())]
    );
    assert_eq!(floats(&batch, "Größe 🦀")[0], Some((f64::MIN_POSITIVE / 4.0).to_bits()));
    assert_eq!(floats(&batch, "x.y"), [Some(f64::INFINITY.to_bits()), None]);
    let scores = batch.column_by_name("score").unwrap().as_primitive::<Int8Type>();
    assert_eq!(scores.iter().collect::<Vec<_>>(), [Some(5), None]);
    let shards = batch.column_by_name("shard").unwrap().as_primitive::<UInt16Type>();
    assert_eq!(shards.values().to_vec(), [255, 255]);
    let times = batch
        .column_by_name("time")
        .unwrap()
        .as_primitive::<TimestampMicrosecondType>();
    assert_eq!((times.value(0), times.timezone()), (NOW_US + 123_456, Some("UTC")));
}

#[test]
fn categories_are_their_names_and_other_numbers_are_not_lost() {
    let dir = TestDir::new("categories");
    let mut sink = sink(&dir, 1000);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/category-names.ubj");
    let model = Arc::new(LoadedModel::load(Some(&fixture), quintile_model::Options::default(), 0).unwrap());
    let take = |sink: &mut Numbered, first_id: u128, values: &[f64]| {
        for (number, &value) in values.iter().enumerate() {
            let mut bytes = Vec::new();
            Entry {
                record_id: uuid::Uuid::from_u128(first_id + number as u128),
                time_us: NOW_US,
                model_number: 0,
                shard: 0,
                score: None,
                latency_ns: 0,
                lead_id: "",
                request_id: "",
                margins: &[0.5],
                predictions: &[0.5],
                row: &[value, value, f64::NAN],
                source: RecordSource::Local,
                extras: Extras::default(),
            }
            .encode(&mut bytes);
            sink.take(&decode(&bytes).unwrap().0, &model, Instant::now()).unwrap();
        }
        sink.flush().unwrap();
    };
    let categories = |path: &Path, name| -> Vec<Option<String>> {
        let batch = read(path);
        let column = batch.column_by_name(name).unwrap().as_dictionary::<Int32Type>();
        let column = column.downcast_dict::<arrow_array::StringArray>().unwrap();
        column.into_iter().map(|name| name.map(str::to_owned)).collect()
    };
    let text = |texts: &[&str]| texts.iter().map(|&text| Some(text.to_owned())).collect::<Vec<_>>();
    take(&mut sink, 10, &[1.0, 0.0, f64::NAN, 8.0]);
    let first = dir.files().remove(0);
    let names = categories(&first, "where");
    assert_eq!((names[2].is_none(), names.len()), (true, 4));
    assert_eq!(
        [&names[..2], &names[3..]].concat(),
        text(&["a", "Zurich", "comma, too"])
    );
    assert_eq!(categories(&first, "code"), [None, None, None, None]);
    assert_eq!(floats(&read(&first), "number")[3], Some(8.0_f64.to_bits()));
    take(&mut sink, 20, &[9.0, 1.5, 9.0, 7.0]);
    let second = dir.files().into_iter().find(|path| *path != first);
    let names = categories(&second.unwrap(), "where");
    assert_eq!(names, text(&["#9", "#1.5", "#9", "10"]));
}

#[test]
fn several_outputs_are_lists() {
    let dir = TestDir::new("lists");
    let mut sink = sink(&dir, 1000);
    let model = softprob(NAMES, 1);
    let mut recorder = Recorder::new(&model, 0);
    for number in 0..3 {
        sink.take(&recorder.frame(NOW_US, number), &model, Instant::now())
            .unwrap();
    }
    sink.flush().unwrap();
    let batch = read(&dir.files()[0]);
    for (name, expected) in [("margin", 2.25), ("prediction", 2.0 / 7.0)] {
        let column = batch.column_by_name(name).unwrap().as_list::<i32>();
        let last = column.value(2);
        let values: Vec<u64> = last
            .as_primitive::<Float64Type>()
            .values()
            .iter()
            .map(|x| x.to_bits())
            .collect();
        assert_eq!(values, [f64::to_bits(expected); 3]);
    }
}

#[test]
fn files_end_by_rows_and_by_age() {
    let dir = TestDir::new("rolls");
    let mut sink = sink(&dir, 10);
    let model = logistic(NAMES, 1);
    let mut recorder = Recorder::new(&model, 0);
    let now = Instant::now();
    for number in 0..25 {
        sink.take(&recorder.frame(NOW_US, number), &model, now).unwrap();
    }
    assert_eq!(sink.delivered(), Delivery { end: 20, files: 2 });
    assert_eq!(sink.due(), Some(now + Records::default().roll_after));
    sink.deliver(now + Records::default().roll_after).unwrap();
    assert_eq!(sink.delivered(), Delivery { end: 25, files: 3 });
    let counts: Vec<usize> = dir.files().iter().map(|path| read(path).num_rows()).collect();
    assert_eq!(counts, [10, 10, 5]);
    assert!(dir.temporary().is_empty());
}

#[test]
fn hours_and_models_have_files_of_their_own() {
    let dir = TestDir::new("hours");
    let mut sink = sink(&dir, 1000);
    let (old, new) = (logistic(NAMES, 1), softprob(NAMES, 2));
    let (mut first, mut second) = (Recorder::new(&old, 0), Recorder::new(&old, 1));
    let now = Instant::now();
    // Two shards cross an hour's end, one a little before the other.
    for step in 0..20 {
        let ahead = NOW_US + HOUR_US - 10 + step;
        sink.take(&first.frame(ahead, 1), &old, now).unwrap();
        sink.take(&second.frame(ahead - 3, 2), &old, now).unwrap();
    }
    assert_eq!(sink.delivered().files, 0);
    // The old hour waits for stragglers only, the new one for its age.
    assert_eq!(sink.due(), Some(now + STRAGGLERS));
    sink.deliver(now + STRAGGLERS).unwrap();
    assert_eq!(sink.delivered(), Delivery { end: 20, files: 1 });
    let mut third = Recorder::new(&new, 0);
    sink.take(&third.frame(NOW_US + HOUR_US + 50, 1), &new, now + STRAGGLERS)
        .unwrap();
    sink.flush().unwrap();
    assert_eq!(sink.delivered(), Delivery { end: 41, files: 3 });
    for path in dir.files() {
        let batch = read(&path);
        let times = batch
            .column_by_name("time")
            .unwrap()
            .as_primitive::<TimestampMicrosecondType>();
        let hour = if path.to_str().unwrap().contains("hour=16") {
            0
        } else {
            1
        };
        assert!(
            times
                .values()
                .iter()
                .all(|&time_us| (time_us - NOW_US) / HOUR_US == hour)
        );
    }
}

#[test]
fn more_hours_than_may_be_open_are_no_trouble() {
    let dir = TestDir::new("many-hours");
    let mut sink = sink(&dir, 1000);
    let model = logistic(NAMES, 1);
    let mut recorder = Recorder::new(&model, 0);
    let now = Instant::now();
    for number in 0..50 {
        sink.take(
            &recorder.frame(NOW_US + i64::from(number % 10) * HOUR_US, number),
            &model,
            now,
        )
        .unwrap();
        assert!(sink.open.len() <= OPEN_MAX);
    }
    sink.flush().unwrap();
    assert_eq!((sink.delivered().end, rows(&dir)), (50, 50));
}

#[test]
fn row_groups_reach_the_disk_before_the_file_ends() {
    let dir = TestDir::new("groups");
    let mut sink = sink(&dir, 1_000_000);
    let model = logistic(NAMES, 1);
    let mut recorder = Recorder::new(&model, 0);
    let count = 150_000_u32;
    for number in 0..count {
        sink.take(&recorder.frame(NOW_US, number), &model, Instant::now())
            .unwrap();
    }
    assert!(dir.files().is_empty());
    assert!(fs::metadata(&dir.temporary()[0]).unwrap().len() > 100_000);
    // The folder is cleaned up by someone in the middle of a file.
    fs::remove_dir_all(dir.path().join("tmp")).unwrap();
    sink.flush().unwrap();
    assert_eq!(rows(&dir), 150_000);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&dir.files()[0]).unwrap()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 3);
    assert!(dir.temporary().is_empty());
}

#[test]
fn a_record_that_does_not_fit_its_model_is_refused() {
    let dir = TestDir::new("unfit");
    let mut sink = sink(&dir, 10);
    let (one, three) = (logistic(NAMES, 1), softprob(NAMES, 1));
    let mut recorder = Recorder::new(&three, 0);
    let result = sink.take(&recorder.frame(NOW_US, 1), &one, Instant::now());
    assert!(matches!(result, Err(SinkError::Unfit(_))));
    sink.flush().unwrap();
    assert!(dir.files().is_empty());
}

/// A small disk over a folder, as long as it is held.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// None when this user may not mount.
    fn mount(folder: &'a Path) -> Option<Self> {
        run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs"], folder).then_some(Self(folder))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        run("umount", &[], self.0);
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> bool {
    let mut command = std::process::Command::new(program);
    let status = command
        .args(arguments)
        .arg(folder)
        .stderr(std::process::Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_loses_nothing() {
    let dir = TestDir::new("full");
    let Some(_disk) = SmallDisk::mount(dir.path()) else {
        return say("SKIPPED: A FULL DISK IS NOT TRIED, FOR THIS USER MAY NOT MOUNT A SMALL ONE");
    };
    let mut sink = sink(&dir, 20_000);
    let model = logistic(NAMES, 1);
    let mut recorder = Recorder::new(&model, 0);
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![1; 1_900_000]).unwrap();
    let mut refused = 0;
    let mut taken = 0_u32;
    for _ in 0..60_000 {
        match sink.take(&recorder.frame(NOW_US, taken), &model, Instant::now()) {
            Ok(()) => taken += 1,
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("No space left"), "{error}");
                if refused == 5 {
                    fs::remove_file(&ballast).unwrap();
                }
            }
        }
    }
    sink.flush().unwrap();
    assert_eq!(refused, 5);
    assert_eq!((sink.delivered().end, rows(&dir)), (u64::from(taken), taken as usize));
    assert!(dir.temporary().is_empty());
}
