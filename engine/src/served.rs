//! A model as the engine serves it: the model, its columns by name, and the bytes of every answer that do not change.
//!
//! Immutable and shared by all threads behind an `Arc`. Built at start, and by whoever loads a model later.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use quintile_model::limits::{MANIFEST_BYTES_MAX, MODEL_BYTES_MAX};
use quintile_model::{
    BuildError, Ensemble, FormatError, GoldenFault, Identity, Manifest, ManifestError, Model, Options, load,
};

use crate::bundle::{self, Bundle, BundleError};
use crate::record::Schema;
use crate::score::columns::Columns;

/// The demo that is served when no model is named (`docs/demo_model.md`).
const DEMO_MODEL: &[u8] = include_bytes!("../demo/demo.ubj");
const DEMO_MANIFEST: &str = include_str!("../demo/demo.toml");

/// A model that has met its golden rows.
#[derive(Debug)]
pub struct Served {
    /// Which model of this process: records name it by this number until they reach the sink.
    pub generation: u32,
    /// The model.
    pub model: Model,
    /// Its columns by name.
    pub columns: Columns,
    /// `{"name":"…","version":"…"}`, as every answer carries it.
    pub identity_json: String,
    /// How many golden rows were met.
    pub golden_rows: usize,
    /// A row to show and to warm up with, in column order: the folder's example, or else the golden row that says most.
    pub example: Option<Vec<f64>>,
    /// What kind of folder the model came from; none for a file of its own.
    pub folder: Option<&'static str>,
    /// Why the model cannot be evaluated here, if it cannot: then only its manifest's features and bands are known.
    pub outline_only: Option<String>,
}

/// Why a model cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that cannot be read.
    #[error("read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A path at which there is nothing.
    #[error("read {path}: there is no such file{}", near(.neighbour.as_deref(), .folder))]
    Absent {
        /// Which path.
        path: PathBuf,
        /// The folder a relative path was looked for in; empty for an absolute one.
        folder: PathBuf,
        /// A file that was probably meant.
        neighbour: Option<PathBuf>,
    },
    /// A folder where a model file is needed.
    #[error("read {path}: it is a folder, not a model file{}", inside(.models))]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Files in it that may be models, a few of them.
        models: Vec<PathBuf>,
    },
    /// A model folder of another server that cannot be served.
    #[error("read the model folder {path}: {source}")]
    Bundle {
        /// Which folder or archive.
        path: PathBuf,
        /// Why not.
        source: BundleError,
    },
    /// A folder that says something else of its model than the model file.
    #[error("{path}: {message}")]
    Contradicted {
        /// Which folder.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// A manifest that is no text.
    #[error("read the manifest {path}: byte {offset} is not UTF-8")]
    ManifestText {
        /// Which file.
        path: PathBuf,
        /// The first byte that is wrong, from 0.
        offset: usize,
    },
    /// A file that is no model we can evaluate exactly.
    #[error("load {path}: {source}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: FormatError,
    },
    /// A manifest with faults of its own.
    #[error("read the manifest {path}: {source}")]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// All faults, with line and column.
        source: ManifestError,
    },
    /// Model, manifest and options that do not fit.
    #[error("build {path}: {source}")]
    Build {
        /// The model file.
        path: PathBuf,
        /// What does not fit.
        source: BuildError,
    },
    /// A golden row that is not met.
    #[error("check {path}: {source}")]
    Golden {
        /// The model file.
        path: PathBuf,
        /// Which row, and both numbers.
        source: GoldenFault,
    },
}

