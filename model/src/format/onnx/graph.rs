//! The graph around a tree ensemble: the nodes before and after it may only rename and cast.

use std::collections::BTreeMap;

use super::super::FormatError;
use super::super::document::shortened;
use super::protobuf::{Field, Message, floats, ints, raw_doubles};
use crate::limits::OUTPUTS_MAX;

/// An attribute's values; a single one is a list of one.
#[derive(Default)]
pub(super) struct Attribute<'b> {
    pub(super) ints: Vec<i64>,
    pub(super) floats: Vec<f64>,
    pub(super) texts: Vec<Message<'b>>,
    /// Whether the numbers are 64-bit floats.
    pub(super) is_double: bool,
}

/// One node.
pub(super) struct Node<'b> {
    pub(super) operator: &'b str,
    inputs: Vec<&'b str>,
    outputs: Vec<&'b str>,
    pub(super) attributes: BTreeMap<&'b str, Attribute<'b>>,
    pub(super) message: Message<'b>,
}

/// The tree ensemble of a model, and the columns of its input when the graph states them.
pub(super) struct Graph<'b> {
    pub(super) trees: Node<'b>,
    pub(super) columns: Option<usize>,
    /// Whether the trees see the input's 64-bit floats: without a cast their sums are such floats too.
    pub(super) is_double: bool,
    /// The program that wrote the file, and its version.
    pub(super) producer: Option<String>,
    /// Whether the output's exponential is what the model gives: a regressor of counts.
    pub(super) has_exp: bool,
}

/// `TensorProto.DOUBLE`.
const DOUBLE: u64 = 11;

const ADVICE: &str =
    "accepted is a tree ensemble with renaming and casting around it, as skl2onnx and onnxmltools write it";

/// Messages of one kind, nodes of a graph, and names and attributes of a node. What converters write has a handful of
/// each; a file of empty ones would take many times its size.
const MESSAGES_MAX: usize = 65_536;
const NODES_MAX: usize = 64;
const NAMES_MAX: usize = 1_024;
const ATTRIBUTES_MAX: usize = 64;

/// Strings of an attribute in a file of so many bytes: a node's mode takes six bytes and stands for a node of fifteen.
const fn texts_max(bytes: usize) -> usize {
    bytes / 6 + OUTPUTS_MAX
}

/// Reads a model's graph.
pub(super) fn read(bytes: &[u8]) -> Result<Graph<'_>, FormatError> {
    let model = Message::new(bytes);
    let graph = submessages(model, 7)?;
    let [graph] = graph.as_slice() else {
        return Err(model.fault(format!("{} graphs: one is accepted", graph.len())));
    };
    check_version(model)?;
    let nodes = submessages(*graph, 1)?;
    if nodes.len() > NODES_MAX {
        return Err(graph.fault(format!(
            "{} nodes are more than the {NODES_MAX} accepted: {ADVICE}",
            nodes.len()
        )));
    }
    let texts_max = texts_max(bytes.len());
    let ones = constant_ones(*graph)?;
    let mut trees = None;
    let mut tree_outputs: Vec<&str> = Vec::new();
    let (mut has_exp, mut has_cast) = (false, false);
    for message in nodes {
        let node = node(message, texts_max)?;
        match node.operator {
            "TreeEnsembleClassifier" | "TreeEnsembleRegressor" if trees.is_none() => {
                tree_outputs.clone_from(&node.outputs);
                trees = Some(node);
            }
            "Cast" | "Identity" if trees.is_none() => has_cast |= node.operator == "Cast",
            "Cast" | "Identity" | "ZipMap" if comes_from(&node, &tree_outputs, &[]) => {
                tree_outputs.extend(&node.outputs);
            }
            "Exp" if !has_exp && is_regressor(&trees) && comes_from(&node, &tree_outputs, &[]) => {
                has_exp = true;
                tree_outputs.clone_from(&node.outputs);
            }
            "Mul" if comes_from(&node, &tree_outputs, &ones) => tree_outputs.extend(&node.outputs),
            other => {
                let other = shortened(other);
                return Err(node
                    .message
                    .fault(format!("the operator {other} is not accepted here: {ADVICE}")));
            }
        }
    }
    let trees = trees.ok_or_else(|| graph.fault(format!("the graph holds no tree ensemble: {ADVICE}")))?;
    Ok(Graph {
        trees,
        columns: columns(*graph)?,
        producer: producer(model)?,
        is_double: input_type(*graph)? == DOUBLE && !has_cast,
        has_exp,
    })
}

