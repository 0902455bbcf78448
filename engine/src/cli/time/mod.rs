//! `quintile time`: what a model costs on this machine, in nanoseconds a row, with every kernel that supports it.
//!
//! A round runs all kernels one after the other, one row a call and then many, so that other work on the machine
//! disturbs all of them equally; a figure is the median over the rounds. Rows are distinct, and each round continues
//! where the last one stopped, so that branch predictors learn none of them. The time covers all of
//! [`Model::score_row`]: from a row of doubles to its margin, prediction and band.

mod print;
mod rows;

use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use quintile_model::{BuildError, KernelChoice, Model, Options, Scratch};
use quintile_scoring::loaded::{LoadError, LoadedModel};
use quintile_scoring::rows::gather;

use super::args::TimeArgs;
use super::print::PrintFormat;
use super::{Exit, Streams, report};
use crate::topology::affinity;

/// Rounds, unless time is up before.
const ROUNDS: usize = 25;

/// What one kernel may take for one figure of one round. Long beside what a timer interrupt takes.
const SLICE: Duration = Duration::from_millis(15);

/// Rows of which each kernel's answers are compared with those of the literal walk before anything is timed.
const ROWS_COMPARED: usize = 256;

/// Rows below which a branch predictor may learn them.
const ROWS_FEW: usize = 1_000;

/// Everything that is printed.
struct Times {
    file: String,
    model: String,
    rows: usize,
    /// Whether the rows were made from the model's thresholds.
    are_made: bool,
    batch: usize,
    /// The processor's name, if the system has it, and the CPU that was used.
    processor: Option<String>,
    cpu: Option<usize>,
    kernels: Vec<Kernel>,
}

/// A kernel, and its figures or why it has none.
struct Kernel {
    choice: KernelChoice,
    /// Whether it is what the server takes.
    is_chosen: bool,
    outcome: Result<Figures, String>,
}

struct Figures {
    single: Samples,
    batch: Samples,
    bytes: usize,
}

/// Nanoseconds a row, one number a round.
#[derive(Default)]
struct Samples(Vec<f64>);

/// Why a model cannot be timed.
enum Fault {
    Model(LoadError),
    Other(String),
}

/// Loads the model once for each kernel, times it and prints what it takes.
pub(crate) fn run(args: &TimeArgs, streams: &mut Streams<'_>) -> Exit {
    match times(args, streams) {
        Ok(times) => {
            let text = match args.print.format() {
                PrintFormat::Table => print::table(&times),
                PrintFormat::Json => print::json(&times),
                PrintFormat::Csv => print::csv(&times),
            };
            let written = streams.stdout.write_all(text.as_bytes());
            report::finish(written.and_then(|()| streams.stdout.flush()), streams)
        }
        Err(Fault::Model(error)) => report::model(&error, streams),
        Err(Fault::Other(error)) => report::failure(error, streams),
    }
}

fn times(args: &TimeArgs, streams: &mut Streams<'_>) -> Result<Times, Fault> {
    let load = |kernel| {
        let options = Options {
            trees: args.trees,
            kernel,
        };
        LoadedModel::load(args.model.as_deref(), options, 0)
    };
    let chosen = load(KernelChoice::Auto).map_err(Fault::Model)?;
    let is_wanted = |kernel: KernelChoice| match args.kernel {
        None => kernel != KernelChoice::Auto,
        Some(KernelChoice::Auto) => kernel == chosen.model.kernel(),
        Some(wanted) => kernel == wanted,
    };
    let mut loaded = Vec::new();
    for (_, kernel) in KernelChoice::NAMES.into_iter().filter(|&(_, kernel)| is_wanted(kernel)) {
        loaded.push((kernel, load(kernel)));
    }
    let (rows, are_made) = rows(args, &chosen, streams)?;
    let width = chosen.model.schema().len().max(1);
    let batch = usize::from(args.batch).min(rows.len() / width);
    let timed = Timed {
        rows: &rows,
        width,
        batch,
        limit: Duration::from_secs(u64::from(args.seconds)),
    };
    let mut contestants = Vec::new();
    let mut kernels = Vec::new();
    for (choice, loaded) in loaded {
        let outcome = match loaded {
            Ok(loaded) => {
                contestants.push(Contestant::new(choice, loaded.model));
                Ok(())
            }
            Err(LoadError::Build {
                source: BuildError::Kernel(unsupported),
                ..
            }) => Err(unsupported.reason.to_owned()),
            Err(error) => return Err(Fault::Model(error)),
        };
        kernels.push((choice, outcome));
    }
    compare(&mut contestants, &load, &timed)?;
    let cpu = measure(&mut contestants, &timed).map_err(Fault::Other)?;
    let mut figures = contestants.into_iter().map(|contestant| contestant.figures);
    let kernels = kernels.into_iter().map(|(choice, outcome)| Kernel {
        choice,
        is_chosen: choice == chosen.model.kernel(),
        outcome: outcome.and_then(|()| figures.next().ok_or_else(String::new)),
    });
    let file = args.model.as_deref().unwrap_or(Path::new("the embedded demo"));
    Ok(Times {
        file: file.display().to_string(),
        model: format!("{} {}", chosen.model.name(), chosen.model.version()),
        rows: rows.len() / width,
        are_made,
        batch,
        processor: processor(),
        cpu,
        kernels: kernels.collect(),
    })
}

