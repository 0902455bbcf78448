//! Prediction → 1..=5: total and monotone, with explicit edges.

/// Four strictly increasing edges that cut the predictions into five bands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    edges: [f64; 4],
}

/// Why four numbers are no edges.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BandsError {
    /// NaN or an infinity.
    #[error("edge {index} is {value}: edges are finite")]
    NotFinite {
        /// Which edge, from 0.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// An edge that is not above the one before it.
    #[error("edge {index} ({value}) is not above the one before it ({before})")]
    NotIncreasing {
        /// Which edge, from 1.
        index: usize,
        /// Its value.
        value: f64,
        /// The value before it.
        before: f64,
    },
}

impl Bands {
    /// The bands of a probability without a manifest: five of equal width.
    pub const PROBABILITY: Self = Self {
        edges: [0.2, 0.4, 0.6, 0.8],
    };

    /// Checks that the edges are finite and strictly increasing.
    ///
    /// # Errors
    /// The first edge that is not.
    pub fn try_new(edges: [f64; 4]) -> Result<Self, BandsError> {
        for (index, &value) in edges.iter().enumerate() {
            if !value.is_finite() {
                return Err(BandsError::NotFinite { index, value });
            }
            if index > 0 && edges[index - 1] >= value {
                return Err(BandsError::NotIncreasing {
                    index,
                    value,
                    before: edges[index - 1],
                });
            }
        }
        Ok(Self { edges })
    }

    /// The edges, lowest first. Each belongs to the band above it.
    #[must_use]
    pub fn edges(&self) -> [f64; 4] {
        self.edges
    }

    /// The band of a prediction: 1 plus the number of edges at or below it. NaN, which no valid model gives, is band 1.
    #[must_use]
    pub fn score(&self, prediction: f64) -> u8 {
        1 + self.edges.iter().map(|&edge| u8::from(edge <= prediction)).sum::<u8>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_belongs_to_the_band_above() {
        let bands = Bands::PROBABILITY;
        assert_eq!(
            [0.0, 0.2, 0.2f64.next_down(), 0.79, 0.8, 1.0].map(|p| bands.score(p)),
            [1, 2, 1, 4, 5, 5]
        );
        assert_eq!(
            [f64::NEG_INFINITY, f64::INFINITY, f64::NAN].map(|p| bands.score(p)),
            [1, 5, 1]
        );
    }

    #[test]
    fn a_probability_in_f32_is_compared_as_it_is() {
        // 0.6f32 widened lies above 0.6, 0.8f32 too: the edge's f64 value decides, not its rounding to f32.
        assert_eq!(Bands::PROBABILITY.score(f64::from(0.6f32)), 4);
        assert_eq!(Bands::PROBABILITY.score(f64::from(0.6f32.next_down())), 3);
    }

    #[test]
    fn refuses_edges_that_are_not_increasing() {
        assert!(matches!(
            Bands::try_new([0.1, 0.1, 0.2, 0.3]),
            Err(BandsError::NotIncreasing { index: 1, .. })
        ));
        assert!(matches!(
            Bands::try_new([0.1, f64::NAN, 0.2, 0.3]),
            Err(BandsError::NotFinite { index: 1, .. })
        ));
        assert!(Bands::try_new([-5.0, 0.0, 5.0, 1e300]).is_ok());
    }
}
