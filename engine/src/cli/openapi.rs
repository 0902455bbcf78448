//! `quintile openapi`: the document that a server of this model would have at `/openapi.json`.

use std::path::PathBuf;

use quintile_model::{Options, Trees};
use quintile_scoring::loaded::LoadedModel;

use super::{Exit, Streams, report};

pub(crate) const EXAMPLES: &str = "Examples:
  quintile openapi
  quintile openapi model.ubj > openapi.json
  quintile openapi model.ubj --trees all";

/// `openapi`.
#[derive(Debug, clap::Args)]
pub(crate) struct OpenApiArgs {
    /// The model file, with its manifest beside it; without it the embedded demo
    #[arg(value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Which trees make the prediction of the example: all, or those up to the file's best_iteration
    #[arg(long, value_parser = super::args::trees_parser(), default_value = "all")]
    pub(crate) trees: Trees,
}

/// Loads the model and prints its document, as a server answers it.
pub(crate) fn run(args: &OpenApiArgs, streams: &mut Streams<'_>) -> Exit {
    let options = Options {
        trees: args.trees,
        ..Options::default()
    };
    match LoadedModel::load(args.model.as_deref(), options, 0) {
        Ok(loaded) => {
            // As it is: what is read and written again may lose the last bit of a number.
            let text = String::from_utf8_lossy(&loaded.descriptions().openapi.bytes);
            report::print(&format!("{text}\n"), streams)
        }
        Err(error) => report::model(&error, streams),
    }
}
