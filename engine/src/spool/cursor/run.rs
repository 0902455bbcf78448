//! Records that were read together, and what is remembered of them until they are acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::spool::segment::Segment;

/// Records behind each other in one segment.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) segment: Arc<Segment>,
    pub(super) slot: Option<usize>,
    /// Number of its first record.
    pub(super) first: u64,
    /// Where its records begin, all multiples of 8, with [`MARKED`], and how many milliseconds after `time_us` they
    /// were made.
    pub(super) places: VecDeque<(u32, u32)>,
    pub(super) time_us: i64,
    pub(super) to: usize,
    /// Nothing follows in its segment.
    pub(super) is_last: bool,
}

/// Beside a record's place: it is delivered, though not all before it are.
pub(super) const MARKED: u32 = 1;

impl Run {
    /// Number of the record behind its last one.
    pub(super) fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Where what is left of it begins.
    pub(super) fn from(&self) -> usize {
        self.places
            .front()
            .map_or(self.to, |(place, _)| (place & !MARKED) as usize)
    }

    /// How long after its first record one was made, in milliseconds.
    pub(super) fn after(&self, time_us: i64) -> u32 {
        u32::try_from((time_us - self.time_us) / 1_000).unwrap_or(0)
    }

    /// When the first record that is left of it was made.
    pub(super) fn oldest_us(&self) -> Option<i64> {
        let (_, after_ms) = self.places.front()?;
        Some(self.time_us + i64::from(*after_ms) * 1_000)
    }

    pub(super) fn note(&self, offset: u64) {
        if let Some(slot) = self.slot {
            self.segment.acknowledge(slot, offset);
        }
    }
}
