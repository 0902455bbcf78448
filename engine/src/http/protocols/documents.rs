//! What other protocols' clients ask of server and models beside scores. Made when it is asked for: these calls are rare,
//! and the models that they speak of may have changed.

use http::header::VARY;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::v2_path::What;
use crate::http::HttpShard;
use crate::http::response::Responder;
use crate::http::response_body::ResponseBody;
use crate::media_type::JSON;
use crate::models::{ModelChoice, ModelVersion, Registry};
use crate::protocol::datatype::Datatype;
use crate::protocol::grpc::messages::{
    ConfigInput, ConfigOutput, InferStatistics, ModelConfig, ModelConfigResponse, ModelIndex, ModelMetadataResponse,
    ModelStatistics, ModelStatisticsResponse, RepositoryIndexResponse, ServerMetadataResponse, StatisticDuration,
    TensorMetadata,
};
use crate::protocol::output::Output;
use crate::protocol::v2::pages::{self, Counts, ModelFacts};

/// What is asked for.
#[derive(Debug)]
pub(in crate::http) enum Document {
    /// What the server is.
    Server,
    /// Whether it lives.
    Live,
    /// Whether it takes traffic.
    Ready,
    /// That it lives, for KServe's first protocol.
    Alive,
    /// The names of all models, for the same.
    Names,
    /// Whether a model is ready, for the same.
    NameReady(ModelChoice),
    /// Whether a container takes traffic.
    Ping,
    /// The version of the program.
    Version,
    /// How SageMaker's batch transform may call.
    ExecutionParameters,
    /// All models.
    Index,
    /// What was asked of all models.
    AllStatistics,
    /// Something about one.
    Model { choice: ModelChoice, what: What },
}

/// Answers with a document.
pub(super) fn answer(http: &HttpShard, mut responder: Responder<'_>, document: Document) -> Response<ResponseBody> {
    let core = &http.core;
    let is_ready = core.is_ready();
    let scorer = core.scorer.borrow();
    let registry = scorer.registry();
    let (status, value) = match document {
        Document::Server => (StatusCode::OK, pages::server()),
        Document::Live => (StatusCode::OK, json!({"live": true})),
        Document::Ready => (ready_status(is_ready), json!({"ready": is_ready})),
        Document::Alive => {
            // The page for people is at the same place.
            responder.headers.insert(VARY, HeaderValue::from_static("accept"));
            (StatusCode::OK, json!({"status": "alive"}))
        }
        Document::Names => {
            let names: Vec<_> = registry.models().iter().map(|model| model.name.as_str()).collect();
            (StatusCode::OK, json!({"models": names}))
        }
        Document::NameReady(choice) => {
            let name = named(registry, choice.reads_first(registry)).0;
            (ready_status(is_ready), json!({"name": name, "ready": is_ready}))
        }
        Document::Ping => {
            drop(scorer);
            return responder.text(ready_status(is_ready), "\n");
        }
        Document::Version => {
            drop(scorer);
            return responder.text(StatusCode::OK, concat!(env!("CARGO_PKG_VERSION"), "\n"));
        }
        Document::ExecutionParameters => {
            let limits = core.limits();
            let parameters = json!({
                "MaxConcurrentTransforms": limits.batches_max,
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": (limits.batch_bytes_max >> 20).max(1),
            });
            (StatusCode::OK, parameters)
        }
        Document::Index => (StatusCode::OK, Value::Array(index(registry))),
        Document::AllStatistics => {
            let all: Vec<_> = registry
                .versions()
                .map(|version| statistics(registry, version))
                .collect();
            (StatusCode::OK, json!({"model_stats": all}))
        }
        Document::Model { choice, what } => of_model(http, registry, &choice, what),
    };
    drop(scorer);
    responder.finish(status, JSON, value.to_string().into(), false)
}

/// A document about a model.
fn of_model(http: &HttpShard, registry: &Registry, choice: &ModelChoice, what: What) -> (StatusCode, Value) {
    let is_ready = http.core.is_ready();
    let version = choice.reads_first(registry);
    let (name, versions) = named(registry, version);
    let facts = ModelFacts {
        name,
        versions: &versions,
        loaded: &version.loaded,
    };
    match what {
        What::Metadata => (StatusCode::OK, pages::metadata(&facts)),
        What::Ready => (ready_status(is_ready), json!({"name": name, "ready": is_ready})),
        What::Config => (
            StatusCode::OK,
            pages::config(&facts, http.core.limits().tensor_rows_max),
        ),
        What::Statistics => {
            let own = statistics(registry, version);
            (StatusCode::OK, json!({"model_stats": [own]}))
        }
    }
}

fn ready_status(is_ready: bool) -> StatusCode {
    match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What a version's model is called, and all of its versions that are ready.
fn named<'a>(registry: &'a Registry, version: &'a ModelVersion) -> (&'a str, Vec<&'a str>) {
    let is_its = |other: &ModelVersion| other.number == version.number;
    let model = registry
        .models()
        .iter()
        .find(|model| model.ready.iter().any(|other| is_its(other)));
    match model {
        Some(model) => (
            &model.name,
            model.ready.iter().map(|ready| ready.version.as_str()).collect(),
        ),
        None => (version.loaded.model.name(), vec![version.version.as_str()]),
    }
}

