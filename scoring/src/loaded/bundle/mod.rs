//! Model folders of other servers, read unchanged: MLflow, Triton FIL, MLServer, SageMaker.
//!
//! ```text
//! folder/MLmodel              MLflow      the file of its flavour, names and types of its signature
//! folder/config.pbtxt         Triton FIL  the highest version's file
//! folder/model-settings.json  MLServer    the file or folder of its uri
//! folder/xgboost-model        SageMaker   that file;  model.tar.gz: the model in it
//! ```
//!
//! A folder says which file the model is, what it is called, and sometimes what its features are; the manifest beside
//! that file overrides the folder's settings. No code in a folder is ever run, and no pickle is opened.

mod archive;
mod json;
mod mlflow;
mod mlserver;
mod pbtxt;
mod triton;
mod yaml;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use quintile_model::Manifest;

use super::manner::PredictionManner;
use crate::regular_file;

/// Bytes of a folder's description. Those of real folders have a few thousand; an example of many rows has more.
const DESCRIPTION_BYTES_MAX: usize = 4 << 20;

/// Folders within folders: an MLServer folder names an MLflow one, and no more is needed.
const NESTING_MAX: usize = 3;

/// What a folder says.
#[derive(Debug)]
pub struct Bundle {
    /// What kind of folder it is, for people.
    pub kind: &'static str,
    /// The model.
    pub model: ModelSource,
    /// What it says about the model. The manifest beside the file overrides it.
    pub says: Manifest,
    /// Names and values of an example row, as the folder has them.
    pub example: Vec<(String, Value)>,
    /// Features that the model must have, where the folder counts them.
    pub features: Option<usize>,
    /// How its server answers predictions.
    pub manner: PredictionManner,
}

/// Where the model is.
#[derive(Debug)]
pub enum ModelSource {
    /// A file.
    File(PathBuf),
    /// In an archive: its name there, its bytes, and the manifest's text that was beside it.
    Entry {
        /// The archive.
        archive: PathBuf,
        /// The name in the archive.
        name: String,
        /// The file.
        bytes: Vec<u8>,
        /// `<model>.toml`, if the archive has it.
        manifest: Option<Vec<u8>>,
    },
}

/// A value of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number; NaN is missing.
    Number(f64),
    /// A category's name.
    Text(String),
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file in it that cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// Which file.
        file: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A description that is too long, or is not what it should be.
    #[error("{file}: {message}")]
    Description {
        /// Which file.
        file: PathBuf,
        /// What is wrong, and what is accepted.
        message: String,
    },
    /// A folder whose model we cannot serve.
    #[error("{0}")]
    Unsupported(String),
}

impl Bundle {
    fn new(kind: &'static str, model: PathBuf) -> Self {
        Self {
            kind,
            model: ModelSource::File(model),
            says: Manifest::empty(),
            example: Vec::new(),
            features: None,
            manner: PredictionManner::Usual,
        }
    }
}

/// What a path holds, if it is a folder or archive of a kind we know. None for everything else.
///
/// # Errors
/// A folder of a known kind that cannot be served, and why.
pub fn open(path: &Path) -> Result<Option<Bundle>, BundleError> {
    nested(path, 0)
}

fn nested(path: &Path, depth: usize) -> Result<Option<Bundle>, BundleError> {
    if depth == NESTING_MAX {
        return Err(BundleError::Unsupported(
            "its folders name one another in a circle".into(),
        ));
    }
    if archive::is_archive(path) {
        return archive::open(path).map(Some);
    }
    if !path.is_dir() {
        return Ok(None);
    }
    let has = |name: &str| path.join(name).is_file();
    if has("MLmodel") {
        return mlflow::open(path).map(Some);
    }
    if has("model-settings.json") {
        return mlserver::open(path, depth).map(Some);
    }
    if has("config.pbtxt") {
        return triton::open(path).map(Some);
    }
    if has("xgboost-model") {
        return Ok(Some(Bundle::new("SageMaker folder", path.join("xgboost-model"))));
    }
    if has("model.tar.gz") {
        return archive::open(&path.join("model.tar.gz")).map(Some);
    }
    triton::repository(path)
}

/// The text of a description.
fn description(file: &Path) -> Result<String, BundleError> {
    let failed = |source| BundleError::Read {
        file: file.to_path_buf(),
        source,
    };
    let mut bytes = Vec::new();
    let limit = DESCRIPTION_BYTES_MAX as u64 + 1;
    regular_file::open(file)
        .and_then(|open| open.take(limit).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() > DESCRIPTION_BYTES_MAX {
        let message = format!("has more than the {DESCRIPTION_BYTES_MAX} bytes accepted");
        return Err(wrong(file, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        wrong(file, format!("byte {offset} is not UTF-8"))
    })
}

fn wrong(file: &Path, message: impl Into<String>) -> BundleError {
    BundleError::Description {
        file: file.to_path_buf(),
        message: message.into(),
    }
}

/// A file that a description names. It must lie within the folder: a description is no way out of it.
fn named_file(folder: &Path, description: &Path, name: &str) -> Result<PathBuf, BundleError> {
    let is_within = Path::new(name)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
    if !is_within || name.is_empty() {
        return Err(wrong(
            description,
            format!("names {name:?}, which is not within its folder"),
        ));
    }
    let file = folder.join(name);
    match fs::metadata(&file) {
        Ok(_) => Ok(file),
        Err(error) => Err(wrong(
            description,
            format!("names {name:?}, which cannot be read: {error}"),
        )),
    }
}

/// Bytes at the beginning of an XGBoost file that have its attributes.
const ATTRIBUTES_BYTES: u64 = 64 << 10;

/// Whether an XGBoost file was written by scikit-learn's interface, which says so among its attributes.
fn is_of_wrapper(file: &Path) -> bool {
    const NAME: &[u8] = b"scikit_learn";
    let mut start = Vec::new();
    let read = regular_file::open(file).and_then(|open| open.take(ATTRIBUTES_BYTES).read_to_end(&mut start));
    read.is_ok() && start.windows(NAME.len()).any(|bytes| bytes == NAME)
}

#[cfg(test)]
mod tests;