impl Served {
    /// Loads a model file and the manifest beside it (`model.ubj` → `model.toml`), a model folder of another server
    /// ([`crate::bundle`]), or the demo.
    ///
    /// # Errors
    /// The step that failed, with the file's name.
    pub fn load(path: Option<&Path>, options: Options, generation: u32) -> Result<Self, LoadError> {
        match path {
            None => Self::build(
                (Path::new("demo.ubj"), DEMO_MODEL),
                Some((Path::new("demo.toml"), DEMO_MANIFEST)),
                Manifest::empty(),
                options,
                generation,
            ),
            Some(path) => {
                let bundle = bundle::open(path).map_err(|source| LoadError::Bundle {
                    path: path.to_path_buf(),
                    source,
                })?;
                match bundle {
                    Some(bundle) => Self::of_bundle(path, bundle, options, generation),
                    None => Self::of_file(path, Manifest::empty(), options, generation),
                }
            }
        }
    }

    fn of_file(path: &Path, says: Manifest, options: Options, generation: u32) -> Result<Self, LoadError> {
        let bytes = read(path, MODEL_BYTES_MAX)?;
        let manifest_path = path.with_extension("toml");
        let manifest = manifest(path, &manifest_path)?;
        let manifest = manifest.as_deref().map(|text| (manifest_path.as_path(), text));
        Self::build((path, &bytes), manifest, says, options, generation)
    }

    fn of_bundle(path: &Path, bundle: Bundle, options: Options, generation: u32) -> Result<Self, LoadError> {
        let Bundle {
            kind,
            model,
            says,
            example,
            features,
        } = bundle;
        let contradicted = |message| LoadError::Contradicted {
            path: path.to_path_buf(),
            message,
        };
        // Names that the model does not have would be faults of a manifest that nobody wrote.
        let signed: Vec<String> = says.features.iter().map(|note| note.name.clone()).collect();
        let mut unsigned = says.clone();
        unsigned.features.clear();
        let build = |says: Manifest| match &model {
            bundle::Source::File(file) => Self::of_file(file, says, options, generation),
            bundle::Source::Entry {
                archive,
                name,
                bytes,
                manifest,
            } => {
                let place = beside_archive(archive);
                let inner = manifest
                    .as_ref()
                    .map(|bytes| text_of(&place, bytes.clone()))
                    .transpose()?;
                let beside = match inner {
                    Some(text) => Some(text),
                    None => self::manifest(archive, &place)?,
                };
                let beside = beside.as_deref().map(|text| (place.as_path(), text));
                Self::build((Path::new(name), bytes), beside, says, options, generation)
            }
        };
        let mut served = build(unsigned)?;
        let schema = served.model.schema();
        if let Some(features) = features.filter(|&features| features != schema.len()) {
            return Err(contradicted(format!(
                "the {kind} states {features} features, but the model has {}",
                schema.len()
            )));
        }
        if !signed.is_empty() {
            let unknown: Vec<_> = signed
                .iter()
                .filter(|name| schema.column(name).is_none())
                .take(4)
                .cloned()
                .collect();
            if !unknown.is_empty() {
                return Err(contradicted(format!(
                    "the {kind} names features that the model does not have: {unknown:?}; the model's are {:?}",
                    schema.names().take(4).collect::<Vec<_>>()
                )));
            }
            served = build(says)?;
        }
        served.folder = Some(kind);
        served.example = served.row_of(&example).or(served.example);
        Ok(served)
    }

