//! Loads one version, on a thread of its own that gives way to the shards: read, compiled, held against its golden
//! rows, and run once, so that no request is the first to touch its memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;
use quintile_model::Options;
use quintile_scoring::loaded::LoadedModel;

/// Bytes of a model file for each byte of its plan at most, as a bound from below: files that we have seen have 4 to
/// 12.
const FILE_BYTES_PER_PLAN_BYTE: u64 = 16;

/// Rows that a model is run over before a request is.
const WARM_ROWS: usize = 64;

/// Gives a model the number that its records carry.
pub type EnterRecords = dyn Fn(&mut LoadedModel) -> Result<(), String> + Send + Sync;

/// What is to be loaded.
#[derive(Debug, Clone)]
pub(super) struct LoadOrder {
    pub(super) name: String,
    pub(super) version: u64,
    /// The content that was seen when this was decided.
    pub(super) stamp: u64,
    pub(super) path: PathBuf,
    pub(super) options: Options,
    /// Bytes that its plan may take.
    pub(super) bytes_max: usize,
    /// Whether what explains it is made too.
    pub(super) is_explained: bool,
}

/// Why a version is not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRefusal {
    /// For people.
    pub reason: String,
    /// There is no room for it.
    pub is_memory: bool,
}

/// The end of a load.
#[derive(Debug)]
pub(super) struct LoadEnd {
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) stamp: u64,
    pub(super) result: Result<LoadedModel, LoadRefusal>,
}

/// Loads on a thread of its own.
///
/// # Errors
/// When there is no thread to be had.
pub(super) fn start(
    order: LoadOrder,
    enter: Arc<EnterRecords>,
    yield_to_shards: fn(),
    done: Sender<LoadEnd>,
) -> std::io::Result<()> {
    let run = move || {
        yield_to_shards();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut loaded = load(&order)?;
            enter(&mut loaded).map_err(refused)?;
            Ok(loaded)
        }));
        let result = result.unwrap_or_else(|_| Err(refused("loading it panicked: a bug of ours".into())));
        // The caller that waited may have ended.
        let _ = done.send(LoadEnd {
            name: order.name,
            version: order.version,
            stamp: order.stamp,
            result,
        });
    };
    thread::Builder::new().name("model-load".into()).spawn(run)?;
    Ok(())
}

/// Everything of a load but the number of its records.
pub(super) fn load(order: &LoadOrder) -> Result<LoadedModel, LoadRefusal> {
    let least = usize::try_from(file_bytes(&order.path) / FILE_BYTES_PER_PLAN_BYTE).unwrap_or(usize::MAX);
    if least > order.bytes_max {
        return Err(no_room(&format!("at least {least}"), order.bytes_max));
    }
    let loaded = LoadedModel::load(Some(&order.path), order.options, 0).map_err(|error| refused(error.to_string()))?;
    let loaded = loaded.called(&order.name, &order.version.to_string());
    if order.is_explained {
        loaded.explaining.prepare(&loaded.model);
    }
    let bytes = loaded.bytes();
    if bytes > order.bytes_max {
        return Err(no_room(&bytes.to_string(), order.bytes_max));
    }
    loaded.descriptions();
    warm(&loaded);
    Ok(loaded)
}

fn refused(reason: String) -> LoadRefusal {
    LoadRefusal {
        reason,
        is_memory: false,
    }
}

fn no_room(needed: &str, left: usize) -> LoadRefusal {
    LoadRefusal {
        reason: format!("it needs {needed} bytes, and models.memory_bytes_max leaves {left}"),
        is_memory: true,
    }
}

/// Bytes of the file, or of the files in the folder.
fn file_bytes(path: &Path) -> u64 {
    let Ok(metadata) = fs::metadata(path) else { return 0 };
    if metadata.is_file() {
        return metadata.len();
    }
    // The model is one of them; the largest is a bound from below for no other.
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| fs::metadata(entry.path()).ok());
    files
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .max()
        .unwrap_or(0)
}

/// Runs the model over its example and over rows where all is missing, one by one and together.
fn warm(loaded: &LoadedModel) {
    let features = loaded.model.schema().len();
    let mut scratch = loaded.model.scratch();
    let missing = vec![f64::NAN; features.max(1)];
    let example = loaded
        .example
        .clone()
        .filter(|row| row.len() == features && features > 0);
    let example = example.unwrap_or_else(|| missing.clone());
    for row in [&missing, &example] {
        loaded.model.score_row(&row[..features], &mut scratch);
        let rows = row.repeat(WARM_ROWS);
        loaded.model.score_rows(&rows, &mut scratch, |_, _, _| {});
    }
}
