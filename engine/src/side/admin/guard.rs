//! Whether the admin listener takes a request: with `auth.admin` it asks for credentials.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use super::{Admin, Answer, refused};
use crate::auth::{Class, Credentials};
use crate::telemetry::DenialReason;

/// The answer to a request that is not allowed.
pub(super) fn refusal(admin: &Admin, request: &Request<Incoming>) -> Option<Answer> {
    let class = match request.uri().path() {
        "/healthz" | "/readyz" => Class::Health,
        _ => Class::Admin,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let shown = Credentials {
        headers: request.headers(),
        certificate: None,
        now_s: now.as_secs_f64(),
        clock_s: admin.security.clock_s(),
    };
    let ((denial, principal), forbidden) = admin.access.check_admin(class, shown).err()?;
    let reason = denial.reason;
    let (status, code, challenge) = match reason {
        DenialReason::NoCredential => (
            StatusCode::UNAUTHORIZED,
            "no_credential",
            Some(HeaderValue::from_static(r#"Bearer realm="quintile""#)),
        ),
        DenialReason::NotAllowed => (StatusCode::FORBIDDEN, "not_allowed", Some(forbidden)),
        DenialReason::KeysUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", None),
        _ => (
            StatusCode::UNAUTHORIZED,
            "invalid_credential",
            Some(HeaderValue::from_static(
                r#"Bearer realm="quintile", error="invalid_token""#,
            )),
        ),
    };
    let principal = principal.map(|principal| principal.name.clone());
    tracing::warn!(
        reason = reason.name(),
        http.route = "admin",
        http.response.status_code = status.as_u16(),
        principal,
        "denied"
    );
    let mut answer = refused(status, code, denial.message());
    let headers = answer.headers_mut();
    match challenge {
        Some(challenge) => headers.insert(WWW_AUTHENTICATE, challenge),
        None => headers.insert(RETRY_AFTER, HeaderValue::from(denial.retry_s.max(1))),
    };
    Some(answer)
}
