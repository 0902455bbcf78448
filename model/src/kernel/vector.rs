//! Evaluates a [`LanePlan`] with vectors of any width: what all kernels on lanes do, written once over [`super::isa`].
//! See the head of `plan/lanes` for what ranks, lanes and labels are.
//!
//! ```text
//! rank     value ─▶ compare with 16 pivots ─count─▶ which block ─▶ compare with its 16 ─count─▶ a byte        rank.rs
//! full     a level's lines ─chosen by the turns so far─▶ one index and rank a tree ─ look up, > rank ─▶ turn   vector/full.rs
//! listed   index ─look up─▶ byte ─ > rank ─▶ and label = the step's ─▶ label := step + 1, where both           vector/listed.rs
//! leaves   label of each tree ─▶ its leaf ─▶ one addition after the other, in tree order                       sums.rs
//! ```
//!
//! 1. A row in which nothing is missing has equal halves, so it is looked up in the first one only: 3 % of a row of 500
//!    trees of depth 6 (Zen 5).
//! 2. Leaves are found by tree and label without following anything, and added while the next pack is decided
//!    (`listed.rs` has the gain).
//! 3. What is large is a function of its own for each count of lanes (`entry_points.rs`), shared by one row and
//!    several, and by both kinds of number.
//!
//! Several rows at once: see `block.rs`.
//!
//! Gains here and in the files of each kernel, unless they name Zen 5, were measured with `perf/kernels --ours` on two
//! cores of an Intel Xeon (family 6, model 207) on 2026-11-29, by switching the trick off: nanoseconds a row, one row a
//! call, medians.
//!
//! Inlined into the function that a kernel begins with, so that it is compiled for that kernel's CPU features. No
//! closures here: they would be functions of their own, without these features.

pub(super) mod full;
pub(super) mod listed;
pub(super) mod outcomes;

use super::block::LaneBlock;
use super::isa::Stages;
use super::lanes::{LaneScratch, add_pack, fill_tables};
use super::rank::{SearchBy, rank_row, rank_rows};
use super::real::Real;
use super::sums::Pending;
use crate::ensemble::Comparison;
use crate::plan::lanes::pairs::TABLE;
use crate::plan::lanes::{CHUNK, LanePlan, Leaves, Pack, Shape};

/// Lanes beyond those of [`crate::plan::lanes::LANES_BYTE`].
pub(super) const GROUPED: usize = 0;

/// Sums a plan's trees for one row into `margins`, which it first sets to the base margins.
#[inline(always)]
pub(super) fn row_margins<K: Stages<PARTS>, T: Real, const PARTS: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    row: &[T],
    scratch: &mut LaneScratch,
    margins: &mut [T],
) {
    let any_missing = rank(kernel, plan, row, scratch, plan.is_grouped() || plan.has_pairs());
    let used = if any_missing & plan.has_right {
        plan.lanes()
    } else {
        plan.half
    };
    match used {
        _ if plan.is_grouped() => evaluate::<K, T, PARTS, GROUPED>(kernel, plan, row, scratch, margins),
        64 => evaluate::<K, T, PARTS, 64>(kernel, plan, row, scratch, margins),
        128 => evaluate::<K, T, PARTS, 128>(kernel, plan, row, scratch, margins),
        _ => evaluate::<K, T, PARTS, 256>(kernel, plan, row, scratch, margins),
    }
}

/// Ranks a row; returns whether something is missing.
#[inline(always)]
pub(super) fn rank<K: Stages<PARTS>, T: Real, const PARTS: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    row: &[T],
    scratch: &mut LaneScratch,
    always_both: bool,
) -> bool {
    let LaneScratch {
        lanes,
        missing,
        tables,
        words,
        ..
    } = scratch;
    plan.bits.unite(row, plan.codes, words);
    let any_missing = match plan.comparison {
        Comparison::Less => rank_row(plan, row, lanes, missing, SearchBy::<K, false>(kernel), always_both),
        Comparison::LessOrEqual => rank_row(plan, row, lanes, missing, SearchBy::<K, true>(kernel), always_both),
    };
    fill_tables(&plan.pairs, lanes, tables);
    any_missing
}

