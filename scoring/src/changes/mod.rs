//! What would change a score: the smallest changes of features that people may change, with which a lead reaches a
//! band.
//!
//! ```text
//! row ─▶ Search ─rows()─▶ the model's kernel ─take()─▶ … ─▶ Found ─▶ words, JSON
//! ```
//! Trees cut each feature's values into intervals, within which the score stays the same. So one value of each interval
//! stands for all of them, and trying one of each is exact. Every row that is tried is scored by the kernel that answers
//! requests: what is told has been scored. The caller scores the rows, as many at a time as its other work allows.

mod candidates;
mod found;
mod search;
#[cfg(test)]
mod tests;

pub use found::{Change, FeatureChange, Found};
pub use search::Search;
