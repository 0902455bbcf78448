//! MLflow's model folder: `MLmodel` names the file by flavour, and its signature the features.
//!
//! ```yaml
//! flavors:
//!   xgboost: {data: model.ubj, model_class: xgboost.core.Booster}
//! model_id: m-1f2e…
//! signature:
//!   inputs: '[{"type": "double", "name": "age", "required": true}, …]'
//! saved_input_example_info: {artifact_path: input_example.json}
//! ```

use std::path::Path;

use quintile_model::{FeatureKind, FeatureNote};
use simd_json::OwnedValue;
use simd_json::prelude::{ValueAsArray as _, ValueAsScalar as _, ValueObjectAccess as _};

use super::yaml::{self, Node};
use super::{Bundle, BundleError, PredictionManner, Value, description, json, named_file, wrong};

/// Flavours whose files we can read, and the keys that name the file.
const FLAVOURS: [&str; 4] = ["xgboost", "lightgbm", "catboost", "onnx"];

pub(super) fn open(folder: &Path) -> Result<Bundle, BundleError> {
    let file = folder.join("MLmodel");
    let text = description(&file)?;
    let root = yaml::parse(&text).map_err(|error| wrong(&file, error))?;
    let Some(Node::Map(flavours)) = root.get("flavors") else {
        return Err(wrong(&file, "has no flavors"));
    };
    let known = FLAVOURS.iter().find_map(|name| {
        Some((
            *name,
            flavours
                .iter()
                .find(|(flavour, _)| flavour == name)
                .map(|(_, value)| value)?,
        ))
    });
    let Some((flavour, value)) = known else {
        let names: Vec<_> = flavours.iter().map(|(name, _)| name.as_str()).collect();
        return Err(BundleError::Unsupported(format!(
            "its MLflow flavours are {}; served are {}. A pipeline of scikit-learn is code: log the booster in it by \
             mlflow.xgboost.log_model or mlflow.lightgbm.log_model",
            names.join(", "),
            FLAVOURS.join(", ")
        )));
    };
    let data = value
        .get("data")
        .or_else(|| value.get("model_data"))
        .and_then(Node::text);
    let Some(data) = data else {
        return Err(wrong(
            &file,
            format!("the flavour {flavour} has no data, which names the model file"),
        ));
    };
    let model = named_file(folder, &file, data)?;
    check_data(data, &model)?;
    let mut bundle = Bundle::new("MLflow folder", model);
    let class = value.get("model_class").and_then(Node::text).unwrap_or_default();
    if class.ends_with("Classifier") {
        bundle.manner = PredictionManner::Label;
    }
    describe(&mut bundle, &root, folder);
    if let Some(inputs) = root
        .get("signature")
        .and_then(|signature| signature.get("inputs"))
        .and_then(Node::text)
    {
        signature(&mut bundle, &file, inputs)?;
    }
    let example = root
        .get("saved_input_example_info")
        .and_then(|info| info.get("artifact_path"))
        .and_then(Node::text)
        .unwrap_or("input_example.json");
    if folder.join(example).is_file() {
        let example = named_file(folder, &file, example)?;
        // An example that is something else is no reason not to serve the model.
        bundle.example = json::parse(&description(&example)?)
            .ok()
            .and_then(|value| first_row(&value))
            .unwrap_or_default();
    }
    Ok(bundle)
}

/// Refuses model files that are programs.
fn check_data(data: &str, model: &Path) -> Result<(), BundleError> {
    if let Some(ending @ ("pkl" | "pickle" | "joblib")) = model.extension().and_then(|ending| ending.to_str()) {
        return Err(BundleError::Unsupported(format!(
            "its model is {data:?}, and .{ending} files are programs, which are never opened: log \
             model.booster_ (LightGBM) or model.get_booster() (XGBoost) instead"
        )));
    }
    if data.ends_with(".skops") {
        return Err(BundleError::Unsupported(format!(
            "its model is {data:?}, a scikit-learn object: log model.booster_ by mlflow.lightgbm.log_model instead"
        )));
    }
    Ok(())
}

/// What the folder says of the model's name and version.
fn describe(bundle: &mut Bundle, root: &Node, folder: &Path) {
    let text_of = |key: &str| root.get(key).and_then(Node::text).filter(|text| !text.is_empty());
    bundle.says.name = text_of("name")
        .or_else(|| text_of("artifact_path").filter(|name| *name != "model" && !name.contains("://")))
        .map(str::to_owned)
        .or_else(|| folder.file_name().map(|name| name.to_string_lossy().into_owned()));
    bundle.says.version = text_of("model_id").or_else(|| text_of("model_uuid")).map(str::to_owned);
}

/// Names, types and presence of the features, or their number where the signature is a tensor's.
fn signature(bundle: &mut Bundle, file: &Path, inputs: &str) -> Result<(), BundleError> {
    let value = json::parse(inputs).map_err(|error| wrong(file, format!("signature.inputs {error}")))?;
    let Some(columns) = value.as_array() else {
        return Err(wrong(file, "signature.inputs is no list"));
    };
    for column in columns {
        if let Some(shape) = column.get("tensor-spec").and_then(|tensor| tensor.get("shape")) {
            let last = shape
                .as_array()
                .and_then(|shape| shape.last())
                .and_then(ValueAsScalarUsize::usize);
            bundle.features = last;
            continue;
        }
        let Some(name) = column.get("name").and_then(|name| name.as_str()) else {
            // Columns without names are those of the model, in order.
            bundle.features = Some(columns.len());
            continue;
        };
        let kind = match column.get("type").and_then(|kind| kind.as_str()) {
            Some("boolean") => Some(FeatureKind::Boolean),
            Some("integer" | "long") => Some(FeatureKind::Integer),
            Some("float" | "double") => None,
            // Whether it is a category, the model file says.
            Some("string") => None,
            other => {
                let kind = other.unwrap_or("nothing");
                return Err(wrong(
                    file,
                    format!(
                        "the column {name:?} is of type {kind}; accepted are boolean, integer, long, float, double, string"
                    ),
                ));
            }
        };
        bundle.says.features.push(FeatureNote {
            name: name.to_owned(),
            kind,
            // MLflow takes a null in a required column of doubles, and in no column of integers or booleans.
            required: column
                .get("required")
                .and_then(|required| required.as_bool())
                .filter(|_| kind.is_some()),
            ..FeatureNote::default()
        });
    }
    Ok(())
}

/// A count that may be -1 for "any".
trait ValueAsScalarUsize {
    fn usize(&self) -> Option<usize>;
}

impl ValueAsScalarUsize for OwnedValue {
    fn usize(&self) -> Option<usize> {
        self.as_u64().and_then(|count| usize::try_from(count).ok())
    }
}

/// The first row of `{"columns": […], "data": [[…]]}`, alone or under `dataframe_split`.
fn first_row(value: &OwnedValue) -> Option<Vec<(String, Value)>> {
    let split = value.get("dataframe_split").unwrap_or(value);
    let columns = split.get("columns")?.as_array()?;
    let row = split.get("data")?.as_array()?.first()?.as_array()?;
    let cell = |(name, cell): (&OwnedValue, &OwnedValue)| Some((name.as_str()?.to_owned(), json::value(cell)?));
    columns.iter().zip(row).map(cell).collect()
}
