//! What the metrics say of TLS. Nothing where the listener speaks plainly.

use std::sync::atomic::Ordering;

use prometheus::proto::MetricFamily;

use super::families::{counter, gauge, labels};
use crate::telemetry::{Counter, SecurityGauges, ShardStats};

/// Results of handshakes by the name that the metrics have for them.
const HANDSHAKES: [(&str, Counter); 3] = [
    ("full", Counter::HandshakesFull),
    ("resumed", Counter::HandshakesResumed),
    ("failed", Counter::HandshakesFailed),
];

#[expect(clippy::cast_precision_loss, reason = "the format knows doubles only")]
pub(super) fn families(totals: &ShardStats, gauges: &SecurityGauges) -> Vec<MetricFamily> {
    let not_after = gauges.certificate_not_after.load(Ordering::Relaxed);
    if not_after == 0 {
        return Vec::new();
    }
    let handshakes = HANDSHAKES.map(|(result, of)| (labels(&[("result", result)]), totals.of(of)));
    vec![
        gauge(
            "quintile_tls_certificate_expiry_timestamp_seconds",
            "The last second of the server's certificate, since 1970.",
            [(vec![], not_after as f64)],
        ),
        counter("quintile_tls_handshakes_total", "TLS handshakes by result.", handshakes),
    ]
}
