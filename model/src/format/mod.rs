//! Files → [`Ensemble`]: one file a format, chosen by content.

mod error;

pub use error::FormatError;

use crate::ensemble::Ensemble;

/// Reads a model file of any accepted format.
///
/// # Errors
/// What is wrong, where, and what is accepted.
pub fn load(bytes: &[u8]) -> Result<Ensemble, FormatError> {
    if bytes.is_empty() {
        return Err(FormatError::Empty);
    }
    Err(FormatError::Foreign {
        what: "no model file we know",
        advice: error::ACCEPTED,
    })
}
