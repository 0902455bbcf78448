//! The flags of `serve`, made of the configuration's table of keys.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::{Arg, ArgMatches, FromArgMatches};

use super::args::ServeArgs;
use crate::config::keys::{KEYS, Key};
use crate::config::value::ValueKind;

/// The model without its flag.
const MODEL_FILE: &str = "model-file";

/// Flags that are typed daily.
const SHORT: [(&str, char); 1] = [("model", 'm')];

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.flags.config = matches.get_one::<OsString>("config").map(PathBuf::from);
        let value = |flag: &'static str| Some((flag, matches.get_one::<OsString>(flag)?.clone()));
        self.flags.values = KEYS.iter().filter_map(|key| key.flag).filter_map(value).collect();
        if let Some(model) = matches.get_one::<OsString>(MODEL_FILE) {
            self.flags.values.push(("model", model.clone()));
        }
        Ok(())
    }
}

impl clap::Args for ServeArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let config = Arg::new("config")
            .long("config")
            .short('c')
            .value_name("FILE")
            .value_parser(OsStringValueParser::new())
            .help_heading("Configuration")
            .help("A TOML file with settings [env: QUINTILE_CONFIG]");
        let flags = KEYS.iter().filter_map(|key| Some(flag(key, key.flag?)));
        let model = Arg::new(MODEL_FILE)
            .value_name("MODEL")
            .value_parser(OsStringValueParser::new())
            .conflicts_with("model")
            .help("The model file, as with --model");
        command.arg(model).arg(config).args(flags)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// Values stay text here: the configuration checks them, and reports their faults with all others.
fn flag(key: &Key, name: &'static str) -> Arg {
    let mut help = key.help.to_owned();
    // Writing to a String cannot fail.
    let _ = match &key.kind {
        ValueKind::Word { words, .. } => write!(help, " [possible values: {}]", words().join(", ")),
        ValueKind::Words { .. } => write!(help, " [possible values: {}]", key.kind.accepts()),
        _ => Ok(()),
    };
    if let Some(default) = key.default {
        let _ = write!(help, " [default: {default}]");
    }
    let _ = write!(help, " [env: {}]", key.variable());
    let short = SHORT.iter().find(|(flag, _)| *flag == name).map(|&(_, short)| short);
    Arg::new(name)
        .long(name)
        .short(short)
        .value_name(key.kind.placeholder())
        .value_parser(OsStringValueParser::new())
        .allow_negative_numbers(true)
        .help_heading(heading(key.section))
        .help(help)
}

/// `Server`, for `[server]`.
fn heading(section: &str) -> String {
    let mut letters = section.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
