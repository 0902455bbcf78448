//! Rows counted in the bins of a profile, and profiles made of rows.

use quintile_model::{ColumnProfile, PROFILE_EDGES_MAX, ProfileBins, ReferenceProfile, Schema, UNKNOWN_CATEGORY};

use super::SampleCounts;
use crate::comparison::bins::{bin_of, quantile_edges};

/// Bins that numbers are cut into: about 16 say more than deciles and are not yet empty in small samples.
const BINS: usize = 16;

/// Values that are kept to find edges in: 64 MiB of all features together.
const SAMPLE_VALUES: usize = 8 << 20;

/// Rows of that sample at most: an edge among so many is as good as among all.
const SAMPLE_ROWS: usize = 20_000;

/// The bins of one column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ColumnBins {
    /// A value's bin is the number of edges at or below it.
    Edges(Vec<f64>),
    /// A value is the code of a category.
    Categories(Vec<String>),
    /// Codes of categories without names, in ascending order.
    Codes(Vec<f64>),
}

/// Where a value is counted.
enum ValuePlace {
    Missing,
    Unknown,
    Bin(usize),
}

impl ColumnBins {
    /// The bins that a profile states for a column of the model, and the counts of its rows in them. Categories are the
    /// model's own, by their names.
    pub(super) fn of_profile(schema: &Schema, column: usize, profile: &ColumnProfile) -> (Self, Vec<u64>) {
        match (&profile.bins, schema.categories(column)) {
            (ProfileBins::Edges(edges), _) => (Self::Edges(edges.clone()), profile.counts.clone()),
            (ProfileBins::Categories(names), Some(categories)) => {
                let stated = |name: &String| names.iter().position(|own| own == name);
                let counts = categories.names().iter();
                let counts = counts.map(|name| stated(name).map_or(0, |place| profile.counts[place]));
                (Self::Categories(categories.names().to_vec()), counts.collect())
            }
            (ProfileBins::Categories(names), None) => {
                let codes = names.iter().map(|name| name.parse().unwrap_or(f64::NAN));
                (Self::Codes(codes.collect()), profile.counts.clone())
            }
        }
    }

