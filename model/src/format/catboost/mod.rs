//! CatBoost's JSON (`catboost/libs/model/model_export/json_model_helpers.cpp`): models of numeric features alone.
//!
//! A row's values are rounded to `f32` and compared with borders by `>`; leaves are summed in `f64` and the sum is
//! scaled and shifted. Categorical, text and embedding features are looked up in tables we do not read: refused by
//! name.

mod tree;

use super::FormatError;
use super::document::{Cursor, Value, shortened};
use crate::ensemble::{Codes, Comparison, Ensemble, EnsembleParts, Finish, Input, Precision};
use crate::limits::{FEATURES_MAX, OUTPUTS_MAX, TREES_MAX};
use crate::objective::Objective;
use crate::schema::{FeatureKind, Schema};

/// Whether a JSON object's first key is one of such a file's.
pub(super) fn is_first_key(key: &[u8]) -> bool {
    let keys: [&[u8]; 6] = [
        b"features_info",
        b"model_info",
        b"oblivious_trees",
        b"trees",
        b"scale_and_bias",
        b"ctr_data",
    ];
    keys.contains(&key)
}

/// The numeric features, by their number among themselves.
pub(super) struct Floats {
    /// Column of the row.
    pub(super) columns: Vec<u32>,
    /// Whether NaN counts as greater than every border.
    pub(super) missing_right: Vec<bool>,
}

/// `model_info.catboost_version_info`: lines of `git`, one of which has the tag `tags/v1.2.10`.
fn written_by(root: &Cursor<'_>) -> Option<String> {
    let info = root.optional("model_info").ok()??;
    let version = info.optional("catboost_version_info").ok()??;
    let version = version
        .text()
        .ok()?
        .split_whitespace()
        .find_map(|word| word.strip_prefix("tags/v"))?;
    Some(format!("CatBoost {}", shortened(version)))
}

/// Reads the model of a document of doubles, from a file of this many bytes.
pub(super) fn ensemble(document: &Value, bytes: usize) -> Result<Ensemble, FormatError> {
    let root = Cursor::root(document);
    let (schema, floats) = features(&root)?;
    let (trees, outputs) = tree::read(&root, &floats, bytes)?;
    if trees.is_empty() {
        return Err(root.fault("the model holds no trees: it was never trained"));
    }
    if outputs > OUTPUTS_MAX {
        return Err(root.fault(format!("{outputs} outputs are more than the {OUTPUTS_MAX} accepted")));
    }
    let (scale, offsets) = scale_and_bias(&root, outputs)?;
    let count = u32::try_from(trees.len()).unwrap_or(u32::MAX);
    Ok(Ensemble::try_new(EnsembleParts {
        format: "CatBoost JSON",
        written_by: written_by(&root),
        precision: Precision::F64,
        comparison: Comparison::LessOrEqual,
        input: Input::Narrowed,
        codes: Codes::Unsigned,
        schema,
        objective: Objective::catboost(&loss(&root)?),
        base_margins: vec![0.0; outputs],
        trees,
        finish: Finish::Scale { scale, offsets },
        linear: None,
        iteration_ends: (1..=count).collect(),
        best_iteration: None,
        notes: Vec::new(),
    })?)
}

