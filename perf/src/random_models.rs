//! Models and rows that are made, not trained: the same trees as the tests' random ones.

#[path = "../../model/tests/support/random.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the tests' generator has more than is used here"
)]
pub(crate) mod random;

use quintile_model::{Ensemble, Identity, KernelChoice, Manifest, Model, Options};
use random::{Random, Recipe};

/// 500 trees of depth 6 over 50 columns with 255 thresholds each.
pub(crate) const BASE: Recipe = Recipe {
    trees: 500,
    features: 50,
    thresholds: 255,
    ..Recipe::PLAIN
};

/// The model of a recipe for a kernel; none if the kernel does not take it.
pub(crate) fn model(ensemble: Ensemble, kernel: KernelChoice) -> Option<Model> {
    let identity = Identity {
        name: "made".into(),
        version: "1".into(),
    };
    let options = Options {
        kernel,
        ..Options::default()
    };
    Model::build(ensemble, Manifest::empty(), identity, options).ok()
}

/// Distinct rows over the range that thresholds come from, one value in so many of a thousand missing.
#[expect(clippy::cast_precision_loss, reason = "20 bits are a double")]
pub(crate) fn rows(columns: usize, count: usize, missing_per_mille: usize) -> Vec<f64> {
    let mut random = Random(99);
    let value = |_| match random.below(1_000) < missing_per_mille {
        true => f64::NAN,
        false => random.below(1 << 20) as f64 / f64::from(1 << 16) - 8.0,
    };
    (0..columns * count).map(value).collect()
}
