//! The training library's own numbers for the rows: then golden rows prove something, and not only that nothing has
//! changed.

use quintile_model::{Precision, Trees};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::verify::{Report, VerifyError, VerifyJob, compare};

use super::InitArgs;
use super::init::DraftModel;
use crate::cli::{Exit, Streams, report};

/// The library's numbers are ours, for every row.
pub(super) struct Confirmed;

/// Compares the model with the library's numbers, where they were given. Where all rows are equal once values are
/// rounded to 32 bits, and not before, they are from now on.
pub(super) fn confirm(
    args: &InitArgs,
    loaded: &mut LoadedModel,
    draft: &mut DraftModel,
    streams: &mut Streams<'_>,
) -> Result<Option<Confirmed>, Exit> {
    let (Some(expect), Some(rows)) = (args.expect.as_deref(), args.rows.as_deref()) else {
        return Ok(None);
    };
    let job = VerifyJob {
        model: Some(&args.model),
        options: super::options(args.trees),
        rows,
        input: args.input,
        expect,
        quantity: None,
    };
    let compared = compared(loaded, &job, streams)?;
    if is_met(&compared) {
        return Ok(Some(Confirmed));
    }
    let model = &loaded.model;
    if model.precision() == Precision::F64 && (draft.input.is_some() || !model.is_input_stated()) {
        // A forest without a proof was given 32 bits already; the other kind is tried.
        let before = draft.input;
        draft.input = before.map_or(Some(Precision::F32), |_| None);
        let other = draft.load(&args.model, streams)?;
        if is_met(&self::compared(&other, &job, streams)?) {
            *loaded = other;
            return Ok(Some(Confirmed));
        }
        draft.input = before;
    }
    Err(report::failure(differs(args, &job, &compared), streams))
}

fn compared(loaded: &LoadedModel, job: &VerifyJob<'_>, streams: &mut Streams<'_>) -> Result<Report, Exit> {
    compare(loaded, job).map_err(|error| match error {
        VerifyError::Load(error) => report::model(&error, streams),
        error => report::failure(error, streams),
    })
}

/// Whether every row has the library's numbers. One unit in the last place is what `exp` differs by between C
/// libraries.
fn is_met(report: &Report) -> bool {
    report.tally.beyond == 0 && !report.needs_change
}

fn differs(args: &InitArgs, job: &VerifyJob<'_>, compared: &Report) -> String {
    let trees = match args.trees {
        Trees::All => "",
        Trees::Best => " --trees best",
    };
    format!(
        "{} of {} rows have other {} than {}, so nothing is written; what the cause may be, quintile verify {} --rows {} --expect {}{trees} \
         finds out",
        compared.rows - compared.tally.equal,
        compared.rows,
        compared.quantity.plural(),
        job.expect,
        args.model.display(),
        job.rows.display(),
        job.expect
    )
}
