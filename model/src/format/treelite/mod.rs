//! Treelite's checkpoints, version 4 (`docs/serialization/v4.rst`), evaluated as its own GTIL does
//! (`src/gtil/predict.cc`).
//!
//! Targets and their classes become outputs side by side: target `t`, class `c` is output `t · stride + c`, where the
//! stride is the largest number of classes. Targets of fewer classes leave outputs that stay zero, as in GTIL's own
//! array.

mod tree;

use super::FormatError;
use super::bytes::Bytes;
use crate::ensemble::{Codes, Comparison, Ensemble, EnsembleParts, Finish, Input, Node, Precision, Tree};
use crate::limits::{FEATURES_MAX, OUTPUTS_MAX, TREES_MAX};
use crate::objective::Objective;
use crate::schema::{FeatureKind, Schema};

const FORMAT: &str = "Treelite checkpoint";

/// What both types of a checkpoint's numbers may be.
const FLOAT32: u8 = 2;
const FLOAT64: u8 = 3;

/// The major version when bytes begin as a checkpoint does: a small version and two equal types.
pub(super) fn version(bytes: &[u8]) -> Option<i32> {
    let mut head = Bytes::new(FORMAT, bytes);
    let mut number = || head.one::<i32>("version").ok();
    let (major, minor, patch) = (number()?, number()?, number()?);
    let types = bytes.get(12..14)?;
    let is_one = (2..=9).contains(&major) && (0..1_000).contains(&minor) && (0..1_000).contains(&patch);
    (is_one && types.iter().all(|kind| (1..=FLOAT64).contains(kind))).then_some(major)
}

/// Which outputs there are, and which tree adds to which.
pub(super) struct Outputs {
    /// Classes of each target.
    pub(super) classes: Vec<usize>,
    /// The largest of them.
    pub(super) stride: usize,
    /// Rows and columns of a leaf vector.
    pub(super) leaf_shape: [usize; 2],
    /// Target of each tree; none for all.
    pub(super) targets: Vec<Option<usize>>,
    /// Class of each tree; none for all.
    pub(super) tree_classes: Vec<Option<usize>>,
}

impl Outputs {
    pub(super) fn len(&self) -> usize {
        self.classes.len() * self.stride
    }

    /// Outputs a tree adds to, each with the place of its value in a leaf vector.
    pub(super) fn of_tree(&self, tree: usize) -> impl Iterator<Item = (usize, usize)> {
        let (target, class) = (self.targets[tree], self.tree_classes[tree]);
        let columns = self.leaf_shape[1];
        let targets = (0..self.classes.len()).filter(move |&at| target.is_none_or(|target| target == at));
        targets.enumerate().flat_map(move |(row, at)| {
            let classes = (0..self.classes[at]).filter(move |&at| class.is_none_or(|class| class == at));
            classes
                .enumerate()
                .map(move |(column, class)| (at * self.stride + class, row * columns + column))
        })
    }
}

