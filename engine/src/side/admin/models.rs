//! What operators ask of models: `/v1/models` in our words, `/v2/repository` in Triton's.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::{Answer, answer, refused};
use crate::media_type::JSON;
use crate::models::{Command, ModelsHandle, Refusal, is_name};
use crate::side::shadow::ShadowReports;

/// Bytes of a body: the largest sets some aliases.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What the models' part of the admin listener works with.
#[derive(Debug, Clone)]
pub(in crate::side) struct AdminModels {
    pub(in crate::side) handle: ModelsHandle,
    pub(in crate::side) reports: Arc<ShadowReports>,
}

impl AdminModels {
    /// What the page about models shows: the overview, and the reports of shadows by the model's name.
    pub(in crate::side) fn told(&self) -> Value {
        let mut told = Value::clone(&self.handle.overview());
        let names: Vec<String> = told["models"]
            .as_array()
            .map(|models| {
                models
                    .iter()
                    .filter_map(|model| Some(model["name"].as_str()?.to_owned()))
                    .collect()
            })
            .unwrap_or_default();
        let reports = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.reports.of(&name)?)));
        told["shadows"] = Value::Object(reports.collect());
        told
    }
}

/// Whether a path is one of these.
pub(super) fn is_it(path: &str) -> bool {
    path == "/v1/models" || path.starts_with("/v1/models/") || path.starts_with("/v2/repository/")
}

/// Answers a request for such a path.
pub(super) async fn respond(models: Option<&AdminModels>, method: &Method, path: &str, body: Incoming) -> Answer {
    let Some(models) = models else {
        let message = "one model is served, from model.path: set models.store to serve several and to change them";
        return refused(StatusCode::NOT_FOUND, "no_store", message);
    };
    if path == "/v1/models" {
        return match *method {
            Method::GET => json_answer(&models.handle.overview()),
            _ => wrong_method("GET"),
        };
    }
    if path == "/v2/repository/index" {
        return match *method {
            Method::POST => json_answer(&index(&models.handle.overview())),
            _ => wrong_method("POST"),
        };
    }
    let (rest, is_triton) = match path.strip_prefix("/v2/repository/models/") {
        Some(rest) => (rest, true),
        None => (path.strip_prefix("/v1/models/").unwrap_or_default(), false),
    };
    let (name, action) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_name(name) {
        return refused(
            StatusCode::NOT_FOUND,
            "not_found",
            "no such path; GET / lists those there are",
        );
    }
    let wanted = match (action, is_triton) {
        ("load" | "unload", _) | ("rollback", false) => Method::POST,
        ("aliases" | "split", false) => Method::PUT,
        ("shadow", false) if *method == Method::GET => return shadow_report(models, name),
        ("shadow", false) => Method::PUT,
        ("", false) => Method::GET,
        _ => {
            return refused(
                StatusCode::NOT_FOUND,
                "not_found",
                "no such path; GET / lists those there are",
            );
        }
    };
    if *method != wanted {
        return wrong_method(if action == "shadow" {
            "GET, PUT"
        } else {
            wanted.as_str()
        });
    }
    if action.is_empty() {
        return model_answer(models, name);
    }
    let command = match read(body).await {
        Ok(body) => command(name, action, is_triton, body),
        Err(message) => Err(message),
    };
    let command = match command {
        Ok(command) => command,
        Err(message) => return unfit(422, "invalid_request", &message),
    };
    match models.handle.ask(command).await {
        Ok(()) if is_triton => answer(StatusCode::OK, JSON, Bytes::new()),
        Ok(()) => model_answer(models, name),
        Err(Refusal { status, code, reason }) => unfit(status, code, &reason),
    }
}

/// What a body asks for.
fn command(name: &str, action: &str, is_triton: bool, body: Value) -> Result<Command, String> {
    let name = name.to_owned();
    let version = || match body.get("version") {
        _ if is_triton => Ok(None),
        None | Some(Value::Null) => Ok(None),
        Some(version) => version_of(version).map(Some),
    };
    Ok(match action {
        "load" => Command::Load {
            version: version()?,
            name,
        },
        "unload" => Command::Unload {
            version: version()?,
            name,
        },
        "rollback" => Command::RollBack { name },
        "aliases" => Command::Aliases {
            name,
            aliases: aliases(&body)?,
        },
        "split" => Command::Split {
            name,
            shares: shares(&body)?,
        },
        _ => Command::Shadow {
            name,
            shadow: shadow(&body)?,
        },
    })
}

/// A version: a text, or a whole number.
fn version_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) if number.is_u64() => Ok(number.to_string()),
        _ => Err("version is a whole number in quotes, as \"2\"".into()),
    }
}

fn object(body: &Value) -> Result<&Map<String, Value>, String> {
    body.as_object().ok_or_else(|| "the body is a JSON object".into())
}

fn aliases(body: &Value) -> Result<BTreeMap<String, Option<String>>, String> {
    let alias = |(alias, version): (&String, &Value)| match version {
        Value::Null => Ok((alias.clone(), None)),
        version => Ok((alias.clone(), Some(version_of(version)?))),
    };
    object(body)?.iter().map(alias).collect()
}

