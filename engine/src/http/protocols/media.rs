//! What the headers of `/invocations` say: the form of the body, and that of the answer.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::http::error::RequestError;
use crate::media_type::{is_json, is_lines};
use crate::protocol::invocations::{AnswerForm, BodyForm};

/// A content type without its parameters, and these.
fn parts(kind: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    let mut parts = kind.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    (parts.next().unwrap_or_default(), parts)
}

fn is(kind: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| kind.eq_ignore_ascii_case(name.as_bytes()))
}

/// The form of a body. SageMaker's container takes one without a content type for libsvm; MLflow refuses it.
pub(super) fn body_form(headers: &HeaderMap, is_mlflow: bool) -> Result<BodyForm, RequestError> {
    let Some(kind) = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else {
        return match is_mlflow {
            true => Err(RequestError::InvocationMediaType),
            false => Ok(BodyForm::Libsvm),
        };
    };
    let (name, mut parameters) = parts(kind);
    if is_lines(name) && !is_mlflow {
        return Ok(BodyForm::Lines);
    }
    let form = match name {
        name if is_json(name) => BodyForm::Json,
        name if is(name, &["text/csv"]) => BodyForm::Csv {
            has_label: parameters.any(|parameter| is(parameter, &["label_size=1"])),
        },
        _ if is_mlflow => return Err(RequestError::InvocationMediaType),
        name if is(name, &["text/libsvm", "text/x-libsvm"]) => BodyForm::Libsvm,
        name if is(name, &["application/x-recordio-protobuf"]) => BodyForm::RecordIo,
        name if is(name, &["application/x-npy"]) => BodyForm::Npy,
        _ => return Err(RequestError::InvocationMediaType),
    };
    Ok(form)
}

/// The form of an answer: the first known type that a client accepts.
pub(super) fn answer_form(headers: &HeaderMap, is_mlflow: bool) -> Result<AnswerForm, RequestError> {
    if is_mlflow {
        // It answers JSON whatever is accepted.
        return Ok(AnswerForm::Mlflow);
    }
    let mut is_asked = false;
    for value in headers.get_all(ACCEPT) {
        for kind in value.as_bytes().split(|&byte| byte == b',') {
            let (name, _) = parts(kind);
            is_asked |= !name.is_empty();
            match name {
                name if is(name, &["text/csv", "text/*", "*/*"]) => return Ok(AnswerForm::Csv),
                name if is(name, &["application/json", "application/*"]) => return Ok(AnswerForm::Json),
                name if is_lines(name) => return Ok(AnswerForm::Lines),
                _ => {}
            }
        }
    }
    match is_asked {
        true => Err(RequestError::NotAcceptable),
        false => Ok(AnswerForm::Csv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: http::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn bodies_are_what_their_types_say() {
        let of = |kind| body_form(&with(CONTENT_TYPE, kind), false);
        assert_eq!(of("text/csv; label_size=1"), Ok(BodyForm::Csv { has_label: true }));
        assert_eq!(of("text/csv;charset=utf-8"), Ok(BodyForm::Csv { has_label: false }));
        assert_eq!(of("application/jsonlines"), Ok(BodyForm::Lines));
        assert_eq!(of("application/x-npy"), Ok(BodyForm::Npy));
        assert_eq!(of("image/png"), Err(RequestError::InvocationMediaType));
        assert_eq!(body_form(&HeaderMap::new(), false), Ok(BodyForm::Libsvm));
        assert_eq!(
            body_form(&HeaderMap::new(), true),
            Err(RequestError::InvocationMediaType)
        );
        let libsvm = with(CONTENT_TYPE, "text/libsvm");
        assert_eq!(body_form(&libsvm, true), Err(RequestError::InvocationMediaType));
    }

    #[test]
    fn the_first_known_type_is_answered() {
        let of = |kinds| answer_form(&with(ACCEPT, kinds), false);
        assert_eq!(of("text/csv, application/json"), Ok(AnswerForm::Csv));
        assert_eq!(of("image/png, application/json;q=0.5"), Ok(AnswerForm::Json));
        assert_eq!(of("application/jsonlines"), Ok(AnswerForm::Lines));
        assert_eq!(of("*/*"), Ok(AnswerForm::Csv));
        assert_eq!(of("image/png"), Err(RequestError::NotAcceptable));
        assert_eq!(answer_form(&HeaderMap::new(), false), Ok(AnswerForm::Csv));
    }
}
