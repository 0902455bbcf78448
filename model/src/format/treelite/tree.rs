//! The trees of a checkpoint. Children are swapped where an operator or a category list says the opposite of the
//! ensemble's rule, and `<=` becomes `<` of the next number up in a model that has both.

use super::super::FormatError;
use super::super::bytes::Bytes;
use super::{Outputs, common_comparison, flag, skip_fields};
use crate::ensemble::{Comparison, Node, Precision, Tree};
use crate::limits::TREE_NODES_MAX;

/// Values that leaf vectors of part of the outputs may be widened to in a file of so many bytes.
const fn widened_max(bytes: usize) -> usize {
    bytes / 2 + (1 << 20)
}

/// `Operator`.
const LESS: i8 = 2;
const LESS_OR_EQUAL: i8 = 3;
const GREATER: i8 = 4;
const GREATER_OR_EQUAL: i8 = 5;

/// Trees while they are read.
pub(super) struct Forest<'o> {
    precision: Precision,
    outputs: &'o Outputs,
    trees: Vec<Tree>,
    /// The nodes that compare with `<=`, by tree and node, and whether any compares with `<`.
    or_equal: Vec<(usize, usize)>,
    has_less: bool,
    widened: usize,
    widened_max: usize,
}

/// The arrays of one tree.
struct Columns {
    kinds: Vec<i8>,
    lefts: Vec<i32>,
    rights: Vec<i32>,
    features: Vec<i32>,
    default_left: Vec<u8>,
    values: Vec<f64>,
    thresholds: Vec<f64>,
    operators: Vec<i8>,
    lists_right: Vec<u8>,
    vectors: Segments<f64>,
    categories: Segments<u32>,
    gains: Vec<f32>,
    covers: Vec<f64>,
}

/// One array cut into a piece for each node.
struct Segments<T> {
    content: Vec<T>,
    begins: Vec<u64>,
    ends: Vec<u64>,
    left: usize,
}

impl<T> Segments<T> {
    /// A node's piece. Pieces that overlap could claim the same long one for every node.
    fn piece(&mut self, node: usize) -> Option<&[T]> {
        let place = |places: &[u64]| places.get(node).and_then(|&place| usize::try_from(place).ok());
        let range = place(&self.begins)?..place(&self.ends)?;
        self.left = self.left.checked_sub(range.len())?;
        self.content.get(range)
    }
}

impl<'o> Forest<'o> {
    /// For a file of this many bytes.
    pub(super) fn new(precision: Precision, outputs: &'o Outputs, bytes: usize) -> Self {
        Self {
            precision,
            outputs,
            trees: Vec::new(),
            or_equal: Vec::new(),
            has_less: false,
            widened: 0,
            widened_max: widened_max(bytes),
        }
    }

