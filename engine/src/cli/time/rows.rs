//! Rows to time a model with: from a file, or made from the model's thresholds.

use quintile_model::Ensemble;
use quintile_model::ensemble::Node;

/// One value in this many is missing.
const MISSING_ONE_IN: u64 = 10;

/// Bytes of all rows. Rows are read once a pass, in order, so they may be more than a cache holds.
const BYTES_MAX: usize = 64 << 20;

/// Rows, unless they are so wide that fewer fit.
const ROWS_MAX: usize = 20_000;

/// How many rows of a width are timed.
pub(super) fn rows_max(columns: usize) -> usize {
    (BYTES_MAX / size_of::<f64>() / columns.max(1)).clamp(1, ROWS_MAX)
}

/// What the trees compare a column with.
#[derive(Default)]
struct Column {
    thresholds: Vec<f64>,
    codes: Vec<u32>,
}

/// Makes rows whose values lie with equal chance between any two neighbours of a column's thresholds, or are one of the
/// codes that its category sets list; one in ten is missing. The same model always gives the same rows.
pub(super) fn made(ensemble: &Ensemble, count: usize) -> Vec<f64> {
    let mut columns: Vec<Column> = Vec::new();
    columns.resize_with(ensemble.schema().len(), Column::default);
    for tree in ensemble.trees() {
        for node in &tree.nodes {
            match *node {
                Node::Number { feature, threshold, .. } => columns[feature as usize].thresholds.push(threshold),
                Node::Category {
                    feature, first, count, ..
                } => columns[feature as usize].codes.extend(tree.codes(first, count)),
                Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } | Node::Removed => {}
            }
        }
    }
    for column in &mut columns {
        column.thresholds.sort_by(f64::total_cmp);
        column.thresholds.dedup();
        column.codes.sort_unstable();
        column.codes.dedup();
    }
    let mut random = Random(ensemble.node_count() as u64);
    (0..count)
        .flat_map(|_| {
            columns
                .iter()
                .map(|column| column.value(&mut random))
                .collect::<Vec<_>>()
        })
        .collect()
}

impl Column {
    fn value(&self, random: &mut Random) -> f64 {
        if random.below(MISSING_ONE_IN) == 0 {
            return f64::NAN;
        }
        if !self.codes.is_empty() {
            return f64::from(self.codes[random.index(self.codes.len())]);
        }
        let [below, above] = match (self.thresholds.as_slice(), random.index(self.thresholds.len() + 1)) {
            ([], _) => [-1.0, 1.0],
            (all, 0) => [all[0] - 1.0, all[0]],
            (all, at) if at == all.len() => [all[at - 1], all[at - 1] + 1.0],
            (all, at) => [all[at - 1], all[at]],
        };
        let value = below + (above - below) * random.unit();
        // Thresholds may be infinite or further apart than a double reaches.
        if value.is_nan() { below } else { value }
    }
}

/// Sebastiano Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn demo() -> Ensemble {
        quintile_model::load(include_bytes!("../../../demo/demo.ubj")).unwrap()
    }

    #[test]
    fn rows_differ_reach_all_intervals_and_miss_a_tenth() {
        let ensemble = demo();
        let columns = ensemble.schema().len();
        let values = made(&ensemble, 4_000);
        assert_eq!(values.len(), 4_000 * columns);
        let bits = |row: &[f64]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let distinct: HashSet<_> = values.chunks(columns).map(bits).collect();
        assert_eq!(distinct.len(), 4_000);
        let missing = values.iter().filter(|value| value.is_nan()).count();
        assert!((values.len() / 11..values.len() / 9).contains(&missing), "{missing}");
        let mut thresholds: Vec<f64> = Vec::new();
        for node in ensemble.trees().iter().flat_map(|tree| &tree.nodes) {
            if let Node::Number {
                feature: 0, threshold, ..
            } = *node
            {
                thresholds.push(threshold);
            }
        }
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        let rank = |value: f64| thresholds.partition_point(|&threshold| threshold <= value);
        let first = values.chunks(columns).map(|row| row[0]).filter(|value| !value.is_nan());
        let reached: HashSet<_> = first.map(rank).collect();
        assert_eq!(reached.len(), thresholds.len() + 1);
    }

    #[test]
    fn thresholds_may_be_infinite_or_absent() {
        let mut random = Random(1);
        for thresholds in [
            vec![],
            vec![f64::NEG_INFINITY, f64::INFINITY],
            vec![f64::MIN, f64::MAX],
            vec![f64::INFINITY],
        ] {
            let column = Column {
                thresholds,
                codes: vec![],
            };
            let missing = (0..1_000).filter(|_| column.value(&mut random).is_nan()).count();
            assert!((50..200).contains(&missing), "{missing}");
        }
    }

    #[test]
    fn wide_rows_are_fewer() {
        assert_eq!(
            [rows_max(0), rows_max(50), rows_max(2_000), rows_max(65_536)],
            [20_000, 20_000, 4_194, 128]
        );
    }
}
