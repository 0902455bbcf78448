//! Full trees, side by side in the lanes of a register: see [`super::super::kernel::full`].
//!
//! ```text
//! block    64 trees of one depth, padded to full ones; splits numbered level by level
//! group    as many of its trees as a register has lanes:
//!            constants of each split above the last three levels | of each of these with all below it, parents first
//!            share | t' at every point, where the feature of some lane's split stands above it too
//!            last level: mean, right leaf less mean, left leaf less right one | t'
//! part     groups whose gains are summed by feature together, eight of one feature at a time
//! ```

use std::collections::BTreeMap;

use super::super::aligned::AlignedDoubles;
use super::super::quadrature::Points;
use super::super::skeleton::{Below, Skeleton};
use super::outcomes::{LaneOutcomes, NodeOf};
use super::{Places, Planned};
use crate::kernel::real::Real;
use crate::plan::lanes::CHUNK;

/// Depth of the largest trees that are padded to full ones.
pub(in crate::explain) const DEPTH_MAX: usize = 8;

/// Gains that are summed by feature together: what a first-level cache holds beside everything else.
const PART_GAINS: usize = 2_048;

/// Gains that are added at once.
const OCTET: usize = 8;

/// Where eight gains lie: four places of 16 bits in each word, the first one lowest.
pub(in crate::explain) type Octet = [u64; 2];

/// Lanes whose split's feature stands above it too, at a nearest split where the way goes left or right.
#[derive(Debug, Clone, Copy)]
pub(in crate::explain) struct AgainLanes {
    pub(in crate::explain) step: u8,
    pub(in crate::explain) above: u8,
    /// All ones if the way goes left.
    pub(in crate::explain) is_left: u64,
    pub(in crate::explain) lanes: u64,
}

/// 64 trees of one depth.
#[derive(Debug, Clone)]
pub(in crate::explain) struct FullBlock {
    pub(in crate::explain) depth: usize,
    pub(in crate::explain) first_word: usize,
    /// Registers' worth of trees.
    pub(in crate::explain) groups: usize,
    /// Groups of a part.
    pub(in crate::explain) part: usize,
    pub(in crate::explain) again: Vec<AgainLanes>,
    /// By group, a bit for each split whose feature stands above it in some lane.
    pub(in crate::explain) flags: Vec<[u64; 4]>,
    pub(in crate::explain) first_constant: usize,
    /// By part, where its octets end.
    pub(in crate::explain) octets: Vec<usize>,
}

/// All blocks.
#[derive(Debug, Clone)]
pub(in crate::explain) struct FullPlan {
    pub(in crate::explain) blocks: Vec<FullBlock>,
    pub(in crate::explain) constants: AlignedDoubles,
    /// Where eight gains of one feature lie within a part.
    pub(in crate::explain) octets: Vec<Octet>,
    /// Where their sum belongs.
    pub(in crate::explain) places: Vec<u32>,
    pub(in crate::explain) points: [Points; 4],
    lanes: usize,
}

/// Points for a depth: exact, for no path has more features.
pub(in crate::explain) fn points(depth: usize) -> usize {
    depth.div_ceil(2)
}

/// Whether a tree is worth padding: each of its splits alone costs about three of a full tree's.
pub(super) fn takes(skeleton: &Skeleton) -> bool {
    (1..=DEPTH_MAX).contains(&skeleton.depth) && (1usize << skeleton.depth) - 1 <= 3 * skeleton.splits.len()
}

/// A tree laid out: for each step the split that stands there.
struct Padded<'e, 's> {
    planned: &'s Planned<'e>,
    splits: Vec<Option<usize>>,
    /// By step of the last level, the values of the leaves on both sides.
    leaves: Vec<[f64; 2]>,
    /// By split, its step.
    steps: Vec<usize>,
}