fn features(root: &Cursor<'_>) -> Result<(Schema, Floats), FormatError> {
    let info = root.field("features_info")?;
    for (key, kind) in [
        ("categorical_features", "categorical"),
        ("text_features", "text"),
        ("embedding_features", "embedding"),
        ("ctrs", "categorical"),
    ] {
        if info.optional(key)?.is_some_and(|features| !features.is_empty()) {
            return Err(info.fault(format!(
                "the model has {kind} features: CatBoost models of numeric features alone are accepted; encode the others \
                 as numbers before training, or use a library whose categories are codes"
            )));
        }
    }
    let list = info.field("float_features")?;
    let elements = list.elements()?;
    if elements.len() > FEATURES_MAX {
        return Err(list.fault(format!("more features than the {FEATURES_MAX} accepted")));
    }
    let mut names: Vec<Option<String>> = Vec::new();
    let mut floats = Floats {
        columns: Vec::new(),
        missing_right: Vec::new(),
    };
    for (number, element) in elements.enumerate() {
        let index = element.field("feature_index")?;
        if index.count()? != number {
            return Err(index.fault(format!("{number} is accepted here")));
        }
        let column_field = element.field("flat_feature_index")?;
        let column = column_field.count()?;
        if column >= FEATURES_MAX {
            return Err(column_field.fault(format!("more features than the {FEATURES_MAX} accepted")));
        }
        names.resize(names.len().max(column + 1), None);
        // A feature without a name is named by its number, as CatBoost's own `feature_names_` has it.
        let name = match element.optional("feature_id")? {
            Some(name) => name.text()?.to_owned(),
            None => String::new(),
        };
        let name = if name.is_empty() { column.to_string() } else { name };
        if names[column].replace(name).is_some() {
            return Err(column_field.fault("another feature has this number"));
        }
        floats.columns.push(u32::try_from(column).unwrap_or(u32::MAX));
        floats.missing_right.push(missing_right(&element)?);
    }
    let are_numbers = names
        .iter()
        .enumerate()
        .all(|(column, name)| name.as_ref().is_none_or(|name| *name == column.to_string()));
    let named = names.into_iter().enumerate().map(|(column, name)| {
        let name = name.unwrap_or_else(|| column.to_string());
        (name, FeatureKind::Number)
    });
    let schema = Schema::try_new(named.collect()).map_err(|error| list.fault(error.to_string()))?;
    let schema = if are_numbers { schema.numbered() } else { schema };
    Ok((schema, floats))
}

/// `nan_value_treatment`: NaN is below every border, or above; `AsIs` compares it, and nothing is less than NaN.
fn missing_right(feature: &Cursor<'_>) -> Result<bool, FormatError> {
    let Some(treatment) = feature.optional("nan_value_treatment")? else {
        return Ok(false);
    };
    match treatment.text()? {
        "AsIs" | "AsFalse" => Ok(false),
        "AsTrue" => Ok(true),
        other => {
            let other = shortened(other);
            Err(treatment.fault(format!("AsIs, AsFalse and AsTrue are accepted, not {other:?}")))
        }
    }
}

/// `[scale, [bias, …]]`, or `[scale, bias]` as files of single outputs once had it.
fn scale_and_bias(root: &Cursor<'_>, outputs: usize) -> Result<(f64, Vec<f64>), FormatError> {
    let Some(field) = root.optional("scale_and_bias")? else {
        return Ok((1.0, vec![0.0; outputs]));
    };
    let (scale, bias) = if let Ok(pair) = field.doubles() {
        match *pair {
            [scale, bias] => (scale, vec![bias]),
            _ => return Err(field.fault("a scale and a bias are accepted")),
        }
    } else {
        let parts: Vec<Cursor<'_>> = field.elements()?.collect();
        let [scale, bias] = parts.as_slice() else {
            return Err(field.fault("a scale and a bias are accepted"));
        };
        let scale = match *scale.doubles()? {
            [scale] => scale,
            _ => return Err(scale.fault("a number is accepted")),
        };
        (scale, bias.doubles()?.into_owned())
    };
    match bias.len() {
        0 => Ok((scale, vec![0.0; outputs])),
        count if count == outputs => Ok((scale, bias)),
        count => Err(field.fault(format!("{count} biases for {outputs} outputs"))),
    }
}

/// The loss function's name; `unknown` when the parameters were not saved.
fn loss(root: &Cursor<'_>) -> Result<String, FormatError> {
    let unknown = || Ok("unknown".to_owned());
    let Some(info) = root.optional("model_info")? else {
        return unknown();
    };
    let Some(params) = info.optional("params")? else {
        return unknown();
    };
    let Some(loss) = params.optional("loss_function")? else {
        return unknown();
    };
    Ok(loss.field("type")?.text()?.to_owned())
}
