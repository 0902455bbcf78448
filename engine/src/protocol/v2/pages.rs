//! What a client may ask of server and model beside inference: metadata, configuration, statistics, the list of models.

use quintile_model::{FeatureKind, Precision};
use quintile_scoring::loaded::LoadedModel;
use serde_json::{Value, json};

use crate::protocol::output::Output;
use crate::protocol::tensor::Datatype;

/// What is offered beside the protocol's own calls.
pub const EXTENSIONS: [&str; 4] = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "statistics",
];

/// Calls that are not offered, and why, in the words that a client prints.
pub const NOT_OFFERED: &str = "this server has no shared memory, no trace settings and no log settings over this protocol; send tensors in the \
     request";

/// Loading and unloading are the operator's.
pub const NO_REPOSITORY: &str =
    "models are loaded and unloaded by the operator of this server, not over this listener: see `quintile help models`";

/// A model as a client may name it.
#[derive(Debug, Clone, Copy)]
pub struct ModelFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// All versions of it that are ready.
    pub versions: &'a [&'a str],
    /// The model.
    pub loaded: &'a LoadedModel,
}

/// What was asked of a version so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Rows that were scored.
    pub rows: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Nanoseconds that these took.
    pub total_ns: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// When the last one came: milliseconds since 1970, 0 for never.
    pub last_ms: u64,
}

/// `GET /v2`
#[must_use]
pub fn server() -> Value {
    json!({"name": "quintile", "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS})
}

/// `GET /v2/models/M`
#[must_use]
pub fn metadata(facts: &ModelFacts<'_>) -> Value {
    let loaded = facts.loaded;
    let features = loaded.model.schema().len();
    let outputs: Vec<_> = Output::all(loaded)
        .map(|output| {
            let datatype = output.kind.datatype(&loaded.model).name();
            json!({"name": output.name, "datatype": datatype, "shape": shape(output, loaded)})
        })
        .collect();
    let one = json!({"name": "input-0", "datatype": input_datatype(loaded).name(), "shape": [-1, features]});
    json!({
        "name": facts.name,
        "versions": facts.versions,
        "platform": platform(loaded),
        "inputs": [one],
        "outputs": outputs,
        "parameters": {"features": loaded.model.schema().names().collect::<Vec<_>>()},
    })
}

/// `GET /v2/models/M/config`, as Triton says it.
#[must_use]
pub fn config(facts: &ModelFacts<'_>, rows_max: usize) -> Value {
    let loaded = facts.loaded;
    let features = loaded.model.schema().len();
    // Triton calls texts strings in configurations.
    let data_type = |datatype: Datatype| match datatype {
        Datatype::Bytes => "TYPE_STRING".to_owned(),
        other => format!("TYPE_{}", other.name()),
    };
    let outputs: Vec<_> = Output::all(loaded)
        .map(|output| {
            let dims: Vec<_> = shape(output, loaded).into_iter().skip(1).collect();
            let dims = if dims.is_empty() { vec![1] } else { dims };
            json!({"name": output.name, "data_type": data_type(output.kind.datatype(&loaded.model)), "dims": dims})
        })
        .collect();
    json!({
        "name": facts.name,
        "platform": platform(loaded),
        "backend": "quintile",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": rows_max,
        "input": [{
            "name": "input-0",
            "data_type": data_type(input_datatype(loaded)),
            "dims": [features],
        }],
        "output": outputs,
        "instance_group": [{"name": facts.name, "kind": "KIND_CPU", "count": 1}],
    })
}

/// An element of `GET /v2/models/stats`.
#[must_use]
pub fn statistics(name: &str, version: &str, counts: &Counts) -> Value {
    let duration = |count: u64, ns: u64| json!({"count": count, "ns": ns});
    let done = duration(counts.requests, counts.total_ns);
    json!({
        "name": name,
        "version": version,
        "last_inference": counts.last_ms,
        "inference_count": counts.rows,
        "execution_count": counts.requests,
        "inference_stats": {
            "success": done,
            "fail": duration(counts.refused, 0),
            "queue": duration(counts.requests, 0),
            "compute_input": duration(counts.requests, 0),
            "compute_infer": done,
            "compute_output": duration(counts.requests, 0),
        },
        "batch_stats": [],
    })
}

/// An element of `POST /v2/repository/index`.
#[must_use]
pub fn index_entry(name: &str, version: &str, is_ready: bool) -> Value {
    let (state, reason) = if is_ready {
        ("READY", "")
    } else {
        ("UNAVAILABLE", "not loaded")
    };
    json!({"name": name, "version": version, "state": state, "reason": reason})
}

/// What the values of the one input are. A model with names of categories takes texts too.
#[must_use]
pub fn input_datatype(loaded: &LoadedModel) -> Datatype {
    let schema = loaded.model.schema();
    let has_names = (0..schema.len()).any(|column| {
        schema.kind(column) == FeatureKind::Category
            && schema
                .categories(column)
                .is_some_and(|categories| !categories.takes_codes())
    });
    match loaded.model.input_precision() {
        _ if has_names => Datatype::Bytes,
        Precision::F32 => Datatype::Fp32,
        Precision::F64 => Datatype::Fp64,
    }
}

/// What kind of model it is, as Triton and KServe name platforms.
#[must_use]
pub fn platform(loaded: &LoadedModel) -> String {
    let format = loaded.model.format().to_ascii_lowercase();
    let known = ["xgboost", "lightgbm", "catboost", "onnx", "treelite"];
    let found = known.into_iter().find(|name| format.contains(name));
    format!("{}_quintile", found.unwrap_or("trees"))
}

/// The shape of an output: -1 for the rows.
#[must_use]
pub fn shape(output: Output, loaded: &LoadedModel) -> Vec<i64> {
    let dimensions = output.kind.dimensions(&loaded.model);
    let own = dimensions.into_iter().filter(|&dimension| dimension > 0);
    let own = own.map(|dimension| i64::try_from(dimension).unwrap_or(i64::MAX));
    std::iter::once(-1).chain(own).collect()
}
