//! Bearer tokens of an issuer whose keys come from a server of the test.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::client::until;
use crate::harness::{Launch, Server};
use crate::on_both;
use crate::score::lead;

on_both!(
    keys_come_and_go_while_it_serves,
    bad_answers_leave_the_keys_as_they_were,
    unknown_keys_are_fetched_once_in_the_cooldown,
    scopes_and_groups_decide,
);

/// base64url without padding.
fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for place in 0..=group.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

/// A key that signs by ES256.
struct Signer {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("random bytes");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random);
        Self {
            kid,
            pair: pair.expect("it was just made"),
        }
    }

    fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "alg": "ES256",
            "x": encode(&point[1..33]), "y": encode(&point[33..])
        })
    }

    fn token(&self, issuer: &str, change: impl FnOnce(&mut Value)) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("it is later");
        let mut claims = json!({
            "iss": issuer, "token_use": "access", "client_id": "crm", "sub": "0f3c", "email": "person@example.com",
            "username": "person", "scope": "q/score", "iat": now.as_secs(), "exp": now.as_secs() + 3600,
        });
        change(&mut claims);
        let header = json!({"alg": "ES256", "kid": self.kid});
        let text = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let signature = self
            .pair
            .sign(&SystemRandom::new(), text.as_bytes())
            .expect("a signature");
        format!("{text}.{}", encode(signature.as_ref()))
    }
}

/// A server of keys that answers whatever it is told to.
struct Issuer {
    url: String,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    fetches: Arc<AtomicU64>,
}

impl Issuer {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let answer: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let fetches = Arc::new(AtomicU64::new(0));
        let (given, count) = (Arc::clone(&answer), Arc::clone(&fetches));
        let serve = move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { return };
                let answer = given.lock().expect("nobody panics with it").clone();
                count.fetch_add(1, Ordering::Relaxed);
                let mut space = [0; 4096];
                let _ = socket.read(&mut space);
                // Without an answer the connection ends.
                if let Some(answer) = answer {
                    let _ = socket.write_all(&answer);
                }
            }
        };
        thread::Builder::new()
            .name("issuer".into())
            .spawn(serve)
            .expect("a thread");
        Self { url, answer, fetches }
    }

    fn answers(&self, status: &str, body: &str) {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        *self.answer.lock().expect("nobody panics with it") = Some(text.into_bytes());
    }

    fn has(&self, keys: &[&Signer]) {
        let keys: Vec<Value> = keys.iter().map(|signer| signer.public()).collect();
        self.answers("200 OK", &json!({ "keys": keys }).to_string());
    }

    fn fetched(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    fn launch(&self, runtime: &str) -> Launch {
        Launch::new(runtime)
            .no_sink()
            .shards(2)
            .set("AUTH__ISSUER", &self.url)
            .set("AUTH__CLIENTS", "crm")
            .set("AUTH__ALGORITHMS", "ES256,RS256")
            .set("AUTH__DOCS", "anyone")
            .set("AUTH__METRICS", "anyone")
            .set("AUTH__JWKS_COOLDOWN_SECONDS", "1")
    }
}

fn score(server: &Server, token: &str) -> u16 {
    let headers = format!("authorization: Bearer {token}\r\n");
    let answer = server.connect().post_with("/score", &headers, lead(1).as_bytes());
    if answer.status >= 400 {
        assert!(!answer.text().contains(token.rsplit('.').next().expect("parts")));
    }
    answer.status
}

fn keys_come_and_go_while_it_serves(runtime: &str) {
    let (issuer, one, two) = (Issuer::new(), Signer::new("one"), Signer::new("two"));
    let server = issuer.launch(runtime).set("AUTH__JWKS_REFRESH_SECONDS", "1").start();
    // No keys yet.
    let token = one.token(&issuer.url, |_| ());
    assert_eq!(server.connect().get("/readyz").status, 503);
    let answer = server.connect().post_with(
        "/score",
        &format!("authorization: Bearer {token}\r\n"),
        lead(1).as_bytes(),
    );
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(server.connect().post("/score", &lead(1)).status, 401);
    issuer.has(&[&one]);
    until("the first keys are had", || score(&server, &token) == 200);
    assert_eq!(server.connect().get("/readyz").status, 200);
    // A key more, and then the first withdrawn: what was verified by it ends.
    issuer.has(&[&one, &two]);
    until("the second key is had", || {
        score(&server, &two.token(&issuer.url, |_| ())) == 200
    });
    assert_eq!(score(&server, &token), 200);
    issuer.has(&[&two]);
    until("the first key is withdrawn", || score(&server, &token) == 401);
    *issuer.answer.lock().expect("nobody panics with it") = None;
    assert_eq!(score(&server, &two.token(&issuer.url, |_| ())), 200);
    assert_eq!(server.connect().get("/readyz").status, 200, "not again after");
    let age = server.await_metric("quintile_jwks_age_seconds", |age| age >= 1.0);
    assert!(age < 60.0, "{age}");
}

