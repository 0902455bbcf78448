//! Models, their manifests, and paths at which there is neither.

use std::path::PathBuf;

use super::*;

/// A folder of its own for a test, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quintile-served-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("folder");
        Self(path)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load(path: &Path) -> Result<LoadedModel, LoadError> {
    LoadedModel::load(Some(path), Options::default(), 7)
}

#[test]
fn the_demo_meets_its_golden_rows() {
    let demo = LoadedModel::load(None, Options::default(), 3).unwrap();
    assert_eq!(
        (demo.model_number, demo.model.name(), demo.model.version()),
        (3, "demo", "1.0.0")
    );
    assert_eq!(demo.identity_json, r#"{"name":"demo","version":"1.0.0"}"#);
    assert!(demo.golden_rows >= 10 && demo.columns.column("f50") == Some(49));
}

#[test]
fn a_manifest_beside_the_model_names_it_and_without_one_its_file_does() {
    let folder = Folder::new("beside");
    let model = folder.file("leads.ubj", DEMO_MODEL);
    let loaded = load(&model).unwrap();
    assert_eq!(
        (loaded.model_number, loaded.model.name(), loaded.golden_rows),
        (7, "leads", 0)
    );
    assert!(loaded.model.version().starts_with("sha256-") && loaded.model.version().len() == 19);
    folder.file("leads.toml", "name = \"quoted \\\" ü\"\nversion = \"9\"");
    assert_eq!(
        load(&model).unwrap().identity_json,
        r#"{"name":"quoted \" ü","version":"9"}"#
    );
    let bare = folder.file("bare", DEMO_MODEL);
    assert_eq!(load(&bare).unwrap().model.name(), "bare");
    std::fs::create_dir(folder.0.join("bare.toml")).unwrap();
    assert!(load(&bare).is_ok(), "a folder is no manifest");
}

#[test]
fn manifests_that_are_wrong_stop_the_load() {
    let folder = Folder::new("wrong");
    let model = folder.file("m.ubj", DEMO_MODEL);
    for (text, says) in [
        (&b"name = \"a\"\n# \xff"[..], "m.toml: byte 13 is not UTF-8"),
        (b"nam = \"a\"", "m.toml: 1:1: unknown key"),
        (b"edges = [0.1]", "edges are four numbers"),
        (
            b"[features.f51]\nlabel = \"x\"",
            "the manifest does not fit the model: 1:11: the model has no feature \"f51\"",
        ),
        (
            b"[[golden]]\nfeatures = [1]\nmargin = [1]",
            "a golden row has 1 features, the model 50",
        ),
    ] {
        folder.file("m.toml", text);
        let error = load(&model).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
    let golden = format!("[[golden]]\nfeatures = [{}]\nmargin = [1]", ["nan"; 50].join(","));
    folder.file("m.toml", golden);
    let error = load(&model).unwrap_err();
    assert!(
        matches!(error, LoadError::Golden { .. }) && error.to_string().contains("golden row 1 (manifest line 1)"),
        "{error}"
    );
}

#[test]
fn a_manifest_that_contradicts_the_model_says_how() {
    let fixture = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../model/tests/fixtures")
            .join(name);
        std::fs::read(path).expect("a fixture")
    };
    let (names, classes) = (fixture("category-names.json"), fixture("objective-multi-softprob.json"));
    let squared = fixture("objective-reg-squarederror.json");
    for (model, text, says) in [
        (
            DEMO_MODEL,
            "[features.F1]\n",
            "1:11: the model has no feature \"F1\"; did you mean \"f1\"?",
        ),
        (
            DEMO_MODEL,
            "probability_output = 1",
            "1:22: probability_output is 1, but the model's predictions are 0 to 0",
        ),
        (
            &squared,
            "probability_output = 0",
            "1:22: objective reg:squarederror gives no probabilities",
        ),
        (
            &classes,
            "edges = [1, 2, 3, 4]",
            "1:9: edges need a single prediction, but the model gives",
        ),
        (
            &classes,
            "band_names = [\"a\", \"b\", \"c\", \"d\", \"e\"]",
            "1:14: band_names need a single prediction",
        ),
        (
            &names,
            "[features.where]\ntype = \"number\"",
            "1:11: \"where\" is a category in the model file",
        ),
        (
            &names,
            "[features.where]\ncategories = [\"x\"]",
            "2:14: category 0 is \"x\" here and ",
        ),
    ] {
        let error = LoadedModel::of_bytes(model, text).expect_err(text).to_string();
        assert!(error.contains(says), "{text}\n{error}\n{says}");
    }
}

#[test]
fn paths_that_hold_no_model_say_what_was_probably_meant() {
    let folder = Folder::new("paths");
    folder.file("m.ubj", DEMO_MODEL);
    folder.file("notes.txt", "x");
    let shown = folder.0.display().to_string();
    for (path, expected) in [
        (
            folder.0.clone(),
            format!("read {shown}: it is a folder, not a model file; did you mean {shown}/m.ubj?"),
        ),
        (
            folder.0.join("m.json"),
            format!("read {shown}/m.json: there is no such file; did you mean {shown}/m.ubj?"),
        ),
        (
            folder.0.join("x.json"),
            format!("read {shown}/x.json: there is no such file"),
        ),
    ] {
        assert_eq!(load(&path).unwrap_err().to_string(), expected);
    }
    let here = std::env::current_dir().unwrap();
    let expected = format!("read no-such.ubj: there is no such file in {}", here.display());
    assert_eq!(load(Path::new("no-such.ubj")).unwrap_err().to_string(), expected);
    let error = load(&folder.0.join("notes.txt")).unwrap_err();
    assert!(matches!(error, LoadError::Format { .. }), "{error}");
    let below = load(&folder.0.join("notes.txt/m.ubj")).unwrap_err();
    assert!(matches!(below, LoadError::Read { .. }), "{below}");
}

#[test]
fn names_are_for_files_without_and_edges_within_reach() {
    let fixture = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../model/tests/fixtures")
            .join(name);
        std::fs::read(path).expect("a fixture")
    };
    let squared = fixture("objective-reg-squarederror.json");
    for (model, text, says) in [
        (
            DEMO_MODEL,
            "names = [\"a\"]",
            "1:9: names are 1, but the model has 50 features",
        ),
        (
            DEMO_MODEL,
            &format!("names = [{}]", ["\"a\""; 50].join(", ")),
            "1:9: feature 0 is \"f1\" in the model file and \"a\" here",
        ),
        (
            DEMO_MODEL,
            "edges = [10, 20, 40, 60]",
            "1:9: edge 0 is 10, but the model's predictions are probabilities, from 0 to 1: no prediction reaches every \
             band; percent? write edges = [0.1, 0.2, 0.4, 0.6]",
        ),
        (DEMO_MODEL, "edges = [-1, 0.2, 0.3, 0.4]", "1:9: edge 0 is -1, but"),
        (
            DEMO_MODEL,
            "[[golden]]\nfeatures = [1]\nprediction = [1, 2]",
            "a golden row has 2 predictions, the model 1",
        ),
    ] {
        let error = LoadedModel::of_bytes(model, text).expect_err(text).to_string();
        assert!(error.contains(says), "{text}\n{error}\n{says}");
    }
    for edges in ["[0, 0.2, 0.5, 1]", "[0.1, 0.2, 0.3, 0.4]"] {
        assert!(LoadedModel::of_bytes(DEMO_MODEL, &format!("edges = {edges}")).is_ok());
    }
    assert!(LoadedModel::of_bytes(&squared, "edges = [-100, 0, 1, 1e6]").is_ok());
}

