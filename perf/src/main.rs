//! Times every kernel on every model of a folder: one row a call and 1,024, distinct rows, all interleaved.
//!
//! Called by `perf/kernels`, which trains the models. A figure is nanoseconds a row: the median over rounds and the least.
//! Neighbours on the machine disturb every round alike, because each round runs all kernels one after the other; so trust
//! the ratios more than the figures.

#![allow(clippy::print_stdout, reason = "a table is what this program is for")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use quintile_model::{Identity, KernelChoice, Manifest, Model, Options, Scratch, load};

const ROUNDS: usize = 25;
const BATCH_ROWS: usize = 1_024;

struct Contestant {
    kernel: KernelChoice,
    model: Model,
    scratch: Scratch,
    times: Vec<f64>,
    batch_times: Vec<f64>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("usage: quintile-perf FOLDER [NAME [KERNEL]]");
    let wanted = arguments.next().unwrap_or_default();
    let kernel = arguments.next().unwrap_or_default();
    let rows = rows(&Path::new(&folder).join("rows.f32"));
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of models is there")
        .map(|entry| entry.expect("its entries can be listed").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|suffix| suffix == "json" || suffix == "txt")
        })
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    paths.sort();
    for path in paths {
        compare(&path, &rows, &kernel);
    }
}

/// Rows of 50 `f32`, as doubles.
fn rows(path: &Path) -> Vec<Vec<f64>> {
    let bytes = fs::read(path).expect("the rows can be read");
    let (numbers, _) = bytes.as_chunks::<4>();
    let numbers: Vec<_> = numbers
        .iter()
        .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
        .collect();
    numbers.chunks_exact(50).map(<[f64]>::to_vec).collect()
}

/// Runs the kernels whose name begins as asked for.
fn compare(path: &Path, rows: &[Vec<f64>], wanted: &str) {
    let bytes = fs::read(path).expect("the model can be read");
    let mut contestants: Vec<_> = KernelChoice::NAMES
        .iter()
        .filter(|(name, _)| name.starts_with(wanted))
        .filter(|(_, kernel)| !matches!(kernel, KernelChoice::Auto | KernelChoice::Reference))
        .filter_map(|&(_, kernel)| contestant(&bytes, kernel))
        .collect();
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
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn contestant(bytes: &[u8], kernel: KernelChoice) -> Option<Contestant> {
    let ensemble = load(bytes).expect("the model loads");
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
