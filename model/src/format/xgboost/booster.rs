//! `gradient_booster`: the trees of gbtree and dart, or the weights of gblinear.

use super::super::FormatError;
use super::super::document::{Cursor, shortened};
use super::{cats, tree};
use crate::ensemble::{Linear, Tree};
use crate::limits::TREES_MAX;
use crate::schema::Schema;

/// What a booster is made of: trees or a linear model.
#[derive(Default)]
pub(super) struct Booster {
    /// In the order of their ids.
    pub(super) trees: Vec<Tree>,
    /// Where each iteration ends.
    pub(super) iteration_ends: Vec<u32>,
    pub(super) linear: Option<Linear>,
}

/// Reads the booster of a learner with this many outputs, and the categories' names into its schema.
pub(super) fn read(
    learner: &Cursor<'_>,
    outputs: usize,
    schema: &mut Schema,
    notes: &mut Vec<String>,
) -> Result<Booster, FormatError> {
    let booster = learner.field("gradient_booster")?;
    let name_field = booster.field("name")?;
    match name_field.text()? {
        // Since 3.3 the model of a dart booster is named gbtree and holds its weights itself.
        "gbtree" => {
            let model = booster.field("model")?;
            let weights = model.optional("weight_drop")?;
            notes.extend(cats::read(&model, schema)?);
            trees(&model, weights.as_ref(), false, outputs)
        }
        "dart" => {
            let gbtree = booster.field("gbtree")?;
            let model = gbtree.field("model")?;
            let weights = booster.field("weight_drop")?;
            notes.extend(cats::read(&model, schema)?);
            trees(&model, Some(&weights), true, outputs)
        }
        "gblinear" => {
            let weights = booster.field("model")?.field("weights")?.floats()?.into_owned();
            Ok(Booster {
                linear: Some(Linear { weights }),
                ..Booster::default()
            })
        }
        other => {
            let other = shortened(other);
            Err(name_field.fault(format!("gbtree, dart and gblinear are accepted, not {other:?}")))
        }
    }
}

fn trees(
    model: &Cursor<'_>,
    weights: Option<&Cursor<'_>>,
    all_weighted: bool,
    outputs: usize,
) -> Result<Booster, FormatError> {
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
    let groups = info.ints()?;
    if groups.len() != count {
        return Err(info.fault(format!("{} entries, but num_trees is {count}", groups.len())));
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
        let group = u32::try_from(groups.get(number))
            .map_err(|_| info.fault_at(number, format!("an output is accepted, not {}", groups.get(number))))?;
        let weight = weights.as_ref().and_then(|weights| weights.get(number).copied());
        *slot = Some(tree::tree(&element, group, outputs, weight)?);
    }
    let trees: Vec<Tree> = trees.into_iter().flatten().collect();
    let iteration_ends = iteration_ends(model, &param, &trees)?;
    Ok(Booster {
        trees,
        iteration_ends,
        linear: None,
    })
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
