//! Which bodies are sent: those of a file, those that fit a model, or those that the server itself describes.

use std::path::Path;

use bytes::Bytes;
use tokio::runtime::{Builder, LocalOptions};

use super::args::LoadArgs;
use crate::check::Depth;
use crate::h1;
use crate::link::{Connection, H2Head, Link, Prepared};
use crate::payload::oracle::Oracle;
use crate::payload::{ID_DIGITS, PayloadError, Pool, leads, synthetic};
use crate::target::{Protocol, Target, Trust};

/// The bodies, and how closely the answers can be looked at.
pub(super) fn pool(load: &LoadArgs, target: &Target, trust: &Trust) -> super::Result<(Pool, Depth)> {
    if load.get {
        return Ok((Pool::default(), Depth::Status));
    }
    if let Some(path) = &load.bodies {
        let pool = Pool::of_lines(&leads::text(path)?, shown(path));
        if pool.bodies.is_empty() {
            return Err(PayloadError::Empty { path: path.clone() }.into());
        }
        return Ok((pool, Depth::Status));
    }
    let mut oracle = load.model.as_deref().map(Oracle::load).transpose()?;
    let (made, source) = match (&load.payload, &oracle) {
        (Some(path), oracle) => {
            let mut read = leads::read(path)?;
            if let Some(oracle) = oracle {
                oracle.keep_known(path, &mut read)?;
            }
            (read, shown(path))
        }
        (None, Some(oracle)) => {
            let fields = synthetic::of_schema(oracle.schema());
            (
                synthetic::leads(&fields, load.leads as usize, load.seed),
                "the model's features".into(),
            )
        }
        (None, None) => {
            let document = openapi(target, trust, load)?;
            let fields = synthetic::of_openapi(&document, target.path())?;
            (
                synthetic::leads(&fields, load.leads as usize, load.seed),
                "/openapi.json".into(),
            )
        }
    };
    let pool = Pool::of_leads(made, oracle.as_mut(), source);
    if pool.refused > 0 {
        eprintln!(
            "{} leads are left out: the model refuses a category of theirs",
            pool.refused
        );
    }
    if pool.bodies.is_empty() {
        return Err("the model refuses every lead for a category that training never saw".into());
    }
    let depth = match (load.status_only, oracle) {
        (true, _) => Depth::Status,
        (false, None) => Depth::Id,
        (false, Some(_)) => Depth::Exact,
    };
    Ok((pool, depth))
}

fn shown(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Asks the server what it takes.
fn openapi(target: &Target, trust: &Trust, load: &LoadArgs) -> super::Result<serde_json::Value> {
    let target = target.beside("/openapi.json", trust)?;
    let failed = |reason: String| PayloadError::OpenApi { reason };
    let credentials = load.credentials()?;
    let credential = credentials.first().and_then(|value| value.to_str().ok());
    let more = credential.map(|value| ("authorization".to_owned(), value.to_owned()));
    let headers: Vec<_> = load.headers.iter().cloned().chain(more).collect();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let (status, body) = runtime.block_on(async {
        let mut link = Link::new(&target, 1, &std::rc::Rc::new(Connection::default()));
        let fault = |fault: crate::link::Fault| failed(fault.to_string());
        link.open(&target).await.map_err(fault)?;
        let bytes = match target.protocol {
            Protocol::H1 => h1::request("GET", target.path(), target.host(), &headers, None),
            Protocol::H2 => Vec::new(),
        };
        let mut request = http::Request::get(target.url.clone());
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| failed(error.to_string()))?;
        let prepared = Prepared {
            bytes,
            id_at: None,
            credential: None,
        };
        let answer = link
            .exchange(&prepared, &H2Head { request }, &[b'0'; ID_DIGITS])
            .await
            .map_err(fault)?;
        Ok::<_, PayloadError>((answer.status, Bytes::copy_from_slice(answer.body)))
    })?;
    if status != 200 {
        return Err(failed(format!("the server answers {status}")).into());
    }
    Ok(serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?)
}
