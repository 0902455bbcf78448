//! Every kernel against the reference, to the last bit, on random ensembles and rows that lie on and beside thresholds.
//!
//! Sizes are swept around every boundary of the lane plans: 64, 128 and 256 lanes, 255 thresholds, 8 and 64 trees, 16, 32, 64 and
//! 256 leaves, 8, 16 and 32 rows.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lints spare test functions but not what they call"
)]

#[path = "support/random.rs"]
mod random;

use quintile_model::kernel::avx2::{self, Avx2};
use quintile_model::kernel::avx512::{self, Avx512};
use quintile_model::kernel::block::LaneBlock;
use quintile_model::kernel::lanes::{self, LaneScratch};
use quintile_model::kernel::{reference, scalar};
use quintile_model::plan::Plan;
use quintile_model::plan::lanes::LanePlan;
use quintile_model::{Ensemble, KernelChoice, Precision};
use random::{LeafOf, Missing, Neighbour, Random, Recipe, Sample};

/// What was compared with the reference.
#[derive(Debug, Default)]
struct Tally {
    rows: usize,
    lanes: usize,
    avx512: usize,
    avx2: usize,
    several: usize,
}

/// Evaluates rows that lie side by side into margins that do so too.
type Several<'a, T> = dyn Fn(&[T], &mut LaneBlock, &mut [T]) + 'a;

impl Tally {
    fn check(&mut self, recipe: Recipe) {
        let sample = recipe.ensemble();
        match recipe.precision {
            Precision::F32 => self.compare::<f32>(&sample, recipe),
            Precision::F64 => self.compare::<f64>(&sample, recipe),
        }
    }

    fn compare<T: avx512::Vector + avx2::Vector + Neighbour>(&mut self, sample: &Sample, recipe: Recipe) {
        let ensemble = &sample.ensemble;
        for limit in [recipe.trees, recipe.trees / 2] {
            let walk = Plan::<T>::compile(ensemble, limit);
            let lane_plan = LanePlan::<T>::try_compile(ensemble, limit, KernelChoice::Avx512);
            let mut random = Random(recipe.seed ^ 0x5eed);
            // A scratch is reused from row to row, so that what one leaves behind would show, and no kernel sees another's.
            let mut scratch = lane_plan.as_ref().map(LaneScratch::new).unwrap_or_default();
            let mut twin_scratch = scratch.clone();
            let mut avx2_scratch = scratch.clone();
            for row in sample.rows::<T>(24, &mut random) {
                let margins = |evaluate: &mut dyn FnMut(&mut [T])| {
                    let mut margins = vec![T::NAN; recipe.outputs];
                    evaluate(&mut margins);
                    margins
                        .iter()
                        .map(|margin| margin.widen().to_bits())
                        .collect::<Vec<_>>()
                };
                let expected = margins(&mut |out| reference::margins(ensemble, limit, &row, out));
                let scalar = margins(&mut |out| scalar::margins(&walk, &row, out));
                assert_eq!(scalar, expected, "scalar: {recipe:?} {row:?}");
                self.rows += 1;
                let Ok(plan) = &lane_plan else { continue };
                let lanes = margins(&mut |out| lanes::margins(plan, &row, &mut twin_scratch, out));
                assert_eq!(lanes, expected, "lanes: {recipe:?} {row:?}");
                self.lanes += 1;
                if let Some(kernel) = Avx2::new() {
                    let avx2 = margins(&mut |out| kernel.margins(plan, &row, &mut avx2_scratch, out));
                    assert_eq!(avx2, expected, "avx2: {recipe:?} {row:?}");
                    self.avx2 += 1;
                }
                let Some(kernel) = Avx512::new() else { continue };
                let avx512 = margins(&mut |out| kernel.margins(plan, &row, &mut scratch, out));
                assert_eq!(avx512, expected, "avx512: {recipe:?} {row:?}");
                self.avx512 += 1;
            }
            let Ok(plan) = &lane_plan else { continue };
            let rows = sample.rows::<T>(35, &mut random);
            if let Some(kernel) = Avx512::new() {
                let evaluate = |flat: &[T], block: &mut LaneBlock, margins: &mut [T]| {
                    kernel.rows_margins(plan, flat, recipe.features, block, margins);
                };
                self.several((ensemble, limit), plan, ("avx512", &evaluate), &rows, recipe);
            }
            if let Some(kernel) = Avx2::new() {
                let evaluate = |flat: &[T], block: &mut LaneBlock, margins: &mut [T]| {
                    kernel.rows_margins(plan, flat, recipe.features, block, margins);
                };
                self.several((ensemble, limit), plan, ("avx2", &evaluate), &rows, recipe);
            }
        }
    }