/// Reads a model.
pub(super) fn ensemble(bytes: &[u8]) -> Result<Ensemble, FormatError> {
    let mut reader = Bytes::new(FORMAT, bytes);
    let mut version = [0; 3];
    for number in &mut version {
        *number = reader.one::<i32>("version")?;
    }
    let [major, minor, patch] = version;
    let precision = match (reader.one::<u8>("threshold type")?, reader.one::<u8>("leaf type")?) {
        (FLOAT32, FLOAT32) => Precision::F32,
        (FLOAT64, FLOAT64) => Precision::F64,
        (threshold, leaf) => {
            return Err(reader.fault(format!(
                "thresholds and leaves are both 32-bit or both 64-bit floats, not of types {threshold} and {leaf}"
            )));
        }
    };
    let count = reader.one::<u64>("num_tree")?;
    let count = usize::try_from(count).ok().filter(|&count| count <= TREES_MAX);
    let count = count.ok_or_else(|| reader.fault(format!("more trees than the {TREES_MAX} accepted")))?;
    if count == 0 {
        return Err(reader.fault("the model holds no trees"));
    }
    let features = features(&mut reader)?;
    reader.one::<u8>("task_type")?;
    let is_average = flag(&mut reader, "average_tree_output")?;
    let outputs = outputs(&mut reader, count)?;
    let objective = objective(&mut reader, &outputs)?;
    let offsets = base_scores(&mut reader, &outputs)?;
    reader.text("attributes")?;
    skip_fields(&mut reader, "optional fields of the model")?;
    let mut forest = tree::Forest::new(precision, &outputs, bytes.len());
    for number in 0..count {
        forest.read(&mut reader, number)?;
    }
    if !reader.is_at_end() {
        return Err(reader.fault("the checkpoint has ended, but the file has not"));
    }
    let (trees, comparison) = forest.finish()?;
    let finish = Finish::Average {
        divisors: divisors(&reader, &outputs, is_average)?,
        offsets,
    };
    Ok(Ensemble::try_new(EnsembleParts {
        format: FORMAT,
        written_by: Some(format!("Treelite {major}.{minor}.{patch}")),
        precision,
        comparison,
        input: Input::Rounded,
        codes: Codes::Unsigned,
        schema: schema(features, &trees)?,
        objective,
        base_margins: vec![0.0; outputs.len()],
        iteration_ends: vec![u32::try_from(count).unwrap_or(u32::MAX)],
        trees,
        finish,
        linear: None,
        best_iteration: None,
        notes: Vec::new(),
    })?)
}

fn flag(reader: &mut Bytes<'_>, what: &str) -> Result<bool, FormatError> {
    match reader.one::<u8>(what)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(reader.fault(format!("{what} is 0 or 1, not {other}"))),
    }
}

fn features(reader: &mut Bytes<'_>) -> Result<usize, FormatError> {
    let features = reader.one::<i32>("num_feature")?;
    let count = usize::try_from(features).ok().filter(|&count| count <= FEATURES_MAX);
    count.ok_or_else(|| reader.fault(format!("{features} features: at most {FEATURES_MAX} are accepted")))
}

fn outputs(reader: &mut Bytes<'_>, trees: usize) -> Result<Outputs, FormatError> {
    let targets = reader.one::<i32>("num_target")?;
    let classes = reader.array::<i32>("num_class")?;
    let shape = reader.array::<i32>("leaf_vector_shape")?;
    let target_id = reader.array::<i32>("target_id")?;
    let class_id = reader.array::<i32>("class_id")?;
    if usize::try_from(targets) != Ok(classes.len()) || classes.is_empty() {
        return Err(reader.fault(format!(
            "{targets} targets, but num_class has {} entries",
            classes.len()
        )));
    }
    let counts = |values: &[i32], what: &str| -> Result<Vec<usize>, FormatError> {
        let count = |&value: &i32| {
            usize::try_from(value)
                .ok()
                .filter(|value| (1..=OUTPUTS_MAX).contains(value))
        };
        let counts: Option<Vec<usize>> = values.iter().map(count).collect();
        counts.ok_or_else(|| reader.fault(format!("{what}: 1 to {OUTPUTS_MAX} are accepted")))
    };
    let classes = counts(&classes, "num_class")?;
    let stride = classes.iter().copied().max().unwrap_or(1);
    if stride.saturating_mul(classes.len()) > OUTPUTS_MAX {
        return Err(reader.fault(format!("more outputs than the {OUTPUTS_MAX} accepted")));
    }
    let Ok(leaf_shape) = <[usize; 2]>::try_from(counts(&shape, "leaf_vector_shape")?) else {
        return Err(reader.fault("leaf_vector_shape has two entries"));
    };
    let ids = |ids: &[i32], most: usize, what: &str| -> Result<Vec<Option<usize>>, FormatError> {
        let id = |&id: &i32| match usize::try_from(id) {
            Ok(id) if id < most => Some(Some(id)),
            Err(_) if id == -1 => Some(None),
            _ => None,
        };
        let read: Option<Vec<_>> = ids.iter().map(id).collect();
        read.filter(|read| read.len() == trees).ok_or_else(|| {
            reader.fault(format!(
                "{what} has an id from -1 to {} for each of {trees} trees",
                most - 1
            ))
        })
    };
    let outputs = Outputs {
        targets: ids(&target_id, classes.len(), "target_id")?,
        tree_classes: ids(&class_id, stride, "class_id")?,
        classes,
        stride,
        leaf_shape,
    };
    let empty = (0..trees).find(|&tree| outputs.of_tree(tree).next().is_none());
    match empty {
        Some(tree) => Err(reader.fault(format!("tree {tree} is of a class that its target does not have"))),
        None => Ok(outputs),
    }
}