impl FullPlan {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            blocks: Vec::new(),
            constants: AlignedDoubles::default(),
            octets: Vec::new(),
            places: Vec::new(),
            points: [1, 2, 3, 4].map(Points::new),
            lanes,
        }
    }

    /// Lays trees out, those of one depth together. A few that are left of a depth go with the next one.
    pub(super) fn push<T: Real>(&mut self, trees: &[Planned<'_>], outcomes: &mut LaneOutcomes<T>, places: &mut Places) {
        let mut by_depth: BTreeMap<usize, Vec<&Planned<'_>>> = BTreeMap::new();
        for planned in trees {
            by_depth.entry(planned.skeleton.depth.max(2)).or_default().push(planned);
        }
        let mut left: Vec<&Planned<'_>> = Vec::new();
        let last = by_depth.keys().last().copied();
        for (depth, trees) in by_depth {
            left.extend(trees);
            let end = if Some(depth) == last {
                left.len()
            } else {
                left.len() / CHUNK * CHUNK
            };
            let others = left.split_off(end);
            let mut padded: Vec<_> = left.iter().map(|planned| Padded::new(planned, depth)).collect();
            // Neighbours in a register share what their repeated features cost.
            padded.sort_by_cached_key(Padded::pattern);
            for block in padded.chunks(CHUNK) {
                self.push_block(block, depth, outcomes, places);
            }
            left = others;
        }
    }

    fn push_block<T: Real>(
        &mut self,
        trees: &[Padded<'_, '_>],
        depth: usize,
        outcomes: &mut LaneOutcomes<T>,
        places: &mut Places,
    ) {
        let steps = (1 << depth) - 1;
        let mut first_word = None;
        for step in 0..steps {
            let nodes: Vec<Option<NodeOf<'_>>> = trees.iter().map(|padded| padded.node(step)).collect();
            let word = outcomes.push(&nodes);
            first_word.get_or_insert(word);
        }
        let part = (PART_GAINS >> depth).clamp(self.lanes, CHUNK) / self.lanes;
        let mut block = FullBlock {
            depth,
            first_word: first_word.unwrap_or(0),
            groups: trees.len().div_ceil(self.lanes),
            part,
            again: again_lanes(trees),
            flags: Vec::new(),
            first_constant: self.constants.len(),
            octets: Vec::new(),
        };
        for group in trees.chunks(self.lanes) {
            let flags = self.push_group(group, depth);
            block.flags.push(flags);
        }
        for part in trees.chunks(part * self.lanes) {
            self.push_octets(part, steps, places);
            block.octets.push(self.octets.len());
        }
        self.blocks.push(block);
    }

    /// The constants of a register's worth of trees, in the order in which the kernel wants them. Returns the flags.
    fn push_group(&mut self, group: &[Padded<'_, '_>], depth: usize) -> [u64; 4] {
        let mut flags = [0; 4];
        for step in (0..(1usize << depth) - 1).filter(|&step| group.iter().any(|padded| padded.above(step).is_some())) {
            flags[step / 64] |= 1 << (step % 64);
        }
        let is_again = |step: usize| flags[step / 64] >> (step % 64) & 1 == 1;
        let last_but_one = (1 << (depth - 2)) - 1;
        for step in order(depth) {
            self.push_lanes(group, |padded| padded.share(step));
            self.push_known(group, step, depth, is_again(step));
            if step < last_but_one {
                continue;
            }
            for below in [2 * step + 1, 2 * step + 2] {
                self.push_lanes(group, |padded| padded.mean(below));
                self.push_lanes(group, |padded| padded.leaf(below, 1) - padded.mean(below));
                self.push_lanes(group, |padded| padded.leaf(below, 0) - padded.leaf(below, 1));
                self.push_known(group, below, depth, is_again(below));
            }
        }
        flags
    }

    fn push_lanes(&mut self, group: &[Padded<'_, '_>], constant: impl Fn(&Padded<'_, '_>) -> f64) {
        let none = std::iter::repeat_n(0.0, self.lanes - group.len());
        self.constants.extend(group.iter().map(constant).chain(none));
    }

    /// `t'` at every point, for a split that takes them.
    fn push_known(&mut self, group: &[Padded<'_, '_>], step: usize, depth: usize, is_again: bool) {
        if !is_again {
            return;
        }
        for at in self.points[points(depth) - 1].at.clone() {
            self.push_lanes(group, |padded| {
                let weight = padded.above(step).map_or(1.0, |(_, _, weight)| weight);
                at / ((1.0 - at) * weight + at)
            });
        }
    }

    /// Where the gains of a part lie, by feature, and in turns: two octets of a feature that follow each other would
    /// wait for its sum.
    fn push_octets(&mut self, part: &[Padded<'_, '_>], steps: usize, places: &mut Places) {
        let mut by_place: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
        for (number, padded) in part.iter().enumerate() {
            for (step, split) in padded.splits.iter().enumerate() {
                let Some(split) = split else { continue };
                let feature = padded.planned.skeleton.splits[*split].feature;
                let place = places.of(padded.planned.output, feature);
                let gain = (number / self.lanes * steps + step) * self.lanes + number % self.lanes;
                by_place.entry(place).or_default().push(short(gain));
            }
        }
        // Behind the part's gains lies a zero.
        let zero = short(part.len().div_ceil(self.lanes) * steps * self.lanes);
        let longest = by_place.values().map(Vec::len).max().unwrap_or(0);
        for first in (0..longest).step_by(OCTET) {
            for (&place, gains) in &by_place {
                let Some(gains) = gains.get(first..) else { continue };
                if gains.is_empty() {
                    continue;
                }
                let mut eight = [zero; OCTET];
                eight.iter_mut().zip(gains).for_each(|(to, &gain)| *to = gain);
                self.octets.push(octet(eight));
                self.places.push(place);
            }
        }
    }

    /// Doubles that a part's gains take, the zero behind them included.
    pub(in crate::explain) fn gains(&self) -> usize {
        let gains = |block: &FullBlock| block.part * ((1 << block.depth) - 1) * self.lanes + self.lanes;
        self.blocks.iter().map(gains).max().unwrap_or(0)
    }

    pub(in crate::explain) fn bytes(&self) -> usize {
        let block = |block: &FullBlock| {
            size_of_val(block.again.as_slice())
                + size_of_val(block.flags.as_slice())
                + size_of_val(block.octets.as_slice())
        };
        size_of_val(self.blocks.as_slice())
            + self.blocks.iter().map(block).sum::<usize>()
            + size_of_val(&*self.constants)
            + size_of_val(self.octets.as_slice())
            + size_of_val(self.places.as_slice())
    }
}

