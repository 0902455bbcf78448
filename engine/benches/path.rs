//! A request between its sockets, in one thread: body bytes → answer bytes, and each step alone. Beside them, what
//! other readers of JSON take for the same bodies.
//!
//! ```text
//! cargo bench --package quintile --bench path            whole, steps and readers, in one run
//! ```
//! The demo model: 500 trees of depth 6 on 50 features. Bodies are all distinct, so nothing is learned by heart:
//! neither by the processor's predictors nor by the reader, which expects the keys that came last time. One in ten
//! features is missing, half of those by not being named.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "the lints spare test functions but not benches; nobody calls these"
)]

mod leads;

use std::fmt;

use bytes::BytesMut;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use leads::Digits;
use quintile::record::{Entry, Extras, IdSource, ProtocolName, RecordSource};
use quintile::spool::{Options as SpoolOptions, Spool, Writer};
use quintile_model::kernel::Vectors;
use quintile_model::kernel::lanes::LaneScratch;
use quintile_model::plan::lanes::LanePlan;
use quintile_model::{KernelChoice, Options};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::loaded::columns::Columns;
use quintile_scoring::read::{Timings, Workspace};
use quintile_scoring::render;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

const BODIES: usize = 4096;
const REQUEST_ID: &str = "01a20e7f-6d99-7c39-8063-0f4bf4172e43";
const TIMINGS: Timings = Timings {
    parse_ns: 512,
    score_ns: 705,
    total_ns: 1401,
    wake_ns: 0,
};

/// Requests of a sample: the clock's own time must not be in the figures of steps of a hundred nanoseconds.
const SAMPLE_SIZE: u32 = 256;
const SAMPLES: u32 = 400;

fn main() {
    divan::Divan::from_args()
        .sample_size(SAMPLE_SIZE)
        .sample_count(SAMPLES)
        .main();
}

const DIGITS: [Digits; 2] = [Digits::Six, Digits::All];

/// The demo model, bodies for it, and which of them is next.
struct Bench {
    loaded: LoadedModel,
    workspace: Workspace,
    bodies: Vec<Vec<u8>>,
    turn: usize,
}

impl Bench {
    fn new(digits: Digits) -> Self {
        let loaded = LoadedModel::load(None, Options::default(), 0).unwrap();
        let workspace = Workspace::new(&loaded, 1 << 20);
        Self {
            loaded,
            workspace,
            bodies: leads::bodies(BODIES, digits),
            turn: 0,
        }
    }

    fn next(&mut self) -> &[u8] {
        self.turn = (self.turn + 1) % BODIES;
        &self.bodies[self.turn]
    }

    fn read(&mut self) {
        self.turn = (self.turn + 1) % BODIES;
        self.workspace.read(&self.loaded, &self.bodies[self.turn]).unwrap();
    }

    /// Bytes of a body, on average.
    fn bytes(&self) -> BytesCount {
        BytesCount::new(self.bodies.iter().map(Vec::len).sum::<usize>() / BODIES)
    }
}

/// Everything between the body's bytes and the answer's.
mod whole {
    use super::*;

    #[divan::bench(args = DIGITS)]
    fn without_records(bencher: Bencher, digits: Digits) {
        answer(bencher, digits, Writer::nowhere());
    }

    #[divan::bench(args = DIGITS)]
    fn with_records(bencher: Bencher, digits: Digits) {
        with_spool(|writer| answer(bencher, digits, writer));
    }

    fn answer(bencher: Bencher, digits: Digits, mut writer: Writer) {
        let mut bench = Bench::new(digits);
        let mut ids = IdSource::new(0, 7);
        let (mut frame, mut out) = (Vec::new(), BytesMut::with_capacity(4096));
        bencher.counter(bench.bytes()).bench_local(|| {
            bench.read();
            let score = bench.workspace.score(&bench.loaded);
            if writer.keeps() {
                record(&bench, &mut ids, score, &mut frame);
                let _ = writer.append(&frame);
            }
            out.clear();
            render::answer(&mut out, &bench.loaded, &bench.workspace, score, REQUEST_ID, &TIMINGS);
            black_box(&out);
        });
    }
}

