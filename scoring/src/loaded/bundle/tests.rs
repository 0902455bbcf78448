//! Folders as each server's documentation lays them out, and every way in which one is not served.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use quintile_model::Options;

use crate::loaded::LoadedModel;

use super::*;

const MODEL: &[u8] = include_bytes!("../../../../engine/demo/demo.ubj");

/// A folder of its own for a test, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quintile-bundle-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("folder");
        Self(path)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("within the folder")).expect("folder");
        fs::write(&path, bytes).expect("file");
        self
    }

    fn load(&self) -> Result<LoadedModel, String> {
        LoadedModel::load(Some(&self.0), Options::default(), 0).map_err(|error| error.to_string())
    }

    /// Why it is not served.
    fn refusal(&self) -> String {
        self.load().expect_err("not served")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn identity(loaded: &LoadedModel) -> (&str, &str) {
    (loaded.model.name(), loaded.model.version())
}

const MLMODEL: &str = r#"artifact_path: leads
flavors:
  python_function:
    loader_module: mlflow.xgboost
  xgboost:
    code: null
    data: model.ubj
    model_class: xgboost.core.Booster
    model_format: ubj
model_uuid: 9d5c
saved_input_example_info:
  artifact_path: input_example.json
  type: dataframe
signature:
  inputs: '[{"type": "long", "name": "f1", "required": true}, {"type": "double", "name":
    "f2", "required": false}, {"type": "boolean", "name": "f9", "required": false}]'
  outputs: null
"#;

#[test]
fn an_mlflow_folder_gives_names_types_and_an_example() {
    let folder = Folder::new("mlflow");
    folder.file("MLmodel", MLMODEL).file("model.ubj", MODEL).file(
        "input_example.json",
        r#"{"columns": ["f1", "f2", "f9"], "data": [[3, null, true]]}"#,
    );
    let loaded = folder.load().unwrap();
    assert_eq!(
        (identity(&loaded), loaded.folder),
        (("leads", "9d5c"), Some("MLflow folder"))
    );
    let schema = loaded.model.schema();
    assert!(schema.rule(0).required && !schema.rule(1).required);
    assert!(
        schema.rule(0).check(1.5).is_err() && schema.rule(8).check(2.0).is_err() && schema.rule(1).check(1.5).is_ok()
    );
    let example = loaded.example.as_deref().unwrap();
    assert_eq!(
        (example[0].to_bits(), example[8].to_bits()),
        (3f64.to_bits(), 1f64.to_bits())
    );
    assert!(example[1].is_nan());
    // The manifest beside the file stands over what the folder says.
    folder.file(
        "model.toml",
        "name = \"mine\"\n[features.f1]\ntype = \"number\"\nrequired = false\n",
    );
    let loaded = folder.load().unwrap();
    assert_eq!(identity(&loaded), ("mine", "9d5c"));
    assert!(loaded.model.schema().rule(0).check(1.5).is_ok() && !loaded.model.schema().rule(0).required);
    assert_eq!(
        crate::loaded::manifest_path(&folder.0),
        Some(folder.0.join("model.toml"))
    );
}

#[test]
fn mlflow_folders_that_cannot_be_served_say_why() {
    let folder = Folder::new("mlflow-wrong");
    folder.file("model.ubj", MODEL);
    for (from, to, says) in [
        (
            "xgboost:\n",
            "sklearn:\n",
            "its MLflow flavours are python_function, sklearn; served are xgboost, lightgbm",
        ),
        (
            "data: model.ubj",
            "data: model.pkl",
            "names \"model.pkl\", which cannot be read",
        ),
        (
            "data: model.ubj",
            "data: ../model.ubj",
            "names \"../model.ubj\", which is not within its folder",
        ),
        ("data: model.ubj", "data: /etc/passwd", "which is not within its folder"),
        ("data: model.ubj", "dat: model.ubj", "the flavour xgboost has no data"),
        ("flavors:", "flavours:", "MLmodel: has no flavors"),
        (
            "\"name\": \"f1\"",
            "\"name\": \"age\"",
            "names features that the model does not have: [\"age\"]",
        ),
        (
            "\"long\"",
            "\"datetime\"",
            "the column \"f1\" is of type datetime; accepted are boolean",
        ),
        ("'[{", "'{", "signature.inputs is not JSON"),
        ("code: null", "code: *x", "MLmodel:"),
    ] {
        assert!(MLMODEL.contains(from), "{from}");
        let refusal = folder.file("MLmodel", MLMODEL.replacen(from, to, 1)).refusal();
        assert!(refusal.contains(says), "{to}\n{refusal}\n{says}");
    }
    folder
        .file("model.pkl", b"\x80\x04")
        .file("MLmodel", MLMODEL.replace("model.ubj", "model.pkl"));
    assert!(
        folder
            .refusal()
            .contains(".pkl files are programs, which are never opened"),
        "{}",
        folder.refusal()
    );
    let tensor = r#"  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 7]}}]'"#;
    let start = MLMODEL.split("  inputs:").next().unwrap_or_default();
    folder.file("MLmodel", format!("{start}{tensor}\n"));
    assert!(
        folder.refusal().contains("states 7 features, but the model has 50"),
        "{}",
        folder.refusal()
    );
    folder.file("MLmodel", format!("{start}{}\n", tensor.replace('7', "50")));
    assert_eq!(folder.load().unwrap().model.schema().len(), 50);
}

