//! LightGBM's text format, versions 2 to 4: `key=value` lines of a header, a block of them for each tree, and
//! parameters.
//!
//! Follows `src/boosting/gbdt_model_text.cpp` and `src/io/tree.cpp` of LightGBM 4.6. `tree_sizes` is not looked at:
//! trees end where their blocks end, and files whose sizes are wrong crash the library itself.

mod lines;
mod names;
mod tree;

use super::FormatError;
use crate::ensemble::{Codes, Comparison, Ensemble, EnsembleParts, Finish, Input, Node, Precision, Tree};
use crate::limits::{FEATURES_MAX, OUTPUTS_MAX, TREES_MAX};
use crate::objective::Objective;
use crate::schema::{FeatureKind, Schema};
use lines::{Fields, Lines};

const HEADER_KEYS: [&str; 8] = [
    "version",
    "num_class",
    "num_tree_per_iteration",
    "max_feature_idx",
    "objective",
    "average_output",
    "feature_names",
    "feature_infos",
];

/// Whether bytes begin as such a file does.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"tree\n") || bytes.starts_with(b"tree\r\n")
}

/// Reads a model.
pub(super) fn ensemble(bytes: &[u8]) -> Result<Ensemble, FormatError> {
    let mut lines = Lines::new(bytes);
    lines.next();
    let header = header(&mut lines)?;
    check_version(&header)?;
    let outputs = outputs(&header)?;
    let features = features(&header)?;
    let mut trees = trees(&mut lines)?;
    if trees.len() % outputs != 0 {
        let message = format!("{} trees do not divide into iterations of {outputs}", trees.len());
        return Err(header.fault("num_tree_per_iteration", message));
    }
    let iterations = u32::try_from(trees.len() / outputs).unwrap_or(u32::MAX);
    let forest = header.has("average_output").then(|| f64::from(iterations));
    let objective = Objective::lightgbm(header.get("objective"), outputs, forest)
        .map_err(|error| header.fault("objective", error.to_string()))?;
    check_classes(&header, outputs)?;
    for (index, tree) in trees.iter_mut().enumerate() {
        tree.output = u32::try_from(index % outputs).unwrap_or(u32::MAX);
    }
    let mut schema = schema(&header, features, &trees)?;
    let notes = names::read(&mut lines, &header, &mut schema)?;
    let ends = (1..=iterations).map(|iteration| iteration * u32::try_from(outputs).unwrap_or(u32::MAX));
    Ok(Ensemble::try_new(EnsembleParts {
        format: "LightGBM text",
        // The version of the format is all that the file says.
        written_by: header
            .get("version")
            .map(|version| format!("LightGBM, format {}", super::document::shortened(version))),
        precision: Precision::F64,
        comparison: Comparison::LessOrEqual,
        input: Input::Flushed,
        codes: Codes::Int,
        schema,
        objective,
        base_margins: vec![0.0; outputs],
        finish: Finish::Nothing,
        linear: None,
        iteration_ends: ends.collect(),
        best_iteration: None,
        notes,
        trees,
    })?)
}

/// The lines before the first tree.
fn header<'a>(lines: &mut Lines<'a>) -> Result<Fields<'a>, FormatError> {
    let mut header = Fields::new(String::new());
    while let Some(line) = lines.peek() {
        if line.starts_with("Tree=") || line == "end of trees" {
            return Ok(header);
        }
        lines.next();
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if HEADER_KEYS.contains(&key) {
            lines.check(key)?;
            header.insert(key, value)?;
        }
    }
    Err(lines.cut_off("the first tree"))
}

fn check_version(header: &Fields<'_>) -> Result<(), FormatError> {
    match header.get("version") {
        None | Some("v2" | "v3" | "v4") => Ok(()),
        Some(other) => {
            let other = super::document::shortened(other);
            Err(header.fault("version", format!("v2, v3 and v4 are accepted, not {other:?}")))
        }
    }
}

