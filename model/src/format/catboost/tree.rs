//! Oblivious trees, in which all nodes of a level have the same split, and other trees, which are nested objects.

use super::super::FormatError;
use super::super::document::{Cursor, shortened};
use super::{Floats, TREES_MAX};
use crate::ensemble::{Node, Tree};
use crate::limits::TREE_NODES_MAX;

/// Levels of a tree: CatBoost's own limit.
const DEPTH_MAX: usize = 16;

/// Reads all trees of a file of this many bytes, and how many outputs their leaves have.
pub(super) fn read(root: &Cursor<'_>, floats: &Floats, bytes: usize) -> Result<(Vec<Tree>, usize), FormatError> {
    let oblivious = root.optional("oblivious_trees")?;
    let list = match oblivious {
        Some(list) => list,
        None => root.field("trees")?,
    };
    let elements = list.elements()?;
    if elements.len() > TREES_MAX {
        return Err(list.fault(format!("more trees than the {TREES_MAX} accepted")));
    }
    let mut forest = Forest {
        floats,
        outputs: None,
        // Leaves beside each other that differ take eight bytes and more with their weights: what is denser was not
        // written by CatBoost, and its two nodes a value would take many times the file's size.
        leaves_left: bytes / 8 + (1 << DEPTH_MAX),
        trees: Vec::new(),
    };
    for element in elements {
        forest.trees.push(Tree::default());
        match oblivious {
            Some(_) => forest.oblivious(&element)?,
            None => {
                forest.nested(&element, 0)?;
                forest.keep_whole_covers();
            }
        }
    }
    Ok((forest.trees, forest.outputs.unwrap_or(1)))
}

struct Forest<'f> {
    floats: &'f Floats,
    outputs: Option<usize>,
    leaves_left: usize,
    trees: Vec<Tree>,
}

/// A question: whether a column's value is greater than a border.
struct Split {
    feature: u32,
    border: f64,
    missing_right: bool,
}

