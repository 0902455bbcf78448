//! What speaks TLS gets in, and what does not is closed; certificates are replaced while requests are answered.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use rustix::process::Signal;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use super::client::{Authority, Files, Secure, config, status, until};
use crate::client::Connection;
use crate::harness::{Launch, PATIENCE};
use crate::on_both;
use crate::score::lead;

on_both!(
    both_versions_are_spoken_and_pages_say_so,
    sessions_are_resumed_on_every_shard,
    what_is_not_tls_is_closed,
    a_stalled_handshake_holds_up_nobody,
    certificates_are_replaced_under_load,
    a_fault_keeps_everything_as_it_was,
);

fn score() -> String {
    let body = lead(1);
    format!(
        "POST /score HTTP/1.1\r\nhost: q\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn both_versions_are_spoken_and_pages_say_so(runtime: &str) {
    let (authority, files) = (Authority::new("one"), Files::new("versions", runtime));
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    let server = files.launch(runtime).start();
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(config(&authority, None, &[version]));
        let mut connection = Secure::open(&server, &config);
        let (status, text) = connection.ask(&score()).expect("an answer");
        assert_eq!(status, 200, "{text}");
        assert!(!text.contains("strict-transport-security"), "only pages: {text}");
        let (status, text) = connection.get("/docs").expect("an answer");
        assert_eq!(status, 200);
        for header in [
            "strict-transport-security: max-age=31536000",
            "content-security-policy: ",
            "x-content-type-options: nosniff",
        ] {
            assert!(text.contains(header), "{header} is not in {text}");
        }
        // An orderly end: close_notify, then the end of the connection.
        let (_, text) = connection
            .ask("GET /healthz HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n")
            .expect("an answer");
        assert!(text.ends_with("ok\n"), "{text}");
        let mut rest = Vec::new();
        connection.0.read_to_end(&mut rest).expect("close_notify");
        assert!(rest.is_empty());
    }
    // ALPN: the server prefers h2; what neither knows is refused.
    for (offered, chosen) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let mut config = config(&authority, None, &[&TLS13]);
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut connection = Secure::open(&server, &Arc::new(config));
        connection.0.flush().expect("a handshake");
        while connection.0.conn.is_handshaking() {
            connection
                .0
                .conn
                .complete_io(&mut connection.0.sock)
                .expect("a handshake");
        }
        let spoken = connection
            .0
            .conn
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(spoken.as_deref(), chosen, "{offered:?}");
    }
    let mut metrics = Secure::open(&server, &unresumed(&authority));
    until("the metrics", || {
        let (_, text) = metrics.get("/metrics").expect("an answer");
        text.contains("quintile_tls_handshakes_total{result=\"full\"}")
            && text.contains("quintile_tls_certificate_expiry_timestamp_seconds ")
    });
}

fn sessions_are_resumed_on_every_shard(runtime: &str) {
    let (authority, files) = (Authority::new("one"), Files::new("resumed", runtime));
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    let server = files.launch(runtime).start();
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(config(&authority, None, &[version]));
        let mut kinds = Vec::new();
        // Held open, so that the acceptor gives the next one to the other shard.
        let mut open = Vec::new();
        for _ in 0..6 {
            let mut connection = Secure::open(&server, &config);
            assert_eq!(connection.get("/healthz").expect("an answer").0, 200);
            kinds.push(connection.0.conn.handshake_kind());
            open.push(connection);
        }
        assert_eq!(kinds[0], Some(HandshakeKind::Full));
        assert_eq!(kinds[1..], [Some(HandshakeKind::Resumed); 5]);
    }
}

