//! Gradient-boosted tree models, loaded, compiled and evaluated exactly as their training library does it.
//!
//! ```text
//! bytes ──format::load──▶ Ensemble ──Plan::compile──▶ Plan ──kernel──▶ margins ──Objective──▶ predictions ──Bands──▶ 1..=5
//!                            │                                            ▲
//!                            └──────────── kernel::reference ─────────────┘   (the oracle)
//! ```
//!
//! Pure: no I/O, clock, thread, async or environment. Bytes in, numbers out. No bytes of a model file and no value of a
//! row may cause a panic: what can be wrong is an error that names the place, or a number.
//!
//! [`Model`] is what a server holds: one immutable value, shared between threads, with a [`Scratch`] per thread.

pub mod bands;
pub mod ensemble;
pub mod explain;
pub mod format;
pub mod kernel;
pub mod limits;
pub mod manifest;
pub mod model;
pub mod nearest;
pub mod objective;
pub mod plan;
pub mod schema;

pub use bands::Bands;
pub use ensemble::{Ensemble, ExplainError, Precision, Trees};
pub use explain::{ExplainScratch, Explainer, ExplainerError};
pub use format::{FormatError, load};
pub use kernel::KernelChoice;
pub use manifest::is_derived_version;
pub use manifest::{
    ColumnProfile, FeatureNote, GoldenRow, GoldenSource, GroupNote, InitNote, Manifest, ManifestError,
    PROFILE_EDGES_MAX, ProfileBins, ReferenceProfile,
};
pub use model::{
    BuildError, ColumnSplits, FeatureUse, GoldenFault, GoldenQuantity, Identity, Model, Options, Scratch, SplitPoints,
    Statistics,
};
pub use schema::{
    Actionable, Categories, CategoryName, Cell, CellError, FeatureGroup, FeatureKind, Form, MissingMarkers,
    ReasonTexts, Rule, Schema, SeenRanges, UNKNOWN_CATEGORY, Unseen, Violation,
};
