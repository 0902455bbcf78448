//! The command line: parses the arguments, runs the command, and gives the shell an exit code.
//!
//! Results go to standard output and nothing else does. A reader that goes away early (`| head`) is no failure.

mod args;
mod check;
mod config;
mod drift;
mod explain;
mod grammar;
mod health;
mod inspect;
mod json;
mod logging;
mod manifest;
mod models;
mod openapi;
mod print;
mod quality;
mod records;
mod replay;
mod report;
mod score;
mod serve_args;
mod shell;
mod spool;
#[cfg(test)]
mod tests;
mod time;
mod tls;
mod verify;
mod version;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read, Write};
use std::process::ExitCode;

use crate::config::origins::SettingOrigins;
use crate::config::{ConfigError, Flags, Settings};
use crate::server::ReloadSource;
use args::Command;

/// The exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// It could not be done.
    CommandError = 1,
    /// The command line is not understood.
    Usage = 2,
    /// A bug in Quintile: a panic.
    Bug = 70,
    /// The configuration has faults.
    Configuration = 78,
}

/// The process's standard streams, or a test's.
pub(crate) struct Streams<'s> {
    pub(crate) stdin: &'s mut dyn Read,
    pub(crate) stdout: &'s mut dyn Write,
    pub(crate) stderr: &'s mut dyn Write,
    /// Which of the last two are terminals.
    pub(crate) watched: Watched,
}

/// Which streams are terminals.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Watched {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// Whether the terminal may be coloured.
    pub(crate) colours: bool,
}

/// All of the `quintile` binary.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = crate::spool::keep_if_asked(std::env::args_os()) {
        return code;
    }
    std::panic::set_hook(Box::new(report::panicked));
    let exit = std::panic::catch_unwind(|| {
        let mut streams = Streams {
            stdin: &mut io::stdin().lock(),
            stdout: &mut io::stdout(),
            stderr: &mut io::stderr(),
            watched: Watched {
                stdout: io::stdout().is_terminal(),
                stderr: io::stderr().is_terminal(),
                colours: crate::config::wants_colours(),
            },
        };
        run(std::env::args_os(), &mut streams)
    });
    logging::finish();
    // The hook has printed what to report.
    ExitCode::from(exit.unwrap_or(Exit::Bug) as u8)
}

/// Does what the arguments ask for.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> Exit {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let cli = match grammar::parse(&words) {
        Ok(cli) => cli,
        Err(error) => return report::arguments(&error, &words, streams),
    };
    match cli.command {
        Command::Serve(args) => {
            let read = Settings::read_of_process(&args.flags);
            if read.faults.is_empty() {
                return serve(&read.settings, args.flags, read.told, streams);
            }
            // Together with what else would keep it from starting; what the exit code says is of the configuration.
            let faults = check::all_faults(&read);
            report::configuration(&ConfigError { faults }, streams);
            ConfigError { faults: read.faults }.exit()
        }
        Command::Score(args) => score::run(&args, streams),
        Command::Explain(args) => explain::run(&args, streams),
        Command::Verify(args) => verify::run(&args, streams),
        Command::Replay(args) => replay::run(&args, streams),
        Command::Drift(args) => drift::run(&args, streams),
        Command::Quality(args) => quality::run(&args, streams),
        Command::Inspect(args) => inspect::run(&args, streams),
        Command::Time(args) => time::run(&args, streams),
        Command::OpenApi(args) => openapi::run(&args, streams),
        Command::Spool(args) => spool::run(&args.command, streams),
        Command::Records(command) => records::run(&command, streams),
        Command::Models(command) => models::run(&command, streams),
        Command::Manifest(command) => manifest::run(&command, streams),
        Command::FitBands(args) => manifest::fit(&args, streams),
        Command::Check(args) => check::run(&args, streams),
        Command::Config(command) => config::run(&command, streams),
        Command::Tls(command) => tls::run(&command, streams),
        Command::Healthcheck(args) => health::run(&args, streams),
        Command::Version(args) => version::run(&args, streams),
        Command::Completions(args) => shell::completions(&args, streams),
        Command::Man(args) => shell::man(&args, streams),
        #[cfg(debug_assertions)]
        Command::Panic { value } => panic!("{value}"),
    }
}

/// From here on there is a log, and everything goes there.
fn serve(settings: &Settings, flags: Flags, told: SettingOrigins, streams: &mut Streams<'_>) -> Exit {
    if let Err(error) = logging::start(settings) {
        return report::failure(format_args!("start the thread that writes the log: {error}"), streams);
    }
    let origins = told.clone();
    let again = ReloadSource {
        flags,
        told,
        set_log_level: logging::set_level,
    };
    match crate::server::run(settings, again) {
        Ok(()) => Exit::Success,
        Err(error) if error.is_of_start() => {
            for fault in error.faults() {
                fault.at_its_origin(&origins).log();
            }
            if error.is_configuration() {
                Exit::Configuration
            } else {
                Exit::CommandError
            }
        }
        Err(error) => {
            tracing::error!("{error}");
            Exit::CommandError
        }
    }
}
