//! How the cost of a row grows with trees, depth, columns and the share of missing values. Called by `perf/growth`.
//!
//! One property is swept, the others stay at those of [`random_models::BASE`] with a tenth of the values missing. At
//! each point the kernels run interleaved, five rounds; a figure is the median. Prints JSON. With an argument, only the
//! sweeps that begin so.

#![allow(clippy::print_stdout, reason = "figures are what this program is for")]

#[path = "../random_models.rs"]
mod random_models;

use std::hint::black_box;
use std::time::{Duration, Instant};

use quintile_model::{KernelChoice, Model, Scratch};
use random_models::BASE;
use random_models::random::Recipe;

/// Those that the machine at hand has are timed.
const KERNELS: [KernelChoice; 5] = [
    KernelChoice::Scalar,
    KernelChoice::Avx2,
    KernelChoice::Avx512Bw,
    KernelChoice::Avx512,
    KernelChoice::Neon,
];

/// Rounds of a point, and what a figure of one may take.
const ROUNDS: usize = 5;
const SLICE: Duration = Duration::from_millis(12);

/// Bytes and number of a point's rows.
const ROWS_BYTES: usize = 8 << 20;
const ROWS_MAX: usize = 4_096;

struct Point {
    sweep: &'static str,
    value: usize,
    recipe: Recipe,
    missing_per_mille: usize,
}

fn main() {
    let mut lines = Vec::new();
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for point in points().into_iter().filter(|point| point.sweep.starts_with(&wanted)) {
        lines.extend(time(&point));
        eprintln!("{} {}", point.sweep, point.value);
    }
    println!("[\n{}\n]", lines.join(",\n"));
}

fn points() -> Vec<Point> {
    let at = |sweep, value, recipe| Point {
        sweep,
        value,
        recipe,
        missing_per_mille: 100,
    };
    let mut points = Vec::new();
    for trees in [10, 30, 100, 200, 500, 1_000, 2_000, 5_000, 10_000] {
        points.push(at("trees", trees, Recipe { trees, ..BASE }));
    }
    for depth in 1..=12 {
        let leaves = 1 << depth;
        let recipe = Recipe { depth, leaves, ..BASE };
        points.push(at("depth", depth as usize, recipe));
    }
    for features in [10, 20, 32, 50, 64, 100, 128, 200, 500, 1_000, 2_000] {
        points.push(at("columns", features, Recipe { features, ..BASE }));
    }
    for missing_per_mille in [0, 1, 10, 100, 250, 500, 750, 1_000] {
        points.push(Point {
            missing_per_mille,
            ..at("missing", missing_per_mille / 10, BASE)
        });
    }
    points
}

struct Contestant {
    kernel: KernelChoice,
    model: Model,
    scratch: Scratch,
    single: Vec<f64>,
    batch: Vec<f64>,
}

fn time(point: &Point) -> Vec<String> {
    let columns = point.recipe.features;
    let count = (ROWS_BYTES / 8 / columns).min(ROWS_MAX);
    let rows = random_models::rows(columns, count, point.missing_per_mille);
    let ensemble = point.recipe.ensemble().ensemble;
    let contestant = |kernel| {
        let model = random_models::model(ensemble.clone(), kernel)?;
        Some(Contestant {
            kernel,
            scratch: model.scratch(),
            model,
            single: Vec::new(),
            batch: Vec::new(),
        })
    };
    let mut contestants: Vec<_> = KERNELS.into_iter().filter_map(contestant).collect();
    for round in 0..=ROUNDS {
        for contestant in &mut contestants {
            let Contestant { model, scratch, .. } = contestant;
            let single = slice(|at| {
                let row = &rows[at % count * columns..][..columns];
                black_box(model.score_row(row, scratch));
                1
            });
            let per_call = count.min(1_024);
            let batch = slice(|at| {
                let first = if at + per_call > count { 0 } else { at };
                let rows = &rows[first * columns..][..per_call * columns];
                let mut sum = 0.0;
                model.score_rows(rows, scratch, |_, _, scratch| sum += scratch.margins()[0]);
                black_box(sum);
                per_call
            });
            // The first round warms up.
            if round > 0 {
                contestant.single.push(single);
                contestant.batch.push(batch);
            }
        }
    }
    let line = |contestant: &mut Contestant| {
        let [single, batch] = [&mut contestant.single, &mut contestant.batch].map(|times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        });
        format!(
            r#"{{"sweep": "{}", "value": {}, "kernel": "{}", "single_ns": {single:.1}, "batch_ns": {batch:.1}, "bytes": {}}}"#,
            point.sweep,
            point.value,
            contestant.kernel,
            contestant.model.bytes()
        )
    };
    contestants.iter_mut().map(line).collect()
}

/// Calls for as long as a slice, giving the number of rows done so far; returns nanoseconds a row.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn slice(mut call: impl FnMut(usize) -> usize) -> f64 {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < SLICE {
        // Looking at the clock takes 20 ns or more: sixteen calls a look.
        for _ in 0..16 {
            done += call(done);
            if start.elapsed() > 8 * SLICE {
                break;
            }
        }
    }
    start.elapsed().as_secs_f64() * 1e9 / done as f64
}
