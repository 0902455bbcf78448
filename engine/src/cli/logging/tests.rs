//! Lines as they are written, with hostile letters in every place.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// A log that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panics with it").clone()).expect("text")
    }
}

/// What is said, as JSON, as text, and as coloured text.
fn written(say: impl Fn()) -> [String; 3] {
    let kept = [Kept::default(), Kept::default(), Kept::default()];
    let builder = |at: usize| {
        let kept = kept[at].clone();
        fmt::Subscriber::builder().with_writer(move || kept.clone())
    };
    tracing::subscriber::with_default(builder(0).event_format(Json).finish(), &say);
    tracing::subscriber::with_default(builder(1).with_ansi(false).event_format(Text).finish(), &say);
    tracing::subscriber::with_default(builder(2).with_ansi(true).event_format(Text).finish(), &say);
    kept.map(|kept| kept.text())
}

#[test]
fn a_line_has_opentelemetrys_fields() {
    let [json, text, _] = written(|| {
        tracing::warn!(
            shard = 3,
            error = %io::Error::other("it \"broke\""),
            http.response.status_code = 503_u16,
            ratio = 0.5,
            nothing = f64::NAN,
            trace_id = "0af7651916cd43dd8448eb211c80319c",
            span_id = "b7ad6b7169203331",
            "failed {}",
            "request"
        );
    });
    let line: serde_json::Value = serde_json::from_str(&json).expect("a line is one JSON object");
    assert_eq!((json.matches('\n').count(), json.ends_with('\n')), (1, true));
    for (pointer, value) in [
        ("/severity_text", "WARN".into()),
        ("/severity_number", 13.into()),
        ("/body", "failed request".into()),
        ("/trace_id", "0af7651916cd43dd8448eb211c80319c".into()),
        ("/span_id", "b7ad6b7169203331".into()),
        ("/attributes/quintile.shard", 3.into()),
        ("/attributes/exception.message", "it \"broke\"".into()),
        ("/attributes/http.response.status_code", 503.into()),
        ("/attributes/quintile.ratio", 0.5.into()),
        ("/attributes/quintile.nothing", "NaN".into()),
        ("/scope", module_path!().into()),
        ("/resource/service.name", "quintile".into()),
    ] {
        assert_eq!(
            line.pointer(pointer),
            Some::<&serde_json::Value>(&value),
            "{pointer} {json}"
        );
    }
    assert_eq!(line["attributes"].as_object().map(serde_json::Map::len), Some(5));
    let time = line["timestamp"].as_str().expect("a time");
    assert!(time.len() > 20 && time.contains('T') && time.ends_with('Z'), "{time}");
    let (_, said) = text.split_once("Z  WARN ").expect("a time and a severity");
    assert_eq!(
        said,
        "failed request shard=3 error=\"it \\\"broke\\\"\" http.response.status_code=503 ratio=0.5 nothing=NaN \
         trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331\n"
    );
}

#[test]
fn nothing_that_is_given_reaches_a_terminal_as_a_command() {
    let hostile = "a\u{1b}[2J\u{1b}]0;x\u{7}\r\nb\u{9b}31m\u{202e}c\u{2028}\u{0}\u{7f}";
    let [json, text, coloured] = written(|| {
        tracing::error!(lead_id = hostile, path = %hostile, other = ?hostile, "read {hostile}");
    });
    for line in [&json, &text] {
        let unfit: Vec<char> = line
            .trim_end_matches('\n')
            .chars()
            .filter(|letter| letter.is_control())
            .collect();
        assert!(unfit.is_empty(), "{unfit:?} in {line:?}");
        assert!(!line.contains(['\u{202e}', '\u{2028}']), "{line:?}");
    }
    let plain = ["\x1b[2m", "\x1b[31m", "\x1b[0m"]
        .iter()
        .fold(coloured, |text, code| text.replace(code, ""));
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    // A machine that reads the line gets every letter back.
    let line: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(line["attributes"]["quintile.lead_id"], hostile);
    assert_eq!(line["attributes"]["file.path"], hostile);
    assert_eq!(line["body"], format!("read {hostile}"));
}

#[test]
fn requests_to_aws_are_in_nobodys_log() {
    use tracing::Level;
    for level in ["trace", "warn,quintile=debug,aws=trace"] {
        let filter = filter(level);
        assert!(filter.would_enable("quintile::side", &Level::DEBUG), "{level}");
        for target in [
            "aws_smithy_runtime::client",
            "hyper_util::client",
            "object_store::aws",
            "h2::codec",
        ] {
            assert!(!filter.would_enable(target, &Level::INFO), "{level}, {target}");
            assert!(filter.would_enable(target, &Level::WARN), "{level}, {target}");
        }
    }
    assert!(!filter("warn").would_enable("quintile", &Level::INFO));
}
