//! API keys, rules by class of routes, and rates of principals.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::client::{Files, until};
use crate::client::Answer;
use crate::harness::{Launch, Server};
use crate::on_both;
use crate::score::lead;

on_both!(
    classes_have_rules_of_their_own,
    a_credential_comes_before_everything_else,
    browsers_ask_first_without_a_credential,
    a_principal_has_a_rate_of_its_own,
    keys_are_withdrawn_while_it_runs,
    refusals_are_logged_without_secrets,
    the_admin_listener_asks_when_it_is_told_to,
);

const CRM: &str = "crm-key-0123456789abcdef";
const OPS: &str = "ops-key-0123456789abcdef";

fn keys(files: &Files) {
    files.write("keys.json", &format!("{{\"crm\":\"{CRM}\",\"ops\":\"{OPS}\"}}"));
}

fn launch(files: &Files, runtime: &str) -> Launch {
    let source = format!("file:{}", files.path("keys.json"));
    Launch::new(runtime).no_sink().shards(2).set("AUTH__API_KEYS", &source)
}

fn ask(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut connection = server.connect();
    connection.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: q\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    ));
    connection.answer()
}

fn key(key: &str) -> String {
    format!("x-api-key: {key}\r\n")
}

fn classes_have_rules_of_their_own(runtime: &str) {
    let files = Files::new("classes", runtime);
    keys(&files);
    let server = launch(&files, runtime)
        .set("AUTH__METRICS", "key:ops")
        .set("AUTH__DOCS", "anyone")
        .start();
    let lead = lead(1);
    for (method, path, sent, expected) in [
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", Some("nonsense"), 200),
        ("GET", "/v1/schema", None, 200),
        ("GET", "/", None, 200),
        ("POST", "/score", None, 401),
        ("POST", "/score", Some(CRM), 200),
        ("POST", "/score", Some(OPS), 200),
        ("POST", "/score?explain=3", None, 401),
        ("POST", "/score/batch", None, 401),
        ("POST", "/v1/models/demo/score", None, 401),
        ("GET", "/metrics", None, 401),
        ("GET", "/metrics", Some(CRM), 403),
        ("GET", "/metrics", Some(OPS), 200),
        ("GET", "/metrics", Some("crm-key-0123456789abcdeX"), 401),
        ("GET", "/metrics", Some(""), 401),
    ] {
        let headers = sent.map(key).unwrap_or_default();
        let body = if method == "POST" { lead.as_str() } else { "" };
        let answer = ask(&server, method, path, &headers, body);
        assert_eq!(answer.status, expected, "{method} {path} {sent:?}: {}", answer.text());
        let challenge = answer.header("www-authenticate");
        match (answer.status, sent) {
            (401, None) => assert_eq!(challenge, Some("Bearer realm=\"quintile\"")),
            (401, Some(sent)) => {
                assert_eq!(challenge, Some("Bearer realm=\"quintile\", error=\"invalid_token\""));
                assert!(sent.is_empty() || !answer.text().contains(sent));
            }
            (403, _) => assert_eq!(
                challenge,
                Some("Bearer realm=\"quintile\", error=\"insufficient_scope\"")
            ),
            _ => assert_eq!(challenge, None),
        }
        if matches!(answer.status, 401 | 403) {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("our error");
            assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string());
        }
    }
}

fn a_credential_comes_before_everything_else(runtime: &str) {
    let files = Files::new("before", runtime);
    keys(&files);
    let server = launch(&files, runtime).start();
    for (method, path, headers) in [
        ("POST", "/v1/models/unknown/score", ""),
        ("DELETE", "/score", ""),
        ("POST", "/score", "content-type: text/plain\r\n"),
        ("POST", "/score", "content-encoding: br\r\n"),
        ("POST", "/score", "host: twice\r\n"),
        ("OPTIONS", "/score", ""),
        ("OPTIONS", "*", ""),
        ("HEAD", "/metrics", ""),
        ("GET", "/nothing", ""),
        ("POST", "//score", ""),
        ("POST", "/%73core", ""),
        ("POST", "/SCORE", ""),
    ] {
        let mut connection = server.connect();
        connection.send(format!("{method} {path} HTTP/1.1\r\nhost: q\r\n{headers}\r\n"));
        let answer = connection.head().expect("an answer");
        assert_eq!(answer.status, 401, "{method} {path} {headers}");
    }
    // Before the body: it is never sent.
    let mut connection = server.connect();
    connection.send("POST /score HTTP/1.1\r\nhost: q\r\ncontent-length: 999999999\r\n\r\n");
    assert_eq!(connection.answer().status, 401);
    let answer = ask(&server, "OPTIONS", "/score", &key(CRM), "");
    assert_eq!((answer.status, answer.header("allow")), (204, Some("POST, OPTIONS")));
    let answer = ask(&server, "DELETE", "/score", &key(CRM), "");
    assert_eq!(answer.status, 405);
    let answer = ask(&server, "GET", "/nothing", &key(CRM), "");
    assert_eq!(answer.status, 404);
}

