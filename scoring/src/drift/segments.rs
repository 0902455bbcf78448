//! Which share of each segment's leads is selected: score 4 or 5.

use std::collections::HashMap;

use super::statistics::{number, wilson};

/// Values of a column that are told apart; the others are [`OTHER`].
const VALUES_MAX: usize = 32;

/// What all further values are called.
const OTHER: &str = "other";

/// The least band that counts as selected.
const SELECTED_FROM: u8 = 4;

/// One value of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentReport {
    /// The column.
    pub column: String,
    /// Its value.
    pub value: String,
    /// Leads with it.
    pub rows: u64,
    /// Those of them with a score of 4 or 5.
    pub selected: u64,
    /// `selected / rows`.
    pub rate: f64,
    /// Wilson's interval of 95 % for the rate.
    pub interval: [f64; 2],
    /// The rate divided by the highest one of the column; none where no lead is selected.
    pub ratio: Option<f64>,
}

/// The leads of one column's segments.
#[derive(Debug, Default)]
pub(super) struct SegmentCounts {
    /// Rows and selected ones.
    values: HashMap<String, [u64; 2]>,
}

impl SegmentCounts {
    pub(super) fn add(&mut self, value: Option<&str>, band: Option<u8>) {
        let value = value.filter(|value| !value.is_empty()).unwrap_or("missing");
        let is_room = self.values.len() < VALUES_MAX || self.values.contains_key(value);
        let counts = self
            .values
            .entry(if is_room { value } else { OTHER }.to_owned())
            .or_default();
        counts[0] += 1;
        counts[1] += u64::from(band.is_some_and(|band| band >= SELECTED_FROM));
    }

    /// The segments, largest first.
    pub(super) fn report(self, column: &str) -> Vec<SegmentReport> {
        let rate = |[rows, selected]: [u64; 2]| number(selected) / number(rows);
        let highest = self.values.values().map(|&counts| rate(counts)).fold(0.0, f64::max);
        let segment = |(value, counts): (String, [u64; 2])| SegmentReport {
            column: column.to_owned(),
            value,
            rows: counts[0],
            selected: counts[1],
            rate: rate(counts),
            interval: wilson(counts[1], counts[0]).unwrap_or([0.0, 1.0]),
            ratio: (highest > 0.0).then(|| rate(counts) / highest),
        };
        let mut segments: Vec<SegmentReport> = self.values.into_iter().map(segment).collect();
        segments.sort_by(|one, other| (other.rows, &one.value).cmp(&(one.rows, &other.value)));
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_rates_and_the_rest_is_one() {
        let mut counts = SegmentCounts::default();
        for lead in 0..100_u8 {
            counts.add(Some("east"), Some(if lead < 40 { 5 } else { 1 }));
            counts.add(Some("west"), Some(if lead < 10 { 4 } else { 3 }));
        }
        counts.add(None, None);
        let report = counts.report("region");
        assert_eq!((report[0].value.as_str(), report[0].selected), ("east", 40));
        assert_eq!(report[1].ratio, Some(0.1 / 0.4));
        assert_eq!((report[2].value.as_str(), report[2].rows), ("missing", 1));
        let mut counts = SegmentCounts::default();
        for value in 0..40 {
            counts.add(Some(&format!("v{value}")), Some(1));
        }
        let report = counts.report("x");
        assert_eq!(
            (report.len(), report[0].value.as_str(), report[0].rows),
            (33, "other", 8)
        );
        assert_eq!(report[0].ratio, None);
    }
}
