//! Every seed through its target: what was found once stays found.

use std::fs;
use std::path::{Path, PathBuf};

use quintile_fuzz::{TARGETS, target};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a folder's entry").path()).collect();
    files.sort();
    files
}

fn replay(name: &str) {
    let target = target(name).expect("a target");
    let seeds = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name));
    assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
    for seed in &seeds {
        eprintln!("{}", seed.display());
        (target.run)(&fs::read(seed).expect("a seed"));
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name).as_slice(), &replayed);
            assert_eq!(files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")).len(), replayed.len());
        }
    };
}

targets! {
    xgboost_json xgboost_ubjson lightgbm treelite catboost onnx model manifest request request_names csv ndjson record
}
