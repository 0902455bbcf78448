//! HTTP between hyper and scoring: routes, bodies, errors. Knows requests; knows neither sockets nor threads.
//!
//! ```text
//! hyper ─▶ service ─▶ routes::respond ─┬─ GET  /healthz /readyz /metrics      fixed or shared bytes
//!                                      ├─ GET  / /docs /openapi.json /v1/…      pages
//!                                      ├─ POST /score ─▶ body::collect ─▶ Scorer::score ─▶ answer
//!                                      └─ POST /score/batch ─▶ batch::open ─▶ BatchResponse: Scorer::slice, repeated
//! ```

mod admit;
mod authenticate;
pub mod batch;
pub mod body;
pub mod client_address;
pub mod connection;
pub mod cross_origin;
#[cfg(debug_assertions)]
mod debug;
pub mod error;
mod explain;
mod framing;
mod inflate;
mod long_lead;
mod model_path;
pub mod pages;
mod protocols;
mod request_id;
pub(crate) mod response;
pub mod response_body;
mod routes;
#[cfg(feature = "static-answer")]
mod static_answer;
mod target;
mod trace;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::{IpAddr, TcpStream};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use ::http::HeaderMap;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use slab::Slab;

use crate::protocol::Protocols;
use crate::runtime::Backend;
use crate::shard::{ServeSockets, ShardCore};
use crate::telemetry::Admission;
use client_address::TrustedProxies;
use connection::deadlines::ConnectionDeadlines;
use cross_origin::CrossOrigin;
use pages::Files;
use protocols::ProtocolMemory;
use response_body::ResponseBody;
#[cfg(not(feature = "static-answer"))]
use routes::respond;
#[cfg(feature = "static-answer")]
use static_answer::respond;

/// Connections that are made room for at start; the list grows beyond them.
const CONNECTIONS: usize = 2048;

/// What HTTP is given by the configuration, the same for all shards.
#[derive(Debug, Clone)]
pub struct HttpSetup {
    /// The files of the pages; none when they are turned off.
    pub files: Option<Arc<Files>>,
    /// Whose pages may call from other origins; none when no origin may.
    pub cross_origin: Option<Arc<CrossOrigin>>,
    /// Proxies that say whose a request is; none when none is trusted.
    pub trusted_proxies: Option<Arc<TrustedProxies>>,
    /// Whether every connection begins with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Which protocols of other servers are answered.
    pub protocols: Protocols,
}

/// HTTP on one shard: what all of its connections share.
#[derive(Debug)]
pub struct HttpShard {
    core: Rc<ShardCore>,
    setup: HttpSetup,
    /// The open connections, for a drain.
    connections: RefCell<Slab<Weak<ConnectionDeadlines>>>,
    /// The second of the last line about a connection without the PROXY protocol, plus one.
    unproxied_line: Cell<u64>,
    /// Memory for requests of other protocols.
    memory: ProtocolMemory,
}

impl HttpShard {
    /// HTTP on the shard of this core.
    #[must_use]
    pub fn new(core: Rc<ShardCore>, setup: HttpSetup) -> Rc<Self> {
        Rc::new(Self {
            core,
            setup,
            connections: RefCell::new(Slab::with_capacity(CONNECTIONS)),
            unproxied_line: Cell::new(0),
            memory: ProtocolMemory::default(),
        })
    }

    fn files(&self) -> Option<&Files> {
        self.setup.files.as_deref()
    }

    /// Whose a request is, where a proxy is trusted to say so; for log lines and nothing else.
    fn forwarded_for(&self, watch: &ConnectionDeadlines, headers: &HeaderMap) -> Option<IpAddr> {
        let trusted = self.setup.trusted_proxies.as_deref()?;
        Some(trusted.client(watch.peer()?, headers))
    }

    #[inline]
    fn cross_origin(&self) -> Option<&CrossOrigin> {
        self.setup.cross_origin.as_deref()
    }
}

impl ServeSockets for Rc<HttpShard> {
    fn open<B: Backend>(&self, socket: TcpStream, admission: Admission) {
        connection::open::<B>(self, socket, admission);
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
    watch: Rc<ConnectionDeadlines>,
) -> impl hyper::service::HttpService<Incoming, ResBody = ResponseBody, Error = Infallible, Future: 'static> {
    service_fn(move |request: Request<Incoming>| {
        let (http, watch) = (Rc::clone(&http), Rc::clone(&watch));
        async move { Ok::<Response<ResponseBody>, Infallible>(respond(&http, &watch, request).await) }
    })
}
