//! Listed trees for kernels whose look-up reaches sixteen bytes: every step of 32 trees reads two tables of sixteen
//! lanes, and names them.
//!
//! ```text
//! places   which lane stands at each place of the tables: those of the most nodes first
//! tables   [ step 0: two of the tables | step 1 … ]          for each 32 trees
//! bytes    [ step 0: 32 indices | 32 ranks | 32 labels | 32 next labels, if the steps are more than labels ]
//! ```
//!
//! A list may have its nodes in any order in which parents come first, so that at each step a tree has a choice of nodes:
//! those whose parent is done. [`schedule`] takes the two tables from which the most trees can go on, weighed by how many
//! nodes each has left. Trees that have none there wait. With 75 lanes, trees of 31 leaves take 1.63 times as many steps
//! as they have nodes, and those of 255 leaves 1.06 times; a look-up is then two shuffles instead of eight.

use std::collections::VecDeque;

use super::label::{self, STEPS_MAX};
use super::{LanePlan, Pack, Shape};
use crate::ensemble::Tree;
use crate::kernel::real::Real;

/// Trees of a step: bytes of a register.
pub(crate) const PAIRED: usize = 32;

/// Lanes of a table.
pub(crate) const TABLE: usize = 16;

/// Registers of 32 trees that are stepped in turn: chains of labels that do not wait for each other.
pub(crate) const REGISTERS: usize = 4;

/// Bit of an index that names the second table of a step. A shuffle gives 0 where it is set.
pub(crate) const SECOND: u8 = 0x80;

/// A byte for each of 32 trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(32))]
pub(crate) struct Bytes(pub(crate) [u8; PAIRED]);

/// The steps of all paired packs of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairs {
    /// The lane that stands at each place: [`TABLE`] for each table.
    pub(crate) places: Vec<u16>,
    /// Two tables for each step and register.
    pub(crate) tables: Vec<[u16; 2]>,
    /// What [`kinds`] says, for each step and register.
    pub(crate) bytes: Vec<Bytes>,
}

/// The steps of one pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paired<'p> {
    pub(crate) steps: usize,
    /// Registers of 32 trees.
    pub(crate) registers: usize,
    pub(crate) tables: &'p [[u16; 2]],
    pub(crate) bytes: &'p [Bytes],
    /// Tables of the plan.
    table_count: usize,
}

impl Paired<'_> {
    /// Whether steps have a line for the labels of right children.
    pub(crate) fn has_next(&self) -> bool {
        has_next(self.steps)
    }

    /// Whether a row with as many tables has all that the steps read.
    pub(crate) fn reads_within(&self, tables: usize) -> bool {
        self.table_count <= tables
    }
}

impl Pairs {
    /// A pack's steps.
    pub(crate) fn of(&self, pack: &Pack) -> Paired<'_> {
        let registers = pack.trees.div_ceil(PAIRED);
        let count = pack.steps * registers;
        Paired {
            steps: pack.steps,
            registers,
            tables: &self.tables[pack.first_pair..][..count],
            bytes: &self.bytes[pack.first_line..][..count * kinds(pack.steps)],
            table_count: self.table_count(),
        }
    }

    /// Tables that a row has.
    pub(crate) fn table_count(&self) -> usize {
        self.places.len() / TABLE
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.places.as_slice()) + size_of_val(self.tables.as_slice()) + size_of_val(self.bytes.as_slice())
    }
}

/// Lines of a step: index, rank with bit 7 turned over, label, and the label of the right child where a step's number
/// does not serve.
pub(crate) const fn kinds(steps: usize) -> usize {
    if has_next(steps) { 4 } else { 3 }
}

/// Whether a pack has so many steps that their numbers are no labels.
pub(crate) const fn has_next(steps: usize) -> bool {
    steps > STEPS_MAX
}

/// A node that can be a step.
#[derive(Debug, Clone, Copy)]
struct Open {
    node: u32,
    table: u8,
}

/// A tree while it is scheduled.
struct Waiting<'t> {
    tree: &'t Tree,
    /// By node: its place in the tables if it is to be a step, and the nodes on the longest way down from it.
    places: Vec<Option<(u16, u16)>>,
    open: Vec<Open>,
    /// How many of `open` are in a table.
    counts: Vec<u8>,
    /// Tables in which some are.
    tables: u128,
    left: usize,
}

