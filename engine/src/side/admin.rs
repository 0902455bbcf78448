//! The operators' listener: separate from the server's, and on loopback by default.
//!
//! ```text
//!  GET /debug/flamegraph?seconds=10&hertz=99&format=svg&inlined=no   what the threads did in that time (`profile`)
//!  GET /healthz, /readyz                                             as on the server's port, for where that asks for certificates
//!  /v1/models, /v2/repository                                        models of a store: what is served, and changes of it
//! ```
//! It runs on side's thread and answers over HTTP/1.1. A recording has a thread of its own, so side continues. No shard
//! knows about it.

mod guard;
mod models;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use quintile_scoring::render;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

pub(super) use self::models::AdminModels;
use super::counts::Stop;
use crate::auth::SharedAccess;
use crate::media_type::{JSON, TEXT};
use crate::profile::{self, ProfileError};
use crate::telemetry::SecurityGauges;
use crate::topology;

/// Connections at once. Further ones wait.
const CONNECTIONS_MAX: usize = 16;

/// A recording's length, if none is asked for, and at most.
const SECONDS: u64 = 10;
const SECONDS_MAX: u64 = 60;

/// How often it is looked whether the end has come.
const TICK: Duration = Duration::from_millis(100);

/// A client that takes longer for a request's head is not one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

const INDEX: &str = "GET /debug/flamegraph?seconds=10&hertz=99&format=svg&inlined=no    what this process does, drawn; format=folded for \
     programs; inlined=yes for functions that were inlined, which takes 300 MB\n\
     GET  /healthz, /readyz                   as on the server's port\n\
     GET  /v1/models                          the models of the store: versions, aliases, splits, shadows, memory\n\
     POST /v1/models/NAME/load, /unload       {\"version\":\"2\"}\n\
     PUT  /v1/models/NAME/aliases             {\"champion\":\"2\",\"challenger\":\"3\"}\n\
     POST /v1/models/NAME/rollback            the champion of before answers again\n\
     PUT  /v1/models/NAME/split               {\"challenger\":10}: percent of the leads; {} ends it\n\
     PUT  /v1/models/NAME/shadow              {\"version\":\"2\",\"share\":1.0}; null ends it; GET: what it has come to\n\
     POST /v2/repository/index, /v2/repository/models/NAME/load, /unload    the same in Triton's words\n";

const SVG: HeaderValue = HeaderValue::from_static("image/svg+xml");

/// What operators ask about.
#[derive(Clone)]
pub(super) struct Admin {
    /// The models of a store, if they come from one.
    pub(super) models: Option<AdminModels>,
    /// Whether the process wants traffic.
    pub(super) ready: Arc<AtomicBool>,
    /// Who may ask.
    pub(super) access: Arc<SharedAccess>,
    pub(super) security: Arc<SecurityGauges>,
}

impl Admin {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && self.access.has_keys()
    }
}

/// Answers until the end. To be called within side's runtime.
pub(super) async fn serve(listener: std::net::TcpListener, admin: Admin, stop: &Stop) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin listener cannot be used");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accepting = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((socket, _)) => {
                    let admin = admin.clone();
                    drop(tokio::task::spawn_local(async move {
                        converse(socket, &admin).await;
                        drop(place);
                    }));
                }
                // Out of descriptors, or the peer has gone again.
                Err(_) => tokio::time::sleep(TICK).await,
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = ended(stop) => {}
    }
}

async fn ended(stop: &Stop) {
    while !stop.is_set() {
        tokio::time::sleep(TICK).await;
    }
}

async fn converse(socket: TcpStream, admin: &Admin) {
    let service = hyper::service::service_fn(|request| async { Ok::<_, Infallible>(respond(admin, request).await) });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "admin connection");
    }
}

type Answer = Response<Full<Bytes>>;

