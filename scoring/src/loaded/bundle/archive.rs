//! SageMaker's `model.tar.gz`, read in memory: nothing is unpacked to disk, so paths in it have no effect.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use quintile_model::limits::{MANIFEST_BYTES_MAX, MODEL_BYTES_MAX};

use super::{Bundle, BundleError, ModelSource};
use crate::regular_file;

/// Bytes that an archive may inflate to: a model twice over.
const INFLATED_BYTES_MAX: u64 = 2 * MODEL_BYTES_MAX as u64;

/// Entries that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// Endings of model files, and the name by which SageMaker's XGBoost container saves one.
const ENDINGS: [&str; 9] = ["ubj", "json", "txt", "lgb", "tl", "cbm", "onnx", "bst", "model"];
const XGBOOST: &str = "xgboost-model";

pub(super) fn is_archive(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or("");
    (name.ends_with(".tar.gz") || name.ends_with(".tgz")) && path.is_file()
}

pub(super) fn open(path: &Path) -> Result<Bundle, BundleError> {
    let failed = |source| BundleError::Read {
        file: path.to_path_buf(),
        source,
    };
    let file = regular_file::open(path).map_err(failed)?;
    let mut archive = tar::Archive::new(MultiGzDecoder::new(file).take(INFLATED_BYTES_MAX));
    let mut found = Found::default();
    for entry in archive.entries().map_err(failed)?.take(ENTRIES_MAX) {
        let entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes())
            .trim_start_matches("./")
            .to_owned();
        let (inner, limit) = match kind(&name) {
            Some(ArchiveKind::Model) => (&mut found.models, MODEL_BYTES_MAX),
            Some(ArchiveKind::Manifest) => (&mut found.manifests, MANIFEST_BYTES_MAX),
            None => {
                found.others.push(name);
                continue;
            }
        };
        let mut bytes = Vec::new();
        entry.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        inner.push((name, bytes));
    }
    let (name, bytes) = found.model()?;
    let wanted = Path::new(&name).with_extension("toml");
    let manifest = found
        .manifests
        .into_iter()
        .find(|(name, _)| Path::new(name) == wanted)
        .map(|(_, bytes)| bytes);
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = file_name
        .trim_end_matches(".tgz")
        .trim_end_matches(".tar.gz")
        .to_owned();
    let mut bundle = Bundle::new("SageMaker archive", path.to_path_buf());
    bundle.says.name = (stem != "model").then_some(stem).or_else(|| {
        Path::new(&name)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    });
    bundle.model = ModelSource::Entry {
        archive: path.to_path_buf(),
        name,
        bytes,
        manifest,
    };
    Ok(bundle)
}

/// Files of an archive, with their names.
#[derive(Default)]
struct Found {
    models: Vec<(String, Vec<u8>)>,
    manifests: Vec<(String, Vec<u8>)>,
    /// Names of all others.
    others: Vec<String>,
}

impl Found {
    /// The one model file.
    fn model(&mut self) -> Result<(String, Vec<u8>), BundleError> {
        let one = match self.models.len() {
            1 => self.models.pop(),
            0 => None,
            several => {
                let names: Vec<_> = self.models.iter().map(|(name, _)| name.as_str()).take(4).collect();
                return Err(BundleError::Unsupported(format!(
                    "the archive holds {several} files that may be the model ({}); it must hold one",
                    names.join(", ")
                )));
            }
        };
        one.ok_or_else(|| {
            self.others.truncate(4);
            BundleError::Unsupported(format!(
                "the archive holds no model file: one named {XGBOOST} or ending in {}; it holds {}",
                ENDINGS.map(|ending| format!(".{ending}")).join(", "),
                if self.others.is_empty() {
                    "nothing".into()
                } else {
                    self.others.join(", ")
                }
            ))
        })
    }
}

enum ArchiveKind {
    Model,
    Manifest,
}

/// What a file of an archive may be. Code that travels with a model is not for us.
fn kind(name: &str) -> Option<ArchiveKind> {
    let path = Path::new(name);
    let is_code = path.components().any(|part| part.as_os_str() == "code");
    let file = path.file_name()?.to_str()?;
    if is_code || file.starts_with('.') || matches!(file, "requirements.txt" | "input_example.json" | "metadata.json") {
        return None;
    }
    if file == XGBOOST {
        return Some(ArchiveKind::Model);
    }
    match path.extension()?.to_str()? {
        "toml" => Some(ArchiveKind::Manifest),
        ending if ENDINGS.contains(&ending) => Some(ArchiveKind::Model),
        _ => None,
    }
}