/// A step of up to 32 trees: the tables, and a node for each tree that goes on.
struct Step {
    tables: [u16; 2],
    nodes: Vec<Option<u32>>,
}

/// Most tables of a plan: bits of [`Waiting::tables`].
const TABLES_MAX: usize = 128;
const _: () = assert!(super::LANES_MAX <= TABLES_MAX * TABLE);

/// Instructions of a step of paired trees and of moving to the next, about.
const PAIR_INSTRUCTIONS: usize = 9;

/// By label, the node that it ends on; none for labels that no row ends on.
type Exits = Vec<Option<u32>>;

/// Tables that are tried as the first of two.
const TRIED: usize = 4;

impl<T: Real> LanePlan<T> {
    /// Assigns places to the lanes that trees to be paired read.
    pub(super) fn place_lanes<'t>(&mut self, trees: impl Iterator<Item = &'t Tree>) {
        let mut uses = vec![0u64; self.lanes()];
        for tree in trees {
            for (number, _) in (0..).zip(&tree.nodes).filter(|(_, node)| node.children().is_some()) {
                uses[label::step(tree, number, 0, self).lane] += 1;
            }
        }
        let mut lanes: Vec<_> = (0..uses.len()).filter(|&lane| uses[lane] > 0).collect();
        lanes.sort_by_key(|&lane| std::cmp::Reverse(uses[lane]));
        lanes.resize(lanes.len().next_multiple_of(TABLE), 0);
        self.pairs.places = lanes.into_iter().map(number).collect();
    }

    /// Appends a pack of paired trees, of which there are at most 32 for each of [`REGISTERS`], unless they would take so
    /// many steps that look-ups of all lanes are faster. Returns what [`super::label::Scheduled::exits`] is for each tree,
    /// and how many trees are cut.
    pub(super) fn push_paired(&mut self, trees: &[Tree], first_tree: usize) -> Option<(Vec<Exits>, usize)> {
        let mut place_of = vec![0u16; self.lanes()];
        // What fills the last table up comes last, and so is overwritten.
        for (place, &lane) in self.pairs.places.iter().enumerate().rev() {
            place_of[usize::from(lane)] = number(place);
        }
        let registers: Vec<_> = trees.chunks(PAIRED).collect();
        let steps_max = self.paired_steps_max(trees);
        let schedules: Option<Vec<_>> = registers
            .iter()
            .map(|trees| schedule(trees, self, &place_of, steps_max))
            .collect();
        let schedules = schedules?;
        let steps = schedules.iter().map(Vec::len).max().unwrap_or(0);
        let mut walks: Vec<_> = trees.iter().map(Labels::new).collect();
        let (first_line, first_pair) = (self.pairs.bytes.len(), self.pairs.tables.len());
        for step in 0..steps {
            for (register, schedule) in schedules.iter().enumerate() {
                let walks = &mut walks[register * PAIRED..];
                self.push_pair_step(schedule.get(step), (step, steps), registers[register], walks, &place_of);
            }
        }
        let exits: Vec<_> = walks.into_iter().map(Labels::finish).collect();
        let stride = exits.iter().map(|(exits, _)| exits.len()).max().unwrap_or(1);
        self.push_pack(
            Shape::Paired,
            steps,
            (first_tree, trees.len()),
            (first_line, first_pair),
            stride,
        );
        let cut = exits.iter().filter(|(_, is_cut)| *is_cut).count();
        Some((exits.into_iter().map(|(exits, _)| exits).collect(), cut))
    }

    /// Steps beyond which a pack is not paired: what its longest list costs with look-ups of all lanes.
    fn paired_steps_max(&self, trees: &[Tree]) -> usize {
        let inner = |tree: &Tree| tree.nodes.iter().filter(|node| node.children().is_some()).count();
        let longest = trees.iter().map(inner).max().unwrap_or(0).min(STEPS_MAX);
        let instructions = match self.lanes() {
            0..=64 => 15,
            65..=128 => 24,
            129..=256 => 43,
            _ => 150,
        };
        longest * instructions / PAIR_INSTRUCTIONS
    }

    fn push_pair_step(
        &mut self,
        step: Option<&Step>,
        (number, steps): (usize, usize),
        trees: &[Tree],
        walks: &mut [Labels],
        place_of: &[u16],
    ) {
        // No byte exceeds the highest rank: trees that have no such step stay where they are.
        let mut lines = [[0; PAIRED], [u8::MAX ^ 0x80; PAIRED], [0; PAIRED], [0; PAIRED]];
        let tables = step.map_or([0; 2], |step| step.tables);
        for (tree, node) in step.iter().flat_map(|step| step.nodes.iter().enumerate()) {
            let Some(node) = *node else { continue };
            let own = &trees[tree];
            let (label, next) = walks[tree].step(own, node, (!has_next(steps)).then_some(number));
            let test = label::step(own, node, label, self);
            let place = place_of[test.lane];
            let second = if table_of(place) == tables[0] { 0 } else { SECOND };
            let within = u8::try_from(usize::from(place) % TABLE).expect("a table has sixteen places");
            lines[0][tree] = within | second;
            lines[1][tree] = test.rank ^ 0x80;
            lines[2][tree] = label;
            lines[3][tree] = next;
        }
        self.pairs.tables.push(tables);
        self.pairs
            .bytes
            .extend(lines[..kinds(steps)].iter().map(|&line| Bytes(line)));
    }

    /// Appends a pack whose lines and pairs of tables begin there.
    pub(super) fn push_pack(
        &mut self,
        shape: Shape,
        steps: usize,
        (first_tree, trees): (usize, usize),
        (first_line, first_pair): (usize, usize),
        stride: usize,
    ) {
        let first_leaf = self.packs.last();
        let first_leaf = first_leaf.map_or(0, |last| last.first_leaf + last.stride * last.trees);
        self.packs.push(Pack {
            chunks: trees.div_ceil(super::CHUNK),
            shape,
            steps,
            first_tree,
            trees,
            first_line,
            first_pair,
            first_leaf,
            stride,
        });
    }
}