/// Trees of an iteration, which is one for each output.
fn outputs(header: &Fields<'_>) -> Result<usize, FormatError> {
    let key = match header.has("num_tree_per_iteration") {
        true => "num_tree_per_iteration",
        false => "num_class",
    };
    let outputs = header.count(key)?;
    if (1..=OUTPUTS_MAX).contains(&outputs) {
        Ok(outputs)
    } else {
        Err(header.fault(key, format!("{outputs} outputs: 1 to {OUTPUTS_MAX} are accepted")))
    }
}

/// LightGBM loads no file without `num_class`, and writes as many trees an iteration.
fn check_classes(header: &Fields<'_>, outputs: usize) -> Result<(), FormatError> {
    let classes = header.count("num_class")?;
    if classes == outputs {
        return Ok(());
    }
    let message = format!("{classes} classes, but the trees are {outputs} an iteration (num_tree_per_iteration)");
    Err(header.fault("num_class", message))
}

fn features(header: &Fields<'_>) -> Result<usize, FormatError> {
    let last = header.count("max_feature_idx")?;
    if last >= FEATURES_MAX {
        let message = format!("more features than the {FEATURES_MAX} accepted");
        return Err(header.fault("max_feature_idx", message));
    }
    Ok(last + 1)
}

/// Trees up to the line that ends them.
fn trees(lines: &mut Lines<'_>) -> Result<Vec<Tree>, FormatError> {
    let mut trees = Vec::new();
    while let Some(line) = lines.peek() {
        if line.is_empty() {
            lines.next();
            continue;
        }
        let Some(number) = line.strip_prefix("Tree=") else {
            let ends = [
                "end of trees",
                "feature_importances:",
                "feature importances:",
                "parameters:",
            ];
            if !ends.contains(&line) {
                return Err(lines.fault("the next tree or `end of trees` is accepted here"));
            }
            if trees.is_empty() {
                return Err(lines.fault("the model holds no trees: it was never trained"));
            }
            return Ok(trees);
        };
        if number.trim().parse() != Ok(trees.len()) {
            return Err(lines.fault(format!("Tree={} is accepted here", trees.len())));
        }
        if trees.len() >= TREES_MAX {
            return Err(lines.fault(format!("more trees than the {TREES_MAX} accepted")));
        }
        lines.next();
        trees.push(tree::read(lines, trees.len())?);
    }
    Err(lines.cut_off("the end of the trees"))
}

/// Names, and kinds as `feature_infos` and the trees' own splits show them.
fn schema(header: &Fields<'_>, features: usize, trees: &[Tree]) -> Result<Schema, FormatError> {
    let words = |key| -> Result<Vec<&str>, FormatError> {
        let words: Vec<&str> = header
            .require(key)?
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect();
        match words.len() == features {
            true => Ok(words),
            false => Err(header.fault(key, format!("{} entries for {features} features", words.len()))),
        }
    };
    let names = words("feature_names")?;
    let mut kinds = vec![FeatureKind::Number; features];
    if header.has("feature_infos") {
        for (kind, info) in kinds.iter_mut().zip(words("feature_infos")?) {
            if !info.starts_with('[') && info != "none" {
                *kind = FeatureKind::Category;
            }
        }
    }
    for node in trees.iter().flat_map(|tree| &tree.nodes) {
        if let Node::Category { feature, .. } = node
            && let Some(kind) = kinds.get_mut(*feature as usize)
        {
            *kind = FeatureKind::Category;
        }
    }
    // What LightGBM calls the columns of an array.
    let are_numbers = names
        .iter()
        .enumerate()
        .all(|(column, name)| name.strip_prefix("Column_") == Some(column.to_string().as_str()));
    let named = names.into_iter().map(str::to_owned).zip(kinds).collect();
    let schema = Schema::try_new(named).map_err(|error| header.fault("feature_names", error.to_string()))?;
    Ok(if are_numbers {
        schema.numbered()
    } else {
        schema.without_spaces()
    })
}
