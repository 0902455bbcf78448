//! Whose a request is behind proxies, for log lines and nothing else; and what a crash would write.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConnection, StreamOwned};

use super::client::{Authority, Files, Secure, config, until};
use crate::client::{Connection, End};
use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;

on_both!(
    a_trusted_proxy_names_the_client,
    an_address_gives_no_right,
    the_proxy_protocol_comes_before_everything,
    the_proxy_protocol_comes_before_tls,
    crashes_write_no_memory,
    requests_are_counted_by_kind_of_credential,
);

const KEY: &str = "ops-key-0123456789abcdef";
/// Version 2 for 192.0.2.9.
const SECOND: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x09\x0a\x00\x00\x01\xc8\x22\x1f\x90";

fn launch(files: &Files, runtime: &str) -> Launch {
    files.write("keys.json", &format!("{{\"ops\":\"{KEY}\"}}"));
    let source = format!("file:{}", files.path("keys.json"));
    Launch::new(runtime).no_sink().set("AUTH__API_KEYS", &source)
}

/// A request without a credential.
fn refused(connection: &mut Connection, headers: &str) {
    connection.send(format!("GET /metrics HTTP/1.1\r\nhost: q\r\n{headers}\r\n"));
    assert_eq!(connection.answer().status, 401);
}

fn logged(server: &Server, address: &str) {
    let line = format!("\"client.address\":\"{address}\"");
    until(&line, || server.log().contains(&line));
}

fn a_trusted_proxy_names_the_client(runtime: &str) {
    let files = Files::new("trusted", runtime);
    let server = launch(&files, runtime)
        .set("SERVER__TRUSTED_PROXIES", "127.0.0.0/8,10.0.0.0/8")
        .start();
    let mut connection = server.connect();
    for (headers, address) in [
        ("", "127.0.0.1"),
        ("x-forwarded-for: 203.0.113.9, 192.0.2.1, 10.0.0.7\r\n", "192.0.2.1"),
        ("forwarded: for=\"[2001:db8::7]:80\";proto=https\r\n", "2001:db8::7"),
    ] {
        refused(&mut connection, headers);
        logged(&server, address);
    }
    assert!(
        !server.log().contains("203.0.113.9"),
        "what a client writes is not believed"
    );
    let other = launch(&files, runtime).start();
    refused(&mut other.connect(), "x-forwarded-for: 192.0.2.1\r\n");
    logged(&other, "127.0.0.1");
    assert!(
        !other.log().contains("192.0.2.1"),
        "nobody is trusted unless somebody says so"
    );
}

fn an_address_gives_no_right(runtime: &str) {
    let files = Files::new("no-right", runtime);
    let server = launch(&files, runtime)
        .set("SERVER__TRUSTED_PROXIES", "0.0.0.0/0")
        .set("LIMITS__PRINCIPAL_RATE", "0.01")
        .set("LIMITS__PRINCIPAL_BURST", "1")
        .start();
    let mut connection = server.connect();
    let mut with_key = |from: &str| {
        connection.send(format!(
            "GET /metrics HTTP/1.1\r\nhost: q\r\nx-api-key: {KEY}\r\nx-forwarded-for: {from}\r\n\r\n"
        ));
        connection.answer().status
    };
    assert_eq!(
        (with_key("192.0.2.1"), with_key("192.0.2.2")),
        (200, 429),
        "another address is no other principal"
    );
    refused(&mut server.connect(), "x-forwarded-for: 127.0.0.1\r\n");
}

fn the_proxy_protocol_comes_before_everything(runtime: &str) {
    let files = Files::new("proxied", runtime);
    let server = launch(&files, runtime).set("SERVER__PROXY_PROTOCOL", "on").start();
    for (header, address) in [
        (&b"PROXY TCP4 192.0.2.8 10.0.0.1 51234 8080\r\n"[..], "192.0.2.8"),
        (SECOND, "192.0.2.9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        let mut connection = server.connect();
        // A header may come in pieces.
        connection.send(&header[..7]);
        connection.send(&header[7..]);
        assert_eq!(connection.get("/healthz").status, 200);
        refused(&mut connection, "");
        logged(&server, address);
    }
    for bytes in [
        &b"GET /healthz HTTP/1.1\r\nhost: q\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut connection = server.connect();
        connection.send(bytes);
        assert!(matches!(connection.end(), End::Closed | End::Reset));
        assert_eq!(connection.text(), "");
    }
    until("a line", || {
        server.log().contains("does not begin with the PROXY protocol")
    });
}

fn the_proxy_protocol_comes_before_tls(runtime: &str) {
    let (files, authority) = (Files::new("proxied-tls", runtime), Authority::new("ca"));
    files.identity(&authority.sign(1, &["localhost"], |_| {}));
    let server = files.launch(runtime).set("SERVER__PROXY_PROTOCOL", "on").start();
    let config = Arc::new(config(&authority, None, &[&TLS13]));
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("the server listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
    socket.write_all(SECOND).expect("the server reads");
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(config, name).expect("a configuration");
    let answer = Secure(StreamOwned::new(session, socket)).get("/healthz");
    assert_eq!(answer.expect("an answer").0, 200);
}

fn crashes_write_no_memory(runtime: &str) {
    let soft = |server: &Server| {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("it runs");
        let line = limits.lines().find(|line| line.starts_with("Max core file size"));
        line.and_then(|line| line.split_whitespace().nth(4).map(str::to_owned))
            .expect("a limit")
    };
    let raise = || {
        let all = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
        let limit = rustix::process::Rlimit {
            current: all,
            maximum: all,
        };
        rustix::process::setrlimit(rustix::process::Resource::Core, limit)?;
        Ok(())
    };
    let server = Launch::new(runtime).no_sink().before_exec(raise).start();
    assert_eq!(soft(&server), "0");
    let open = Launch::new(runtime)
        .no_sink()
        .before_exec(raise)
        .set("SERVER__CORE_DUMPS", "on")
        .start();
    let hard = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    assert_eq!(soft(&open), hard.map_or("unlimited".into(), |limit| limit.to_string()));
}

fn requests_are_counted_by_kind_of_credential(runtime: &str) {
    let files = Files::new("by-kind", runtime);
    let server = launch(&files, runtime).start();
    let mut connection = server.connect();
    let mut text = String::new();
    until("counts", || {
        assert_eq!(connection.get("/healthz").status, 200);
        connection.send(format!("GET /metrics HTTP/1.1\r\nhost: q\r\nx-api-key: {KEY}\r\n\r\n"));
        text = connection.answer().text();
        let counts = |kind: &str| !text.contains(&format!("quintile_allowed_total{{principal=\"{kind}\"}} 0"));
        counts("anyone") && counts("api_key")
    });
    for line in ["{principal=\"token\"} 0", "{principal=\"certificate\"} 0"] {
        assert!(text.contains(&format!("quintile_allowed_total{line}")), "{text}");
    }
    assert!(!text.contains("\"ops\""), "kinds, and no names");
}