fn table_of(place: u16) -> u16 {
    number(usize::from(place) / TABLE)
}

fn number(lane: usize) -> u16 {
    u16::try_from(lane).expect("LANES_MAX keeps lanes and tables within u16")
}

/// The labels of a tree as its steps come.
struct Labels {
    /// By node: its label, once its parent is a step.
    labels: Vec<Option<u8>>,
    /// By label: the node that ends there.
    ends: Vec<Option<u32>>,
    /// The label that was given last.
    count: u8,
    /// By node: whether it has children.
    inner: Vec<bool>,
}

impl Labels {
    fn new(tree: &Tree) -> Self {
        let mut labels = vec![None; tree.nodes.len()];
        labels[0] = Some(0);
        Self {
            labels,
            ends: vec![Some(0)],
            count: 0,
            inner: tree.nodes.iter().map(|node| node.children().is_some()).collect(),
        }
    }

    /// Makes a node a step: its label, and that of its right child, which is the step's number and one if that is given.
    fn step(&mut self, tree: &Tree, node: u32, number: Option<usize>) -> (u8, u8) {
        let label = self.labels[node as usize].expect("a step's parent is a step before it");
        let next = number.map_or(usize::from(self.count) + 1, |number| number + 1);
        let next = u8::try_from(next).expect("a tree has at most 255 steps, and numbers are given for as many");
        self.count = next;
        if let Some([left, right]) = tree.nodes[node as usize].children() {
            for (child, label) in [(left, label), (right, next)] {
                self.labels[child as usize] = Some(label);
                self.ends.resize(self.ends.len().max(usize::from(label) + 1), None);
                self.ends[usize::from(label)] = Some(child);
            }
        }
        (label, next)
    }

    /// By label, the node that ends there; and whether one of them has children.
    fn finish(self) -> (Exits, bool) {
        let is_cut = self.ends.iter().flatten().any(|&node| self.inner[node as usize]);
        (self.ends, is_cut)
    }
}

