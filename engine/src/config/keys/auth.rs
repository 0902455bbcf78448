//! `[auth]`: who may do what.

use super::{Key, plain};
use crate::auth::{Algorithm, Class, TokenUse, check_rule};
use crate::config::Settings;
use crate::config::validators::{check_key_source, check_url};
use crate::config::value::ValueKind;

pub(super) static KEYS: &[Key] = &[
    plain(
        "auth",
        "issuer",
        ValueKind::Text {
            form: "a URL, as https://cognito-idp.eu-central-1.amazonaws.com/POOL",
            check: check_url,
            set: |settings, text| settings.auth.issuer = Some(text),
        },
        None,
        "Who issues bearer tokens: their iss, byte for byte; with it they are accepted",
    ),
    plain(
        "auth",
        "jwks_url",
        ValueKind::Text {
            form: "a URL with https, or with http on this machine",
            check: check_url,
            set: |settings, text| settings.auth.jwks_url = Some(text),
        },
        None,
        "Where the issuer's keys are; without it ISSUER/.well-known/jwks.json",
    ),
    plain(
        "auth",
        "algorithms",
        ValueKind::Texts {
            form: "RS256, ES256 and EdDSA",
            check: |text| known(Algorithm::named(text).is_some()),
            set: |settings, texts| {
                settings.auth.algorithms = texts.iter().filter_map(|text| Algorithm::named(text)).collect();
            },
        },
        Some("RS256"),
        "Algorithms of tokens; no other is ever accepted",
    ),
    plain(
        "auth",
        "clients",
        ValueKind::Texts {
            form: "client ids",
            check: |text| {
                known(!text.is_empty() && text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic()))
            },
            set: |settings, texts| settings.auth.clients = texts,
        },
        Some("none"),
        "Whose tokens are accepted: client_id of an access token, aud of an ID token; needed with issuer",
    ),
    plain(
        "auth",
        "token_use",
        ValueKind::Texts {
            form: "access and id",
            check: |text| known(TokenUse::named(text).is_some()),
            set: |settings, texts| {
                settings.auth.token_use = texts.iter().filter_map(|text| TokenUse::named(text)).collect();
            },
        },
        Some("access"),
        "Which tokens are accepted: access tokens, ID tokens, or both",
    ),
    plain(
        "auth",
        "leeway_seconds",
        ValueKind::Seconds {
            range: 0.0..=300.0,
            set: |settings, time| settings.auth.leeway = time,
        },
        Some("30"),
        "How far the clocks may be apart, for exp, nbf and iat",
    ),
    plain(
        "auth",
        "jwks_refresh_seconds",
        ValueKind::Seconds {
            range: 1.0..=86_400.0,
            set: |settings, time| settings.auth.refresh = time,
        },
        Some("300"),
        "How often the issuer's keys are fetched",
    ),
    plain(
        "auth",
        "jwks_cooldown_seconds",
        ValueKind::Seconds {
            range: 1.0..=3_600.0,
            set: |settings, time| settings.auth.cooldown = time,
        },
        Some("30"),
        "At least so long between two fetches that tokens with unknown keys ask for",
    ),
    plain(
        "auth",
        "jwks_stale_seconds",
        ValueKind::Seconds {
            range: 1.0..=604_800.0,
            set: |settings, time| settings.auth.stale = time,
        },
        Some("86400"),
        "For so long the last keys serve while no others can be had",
    ),
    plain(
        "auth",
        "api_keys",
        ValueKind::Text {
            form: "file:PATH, aws-secretsmanager:ID or aws-ssm:NAME",
            check: check_key_source,
            set: |settings, text| settings.auth.api_keys = Some(text),
        },
        None,
        "API keys (x-api-key): a JSON object of names and keys of at least 24 characters, or sha256:HEX of one",
    ),
    rules("health", "How the process is; without it anyone"),
    rules(
        "score",
        "All that scores or explains; without it authenticated, once a credential is configured",
    ),
    rules("outcomes", "Reports of outcomes"),
    rules("metrics", "/metrics"),
    rules("docs", "Pages and all else that is read"),
    rules(
        "admin",
        "Loads and unloads, and, when it is set, the whole admin listener",
    ),
];

/// Shortens the table: the rules of a class.
const fn rules(name: &'static str, help: &'static str) -> Key {
    Key {
        section: "auth",
        name,
        flag: None,
        kind: ValueKind::Texts {
            form: "anyone, authenticated, scope:S, group:G, client:ID, key:NAME and cert:NAME",
            check: check_rule,
            set: setter(name),
        },
        default: None,
        help,
    }
}

type Setter = fn(&mut Settings, Vec<String>);

const fn setter(name: &str) -> Setter {
    match name.as_bytes() {
        b"health" => |settings, rules| settings.auth.set_rules(Class::Health, &rules),
        b"score" => |settings, rules| settings.auth.set_rules(Class::Score, &rules),
        b"outcomes" => |settings, rules| settings.auth.set_rules(Class::Outcomes, &rules),
        b"metrics" => |settings, rules| settings.auth.set_rules(Class::Metrics, &rules),
        b"docs" => |settings, rules| settings.auth.set_rules(Class::Docs, &rules),
        _ => |settings, rules| settings.auth.set_rules(Class::Admin, &rules),
    }
}

fn known(is_known: bool) -> Result<(), String> {
    if is_known {
        Ok(())
    } else {
        Err(", which is none of them".into())
    }
}
