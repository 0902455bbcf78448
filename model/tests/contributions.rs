//! Contributions: every case of the suite, every kernel, and random ensembles against the literal reference.
//!
//! The suite lies beside the checkout (`shared/parity/contribs`), not in it: without it that part says `SKIPPED` and
//! passes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lints spare test functions but not what they call"
)]

#[path = "support/random.rs"]
mod random;

use std::fs;
use std::path::{Path, PathBuf};

use quintile_model::kernel::Vectors;
use quintile_model::{ExplainError, Explainer, Identity, KernelChoice, Manifest, Model, Options, Precision, load};
use random::{Cover, LeafOf, Missing, Random, Recipe};
use serde_json::Value;

/// How far a value may be from the exact one, as a share of the row's sum of absolute values.
const TOLERANCE: f64 = 1e-12;

fn suite() -> Option<PathBuf> {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/parity/contribs");
    if suite.join("index.json").exists() {
        return Some(suite);
    }
    eprintln!("SKIPPED: the suite is not at {}; nothing was compared", suite.display());
    None
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A first line of names and rows of numbers: empty is missing.
fn table(path: &Path) -> (Vec<String>, Vec<Vec<f64>>) {
    let header = csv::Reader::from_reader(read(path).as_slice())
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    (header, numbers(path, true))
}

fn numbers(path: &Path, has_header: bool) -> Vec<Vec<f64>> {
    let bytes = read(path);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(has_header)
        .from_reader(bytes.as_slice());
    let number = |cell: &str| match cell.trim() {
        "" => f64::NAN,
        cell => cell.parse().unwrap(),
    };
    reader
        .records()
        .map(|row| row.unwrap().iter().map(number).collect())
        .collect()
}

fn kernels() -> Vec<KernelChoice> {
    let vectors = Vectors::all().map(Vectors::choice);
    [KernelChoice::Reference, KernelChoice::Scalar]
        .into_iter()
        .chain(vectors)
        .collect()
}

fn model(bytes: &[u8], name: &str) -> Model {
    let ensemble = load(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let identity = Identity {
        name: name.to_owned(),
        version: "1".to_owned(),
    };
    Model::build(ensemble, Manifest::default(), identity, Options::default()).unwrap()
}

/// Which columns a tree splits on; those of a linear model all count.
fn used(model: &Model) -> Vec<bool> {
    model.statistics().features.iter().map(|used| used.splits > 0).collect()
}

/// The largest error of a row, as a share of the sum of absolute values of the row's output.
fn error(actual: &[f64], expected: &[f64]) -> f64 {
    let all: f64 = expected.iter().map(|value| value.abs()).sum();
    let pairs = actual.iter().zip(expected);
    let apart = pairs
        .map(|(actual, expected)| (actual - expected).abs())
        .fold(0.0, |worst: f64, apart| {
            if apart.is_nan() {
                f64::INFINITY
            } else {
                worst.max(apart)
            }
        });
    if apart == 0.0 { 0.0 } else { apart / all }
}

#[test]
fn every_case_of_the_suite_is_exact_with_every_kernel() {
    let Some(suite) = suite() else { return };
    let index: Value = serde_json::from_slice(&read(&suite.join("index.json"))).unwrap();
    let cases = index.as_array().unwrap();
    assert!(cases.len() >= 29);
    let mut compared = 0;
    for case in cases {
        let path = |key: &str| suite.join(case[key].as_str().unwrap());
        let name = case["name"].as_str().unwrap();
        let model = model(&read(&path("model_path")), name);
        let (names, rows) = table(&path("rows_path"));
        assert!(model.schema().names().eq(names.iter().map(String::as_str)), "{name}");
        let (_, expected) = table(&path("expect_path"));
        let margins = numbers(&path("margin_path"), false);
        let width = names.len() + 1;
        let used = used(&model);
        for kernel in kernels() {
            let explainer = model.explainer(kernel).unwrap();
            let mut scratch = explainer.scratch();
            for ((row, expected), margins) in rows.iter().zip(&expected).zip(&margins) {
                explainer.explain_row(row, &mut scratch);
                for (output, expected) in expected.chunks(width).enumerate() {
                    let actual = scratch.contributions(output);
                    let off = error(actual, expected);
                    assert!(off <= TOLERANCE, "{name}, {kernel}, output {output}: off by {off:e}");
                    let all: f64 = expected.iter().map(|value| value.abs()).sum();
                    let sum: f64 = actual.iter().sum();
                    assert!(
                        (sum - margins[output]).abs() <= TOLERANCE * all,
                        "{name}, {kernel}: the sum is {sum}"
                    );
                    let unused = actual.iter().zip(&used).filter(|(_, used)| !**used);
                    assert!(
                        unused.map(|(value, _)| value).all(|&value| value.to_bits() == 0),
                        "{name}, {kernel}"
                    );
                    compared += 1;
                }
            }
        }
    }
    println!("{compared} outputs of rows compared with {:?}", kernels());
}

#[test]
fn what_the_suite_refuses_scores_and_says_why() {
    let Some(suite) = suite() else { return };
    let index: Value = serde_json::from_slice(&read(&suite.join("refuse.json"))).unwrap();
    for case in index.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let model = model(&read(&suite.join(case["model_path"].as_str().unwrap())), name);
        let error = model.explainable().unwrap_err();
        let is_linear = matches!(error, ExplainError::LinearLeaves { .. });
        assert_eq!(is_linear, name == "lgb_linear", "{name}: {error}");
        assert!(
            is_linear || matches!(error, ExplainError::NoCovers { .. }),
            "{name}: {error}"
        );
        assert!(model.explainer(KernelChoice::Auto).is_err());
        let (_, rows) = table(&suite.join(case["rows_path"].as_str().unwrap()));
        let mut scratch = model.scratch();
        model.score_row(&rows[0], &mut scratch);
        assert!(scratch.margins()[0].is_finite());
    }
}

/// Compares all kernels with the literal reference on rows that are hard to decide. Returns the number of rows.
fn compare(recipe: Recipe) -> usize {
    let sample = recipe.ensemble();
    let mut random = Random(recipe.seed ^ 0x5eed);
    let rows: Vec<Vec<f64>> = match recipe.precision {
        Precision::F32 => sample
            .rows::<f32>(8, &mut random)
            .iter()
            .map(|row| widened(row))
            .collect(),
        Precision::F64 => sample.rows::<f64>(8, &mut random),
    };
    let identity = Identity {
        name: "random".to_owned(),
        version: "1".to_owned(),
    };
    let model = Model::build(sample.ensemble, Manifest::default(), identity, Options::default()).unwrap();
    let used = used(&model);
    let reference = model.explainer(KernelChoice::Reference).unwrap();
    let mut expected = reference.scratch();
    let others: Vec<Explainer> = kernels()[1..]
        .iter()
        .map(|&kernel| model.explainer(kernel).unwrap())
        .collect();
    let mut scratches: Vec<_> = others.iter().map(Explainer::scratch).collect();
    let mut margins = model.scratch();
    for row in &rows {
        reference.explain_row(row, &mut expected);
        model.score_row(row, &mut margins);
        for output in 0..recipe.outputs {
            let expected = expected.contributions(output);
            let all: f64 = expected.iter().map(|value| value.abs()).sum();
            let sum: f64 = expected.iter().sum();
            let margin = margins.margins()[output];
            assert!(
                (sum - margin).abs() <= 1e-4 * all.max(margin.abs()),
                "{sum} for {margin}: {recipe:?}"
            );
        }
        for (explainer, scratch) in others.iter().zip(&mut scratches) {
            explainer.explain_row(row, scratch);
            for output in 0..recipe.outputs {
                let (actual, expected) = (scratch.contributions(output), expected.contributions(output));
                let off = error(actual, expected);
                assert!(
                    off <= TOLERANCE,
                    "{}: off by {off:e}: {recipe:?} {row:?}",
                    explainer.kernel()
                );
                let unused = actual.iter().zip(&used).filter(|(_, used)| !**used);
                assert!(
                    unused.map(|(value, _)| value).all(|&value| value.to_bits() == 0),
                    "{recipe:?}"
                );
            }
        }
    }
    rows.len()
}

fn widened(row: &[f32]) -> Vec<f64> {
    row.iter().copied().map(f64::from).collect()
}

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::F64];