async fn respond(admin: &Admin, request: Request<Incoming>) -> Answer {
    if let Some(refused) = guard::refusal(admin, &request) {
        return refused;
    }
    if models::is_it(request.uri().path()) {
        let (head, body) = request.into_parts();
        return models::respond(admin.models.as_ref(), &head.method, head.uri.path(), body).await;
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if !matches!(path, "/" | "/debug/flamegraph" | "/healthz" | "/readyz") {
        let message = "no such path; GET / lists those there are";
        return refused(StatusCode::NOT_FOUND, "not_found", message);
    }
    if request.method() != Method::GET {
        let mut answer = refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path takes GET",
        );
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return answer;
    }
    match path {
        "/" => return answer(StatusCode::OK, TEXT, INDEX),
        "/healthz" => return answer(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if admin.is_ready() => return answer(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" => return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        _ => {}
    }
    match Wanted::parse(query) {
        Ok(wanted) => flamegraph(wanted).await,
        Err(message) => refused(StatusCode::BAD_REQUEST, "bad_query", &message),
    }
}

fn answer(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// As faults look on the other port.
fn refused(status: StatusCode, code: &str, message: &str) -> Answer {
    let mut body = Vec::new();
    render::error(&mut body, code, Some(message), None);
    answer(status, JSON, body)
}

/// The options of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    seconds: u64,
    hertz: u32,
    is_folded: bool,
    is_inlined: bool,
}

impl Wanted {
    /// Out of a query: names and values that need no escapes.
    fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Self {
            seconds: SECONDS,
            hertz: profile::HERTZ,
            is_folded: false,
            is_inlined: false,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = |max: u64| match value.parse() {
                Ok(number) if (1..=max).contains(&number) => Ok(number),
                _ => Err(format!("{name} is a whole number from 1 to {max}")),
            };
            match name {
                "seconds" => wanted.seconds = number(SECONDS_MAX)?,
                "hertz" => wanted.hertz = u32::try_from(number(profile::HERTZ_MAX.into())?).unwrap_or(profile::HERTZ),
                "inlined" if matches!(value, "yes" | "no") => wanted.is_inlined = value == "yes",
                "inlined" => return Err("inlined is yes or no".into()),
                "format" if matches!(value, "svg" | "folded") => wanted.is_folded = value == "folded",
                "format" => return Err("format is svg or folded".into()),
                _ => return Err("the query takes seconds, hertz, format and inlined".into()),
            }
        }
        Ok(wanted)
    }
}

/// Shows that a client waits. When the connection ends, so does the recording.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn flamegraph(wanted: Wanted) -> Answer {
    let (done, answer) = oneshot::channel();
    let is_abandoned = Arc::new(AtomicBool::new(false));
    let _waiting = Waiting(Arc::clone(&is_abandoned));
    let thread = std::thread::Builder::new().name("profile".into());
    let spawned = thread.spawn(move || {
        topology::yield_to_shards();
        // The client may have gone.
        let _ = done.send(drawn(wanted, || is_abandoned.load(Ordering::Relaxed)));
    });
    if let Err(error) = spawned {
        let message = format!("start the profile thread: {error}");
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "no_profile", &message);
    }
    let broken = "the profile thread panicked";
    answer
        .await
        .unwrap_or_else(|_| refused(StatusCode::INTERNAL_SERVER_ERROR, "no_profile", broken))
}

fn drawn(wanted: Wanted, is_abandoned: impl Fn() -> bool) -> Answer {
    let length = Duration::from_secs(wanted.seconds);
    let recording = match profile::record(length, wanted.hertz, &is_abandoned) {
        Ok(recording) => recording,
        Err(error @ ProfileError::Busy) => {
            return refused(StatusCode::CONFLICT, "already_recording", &error.to_string());
        }
        Err(error) => return refused(StatusCode::INTERNAL_SERVER_ERROR, "no_profile", &error.to_string()),
    };
    tracing::info!("flame graph: {}", profile::told(&recording));
    if is_abandoned() {
        // The client has gone, and the next step is the expensive one.
        return refused(StatusCode::REQUEST_TIMEOUT, "nobody_waits", "the connection has ended");
    }
    let lines = profile::folded(&recording, wanted.is_inlined);
    if wanted.is_folded {
        let text = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
        return answer(StatusCode::OK, TEXT, text);
    }
    match profile::svg(
        &recording,
        &lines,
        concat!("quintile ", env!("CARGO_PKG_VERSION"), " (", env!("BUILD_COMMIT"), ")"),
    ) {
        Ok(picture) => answer(StatusCode::OK, SVG, picture),
        Err(error) => {
            let message = format!("draw {} samples: {error}", recording.samples);
            refused(StatusCode::INTERNAL_SERVER_ERROR, "no_profile", &message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_have_four_names() {
        let wanted = |seconds, hertz, is_folded| {
            Ok(Wanted {
                seconds,
                hertz,
                is_folded,
                is_inlined: false,
            })
        };
        assert_eq!(Wanted::parse(""), wanted(10, 99, false));
        assert_eq!(
            Wanted::parse("seconds=60&hertz=199&format=folded"),
            wanted(60, 199, true)
        );
        assert_eq!(Wanted::parse("&format=svg&"), wanted(10, 99, false));
        for (query, told) in [
            ("seconds=0", "seconds is a whole number from 1 to 60"),
            ("seconds=61", "seconds is a whole number from 1 to 60"),
            ("seconds=1.5", "seconds is a whole number from 1 to 60"),
            ("hertz=200", "hertz is a whole number from 1 to 199"),
            ("hertz", "hertz is a whole number from 1 to 199"),
            ("format=png", "format is svg or folded"),
            ("inlined=1", "inlined is yes or no"),
            ("second=1", "the query takes seconds, hertz, format and inlined"),
        ] {
            assert_eq!(Wanted::parse(query), Err(told.to_owned()), "{query}");
        }
    }
}