impl<'t> Waiting<'t> {
    /// A tree's nodes, breadth first and at most as many as there are labels: what is cut off is what the fewest rows
    /// reach.
    fn new<T: Real>(tree: &'t Tree, plan: &LanePlan<T>, place_of: &[u16]) -> Self {
        let mut places = vec![None; tree.nodes.len()];
        let mut order = Vec::new();
        let mut queue = VecDeque::from([0u32]);
        while let Some(number) = queue.pop_front() {
            let node = &tree.nodes[number as usize];
            let Some(children) = node.children() else { continue };
            if order.len() < STEPS_MAX {
                let lane = label::step(tree, number, 0, plan).lane;
                places[number as usize] = Some((place_of[lane], 1));
                order.push((number, children));
                queue.extend(children);
            }
        }
        for &(number, children) in order.iter().rev() {
            let below = children.iter().filter_map(|&child| places[child as usize]);
            let below = below.map(|(_, height)| height).max().unwrap_or(0);
            if let Some((_, height)) = &mut places[number as usize] {
                *height = below + 1;
            }
        }
        let mut waiting = Self {
            tree,
            places,
            open: Vec::new(),
            counts: vec![0; plan.pairs.table_count()],
            tables: 0,
            left: order.len(),
        };
        waiting.open(0);
        waiting
    }

    /// Lets a node be a step, if it is to be one.
    fn open(&mut self, node: u32) {
        let Some((place, _)) = self.places[node as usize] else {
            return;
        };
        let table = u8::try_from(table_of(place)).expect("TABLES_MAX keeps tables within a byte");
        self.open.push(Open { node, table });
        self.counts[usize::from(table)] += 1;
        self.tables |= 1 << table;
    }

    /// Takes the node of two tables below which the most follow, if it has one there.
    fn take(&mut self, tables: [u16; 2]) -> Option<u32> {
        let is_there = |open: &Open| tables.contains(&u16::from(open.table));
        let height = |open: &Open| self.places[open.node as usize].map_or(0, |(_, height)| height);
        let candidates = self.open.iter().enumerate().filter(|(_, open)| is_there(open));
        let (index, _) = candidates.max_by_key(|(_, open)| height(open))?;
        let Open { node, table } = self.open.swap_remove(index);
        self.counts[usize::from(table)] -= 1;
        if self.counts[usize::from(table)] == 0 {
            self.tables &= !(1 << table);
        }
        self.left -= 1;
        for child in self.tree.nodes[node as usize].children().into_iter().flatten() {
            self.open(child);
        }
        Some(node)
    }
}

/// Orders the nodes of up to 32 trees into steps, if as many suffice.
fn schedule<T: Real>(trees: &[Tree], plan: &LanePlan<T>, place_of: &[u16], steps_max: usize) -> Option<Vec<Step>> {
    let mut waiting: Vec<_> = trees.iter().map(|tree| Waiting::new(tree, plan, place_of)).collect();
    let mut steps = Vec::new();
    while waiting.iter().any(|tree| tree.left > 0) {
        if steps.len() == steps_max {
            return None;
        }
        let tables = best_tables(&waiting, plan.pairs.table_count());
        let nodes = waiting.iter_mut().map(|tree| tree.take(tables)).collect();
        steps.push(Step { tables, nodes });
    }
    Some(steps)
}

/// The two tables from which trees can go on that have the most nodes left.
fn best_tables(waiting: &[Waiting<'_>], tables: usize) -> [u16; 2] {
    let weights = |without: u128| {
        let mut weights = vec![0; tables];
        for tree in waiting.iter().filter(|tree| tree.tables & without == 0) {
            let mut bits = tree.tables;
            while bits != 0 {
                weights[bits.trailing_zeros() as usize] += tree.left;
                bits &= bits - 1;
            }
        }
        weights
    };
    let firsts = weights(0);
    let mut order: Vec<_> = (0..tables).collect();
    order.sort_by_key(|&table| std::cmp::Reverse(firsts[table]));
    let pairs = order.iter().take(TRIED).map(|&first| {
        let seconds = weights(1 << first);
        let second = (0..tables).max_by_key(|&table| (seconds[table], std::cmp::Reverse(table)));
        let second = second.unwrap_or(first);
        (firsts[first] + seconds[second], [first, second])
    });
    let (_, best) = pairs.max_by_key(|(weight, _)| *weight).unwrap_or_default();
    best.map(number)
}
