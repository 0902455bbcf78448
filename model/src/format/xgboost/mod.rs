//! XGBoost's model schema over a document, 1.0 to 3.4: `learner.{learner_model_param, gradient_booster, objective,
//! attributes, feature_names, feature_types}`.
//!
//! Follows `src/learner.cc`, `src/gbm/gbtree_model.cc` and `src/gbm/gbtree.cc` of XGBoost 3.2.0. Three layouts of dart
//! and both spellings of the base score are one here.

mod booster;
mod cats;
mod tree;

use super::document::{Cursor, Value, shortened};
use super::{FormatError, json};
use crate::ensemble::{Codes, Comparison, Ensemble, EnsembleParts, Finish, Input, Precision};
use crate::limits::{FEATURES_MAX, OUTPUTS_MAX};
use crate::objective::Objective;
use crate::schema::{FeatureKind, Schema};

/// Reads the model of a document.
pub(super) fn ensemble(document: &Value, format: &'static str) -> Result<Ensemble, FormatError> {
    let root = Cursor::root(document);
    if root.optional("Config")?.is_some() && root.optional("Model")?.is_some() {
        return Err(FormatError::Foreign {
            what: "a memory snapshot of an XGBoost booster (Booster.serialize, save_raw of a pickle)",
            advice: "load it in its own library and write it with Booster.save_model",
        });
    }
    let learner = root.field("learner")?;
    let objective_field = learner.field("objective")?;
    let objective_name = objective_field.field("name")?.text()?;
    let objective = Objective::xgboost(objective_name);
    let param = learner.field("learner_model_param")?;
    let outputs = outputs(&param)?;
    check_objective(&objective_field, objective_name, outputs)?;
    let mut base_margins = base_margins(&param, &objective, outputs)?;
    let mut schema = schema(&learner, &param)?;
    let mut notes = Vec::new();
    let booster = booster::read(&learner, outputs, &mut schema, &mut notes)?;
    if booster.linear.is_some() {
        // `GBLinear::PredictBatchInternal` adds the first base score to every output, in every release so far.
        let first = base_margins.first().copied().unwrap_or_default();
        base_margins.fill(first);
    }
    Ok(Ensemble::try_new(EnsembleParts {
        format,
        written_by: written_by(&root),
        precision: Precision::F32,
        comparison: Comparison::Less,
        input: Input::Rounded,
        codes: Codes::Below24Bits,
        schema,
        objective,
        base_margins,
        trees: booster.trees,
        finish: Finish::Nothing,
        linear: booster.linear,
        iteration_ends: booster.iteration_ends,
        best_iteration: best_iteration(&learner)?,
        notes,
    })?)
}

/// `version`: three numbers.
fn written_by(root: &Cursor<'_>) -> Option<String> {
    let field = root.optional("version").ok()??;
    let version = field.ints().ok()?;
    let numbers: Vec<_> = version.iter().take(3).map(|number| number.to_string()).collect();
    Some(format!("XGBoost {}", numbers.join(".")))
}

/// `LearnerModelParamLegacy::OutputLength`: classes or targets, never both.
fn outputs(param: &Cursor<'_>) -> Result<usize, FormatError> {
    let count = |key| param.optional(key)?.map_or(Ok(0), |field| field.count());
    let (classes, targets) = (count("num_class")?, count("num_target")?);
    if classes > 1 && targets > 1 {
        return Err(param.fault(format!(
            "{classes} classes of {targets} targets: XGBoost has one or the other"
        )));
    }
    let outputs = classes.max(targets).max(1);
    if outputs > OUTPUTS_MAX {
        return Err(param.fault(format!(
            "{outputs} classes or targets are more than the {OUTPUTS_MAX} accepted"
        )));
    }
    Ok(outputs)
}

/// What an objective's own parameters may contradict.
fn check_objective(objective: &Cursor<'_>, name: &str, outputs: usize) -> Result<(), FormatError> {
    if let Some(param) = objective.optional("softmax_multiclass_param")? {
        let classes = param.field("num_class")?.count()?;
        if name.starts_with("multi:") && classes != outputs {
            return Err(param.fault(format!("num_class is {classes}, but the learner has {outputs} outputs")));
        }
    }
    if name == "reg:expectileerror" && outputs > 1 {
        return Err(objective.fault("reg:expectileerror with several alphas is not accepted: one alpha is"));
    }
    Ok(())
}