/// The rows, and whether they were made.
fn rows(args: &TimeArgs, loaded: &LoadedModel, streams: &mut Streams<'_>) -> Result<(Vec<f64>, bool), Fault> {
    let columns = loaded.model.schema().len();
    let rows_max = rows::rows_max(columns);
    let Some(path) = &args.rows else {
        let ensemble = LoadedModel::ensemble(args.model.as_deref()).map_err(Fault::Model)?;
        let mut rows = rows::made(&ensemble, rows_max);
        if columns == 0 {
            rows = vec![f64::NAN];
        }
        return Ok((rows, true));
    };
    let fault = |error: &dyn std::fmt::Display| Fault::Other(format!("{}: {error}", path.display()));
    let gathered = gather(loaded, (path, args.input), rows_max, streams.stdin).map_err(|error| fault(&error))?;
    for text in &gathered.said {
        report::note(text, streams);
    }
    if gathered.values.is_empty() {
        return Err(fault(&"there are no rows to time"));
    }
    let count = gathered.values.len() / columns.max(1);
    if gathered.has_more {
        report::note(format_args!("the first {count} rows are timed"), streams);
    }
    if count < ROWS_FEW {
        let text = "the processor may learn so few rows by heart, and the figures may be too good";
        report::note(format_args!("{text}: {count} of {ROWS_FEW} that are needed"), streams);
    }
    Ok((gathered.values, false))
}

/// What is timed.
struct Timed<'r> {
    rows: &'r [f64],
    width: usize,
    batch: usize,
    limit: Duration,
}

/// A kernel in the race.
struct Contestant {
    choice: KernelChoice,
    model: Model,
    scratch: Scratch,
    figures: Figures,
    single: TimingCourse,
    batch: TimingCourse,
}

/// How one figure of a kernel is measured: this many calls a round, beginning with the row after the last round's.
#[derive(Default)]
struct TimingCourse {
    calls: usize,
    next_row: usize,
}

impl Contestant {
    fn new(choice: KernelChoice, model: Model) -> Self {
        let figures = Figures {
            single: Samples::default(),
            batch: Samples::default(),
            bytes: model.bytes(),
        };
        Self {
            choice,
            scratch: model.scratch(),
            model,
            figures,
            single: TimingCourse::default(),
            batch: TimingCourse::default(),
        }
    }

