//! The spools that are damaged: what a process leaves that was killed, and what each record in it says.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quintile::record::{Entry, Extras, Frame, IdSource, RecordSource, Schema};
use quintile::spool::{Cursor, Options, Spool, Writer};
use uuid::Uuid;

use crate::Random;

pub(crate) const SINKS: [&str; 2] = ["parquet", "firehose"];

/// How many kinds of base there are.
pub(crate) const VARIANTS: u64 = 4;

const SHARDS: usize = 2;

/// Where frames begin in a segment.
pub(crate) const BODY: usize = 4096;

/// A record as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    pub(crate) record_id: Uuid,
    pub(crate) time_us: i64,
    pub(crate) model_number: u32,
    pub(crate) lead_id: String,
    /// Margins, predictions and features, bit by bit, so that a missing one equals itself.
    pub(crate) numbers: [Vec<u64>; 3],
}

impl Written {
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        Self {
            record_id: frame.record_id,
            time_us: frame.time_us,
            model_number: frame.model_number,
            lead_id: frame.lead_id.to_owned(),
            numbers: [frame.margins, frame.predictions, frame.row]
                .map(|floats| floats.iter().map(f64::to_bits).collect()),
        }
    }
}

/// A record, what it is owed, and where it lies.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) written: Written,
    /// Sinks that had it.
    pub(crate) had: [bool; SINKS.len()],
    pub(crate) file: PathBuf,
    pub(crate) bytes: Range<usize>,
}

/// A spool before it is damaged, and the records in it.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) records: HashMap<Uuid, Known>,
    pub(crate) schemas: HashMap<u32, Schema>,
}

pub(crate) fn options(folder: &Path, bytes_max: usize) -> Options {
    Options {
        folder: folder.to_path_buf(),
        bytes_max,
        shards: SHARDS,
        sinks: SINKS.to_vec(),
        forget: Vec::new(),
        record_bytes_max: 2048,
        memory_bytes: usize::MAX,
    }
}

pub(crate) fn schema(version: &str, features: &[&str]) -> Schema {
    Schema {
        model_number: 0,
        model: "leads".into(),
        version: version.into(),
        sha256: None,
        margins: 1,
        predictions: 1,
        features: features.iter().map(|&name| name.to_owned()).collect(),
        categories: Vec::new(),
    }
}

/// Records with numbers of their own, for one shard.
pub(crate) struct Records {
    ids: IdSource,
    shard: u16,
}

impl Records {
    pub(crate) fn new(shard: u16, nonce: u64) -> Self {
        let ids = IdSource::new(shard, nonce);
        Self { ids, shard }
    }

    /// Appends one and says what it is; none when the spool is full.
    pub(crate) fn append(
        &mut self,
        writer: &mut Writer,
        schema: &Schema,
        number: u64,
        random: &mut Random,
    ) -> Option<Written> {
        let value = |random: &mut Random| match random.below(8) {
            0 => f64::NAN,
            1 => 0.0,
            _ => f64::from(u32::try_from(random.next() >> 40).expect("24 bits")) / 64.0,
        };
        let row: Vec<f64> = schema.features.iter().map(|_| value(random)).collect();
        let (margin, prediction) = ([value(random)], [value(random)]);
        let lead_id = format!("lead-{number}-{}", "x".repeat(random.below(60)));
        let written = Written {
            record_id: self.ids.next(1_790_000_000_000_000),
            time_us: 1_790_000_000_000_000 + i64::try_from(number).expect("small"),
            model_number: schema.model_number,
            lead_id,
            numbers: [&margin[..], &prediction[..], &row[..]]
                .map(|floats| floats.iter().map(|x| x.to_bits()).collect()),
        };
        let mut bytes = Vec::new();
        Entry {
            record_id: written.record_id,
            time_us: written.time_us,
            model_number: written.model_number,
            shard: self.shard,
            score: Some(3),
            latency_ns: 1,
            lead_id: &written.lead_id,
            request_id: &"r".repeat(random.below(120)),
            margins: &margin,
            predictions: &prediction,
            row: &row,
            source: RecordSource::Local,
            extras: Extras::default(),
        }
        .encode(&mut bytes);
        writer.append(&bytes).ok().map(|()| written)
    }
}