fn browsers_ask_first_without_a_credential(runtime: &str) {
    let files = Files::new("browsers", runtime);
    keys(&files);
    let server = launch(&files, runtime)
        .set("SERVER__CORS_ORIGINS", "https://crm.example")
        .start();
    let preflight = |origin: &str| {
        let headers = format!("origin: {origin}\r\naccess-control-request-method: POST\r\n");
        ask(&server, "OPTIONS", "/score", &headers, "")
    };
    let answer = preflight("https://crm.example");
    assert_eq!((answer.status, answer.header("allow")), (204, None));
    let allowed = answer.header("access-control-allow-headers").expect("a preflight");
    assert!(allowed.contains("authorization") && allowed.contains("x-api-key"));
    assert_eq!(preflight("https://evil.example").status, 401);
    let answer = ask(&server, "POST", "/score", "origin: https://crm.example\r\n", "");
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://crm.example"),
        "the page may read why"
    );
}

fn a_principal_has_a_rate_of_its_own(runtime: &str) {
    let files = Files::new("rate", runtime);
    keys(&files);
    let server = launch(&files, runtime)
        .set("LIMITS__PRINCIPAL_RATE", "0.05")
        .set("LIMITS__PRINCIPAL_BURST", "3")
        .start();
    let get = |sent: &str| ask(&server, "GET", "/v1/schema", &key(sent), "");
    // Refused credentials cost nobody's limit.
    for _ in 0..20 {
        assert_eq!(get("crm-key-0123456789abcdeX").status, 401);
    }
    // On connections of both shards.
    let statuses: Vec<u16> = (0..6).map(|_| get(CRM).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429]);
    let wait: u32 = get(CRM)
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(get(OPS).status, 200, "another's is its own");
    assert_eq!(ask(&server, "GET", "/healthz", &key(CRM), "").status, 200);
}

fn keys_are_withdrawn_while_it_runs(runtime: &str) {
    let files = Files::new("withdrawn", runtime);
    keys(&files);
    let server = launch(&files, runtime).set("AUTH__METRICS", "key:crm").start();
    let status = |sent: &str| ask(&server, "GET", "/v1/schema", &key(sent), "").status;
    assert_eq!((status(CRM), status(OPS)), (200, 200));
    // By itself, although a rule names the key.
    files.write("keys.json", &format!("{{\"ops\":\"{OPS}\"}}"));
    until("the key is withdrawn", || status(CRM) == 401);
    assert_eq!(status(OPS), 200);
    assert!(
        server
            .log()
            .contains("a rule names an API key that is not there any more")
    );
    // A fault keeps the keys.
    files.write("keys.json", "{\"ops\":\"short\"}");
    server.signal(Signal::HUP);
    until("the fault is logged", || {
        server.log().contains("of fewer than 24 characters")
    });
    assert_eq!((status(CRM), status(OPS)), (401, 200));
}

fn refusals_are_logged_without_secrets(runtime: &str) {
    let files = Files::new("logged", runtime);
    keys(&files);
    let server = launch(&files, runtime).set("AUTH__METRICS", "key:ops").start();
    let forged = "crm-key-0123456789abcdeX";
    for _ in 0..200 {
        ask(&server, "GET", "/metrics", &key(forged), "");
    }
    thread::sleep(Duration::from_millis(1_100));
    ask(&server, "GET", "/metrics", &key(CRM), "");
    until("the refusal is logged", || server.log().contains("not_allowed"));
    let log = server.log();
    let denied: Vec<serde_json::Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| line["body"] == "denied")
        .collect();
    assert!((2..150).contains(&denied.len()), "{} lines", denied.len());
    let attributes = &denied[0]["attributes"];
    assert_eq!(attributes["quintile.reason"], "api_key");
    assert_eq!(attributes["http.route"], "/metrics");
    assert_eq!(attributes["http.response.status_code"], 401);
    assert!(attributes["quintile.principal"].is_null());
    let last = &denied[denied.len() - 1]["attributes"];
    assert_eq!(
        (&last["quintile.reason"], &last["quintile.principal"]),
        (&"not_allowed".into(), &"crm".into())
    );
    assert!(!log.contains(forged) && !log.contains(CRM) && !log.contains(OPS));
    until("all are counted", || {
        let answer = ask(&server, "GET", "/metrics", &key(OPS), "");
        let text = answer.text();
        text.contains("quintile_denied_total{reason=\"api_key\"} 200")
            && text.contains("quintile_denied_total{reason=\"not_allowed\"} 1")
    });
}

