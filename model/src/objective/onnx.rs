//! `post_transform` of ONNX-ML tree ensembles (`core/providers/cpu/ml/ml_common.h` of onnxruntime).

use super::{BaseLink, Groups, Objective, Transform};

impl Objective {
    /// The objective of a kind of tree ensemble, as the reader names it.
    #[must_use]
    pub fn onnx(name: &str) -> Self {
        let transform = match name {
            "classifier, SOFTMAX" => Transform::SoftmaxInPrecision,
            "classifier, LOGISTIC" | "binary classifier, LOGISTIC" => Transform::LogisticOfMagnitude,
            "regressor, Exp" => Transform::Exp,
            "binary classifier" => Transform::Probability,
            _ => Transform::Identity,
        };
        Self {
            name: name.to_owned(),
            base_link: BaseLink::Identity,
            transform,
            known: true,
            divisor: None,
            groups: Groups::One,
            are_shares: false,
        }
    }
}
