//! Ensemble → lanes: a row becomes a vector of bytes, and a node of 64 trees is one permute and one comparison.
//!
//! ```text
//! items   column 7: pivots | blocks of 16 thresholds      a value's rank among its feature's distinct thresholds
//!         column 9: …                                     is one byte lane, or several when there are more than 255
//! lanes   [ missing goes left: item 0, item 1 … | missing goes right: item 0, item 1 … ]
//! packs   64 consecutive trees, or up to 4 times as many
//! lines   64 bytes, one for each tree of a chunk:  lane's index | rank | group of lanes, if many | label, if listed
//! pairs   what `pairs.rs` lays out instead of lines, for kernels that look up sixteen bytes at a time
//! leaves  [ tree 0: by label | tree 1 … ]
//! ```
//!
//! **Ranks are exact.** `value < t[i]` holds if and only if at most `i` thresholds are `<= value`, and that count is
//! the value's rank; with `<=` the count is of those `< value`. Nothing is rounded, so -0.0, denormals and infinities
//! need no rule of their own.
//!
//! **Missing costs nothing a node.** NaN has rank 0, which goes left at every node. The second half of the lanes is the
//! same with 255 for what is missing, which goes right at every node; a node reads the half that its default direction
//! names.
//!
//! **Full trees** (XGBoost's, up to depth 8) are laid out level by level. The turns a row has taken choose, tree by
//! tree, one node of the level; then one comparison decides all 64 trees, and the turns are the leaf's number.
//!
//! **Listed trees** (LightGBM's, of any shape up to 256 leaves) are lists of nodes, parents first, with labels in the
//! place of child pointers. A row starts on label 0 of every tree. A left child has its parent's label, the right child
//! of step `i` has label `i + 1`. A step moves those rows that stand on its label and exceed its rank; the label that
//! is left names the leaf. A step that is not on the row's path finds its label gone.

mod bits;
mod label;
mod leaves;
pub(crate) mod pairs;
mod rank;
mod size;

use std::fmt::Write as _;
use std::ops::Range;

use crate::ensemble::{Codes, Comparison, Ensemble, Node, Tree};
use crate::kernel::real::Real;
use crate::kernel::{KernelChoice, Unsupported};
use bits::CategoryBits;
pub(crate) use label::{FULL_DEPTH_MAX, Shape, full_place};
pub(crate) use leaves::Leaves;
use pairs::Pairs;
pub(crate) use rank::{BLOCK, Block, Item, Ranks, WINDOW};

/// Trees of a chunk: bytes of a register.
pub(crate) const CHUNK: usize = 64;

/// Chunks of listed trees whose steps are interleaved: a step waits for the label that the last one left, about six
/// cycles on Zen 5, and others run in the meantime.
pub(crate) const PACK_CHUNKS: usize = 4;

/// Lanes of a plan. Each 128 cost a permute a step; beyond sixteen of those a walk is faster.
pub(crate) const LANES_MAX: usize = 2_048;

/// Lanes that one index byte names; with more of them a second byte names the group.
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
    /// One if the trees are full ones, at most two if they are paired. The last chunk of a plan may have fewer than 64 trees.
    pub(crate) chunks: usize,
    pub(crate) shape: Shape,
    pub(crate) steps: usize,
    pub(crate) first_tree: usize,
    pub(crate) trees: usize,
    /// Where its lines begin. Full: a level's nodes, indices first, then ranks, then groups. Listed: what belongs to a
    /// step of a chunk lies together. Paired: in the plan's pairs.
    pub(crate) first_line: usize,
    /// Where its pairs of tables begin, if it is paired.
    pub(crate) first_pair: usize,
    /// Where its leaves begin, and how many places each of its trees has.
    pub(crate) first_leaf: usize,
    pub(crate) stride: usize,
}

impl Pack {
    /// The trees of one of its chunks.
    pub(crate) fn trees_of(&self, chunk: usize) -> Range<usize> {
        let end = self.trees.min((chunk + 1) * CHUNK);
        self.first_tree + chunk * CHUNK..self.first_tree + end
    }
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
    pub(crate) pairs: Pairs,
    pub(crate) bits: CategoryBits,
    pub(crate) leaves: Leaves<T>,
    pub(crate) base_margins: Vec<T>,
    pub(crate) tree_count: usize,
    cut_trees: usize,
}

