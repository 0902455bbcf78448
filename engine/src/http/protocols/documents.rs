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