#[test]
fn full_trees_of_every_depth_agree_with_the_definition() {
    let mut rows = 0;
    for depth in 0..=12u32 {
        for precision in PRECISIONS {
            for (trees, features) in [(1, 3), (7, 40), (65, 2), (130, 12)] {
                if depth > 8 && trees > 7 {
                    continue;
                }
                rows += compare(Recipe {
                    seed: u64::from(depth) * 100 + trees as u64,
                    precision,
                    trees,
                    features,
                    depth,
                    leaves: 1 << depth,
                    cover: Cover::Some,
                    ..Recipe::PLAIN
                });
            }
        }
    }
    println!("{rows} rows");
}

#[test]
fn uneven_trees_agree_with_the_definition() {
    let mut rows = 0;
    for (number, (trees, leaves, depth, features)) in [
        (70, 2, 1, 3),
        (70, 5, 4, 2),
        (70, 31, 20, 30),
        (70, 31, 12, 3),
        (9, 40, 30, 50),
        (70, 64, 9, 20),
        (5, 300, 40, 60),
        (3, 90, 80, 100),
        (5, 70, 69, 1),
    ]
    .into_iter()
    .enumerate()
    {
        for precision in PRECISIONS {
            rows += compare(Recipe {
                seed: 7_000 + number as u64,
                precision,
                trees,
                features,
                depth,
                leaves,
                cover: Cover::Some,
                ..Recipe::PLAIN
            });
        }
    }
    println!("{rows} rows");
}