impl<T: Real> LanePlan<T> {
    /// Lays out the first `tree_limit` trees. `T` is the ensemble's precision; `kernel` is the caller's name, for the
    /// error.
    ///
    /// # Errors
    /// What kernels on lanes cannot evaluate.
    pub fn try_compile(ensemble: &Ensemble, tree_limit: usize, kernel: KernelChoice) -> Result<Self, Unsupported> {
        let trees = &ensemble.trees()[..tree_limit.min(ensemble.trees().len())];
        let mut plan =
            Self::with_bits(ensemble, trees, kernel).map_or_else(|| Self::ranked(ensemble, tree_limit, kernel), Ok)?;
        if !size::is_in_proportion::<T>(trees, plan.is_grouped(), plan.bits.are_used()) {
            let reason =
                "its trees differ so much in size that laying them out side by side would take many times their memory";
            return Err(Unsupported { kernel, reason });
        }
        if kernel == KernelChoice::Avx2 && !plan.bits.are_used() {
            let shapes = trees.chunks(CHUNK).filter(|chunk| Shape::of(chunk) == Shape::Listed);
            plan.place_lanes(shapes.flatten());
        }
        plan.lay_out(ensemble, trees);
        Ok(plan)
    }

    /// Ranks alone, for steps that the caller lays out: [`Self::push_step`] makes their lines, and [`Self::forget`]
    /// ends it.
    ///
    /// # Errors
    /// What kernels on lanes cannot evaluate.
    pub(crate) fn ranked(ensemble: &Ensemble, tree_limit: usize, kernel: KernelChoice) -> Result<Self, Unsupported> {
        let refuse = |reason| Unsupported { kernel, reason };
        if ensemble.linear().is_some() {
            return Err(refuse("a linear model has no trees"));
        }
        let trees = &ensemble.trees()[..tree_limit.min(ensemble.trees().len())];
        let ranks = Ranks::compile(trees, true);
        Self::of_ranks(ensemble, trees, ranks, kernel)
    }

    /// A plan whose category sets are bits, if there are many and it is worth it.
    fn with_bits(ensemble: &Ensemble, trees: &[Tree], kernel: KernelChoice) -> Option<Self> {
        if ensemble.linear().is_some() || !bits::has_many_sets(trees) {
            return None;
        }
        let words = size::listed_steps(trees);
        let bits = CategoryBits::new(trees, words)?;
        let mut ranks = Ranks::compile(trees, false);
        ranks.columns = ranks.columns.max(bits.column_count());
        let mut plan = Self::of_ranks(ensemble, trees, ranks, kernel).ok()?;
        plan.bits = bits;
        Some(plan)
    }

    fn of_ranks(
        ensemble: &Ensemble,
        trees: &[Tree],
        ranks: Ranks<T>,
        kernel: KernelChoice,
    ) -> Result<Self, Unsupported> {
        let refuse = |reason| Unsupported { kernel, reason };
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
        Ok(Self {
            comparison: ensemble.comparison(),
            codes: ensemble.codes(),
            ranks,
            half,
            has_right,
            packs: Vec::new(),
            lines: Vec::new(),
            pairs: Pairs::default(),
            bits: CategoryBits::default(),
            leaves: Leaves::Numbers {
                values: Vec::new(),
                outputs: Vec::new(),
            },
            base_margins: ensemble.base_margins().iter().map(|&base| T::narrow(base)).collect(),
            tree_count: trees.len(),
            cut_trees: 0,
        })
    }

    /// Appends the lines of a step to a caller's own: for each of up to 64 trees the node that it decides, or none,
    /// which sends every row left.
    pub(crate) fn push_step(&self, nodes: &[Option<(&Tree, u32)>], lines: &mut Vec<Line>) {
        let one = |node: &Option<(&Tree, u32)>| label::Scheduled::of_node(*node, self);
        let scheduled: Vec<_> = nodes.iter().map(one).collect();
        let [index, rank, group, _] = lines_of(&scheduled, 0, self.is_grouped());
        lines.extend([index, rank]);
        lines.extend(self.is_grouped().then_some(group));
    }

