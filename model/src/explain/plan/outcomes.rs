//! Where a row goes at every split of every tree, also at those that it never reaches.
//!
//! ```text
//! lanes   a block of 64 trees: a word for each step, a bit for each tree          with the scoring kernels' vectors
//! tests   one comparison for each split                                           where a model needs more lanes than those take
//! ```

use crate::ensemble::{Codes, Comparison, Ensemble, Node, Tree};
use crate::kernel::lanes::LaneScratch;
use crate::kernel::real::Real;
use crate::kernel::{KernelChoice, Unsupported, Vectors};
use crate::plan::lanes::{CHUNK, LanePlan, Line};
use crate::plan::{CategorySets, CategorySetsBuilder};

/// A node of a tree of the ensemble.
pub(super) type NodeOf<'e> = (&'e Tree, u32);

/// All splits as lanes: blocks of 64 trees, steps of a block one after the other.
#[derive(Debug)]
pub(in crate::explain) struct LaneOutcomes<T> {
    vectors: Vectors,
    plan: LanePlan<T>,
    lines: Vec<Line>,
    words: usize,
}

impl<T: Real> LaneOutcomes<T> {
    /// Ranks of a model's thresholds, and no steps yet.
    pub(super) fn new(ensemble: &Ensemble, tree_limit: usize, vectors: Vectors) -> Result<Self, Unsupported> {
        let plan = LanePlan::ranked(ensemble, tree_limit, vectors.choice())?;
        Ok(Self {
            vectors,
            plan,
            lines: Vec::new(),
            words: 0,
        })
    }

    /// Appends a step of up to 64 trees. Returns the number of its word.
    pub(super) fn push(&mut self, nodes: &[Option<NodeOf<'_>>]) -> usize {
        debug_assert!(nodes.len() <= CHUNK);
        self.plan.push_step(nodes, &mut self.lines);
        self.words += 1;
        self.words - 1
    }

    /// Lets go of what only [`Self::push`] needs.
    pub(super) fn finish(&mut self) {
        self.plan.forget();
        self.lines.shrink_to_fit();
    }

    pub(in crate::explain) fn scratch(&self) -> (LaneScratch, Vec<u64>) {
        (LaneScratch::new(&self.plan), vec![0; self.words])
    }

    /// A word for each step: a bit for each tree whose node sends the row left.
    pub(in crate::explain) fn decide(&self, row: &[T], scratch: &mut LaneScratch, words: &mut [u64]) {
        self.vectors.goes_left(&self.plan, row, scratch, &self.lines, words);
    }

    pub(in crate::explain) fn kernel(&self) -> KernelChoice {
        self.vectors.choice()
    }

    pub(in crate::explain) fn bytes(&self) -> usize {
        self.plan.bytes() + size_of_val(self.lines.as_slice())
    }
}

/// A split's comparison.
#[derive(Debug, Clone, Copy)]
struct Test<T> {
    /// The threshold; for a category the number of its set, as bits.
    threshold: T,
    column: u32,
    is_category: bool,
    missing_left: bool,
    zero_is_missing: bool,
}

/// All splits as comparisons.
#[derive(Debug)]
pub(in crate::explain) struct TestOutcomes<T> {
    comparison: Comparison,
    codes: Codes,
    tests: Vec<Test<T>>,
    sets: CategorySets,
}

impl<T: Real> TestOutcomes<T> {
    /// The splits of these nodes, in order.
    pub(super) fn new<'e>(ensemble: &Ensemble, nodes: impl Iterator<Item = NodeOf<'e>>) -> Self {
        let mut builder = CategorySetsBuilder::default();
        let test = |(tree, number): NodeOf<'e>| match tree.nodes[number as usize] {
            Node::Category {
                feature,
                first,
                count,
                missing_left,
                ..
            } => Test {
                threshold: T::from_index(builder.number(tree.codes(first, count))),
                column: feature,
                is_category: true,
                missing_left,
                zero_is_missing: false,
            },
            Node::Number {
                feature,
                threshold,
                missing_left,
                zero_is_missing,
                ..
            } => Test {
                threshold: T::narrow(threshold),
                column: feature,
                is_category: false,
                missing_left,
                zero_is_missing,
            },
            Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } | Node::Removed => {
                unreachable!("only nodes with children are splits")
            }
        };
        Self {
            comparison: ensemble.comparison(),
            codes: ensemble.codes(),
            tests: nodes.map(test).collect(),
            sets: builder.finish(),
        }
    }

    /// Whether the row goes left, for each split.
    pub(in crate::explain) fn decide(&self, row: &[T], lefts: &mut [u8]) {
        for (left, test) in lefts.iter_mut().zip(&self.tests) {
            *left = u8::from(self.goes_left(test, row[test.column as usize]));
        }
    }

    fn goes_left(&self, test: &Test<T>, value: T) -> bool {
        if value.is_nan() || (test.zero_is_missing && value == T::ZERO) {
            return test.missing_left;
        }
        if test.is_category {
            let code = value.code(self.codes);
            return code.is_none_or(|code| !self.sets.contains(test.threshold.index(), code));
        }
        match self.comparison {
            Comparison::Less => value < test.threshold,
            Comparison::LessOrEqual => value <= test.threshold,
        }
    }

    pub(in crate::explain) fn bytes(&self) -> usize {
        size_of_val(self.tests.as_slice()) + self.sets.bytes()
    }
}
