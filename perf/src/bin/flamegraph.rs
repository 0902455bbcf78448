//! Draws what `perf script` prints, for `perf/flamegraph`: flamegraph PICTURE TITLE < SCRIPT. Prints the functions that
//! had the CPU most often themselves.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::process::ExitCode;

use inferno::collapse::Collapse as _;
use inferno::collapse::perf::{Folder, Options};

/// Functions that are listed.
const LISTED: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [picture, title] = arguments.as_slice() else {
        eprintln!("usage: flamegraph PICTURE TITLE < SCRIPT");
        return ExitCode::from(2);
    };
    match draw(picture, title) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flamegraph: {error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(picture: &str, title: &str) -> Result<(), Box<dyn Error>> {
    let mut folded = Vec::new();
    Folder::from(Options::default()).collapse(BufReader::new(io::stdin().lock()), &mut folded)?;
    let folded = String::from_utf8(folded)?;
    let mut options = inferno::flamegraph::Options::default();
    title.clone_into(&mut options.title);
    // What perf counts for a sample of its CPU clock.
    "ns".clone_into(&mut options.count_name);
    options.hash = true;
    let out = BufWriter::new(File::create(picture)?);
    inferno::flamegraph::from_lines(&mut options, folded.lines(), out)?;
    print(&folded)?;
    Ok(())
}

/// By their own share: where a stack ends.
fn print(folded: &str) -> io::Result<()> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let mut total = 0;
    for line in folded.lines() {
        let Some((stack, count)) = line.rsplit_once(' ') else {
            continue;
        };
        let count: u64 = count.parse().unwrap_or(0);
        *counts.entry(stack.rsplit(';').next().unwrap_or(stack)).or_default() += count;
        total += count;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
    let mut out = io::stdout().lock();
    #[expect(clippy::cast_precision_loss, reason = "seconds with one digit")]
    let seconds = total as f64 / 1e9;
    writeln!(out, "{seconds:.1} s of CPU time; on top of the stack:")?;
    for (name, count) in counts.into_iter().take(LISTED) {
        #[expect(clippy::cast_precision_loss, reason = "a percentage with one digit")]
        let share = 100.0 * count as f64 / total.max(1) as f64;
        writeln!(out, "{share:>6.1} %  {name}")?;
    }
    Ok(())
}
