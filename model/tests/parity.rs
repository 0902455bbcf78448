//! Every case of the parity suite: what the training library itself predicts, with both kernels.
//!
//! The suite lies beside the checkout (`shared/parity`), not in it: without it this says `SKIPPED` and passes.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions but not what they call"
)]

mod support;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use quintile_model::kernel::{reference, scalar};
use quintile_model::plan::Plan;
use quintile_model::{Identity, KernelChoice, Manifest, Model, Options, Precision, Trees, load};
use serde_json::Value;
use support::ulps;

fn suite() -> Option<PathBuf> {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/parity");
    if suite.join("index.json").exists() {
        return Some(suite);
    }
    eprintln!(
        "SKIPPED: the parity suite is not at {}; nothing was compared",
        suite.display()
    );
    None
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut unpacked)
            .unwrap();
        return unpacked;
    }
    bytes
}

/// A header of names, or none, and rows of numbers: empty or nan is missing.
fn table(path: &Path, has_header: bool) -> Vec<Vec<f64>> {
    let bytes = read(path);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(has_header)
        .flexible(true)
        .from_reader(bytes.as_slice());
    let number = |cell: &str| {
        if cell.trim().is_empty() {
            f64::NAN
        } else {
            cell.trim().parse().unwrap()
        }
    };
    reader
        .records()
        .map(|record| record.unwrap().iter().map(number).collect())
        .collect()
}

/// Formats of the suite that are read.
const FORMATS: [(&str, usize); 5] = [
    ("xgboost-json", 53),
    ("xgboost-ubj", 10),
    ("lightgbm-text", 40),
    ("treelite-checkpoint", 4),
    ("catboost-json", 1),
];

#[derive(Default)]
struct Tally {
    cases: usize,
    rows: usize,
    predictions: usize,
    not_bit_equal: usize,
}

#[test]
fn margins_are_bit_equal_and_predictions_within_one_ulp() {
    let Some(suite) = suite() else { return };
    let index: Vec<Value> = serde_json::from_slice(&read(&suite.join("index.json"))).unwrap();
    for (format, least) in FORMATS {
        let mut tally = Tally::default();
        for case in index.iter().filter(|case| case["format"] == format) {
            compare(&suite, case, &mut tally);
        }
        let Tally {
            cases,
            rows,
            predictions,
            not_bit_equal,
        } = tally;
        eprintln!(
            "{format}: {cases} cases, {rows} rows with each kernel, {predictions} predictions of which {not_bit_equal} are \
             one ulp off"
        );
        assert!(cases >= least, "{format}: the suite has shrunk to {cases} cases");
    }
}

fn compare(suite: &Path, case: &Value, tally: &mut Tally) {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let name = format!("{} ({})", text("name"), text("format"));
    let bytes = read(&suite.join(text("model_path")));
    let trees = if case["iteration_range"].is_array() {
        Trees::Best
    } else {
        Trees::All
    };
    let rows = table(&suite.join(text("rows_path")), true);
    let margins = case["expect_margin_path"]
        .as_str()
        .map(|path| table(&suite.join(path), false));
    let predictions = case["expect_pred_path"]
        .as_str()
        .map(|path| table(&suite.join(path), false));
    let is_exact = text("origin") != "peer-peer";
    if let Some(limit) = text("notes")
        .strip_prefix("first ")
        .and_then(|notes| notes.split(' ').next())
    {
        tally.cases += 1;
        return compare_first_trees(&name, &bytes, limit.parse().unwrap(), &rows, &margins.unwrap());
    }
    for kernel in [KernelChoice::Reference, KernelChoice::Scalar] {
        let ensemble = match load(&bytes) {
            Ok(ensemble) => ensemble,
            Err(error) => panic!("{name}: {error}"),
        };
        let identity = Identity {
            name: "parity".into(),
            version: "1".into(),
        };
        let model = Model::build(ensemble, Manifest::empty(), identity, Options { trees, kernel }).unwrap();
        let mut scratch = model.scratch();
        let allowed = |most| is_exact.then(|| (model.precision(), most));
        for (number, row) in rows.iter().enumerate() {
            assert_eq!(row.len(), model.schema().len(), "{name}: columns");
            model.score_row(row, &mut scratch);
            tally.rows += usize::from(kernel == KernelChoice::Scalar);
            if let Some(expected) = &margins {
                compare_numbers(&name, number, scratch.margins(), &expected[number], allowed(0));
            }
            if let Some(expected) = &predictions {
                // CatBoost's probabilities come with their complements; the model's prediction is the second one.
                let expected = match expected[number].as_slice() {
                    both @ [_, _] if scratch.predictions().len() == 1 => &both[1..],
                    all => all,
                };
                let off = compare_numbers(&name, number, scratch.predictions(), expected, allowed(1));
                tally.not_bit_equal += off;
                tally.predictions += expected.len();
            }
        }
    }
    tally.cases += 1;
}

/// A case that stops at a tree no option names, as `ntree_limit` once did: the kernels themselves take any number.
fn compare_first_trees(name: &str, bytes: &[u8], limit: usize, rows: &[Vec<f64>], expected: &[Vec<f64>]) {
    let ensemble = load(bytes).unwrap();
    let plan = Plan::compile(&ensemble, limit);
    #[expect(clippy::cast_possible_truncation, reason = "rows are narrowed as the model does it")]
    for (number, row) in rows.iter().enumerate() {
        let row: Vec<f32> = row.iter().map(|&value| value as f32).collect();
        let mut margins = vec![0.0; ensemble.base_margins().len()];
        for kernel in [KernelChoice::Reference, KernelChoice::Scalar] {
            match kernel {
                KernelChoice::Reference => reference::margins(&ensemble, limit, &row, &mut margins),
                _ => scalar::margins(&plan, &row, &mut margins),
            }
            let margins: Vec<f64> = margins.iter().copied().map(f64::from).collect();
            compare_numbers(name, number, &margins, &expected[number], None);
        }
    }
}

/// How many of the numbers are not bit-equal. Published numbers have too few digits for that: none is allowed for them.
fn compare_numbers(
    name: &str,
    row: usize,
    actual: &[f64],
    expected: &[f64],
    allowed: Option<(Precision, u64)>,
) -> usize {
    assert_eq!(actual.len(), expected.len(), "{name}: outputs");
    let mut off = 0;
    for (&actual, &expected) in actual.iter().zip(expected) {
        let Some((precision, most)) = allowed else {
            let scaled = (actual - expected).abs() / expected.abs().max(1.0);
            assert!(scaled <= 1e-5, "{name} row {row}: {actual:?} is not near {expected:?}");
            continue;
        };
        let distance = ulps(actual, expected, precision);
        assert!(
            distance <= most,
            "{name} row {row}: {actual:?} is not {expected:?} ({distance} ulp)"
        );
        off += usize::from(distance > 0);
    }
    off
}

#[test]
fn foreign_files_are_refused_with_a_reason() {
    let Some(suite) = suite() else { return };
    let list: Vec<Value> = serde_json::from_slice(&read(&suite.join("refuse.json"))).unwrap();
    for entry in &list {
        let path = entry["path"].as_str().unwrap();
        let error = load(&read(&suite.join(path))).expect_err(path).to_string();
        eprintln!("{path}: {error}");
        assert!(
            error.len() > 30 && !error.contains("no model file we know"),
            "{path}: {error}"
        );
    }
    assert!(list.len() > 40, "the list has shrunk to {}", list.len());
}
