//! The last scores, for the status page: ids, scores and times, and never a value of a lead.
//!
//! Taken from the records as the first sink reads them, so it costs nothing between a request and its answer.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use quintile_scoring::text::clip;
use serde::Serialize;

use crate::record::Frame;

/// How many are kept.
const SCORES_MAX: usize = 12;

/// Bytes of an id that are kept.
const ID_BYTES_MAX: usize = 64;

/// One score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RecentScore {
    lead_id: String,
    /// None of a model without bands.
    score: Option<u8>,
    time_unix_ms: i64,
}

/// The last scores, written by the thread of a sink and read by that of the status.
#[derive(Debug, Default)]
pub(super) struct RecentScores(Mutex<VecDeque<RecentScore>>);

impl RecentScores {
    pub(super) fn add(&self, record: &Frame<'_>) {
        let score = RecentScore {
            lead_id: clip(record.lead_id, ID_BYTES_MAX).into_owned(),
            score: record.score,
            time_unix_ms: record.time_us / 1000,
        };
        let mut scores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scores.truncate(SCORES_MAX - 1);
        scores.push_front(score);
    }

    /// The newest first.
    pub(super) fn list(&self) -> Vec<RecentScore> {
        let scores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scores.iter().cloned().collect()
    }
}
