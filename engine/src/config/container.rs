//! Where model servers in containers find their model without being told: KServe's `/mnt/models`, SageMaker's
//! `/opt/ml/model`.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders, in the order in which they are looked at.
pub(super) const FOLDERS: [&str; 2] = ["/mnt/models", "/opt/ml/model"];

/// Files that are a model by themselves, where a folder has no description of another server's.
const FILES: [&str; 5] = ["model.ubj", "model.bst", "model.json", "model.txt", "model.onnx"];

/// The model of the first of these folders that exists and is not empty: a file of a usual name, or else the folder.
pub(super) fn model(folders: impl IntoIterator<Item = impl AsRef<Path>>) -> Option<PathBuf> {
    let is_used = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let folder = folders
        .into_iter()
        .map(|folder| folder.as_ref().to_path_buf())
        .find(|folder| is_used(folder))?;
    let described = [
        "MLmodel",
        "model-settings.json",
        "config.pbtxt",
        "xgboost-model",
        "model.tar.gz",
    ];
    if described.iter().any(|name| folder.join(name).is_file()) {
        return Some(folder);
    }
    let file = FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file());
    Some(file.unwrap_or(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_with_something_in_it_has_the_model() {
        let root = std::env::temp_dir().join(format!("quintile-container-{}", std::process::id()));
        let [absent, empty, plain, described] = ["absent", "empty", "plain", "described"].map(|name| root.join(name));
        for folder in [&empty, &plain, &described] {
            fs::create_dir_all(folder).expect("a folder");
        }
        fs::write(plain.join("model.bst"), "x").expect("a file");
        fs::write(described.join("model.bst"), "x").expect("a file");
        fs::write(described.join("model-settings.json"), "{}").expect("a file");
        assert_eq!(model([&absent, &empty]), None);
        assert_eq!(model([&empty, &plain]), Some(plain.join("model.bst")));
        assert_eq!(model([&described, &plain]), Some(described.clone()));
        fs::remove_dir_all(&root).expect("it is ours");
    }
}
