//! Model files of every format, from bytes to the margins of every kernel; and manifests.

use quintile_model::{Ensemble, Identity, KernelChoice, Manifest, Model, Options, Trees, load};

use crate::{memory, rows};

/// Bytes in use for each byte of a file: 8 MB may take 200 MB, less [`FIXED_BYTES`].
const BYTES_A_BYTE: usize = 20;

/// Bytes that a file of any size may take: a model may claim 65,536 features in a few bytes, and each costs its name in
/// the schema, its lanes in the plan and its place in a row.
const FIXED_BYTES: usize = 40 << 20;

/// The same where a model turned out to have few features.
const FIXED_BYTES_SMALL: usize = 2 << 20;
const FEATURES_SMALL: usize = 1_000;

/// JSON that starts with XGBoost's or any other key.
#[must_use]
pub fn xgboost_json(bytes: &[u8]) -> bool {
    first(bytes) == Some(b'{') && second(bytes) == Some(b'"') && loaded(bytes)
}

/// A brace and the type of a length.
#[must_use]
pub fn xgboost_ubjson(bytes: &[u8]) -> bool {
    first(bytes) == Some(b'{') && second(bytes) != Some(b'"') && loaded(bytes)
}

/// Text whose first line says what it is.
#[must_use]
pub fn lightgbm(bytes: &[u8]) -> bool {
    bytes.windows(4).take(64).any(|window| window == b"tree") && loaded(bytes)
}

/// A checkpoint's version comes first.
#[must_use]
pub fn treelite(bytes: &[u8]) -> bool {
    bytes.starts_with(&[4, 0, 0, 0]) && loaded(bytes)
}

/// JSON whose first key is one of CatBoost's.
#[must_use]
pub fn catboost(bytes: &[u8]) -> bool {
    first(bytes) == Some(b'{') && second(bytes) == Some(b'"') && loaded(bytes)
}

/// A protobuf message begins with a small tag.
#[must_use]
pub fn onnx(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&byte| byte < b' ' && byte != 4) && loaded(bytes)
}

fn first(bytes: &[u8]) -> Option<u8> {
    bytes.trim_ascii_start().first().copied()
}

fn second(bytes: &[u8]) -> Option<u8> {
    let inner = bytes.trim_ascii_start().get(1..)?;
    inner.trim_ascii_start().first().copied()
}

/// Loads, builds, and compares kernels.
#[must_use]
pub fn any(bytes: &[u8]) -> bool {
    loaded(bytes);
    true
}

/// Takes a file through everything that a server does with one. True for any result.
fn loaded(bytes: &[u8]) -> bool {
    let (ensemble, peak) = memory::peak(|| load(bytes));
    let ensemble = match ensemble {
        Ok(ensemble) => ensemble,
        Err(error) => {
            let text = error.to_string();
            assert!(
                !text.is_empty() && text.len() < 4_000,
                "an error fits a screen, but this has {} bytes",
                text.len()
            );
            within(bytes, peak, FIXED_BYTES, "to be refused");
            return true;
        }
    };
    let fixed = match ensemble.schema().len() {
        0..FEATURES_SMALL => FIXED_BYTES_SMALL,
        _ => FIXED_BYTES,
    };
    within(bytes, peak, fixed, "to be loaded");
    let rows = rows::of(&ensemble);
    for trees in [Trees::All, Trees::Best] {
        let mut reference: Option<Vec<u64>> = None;
        for (name, kernel) in KernelChoice::NAMES {
            if kernel == KernelChoice::Auto {
                continue;
            }
            // The reference comes first in the list without auto, so there is always something to compare with.
            let copy = ensemble.clone();
            let (model, peak) = memory::peak(|| build(copy, Manifest::empty(), Options { trees, kernel }));
            let Ok(model) = model else { continue };
            within(bytes, peak, fixed, name);
            let bits = margins(&model, &rows);
            match &reference {
                None => reference = Some(bits),
                Some(reference) => assert_eq!(reference, &bits, "{name} differs from the reference"),
            }
        }
        assert!(
            reference.is_some() || trees == Trees::Best,
            "the reference takes every ensemble"
        );
    }
    true
}

fn within(bytes: &[u8], peak: usize, fixed: usize, why: &str) {
    assert!(
        peak <= bytes.len() * BYTES_A_BYTE + fixed,
        "{} bytes take {peak} bytes of memory {why}",
        bytes.len()
    );
}

fn build(ensemble: Ensemble, manifest: Manifest, options: Options) -> Result<Model, quintile_model::BuildError> {
    let identity = Identity {
        name: "fuzz".into(),
        version: "1".into(),
    };
    Model::build(ensemble, manifest, identity, options)
}

/// Margins and predictions of all rows, one by one and all at once, which must agree.
fn margins(model: &Model, rows: &[Vec<f64>]) -> Vec<u64> {
    // Which NaN a sum of infinities is, is no one's business.
    let bits = |value: &f64| if value.is_nan() { u64::MAX } else { value.to_bits() };
    let mut scratch = model.scratch();
    let mut one_by_one = Vec::new();
    for row in rows {
        model.score_row(row, &mut scratch);
        one_by_one.extend(scratch.margins().iter().chain(scratch.predictions()).map(bits));
    }
    let mut at_once = Vec::new();
    if !model.schema().is_empty() {
        model.score_rows(&rows.concat(), &mut scratch, |_, _, scratch| {
            at_once.extend(scratch.margins().iter().chain(scratch.predictions()).map(bits));
        });
        assert_eq!(one_by_one, at_once, "many rows at once differ from one by one");
    }
    assert!(!model.explain().is_empty());
    one_by_one
}

/// A manifest beside a model of four features.
#[must_use]
pub fn manifest(bytes: &[u8]) -> bool {
    const MODEL: &[u8] = include_bytes!("../../model/tests/fixtures/objective-binary-logistic.ubj");
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match Manifest::parse(text) {
        Ok(manifest) => {
            let ensemble = load(MODEL).expect("a fixture loads");
            match build(ensemble, manifest, Options::default()) {
                Ok(model) => {
                    let _ = model.check_golden().map_err(|fault| fault.to_string());
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    true
}
