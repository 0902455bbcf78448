//! `quintile spool`: what waits in a spool, for an operator. It only reads, so the server may run at the same time.

mod export;

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use quintile_scoring::text::clip;

pub(crate) use self::export::{EXPORT_EXAMPLES, ExportArgs};
use super::args::SpoolCommand;
use super::json::{Object, array};
use super::print::PrintFormat;
use super::{Exit, Streams, report};
use crate::spool::{Inspected, inspect};

/// Does what is asked for.
pub(crate) fn run(command: &SpoolCommand, streams: &mut Streams<'_>) -> Exit {
    match command {
        SpoolCommand::Inspect { folder, print } => match inspect(folder, |_, _| ControlFlow::Continue(())) {
            Ok(segments) => {
                let text = match print.format() {
                    PrintFormat::Table => table(folder, &segments),
                    PrintFormat::Json => json(folder, &segments),
                    PrintFormat::Csv => csv(&segments),
                };
                let written = streams.stdout.write_all(text.as_bytes());
                report::finish(written.and_then(|()| streams.stdout.flush()), streams)
            }
            Err(error) => report::failure(error, streams),
        },
        SpoolCommand::Export(args) => export::run(args, streams),
    }
}

/// Names of sinks over all segments, in the order in which they are met.
fn sinks(segments: &[Inspected]) -> Vec<&str> {
    let mut sinks: Vec<&str> = Vec::new();
    for (sink, _) in segments.iter().flat_map(|segment| &segment.left) {
        if !sinks.contains(&sink.as_str()) {
            sinks.push(sink);
        }
    }
    sinks
}

fn name(segment: &Inspected) -> String {
    let name = segment.path.file_name().unwrap_or_default().to_string_lossy();
    clip(&name.escape_debug().to_string(), 64).into_owned()
}

fn left(segment: &Inspected, sink: &str) -> u64 {
    let of = segment.left.iter().find(|(name, _)| name == sink);
    of.map_or(0, |(_, records)| *records)
}

fn state(segment: &Inspected) -> String {
    match &segment.error {
        Some(error) => error.clone(),
        None if segment.damaged_bytes > 0 => format!("{} damaged bytes", segment.damaged_bytes),
        None if segment.is_torn => "last record not finished".into(),
        None => String::new(),
    }
}

fn table(folder: &Path, segments: &[Inspected]) -> String {
    let sinks = sinks(segments);
    let mut out = String::new();
    let records: u64 = segments.iter().map(|segment| segment.records).sum();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{}: {} segments in use, {records} records",
        folder.display(),
        segments.len()
    );
    for sink in &sinks {
        let waits: u64 = segments.iter().map(|segment| left(segment, sink)).sum();
        let _ = writeln!(out, "  {waits} wait for {}", sink.escape_debug());
    }
    if segments.is_empty() {
        return out;
    }
    let _ = write!(
        out,
        "\n{:24} {:>8} {:>6} {:>10} {:>10}",
        "file", "serial", "shard", "bytes", "records"
    );
    for sink in &sinks {
        let _ = write!(out, " {:>10}", sink.escape_debug().to_string());
    }
    let _ = writeln!(out);
    for segment in segments {
        let _ = write!(
            out,
            "{:24} {:>8} {:>6} {:>10} {:>10}",
            name(segment),
            segment.serial,
            segment.shard,
            segment.bytes,
            segment.records
        );
        for sink in &sinks {
            let _ = write!(out, " {:>10}", left(segment, sink));
        }
        let _ = writeln!(out, "  {}", state(segment));
    }
    out
}

fn json(folder: &Path, segments: &[Inspected]) -> String {
    let segment = |segment: &Inspected| {
        let mut object = Object::default();
        object.text("file", Some(&segment.path.display().to_string()));
        object.raw("serial", &segment.serial.to_string());
        object.raw("shard", &segment.shard.to_string());
        object.raw("bytes", &segment.bytes.to_string());
        object.raw("records", &segment.records.to_string());
        object.raw("damaged_bytes", &segment.damaged_bytes.to_string());
        object.raw("torn", &segment.is_torn.to_string());
        let mut sinks = Object::default();
        for (sink, records) in &segment.left {
            sinks.raw(sink, &records.to_string());
        }
        object.raw("left", &sinks.finish());
        object.text("error", segment.error.as_deref());
        object.finish()
    };
    let mut object = Object::default();
    object.text("folder", Some(&folder.display().to_string()));
    object.raw("segments", &array(segments.iter().map(segment)));
    object.finish() + "\n"
}

fn csv(segments: &[Inspected]) -> String {
    let sinks = sinks(segments);
    let mut out = String::from("file,serial,shard,bytes,records,damaged_bytes,torn");
    for sink in &sinks {
        let _ = write!(out, ",{sink}");
    }
    out.push('\n');
    for segment in segments {
        let _ = write!(
            out,
            "{},{},{},{},{},{},{}",
            name(segment),
            segment.serial,
            segment.shard,
            segment.bytes,
            segment.records,
            segment.damaged_bytes,
            segment.is_torn
        );
        for sink in &sinks {
            let _ = write!(out, ",{}", left(segment, sink));
        }
        out.push('\n');
    }
    out
}
