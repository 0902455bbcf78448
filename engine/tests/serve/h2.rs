//! HTTP/2 with prior knowledge, with the `h2` crate as the client.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, StatusCode};
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::batch::list;
use crate::harness::{Launch, PATIENCE};
use crate::on_both;
use crate::score::lead;

/// Runs a client against a port; the connection is driven beside it.
fn client<F: Future>(port: u16, run: impl FnOnce(SendRequest<Bytes>) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let socket = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("the server listens");
        let (sender, connection) = h2::client::handshake(socket).await.expect("an h2 handshake");
        tokio::spawn(connection);
        tokio::time::timeout(PATIENCE, run(sender))
            .await
            .expect("an answer in time")
    })
}

async fn post(sender: &SendRequest<Bytes>, path: &str, body: String) -> (StatusCode, Bytes) {
    let mut sender = sender.clone().ready().await.expect("the connection is open");
    let request = Request::post(format!("http://q{path}")).body(()).expect("a request");
    let (response, mut stream) = sender.send_request(request, false).expect("a stream");
    // The library holds back what the window has no room for.
    stream.send_data(body.into(), true).expect("the stream is open");
    let (head, mut body) = response.await.expect("an answer").into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    (head.status, bytes.into())
}

fn streams_of_one_connection(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    client(server.port, async |sender| {
        let mut set = tokio::task::JoinSet::new();
        for number in 0..100 {
            let sender = sender.clone();
            set.spawn(async move { (number, post(&sender, "/score", lead(number)).await) });
        }
        while let Some(done) = set.join_next().await {
            let (number, (status, body)) = done.expect("a task");
            assert_eq!(status, StatusCode::OK);
            let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(json["lead_id"], format!("lead-{number}"));
        }
        assert_eq!(
            post(&sender, "/score", "{}".into()).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
        assert_eq!(
            post(&sender, "/debug/panic", "{}".into()).await.0,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        assert_eq!(
            post(&sender, "/score", lead(1)).await.0,
            StatusCode::OK,
            "a stream's panic is its own"
        );
    });
}

fn drain_lets_streams_finish(runtime: &str) {
    let mut server = Launch::new(runtime).no_sink().start();
    let (port, signal) = (server.port, || server.signal(Signal::TERM));
    client(port, async |sender| {
        let mut sender = sender.ready().await.expect("the connection is open");
        let request = Request::post("http://q/score").body(()).expect("a request");
        let (response, mut stream) = sender.send_request(request, false).expect("a stream");
        let body = lead(1);
        let (first, rest) = body.split_at(20);
        stream
            .send_data(first.to_owned().into(), false)
            .expect("room in the window");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        signal();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        stream
            .send_data(rest.to_owned().into(), true)
            .expect("the stream is open");
        assert_eq!(response.await.expect("an answer").status(), StatusCode::OK);
    });
    assert_eq!(server.wait(), 0, "{}", server.log());
}

fn batches_are_streams_too(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let all: Vec<String> = (0..2000).map(lead).collect();
    client(server.port, async |sender| {
        let mut set = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (sender, body) = (sender.clone(), list(&all));
            set.spawn(async move { post(&sender, "/score/batch", body).await });
        }
        while let Some(done) = set.join_next().await {
            let (status, body) = done.expect("a task");
            assert_eq!(status, StatusCode::OK);
            let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!((&json["scored"], &json["failed"]), (&2000.into(), &0.into()));
        }
    });
}

/// A stream whose window stays shut blocks no socket, so no write to it is ever late; its batch has a limit
/// nevertheless.
fn a_batch_that_is_not_read_is_cut_off(runtime: &str) {
    let server = Launch::new(runtime).no_sink().set("LIMITS__WRITE_MS", "600").start();
    client(server.port, async |sender| {
        let mut sender = sender.ready().await.expect("the connection is open");
        let request = Request::post("http://q/score/batch").header("content-type", "application/x-ndjson");
        let (response, mut stream) = sender
            .send_request(request.body(()).expect("a request"), false)
            .expect("a stream");
        stream
            .send_data("x\n".repeat(9000).into(), true)
            .expect("room in the window");
        let mut body = response.await.expect("an answer").into_body();
        let mut got = 0;
        // Read, but never given back to the window.
        while let Some(Ok(data)) = body.data().await {
            got += data.len();
        }
        assert!(got < 9000 * 100, "{got} bytes came through a window of 64 KiB");
        // In frames so large that the client does not take them for an attack.
        assert!(got > 60_000, "{got} bytes came before the window was full");
    });
    server.await_metric("quintile_timeouts_total{phase=\"write\"}", |count| count >= 1.0);
    assert_eq!(server.connect().post("/score/batch", "{\"leads\":[]}").status, 200);
}

on_both!(
    streams_of_one_connection,
    drain_lets_streams_finish,
    batches_are_streams_too,
    a_batch_that_is_not_read_is_cut_off,
);
