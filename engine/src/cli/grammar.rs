//! The command line as it is read and shown: what `args` declares, with commands in groups.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use clap::{CommandFactory as _, FromArgMatches as _};

use super::args::Cli;

/// What stands together in the help of the whole program.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Serve",
        &[
            "serve",
            "models",
            "check",
            "config",
            "healthcheck",
            "tls",
            "spool",
            "records",
        ],
    ),
    ("Score files", &["score"]),
    (
        "Know a model",
        &[
            "inspect",
            "verify",
            "explain",
            "replay",
            "drift",
            "quality",
            "time",
            "manifest",
            "fit-bands",
            "openapi",
        ],
    ),
    ("This program", &["version", "completions", "man", "help"]),
];

/// Reads the command line.
///
/// # Errors
/// What is wrong with it, or the help or version that was asked for.
pub(crate) fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    // Help that a program reads is not wrapped: examples that are broken into lines would not run.
    let is_wrapped = io::stdout().is_terminal();
    Cli::from_arg_matches(&laid_out(is_wrapped).try_get_matches_from(words)?)
}

/// The grammar, for everything that is made from it.
pub(crate) fn command() -> clap::Command {
    laid_out(false)
}

/// The grammar, with help that is wrapped to the terminal, or that has the lines that were written.
fn laid_out(is_wrapped: bool) -> clap::Command {
    let mut command = Cli::command();
    if !is_wrapped {
        // Nothing is wrapped at a width of 0. To be said before the subcommands are built, which take it over.
        command = command.term_width(0);
    }
    command.build();
    let template = template(&command);
    command.help_template(template)
}

/// As the parser's own, but for the list of commands.
fn template(command: &clap::Command) -> String {
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (heading, names) in GROUPS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{heading}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<11}  {about}");
        }
    }
    text + "\nOptions:\n{options}{after-help}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = command();
        let mut listed: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut known: Vec<_> = shown.map(clap::Command::get_name).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
        assert!(!template(&command).contains("  \n"), "each says what it is for");
    }
}
