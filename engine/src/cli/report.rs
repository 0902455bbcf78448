//! Errors on standard error: never more than a screen, and nothing in them that a terminal would obey.

use std::fmt::Display;
use std::io;

use quintile_model::{BuildError, ManifestError};

use super::{Exit, Streams};
use crate::config::ConfigError;
use crate::config::screen::{Screen, clip};
use crate::served::LoadError;

/// Bytes of one error. A screen is 24 lines of 80.
const ERROR_BYTES_MAX: usize = 1_900;

/// Prints an error as the program's last word.
pub(crate) fn failure(error: impl Display, streams: &mut Streams<'_>) -> Exit {
    let text = error.to_string();
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(streams.stderr, "quintile: {}", clip(&text, ERROR_BYTES_MAX));
    Exit::Failure
}

/// Prints something worth knowing that is no error.
pub(crate) fn note(text: impl Display, streams: &mut Streams<'_>) {
    let text = text.to_string();
    let _ = writeln!(streams.stderr, "quintile: note: {}", clip(&text, ERROR_BYTES_MAX));
}

/// Faults of the configuration. Where only flags are wrong, it is the command line that is.
pub(crate) fn configuration(error: &ConfigError, streams: &mut Streams<'_>) -> Exit {
    failure(error, streams);
    if error.is_usage() {
        Exit::Usage
    } else {
        Exit::Configuration
    }
}

/// Prints a result.
pub(crate) fn print(text: &str, streams: &mut Streams<'_>) -> Exit {
    let written = streams.stdout.write_all(text.as_bytes());
    finish(written.and_then(|()| streams.stdout.flush()), streams)
}

/// What a bug of ours leaves behind: where it is, and what to do. Its message is left out, because it may hold values.
pub(crate) fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    use std::io::Write as _;
    let place = info
        .location()
        .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current();
    let trace = std::backtrace::Backtrace::capture();
    let trace = match trace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
        _ => "; RUST_BACKTRACE=1 shows how it got there".into(),
    };
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(
        io::stderr(),
        "quintile: a bug, at {place} in thread {}. Please report this with the output of `quintile version`; it holds no \
         values{trace}",
        thread.name().unwrap_or("without a name")
    );
}

/// What the argument parser has to say: help and version are results, the rest is an error.
pub(crate) fn arguments(error: &clap::Error, streams: &mut Streams<'_>) -> Exit {
    let mut text = error.render().to_string();
    if error.kind() == clap::error::ErrorKind::DisplayVersion && text.contains(super::args::LONG_VERSION) {
        text = super::version::long();
    }
    if error.use_stderr() {
        let _ = write!(streams.stderr, "{}", clip(&text, ERROR_BYTES_MAX));
        return Exit::Usage;
    }
    print(&text, streams)
}

/// A model that cannot be loaded; a manifest's faults get a line each.
pub(crate) fn model(error: &LoadError, streams: &mut Streams<'_>) -> Exit {
    let list = |title: String, error: &ManifestError| {
        Screen::new(title, error.faults.iter().map(ToString::to_string)).to_string()
    };
    match error {
        LoadError::Manifest { path, source } => {
            failure(list(format!("read the manifest {}:", path.display()), source), streams)
        }
        LoadError::Build {
            path,
            source: BuildError::Manifest(source),
        } => {
            let title = format!("the manifest beside {} does not fit the model:", path.display());
            failure(list(title, source), streams)
        }
        other => failure(other, streams),
    }
}

/// The end of writing results.
pub(crate) fn finish(written: io::Result<()>, streams: &mut Streams<'_>) -> Exit {
    match written {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => failure(format_args!("write the results: {error}"), streams),
    }
}
