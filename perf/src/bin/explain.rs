//! Explains rows for `perf/explain`: one request a line on standard input, the time it took on standard output.
//!
//! ```text
//! explain MODEL ROWS [KERNEL]     ROWS: 64-bit numbers, row after row
//!   contributions                          of all rows: 64-bit numbers in hexadecimal, a row a line
//!   one N                                  explains the first row N times: nanoseconds of CPU time
//!   many N                                 explains the first N rows: nanoseconds of CPU time
//! ```

#![allow(clippy::print_stdout, reason = "figures are what this program is for")]

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use quintile_model::{Explainer, Identity, KernelChoice, Manifest, Model, Options};
use rustix::time::{ClockId, clock_gettime};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("explain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let [path, rows, rest @ ..] = arguments else {
        return Err("usage: explain MODEL ROWS [KERNEL]".to_owned());
    };
    let kernel = match rest.first() {
        Some(name) => name.parse::<KernelChoice>().map_err(|_| format!("no kernel {name}"))?,
        None => KernelChoice::Auto,
    };
    let read = |path: &str| std::fs::read(path).map_err(|error| format!("read {path}: {error}"));
    let ensemble = quintile_model::load(&read(path)?).map_err(|error| error.to_string())?;
    let identity = Identity {
        name: "m".to_owned(),
        version: "1".to_owned(),
    };
    let model = Model::build(ensemble, Manifest::empty(), identity, Options::default());
    let model = model.map_err(|error| error.to_string())?;
    let explainer = model.explainer(kernel).map_err(|error| error.to_string())?;
    let numbers = read(rows)?;
    let numbers = numbers.chunks_exact(8);
    let rows: Vec<f64> = numbers
        .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default()))
        .collect();
    println!("kernel {} plan {} bytes", explainer.kernel(), explainer.bytes());
    answer(&explainer, &rows, model.schema().len())
}

fn answer(explainer: &Explainer, rows: &[f64], width: usize) -> Result<(), String> {
    let mut scratch = explainer.scratch();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let words: Vec<&str> = line.split(' ').collect();
        let told = match words[..] {
            ["contributions"] => {
                let row = |row: &[f64]| {
                    explainer.explain_row(row, &mut scratch);
                    let all = scratch.all().iter();
                    all.map(|value| format!("{:016x}", value.to_bits()))
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                rows.chunks_exact(width).map(row).collect::<Vec<_>>().join("\n")
            }
            ["one", count] => {
                let count: usize = count.parse().map_err(|_| format!("no count: {count}"))?;
                let began = now();
                for _ in 0..count {
                    explainer.explain_row(std::hint::black_box(&rows[..width]), &mut scratch);
                }
                (now() - began).to_string()
            }
            ["many", count] => {
                let count: usize = count.parse().map_err(|_| format!("no count: {count}"))?;
                let began = now();
                for row in rows.chunks_exact(width).take(count) {
                    explainer.explain_row(std::hint::black_box(row), &mut scratch);
                }
                (now() - began).to_string()
            }
            _ => return Err(format!("not understood: {line}")),
        };
        writeln!(out, "{told}")
            .and_then(|()| out.flush())
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// CPU time of this thread in nanoseconds.
fn now() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