fn shares(body: &Value) -> Result<Vec<(String, f64)>, String> {
    let share = |(alias, percent): (&String, &Value)| match percent.as_f64() {
        Some(percent) => Ok((alias.clone(), percent)),
        None => Err(format!("the share of {alias} is a number of percent, as 10")),
    };
    object(body)?.iter().map(share).collect()
}

fn shadow(body: &Value) -> Result<Option<(String, f64)>, String> {
    if body.is_null() {
        return Ok(None);
    }
    let version = object(body)?
        .get("version")
        .ok_or("version is missing: {\"version\":\"2\",\"share\":1.0}")?;
    let share = match body.get("share") {
        None => 1.0,
        Some(share) => share.as_f64().ok_or("share is a number above 0 and up to 1")?,
    };
    Ok(Some((version_of(version)?, share)))
}

/// A body's JSON; an empty object where there is none.
async fn read(body: Incoming) -> Result<Value, String> {
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = collected
        .map_err(|error| format!("the body cannot be read: {error}"))?
        .to_bytes();
    if bytes.trim_ascii().is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("the body is not JSON: {error}"))
}

fn json_answer(value: &Value) -> Answer {
    answer(StatusCode::OK, JSON, value.to_string())
}

/// What is told of one model.
fn model_answer(models: &AdminModels, name: &str) -> Answer {
    let overview = models.handle.overview();
    let all = overview["models"].as_array().map_or(&[][..], Vec::as_slice);
    match all.iter().find(|model| model["name"] == name) {
        Some(model) => json_answer(model),
        None => unfit(404, "unknown_model", &format!("the store has no model {name:?}")),
    }
}

fn shadow_report(models: &AdminModels, name: &str) -> Answer {
    match models.reports.of(name) {
        Some(report) => json_answer(&report),
        None => unfit(
            404,
            "no_shadow",
            &format!("{name} has no shadow: PUT /v1/models/{name}/shadow sets one"),
        ),
    }
}

/// As the other faults, with the reason once more for clients that look for it.
fn unfit(status: u16, code: &str, reason: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"error": {"code": code, "message": reason}, "reason": reason});
    answer(status, JSON, body.to_string())
}

fn wrong_method(allow: &str) -> Answer {
    let message = format!("this path takes {allow}");
    let mut answer = refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
    if let Ok(allow) = HeaderValue::from_str(allow) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// As Triton's repository index says it.
fn index(overview: &Value) -> Value {
    let all = overview["models"].as_array().map_or(&[][..], Vec::as_slice);
    let entries = all.iter().flat_map(|model| {
        let versions = model["versions"].as_array().map_or(&[][..], Vec::as_slice);
        versions.iter().map(|version| {
            let state = match version["state"].as_str() {
                Some("ready") => "READY",
                Some("loading") => "LOADING",
                _ => "UNAVAILABLE",
            };
            let reason = match version["state"].as_str() {
                Some("unloaded") => "unloaded",
                _ => version["reason"].as_str().unwrap_or_default(),
            };
            json!({"name": model["name"], "version": version["version"], "state": state, "reason": reason})
        })
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_become_commands_or_are_told_what_is_accepted() {
        let of = |action: &str, body: Value| command("leads", action, false, body);
        let name = || "leads".to_owned();
        assert_eq!(
            of("load", json!({"version": 2})),
            Ok(Command::Load {
                name: name(),
                version: Some("2".into())
            })
        );
        assert_eq!(
            of("unload", json!({})),
            Ok(Command::Unload {
                name: name(),
                version: None
            })
        );
        assert_eq!(
            of("shadow", json!({"version": "2"})),
            Ok(Command::Shadow {
                name: name(),
                shadow: Some(("2".into(), 1.0))
            })
        );
        assert_eq!(
            of("shadow", Value::Null),
            Ok(Command::Shadow {
                name: name(),
                shadow: None
            })
        );
        let split = of("split", json!({"challenger": 10}));
        assert_eq!(
            split,
            Ok(Command::Split {
                name: name(),
                shares: vec![("challenger".into(), 10.0)]
            })
        );
        for (action, body) in [
            ("load", json!({"version": 1.5})),
            ("aliases", json!(["champion"])),
            ("aliases", json!({"champion": {}})),
            ("split", json!({"challenger": "10"})),
            ("shadow", json!({"share": 1.0})),
            ("shadow", json!({"version": "2", "share": "all"})),
        ] {
            assert!(of(action, body.clone()).is_err(), "{action} {body}");
        }
    }

    #[test]
    fn the_index_has_tritons_words() {
        let overview = json!({"models": [{"name": "leads", "versions": [
            {"version": "1", "state": "ready", "reason": null},
            {"version": "2", "state": "failed", "reason": "why"},
            {"version": "3", "state": "unloaded", "reason": null},
        ]}]});
        let states: Vec<_> = index(&overview)
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| entry["state"].clone())
            .collect();
        assert_eq!(states, ["READY", "UNAVAILABLE", "UNAVAILABLE"]);
        assert_eq!(index(&overview)[1]["reason"], "why");
    }
}
