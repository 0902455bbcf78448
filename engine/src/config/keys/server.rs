//! `[server]`: where it listens, and how it uses the machine.

use std::time::Duration;

use super::{Key, plain};
use crate::config::ADMIN;
use crate::config::validators::{check_listen, check_network, check_origin};
use crate::config::value::ValueKind;
use crate::limits::{SHARDS_MAX, SPIN_US_MAX};
use crate::network::Network;
use crate::protocol::Protocols;
use crate::runtime;

pub(super) static KEYS: &[Key] = &[
    Key {
        section: "server",
        name: "listen",
        flag: Some("listen"),
        kind: ValueKind::Text {
            form: "HOST:PORT, as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080",
            check: check_listen,
            set: |settings, text| settings.listen = text,
        },
        default: Some("127.0.0.1:8080"),
        help: "Where to listen; port 0 takes a free one, and the ready log line says which",
    },
    Key {
        section: "server",
        name: "runtime",
        flag: Some("runtime"),
        kind: ValueKind::Word {
            words: || vec!["auto", "glommio", "epoll"],
            set: |settings, word| {
                word.parse::<runtime::Choice>()
                    .map(|choice| settings.runtime = choice)
                    .is_ok()
            },
        },
        default: Some("auto"),
        help: "What drives the sockets: io_uring (glommio) or epoll; auto takes the faster one that can run here",
    },
    Key {
        section: "server",
        name: "shards",
        flag: Some("shards"),
        kind: ValueKind::Count {
            range: 1..=SHARDS_MAX,
            unit: "",
            set: |settings, count| settings.shards = Some(count),
        },
        default: None,
        help: "Serving threads; without it one for each whole CPU that this process has",
    },
    Key {
        section: "server",
        name: "cpus",
        flag: Some("cpus"),
        kind: ValueKind::Number {
            range: 0.01..=1024.0,
            unit: "CPUs",
            set: |settings, cpus| settings.cpus = Some(cpus),
        },
        default: None,
        help: "CPUs to use at most, where less is wanted than affinity, cgroups and ECS allow",
    },
    plain(
        "server",
        "pages",
        ValueKind::Word {
            words: || vec!["on", "off"],
            set: |settings, word| {
                settings.pages = word == "on";
                matches!(word, "on" | "off")
            },
        },
        Some("on"),
        "Whether / and /docs are there for browsers; what programs read (/openapi.json, /v1/schema, /v1/status) always is",
    ),
    plain(
        "server",
        "recent",
        ValueKind::Word {
            words: || vec!["on", "off"],
            set: |settings, word| {
                settings.recent = Some(word == "on");
                matches!(word, "on" | "off")
            },
        },
        None,
        "Whether / and /v1/status have the ids and scores of the last leads (never a value); without it only where listen is \
         an address of this machine alone",
    ),
    plain(
        "server",
        "cors_origins",
        ValueKind::Texts {
            form: "origins, as https://crm.example.com, or * for any",
            check: check_origin,
            set: |settings, origins| settings.cors_origins = origins,
        },
        Some("none"),
        "Web pages of which other origins may call this server from a browser (CORS)",
    ),
    plain(
        "server",
        "trusted_proxies",
        ValueKind::Texts {
            form: "networks, as 10.0.0.0/8 or fd00::/8",
            check: check_network,
            set: |settings, texts| {
                settings.trusted_proxies = texts.iter().filter_map(|text| Network::parse(text)).collect();
            },
        },
        Some("none"),
        "Networks of proxies that say whose a request is, in X-Forwarded-For or Forwarded: for log lines, never for rights",
    ),
    plain(
        "server",
        "proxy_protocol",
        ValueKind::Word {
            words: || vec!["off", "on"],
            set: |settings, word| {
                settings.proxy_protocol = word == "on";
                matches!(word, "on" | "off")
            },
        },
        Some("off"),
        "Whether every connection begins with the PROXY protocol, version 1 or 2, as NLBs write it; what does not is closed",
    ),
    plain(
        "server",
        "core_dumps",
        ValueKind::Word {
            words: || vec!["off", "on"],
            set: |settings, word| {
                settings.core_dumps = word == "on";
                matches!(word, "on" | "off")
            },
        },
        Some("off"),
        "Whether the kernel may write this process's memory to a file when it crashes, and debuggers of the same user may \
         attach: it has records and keys",
    ),
    plain(
        "server",
        "protocols",
        ValueKind::Words {
            words: || Protocols::WORDS.to_vec(),
            set: |settings, words| settings.protocols = Protocols::of(words),
        },
        Some("all"),
        "Which protocols of other servers are answered beside /score: all, or some of v2 (KServe, Triton, MLServer), grpc (the \
         same over gRPC), v1 (KServe), sagemaker and mlflow (docs/protocols.md)",
    ),
    plain(
        "server",
        "spin_us",
        ValueKind::Count {
            range: 0..=SPIN_US_MAX,
            unit: "µs",
            set: |settings, micros| settings.spin = Duration::from_micros(micros as u64),
        },
        Some("0"),
        "How long a shard without work keeps looking at its sockets before it sleeps: latencies are shorter by the time that waking \
         up takes, and the shard uses its whole CPU (docs/runtimes.md)",
    ),
    plain(
        "server",
        "admin",
        ValueKind::Text {
            form: "none or HOST:PORT, as 127.0.0.1:9901",
            check: |text| if text == "none" { Ok(()) } else { check_listen(text) },
            set: |settings, text| settings.admin = (text != "none").then_some(text),
        },
        Some(ADMIN),
        "Where operators ask what the process does (/debug/flamegraph); it is unauthenticated, so bind it to loopback. \
         When the default's port is taken, the server goes on without",
    ),
];
