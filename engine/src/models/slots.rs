//! Which slot a version has on every shard, and its number.

/// Gives out slots and numbers.
#[derive(Debug, Default)]
pub struct SlotNumbers {
    /// Whether each slot is some version's.
    taken: Vec<bool>,
    last: u64,
}

impl SlotNumbers {
    /// A slot that no version has, and a number that none has had.
    pub fn take(&mut self) -> (usize, u64) {
        self.last += 1;
        let slot = self.taken.iter().position(|taken| !taken).unwrap_or(self.taken.len());
        if slot == self.taken.len() {
            self.taken.push(true);
        } else {
            self.taken[slot] = true;
        }
        (slot, self.last)
    }

    /// Gives a slot back whose version is freed.
    pub fn free(&mut self, slot: usize) {
        if let Some(taken) = self.taken.get_mut(slot) {
            *taken = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_again_and_numbers_do_not() {
        let mut slots = SlotNumbers::default();
        assert_eq!([slots.take(), slots.take(), slots.take()], [(0, 1), (1, 2), (2, 3)]);
        slots.free(1);
        assert_eq!([slots.take(), slots.take()], [(1, 4), (3, 5)]);
    }
}