fn objective(reader: &mut Bytes<'_>, outputs: &Outputs) -> Result<Objective, FormatError> {
    let name = reader.text("postprocessor")?;
    let alpha = reader.one::<f32>("sigmoid_alpha")?;
    let ratio = reader.one::<f32>("ratio_c")?;
    Objective::treelite(name, alpha, ratio, outputs.classes.clone(), outputs.stride).ok_or_else(|| {
        let name = super::document::shortened(name);
        reader.fault(format!("{name:?} is none of Treelite's postprocessors"))
    })
}

/// One for each output; those of classes a target does not have are not added.
fn base_scores(reader: &mut Bytes<'_>, outputs: &Outputs) -> Result<Vec<f64>, FormatError> {
    let mut scores = reader.array::<f64>("base_scores")?;
    if scores.len() != outputs.len() {
        let count = outputs.len();
        return Err(reader.fault(format!("{} base scores for {count} outputs", scores.len())));
    }
    for (row, &classes) in scores.chunks_mut(outputs.stride).zip(&outputs.classes) {
        row[classes..].fill(0.0);
    }
    Ok(scores)
}

/// How many trees add to each output, when sums are averaged.
fn divisors(reader: &Bytes<'_>, outputs: &Outputs, is_average: bool) -> Result<Vec<f64>, FormatError> {
    let mut divisors = vec![1.0; outputs.len()];
    if !is_average {
        return Ok(divisors);
    }
    for (row, &classes) in divisors.chunks_mut(outputs.stride).zip(&outputs.classes) {
        row[..classes].fill(0.0);
    }
    for tree in 0..outputs.targets.len() {
        for (output, _) in outputs.of_tree(tree) {
            divisors[output] += 1.0;
        }
    }
    match divisors.iter().position(|&divisor| divisor < 1.0) {
        Some(output) => Err(reader.fault(format!("output {output} averages over no tree"))),
        None => Ok(divisors),
    }
}

/// Fields of later minor versions: a name, the size of an element, and elements.
fn skip_fields(reader: &mut Bytes<'_>, what: &str) -> Result<(), FormatError> {
    for _ in 0..reader.one::<i32>(what)? {
        reader.text(what)?;
        reader.skip_sized(what)?;
    }
    Ok(())
}

/// Checkpoints have no names: `f0`, `f1` and so on.
fn schema(features: usize, trees: &[Tree]) -> Result<Schema, FormatError> {
    let mut kinds = vec![FeatureKind::Number; features];
    for node in trees.iter().flat_map(|tree| &tree.nodes) {
        if let Node::Category { feature, .. } = node
            && let Some(kind) = kinds.get_mut(*feature as usize)
        {
            *kind = FeatureKind::Category;
        }
    }
    Ok(Schema::try_numbered(kinds)?)
}

/// The comparison an ensemble keeps, and what others become in it.
pub(super) fn common_comparison(has_less: bool) -> Comparison {
    if has_less {
        Comparison::Less
    } else {
        Comparison::LessOrEqual
    }
}