    /// Lets go of what only [`Self::push_step`] needs.
    pub(crate) fn forget(&mut self) {
        self.ranks.forget();
    }

    /// Margins of a row.
    pub(crate) fn outputs(&self) -> usize {
        self.base_margins.len()
    }

    /// Whether lanes are named by index and group.
    pub(crate) fn is_grouped(&self) -> bool {
        self.lanes() > LANES_BYTE
    }

    /// Whether trees may be paired.
    pub(crate) fn has_pairs(&self) -> bool {
        !self.pairs.places.is_empty()
    }

    /// Lanes of both halves.
    pub(crate) fn lanes(&self) -> usize {
        self.half * (1 + usize::from(self.has_right))
    }

    fn lay_out(&mut self, ensemble: &Ensemble, trees: &[Tree]) {
        let mut exits: Vec<Vec<Option<u32>>> = Vec::with_capacity(trees.len());
        let mut left = trees;
        while !left.is_empty() {
            let (shape, chunks) = next_pack(left, self.bits.are_used());
            let paired = left.len().min(chunks * CHUNK).min(pairs::REGISTERS * pairs::PAIRED);
            if shape == Shape::Listed
                && self.has_pairs()
                && let Some((ends, cut)) = self.push_paired(&left[..paired], exits.len())
            {
                left = &left[paired..];
                self.cut_trees += cut;
                exits.extend(ends);
                continue;
            }
            let (taken, others) = left.split_at((chunks * CHUNK).min(left.len()));
            left = others;
            let scheduled: Vec<_> = taken.iter().map(|tree| label::schedule(tree, shape, self)).collect();
            let stride = scheduled.iter().map(|tree| tree.exits.len()).max().unwrap_or(1);
            let steps = scheduled.iter().map(|tree| tree.steps.len()).max().unwrap_or(0);
            self.push_pack(shape, steps, (exits.len(), taken.len()), (self.lines.len(), 0), stride);
            self.push_steps(shape, steps, taken, &scheduled);
            self.cut_trees += scheduled.iter().filter(|tree| tree.is_cut).count();
            exits.extend(scheduled.into_iter().map(|tree| tree.exits));
        }
        self.push_leaves(ensemble, trees, &exits);
        self.ranks.forget();
    }

    fn push_steps(&mut self, shape: Shape, steps: usize, trees: &[Tree], scheduled: &[label::Scheduled]) {
        let (is_grouped, kinds) = (self.is_grouped(), self.step_lines());
        let Shape::Full { depth } = shape else {
            for step in 0..steps {
                for (chunk, trees) in scheduled.chunks(CHUNK).zip(trees.chunks(CHUNK)) {
                    self.enter_bits(trees, chunk, step);
                    let [index, rank, group, label] = lines_of(chunk, step, is_grouped);
                    self.lines.extend([index, rank]);
                    self.lines.extend(is_grouped.then_some(group));
                    self.lines.push(label);
                }
            }
            return;
        };
        for level in 0..depth {
            for kind in 0..kinds {
                let nodes = (1 << level) - 1..(2 << level) - 1;
                let lines = nodes.map(|step| lines_of(scheduled, step, is_grouped)[kind]);
                self.lines.extend(lines);
            }
        }
    }

    /// Enters a step's category nodes into the bits, if those are used: the lines of the step come next.
    fn enter_bits(&mut self, trees: &[Tree], scheduled: &[label::Scheduled], step: usize) {
        if !self.bits.are_used() {
            return;
        }
        let word = self.lines.len() / (self.step_lines() + 1);
        for (place, (tree, scheduled)) in trees.iter().zip(scheduled).enumerate() {
            let node = scheduled.steps.get(step).map(|step| &tree.nodes[step.node as usize]);
            if let Some(&Node::Category {
                feature,
                first,
                count,
                missing_left,
                ..
            }) = node
            {
                let codes = (feature, tree.codes(first, count));
                self.bits.enter((word, place), codes, !missing_left);
            }
        }
    }

    /// The word of bits that a pack's steps begin with.
    pub(crate) fn first_word(&self, pack: &Pack) -> usize {
        pack.first_line / (self.step_lines() + 1)
    }