    /// Calls with `rows_a_call` rows, and gives nanoseconds a row. The first time it finds out how many fill a slice.
    fn time(&mut self, timed: &Timed<'_>, rows_a_call: usize) -> f64 {
        let Self {
            model,
            scratch,
            single,
            batch,
            ..
        } = self;
        let is_single = rows_a_call == 1;
        let course = if is_single { single } else { batch };
        let row_count = timed.rows.len() / timed.width;
        let mut call = |course: &mut TimingCourse| {
            if course.next_row + rows_a_call > row_count {
                course.next_row = 0;
            }
            let rows = &timed.rows[course.next_row * timed.width..][..rows_a_call * timed.width];
            course.next_row += rows_a_call;
            if is_single {
                black_box(model.score_row(rows, scratch));
            } else {
                let mut sum = 0.0;
                model.score_rows(rows, scratch, |_, _, scratch| sum += scratch.predictions()[0]);
                black_box(sum);
            }
        };
        let start = Instant::now();
        if course.calls == 0 {
            while start.elapsed() < SLICE {
                call(course);
                course.calls += 1;
            }
        } else {
            for _ in 0..course.calls {
                call(course);
            }
        }
        let rows = course.calls * rows_a_call;
        start.elapsed().as_secs_f64() * 1e9 / count(rows)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn count(rows: usize) -> f64 {
    rows as f64
}

/// Holds every kernel's answers to those of the literal walk: a figure of a wrong answer is worth nothing.
fn compare(
    contestants: &mut [Contestant],
    load: &dyn Fn(KernelChoice) -> Result<LoadedModel, LoadError>,
    timed: &Timed<'_>,
) -> Result<(), Fault> {
    let reference = load(KernelChoice::Reference).map_err(Fault::Model)?.model;
    let mut scratch = reference.scratch();
    for (number, row) in timed.rows.chunks_exact(timed.width).take(ROWS_COMPARED).enumerate() {
        reference.score_row(row, &mut scratch);
        for contestant in &mut *contestants {
            contestant.model.score_row(row, &mut contestant.scratch);
            let margins = [&scratch, &contestant.scratch].map(|scratch| scratch.margins().iter().map(|m| m.to_bits()));
            let [expected, actual] = margins;
            if !expected.eq(actual) {
                let kernel = contestant.choice;
                let text = format!(
                    "a bug: row {} gives {:?} with {kernel} and {:?} with the literal walk",
                    number + 1,
                    contestant.scratch.margins(),
                    scratch.margins()
                );
                return Err(Fault::Other(text));
            }
        }
    }
    Ok(())
}

/// Times all contestants on a thread of its own that stays on one CPU. Returns which, if it could be had.
fn measure(contestants: &mut [Contestant], timed: &Timed<'_>) -> Result<Option<usize>, String> {
    thread::scope(|scope| {
        let work = || {
            let cpus = affinity::current(Path::new("/")).unwrap_or_default();
            let cpu = affinity::spread(&cpus).first().copied();
            let cpu = cpu.filter(|&cpu| affinity::pin_current_thread(cpu).is_ok());
            rounds(contestants, timed);
            cpu
        };
        let timer = thread::Builder::new().name("time".into()).spawn_scoped(scope, work);
        let timer = timer.map_err(|error| format!("start the thread that times: {error}"))?;
        timer
            .join()
            .map_err(|_| "the thread that times has panicked".to_owned())
    })
}

fn rounds(contestants: &mut [Contestant], timed: &Timed<'_>) {
    let start = Instant::now();
    // The first round warms up and finds out how many calls fill a slice; it counts only if time is up after it.
    for round in 0..=ROUNDS {
        for contestant in &mut *contestants {
            // At least one figure of each, for any time that it takes.
            if round > 1 && start.elapsed() > timed.limit {
                return;
            }
            let [single, batch] = [1, timed.batch].map(|rows_a_call| contestant.time(timed, rows_a_call));
            let Figures {
                single: singles,
                batch: batches,
                ..
            } = &mut contestant.figures;
            if round == 1 {
                *singles = Samples::default();
                *batches = Samples::default();
            }
            singles.0.push(single);
            batches.0.push(batch);
        }
        if round == 0 && start.elapsed() > timed.limit {
            return;
        }
    }
}

impl Samples {
    /// The sample below which a share of all lie.
    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share, 0 to 1, of a few dozen samples"
        )]
        let place = (share * count(sorted.len().saturating_sub(1))).round() as usize;
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }
}

/// The processor's name, as Linux reports it.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_by_share() {
        let samples = Samples((0..=10).rev().map(f64::from).collect());
        let at = |share| samples.at(share).to_string();
        assert_eq!([0.0, 0.1, 0.5, 0.9, 1.0].map(at), ["0", "1", "5", "9", "10"]);
        assert_eq!(Samples(vec![3.0]).at(0.9).to_string(), "3");
        assert!(Samples::default().at(0.5).is_nan());
    }
}
