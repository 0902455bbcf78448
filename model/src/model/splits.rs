//! Where trees cut the values of the features that people may change: between two neighbours the score stays the same.

use crate::ensemble::{Comparison, Ensemble, Input, Node, Precision};
use crate::schema::{FeatureKind, Schema};

/// The thresholds of some columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SplitPoints {
    columns: Vec<ColumnSplits>,
}

/// The intervals of one column: the values between two thresholds go the same way at every node.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSplits {
    column: usize,
    /// Strictly increasing.
    thresholds: Vec<f64>,
    comparison: Comparison,
    precision: Precision,
}

impl SplitPoints {
    /// Those of the actionable columns that hold numbers.
    pub(super) fn of(ensemble: &Ensemble, tree_limit: usize, schema: &Schema, input: Input) -> Self {
        let comparison = ensemble.comparison();
        let precision = match input {
            Input::Narrowed | Input::NarrowedFlushed => Precision::F32,
            Input::Rounded | Input::Flushed => ensemble.precision(),
        };
        let is_wanted =
            |&column: &usize| schema.actionable(column).is_some() && schema.kind(column) != FeatureKind::Category;
        let columns: Vec<usize> = (0..schema.len()).filter(is_wanted).collect();
        if columns.is_empty() {
            return Self::default();
        }
        let mut thresholds = vec![Vec::new(); columns.len()];
        let trees = ensemble.trees().iter().take(tree_limit);
        for node in trees.flat_map(|tree| &tree.nodes) {
            let Node::Number {
                feature,
                threshold,
                zero_is_missing,
                ..
            } = *node
            else {
                continue;
            };
            let Ok(place) = columns.binary_search(&(feature as usize)) else {
                continue;
            };
            thresholds[place].push(threshold);
            if zero_is_missing {
                // Zero goes a way of its own, so it is an interval of its own.
                thresholds[place].extend([0.0, above(0.0, precision), below(0.0, precision)]);
            }
        }
        let column = |(column, mut thresholds): (usize, Vec<f64>)| {
            thresholds.sort_unstable_by(f64::total_cmp);
            thresholds.dedup_by(|a, b| a <= b);
            ColumnSplits {
                column,
                thresholds,
                comparison,
                precision,
            }
        };
        Self {
            columns: columns.into_iter().zip(thresholds).map(column).collect(),
        }
    }

    /// Those of a column; none of one that is not actionable, or holds categories.
    #[must_use]
    pub fn column(&self, column: usize) -> Option<&ColumnSplits> {
        self.columns.iter().find(|splits| splits.column == column)
    }
}

impl ColumnSplits {
    /// How many intervals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.thresholds.len() + 1
    }

    /// Whether no tree cuts the column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.thresholds.is_empty()
    }

    /// In which interval a value lies.
    #[must_use]
    pub fn interval(&self, value: f64) -> usize {
        let value = self.read(value);
        self.thresholds.partition_point(|&threshold| match self.comparison {
            Comparison::Less => threshold <= value,
            Comparison::LessOrEqual => threshold < value,
        })
    }

    /// The least value of an interval, as the model reads it; minus infinity of the first.
    #[must_use]
    pub fn least(&self, interval: usize) -> f64 {
        let Some(threshold) = interval.checked_sub(1).and_then(|before| self.thresholds.get(before)) else {
            return f64::NEG_INFINITY;
        };
        match self.comparison {
            Comparison::Less => *threshold,
            Comparison::LessOrEqual => above(*threshold, self.precision),
        }
    }

    /// The greatest value of an interval, as the model reads it; infinity of the last.
    #[must_use]
    pub fn greatest(&self, interval: usize) -> f64 {
        let Some(&threshold) = self.thresholds.get(interval) else {
            return f64::INFINITY;
        };
        match self.comparison {
            Comparison::Less => below(threshold, self.precision),
            Comparison::LessOrEqual => threshold,
        }
    }

    /// The thresholds, strictly increasing.
    #[must_use]
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    #[expect(clippy::cast_possible_truncation, reason = "the model does the same")]
    fn read(&self, value: f64) -> f64 {
        match self.precision {
            Precision::F32 => f64::from(value as f32),
            Precision::F64 => value,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "thresholds of an f32 model are f32")]
fn above(value: f64, precision: Precision) -> f64 {
    match precision {
        Precision::F32 => {
            let narrow = value as f32;
            if f64::from(narrow) > value {
                narrow.into()
            } else {
                narrow.next_up().into()
            }
        }
        Precision::F64 => value.next_up(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "thresholds of an f32 model are f32")]
fn below(value: f64, precision: Precision) -> f64 {
    match precision {
        Precision::F32 => {
            let narrow = value as f32;
            if f64::from(narrow) < value {
                narrow.into()
            } else {
                narrow.next_down().into()
            }
        }
        Precision::F64 => value.next_down(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splits(comparison: Comparison, precision: Precision) -> ColumnSplits {
        ColumnSplits {
            column: 0,
            thresholds: vec![-1.0, f64::from(0.1f32), 3.0],
            comparison,
            precision,
        }
    }

    #[test]
    fn intervals_have_their_ends() {
        for comparison in [Comparison::Less, Comparison::LessOrEqual] {
            for precision in [Precision::F32, Precision::F64] {
                let splits = splits(comparison, precision);
                assert_eq!(splits.len(), 4);
                for interval in 0..4 {
                    let (least, greatest) = (splits.least(interval), splits.greatest(interval));
                    assert_eq!(
                        (splits.interval(least), splits.interval(greatest)),
                        (interval, interval)
                    );
                    assert_eq!(interval > 0, least.is_finite());
                    if interval > 0 {
                        assert_eq!(splits.interval(below(least, precision)), interval - 1);
                    }
                }
                // As it is written, and as the model reads it.
                let narrow = precision == Precision::F32;
                assert_eq!(
                    splits.interval(0.1),
                    if narrow && comparison == Comparison::Less { 2 } else { 1 }
                );
            }
        }
    }
}
