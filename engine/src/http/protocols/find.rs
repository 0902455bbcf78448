//! Which call a path is, and what is demanded of it.

use http::Method;

use super::documents::Document;
use super::grpc::{GrpcCall, GrpcMethod};
use super::v2_path::{self, V2Call, What, decoded};
use super::{InvocationCall, ProtocolCall};
use crate::auth::Class;
use crate::http::HttpShard;
use crate::http::admit::{Policy, reading, scoring};
use crate::http::body::Coding;
use crate::http::error::RequestError;
use crate::models::{ChoiceError, ModelChoice, Selected};
use crate::protocol::v2::pages;
use crate::telemetry::Route;

/// A call and what is demanded of it.
type Found = (&'static Policy, Result<ProtocolCall, RequestError>);

static V2_INFER: Policy = scoring(Route::V2);
static V2_HEALTH: Policy = reading(Route::V2, Class::Health, true);
static V2_READ: Policy = reading(Route::V2, Class::Docs, false);
static V2_LIST: Policy = Policy {
    sheds: false,
    class: Class::Docs,
    ..scoring(Route::V2)
};
static GRPC_INFER: Policy = scoring(Route::Grpc);
static GRPC_HEALTH: Policy = Policy {
    sheds: false,
    class: Class::Health,
    is_health: true,
    ..scoring(Route::Grpc)
};
static GRPC_READ: Policy = Policy {
    sheds: false,
    class: Class::Docs,
    ..scoring(Route::Grpc)
};
static V1_PREDICT: Policy = scoring(Route::V1);
static V1_HEALTH: Policy = reading(Route::V1, Class::Health, true);
static V1_READ: Policy = reading(Route::V1, Class::Docs, false);
static SAGEMAKER_INVOKE: Policy = scoring(Route::SageMaker);
static SAGEMAKER_HEALTH: Policy = reading(Route::SageMaker, Class::Health, true);
static SAGEMAKER_READ: Policy = reading(Route::SageMaker, Class::Docs, false);
static ENDPOINT_INVOKE: Policy = scoring(Route::Endpoint);
static MLFLOW_INVOKE: Policy = scoring(Route::Mlflow);
static MLFLOW_HEALTH: Policy = reading(Route::Mlflow, Class::Health, true);
static MLFLOW_READ: Policy = reading(Route::Mlflow, Class::Docs, false);

/// Whether a path may be another protocol's: a cheap test before [`find`].
#[inline]
pub(in crate::http) fn may_be_one(path: &str) -> bool {
    const STARTS: [&str; 9] = [
        "/inference.",
        "/grpc.",
        "/v2",
        "/v1/models",
        "/invocations",
        "/ping",
        "/health",
        "/version",
        "/e",
    ];
    STARTS.iter().any(|start| path.starts_with(start)) && path != "/healthz" && path != "/explore"
}

/// The call of a path; none for one that no protocol has, or whose protocol is turned off.
pub(in crate::http) fn find(http: &HttpShard, path: &str, method: &Method) -> Option<Found> {
    let protocols = http.setup.protocols;
    if path.starts_with("/inference.") || path.starts_with("/grpc.") {
        return protocols.grpc.then(|| grpc(path));
    }
    if protocols.v2
        && let Some(call) = v2_path::parse(path)
    {
        return Some(v2(http, call, method));
    }
    if protocols.v1
        && let Some(rest) = path.strip_prefix("/v1/models")
    {
        return v1(http, rest);
    }
    if let Some(rest) = path.strip_prefix("/endpoints/") {
        return protocols.sagemaker.then(|| endpoint(rest)).flatten();
    }
    invocations(http, path)
}

/// That the process lives, as KServe's clients ask at `/`.
pub(in crate::http) fn alive(http: &HttpShard) -> Option<Found> {
    let call = ProtocolCall::Document(Document::Alive);
    http.setup.protocols.v1.then_some((&V1_HEALTH, Ok(call)))
}

fn v2(http: &HttpShard, call: V2Call<'_>, method: &Method) -> Found {
    let document = |document| Ok(ProtocolCall::Document(document));
    match call {
        V2Call::Server => (&V2_READ, document(Document::Server)),
        V2Call::Live => (&V2_HEALTH, document(Document::Live)),
        V2Call::Ready => (&V2_HEALTH, document(Document::Ready)),
        V2Call::Index => (&V2_LIST, document(Document::Index)),
        V2Call::AllStatistics => (&V2_READ, document(Document::AllStatistics)),
        V2Call::Repository => (&V2_LIST, Ok(ProtocolCall::NotOffered(pages::NO_REPOSITORY))),
        V2Call::NotOffered => {
            let policy = if *method == Method::POST { &V2_LIST } else { &V2_READ };
            (policy, Ok(ProtocolCall::NotOffered(pages::NOT_OFFERED)))
        }
        V2Call::Unknown => (&V2_READ, Err(RequestError::NotFound)),
        V2Call::Infer { name, version } => {
            let call = choose(http, &name, version).map(|choice| ProtocolCall::Infer {
                choice,
                coding: Coding::Identity,
                json_bytes: None,
            });
            (&V2_INFER, call)
        }
        V2Call::Model { name, version, what } => {
            let policy = if what == What::Ready { &V2_HEALTH } else { &V2_READ };
            let call = choose(http, &name, version);
            let call = call.map(|choice| ProtocolCall::Document(Document::Model { choice, what }));
            (policy, call)
        }
    }
}

/// A method of gRPC. One that is not there is told in gRPC's own form.
fn grpc(path: &str) -> Found {
    let Some(method) = GrpcMethod::of(path) else {
        return (&GRPC_INFER, Err(RequestError::NotFound));
    };
    let policy = match method {
        GrpcMethod::Infer => &GRPC_INFER,
        GrpcMethod::Live | GrpcMethod::Ready | GrpcMethod::ModelReady | GrpcMethod::Health => &GRPC_HEALTH,
        _ => &GRPC_READ,
    };
    (policy, Ok(ProtocolCall::Grpc(GrpcCall::new(method))))
}

/// KServe's first protocol, behind `/v1/models`. What else stands there is our own.
fn v1(http: &HttpShard, rest: &str) -> Option<Found> {
    let rest = match rest {
        "" | "/" => return Some((&V1_READ, Ok(ProtocolCall::Document(Document::Names)))),
        rest => rest.strip_prefix('/')?,
    };
    if rest.contains('/') {
        return None;
    }
    if let Some((name, operation)) = rest.rsplit_once(':') {
        let call = match operation {
            "predict" => decoded(name)
                .ok_or(RequestError::UnknownModel)
                .and_then(|name| choose(http, &name, None))
                .map(|choice| ProtocolCall::Predict {
                    choice,
                    coding: Coding::Identity,
                }),
            "explain" => Err(RequestError::NotOffered(
                "this server explains scores over /v2 (the output contributions) and with explain= of /score",
            )),
            _ => Err(RequestError::NotFound),
        };
        return Some((&V1_PREDICT, call));
    }
    let call = decoded(rest)
        .ok_or(RequestError::UnknownModel)
        .and_then(|name| choose(http, &name, None))
        .map(|choice| ProtocolCall::Document(Document::NameReady(choice)));
    Some((&V1_HEALTH, call))
}

/// A SageMaker endpoint of any name: what follows `/endpoints/`.
fn endpoint(rest: &str) -> Option<Found> {
    let (name, operation) = rest.split_once('/')?;
    let call = match operation {
        _ if name.is_empty() => return None,
        "invocations" => Ok(ProtocolCall::Invoke(InvocationCall {
            is_endpoint: true,
            ..InvocationCall::default()
        })),
        "invocations-response-stream" | "async-invocations" => Err(RequestError::NotOffered(
            "this endpoint answers invocations at once: call invoke_endpoint",
        )),
        _ => Err(RequestError::NotFound),
    };
    Some((&ENDPOINT_INVOKE, call))
}

/// Whether `/invocations` is MLflow's: where the model is a folder of MLflow, or SageMaker is turned off. None where
/// neither is on.
fn speaks_mlflow(http: &HttpShard) -> Option<bool> {
    let protocols = http.setup.protocols;
    let is_folder = http.core.scorer.borrow().champion().folder == Some("MLflow folder");
    match (protocols.sagemaker, protocols.mlflow) {
        (false, false) => None,
        (true, true) => Some(is_folder),
        (_, is_mlflow) => Some(is_mlflow),
    }
}

fn invocations(http: &HttpShard, path: &str) -> Option<Found> {
    let is_mlflow = speaks_mlflow(http)?;
    let [invoke, health, read] = match is_mlflow {
        true => [&MLFLOW_INVOKE, &MLFLOW_HEALTH, &MLFLOW_READ],
        false => [&SAGEMAKER_INVOKE, &SAGEMAKER_HEALTH, &SAGEMAKER_READ],
    };
    let document = |document| Ok(ProtocolCall::Document(document));
    Some(match path {
        "/invocations" => {
            let call = InvocationCall {
                is_mlflow,
                ..InvocationCall::default()
            };
            (invoke, Ok(ProtocolCall::Invoke(call)))
        }
        "/ping" | "/health" => (health, document(Document::Ping)),
        "/version" => (read, document(Document::Version)),
        "/execution-parameters" => (read, document(Document::ExecutionParameters)),
        _ => return None,
    })
}

/// The model of a name, and its version where a path names one.
pub(super) fn choose(http: &HttpShard, name: &str, version: Option<&str>) -> Result<ModelChoice, RequestError> {
    let scorer = http.core.scorer.borrow();
    let selected = version.map_or(Selected::Any, Selected::Version);
    scorer.registry().choose(name, selected).map_err(|error| match error {
        ChoiceError::Unknown => RequestError::UnknownModel,
        ChoiceError::NotLoaded => RequestError::ModelNotLoaded,
    })
}