fn bad_answers_leave_the_keys_as_they_were(runtime: &str) {
    let (issuer, one, two) = (Issuer::new(), Signer::new("one"), Signer::new("two"));
    issuer.has(&[&one]);
    let server = issuer.launch(runtime).set("AUTH__JWKS_REFRESH_SECONDS", "1").start();
    let token = one.token(&issuer.url, |_| ());
    until("the first keys are had", || score(&server, &token) == 200);
    let other = json!({ "keys": [two.public()] }).to_string();
    let big = format!("{{\"keys\":[{}],\"x\":\"{}\"}}", two.public(), "x".repeat(1 << 20));
    let moved = format!("302 Found\r\nlocation: {}/other", issuer.url);
    for (status, body) in [
        ("500 Internal Server Error", other.as_str()),
        ("404 Not Found", &other),
        ("204 No Content", ""),
        (&moved, &other),
        ("200 OK", ""),
        ("200 OK", "<html>"),
        ("200 OK", "[]"),
        ("200 OK", "{\"keys\":[]}"),
        (
            "200 OK",
            "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"one\",\"k\":\"AAAA\"}]}",
        ),
        ("200 OK", &big),
    ] {
        issuer.answers(status, body);
        let before = issuer.fetched();
        until("it was fetched again", || issuer.fetched() > before);
        thread::sleep(Duration::from_millis(100));
        assert_eq!(score(&server, &token), 200, "{status} {}", &body[..body.len().min(50)]);
        // The next fetch comes soon.
        issuer.has(&[&one]);
        let before = issuer.fetched();
        until("it was fetched again", || issuer.fetched() > before);
    }
}

fn unknown_keys_are_fetched_once_in_the_cooldown(runtime: &str) {
    let (issuer, one, two) = (Issuer::new(), Signer::new("one"), Signer::new("two"));
    issuer.has(&[&one]);
    let server = issuer
        .launch(runtime)
        .set("AUTH__JWKS_COOLDOWN_SECONDS", "3600")
        .start();
    until("the first keys are had", || {
        score(&server, &one.token(&issuer.url, |_| ())) == 200
    });
    let before = issuer.fetched();
    let token = two.token(&issuer.url, |_| ());
    for _ in 0..50 {
        assert_eq!(score(&server, &token), 401);
    }
    until("it was fetched", || issuer.fetched() == before + 1);
    thread::sleep(Duration::from_millis(500));
    for _ in 0..50 {
        assert_eq!(score(&server, &token), 401);
    }
    thread::sleep(Duration::from_millis(500));
    assert_eq!(
        issuer.fetched(),
        before + 1,
        "once in the cool-down, of the whole process"
    );
}

fn scopes_and_groups_decide(runtime: &str) {
    let (issuer, one) = (Issuer::new(), Signer::new("one"));
    issuer.has(&[&one]);
    let server = issuer
        .launch(runtime)
        .set("AUTH__SCORE", "scope:q/score,group:ops")
        .start();
    let plain = one.token(&issuer.url, |_| ());
    until("the first keys are had", || score(&server, &plain) == 200);
    let of = |change: fn(&mut Value)| score(&server, &one.token(&issuer.url, change));
    assert_eq!(of(|claims| claims["scope"] = "q/read q/scores".into()), 403);
    assert_eq!(of(|claims| claims["scope"] = "q/read q/score".into()), 200);
    assert_eq!(
        of(|claims| {
            claims["scope"] = "".into();
            claims["cognito:groups"] = json!(["ops"]);
        }),
        200
    );
    assert_eq!(of(|claims| claims["exp"] = 1.into()), 401);
    assert_eq!(of(|claims| claims["client_id"] = "other".into()), 401);
    let headers = format!(
        "authorization: Bearer {}\r\n",
        one.token(&issuer.url, |claims| claims["scope"] = "x".into())
    );
    let answer = server.connect().post_with("/score", &headers, lead(1).as_bytes());
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"quintile\", error=\"insufficient_scope\", scope=\"q/score\"")
    );
    // Only the header authorization has a token.
    let path = format!("/score?access_token={plain}");
    assert_eq!(server.connect().post(&path, &lead(1)).status, 401);
    for name in ["cookie: token=", "x-amzn-oidc-accesstoken: ", "x-amzn-oidc-data: "] {
        let headers = format!("{name}{plain}\r\n");
        let answer = server.connect().post_with("/score", &headers, lead(1).as_bytes());
        assert_eq!(answer.status, 401, "{name}");
    }
    until("the refusal is logged", || server.log().contains("crm/0f3c"));
    assert!(!server.log().contains("person"), "no claim of a person");
    assert!(!server.log().contains(plain.rsplit('.').next().expect("parts")));
}
