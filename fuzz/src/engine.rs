//! What comes from clients: bodies of requests, rows of files, and records read back.

use std::cell::RefCell;
use std::path::Path;

use quintile::record::{Entry, decode};
use quintile_model::{Cell, KernelChoice, Options};
use quintile_scoring::limits::{BODY_NESTING_MAX, LEAD_ID_BYTES_MAX};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::{JsonReason, ReadError, Timings, Workspace, scan};
use quintile_scoring::render;
use quintile_scoring::rows::{Format, score_rows};
use serde_json::Value;

/// Bytes of a frame's head, where its length and its checksum are.
const HEAD: usize = 64;

/// Where a frame says which version it is, what the newest is, and where that has the number of its tail's bytes.
const VERSION_AT: usize = 8;
const VERSION: u8 = 3;
const TAIL_BYTES_AT: usize = 68;

/// A model and the memory to score with it, made once.
struct Engine {
    loaded: LoadedModel,
    workspace: RefCell<Workspace>,
}

impl Engine {
    /// The demo, or a fixture of the model crate.
    fn new(fixture: Option<&str>) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
        let path = fixture.map(|name| folder.join(name));
        let options = Options {
            kernel: KernelChoice::Scalar,
            ..Options::default()
        };
        let loaded = LoadedModel::load(path.as_deref(), options, 0).expect("the demo and fixtures load");
        let workspace = RefCell::new(Workspace::new(&loaded, 4096));
        Self { loaded, workspace }
    }
}

thread_local! {
    static DEMO: Engine = Engine::new(None);
    static XGBOOST: Engine = Engine::new(Some("category-names.ubj"));
    static LIGHTGBM: Engine = Engine::new(Some("lightgbm-names.txt"));
}

/// A body for the demo: one verdict with serde_json, the same numbers, and answers that are JSON.
#[must_use]
pub fn request(body: &[u8]) -> bool {
    DEMO.with(|engine| check(&engine.loaded, &mut engine.workspace.borrow_mut(), body));
    true
}

/// A body for models whose categories have names.
#[must_use]
pub fn request_names(body: &[u8]) -> bool {
    for engine in [&XGBOOST, &LIGHTGBM] {
        engine.with(|engine| check(&engine.loaded, &mut engine.workspace.borrow_mut(), body));
    }
    true
}

/// A file of rows, whose first line is the header.
#[must_use]
pub fn csv(rows: &[u8]) -> bool {
    both(rows, Format::Csv)
}

/// A file of a JSON object a line.
#[must_use]
pub fn ndjson(rows: &[u8]) -> bool {
    both(rows, Format::Ndjson)
}

fn both(rows: &[u8], format: Format) -> bool {
    for engine in [&XGBOOST, &LIGHTGBM] {
        engine.with(|engine| {
            let (results, outcome) = score_rows(&engine.loaded, rows, format);
            let lines = results.iter().filter(|&&byte| byte == b'\n').count();
            match outcome {
                Ok(()) => assert!(lines >= 1, "the results have a header"),
                Err(says) => assert!(
                    !says.is_empty() && says.len() < 4_000,
                    "{} bytes of an error",
                    says.len()
                ),
            }
            // A line is a row: no more of them than of the rows' own, and the header.
            let rows = rows.iter().filter(|&&byte| byte == b'\n').count() + 1;
            assert!(lines <= rows + 1, "{lines} lines of results for {rows} lines");
        });
    }
    true
}

fn check(loaded: &LoadedModel, workspace: &mut Workspace, body: &[u8]) {
    let outcome = workspace.read(loaded, body);
    let scanned = scan::scan(body, |_| {});
    let verdict = verdict(body);
    let mut answer = Vec::new();
    match outcome {
        Err(ReadError::NotJson(fault)) => {
            assert_ne!(verdict, Verdict::Json, "{fault}");
            assert_ne!(fault.reason, JsonReason::Refused);
            assert_eq!(scanned, Err(fault));
            assert!(fault.offset <= body.len());
            render::rejection(&mut answer, loaded, workspace, &ReadError::NotJson(fault));
        }
        Err(ReadError::Invalid) => {
            assert_ne!(verdict, Verdict::NotJson);
            assert_eq!(scanned, Ok(()));
            assert!(workspace.faults().total() > 0);
            render::rejection(&mut answer, loaded, workspace, &ReadError::Invalid);
        }
        Ok(()) => {
            assert_eq!(verdict, Verdict::Json);
            assert_eq!(scanned, Ok(()));
            compare(loaded, workspace, body);
            let score = workspace.score(loaded);
            render::answer(&mut answer, loaded, workspace, score, "fuzz", &Timings::default());
            assert!(answer.len() <= render::answer_bytes_max(loaded));
        }
    }
    serde_json::from_slice::<Value>(&answer).expect("an answer is JSON");
}

