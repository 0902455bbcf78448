//! Errors on standard error: at most one screen, and without terminal control characters.

use std::ffi::OsString;
use std::fmt::Display;
use std::io;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use quintile_model::{BuildError, ManifestError};
use quintile_scoring::loaded::LoadError;
use quintile_scoring::text::{Screen, clip, harmless_lines};

use super::{Exit, Streams};
use crate::config::{ConfigError, habits};

/// Bytes of one error. A screen is 24 lines of 80.
const ERROR_BYTES_MAX: usize = 1_900;

/// Prints an error as the program's last word.
pub(crate) fn failure(error: impl Display, streams: &mut Streams<'_>) -> Exit {
    let text = error.to_string();
    // When standard error is gone, there is no place for a report.
    let _ = writeln!(
        streams.stderr,
        "quintile: {}",
        clip(&harmless_lines(&text), ERROR_BYTES_MAX)
    );
    Exit::CommandError
}

/// Prints something worth knowing that is no error.
pub(crate) fn note(text: impl Display, streams: &mut Streams<'_>) {
    let text = text.to_string();
    let _ = writeln!(
        streams.stderr,
        "quintile: note: {}",
        clip(&harmless_lines(&text), ERROR_BYTES_MAX)
    );
}

/// Prints what came of it, for people.
pub(crate) fn line(text: impl Display, streams: &mut Streams<'_>) {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(streams.stderr, "quintile: {}", harmless_lines(&text.to_string()));
}

/// Faults of the configuration, every one. Where only flags are wrong, it is the command line that is.
pub(crate) fn configuration(error: &ConfigError, streams: &mut Streams<'_>) -> Exit {
    // A line a fault, and as many lines as there are: who sees half of them corrects half of them.
    let _ = writeln!(streams.stderr, "quintile: {}", harmless_lines(&error.to_string()));
    error.exit()
}

impl ConfigError {
    /// Where only flags are wrong, it is the command line that is.
    pub(super) fn exit(&self) -> Exit {
        if self.is_usage() {
            Exit::Usage
        } else {
            Exit::Configuration
        }
    }
}

/// Prints a result.
pub(crate) fn print(text: &str, streams: &mut Streams<'_>) -> Exit {
    let written = streams.stdout.write_all(text.as_bytes());
    finish(written.and_then(|()| streams.stdout.flush()), streams)
}

/// The report of a bug: where it is, and what to do. The panic's message is left out, because it may contain values. A
/// process that has a log says it there.
pub(crate) fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    use std::io::Write as _;
    let (file, line) = info
        .location()
        .map_or(("an unknown place", 0), |place| (place.file(), place.line()));
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let trace = std::backtrace::Backtrace::capture();
    let is_captured = trace.status() == std::backtrace::BacktraceStatus::Captured;
    if super::logging::is_started() {
        tracing::error!(
            code.file.path = file,
            code.line.number = line,
            thread.name = thread,
            exception.stacktrace = is_captured.then(|| trace.to_string()),
            "a bug: please report this with the output of `quintile version`; it holds no values"
        );
        return;
    }
    let trace = match is_captured {
        true => format!("\n{trace}"),
        false => "; RUST_BACKTRACE=1 shows how it got there".into(),
    };
    // When standard error is gone, there is no place for a report.
    let _ = writeln!(
        io::stderr(),
        "quintile: a bug, at {file}:{line} in thread {thread}. Please report this with the output of `quintile version`; \
         it holds no values{trace}"
    );
}

/// What the argument parser has to say: help and version are results, the rest is an error.
pub(crate) fn arguments(error: &clap::Error, words: &[OsString], streams: &mut Streams<'_>) -> Exit {
    // The parser stops at --version and reads no format behind it.
    let wants_json = words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
        || words.iter().any(|word| word == "--json" || word == "--format=json");
    if error.kind() == ErrorKind::DisplayVersion && wants_json {
        return print(&super::version::as_json(), streams);
    }
    if !error.use_stderr() {
        let text = error.render();
        let colours = streams.watched.stdout && streams.watched.colours;
        return print(
            &if colours {
                text.ansi().to_string()
            } else {
                text.to_string()
            },
            streams,
        );
    }
    let text = error.render().to_string();
    // The parser's own advice is to take the flag for a value.
    let text = match (hint(error, words), text.lines().next()) {
        (Some(hint), Some(first)) => format!("{first}\n\n  tip: {hint}\n\nFor more information, try '--help'.\n"),
        _ => text,
    };
    let _ = write!(streams.stderr, "{}", clip(&harmless_lines(&text), ERROR_BYTES_MAX));
    Exit::Usage
}

/// What was probably meant, where the parser does not know it: a setting, by another name or without a flag.
fn hint(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let command = words.get(1)?.to_str()?;
    let invalid = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(flag) => flag.as_str(),
        _ => return None,
    };
    let flag = invalid.split(['=', ' ']).next()?;
    match (error.kind(), command) {
        (ErrorKind::UnknownArgument, "serve" | "check" | "config" | "healthcheck") if flag.starts_with('-') => {
            habits::of_flag(flag)
        }
        (ErrorKind::UnknownArgument, "serve" | "check") => Some(
            "one model is named: quintile serve MODEL, or --model MODEL; a configuration file is --config FILE".into(),
        ),
        (ErrorKind::UnknownArgument, "inspect" | "verify" | "explain" | "manifest" | "fit-bands" | "openapi")
            if matches!(flag, "--model" | "-m") =>
        {
            let words = if command == "manifest" {
                "manifest init"
            } else {
                command
            };
            Some(format!("the model stands without a flag here: quintile {words} MODEL"))
        }
        (ErrorKind::UnknownArgument, "score" | "drift" | "replay" | "records") if !flag.starts_with('-') => Some(
            format!("a model is named by its flag here: quintile {command} --model MODEL"),
        ),
        _ => None,
    }
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
