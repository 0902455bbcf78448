//! XGBoost's model schema over a document, 1.0 to 3.4: `learner.{learner_model_param, gradient_booster, objective,
//! attributes, feature_names, feature_types}`.
//!
//! Follows `src/learner.cc`, `src/gbm/gbtree_model.cc` and `src/gbm/gbtree.cc` of XGBoost 3.2.0. Three layouts of dart and
//! both spellings of the base score are one here; vector leaves and linear boosters are refused by name.

use super::document::{Cursor, Value, shortened};
use super::{FormatError, json, xgboost_tree};
use crate::ensemble::{Codes, Comparison, Ensemble, Finish, Input, Parts, Precision, Tree};
use crate::limits::{FEATURES_MAX, OUTPUTS_MAX, TREES_MAX};
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
    let base_margins = base_margins(&param, &objective, outputs)?;
    let schema = schema(&learner, &param)?;
    let mut notes = Vec::new();
    let (trees, iteration_ends) = booster(&learner, &mut notes)?;
    Ok(Ensemble::try_new(Parts {
        format,
        precision: Precision::F32,
        comparison: Comparison::Less,
        input: Input::Rounded,
        codes: Codes::Below24Bits,
        schema,
        objective,
        base_margins,
        trees,
        finish: Finish::Nothing,
        linear: None,
        iteration_ends,
        best_iteration: best_iteration(&learner)?,
        notes,
    })?)
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
    let names = names.unwrap_or_else(|| (0..count).map(|column| format!("f{column}")).collect());
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
    Ok(Schema::try_new(names.into_iter().zip(kinds).collect())?)
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

/// Trees in the order of their ids, and where each iteration ends.
fn booster(learner: &Cursor<'_>, notes: &mut Vec<String>) -> Result<(Vec<Tree>, Vec<u32>), FormatError> {
    let booster = learner.field("gradient_booster")?;
    let name_field = booster.field("name")?;
    match name_field.text()? {
        // Since 3.3 the model of a dart booster is named gbtree and holds its weights itself.
        "gbtree" => {
            let model = booster.field("model")?;
            let weights = model.optional("weight_drop")?;
            trees(&model, weights.as_ref(), false, notes)
        }
        "dart" => {
            let gbtree = booster.field("gbtree")?;
            let weights = booster.field("weight_drop")?;
            trees(&gbtree.field("model")?, Some(&weights), true, notes)
        }
        "gblinear" => Err(name_field.fault("a linear booster (gblinear) is not accepted: gbtree and dart are")),
        other => Err(name_field.fault(format!("gbtree and dart are accepted, not {:?}", shortened(other)))),
    }
}

fn trees(
    model: &Cursor<'_>,
    weights: Option<&Cursor<'_>>,
    all_weighted: bool,
    notes: &mut Vec<String>,
) -> Result<(Vec<Tree>, Vec<u32>), FormatError> {
    let param = model.field("gbtree_model_param")?;
    let num_trees = param.field("num_trees")?;
    let count = num_trees.count()?;
    if count == 0 {
        // The library then predicts the base score itself or its margin, depending on how the file came to be.
        return Err(num_trees.fault("the model holds no trees: it was never trained"));
    }
    if count > TREES_MAX {
        return Err(num_trees.fault(format!("{count} trees are more than the {TREES_MAX} accepted")));
    }
    let list = model.field("trees")?;
    let elements = list.elements()?;
    if elements.len() != count {
        return Err(list.fault(format!("{} trees, but num_trees is {count}", elements.len())));
    }
    let info = model.field("tree_info")?;
    let outputs = info.ints()?;
    if outputs.len() != count {
        return Err(info.fault(format!("{} entries, but num_trees is {count}", outputs.len())));
    }
    let weights = weights
        .map(|weights| tree_weights(weights, count, all_weighted))
        .transpose()?;
    let mut trees: Vec<Option<Tree>> = vec![None; count];
    for element in elements {
        let id = element.field("id")?;
        let number = id.count()?;
        let Some(slot) = trees.get_mut(number).filter(|slot| slot.is_none()) else {
            return Err(id.fault(format!(
                "{number} is not a new number from 0 to {}",
                count.saturating_sub(1)
            )));
        };
        let output = u32::try_from(outputs.get(number))
            .map_err(|_| info.fault_at(number, format!("an output is accepted, not {}", outputs.get(number))))?;
        let weight = weights.as_ref().and_then(|weights| weights.get(number).copied());
        *slot = Some(xgboost_tree::tree(&element, output, weight)?);
    }
    let trees: Vec<Tree> = trees.into_iter().flatten().collect();
    let ends = iteration_ends(model, &param, &trees)?;
    if has_category_names(model)? {
        notes.push(
            "the file maps category names to codes (cats), which is not applied: rows carry the training data's codes"
                .to_owned(),
        );
    }
    Ok((trees, ends))
}

fn has_category_names(model: &Cursor<'_>) -> Result<bool, FormatError> {
    let Some(cats) = model.optional("cats")? else {
        return Ok(false);
    };
    Ok(cats.optional("enc")?.is_some_and(|encodings| !encodings.is_empty()))
}

/// Dart's weights. The old layout has one for every tree; in the new one trees without one count in full.
fn tree_weights(field: &Cursor<'_>, count: usize, all_weighted: bool) -> Result<Vec<f32>, FormatError> {
    let weights = field.floats()?.into_owned();
    if weights.len() > count || (all_weighted && weights.len() != count) {
        return Err(field.fault(format!("{} weights for {count} trees", weights.len())));
    }
    match weights.iter().position(|weight| !weight.is_finite()) {
        Some(index) => Err(field.fault_at(index, format!("a weight is {}: weights are finite", weights[index]))),
        None => Ok(weights),
    }
}

/// `iteration_indptr` without its leading 0; files before it was saved are divided as `MakeIndptr` does.
fn iteration_ends(model: &Cursor<'_>, param: &Cursor<'_>, trees: &[Tree]) -> Result<Vec<u32>, FormatError> {
    let Some(field) = model.optional("iteration_indptr")? else {
        let parallel_field = param.optional("num_parallel_tree")?;
        let parallel = parallel_field.map_or(Ok(1), |field| field.count())?.max(1);
        let groups = trees.iter().map(|tree| tree.output as usize + 1).max().unwrap_or(1);
        let round = parallel.saturating_mul(groups);
        if !trees.len().is_multiple_of(round) {
            return Err(param.fault(format!("{} trees do not divide into rounds of {round}", trees.len())));
        }
        return Ok((1..=trees.len() / round)
            .filter_map(|end| u32::try_from(end * round).ok())
            .collect());
    };
    let indptr = field.ints()?;
    if indptr.len() == 0 || indptr.get(0) != 0 {
        return Err(field.fault("the first entry is 0"));
    }
    let end = |index| {
        let end = indptr.get(index);
        u32::try_from(end).map_err(|_| field.fault_at(index, format!("a number of trees is accepted, not {end}")))
    };
    (1..indptr.len()).map(end).collect()
}
