//! Every kernel against the reference, to the last bit, on random ensembles and rows that lie on and beside thresholds.
//!
//! Sizes are swept around every boundary of the lane plans: 64, 128 and 256 lanes, 255 thresholds, 8 and 64 trees, 16,
//! 32, 64 and 256 leaves, 8, 16 and 32 rows.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lints spare test functions but not what they call"
)]

#[path = "support/random.rs"]
mod random;

use std::collections::BTreeMap;

use quintile_model::kernel::block::LaneBlock;
use quintile_model::kernel::lanes::{self, LaneScratch};
use quintile_model::kernel::real::Real;
use quintile_model::kernel::{Vectors, reference, scalar};
use quintile_model::plan::Plan;
use quintile_model::plan::lanes::LanePlan;
use quintile_model::{Ensemble, KernelChoice, Precision};
use random::{LeafOf, Missing, Neighbour, Random, Recipe, Sample};

/// What was compared with the reference.
#[derive(Debug, Default)]
struct Tally {
    rows: usize,
    lanes: usize,
    /// Rows with each of the vector kernels that the CPU has.
    vectors: BTreeMap<String, usize>,
    several: usize,
    /// Plans in which each category node has a bit.
    with_bits: usize,
    /// Plans in which steps read two tables of lanes.
    paired: usize,
}

impl Tally {
    fn check(&mut self, recipe: Recipe) {
        let sample = recipe.ensemble();
        match recipe.precision {
            Precision::F32 => self.compare::<f32>(&sample, recipe),
            Precision::F64 => self.compare::<f64>(&sample, recipe),
        }
    }

    fn compare<T: Real + Neighbour>(&mut self, sample: &Sample, recipe: Recipe) {
        let ensemble = &sample.ensemble;
        for limit in [recipe.trees, recipe.trees / 2] {
            let plans = ASKING.map(|kernel| LanePlan::<T>::try_compile(ensemble, limit, kernel));
            let explained = |plan: usize| plans[plan].as_ref().map(LanePlan::explain).ok();
            // Most ensembles have the same plan for all kernels.
            let different = if explained(0) == explained(1) { 1 } else { 2 };
            for plan in plans.into_iter().take(different) {
                self.compare_plan::<T>(sample, recipe, limit, plan.ok());
            }
        }
    }

    fn compare_plan<T: Real + Neighbour>(
        &mut self,
        sample: &Sample,
        recipe: Recipe,
        limit: usize,
        lane_plan: Option<LanePlan<T>>,
    ) {
        let ensemble = &sample.ensemble;
        let explained = lane_plan.as_ref().map(LanePlan::explain).unwrap_or_default();
        self.with_bits += usize::from(explained.contains("a bit for each category node"));
        self.paired += usize::from(!explained.contains(" 0 node by node from two tables"));
        let walk = Plan::<T>::compile(ensemble, limit);
        let mut random = Random(recipe.seed ^ 0x5eed);
        // A scratch is reused from row to row, so that what one leaves behind would show, and no kernel sees
        // another's.
        let mut scratch = lane_plan.as_ref().map(LaneScratch::new).unwrap_or_default();
        let mut kernels: Vec<_> = Vectors::all().map(|kernel| (kernel, scratch.clone())).collect();
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
            let Some(plan) = &lane_plan else { continue };
            let lanes = margins(&mut |out| lanes::margins(plan, &row, &mut scratch, out));
            assert_eq!(lanes, expected, "lanes: {recipe:?} {row:?}");
            self.lanes += 1;
            for (kernel, scratch) in &mut kernels {
                let vectors = margins(&mut |out| kernel.margins(plan, &row, scratch, out));
                assert_eq!(vectors, expected, "{}: {recipe:?} {row:?}", kernel.choice());
                *self.vectors.entry(kernel.choice().to_string()).or_default() += 1;
            }
        }
        let Some(plan) = &lane_plan else { return };
        let rows = sample.rows::<T>(35, &mut random);
        for kernel in Vectors::all() {
            self.several((ensemble, limit), plan, kernel, &rows, recipe);
        }
    }

    /// Rows at once, in blocks around the counts that share registers.
    fn several<T: Real + Neighbour>(
        &mut self,
        (ensemble, limit): (&Ensemble, usize),
        plan: &LanePlan<T>,
        kernel: Vectors,
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
            kernel.rows_margins(plan, (&flat, recipe.features), &mut block, &mut margins);
            let actual = margins.iter().map(|margin| margin.widen().to_bits());
            assert!(
                actual.eq(expected[..count].concat()),
                "{}, {count} rows: {recipe:?}",
                kernel.choice()
            );
            self.several += count;
        }
    }

    /// Says what the machine let us exercise, and that every sample of this test took to lanes.
    fn report(&self, name: &str, all_take_lanes: bool) {
        println!("{name}: {self:?}");
        assert!(self.rows > 0);
        assert!(!all_take_lanes || self.lanes == self.rows, "{name}: {self:?}");
        for &choice in Vectors::CHOICES {
            match Vectors::new(choice) {
                Ok(_) if self.lanes > 0 => assert_eq!(self.vectors[&choice.to_string()], self.lanes, "{choice}"),
                Ok(_) => {}
                Err(reason) => println!("SKIPPED {choice}: {reason}"),
            }
        }
    }
}

/// The kernels whose plans differ: every kernel evaluates both.
const ASKING: [KernelChoice; 2] = [KernelChoice::Avx512, KernelChoice::Avx2];

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
    assert!(tally.paired > 0, "{tally:?}");
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
fn categories_with_many_sets() {
    let mut tally = Tally::default();
    let sizes = [
        (1, 40),
        (30, 40),
        (64, 31),
        (65, 31),
        (129, 8),
        (200, 64),
        (300, 200),
        (40, 400),
    ];
    for (seed, (trees, leaves)) in (500..).zip(sizes) {
        for (category_one_in, features) in [(1, 3), (2, 20), (3, 90)] {
            for missing in [Missing::Left, Missing::Either] {
                for recipe in both(Recipe {
                    seed,
                    trees,
                    leaves,
                    depth: 12,
                    features,
                    category_one_in,
                    missing,
                    ..Recipe::PLAIN
                }) {
                    tally.check(recipe);
                }
            }
        }
    }
    assert!(tally.with_bits > 0, "{tally:?}");
    // Where codes are so many that their rows of bits would take too much memory, trees are walked.
    assert!(tally.lanes > tally.rows / 2, "{tally:?}");
    tally.report("categories", false);
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
    let refused = LanePlan::<f32>::try_compile(&sample.ensemble, recipe.trees, ASKING[0]);
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