#[inline(always)]
fn evaluate<K: Stages<PARTS>, T: Real, const PARTS: usize, const LANES: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    row: &[T],
    scratch: &mut LaneScratch,
    margins: &mut [T],
) {
    let LaneScratch {
        lanes,
        labels,
        tables,
        words,
        ..
    } = scratch;
    let tables = (kernel.tables::<LANES>(&lanes[..plan.lanes()]), &**tables, &**words);
    margins.copy_from_slice(&plan.base_margins);
    let mut before: Option<&Pack> = None;
    for pack in &plan.packs {
        let (decided, own) = labels.split_at_mut(pack.first_tree);
        let mut pending = pending(plan, before, decided, margins);
        label_pack::<K, T, PARTS, LANES>(kernel, plan, pack, &tables, own, &mut pending);
        margins[0] = pending.finish();
        add_others(plan, before, row, decided, margins);
        before = Some(pack);
    }
    margins[0] = pending(plan, before, labels, margins).finish();
    add_others(plan, before, row, labels, margins);
}

/// The leaves of a pack that is decided, where they are numbers of one output.
#[inline(always)]
fn pending<'a, T: Real>(plan: &'a LanePlan<T>, pack: Option<&Pack>, labels: &'a [u8], margins: &[T]) -> Pending<'a, T> {
    match (pack, &plan.leaves) {
        (Some(pack), Leaves::Numbers { values, outputs }) if outputs.is_empty() => {
            Pending::new(pack, values, labels, margins[0])
        }
        _ => Pending::none(margins[0]),
    }
}

/// Adds a pack's leaves that are anything else.
#[inline(always)]
fn add_others<T: Real>(plan: &LanePlan<T>, pack: Option<&Pack>, row: &[T], labels: &[u8], margins: &mut [T]) {
    match (pack, &plan.leaves) {
        (None, _) => {}
        (_, Leaves::Numbers { outputs, .. }) if outputs.is_empty() => {}
        (Some(pack), _) => add_pack(plan, pack, row, labels, margins),
    }
}

/// Decides all trees for the row that was ranked: what the benches time alone.
#[inline(always)]
pub(super) fn label<K: Stages<PARTS>, T: Real, const PARTS: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    scratch: &mut LaneScratch,
) {
    match plan.lanes() {
        _ if plan.is_grouped() => label_packs::<K, T, PARTS, GROUPED>(kernel, plan, scratch),
        64 => label_packs::<K, T, PARTS, 64>(kernel, plan, scratch),
        128 => label_packs::<K, T, PARTS, 128>(kernel, plan, scratch),
        _ => label_packs::<K, T, PARTS, 256>(kernel, plan, scratch),
    }
}

#[inline(always)]
fn label_packs<K: Stages<PARTS>, T: Real, const PARTS: usize, const LANES: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    scratch: &mut LaneScratch,
) {
    let LaneScratch {
        lanes,
        labels,
        tables,
        words,
        ..
    } = scratch;
    let tables = (kernel.tables::<LANES>(&lanes[..plan.lanes()]), &**tables, &**words);
    for pack in &plan.packs {
        let own = &mut labels[pack.first_tree..];
        label_pack::<K, T, PARTS, LANES>(kernel, plan, pack, &tables, own, &mut Pending::none(T::ZERO));
    }
}

