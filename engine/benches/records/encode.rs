//! What each compression of Parquet costs and saves.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::server::Shard;

/// Of a row group; no two are alike.
const ROWS: usize = 65_536;

/// Of a page, as the sink has them.
const PAGE_ROWS: usize = 4_096;

/// 50 features of a row group, written with each compression, with and without minima and maxima.
pub(crate) fn run() {
    let mut shard = Shard::nowhere(ROWS);
    let mut columns = vec![Vec::new(); 50];
    for _ in 0..ROWS {
        shard.serve();
        for (column, &value) in columns.iter_mut().zip(shard.workspace.row()) {
            column.push((!value.is_nan()).then_some(value));
        }
    }
    let fields: Vec<Field> = (1..=50)
        .map(|column| Field::new(format!("f{column}"), DataType::Float64, true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns
        .into_iter()
        .map(|column| Arc::new(Float64Array::from(column)) as ArrayRef);
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).expect("columns of one length");
    let level = |level| Compression::ZSTD(ZstdLevel::try_new(level).expect("a level"));
    println!(
        "{:14} {:>14} {:>14} {:>12}",
        "compression", "rows/s", "without stats", "bytes/row"
    );
    for (name, compression) in [
        ("none", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("zstd 1", level(1)),
        ("zstd 3", level(3)),
    ] {
        let mut best = [f64::INFINITY; 2];
        let mut bytes = 0;
        for _ in 0..5 {
            for (place, statistics) in [EnabledStatistics::Chunk, EnabledStatistics::None]
                .into_iter()
                .enumerate()
            {
                let properties = WriterProperties::builder()
                    .set_compression(compression)
                    .set_dictionary_enabled(false)
                    .set_statistics_enabled(statistics)
                    .set_data_page_row_count_limit(PAGE_ROWS)
                    .build();
                let began = Instant::now();
                let mut writer =
                    ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties)).expect("a writer");
                for start in (0..ROWS).step_by(PAGE_ROWS) {
                    writer.write(&batch.slice(start, PAGE_ROWS)).expect("into memory");
                }
                bytes = writer.into_inner().expect("into memory").len();
                best[place] = best[place].min(began.elapsed().as_secs_f64());
            }
        }
        let rows = ROWS as f64;
        println!(
            "{name:14} {:14.0} {:14.0} {:12.1}",
            rows / best[0],
            rows / best[1],
            bytes as f64 / rows
        );
    }
}
