//! Log lines on standard error, for people or for machines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

use crate::config::{LogFormat, Settings};

/// What AWS's clients say below a warning is requests, signatures and key ids included: that is for nobody's log, however
/// much of ours is asked for.
const QUIET: [&str; 4] = ["aws=warn", "object_store=warn", "hyper=warn", "h2=warn"];

/// Starts the process's log. JSON lines hold an event's fields beside `timestamp`, `level`, `target` and `message`.
pub(crate) fn start(settings: &Settings) {
    // The configuration has checked the filter.
    let mut filter = EnvFilter::try_new(&settings.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    for quiet in QUIET {
        filter = filter.add_directive(quiet.parse().expect("it is a directive"));
    }
    let lines = Subscriber::builder()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    // A second start, in a test, keeps the first log.
    let _ = match settings.log {
        LogFormat::Json => tracing::subscriber::set_global_default(lines.json().flatten_event(true).finish()),
        LogFormat::Text => tracing::subscriber::set_global_default(lines.with_ansi(settings.log_colour).finish()),
    };
}
