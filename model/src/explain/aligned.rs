//! Doubles that begin at a cache line, so that no register is loaded from two.

#![expect(unsafe_code, reason = "a slice of lines is looked at as one of doubles")]

use std::ops::{Deref, DerefMut};

/// Doubles of a cache line.
const LINE: usize = 8;

/// A cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct DoublesLine([f64; LINE]);

/// A list of doubles that begins at a cache line.
#[derive(Debug, Clone, Default)]
pub(super) struct AlignedDoubles {
    lines: Vec<DoublesLine>,
    len: usize,
}

impl AlignedDoubles {
    pub(super) fn zeros(len: usize) -> Self {
        Self {
            lines: vec![DoublesLine([0.0; LINE]); len.div_ceil(LINE)],
            len,
        }
    }

    /// Appends some.
    pub(super) fn extend(&mut self, values: impl Iterator<Item = f64>) {
        for value in values {
            let place = self.len % LINE;
            if place == 0 {
                self.lines.push(DoublesLine([0.0; LINE]));
            }
            if let Some(line) = self.lines.last_mut() {
                line.0[place] = value;
            }
            self.len += 1;
        }
    }
}

impl Deref for AlignedDoubles {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        // SAFETY: lines are eight doubles without anything between them, and there are enough of them for the length.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for AlignedDoubles {
    fn deref_mut(&mut self) -> &mut [f64] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_back_from_a_cache_line_on() {
        let mut doubles = AlignedDoubles::default();
        doubles.extend((0..13).map(f64::from));
        assert_eq!(doubles.len(), 13);
        assert!(doubles.iter().copied().eq((0..13).map(f64::from)));
        assert_eq!(doubles.as_ptr() as usize % 64, 0);
        let mut zeros = AlignedDoubles::zeros(9);
        zeros[8] = 1.0;
        assert_eq!(zeros.iter().sum::<f64>().to_bits(), 1.0f64.to_bits());
    }
}
