//! Hostile tokens against a set of keys, and rules against principals.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::base64url::encode;
use super::*;
use crate::telemetry::DenialReason;

const NOW_S: f64 = 1_800_000_000.0;
const KEY: &str = "0123456789abcdef01234567";

/// Signs tokens by ES256 (`kid` "ec") and by EdDSA (`kid` "ed").
struct Issuer {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap(),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
        }
    }

    fn keys(&self, fetched_s: u64) -> Arc<KeySet> {
        let point = self.ec.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let set = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "x": x, "y": y},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(self.ed.public_key().as_ref())},
            {"kty": "oct", "kid": "secret", "k": "AAAA"},
        ]});
        Arc::new(KeySet::parse(set.to_string().as_bytes(), fetched_s).unwrap())
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = match header.contains("\"ed\"") {
            true => self.ed.sign(text.as_bytes()).as_ref().to_vec(),
            false => {
                let random = SystemRandom::new();
                self.ec.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec()
            }
        };
        format!("{text}.{}", encode(&signature))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "ec"})
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example/pool", "token_use": "access", "client_id": "crm", "sub": "someone",
        "exp": NOW_S + 600.0, "iat": NOW_S, "scope": "q/score q/read", "cognito:groups": ["ops"],
    })
}

fn access(rules: &[&str]) -> Arc<Access> {
    let tokens = TokenRules {
        issuer: "https://issuer.example/pool".into(),
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        clients: vec!["crm".into(), "batch".into()],
        uses: vec![TokenUse::Access],
        leeway_s: 30.0,
        stale_s: 100,
    };
    let keys = ApiKeys::parse(format!("{{\"crm\":\"{KEY}\"}}").as_bytes()).unwrap();
    let mut all: [Vec<Rule>; 6] = Default::default();
    all[Class::Score as usize] = rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect();
    all[Class::Health as usize] = vec![Rule::Anyone];
    Arc::new(Access::new(Some(tokens), Some(keys), all))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn ask(verifier: &mut Verifier, pairs: &[(&'static str, &str)], at_s: f64) -> Result<String, DenialReason> {
    let headers = headers(pairs);
    let shown = Credentials {
        headers: &headers,
        certificate: None,
        now_s: at_s,
        clock_s: 10,
    };
    let checked = verifier.check(Class::Score, shown);
    checked
        .map(|principal| principal.map_or_else(String::new, |principal| principal.name.clone()))
        .map_err(|(denial, _)| denial.reason)
}

fn of_token(verifier: &mut Verifier, token: &str) -> Result<String, DenialReason> {
    ask(verifier, &[("authorization", &format!("Bearer {token}"))], NOW_S)
}

fn ready(issuer: &Issuer) -> Verifier {
    let mut verifier = Verifier::new(access(&["authenticated"]));
    verifier.set_keys(issuer.keys(0));
    verifier
}

#[test]
fn good_tokens_get_in() {
    let issuer = Issuer::new();
    let mut verifier = ready(&issuer);
    for header in [
        header(),
        json!({"alg": "EdDSA", "kid": "ed"}),
        json!({"alg": "ES256", "kid": "ec", "typ": "JWT"}),
        json!({"alg": "ES256", "kid": "ec", "typ": "at+jwt", "jku": "http://evil.example", "jwk": {"kty": "oct"}}),
    ] {
        let token = issuer.sign(&header, &claims());
        // The second time it is remembered.
        for _ in 0..2 {
            assert_eq!(
                of_token(&mut verifier, &token).as_deref(),
                Ok("crm/someone"),
                "{header}"
            );
        }
    }
    let token = issuer.sign(&header(), &claims());
    for scheme in ["bearer", "BEARER"] {
        let value = format!("{scheme} {token}");
        assert!(ask(&mut verifier, &[("authorization", &value)], NOW_S).is_ok());
    }
    // Client credentials: the subject is the client.
    let mut own = claims();
    own["sub"] = "crm".into();
    assert_eq!(
        of_token(&mut verifier, &issuer.sign(&header(), &own)).as_deref(),
        Ok("crm")
    );
    for name in ["iat", "sub", "scope", "cognito:groups"] {
        let mut fewer = claims();
        fewer.as_object_mut().unwrap().remove(name);
        assert!(
            of_token(&mut verifier, &issuer.sign(&header(), &fewer)).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn headers_of_tokens_are_read_strictly() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let mut verifier = ready(&issuer);
    for (header, reason) in [
        (json!({"alg": "none", "kid": "ec"}), DenialReason::Algorithm),
        (json!({"alg": "HS256", "kid": "secret"}), DenialReason::Algorithm),
        (json!({"alg": "RS256", "kid": "ec"}), DenialReason::Algorithm),
        (json!({"alg": "es256", "kid": "ec"}), DenialReason::Algorithm),
        (json!({"alg": ["ES256"], "kid": "ec"}), DenialReason::Algorithm),
        (json!({"kid": "ec"}), DenialReason::Algorithm),
        (json!({"alg": "EdDSA", "kid": "ec"}), DenialReason::Algorithm),
        (json!({"alg": "ES256", "kid": "ed"}), DenialReason::Algorithm),
        (json!({"alg": "ES256", "kid": "secret"}), DenialReason::UnknownKey),
        (json!({"alg": "ES256", "kid": "../ec"}), DenialReason::UnknownKey),
        (json!({"alg": "ES256", "kid": 1}), DenialReason::UnknownKey),
        (json!({"alg": "ES256"}), DenialReason::UnknownKey),
        (
            json!({"alg": "ES256", "kid": "ec", "crit": ["exp"]}),
            DenialReason::Algorithm,
        ),
        (
            json!({"alg": "ES256", "kid": "ec", "crit": []}),
            DenialReason::Algorithm,
        ),
        (
            json!({"alg": "ES256", "kid": "ec", "typ": "JWE"}),
            DenialReason::Algorithm,
        ),
        (
            json!({"alg": "ES256", "kid": "ec", "typ": null}),
            DenialReason::Algorithm,
        ),
        (json!([]), DenialReason::Malformed),
        (json!("x"), DenialReason::Malformed),
    ] {
        let token = issuer.sign(&header, &claims());
        assert_eq!(of_token(&mut verifier, &token), Err(reason), "{header}");
    }
    let token = issuer.sign(&header(), &claims());
    let [head, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!()
    };
    let forged = other.sign(&header(), &claims());
    let stolen = forged.rsplit('.').next().unwrap();
    for (token, reason) in [
        (forged.clone(), DenialReason::Signature),
        (format!("{head}.{payload}.{stolen}"), DenialReason::Signature),
        (format!("{head}.{payload}."), DenialReason::Algorithm),
        (format!("{head}.{payload}"), DenialReason::Malformed),
        (format!("{token}.x"), DenialReason::Malformed),
        (format!("{head}.{payload}=.{signature}"), DenialReason::Malformed),
        (format!("{head}.{payload}.{signature}="), DenialReason::Malformed),
        (format!("{head}.{payload}.{}", &signature[1..]), DenialReason::Malformed),
        (format!("{head}..{signature}"), DenialReason::Signature),
        ("x".into(), DenialReason::Malformed),
        ("..".into(), DenialReason::Malformed),
        (format!("{token} "), DenialReason::Malformed),
    ] {
        assert_eq!(of_token(&mut verifier, &token), Err(reason), "{token}");
    }
    let bearer = format!("Bearer {token}");
    for pairs in [
        &[("authorization", bearer.as_str()), ("authorization", bearer.as_str())][..],
        &[("authorization", "Basic YTpi")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", token.as_str())],
        &[("authorization", "Bearer \u{e9}.a.b")],
    ] {
        assert_eq!(
            ask(&mut verifier, pairs, NOW_S),
            Err(DenialReason::Malformed),
            "{pairs:?}"
        );
    }
    assert_eq!(ask(&mut verifier, &[], NOW_S), Err(DenialReason::NoCredential));
    assert_eq!(
        ask(&mut verifier, &[("cookie", &bearer)], NOW_S),
        Err(DenialReason::NoCredential)
    );
}

#[test]
fn claims_must_be_there_and_of_their_types() {
    let issuer = Issuer::new();
    let mut verifier = ready(&issuer);
    let changed = |name: &str, value: Value| {
        let mut claims = claims();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        issuer.sign(&header(), &claims)
    };
    for (name, value, reason) in [
        ("iss", json!("https://issuer.example/pool/"), DenialReason::Issuer),
        ("iss", json!("https://ISSUER.example/pool"), DenialReason::Issuer),
        ("iss", json!(["https://issuer.example/pool"]), DenialReason::Claims),
        ("iss", Value::Null, DenialReason::Claims),
        ("token_use", json!("id"), DenialReason::TokenUse),
        ("token_use", json!("refresh"), DenialReason::TokenUse),
        ("token_use", Value::Null, DenialReason::Claims),
        ("client_id", json!("other"), DenialReason::Client),
        ("client_id", json!(["crm"]), DenialReason::Claims),
        ("client_id", Value::Null, DenialReason::Claims),
        ("exp", Value::Null, DenialReason::Claims),
        ("exp", json!("2000000000"), DenialReason::Claims),
        ("exp", json!(true), DenialReason::Claims),
        ("exp", json!(NOW_S - 31.0), DenialReason::Expired),
        ("exp", json!(-1), DenialReason::Expired),
        ("nbf", json!("1"), DenialReason::Claims),
        ("nbf", json!(NOW_S + 31.0), DenialReason::NotYetValid),
        ("iat", json!(NOW_S + 31.0), DenialReason::NotYetValid),
        ("iat", json!(false), DenialReason::Claims),
        ("sub", json!(7), DenialReason::Claims),
    ] {
        let token = changed(name, value.clone());
        assert_eq!(of_token(&mut verifier, &token), Err(reason), "{name} {value}");
    }
    for (name, value) in [
        ("exp", json!(NOW_S - 29.5)),
        ("exp", json!(1e300)),
        ("nbf", json!(NOW_S + 29.0)),
        ("iat", json!(NOW_S + 0.5)),
    ] {
        assert!(
            of_token(&mut verifier, &changed(name, value.clone())).is_ok(),
            "{name} {value}"
        );
    }
    // A name that comes twice: the last counts, and is what was signed.
    let twice = claims()
        .to_string()
        .replace("\"client_id\":\"crm\"", "\"client_id\":\"crm\",\"client_id\":\"evil\"");
    let token = issuer.sign_text(&header().to_string(), &twice);
    assert_eq!(of_token(&mut verifier, &token), Err(DenialReason::Client));
    let token = issuer.sign_text(&header().to_string(), &format!("{} x", claims()));
    assert_eq!(of_token(&mut verifier, &token), Err(DenialReason::Malformed));
}

#[test]
fn what_was_verified_ends_with_its_time_and_its_key() {
    let (issuer, next) = (Issuer::new(), Issuer::new());
    let mut verifier = ready(&issuer);
    let token = format!("Bearer {}", issuer.sign(&header(), &claims()));
    let pairs = [("authorization", token.as_str())];
    assert!(ask(&mut verifier, &pairs, NOW_S).is_ok());
    assert!(ask(&mut verifier, &pairs, NOW_S + 629.0).is_ok());
    assert_eq!(ask(&mut verifier, &pairs, NOW_S + 630.0), Err(DenialReason::Expired));
    // The same keys again keep what was verified; others end it.
    verifier.set_keys(issuer.keys(5));
    assert!(ask(&mut verifier, &pairs, NOW_S).is_ok());
    verifier.set_keys(next.keys(6));
    assert_eq!(ask(&mut verifier, &pairs, NOW_S), Err(DenialReason::Signature));
    // A signature that is not the remembered token's is looked at, whatever the rest is.
    verifier.set_keys(issuer.keys(7));
    assert!(ask(&mut verifier, &pairs, NOW_S).is_ok());
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    assert!(ask(&mut verifier, &[("authorization", &forged)], NOW_S).is_err());
}

#[test]
fn without_keys_tokens_wait_and_keys_go_on() {
    let issuer = Issuer::new();
    let mut verifier = Verifier::new(access(&["authenticated"]));
    assert!(!verifier.has_keys());
    let token = issuer.sign(&header(), &claims());
    assert_eq!(of_token(&mut verifier, &token), Err(DenialReason::KeysUnavailable));
    assert_eq!(ask(&mut verifier, &[], NOW_S), Err(DenialReason::NoCredential));
    assert_eq!(ask(&mut verifier, &[("x-api-key", KEY)], NOW_S).as_deref(), Ok("crm"));
    assert!(!verifier.takes_wish_for_keys());
    verifier.set_keys(issuer.keys(0));
    assert!(verifier.has_keys());
    let unknown = issuer.sign(&json!({"alg": "ES256", "kid": "new"}), &claims());
    assert_eq!(of_token(&mut verifier, &unknown), Err(DenialReason::UnknownKey));
    assert!(verifier.takes_wish_for_keys() && !verifier.takes_wish_for_keys());
    // Too old: a token that was verified waits too.
    assert!(of_token(&mut verifier, &token).is_ok());
    let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    let shown = |clock_s| Credentials {
        headers: &headers,
        certificate: None,
        now_s: NOW_S,
        clock_s,
    };
    assert!(verifier.check(Class::Score, shown(100)).is_ok());
    let (denial, _) = verifier.check(Class::Score, shown(101)).unwrap_err();
    assert_eq!(denial.reason, DenialReason::KeysUnavailable);
}

#[test]
fn every_credential_must_be_good_and_one_rule_must_fit() {
    let issuer = Issuer::new();
    let token = format!("Bearer {}", issuer.sign(&header(), &claims()));
    let (token, key) = (("authorization", token.as_str()), ("x-api-key", KEY));
    let wrong = ("x-api-key", "0123456789abcdef0123456_");
    for (rules, pairs, expected) in [
        (&["scope:q/score"][..], &[token][..], Ok("crm/someone")),
        (&["scope:q"], &[token], Err(DenialReason::NotAllowed)),
        (&["scope:q/score q/read"], &[token], Err(DenialReason::NotAllowed)),
        (&["group:ops"], &[token], Ok("crm/someone")),
        (&["client:crm"], &[token], Ok("crm/someone")),
        (&["client:batch"], &[token], Err(DenialReason::NotAllowed)),
        (&["key:crm"], &[key], Ok("crm")),
        (&["key:crm"], &[token], Err(DenialReason::NotAllowed)),
        (&["key:other", "key:crm"], &[key], Ok("crm")),
        (&["client:crm"], &[key], Err(DenialReason::NotAllowed)),
        (&["key:crm"], &[token, key], Ok("crm/someone")),
        (&["authenticated"], &[token, wrong], Err(DenialReason::ApiKey)),
        (&["authenticated"], &[key, key], Err(DenialReason::ApiKey)),
        (
            &["authenticated"],
            &[key, ("authorization", "Bearer x")],
            Err(DenialReason::Malformed),
        ),
        (&["anyone"], &[wrong], Ok("")),
        (&[], &[key], Err(DenialReason::NotAllowed)),
    ] {
        let mut verifier = Verifier::new(access(rules));
        verifier.set_keys(issuer.keys(0));
        let expected = expected.map(str::to_owned);
        assert_eq!(ask(&mut verifier, pairs, NOW_S), expected, "{rules:?} {pairs:?}");
    }
}

#[test]
fn certificates_have_names_and_an_end() {
    let names = vec!["crm.example".to_owned(), "spiffe://bank/crm".to_owned()];
    let certificate = std::rc::Rc::new(Principal::of_certificate(names, NOW_S));
    let headers = HeaderMap::new();
    let at = |rule: &str, now_s: f64| {
        let shown = Credentials {
            headers: &headers,
            certificate: Some(&certificate),
            now_s,
            clock_s: 0,
        };
        let checked = Verifier::new(access(&[rule])).check(Class::Score, shown);
        checked
            .map(|principal| principal.unwrap().name.clone())
            .map_err(|(denial, principal)| (denial.reason, principal.map(|principal| principal.name.clone())))
    };
    let good = Ok("crm.example".to_owned());
    assert_eq!(at("cert:spiffe://bank/crm", NOW_S), good);
    assert_eq!(at("authenticated", NOW_S), good);
    let refused = (DenialReason::NotAllowed, Some("crm.example".to_owned()));
    assert_eq!(at("cert:common.name", NOW_S), Err(refused));
    assert_eq!(at("authenticated", NOW_S + 1.0), Err((DenialReason::Certificate, None)));
}
