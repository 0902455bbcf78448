//! `[log]`: what is logged, and how.

use super::Key;
use crate::config::LogFormat;
use crate::config::validators::check_level;
use crate::config::value::ValueKind;

pub(super) static KEYS: &[Key] = &[
    Key {
        section: "log",
        name: "format",
        flag: Some("log"),
        kind: ValueKind::Word {
            words: || vec!["json", "text"],
            set: |settings, word| {
                let format = match word {
                    "json" => LogFormat::Json,
                    "text" => LogFormat::Text,
                    _ => return false,
                };
                settings.log = format;
                true
            },
        },
        default: None,
        help: "How log lines look; without it text on a terminal, else JSON",
    },
    Key {
        section: "log",
        name: "level",
        flag: None,
        kind: ValueKind::Text {
            form: "error, warn, info, debug, trace, off, or TARGET=LEVEL, separated by commas",
            check: check_level,
            set: |settings, text| settings.log_level = text,
        },
        default: Some("info"),
        help: "Which log lines are written",
    },
];
