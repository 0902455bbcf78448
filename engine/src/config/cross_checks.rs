//! Checks of settings against each other, made when each setting by itself is right.

use super::fault::{Fault, SettingSource};
use super::{Settings, SinkKind};

/// Every demand that is not met.
pub(super) fn faults(settings: &Settings) -> Vec<Fault> {
    let (records, scoring) = (&settings.records, &settings.scoring);
    let goes_to = |kind| records.sinks.contains(&kind);
    let demands = [
        (
            goes_to(SinkKind::Firehose) && records.firehose_stream.is_none(),
            "records.firehose_stream",
            "is needed by the sink firehose: the name of a delivery stream",
        ),
        (
            goes_to(SinkKind::S3) && records.s3_url.is_none(),
            "records.s3_url",
            "is needed by the sink s3: s3://BUCKET/PREFIX",
        ),
        (
            scoring.asks_sagemaker() && scoring.endpoint.is_none(),
            "scoring.endpoint",
            "is needed to ask SageMaker: the name of an endpoint",
        ),
        (
            scoring.fallback == Some(scoring.primary),
            "scoring.fallback",
            "is the same as scoring.primary; accepted: none, or the other of local and sagemaker",
        ),
        (
            settings.model.is_some() && settings.models.store.is_some(),
            "models.store",
            "cannot be set together with model.path: models come from one file or from a store",
        ),
        (
            scoring.asks_sagemaker() && settings.models.store.is_some(),
            "models.store",
            "cannot be set while scoring.primary or scoring.fallback is sagemaker, which scores one model",
        ),
    ];
    let fault = |(_, key, message): (bool, &str, &str)| Fault {
        source: SettingSource::Setting(key.into()),
        message: message.into(),
        hint: None,
    };
    demands.into_iter().filter(|demand| demand.0).map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ScorerKind;

    #[test]
    fn what_a_sink_or_scorer_needs_must_be_set() {
        let keys = |settings: &Settings| -> Vec<String> {
            faults(settings).iter().map(|fault| fault.source.to_string()).collect()
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