/// Decides a pack's trees for a row, and adds some of the leaves that are pending.
#[inline(always)]
fn label_pack<K: Stages<PARTS>, T: Real, const PARTS: usize, const LANES: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    pack: &Pack,
    (tables, pair_tables, words): &(K::Tables<'_>, &[[u8; TABLE]], &[u64]),
    labels: &mut [u8],
    pending: &mut Pending<'_, T>,
) {
    let own = &mut labels[..CHUNK * pack.chunks];
    if pack.shape == Shape::Paired {
        return kernel.paired(plan.pairs.of(pack), pair_tables, own, pending);
    }
    let lines = &plan.lines[pack.first_line..];
    if plan.bits.are_used() {
        let steps = (pack.steps, &words[plan.first_word(pack)..]);
        return match pack.chunks {
            1 => kernel.listed::<T, LANES, 1, true>(steps, lines, tables, own, pending),
            2 => kernel.listed::<T, LANES, 2, true>(steps, lines, tables, own, pending),
            3 => kernel.listed::<T, LANES, 3, true>(steps, lines, tables, own, pending),
            _ => kernel.listed::<T, LANES, 4, true>(steps, lines, tables, own, pending),
        };
    }
    let steps = (pack.steps, [].as_slice());
    match (pack.shape, pack.chunks) {
        (Shape::Full { depth }, _) => {
            let is_asked_for = kernel.asks_ahead() && full::is_asked_for(plan);
            kernel.full::<T, LANES>((depth, is_asked_for), lines, tables, own, pending);
        }
        (Shape::Listed, 1) => kernel.listed::<T, LANES, 1, false>(steps, lines, tables, own, pending),
        (Shape::Listed, 2) => kernel.listed::<T, LANES, 2, false>(steps, lines, tables, own, pending),
        (Shape::Listed, 3) => kernel.listed::<T, LANES, 3, false>(steps, lines, tables, own, pending),
        (Shape::Listed | Shape::Paired, _) => kernel.listed::<T, LANES, 4, false>(steps, lines, tables, own, pending),
    }
}

/// Does what [`row_margins`] does for several rows, `width` values each.
#[inline(always)]
pub(super) fn rows_margins<K: Stages<PARTS>, T: Real, const PARTS: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    (rows, width): (&[T], usize),
    block: &mut LaneBlock,
    margins: &mut [T],
) {
    let (lanes, missing) = block.lanes_and_missing(plan, rows.len() / width);
    match plan.comparison {
        Comparison::Less => rank_rows(plan, (rows, width), lanes, missing, SearchBy::<K, false>(kernel)),
        Comparison::LessOrEqual => rank_rows(plan, (rows, width), lanes, missing, SearchBy::<K, true>(kernel)),
    }
    let rows = (rows, width);
    match plan.lanes() {
        _ if plan.is_grouped() => block.sum::<K, T, PARTS, GROUPED>(kernel, plan, rows, margins),
        64 => block.sum::<K, T, PARTS, 64>(kernel, plan, rows, margins),
        128 => block.sum::<K, T, PARTS, 128>(kernel, plan, rows, margins),
        _ => block.sum::<K, T, PARTS, 256>(kernel, plan, rows, margins),
    }
}

/// Decides a chunk's trees for all rows, whose lanes and labels lie one after the other.
#[inline(always)]
pub(super) fn label_chunk<K: Stages<PARTS>, T: Real, const PARTS: usize, const LANES: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    (pack, chunk): (&Pack, usize),
    (lanes, pair_tables, words): (&[u8], &[[u8; TABLE]], &[u64]),
    labels: &mut [u8],
) {
    if pack.shape == Shape::Paired {
        let tables = (pair_tables, plan.pairs.table_count());
        return kernel.paired_rows(plan.pairs.of(pack), chunk, tables, labels);
    }
    let lines = &plan.lines[pack.first_line..];
    let (stride, used) = (2 * plan.half, plan.lanes());
    match pack.shape {
        Shape::Full { depth } => {
            for (lanes, labels) in lanes.chunks_exact(stride).zip(labels.chunks_exact_mut(CHUNK)) {
                let tables = kernel.tables::<LANES>(&lanes[..used]);
                kernel.full::<T, LANES>((depth, false), lines, &tables, labels, &mut Pending::none(T::ZERO));
            }
        }
        Shape::Listed | Shape::Paired => {
            let (pack, lanes) = ((pack, chunk), (lanes, stride, used));
            if plan.bits.are_used() {
                let words = (&words[plan.first_word(pack.0)..], plan.bits.words);
                kernel.listed_rows::<LANES, true>(pack, lines, lanes, words, labels);
            } else {
                kernel.listed_rows::<LANES, false>(pack, lines, lanes, (&[], 0), labels);
            }
        }
    }
}
