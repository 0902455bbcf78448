//! One budget of bytes for the process: the most that clients can make it hold.
//!
//! ```text
//!  0 ────────────────────────── large ──────────── all
//!  │ bodies, batches, answers, connections          │ a quarter that only small things may take
//! ```
//! Shards ask before they keep more than a small request needs; beyond the budget they answer 503. A [`Charge`] gives
//! its bytes back when it is dropped. A request whose body comes in one piece and whose answer leaves at once is never
//! charged: it holds nothing between two polls.
//!
//! Counts are relaxed atomics. They guard no memory, and a sum that is a moment old is as good as a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What bytes are held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Purpose {
    /// Open connections with their buffers, and the receive windows of HTTP/2.
    Connections,
    /// Bodies of single requests that are being read.
    Bodies,
    /// Bodies of batches that are being read or scored.
    Batches,
    /// Answers that wait for the peer to read them.
    Answers,
}

impl Purpose {
    /// All of them, by number.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Bodies, Self::Batches, Self::Answers];

    /// The label's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Bodies => "bodies",
            Self::Batches => "batches",
            Self::Answers => "answers",
        }
    }
}

/// Which part of the budget may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// All of it: what a small request needs.
    Small,
    /// All but the reserve.
    Large,
}

/// There is no room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory for requests is in use")]
pub struct BudgetError;

/// Bytes that all requests and connections of the process may hold, and what they hold now.
#[derive(Debug)]
pub struct Budget {
    bytes: usize,
    used: AtomicUsize,
    by_purpose: [AtomicUsize; Purpose::ALL.len()],
    refused: AtomicU64,
}

impl Budget {
    /// A budget of this many bytes, all unused.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            used: AtomicUsize::new(0),
            by_purpose: Default::default(),
            refused: AtomicU64::new(0),
        })
    }

    /// Bytes that may be used.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes in use for one purpose.
    #[must_use]
    pub fn used_for(&self, purpose: Purpose) -> usize {
        self.by_purpose[purpose as usize].load(Ordering::Relaxed)
    }

    /// How often there was no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether there is room for this many bytes at this moment. Nothing is taken.
    #[must_use]
    pub fn has_room(&self, bytes: usize, size: Size) -> bool {
        self.used().saturating_add(bytes) <= self.limit(size)
    }

    fn limit(&self, size: Size) -> usize {
        match size {
            Size::Small => self.bytes,
            Size::Large => self.bytes - self.bytes / 4,
        }
    }

    fn take(&self, bytes: usize, purpose: Purpose, size: Size) -> Result<(), BudgetError> {
        // Not added before it is known to fit: what is refused must not, even for a moment, keep something else out.
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|&sum| sum <= self.limit(size))
        });
        if taken.is_err() {
            self.refuse();
            return Err(BudgetError);
        }
        self.by_purpose[purpose as usize].fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, bytes: usize, purpose: Purpose) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.by_purpose[purpose as usize].fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts something that was refused because [`Self::has_room`] said no.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Bytes taken from the budget, given back when this is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    purpose: Purpose,
    bytes: usize,
}

impl Charge {
    /// A charge of nothing yet.
    #[must_use]
    pub fn new(budget: &Arc<Budget>, purpose: Purpose) -> Self {
        Self {
            budget: Arc::clone(budget),
            purpose,
            bytes: 0,
        }
    }

    /// Bytes that are charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets the total to this many bytes. A lower total than before is always possible.
    ///
    /// # Errors
    /// When the budget has no room for what is added; then nothing has changed.
    pub fn set(&mut self, bytes: usize, size: Size) -> Result<(), BudgetError> {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes, self.purpose, size)?;
        } else {
            self.budget.give_back(self.bytes - bytes, self.purpose);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Adds bytes that are held already, whether the budget has room for them or not: others are refused for them.
    pub fn add(&mut self, bytes: usize) {
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.budget.by_purpose[self.purpose as usize].fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    /// Makes it fewer bytes, or leaves it.
    pub fn lower(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.budget.give_back(self.bytes - bytes, self.purpose);
            self.bytes = bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes, self.purpose);
    }
}

/// The part of the memory limit that requests may take by default: a third of what is left when the process has
/// started. The rest is for what is not counted: records on their way, files that are being written, the allocator.
#[must_use]
pub fn share(limit_bytes: u64, resident_bytes: u64) -> usize {
    let left = limit_bytes.saturating_sub(resident_bytes);
    usize::try_from(left / 3).unwrap_or(usize::MAX).max(BUDGET_BYTES_MIN)
}

/// The largest budget that is taken without being asked for: some hundred large bodies at once. Unit: bytes.
pub const BUDGET_BYTES_UNASKED_MAX: usize = 192 << 20;

/// The least budget: a few bodies and connections. Unit: bytes.
pub const BUDGET_BYTES_MIN: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_quarter_is_for_small_things() {
        let budget = Budget::new(1000);
        let mut large = Charge::new(&budget, Purpose::Bodies);
        assert_eq!(large.set(750, Size::Large), Ok(()));
        assert_eq!(large.set(751, Size::Large), Err(BudgetError));
        let mut small = Charge::new(&budget, Purpose::Connections);
        assert_eq!(small.set(250, Size::Small), Ok(()));
        assert_eq!(small.set(251, Size::Small), Err(BudgetError));
        assert_eq!((budget.used(), budget.refused()), (1000, 2));
        assert_eq!(budget.used_for(Purpose::Bodies), 750);
        drop(large);
        assert_eq!((budget.used(), budget.used_for(Purpose::Bodies)), (250, 0));
        small.lower(300);
        assert_eq!(small.bytes(), 250);
        small.lower(100);
        assert_eq!(budget.used_for(Purpose::Connections), 100);
        assert!(budget.has_room(650, Size::Large) && !budget.has_room(651, Size::Large));
    }

    #[test]
    fn threads_that_take_and_give_leave_nothing_behind() {
        let budget = Budget::new(10_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for bytes in 0..5000 {
                        let mut charge = Charge::new(&budget, Purpose::Answers);
                        let _ = charge.set(bytes, Size::Large);
                        let _ = charge.set(bytes / 2, Size::Small);
                        assert!(budget.used() <= 10_000);
                    }
                });
            }
        });
        assert_eq!((budget.used(), budget.used_for(Purpose::Answers)), (0, 0));
    }

    #[test]
    fn a_third_of_what_is_left() {
        assert_eq!(share(512 << 20, 62 << 20), 150 << 20);
        assert_eq!(share(1 << 20, 2 << 20), BUDGET_BYTES_MIN);
    }
}
