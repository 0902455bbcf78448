//! HTTP between hyper and scoring: routes, bodies, errors. Knows requests; knows neither sockets nor threads.
//!
//! ```text
//! hyper ─▶ service ─▶ routes::respond ─┬─ GET  /healthz /readyz /metrics      fixed or shared bytes
//!                                      ├─ GET  / /docs /openapi.json /v1/…      pages
//!                                      ├─ POST /score ─▶ body::collect ─▶ Scorer::score ─▶ answer
//!                                      └─ POST /score/batch ─▶ batch::open ─▶ Answering: Scorer::slice, again and again
//! ```

pub mod batch;
pub mod body;
#[cfg(debug_assertions)]
mod debug;
pub mod error;
#[cfg(feature = "static-answer")]
mod fixed;
mod inflate;
pub mod pages;
mod request_id;
pub(crate) mod response;
mod routes;
mod trace;

use std::convert::Infallible;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};

use crate::shard::ShardCore;
use crate::shard::watch::Watch;
use body::Outgoing;
#[cfg(feature = "static-answer")]
use fixed::respond;
#[cfg(not(feature = "static-answer"))]
use routes::respond;

/// What hyper calls for each request of a connection. The future is hyper's to keep: no box a request.
pub(crate) fn service(
    core: Rc<ShardCore>,
    watch: Rc<Watch>,
) -> impl hyper::service::HttpService<Incoming, ResBody = Outgoing, Error = Infallible, Future: 'static> {
    service_fn(move |request: Request<Incoming>| {
        let (core, watch) = (Rc::clone(&core), Rc::clone(&watch));
        async move { Ok::<Response<Outgoing>, Infallible>(respond(&core, &watch, request).await) }
    })
}
