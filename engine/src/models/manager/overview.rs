//! What operators see: every model with its aliases, split, shadow and versions, as JSON, made anew with each change.

use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value, json};

use super::{Manager, Model};
use crate::models::split::UNITS;

impl Manager {
    /// Makes the text of `GET /v1/models` anew.
    pub(super) fn tell_overview(&self) {
        let models: Vec<Value> = self.models.iter().map(|(name, model)| told(name, model)).collect();
        let loads: Vec<Value> = self
            .load_counts
            .iter()
            .map(|((model, result), count)| json!({"model": model, "result": result, "count": count}))
            .collect();
        let overview = json!({
            "models": models,
            "default": self.default,
            "memory": {"bytes": self.bytes(), "bytes_max": self.settings.memory_bytes_max},
            "loads": loads,
        });
        *self.overview.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(overview);
    }
}

fn told(name: &str, model: &Model) -> Value {
    let decisions = &model.decisions;
    let mut aliases = Map::new();
    if let Some(champion) = model.champion {
        aliases.insert("champion".into(), champion.to_string().into());
    }
    for (alias, version) in &decisions.aliases {
        aliases
            .entry(alias.clone())
            .or_insert_with(|| version.to_string().into());
    }
    let shares = decisions
        .split
        .percents()
        .map(|(alias, percent)| (alias.to_owned(), number(percent)));
    let places = decisions.split.arms().map(|(alias, parts)| {
        let at = |unit: u32| number(f64::from(unit) / f64::from(UNITS));
        let parts: Vec<Value> = parts.iter().map(|&(from, to)| json!([at(from), at(to)])).collect();
        (alias.to_owned(), Value::from(parts))
    });
    let shadow = decisions.shadow.as_ref();
    let shadow = shadow.map(|shadow| json!({"version": shadow.version.to_string(), "share": shadow.share}));
    let rolled_back = decisions.rolled_back.as_ref().map(|back| {
        json!({
            "from": back.from.to_string(),
            "to": back.to.to_string(),
            "prediction_psi": back.prediction_psi,
            "rows": back.rows,
            "at_unix_s": back.at_unix_s,
        })
    });
    let versions = model.versions.iter().map(|(number, version)| {
        let ready = version.ready.as_ref();
        json!({
            "version": number.to_string(),
            "state": version.state(),
            "reason": version.failed,
            "bytes": ready.map_or(0, |ready| ready.loaded.bytes()),
            "sha256": ready.and_then(|ready| ready.loaded.model_sha256.clone()),
            "manifest_version": ready.and_then(|ready| ready.loaded.manifest_version.clone()),
        })
    });
    json!({
        "name": name,
        "aliases": aliases,
        "split": shares.collect::<Map<_, _>>(),
        "split_places": places.collect::<Map<_, _>>(),
        "shadow": shadow,
        "before": decisions.before.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rolled_back": rolled_back,
        "versions": versions.collect::<Vec<_>>(),
    })
}

/// A number as JSON writes it: without a fraction where it has none.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "shares are at most 100")]
    let whole = value as i64;
    if value.fract().abs() <= 0.0 {
        whole.into()
    } else {
        value.into()
    }
}
