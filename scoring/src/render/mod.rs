//! Answers and errors as bytes, into memory of the caller: a `Vec`, a `BytesMut`.
//!
//! An answer allocates nothing of its own. Numbers are the shortest decimals that read back as the same double.

use bytes::BufMut;
use quintile_model::{Model, Schema, Violation};

use crate::changes::Found;
use crate::limits::{LEAD_ID_BYTES_MAX, REQUEST_ID_BYTES_MAX};
use crate::loaded::LoadedModel;
use crate::read::batch::{self, LeadError};
use crate::read::categories::Accepted;
use crate::read::faults::{Fault, FaultPlace, Faults};
use crate::read::scan::JsonFault;
use crate::read::{ReadError, Timings, Workspace};
use crate::reasons::ReasonsWorkspace;

mod escape;
mod hint;
pub mod row_body;
pub mod unusual;
mod wanted;
mod words;

use escape::Escaped;
pub use escape::string;
pub(crate) use escape::string_of;
use hint::Hints;
use unusual::UnusualFields;
use wanted::{Limits, Wanted};

/// Bytes of a rendered double at most: `-2.2250738585072014e-308`, and a comma.
pub(crate) const NUMBER_BYTES_MAX: usize = 26;

/// Bytes of one byte of a string at most: `\u001f`.
pub(crate) const ESCAPE_BYTES_MAX: usize = 6;

/// No answer of this model is longer, so that callers make room once.
#[must_use]
pub fn answer_bytes_max(loaded: &LoadedModel) -> usize {
    // Everything in an answer that is the same for all, three times an integer of 20 digits included.
    const FRAME: usize = 256;
    FRAME
        + ESCAPE_BYTES_MAX * (LEAD_ID_BYTES_MAX + REQUEST_ID_BYTES_MAX)
        + loaded.identity_json.len()
        + NUMBER_BYTES_MAX * (loaded.model.prediction_len() + 1)
}

/// Bytes that say who scored, and why, at most: a reason has up to 300.
pub const SOURCE_BYTES_MAX: usize = 48 + 300 * ESCAPE_BYTES_MAX;

/// Who made a score, where it may be one of two.
#[derive(Debug, Clone, Copy)]
pub enum ScoreSource<'a> {
    /// The endpoint.
    SageMaker,
    /// This process, because the endpoint did not: why.
    Local(&'a str),
}

/// What an answer says.
#[derive(Debug, Clone, Copy)]
pub struct AnswerFields<'a> {
    /// The lead's id.
    pub lead_id: &'a str,
    /// Its band.
    pub score: Option<u8>,
    /// Its predictions.
    pub predictions: &'a [f64],
    /// Who made the score, where it may be one of two.
    pub source: Option<ScoreSource<'a>>,
    /// The request's id.
    pub request_id: &'a str,
    /// What was asked for besides.
    pub more: MoreFields<'a>,
    /// How long it took.
    pub timings: &'a Timings,
}

/// Writes the answer to a scored request.
pub fn answer<B: BufMut>(
    out: &mut B,
    loaded: &LoadedModel,
    workspace: &Workspace,
    score: Option<u8>,
    request_id: &str,
    timings: &Timings,
) {
    let told = AnswerFields {
        lead_id: workspace.lead_id(),
        score,
        predictions: workspace.predictions(),
        source: None,
        request_id,
        more: MoreFields::default(),
        timings,
    };
    self::told(out, loaded, &told);
}

/// Writes the answer to a request, from any scorer.
pub fn told<B: BufMut>(out: &mut B, loaded: &LoadedModel, told: &AnswerFields<'_>) {
    let timings = told.timings;
    begin(out, loaded, told.lead_id, told.score, told.predictions);
    match told.source {
        None => {}
        Some(ScoreSource::SageMaker) => out.put_slice(b",\"source\":\"sagemaker\""),
        Some(ScoreSource::Local(why)) => {
            out.put_slice(b",\"source\":\"local\",\"reason\":");
            string(out, why);
        }
    }
    told.more.write(out, loaded);
    out.put_slice(b",\"model\":");
    out.put_slice(loaded.identity_json.as_bytes());
    out.put_slice(b",\"request_id\":");
    string(out, told.request_id);
    out.put_slice(b",\"latency_us\":{\"parse\":");
    microseconds(out, timings.parse_ns);
    out.put_slice(b",\"score\":");
    microseconds(out, timings.score_ns);
    out.put_slice(b",\"total\":");
    microseconds(out, timings.total_ns);
    out.put_slice(b"}}");
}

/// Writes what is the same of a lead that is scored alone and of one in a batch, without the closing brace.
fn begin<B: BufMut>(out: &mut B, loaded: &LoadedModel, lead_id: &str, score: Option<u8>, predictions: &[f64]) {
    out.put_slice(b"{\"lead_id\":");
    string(out, lead_id);
    out.put_slice(b",\"score\":");
    match score {
        Some(score) => integer(out, u64::from(score)),
        None => out.put_slice(b"null"),
    }
    self::predictions(out, &loaded.model, predictions);
}