/// Base scores, each through the objective's link; a single one counts for every output.
fn base_margins(param: &Cursor<'_>, objective: &Objective, outputs: usize) -> Result<Vec<f64>, FormatError> {
    let field = param.field("base_score")?;
    let scores = base_scores(&field)?;
    if scores.len() != 1 && scores.len() != outputs {
        return Err(field.fault(format!(
            "{} values for {outputs} outputs: one or {outputs} are accepted",
            scores.len()
        )));
    }
    let margin = |&score: &f32| {
        let margin = objective.base_margin(score);
        if margin.is_finite() {
            return Ok(f64::from(margin));
        }
        let name = objective.name();
        Err(field.fault(format!("a base score of {score} has no finite margin under {name}")))
    };
    let margins = scores.iter().map(margin).collect::<Result<Vec<_>, _>>()?;
    match margins.as_slice() {
        [margin] => Ok(vec![*margin; outputs]),
        _ => Ok(margins),
    }
}

/// `"5E-1"` until 3.0, `"[5E-1]"` since, parentheses as Python writes tuples (`common::ParamArray`).
fn base_scores(field: &Cursor<'_>) -> Result<Vec<f32>, FormatError> {
    let text = field.text()?;
    let text: String = text.split_whitespace().collect();
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let text = inner.map_or(text.clone(), |inner| format!("[{inner}]"));
    let wrong = || {
        field.fault(format!(
            "a number or an array of numbers is accepted, not {:?}",
            shortened(&text)
        ))
    };
    let value = json::parse(text.as_bytes()).map_err(|_| wrong())?;
    let scores = Cursor::root(&value).floats().map_err(|_| wrong())?;
    if scores.is_empty() {
        return Err(wrong());
    }
    Ok(scores.into_owned())
}

fn schema(learner: &Cursor<'_>, param: &Cursor<'_>) -> Result<Schema, FormatError> {
    let count_field = param.field("num_feature")?;
    let count = count_field.count()?;
    if count > FEATURES_MAX {
        return Err(count_field.fault(format!("{count} features are more than the {FEATURES_MAX} accepted")));
    }
    let names = texts(learner, "feature_names", count)?;
    let kinds = texts(learner, "feature_types", count)?;
    let kinds = kinds.unwrap_or_else(|| vec!["float".to_owned(); count]);
    let kind = |(index, kind): (usize, &String)| match kind.as_str() {
        "float" | "q" => Ok(FeatureKind::Number),
        "int" => Ok(FeatureKind::Integer),
        "i" => Ok(FeatureKind::Boolean),
        "c" | "categorical" => Ok(FeatureKind::Category),
        other => Err(learner.fault(format!(
            "feature_types[{index}]: float, q, int, i and c are accepted, not {:?}",
            shortened(other)
        ))),
    };
    let kinds = kinds.iter().enumerate().map(kind).collect::<Result<Vec<_>, _>>()?;
    Ok(match names {
        Some(names) => Schema::try_new(names.into_iter().zip(kinds).collect())?,
        None => Schema::try_numbered(kinds)?,
    })
}

/// A list of strings, one for each feature; none when it is absent or empty.
fn texts(learner: &Cursor<'_>, key: &str, count: usize) -> Result<Option<Vec<String>>, FormatError> {
    let Some(field) = learner.optional(key)?.filter(|field| !field.is_empty()) else {
        return Ok(None);
    };
    let elements = field.elements()?;
    if elements.len() != count {
        return Err(field.fault(format!(
            "{} entries for the {count} features of num_feature",
            elements.len()
        )));
    }
    elements
        .map(|element| Ok(element.text()?.to_owned()))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

fn best_iteration(learner: &Cursor<'_>) -> Result<Option<u64>, FormatError> {
    let Some(attributes) = learner.optional("attributes")? else {
        return Ok(None);
    };
    let Some(best) = attributes.optional("best_iteration")? else {
        return Ok(None);
    };
    Ok(Some(best.count()? as u64))
}
