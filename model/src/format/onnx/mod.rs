//! ONNX-ML tree ensembles, as onnxruntime evaluates them (`core/providers/cpu/ml/tree_ensemble_*.h`).
//!
//! A binary classifier has one margin, and its prediction is the probability of the second class; onnxruntime gives the
//! complement beside it. Sums are in tree order, as onnxruntime has them on one thread: on several it adds partial sums
//! of trees, in an order that depends on the number of rows, and its own answers to one row differ in the last bits.

mod chains;
mod graph;
mod protobuf;
mod tree;

use super::FormatError;
use super::document::shortened;
use crate::ensemble::{Codes, Ensemble, EnsembleParts, Finish, Input, Precision};
use crate::limits::{FEATURES_MAX, OUTPUTS_MAX};
use crate::objective::Objective;
use crate::schema::{FeatureKind, Schema};
use graph::{Attribute, Node};

/// Whether bytes begin as a serialised `ModelProto` does: its version, and a field that follows it.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x08, 1..=30, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..]
    )
}

/// The attributes of the tree ensemble.
struct Attributes<'n, 'b> {
    node: &'n Node<'b>,
}

impl<'n, 'b> Attributes<'n, 'b> {
    fn fault(&self, name: &str, message: impl Into<String>) -> FormatError {
        FormatError::Field {
            path: format!("{}.{name}", self.node.operator),
            message: message.into(),
        }
    }

    fn get(&self, name: &str) -> Option<&'n Attribute<'b>> {
        self.node.attributes.get(name)
    }

    fn ints(&self, name: &str) -> &'n [i64] {
        self.get(name).map_or(&[], |attribute| attribute.ints.as_slice())
    }

    /// Floats, or the doubles of the attribute that ends in `_as_tensor`.
    fn floats(&self, name: &str) -> &'n [f64] {
        let tensor = self.get(&format!("{name}_as_tensor"));
        let attribute = tensor.or_else(|| self.get(name));
        attribute.map_or(&[], |attribute| attribute.floats.as_slice())
    }

    fn text(&self, name: &str, absent: &'b str) -> Result<&'b str, FormatError> {
        match self.get(name).map(|attribute| attribute.texts.as_slice()) {
            None => Ok(absent),
            Some([text]) => text.text(),
            Some(texts) => Err(self.fault(name, format!("{} strings: one is accepted", texts.len()))),
        }
    }
}

/// Reads a model.
pub(super) fn ensemble(bytes: &[u8]) -> Result<Ensemble, FormatError> {
    let graph = graph::read(bytes)?;
    let attributes = Attributes { node: &graph.trees };
    let is_double = graph.is_double || graph.trees.attributes.values().any(|attribute| attribute.is_double);
    let precision = if is_double { Precision::F64 } else { Precision::F32 };
    let is_classifier = graph.trees.operator == "TreeEnsembleClassifier";
    let classes = classes(&attributes);
    let weights = tree::Weights::read(&attributes, if is_classifier { "class" } else { "target" })?;
    let is_binary = is_classifier && classes == 2 && weights.is_of_one_output();
    let outputs = match (is_classifier, is_binary) {
        (true, true) => 1,
        (true, false) => classes,
        (false, _) => match attributes.ints("n_targets") {
            [targets] => usize::try_from(*targets).unwrap_or(0),
            _ => 0,
        },
    };
    if !(1..=OUTPUTS_MAX).contains(&outputs) {
        let message = format!("{outputs} targets or classes: 1 to {OUTPUTS_MAX} are accepted");
        return Err(attributes.fault("n_targets", message));
    }
    let objective = objective(&attributes, is_classifier, is_binary, graph.has_exp, &weights)?;
    let forest = tree::read(&attributes, weights, outputs, is_binary, (precision, bytes.len()))?;
    let columns = graph.columns.unwrap_or(forest.features);
    if columns > FEATURES_MAX {
        return Err(attributes.fault(
            "nodes_featureids",
            format!("more features than the {FEATURES_MAX} accepted"),
        ));
    }
    let count = u32::try_from(forest.trees.len()).unwrap_or(u32::MAX);
    Ok(Ensemble::try_new(EnsembleParts {
        format: "ONNX",
        written_by: graph.producer.map(|producer| shortened(&producer)),
        precision,
        comparison: forest.comparison,
        input: Input::Rounded,
        codes: Codes::Whole,
        schema: Schema::try_numbered(std::iter::repeat_n(FeatureKind::Number, columns))?,
        objective,
        base_margins: vec![0.0; outputs],
        finish: finish(&attributes, outputs, is_binary, count)?,
        trees: forest.trees,
        linear: None,
        iteration_ends: vec![count],
        best_iteration: None,
        notes: Vec::new(),
    })?)
}

fn classes(attributes: &Attributes<'_, '_>) -> usize {
    let strings = attributes
        .get("classlabels_strings")
        .map_or(0, |labels| labels.texts.len());
    if strings > 0 {
        strings
    } else {
        attributes.ints("classlabels_int64s").len()
    }
}

/// `post_transform`, in the combinations that onnxruntime gives a meaning.
fn objective(
    attributes: &Attributes<'_, '_>,
    is_classifier: bool,
    is_binary: bool,
    has_exp: bool,
    weights: &tree::Weights,
) -> Result<Objective, FormatError> {
    let transform = attributes.text("post_transform", "NONE")?;
    let name = match (is_classifier, is_binary, transform) {
        (false, _, "NONE") if has_exp => "regressor, Exp",
        (false, _, "NONE") => "regressor",
        (true, false, "NONE") => "classifier",
        (true, false, "SOFTMAX") => "classifier, SOFTMAX",
        (true, false, "LOGISTIC") => "classifier, LOGISTIC",
        // Scores of positive weights count as probabilities, with any transform.
        (true, true, "NONE" | "LOGISTIC") if weights.all_positive() => "binary classifier",
        (true, true, "LOGISTIC") => "binary classifier, LOGISTIC",
        (_, _, other) => {
            let other = shortened(other);
            return Err(attributes.fault(
                "post_transform",
                format!("{other:?} is not accepted for such an ensemble: NONE for regressors; SOFTMAX and LOGISTIC for classifiers"),
            ));
        }
    };
    Ok(Objective::onnx(name))
}

/// `aggregate_function` and `base_values`.
fn finish(attributes: &Attributes<'_, '_>, outputs: usize, is_binary: bool, trees: u32) -> Result<Finish, FormatError> {
    let divisor = match attributes.text("aggregate_function", "SUM")? {
        "SUM" => 1.0,
        "AVERAGE" => f64::from(trees),
        other => {
            let other = shortened(other);
            return Err(attributes.fault(
                "aggregate_function",
                format!("SUM and AVERAGE are accepted, not {other:?}"),
            ));
        }
    };
    let offsets = match attributes.floats("base_values") {
        [] => vec![0.0; outputs],
        &[_, second] if is_binary => vec![second],
        values if values.len() == outputs => values.to_vec(),
        values => {
            let message = format!("{} base values for {outputs} outputs", values.len());
            return Err(attributes.fault("base_values", message));
        }
    };
    Ok(Finish::Average {
        divisors: vec![divisor; outputs],
        offsets,
    })
}
