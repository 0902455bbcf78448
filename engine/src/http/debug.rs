//! Paths that exist only in builds for tests. They cause faults on purpose.

use super::error::RequestError;

/// What a test asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Probe {
    /// Reads the body and answers fixed bytes: what the connection itself costs.
    Static,
    /// Panics where scoring would.
    Panic,
}

/// The probe of a path.
pub(super) fn probe(path: &str) -> Option<Probe> {
    match path {
        "/debug/static" => Some(Probe::Static),
        "/debug/panic" => Some(Probe::Panic),
        // Panics in the connection's task, where only its own containment is left.
        "/debug/panic-outside" => panic!("asked for by {path}"),
        _ => None,
    }
}

impl Probe {
    pub(super) fn run(self) -> Result<&'static str, RequestError> {
        match self {
            Self::Static => Ok("{}"),
            Self::Panic => panic!("asked for by a test"),
        }
    }
}
