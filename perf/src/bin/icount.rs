//! Scores rows of a made model with one kernel, for `perf/icount-kernels` to count the instructions of: icount MODEL
//! KERNEL USE ROWS. Two runs of different length, subtracted, leave what the rows cost.

#[path = "../random_models.rs"]
mod random_models;

use std::hint::black_box;
use std::process::ExitCode;

use quintile_model::{KernelChoice, Precision};
use random_models::BASE;
use random_models::random::Recipe;

fn recipe(name: &str) -> Option<Recipe> {
    let listed = Recipe {
        precision: Precision::F64,
        depth: 30,
        leaves: 31,
        ..BASE
    };
    match name {
        "full" => Some(Recipe { trees: 200, ..BASE }),
        "listed" => Some(Recipe { trees: 200, ..listed }),
        "deep" => Some(Recipe {
            trees: 50,
            depth: 12,
            leaves: 1_500,
            ..BASE
        }),
        _ => None,
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = |[name, kernel, how, rows]: [&str; 4]| {
        let recipe = recipe(name)?;
        let model = random_models::model(recipe.ensemble().ensemble, kernel.parse().ok()?)?;
        let rows = random_models::rows(recipe.features, rows.parse().ok()?, 100);
        let mut scratch = model.scratch();
        match how {
            "single" => {
                for row in rows.chunks_exact(recipe.features) {
                    black_box(model.score_row(row, &mut scratch));
                }
            }
            "batch" => model.score_rows(&rows, &mut scratch, |_, _, scratch| {
                black_box(scratch.margins());
            }),
            _ => return None,
        }
        (model.kernel() != KernelChoice::Auto).then_some(())
    };
    if <[&str; 4]>::try_from(words).ok().and_then(run).is_some() {
        return ExitCode::SUCCESS;
    }
    eprintln!("usage: icount full|listed|deep KERNEL single|batch ROWS; the kernel must take the model on this CPU");
    ExitCode::from(2)
}
