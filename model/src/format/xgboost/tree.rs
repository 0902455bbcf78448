//! One tree of an XGBoost model, as `RegTree::LoadModel` reads it (`src/tree/tree_model.cc`, XGBoost 3.2.0).
//!
//! What the library takes on trust is checked here: lengths, parents, and that a right child follows its left one,
//! which its predictor assumes. That the nodes make a tree is [`crate::ensemble::Ensemble::try_new`]'s to prove.

use super::super::FormatError;
use super::super::document::{Cursor, Ints};
use crate::ensemble::{Node, Tree};
use crate::limits::TREE_NODES_MAX;

/// `RegTree::kDeletedNodeMarker` as `split_indices` shows it; its 32nd bit is in `default_left`.
const REMOVED: i64 = 0x7fff_ffff;

/// The arrays of a tree, all of one length.
struct Columns<'a> {
    lefts: Ints<'a>,
    rights: Ints<'a>,
    parents: Ints<'a>,
    features: Ints<'a>,
    conditions: std::borrow::Cow<'a, [f32]>,
    default_left: Vec<bool>,
    /// For category nodes, where their codes lie in [`Tree::categories`].
    codes: Vec<Option<(u32, u32)>>,
    /// For leaves of a tree with vectors, where their values begin in [`Tree::vectors`].
    vectors: Option<Vec<u32>>,
}

/// Reads a tree that adds to output `group` of so many `outputs`, or to all, its leaves multiplied by dart's `weight`.
pub(super) fn tree(tree: &Cursor<'_>, group: u32, outputs: usize, weight: Option<f32>) -> Result<Tree, FormatError> {
    let param = tree.field("tree_param")?;
    let has_vectors = has_vectors(&param, outputs)?;
    let count_field = param.field("num_nodes")?;
    let count = count_field.count()?;
    if count == 0 || count > TREE_NODES_MAX {
        return Err(count_field.fault(format!("{count} nodes: 1 to {TREE_NODES_MAX} are accepted")));
    }
    // Files of 3.0 and 3.1 lack the statistics of trees with vectors, whose weights are read below.
    if !has_vectors {
        check_statistics(tree, count)?;
    }
    let gains = tree.optional("loss_changes")?;
    let gains = gains
        .map(|field| field.floats().map(std::borrow::Cow::into_owned))
        .transpose()?;
    let gains = gains.unwrap_or_default();
    let covers = covers(tree, count)?;
    let ints = |key| {
        let field = tree.field(key)?;
        let ints = field.ints()?;
        same_length(&field, ints.len(), count).map(|()| ints)
    };
    let (lefts, rights, parents) = (ints("left_children")?, ints("right_children")?, ints("parents")?);
    let features = ints("split_indices")?;
    let conditions_field = tree.field("split_conditions")?;
    let conditions = conditions_field.floats()?;
    same_length(&conditions_field, conditions.len(), count)?;
    let default_left_field = tree.field("default_left")?;
    let default_left = default_left_field.bools()?;
    same_length(&default_left_field, default_left.len(), count)?;
    let mut categories = Vec::new();
    let codes = codes(tree, count, &mut categories)?;
    let vectors = match has_vectors {
        true => Some(leaf_vectors(tree, &lefts, &rights, outputs)?),
        false => None,
    };
    let (starts, values) = vectors.unzip();
    let columns = Columns {
        lefts,
        rights,
        parents,
        features,
        conditions,
        default_left,
        codes,
        vectors: starts,
    };
    let nodes = (0..count)
        .map(|index| node(tree, &columns, index, weight))
        .collect::<Result<Vec<_>, _>>()?;
    let removed = nodes.iter().skip(1).filter(|node| **node == Node::Removed).count();
    let stated = param
        .optional("num_deleted")?
        .map_or(Ok(removed), |field| field.count())?;
    if removed != stated {
        return Err(param.fault(format!(
            "num_deleted is {stated}, but {removed} nodes are marked as deleted"
        )));
    }
    Ok(Tree {
        nodes,
        categories,
        vectors: weighted_all(values.unwrap_or_default(), weight),
        output: group,
        gains: if gains.len() == count { gains } else { Vec::new() },
        covers,
        ..Tree::default()
    })
}

/// Statistics of training, where the file has them, are as many as the nodes.
fn check_statistics(tree: &Cursor<'_>, count: usize) -> Result<(), FormatError> {
    for key in ["loss_changes", "sum_hessian", "base_weights"] {
        if let Some(field) = tree.optional(key)? {
            same_length(&field, field.floats()?.len(), count)?;
        }
    }
    Ok(())
}

/// The sums of Hessians, where the file has one for each node.
fn covers(tree: &Cursor<'_>, count: usize) -> Result<Vec<f64>, FormatError> {
    let Some(field) = tree.optional("sum_hessian")? else {
        return Ok(Vec::new());
    };
    let sums = field.floats()?;
    match sums.len() == count {
        true => Ok(sums.iter().copied().map(f64::from).collect()),
        false => Ok(Vec::new()),
    }
}

