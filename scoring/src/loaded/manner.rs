//! How the server that a model folder was made for answers predictions, where that is not the prediction itself.

/// What the server of a folder answers for a row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum PredictionManner {
    /// The prediction.
    #[default]
    Usual,
    /// The prediction, as a row of one column: MLServer.
    Column,
    /// Of a classifier its class: MLServer and MLflow, for models of scikit-learn's interface.
    Label,
    /// Its class as a number: Triton.
    Class {
        /// A probability above this one is class 1.
        threshold: f32,
    },
    /// Probabilities of all classes: Triton.
    Probabilities,
}

/// The class of a row: of one probability whether it is above the threshold, of several the first that is greatest.
#[must_use]
pub fn class_of(predictions: &[f64], threshold: f32) -> usize {
    match predictions {
        &[probability] => usize::from(probability > f64::from(threshold)),
        several => {
            let mut best = 0;
            for (place, value) in several.iter().enumerate() {
                if *value > several[best] {
                    best = place;
                }
            }
            best
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_libraries() {
        assert_eq!([0.5, 0.500_001, 0.1].map(|one| class_of(&[one], 0.5)), [0, 1, 0]);
        assert_eq!(class_of(&[0.2, 0.5, 0.3], 0.5), 1);
        assert_eq!(class_of(&[0.4, 0.4, 0.2], 0.5), 0);
    }
}
