//! `[limits]`: what one client may use.

use super::{HOUR_MS, KIB, Key, MIB, TICK_MS, plain};
use crate::budget::BUDGET_BYTES_MIN;
use crate::config::value::ValueKind;

pub(super) static KEYS: &[Key] = &[
    limit(
        "body_bytes_max",
        ValueKind::Count {
            range: KIB..=256 * MIB,
            unit: "bytes",
            set: |settings, bytes| settings.limits.body_bytes_max = bytes,
        },
        "1048576",
        "A request's body",
    ),
    limit(
        "batch_bytes_max",
        ValueKind::Count {
            range: KIB..=256 * MIB,
            unit: "bytes",
            set: |settings, bytes| settings.limits.batch_bytes_max = bytes,
        },
        "33554432",
        "A batch's body; each of its leads has body_bytes_max",
    ),
    limit(
        "batch_leads_max",
        ValueKind::Count {
            range: 1..=1_000_000,
            unit: "leads",
            set: |settings, count| settings.limits.batch_leads_max = count,
        },
        "10000",
        "Leads of a batch",
    ),
    limit(
        "tensor_rows_max",
        ValueKind::Count {
            range: 1..=10_000_000,
            unit: "rows",
            set: |settings, count| settings.limits.tensor_rows_max = count,
        },
        "1000000",
        "Rows of a request of another protocol (docs/protocols.md), whose body has batch_bytes_max",
    ),
    limit(
        "batches_max",
        ValueKind::Count {
            range: 1..=1000,
            unit: "batches",
            set: |settings, count| settings.limits.batches_max = count,
        },
        "4",
        "Batches of one shard that are being read or answered at once; each may hold batch_bytes_max",
    ),
    limit(
        "head_bytes_max",
        // hyper refuses a buffer below 8 KiB.
        ValueKind::Count {
            range: 8 * KIB..=MIB,
            unit: "bytes",
            set: |settings, bytes| settings.limits.head_bytes_max = bytes,
        },
        "16384",
        "A request's head",
    ),
    limit(
        "headers_max",
        // hyper holds a hundred without allocating; with fewer than eight no browser gets through.
        ValueKind::Count {
            range: 8..=100,
            unit: "headers",
            set: |settings, count| settings.limits.headers_max = count,
        },
        "100",
        "Headers of a request",
    ),
    limit(
        "connections_max",
        ValueKind::Count {
            range: 1..=1_000_000,
            unit: "connections",
            set: |settings, count| settings.limits.connections_max = count,
        },
        "10000",
        "Open connections of the process",
    ),
    plain(
        "limits",
        "memory_bytes",
        ValueKind::Count {
            range: BUDGET_BYTES_MIN..=1 << 40,
            unit: "bytes",
            set: |settings, bytes| settings.memory_bytes = Some(bytes),
        },
        None,
        "Bytes of bodies, batches, waiting answers and connections of the process; without it a third of what the memory \
         limit leaves after the start, at most 192 MiB",
    ),
    limit(
        "in_flight_max",
        ValueKind::Count {
            range: 1..=1_000_000,
            unit: "requests",
            set: |settings, count| settings.limits.in_flight_max = count,
        },
        "10000",
        "Requests of one shard that are being read or answered at once",
    ),
    limit(
        "queue_ms",
        ValueKind::Millis {
            range: 1..=60_000,
            set: |settings, time| settings.limits.queue = time,
        },
        "100",
        "How long a request may have waited for its shard when its turn comes: beyond it, while the shard is behind, it gets \
         503. Batches and explanations have half of it",
    ),
    plain(
        "limits",
        "principal_rate",
        ValueKind::Number {
            range: 0.01..=1_000_000.0,
            unit: "requests/s",
            set: |settings, rate| settings.limits.principal_rate = Some(rate),
        },
        None,
        "Requests a second of each principal (an API key, a certificate, a token's client and subject); more get 429",
    ),
    plain(
        "limits",
        "principal_burst",
        ValueKind::Count {
            range: 1..=1_000_000,
            unit: "requests",
            set: |settings, count| settings.limits.principal_burst = Some(count),
        },
        None,
        "Requests of a principal at once; without it principal_rate, and one at least",
    ),
    limit(
        "first_byte_ms",
        ValueKind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.first_byte = time,
        },
        "30000",
        "From a connection's start to its first byte",
    ),
    limit(
        "handshake_ms",
        ValueKind::Millis {
            range: 100..=60_000,
            set: |settings, time| settings.limits.handshake = time,
        },
        "10000",
        "From a connection's start to the end of its TLS handshake",
    ),
    limit(
        "head_ms",
        ValueKind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.head = time,
        },
        "10000",
        "From the first byte of a head to its last",
    ),
    limit(
        "body_ms",
        ValueKind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.body = time,
        },
        "10000",
        "From the end of a head to the end of its body",
    ),
    limit(
        "batch_ms",
        ValueKind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.batch = time,
        },
        "60000",
        "The same for a batch",
    ),
    limit(
        "idle_ms",
        ValueKind::Millis {
            range: TICK_MS..=24 * HOUR_MS,
            set: |settings, time| settings.limits.idle = time,
        },
        "75000",
        "Between two requests of a connection; longer than the load balancer's",
    ),
    limit(
        "write_ms",
        ValueKind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.write = time,
        },
        "10000",
        "For the peer to read what is written to it",
    ),
    limit(
        "linger_ms",
        ValueKind::Millis {
            range: 0..=60_000,
            set: |settings, time| settings.limits.linger = time,
        },
        "2000",
        "How long a closing connection reads on, so that its last answer arrives",
    ),
    limit(
        "drain_idle_ms",
        ValueKind::Millis {
            range: 0..=HOUR_MS,
            set: |settings, time| settings.limits.drain_idle = time,
        },
        "500",
        "How long a quiet connection stays open after a drain began",
    ),
    plain(
        "limits",
        "drain_delay_ms",
        ValueKind::Millis {
            range: 0..=HOUR_MS,
            set: |settings, time| settings.limits.drain_delay = time,
        },
        None,
        "How long the port stays open after SIGTERM, while /readyz says 503: load balancers have that long to look elsewhere. \
         Part of drain_ms; without it 5000 in Kubernetes (at most half of drain_ms) and 0 elsewhere",
    ),
    limit(
        "drain_ms",
        ValueKind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.drain = time,
        },
        "25000",
        "The whole drain; shorter than what follows SIGTERM with SIGKILL",
    ),
    limit(
        "reload_ms",
        ValueKind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.reload = time,
        },
        "300000",
        "For a reload to read the configuration and the model; one that takes longer is given up",
    ),
];

/// Shortens the table: a key of `[limits]`.
const fn limit(name: &'static str, kind: ValueKind, default: &'static str, help: &'static str) -> Key {
    Key {
        section: "limits",
        name,
        flag: None,
        kind,
        default: Some(default),
        help,
    }
}
