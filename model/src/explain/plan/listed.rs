//! Trees of any shape, one after the other, with the points of the quadrature side by side: see
//! [`super::super::kernel::listed`].
//!
//! ```text
//! splits   tree 0 in preorder | tree 1 … ]    32 bytes each: a left child that is a split follows its parent
//! again    for each split whose feature stands above it too: t' at every point, then s at every point
//! ```

use super::super::aligned::AlignedDoubles;
use super::super::quadrature::Points;
use super::super::skeleton::{Above, Below, Skeleton};
use super::{Places, Planned};
use crate::plan::lanes::CHUNK;

/// Flag of [`ListedSplit::right`]: the left child is a leaf.
pub(in crate::explain) const LEFT_LEAF: u32 = 1 << 31;
/// Flag of [`ListedSplit::right`]: the right child is a leaf.
pub(in crate::explain) const RIGHT_LEAF: u32 = 1 << 30;
/// Flag of [`ListedSplit::right`]: the feature stands above it too.
pub(in crate::explain) const AGAIN: u32 = 1 << 29;
/// The right child's number among the tree's splits.
pub(in crate::explain) const NUMBER: u32 = AGAIN - 1;

const _: () = assert!(crate::limits::TREE_NODES_MAX <= NUMBER as usize);

/// A split, with the values of those of its children that are leaves; others count as zero here.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(in crate::explain) struct ListedSplit {
    /// Share of training data that went left.
    pub(in crate::explain) share: f64,
    /// The left leaf's value less the right one's.
    pub(in crate::explain) apart: f64,
    /// The right leaf's value.
    pub(in crate::explain) right_value: f64,
    /// The right child's number and flags.
    pub(in crate::explain) right: u32,
    /// Where its feature's contribution is summed.
    pub(in crate::explain) place: u32,
}

/// A split whose feature stands above it too.
#[derive(Debug, Clone, Copy)]
pub(in crate::explain) struct Again {
    /// Its number in its tree.
    pub(in crate::explain) split: u32,
    /// The number of the nearest one above, and whether the way goes left there.
    pub(in crate::explain) above: u32,
    pub(in crate::explain) is_left: bool,
}

/// A tree of a group.
#[derive(Debug, Clone, Copy)]
pub(in crate::explain) struct ListedTree {
    pub(in crate::explain) first_split: usize,
    pub(in crate::explain) splits: usize,
    pub(in crate::explain) first_again: usize,
    pub(in crate::explain) agains: usize,
}

/// Trees that take the same number of points.
#[derive(Debug, Clone)]
pub(in crate::explain) struct ListedGroup {
    pub(in crate::explain) points: usize,
    pub(in crate::explain) at: AlignedDoubles,
    pub(in crate::explain) weights: Vec<f64>,
    pub(in crate::explain) ones: AlignedDoubles,
    pub(in crate::explain) trees: Vec<ListedTree>,
    pub(in crate::explain) splits: Vec<ListedSplit>,
    pub(in crate::explain) again: Vec<Again>,
    /// `t'` and `s` of each of these.
    pub(in crate::explain) factors: AlignedDoubles,
    /// Splits of the largest tree.
    pub(in crate::explain) splits_max: usize,
    /// Places that it may add to.
    pub(in crate::explain) places: usize,
}

/// Points for a path with so many distinct features: exact up to 64 of them.
pub(super) fn points(features: usize) -> usize {
    match features {
        0..=8 => 4,
        9..=16 => 8,
        17..=32 => 16,
        _ => 32,
    }
}

impl ListedGroup {
    pub(super) fn new(count: usize) -> Self {
        let points = Points::new(count);
        let aligned = |values: &[f64]| {
            let mut aligned = AlignedDoubles::default();
            aligned.extend(values.iter().copied());
            aligned
        };
        Self {
            points: count,
            at: aligned(&points.at),
            weights: points.weights,
            ones: aligned(&vec![1.0; count]),
            trees: Vec::new(),
            splits: Vec::new(),
            again: Vec::new(),
            factors: AlignedDoubles::default(),
            splits_max: 0,
            places: 0,
        }
    }

    pub(super) fn push(&mut self, planned: &Planned<'_>, places: &mut Places) {
        let Skeleton { splits, .. } = planned.skeleton;
        self.trees.push(ListedTree {
            first_split: self.splits.len(),
            splits: splits.len(),
            first_again: self.again.len(),
            agains: splits.iter().filter(|split| split.above.is_some()).count(),
        });
        self.splits_max = self.splits_max.max(splits.len());
        for (number, split) in splits.iter().enumerate() {
            let value = |below| match below {
                Below::Leaf(node) => planned.value(node),
                Below::Split(_) => 0.0,
            };
            let [left, right] = split.below;
            let mut flags = match right {
                Below::Split(right) => narrow(right),
                Below::Leaf(_) => RIGHT_LEAF,
            };
            if matches!(left, Below::Leaf(_)) {
                flags |= LEFT_LEAF;
            }
            if let Some(above) = split.above {
                flags |= AGAIN;
                self.push_again(number, above);
            }
            self.splits.push(ListedSplit {
                share: split.share,
                apart: value(left) - value(right),
                right_value: value(right),
                right: flags,
                place: places.of(planned.output, split.feature),
            });
        }
        self.places = places.len();
    }

    fn push_again(&mut self, number: usize, above: Above) {
        self.again.push(Again {
            split: narrow(number),
            above: narrow(above.split),
            is_left: above.is_left,
        });
        let known = |at: f64| (1.0 - at) * above.weight + at;
        let at = self.at.iter().map(|&at| at / known(at));
        let slope = self.at.iter().map(|&at| above.weight / (known(at) * known(at)));
        self.factors.extend(at.chain(slope));
    }

    /// Takes each tree's bits out of the words of its block of 64.
    pub(in crate::explain) fn unpack(&self, first_words: &[usize], words: &[u64], lefts: &mut [u8]) {
        for (block, &first_word) in self.trees.chunks(CHUNK).zip(first_words) {
            for (lane, tree) in block.iter().enumerate() {
                let words = &words[first_word..][..tree.splits];
                for (left, word) in lefts[tree.first_split..][..tree.splits].iter_mut().zip(words) {
                    *left = u8::from(word >> lane & 1 == 1);
                }
            }
        }
    }

    /// Doubles that the kernel works in: a place for each split and one more, what each gains, and the sums by point.
    pub(in crate::explain) fn work(&self) -> usize {
        (self.splits_max + 1) * self.points + self.splits_max + self.places * self.points
    }

    pub(in crate::explain) fn bytes(&self) -> usize {
        size_of_val(self.trees.as_slice())
            + size_of_val(self.splits.as_slice())
            + size_of_val(self.again.as_slice())
            + size_of_val(&*self.factors)
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("TREE_NODES_MAX keeps the splits of a tree within 29 bits")
}
