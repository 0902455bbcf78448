//! What `prepare.py` writes and this program reads, and what it writes for `report.py`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) type Fault = Box<dyn std::error::Error>;

#[derive(Deserialize)]
pub(crate) struct Plan {
    /// A file of `f32` rows, NaN for missing.
    pub(crate) rows: PathBuf,
    pub(crate) features: usize,
    pub(crate) models: Vec<PlannedModel>,
}

#[derive(Deserialize)]
pub(crate) struct PlannedModel {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// A file of `f64`: the margins of all rows by the library that trained the model.
    pub(crate) reference: PathBuf,
    pub(crate) engines: Vec<PlannedEngine>,
}

#[derive(Deserialize, Clone)]
pub(crate) struct PlannedEngine {
    pub(crate) name: String,
    /// `xgboost`, `ydf`, …, or `yardstick`.
    pub(crate) library: String,
    /// How far a margin may be from the reference; 0 asks for the same bits.
    pub(crate) tolerance: f64,
    /// The words `ROWS` and `FEATURES` are replaced; without them both follow the first word.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// Margins for this engine alone: one that has another rule for what is missing.
    pub(crate) reference: Option<PathBuf>,
    /// Why there is no command.
    pub(crate) error: Option<String>,
}

/// The figures of one engine on one model: nanoseconds a row, one number a round.
#[derive(Serialize, Default)]
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) library: String,
    pub(crate) tolerance: f64,
    pub(crate) worst_difference: f64,
    /// Why the figures count for nothing.
    pub(crate) void: Option<String>,
    pub(crate) single: Vec<f64>,
    pub(crate) batch: Vec<f64>,
}

#[derive(Serialize)]
pub(crate) struct ModelFigures {
    pub(crate) name: String,
    pub(crate) engines: Vec<Figures>,
}

impl Plan {
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let text = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()).into())
    }
}

pub(crate) fn read_singles(path: &Path) -> Result<Vec<f32>, Fault> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let (numbers, _) = bytes.as_chunks::<4>();
    Ok(numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

pub(crate) fn read_doubles(path: &Path) -> Result<Vec<f64>, Fault> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let (numbers, _) = bytes.as_chunks::<8>();
    Ok(numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
}
