//! A model as the engine serves it: the model, its columns by name, and the constant bytes of every answer.
//!
//! Immutable and shared by all threads behind an `Arc`. Built at start, and when a model is loaded later.

pub mod bundle;
pub mod columns;
pub mod describe;
mod draft;
mod error;
mod files;
mod folder;
pub mod manner;
#[cfg(test)]
mod tests;
pub mod unusual;

use std::path::Path;
use std::sync::OnceLock;

use quintile_model::limits::{MANIFEST_BYTES_MAX, MODEL_BYTES_MAX};
use quintile_model::{Ensemble, GoldenRow, GoldenSource, Manifest, Model, Options, load};

pub use self::error::{FileChange, LoadError};
pub use self::files::manifest_path;

use self::draft::ManifestChange;
use self::files::{digest, identity, manifest, read, sha256, text_of};
use crate::reasons::{Explaining, ReasonUnits};
use columns::Columns;
use describe::Descriptions;
use manner::PredictionManner;
use unusual::UnusualFeatures;

/// The demo that is served when no model is named (`docs/demo_model.md`).
const DEMO_MODEL: &[u8] = include_bytes!("../../../engine/demo/demo.ubj");
const DEMO_MANIFEST: &str = include_str!("../../../engine/demo/demo.toml");

/// A model that has met its golden rows.
#[derive(Debug)]
pub struct LoadedModel {
    /// Which model of this process: records name it by this number until they reach the sink.
    pub model_number: u32,
    /// The model.
    pub model: Model,
    /// Its columns by name.
    pub columns: Columns,
    /// `{"name":"…","version":"…"}`, as every answer has it.
    pub identity_json: String,
    descriptions: OnceLock<Descriptions>,
    /// How many golden rows were met.
    pub golden_rows: usize,
    /// What explains its scores, once somebody has asked.
    pub explaining: Explaining,
    /// What can be a reason of a score.
    pub reason_units: ReasonUnits,
    /// A row to show and to warm up with, in column order: the folder's example, or else the golden row that says most.
    pub example: Option<Vec<f64>>,
    /// Features whose ranges in training the manifest states; none where it states none.
    pub unusual: Option<UnusualFeatures>,
    /// Whether the names of its features come from the manifest.
    pub names_are_stated: bool,
    /// What kind of folder the model came from; none for a file of its own.
    pub folder: Option<&'static str>,
    /// How the server that the folder was made for answers predictions.
    pub manner: PredictionManner,
    /// Why the model cannot be evaluated here, if it cannot: then only its manifest's features and bands are known.
    pub outline_only: Option<String>,
    /// The version that the manifest says, where another name and version stand over it.
    pub manifest_version: Option<String>,
    /// SHA-256 of the model's file, in hexadecimal digits; none for an outline.
    pub model_sha256: Option<String>,
    /// SHA-256 of the model's bytes, of all that is said of it, and of how it was to be built.
    content: [u8; 32],
}

impl LoadedModel {
    /// Loads a model file and the manifest beside it (`model.ubj` → `model.toml`), a model folder of another server
    /// ([`crate::loaded::bundle`]), or the demo.
    ///
    /// # Errors
    /// The step that failed, with the file's name.
    pub fn load(path: Option<&Path>, options: Options, model_number: u32) -> Result<Self, LoadError> {
        match path {
            None => Self::build(
                (Path::new("demo.ubj"), DEMO_MODEL),
                Some((Path::new("demo.toml"), DEMO_MANIFEST)),
                ManifestChange::NONE,
                options,
                model_number,
            ),
            Some(path) => Self::of_path(path, ManifestChange::NONE, options, model_number),
        }
    }

    fn of_path(
        path: &Path,
        change: ManifestChange<'_>,
        options: Options,
        model_number: u32,
    ) -> Result<Self, LoadError> {
        let bundle = bundle::open(path).map_err(|source| LoadError::Bundle {
            path: path.to_path_buf(),
            source,
        })?;
        match bundle {
            Some(bundle) => Self::of_bundle(path, bundle, change, options, model_number),
            None => Self::of_file(path, change, options, model_number),
        }
    }