/// The values of leaves with vectors.
fn weighted_all(values: Vec<f32>, weight: Option<f32>) -> Vec<f64> {
    let widened = values.into_iter().map(|value| f64::from(weighted(value, weight)));
    widened.collect()
}

/// Dart adds `(0 + leaf) * weight`, in f32; the sum makes a negative zero a positive one.
fn weighted(value: f32, weight: Option<f32>) -> f32 {
    weight.map_or(value, |weight| (0.0 + value) * weight)
}

/// Whether the leaves hold a value for each output (`multi_strategy=multi_output_tree`).
fn has_vectors(param: &Cursor<'_>, outputs: usize) -> Result<bool, FormatError> {
    let Some(size) = param.optional("size_leaf_vector")? else {
        return Ok(false);
    };
    match size.count()? {
        0 | 1 => Ok(false),
        values if values == outputs => Ok(true),
        values => Err(size.fault(format!(
            "leaves hold {values} values, but the model has {outputs} outputs"
        ))),
    }
}

/// Where each leaf's values begin, and the values: `leaf_weights`, in which a leaf's right child is its number (3.2
/// on), or `base_weights`, which has a vector for every node (3.0 and 3.1).
fn leaf_vectors(
    tree: &Cursor<'_>,
    lefts: &Ints<'_>,
    rights: &Ints<'_>,
    outputs: usize,
) -> Result<(Vec<u32>, Vec<f32>), FormatError> {
    let leaf_weights = tree.optional("leaf_weights")?;
    let field = match leaf_weights {
        Some(field) => field,
        None => tree.field("base_weights")?,
    };
    let weights = field.floats()?;
    let rights_field = tree.field("right_children")?;
    let mut starts = vec![0; lefts.len()];
    let mut values: Vec<f32> = Vec::new();
    let mut is_taken = vec![false; lefts.len()];
    for index in (0..lefts.len()).filter(|&index| lefts.get(index) == -1) {
        let number = if leaf_weights.is_some() {
            rights.get(index)
        } else {
            i64::try_from(index).unwrap_or(-1)
        };
        // Numbers that repeat could claim the same vector for every leaf of a large file.
        let number = usize::try_from(number).ok().filter(|&number| number < is_taken.len());
        let Some(number) = number.filter(|&number| !std::mem::replace(&mut is_taken[number], true)) else {
            let number = rights.get(index);
            return Err(rights_field.fault_at(index, format!("{number} is not the number of one leaf's vector")));
        };
        let first = number.saturating_mul(outputs);
        let Some(vector) = weights.get(first..first.saturating_add(outputs)) else {
            let held = weights.len();
            return Err(field.fault(format!(
                "vector {number} of {outputs} values is not within the {held} there are"
            )));
        };
        starts[index] = u32::try_from(values.len()).map_err(|_| field.fault("more values than 32 bits number"))?;
        values.extend_from_slice(vector);
    }
    Ok((starts, values))
}

fn same_length(field: &Cursor<'_>, actual: usize, count: usize) -> Result<(), FormatError> {
    if actual == count {
        Ok(())
    } else {
        Err(field.fault(format!("{actual} entries, but num_nodes is {count}")))
    }
}

fn node(tree: &Cursor<'_>, columns: &Columns<'_>, index: usize, weight: Option<f32>) -> Result<Node, FormatError> {
    let missing_left = columns.default_left[index];
    let condition = columns.conditions[index];
    let feature = columns.features.get(index);
    if feature == REMOVED && missing_left {
        return Ok(Node::Removed);
    }
    let (left, right) = (columns.lefts.get(index), columns.rights.get(index));
    if left == -1 {
        return Ok(match &columns.vectors {
            Some(starts) => Node::Vector { first: starts[index] },
            None => Node::Leaf {
                value: f64::from(weighted(condition, weight)),
            },
        });
    }
    let fault = |key, message| {
        tree.field(key)
            .map_or_else(|error| error, |field| field.fault_at(index, message))
    };
    let left_child = child(columns, index, left).map_err(|message| fault("left_children", message))?;
    let right_child = child(columns, index, right).map_err(|message| fault("right_children", message))?;
    if right_child != left_child + 1 {
        let message = format!("{right} is accepted only as {}, next to the left child", left_child + 1);
        return Err(fault("right_children", message));
    }
    let feature =
        u32::try_from(feature).map_err(|_| fault("split_indices", format!("{feature} is no feature of the model")))?;
    let (left, right) = (left_child, right_child);
    Ok(match columns.codes.get(index).copied().flatten() {
        Some((first, count)) => Node::Category {
            feature,
            first,
            count,
            missing_left,
            left,
            right,
        },
        None => Node::Number {
            feature,
            threshold: f64::from(condition),
            missing_left,
            zero_is_missing: false,
            left,
            right,
        },
    })
}

