//! What the metrics say of overload, and of TLS and credentials where there are some.

use std::sync::atomic::Ordering;

use prometheus::proto::MetricFamily;

use super::families::{counter, float, gauge, labels};
use crate::telemetry::{Counter, DenialReason, SecurityGauges, ShardStats};

/// Who was allowed, by the name that the metrics have for it.
const PRINCIPALS: [(&str, Counter); 4] = [
    ("anyone", Counter::ByAnyone),
    ("token", Counter::ByTokens),
    ("api_key", Counter::ByKeys),
    ("certificate", Counter::ByCertificates),
];

/// Results of handshakes by the name that the metrics have for them.
const HANDSHAKES: [(&str, Counter); 3] = [
    ("full", Counter::HandshakesFull),
    ("resumed", Counter::HandshakesResumed),
    ("failed", Counter::HandshakesFailed),
];

#[expect(clippy::cast_precision_loss, reason = "the format knows doubles only")]
pub(super) fn families(totals: &ShardStats, gauges: &SecurityGauges) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    let late = [("score", Counter::LateScores), ("batch", Counter::LateBatches)];
    families.push(counter(
        "quintile_late_total",
        "Requests answered 503 because they had waited longer for their shard than limits.queue_ms; batch counts explanations too.",
        late.map(|(what, of)| (labels(&[("what", what)]), totals.of(of))),
    ));
    let not_after = gauges.certificate_not_after.load(Ordering::Relaxed);
    if not_after != 0 {
        families.push(gauge(
            "quintile_tls_certificate_expiry_timestamp_seconds",
            "The last second of the server's certificate, since 1970.",
            [(vec![], not_after as f64)],
        ));
        let handshakes = HANDSHAKES.map(|(result, of)| (labels(&[("result", result)]), totals.of(of)));
        families.push(counter(
            "quintile_tls_handshakes_total",
            "TLS handshakes by result.",
            handshakes,
        ));
    }
    if gauges.is_guarded.load(Ordering::Relaxed) {
        let allowed = PRINCIPALS.map(|(kind, of)| (labels(&[("principal", kind)]), totals.of(of)));
        families.push(counter(
            "quintile_allowed_total",
            "Requests that were allowed, by the kind of credential.",
            allowed,
        ));
        let denied = DenialReason::ALL.iter().zip(&totals.denied);
        families.push(counter(
            "quintile_denied_total",
            "Requests that were not allowed, by reason.",
            denied.map(|(reason, &count)| (labels(&[("reason", reason.name())]), count)),
        ));
    }
    if let Ok(fetched_s) = u64::try_from(gauges.jwks_fetched_s.load(Ordering::Relaxed)) {
        families.push(gauge(
            "quintile_jwks_age_seconds",
            "Since when the issuer's keys in force are had.",
            [(vec![], float(gauges.clock_s().saturating_sub(fetched_s)))],
        ));
    }
    families
}