    /// The bins that a profile states for the prediction.
    pub(super) fn of_prediction(profile: &ColumnProfile) -> Self {
        match &profile.bins {
            ProfileBins::Edges(edges) => Self::Edges(edges.clone()),
            ProfileBins::Categories(names) => Self::Categories(names.clone()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Edges(edges) => edges.len() + 1,
            Self::Categories(names) => names.len(),
            Self::Codes(codes) => codes.len(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a code is a whole number from 0 below the number of categories, which is checked"
    )]
    fn place(&self, value: f64) -> ValuePlace {
        if value.is_nan() {
            return ValuePlace::Missing;
        }
        let code = match self {
            Self::Edges(edges) => return ValuePlace::Bin(bin_of(edges, value)),
            _ if value >= UNKNOWN_CATEGORY => None,
            Self::Categories(names) => Some(value as usize).filter(|code| value >= 0.0 && *code < names.len()),
            Self::Codes(codes) => codes.iter().position(|code| code.total_cmp(&value).is_eq()),
        };
        code.map_or(ValuePlace::Unknown, ValuePlace::Bin)
    }
}

impl SampleCounts {
    /// No rows yet.
    pub(super) fn none(bins: &ColumnBins) -> Self {
        Self {
            rows: 0,
            missing: 0,
            unknown: 0,
            counts: vec![0; bins.len()],
        }
    }

    pub(super) fn add(&mut self, bins: &ColumnBins, value: f64) {
        self.rows += 1;
        match bins.place(value) {
            ValuePlace::Missing => self.missing += 1,
            ValuePlace::Unknown => self.unknown += 1,
            ValuePlace::Bin(bin) => self.counts[bin] += 1,
        }
    }
}

/// A sample of rows, the same for the same rows: each row is as likely to be in it (algorithm R of Vitter, 1985).
#[derive(Debug)]
pub(super) struct RowSample {
    width: usize,
    rows_max: usize,
    seen: u64,
    /// Of a generator with the constants of Knuth's MMIX.
    state: u64,
    values: Vec<f64>,
}

impl RowSample {
    /// For rows of so many values.
    pub(super) fn new(width: usize) -> Self {
        Self {
            width,
            rows_max: (SAMPLE_VALUES / width.max(1)).clamp(1, SAMPLE_ROWS),
            seen: 0,
            state: 1,
            values: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, row: impl Iterator<Item = f64>) {
        self.seen += 1;
        if self.values.len() < self.rows_max * self.width {
            self.values.extend(row);
            return;
        }
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = (u128::from(self.state) * u128::from(self.seen)) >> 64;
        if let Some(place) = usize::try_from(place).ok().filter(|place| *place < self.rows_max) {
            for (kept, value) in self.values[place * self.width..].iter_mut().zip(row) {
                *kept = value;
            }
        }
    }

    /// The bins of a column of numbers.
    pub(super) fn bins(&self, column: usize) -> ColumnBins {
        let values = self.values.iter().skip(column).step_by(self.width);
        let mut values: Vec<f64> = values.copied().filter(|value| !value.is_nan()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let mut edges = quantile_edges(&values, BINS);
        // Zeros of both signs are one number.
        edges.dedup_by(|one, other| *one <= *other);
        edges.truncate(PROFILE_EDGES_MAX);
        ColumnBins::Edges(edges)
    }

    /// The bins of a column of codes without names.
    pub(super) fn codes(&self, column: usize) -> ColumnBins {
        let values = self.values.iter().skip(column).step_by(self.width);
        let mut codes: Vec<f64> = values.copied().filter(|value| !value.is_nan()).collect();
        codes.sort_unstable_by(f64::total_cmp);
        codes.dedup();
        ColumnBins::Codes(codes)
    }
}

/// A profile of columns that were counted.
pub(super) fn profile(
    rows: u64,
    names: impl Iterator<Item = String>,
    columns: &[(ColumnBins, SampleCounts)],
    prediction: Option<&(ColumnBins, SampleCounts)>,
) -> ReferenceProfile {
    let column = |(bins, counted): &(ColumnBins, SampleCounts)| ColumnProfile {
        bins: match bins {
            ColumnBins::Edges(edges) => ProfileBins::Edges(edges.clone()),
            ColumnBins::Categories(names) => ProfileBins::Categories(names.clone()),
            ColumnBins::Codes(codes) => ProfileBins::Categories(codes.iter().map(f64::to_string).collect()),
        },
        counts: counted.counts.clone(),
        missing: counted.missing,
    };
    ReferenceProfile {
        rows,
        features: names.zip(columns.iter().map(column)).collect(),
        prediction: prediction.map(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_where_they_belong() {
        let bins = ColumnBins::Edges(vec![1.0, 3.0]);
        let mut counts = SampleCounts::none(&bins);
        for value in [0.0, 1.0, 2.9, 3.0, f64::INFINITY, f64::NAN] {
            counts.add(&bins, value);
        }
        assert_eq!(
            (counts.counts, counts.missing, counts.unknown, counts.rows),
            (vec![1, 2, 2], 1, 0, 6)
        );
        let bins = ColumnBins::Categories(vec!["a".into(), "b".into()]);
        let mut counts = SampleCounts::none(&bins);
        for value in [0.0, 1.0, 2.0, -1.0, UNKNOWN_CATEGORY] {
            counts.add(&bins, value);
        }
        assert_eq!((counts.counts, counts.unknown), (vec![1, 1], 3));
    }

    #[test]
    fn a_sample_has_edges_that_increase_and_every_row_may_be_in_it() {
        let mut sample = RowSample::new(2);
        for row in 0..100_000_u32 {
            sample.add([f64::from(row), 0.0].into_iter());
        }
        let ColumnBins::Edges(edges) = sample.bins(0) else {
            panic!("numbers have edges");
        };
        assert_eq!(edges.len(), BINS - 1);
        for (place, edge) in (1..).zip(&edges) {
            let expected = f64::from(place) * 100_000.0 / 16.0;
            assert!((edge - expected).abs() < 3_000.0, "{place}: {edge}");
        }
        let ColumnBins::Edges(edges) = sample.bins(1) else {
            panic!("numbers have edges");
        };
        assert!(
            edges.len() <= 2 && edges.windows(2).all(|pair| pair[0] < pair[1]),
            "{edges:?}"
        );
    }
}