fn what_is_not_tls_is_closed(runtime: &str) {
    let (authority, files) = (Authority::new("one"), Files::new("plain", runtime));
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    let server = files.launch(runtime).start();
    for bytes in [
        &b"GET /healthz HTTP/1.1\r\nhost: q\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        // SSL 3.0 and TLS 1.1 in the version of a ClientHello that is cut off, a record of a wrong type, an alert.
        b"\x16\x03\x00\x00\x05\x01\x00\x00\x01\x03",
        b"\x17\x03\x03\x00\x01\x00",
        b"\x15\x03\x01\x00\x02\x02\x28",
        &[0xff; 4096],
    ] {
        let mut connection = Connection::open(server.port);
        let _ = connection.socket.write_all(bytes);
        let _ = connection.socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // A reset is an end too.
        let _ = connection.socket.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let config = Arc::new(config(&authority, None, &[&TLS13]));
    assert_eq!(status(&server, &config, "/healthz"), Ok(200));
}

fn a_stalled_handshake_holds_up_nobody(runtime: &str) {
    let (authority, files) = (Authority::new("one"), Files::new("stalled", runtime));
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    let server = files.launch(runtime).set("LIMITS__HANDSHAKE_MS", "300").start();
    let mut stalled: Vec<Connection> = (0..64).map(|_| Connection::open(server.port)).collect();
    for (number, connection) in stalled.iter_mut().enumerate() {
        // Nothing, or the beginning of a ClientHello.
        connection.send(&b"\x16\x03\x01\x02\x00\x01"[..number % 7]);
    }
    let config = Arc::new(config(&authority, None, &[&TLS13]));
    for _ in 0..8 {
        assert_eq!(status(&server, &config, "/healthz"), Ok(200));
    }
    let began = Instant::now();
    for connection in &mut stalled {
        let mut rest = Vec::new();
        let _ = connection.socket.read_to_end(&mut rest);
    }
    assert!(began.elapsed() < PATIENCE);
    let mut connection = Secure::open(&server, &config);
    until("64 handshakes are counted", || {
        let (_, text) = connection.get("/metrics").expect("an answer");
        text.contains("quintile_timeouts_total{phase=\"handshake\"} 64")
    });
}

fn certificates_are_replaced_under_load(runtime: &str) {
    let (authority, files) = (Authority::new("one"), Files::new("replaced", runtime));
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    let server = files.launch(runtime).start();
    let config = Arc::new(config(&authority, None, &[&TLS13]));
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    // Not resumed: a resumed session has the certificate of before.
    let shown = || {
        let mut connection = Secure::open(&server, &unresumed(&authority));
        assert_eq!(connection.get("/healthz").expect("an answer").0, 200);
        let chain = connection.0.conn.peer_certificates().expect("the server shows one");
        chain[0].clone()
    };
    let serial = |signed: &super::client::Signed| signed.certificate.clone();
    std::thread::scope(|scope| {
        let _ends = Ends(&done);
        for keeps in [true, false] {
            let (server, config, done, answered) = (&server, &config, &done, &answered);
            let work = move || {
                let mut connection = Secure::open(server, config);
                while !done.load(Ordering::Relaxed) {
                    let (status, text) = connection.ask(&score()).expect("no request fails");
                    assert_eq!(status, 200, "{text}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if !keeps {
                        connection = Secure::open(server, config);
                    }
                }
            };
            std::thread::Builder::new()
                .name("load".into())
                .spawn_scoped(scope, work)
                .expect("a thread");
        }
        // By itself, when the files change; and at once by a signal.
        for (number, signals) in [(2, false), (3, true)] {
            let next = authority.sign(number, &["localhost"], |_| ());
            files.identity(&next);
            if signals {
                server.signal(Signal::HUP);
            }
            until("the other certificate", || shown() == serial(&next));
        }
        let before = answered.load(Ordering::Relaxed);
        until("requests go on", || answered.load(Ordering::Relaxed) > before + 20);
    });
}

/// Ends the load, also when something else has failed.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn unresumed(authority: &Authority) -> Arc<rustls::ClientConfig> {
    let mut config = config(authority, None, &[&TLS13]);
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

fn a_fault_keeps_everything_as_it_was(runtime: &str) {
    let (authority, files) = (Authority::new("one"), Files::new("faulty", runtime));
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    let server = files.launch(runtime).start();
    let config = unresumed(&authority);
    let other = authority.sign(2, &["localhost"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    // The certificate without its key.
    files.write("tls.crt", &other.pem);
    until("the fault is logged", || {
        server.log().contains("is not the key of the certificate") && server.log().contains("not reloaded")
    });
    assert_eq!(status(&server, &config, "/healthz"), Ok(200));
    files.write("tls.key", &other.key.serialize_pem());
    until("it is logged", || server.log().contains("expired"));
    until("clients refuse it", || {
        status(&server, &unresumed(&authority), "/healthz").is_err()
    });
    // The key is never told.
    let key = other.key.serialize_pem();
    let secret = key.lines().nth(1).expect("PEM");
    assert!(!server.log().contains(secret));
}

#[test]
fn faults_are_told_together_with_their_keys() {
    let (authority, files) = (Authority::new("one"), Files::new("faults", "none"));
    let (one, two) = (
        authority.sign(1, &["localhost"], |_| ()),
        authority.sign(2, &["localhost"], |_| ()),
    );
    files.identity(&one);
    files.write("other.key", &two.key.serialize_pem());
    files.write("empty", "");
    let refused = |sets: &[(&str, &str)]| {
        let launch = Launch::new("epoll").no_sink();
        let launch = sets.iter().fold(launch, |launch, (key, value)| launch.set(key, value));
        let (code, log) = launch.refused();
        assert_eq!(code, Some(78), "{log}");
        log
    };
    let (certificate, key) = (files.path("tls.crt"), files.path("tls.key"));
    let log = refused(&[("TLS__CERTIFICATE", &certificate)]);
    assert!(log.contains("tls.key"), "{log}");
    let log = refused(&[("TLS__KEY", &key)]);
    assert!(log.contains("tls.certificate"), "{log}");
    let log = refused(&[
        ("TLS__CERTIFICATE", &certificate),
        ("TLS__KEY", &files.path("other.key")),
    ]);
    assert!(
        log.contains("tls.key") && log.contains("is not the key of the certificate"),
        "{log}"
    );
    let log = refused(&[
        ("TLS__CERTIFICATE", &files.path("absent")),
        ("TLS__KEY", &files.path("empty")),
        ("TLS__CLIENT_CA", &key),
        ("TLS__CLIENT_CRL", &certificate),
    ]);
    for part in [
        "absent: cannot be read",
        "has no private key that is known",
        "BEGIN CERTIFICATE",
        "BEGIN X509 CRL",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    let log = refused(&[
        ("TLS__CERTIFICATE", &certificate),
        ("TLS__KEY", &key),
        ("TLS__CLIENT", "optional"),
    ]);
    assert!(log.contains("tls.client_ca"), "{log}");
}
