//! What a browser opens (`/`, `/explore`, `/docs`) and what describes the model (`/v1/schema`, `/openapi.json`, `/v1/status`):
//! where each is, and the headers it has.
//!
//! Nothing here is made for a request: files are part of the program, descriptions belong to the model, and side
//! renders the status. A page loads nothing from other servers, and its Content-Security-Policy enforces this.

mod coding;
mod files;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::HttpShard;
use super::response::Responder;
use super::response_body::{ResponseBody, Whole};
use crate::media_type::JSON;
use coding::Coding;
pub use files::Files;

/// Scripts, styles and requests of this server only. Swagger UI's style has pictures in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A browser that was here over TLS comes back over TLS alone, for a year. Other names of the domain are not ours to bind.
const TLS_ONLY: &str = "max-age=31536000";

/// Looked at again each time, which costs a 304.
const FRESH: &str = "no-cache";

/// For files whose address changes when they do.
const LASTING: &str = "public, max-age=31536000, immutable";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// A file that is part of the program.
    File(usize),
    /// What the model takes and gives.
    Schema,
    /// The same, with the paths of this server.
    OpenApi,
    /// How the process is doing.
    Status,
}

/// What a client has and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wants {
    /// The form in which it takes files.
    coding: Coding,
    /// It has what it would get.
    has_it: bool,
}

impl Page {
    /// The page at a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/v1/schema" => Some(Self::Schema),
            "/openapi.json" => Some(Self::OpenApi),
            "/v1/status" => Some(Self::Status),
            _ => files::place(path).map(Self::File),
        }
    }

    /// Whether it is there: files can be turned off.
    pub(super) fn is_served(self, http: &HttpShard) -> bool {
        http.files().is_some() || !matches!(self, Self::File(_))
    }

    fn tag(self, http: &HttpShard) -> Option<HeaderValue> {
        let scorer = http.core.scorer.borrow();
        let descriptions = scorer.champion().descriptions();
        match self {
            Self::File(place) => http.files().map(|files| files.file(place).tag.clone()),
            Self::Schema => tag(&descriptions.schema.digest),
            Self::OpenApi => tag(&scorer.registry().openapi().digest),
            Self::Status => None,
        }
    }
}

impl Wants {
    /// What most clients want, until their headers are read.
    pub(super) const ANYTHING: Self = Self {
        coding: Coding::Identity,
        has_it: false,
    };

    /// Reads a request's headers.
    pub(super) fn new(http: &HttpShard, page: Page, headers: &HeaderMap) -> Self {
        let has = |tag: HeaderValue| {
            let given = headers.get_all(IF_NONE_MATCH);
            given.iter().any(|value| names(value.as_bytes(), tag.as_bytes()))
        };
        Self {
            coding: Coding::of(headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes)),
            has_it: page.tag(http).is_some_and(has),
        }
    }
}

/// The answer to a request for a page.
pub(super) fn answer(
    http: &HttpShard,
    mut responder: Responder<'_>,
    page: Page,
    wants: Wants,
) -> Response<ResponseBody> {
    let core = responder.core;
    let headers = &mut responder.headers;
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(FRESH));
    if responder.watch.has_tls() {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    }
    if let Some(tag) = page.tag(http) {
        headers.insert(ETAG, tag);
    }
    let whole = |bytes: &Bytes| (JSON, ResponseBody::Whole(Whole::shared(bytes.clone())));
    let (kind, body) = match page {
        Page::Status => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            (JSON, ResponseBody::Whole(Whole::new(core.status_text.borrow().clone())))
        }
        Page::Schema => whole(&core.scorer.borrow().champion().descriptions().schema.bytes),
        Page::OpenApi => whole(&core.scorer.borrow().registry().openapi().bytes),
        Page::File(place) => match http.files() {
            Some(files) => {
                let whole = file(headers, files.file(place), wants.coding);
                if files::place("/") == Some(place) {
                    // Programs are told at the same place that the server lives.
                    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
                }
                whole
            }
            None => whole(&Bytes::new()),
        },
    };
    if wants.has_it {
        return responder.send(
            StatusCode::NOT_MODIFIED,
            ResponseBody::Whole(Whole::new(Bytes::new())),
            false,
        );
    }
    responder.headers.insert(http::header::CONTENT_TYPE, kind);
    responder.send(StatusCode::OK, body, false)
}

fn file(headers: &mut HeaderMap, file: &files::File, coding: Coding) -> (HeaderValue, ResponseBody) {
    if file.lasting {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(LASTING));
    }
    if file.is_page {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    let (body, encoding) = file.form(coding);
    if file.is_packed() {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    (HeaderValue::from_static(file.kind), body)
}

/// A weak tag: a file's compressed forms share it.
fn tag(digest: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/\"{digest}\"")).ok()
}

/// Whether an `if-none-match` names a tag.
fn names(value: &[u8], tag: &[u8]) -> bool {
    let strong = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|one| one == b"*" || strong(one) == strong(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let tag = tag("00ff").unwrap();
        for value in ["W/\"00ff\"", "\"00ff\"", "*", "\"a\", W/\"00ff\" , \"b\""] {
            assert!(names(value.as_bytes(), tag.as_bytes()), "{value}");
        }
        for value in ["", "\"00f\"", "00ff", "W/\"00fe\"", "\"a\",\"b\""] {
            assert!(!names(value.as_bytes(), tag.as_bytes()), "{value}");
        }
    }

    #[test]
    fn every_path_leads_to_a_page_of_its_own() {
        let paths = ["/v1/schema", "/openapi.json", "/v1/status"]
            .into_iter()
            .chain(files::paths());
        let mut pages: Vec<Page> = Vec::new();
        for path in paths {
            let page = Page::at(path).expect(path);
            assert!(!pages.contains(&page), "{path}");
            pages.push(page);
        }
        for path in ["", "//", "/docs/", "/v1", "/v1/schema/", "/docs/swagger-ui.css.map"] {
            assert_eq!(Page::at(path), None, "{path}");
        }
    }
}
