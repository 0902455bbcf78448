//! Certificates of clients.

use std::sync::Arc;

use rcgen::date_time_ymd;
use rustix::process::Signal;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use super::client::{Authority, Files, Secure, config, status, until};
use crate::on_both;

on_both!(
    only_good_certificates_get_in,
    a_certificate_may_be_optional,
    a_new_list_ends_sessions,
    rules_name_certificates,
);

fn only_good_certificates_get_in(runtime: &str) {
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let files = Files::new("mutual", runtime);
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    files.write("ca.pem", &authority.pem());
    files.write("crl.pem", &authority.revoke(&[7], 2090));
    let launch = files.launch(runtime).set("TLS__CLIENT_CA", &files.path("ca.pem"));
    let server = launch.set("TLS__CLIENT_CRL", &files.path("crl.pem")).start();
    let good = authority.sign(6, &["crm.example"], |_| ());
    let bad = [
        ("revoked", authority.sign(7, &["crm.example"], |_| ())),
        ("of another CA", other.sign(6, &["crm.example"], |_| ())),
        (
            "expired",
            authority.sign(8, &["crm.example"], |params| {
                params.not_after = date_time_ymd(2020, 1, 1)
            }),
        ),
        (
            "not valid yet",
            authority.sign(9, &["crm.example"], |params| {
                params.not_before = date_time_ymd(2090, 1, 1)
            }),
        ),
    ];
    for version in [&TLS12, &TLS13] {
        let of = |shows| Arc::new(config(&authority, shows, &[version]));
        assert_eq!(status(&server, &of(Some(&good)), "/healthz"), Ok(200));
        for (what, certificate) in &bad {
            let answer = status(&server, &of(Some(certificate)), "/healthz");
            let alert = answer.expect_err(what);
            assert!(alert.contains("fatal alert"), "{what}: {alert}");
        }
        let alert = status(&server, &of(None), "/healthz").expect_err("none");
        assert!(alert.contains("fatal alert"), "{alert}");
    }
}

fn a_certificate_may_be_optional(runtime: &str) {
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let files = Files::new("optional", runtime);
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    files.write("ca.pem", &authority.pem());
    let launch = files.launch(runtime).set("TLS__CLIENT_CA", &files.path("ca.pem"));
    let server = launch.set("TLS__CLIENT", "optional").start();
    let of = |shows| Arc::new(config(&authority, shows, &[&TLS13]));
    assert_eq!(status(&server, &of(None), "/healthz"), Ok(200));
    let good = authority.sign(6, &["crm.example"], |_| ());
    assert_eq!(status(&server, &of(Some(&good)), "/healthz"), Ok(200));
    let bad = other.sign(6, &["crm.example"], |_| ());
    assert!(status(&server, &of(Some(&bad)), "/healthz").is_err());
}

fn a_new_list_ends_sessions(runtime: &str) {
    let (authority, files) = (Authority::new("one"), Files::new("sessions", runtime));
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    files.write("ca.pem", &authority.pem());
    files.write("crl.pem", &authority.revoke(&[], 2090));
    let launch = files.launch(runtime).set("TLS__CLIENT_CA", &files.path("ca.pem"));
    let server = launch.set("TLS__CLIENT_CRL", &files.path("crl.pem")).start();
    let client = authority.sign(7, &["crm.example"], |_| ());
    let config = Arc::new(config(&authority, Some(&client), &[&TLS13]));
    let kind = || {
        let mut connection = Secure::open(&server, &config);
        let answer = connection.get("/healthz");
        answer.map(|(status, _)| (status, connection.0.conn.handshake_kind()))
    };
    assert_eq!(kind().expect("an answer"), (200, Some(HandshakeKind::Full)));
    assert_eq!(kind().expect("an answer"), (200, Some(HandshakeKind::Resumed)));
    let mut open = Secure::open(&server, &config);
    assert_eq!(open.get("/healthz").expect("an answer").0, 200);
    files.write("crl.pem", &authority.revoke(&[7], 2090));
    server.signal(Signal::HUP);
    until("the client is refused, for all that it has a ticket", || {
        kind().is_err()
    });
    assert_eq!(open.get("/healthz").expect("open connections stay").0, 200);
    // A list that is out of date lets nobody in.
    files.write("crl.pem", &authority.revoke(&[], 2025));
    server.signal(Signal::HUP);
    until("it is in force", || server.log().matches("\"reloaded\"").count() == 2);
    assert!(kind().is_err());
    files.write("crl.pem", &authority.revoke(&[], 2090));
    server.signal(Signal::HUP);
    until("the client gets in", || kind().is_ok());
}

fn rules_name_certificates(runtime: &str) {
    let (authority, files) = (Authority::new("one"), Files::new("names", runtime));
    files.identity(&authority.sign(1, &["localhost"], |_| ()));
    files.write("ca.pem", &authority.pem());
    let launch = files.launch(runtime).set("TLS__CLIENT_CA", &files.path("ca.pem"));
    let launch = launch.set("TLS__CLIENT", "optional");
    let server = launch.set("AUTH__METRICS", "cert:spiffe://bank/crm").start();
    let of = |shows| Arc::new(config(&authority, shows, &[&TLS13]));
    let crm = authority.sign(2, &["crm.example", "spiffe://bank/crm"], |_| ());
    let other = authority.sign(3, &["other.example"], |_| ());
    for (shows, path, expected) in [
        (None, "/healthz", 200),
        (None, "/metrics", 401),
        (None, "/v1/schema", 401),
        (Some(&other), "/v1/schema", 200),
        (Some(&other), "/metrics", 403),
        (Some(&crm), "/metrics", 200),
    ] {
        assert_eq!(status(&server, &of(shows), path), Ok(expected), "{path}");
    }
    until("the refusal is logged", || server.log().contains("other.example"));
}
