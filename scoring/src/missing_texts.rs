//! Texts that are missing values in the rows of a file: what `--missing` names, and what other programs write.

use crate::text::excerpt;

/// What programs write where a value is missing, beside what a row of a file may have anyway (nothing, `nan`, `null`).
const USUAL: [&str; 22] = [
    "NA", "N/A", "n/a", "na", "#N/A", "#NA", "<NA>", "\\N", "None", "none", "NONE", "NaT", "NIL", "Nil", "nil", "Null",
    "NULL", "null", "nan", "NaN", "-", "?",
];

/// Texts that count as missing; spaces around them do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingTexts(Vec<String>);

impl MissingTexts {
    /// Those that a flag names.
    #[must_use]
    pub fn new(texts: &[String]) -> Self {
        Self(texts.iter().map(|text| text.trim_ascii().to_owned()).collect())
    }

    /// Whether a text is one of them.
    #[must_use]
    pub fn contains(&self, text: &[u8]) -> bool {
        !self.0.is_empty() && {
            let text = text.trim_ascii();
            self.0.iter().any(|missing| missing.as_bytes() == text)
        }
    }
}

/// Which of the usual texts an error repeats, if it is one.
pub(crate) fn usual(repeated: &str) -> Option<&'static str> {
    USUAL.into_iter().find(|text| excerpt(text) == repeated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_around_a_text_do_not_count_and_its_case_does() {
        let texts = MissingTexts::new(&["NA ".to_owned(), "\\N".to_owned()]);
        for text in ["NA", " NA\r", "\\N"] {
            assert!(texts.contains(text.as_bytes()), "{text:?}");
        }
        for text in ["na", "N A", "", "\\n"] {
            assert!(!texts.contains(text.as_bytes()), "{text:?}");
        }
        assert!(!MissingTexts::default().contains(b""));
        assert_eq!(usual("\"\\\\N\""), Some("\\N"));
        assert_eq!(usual("\"Namibia\""), None);
    }
}
