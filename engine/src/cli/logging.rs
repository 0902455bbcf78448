//! Log lines on standard error, for people or for machines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

use crate::config::{LogFormat, Settings};

/// Starts the process's log. JSON lines hold an event's fields beside `timestamp`, `level`, `target` and `message`.
pub(crate) fn start(settings: &Settings) {
    // The configuration has checked the filter.
    let filter = EnvFilter::try_new(&settings.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = Subscriber::builder()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    // A second start, in a test, keeps the first log.
    let _ = match settings.log {
        LogFormat::Json => tracing::subscriber::set_global_default(lines.json().flatten_event(true).finish()),
        LogFormat::Text => tracing::subscriber::set_global_default(lines.with_ansi(settings.log_colour).finish()),
    };
}
