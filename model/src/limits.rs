//! Every limit of a model, with its unit and the reason for the number.
//!
//! They limit the memory that a file may make us allocate and the time that a row may take; a model beyond one is
//! refused at load with the limit's name. Called by the readers and by [`crate::ensemble::Ensemble::try_new`].

/// Features (columns) of a model. A shard holds one row as `f64` and one as `f32`: 768 KiB at this size. Hashed text
/// models of a million columns are a different kind of service.
pub const FEATURES_MAX: usize = 65_536;

/// Trees of a model. Real ensembles hold 100 to 10,000; one row through this many costs milliseconds.
pub const TREES_MAX: usize = 131_072;

/// Nodes of one tree. XGBoost numbers nodes with an `i32`; depth 20 filled completely is two million.
pub const TREE_NODES_MAX: usize = 4_194_304;

/// Nodes of all trees. At 32 bytes a node in the ensemble and 16 in the plan this is 3 GiB, the most a server may hold.
pub const NODES_MAX: usize = 67_108_864;

/// Values of vector leaves and terms of linear ones, of all trees. A leaf of a hundred classes takes a hundred; at 8 or
/// 16 bytes each this is the memory that as many nodes may take.
pub const LEAF_VALUES_MAX: usize = NODES_MAX;

/// Outputs (classes, targets or quantiles) of a model: the length of the margins.
pub const OUTPUTS_MAX: usize = 4_096;

/// First category code that is not one. XGBoost compares codes as `f32`, which holds integers exactly up to here.
pub const CATEGORY_END: u32 = 1 << 24;

/// Names of categories of all features. Real vocabularies that go without hashing end far below.
pub const CATEGORY_NAMES_MAX: usize = 1 << 20;

/// Bytes of a model file. The largest real ones we met are 200 MB of JSON.
pub const MODEL_BYTES_MAX: usize = 1 << 30;

/// Levels of nesting of a JSON or UBJSON file. XGBoost's own files use eight; the readers recurse, so this bounds the
/// stack.
pub const NESTING_MAX: usize = 48;

/// Values of a document that are not packed into typed arrays. A tree takes about 30; each costs 32 bytes and more.
pub const DOCUMENT_VALUES_MAX: usize = 64 * TREES_MAX;

/// The same for a file of so many bytes, so that a small file of one-byte values cannot take many times its size in
/// memory. Real files have a value every 15 bytes, but for the names and kinds of features.
#[must_use]
pub const fn document_values_max(bytes: usize) -> usize {
    let of_this_size = bytes / 8 + 4 * FEATURES_MAX;
    if of_this_size < DOCUMENT_VALUES_MAX {
        of_this_size
    } else {
        DOCUMENT_VALUES_MAX
    }
}

/// Bytes of a feature's name. Longer ones are no names, and errors repeat them.
pub const NAME_BYTES_MAX: usize = 1_024;

/// Bytes of a manifest. Names, edges and a few golden rows fit many times.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;

/// Faults of a manifest that are reported one by one.
pub const MANIFEST_FAULTS_MAX: usize = 64;

const _: () = assert!(
    FEATURES_MAX <= 1 << 24,
    "the plan packs flags above a feature's 24 bits"
);
const _: () = assert!(
    TREE_NODES_MAX <= NODES_MAX && NODES_MAX < u32::MAX as usize,
    "nodes are numbered in u32"
);
const _: () = assert!(
    DOCUMENT_VALUES_MAX >= 32 * TREES_MAX,
    "a file of TREES_MAX trees must fit"
);
const _: () = assert!(OUTPUTS_MAX <= TREES_MAX, "each output takes at least one tree a round");
