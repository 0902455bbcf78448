//! `quintile score`: the arguments, and where rows and results are. [`rows::Job`] does the work.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use quintile_model::Options;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::rows::{self, Decimal, Format, Job, Output, RowCounts, ScoreError};

use super::args::{DecimalSign, ScoreArgs};
use super::{Exit, Streams, report};

/// Loads the model, opens the rows and scores them.
pub(super) fn run(args: &ScoreArgs, streams: &mut Streams<'_>) -> Exit {
    let options = Options {
        trees: args.trees,
        kernel: args.kernel,
    };
    let loaded = match LoadedModel::load(args.model.as_deref(), options, 0) {
        Ok(loaded) => loaded,
        Err(error) => return report::model(&error, streams),
    };
    for text in loaded.model.notes() {
        report::note(text, streams);
    }
    let mut job = Job::new(&loaded, args.output);
    job.delimiter = args.delimiter;
    job.decimal = args.decimal.map(|sign| match sign {
        DecimalSign::Comma => Decimal::Comma,
        DecimalSign::Point => Decimal::Point,
    });
    job.strict = args.strict;
    job.kernel = args.kernel;
    job.reasons = args.reasons;
    if args.reasons > 0 && args.output != Output::Rows {
        return report::failure("--reasons adds columns to whole rows: leave --output out", streams);
    }
    job.missing = &args.missing;
    job.id = args.id.as_deref();
    job.threads = args.threads.map_or(job.threads, usize::from);
    // Where results and progress would meet on one screen, results have it.
    job.progress = streams.watched.stderr && (args.out.is_some() || !streams.watched.stdout);
    match run_job(job, args, streams) {
        Ok(counts) => {
            if args.output == Output::Rows {
                report::line(closing(counts, args.out.as_deref()), streams);
            }
            Exit::Success
        }
        Err(ScoreError::Write(error)) => report::finish(Err(error), streams),
        Err(error) => report::failure(format_args!("{}: {error}", args.rows.display()), streams),
    }
}

/// What became of the rows, and where they are.
fn closing(counts: RowCounts, out: Option<&Path>) -> String {
    let place = out.map_or_else(String::new, |out| format!(", in {}", out.display()));
    format!("{} scored, {} not{place}", counts.scored, counts.unscored)
}

fn run_job(mut job: Job<'_>, args: &ScoreArgs, streams: &mut Streams<'_>) -> Result<RowCounts, ScoreError> {
    job.check()?;
    let rows = rows::open(&args.rows, args.input, &mut *streams.stdin)?;
    job.input = rows.format();
    // Rows come back in the format they came in; bare numbers are CSV unless something else is asked for.
    let usual = if args.output == Output::Rows {
        job.input
    } else {
        Format::Csv
    };
    let named = || Format::of_file(args.out.as_deref()?);
    job.to = args.to.or_else(named).unwrap_or(usual);
    let Some(out) = &args.out else {
        if job.to == Format::Parquet && streams.watched.stdout {
            return Err(ScoreError::Terminal);
        }
        return job.run(rows, || Ok(Box::new(&mut *streams.stdout)), &mut *streams.stderr);
    };
    if let Some(compression) = rows::compression_of(out) {
        return Err(ScoreError::CompressedOut(compression));
    }
    if args.to.is_none() && rows::is_workbook(out) {
        return Err(ScoreError::WorkbookOut(out.with_extension("csv").display().to_string()));
    }
    if let (Ok(rows), Ok(results)) = (fs::canonicalize(&args.rows), fs::canonicalize(out))
        && (rows == results || (rows.is_dir() && results.starts_with(&rows)))
    {
        return Err(ScoreError::Same(out.display().to_string()));
    }
    let open = || Ok(Box::new(File::create(out)?) as Box<dyn Write>);
    job.run(rows, open, &mut *streams.stderr)
}