const CONFIG: &str = r#"
name: "leads"
backend: "fil"
max_batch_size: 32768
input [ { name: "input__0" data_type: TYPE_FP32 dims: [ 50 ] } ]
output [ { name: "output__0" data_type: TYPE_FP32 dims: [ 1 ] } ]
parameters [
  { key: "model_type" value: { string_value: "xgboost_ubj" } },
  { key: "output_class" value: { string_value: "true" } }
]
"#;

#[test]
fn a_triton_folder_and_a_repository_of_one_are_served() {
    let folder = Folder::new("triton");
    folder
        .file("leads/config.pbtxt", CONFIG)
        .file("leads/2/xgboost.ubj", MODEL)
        .file("leads/10/xgboost.ubj", MODEL)
        .file("leads/notes/xgboost.ubj", "no");
    let loaded = folder.load().unwrap();
    assert_eq!(
        (identity(&loaded), loaded.folder),
        (("leads", "10"), Some("Triton FIL folder"))
    );
    let one = LoadedModel::load(Some(&folder.0.join("leads")), Options::default(), 0).unwrap();
    assert_eq!(identity(&one), ("leads", "10"));
    folder.file(
        "leads/config.pbtxt",
        format!("{CONFIG}version_policy: {{ specific {{ versions: [2] }} }}"),
    );
    assert_eq!(identity(&folder.load().unwrap()), ("leads", "2"));
    folder.file("other/config.pbtxt", CONFIG);
    assert!(
        folder
            .refusal()
            .contains("a Triton repository of 2 models; name one of them, as "),
        "{}",
        folder.refusal()
    );
}

#[test]
fn triton_folders_that_cannot_be_served_say_why() {
    let folder = Folder::new("triton-wrong");
    folder.file("1/xgboost.ubj", MODEL);
    for (from, to, says) in [
        (
            "\"fil\"",
            "\"onnxruntime\"",
            "backend is \"onnxruntime\"; served is \"fil\"",
        ),
        (
            "xgboost_ubj",
            "xgboost",
            "XGBoost's old binary format; save_model(\"xgboost.ubj\")",
        ),
        ("xgboost_ubj", "lightgbm", "names \"1/model.txt\", which cannot be read"),
        (
            "xgboost_ubj",
            "torch",
            "model_type is \"torch\"; served are xgboost_json",
        ),
        ("[ 50 ]", "[ 49 ]", "states 49 features, but the model has 50"),
        (
            "name: \"leads\"",
            "name \"leads\"",
            "config.pbtxt: line 2 has a field without a value",
        ),
    ] {
        assert!(CONFIG.contains(from), "{from}");
        let refusal = folder.file("config.pbtxt", CONFIG.replacen(from, to, 1)).refusal();
        assert!(refusal.contains(says), "{to}\n{refusal}\n{says}");
    }
    fs::remove_dir_all(folder.0.join("1")).unwrap();
    folder.file("config.pbtxt", CONFIG);
    assert!(
        folder.refusal().contains("has no version beside it"),
        "{}",
        folder.refusal()
    );
}

