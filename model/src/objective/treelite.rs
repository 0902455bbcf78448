//! Treelite's postprocessors (`src/gtil/postprocessor.cc`).

use super::{BaseLink, Groups, Objective, Transform};

impl Objective {
    /// The postprocessor of this name for targets with these numbers of classes, each padded to `stride` outputs. None
    /// when Treelite has no such postprocessor.
    #[must_use]
    pub fn treelite(name: &str, alpha: f32, ratio: f32, classes: Vec<usize>, stride: usize) -> Option<Self> {
        let alpha = f64::from(alpha);
        let transform = match name {
            "identity" | "identity_multiclass" => Transform::Identity,
            "signed_square" => Transform::SignedSquare,
            "hinge" => Transform::Hinge,
            "sigmoid" | "multiclass_ova" => Transform::Logistic { alpha },
            "exponential" => Transform::Exp,
            "exponential_standard_ratio" => Transform::ExpRatio {
                ratio: f64::from(ratio),
            },
            "logarithm_one_plus_exp" => Transform::LogOnePlusExp,
            "softmax" => Transform::SoftmaxOfFloats,
            _ => return None,
        };
        // The others look at a target's first class alone.
        let takes_all = transform.is_joint() || name == "multiclass_ova";
        let taken = classes
            .into_iter()
            .map(|classes| if takes_all { classes } else { classes.min(1) })
            .collect();
        Some(Self {
            name: name.to_owned(),
            base_link: BaseLink::Identity,
            transform,
            known: true,
            divisor: None,
            groups: Groups::Targets {
                stride: stride.max(1),
                classes: taken,
            },
            are_shares: false,
        })
    }
}
