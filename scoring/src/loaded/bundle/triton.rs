//! Triton's FIL backend: `MODEL/config.pbtxt` and `MODEL/N/FILE`, or a repository that holds one such model.

use std::fs;
use std::path::Path;

use super::pbtxt::{self, Message};
use super::{Bundle, BundleError, PredictionManner, description, wrong};

/// Values of the parameter `model_type`, and the file that the backend then looks for.
const MODEL_TYPES: [(&str, &str); 4] = [
    ("xgboost_json", "xgboost.json"),
    ("xgboost_ubj", "xgboost.ubj"),
    ("lightgbm", "model.txt"),
    ("treelite_checkpoint", "checkpoint.tl"),
];

/// Folders of a repository that are looked at.
const MODELS_MAX: usize = 1_000;

pub(super) fn open(folder: &Path) -> Result<Bundle, BundleError> {
    let file = folder.join("config.pbtxt");
    let config = pbtxt::parse(&description(&file)?).map_err(|error| wrong(&file, error))?;
    let backend = config.text("backend").or_else(|| config.text("platform")).unwrap_or("");
    if backend != "fil" {
        return Err(wrong(&file, format!("backend is {backend:?}; served is \"fil\"")));
    }
    let parameter = |name: &str| {
        let entries = config.messages("parameters");
        let entry = entries.into_iter().find(|entry| entry.text("key") == Some(name))?;
        entry
            .messages("value")
            .first()
            .and_then(|value| value.text("string_value").map(str::to_owned))
    };
    let model_type = parameter("model_type").unwrap_or_else(|| "xgboost".into());
    let known = MODEL_TYPES.iter().find(|(name, _)| *name == model_type);
    let Some((_, usual)) = known else {
        let names = MODEL_TYPES.map(|(name, _)| name).join(", ");
        let why = if model_type == "xgboost" {
            " (XGBoost's old binary format; save_model(\"xgboost.ubj\") writes the new one)"
        } else {
            ""
        };
        return Err(wrong(
            &file,
            format!("model_type is {model_type:?}{why}; served are {names}"),
        ));
    };
    let is_on = |name: &str| parameter(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    let threshold = parameter("threshold")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0.5);
    let manner = match (is_on("predict_proba"), is_on("output_class")) {
        (true, _) => PredictionManner::Probabilities,
        (false, true) => PredictionManner::Class { threshold },
        (false, false) => PredictionManner::Usual,
    };
    let version = version(folder, &file, &config)?;
    let name = config.text("default_model_filename").unwrap_or(usual);
    let model = super::named_file(folder, &file, &format!("{version}/{name}"))?;
    let mut bundle = Bundle::new("Triton FIL folder", model);
    bundle.manner = manner;
    let named = config.text("name").map(str::to_owned);
    bundle.says.name = named.or_else(|| folder.file_name().map(|name| name.to_string_lossy().into_owned()));
    bundle.says.version = Some(version.to_string());
    bundle.features = config.messages("input").first().and_then(|input| {
        input
            .numbers("dims")
            .last()
            .and_then(|&dims| usize::try_from(dims).ok())
    });
    Ok(bundle)
}

/// The version that Triton would serve: the highest, or the highest of those that `version_policy` names.
fn version(folder: &Path, file: &Path, config: &Message) -> Result<u64, BundleError> {
    let policy = config.messages("version_policy");
    let specific: Vec<i64> = policy
        .iter()
        .flat_map(|policy| policy.messages("specific"))
        .flat_map(|specific| specific.numbers("versions"))
        .collect();
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .take(MODELS_MAX)
        .filter_map(Result::ok);
    let versions = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok())
        .filter(|version| specific.is_empty() || specific.iter().any(|wanted| u64::try_from(*wanted) == Ok(*version)));
    versions
        .max()
        .ok_or_else(|| wrong(file, "has no version beside it: a folder whose name is a number"))
}

/// A repository of models: served when there is one, for one process serves one model.
pub(super) fn repository(path: &Path) -> Result<Option<Bundle>, BundleError> {
    let entries = fs::read_dir(path)
        .into_iter()
        .flatten()
        .take(MODELS_MAX)
        .filter_map(Result::ok);
    let mut models: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("config.pbtxt").is_file())
        .collect();
    models.sort();
    match models.as_slice() {
        [] => Ok(None),
        [one] => open(one).map(Some),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).take(4).collect();
            Err(BundleError::Unsupported(format!(
                "it is a Triton repository of {} models; name one of them, as {}",
                several.len(),
                names.join(" or ")
            )))
        }
    }
}