    /// An example as a row of the model; none when it does not fit.
    fn row_of(&self, example: &[(String, bundle::Value)]) -> Option<Vec<f64>> {
        let schema = self.model.schema();
        let mut row = vec![f64::NAN; schema.len()];
        for (name, value) in example {
            let column = schema.column(name)?;
            row[column] = match value {
                bundle::Value::Number(number) => *number,
                bundle::Value::Text(name) => schema.category_code(column, name)?,
            };
        }
        let is_right = row
            .iter()
            .enumerate()
            .all(|(column, &value)| schema.rule(column).check(value).is_ok());
        (is_right && !example.is_empty()).then_some(row)
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
            Some(bundle::Source::Entry { name, bytes, .. }) => parsed(Path::new(&name), &bytes),
            Some(bundle::Source::File(file)) => parsed(&file, &read(&file, MODEL_BYTES_MAX)?),
            None => parsed(path, &read(path, MODEL_BYTES_MAX)?),
        }
    }

    /// The demo under another manifest.
    #[cfg(test)]
    pub(crate) fn demo_with(manifest: &str) -> Self {
        Self::of_bytes(DEMO_MODEL, manifest).expect("a manifest of the demo")
    }

    /// A model file's bytes under a manifest.
    #[cfg(test)]
    pub(crate) fn of_bytes(model: &[u8], manifest: &str) -> Result<Self, LoadError> {
        let manifest = Some((Path::new("m.toml"), manifest));
        Self::build(
            (Path::new("m"), model),
            manifest,
            Manifest::empty(),
            Options::default(),
            0,
        )
    }

    /// What the records of this model will be read with.
    #[must_use]
    pub fn record_schema(&self) -> Schema {
        let model = &self.model;
        Schema {
            number: self.generation,
            model: model.name().into(),
            version: model.version().into(),
            margins: model.margin_len(),
            predictions: model.prediction_len(),
            features: model.schema().names().map(String::from).collect(),
        }
    }

    /// What the manifest beside a model says of it, for a model that `fault` keeps from being evaluated here.
    ///
    /// # Errors
    /// `fault`, when there is no manifest; else what is wrong with that.
    pub fn outline(path: Option<&Path>, fault: LoadError, generation: u32) -> Result<Self, LoadError> {
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
        let model = Model::outline(manifest, identity(&manifest_path, text.as_bytes()));
        let model = model.map_err(|source| LoadError::Build {
            path: manifest_path,
            source,
        })?;
        Ok(Self::of(model, 0, generation, Some(fault.to_string())))
    }

    fn build(
        (path, bytes): (&Path, &[u8]),
        manifest: Option<(&Path, &str)>,
        says: Manifest,
        options: Options,
        generation: u32,
    ) -> Result<Self, LoadError> {
        let at = || path.to_path_buf();
        let ensemble = parsed(path, bytes)?;
        let manifest = match manifest {
            Some((path, text)) => Manifest::parse(text).map_err(|source| LoadError::Manifest {
                path: path.to_path_buf(),
                source,
            })?,
            None => Manifest::empty(),
        };
        let manifest = manifest.over(says);
        let identity = identity(path, bytes);
        let model = Model::build(ensemble, manifest, identity, options)
            .map_err(|source| LoadError::Build { path: at(), source })?;
        let golden_rows = model
            .check_golden()
            .map_err(|source| LoadError::Golden { path: at(), source })?;
        Ok(Self::of(model, golden_rows, generation, None))
    }

    fn of(model: Model, golden_rows: usize, generation: u32, outline_only: Option<String>) -> Self {
        let told = |row: &&[f64]| row.iter().filter(|value| !value.is_nan()).count();
        let example = model.golden().map(|(row, _)| row).max_by_key(told).map(<[f64]>::to_vec);
        let columns = Columns::new(model.schema());
        let mut identity_json = Vec::new();
        identity_json.extend_from_slice(b"{\"name\":");
        crate::score::render::string(&mut identity_json, model.name());
        identity_json.extend_from_slice(b",\"version\":");
        crate::score::render::string(&mut identity_json, model.version());
        identity_json.push(b'}');
        let identity_json = String::from_utf8_lossy(&identity_json).into_owned();
        Self {
            generation,
            model,
            columns,
            identity_json,
            golden_rows,
            example,
            folder: None,
            outline_only,
        }
    }
}

fn parsed(path: &Path, bytes: &[u8]) -> Result<Ensemble, LoadError> {
    load(bytes).map_err(|source| LoadError::Format {
        path: path.to_path_buf(),
        source,
    })
}