fn statistics(registry: &Registry, version: &ModelVersion) -> Value {
    let [rows, requests, total_ns, refused, last_ms] = version.counts.all();
    let counts = Counts {
        rows,
        requests,
        total_ns,
        refused,
        last_ms,
    };
    pages::statistics(named(registry, version).0, &version.version, &counts)
}

fn index(registry: &Registry) -> Vec<Value> {
    let mut entries = Vec::new();
    for model in registry.models() {
        let ready = model.ready.iter();
        entries.extend(ready.map(|version| pages::index_entry(&model.name, &version.version, true)));
        let unready = model.unready.iter();
        entries.extend(unready.map(|version| pages::index_entry(&model.name, version, false)));
    }
    entries
}

/// What the server is, over gRPC.
pub(super) fn grpc_server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "quintile".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        extensions: pages::EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

/// The list of all models, over gRPC.
pub(super) fn grpc_index(http: &HttpShard) -> RepositoryIndexResponse {
    let scorer = http.core.scorer.borrow();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let entries = index(scorer.registry());
    let models = entries.iter().map(|entry| ModelIndex {
        name: text(entry, "name"),
        version: text(entry, "version"),
        state: text(entry, "state"),
        reason: text(entry, "reason"),
    });
    RepositoryIndexResponse {
        models: models.collect(),
    }
}

/// What was asked of a model, or of all, over gRPC.
pub(super) fn grpc_statistics(http: &HttpShard, choice: Option<&ModelChoice>) -> ModelStatisticsResponse {
    let scorer = http.core.scorer.borrow();
    let registry = scorer.registry();
    let of = |version: &ModelVersion| {
        let [rows, requests, total_ns, refused, last_ms] = version.counts.all();
        let duration = |count, ns| Some(StatisticDuration { count, ns });
        ModelStatistics {
            name: named(registry, version).0.to_owned(),
            version: version.version.clone(),
            last_inference: last_ms,
            inference_count: rows,
            execution_count: requests,
            inference_stats: Some(InferStatistics {
                success: duration(requests, total_ns),
                fail: duration(refused, 0),
            }),
        }
    };
    let model_stats = match choice {
        Some(choice) => vec![of(choice.reads_first(registry))],
        None => registry.versions().map(|version| of(version)).collect(),
    };
    ModelStatisticsResponse { model_stats }
}

/// What a model takes and gives, over gRPC.
pub(super) fn grpc_metadata(http: &HttpShard, choice: &ModelChoice) -> ModelMetadataResponse {
    let scorer = http.core.scorer.borrow();
    let version = choice.reads_first(scorer.registry());
    let (name, versions) = named(scorer.registry(), version);
    let loaded = &version.loaded;
    let features = i64::try_from(loaded.model.schema().len()).unwrap_or(i64::MAX);
    let outputs = Output::all(loaded).map(|output| TensorMetadata {
        name: output.name.to_owned(),
        datatype: output.kind.datatype(&loaded.model).name().to_owned(),
        shape: pages::shape(output, loaded),
    });
    ModelMetadataResponse {
        name: name.to_owned(),
        versions: versions.into_iter().map(str::to_owned).collect(),
        platform: pages::platform(loaded),
        inputs: vec![TensorMetadata {
            name: "input-0".into(),
            datatype: pages::input_datatype(loaded).name().to_owned(),
            shape: vec![-1, features],
        }],
        outputs: outputs.collect(),
    }
}

/// A model's configuration, over gRPC.
pub(super) fn grpc_config(http: &HttpShard, choice: &ModelChoice) -> ModelConfigResponse {
    let metadata = grpc_metadata(http, choice);
    let number = |datatype: &str| Datatype::of(datatype.as_bytes()).map_or(0, Datatype::number);
    let dims = |tensor: &TensorMetadata| match &tensor.shape[..] {
        [_] | [] => vec![1],
        [_, own @ ..] => own.to_vec(),
    };
    let input = metadata.inputs.iter().map(|tensor| ConfigInput {
        name: tensor.name.clone(),
        data_type: number(&tensor.datatype),
        dims: dims(tensor),
    });
    let output = metadata.outputs.iter().map(|tensor| ConfigOutput {
        name: tensor.name.clone(),
        data_type: number(&tensor.datatype),
        dims: dims(tensor),
    });
    let rows_max = http.core.limits().tensor_rows_max;
    let config = ModelConfig {
        input: input.collect(),
        output: output.collect(),
        max_batch_size: i32::try_from(rows_max).unwrap_or(i32::MAX),
        backend: "quintile".into(),
        name: metadata.name,
        platform: metadata.platform,
    };
    ModelConfigResponse { config: Some(config) }
}
