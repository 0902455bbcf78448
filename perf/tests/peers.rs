//! The driver of the comparison, on the demo model with engines that a shell can play: no figure is looked at, only who
//! counts.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quintile_model::{Identity, KernelChoice, Manifest, Model, Options, load};
use serde_json::{Value, json};

const ROWS: usize = 4_096;

/// Answers every turn in time with margins of zero.
const ZEROS: &str = "echo ready; while read first count each; do head -c $((8 * count + 8)) /dev/zero; done";

#[test]
fn only_engines_that_answer_as_the_library_does_count() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("peers");
    fs::create_dir_all(&folder).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/demo/demo.ubj");
    let features = write_rows_and_reference(&folder, &model);
    let engine = |name: &str, tolerance: f64, script: &str| json!({"name": name, "library": "x", "tolerance": tolerance, "command": ["sh", "-c", script, "ROWS", "FEATURES"]});
    fs::write(folder.join("zeros.f64"), vec![0; 8 * ROWS]).unwrap();
    let mut own_rule = engine("own rule", 0.0, ZEROS);
    own_rule["reference"] = json!(folder.join("zeros.f64"));
    let plan = json!({
        "rows": folder.join("rows.f32"),
        "features": features,
        "models": [{
            "name": "demo",
            "path": model,
            "reference": folder.join("reference.f64"),
            "engines": [
                engine("near", 1e9, ZEROS),
                own_rule,
                engine("wrong", 1e-4, ZEROS),
                engine("inexact", 0.0, ZEROS),
                engine("dies", 0.0, "echo ready; read line"),
                engine("never starts", 0.0, "exit 3"),
                {"name": "absent", "library": "x", "tolerance": 0.0, "error": "it was not built"},
            ],
        }],
    });
    fs::write(folder.join("plan.json"), plan.to_string()).unwrap();

    let figures = folder.join("figures.json");
    let done = Command::new(env!("CARGO_BIN_EXE_quintile-perf"))
        .arg("peers")
        .arg(folder.join("plan.json"))
        .arg(&figures)
        .arg("1")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let figures: Value = serde_json::from_slice(&fs::read(figures).unwrap()).unwrap();
    let engines = figures["models"][0]["engines"].as_array().unwrap();
    let void = |name: &str| {
        let engine = engines.iter().find(|engine| engine["name"] == name).unwrap();
        engine["void"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(void("near"), "");
    assert_eq!(void("own rule"), "");
    assert!(
        void("wrong").starts_with("row 0: its margin is 0.0 and"),
        "{}",
        void("wrong")
    );
    assert!(void("inexact").starts_with("row 0: "), "{}", void("inexact"));
    assert!(void("dies").starts_with("it gave no answer"), "{}", void("dies"));
    assert!(
        void("never starts").contains("exit status: 3"),
        "{}",
        void("never starts")
    );
    assert_eq!(void("absent"), "it was not built");
    let ours: Vec<_> = engines
        .iter()
        .filter(|engine| engine["library"].as_str().unwrap().starts_with("quintile"))
        .collect();
    assert!(ours.len() >= 2, "the chosen kernel, and at least one more");
    for engine in ours {
        assert_eq!(engine["void"], Value::Null, "{engine}");
        assert_eq!(engine["single"].as_array().unwrap().len(), 1);
        assert_eq!(engine["batch"].as_array().unwrap().len(), 1);
    }
}

/// The margins are the literal walk's, which other tests hold to the library's. Returns the number of features.
fn write_rows_and_reference(folder: &Path, path: &Path) -> usize {
    let identity = Identity {
        name: "demo".into(),
        version: "1".into(),
    };
    let options = Options {
        kernel: KernelChoice::Reference,
        ..Options::default()
    };
    let ensemble = load(&fs::read(path).unwrap()).unwrap();
    let model = Model::build(ensemble, Manifest::empty(), identity, options).unwrap();
    let features = model.schema().len();
    let mut scratch = model.scratch();
    let (mut rows, mut margins) = (Vec::new(), Vec::new());
    let mut state = 1_u32;
    for _ in 0..ROWS {
        let row: Vec<f32> = (0..features)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let value = (state >> 8) as f32 / (1_u32 << 22) as f32 - 2.0;
                if state.is_multiple_of(11) { f32::NAN } else { value }
            })
            .collect();
        let doubles: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
        model.score_row(&doubles, &mut scratch);
        margins.extend(scratch.margins()[0].to_le_bytes());
        rows.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
    fs::write(folder.join("rows.f32"), rows).unwrap();
    fs::write(folder.join("reference.f64"), margins).unwrap();
    features
}