    /// Lines that say what a node of a chunk tests: the lane's index, the rank, and the lane's group if there are many.
    pub(crate) fn step_lines(&self) -> usize {
        if self.is_grouped() { 3 } else { 2 }
    }

    /// What a row costs with AVX-512, roughly, when the model is so small that its thresholds stay in the first-level
    /// cache: for comparison with [`super::Plan::cost_ns`]. From a sweep of 1 to 60 trees on Zen 5 (`docs/kernels.md`).
    #[must_use]
    pub fn cost_ns(&self) -> usize {
        let step = |pack: &Pack| match pack.shape {
            Shape::Full { .. } => pack.steps / 3,
            Shape::Listed | Shape::Paired => pack.steps,
        };
        let steps: usize = self.packs.iter().map(step).sum();
        let sets = 5 * self.ranks.set_lanes.len() + self.bits.cost_ns();
        let ranks = self.ranks.items.len() * size_of::<T>() / 9 + sets;
        5 + ranks + steps + self.tree_count / 2
    }

    /// What was chosen and why, a line each.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "ranks: {}{}", self.ranks.explain(), self.bits.explain());
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
        let trees_of = |is_one: fn(&Shape) -> bool| -> usize {
            let packs = self.packs.iter().filter(|pack| is_one(&pack.shape));
            packs.map(|pack| pack.trees).sum()
        };
        let full = trees_of(|shape| matches!(shape, Shape::Full { .. }));
        let paired = trees_of(|&shape| shape == Shape::Paired);
        let steps: usize = self.packs.iter().map(|pack| pack.steps * pack.chunks).sum();
        let _ = writeln!(
            text,
            "steps: {steps} of 64 trees each for {} trees; {full} of these as full trees, {paired} node by node from two \
             tables of 16 lanes a step, the others node by node from all lanes",
            self.tree_count
        );
        let _ = writeln!(text, "leaves: {}", self.explain_leaves());
        let _ = write!(
            text,
            "sum: {}-bit floats in tree order from the base margin, as the library adds them",
            8 * size_of::<T>()
        );
        text
    }

    /// Bytes this plan holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ranks.bytes()
            + size_of_val(self.packs.as_slice())
            + size_of_val(self.lines.as_slice())
            + self.pairs.bytes()
            + self.bits.bytes()
            + size_of_val(self.base_margins.as_slice())
            + self.leaves.bytes()
    }
}

/// The shape of the next pack, and its chunks: listed ones go together.
fn next_pack(trees: &[Tree], are_listed: bool) -> (Shape, usize) {
    let shape = |chunk| if are_listed { Shape::Listed } else { Shape::of(chunk) };
    let mut shapes = trees.chunks(CHUNK).take(PACK_CHUNKS).map(shape);
    match shapes.next() {
        Some(Shape::Listed) => (
            Shape::Listed,
            1 + shapes.take_while(|&shape| shape == Shape::Listed).count(),
        ),
        Some(shape) => (shape, 1),
        None => (Shape::Listed, 0),
    }
}

/// One step of a chunk: indices, ranks, groups and labels.
fn lines_of(chunk: &[label::Scheduled], step: usize, is_grouped: bool) -> [Line; 4] {
    let mut lines = [Line([0; CHUNK]); 4];
    // No byte exceeds the highest rank: trees that have no such step stay where they are.
    lines[1] = Line([u8::MAX; CHUNK]);
    for (tree, scheduled) in chunk.iter().enumerate() {
        let Some(node) = scheduled.steps.get(step) else {
            continue;
        };
        let in_group = if is_grouped { node.lane % GROUP } else { node.lane };
        let byte = |lane: usize| u8::try_from(lane).expect("LANES_MAX and LANES_BYTE keep both parts within a byte");
        lines[0].0[tree] = byte(in_group);
        lines[1].0[tree] = node.rank;
        lines[2].0[tree] = byte(node.lane / GROUP);
        lines[3].0[tree] = node.label;
    }
    lines
}

fn goes_right(node: &Node) -> bool {
    match node {
        Node::Number { missing_left, .. } | Node::Category { missing_left, .. } => !missing_left,
        _ => false,
    }
}
