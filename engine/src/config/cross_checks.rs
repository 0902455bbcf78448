//! Checks of settings against each other, made when each setting by itself is right.

use super::fault::{Fault, SettingSource};
use super::origins::SettingOrigins;
use super::{ADMIN, Settings, SinkKind, units};
use crate::tls::ClientCertificates;

/// A demand: whether it is not met, the key that should be another, the one that asks for it, what is wrong, what to do.
pub(super) struct Demand {
    pub(super) is_missed: bool,
    pub(super) key: &'static str,
    pub(super) asked_by: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// Every demand that is not met. `is_open` says which keys have faults of their own, so that nobody knows what they are.
pub(super) fn faults(settings: &Settings, told: &SettingOrigins, is_open: impl Fn(&str) -> bool) -> Vec<Fault> {
    let all = demands(settings)
        .into_iter()
        .chain(of_addresses(settings))
        .chain(of_certificates(settings))
        .chain(super::auth_checks::demands(settings))
        .chain(of_sizes(settings));
    let missed = all.filter(|demand| demand.is_missed && !is_open(demand.key) && !is_open(demand.asked_by));
    let fault = |demand: Demand| {
        // Where it is set, if it is; otherwise where that is set which asks for it.
        let source = told.source(demand.key).cloned();
        let message = match &source {
            Some(_) => format!("{} {}", demand.key, demand.message),
            None => demand.message,
        };
        Fault {
            source: source.unwrap_or_else(|| SettingSource::Setting(demand.key.into())),
            message,
            hint: Some(demand.hint.into()),
            key: Some(demand.key.into()),
        }
    };
    missed.map(fault).collect()
}

fn demands(settings: &Settings) -> Vec<Demand> {
    let (records, scoring) = (&settings.records, &settings.scoring);
    let goes_to = |kind| records.sinks.contains(&kind);
    vec![
        Demand {
            is_missed: goes_to(SinkKind::Firehose) && records.firehose_stream.is_none(),
            key: "records.firehose_stream",
            asked_by: "records.sinks",
            message: "is needed by the sink firehose: the name of a delivery stream".into(),
            hint: "set firehose_stream under [records], or QUINTILE_RECORDS__FIREHOSE_STREAM",
        },
        Demand {
            is_missed: goes_to(SinkKind::S3) && records.s3_url.is_none(),
            key: "records.s3_url",
            asked_by: "records.sinks",
            message: "is needed by the sink s3: s3://BUCKET/PREFIX".into(),
            hint: "set s3_url under [records], or QUINTILE_RECORDS__S3_URL",
        },
        Demand {
            is_missed: records.forget.iter().any(|kind| records.sinks.contains(kind)),
            key: "records.forget",
            asked_by: "records.sinks",
            message: "names a sink that records.sinks has too".into(),
            hint: "take it out of one of the two",
        },
        Demand {
            is_missed: scoring.asks_sagemaker() && scoring.endpoint.is_none(),
            key: "scoring.endpoint",
            asked_by: "scoring.primary",
            message: "is needed to ask SageMaker: the name of an endpoint".into(),
            hint: "set endpoint under [scoring], or QUINTILE_SCORING__ENDPOINT",
        },
        Demand {
            is_missed: scoring.fallback == Some(scoring.primary),
            key: "scoring.fallback",
            asked_by: "scoring.primary",
            message: "is the same as scoring.primary; accepted: none, or the other of local and sagemaker".into(),
            hint: "leave it out",
        },
        Demand {
            is_missed: settings.model.is_some() && settings.models.store.is_some(),
            key: "models.store",
            asked_by: "model.path",
            message: "cannot be set together with model.path: models come from one file or from a store".into(),
            hint: "take one of the two out",
        },
        Demand {
            is_missed: scoring.asks_sagemaker() && settings.models.store.is_some(),
            key: "models.store",
            asked_by: "scoring.primary",
            message: "cannot be set while scoring.primary or scoring.fallback is sagemaker, which scores one model"
                .into(),
            hint: "take one of the two out",
        },
    ]
}

/// Two listeners on one port: the second would be refused when the server starts.
fn of_addresses(settings: &Settings) -> Option<Demand> {
    let admin = settings.admin.as_deref()?;
    let (host, port) = settings.listen.rsplit_once(':')?;
    let (admin_host, admin_port) = admin.rsplit_once(':')?;
    let is_any = |host: &str| matches!(host, "0.0.0.0" | "[::]");
    let is_same = host == admin_host || is_any(host) || is_any(admin_host);
    Some(Demand {
        is_missed: admin != ADMIN && port == admin_port && port != "0" && is_same,
        key: "server.admin",
        asked_by: "server.listen",
        message: format!("is {admin}, the port of server.listen ({})", settings.listen),
        hint: "give it another port, as 127.0.0.1:9901, or write none",
    })
}

/// Files of TLS that need each other.
fn of_certificates(settings: &Settings) -> Vec<Demand> {
    let tls = &settings.tls;
    let asks = !matches!(tls.client, None | Some(ClientCertificates::None));
    vec![
        Demand {
            is_missed: tls.certificate.is_some() && tls.key.is_none(),
            key: "tls.key",
            asked_by: "tls.certificate",
            message: "is needed by tls.certificate: the file of its private key".into(),
            hint: "set key under [tls], or QUINTILE_TLS__KEY",
        },
        Demand {
            is_missed: tls.certificate.is_none() && tls.key.is_some(),
            key: "tls.certificate",
            asked_by: "tls.key",
            message: "is needed by tls.key: the file of the certificate".into(),
            hint: "set certificate under [tls], or QUINTILE_TLS__CERTIFICATE",
        },
        Demand {
            is_missed: tls.certificate.is_none() && tls.key.is_none() && tls.client_ca.is_some(),
            key: "tls.certificate",
            asked_by: "tls.client_ca",
            message: "is needed by tls.client_ca: clients show a certificate only where the server has one".into(),
            hint: "set certificate and key under [tls]",
        },
        Demand {
            is_missed: asks && tls.client_ca.is_none(),
            key: "tls.client_ca",
            asked_by: "tls.client",
            message: "is needed by tls.client: the file of the roots of client certificates".into(),
            hint: "set client_ca under [tls], or leave client out",
        },
        Demand {
            is_missed: tls.client_crl.is_some() && tls.client_ca.is_none(),
            key: "tls.client_ca",
            asked_by: "tls.client_crl",
            message: "is needed by tls.client_crl: the file of the roots of client certificates".into(),
            hint: "set client_ca under [tls], or take client_crl out",
        },
    ]
}

/// Sizes of which one must not be above another.
fn of_sizes(settings: &Settings) -> Vec<Demand> {
    let limits = &settings.limits;
    let memory = settings.memory_bytes.unwrap_or(usize::MAX);
    vec![
        Demand {
            is_missed: limits.body_bytes_max > memory,
            key: "limits.body_bytes_max",
            asked_by: "limits.memory_bytes",
            message: format!(
                "is {}, more than all of limits.memory_bytes ({memory})",
                limits.body_bytes_max
            ),
            hint: "such a body could never be read: give a smaller body_bytes_max, or more memory_bytes",
        },
        Demand {
            is_missed: limits.drain_delay >= limits.drain,
            key: "limits.drain_delay_ms",
            asked_by: "limits.drain_ms",
            message: format!(
                "is {}, which leaves nothing of limits.drain_ms ({}) to finish requests in",
                units::duration(limits.drain_delay),
                units::duration(limits.drain)
            ),
            hint: "give a shorter drain_delay_ms, or a longer drain_ms",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ScorerKind;

    #[test]
    fn what_a_sink_or_scorer_needs_must_be_set() {
        let keys = |settings: &Settings| -> Vec<String> {
            let faults = faults(settings, &SettingOrigins::default(), |_| false);
            faults.iter().map(|fault| fault.source.to_string()).collect()
        };
        let mut settings = Settings::default();
        assert!(keys(&settings).is_empty());
        settings.records.sinks = SinkKind::ALL.to_vec();
        settings.scoring.primary = ScorerKind::SageMaker;
        settings.scoring.fallback = Some(ScorerKind::SageMaker);
        assert_eq!(
            keys(&settings),
            [
                "records.firehose_stream",
                "records.s3_url",
                "scoring.endpoint",
                "scoring.fallback"
            ]
        );
        settings.records.firehose_stream = Some("scores".into());
        settings.records.s3_url = Some("s3://lake".into());
        settings.scoring.endpoint = Some("leads".into());
        settings.scoring.fallback = Some(ScorerKind::Local);
        assert!(keys(&settings).is_empty());
        settings.models.store = Some("models".into());
        settings.model = Some("model.ubj".into());
        assert_eq!(keys(&settings), ["models.store", "models.store"]);
    }
}
