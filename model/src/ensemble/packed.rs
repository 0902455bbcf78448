//! An ensemble in few bytes and one piece of memory: what a model keeps so that it can be explained later.
//!
//! ```text
//! tree    output | nodes | kind of covers | node … | cover … | categories | code … | vector values | value …
//! node    tag and flags | feature | threshold | left | right          numbers of nodes and columns take 7 bits a byte,
//!         tag | value                                                 doubles that are 32-bit floats take 4 bytes
//! ```
//!
//! Gains are left out. Trees whose leaves are linear functions are never explained, and so never packed.

use super::{Ensemble, EnsembleParts, ExplainError, Node, Tree};

/// Tags of nodes, below [`MISSING_LEFT`].
const REMOVED: u8 = 0;
const LEAF: u8 = 1;
const VECTOR: u8 = 2;
const NUMBER: u8 = 3;
const CATEGORY: u8 = 4;
const TAG: u8 = 7;
/// Flags of a node.
const MISSING_LEFT: u8 = 8;
const ZERO_IS_MISSING: u8 = 16;
/// Its number takes eight bytes.
const WIDE: u8 = 32;

/// Whether covers are there, and how many bytes they take.
const NO_COVERS: u8 = 0;
const NARROW_COVERS: u8 = 1;
const WIDE_COVERS: u8 = 2;

/// A packed ensemble.
#[derive(Debug, Clone)]
pub(crate) struct PackedEnsemble {
    /// Without trees.
    parts: EnsembleParts,
    trees: Box<[u8]>,
    tree_count: usize,
}

impl PackedEnsemble {
    /// Packs the first trees of an ensemble.
    ///
    /// # Errors
    /// Why it cannot be explained: then there is no need to keep it.
    pub(crate) fn new(ensemble: &Ensemble, tree_limit: usize) -> Result<Self, ExplainError> {
        ensemble.explainable()?;
        let trees = &ensemble.parts.trees[..tree_limit.min(ensemble.parts.trees.len())];
        let mut bytes = Vec::new();
        trees.iter().for_each(|tree| pack(tree, &mut bytes));
        let parts = EnsembleParts {
            format: ensemble.parts.format,
            written_by: None,
            precision: ensemble.parts.precision,
            comparison: ensemble.parts.comparison,
            input: ensemble.parts.input,
            codes: ensemble.parts.codes,
            schema: ensemble.parts.schema.clone(),
            objective: ensemble.parts.objective.clone(),
            base_margins: ensemble.parts.base_margins.clone(),
            trees: Vec::new(),
            finish: ensemble.parts.finish.clone(),
            linear: ensemble.parts.linear.clone(),
            iteration_ends: Vec::new(),
            best_iteration: None,
            notes: Vec::new(),
        };
        Ok(Self {
            parts,
            trees: bytes.into(),
            tree_count: trees.len(),
        })
    }

    /// The ensemble again, without gains, notes and iterations.
    ///
    /// # Errors
    /// None for what [`Self::new`] has made.
    pub(crate) fn unpack(&self) -> Result<Ensemble, ExplainError> {
        let mut parts = self.parts.clone();
        let mut reader = Reader { bytes: &self.trees };
        parts.trees = (0..self.tree_count).map(|_| reader.tree()).collect();
        parts.iteration_ends = match u32::try_from(self.tree_count) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(count) => vec![count],
        };
        // Packed was what had passed this check.
        Ensemble::try_new(parts).map_err(|_| ExplainError::Outline)
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.trees.len()
    }
}

fn pack(tree: &Tree, bytes: &mut Vec<u8>) {
    count(bytes, u64::from(tree.output));
    count(bytes, tree.nodes.len() as u64);
    let covers = match tree.covers.as_slice() {
        [] => NO_COVERS,
        covers if covers.iter().all(|&cover| is_narrow(cover)) => NARROW_COVERS,
        _ => WIDE_COVERS,
    };
    bytes.push(covers);
    tree.nodes.iter().for_each(|node| pack_node(node, bytes));
    tree.covers
        .iter()
        .for_each(|&cover| number(bytes, cover, covers == WIDE_COVERS));
    count(bytes, tree.categories.len() as u64);
    tree.categories.iter().for_each(|&code| count(bytes, u64::from(code)));
    count(bytes, tree.vectors.len() as u64);
    tree.vectors.iter().for_each(|&value| number(bytes, value, true));
}

fn pack_node(node: &Node, bytes: &mut Vec<u8>) {
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let wide = |value: f64| flag(!is_narrow(value), WIDE);
    match *node {
        Node::Leaf { value } => {
            bytes.push(LEAF | wide(value));
            number(bytes, value, !is_narrow(value));
        }
        Node::Vector { first } => {
            bytes.push(VECTOR);
            count(bytes, u64::from(first));
        }
        Node::Number {
            feature,
            threshold,
            missing_left,
            zero_is_missing,
            left,
            right,
        } => {
            let flags = flag(missing_left, MISSING_LEFT) | flag(zero_is_missing, ZERO_IS_MISSING) | wide(threshold);
            bytes.push(NUMBER | flags);
            for number in [feature, left, right] {
                count(bytes, u64::from(number));
            }
            number(bytes, threshold, !is_narrow(threshold));
        }
        Node::Category {
            feature,
            first,
            count: codes,
            missing_left,
            left,
            right,
        } => {
            bytes.push(CATEGORY | flag(missing_left, MISSING_LEFT));
            for number in [feature, left, right, first, codes] {
                count(bytes, u64::from(number));
            }
        }
        Node::Linear { .. } | Node::Removed => bytes.push(REMOVED),
    }
}

