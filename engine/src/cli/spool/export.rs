//! `quintile spool export`: the records of a spool as lines of JSON, as the sinks `firehose` and `stdout` write them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::super::{Exit, Streams, report};
use super::name;
use crate::config::SinkKind;
use crate::record::{Frame, Schema};
use crate::side::Lines;
use crate::spool::{Inspected, Seen, SpoolError, inspect};

pub(crate) const EXPORT_EXAMPLES: &str = "Examples:
  quintile spool export
  quintile spool export /data/spool --sink firehose --out waiting.ndjson
  quintile spool export /data/spool --since 90m --lead-id lead-7";

/// `spool export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The spool's folder
    #[arg(value_name = "DIR", default_value = "data/spool")]
    folder: PathBuf,
    /// Write to a file instead of standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only records that this sink has not got
    #[arg(long, value_name = "SINK", value_parser = sink_parser())]
    sink: Option<String>,
    /// Only records from this time on: 2026-11-24T09:00:00Z, 2026-11-24, or how long ago (90m)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Only records of this lead
    #[arg(long, value_name = "ID")]
    lead_id: Option<String>,
}

/// Bytes of lines that are written at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Damaged places that are named one by one; a screen holds no more.
const NAMED_MAX: usize = 8;

/// What was exported, and what could not be.
#[derive(Debug, Default)]
struct Exported {
    records: u64,
    /// Records whose model the spool does not know: their features have numbers for names.
    nameless: u64,
    segments: Vec<Inspected>,
}

/// Why nothing, or not everything, was exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("write the records: {0}")]
    Write(io::Error),
    #[error("create {path}: {source}")]
    Create { path: String, source: io::Error },
}

/// Exports, and says on standard error what was damaged.
pub(super) fn run(args: &ExportArgs, streams: &mut Streams<'_>) -> Exit {
    let exported = match &args.out {
        Some(path) => create(path).and_then(|file| export(args, file)),
        None => export(args, &mut *streams.stdout),
    };
    match exported {
        Ok(exported) => {
            if args.out.is_some() {
                report::note(format_args!("{} records were exported", exported.records), streams);
            }
            told(&exported, streams)
        }
        Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => report::failure(error, streams),
    }
}

fn create(path: &Path) -> Result<File, ExportError> {
    File::create(path).map_err(|source| ExportError::Create {
        path: path.display().to_string(),
        source,
    })
}

fn export(args: &ExportArgs, out: impl Write) -> Result<Exported, ExportError> {
    let mut exported = Exported::default();
    let mut out = BufWriter::with_capacity(CHUNK_BYTES, out);
    let (mut lines, mut line) = (Lines::default(), Vec::new());
    let mut nameless: Option<Arc<Schema>> = None;
    let mut written = Ok(());
    exported.segments = inspect(&args.folder, |seen, schema| {
        if !is_wanted(args, seen) {
            return ControlFlow::Continue(());
        }
        let schema = match schema {
            Some(schema) => schema,
            None => {
                exported.nameless += 1;
                nameless = nameless.take().filter(|schema| is_for(schema, seen.record));
                nameless.get_or_insert_with(|| Arc::new(Schema::numbered(seen.record)))
            }
        };
        line.clear();
        lines.write(seen.record, schema, &mut line);
        written = out.write_all(&line);
        exported.records += u64::from(written.is_ok());
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    written.and_then(|()| out.flush()).map_err(ExportError::Write)?;
    Ok(exported)
}

fn is_wanted(args: &ExportArgs, seen: &Seen<'_>) -> bool {
    let record = seen.record;
    args.sink.as_ref().is_none_or(|sink| seen.waits_for(sink))
        && args.since.is_none_or(|since| record.time_us >= microseconds(since))
        && args.lead_id.as_ref().is_none_or(|lead| record.lead_id == lead)
}

fn microseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn is_for(schema: &Schema, record: &Frame<'_>) -> bool {
    schema.model_number == record.model_number && schema.fits(record)
}

/// What an operator must know beside the records. Only damage is a failure.
fn told(exported: &Exported, streams: &mut Streams<'_>) -> Exit {
    if exported.nameless > 0 {
        let text = format_args!(
            "{} records are of a model that the spool does not know; their features are named by their columns",
            exported.nameless
        );
        report::note(text, streams);
    }
    for segment in exported.segments.iter().filter(|segment| segment.is_torn) {
        let text = format_args!(
            "{}: the last record is not finished; it was not answered and is left out",
            name(segment)
        );
        report::note(text, streams);
    }
    let damaged: Vec<_> = exported.segments.iter().filter_map(damage).collect();
    if damaged.is_empty() {
        return Exit::Success;
    }
    let more = damaged.len().saturating_sub(NAMED_MAX);
    let mut text = format!(
        "{} records were exported, but not all could be read: {}",
        exported.records,
        damaged[..damaged.len() - more].join("; ")
    );
    if more > 0 {
        text += &format!("; and {more} more files");
    }
    report::failure(text, streams)
}

fn damage(segment: &Inspected) -> Option<String> {
    let file = name(segment);
    match &segment.error {
        Some(error) => Some(format!("{file}: {error}")),
        None if segment.damaged_bytes > 0 => Some(format!("{file}: {} bytes are damaged", segment.damaged_bytes)),
        None => None,
    }
}

fn sink_parser() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(SinkKind::ALL.map(SinkKind::name))
}

/// A date, a time in UTC, or an age.
fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(age) = humantime::parse_duration(text) {
        return Ok(SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH));
    }
    let midnight = format!("{text}T00:00:00Z");
    let time = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339_weak(&midnight));
    time.map_err(|_| "accepted: 2026-11-24T09:00:00Z, 2026-11-24, 90m, 2h 30m".into())
}
