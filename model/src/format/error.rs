//! Why a file is refused.

use crate::ensemble::EnsembleError;
use crate::limits::MODEL_BYTES_MAX;
use crate::schema::SchemaError;

/// What every refusal of a foreign file ends with.
pub(super) const ACCEPTED: &str = "accepted are XGBoost models saved as JSON or UBJSON (Booster.save_model), \
    LightGBM models saved as text (Booster.save_model), Treelite \
    checkpoints of version 4 (Model.serialize), CatBoost models of numeric features saved as JSON \
    (save_model(…, format=\"json\")) and ONNX-ML tree ensembles";

/// Why a file is no model we can evaluate exactly.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FormatError {
    /// No bytes.
    #[error("the file is empty: {ACCEPTED}")]
    Empty,
    /// More bytes than are accepted.
    #[error("the file has {bytes} bytes, more than the {MODEL_BYTES_MAX} accepted")]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A file that is something else.
    #[error("the file is {what}: {advice}")]
    Foreign {
        /// What it is.
        what: &'static str,
        /// What to do instead.
        advice: &'static str,
    },
    /// Bytes that break the format's grammar, or are cut off.
    #[error("byte {offset} of the {format}: {message}")]
    Syntax {
        /// `JSON` or `UBJSON`.
        format: &'static str,
        /// Where, in bytes from the start.
        offset: usize,
        /// What is there and what is accepted.
        message: String,
    },
    /// A field that is absent, of the wrong type, or contradicts another.
    #[error("{path}: {message}")]
    Field {
        /// Where, as `learner.gradient_booster.model.trees[3].left_children`.
        path: String,
        /// What is there and what is accepted.
        message: String,
    },
    /// Trees that are no trees, or numbers that cannot be summed.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// Feature names that are none.
    #[error("learner.feature_names: {0}")]
    Schema(#[from] SchemaError),
}
