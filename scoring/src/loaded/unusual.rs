//! Values far outside what training saw, counted by feature.
//!
//! Counts are an array of fixed length, so that a shard counts without memory of its own for each model: features
//! beyond the first [`SLOTS`] − 1 that have a range share the last place.

use arrayvec::ArrayVec;
use quintile_model::Schema;

/// Places of counts.
pub const SLOTS: usize = 65;

/// Values of one row that an answer lists.
pub const LISTED_MAX: usize = 32;

/// What the last place is called: no label of a metric is without bound.
const OTHERS: &str = "_others";

/// Counts by the places of features.
pub type UnusualCounts = [u64; SLOTS];

/// The features of a model whose ranges in training are known, by their places.
#[derive(Debug)]
pub struct UnusualFeatures {
    /// The place of each column.
    slots: Box<[u8]>,
    names: Vec<String>,
}

/// What was found in one row.
#[derive(Debug, Default)]
pub struct UnusualValues {
    /// The first columns with such values.
    pub columns: ArrayVec<u32, LISTED_MAX>,
    /// How many there are.
    pub total: usize,
}

impl UnusualFeatures {
    /// None where the manifest states no range that training saw.
    #[must_use]
    pub(super) fn of(schema: &Schema) -> Option<Self> {
        let seen = schema.seen()?;
        let mut names = Vec::new();
        let mut slots = vec![0; schema.len()].into_boxed_slice();
        for (column, slot) in slots.iter_mut().enumerate() {
            if seen.range(column).is_none() {
                continue;
            }
            *slot = u8::try_from(names.len()).unwrap_or(u8::MAX);
            match names.len() {
                count if count + 1 < SLOTS => names.push(schema.name(column).to_owned()),
                count if count + 1 == SLOTS => names.push(OTHERS.to_owned()),
                _ => *slot = u8::try_from(SLOTS - 1).unwrap_or(u8::MAX),
            }
        }
        Some(Self { slots, names })
    }

    /// What each place is called.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Looks through a row, counts, and remembers what was found.
    #[inline]
    pub fn look(&self, schema: &Schema, row: &[f64], found: &mut UnusualValues, counts: &mut UnusualCounts) {
        let Some(seen) = schema.seen() else { return };
        for column in seen.far(row) {
            self.add(schema, (column, row), found, counts);
        }
    }

    #[cold]
    fn add(
        &self,
        schema: &Schema,
        (column, row): (usize, &[f64]),
        found: &mut UnusualValues,
        counts: &mut UnusualCounts,
    ) {
        // A number that counts as missing is none.
        if !schema.is_unusual(column, row[column]) {
            return;
        }
        let slot = self.slots.get(column).copied().unwrap_or_default();
        if let Some(count) = counts.get_mut(usize::from(slot)) {
            *count += 1;
        }
        found.total += 1;
        if let Ok(column) = u32::try_from(column) {
            // Beyond the list they are counted only.
            let _ = found.columns.try_push(column);
        }
    }
}

impl UnusualValues {
    /// Forgets the row before.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.total = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaded::LoadedModel;

    fn demo(features: usize, more: &str) -> LoadedModel {
        let seen = (1..=features).map(|number| format!("[features.f{number}]\nseen = [0, 10]\n"));
        LoadedModel::demo_with(&(more.to_owned() + &seen.collect::<String>()))
    }

    #[test]
    fn what_lies_far_outside_is_counted_by_feature() {
        let loaded = demo(3, "missing = -999.0\n");
        let (features, schema) = (loaded.unusual.as_ref().unwrap(), loaded.model.schema());
        assert_eq!(features.names(), ["f1", "f2", "f3"]);
        let (mut found, mut counts) = (UnusualValues::default(), [0; SLOTS]);
        let mut row = vec![f64::NAN; schema.len()];
        row[..5].copy_from_slice(&[14.0, 100.0, -999.0, 1e9, -1.0]);
        features.look(schema, &row, &mut found, &mut counts);
        assert_eq!((found.columns.as_slice(), found.total), (&[1][..], 1));
        assert_eq!(counts[..4], [0, 1, 0, 0]);
        found.clear();
        row[0] = -0.5;
        features.look(schema, &row, &mut found, &mut counts);
        assert_eq!((found.columns.as_slice(), found.total), (&[0, 1][..], 2));
        assert_eq!(counts[..4], [1, 2, 0, 0]);
    }

    #[test]
    fn a_list_and_the_places_have_an_end() {
        let loaded = demo(50, "");
        let (features, schema) = (loaded.unusual.as_ref().unwrap(), loaded.model.schema());
        let (mut found, mut counts) = (UnusualValues::default(), [0; SLOTS]);
        features.look(schema, &[1e6; 50], &mut found, &mut counts);
        assert_eq!((found.columns.len(), found.total), (LISTED_MAX, 50));
        assert_eq!(counts.iter().sum::<u64>(), 50);
        assert!(LoadedModel::demo_with("").unusual.is_none());
    }
}
