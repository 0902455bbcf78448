//! Log lines on standard error, for people or for machines.
//!
//! Both forms say the same: when, how grave, what, and with which values. Nothing that somebody gave us (a path, an id, a
//! header, an error of another program) reaches a terminal as anything but letters: see [`quintile_scoring::text::harmless`].

mod line;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use tracing_subscriber::fmt::Subscriber;
use tracing_subscriber::{EnvFilter, reload};

use self::line::{Json, Text};
use crate::config::{LogFormat, Settings};

/// What AWS's clients say below a warning is requests, signatures and key ids included: that is for nobody's log, however
/// much of ours is asked for.
const QUIET: [&str; 4] = ["aws=warn", "object_store=warn", "hyper=warn", "h2=warn"];

/// Puts another filter into force.
static SET_FILTER: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Starts the process's log.
pub(crate) fn start(settings: &Settings) {
    let lines = Subscriber::builder()
        .with_writer(std::io::stderr)
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