impl Forest<'_> {
    /// Bit `k` of a leaf's number is the answer to split `k`: the last split stands at the root, the first above the
    /// leaves.
    fn oblivious(&mut self, tree: &Cursor<'_>) -> Result<(), FormatError> {
        let splits_field = tree.optional("splits")?;
        let splits = match &splits_field {
            Some(field) => field
                .elements()?
                .map(|split| self.split(&split))
                .collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        if splits.len() > DEPTH_MAX {
            return Err(tree.fault(format!("{} levels: at most {DEPTH_MAX} are accepted", splits.len())));
        }
        let leaves = 1usize << splits.len();
        let values_field = tree.field("leaf_values")?;
        let values = values_field.doubles()?;
        let outputs = values.len() / leaves;
        if outputs == 0 || outputs * leaves != values.len() {
            return Err(values_field.fault(format!("{} values for {leaves} leaves", values.len())));
        }
        if let Some(tree) = self.trees.last_mut() {
            tree.nodes.reserve_exact(2 * leaves.min(1 << 8));
        }
        let weights = match tree.optional("leaf_weights")? {
            Some(field) => field.doubles()?.into_owned(),
            None => Vec::new(),
        };
        // Of any other length they are no covers, and the model scores without.
        let weights = if weights.len() == leaves { weights } else { Vec::new() };
        let leaves = Leaves {
            field: &values_field,
            values: &values,
            weights: &weights,
            outputs,
        };
        self.level(&splits, leaves)?;
        self.keep_whole_covers();
        Ok(())
    }

    /// What hangs below the last of these splits, as a leaf when all its leaves are the same: most of a deep tree's are
    /// zero.
    fn level(&mut self, splits: &[Split], leaves: Leaves<'_, '_>) -> Result<usize, FormatError> {
        let outputs = leaves.outputs;
        let (first, others) = leaves.values.split_at(outputs);
        let is_same = |leaf: &[f64]| leaf.iter().zip(first).all(|(a, b)| a.to_bits() == b.to_bits());
        let split = splits.split_last();
        let Some((split, above)) = split.filter(|_| !others.chunks_exact(outputs).all(is_same)) else {
            return self.leaf(leaves.field, first, leaves.cover());
        };
        let place = self.push(number(split, 0, 0), leaves.cover());
        let [low, high] = leaves.halves();
        let left = self.level(above, low)?;
        let right = self.level(above, high)?;
        self.set(place, number(split, left, right));
        Ok(place)
    }

    /// A node and what hangs below it. Returns its number. The document's nesting bounds the recursion.
    fn nested(&mut self, node: &Cursor<'_>, depth: usize) -> Result<usize, FormatError> {
        if let Some(value) = node.optional("value")? {
            let weight = match node.optional("weight")? {
                Some(weight) => weight.doubles()?.first().copied(),
                None => None,
            };
            return self.leaf(&value, &value.doubles()?, weight);
        }
        if depth > DEPTH_MAX {
            return Err(node.fault(format!("more levels than the {DEPTH_MAX} accepted")));
        }
        let split = self.split(&node.field("split")?)?;
        let place = self.push(number(&split, 0, 0), None);
        let left = self.nested(&node.field("left")?, depth + 1)?;
        let right = self.nested(&node.field("right")?, depth + 1)?;
        self.set(place, number(&split, left, right));
        self.add_up(place, left, right);
        Ok(place)
    }

    fn set(&mut self, place: usize, node: Node) {
        if let Some(slot) = self.trees.last_mut().and_then(|tree| tree.nodes.get_mut(place)) {
            *slot = node;
        }
    }

    fn split(&self, split: &Cursor<'_>) -> Result<Split, FormatError> {
        let kind_field = split.optional("split_type")?;
        let kind = kind_field.as_ref().map_or(Ok("FloatFeature"), |kind| kind.text())?;
        if kind != "FloatFeature" {
            let kind = shortened(kind);
            return Err(split.fault(format!(
                "a split of type {kind:?}: CatBoost models of numeric features alone are accepted"
            )));
        }
        let index_field = split.field("float_feature_index")?;
        let index = index_field.count()?;
        let border_field = split.field("border")?;
        let border = match *border_field.doubles()? {
            [border] => border,
            _ => return Err(border_field.fault("a number is accepted")),
        };
        match (self.floats.columns.get(index), self.floats.missing_right.get(index)) {
            (Some(&feature), Some(&missing_right)) => Ok(Split {
                feature,
                border: narrow(border),
                missing_right,
            }),
            _ => Err(index_field.fault(format!("the model has no numeric feature {index}"))),
        }
    }

    fn push(&mut self, node: Node, cover: Option<f64>) -> usize {
        let Some(tree) = self.trees.last_mut() else { return 0 };
        tree.nodes.push(node);
        tree.covers.push(cover.unwrap_or(f64::NAN));
        tree.nodes.len() - 1
    }

    fn leaf(&mut self, field: &Cursor<'_>, values: &[f64], cover: Option<f64>) -> Result<usize, FormatError> {
        if *self.outputs.get_or_insert(values.len()) != values.len() || values.is_empty() {
            return Err(field.fault("leaves of all trees have the same number of values, at least one"));
        }
        let nodes = self.trees.last().map_or(0, |tree| tree.nodes.len());
        self.leaves_left = match self.leaves_left.checked_sub(1) {
            Some(left) if nodes < TREE_NODES_MAX => left,
            _ => return Err(field.fault("more leaves than a file of this size may hold")),
        };
        let node = match (values, self.trees.last_mut()) {
            (&[value], _) => Node::Leaf { value },
            (values, Some(tree)) => {
                let first = u32::try_from(tree.vectors.len());
                tree.vectors.extend_from_slice(values);
                Node::Vector {
                    first: first.map_err(|_| field.fault("more values than 32 bits number"))?,
                }
            }
            (_, None) => Node::Removed,
        };
        Ok(self.push(node, cover))
    }

    /// A node's cover is that of its children together.
    fn add_up(&mut self, place: usize, left: usize, right: usize) {
        let Some(tree) = self.trees.last_mut() else { return };
        if let (Some(&left), Some(&right)) = (tree.covers.get(left), tree.covers.get(right))
            && let Some(cover) = tree.covers.get_mut(place)
        {
            *cover = left + right;
        }
    }

    /// NaN stands for a weight that the file does not have: then the tree has none.
    fn keep_whole_covers(&mut self) {
        if let Some(tree) = self.trees.last_mut()
            && tree.covers.iter().any(|cover| cover.is_nan())
        {
            tree.covers = Vec::new();
        }
    }
}

/// What hangs below some splits of an oblivious tree.
#[derive(Clone, Copy)]
struct Leaves<'a, 'f> {
    field: &'a Cursor<'f>,
    values: &'a [f64],
    /// One a leaf, or none.
    weights: &'a [f64],
    outputs: usize,
}

impl Leaves<'_, '_> {
    fn cover(&self) -> Option<f64> {
        (!self.weights.is_empty()).then(|| self.weights.iter().sum())
    }

    fn halves(self) -> [Self; 2] {
        let (low, high) = self.values.split_at(self.values.len() / 2);
        let (light, heavy) = self.weights.split_at(self.weights.len() / 2);
        [(low, light), (high, heavy)].map(|(values, weights)| Self {
            values,
            weights,
            ..self
        })
    }
}

fn number(split: &Split, left: usize, right: usize) -> Node {
    let child = |child| u32::try_from(child).unwrap_or(u32::MAX);
    Node::Number {
        feature: split.feature,
        threshold: split.border,
        missing_left: !split.missing_right,
        zero_is_missing: false,
        left: child(left),
        right: child(right),
    }
}

/// Borders are floats that the file writes as doubles.
#[expect(clippy::cast_possible_truncation, reason = "the library reads them into floats")]
fn narrow(border: f64) -> f64 {
    f64::from(border as f32)
}
