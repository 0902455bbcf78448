//! Log lines on standard error, for people or for machines.
//!
//! Both forms have the same content: time, severity, message and values. External text (a path, an id, a header, an
//! error of another program) reaches a terminal without control characters: see [`quintile_scoring::text::harmless`].
//! Lines are rendered on the thread that logs and written by [`crate::log_writer`], so that no thread waits for the
//! log.

mod line;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::set_global_default;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use self::line::{Json, Text};
use crate::config::{LogFormat, Settings};
use crate::log_writer;

/// Below a warning, AWS's clients log requests, with signatures and key ids. That is never logged, at any level.
const QUIET: [&str; 4] = ["aws", "object_store", "hyper", "h2"];

/// Puts another filter into force.
static SET_FILTER: OnceLock<Box<dyn Fn(Targets) + Send + Sync>> = OnceLock::new();

/// How long the end of the process waits for lines that are not written yet.
const FLUSH: Duration = Duration::from_secs(1);

thread_local! {
    /// Where a line goes that this thread wants to have and not to queue.
    static CAPTURED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Takes one rendered line. It never fails.
struct LogLine;

impl io::Write for LogLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        CAPTURED.with_borrow_mut(|captured| match captured {
            Some(kept) => kept.extend_from_slice(line),
            None => log_writer::write(line),
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line that says how many were dropped, for the thread that writes.
fn dropped_report(lines: u64) -> Vec<u8> {
    CAPTURED.set(Some(Vec::new()));
    tracing::error!(
        lines,
        "log lines were dropped: standard error could not be written, or not fast enough"
    );
    CAPTURED.take().unwrap_or_default()
}

/// Starts the process's log.
///
/// # Errors
/// When the thread that writes it cannot be started.
pub(crate) fn start(settings: &Settings) -> io::Result<()> {
    log_writer::start(dropped_report)?;
    let (filter, handle) = reload::Layer::new(filter(&settings.log_level));
    keep(handle);
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer()
        .with_writer(|| LogLine)
        .log_internal_errors(false)
        .with_ansi(settings.log == LogFormat::Text && settings.log_colour);
    // A second start, in a test, keeps the first log.
    let _ = match settings.log {
        LogFormat::Json => set_global_default(filtered.with(lines.event_format(Json))),
        LogFormat::Text => set_global_default(filtered.with(lines.event_format(Text))),
    };
    Ok(())
}

/// Waits until the lines so far are written, but not for long.
pub(crate) fn finish() {
    log_writer::finish(FLUSH);
}

/// Whether this process has a log.
pub(crate) fn is_started() -> bool {
    SET_FILTER.get().is_some()
}

/// Writes other lines from now on.
pub(crate) fn set_level(level: &str) {
    if let Some(set) = SET_FILTER.get() {
        set(filter(level));
    }
}

fn keep(handle: reload::Handle<Targets, Registry>) {
    let _ = SET_FILTER.set(Box::new(move |filter| {
        // Fails only when the log has ended.
        let _ = handle.reload(filter);
    }));
}

fn filter(level: &str) -> Targets {
    // The configuration has checked the filter.
    let filter = level
        .parse::<Targets>()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    QUIET
        .iter()
        .fold(filter, |filter, quiet| filter.with_target(*quiet, LevelFilter::WARN))
}