/// A child's number, when it is one and names `index` as its parent.
fn child(columns: &Columns<'_>, index: usize, child: i64) -> Result<u32, String> {
    let last = columns.lefts.len() - 1;
    let number = u32::try_from(child)
        .ok()
        .filter(|&number| number > 0 && number as usize <= last);
    let number = number
        .ok_or_else(|| format!("{child} is no child: 1 to {last} are accepted, and -1 in left_children for a leaf"))?;
    let parent = columns.parents.get(number as usize);
    if usize::try_from(parent) == Ok(index) {
        return Ok(number);
    }
    Err(format!(
        "{child} is the child of node {index}, but parents[{child}] is {parent}"
    ))
}

/// Where each category node's codes lie in `categories`, which is filled with them, sorted. Empty for a tree without
/// categories, as files before 1.3 and most others have it.
fn codes<'a>(
    tree: &'a Cursor<'a>,
    count: usize,
    categories: &mut Vec<u32>,
) -> Result<Vec<Option<(u32, u32)>>, FormatError> {
    let Some(types_field) = tree.optional("split_type")? else {
        return Ok(Vec::new());
    };
    let types = types_field.ints()?;
    same_length(&types_field, types.len(), count)?;
    if let Some(index) = types.iter().position(|kind| kind != 0 && kind != 1) {
        return Err(types_field.fault_at(index, format!("0 and 1 are accepted, not {}", types.get(index))));
    }
    let nodes_field = tree.field("categories_nodes")?;
    let nodes = nodes_field.ints()?;
    if nodes.len() == 0 && types.iter().all(|kind| kind == 0) {
        return Ok(Vec::new());
    }
    let (segments_field, sizes_field) = (tree.field("categories_segments")?, tree.field("categories_sizes")?);
    let (segments, sizes) = (segments_field.ints()?, sizes_field.ints()?);
    same_count(&segments_field, segments.len(), nodes.len())?;
    same_count(&sizes_field, sizes.len(), nodes.len())?;
    let all_field = tree.field("categories")?;
    let all = all_field.ints()?;
    let mut codes = vec![None; count];
    let (mut before, mut used) = (-1, 0usize);
    for entry in 0..nodes.len() {
        let node = nodes.get(entry);
        let index = usize::try_from(node)
            .ok()
            .filter(|&index| index < count && node > before);
        let Some(index) = index else {
            return Err(nodes_field.fault_at(entry, format!("{node} is not an increasing number of a node")));
        };
        before = node;
        if types.get(index) != 1 {
            return Err(nodes_field.fault_at(entry, format!("node {node} has split_type 0, a number's")));
        }
        let (segment, size) = (segments.get(entry), sizes.get(entry));
        let range = usize::try_from(segment).ok().zip(usize::try_from(size).ok());
        let range = range.and_then(|(first, size)| Some(first..first.checked_add(size)?));
        let Some(range) = range.filter(|range| !range.is_empty() && range.end <= all.len()) else {
            let message = format!(
                "{size} codes from {segment} on are not within the {} of categories",
                all.len()
            );
            return Err(segments_field.fault_at(entry, message));
        };
        // Real segments follow each other; overlapping ones could claim the whole array for every node.
        used += range.len();
        if used > all.len() {
            return Err(segments_field.fault_at(entry, "the segments overlap"));
        }
        codes[index] = Some(append(&all_field, all, range, categories)?);
    }
    let absent = (0..count).find(|&index| types.get(index) == 1 && codes[index].is_none());
    match absent {
        Some(index) => Err(types_field.fault_at(index, "a category split that categories_nodes does not list")),
        None => Ok(codes),
    }
}

fn same_count(field: &Cursor<'_>, actual: usize, nodes: usize) -> Result<(), FormatError> {
    if actual == nodes {
        Ok(())
    } else {
        Err(field.fault(format!("{actual} entries for {nodes} categories_nodes")))
    }
}

fn append(
    field: &Cursor<'_>,
    all: Ints<'_>,
    range: std::ops::Range<usize>,
    categories: &mut Vec<u32>,
) -> Result<(u32, u32), FormatError> {
    let code = |index| {
        let code = all.get(index);
        let valid = u32::try_from(code)
            .ok()
            .filter(|&code| code < crate::limits::CATEGORY_END);
        valid.ok_or_else(|| field.fault_at(index, format!("{code} is no code from 0 to 2^24 - 1")))
    };
    let mut codes = range.map(code).collect::<Result<Vec<_>, _>>()?;
    codes.sort_unstable();
    codes.dedup();
    let narrow = |count: usize| u32::try_from(count).map_err(|_| field.fault("more codes than 32 bits number"));
    let place = (narrow(categories.len())?, narrow(codes.len())?);
    categories.extend(codes);
    Ok(place)
}
