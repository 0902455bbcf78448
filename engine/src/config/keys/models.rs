//! `[models]`: a store of models in place of one file.

use std::time::Duration;

use super::{Key, MIB, plain};
use crate::config::models::VersionPolicy;
use crate::config::validators::{check_model_name, check_s3};
use crate::config::value::ValueKind;

/// Far more than any machine has.
const MEMORY_MAX: usize = 1 << 44;

pub(super) static KEYS: &[Key] = &[
    plain(
        "models",
        "store",
        ValueKind::Text {
            form: "a folder, or s3://BUCKET/PREFIX",
            check: check_store,
            set: |settings, text| settings.models.store = Some(text),
        },
        None,
        "Models by name and version in place of model.path: NAME/VERSION/model.ubj with model.toml beside it",
    ),
    plain(
        "models",
        "default",
        ValueKind::Text {
            form: "a model's name: 1 to 128 of letters, digits, . _ -",
            check: check_model_name,
            set: |settings, text| settings.models.default = Some(text),
        },
        None,
        "The model that POST /score means; without it the only one of the store",
    ),
    plain(
        "models",
        "versions",
        ValueKind::Text {
            form: "latest:N, all, or whole numbers with commas between them",
            check: |text| VersionPolicy::parse(text).map(|_| ()).ok_or_else(String::new),
            set: |settings, text| {
                if let Some(policy) = VersionPolicy::parse(&text) {
                    settings.models.versions = policy;
                }
            },
        },
        Some("latest:1"),
        "Which versions of each model are loaded; the highest of them is champion unless an alias says otherwise",
    ),
    plain(
        "models",
        "poll_seconds",
        ValueKind::Count {
            range: 0..=86_400,
            unit: "s",
            set: |settings, seconds| settings.models.poll_asked = Some(Duration::from_secs(seconds as u64)),
        },
        None,
        "How often the store is looked at, 0 for only when somebody asks; without it 1 for a folder and 30 for S3",
    ),
    plain(
        "models",
        "memory_bytes_max",
        ValueKind::Count {
            range: MIB..=MEMORY_MAX,
            unit: "bytes",
            set: |settings, bytes| settings.models.memory_bytes_max = bytes,
        },
        Some("268435456"),
        "What all loaded models may take together; a version that has no room is refused with 507",
    ),
    plain(
        "models.rollback",
        "rows",
        ValueKind::Count {
            range: 50..=1_000_000,
            unit: "rows",
            set: |settings, rows| settings.models.rollback.get_or_insert_default().rows = rows,
        },
        None,
        "Rows after a promotion on which the new champion is compared with the one before (500); with either key of \
         this section it is taken back by itself",
    ),
    plain(
        "models.rollback",
        "prediction_psi",
        ValueKind::Number {
            range: 0.01..=100.0,
            unit: "",
            set: |settings, psi| settings.models.rollback.get_or_insert_default().prediction_psi = psi,
        },
        None,
        "How far the predictions of both may be apart, as a population stability index (0.5); beyond it the champion is \
         taken back",
    ),
];

fn check_store(text: &str) -> Result<(), String> {
    if text.starts_with("s3:") {
        return check_s3(text);
    }
    if text.is_empty() || text.contains('\0') {
        return Err(String::new());
    }
    Ok(())
}
