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

use tracing_subscriber::fmt::Subscriber;
use tracing_subscriber::{EnvFilter, reload};

use self::line::{Json, Text};
use crate::config::{LogFormat, Settings};
use crate::log_writer;

/// Below a warning, AWS's clients log requests, with signatures and key ids. That is never logged, at any level.
const QUIET: [&str; 4] = ["aws=warn", "object_store=warn", "hyper=warn", "h2=warn"];

/// Puts another filter into force.
static SET_FILTER: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

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
    let lines = Subscriber::builder()
        .with_writer(|| LogLine)
        .log_internal_errors(false)
        .with_env_filter(filter(&settings.log_level))
        .with_ansi(settings.log == LogFormat::Text && settings.log_colour);
    // A second start, in a test, keeps the first log.
    let _ = match settings.log {
        LogFormat::Json => {
            let lines = lines.event_format(Json).with_filter_reloading();
            keep(lines.reload_handle());
            tracing::subscriber::set_global_default(lines.finish())
        }
        LogFormat::Text => {
            let lines = lines.event_format(Text).with_filter_reloading();
            keep(lines.reload_handle());
            tracing::subscriber::set_global_default(lines.finish())
        }
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

fn keep<S: 'static>(handle: reload::Handle<EnvFilter, S>) {
    let _ = SET_FILTER.set(Box::new(move |filter| {
        // Fails only when the log has ended.
        let _ = handle.reload(filter);
    }));
}

fn filter(level: &str) -> EnvFilter {
    // The configuration has checked the filter.
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let quiet = QUIET.map(|quiet| quiet.parse().expect("it is a directive"));
    quiet.into_iter().fold(filter, EnvFilter::add_directive)
}