/// `producer_name` and `producer_version`.
fn producer(model: Message<'_>) -> Result<Option<String>, FormatError> {
    let (mut name, mut version) = ("", "");
    for field in model.fields() {
        match field? {
            (2, Field::Bytes(text)) => name = text.text()?,
            (3, Field::Bytes(text)) => version = text.text()?,
            _ => {}
        }
    }
    Ok((!name.is_empty()).then(|| format!("{name} {version}").trim_end().to_owned()))
}

/// `opset_import` names the version of the operators: ensembles are other operators from 5 on.
fn check_version(model: Message<'_>) -> Result<(), FormatError> {
    for import in submessages(model, 8)? {
        let (mut domain, mut version) = ("", 0);
        for field in import.fields() {
            match field? {
                (1, Field::Bytes(text)) => domain = text.text()?,
                (2, Field::Varint(number)) => version = number,
                _ => {}
            }
        }
        if domain == "ai.onnx.ml" {
            return match version {
                1..=4 => Ok(()),
                _ => Err(import.fault(format!(
                    "operators of ai.onnx.ml {version}: versions 1 to 4 are accepted"
                ))),
            };
        }
    }
    Err(model.fault(format!(
        "the model uses no operators of ai.onnx.ml, or is cut off: {ADVICE}"
    )))
}

fn is_regressor(trees: &Option<Node<'_>>) -> bool {
    trees
        .as_ref()
        .is_some_and(|trees| trees.operator == "TreeEnsembleRegressor")
}

/// Whether a node's inputs are outputs of the trees, or constants that change nothing.
fn comes_from(node: &Node<'_>, outputs: &[&str], neutral: &[&str]) -> bool {
    let mut from_trees = false;
    node.inputs.iter().all(|input| {
        let is_output = outputs.contains(input);
        from_trees |= is_output;
        is_output || neutral.contains(input)
    }) && from_trees
}

/// The messages of a field.
fn submessages<'b>(message: Message<'b>, number: u64) -> Result<Vec<Message<'b>>, FormatError> {
    let mut found = Vec::new();
    for field in message.fields() {
        match field? {
            (at, Field::Bytes(inner)) if at == number => found.push(inner),
            _ => {}
        }
        at_most(found.len(), MESSAGES_MAX, "messages of one kind", message)?;
    }
    Ok(found)
}

fn at_most(count: usize, most: usize, what: &str, message: Message<'_>) -> Result<(), FormatError> {
    match count > most {
        true => Err(message.fault(format!("more {what} than the {most} accepted"))),
        false => Ok(()),
    }
}

