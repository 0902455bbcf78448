//! One event → one line.
//!
//! JSON lines have the fields of OpenTelemetry's log data model, in snake case. An attribute whose name has a dot is
//! one of OpenTelemetry's semantic conventions; attributes without such a name begin with `quintile.`.

use std::fmt;

use quintile_scoring::text::{harmless, is_unfit};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What our short names are called by OpenTelemetry.
const CONVENTIONS: [(&str, &str); 3] = [
    ("error", "exception.message"),
    ("path", "file.path"),
    ("signal", "process.signal"),
];

/// Fields of the data model itself, which stand beside the body.
const OF_THE_RECORD: [&str; 3] = ["trace_id", "span_id", "trace_flags"];

const RESOURCE: &str = concat!(
    r#"{"service.name":"quintile","service.version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// One JSON object a line.
pub(super) struct Json;

/// For people.
pub(super) struct Text;

/// What an event says, in order.
#[derive(Default)]
struct EventText {
    body: String,
    values: Vec<(&'static str, Value)>,
}

enum Value {
    /// A number or a truth, as both forms write it.
    Plain(String),
    Text(String),
}

impl Visit for EventText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.body),
            name => self.values.push((name, Value::Text(value.to_owned()))),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let value = match value.is_finite() {
            true => Value::Plain(format!("{value:?}")),
            false => Value::Text(value.to_string()),
        };
        self.values.push((field.name(), value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.values.push((field.name(), Value::Plain(value.to_string())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.values.push((field.name(), Value::Plain(value.to_string())));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.values.push((field.name(), Value::Plain(value.to_string())));
    }
}

fn said(event: &Event<'_>) -> EventText {
    let mut said = EventText::default();
    event.record(&mut said);
    said
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let (severity, number) = severity(*metadata.level());
        writer.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut writer)?;
        write!(
            writer,
            r#"","severity_text":"{severity}","severity_number":{number},"body":"#
        )?;
        let said = said(event);
        put_string(&mut writer, &said.body)?;
        let is_of_the_record = |(name, _): &&(&'static str, Value)| OF_THE_RECORD.contains(name);
        for (name, value) in said.values.iter().filter(is_of_the_record) {
            write!(writer, r#","{name}":"#)?;
            put_value(&mut writer, value)?;
        }
        writer.write_str(r#","attributes":{"#)?;
        for (place, (name, value)) in said.values.iter().filter(|value| !is_of_the_record(value)).enumerate() {
            if place > 0 {
                writer.write_char(',')?;
            }
            write!(writer, r#""{}":"#, attribute(name))?;
            put_value(&mut writer, value)?;
        }
        writer.write_str(r#"},"scope":"#)?;
        put_string(&mut writer, metadata.target())?;
        writeln!(writer, r#","resource":{RESOURCE}}}"#)
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (metadata, said) = (event.metadata(), said(event));
        let paint = Paint(writer.has_ansi_escapes());
        write!(writer, "{}", paint.start(DIM))?;
        SystemTime.format_time(&mut writer)?;
        let (severity, colour) = (severity(*metadata.level()).0, colour(*metadata.level()));
        write!(
            writer,
            "{} {}{severity:>5}{} ",
            paint.end(),
            paint.start(colour),
            paint.end()
        )?;
        if !metadata.target().starts_with("quintile") {
            writer.write_str(&harmless(metadata.target()))?;
            writer.write_str(": ")?;
        }
        writer.write_str(&harmless(&said.body))?;
        for (name, value) in &said.values {
            write!(writer, " {}{name}={}", paint.start(DIM), paint.end())?;
            match value {
                Value::Plain(value) => writer.write_str(value)?,
                // Quotes where the value would run into the next one.
                Value::Text(value) if value.is_empty() || value.contains([' ', '"', '=']) => {
                    write!(writer, "\"{}\"", harmless(&value.replace('"', "\\\"")))?;
                }
                Value::Text(value) => writer.write_str(&harmless(value))?,
            }
        }
        writer.write_char('\n')
    }
}

/// OpenTelemetry's name and number.
fn severity(level: Level) -> (&'static str, u8) {
    match level {
        Level::TRACE => ("TRACE", 1),
        Level::DEBUG => ("DEBUG", 5),
        Level::INFO => ("INFO", 9),
        Level::WARN => ("WARN", 13),
        Level::ERROR => ("ERROR", 17),
    }
}

fn attribute(name: &str) -> String {
    match CONVENTIONS.iter().find(|(ours, _)| *ours == name) {
        Some((_, theirs)) => (*theirs).to_owned(),
        None if name.contains('.') => name.to_owned(),
        None => format!("quintile.{name}"),
    }
}

const DIM: &str = "\x1b[2m";

fn colour(level: Level) -> &'static str {
    match level {
        Level::TRACE => "\x1b[35m",
        Level::DEBUG => "\x1b[34m",
        Level::INFO => "\x1b[32m",
        Level::WARN => "\x1b[33m",
        Level::ERROR => "\x1b[31m",
    }
}

/// Whether there are colours at all.
struct Paint(bool);

impl Paint {
    fn start(&self, code: &'static str) -> &'static str {
        if self.0 { code } else { "" }
    }

    fn end(&self) -> &'static str {
        self.start("\x1b[0m")
    }
}

/// A JSON string in which nothing is left that a terminal would obey, in case it ends up on one.
fn put_string(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}")?,
            '\n' => out.write_str("\\n")?,
            _ if is_unfit(letter) => write!(out, "\\u{:04x}", u32::from(letter))?,
            _ => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}

fn put_value(out: &mut impl fmt::Write, value: &Value) -> fmt::Result {
    match value {
        Value::Plain(value) => out.write_str(value),
        Value::Text(value) => put_string(out, value),
    }
}