/// The manifest's text; none when the model has no manifest.
fn manifest(model_path: &Path, path: &Path) -> Result<Option<String>, LoadError> {
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

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, LoadError> {
    String::from_utf8(bytes).map_err(|error| LoadError::ManifestText {
        path: path.to_path_buf(),
        offset: error.utf8_error().valid_up_to(),
    })
}

/// `leads.tar.gz` → `leads.toml`
fn beside_archive(archive: &Path) -> PathBuf {
    archive.with_extension("").with_extension("toml")
}

/// Where a model's manifest is or would be; none for a model file whose own name ends in `.toml`.
pub(crate) fn manifest_path(model: &Path) -> Option<PathBuf> {
    if let Ok(Some(bundle)) = bundle::open(model) {
        return Some(match bundle.model {
            bundle::Source::File(file) => file.with_extension("toml"),
            bundle::Source::Entry { archive, .. } => beside_archive(&archive),
        });
    }
    let place = model.with_extension("toml");
    (place != model).then_some(place)
}

/// A file's bytes. One more than is accepted shows that there are more: a device without end does not fill the memory.
fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, LoadError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => absent(path),
        io::ErrorKind::IsADirectory => folder(path),
        _ => LoadError::Read {
            path: path.to_path_buf(),
            source,
        },
    };
    let file = File::open(path).map_err(failed)?;
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

fn near(neighbour: Option<&Path>, folder: &Path) -> String {
    match neighbour {
        Some(path) => format!("; did you mean {}?", path.display()),
        None if folder.as_os_str().is_empty() => String::new(),
        None => format!(" in {}", folder.display()),
    }
}

fn inside(models: &[PathBuf]) -> String {
    if models.is_empty() {
        return String::new();
    }
    let names: Vec<_> = models.iter().map(|path| path.display().to_string()).collect();
    format!("; did you mean {}?", names.join(" or "))
}