impl Base {
    /// Variants differ in how many records there are, of how many models, and how much the sinks have.
    pub(crate) fn new(variant: u64, folder: &Path) -> Self {
        let mut random = Random::new(variant);
        let records_max = [6, 60, 500, 5_000][usize::try_from(variant).expect("small")];
        let (spool, mut writers) = Spool::open(options(folder, 1 << 20)).unwrap();
        let mut schemas = [
            schema("1", &["age", "amount", "visits"]),
            schema("2", &["visits", "amount", "age"]),
            schema("3", &["age", "amount", "visits", "more", "and more"]),
        ];
        for schema in &mut schemas {
            schema.model_number = spool.schemas().register(schema.clone()).unwrap();
        }
        let mut sources = [Records::new(0, variant), Records::new(1, variant)];
        let mut records = HashMap::new();
        let until = Instant::now() + Duration::from_secs(2);
        let mut number = 0;
        while number < records_max && Instant::now() < until {
            let shard = random.below(SHARDS);
            let schema = random.one_of(&schemas).clone();
            match sources[shard].append(&mut writers[shard], &schema, number, &mut random) {
                Some(written) => {
                    records.insert(written.record_id, (written, [false; SINKS.len()]));
                    number += 1;
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        let mut cursors = spool.cursors();
        deliver_some(&mut cursors, &mut records, &mut random);
        // Everything gets to the files, as the keeper process would bring it there; nothing is acknowledged besides.
        drop((writers, cursors));
        drop(spool);
        let files = read(folder, |_| true);
        let records = locate(&files, records);
        let schemas = schemas
            .into_iter()
            .map(|schema| (schema.model_number, schema))
            .collect();
        Self {
            files,
            records,
            schemas,
        }
    }
}

/// One sink has the first of them, the other a few here and there.
fn deliver_some(
    cursors: &mut [Cursor],
    records: &mut HashMap<Uuid, (Written, [bool; SINKS.len()])>,
    random: &mut Random,
) {
    let first = records.len() / 3;
    for (sink, cursor) in cursors.iter_mut().enumerate() {
        let mut order = Vec::new();
        while let Some(item) = cursor.peek() {
            order.push(item.record.record_id);
            cursor.advance();
        }
        assert_eq!(order.len(), records.len(), "nothing is damaged yet");
        for (number, id) in order.iter().enumerate() {
            let had = if sink == 0 {
                number < first
            } else {
                random.below(5) == 0
            };
            records.get_mut(id).expect("it was appended").1[sink] = had;
            if had && sink == 1 {
                cursor.mark(number as u64);
            }
        }
        if sink == 0 {
            cursor.acknowledge(first as u64);
        }
    }
}

/// Every file below a folder that is wanted, by its path there.
pub(crate) fn read(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if is_wanted(&path) {
                let name = path.strip_prefix(folder).expect("below it").to_path_buf();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

pub(crate) fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "segment")
}

/// Where each record lies. Frames begin with their length, and have their id at byte 16.
fn locate(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    mut records: HashMap<Uuid, (Written, [bool; SINKS.len()])>,
) -> HashMap<Uuid, Known> {
    let mut known = HashMap::new();
    for (file, content) in files.iter().filter(|(path, _)| is_segment(path)) {
        let mut at = BODY;
        while let Some(head) = content.get(at..at + 32) {
            let bytes = u32::from_le_bytes(*head.first_chunk().expect("32 bytes")) as usize;
            let id = Uuid::from_bytes(*head[16..].first_chunk().expect("16 bytes"));
            let Some((written, had)) = records.remove(&id) else {
                break;
            };
            let (file, bytes) = (file.clone(), at..at + bytes);
            at = bytes.end;
            known.insert(
                id,
                Known {
                    written,
                    had,
                    file,
                    bytes,
                },
            );
        }
    }
    assert!(
        records.is_empty(),
        "each record is in a file: {} are not",
        records.len()
    );
    known
}
