//! What the metrics say of this process.

/// What does not change while a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Version of this program.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// The target it was built for.
    pub target: String,
    /// The runtime backend in use.
    pub runtime: String,
}
