//! MLServer's folder: `model-settings.json` names the model, its version, and the file or folder.

use std::path::Path;

use simd_json::prelude::{ValueAsScalar as _, ValueObjectAccess as _};

use super::{Bundle, BundleError, PredictionManner, description, is_of_wrapper, json, named_file, nested, wrong};

/// Implementations whose files we can read, with the names that MLServer looks for when no uri is given.
const IMPLEMENTATIONS: [(&str, &[&str]); 4] = [
    (
        "mlserver_xgboost.XGBoostModel",
        &["model.ubj", "model.json", "model.bst"],
    ),
    ("mlserver_lightgbm.LightGBMModel", &["model.txt", "model.bst"]),
    (
        "mlserver_catboost.CatboostModel",
        &["model.json", "model.cbm", "model.bin"],
    ),
    ("mlserver_mlflow.MLflowRuntime", &["MLmodel"]),
];

pub(super) fn open(folder: &Path, depth: usize) -> Result<Bundle, BundleError> {
    let file = folder.join("model-settings.json");
    let value = json::parse(&description(&file)?).map_err(|error| wrong(&file, error))?;
    let text = |key: &str| value.get(key).and_then(|text| text.as_str());
    let parameters = value.get("parameters");
    let parameter = |key: &str| {
        parameters
            .and_then(|parameters| parameters.get(key))
            .and_then(|text| text.as_str())
    };
    let implementation = text("implementation").unwrap_or("");
    let Some((_, names)) = IMPLEMENTATIONS.iter().find(|(name, _)| *name == implementation) else {
        let known = IMPLEMENTATIONS.map(|(name, _)| name).join(", ");
        return Err(wrong(
            &file,
            format!("implementation is {implementation:?}; served are {known}"),
        ));
    };
    let target = match parameter("uri") {
        Some(uri) => named_file(folder, &file, uri.strip_prefix("file://").unwrap_or(uri))?,
        None => {
            let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            found.ok_or_else(|| {
                wrong(
                    &file,
                    format!("names no uri, and there is none of {}", names.join(", ")),
                )
            })?
        }
    };
    let target = if target.ends_with("MLmodel") {
        folder.to_path_buf()
    } else {
        target
    };
    let is_mlflow = target.join("MLmodel").is_file();
    let mut bundle = if is_mlflow {
        super::mlflow::open(&target)?
    } else if target.is_dir() && target != folder {
        let inner = nested(&target, depth + 1)?;
        inner.ok_or_else(|| wrong(&file, "names a folder that holds no model"))?
    } else {
        let is_label = implementation.ends_with("XGBoostModel") && is_of_wrapper(&target);
        let mut bundle = Bundle::new("MLServer folder", target);
        bundle.manner = match is_label {
            true => PredictionManner::Label,
            false => PredictionManner::Column,
        };
        bundle
    };
    bundle.kind = "MLServer folder";
    bundle.says.name = text("name").map(str::to_owned).or(bundle.says.name);
    bundle.says.version = parameter("version").map(str::to_owned).or(bundle.says.version);
    Ok(bundle)
}