#[test]
fn an_mlserver_folder_names_a_file_or_a_folder() {
    let folder = Folder::new("mlserver");
    let settings = |implementation: &str, uri: &str| {
        format!(r#"{{"name": "leads", "implementation": "{implementation}", "parameters": {{"version": "v3"{uri}}}}}"#)
    };
    let xgboost = "mlserver_xgboost.XGBoostModel";
    folder
        .file("model-settings.json", settings(xgboost, r#", "uri": "./m.ubj""#))
        .file("m.ubj", MODEL);
    let loaded = folder.load().unwrap();
    assert_eq!(
        (identity(&loaded), loaded.folder),
        (("leads", "v3"), Some("MLServer folder"))
    );
    folder
        .file("model-settings.json", settings(xgboost, ""))
        .file("model.ubj", MODEL);
    assert_eq!(identity(&folder.load().unwrap()), ("leads", "v3"));
    folder.file(
        "model-settings.json",
        settings("mlserver_mlflow.MLflowRuntime", r#", "uri": "./inner""#),
    );
    folder.file("inner/MLmodel", MLMODEL).file("inner/model.ubj", MODEL);
    let loaded = folder.load().unwrap();
    assert!(identity(&loaded) == ("leads", "v3") && loaded.model.schema().rule(0).required);
    for (text, says) in [
        (
            settings("mlserver_sklearn.SKLearnModel", ""),
            "served are mlserver_xgboost.XGBoostModel",
        ),
        (
            settings(xgboost, r#", "uri": "s3://bucket/m""#),
            "names \"s3://bucket/m\", which cannot be read",
        ),
        (
            settings("mlserver_lightgbm.LightGBMModel", ""),
            "names no uri, and there is none of model.txt, model.bst",
        ),
        ("{".to_owned(), "model-settings.json: is not JSON"),
    ] {
        let refusal = folder.file("model-settings.json", text).refusal();
        assert!(refusal.contains(says), "{refusal}\n{says}");
    }
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).expect("an entry");
    }
    builder.into_inner().and_then(GzEncoder::finish).expect("an archive")
}

#[test]
fn a_sagemaker_archive_is_read_where_it_is() {
    let folder = Folder::new("sagemaker");
    let load = |files: &[(&str, &[u8])]| {
        folder.file("model.tar.gz", archive(files));
        LoadedModel::load(Some(&folder.0.join("model.tar.gz")), Options::default(), 0)
            .map_err(|error| error.to_string())
    };
    let loaded = load(&[("xgboost-model", MODEL), ("code/inference.json", b"{}")]).unwrap();
    assert_eq!(
        (loaded.model.name(), loaded.folder),
        ("xgboost-model", Some("SageMaker archive"))
    );
    let loaded = load(&[
        ("./leads.ubj", MODEL),
        ("leads.toml", b"name = \"inner\"\nversion = \"1\""),
    ])
    .unwrap();
    assert_eq!(identity(&loaded), ("inner", "1"));
    folder.file("model.toml", "name = \"beside\"");
    assert_eq!(load(&[("leads.ubj", MODEL)]).unwrap().model.name(), "beside");
    assert_eq!(
        folder.load().unwrap().model.name(),
        "beside",
        "the folder that holds the archive"
    );
    for (files, says) in [
        (
            &[("a.ubj", MODEL), ("b.ubj", MODEL)][..],
            "holds 2 files that may be the model (a.ubj, b.ubj)",
        ),
        (
            &[("model.pkl", b"x" as &[u8])],
            "holds no model file: one named xgboost-model or ending in .ubj",
        ),
        (&[], "it holds nothing"),
    ] {
        let refusal = load(files).expect_err(says);
        assert!(refusal.contains(says), "{refusal}\n{says}");
    }
    folder.file("model.tar.gz", b"no archive");
    assert!(folder.refusal().contains("model.tar.gz"), "{}", folder.refusal());
    let mut cut = archive(&[("leads.ubj", MODEL)]);
    cut.truncate(cut.len() / 2);
    folder.file("model.tar.gz", cut);
    assert!(folder.load().is_err());
    let folder = Folder::new("sagemaker-folder");
    folder.file("xgboost-model", MODEL);
    assert_eq!(folder.load().unwrap().folder, Some("SageMaker folder"));
}

#[test]
fn descriptions_that_never_end_are_cut() {
    let folder = Folder::new("long");
    let path = folder.0.join("MLmodel");
    let mut file = std::fs::File::create(&path).unwrap();
    for _ in 0..=(DESCRIPTION_BYTES_MAX >> 16) {
        file.write_all(&[b' '; 1 << 16]).unwrap();
    }
    drop(file);
    assert!(
        folder.refusal().contains("has more than the 4194304 bytes accepted"),
        "{}",
        folder.refusal()
    );
    folder.file("MLmodel", b"a: \xff");
    assert!(folder.refusal().contains("byte 3 is not UTF-8"), "{}", folder.refusal());
}
