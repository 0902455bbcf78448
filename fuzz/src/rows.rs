//! Rows for a model of unknown origin: its own thresholds and their neighbours, its own codes, and what no model
//! expects.

use quintile_model::Ensemble;
use quintile_model::ensemble::Node;

/// Rows that are made for a model.
pub const ROWS: usize = 6;

/// Values for all columns of [`ROWS`] rows, one row after the other. A column's values come from its own splits.
#[must_use]
pub fn of(ensemble: &Ensemble) -> Vec<Vec<f64>> {
    let width = ensemble.schema().len();
    let odd = [
        f64::NAN,
        0.0,
        -0.0,
        1e-36,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1.0,
        1e300,
    ];
    let mut rows: Vec<Vec<f64>> = (0..ROWS)
        .map(|row| (0..width).map(|column| odd[(row + column) % odd.len()]).collect())
        .collect();
    let mut splits = 0usize;
    for tree in ensemble.trees() {
        for node in &tree.nodes {
            let (feature, value) = match *node {
                Node::Number { feature, threshold, .. } => (feature, threshold),
                Node::Category {
                    feature, first, count, ..
                } => {
                    let codes = tree.codes(first, count);
                    let code = codes.get(splits % codes.len().max(1)).copied().unwrap_or_default();
                    (feature, f64::from(code) + [0.0, 1.0, 0.5][splits % 3])
                }
                _ => continue,
            };
            // A third on the split, a third beside it, a third where it was.
            splits += 1;
            let value = match splits % 3 {
                0 => value,
                1 => value.next_down(),
                _ => continue,
            };
            if let Some(cell) = rows[splits % ROWS].get_mut(feature as usize) {
                *cell = value;
            }
        }
    }
    rows
}
