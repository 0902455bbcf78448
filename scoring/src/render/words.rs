//! The texts of faults, and their places as JSON pointers (RFC 6901). Values of features never appear here.

use bytes::BufMut;
use quintile_model::{FeatureKind, Precision};

use super::escape::Escaped;
use super::hint::Hints;
use super::wanted::{Limits, Wanted};
use crate::limits::{LEAD_ID_BYTES_MAX, REASONS_MAX};
use crate::loaded::LoadedModel;
use crate::read::categories::Accepted;
use crate::read::faults::{Echo, Fault, FaultKind, FaultPlace, JsonType};

pub(super) fn pointer<B: BufMut>(out: &mut Escaped<'_, B>, loaded: &LoadedModel, place: &FaultPlace) {
    match place {
        FaultPlace::Body => {}
        FaultPlace::LeadId => out.put(format_args!("/lead_id")),
        FaultPlace::Features => out.put(format_args!("/features")),
        FaultPlace::Leads => out.put(format_args!("/leads")),
        FaultPlace::Explain => out.put(format_args!("/explain")),
        FaultPlace::Direction => out.put(format_args!("/direction")),
        FaultPlace::Feature(column) => token(out, "/features/", loaded.model.schema().name(*column), false),
        FaultPlace::UnknownFeature(echo) => token(out, "/features/", echo.text(), echo.cut_from().is_some()),
        FaultPlace::UnknownField(echo) | FaultPlace::UnknownBatchField(echo) => {
            token(out, "/", echo.text(), echo.cut_from().is_some());
        }
    }
}

/// One step of a pointer. An ellipsis shows that its end is missing.
fn token<B: BufMut>(out: &mut Escaped<'_, B>, before: &str, name: &str, cut: bool) {
    out.put(format_args!("{before}"));
    for part in name.split_inclusive(['~', '/']) {
        match part.as_bytes().last() {
            Some(b'~') => out.put(format_args!("{}~0", &part[..part.len() - 1])),
            Some(b'/') => out.put(format_args!("{}~1", &part[..part.len() - 1])),
            _ => out.put(format_args!("{part}")),
        }
    }
    if cut {
        out.put(format_args!("…"));
    }
}

pub(super) fn message<B: BufMut>(out: &mut Escaped<'_, B>, loaded: &LoadedModel, fault: &Fault, hints: &mut Hints) {
    let schema = loaded.model.schema();
    match (fault.kind, fault.place) {
        (FaultKind::WrongType { found }, FaultPlace::Feature(column)) => {
            out.put(format_args!(
                "must be {}, but is {}",
                Wanted { schema, column },
                found.phrase()
            ));
            if found == JsonType::Bool && schema.kind(column) != FeatureKind::Category {
                out.put(format_args!("; type = \"boolean\" in the manifest takes it"));
            }
        }
        (FaultKind::WrongType { found }, place) => {
            out.put(format_args!("must be {}, but is {}", accepted(place), found.phrase()));
        }
        (FaultKind::WrongForm, FaultPlace::Feature(column)) => {
            out.put(format_args!("must be {}", Wanted { schema, column }))
        }
        (FaultKind::BeyondLimits, FaultPlace::Feature(column)) => {
            out.put(format_args!("must be {}", Limits { schema, column }));
        }
        (FaultKind::Missing, FaultPlace::Feature(column)) => {
            out.put(format_args!("is required: it must be {}", Wanted { schema, column }));
        }
        (FaultKind::WrongForm, FaultPlace::Explain | FaultPlace::Direction) => wrong_wish(out, fault.place),
        (FaultKind::BeyondLimits | FaultKind::WrongForm, _) => out.put(format_args!("is not accepted")),
        (FaultKind::UnknownCategory, place) => {
            out.put(format_args!("is no category of this feature"));
            if let FaultPlace::Feature(column) = place
                && let Some(categories) = schema.categories(column)
            {
                out.put(format_args!(", which has {}", Accepted(categories)));
            }
        }
        (FaultKind::OutOfRange, _) => {
            let bits = match loaded.model.input_precision() {
                Precision::F32 => 32,
                Precision::F64 => 64,
            };
            out.put(format_args!("is beyond the range of the model's {bits}-bit numbers"));
        }
        (FaultKind::Duplicate, _) => out.put(format_args!("appears more than once")),
        (FaultKind::Missing, _) => out.put(format_args!("is required")),
        (FaultKind::Unknown, FaultPlace::UnknownFeature(echo)) => unknown_feature(out, loaded, &echo, hints),
        (FaultKind::Unknown, FaultPlace::UnknownField(echo)) => {
            out.put(format_args!(
                "is not a field of a request, which has lead_id and features, and may have explain and direction"
            ));
            cut(out, &echo);
        }
        (FaultKind::Unknown, FaultPlace::UnknownBatchField(echo)) => {
            out.put(format_args!(
                "is not a field of a batch, which has leads, and may have explain and direction"
            ));
            cut(out, &echo);
        }
        (FaultKind::Unknown, _) => out.put(format_args!("is unknown")),
        (FaultKind::Empty, _) => out.put(format_args!("must not be empty")),
        (FaultKind::TooLong { bytes }, _) => {
            out.put(format_args!(
                "has {bytes} bytes; at most {LEAD_ID_BYTES_MAX} are accepted"
            ));
        }
    }
}

/// What a body says of reasons and is not understood.
fn wrong_wish<B: BufMut>(out: &mut Escaped<'_, B>, place: FaultPlace) {
    match place {
        FaultPlace::Direction => out.put(format_args!("keeps the reasons of one kind: \"raises\" or \"lowers\"")),
        _ => out.put(format_args!(
            "is how many reasons to give: a whole number from 0 to {REASONS_MAX}"
        )),
    }
}

/// What is accepted beside the features.
fn accepted(place: FaultPlace) -> &'static str {
    match place {
        FaultPlace::LeadId | FaultPlace::Direction => "a string",
        FaultPlace::Leads => "an array",
        FaultPlace::Explain => "a whole number",
        _ => "an object",
    }
}

fn unknown_feature<B: BufMut>(out: &mut Escaped<'_, B>, loaded: &LoadedModel, echo: &Echo, hints: &mut Hints) {
    out.put(format_args!("the model has no such feature"));
    cut(out, echo);
    if echo.cut_from().is_none()
        && let Some(near) = hints.near(loaded, echo.text())
    {
        out.put(format_args!("; did you mean \"{near}\"?"));
    }
}

fn cut<B: BufMut>(out: &mut Escaped<'_, B>, echo: &Echo) {
    if let Some(bytes) = echo.cut_from() {
        out.put(format_args!(" (a name of {bytes} bytes, cut here)"));
    }
}