/// What a model is called that has no manifest: its file's name, and the first digits of its content's SHA-256.
fn identity(path: &Path, bytes: &[u8]) -> Identity {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let name = path
        .file_stem()
        .map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    let mut version = String::from("sha256-");
    for byte in &sha2::Sha256::digest(bytes)[..6] {
        // Writing to a String cannot fail.
        let _ = write!(version, "{byte:02x}");
    }
    Identity { name, version }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for a test, gone with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("quintile-served-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("folder");
            Self(path)
        }

        fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, bytes).expect("file");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn load(path: &Path) -> Result<Served, LoadError> {
        Served::load(Some(path), Options::default(), 7)
    }

    #[test]
    fn the_demo_meets_its_golden_rows() {
        let demo = Served::load(None, Options::default(), 3).unwrap();
        assert_eq!(
            (demo.generation, demo.model.name(), demo.model.version()),
            (3, "demo", "1.0.0")
        );
        assert_eq!(demo.identity_json, r#"{"name":"demo","version":"1.0.0"}"#);
        assert!(demo.golden_rows >= 10 && demo.columns.column("f50") == Some(49));
    }

    #[test]
    fn a_manifest_beside_the_model_names_it_and_without_one_its_file_does() {
        let folder = Folder::new("beside");
        let model = folder.file("leads.ubj", DEMO_MODEL);
        let served = load(&model).unwrap();
        assert_eq!(
            (served.generation, served.model.name(), served.golden_rows),
            (7, "leads", 0)
        );
        assert!(served.model.version().starts_with("sha256-") && served.model.version().len() == 19);
        folder.file("leads.toml", "name = \"quoted \\\" ü\"\nversion = \"9\"");
        assert_eq!(
            load(&model).unwrap().identity_json,
            r#"{"name":"quoted \" ü","version":"9"}"#
        );
        let bare = folder.file("bare", DEMO_MODEL);
        assert_eq!(load(&bare).unwrap().model.name(), "bare");
        std::fs::create_dir(folder.0.join("bare.toml")).unwrap();
        assert!(load(&bare).is_ok(), "a folder is no manifest");
    }

    #[test]
    fn manifests_that_are_wrong_stop_the_load() {
        let folder = Folder::new("wrong");
        let model = folder.file("m.ubj", DEMO_MODEL);
        for (text, says) in [
            (&b"name = \"a\"\n# \xff"[..], "m.toml: byte 13 is not UTF-8"),
            (b"nam = \"a\"", "m.toml: 1:1: unknown key"),
            (b"edges = [0.1]", "edges are four numbers"),
            (
                b"[features.f51]\nlabel = \"x\"",
                "the manifest does not fit the model: 1:11: the model has no feature \"f51\"",
            ),
            (
                b"[[golden]]\nfeatures = [1]\nmargin = [1]",
                "a golden row has 1 features, the model 50",
            ),
        ] {
            folder.file("m.toml", text);
            let error = load(&model).unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
        let golden = format!("[[golden]]\nfeatures = [{}]\nmargin = [1]", ["nan"; 50].join(","));
        folder.file("m.toml", golden);
        let error = load(&model).unwrap_err();
        assert!(
            matches!(error, LoadError::Golden { .. }) && error.to_string().contains("golden row 1 (manifest line 1)"),
            "{error}"
        );
    }

    #[test]
    fn a_manifest_that_contradicts_the_model_says_how() {
        let fixture = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../model/tests/fixtures")
                .join(name);
            std::fs::read(path).expect("a fixture")
        };
        let (names, classes) = (fixture("category-names.json"), fixture("objective-multi-softprob.json"));
        let squared = fixture("objective-reg-squarederror.json");
        for (model, text, says) in [
            (
                DEMO_MODEL,
                "[features.F1]\n",
                "1:11: the model has no feature \"F1\"; did you mean \"f1\"?",
            ),
            (
                DEMO_MODEL,
                "probability_output = 1",
                "1:22: probability_output is 1, but the model's predictions are 0 to 0",
            ),
            (
                &squared,
                "probability_output = 0",
                "1:22: objective reg:squarederror gives no probabilities",
            ),
            (
                &classes,
                "edges = [1, 2, 3, 4]",
                "1:9: edges need a single prediction, but the model gives",
            ),
            (
                &classes,
                "band_names = [\"a\", \"b\", \"c\", \"d\", \"e\"]",
                "1:14: band_names need a single prediction",
            ),
            (
                &names,
                "[features.where]\ntype = \"number\"",
                "1:11: \"where\" is a category in the model file",
            ),
            (
                &names,
                "[features.where]\ncategories = [\"x\"]",
                "2:14: category 0 is \"x\" here and ",
            ),
        ] {
            let error = Served::of_bytes(model, text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}\n{error}\n{says}");
        }
    }

    #[test]
    fn paths_that_hold_no_model_say_what_was_probably_meant() {
        let folder = Folder::new("paths");
        folder.file("m.ubj", DEMO_MODEL);
        folder.file("notes.txt", "x");
        let shown = folder.0.display().to_string();
        for (path, expected) in [
            (
                folder.0.clone(),
                format!("read {shown}: it is a folder, not a model file; did you mean {shown}/m.ubj?"),
            ),
            (
                folder.0.join("m.json"),
                format!("read {shown}/m.json: there is no such file; did you mean {shown}/m.ubj?"),
            ),
            (
                folder.0.join("x.json"),
                format!("read {shown}/x.json: there is no such file"),
            ),
        ] {
            assert_eq!(load(&path).unwrap_err().to_string(), expected);
        }
        let here = std::env::current_dir().unwrap();
        let expected = format!("read no-such.ubj: there is no such file in {}", here.display());
        assert_eq!(load(Path::new("no-such.ubj")).unwrap_err().to_string(), expected);
        let error = load(&folder.0.join("notes.txt")).unwrap_err();
        assert!(matches!(error, LoadError::Format { .. }), "{error}");
        let below = load(&folder.0.join("notes.txt/m.ubj")).unwrap_err();
        assert!(matches!(below, LoadError::Read { .. }), "{below}");
    }
}
