//! Ensemble → lanes: a row becomes a vector of bytes, and 64 trees are decided by one permute and one comparison a step.
//!
//! ```text
//! items   column 7: pivots | blocks of 16 thresholds      a value's rank among its feature's distinct thresholds
//!         column 9: …                                     is one byte lane, or several when there are more than 255
//! lanes   [ missing goes left: item 0, item 1 … | missing goes right: item 0, item 1 … ]
//! packs   [ up to 2 chunks of 64 consecutive trees ]
//! lines   step 0: lanes of 64 nodes | their ranks | their labels;  step 1 …     64 bytes a line, one byte a tree
//! leaves  [ tree 0: by label | tree 1 … ]
//! ```
//!
//! **Ranks are exact.** `value < t[i]` holds if and only if at most `i` thresholds are `<= value`, and that count is the
//! value's rank; with `<=` the count is of those `< value`. Nothing is rounded, so -0.0, denormals and infinities need no
//! rule of their own.
//!
//! **Missing costs nothing a node.** NaN has rank 0, which goes left at every node. The second half of the lanes is the same
//! with 255 for what is missing, which goes right at every node; a node reads the half that its default direction names.
//!
//! **Labels replace child pointers.** A row starts on label 0 of every tree. A left child has its parent's label, the right
//! child of step `i` has label `i + 1`. A step moves those rows that stand on its label and exceed its rank; the label that is
//! left names the leaf. Steps follow the tree from the root down, so a parent is decided before its children, and a step that
//! is not on the row's path finds its label gone. This works for trees of any shape up to 256 leaves.

mod label;
mod rank;

use std::fmt::Write as _;

use super::{LeafKind, Plan};
use crate::ensemble::{Codes, Comparison, Ensemble, Node, Tree};
use crate::kernel::real::Real;
use crate::kernel::{KernelChoice, Unsupported};
pub(crate) use rank::{BLOCK, Block, Item, Ranks, WINDOW};

/// Trees of a chunk: bytes of a register.
pub(crate) const CHUNK: usize = 64;

/// Chunks whose steps are interleaved, so that one's comparisons run while the other's labels settle. Measured on Zen 5: see
/// `docs/kernels.md`.
pub(crate) const PACK_CHUNKS: usize = 2;

/// Lanes of a plan. Each 128 cost a permute a step; beyond sixteen of those a walk is faster.
pub(crate) const LANES_MAX: usize = 2_048;

/// Lanes that one index byte and two permutes reach; more need a mask for each 128.
pub(crate) const LANES_BYTE: usize = 256;

/// Lanes of a group: what one two-register permute reaches.
pub(crate) const GROUP: usize = 128;

/// One register's worth of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

/// Consecutive trees whose steps lie together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pack {
    /// 64 trees each, the last one maybe fewer.
    pub(crate) chunks: usize,
    pub(crate) steps: usize,
    /// Where its lines begin: a step has two for each chunk, three when it is not balanced.
    pub(crate) first_line: usize,
    /// Where its masks begin: one for each step, chunk and group, when there are more lanes than a byte names.
    pub(crate) first_mask: usize,
    /// Whether its trees are laid out as full ones, whose labels are the same for all trees.
    pub(crate) is_balanced: bool,
    /// Where its leaves begin, and how many places each of its trees has.
    pub(crate) first_leaf: usize,
    pub(crate) stride: usize,
}

/// What a label means.
#[derive(Debug, Clone)]
pub(crate) enum Leaves<T> {
    /// A number to add. `outputs` is empty when there is one output.
    Numbers { values: Vec<T>, outputs: Vec<u32> },
    /// A place of the scalar plan from where its walk goes on: leaves that are more than a number, and trees of which only
    /// the top fits into labels.
    Places { plan: Box<Plan<T>>, places: Vec<u32> },
}

/// An ensemble laid out for the kernels that work on lanes, in its precision.
#[derive(Debug, Clone)]
pub struct LanePlan<T> {
    pub(crate) comparison: Comparison,
    pub(crate) codes: Codes,
    pub(crate) ranks: Ranks<T>,
    /// Lanes of one half: a multiple of 64.
    pub(crate) half: usize,
    /// Whether some node reads the half in which what is missing goes right.
    pub(crate) has_right: bool,
    pub(crate) packs: Vec<Pack>,
    pub(crate) lines: Vec<Line>,
    pub(crate) masks: Vec<u64>,
    /// The labels of full trees, a line a step.
    pub(crate) balanced: Vec<Line>,
    pub(crate) leaves: Leaves<T>,
    pub(crate) base_margins: Vec<T>,
    pub(crate) tree_count: usize,
    cut_trees: usize,
}

