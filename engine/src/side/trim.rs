//! Gives memory back to the system after clients have gone, and after models have.
//!
//! Large buffers go back by themselves. Memory that is freed between smaller allocations stays in the arenas of the
//! shards until the allocator is asked to return it. This locks an arena, so it is done when the load peak is over.

/// Less than this is not worth it. Unit: bytes.
const WORTH_BYTES: usize = 8 << 20;

/// Looks in a row that must find little in use: two seconds.
const QUIET_LOOKS: u32 = 4;

/// When to ask the allocator for memory that is free.
#[derive(Debug, Default)]
pub(super) struct Trim {
    highest: usize,
    quiet: u32,
    /// Models have changed: what the old ones had in small pieces is free.
    has_new_models: bool,
}

impl Trim {
    /// Looks at how much of the budget is in use; true when it is time to give memory back.
    pub(super) fn is_due(&mut self, used: usize) -> bool {
        self.highest = self.highest.max(used);
        let is_high = used > self.highest / 4 && self.highest >= WORTH_BYTES;
        if is_high || (self.highest < WORTH_BYTES && !self.has_new_models) {
            self.quiet = 0;
            return false;
        }
        self.quiet += 1;
        if self.quiet < QUIET_LOOKS {
            return false;
        }
        *self = Self {
            highest: used,
            ..Self::default()
        };
        true
    }

    /// Other models are served from now on.
    pub(super) fn models_changed(&mut self) {
        self.has_new_models = true;
        self.quiet = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_after_models_have_changed() {
        let mut trim = Trim::default();
        assert!((0..10).all(|_| !trim.is_due(0)));
        trim.models_changed();
        assert_eq!([0, 0, 0, 0].map(|used| trim.is_due(used)), [false, false, false, true]);
        assert!((0..10).all(|_| !trim.is_due(0)), "it was done");
    }

    #[test]
    fn once_after_each_rush() {
        let mut trim = Trim::default();
        let mut due = |used: usize| trim.is_due(used << 20);
        assert!((0..10).all(|_| !due(7)), "little was used");
        assert!((0..10).all(|_| !due(40)) && (0..10).all(|_| !due(11)), "much is in use");
        assert_eq!([10, 9, 10, 1].map(&mut due), [false, false, false, true]);
        assert!((0..10).all(|_| !due(1)), "it was done");
        assert_eq!(
            [20, 0, 0, 15, 0, 0, 0, 0].map(due),
            [false, false, false, false, false, false, false, true]
        );
    }
}
