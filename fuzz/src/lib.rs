//! Fuzz targets: readers of external bytes, and what must hold for all bytes.
//!
//! ```text
//!   cargo xtask fuzz TARGET SECONDS ─▶ main.rs (libFuzzer) ─▶ Target::run ◀─ tests/replay.rs ◀─ seeds/TARGET/*
//! ```
//! A target panics when something does not hold. No target panics on bytes that are merely wrong. [`memory`] holds each
//! to the memory that a file of its size may take; [`mutate`] changes numbers and words of a text, because a change of
//! bytes seldom leaves it readable.

pub mod engine;
pub mod memory;
pub mod models;
pub mod mutate;
pub mod rows;

/// What is run on bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, as its seeds' folder and the command line have it.
    pub name: &'static str,
    /// Panics when something does not hold. False: the bytes are none of this target's, and not worth keeping.
    pub run: fn(&[u8]) -> bool,
    /// Whether the bytes are text, so that its numbers and words are worth changing.
    pub is_text: bool,
    /// Words that its bytes are made of, one a line; `\n`, `\r`, `\\` and `\x7f` are escapes.
    pub words: &'static str,
}

impl Target {
    /// Its words as bytes.
    #[must_use]
    pub fn words(&self) -> Vec<Vec<u8>> {
        self.words.lines().map(unescaped).collect()
    }
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (escape, after) = rest.split_first().expect("an escape has a second character");
        rest = after;
        match escape {
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("two digits follow");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits follow"));
                rest = &rest[2..];
            }
            other => bytes.push(*other),
        }
    }
    bytes
}

/// All targets.
pub const TARGETS: [Target; 13] = [
    Target {
        name: "xgboost_json",
        run: models::xgboost_json,
        is_text: true,
        words: include_str!("../words/xgboost.txt"),
    },
    Target {
        name: "xgboost_ubjson",
        run: models::xgboost_ubjson,
        is_text: false,
        words: include_str!("../words/xgboost.txt"),
    },
    Target {
        name: "lightgbm",
        run: models::lightgbm,
        is_text: true,
        words: include_str!("../words/lightgbm.txt"),
    },
    Target {
        name: "treelite",
        run: models::treelite,
        is_text: false,
        words: include_str!("../words/treelite.txt"),
    },
    Target {
        name: "catboost",
        run: models::catboost,
        is_text: true,
        words: include_str!("../words/catboost.txt"),
    },
    Target {
        name: "onnx",
        run: models::onnx,
        is_text: false,
        words: include_str!("../words/onnx.txt"),
    },
    Target {
        name: "model",
        run: models::any,
        is_text: false,
        words: "",
    },
    Target {
        name: "manifest",
        run: models::manifest,
        is_text: true,
        words: include_str!("../words/manifest.txt"),
    },
    Target {
        name: "request",
        run: engine::request,
        is_text: true,
        words: include_str!("../words/request.txt"),
    },
    Target {
        name: "request_names",
        run: engine::request_names,
        is_text: true,
        words: include_str!("../words/request.txt"),
    },
    Target {
        name: "csv",
        run: engine::csv,
        is_text: true,
        words: include_str!("../words/rows.txt"),
    },
    Target {
        name: "ndjson",
        run: engine::ndjson,
        is_text: true,
        words: include_str!("../words/request.txt"),
    },
    Target {
        name: "record",
        run: engine::record,
        is_text: false,
        words: "",
    },
];

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
