//! `quintile score`: what is asked for, and where rows and results are. The work is [`rows::Job`]'s.

use std::fs::{self, File};
use std::io::Write;

use quintile_model::Options;
use quintile_scoring::loaded::Served;
use quintile_scoring::rows::{self, Format, Job, Output, ScoreError};

use super::args::ScoreArgs;
use super::{Exit, Streams, report};

/// Loads the model, opens the rows and scores them.
pub(super) fn run(args: &ScoreArgs, streams: &mut Streams<'_>) -> Exit {
    let options = Options {
        trees: args.trees,
        kernel: args.kernel,
    };
    let served = match Served::load(args.model.as_deref(), options, 0) {
        Ok(served) => served,
        Err(error) => return report::model(&error, streams),
    };
    for text in served.model.notes() {
        report::note(text, streams);
    }
    let mut job = Job::new(&served, args.output);
    job.input = args
        .input
        .or_else(|| Format::of_file(&args.rows))
        .unwrap_or(Format::Csv);
    // Rows come back in the format they came in; bare numbers are CSV unless something else is asked for.
    let usual = if args.output == Output::Rows {
        job.input
    } else {
        Format::Csv
    };
    job.to = args
        .to
        .or_else(|| Format::of_file(args.out.as_deref()?))
        .unwrap_or(usual);
    job.strict = args.strict;
    if job.to == Format::Parquet && args.out.is_none() && streams.watched.stdout {
        let message = "Parquet is nothing for a terminal: name a file by --out, or print with --to csv";
        return report::failure(message, streams);
    }
    job.id = args.id.as_deref();
    job.threads = args.threads.map_or(job.threads, usize::from);
    // Where results and progress would meet on one screen, results have it.
    job.progress = streams.watched.stderr && (args.out.is_some() || !streams.watched.stdout);
    match run_job(&job, args, streams) {
        Ok(()) => Exit::Success,
        Err(ScoreError::Write(error)) => report::finish(Err(error), streams),
        Err(error) => report::failure(format_args!("{}: {error}", args.rows.display()), streams),
    }
}

fn run_job(job: &Job<'_>, args: &ScoreArgs, streams: &mut Streams<'_>) -> Result<(), ScoreError> {
    let input = rows::open(&args.rows, &mut *streams.stdin)?;
    match &args.out {
        Some(out) => {
            if let (Ok(rows), Ok(results)) = (fs::canonicalize(&args.rows), fs::canonicalize(out))
                && rows == results
            {
                return Err(ScoreError::Same(out.display().to_string()));
            }
            let open = || Ok(Box::new(File::create(out)?) as Box<dyn Write>);
            job.run(input, open, &mut *streams.stderr)
        }
        None => job.run(input, || Ok(Box::new(&mut *streams.stdout)), &mut *streams.stderr),
    }
}
