//! The files of the pages: our own texts, and Swagger UI.

use bytes::Bytes;
use http::HeaderValue;
use quintile_scoring::loaded::describe::digest;
use quintile_swagger::{Asset, BUNDLE, STYLE};

use super::coding::Coding;
use super::tag;
use crate::http::response_body::{ResponseBody, Whole};

/// Where a file is and what it is.
struct Entry {
    path: &'static str,
    kind: &'static str,
    content: Content,
}

enum Content {
    /// A page or a file of one: few bytes, which are sent as they are.
    Ours(&'static str),
    /// Many bytes, compressed when the program was built. Their addresses have their digest behind a question mark.
    Packed(&'static Asset),
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const fn ours(path: &'static str, kind: &'static str, text: &'static str) -> Entry {
    Entry {
        path,
        kind,
        content: Content::Ours(text),
    }
}

const fn packed(path: &'static str, kind: &'static str, asset: &'static Asset) -> Entry {
    Entry {
        path,
        kind,
        content: Content::Packed(asset),
    }
}

/// All of them. References within them are relative, so that a proxy may put them under a path of its own.
static ENTRIES: [Entry; 15] = [
    ours("/", HTML, include_str!("home.html")),
    ours("/home.css", CSS, include_str!("home.css")),
    ours("/home.js", SCRIPT, include_str!("home.js")),
    ours("/icon.svg", SVG, include_str!("icon.svg")),
    ours("/models", HTML, include_str!("models.html")),
    ours("/models.css", CSS, include_str!("models.css")),
    ours("/models.js", SCRIPT, include_str!("models.js")),
    ours("/explore", HTML, include_str!("explore.html")),
    ours("/explore.css", CSS, include_str!("explore.css")),
    ours("/explore.js", SCRIPT, include_str!("explore.js")),
    ours("/docs", HTML, include_str!("docs.html")),
    ours("/docs/docs.css", CSS, include_str!("docs.css")),
    ours("/docs/start.js", SCRIPT, include_str!("docs.js")),
    packed("/docs/swagger-ui.css", CSS, &STYLE),
    packed("/docs/swagger-ui-bundle.js", SCRIPT, &BUNDLE),
];

/// The number of the file at a path.
pub(super) fn place(path: &str) -> Option<usize> {
    ENTRIES.iter().position(|entry| entry.path == path)
}

/// Every path.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.path)
}

/// All files, ready to be sent; one of it for all shards.
#[derive(Debug)]
pub struct Files(Vec<File>);

/// A file, ready to be sent.
#[derive(Debug)]
pub(super) struct File {
    pub(super) kind: &'static str,
    pub(super) tag: HeaderValue,
    /// Whether a browser may keep it without asking again.
    pub(super) lasting: bool,
    /// Whether it is what an address bar leads to.
    pub(super) is_page: bool,
    text: Text,
}

#[derive(Debug)]
enum Text {
    Plain(Bytes),
    Packed(&'static Asset),
}

impl Files {
    /// Makes them ready.
    #[must_use]
    pub fn new() -> Self {
        Self(ENTRIES.iter().map(File::new).collect())
    }

    /// The file of a number that [`place`] gave.
    pub(super) fn file(&self, place: usize) -> &File {
        &self.0[place]
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl File {
    fn new(entry: &Entry) -> Self {
        let (text, digest, lasting) = match entry.content {
            Content::Ours(text) => {
                // Which release of Swagger UI a page asks for is part of the address, so that browsers may keep it for
                // ever.
                let text = text.replace("{style}", STYLE.digest).replace("{bundle}", BUNDLE.digest);
                let digest = digest(text.as_bytes());
                (Text::Plain(text.into()), digest, false)
            }
            Content::Packed(asset) => (Text::Packed(asset), asset.digest.to_owned(), true),
        };
        Self {
            kind: entry.kind,
            tag: tag(&digest).expect("a digest is hexadecimal"),
            lasting,
            is_page: entry.kind == HTML,
            text,
        }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self.text, Text::Packed(_))
    }

    /// Its bytes in the form that is wanted, and what the form is called.
    pub(super) fn form(&self, coding: Coding) -> (ResponseBody, Option<&'static str>) {
        let whole = |bytes| ResponseBody::Whole(Whole::shared(bytes));
        match (&self.text, coding) {
            (Text::Plain(text), _) => (whole(text.clone()), None),
            (Text::Packed(asset), Coding::Brotli) => (whole(Bytes::from_static(asset.brotli)), Some("br")),
            (Text::Packed(asset), Coding::Gzip) => (whole(Bytes::from_static(asset.gzip)), Some("gzip")),
            (Text::Packed(asset), Coding::Identity) => (whole(Bytes::from_static(asset.text)), None),
        }
    }
}
