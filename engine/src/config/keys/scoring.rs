//! `[scoring]`: which scorer is used.

use quintile_scoring::limits::REASONS_MAX;
use quintile_scoring::render::row_body::Template;

use super::{Key, plain};
use crate::config::validators::{check_name, check_template};
use crate::config::value::ValueKind;
use crate::config::{BodyKind, ScorerKind};

pub(super) static KEYS: &[Key] = &[
    plain(
        "scoring",
        "primary",
        ValueKind::Word {
            words: || vec!["local", "sagemaker"],
            set: |settings, word| scorer(word).map(|scorer| settings.scoring.primary = scorer).is_some(),
        },
        Some("local"),
        "Who scores: this process, or a SageMaker endpoint",
    ),
    plain(
        "scoring",
        "fallback",
        ValueKind::Word {
            words: || vec!["none", "local", "sagemaker"],
            set: |settings, word| {
                settings.scoring.fallback = scorer(word);
                settings.scoring.fallback.is_some() || word == "none"
            },
        },
        Some("none"),
        "Who scores when the primary does not: sagemaker also serves a model that cannot be evaluated here",
    ),
    plain(
        "scoring",
        "endpoint",
        ValueKind::Text {
            form: "the name of an endpoint: 1 to 64 of letters, digits, _ . -",
            check: check_name,
            set: |settings, text| settings.scoring.endpoint = Some(text),
        },
        None,
        "The SageMaker endpoint",
    ),
    plain(
        "scoring",
        "body",
        ValueKind::Word {
            words: || vec!["csv", "json"],
            set: |settings, word| {
                let body = match word {
                    "csv" => BodyKind::Csv,
                    "json" => BodyKind::Json,
                    _ => return false,
                };
                settings.scoring.body = body;
                true
            },
        },
        Some("csv"),
        "How a row is sent to it: csv, as the built-in XGBoost container reads it, or json",
    ),
    plain(
        "scoring",
        "template",
        ValueKind::Text {
            form: "a JSON text with $features (a list of values) or $record (an object) in it",
            check: check_template,
            set: |settings, text| {
                if let Ok(template) = Template::parse(&text) {
                    settings.scoring.template = template;
                }
            },
        },
        Some(Template::INSTANCES),
        "The body around a row that is sent as json",
    ),
    plain(
        "scoring",
        "deadline_ms",
        ValueKind::Millis {
            range: 10..=60_000,
            set: |settings, time| settings.scoring.deadline = time,
        },
        Some("1000"),
        "How long SageMaker may take for a request, retries included",
    ),
    plain(
        "scoring",
        "calls_max",
        ValueKind::Count {
            range: 1..=4096,
            unit: "calls",
            set: |settings, calls| settings.scoring.calls_max = calls,
        },
        Some("64"),
        "Calls to SageMaker under way at once; twice as many may wait",
    ),
    plain(
        "scoring",
        "explain",
        ValueKind::Count {
            range: 0..=REASONS_MAX as usize,
            unit: "reasons",
            set: |settings, reasons| settings.scoring.explain = u16::try_from(reasons).unwrap_or(REASONS_MAX),
        },
        Some("0"),
        "Reasons that an answer gives, and its record keeps, where the request does not say how many",
    ),
];

fn scorer(word: &str) -> Option<ScorerKind> {
    match word {
        "local" => Some(ScorerKind::Local),
        "sagemaker" => Some(ScorerKind::SageMaker),
        _ => None,
    }
}
