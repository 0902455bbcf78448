//! What RFC 9112 demands of a request's framing, `OPTIONS`, and calls from pages of other origins.

use crate::client::{Answer, End};
use crate::harness::{Launch, Server};
use crate::on_both;
use crate::score::lead;

/// Sends bytes on a connection of their own; the answer, and whether the connection was closed behind it.
fn said(server: &Server, bytes: &str) -> (Answer, bool) {
    let mut connection = server.connect();
    connection.send(bytes);
    let answer = connection.answer();
    // A second request is answered only where the connection goes on.
    connection.half_close();
    let closes = answer.header("connection") == Some("close");
    assert_eq!(connection.end(), End::Closed, "after {bytes:?}");
    (answer, closes)
}

fn a_request_has_one_host(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    for (headers, status) in [
        ("host: q\r\n", 200),
        ("Host:\r\n", 200),
        ("host: 127.0.0.1:8080\r\n", 200),
        ("host: [::1]:8080\r\n", 200),
        ("", 400),
        ("host: a\r\nhost: b\r\n", 400),
        ("host: a\r\nhost: a\r\n", 400),
        ("host: a b\r\n", 400),
        ("host: a/b\r\n", 400),
        ("host: u@a\r\n", 400),
    ] {
        for path in ["/healthz", "/", "/nowhere"] {
            let expected = if status == 200 && path == "/nowhere" {
                404
            } else {
                status
            };
            let (answer, closes) = said(&server, &format!("GET {path} HTTP/1.1\r\n{headers}\r\n"));
            assert_eq!(answer.status, expected, "{headers:?} {path}");
            assert_eq!(closes, status == 400, "{headers:?} {path}");
            if status == 400 {
                assert_eq!(answer.json()["error"]["code"], "bad_host");
            }
        }
    }
    let (answer, _) = said(&server, "GET http://q/healthz HTTP/1.1\r\nhost: q\r\n\r\n");
    assert_eq!(answer.status, 200, "the absolute form");
    let (answer, _) = said(&server, "GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200, "HTTP/1.0 needs no host");
}

fn a_body_is_chunked_and_nothing_else(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let lead = lead(1);
    let chunks = format!("{:x}\r\n{lead}\r\n0\r\n\r\n", lead.len());
    let post = |headers: &str, body: &str| {
        said(
            &server,
            &format!("POST /score HTTP/1.1\r\nhost: q\r\n{headers}\r\n{body}"),
        )
    };
    for headers in ["transfer-encoding: chunked\r\n", "Transfer-Encoding: CHUNKED\r\n"] {
        let (answer, closes) = post(headers, &chunks);
        assert_eq!((answer.status, closes), (200, false), "{headers:?}");
    }
    for headers in [
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity, chunked\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: chunked;x=1\r\n",
        "transfer-encoding: \r\n",
        "transfer-encoding: xchunked\r\n",
    ] {
        let (answer, closes) = post(headers, &chunks);
        assert!(matches!(answer.status, 400 | 501), "{headers:?}: {}", answer.status);
        assert!(closes, "{headers:?}");
    }
    for headers in [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", lead.len()),
        format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", lead.len()),
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n".to_owned(),
    ] {
        let mut connection = server.connect();
        connection.send(format!("POST /score HTTP/1.1\r\nhost: q\r\n{headers}\r\n{chunks}"));
        connection.send("GET /healthz HTTP/1.1\r\nhost: q\r\n\r\n");
        assert!(matches!(connection.answer().status, 200 | 400), "{headers:?}");
        assert!(
            connection.try_answer().is_err(),
            "{headers:?}: a second request on this connection may be smuggled"
        );
    }
}

fn options_says_what_a_path_takes(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        for (path, allow) in [
            ("/", "GET, HEAD, OPTIONS"),
            ("/healthz", "GET, HEAD, OPTIONS"),
            ("/metrics", "GET, HEAD, OPTIONS"),
            ("/openapi.json", "GET, HEAD, OPTIONS"),
            ("/score", "POST, OPTIONS"),
            ("/score/batch", "POST, OPTIONS"),
            ("*", "GET, HEAD, POST, OPTIONS"),
        ] {
            let (answer, _) = said(&server, &format!("OPTIONS {path} {version}\r\nhost: q\r\n\r\n"));
            assert_eq!(answer.status, 204, "{path}");
            assert_eq!(answer.header("allow"), Some(allow), "{path}");
            assert_eq!(answer.header("content-length"), None, "204 has no length");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    let mut connection = server.connect();
    for path in ["/nowhere", "/score/"] {
        connection.send(format!("OPTIONS {path} HTTP/1.1\r\nhost: q\r\n\r\n"));
        assert_eq!(connection.answer().status, 404, "{path}");
    }
    connection.send("DELETE /score HTTP/1.1\r\nhost: q\r\n\r\n");
    let answer = connection.answer();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    let server = Launch::new(runtime).no_sink().set("SERVER__PAGES", "off").start();
    let (answer, _) = said(&server, "OPTIONS /docs HTTP/1.1\r\nhost: q\r\n\r\n");
    assert_eq!(answer.status, 404, "what is not served has no methods");
}

const PREFLIGHT: &str = "access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n";

fn other_origins_call_where_they_may(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .set("SERVER__CORS_ORIGINS", "https://crm.example,http://127.0.0.1:3000")
        .start();
    let ask = |method: &str, path: &str, headers: &str, body: &str| {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: q\r\n{headers}content-length: {length}\r\n\r\n{body}");
        said(&server, &head).0
    };
    let origin = "origin: https://crm.example\r\n";
    let answer = ask("OPTIONS", "/score", &format!("{origin}{PREFLIGHT}"), "");
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://crm.example")
    );
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST, OPTIONS"));
    let allowed = answer.header("access-control-allow-headers").expect("a list");
    for header in ["content-type", "authorization", "x-api-key", "x-request-id"] {
        assert!(allowed.split(", ").any(|name| name == header), "{header}");
    }
    assert_eq!((answer.header("vary"), answer.header("allow")), (Some("origin"), None));
    for (path, body, status) in [
        ("/score", lead(1), 200),
        ("/score", "{".into(), 400),
        ("/nowhere", "".into(), 404),
    ] {
        let answer = ask("POST", path, origin, &body);
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://crm.example")
        );
        assert!(
            answer
                .header("access-control-expose-headers")
                .is_some_and(|list| list.contains("x-request-id"))
        );
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    let answer = ask("POST", "/score", "origin: https://evil.example\r\n", &lead(1));
    assert_eq!(answer.status, 200, "a browser keeps the answer from the page");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("vary"), Some("origin"));
    let answer = ask(
        "OPTIONS",
        "/score",
        &format!("origin: https://evil.example\r\n{PREFLIGHT}"),
        "",
    );
    assert_eq!(
        (answer.status, answer.header("access-control-allow-methods")),
        (204, None)
    );
    let answer = ask("GET", "/metrics", "", "");
    assert_eq!((answer.status, answer.header("vary")), (200, Some("origin")));

    let server = Launch::new(runtime).no_sink().set("SERVER__CORS_ORIGINS", "*").start();
    let (answer, _) = said(
        &server,
        "GET /v1/schema HTTP/1.1\r\nhost: q\r\norigin: https://any.example\r\n\r\n",
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

on_both!(
    a_request_has_one_host,
    a_body_is_chunked_and_nothing_else,
    options_says_what_a_path_takes,
    other_origins_call_where_they_may,
);