impl<'e, 's> Padded<'e, 's> {
    fn new(planned: &'s Planned<'e>, depth: usize) -> Self {
        let skeleton = planned.skeleton;
        let mut padded = Self {
            planned,
            splits: vec![None; (1 << depth) - 1],
            leaves: vec![[0.0; 2]; 1 << (depth - 1)],
            steps: vec![0; skeleton.splits.len()],
        };
        let first_leaf = (1 << depth) - 1;
        let mut open = vec![(Below::Split(0), 0usize)];
        while let Some((below, step)) = open.pop() {
            match below {
                Below::Split(split) => {
                    padded.splits[step] = Some(split);
                    padded.steps[split] = step;
                    let [left, right] = skeleton.splits[split].below;
                    open.extend([(left, 2 * step + 1), (right, 2 * step + 2)]);
                }
                // A place without a split sends all to the left, and so down to the leaf.
                Below::Leaf(node) => {
                    let mut leaf = step;
                    while leaf < first_leaf {
                        leaf = 2 * leaf + 1;
                    }
                    padded.leaves[(leaf - first_leaf) / 2][(leaf - first_leaf) % 2] = planned.value(node);
                }
            }
        }
        padded
    }

    fn split(&self, step: usize) -> Option<&super::super::skeleton::Split> {
        self.splits[step].map(|split| &self.planned.skeleton.splits[split])
    }

    fn node(&self, step: usize) -> Option<NodeOf<'e>> {
        self.split(step).map(|split| (self.planned.tree, split.node))
    }

    fn share(&self, step: usize) -> f64 {
        self.split(step).map_or(1.0, |split| split.share)
    }

    fn leaf(&self, step: usize, side: usize) -> f64 {
        self.leaves[step - (self.leaves.len() - 1)][side]
    }

    fn mean(&self, step: usize) -> f64 {
        let [left, right] = [self.leaf(step, 0), self.leaf(step, 1)];
        right + self.share(step) * (left - right)
    }

    /// The nearest step of the same feature above, whether the way goes left there, and the share of data that went
    /// this way.
    fn above(&self, step: usize) -> Option<(usize, bool, f64)> {
        let above = self.split(step)?.above?;
        Some((self.steps[above.split], above.is_left, above.weight))
    }

    /// A bit for each step whose feature stands above it too, the last steps' highest.
    fn pattern(&self) -> [u64; 4] {
        let mut pattern = [0; 4];
        for step in (0..self.splits.len()).filter(|&step| self.above(step).is_some()) {
            pattern[3 - step / 64] |= 1 << (step % 64);
        }
        pattern
    }
}

fn again_lanes(trees: &[Padded<'_, '_>]) -> Vec<AgainLanes> {
    let mut lanes: BTreeMap<(u8, u8, bool), u64> = BTreeMap::new();
    for (lane, padded) in trees.iter().enumerate() {
        for step in 0..padded.splits.len() {
            let Some((above, is_left, _)) = padded.above(step) else {
                continue;
            };
            *lanes.entry((byte(step), byte(above), is_left)).or_default() |= 1 << lane;
        }
    }
    let entry = |((step, above, is_left), lanes): ((u8, u8, bool), u64)| AgainLanes {
        step,
        above,
        is_left: if is_left { u64::MAX } else { 0 },
        lanes,
    };
    lanes.into_iter().map(entry).collect()
}

fn octet(eight: [u16; OCTET]) -> Octet {
    let word = |four: &[u16]| four.iter().rev().fold(0, |word, &gain| word << 16 | u64::from(gain));
    [word(&eight[..4]), word(&eight[4..])]
}

/// Splits above the last level in the order in which the kernel wants them: see its head.
fn order(depth: usize) -> Vec<usize> {
    if depth < 3 {
        return vec![0];
    }
    let third = (1 << (depth - 3)) - 1;
    let below = (third..2 * third + 1).flat_map(|step| [step, 2 * step + 1, 2 * step + 2]);
    (0..third).chain(below).collect()
}

fn byte(step: usize) -> u8 {
    u8::try_from(step).expect("a full tree has at most 255 splits")
}

fn short(gain: usize) -> u16 {
    u16::try_from(gain).expect("a part has a few thousand gains")
}