fn the_admin_listener_asks_when_it_is_told_to(runtime: &str) {
    let files = Files::new("admin", runtime);
    keys(&files);
    let status = |server: &Server, path: &str, sent: Option<&str>| {
        let log = server.log();
        let (_, rest) = log.split_once("\"quintile.admin\":\"127.0.0.1:").expect("it is logged");
        let port = rest
            .split('"')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port");
        let mut connection = crate::client::Connection::open(port);
        let headers = sent.map(key).unwrap_or_default();
        connection.send(format!("GET {path} HTTP/1.1\r\nhost: q\r\n{headers}\r\n"));
        connection.answer().status
    };
    let open = launch(&files, runtime).set("SERVER__ADMIN", "127.0.0.1:0").start();
    assert_eq!(status(&open, "/", None), 200);
    assert_eq!(status(&open, "/readyz", None), 200);
    let launch = launch(&files, runtime).set("SERVER__ADMIN", "127.0.0.1:0");
    let guarded = launch.set("AUTH__ADMIN", "key:ops").start();
    assert_eq!(status(&guarded, "/", None), 401);
    assert_eq!(status(&guarded, "/", Some(CRM)), 403);
    assert_eq!(status(&guarded, "/", Some(OPS)), 200);
    assert_eq!(status(&guarded, "/healthz", None), 200);
}

#[test]
fn faults_of_rules_are_told_with_their_keys() {
    let files = Files::new("rules", "none");
    keys(&files);
    files.write("short.json", "{\"crm\":\"hunter2\"}");
    let good = format!("file:{}", files.path("keys.json"));
    let short = format!("file:{}", files.path("short.json"));
    for (sets, key, part) in [
        (
            &[("AUTH__ISSUER", "https://i.example")][..],
            "auth.clients",
            "is needed",
        ),
        (
            &[("AUTH__ISSUER", "http://i.example"), ("AUTH__CLIENTS", "crm")],
            "auth.issuer",
            "by http",
        ),
        (
            &[
                ("AUTH__ISSUER", "https://i.example"),
                ("AUTH__CLIENTS", "crm"),
                ("AUTH__JWKS_URL", "http://i.example/keys"),
            ],
            "auth.jwks_url",
            "by http",
        ),
        (&[("AUTH__ALGORITHMS", "HS256")], "AUTH__ALGORITHMS", "RS256"),
        (&[("AUTH__SCORE", "everyone")], "AUTH__SCORE", "no rule"),
        (&[("AUTH__SCORE", "none")], "AUTH__SCORE", "is empty"),
        (&[("AUTH__SCORE", "scope:x")], "AUTH__SCORE", "auth.issuer is not set"),
        (&[("AUTH__SCORE", "cert:x")], "AUTH__SCORE", "tls.client_ca is not set"),
        (&[("AUTH__SCORE", "key:x")], "AUTH__SCORE", "auth.api_keys is not set"),
        (
            &[("AUTH__SCORE", "key:x"), ("AUTH__API_KEYS", good.as_str())],
            "auth.score",
            "no key of this name",
        ),
        (&[("AUTH__API_KEYS", short.as_str())], "auth.api_keys", "24 characters"),
        (&[("AUTH__API_KEYS", "keys.json")], "AUTH__API_KEYS", "file:"),
    ] {
        let launch = Launch::new("epoll").no_sink();
        let launch = sets.iter().fold(launch, |launch, (key, value)| launch.set(key, value));
        let (code, log) = launch.refused();
        assert_eq!(code, Some(78), "{sets:?}: {log}");
        assert!(log.contains(key) && log.contains(part), "{sets:?}: {log}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}