/// The row is what serde_json reads.
fn compare(loaded: &LoadedModel, workspace: &Workspace, body: &[u8]) {
    let value: Value = serde_json::from_slice(body).expect("the verdict was JSON");
    assert_eq!(value["lead_id"].as_str(), Some(workspace.lead_id()));
    let features = value["features"].as_object().expect("it was accepted");
    let schema = loaded.model.schema();
    for (column, (name, value)) in schema.names().zip(workspace.row()).enumerate() {
        let expected = match features.get(name) {
            Some(Value::String(text)) => schema.category_code(column, text).expect("it was accepted"),
            Some(Value::Number(number)) => {
                let float = || Cell::Float(number.as_f64().expect("a number"));
                let cell = number.as_u64().map(Cell::Unsigned);
                let cell = cell
                    .or_else(|| number.as_i64().map(Cell::Integer))
                    .unwrap_or_else(float);
                schema.value(column, cell).expect("it was accepted")
            }
            Some(Value::Bool(flag)) => schema.value(column, Cell::Boolean(*flag)).expect("it was accepted"),
            _ => f64::NAN,
        };
        assert_eq!(value.to_bits(), expected.to_bits(), "feature {name}");
    }
    assert!(features.keys().all(|name| loaded.columns.column(name).is_some()));
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Json,
    NotJson,
    /// serde_json stops at numbers beyond a double and at depths of its own.
    Unsure,
}

fn verdict(body: &[u8]) -> Verdict {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if levels(&value) > BODY_NESTING_MAX => Verdict::Unsure,
        Ok(_) => Verdict::Json,
        Err(error) if error.to_string().contains("recursion") => Verdict::Unsure,
        Err(error) if error.to_string().contains("number out of range") => {
            match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
                Ok(_) => Verdict::Unsure,
                Err(_) => Verdict::NotJson,
            }
        }
        Err(_) => Verdict::NotJson,
    }
}

fn levels(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(levels).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

/// A record's frame as it is, and with length and checksum put right: what is read writes the same bytes again.
#[must_use]
pub fn record(bytes: &[u8]) -> bool {
    reread(bytes);
    if bytes.len() >= HEAD {
        let mut sealed = bytes[..bytes.len() & !7].to_vec();
        let Ok(length) = u32::try_from(sealed.len()) else {
            return false;
        };
        sealed[..4].copy_from_slice(&length.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&sealed[..4]);
        hasher.update(&sealed[8..]);
        let checksum = hasher.finalize();
        sealed[4..8].copy_from_slice(&checksum.to_le_bytes());
        reread(&sealed);
    }
    true
}

fn reread(bytes: &[u8]) {
    let (frame, length) = match decode(bytes) {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let [margins, predictions, row] =
        [frame.margins, frame.predictions, frame.row].map(|part| part.iter().collect::<Vec<f64>>());
    assert_eq!(
        frame.margins.get(0).map(f64::to_bits),
        margins.first().map(|value| value.to_bits())
    );
    if frame.lead_id.len() > LEAD_ID_BYTES_MAX {
        return;
    }
    // One of an earlier version is read and never written.
    let Some(source) = frame.source else { return };
    let entry = Entry {
        record_id: frame.record_id,
        time_us: frame.time_us,
        model_number: frame.model_number,
        shard: frame.shard,
        score: frame.score,
        latency_ns: frame.latency_ns,
        lead_id: frame.lead_id,
        request_id: frame.request_id,
        margins: &margins,
        predictions: &predictions,
        row: &row,
        source,
        extras: frame.extras,
    };
    let is_short = source
        .reason()
        .is_none_or(|reason| reason.len() <= quintile::limits::REASON_BYTES_MAX);
    if is_short && entry.request_id.len() <= quintile_scoring::limits::REQUEST_ID_BYTES_MAX {
        let mut again = Vec::new();
        entry.encode(&mut again);
        let (same, _) = decode(&again).expect("what was encoded is read");
        assert_eq!(
            (same.lead_id, same.request_id, same.source, same.extras),
            (frame.lead_id, frame.request_id, frame.source, frame.extras),
        );
        // A tail may have entries of a later build, in another order; without one there is one way to write a record.
        if bytes[VERSION_AT] == VERSION && bytes[TAIL_BYTES_AT..][..4] == [0; 4] {
            assert_eq!(again, bytes[..length], "a record that is read writes itself again");
        }
    }
}