    /// Rows at once, in blocks around the counts that share registers.
    fn several<T: avx512::Vector + avx2::Vector>(
        &mut self,
        (ensemble, limit): (&Ensemble, usize),
        plan: &LanePlan<T>,
        (name, evaluate): (&str, &Several<'_, T>),
        rows: &[Vec<T>],
        recipe: Recipe,
    ) {
        let mut block = LaneBlock::new(plan, rows.len());
        let expected = rows.iter().map(|row| {
            let mut margins = vec![T::NAN; recipe.outputs];
            reference::margins(ensemble, limit, row, &mut margins);
            margins
                .iter()
                .map(|margin| margin.widen().to_bits())
                .collect::<Vec<_>>()
        });
        let expected: Vec<_> = expected.collect();
        for count in [35, 33, 32, 31, 17, 16, 15, 9, 8, 7, 1] {
            let mut margins = vec![T::NAN; count * recipe.outputs];
            let flat = rows[..count].concat();
            evaluate(&flat, &mut block, &mut margins);
            let actual = margins.iter().map(|margin| margin.widen().to_bits());
            assert!(
                actual.eq(expected[..count].concat()),
                "{name}, {count} rows: {recipe:?}"
            );
            self.several += count;
        }
    }

    /// Says what the machine let us exercise, and that every sample of this test took to lanes.
    fn report(&self, name: &str, all_take_lanes: bool) {
        println!("{name}: {self:?}");
        assert!(self.rows > 0);
        assert!(!all_take_lanes || self.lanes == self.rows, "{name}: {self:?}");
        if Avx512::new().is_some() {
            assert_eq!(self.avx512, self.lanes);
        } else {
            println!("SKIPPED: this CPU has no AVX-512 with byte permutes");
        }
        if Avx2::new().is_some() {
            assert_eq!(self.avx2, self.lanes);
        } else {
            println!("SKIPPED: this CPU has no AVX2");
        }
    }
}

fn both(recipe: Recipe) -> [Recipe; 2] {
    [Precision::F32, Precision::F64].map(|precision| Recipe { precision, ..recipe })
}

#[test]
fn depths_and_counts_of_trees() {
    let mut tally = Tally::default();
    for (seed, depth) in (1..).zip(0..=20) {
        for trees in [1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 200, 600] {
            let leaves = 1 << depth.min(9);
            // Deep and many at once would only take time.
            if trees * leaves <= 40_000 {
                for recipe in both(Recipe {
                    seed,
                    trees,
                    depth,
                    leaves,
                    ..Recipe::PLAIN
                }) {
                    tally.check(recipe);
                }
            }
        }
    }
    tally.report("depths", true);
}

#[test]
fn counts_of_features_around_lane_boundaries() {
    let mut tally = Tally::default();
    for (seed, features) in (100..).zip([1, 2, 31, 50, 63, 64, 65, 100, 127, 128, 129, 200, 255, 256, 257, 300]) {
        for missing in [Missing::Left, Missing::Right, Missing::Either] {
            for recipe in both(Recipe {
                seed,
                features,
                missing,
                trees: 130,
                thresholds: 30,
                ..Recipe::PLAIN
            }) {
                tally.check(recipe);
            }
        }
    }
    tally.report("features", true);
}

#[test]
fn counts_of_thresholds_around_blocks_and_windows() {
    let mut tally = Tally::default();
    for (seed, thresholds) in (200..).zip([
        1, 2, 15, 16, 17, 254, 255, 256, 257, 271, 272, 510, 511, 512, 700, 5_000,
    ]) {
        for features in [1, 3, 30] {
            for recipe in both(Recipe {
                seed,
                thresholds,
                features,
                trees: 300,
                ..Recipe::PLAIN
            }) {
                tally.check(recipe);
            }
        }
    }
    tally.report("thresholds", true);
}

#[test]
fn unbalanced_trees_around_label_boundaries() {
    let mut tally = Tally::default();
    for (seed, leaves) in (300..).zip([
        1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 200, 254, 255, 256, 257, 400, 1_000,
    ]) {
        for depth in [20, 60] {
            for recipe in both(Recipe {
                seed,
                leaves,
                depth,
                trees: 70,
                ..Recipe::PLAIN
            }) {
                tally.check(recipe);
            }
        }
    }
    tally.report("leaves", true);
}

#[test]
fn outputs_leaves_categories_and_zeros() {
    let mut tally = Tally::default();
    let mut seed = 400;
    for outputs in [1, 3, 10] {
        for leaf in [LeafOf::Number, LeafOf::Vector, LeafOf::Linear] {
            for category_one_in in [0, 2, 40] {
                for zero_is_missing in [false, true] {
                    seed += 1;
                    let recipe = Recipe {
                        seed,
                        outputs,
                        leaf,
                        category_one_in,
                        zero_is_missing,
                        trees: 30,
                        ..Recipe::PLAIN
                    };
                    for recipe in both(recipe) {
                        tally.check(recipe);
                    }
                }
            }
        }
    }
    tally.report("outputs", true);
}

#[test]
fn what_needs_too_many_lanes_is_refused() {
    let recipe = Recipe {
        features: 1_500,
        trees: 200,
        thresholds: 3,
        ..Recipe::PLAIN
    };
    let sample = recipe.ensemble();
    let refused = LanePlan::<f32>::try_compile(&sample.ensemble, recipe.trees, KernelChoice::Avx512);
    let message = refused.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("2,048"), "{message}");
    let none = Recipe {
        trees: 0,
        ..Recipe::PLAIN
    };
    for recipe in both(none) {
        Tally::default().check(recipe);
    }
}
