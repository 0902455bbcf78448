//! What the settings of `[auth]` demand of each other.

use super::Settings;
use super::cross_checks::Demand;
use crate::auth::{Class, Rule};

/// The keys of the rules, in the order of [`Class::ALL`].
const RULES: [&str; Class::ALL.len()] = [
    "auth.health",
    "auth.score",
    "auth.outcomes",
    "auth.metrics",
    "auth.docs",
    "auth.admin",
];

/// Every demand, met or not.
pub(super) fn demands(settings: &Settings) -> Vec<Demand> {
    of_tokens(settings).into_iter().chain(of_rules(settings)).collect()
}

/// What tokens need.
fn of_tokens(settings: &Settings) -> Vec<Demand> {
    let auth = &settings.auth;
    let has_issuer = auth.issuer.is_some();
    vec![
        Demand {
            is_missed: has_issuer && auth.clients.is_empty(),
            key: "auth.clients",
            asked_by: "auth.issuer",
            message: "is needed by auth.issuer: the ids of the clients whose tokens are accepted".into(),
            hint: "set clients under [auth], as [\"7a8b9c\"]: an issuer has tokens for many clients",
        },
        Demand {
            is_missed: !has_issuer && auth.jwks_url.is_some(),
            key: "auth.issuer",
            asked_by: "auth.jwks_url",
            message: "is needed by auth.jwks_url: who issues the tokens".into(),
            hint: "set issuer under [auth]",
        },
        Demand {
            is_missed: has_issuer && auth.algorithms.is_empty(),
            key: "auth.algorithms",
            asked_by: "auth.issuer",
            message: "is empty, so no token would be accepted".into(),
            hint: "leave it out for RS256",
        },
        Demand {
            is_missed: has_issuer && auth.token_use.is_empty(),
            key: "auth.token_use",
            asked_by: "auth.issuer",
            message: "is empty, so no token would be accepted".into(),
            hint: "leave it out for access",
        },
        Demand {
            is_missed: auth.jwks_url().is_some_and(|url| !is_secure(&url)),
            key: if auth.jwks_url.is_some() {
                "auth.jwks_url"
            } else {
                "auth.issuer"
            },
            asked_by: "auth.issuer",
            message: "leads to another machine by http, where anybody on the way could give us other keys".into(),
            hint: "write https, or http with 127.0.0.1 or localhost",
        },
    ]
}

/// What rules need.
fn of_rules(settings: &Settings) -> Vec<Demand> {
    let auth = &settings.auth;
    let has_issuer = auth.issuer.is_some();
    let mut all = Vec::new();
    let has_certificates = settings.tls.client_ca.is_some();
    for (key, rules) in RULES.into_iter().zip(&auth.rules) {
        let Some(rules) = rules else { continue };
        let demand = |is_missed, message: &str, hint| Demand {
            is_missed,
            key,
            asked_by: key,
            message: message.into(),
            hint,
        };
        let asks = |of: fn(&Rule) -> bool| rules.iter().any(of);
        all.push(demand(
            rules.is_empty(),
            "is empty, so nobody could do it",
            "leave it out for the default, or write [\"anyone\"]",
        ));
        all.push(demand(
            !has_issuer && asks(Rule::is_of_tokens),
            "has a rule for tokens (scope, group or client), and auth.issuer is not set",
            "set issuer and clients under [auth], or take the rule out",
        ));
        all.push(demand(
            !has_certificates && asks(|rule| matches!(rule, Rule::Cert(_))),
            "has a rule for certificates (cert), and tls.client_ca is not set",
            "set client_ca under [tls], or take the rule out",
        ));
        all.push(demand(
            auth.api_keys.is_none() && asks(|rule| matches!(rule, Rule::Key(_))),
            "has a rule for an API key (key), and auth.api_keys is not set",
            "set api_keys under [auth], or take the rule out",
        ));
    }
    all
}

/// Whether nobody on the way can change what comes from there.
fn is_secure(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let is_local = host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("https") || is_local
}
