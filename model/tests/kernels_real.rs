//! Every kernel against the reference on real models: the fixtures, and the parity suite when it lies beside the
//! checkout. Rows lie on and beside the model's own thresholds and codes; one row a call and several give the same
//! margins.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "the lints spare test functions but not what they call; a row's number is small"
)]

#[path = "support/random.rs"]
#[allow(dead_code, reason = "this test draws numbers only")]
mod random;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use quintile_model::ensemble::Node;
use quintile_model::{Ensemble, Identity, KernelChoice, Manifest, Model, Options, Precision, load};
use random::Random;

const ROWS: usize = 35;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let mut unpacked = Vec::new();
    match flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked) {
        Ok(_) => unpacked,
        Err(_) => bytes,
    }
}

/// For each column what its nodes compare with, and the numbers beside.
fn hard_values(ensemble: &Ensemble) -> Vec<Vec<f64>> {
    let mut pools = vec![vec![f64::NAN, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e-36]; ensemble.schema().len()];
    for tree in ensemble.trees() {
        for node in &tree.nodes {
            match *node {
                Node::Number { feature, threshold, .. } => {
                    let beside = match ensemble.precision() {
                        Precision::F32 => {
                            let narrow = threshold as f32;
                            [narrow.next_down(), narrow.next_up()].map(f64::from)
                        }
                        Precision::F64 => [threshold.next_down(), threshold.next_up()],
                    };
                    pools[feature as usize].extend([threshold, beside[0], beside[1]]);
                }
                Node::Category {
                    feature, first, count, ..
                } => pools[feature as usize].extend(tree.codes(first, count).iter().map(|&code| f64::from(code))),
                _ => {}
            }
        }
    }
    pools
}

fn model(ensemble: &Ensemble, kernel: KernelChoice) -> Option<Model> {
    let identity = Identity {
        name: "real".into(),
        version: "1".into(),
    };
    let options = Options {
        kernel,
        ..Options::default()
    };
    Model::build(ensemble.clone(), Manifest::empty(), identity, options).ok()
}

fn bits(margins: &[f64]) -> Vec<u64> {
    let canonical = |&margin: &f64| {
        if margin.is_nan() {
            f64::NAN.to_bits()
        } else {
            margin.to_bits()
        }
    };
    margins.iter().map(canonical).collect()
}

#[test]
fn kernels_agree_on_real_models() {
    let mut paths = Vec::new();
    for folder in ["tests/fixtures", "../../shared/parity"] {
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut paths);
    }
    paths.sort();
    let (mut models, mut on) = (0, BTreeMap::<String, usize>::new());
    for path in paths {
        let Ok(ensemble) = load(&bytes(&path)) else { continue };
        let width = ensemble.schema().len();
        let pools = hard_values(&ensemble);
        let mut random = Random(path.as_os_str().len() as u64);
        let mut value = |pool: &Vec<f64>, row: usize| {
            if row == 0 {
                f64::NAN
            } else {
                pool[random.below(pool.len())]
            }
        };
        let rows = (0..ROWS).flat_map(|row| pools.iter().map(move |pool| (pool, row)));
        let rows: Vec<f64> = rows.map(|(pool, row)| value(pool, row)).collect();
        let reference = model(&ensemble, KernelChoice::Reference).unwrap();
        let mut scratch = reference.scratch();
        let mut expected = Vec::new();
        for row in rows.chunks(width.max(1)) {
            reference.score_row(row, &mut scratch);
            expected.push(bits(scratch.margins()));
        }
        models += 1;
        for (_, kernel) in KernelChoice::NAMES {
            let Some(model) = model(&ensemble, kernel) else {
                continue;
            };
            *on.entry(kernel.to_string()).or_default() += 1;
            let mut scratch = model.scratch();
            for (row, expected) in rows.chunks(width.max(1)).zip(&expected) {
                model.score_row(row, &mut scratch);
                assert_eq!(
                    &bits(scratch.margins()),
                    expected,
                    "{kernel}: {} {row:?}",
                    path.display()
                );
            }
            let mut several = Vec::new();
            model.score_rows(&rows, &mut scratch, |_, _, scratch| {
                several.push(bits(scratch.margins()))
            });
            assert_eq!(several, expected, "{kernel}, rows at once: {}", path.display());
        }
    }
    println!("{models} models: {on:?}");
    assert!(models > 80, "only {models} models were found");
}
