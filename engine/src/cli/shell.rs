//! `quintile completions` and `quintile man`: made from the same grammar that reads the command line.

use clap_complete::Shell;

use super::{Exit, Streams, grammar, report};

pub(crate) const COMPLETIONS_EXAMPLES: &str = "Examples:
  quintile completions bash > ~/.local/share/bash-completion/completions/quintile
  quintile completions zsh > ~/.zfunc/_quintile
  quintile completions fish > ~/.config/fish/completions/quintile.fish";

pub(crate) const MAN_EXAMPLES: &str = "Examples:
  quintile man > quintile.1
  quintile man score > quintile-score.1
  quintile man | man -l -";

/// `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The command, as `score` or `manifest init`; without it the page of the whole program
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// What each exit code means, for help and the manual alike.
pub(crate) const EXIT_CODES: [(u8, &str); 5] = [
    (0, "done"),
    (1, "it could not be done"),
    (2, "the command line is not understood"),
    (70, "a bug: what to report stands on standard error"),
    (78, "the configuration is wrong, or the model or manifest that it names"),
];

/// Prints what a shell needs to complete our commands.
pub(crate) fn completions(args: &CompletionsArgs, streams: &mut Streams<'_>) -> Exit {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut grammar::command(), "quintile", &mut out);
    report::print(&String::from_utf8_lossy(&out), streams)
}

/// Prints a manual page.
pub(crate) fn man(args: &ManArgs, streams: &mut Streams<'_>) -> Exit {
    let mut command = grammar::command();
    for word in &args.command {
        command = match command.find_subcommand(word) {
            Some(found) => found.clone(),
            None => {
                let known: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
                let near = quintile_model::nearest::nearest(word, known.iter().copied());
                let hint = near.map_or_else(
                    || format!("; known are {}", known.join(", ")),
                    |near| format!("; did you mean {near}?"),
                );
                report::failure(format_args!("there is no command {word:?}{hint}"), streams);
                return Exit::Usage;
            }
        };
    }
    let mut out = Vec::new();
    let page = clap_mangen::Man::new(command).section("1").manual("Quintile");
    // Writing to memory cannot fail.
    let _ = page.render(&mut out);
    let mut text = String::from_utf8_lossy(&out).into_owned();
    text.push_str(".SH \"EXIT STATUS\"\n");
    for (code, meaning) in EXIT_CODES {
        text.push_str(&format!(".TP\n\\fB{code}\\fR\n{meaning}\n"));
    }
    report::print(&text, streams)
}