mod steps {
    use super::*;

    /// One pass: what the bytes say, and whether the model takes it.
    #[divan::bench(args = DIGITS)]
    fn parse_and_validate(bencher: Bencher, digits: Digits) {
        let mut bench = Bench::new(digits);
        bencher.counter(bench.bytes()).bench_local(|| bench.read());
    }

    /// Values → ranks among the model's thresholds; the first part of `score`.
    #[divan::bench]
    fn rank(bencher: Bencher) {
        let ensemble = LoadedModel::ensemble(None).unwrap();
        let trees = ensemble.trees().len();
        let plan = LanePlan::<f32>::try_compile(&ensemble, trees, KernelChoice::Auto).unwrap();
        let mut scratch = LaneScratch::new(&plan);
        let rows = rows();
        let mut turn = 0;
        let mut next = move || {
            turn = (turn + 1) % BODIES;
            turn
        };
        let best = [KernelChoice::Avx512, KernelChoice::Avx2];
        if let Some(kernel) = best.into_iter().find_map(|choice| Vectors::new(choice).ok()) {
            bencher.bench_local(|| kernel.rank(&plan, &rows[next()], &mut scratch));
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the model narrows its values")]
    fn rows() -> Vec<Vec<f32>> {
        let mut bench = Bench::new(Digits::Six);
        let row = |_| {
            bench.read();
            bench.workspace.row().iter().map(|&value| value as f32).collect()
        };
        (0..BODIES).map(row).collect()
    }

    /// A row → its score, ranks included.
    #[divan::bench]
    fn score(bencher: Bencher) {
        let mut bench = Bench::new(Digits::Six);
        let mut scratch = bench.loaded.model.scratch();
        let mut rows = Vec::new();
        for _ in 0..BODIES {
            bench.read();
            rows.push(bench.workspace.row().to_vec());
        }
        let mut turn = 0;
        bencher.bench_local(|| {
            turn = (turn + 1) % BODIES;
            bench.loaded.model.score_row(&rows[turn], &mut scratch)
        });
    }

    /// A framed record, in the spool.
    #[divan::bench]
    fn record_append(bencher: Bencher) {
        with_spool(|mut writer| {
            let mut bench = Bench::new(Digits::Six);
            bench.read();
            let score = bench.workspace.score(&bench.loaded);
            let (mut ids, mut frame) = (IdSource::new(0, 7), Vec::new());
            bencher.bench_local(|| {
                record(&bench, &mut ids, score, &mut frame);
                writer.append(&frame).is_ok()
            });
        });
    }

    #[divan::bench]
    fn serialise(bencher: Bencher) {
        let mut bench = Bench::new(Digits::Six);
        bench.read();
        let score = bench.workspace.score(&bench.loaded);
        let mut out = BytesMut::with_capacity(4096);
        bencher.bench_local(|| {
            out.clear();
            render::answer(&mut out, &bench.loaded, &bench.workspace, score, REQUEST_ID, &TIMINGS);
            black_box(&out);
        });
    }

    /// A request reads it three times, four with a record.
    #[divan::bench]
    fn clock() -> std::time::Instant {
        std::time::Instant::now()
    }
}

/// Bytes → a row, as `parse_and_validate`, by others. They look up columns by the same guess, and validate nothing.
mod readers {
    use super::*;

    /// The long way of ours: simd-json's tape and a walk over it.
    #[divan::bench(args = DIGITS)]
    fn quintile_by_tape(bencher: Bencher, digits: Digits) {
        let mut bench = Bench::new(digits);
        bencher.counter(bench.bytes()).bench_local(|| {
            bench.turn = (bench.turn + 1) % BODIES;
            bench
                .workspace
                .read_any(&bench.loaded, &bench.bodies[bench.turn])
                .unwrap();
        });
    }

    /// No row: the tape alone, over a copy, because simd-json writes into what it reads.
    #[divan::bench(args = DIGITS)]
    fn simd_json_tape_alone(bencher: Bencher, digits: Digits) {
        let mut bench = Bench::new(digits);
        let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::new(4096));
        let mut kept = simd_json::Tape(Vec::new());
        bencher.counter(bench.bytes()).bench_local(|| {
            copy.clear();
            copy.extend_from_slice(bench.next());
            let mut tape = std::mem::replace(&mut kept, simd_json::Tape(Vec::new())).reset();
            simd_json::fill_tape(&mut copy, &mut buffers, &mut tape).unwrap();
            black_box(&tape);
            kept = tape.reset();
        });
    }

    #[divan::bench(args = DIGITS)]
    fn simd_json_serde(bencher: Bencher, digits: Digits) {
        let mut bench = Bench::new(digits);
        let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::new(4096));
        let mut row = Row::new(&bench.loaded);
        bencher.counter(bench.bytes()).bench_local(|| {
            copy.clear();
            copy.extend_from_slice(bench.next());
            let mut reader = simd_json::Deserializer::from_slice_with_buffers(&mut copy, &mut buffers).unwrap();
            black_box(row.read(&mut reader));
        });
    }