fn node(message: Message<'_>, texts_max: usize) -> Result<Node<'_>, FormatError> {
    let mut node = Node {
        operator: "",
        inputs: Vec::new(),
        outputs: Vec::new(),
        attributes: BTreeMap::new(),
        message,
    };
    for field in message.fields() {
        match field? {
            (1, Field::Bytes(input)) => node.inputs.push(input.text()?),
            (2, Field::Bytes(output)) => node.outputs.push(output.text()?),
            (4, Field::Bytes(operator)) => node.operator = operator.text()?,
            (5, Field::Bytes(inner)) => {
                let (name, attribute) = attribute(inner, texts_max)?;
                if node.attributes.insert(name, attribute).is_some() {
                    return Err(inner.fault(format!("the attribute {:?} is there twice", shortened(name))));
                }
            }
            _ => {}
        }
        at_most(
            node.inputs.len() + node.outputs.len(),
            NAMES_MAX,
            "inputs and outputs",
            message,
        )?;
        at_most(node.attributes.len(), ATTRIBUTES_MAX, "attributes", message)?;
    }
    Ok(node)
}

fn attribute(message: Message<'_>, texts_max: usize) -> Result<(&str, Attribute<'_>), FormatError> {
    let mut name = "";
    let mut attribute = Attribute::default();
    for field in message.fields() {
        match field? {
            (1, Field::Bytes(text)) => name = text.text()?,
            (2 | 7, field) => floats(field, &mut attribute.floats)?,
            (3 | 8, field) => ints(field, &mut attribute.ints)?,
            (4 | 9, Field::Bytes(text)) => attribute.texts.push(text),
            (5, Field::Bytes(inner)) => tensor(inner, &mut attribute)?,
            _ => {}
        }
        at_most(attribute.texts.len(), texts_max, "strings", message)?;
    }
    Ok((name, attribute))
}

/// A `TensorProto` of floats or doubles.
fn tensor(message: Message<'_>, attribute: &mut Attribute<'_>) -> Result<(), FormatError> {
    for field in message.fields() {
        attribute.is_double |= matches!(field?, (2, Field::Varint(DOUBLE)));
    }
    for field in message.fields() {
        match field? {
            (4, field) => floats(field, &mut attribute.floats)?,
            (10, field @ Field::Fixed64(_)) => floats(field, &mut attribute.floats)?,
            (10, Field::Bytes(packed)) => raw_doubles(packed, &mut attribute.floats)?,
            (9, Field::Bytes(packed)) if attribute.is_double => raw_doubles(packed, &mut attribute.floats)?,
            (9, field @ Field::Bytes(_)) => floats(field, &mut attribute.floats)?,
            _ => {}
        }
    }
    Ok(())
}

/// Names of constants that are a single 1, by which onnxmltools multiplies a probability.
fn constant_ones(graph: Message<'_>) -> Result<Vec<&str>, FormatError> {
    let mut ones = Vec::new();
    for initializer in submessages(graph, 5)? {
        let mut name = "";
        for field in initializer.fields() {
            if let (8, Field::Bytes(text)) = field? {
                name = text.text()?;
            }
        }
        let mut attribute = Attribute::default();
        // Integers and strings are no ones either: what does not read as floats is left out.
        if tensor(initializer, &mut attribute).is_ok()
            && matches!(attribute.floats.as_slice(), [one] if one.to_bits() == 1f64.to_bits())
        {
            ones.push(name);
        }
    }
    Ok(ones)
}

/// The type of the first input's elements; 0 when it is not stated.
fn input_type(graph: Message<'_>) -> Result<u64, FormatError> {
    let Some(mut message) = submessages(graph, 11)?.into_iter().next() else {
        return Ok(0);
    };
    for number in [2, 1] {
        let Some(inner) = submessages(message, number)?.pop() else {
            return Ok(0);
        };
        message = inner;
    }
    for field in message.fields() {
        if let (1, Field::Varint(kind)) = field? {
            return Ok(kind);
        }
    }
    Ok(0)
}

/// The last dimension of the only input, when it is stated.
fn columns(graph: Message<'_>) -> Result<Option<usize>, FormatError> {
    let inputs = submessages(graph, 11)?;
    let [input] = inputs.as_slice() else {
        return Err(graph.fault(format!(
            "{} inputs: one matrix of all features is accepted",
            inputs.len()
        )));
    };
    let mut message = *input;
    for number in [2, 1, 2] {
        let Some(inner) = submessages(message, number)?.pop() else {
            return Ok(None);
        };
        message = inner;
    }
    let Some(dimension) = submessages(message, 1)?.pop() else {
        return Ok(None);
    };
    for field in dimension.fields() {
        if let (1, Field::Varint(value)) = field? {
            return Ok(usize::try_from(value).ok().filter(|&value| value > 0));
        }
    }
    Ok(None)
}