    pub(super) fn read(&mut self, reader: &mut Bytes<'_>, number: usize) -> Result<(), FormatError> {
        let count = reader.one::<i32>("num_nodes")?;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| (1..=TREE_NODES_MAX).contains(count));
        let count = count.ok_or_else(|| reader.fault(format!("num_nodes: 1 to {TREE_NODES_MAX} are accepted")))?;
        flag(reader, "has_categorical_split")?;
        let mut columns = self.columns(reader, count)?;
        let mut tree = Tree::default();
        for index in 0..count {
            let node = self.node(number, index, &mut columns, &mut tree);
            let node = node.map_err(|message| FormatError::Field {
                path: format!("tree {number}, node {index}"),
                message,
            })?;
            tree.nodes.push(node);
        }
        tree.gains = columns.gains;
        tree.covers = columns.covers;
        let is_vector = |node: &Node| matches!(node, Node::Vector { .. });
        if !tree.nodes.iter().any(is_vector) {
            let output = self.outputs.of_tree(number).next().map_or(0, |(output, _)| output);
            tree.output = u32::try_from(output).unwrap_or(u32::MAX);
        }
        self.trees.push(tree);
        Ok(())
    }

    fn columns(&self, reader: &mut Bytes<'_>, count: usize) -> Result<Columns, FormatError> {
        let floats = |reader: &mut Bytes<'_>, what| match self.precision {
            Precision::F64 => reader.array::<f64>(what),
            Precision::F32 => Ok(reader.array::<f32>(what)?.into_iter().map(f64::from).collect()),
        };
        let kinds = reader.array("node_type")?;
        let lefts = reader.array("cleft")?;
        let rights = reader.array("cright")?;
        let features = reader.array("split_index")?;
        let default_left = reader.array("default_left")?;
        let values = floats(reader, "leaf_value")?;
        let thresholds = floats(reader, "threshold")?;
        let operators = reader.array("cmp")?;
        let lists_right = reader.array("category_list_right_child")?;
        let content = floats(reader, "leaf_vector")?;
        let vectors = Segments {
            left: content.len(),
            content,
            begins: reader.array("leaf_vector_begin")?,
            ends: reader.array("leaf_vector_end")?,
        };
        let content = reader.array::<u32>("category_list")?;
        let categories = Segments {
            left: content.len(),
            content,
            begins: reader.array("category_list_begin")?,
            ends: reader.array("category_list_end")?,
        };
        let counts = reader.array::<u64>("data_count")?;
        let has_count = reader.array::<u8>("data_count_present")?;
        let sums = reader.array::<f64>("sum_hess")?;
        let has_sum = reader.array::<u8>("sum_hess_present")?;
        let gains = reader.array::<f64>("gain")?;
        let has_gain = reader.array::<u8>("gain_present")?;
        skip_fields(reader, "optional fields of a tree")?;
        skip_fields(reader, "optional fields of nodes")?;
        let columns = Columns {
            kinds,
            lefts,
            rights,
            features,
            default_left,
            values,
            thresholds,
            operators,
            lists_right,
            vectors,
            categories,
            gains: told(&gains, &has_gain, count),
            covers: covers(&counts, &has_count, &sums, &has_sum, count),
        };
        match columns.wrong_length(count) {
            Some((what, length)) => Err(reader.fault(format!("{what} has {length} entries for {count} nodes"))),
            None => Ok(columns),
        }
    }

    fn node(&mut self, number: usize, index: usize, columns: &mut Columns, tree: &mut Tree) -> Result<Node, String> {
        match (columns.kinds[index], columns.lefts[index]) {
            // GTIL asks for the left child alone.
            (_, -1) => self.leaf(number, index, columns, tree),
            (1, _) => self.number(number, index, columns),
            (2, _) => category(index, columns, tree),
            (kind, left) => Err(format!("a node of type {kind} has the left child {left}")),
        }
    }

    fn leaf(&mut self, number: usize, index: usize, columns: &mut Columns, tree: &mut Tree) -> Result<Node, String> {
        let outputs = self.outputs;
        let piece = columns.vectors.piece(index).ok_or("its leaf vector is not there")?;
        let shape = outputs.leaf_shape;
        let (target, class) = (outputs.targets[number], outputs.tree_classes[number]);
        let wanted = [
            target.map_or(outputs.classes.len(), |_| 1),
            class.map_or(outputs.stride, |_| 1),
        ];
        if shape != wanted {
            let [targets, classes] = wanted;
            return Err(format!(
                "leaves of such a tree have the shape {targets} × {classes}, but leaf_vector_shape is {} × {}",
                shape[0], shape[1]
            ));
        }
        let is_single = target.is_some() && class.is_some();
        match piece {
            [] if is_single => Ok(Node::Leaf {
                value: columns.values[index],
            }),
            &[value] if is_single => Ok(Node::Leaf { value }),
            piece if piece.len() == shape[0] * shape[1] => {
                let first = tree.vectors.len();
                self.widened += outputs.len() - piece.len();
                if self.widened > self.widened_max {
                    return Err(format!("leaf vectors grow beyond {} values", self.widened_max));
                }
                tree.vectors.resize(first + outputs.len(), 0.0);
                for (output, place) in outputs.of_tree(number) {
                    tree.vectors[first + output] = piece[place];
                }
                let first = u32::try_from(first).map_err(|_| "more leaf values than 32 bits number")?;
                Ok(Node::Vector { first })
            }
            piece => Err(format!(
                "its leaf vector has {} values, not {}",
                piece.len(),
                shape[0] * shape[1]
            )),
        }
    }

    fn number(&mut self, number: usize, index: usize, columns: &Columns) -> Result<Node, String> {
        let (feature, left, right, missing_left) = columns.split(index)?;
        let operator = columns.operators[index];
        let is_swapped = match operator {
            LESS | LESS_OR_EQUAL => false,
            GREATER | GREATER_OR_EQUAL => true,
            other => return Err(format!("the operator {other}: <, <=, > and >= (2 to 5) are accepted")),
        };
        match operator {
            LESS | GREATER_OR_EQUAL => self.has_less = true,
            _ => self.or_equal.push((number, index)),
        }
        Ok(Node::Number {
            feature,
            threshold: columns.thresholds[index],
            missing_left: missing_left != is_swapped,
            zero_is_missing: false,
            left: if is_swapped { right } else { left },
            right: if is_swapped { left } else { right },
        })
    }

    /// The trees, all of one comparison.
    pub(super) fn finish(mut self) -> Result<(Vec<Tree>, Comparison), FormatError> {
        if !self.has_less {
            return Ok((self.trees, common_comparison(false)));
        }
        for (tree, node) in self.or_equal {
            let Some(Node::Number { threshold, .. }) = self.trees[tree].nodes.get_mut(node) else {
                continue;
            };
            if *threshold == f64::INFINITY {
                return Err(FormatError::Field {
                    path: format!("tree {tree}, node {node}"),
                    message: "<= infinity in a model that also compares with < is not accepted".into(),
                });
            }
            *threshold = super::super::next_up(*threshold, self.precision);
        }
        Ok((self.trees, common_comparison(true)))
    }
}