    #[divan::bench(args = DIGITS)]
    fn serde_json(bencher: Bencher, digits: Digits) {
        let mut bench = Bench::new(digits);
        let mut row = Row::new(&bench.loaded);
        bencher.counter(bench.bytes()).bench_local(|| {
            black_box(row.read(&mut serde_json::Deserializer::from_slice(bench.next())));
        });
    }
}

/// A row that serde fills in, and the names of its columns.
struct Row {
    columns: Columns,
    values: Vec<f64>,
    lead_id: String,
}

impl Row {
    fn new(loaded: &LoadedModel) -> Self {
        Self {
            columns: Columns::new(loaded.model.schema()),
            values: vec![f64::NAN; loaded.model.schema().len()],
            lead_id: String::with_capacity(256),
        }
    }

    fn read<'de, D: Deserializer<'de>>(&mut self, reader: D) -> &[f64]
    where
        D::Error: fmt::Debug,
    {
        self.values.fill(f64::NAN);
        reader.deserialize_map(Lead(self)).unwrap();
        &self.values
    }
}

struct Lead<'a>(&'a mut Row);

impl<'de> Visitor<'de> for Lead<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lead")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&str>()? {
            if key == "features" {
                map.next_value_seed(Features(self.0))?;
            } else {
                self.0.lead_id.clear();
                self.0.lead_id.push_str(map.next_value()?);
            }
        }
        Ok(())
    }
}

struct Features<'a>(&'a mut Row);

impl<'de> DeserializeSeed<'de> for Features<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Features<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("features")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut guess = 0;
        while let Some(key) = map.next_key::<&str>()? {
            let value = map.next_value::<Value>()?;
            if let Some(column) = self.0.columns.column_near(key, guess) {
                self.0.values[column] = value.0.unwrap_or(f64::NAN);
                guess = column + 1;
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Value(Option<f64>);

fn record(bench: &Bench, ids: &mut IdSource, score: Option<u8>, frame: &mut Vec<u8>) {
    let time_us = 1_795_500_000_000_000;
    let entry = Entry {
        record_id: ids.next(time_us),
        time_us,
        model_number: 0,
        shard: 0,
        score,
        latency_ns: TIMINGS.total_ns,
        lead_id: bench.workspace.lead_id(),
        request_id: REQUEST_ID,
        margins: bench.workspace.margins(),
        predictions: bench.workspace.predictions(),
        row: bench.workspace.row(),
        source: RecordSource::Local,
        extras: Extras::of(ProtocolName::Native),
    };
    entry.encode(frame);
}

/// A spool without sinks, so that what is full is free at once; when its keeper is behind all the same, appends are
/// refused, and cheaper.
fn with_spool(run: impl FnOnce(Writer)) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("path");
    let options = SpoolOptions {
        forget: Vec::new(),
        folder: folder.clone(),
        bytes_max: 512 << 20,
        shards: 1,
        sinks: Vec::new(),
        record_bytes_max: 4096,
        memory_bytes: usize::MAX,
    };
    let (spool, mut writers) = Spool::open(options).unwrap();
    run(writers.remove(0));
    spool.close();
    let _ = std::fs::remove_dir_all(folder);
}
