//! What is sent: bodies made before the run, each with a place for an id, so that no two requests of a run are equal
//! and every answer can be matched to its own request.
//!
//! ```text
//! file of leads ──leads──┐                 ┌─ oracle: what the model itself says of each lead
//! model or openapi.json ─┴invent──▶ Lead ──┴▶ Pool of bodies ──▶ worker copies one and writes its number over the id
//! ```

pub mod leads;
pub mod oracle;
pub mod synthetic;

use std::path::PathBuf;

use oracle::{Expected, Oracle};

/// Digits of an id. A run of 10^12 requests is beyond every bound.
pub const ID_DIGITS: usize = 12;

/// Bodies kept in memory at most; a file's further leads are not sent.
pub const BODIES_MAX: usize = 1 << 16;

/// What stands before and after the digits of an id.
const HEAD: &[u8] = b"{\"lead_id\":\"lead-";

/// One value of a lead.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number; finite.
    Number(f64),
    /// A category's name.
    Text(String),
    /// `true` or `false`, as the file has it.
    Boolean(bool),
    /// Missing, and said to be so.
    Null,
}

/// Features and their values, in the order they are sent.
pub type Lead = Vec<(String, Value)>;

/// One body.
#[derive(Debug)]
pub struct Body {
    /// Its bytes; the id's digits are zeros.
    pub bytes: Box<[u8]>,
    /// Where the id's digits are; none in a body that is sent as it is.
    pub id_at: Option<usize>,
    /// What must come back, when a model says so.
    pub expected: Option<Expected>,
}

/// All bodies of a run.
#[derive(Debug, Default)]
pub struct Pool {
    /// At least one, unless the requests have no bodies.
    pub bodies: Vec<Body>,
    /// Where they come from, for people.
    pub source: String,
    /// Leads of the file that the model itself refuses, for a category that training never saw.
    pub refused: usize,
}

/// Why there is nothing to send.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// A file.
    #[error("read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A line of a file.
    #[error("read {path}, line {line}: {reason}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong, and what would be accepted.
        reason: String,
    },
    /// A file without leads.
    #[error("read {path}: there is no lead in it")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// Leads that the model does not know.
    #[error("read {path}: none of its columns is a feature of the model; the model has {features}")]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// The first of the model's features.
        features: String,
    },
    /// The model.
    #[error("load {path}: {reason}")]
    Model {
        /// Which file.
        path: PathBuf,
        /// The step that failed.
        reason: String,
    },
    /// A description of the server that has no request in it.
    #[error("read /openapi.json: {reason}; name a file of leads with --payload or a model with --model")]
    OpenApi {
        /// What is missing.
        reason: String,
    },
}

impl Pool {
    /// Bodies of `POST /score`, checked against the model if there is one.
    #[must_use]
    pub fn of_leads(leads: Vec<Lead>, oracle: Option<&mut Oracle>, source: String) -> Self {
        let mut pool = Self {
            source,
            ..Self::default()
        };
        let mut oracle = oracle;
        for lead in leads {
            let expected = match &mut oracle {
                None => None,
                Some(oracle) => match oracle.expect(&lead) {
                    Some(expected) => Some(expected),
                    None => {
                        pool.refused += 1;
                        continue;
                    }
                },
            };
            pool.bodies.push(Body {
                expected,
                ..Body::of_lead(&lead)
            });
        }
        pool
    }

    /// Bodies that are sent as they are, a line each.
    #[must_use]
    pub fn of_lines(text: &str, source: String) -> Self {
        let body = |line: &str| Body {
            bytes: line.as_bytes().into(),
            id_at: None,
            expected: None,
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        Self {
            bodies: lines.take(BODIES_MAX).map(body).collect(),
            source,
            refused: 0,
        }
    }
}

impl Body {
    fn of_lead(lead: &Lead) -> Self {
        let mut bytes = HEAD.to_vec();
        bytes.extend([b'0'; ID_DIGITS]);
        bytes.extend(b"\",\"features\":{");
        for (index, (name, value)) in lead.iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            bytes.extend(quoted(name));
            bytes.push(b':');
            match value {
                Value::Number(number) => bytes.extend(zmij::Buffer::new().format_finite(*number).bytes()),
                Value::Text(text) => bytes.extend(quoted(text)),
                Value::Boolean(value) => bytes.extend(value.to_string().bytes()),
                Value::Null => bytes.extend(b"null"),
            }
        }
        bytes.extend(b"}}");
        Self {
            bytes: bytes.into(),
            id_at: Some(HEAD.len()),
            expected: None,
        }
    }
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

/// The digits of a request's id.
#[must_use]
pub fn digits(mut number: u64) -> [u8; ID_DIGITS] {
    let mut digits = [b'0'; ID_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_that_says_what_the_lead_says() {
        let lead = vec![
            ("f\"1".to_owned(), Value::Number(0.1)),
            ("größe".to_owned(), Value::Text("a\nb".to_owned())),
            ("flag".to_owned(), Value::Boolean(true)),
            ("none".to_owned(), Value::Null),
            ("tiny".to_owned(), Value::Number(5e-324)),
        ];
        let pool = Pool::of_leads(vec![lead, Vec::new()], None, String::new());
        let mut bytes = pool.bodies[0].bytes.to_vec();
        let at = pool.bodies[0].id_at.expect("leads have ids");
        bytes[at..at + ID_DIGITS].copy_from_slice(&digits(78));
        let read: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
        let wanted = serde_json::json!({
            "lead_id": "lead-000000000078",
            "features": {"f\"1": 0.1, "größe": "a\nb", "flag": true, "none": null, "tiny": 5e-324},
        });
        assert_eq!(read, wanted);
        let read: serde_json::Value = serde_json::from_slice(&pool.bodies[1].bytes).expect("it is JSON");
        assert_eq!(read["features"], serde_json::json!({}));
    }

    #[test]
    fn lines_are_sent_as_they_are() {
        let pool = Pool::of_lines("{\"a\": 1}\n\n[2]\r\n", String::new());
        let bodies: Vec<&[u8]> = pool.bodies.iter().map(|body| &*body.bytes).collect();
        assert_eq!(bodies, [&b"{\"a\": 1}"[..], b"[2]"]);
    }
}