impl<T: Real> LanePlan<T> {
    /// Lays out the first `tree_limit` trees. `T` is the ensemble's precision; `kernel` is who asks, for the error.
    ///
    /// # Errors
    /// What kernels on lanes cannot evaluate.
    pub fn try_compile(ensemble: &Ensemble, tree_limit: usize, kernel: KernelChoice) -> Result<Self, Unsupported> {
        let refuse = |reason| Unsupported { kernel, reason };
        if ensemble.linear().is_some() {
            return Err(refuse("a linear model has no trees"));
        }
        let trees = &ensemble.trees()[..tree_limit.min(ensemble.trees().len())];
        let ranks = Ranks::compile(trees);
        let has_right = trees.iter().flat_map(|tree| &tree.nodes).any(goes_right);
        let half = match ranks.lanes() {
            lanes if lanes <= CHUNK => CHUNK,
            lanes => lanes.next_multiple_of(GROUP),
        };
        let all = half * (1 + usize::from(has_right));
        if all > LANES_MAX {
            return Err(refuse(
                "its thresholds and category sets need more than 2,048 byte lanes",
            ));
        }
        let mut plan = Self {
            comparison: ensemble.comparison(),
            codes: ensemble.codes(),
            ranks,
            half,
            has_right,
            packs: Vec::new(),
            lines: Vec::new(),
            masks: Vec::new(),
            balanced: label::balanced_labels(),
            leaves: Leaves::Numbers {
                values: Vec::new(),
                outputs: Vec::new(),
            },
            base_margins: ensemble.base_margins().iter().map(|&base| T::narrow(base)).collect(),
            tree_count: trees.len(),
            cut_trees: 0,
        };
        plan.lay_out(ensemble, trees);
        Ok(plan)
    }

    /// Whether indices name lanes by group and mask.
    pub(crate) fn is_grouped(&self) -> bool {
        self.lanes() > LANES_BYTE
    }

    /// Lanes of both halves.
    pub(crate) fn lanes(&self) -> usize {
        self.half * (1 + usize::from(self.has_right))
    }

    fn lay_out(&mut self, ensemble: &Ensemble, trees: &[Tree]) {
        let mut exits: Vec<Vec<Option<u32>>> = Vec::with_capacity(trees.len());
        for taken in trees.chunks(PACK_CHUNKS * CHUNK) {
            let pack = label::Shape::of(taken);
            let scheduled: Vec<_> = taken.iter().map(|tree| label::schedule(tree, pack, self)).collect();
            let steps = scheduled.iter().map(|tree| tree.steps.len()).max().unwrap_or(0);
            self.packs.push(Pack {
                chunks: taken.len().div_ceil(CHUNK),
                steps,
                first_line: self.lines.len(),
                first_mask: self.masks.len(),
                is_balanced: pack.is_balanced(),
                first_leaf: 0,
                stride: scheduled.iter().map(|tree| tree.exits.len()).max().unwrap_or(1),
            });
            for step in 0..steps {
                for chunk in scheduled.chunks(CHUNK) {
                    self.push_step(chunk, step, pack.is_balanced());
                }
            }
            self.cut_trees += scheduled.iter().filter(|tree| tree.is_cut).count();
            exits.extend(scheduled.into_iter().map(|tree| tree.exits));
        }
        self.push_leaves(ensemble, trees, &exits);
        self.ranks.forget();
    }

    fn push_step(&mut self, chunk: &[label::Scheduled], step: usize, is_balanced: bool) {
        let (mut lanes, mut ranks, mut labels) = ([0u8; CHUNK], [u8::MAX; CHUNK], [0u8; CHUNK]);
        let groups = self.lanes().div_ceil(GROUP);
        let mut masks = vec![0u64; groups];
        for (tree, scheduled) in chunk.iter().enumerate() {
            let Some(node) = scheduled.steps.get(step) else {
                continue;
            };
            // The cut keeps what an index byte names: 7 bits in a group, 8 without.
            lanes[tree] = node.lane.to_le_bytes()[0] & if self.is_grouped() { 0x7f } else { 0xff };
            masks[node.lane as usize / GROUP] |= 1 << tree;
            (ranks[tree], labels[tree]) = (node.rank, node.label);
        }
        self.lines.extend([Line(lanes), Line(ranks)]);
        if !is_balanced {
            self.lines.push(Line(labels));
        }
        if self.is_grouped() {
            self.masks.extend(masks);
        }
    }

