//! hyper as its own documentation shows it, on one thread: what the static responder is held against, so that it cannot
//! be slow by accident. Reads each request's body and answers the same number of bytes.
//!
//! ```text
//! cargo run --release --example bare_hyper [ADDRESS]
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};

const ANSWER: &[u8] = b"{\"lead_id\":\"lead-000000000000\",\"score\":5,\"probability\":0.16741915047168732,\"model\":\
{\"name\":\"demo\",\"version\":\"1.0.0\"},\"request_id\":\"01a20e7f-6d99-7c39-8063-0f4bf4172e43\",\"latency_us\":\
{\"parse\":1.082,\"score\":0.705,\"total\":2.061}}";

struct Fixed(Option<Bytes>);

impl Body for Fixed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Fixed>, hyper::Error> {
    let mut body = request.into_body();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        std::hint::black_box(frame?);
    }
    let response = Response::builder()
        .header(
            "server-timing",
            "parse;dur=0.001082, score;dur=0.000705, total;dur=0.002061",
        )
        .header("content-type", "application/json")
        .header("cache-control", "no-store")
        .header("x-request-id", "01a20e7f-6d99-7c39-8063-0f4bf4172e43")
        .body(Fixed(Some(Bytes::from_static(ANSWER))));
    Ok(response.expect("the headers are constants that are right"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let runtime = Builder::new_current_thread()
        .enable_io()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        eprintln!("listening on {}", listener.local_addr()?);
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            drop(tokio::task::spawn_local(async move {
                // A client that goes away ends its connection and nothing else.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service_fn(answer))
                    .await;
            }));
        }
    })
}
