//! `quintile config`: the values in force and their sources, and all possible keys.

mod schema;

use std::fmt::Write as _;

use super::args::ServeArgs;
use super::json::{Object, array};
use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};
use crate::config::Settings;
use crate::config::origins::EffectiveSetting;
use crate::config::units::Unit;
use quintile_scoring::text::harmless;

const SHOW_EXAMPLES: &str = "Examples:
  quintile config show
  quintile config show --config quintile.toml --shards 2
  quintile config show --json";

const SCHEMA_EXAMPLES: &str = "Examples:
  quintile config schema
  quintile config schema > quintile.schema.json
  quintile config schema | head -c 300";

/// `config`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every value in force, and where it comes from
    ///
    /// Takes the flags of serve, reads the same file and variables, and serves nothing. Secrets are hidden.
    #[command(after_long_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Print the JSON Schema of the configuration file
    ///
    /// Editors complete and check a TOML file with it.
    #[command(after_long_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Print docs/configuration.md
    #[command(hide = true)]
    Docs,
}

/// `config show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) print: PrintArgs<true>,
}

/// `quintile config …`.
pub(crate) fn run(command: &ConfigCommand, streams: &mut Streams<'_>) -> Exit {
    match command {
        ConfigCommand::Show(args) => match Settings::load_with_origins(&args.serve.flags) {
            Ok((_, told)) => report::print(&shown(&told.effective(), args.print.format()), streams),
            Err(error) => report::configuration(&error, streams),
        },
        ConfigCommand::Schema => report::print(&(schema::json() + "\n"), streams),
        ConfigCommand::Docs => report::print(&schema::markdown(), streams),
    }
}

/// A number with its unit, and how people say it.
fn measure(value: &str, unit: Unit) -> String {
    let plain = format!("{} {}", harmless(value), unit.sign());
    match value.parse().ok().and_then(|number| unit.shown(number)) {
        Some(shown) => format!("{plain} ({shown})"),
        None => plain,
    }
}

/// All values: a table in two columns and their source, or rows for scripts.
fn shown(keys: &[EffectiveSetting], format: PrintFormat) -> String {
    let source = |key: &EffectiveSetting| match (&key.source, &key.value) {
        (Some(source), _) => source.to_string(),
        (None, Some(_)) => "default".to_owned(),
        (None, None) => key.unset.to_owned(),
    };
    let mut out = String::new();
    match format {
        PrintFormat::Json => {
            let objects = keys.iter().map(|key| {
                let mut object = Object::default();
                object.text("key", Some(&key.path));
                object.text("value", key.value.as_deref());
                object.text("unit", key.unit.map(Unit::sign));
                object.text("source", Some(&source(key)));
                object.finish()
            });
            out = array(objects) + "\n";
        }
        PrintFormat::Csv => {
            out.push_str("key,value,source,unit\n");
            for key in keys {
                let cells = [
                    key.path.as_str(),
                    key.value.as_deref().unwrap_or_default(),
                    &source(key),
                    key.unit.map(Unit::sign).unwrap_or_default(),
                ]
                .map(quintile_scoring::rows::csv_cell);
                // Writing to a String cannot fail.
                let _ = writeln!(out, "{}", cells.join(","));
            }
        }
        PrintFormat::Table => {
            let path_width = keys.iter().map(|key| key.path.len()).max().unwrap_or(0);
            let value = |key: &EffectiveSetting| match (&key.value, key.unit) {
                (None, _) => "-".to_owned(),
                (Some(value), None) => harmless(value),
                (Some(value), Some(unit)) => measure(value, unit),
            };
            let width = keys
                .iter()
                .map(|key| value(key).chars().count())
                .max()
                .unwrap_or(0)
                .min(40);
            for key in keys {
                let _ = writeln!(
                    out,
                    "{:<path_width$}  {:<width$}  {}",
                    key.path,
                    value(key),
                    source(key)
                );
            }
        }
    }
    out
}
