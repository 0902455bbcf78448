//! Distinct sets of category codes, each stored as the smaller of a bit field and a sorted list.
//!
//! A file may name code 2^24 − 1 in a million nodes; bit fields alone would take 2 MiB for each.

use std::collections::HashMap;

/// All sets of a plan, by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct CategorySets {
    sets: Vec<Set>,
    words: Vec<u32>,
}

/// Where a set lies in the words.
#[derive(Debug, Clone, Copy)]
struct Set {
    first: usize,
    count: usize,
    is_bits: bool,
}

/// Gathers sets and gives equal ones the same number.
#[derive(Debug, Default)]
pub(crate) struct CategorySetsBuilder<'a> {
    known: HashMap<&'a [u32], u32>,
    sets: CategorySets,
}

impl<'a> CategorySetsBuilder<'a> {
    /// The number of a set of increasing codes.
    pub(crate) fn number(&mut self, codes: &'a [u32]) -> u32 {
        let sets = &mut self.sets;
        let next = u32::try_from(sets.sets.len()).expect("there are fewer sets than nodes, which u32 numbers");
        *self.known.entry(codes).or_insert_with(|| {
            sets.push(codes);
            next
        })
    }

    pub(crate) fn finish(self) -> CategorySets {
        self.sets
    }
}

impl CategorySets {
    fn push(&mut self, codes: &[u32]) {
        let first = self.words.len();
        let bit_words = codes.last().map_or(0, |&last| last as usize / 32 + 1);
        let is_bits = bit_words <= codes.len().saturating_mul(2).max(8);
        if is_bits {
            self.words.resize(first + bit_words, 0);
            for &code in codes {
                self.words[first + code as usize / 32] |= 1 << (code % 32);
            }
        } else {
            self.words.extend_from_slice(codes);
        }
        self.sets.push(Set {
            first,
            count: self.words.len() - first,
            is_bits,
        });
    }

    /// Whether a code is in a set.
    pub(crate) fn contains(&self, number: u32, code: u32) -> bool {
        let Some(set) = self.sets.get(number as usize) else {
            return false;
        };
        let words = &self.words[set.first..set.first + set.count];
        if !set.is_bits {
            return words.binary_search(&code).is_ok();
        }
        // Codes beyond the field are none of the set.
        let word = words.get(code as usize / 32);
        word.is_some_and(|word| word >> (code % 32) & 1 == 1)
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(crate) fn bit_sets(&self) -> usize {
        self.sets.iter().filter(|set| set.is_bits).count()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.sets.as_slice()) + size_of_val(self.words.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_answer_as_the_list() {
        let sets: [&[u32]; 5] = [&[0], &[1, 5, 255], &[u32::MAX], &[3, 70_000], &[]];
        let mut builder = CategorySetsBuilder::default();
        let numbers = sets.map(|codes| builder.number(codes));
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(builder.number(&[1, 5, 255]), 1);
        let built = builder.finish();
        assert_eq!((built.len(), built.bit_sets()), (5, 3));
        for (number, codes) in numbers.into_iter().zip(sets) {
            for code in [
                0,
                1,
                3,
                5,
                31,
                32,
                255,
                256,
                69_999,
                70_000,
                16_777_215,
                16_777_216,
                u32::MAX,
            ] {
                assert_eq!(built.contains(number, code), codes.contains(&code), "{codes:?} {code}");
            }
        }
        assert!(!built.contains(9, 0));
    }
}
