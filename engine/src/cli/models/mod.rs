//! `quintile models`: versions of models in a store, or in a running server: what there is, a new one, another champion, the
//! one of before. Each command says what was and what is.

mod server;
mod store;
mod table;

use std::path::PathBuf;

use clap::Subcommand;

use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};

pub(super) const EXAMPLES: &str = "Examples:
  quintile models list --server http://127.0.0.1:9901
  quintile models push leads new.ubj --store models
  quintile models promote leads 2 --server http://127.0.0.1:9901
  quintile models rollback leads --store s3://lake/models";

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List models with their versions and aliases
    ///
    /// Of a store: what is there and what was decided. Of a server: also what is loaded, and why something is not.
    #[command(after_long_help = EXAMPLES)]
    List {
        #[command(flatten)]
        place: ModelsPlace,
        #[command(flatten)]
        print: PrintArgs<false>,
    },
    /// Put a model into a store as a new version
    ///
    /// The model is loaded and held to its golden rows first; one that fails is not put there. The version appears at one
    /// instant. A server that has the store loads it as its models.versions says; promote makes it champion.
    #[command(after_long_help = EXAMPLES)]
    Push {
        /// The model's name in the store
        #[arg(value_name = "NAME", value_parser = model_name)]
        name: String,
        /// The model file, with its manifest beside it, or a model folder of another server
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        /// The version's number; without it, the one after the highest
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        /// A folder, or s3://BUCKET/PREFIX
        #[arg(long, value_name = "STORE")]
        store: String,
    },
    /// Make a version champion
    ///
    /// At a server, the answer comes when the next request gets the new champion. In a store, servers take it at their next look.
    #[command(after_long_help = EXAMPLES)]
    Promote {
        /// The model's name
        #[arg(value_name = "NAME", value_parser = model_name)]
        name: String,
        /// The version's number
        #[arg(value_name = "VERSION")]
        version: u64,
        #[command(flatten)]
        place: ModelsPlace,
    },
    /// Make the champion of before champion again
    #[command(after_long_help = EXAMPLES)]
    Rollback {
        /// The model's name
        #[arg(value_name = "NAME", value_parser = model_name)]
        name: String,
        #[command(flatten)]
        place: ModelsPlace,
    },
}

/// Where models are: one of both.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ModelsPlace {
    /// A store: a folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// A running server's admin listener (server.admin), as http://127.0.0.1:9901
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

fn model_name(text: &str) -> Result<String, String> {
    match crate::models::is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("a model's name has letters, digits, '.', '_' and '-', 128 at most".into()),
    }
}

/// A model as the list shows it.
#[derive(Debug, Default)]
struct ListedModel {
    name: String,
    /// `alias → version`, champion first.
    aliases: Vec<(String, String)>,
    versions: Vec<ListedVersion>,
    /// A split, a shadow and the like, a line each.
    notes: Vec<String>,
}

/// A version as the list shows it.
#[derive(Debug, Default)]
struct ListedVersion {
    version: String,
    state: String,
    reason: Option<String>,
}

/// Does what is asked for, and says what changed.
pub(super) fn run(command: &ModelsCommand, streams: &mut Streams<'_>) -> Exit {
    let done = match command {
        ModelsCommand::List { place, print } => list(place).map(|models| match print.format() {
            PrintFormat::Json => table::json(&models),
            PrintFormat::Table | PrintFormat::Csv => table::text(&models),
        }),
        ModelsCommand::Push {
            name,
            model,
            version,
            store,
        } => store::push(store, name, model, *version),
        ModelsCommand::Promote { name, version, place } => match (&place.server, &place.store) {
            (Some(server), _) => server::promote(server, name, *version),
            (None, Some(store)) => store::promote(store, name, *version),
            (None, None) => Err(NO_PLACE.into()),
        },
        ModelsCommand::Rollback { name, place } => match (&place.server, &place.store) {
            (Some(server), _) => server::roll_back(server, name),
            (None, Some(store)) => store::roll_back(store, name),
            (None, None) => Err(NO_PLACE.into()),
        },
    };
    match done {
        Ok(text) => report::print(&text, streams),
        Err(error) => report::failure(error, streams),
    }
}

/// The grammar asks for one of both before anything is run.
const NO_PLACE: &str = "say where the models are, by --store or --server";

fn list(place: &ModelsPlace) -> Result<Vec<ListedModel>, String> {
    match (&place.server, &place.store) {
        (Some(server), _) => server::list(server),
        (None, Some(store)) => store::list(store),
        (None, None) => Err(NO_PLACE.into()),
    }
}

/// What a command has changed, in words.
fn changed(name: &str, was: Option<&str>, is: &str) -> String {
    match was {
        Some(was) if was == is => format!("{name}: version {is} is champion, as before\n"),
        Some(was) => format!("{name}: version {is} is champion, {was} was\n"),
        None => format!("{name}: version {is} is champion, none was\n"),
    }
}