    fn of_file(
        path: &Path,
        change: ManifestChange<'_>,
        options: Options,
        model_number: u32,
    ) -> Result<Self, LoadError> {
        let bytes = read(path, MODEL_BYTES_MAX)?;
        let manifest_path = path.with_extension("toml");
        let manifest = manifest(path, &manifest_path)?;
        let manifest = manifest.as_deref().map(|text| (manifest_path.as_path(), text));
        Self::build((path, &bytes), manifest, change, options, model_number)
    }

    /// Reads the model file alone, or the demo's, as its trees are before anything is compiled.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn ensemble(path: Option<&Path>) -> Result<Ensemble, LoadError> {
        let Some(path) = path else {
            return parsed(Path::new("demo.ubj"), DEMO_MODEL);
        };
        let bundle = bundle::open(path).map_err(|source| LoadError::Bundle {
            path: path.to_path_buf(),
            source,
        })?;
        match bundle.map(|bundle| bundle.model) {
            Some(bundle::ModelSource::Entry { name, bytes, .. }) => parsed(Path::new(&name), &bytes),
            Some(bundle::ModelSource::File(file)) => parsed(&file, &read(&file, MODEL_BYTES_MAX)?),
            None => parsed(path, &read(path, MODEL_BYTES_MAX)?),
        }
    }

    /// The demo under another manifest, for tests.
    ///
    /// # Panics
    /// When the manifest does not fit the demo.
    #[doc(hidden)]
    #[must_use]
    pub fn demo_with(manifest: &str) -> Self {
        Self::of_bytes(DEMO_MODEL, manifest).expect("a manifest of the demo")
    }

    /// A model file's bytes under a manifest.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn of_bytes(model: &[u8], manifest: &str) -> Result<Self, LoadError> {
        let manifest = Some((Path::new("m.toml"), manifest));
        Self::build(
            (Path::new("m"), model),
            manifest,
            ManifestChange::NONE,
            Options::default(),
            0,
        )
    }

    /// The descriptions of the model for its users. The first call makes it, which takes memory in proportion to the
    /// features, so that a caller that only looks at a model need not make it; a server calls it before any shard has
    /// the model.
    pub fn descriptions(&self) -> &Descriptions {
        self.descriptions
            .get_or_init(|| Descriptions::of(&self.model, self.example.as_deref()))
    }

    /// Bytes of what evaluates the model, and of what explains it, as far as that is made.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let explainer = self.explaining.get().and_then(|explainer| explainer.as_ref().ok());
        let explaining = explainer.map_or(0, quintile_model::Explainer::bytes);
        self.model.bytes() + self.model.explained_bytes() + explaining
    }

    /// The prediction that is or may be banded: the model's only one, or the one that its manifest names.
    #[must_use]
    pub fn banded_output(&self) -> Option<usize> {
        let only = (self.model.prediction_len() == 1).then_some(0);
        self.model.probability_output().or(only)
    }

    /// How many of its golden rows have numbers of this program, and none of the training library.
    #[must_use]
    pub fn own_golden_rows(&self) -> usize {
        let rows = self.model.golden().iter();
        let is_own = |row: &&GoldenRow| row.source == GoldenSource::Quintile && self.model.is_comparable(row);
        rows.filter(is_own).count()
    }

    /// The same under another name and version: those that a store has for it, which stand over what its manifest says.
    /// To be called before [`Self::descriptions`].
    #[must_use]
    pub fn called(mut self, name: &str, version: &str) -> Self {
        if self.model.version() != version {
            self.manifest_version = Some(self.model.version().to_owned());
        }
        self.model.rename(name, version);
        self.identity_json = identity_json(&self.model);
        self
    }

    /// Whether it came from the same files and options: then nothing tells the two apart but their generation.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let example = |loaded: &Self| {
            loaded
                .example
                .iter()
                .flatten()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        self.content == other.content && self.folder == other.folder && example(self) == example(other)
    }

    /// What the manifest beside a model says about it, for a model that cannot be evaluated here because of `fault`.
    ///
    /// # Errors
    /// `fault`, when there is no manifest; else what is wrong with that.
    pub fn outline(path: Option<&Path>, fault: LoadError, model_number: u32) -> Result<Self, LoadError> {
        let Some(path) = path else { return Err(fault) };
        let manifest_path = path.with_extension("toml");
        let text = match read(&manifest_path, MANIFEST_BYTES_MAX) {
            Ok(bytes) => text_of(&manifest_path, bytes)?,
            Err(_) => return Err(fault),
        };
        let manifest = Manifest::parse(&text).map_err(|source| LoadError::Manifest {
            path: manifest_path.clone(),
            source,
        })?;
        let model = Model::outline(manifest, identity(&manifest_path, &sha256(text.as_bytes())));
        let model = model.map_err(|source| LoadError::Build {
            path: manifest_path,
            source,
        })?;
        let fault = fault.to_string();
        let content = digest([text.as_bytes(), fault.as_bytes()]);
        Ok(Self::of(model, 0, model_number, content, Some(fault)))
    }

    fn build(
        (path, bytes): (&Path, &[u8]),
        manifest: Option<(&Path, &str)>,
        change: ManifestChange<'_>,
        options: Options,
        model_number: u32,
    ) -> Result<Self, LoadError> {
        let at = || path.to_path_buf();
        let ensemble = parsed(path, bytes)?;
        let manifest = match manifest {
            Some((path, text)) => Model::parse_manifest(text, &ensemble).map_err(|source| LoadError::Manifest {
                path: path.to_path_buf(),
                source,
            })?,
            None => Manifest::empty(),
        };
        let manifest = change.apply(manifest, &ensemble);
        let written_for = manifest.init.model_sha256.clone();
        let names_are_stated = manifest.names().is_some();
        let sha256 = sha256(bytes);
        let identity = identity(path, &sha256);
        let told = format!("{identity:?} {options:?} {manifest:?}");
        let content = digest([sha256.as_bytes(), told.as_bytes()]);
        let mut model = Model::build(ensemble, manifest, identity, options)
            .map_err(|source| LoadError::Build { path: at(), source })?;
        let golden_rows = model.check_golden().map_err(|source| LoadError::Golden {
            path: at(),
            source,
            change: FileChange::of(written_for.as_deref(), &sha256),
        })?;
        if FileChange::of(written_for.as_deref(), &sha256) == FileChange::Changed {
            model.add_note(format!(
                "the model file has changed since its manifest was written: `quintile manifest init {} ROWS --renew` renews its \
                 edges, ranges and golden rows",
                path.display()
            ));
        }
        Ok(Self {
            model_sha256: Some(sha256),
            names_are_stated,
            explaining: Explaining::new(options.kernel),
            ..Self::of(model, golden_rows, model_number, content, None)
        })
    }

    fn of(
        model: Model,
        golden_rows: usize,
        model_number: u32,
        content: [u8; 32],
        outline_only: Option<String>,
    ) -> Self {
        let told = |row: &[f64]| row.iter().filter(|value| !value.is_nan()).count();
        let rows = model.golden().iter().map(|row| row.features.as_slice());
        let rows = rows.filter(|row| describe::is_fit(model.schema(), row));
        // Of those that say equally much the first: people put the plain ones first.
        let example = rows.reduce(|most, row| if told(row) > told(most) { row } else { most });
        let example = example.map(<[f64]>::to_vec);
        let columns = Columns::new(model.schema());
        let unusual = UnusualFeatures::of(model.schema());
        let identity_json = identity_json(&model);
        Self {
            model_number,
            explaining: Explaining::default(),
            reason_units: ReasonUnits::of(&model),
            model,
            columns,
            identity_json,
            descriptions: OnceLock::new(),
            golden_rows,
            example,
            unusual,
            names_are_stated: false,
            folder: None,
            manner: PredictionManner::Usual,
            outline_only,
            manifest_version: None,
            model_sha256: None,
            content,
        }
    }
}

/// Name and version, as every answer carries them.
fn identity_json(model: &Model) -> String {
    let mut text = Vec::new();
    text.extend_from_slice(b"{\"name\":");
    crate::render::string(&mut text, model.name());
    text.extend_from_slice(b",\"version\":");
    crate::render::string(&mut text, model.version());
    text.push(b'}');
    String::from_utf8_lossy(&text).into_owned()
}

fn parsed(path: &Path, bytes: &[u8]) -> Result<Ensemble, LoadError> {
    load(bytes).map_err(|source| LoadError::Format {
        path: path.to_path_buf(),
        source,
    })
}
