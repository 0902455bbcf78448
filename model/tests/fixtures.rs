//! The committed fixtures: models of every kind with the library's own answers (`fixtures/make*.py`), all files, both
//! kernels. Margins are equal to the last bit, predictions within one unit in the last place of `exp`.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions but not what they call"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use quintile_model::{Identity, KernelChoice, Manifest, Model, Options, Trees, load};
use support::ulps;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The names that have answers, sorted.
fn names() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let answers = entries.filter(|path| path.extension().is_some_and(|extension| extension == "csv"));
    let mut names: Vec<_> = answers
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 110, "the fixtures have shrunk to {}", names.len());
    names
}

struct Row {
    features: Vec<f64>,
    margins: Vec<f64>,
    predictions: Vec<f64>,
}

fn rows(name: &str) -> Vec<Row> {
    let text = fs::read_to_string(folder().join(format!("{name}.csv"))).unwrap();
    let numbers = |part: &str| {
        part.split(' ')
            .filter(|number| !number.is_empty())
            .map(|number| number.parse().unwrap())
            .collect::<Vec<f64>>()
    };
    let row = |line: &str| {
        let mut parts = line.split(';').map(numbers);
        let mut part = || parts.next().expect("a row has three parts");
        Row {
            features: part(),
            margins: part(),
            predictions: part(),
        }
    };
    text.lines().map(row).collect()
}

/// The files of a name, by suffix: XGBoost's models lie here as JSON and as UBJSON.
fn suffixes(name: &str) -> Vec<&'static str> {
    let exists = |suffix: &&str| folder().join(format!("{name}.{suffix}")).exists();
    let suffixes: Vec<_> = ["json", "ubj", "txt", "bin", "onnx"]
        .into_iter()
        .filter(exists)
        .collect();
    assert!(!suffixes.is_empty(), "{name} has answers but no model");
    suffixes
}

fn build(name: &str, suffix: &str, kernel: KernelChoice) -> Model {
    let bytes = fs::read(folder().join(format!("{name}.{suffix}"))).unwrap();
    let ensemble = load(&bytes).unwrap_or_else(|error| panic!("{name}.{suffix}: {error}"));
    let trees = if name.starts_with("best") {
        Trees::Best
    } else {
        Trees::All
    };
    let identity = Identity {
        name: name.to_owned(),
        version: "1".into(),
    };
    Model::build(ensemble, Manifest::empty(), identity, Options { trees, kernel }).unwrap()
}

#[test]
fn every_fixture_is_answered_as_the_library_does() {
    let (mut compared, mut off) = (0, 0);
    for name in names() {
        let rows = rows(&name);
        for suffix in suffixes(&name) {
            for kernel in [KernelChoice::Reference, KernelChoice::Scalar] {
                let model = build(&name, suffix, kernel);
                let mut scratch = model.scratch();
                for (number, row) in rows.iter().enumerate() {
                    model.score_row(&row.features, &mut scratch);
                    let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
                    let at = format!("{name}.{suffix} {kernel} row {number}");
                    // onnxruntime says nothing of margins.
                    if !row.margins.is_empty() {
                        assert_eq!(
                            bits(scratch.margins()),
                            bits(&row.margins),
                            "{at}: {:?}",
                            scratch.margins()
                        );
                    }
                    assert_eq!(scratch.predictions().len(), row.predictions.len(), "{at}");
                    for (&actual, &expected) in scratch.predictions().iter().zip(&row.predictions) {
                        assert!(
                            ulps(actual, expected, model.precision()) <= 1,
                            "{at}: {actual:?} is not {expected:?}"
                        );
                        compared += 1;
                        off += usize::from(actual.to_bits() != expected.to_bits());
                    }
                }
            }
        }
    }
    println!("{compared} predictions, {off} of them not bit-equal");
}

#[test]
fn names_kinds_and_shapes_are_read() {
    let model = build("gbtree-base-score", "ubj", KernelChoice::Auto);
    assert_ne!(model.kernel(), KernelChoice::Auto);
    let names: Vec<_> = model.schema().names().collect();
    assert_eq!(names, ["age", "Total Time Spent", "quote \" and ü", "d"]);
    assert!(model.is_probability() && model.bands().is_some() && model.notes().is_empty());
    assert_eq!(
        (model.format(), model.objective()),
        ("XGBoost UBJSON", "binary:logistic")
    );
    let softmax = build("objective-multi-softmax", "json", KernelChoice::Auto);
    assert_eq!(
        (softmax.margin_len(), softmax.prediction_len(), softmax.bands()),
        (3, 1, None)
    );
    assert_eq!(softmax.schema().name(2), "f2");
    assert_eq!(softmax.notes().len(), 1);
    let category = build("category-mixed", "json", KernelChoice::Auto);
    assert_eq!(category.schema().kind(3), quintile_model::FeatureKind::Category);
    let best = build("best-iteration", "json", KernelChoice::Auto);
    assert_eq!((best.tree_count(), best.notes().len()), (2, 0));
    assert!(best.explain().contains("2 of the file's"), "{}", best.explain());
}

#[test]
fn names_of_categories_give_the_librarys_answers() {
    let text = fs::read_to_string(folder().join("category-names.names")).unwrap();
    for suffix in ["json", "ubj"] {
        for kernel in [KernelChoice::Reference, KernelChoice::Scalar] {
            let model = build("category-names", suffix, kernel);
            let schema = model.schema();
            let mut scratch = model.scratch();
            for line in text.lines() {
                let mut parts = line.split(';');
                let mut part = || parts.next().expect("a line has three parts");
                let (place, number, margin) = (part(), part(), part().parse::<f64>().unwrap());
                let code = |column, name| schema.category_code(column, name).expect("training had the name");
                model.score_row(&[code(0, place), 0.5, code(2, number)], &mut scratch);
                assert_eq!(scratch.margins()[0].to_bits(), margin.to_bits(), "{line}");
            }
            for unseen in ["", "A", "zz", "Zürich"] {
                assert_eq!(schema.category_code(0, unseen), None, "{unseen:?}");
            }
            assert_eq!(
                (schema.category_code(1, "a"), schema.category_code(9, "a")),
                (None, None)
            );
            assert_eq!(schema.categories(2).unwrap().names(), ["30", "-5", "7", "2"]);
            assert!(model.notes().is_empty(), "{:?}", model.notes());
        }
    }
}

#[test]
fn lightgbm_takes_the_names_that_pandas_had() {
    let text = fs::read_to_string(folder().join("lightgbm-names.names")).unwrap();
    for kernel in [KernelChoice::Reference, KernelChoice::Scalar] {
        let model = build("lightgbm-names", "txt", kernel);
        let schema = model.schema();
        let mut scratch = model.scratch();
        for line in text.lines() {
            let mut parts = line.split(';');
            let mut part = || parts.next().expect("a line has three parts");
            let (place, number, margin) = (part(), part(), part().parse::<f64>().unwrap());
            let code = |column, name| {
                schema
                    .category_code(column, name)
                    .expect("every name is a code or missing")
            };
            model.score_row(&[code(0, place), 0.5, code(2, number)], &mut scratch);
            assert_eq!(scratch.margins()[0].to_bits(), margin.to_bits(), "{line}");
        }
        assert!(schema.category_code(0, "Zurich").is_some_and(f64::is_nan));
        assert_eq!(schema.category_code(0, "Zürich"), Some(0.0));
        assert_eq!(schema.category_code(1, "a"), None);
        assert!(
            model.notes().is_empty() && model.is_probability(),
            "{:?}",
            model.notes()
        );
    }
}
