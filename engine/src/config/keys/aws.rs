//! `[aws]`: how AWS is reached.

use std::time::Duration;

use super::{Key, plain};
use crate::config::validators::{check_region, check_url};
use crate::config::value::ValueKind;

pub(super) static KEYS: &[Key] = &[
    plain(
        "aws",
        "region",
        ValueKind::Text {
            form: "a region, as eu-central-1",
            check: check_region,
            set: |settings, text| settings.aws.region = Some(text),
        },
        None,
        "The AWS region; without it the one that the SDK finds (AWS_REGION, profile, instance)",
    ),
    plain(
        "aws",
        "endpoint",
        ValueKind::Text {
            form: "a URL, as http://127.0.0.1:5000",
            check: check_url,
            set: |settings, text| settings.aws.endpoint = Some(text),
        },
        None,
        "Where every AWS service is reached, for stand-ins and S3-compatible stores",
    ),
    plain(
        "aws",
        "secrets_refresh_seconds",
        ValueKind::Seconds {
            range: 1.0..=86_400.0,
            set: |settings, time: Duration| settings.aws.secrets_refresh = time,
        },
        Some("300"),
        "How often secrets that are named by aws-secretsmanager: or aws-ssm: are fetched again",
    ),
];