#[test]
fn a_golden_row_may_state_a_prediction_and_says_who_gave_it() {
    let demo = LoadedModel::demo_with("");
    let mut scratch = demo.model.scratch();
    demo.model.score_row(&[f64::NAN; 50], &mut scratch);
    let (margin, prediction) = (scratch.margins()[0], scratch.predictions()[0]);
    let row = format!("[[golden]]\nfeatures = [{}]\n", ["nan"; 50].join(","));
    #[expect(clippy::cast_possible_truncation, reason = "the demo's numbers are f32")]
    let beside = f64::from((prediction as f32).next_up());
    for (numbers, is_met, own) in [
        (format!("prediction = [{prediction:?}]"), true, 0),
        (format!("prediction = [{beside:?}]"), true, 0),
        (format!("prediction = [{:?}]", prediction + 1e-5), false, 0),
        (format!("margin = [{margin:?}]\nsource = \"quintile\""), true, 1),
        (format!("margin = [{margin:?}]\nprediction = [0.5]"), false, 0),
    ] {
        let loaded = LoadedModel::of_bytes(DEMO_MODEL, &format!("{row}{numbers}"));
        match loaded {
            Ok(loaded) => assert_eq!((is_met, loaded.own_golden_rows()), (true, own), "{numbers}"),
            Err(error) => assert!(
                !is_met && error.to_string().contains("golden row 1"),
                "{numbers}\n{error}"
            ),
        }
    }
}

#[test]
fn a_golden_row_that_is_not_met_says_whether_the_file_has_changed() {
    let row = format!("[[golden]]\nfeatures = [{}]\nmargin = [1]\n", ["nan"; 50].join(","));
    let own = sha256(DEMO_MODEL);
    for (init, says) in [
        (
            String::new(),
            "if the model file has changed since these rows were written",
        ),
        (
            format!("[init]\nmodel_sha256 = \"{own}\""),
            "is the one that the manifest was written for",
        ),
        (
            format!("[init]\nmodel_sha256 = \"{}\"", own.replace(['0', '1', '2'], "9")),
            "the model file has changed since its manifest was written: after retraining, run quintile manifest init m ROWS --renew",
        ),
    ] {
        let error = LoadedModel::of_bytes(DEMO_MODEL, &format!("{row}{init}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{init}\n{error}");
    }
}
