//! A linear model, which has no trees to walk. Both kernels use this.

use super::real::Real;
use crate::ensemble::Linear;

/// `GBLinear::Pred`: bias plus base, then each present column's product, in `f32` and in column order.
///
/// `margins` holds the base margins; `row` is one of a model with `columns` columns.
pub(super) fn margins<T: Real>(linear: &Linear, row: &[T], columns: usize, margins: &mut [T]) {
    let outputs = margins.len();
    for (output, margin) in margins.iter_mut().enumerate() {
        let weight = |column: usize| {
            let weight = linear.weights.get(column * outputs + output);
            T::narrow(weight.copied().map_or(0.0, f64::from))
        };
        let mut sum = weight(columns);
        sum += *margin;
        for (column, &value) in row.iter().enumerate().take(columns) {
            if !value.is_nan() {
                sum += value * weight(column);
            }
        }
        *margin = sum;
    }
}
