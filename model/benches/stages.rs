//! What each stage of a row takes, alone: ranks, masks, leaves. `cargo bench --package quintile-model`.
//!
//! A stage runs over 512 distinct rows; a figure is the time for all of them, and the throughput is rows a second.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "the lints spare test functions but not benches; nobody calls these"
)]

#[path = "../tests/support/random.rs"]
#[allow(dead_code, reason = "benches need ensembles and rows, not what is hard about them")]
mod random;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use quintile_model::kernel::Vectors;
use quintile_model::kernel::lanes::LaneScratch;
use quintile_model::kernel::real::Real;
use quintile_model::plan::lanes::LanePlan;
use quintile_model::{KernelChoice, Precision};
use random::{Neighbour, Random, Recipe};

const ROWS: usize = 512;

fn main() {
    divan::main();
}

/// 500 trees over 50 columns: full ones of depth 6, or listed ones of 31 leaves.
fn recipe<T: 'static>(full: bool) -> Recipe {
    let base = Recipe {
        trees: 500,
        features: 50,
        thresholds: 255,
        precision: if size_of::<T>() == 4 {
            Precision::F32
        } else {
            Precision::F64
        },
        ..Recipe::PLAIN
    };
    match full {
        true => base,
        false => Recipe {
            depth: 30,
            leaves: 31,
            ..base
        },
    }
}

/// A plan, its rows, and each one's working memory, ranked and decided.
struct Ready<T> {
    plan: LanePlan<T>,
    rows: Vec<Vec<T>>,
    scratches: Vec<LaneScratch>,
}

trait Number: Real + Neighbour + 'static {}
impl Number for f32 {}
impl Number for f64 {}

fn ready<T: Number>(full: bool, mut first: impl FnMut(&LanePlan<T>, &[T], &mut LaneScratch)) -> Ready<T> {
    let recipe = recipe::<T>(full);
    let sample = recipe.ensemble();
    let plan = LanePlan::try_compile(&sample.ensemble, recipe.trees, KernelChoice::Auto).unwrap();
    let rows = sample.rows::<T>(ROWS, &mut Random(5));
    let mut scratches = vec![LaneScratch::new(&plan); ROWS];
    for (row, scratch) in rows.iter().zip(&mut scratches) {
        first(&plan, row, scratch);
    }
    Ready { plan, rows, scratches }
}

macro_rules! stages {
    ($module:ident, $kernel:ident) => {
        #[divan::bench_group]
        mod $module {
            use super::*;

            #[divan::bench(types = [f32, f64])]
            fn rank<T: Number>(bencher: Bencher) {
                let Ok(kernel) = Vectors::new(KernelChoice::$kernel) else {
                    return;
                };
                let Ready {
                    plan,
                    rows,
                    mut scratches,
                } = ready::<T>(true, |_, _, _| {});
                bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
                    for (row, scratch) in rows.iter().zip(&mut scratches) {
                        kernel.rank(&plan, row, scratch);
                    }
                });
            }

            #[divan::bench(types = [f32, f64], args = ["full", "listed"])]
            fn label<T: Number>(bencher: Bencher, shape: &str) {
                let Ok(kernel) = Vectors::new(KernelChoice::$kernel) else {
                    return;
                };
                let Ready {
                    plan, mut scratches, ..
                } = ready::<T>(shape == "full", |plan, row, scratch| {
                    kernel.rank(plan, row, scratch)
                });
                bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
                    for scratch in &mut scratches {
                        kernel.label(&plan, scratch);
                    }
                });
            }

            #[divan::bench(types = [f32, f64], args = ["full", "listed"])]
            fn leaves<T: Number>(bencher: Bencher, shape: &str) {
                let Ok(kernel) = Vectors::new(KernelChoice::$kernel) else {
                    return;
                };
                let Ready {
                    plan,
                    rows,
                    scratches,
                } = ready::<T>(shape == "full", |plan, row, scratch| {
                    kernel.rank(plan, row, scratch);
                    kernel.label(plan, scratch);
                });
                let mut margins = [T::ZERO];
                bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
                    for (row, scratch) in rows.iter().zip(&scratches) {
                        kernel.add(&plan, row, scratch, &mut margins);
                        black_box(&mut margins);
                    }
                });
            }
        }
    };
}

stages!(with_avx512, Avx512);
stages!(with_avx512bw, Avx512Bw);
stages!(with_avx2, Avx2);
stages!(with_neon, Neon);
