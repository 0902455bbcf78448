//! The stages of a row one by one, for `benches/stages.rs`. Scoring runs the last two interleaved.

use super::{Avx2, GROUPED, LookUp, Vector};
use crate::kernel::lanes::{LaneScratch, add_leaves};
use crate::plan::lanes::LanePlan;

impl Avx2 {
    /// Ranks a row: the first stage.
    #[doc(hidden)]
    pub fn rank<T: Vector>(self, plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch) {
        // SAFETY: `self` exists only where `new` has found every feature that the function is compiled for.
        unsafe { super::rank(plan, row, scratch, true) };
    }

    /// Decides all trees for the row that was ranked: the second stage.
    #[doc(hidden)]
    pub fn label<T: Vector>(self, plan: &LanePlan<T>, scratch: &mut LaneScratch) {
        // SAFETY: as above.
        unsafe {
            match plan.lanes() {
                _ if plan.is_grouped() => label::<T, GROUPED>(plan, scratch),
                64 => label::<T, 64>(plan, scratch),
                128 => label::<T, 128>(plan, scratch),
                _ => label::<T, 256>(plan, scratch),
            }
        }
    }

    /// Adds the leaves of the row that was decided: the last stage.
    #[doc(hidden)]
    pub fn add<T: Vector>(self, plan: &LanePlan<T>, row: &[T], scratch: &LaneScratch, margins: &mut [T]) {
        add_leaves(plan, row, &scratch.labels, margins);
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn label<T: Vector, const LANES: usize>(plan: &LanePlan<T>, scratch: &mut LaneScratch) {
    let LaneScratch { lanes, labels, .. } = scratch;
    let look_up = LookUp::new::<LANES>(&lanes[..plan.lanes()]);
    for pack in &plan.packs {
        super::label::<T, LANES>(plan, pack, &look_up, labels);
    }
}
