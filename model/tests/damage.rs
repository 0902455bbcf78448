//! Damaged files of every format: an error, or a valid model that scores; never a panic.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions but not what they call"
)]

use std::fs;
use std::path::Path;

use quintile_model::{Identity, KernelChoice, Manifest, Model, Options, Trees, load};

const JSON: [&str; 7] = [
    "objective-binary-logistic.json",
    "category-onehot.json",
    "category-names.json",
    "dart-logistic.json",
    "linear-softmax.json",
    "objective-multi-softmax.json",
    "vector-logistic.json",
];
const UBJSON: [&str; 7] = [
    "objective-binary-logistic.ubj",
    "category-onehot.ubj",
    "category-names.ubj",
    "dart-logistic.ubj",
    "linear-softmax.ubj",
    "objective-multi-softmax.ubj",
    "vector-logistic.ubj",
];
const LIGHTGBM: [&str; 5] = [
    "lightgbm-objective-multiclass.txt",
    "lightgbm-category.txt",
    "lightgbm-forest.txt",
    "lightgbm-linear.txt",
    "lightgbm-names.txt",
];
const TREELITE: [&str; 6] = [
    "treelite-boosting-two.bin",
    "treelite-forest-targets.bin",
    "treelite-hist-category.bin",
    "treelite-isolation.bin",
    "treelite-operators-mixed-f32.bin",
    "treelite-partial.bin",
];
const CATBOOST: [&str; 3] = [
    "catboost-logloss.json",
    "catboost-multiclass-lossguide.json",
    "catboost-multirmse.json",
];
const ONNX: [&str; 4] = [
    "onnx-sklearn-forest-two.onnx",
    "onnx-sklearn-targets.onnx",
    "onnx-xgboost-three.onnx",
    "onnx-lightgbm-category.onnx",
];

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// Loads, and scores what loads with both kernels, which must agree on the result.
fn survives(bytes: &[u8]) -> bool {
    let Ok(ensemble) = load(bytes) else { return false };
    let mut margins: [Vec<u64>; 2] = Default::default();
    for (kernel, margins) in [KernelChoice::Reference, KernelChoice::Scalar]
        .into_iter()
        .zip(&mut margins)
    {
        for trees in [Trees::All, Trees::Best] {
            let identity = Identity {
                name: "damaged".into(),
                version: "1".into(),
            };
            let options = Options { trees, kernel };
            let Ok(model) = Model::build(ensemble.clone(), Manifest::empty(), identity, options) else {
                continue;
            };
            let mut scratch = model.scratch();
            for value in [f64::NAN, 0.0, 0.5, -1e300, f64::INFINITY] {
                model.score_row(&vec![value; model.schema().len()], &mut scratch);
                // Which NaN a sum of infinities is, is no one's business.
                let bits = |margin: &f64| if margin.is_nan() { 0 } else { margin.to_bits() };
                margins.extend(scratch.margins().iter().map(bits));
            }
            let _ = model.explain();
            let _ = model.schema().category_code(0, "a");
        }
    }
    assert_eq!(margins[0], margins[1], "the kernels disagree on a damaged file");
    true
}

/// How much of a file must be there: all of it, but for LightGBM's text, whose parameters decide nothing, and ONNX,
/// whose versions of operators that are not used may stand last.
fn essential(name: &str, bytes: &[u8]) -> usize {
    let end: &[u8] = match name.rsplit('.').next() {
        Some("txt") => b"end of trees",
        Some("onnx") => b"ai.onnx.ml\x10\x01",
        _ => return bytes.len(),
    };
    bytes.windows(end.len()).rposition(|window| window == end).unwrap() + end.len()
}

fn truncate(names: &[&str]) {
    for name in names {
        let bytes = fixture(name);
        for length in 0..essential(name, &bytes) {
            assert!(!survives(&bytes[..length]), "{name} cut to {length} of {}", bytes.len());
        }
    }
}

fn flip(names: &[&str]) {
    let (mut loaded, mut refused) = (0, 0);
    for name in names {
        let original = fixture(name);
        for place in 0..original.len() {
            for flip in [0x01, 0x10, 0xff] {
                let mut bytes = original.clone();
                bytes[place] ^= flip;
                if survives(&bytes) { loaded += 1 } else { refused += 1 }
            }
        }
    }
    eprintln!("{refused} refused, {loaded} still models");
    assert!(refused > 10_000);
}

/// A random walk away from a good file: cut, repeat, overwrite.
fn shuffle(names: &[&str]) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    for name in names {
        let original = fixture(name);
        for _ in 0..1_500 {
            let mut bytes = original.clone();
            for _ in 0..=random(4) {
                let (from, to, length) = (random(bytes.len()), random(bytes.len()), random(40));
                let piece: Vec<u8> = bytes[from..].iter().copied().take(length).collect();
                if random(2) == 0 {
                    bytes.splice(to..to, piece);
                } else {
                    let end = (to + piece.len()).min(bytes.len());
                    bytes.splice(to..end, piece);
                }
            }
            survives(&bytes);
        }
    }
}

macro_rules! damage {
    ($format:ident, $names:expr) => {
        mod $format {
            use super::*;

            #[test]
            fn every_truncation_is_refused() {
                truncate(&$names);
            }

            #[test]
            fn every_flipped_byte_is_refused_or_harmless() {
                flip(&$names);
            }

            #[test]
            fn shuffled_pieces_never_panic() {
                shuffle(&$names);
            }
        }
    };
}

damage!(json, JSON);
damage!(ubjson, UBJSON);
damage!(lightgbm, LIGHTGBM);
damage!(treelite, TREELITE);
damage!(catboost, CATBOOST);
damage!(onnx, ONNX);