/// Whether a number is a 32-bit float.
#[expect(clippy::cast_possible_truncation, reason = "the cast is what is tested")]
fn is_narrow(value: f64) -> bool {
    f64::from(value as f32).to_bits() == value.to_bits()
}

#[expect(clippy::cast_possible_truncation, reason = "only what is a 32-bit float is cut")]
fn number(bytes: &mut Vec<u8>, value: f64, is_wide: bool) {
    if is_wide {
        bytes.extend_from_slice(&value.to_le_bytes());
    } else {
        bytes.extend_from_slice(&(value as f32).to_le_bytes());
    }
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn count(bytes: &mut Vec<u8>, mut count: u64) {
    while count >= 0x80 {
        bytes.push(u8::try_from(count & 0x7f).unwrap_or_default() | 0x80);
        count >>= 7;
    }
    bytes.push(u8::try_from(count).unwrap_or_default());
}

/// Reads what was packed; beyond the end there are zeros.
struct Reader<'p> {
    bytes: &'p [u8],
}

impl Reader<'_> {
    fn tree(&mut self) -> Tree {
        let output = self.index();
        let nodes = self.count();
        let covers = self.byte();
        let mut tree = Tree {
            output,
            nodes: (0..nodes).map(|_| self.node()).collect(),
            ..Tree::default()
        };
        if covers != NO_COVERS {
            tree.covers = (0..nodes).map(|_| self.number(covers == WIDE_COVERS)).collect();
        }
        let codes = self.count();
        tree.categories = (0..codes).map(|_| self.index()).collect();
        let values = self.count();
        tree.vectors = (0..values).map(|_| self.number(true)).collect();
        tree
    }

    fn node(&mut self) -> Node {
        let tag = self.byte();
        let missing_left = tag & MISSING_LEFT != 0;
        match tag & TAG {
            LEAF => Node::Leaf {
                value: self.number(tag & WIDE != 0),
            },
            VECTOR => Node::Vector { first: self.index() },
            NUMBER => {
                let [feature, left, right] = [(); 3].map(|()| self.index());
                Node::Number {
                    feature,
                    threshold: self.number(tag & WIDE != 0),
                    missing_left,
                    zero_is_missing: tag & ZERO_IS_MISSING != 0,
                    left,
                    right,
                }
            }
            CATEGORY => {
                let [feature, left, right, first, count] = [(); 5].map(|()| self.index());
                Node::Category {
                    feature,
                    first,
                    count,
                    missing_left,
                    left,
                    right,
                }
            }
            _ => Node::Removed,
        }
    }

    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        byte
    }

    fn count(&mut self) -> usize {
        let (mut count, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            count |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift >= usize::BITS {
                return count;
            }
        }
    }

    fn index(&mut self) -> u32 {
        u32::try_from(self.count()).unwrap_or(u32::MAX)
    }

    fn number(&mut self, is_wide: bool) -> f64 {
        if is_wide {
            f64::from_le_bytes([(); 8].map(|()| self.byte()))
        } else {
            f64::from(f32::from_le_bytes([(); 4].map(|()| self.byte())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(tree: &Tree) -> Tree {
        let mut bytes = Vec::new();
        pack(tree, &mut bytes);
        let mut reader = Reader { bytes: &bytes };
        let unpacked = reader.tree();
        assert!(reader.bytes.is_empty());
        unpacked
    }

    #[test]
    fn every_kind_of_node_comes_back_as_it_was() {
        let number = |threshold, missing_left, zero_is_missing| Node::Number {
            feature: 300,
            threshold,
            missing_left,
            zero_is_missing,
            left: 1,
            right: 70_000,
        };
        let category = Node::Category {
            feature: 7,
            first: 0,
            count: 2,
            missing_left: true,
            left: 3,
            right: 4,
        };
        let tree = Tree {
            nodes: vec![
                number(0.1, true, false),
                number(0.5, false, true),
                number(f64::NEG_INFINITY, false, false),
                category,
                Node::Leaf { value: -0.0 },
                Node::Leaf { value: 1e-300 },
                Node::Vector { first: 129 },
                Node::Removed,
            ],
            categories: vec![3, u32::MAX],
            vectors: vec![0.1, 2.0],
            covers: vec![1.0, 2.5, 0.0, 1e9, 7.0, 8.0, 9.0, 10.0],
            output: 200,
            ..Tree::default()
        };
        assert_eq!(packed(&tree), tree);
        let wide = Tree {
            covers: vec![0.1; 8],
            ..tree.clone()
        };
        assert_eq!(packed(&wide), wide);
        let none = Tree {
            covers: Vec::new(),
            ..tree
        };
        assert_eq!(packed(&none), none);
    }
}