/// What an answer has only where a client asks for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct MoreFields<'a> {
    /// Values far outside what training saw.
    pub unusual: Option<UnusualFields<'a>>,
    /// Why the lead has its score.
    pub reasons: Option<&'a ReasonsWorkspace>,
    /// What would bring the lead to another score.
    pub target: Option<&'a Found>,
}

impl MoreFields<'_> {
    fn write<B: BufMut>(&self, out: &mut B, loaded: &LoadedModel) {
        if let Some(reasons) = self.reasons {
            reasons.write(out);
        }
        if let Some(found) = self.target {
            found.write(out, loaded);
        }
        if let Some(fields) = &self.unusual {
            unusual::write(out, loaded, fields);
        }
    }
}

/// Writes the result of one scored lead of a batch.
pub fn scored<B: BufMut>(
    out: &mut B,
    loaded: &LoadedModel,
    (lead_id, score, predictions): (&str, Option<u8>, &[f64]),
    more: &MoreFields<'_>,
) {
    begin(out, loaded, lead_id, score, predictions);
    more.write(out, loaded);
    out.put_u8(b'}');
}

/// As [`scored`], and which model it was: under a split several models score a batch.
pub fn scored_by<B: BufMut>(
    out: &mut B,
    loaded: &LoadedModel,
    (lead_id, score, predictions): (&str, Option<u8>, &[f64]),
    more: &MoreFields<'_>,
) {
    begin(out, loaded, lead_id, score, predictions);
    out.put_slice(b",\"model\":");
    out.put_slice(loaded.identity_json.as_bytes());
    more.write(out, loaded);
    out.put_u8(b'}');
}

/// Writes why one lead of a batch has no score. `faults` are those of a lead that does not fit the model.
pub fn unscored<B: BufMut>(
    out: &mut B,
    lead_id: Option<&str>,
    place: batch::LeadPlace,
    why: LeadError,
    (loaded, faults): (&LoadedModel, &Faults),
) {
    out.put_slice(b"{\"lead_id\":");
    match lead_id {
        Some(id) => string(out, id),
        None => out.put_slice(b"null"),
    }
    if let batch::LeadPlace::Line(number) = place {
        out.put_slice(b",\"line\":");
        integer(out, number);
    }
    out.put_slice(b",\"error\":");
    match why {
        LeadError::Rejected(ReadError::NotJson(fault)) => not_json_object(out, &place.fault(fault)),
        LeadError::Rejected(rejection @ ReadError::Invalid) => {
            let message = rejection.to_string();
            error_object(out, why.code(), Some(&message), Some((loaded, faults)), Some(place));
        }
        LeadError::NotExplainable => {
            error_object(out, why.code(), Some(&loaded.explaining.why_not()), None, None);
        }
        _ => error_object(out, why.code(), Some(&why.to_string()), None, None),
    }
    out.put_u8(b'}');
}

/// Writes the end of a batch's answer, which began with `{"results":[`. `total_ns` is the time since its body was
/// complete.
pub fn batch_end<B: BufMut>(
    out: &mut B,
    loaded: &LoadedModel,
    (scored, failed): (u64, u64),
    request_id: &str,
    total_ns: u64,
) {
    out.put_slice(b"],\"scored\":");
    integer(out, scored);
    out.put_slice(b",\"failed\":");
    integer(out, failed);
    out.put_slice(b",\"model\":");
    out.put_slice(loaded.identity_json.as_bytes());
    out.put_slice(b",\"request_id\":");
    string(out, request_id);
    out.put_slice(b",\"latency_us\":{\"total\":");
    microseconds(out, total_ns);
    out.put_slice(b"}}");
}

/// Writes the last line of a stream of lines that ends before its time.
pub fn broken_off<B: BufMut>(out: &mut B, line: u64, code: &str, message: &str) {
    out.put_slice(b"{\"line\":");
    integer(out, line);
    out.put_slice(b",\"error\":");
    error_object(out, code, Some(message), None, None);
    out.put_slice(b"}\n");
}

/// Writes an error body: a code for programs, words for people, and the faults of a request if it has any.
pub fn error<B: BufMut>(out: &mut B, code: &str, message: Option<&str>, faults: Option<(&LoadedModel, &Faults)>) {
    out.put_slice(b"{\"error\":");
    error_object(out, code, message, faults, None);
    out.put_u8(b'}');
}

/// What stands behind `"error":`. `place` is where in a batch the lead with these faults is.
fn error_object<B: BufMut>(
    out: &mut B,
    code: &str,
    message: Option<&str>,
    faults: Option<(&LoadedModel, &Faults)>,
    place: Option<batch::LeadPlace>,
) {
    out.put_slice(b"{\"code\":");
    string(out, code);
    if let Some(message) = message {
        out.put_slice(b",\"message\":");
        string(out, message);
    }
    if let Some((loaded, faults)) = faults {
        out.put_slice(b",\"faults\":[");
        let mut hints = Hints::default();
        for (index, fault) in faults.list().iter().enumerate() {
            if index > 0 {
                out.put_u8(b',');
            }
            one_fault(out, loaded, fault, place, &mut hints);
        }
        out.put_slice(b"],\"faults_total\":");
        integer(out, faults.total() as u64);
    }
    out.put_u8(b'}');
}

