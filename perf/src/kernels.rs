//! Our kernels against each other on every model of a folder: one row a call and 1,024, distinct rows, all interleaved.
//! A figure is the median over rounds and the least.

use std::fs;
use std::path::Path;
use std::time::Instant;

use quintile_model::{Identity, KernelChoice, Manifest, Model, Options, Scratch, load};

use crate::plan::{Fault, read_singles};

const ROUNDS: usize = 25;
const BATCH_ROWS: usize = 1_024;
/// Enough that no branch predictor learns them.
const ROWS: usize = 20_000;
const FEATURES: usize = 50;

struct Contestant {
    kernel: KernelChoice,
    model: Model,
    scratch: Scratch,
    times: Vec<f64>,
    batch_times: Vec<f64>,
}

pub(crate) fn run(folder: &Path, name: &str, kernel: &str) -> Result<(), Fault> {
    let numbers = read_singles(&folder.join("rows.f32"))?;
    let rows: Vec<Vec<f64>> = numbers
        .chunks_exact(FEATURES)
        .take(ROWS)
        .map(|row| row.iter().map(|&value| f64::from(value)).collect())
        .collect();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let is_model = (file.starts_with("xgboost-") && file.ends_with(".json"))
            || (file.starts_with("lightgbm-") && file.ends_with(".txt"));
        if is_model && path.to_string_lossy().contains(name) {
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        compare(&path, &rows, kernel)?;
    }
    Ok(())
}

/// Runs the kernels whose name begins as asked for.
fn compare(path: &Path, rows: &[Vec<f64>], wanted: &str) -> Result<(), Fault> {
    let bytes = fs::read(path)?;
    let mut contestants: Vec<_> = KernelChoice::NAMES
        .iter()
        .filter(|(name, _)| name.starts_with(wanted))
        .filter(|(_, kernel)| !matches!(kernel, KernelChoice::Auto | KernelChoice::Reference))
        .filter_map(|&(_, kernel)| contestant(&bytes, kernel))
        .collect();
    if contestants.is_empty() {
        return Err(format!("no kernel {wanted} takes {}", path.display()).into());
    }
    check(&mut contestants, rows);
    let batches: Vec<_> = rows.chunks(BATCH_ROWS).map(<[Vec<f64>]>::concat).collect();
    let batches = &batches;
    for _ in 0..ROUNDS {
        for contestant in &mut contestants {
            let start = Instant::now();
            for row in rows {
                contestant.model.score_row(row, &mut contestant.scratch);
            }
            let nanoseconds = start.elapsed().as_secs_f64() * 1e9;
            contestant.times.push(nanoseconds / rows.len() as f64);
            let start = Instant::now();
            let mut sum = 0.0;
            for rows in batches {
                let add = |_, _, scratch: &Scratch| sum += scratch.margins()[0];
                contestant.model.score_rows(rows, &mut contestant.scratch, add);
            }
            std::hint::black_box(sum);
            let nanoseconds = start.elapsed().as_secs_f64() * 1e9;
            contestant.batch_times.push(nanoseconds / rows.len() as f64);
        }
    }
    println!("{}", path.display());
    let scalar = median(&contestants[0].times);
    for contestant in &contestants {
        let [single, batch] = [&contestant.times, &contestant.batch_times].map(|times| (median(times), least(times)));
        println!(
            "  {:<8} {:9.1} ns a row (least {:9.1}), {:5.2} times scalar; in batches {:9.1} (least {:9.1}); {:6} KiB",
            contestant.kernel.to_string(),
            single.0,
            single.1,
            scalar / single.0,
            batch.0,
            batch.1,
            contestant.model.bytes() / 1024
        );
    }
    Ok(())
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn contestant(bytes: &[u8], kernel: KernelChoice) -> Option<Contestant> {
    let ensemble = load(bytes).ok()?;
    let identity = Identity {
        name: "timed".into(),
        version: "1".into(),
    };
    let options = Options {
        kernel,
        ..Options::default()
    };
    let model = Model::build(ensemble, Manifest::empty(), identity, options).ok()?;
    let scratch = model.scratch();
    Some(Contestant {
        kernel,
        model,
        scratch,
        times: Vec::new(),
        batch_times: Vec::new(),
    })
}

/// Every contestant gives the first one's margins.
fn check(contestants: &mut [Contestant], rows: &[Vec<f64>]) {
    for row in rows {
        let mut answers = contestants.iter_mut().map(|contestant| {
            contestant.model.score_row(row, &mut contestant.scratch);
            contestant.scratch.margins()[0].to_bits()
        });
        let first = answers.next();
        assert!(answers.all(|answer| Some(answer) == first), "the kernels disagree");
    }
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