/// The gains of a tree, when each of its splits has one.
#[expect(clippy::cast_possible_truncation, reason = "gains are told, not computed with")]
fn told(gains: &[f64], present: &[u8], count: usize) -> Vec<f32> {
    match gains.len() == count && present.contains(&1) {
        true => gains.iter().map(|&gain| gain as f32).collect(),
        false => Vec::new(),
    }
}

/// The covers of a tree, when each of its nodes has one: counts of rows, which LightGBM's own explanations use too, or
/// else sums of Hessians, which is what XGBoost gives.
fn covers(counts: &[u64], has_count: &[u8], sums: &[f64], has_sum: &[u8], nodes: usize) -> Vec<f64> {
    let is_whole = |length: usize, present: &[u8]| length == nodes && present.len() == nodes && !present.contains(&0);
    if is_whole(counts.len(), has_count) {
        counts.iter().map(|&count| count as f64).collect()
    } else if is_whole(sums.len(), has_sum) {
        sums.to_vec()
    } else {
        Vec::new()
    }
}

impl Columns {
    fn wrong_length(&self, count: usize) -> Option<(&'static str, usize)> {
        [
            ("node_type", self.kinds.len()),
            ("cleft", self.lefts.len()),
            ("cright", self.rights.len()),
            ("split_index", self.features.len()),
            ("default_left", self.default_left.len()),
            ("leaf_value", self.values.len()),
            ("threshold", self.thresholds.len()),
            ("cmp", self.operators.len()),
            ("category_list_right_child", self.lists_right.len()),
            ("leaf_vector_begin", self.vectors.begins.len()),
            ("leaf_vector_end", self.vectors.ends.len()),
            ("category_list_begin", self.categories.begins.len()),
            ("category_list_end", self.categories.ends.len()),
        ]
        .into_iter()
        .find(|&(_, length)| length != count)
    }

    /// Feature, children and whether missing values go left.
    fn split(&self, index: usize) -> Result<(u32, u32, u32, bool), String> {
        let number = |value: i32, what| u32::try_from(value).map_err(|_| format!("its {what} is {value}"));
        let feature = number(self.features[index], "feature")?;
        let left = number(self.lefts[index], "left child")?;
        let right = number(self.rights[index], "right child")?;
        Ok((feature, left, right, self.default_left[index] != 0))
    }
}

fn category(index: usize, columns: &mut Columns, tree: &mut Tree) -> Result<Node, String> {
    let (feature, left, right, missing_left) = columns.split(index)?;
    let is_swapped = columns.lists_right[index] == 0;
    let listed = columns
        .categories
        .piece(index)
        .ok_or("its category list is not there")?;
    let mut codes = listed.to_vec();
    codes.sort_unstable();
    codes.dedup();
    let narrow = |count: usize| u32::try_from(count).map_err(|_| "more codes than 32 bits number");
    let (first, count) = (narrow(tree.categories.len())?, narrow(codes.len())?);
    tree.categories.extend(codes);
    Ok(Node::Category {
        feature,
        first,
        count,
        missing_left: missing_left != is_swapped,
        left: if is_swapped { right } else { left },
        right: if is_swapped { left } else { right },
    })
}