#[test]
fn categories_missing_zeros_outputs_and_vectors_agree_with_the_definition() {
    for seed in 0..3 {
        for precision in PRECISIONS {
            for missing in [Missing::Left, Missing::Right, Missing::Either] {
                let recipe = Recipe {
                    seed,
                    precision,
                    trees: 40,
                    features: 9,
                    missing,
                    cover: Cover::Some,
                    ..Recipe::PLAIN
                };
                compare(Recipe {
                    zero_is_missing: true,
                    ..recipe
                });
                compare(Recipe {
                    category_one_in: 2,
                    outputs: 3,
                    ..recipe
                });
                compare(Recipe {
                    leaf: LeafOf::Vector,
                    outputs: 4,
                    leaves: 20,
                    ..recipe
                });
            }
        }
    }
}

#[test]
fn covers_of_zero_are_halves_together_and_nothing_alone() {
    for seed in 0..5 {
        for (depth, leaves) in [(3, 8), (6, 64), (8, 256), (12, 40)] {
            compare(Recipe {
                seed,
                trees: 20,
                features: 5,
                depth,
                leaves,
                cover: Cover::OftenZero,
                ..Recipe::PLAIN
            });
        }
    }
}

#[test]
fn thresholds_and_sets_beyond_all_lanes_are_compared_one_by_one() {
    for (features, category_one_in) in [(300, 0), (10, 2)] {
        compare(Recipe {
            trees: 300,
            features,
            thresholds: 3_000,
            depth: 8,
            leaves: 256,
            category_one_in,
            cover: Cover::Some,
            ..Recipe::PLAIN
        });
    }
}

#[test]
fn covers_that_are_no_amounts_refuse_explanations_alone() {
    for (cover, says) in [
        (Cover::None, "does not say"),
        (Cover::Negative, "its cover is -"),
        (Cover::Infinite, "its cover is inf"),
        (Cover::TooFew, "covers for"),
    ] {
        let recipe = Recipe {
            trees: 3,
            cover,
            ..Recipe::PLAIN
        };
        let error = recipe.ensemble().ensemble.explainable().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
