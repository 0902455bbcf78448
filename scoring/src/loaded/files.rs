//! The files of a model: which are read, their size limits, and the nearest name if a file is missing.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use quintile_model::Identity;
use quintile_model::limits::MANIFEST_BYTES_MAX;

use super::LoadError;
use crate::loaded::bundle;
use crate::regular_file;

/// The manifest's text; none when the model has no manifest.
pub(super) fn manifest(model_path: &Path, path: &Path) -> Result<Option<String>, LoadError> {
    if path == model_path {
        return Ok(None);
    }
    let bytes = match read(path, MANIFEST_BYTES_MAX) {
        Ok(bytes) => bytes,
        // A folder of that name is no manifest either.
        Err(LoadError::Absent { .. } | LoadError::Folder { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    text_of(path, bytes).map(Some)
}

pub(super) fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, LoadError> {
    String::from_utf8(bytes).map_err(|error| LoadError::ManifestText {
        path: path.to_path_buf(),
        offset: error.utf8_error().valid_up_to(),
    })
}

/// `leads.tar.gz` → `leads.toml`
pub(super) fn beside_archive(archive: &Path) -> PathBuf {
    archive.with_extension("").with_extension("toml")
}

/// Where a model's manifest is or would be; none for a model file whose own name ends in `.toml`.
pub fn manifest_path(model: &Path) -> Option<PathBuf> {
    if let Ok(Some(bundle)) = bundle::open(model) {
        return Some(match bundle.model {
            bundle::ModelSource::File(file) => file.with_extension("toml"),
            bundle::ModelSource::Entry { archive, .. } => beside_archive(&archive),
        });
    }
    let place = model.with_extension("toml");
    (place != model).then_some(place)
}

/// A file's bytes. One more than is accepted shows that there are more.
pub(super) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, LoadError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => absent(path),
        io::ErrorKind::IsADirectory => folder(path),
        _ => LoadError::Read {
            path: path.to_path_buf(),
            source,
        },
    };
    let file = regular_file::open(path).map_err(failed)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or(0));
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The same name with another ending is what is usually meant.
fn absent(path: &Path) -> LoadError {
    let neighbour = ["ubj", "json"].map(|ending| path.with_extension(ending));
    let folder = if path.is_relative() {
        std::env::current_dir().unwrap_or_default()
    } else {
        PathBuf::new()
    };
    LoadError::Absent {
        path: path.to_path_buf(),
        folder,
        neighbour: neighbour.into_iter().find(|neighbour| neighbour.is_file()),
    }
}

fn folder(path: &Path) -> LoadError {
    // A folder may hold millions of files: the first thousand are enough to be helpful.
    let entries = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .take(1_000)
        .filter_map(Result::ok);
    let is_model = |path: &PathBuf| {
        path.extension()
            .is_some_and(|ending| ending == "ubj" || ending == "json")
    };
    let mut models: Vec<_> = entries.map(|entry| entry.path()).filter(is_model).collect();
    models.sort();
    models.truncate(4);
    LoadError::Folder {
        path: path.to_path_buf(),
        models,
    }
}

/// What a model is called that has no manifest: its file's name, and the first digits of its content's SHA-256.
pub(super) fn identity(path: &Path, sha256: &str) -> Identity {
    let name = path
        .file_stem()
        .map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    let version = format!("sha256-{}", &sha256[..12]);
    Identity { name, version }
}

/// The SHA-256 of some bytes, in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let mut digits = String::with_capacity(64);
    for byte in sha2::Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// One SHA-256 over several texts.
pub(super) fn digest<const N: usize>(parts: [&[u8]; N]) -> [u8; 32] {
    use sha2::Digest as _;
    let mut digest = sha2::Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}
