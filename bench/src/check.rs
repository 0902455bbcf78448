//! Whether an answer is right: its status, the id it repeats, and the model's own numbers.
//!
//! The numbers are compared as doubles, bit for bit, however they are written. Found by their keys, not by a JSON
//! parser: it would cost more than the rest of the client, and an answer that hides them is not right either.

use memchr::memmem::Finder;

use crate::payload::ID_DIGITS;
use crate::payload::oracle::Expected;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The status.
    Status,
    /// Also the lead's id.
    Id,
    /// Also the score and the predictions.
    Exact,
}

/// Why an answer is not right.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AnswerError {
    /// Another status than the one that is right.
    #[error("status {0}")]
    Status(u16),
    /// The answer to some other request.
    #[error("it does not repeat the id of its own lead")]
    Id,
    /// Another score than the model's.
    #[error("its score is not {expected}")]
    Score {
        /// As the model has it.
        expected: String,
    },
    /// Another prediction than the model's.
    #[error("its prediction is {actual:?}, and the model's {expected:?}")]
    Prediction {
        /// As it was read; none when there is none.
        actual: Option<f64>,
        /// As the model has it.
        expected: f64,
    },
}

impl AnswerError {
    /// A word for tables.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Status(503) => "status 503",
            Self::Status(status) => match status / 100 {
                2 => "status 2xx",
                3 => "status 3xx",
                4 => "status 4xx",
                _ => "status 5xx",
            },
            Self::Id => "wrong id",
            Self::Score { .. } => "wrong score",
            Self::Prediction { .. } => "wrong prediction",
        }
    }
}

/// Looks at answers.
#[derive(Debug)]
pub struct Checker {
    depth: Depth,
    status: u16,
    id: Finder<'static>,
    score: Finder<'static>,
    predictions: [Finder<'static>; 4],
}

impl Checker {
    /// Checks that answers have this status, and as much as `depth` says.
    #[must_use]
    pub fn new(depth: Depth, status: u16) -> Self {
        Self {
            depth,
            status,
            id: Finder::new("\"lead_id\""),
            score: Finder::new("\"score\""),
            // Ours, ours for regressions, ours for several outputs, and the open inference protocol's.
            predictions: ["\"probability\"", "\"prediction\"", "\"predictions\"", "\"data\""].map(Finder::new),
        }
    }

    /// Whether an answer is right.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(
        &self,
        status: u16,
        body: &[u8],
        id: Option<&[u8; ID_DIGITS]>,
        expected: Option<&Expected>,
    ) -> Result<(), AnswerError> {
        if status != self.status {
            return Err(AnswerError::Status(status));
        }
        if let Some(id) = id.filter(|_| self.depth >= Depth::Id) {
            let found = value(body, &self.id).and_then(|text| text.strip_prefix(b"\"lead-"));
            if !found.is_some_and(|text| text.starts_with(id)) {
                return Err(AnswerError::Id);
            }
        }
        match expected {
            Some(expected) if self.depth == Depth::Exact => self.check_numbers(body, expected),
            _ => Ok(()),
        }
    }

    fn check_numbers(&self, body: &[u8], expected: &Expected) -> Result<(), AnswerError> {
        if let Some(score) = expected.score {
            // The key is also that of a time in Quintile's answers, further on.
            let right = value(body, &self.score).is_some_and(|text| number(text) == Some(f64::from(score)));
            if !right {
                return Err(AnswerError::Score {
                    expected: score.to_string(),
                });
            }
        }
        let mut text = self
            .predictions
            .iter()
            .find_map(|key| value(body, key))
            .unwrap_or_default();
        if let Some(inner) = text.strip_prefix(b"[") {
            text = inner;
        }
        for &expected in &expected.predictions {
            let actual = number(text);
            // JSON has no infinities and no NaN: they are null.
            let right = actual.map_or(!expected.is_finite(), |actual| actual.to_bits() == expected.to_bits());
            if !right || text.is_empty() {
                return Err(AnswerError::Prediction { actual, expected });
            }
            text = memchr::memchr(b',', text).map_or(&[], |comma| &text[comma + 1..]);
        }
        Ok(())
    }
}

/// What follows a key and its colon.
fn value<'a>(body: &'a [u8], key: &Finder<'_>) -> Option<&'a [u8]> {
    let at = key.find(body)? + key.needle().len();
    let rest = body[at..].trim_ascii_start().strip_prefix(b":")?;
    Some(rest.trim_ascii_start())
}

/// The number that a text begins with.
fn number(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    let end = text
        .iter()
        .position(|byte| !b"+-.0123456789eE".contains(byte))
        .unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"lead_id":"lead-000000000042","score":4,"probability":0.16741915047168732,"model":{},"latency_us":{"score":9}}"#;

    fn expected(score: Option<u8>, predictions: &[f64]) -> Expected {
        Expected {
            score,
            predictions: predictions.to_vec(),
        }
    }

    fn check(body: &str, expected: &Expected) -> Result<(), AnswerError> {
        Checker::new(Depth::Exact, 200).check(200, body.as_bytes(), Some(b"000000000042"), Some(expected))
    }

    #[test]
    fn an_exact_answer_passes_however_it_is_written() {
        let right = expected(Some(4), &[0.16741915047168732]);
        assert_eq!(check(ANSWER, &right), Ok(()));
        assert_eq!(check(&ANSWER.replace(':', " : "), &right), Ok(()));
        assert_eq!(
            check(&ANSWER.replace("0.16741915047168732", "1.6741915047168732e-1"), &right),
            Ok(())
        );
        let several = r#"{"lead_id": "lead-000000000042", "score": null, "predictions": [0.5, null, -1e300]}"#;
        assert_eq!(check(several, &expected(None, &[0.5, f64::NAN, -1e300])), Ok(()));
        let data = r#"{"lead_id":"lead-000000000042","outputs":[{"name":"predict","shape":[1,1],"data":[0.25]}]}"#;
        assert_eq!(check(data, &expected(None, &[0.25])), Ok(()));
    }

    #[test]
    fn one_bit_is_a_wrong_answer() {
        let next = f64::from_bits(0.16741915047168732_f64.to_bits() + 1);
        assert!(matches!(
            check(ANSWER, &expected(Some(4), &[next])),
            Err(AnswerError::Prediction { .. })
        ));
        let score = check(ANSWER, &expected(Some(5), &[0.16741915047168732]));
        assert!(matches!(score, Err(AnswerError::Score { .. })), "{score:?}");
        let two = check(ANSWER, &expected(Some(4), &[0.16741915047168732, 0.1]));
        assert!(matches!(two, Err(AnswerError::Prediction { .. })), "{two:?}");
        let none = check(r#"{"lead_id":"lead-000000000042"}"#, &expected(None, &[f64::NAN]));
        assert!(
            matches!(none, Err(AnswerError::Prediction { actual: None, .. })),
            "{none:?}"
        );
    }

    #[test]
    fn an_answer_to_another_request_is_wrong() {
        let checker = Checker::new(Depth::Id, 200);
        let other = checker.check(200, ANSWER.as_bytes(), Some(b"000000000043"), None);
        assert_eq!(other, Err(AnswerError::Id));
        assert_eq!(
            checker.check(503, ANSWER.as_bytes(), None, None),
            Err(AnswerError::Status(503))
        );
        let status_only = Checker::new(Depth::Status, 200);
        assert_eq!(status_only.check(200, b"", Some(b"000000000043"), None), Ok(()));
    }
}