/// Writes the error body of a body that was not accepted: `invalid_request` (422) or `not_json` (400).
pub fn rejection<B: BufMut>(out: &mut B, loaded: &LoadedModel, workspace: &Workspace, rejection: &ReadError) {
    match rejection {
        ReadError::NotJson(fault) => not_json(out, fault),
        ReadError::Invalid => {
            let message = "the request does not fit the model";
            error(
                out,
                "invalid_request",
                Some(message),
                Some((loaded, workspace.faults())),
            );
        }
    }
}

/// The first fault in a sentence, and how many more there are.
pub fn sentence(loaded: &LoadedModel, faults: &Faults) -> String {
    let mut text = Vec::new();
    if let Some(fault) = faults.list().first() {
        if let FaultPlace::Feature(column) = fault.place {
            text.put_slice(b"column ");
            string(&mut text, loaded.model.schema().name(column));
        } else {
            words::pointer(&mut Escaped(&mut text), loaded, &fault.place);
        }
        text.put_slice(if text.is_empty() { b"the row " } else { b" " });
        words::message(&mut Escaped(&mut text), loaded, fault, &mut Hints::default());
    }
    if faults.total() > 1 {
        text.put_slice(format!("; and {} more faults", faults.total() - 1).as_bytes());
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// How a value breaks the manifest's rule, in words that follow the feature's name.
pub fn broken(schema: &Schema, column: usize, violation: Violation) -> String {
    match violation {
        Violation::Required => format!("is required: it must be {}", Wanted { schema, column }),
        Violation::Range => format!("must be {}", Limits { schema, column }),
        Violation::Form => match schema.categories(column) {
            Some(categories) => format!("is no category of this feature, which has {}", Accepted(categories)),
            None => format!("must be {}", Wanted { schema, column }),
        },
    }
}

/// Writes the error body of a body that is not JSON, with the offset also as a number.
pub fn not_json<B: BufMut>(out: &mut B, fault: &JsonFault) {
    out.put_slice(b"{\"error\":");
    not_json_object(out, fault);
    out.put_u8(b'}');
}

fn not_json_object<B: BufMut>(out: &mut B, fault: &JsonFault) {
    out.put_slice(b"{\"code\":\"not_json\",\"message\":\"");
    Escaped(out).put(format_args!("{fault}"));
    out.put_slice(b"\",\"offset\":");
    integer(out, fault.offset as u64);
    out.put_u8(b'}');
}

/// Writes a double so that it reads back as the same; `null` for NaN and the infinities, which JSON does not have.
pub fn number<B: BufMut>(out: &mut B, number: f64) {
    if number.is_finite() {
        out.put_slice(zmij::Buffer::new().format_finite(number).as_bytes());
    } else {
        out.put_slice(b"null");
    }
}

fn predictions<B: BufMut>(out: &mut B, model: &Model, predictions: &[f64]) {
    if let Some(&probability) = model.probability_output().and_then(|output| predictions.get(output)) {
        out.put_slice(b",\"probability\":");
        number(out, probability);
        if predictions.len() == 1 {
            return;
        }
    }
    match predictions {
        &[prediction] => {
            out.put_slice(b",\"prediction\":");
            number(out, prediction);
        }
        several => {
            out.put_slice(b",\"predictions\":[");
            for (index, &prediction) in several.iter().enumerate() {
                if index > 0 {
                    out.put_u8(b',');
                }
                number(out, prediction);
            }
            out.put_u8(b']');
        }
    }
}

fn one_fault<B: BufMut>(
    out: &mut B,
    loaded: &LoadedModel,
    fault: &Fault,
    place: Option<batch::LeadPlace>,
    hints: &mut Hints,
) {
    out.put_slice(b"{\"code\":\"");
    out.put_slice(fault.code().as_bytes());
    out.put_slice(b"\",\"pointer\":\"");
    if let Some(batch::LeadPlace::Element { index, .. }) = place {
        Escaped(out).put(format_args!("/leads/{index}"));
    }
    words::pointer(&mut Escaped(out), loaded, &fault.place);
    out.put_slice(b"\",\"message\":\"");
    words::message(&mut Escaped(out), loaded, fault, hints);
    out.put_slice(b"\"}");
}

fn integer<B: BufMut>(out: &mut B, number: u64) {
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Nanoseconds as microseconds with one to three decimals, exactly.
fn microseconds<B: BufMut>(out: &mut B, ns: u64) {
    integer(out, ns / 1000);
    let rest = ns % 1000;
    let digit = |place: u64| b"0123456789"[(rest / place % 10) as usize];
    let decimals = [b'.', digit(100), digit(10), digit(1)];
    let len = match (rest % 100, rest % 10) {
        (0, _) => 2,
        (_, 0) => 3,
        _ => 4,
    };
    out.put_slice(&decimals[..len]);
}
