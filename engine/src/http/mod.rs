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
pub mod connection;
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

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::TcpStream;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use slab::Slab;

use crate::runtime::Backend;
use crate::shard::{ServeSockets, ShardCore};
use body::Outgoing;
use connection::deadlines::Watch;
#[cfg(feature = "static-answer")]
use fixed::respond;
use pages::Files;
#[cfg(not(feature = "static-answer"))]
use routes::respond;

/// Connections that are made room for at start; the list grows beyond them.
const CONNECTIONS: usize = 2048;

/// HTTP on one shard: what all of its connections share.
#[derive(Debug)]
pub struct HttpShard {
    core: Rc<ShardCore>,
    /// The files of the pages; none when they are turned off.
    files: Option<Arc<Files>>,
    /// The open connections, for a drain.
    connections: RefCell<Slab<Weak<Watch>>>,
}

impl HttpShard {
    /// HTTP on the shard of this core.
    #[must_use]
    pub fn new(core: Rc<ShardCore>, files: Option<Arc<Files>>) -> Rc<Self> {
        Rc::new(Self {
            core,
            files,
            connections: RefCell::new(Slab::with_capacity(CONNECTIONS)),
        })
    }
}

impl ServeSockets for Rc<HttpShard> {
    fn open<B: Backend>(&self, socket: TcpStream) {
        connection::open::<B>(self, socket);
    }

    fn drain(&self) {
        let connections = self.connections.borrow();
        let open: Vec<_> = connections.iter().filter_map(|(_, watch)| watch.upgrade()).collect();
        drop(connections);
        for watch in open {
            watch.drain();
        }
    }
}

/// What hyper calls for each request of a connection. The future is hyper's to keep: no box a request.
fn service(
    http: Rc<HttpShard>,
    watch: Rc<Watch>,
) -> impl hyper::service::HttpService<Incoming, ResBody = Outgoing, Error = Infallible, Future: 'static> {
    service_fn(move |request: Request<Incoming>| {
        let (http, watch) = (Rc::clone(&http), Rc::clone(&watch));
        async move { Ok::<Response<Outgoing>, Infallible>(respond(&http, &watch, request).await) }
    })
}