    fn push_leaves(&mut self, ensemble: &Ensemble, trees: &[Tree], exits: &[Vec<Option<u32>>]) {
        let is_number = |tree: &Tree, exit: &Option<u32>| {
            exit.is_none_or(|node| matches!(tree.nodes[node as usize], Node::Leaf { .. }))
        };
        let all_numbers = trees
            .iter()
            .zip(exits)
            .all(|(tree, exits)| exits.iter().all(|exit| is_number(tree, exit)));
        let mut first_leaf = 0;
        for (pack, trees) in self.packs.iter_mut().zip(trees.chunks(PACK_CHUNKS * CHUNK)) {
            pack.first_leaf = first_leaf;
            first_leaf += pack.stride * trees.len();
        }
        let strides = self
            .packs
            .iter()
            .flat_map(|pack| std::iter::repeat_n(pack.stride, PACK_CHUNKS * CHUNK));
        let placed = trees.iter().zip(exits).zip(strides);
        if all_numbers {
            let mut values = Vec::with_capacity(first_leaf);
            for ((tree, exits), stride) in placed {
                let value = |exit: &Option<u32>| match exit.map(|node| &tree.nodes[node as usize]) {
                    Some(&Node::Leaf { value }) => T::narrow(value),
                    _ => T::ZERO,
                };
                let end = values.len() + stride;
                values.extend(exits.iter().map(value));
                values.resize(end, T::ZERO);
            }
            let outputs = match self.base_margins.len() {
                1 => Vec::new(),
                _ => trees.iter().map(|tree| tree.output).collect(),
            };
            self.leaves = Leaves::Numbers { values, outputs };
        } else {
            let plan = Plan::compile(ensemble, trees.len());
            let mut places = Vec::with_capacity(first_leaf);
            for (number, ((tree, exits), stride)) in placed.enumerate() {
                let root = plan.trees[number].root;
                let numbers = super::layout::places(tree, root);
                let end = places.len() + stride;
                places.extend(
                    exits
                        .iter()
                        .map(|exit| exit.map_or(root, |node| numbers[node as usize])),
                );
                places.resize(end, root);
            }
            self.leaves = Leaves::Places {
                plan: Box::new(plan),
                places,
            };
        }
    }

    /// What was chosen and why, a line each.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "ranks: {}", self.ranks.explain());
        let halves = match self.has_right {
            true => "twice, for what is missing goes left at some nodes and right at others",
            false => "once, for what is missing goes left at every node",
        };
        let _ = writeln!(
            text,
            "lanes: {} of {} bytes, held {halves}",
            self.ranks.lanes(),
            self.half
        );
        let balanced: Vec<_> = self.packs.iter().map(|pack| pack.is_balanced).collect();
        let full = balanced.iter().filter(|&&is_balanced| is_balanced).count();
        let steps: usize = self.packs.iter().map(|pack| pack.steps * pack.chunks).sum();
        let _ = writeln!(
            text,
            "steps: {steps} of 64 trees each for {} trees; {full} of {} packs as full trees, the others node by node",
            self.tree_count,
            self.packs.len()
        );
        let _ = writeln!(text, "leaves: {}", self.explain_leaves());
        let _ = write!(
            text,
            "sum: {}-bit floats in tree order from the base margin, as the library adds them",
            8 * size_of::<T>()
        );
        text
    }

    fn explain_leaves(&self) -> String {
        match &self.leaves {
            Leaves::Numbers { .. } => "numbers, found by tree and label".into(),
            Leaves::Places { plan, .. } => format!(
                "found by a walk from where the labels end, because {} trees have more than 256 leaves and {} have leaves \
                 that are more than a number",
                self.cut_trees,
                plan.trees.iter().filter(|tree| tree.leaves != LeafKind::Number).count()
            ),
        }
    }

    /// Bytes this plan holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let leaves = match &self.leaves {
            Leaves::Numbers { values, outputs } => size_of_val(values.as_slice()) + size_of_val(outputs.as_slice()),
            Leaves::Places { plan, places } => plan.bytes() + size_of_val(places.as_slice()),
        };
        self.ranks.bytes()
            + size_of_val(self.packs.as_slice())
            + size_of_val(self.lines.as_slice())
            + size_of_val(self.masks.as_slice())
            + size_of_val(self.balanced.as_slice())
            + size_of_val(self.base_margins.as_slice())
            + leaves
    }
}

fn goes_right(node: &Node) -> bool {
    match node {
        Node::Number { missing_left, .. } | Node::Category { missing_left, .. } => !missing_left,
        _ => false,
    }
}
