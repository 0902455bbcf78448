//! Gauss-Legendre quadrature on 0 to 1, which turns the mean over all orders of features into a sum over a few points.
//!
//! A feature's Shapley value is the integral over `t` of its gain when every other feature is known with probability
//! `t`. On a path of `d` features that gain is a polynomial of degree `d - 1`, for which `m` points are exact when `2 m
//! >= d`.

/// Points and their weights.
#[derive(Debug, Clone)]
pub(super) struct Points {
    pub(super) at: Vec<f64>,
    pub(super) weights: Vec<f64>,
}

impl Points {
    /// Roots of the Legendre polynomial, by Newton's method from Tricomi's estimate.
    pub(super) fn new(count: usize) -> Self {
        let (mut at, mut weights) = (vec![0.5; count], vec![1.0; count]);
        for place in 0..count {
            let mut x = (std::f64::consts::PI * (place as f64 + 0.75) / (count as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..8 {
                let value;
                (value, slope) = legendre(count, x);
                x -= value / slope;
            }
            at[place] = 0.5 - 0.5 * x;
            weights[place] = 1.0 / ((1.0 - x * x) * slope * slope);
        }
        Self { at, weights }
    }
}

/// The Legendre polynomial of a degree, and its slope.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (0.0, 1.0);
    for step in 0..degree {
        let step = step as f64;
        let next = ((2.0 * step + 1.0) * x * value - step * before) / (step + 1.0);
        (before, value) = (value, next);
    }
    let slope = degree as f64 * (x * value - before) / (x * x - 1.0);
    (value, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_up_to_twice_the_points_are_exact() {
        for count in [1, 2, 3, 4, 8, 16, 32] {
            let points = Points::new(count);
            for degree in 0..2 * count {
                let terms = points.at.iter().zip(&points.weights);
                let sum: f64 = terms
                    .map(|(at, weight)| weight * at.powi(i32::try_from(degree).unwrap()))
                    .sum();
                let exact = 1.0 / (degree as f64 + 1.0);
                assert!(
                    (sum - exact).abs() < 2e-15,
                    "{count} points, degree {degree}: {sum} for {exact}"
                );
            }
        }
    }
}
